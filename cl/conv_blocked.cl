/* Convolution for CPU devices, both directions: dst = gather(src, w) with lanes across channels.
 *
 *   src   [N][G][C/LANES][H][W][LANES]
 *   w     packed once by pack_weights (cl/conv_pack.cl), zero where there is no channel
 *   bias  one value for each channel of dst, or NULL
 *   add   NULL, or a tensor of dst's layout that is added to the sums
 *   dst   NCHW, or [N][blocks][H][W][LANES] with zeros in the lanes past the last channel
 *
 * Sums run in the same order for every position, so a window of a picture gives the same bits as
 * the whole. One work-item: `tiles` tiles for KB * LANES channels of dst, `range` times, so that
 * weights stay in the cache. All sums of a tile are in registers.
 *
 *   LANES     16 or 8: floats in a vector register
 *   TILE, KB  positions and blocks of channels: 6 x 2 sums on AVX2, 6 x 4 on AVX-512
 */
#include "lanes.h"
#include "transpose.h"
#include "conv_shape.h"
#include "conv_tile.h"
#include "conv_sums.h"

/* Tiles that take turns, and floats of weights that they share in each turn: about half of a
 * first-level cache, so that weights come from it and not from the second level for every tile. */
#define TURN         8
#define TURN_WEIGHTS 5120

/* Adds blocks block_from.. of src's channels at the taps of a chunk of `step` to a tile's sums. */
#define ADD_BLOCKS                                                                                 \
    {                                                                                              \
        __global const float *in = src + ((size_t)group * s.blocks + block_from) * s.src_plane;    \
        __global const float *wc = weights + (size_t)(block_from * step) * tap_floats;             \
                                                                                                   \
        for (int block = block_from; block < block_to; block++) {                                  \
            for (int k = 0; k < taps->count; k++) {                                                \
                __global const float *wt = wc + taps->tap[k] * tap_floats;                         \
                __global const float *from[TILE];                                                  \
                                                                                                   \
                if (inside) {                                                                      \
                    EACH(t, TILE) from[t] = in + taps->shift[k] + places.from[t];                  \
                } else {                                                                           \
                    EACH(t, TILE)                                                                  \
                    {                                                                              \
                        const int read = taps->at[k * TILE + t];                                   \
                                                                                                   \
                        from[t] = read < 0 ? zeros : in + read;                                    \
                    }                                                                              \
                }                                                                                  \
                EACH(l, LANES)                                                                     \
                {                                                                                  \
                    VEC weight[KB];                                                                \
                                                                                                   \
                    EACH(b, KB) weight[b] = LOAD(l * KB + b, wt);                                  \
                    EACH(t, TILE)                                                                  \
                    {                                                                              \
                        const VEC one = (VEC)from[t][l];                                           \
                                                                                                   \
                        EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);                    \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
            in += s.src_plane;                                                                     \
            wc += step * tap_floats;                                                               \
        }                                                                                          \
    }

/* Where a tile's taps read is worked out once for each tile; past the border they read `zeros`.
 * Sums run over chunks of TAPS taps, block of channels, tap, channel; between turns they wait in
 * memory, which changes nothing. */
__kernel void conv_blocked(__global const float *restrict src, __global const float *restrict w,
                           __global const float *restrict bias, __global const float *restrict add,
                           __global float *restrict dst, __global const float *restrict zeros,
                           const blocked_shape s)
{
    WORK;
    const int tap_floats = LANES * KB * LANES;
    const int turn_blocks = max(1, TURN_WEIGHTS / (tap_floats * max(1, min(TAPS, all_taps))));
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);
    tile_places all_places[TURN];
    tile_taps turn_taps[TURN];
    VEC waiting[TURN][KB][TILE];

    for (int g = 0; g < TURN; g++) {
        turn_taps[g].first = -1;
        turn_taps[g].count = 0; /* a phase without taps has none to find */
    }
    for (int tile = tile_from; tile < tile_to; tile += TURN) {
        const int tiles = min(TURN, tile_to - tile);

        for (int g = 0; g < tiles; g++)
            find_places(&s, &at, LANES, &all_places[g]);
        for (int item = item_from; item < item_to; item++) {
            __global const float *weights =
                w + s.weight_offset +
                (size_t)(group * s.items + item) * s.blocks * all_taps * tap_floats;
            int first = 0, block_from = 0, more;

            do {
                const int step = min(TAPS, all_taps - first);
                const int block_to = min(block_from + turn_blocks, s.blocks);
                const int begin = first == 0 && block_from == 0;

                more = block_to < s.blocks || first + TAPS < all_taps;
                for (int g = 0; g < tiles; g++) {
                    const tile_places places = all_places[g];
                    tile_taps *taps = &turn_taps[g];
                    const int inside = places.inside;
                    VEC sum[KB][TILE];

                    if (all_taps > 0 && block_from == 0 && (item == item_from || all_taps > TAPS))
                        find_taps(&s, &all_places[g], first, taps);
                    if (begin) {
                        START_SUMS(item)
                    } else {
                        EACH(b, KB) EACH(t, TILE) sum[b][t] = waiting[g][b][t];
                    }
                    ADD_BLOCKS
                    if (more) {
                        EACH(b, KB) EACH(t, TILE) waiting[g][b][t] = sum[b][t];
                    } else {
                        STORE_SUMS(item)
                    }
                }
                if (block_to == s.blocks) {
                    weights += (size_t)(s.blocks * step) * tap_floats;
                    first += TAPS;
                    block_from = 0;
                } else {
                    block_from = block_to;
                }
            } while (more);
        }
    }
}
