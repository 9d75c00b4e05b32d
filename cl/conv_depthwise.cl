/* Convolution for CPU devices of one channel in each group, both directions: as conv_blocked.cl,
 * but lanes run across groups.
 *
 *   w  [items][taps][LANES]; items are blocks of channels
 *
 *   LANES, TILE, KB  as in conv_blocked.cl; KB is 1
 */
#include "hints.h"
#include "lanes.h"
#include "transpose.h"
#include "conv_shape.h"
#include "conv_tile.h"
#include "conv_sums.h"

/* Sums run over the taps. */
__kernel void conv_depthwise(__global const float *restrict src, __global const float *restrict w,
                             __global const float *restrict bias,
                             __global const float *restrict add, __global float *restrict dst,
                             __global const float *restrict zeros,
                             __global const blocked_shape *restrict phases,
                             const blocked_output output)
{
    blocked_shape s;

    get_phase(phases, &output, &s);
    WORK;
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);
    int taps_of = -1; /* the tile that `taps` is for */
    int at_border[TAPS * TILE];
    tile_taps taps;

    taps.first = -1;
    for (int tile = tile_from; tile < tile_to; tile++) {
        tile_places here;
        const tile_places *places = &here;

        find_places(&s, &at, LANES, &here);
        for (int item = item_from; item < item_to; item++) {
            __global const float *in = src + (size_t)item * s.src_plane;
            __global const float *wi = w + s.weight_offset + (size_t)item * all_taps * LANES;
            VEC sum[KB][TILE];

            FIND_START(item)
            START_SUMS
            for (int first = 0; first < all_taps; first += TAPS) {
                if (taps.first != first || taps_of != tile) {
                    find_taps(&s, &here, first, &taps);
                    if (!here.inside)
                        find_reads(&here, &taps, at_border);
                }
                taps_of = tile;
                for (int k = 0; k < taps.count; k++) {
                    const int *read = at_border + k * TILE;
                    const VEC weight = LOAD(first + taps.tap[k], wi);

                    if (places->inside) {
                        EACH(t, TILE)
                        sum[0][t] =
                            fma(LOAD(0, in + places->from[t] + taps.shift[k]), weight, sum[0][t]);
                    } else {
                        EACH(t, TILE)
                        sum[0][t] =
                            fma(LOAD(0, read[t] < 0 ? zeros : in + read[t]), weight, sum[0][t]);
                    }
                }
            }
            STORE_SUMS(item)
        }
    }
}
