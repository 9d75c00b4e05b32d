/* Convolution for CPU devices to results of few channels, where lanes across dst would idle, both
 * directions: as conv_blocked.cl, but lanes run across the channels of src and are added up at the
 * end.
 *
 *   w  [chunk of taps][C/LANES][taps of the chunk][CHANNELS][LANES]
 *
 *   LANES     16 or 8: floats in a vector register
 *   TILE      positions: CHANNELS * TILE sums are in registers
 *   CHANNELS  of dst, 1 to 4
 */
#include "hints.h"
#include "lanes.h"
#include "transpose.h"
#include "conv_shape.h"
#include "conv_tile.h"

/* How many positions ahead the source is asked for: the kernel waits for memory otherwise, as it
 * does little with each value. */
#define AHEAD 8

/* The lanes of up to eight vectors, each added up, all in the same order. */
static float8 across(const VEC *v)
{
    float8 eight[8], pair[4], quad[2];

#if LANES == 16
    EACH(t, 8) eight[t] = t < TILE ? v[t].lo + v[t].hi : (float8)0.0f;
#else
    EACH(t, 8) eight[t] = t < TILE ? v[t] : (float8)0.0f;
#endif
    EACH(t, 4)
    pair[t] = PAIR_UP(eight[2 * t], eight[2 * t + 1], s0, s1, s4, s5) +
              PAIR_UP(eight[2 * t], eight[2 * t + 1], s2, s3, s6, s7);
    EACH(t, 2)
    quad[t] = FIRSTS(pair[2 * t], pair[2 * t + 1]) + SECONDS(pair[2 * t], pair[2 * t + 1]);
    return (float8)(quad[0].lo, quad[1].lo) + (float8)(quad[0].hi, quad[1].hi);
}

/* Terms (a block of channels at a tap) whose places are worked out at a time. */
#define TERMS 2048

/* Where terms first.. read in a tile that is all inside, in floats from its first. Terms run over
 * chunks of taps, block of channels, tap, as their weights do. */
static int find_terms(const blocked_shape *s, int first, int *shift)
{
    const int taps = s->y.taps * s->x.taps, last = min(first + TERMS, s->blocks * taps);
    int term = 0;

    for (int chunk = 0; chunk < taps && term < last; chunk += TAPS) {
        for (int block = 0; block < s->blocks; block++) {
            int i = chunk / s->x.taps, j = chunk - i * s->x.taps;

            for (int tap = chunk; tap < min(chunk + TAPS, taps); tap++, term++) {
                if (term >= first && term < last)
                    shift[term - first] =
                        block * s->src_plane +
                        (i * s->y.tap_step * s->src_w + j * s->x.tap_step) * LANES;
                if (++j == s->x.taps) {
                    j = 0;
                    i++;
                }
            }
        }
    }
    return last - first;
}

/* One term, READ the vector of position t of a tile. */
#define MULTIPLY(READ)                                                                             \
    {                                                                                              \
        VEC weight[CHANNELS];                                                                      \
                                                                                                   \
        EACH(c, CHANNELS) weight[c] = LOAD(c, wt);                                                 \
        EACH(t, TILE)                                                                              \
        {                                                                                          \
            const VEC v = READ;                                                                    \
                                                                                                   \
            EACH(c, CHANNELS) sum[c][t] = fma(v, weight[c], sum[c][t]);                            \
        }                                                                                          \
    }

/* Stores channel `c` of a tile, `value`. */
#define STORE_CHANNEL(c, value)                                                                    \
    if (TILE == 8 && places.row && s.dst_block == 1 && !add) {                                     \
        STORE8(s.relu ? select(value, (float8)0.0f, value <= 0.0f) : value,                        \
               dst + places.to[0] + (c)*apart);                                                    \
    } else {                                                                                       \
        float of[8];                                                                               \
                                                                                                   \
        vstore8(value, 0, of);                                                                     \
        EACH(t, TILE)                                                                              \
        {                                                                                          \
            if (t < places.count) {                                                                \
                const size_t to = places.to[t] + (c)*apart;                                        \
                const float one = of[t] + (add ? add[to] : 0.0f);                                  \
                                                                                                   \
                dst[to] = s.relu && one <= 0.0f ? 0.0f : one;                                      \
            }                                                                                      \
        }                                                                                          \
    }

__kernel void conv_few(__global const float *restrict src, __global const float *restrict w,
                       __global const float *restrict bias, __global const float *restrict add,
                       __global float *restrict dst, __global const float *restrict zeros,
                       __global const blocked_shape *restrict phases, const blocked_output output)
{
    blocked_shape s;

    get_phase(phases, &output, &s);
    WORK_TILES;
    const int terms = s.blocks * all_taps;
    const size_t apart = s.dst_block > 1 ? 1 : (size_t)s.dst_h * s.dst_w; /* channels of dst */
    int shift[TERMS], at_border[TAPS * TILE], known;
    tile_taps taps;

    known = find_terms(&s, 0, shift);
    taps.first = -1;
    for (int tile = tile_from; tile < tile_to; tile++) {
        __global const float *wt = w + s.weight_offset;
        tile_places places;
        VEC sum[CHANNELS][TILE];

        find_places(&s, &at, LANES, &places);
        EACH(c, CHANNELS) EACH(t, TILE) sum[c][t] = (VEC)0.0f;
        if (places.inside) {
            __global const float *from[TILE];

            EACH(t, TILE) from[t] = src + places.from[t];
            for (int first = 0; first < terms; first += TERMS) {
                if (terms > TERMS)
                    known = find_terms(&s, first, shift);
                for (int n = 0; n < known; n++, wt += CHANNELS * LANES) {
                    const long along = shift[n];

                    ASK_FOR(from[TILE - 1] + along + AHEAD * LANES);
                    MULTIPLY(LOAD(0, from[t] + along))
                }
            }
        } else {
            for (int first = 0; first < all_taps; first += TAPS) {
                __global const float *wc = wt, *in = src;

                find_taps(&s, &places, first, &taps);
                find_reads(&places, &taps, at_border);
                for (int block = 0; block < s.blocks; block++, in += s.src_plane) {
                    for (int k = 0; k < taps.count; k++) {
                        const int *read = at_border + k * TILE;

                        wt = wc + taps.tap[k] * CHANNELS * LANES;
                        MULTIPLY(LOAD(0, read[t] < 0 ? zeros : in + read[t]))
                    }
                    wc += min(TAPS, all_taps - first) * CHANNELS * LANES;
                }
                wt = wc;
            }
        }
        EACH(c, CHANNELS)
        {
            const float8 value = across(sum[c]) + (bias ? bias[c] : 0.0f);

            STORE_CHANNEL(c, value)
        }
        for (int c = CHANNELS; c < s.dst_block; c++)
            for (int t = 0; t < places.count; t++)
                dst[places.to[t] + c] = 0.0f;
    }
}
