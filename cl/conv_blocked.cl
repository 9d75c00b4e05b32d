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

/* Where a tile's taps read is worked out once for each tile; past the border they read `zeros`.
 * Sums run over chunks of TAPS taps, block of channels, tap, channel. */
__kernel void conv_blocked(__global const float *restrict src, __global const float *restrict w,
                           __global const float *restrict bias, __global const float *restrict add,
                           __global float *restrict dst, __global const float *restrict zeros,
                           const blocked_shape s)
{
    WORK;
    const int tap_floats = LANES * KB * LANES;
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);

    int taps_of = -1; /* the tile that `taps` is for */
    tile_taps taps;

    taps.first = -1;
    for (int tile = tile_from; tile < tile_to; tile++) {
        tile_places places;

        find_places(&s, &at, LANES, &places);
        for (int item = item_from; item < item_to; item++) {
            __global const float *wc =
                w + s.weight_offset +
                (size_t)(group * s.items + item) * s.blocks * all_taps * tap_floats;
            VEC sum[KB][TILE];

            START_SUMS(item)
            for (int first = 0; first < all_taps; first += TAPS) {
                __global const float *in = src + (size_t)group * s.blocks * s.src_plane;
                const int step = min(TAPS, all_taps - first);

                if (taps.first != first || taps_of != tile)
                    find_taps(&s, &places, first, &taps);
                taps_of = tile;
                for (int block = 0; block < s.blocks; block++) {
                    for (int k = 0; k < taps.count; k++) {
                        __global const float *wt = wc + taps.tap[k] * tap_floats;
                        __global const float *from[TILE];

                        if (places.inside) {
                            EACH(t, TILE) from[t] = in + taps.shift[k] + places.from[t];
                        } else {
                            EACH(t, TILE)
                            {
                                const int read = taps.at[k * TILE + t];

                                from[t] = read < 0 ? zeros : in + read;
                            }
                        }
                        EACH(l, LANES)
                        {
                            VEC weight[KB];

                            EACH(b, KB) weight[b] = LOAD(l * KB + b, wt);
                            EACH(t, TILE)
                            {
                                const VEC one = (VEC)from[t][l];

                                EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);
                            }
                        }
                    }
                    in += s.src_plane;
                    wc += step * tap_floats;
                }
            }
            STORE_SUMS(item)
        }
    }
}
