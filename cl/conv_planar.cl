/* Convolution for CPU devices from sources of few channels: as conv_blocked.cl, but src is planes
 * with a border that no tap leaves, [N][C][H][W], and one channel of one tap is taken at a time.
 *
 *   LANES, TILE, KB  as in conv_blocked.cl
 */
#include "hints.h"
#include "lanes.h"
#include "transpose.h"
#include "conv_shape.h"
#include "conv_tile.h"
#include "conv_sums.h"

/* What conv_planar works out at a time, at most seven channels of 11 x 11 taps. */
#define PLANAR_TAPS 847

/* Where terms first.. (channel, row, column) read, in floats from where a position reads first. */
static int find_terms(const blocked_shape *s, int first, int *shift)
{
    const int taps = s->y.taps * s->x.taps, last = min(first + PLANAR_TAPS, s->blocks * taps);
    int c = first / taps, i = first % taps / s->x.taps, j = first % taps % s->x.taps;

    for (int term = first; term < last; term++) {
        shift[term - first] = c * s->src_plane + i * s->y.tap_step * s->src_w + j * s->x.tap_step;
        if (++j == s->x.taps) {
            j = 0;
            if (++i == s->y.taps) {
                i = 0;
                c++;
            }
        }
    }
    return last - first;
}

/* Sums run over channel, row, column. */
__kernel void conv_planar(__global const float *restrict src, __global const float *restrict w,
                          __global const float *restrict bias, __global const float *restrict add,
                          __global float *restrict dst, __global const float *restrict zeros,
                          __global const blocked_shape *restrict phases,
                          const blocked_output output)
{
    blocked_shape s;

    get_phase(phases, &output, &s);
    WORK;
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);
    const int terms = s.blocks * all_taps;
    int shift[PLANAR_TAPS], known = find_terms(&s, 0, shift);

    for (int tile = tile_from; tile < tile_to; tile++) {
        __global const float *from[TILE];
        tile_places here;
        const tile_places *places = &here;

        find_places(&s, &at, 1, &here);
        EACH(t, TILE) from[t] = src + group * s.blocks * s.src_plane + places->from[t];
        for (int item = item_from; item < item_to; item++) {
            __global const float *wt =
                w + s.weight_offset + (size_t)(group * s.items + item) * terms * (KB * LANES);
            VEC sum[KB][TILE];

            FIND_START(item)
            START_SUMS
            for (int first = 0; first < terms; first += PLANAR_TAPS) {
                if (terms > PLANAR_TAPS)
                    known = find_terms(&s, first, shift);
                for (int k = 0; k < known; k++) {
                    const long along = shift[k];
                    VEC weight[KB];

                    EACH(b, KB) weight[b] = LOAD(b, wt);
                    wt += KB * LANES;
                    EACH(t, TILE)
                    {
                        const VEC one = (VEC)from[t][along];

                        EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);
                    }
                }
            }
            STORE_SUMS(item)
        }
    }
}
