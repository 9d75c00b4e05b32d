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
 *   AHEAD     the next turn's weights are asked for, where they come from memory each time
 */
#include "hints.h"
#include "lanes.h"
#include "transpose.h"
#include "conv_shape.h"
#include "conv_tile.h"
#include "conv_sums.h"

/* Tiles that take turns, and floats of weights that they share in each turn: about half of a
 * first-level cache, so that weights come from it and not from the second level for every tile. */
#define TURN         8
#define TURN_WEIGHTS 5120
#define TAP_FLOATS   (LANES * KB * LANES)

/* Terms of a turn: a block of channels at a tap each. */
#define MOST_TERMS (TURN_WEIGHTS / TAP_FLOATS > TAPS ? TURN_WEIGHTS / TAP_FLOATS : TAPS)

/* Where the terms of a turn read in a tile that is all inside, in floats from its first. */
static int find_terms(const blocked_shape *s, int blocks, int first, int *shift)
{
    const int last = min(first + TAPS, s->y.taps * s->x.taps);
    int n = 0;

    for (int block = 0; block < blocks; block++) {
        int i = first / s->x.taps, j = first - i * s->x.taps;

        for (int tap = first; tap < last; tap++) {
            shift[n++] =
                block * s->src_plane + (i * s->y.tap_step * s->src_w + j * s->x.tap_step) * LANES;
            if (++j == s->x.taps) {
                j = 0;
                i++;
            }
        }
    }
    return n;
}

/* Adds LANES channels of one tap to the sums of the positions that are TAKEN; READ is channel l at
 * position t. */
#define MULTIPLY(READ, TAKEN)                                                                      \
    EACH(l, LANES)                                                                                 \
    {                                                                                              \
        VEC weight[KB];                                                                            \
                                                                                                   \
        EACH(b, KB) weight[b] = LOAD(l * KB + b, wt);                                              \
        EACH(t, TILE)                                                                              \
        {                                                                                          \
            if (TAKEN) {                                                                           \
                const VEC one = (VEC)(READ);                                                       \
                                                                                                   \
                EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);                            \
            }                                                                                      \
        }                                                                                          \
    }

/* Most taps that miss src do so at one position of a tile, which is then left out. */
#define WITHOUT(u)                                                                                 \
    case 1 << (u):                                                                                 \
        MULTIPLY(from[t][along + l], t != (u))                                                     \
        break;
#define WITHOUT_ONE_OF_SIX                                                                         \
    WITHOUT(0)                                                                                     \
    WITHOUT(1)                                                                                     \
    WITHOUT(2)                                                                                     \
    WITHOUT(3)                                                                                     \
    WITHOUT(4)                                                                                     \
    WITHOUT(5)
#if TILE == 8
#define WITHOUT_ONE                                                                                \
    WITHOUT_ONE_OF_SIX                                                                             \
    WITHOUT(6)                                                                                     \
    WITHOUT(7)
#else
#define WITHOUT_ONE WITHOUT_ONE_OF_SIX
#endif

/* Where more of them miss: one position after the other, if there are sums enough of each that they
 * do not wait for each other; else all, and what misses reads `zeros`. */
#if KB > 2
#define MULTIPLY_SOME                                                                              \
    EACH(t, TILE)                                                                                  \
    {                                                                                              \
        if (!(missed >> t & 1)) {                                                                  \
            EACH(l, LANES)                                                                         \
            {                                                                                      \
                const VEC one = (VEC)from[t][along + l];                                           \
                                                                                                   \
                EACH(b, KB) sum[b][t] = fma(one, LOAD(l * KB + b, wt), sum[b][t]);                 \
            }                                                                                      \
        }                                                                                          \
    }
#else
#define MULTIPLY_SOME                                                                              \
    {                                                                                              \
        __global const float *read[TILE];                                                          \
                                                                                                   \
        EACH(t, TILE) read[t] = missed >> t & 1 ? zeros : from[t] + along;                         \
        MULTIPLY(read[t][l], true)                                                                 \
    }
#endif

/* Each tile of a turn asks for its part of the next turn's weights, a little with each term. (Where
 * weights are near that would cost 2 to 3 %.) */
#define LINE       16 /* floats of a cache line */
#define TERM_LINES (TAP_FLOATS / LINE / TURN)
#ifdef AHEAD
#define ASK_FOR_NEXT(n) EACH(i, TERM_LINES) ASK_FOR(next + ((n)*TERM_LINES + i) * LINE);
#else
#define ASK_FOR_NEXT(n) (void)next;
#endif

/* Adds the terms of a turn to a tile's sums; past the border they read `zeros`. */
#define ADD_TERMS                                                                                  \
    __global const float *in = src + ((size_t)group * s.blocks + block_from) * s.src_plane;        \
    __global const float *wt = weights + (size_t)(block_from * step) * TAP_FLOATS;                 \
    __global const float *next = wt + (long)terms * (TAP_FLOATS + g * TERM_LINES * LINE);          \
    __global const float *from[TILE];                                                              \
                                                                                                   \
    EACH(t, TILE) from[t] = in + places->from[t];                                                  \
    if (places->inside) {                                                                          \
        for (int n = 0; n < terms; n++, wt += TAP_FLOATS) {                                        \
            const long along = shift[n];                                                           \
                                                                                                   \
            ASK_FOR_NEXT(n)                                                                        \
            MULTIPLY(from[t][along + l], true)                                                     \
        }                                                                                          \
    } else {                                                                                       \
        __global const float *wc = wt;                                                             \
                                                                                                   \
        for (int block = 0; block < block_to - block_from; block++, wc += step * TAP_FLOATS) {     \
            for (int k = 0; k < taps->count; k++) {                                                \
                const long along = (long)block * s.src_plane + taps->shift[k];                     \
                const int missed = taps->missed[k];                                                \
                                                                                                   \
                wt = wc + taps->tap[k] * TAP_FLOATS;                                               \
                ASK_FOR_NEXT(block * taps->count + k)                                              \
                switch (missed) {                                                                  \
                case 0:                                                                            \
                    MULTIPLY(from[t][along + l], true)                                             \
                    break;                                                                         \
                    WITHOUT_ONE                                                                    \
                default:                                                                           \
                    MULTIPLY_SOME                                                                  \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* `count` positions of a phase from `at` on get the same value in blocks of dst at `plane`. */
static void fill_positions(const blocked_shape *s, position at, int count, VEC value,
                           __global float *plane)
{
    while (count > 0) {
        const int in_row = min(count, s->x.count - at.u);
        __global float *to =
            plane + s->dst_from + at.image * s->dst_image +
            ((s->y.first + at.v * s->y.step) * s->dst_w + s->x.first + at.u * s->x.step) * LANES;

        for (int t = 0; t < in_row; t++)
            STORE(value, t * s->x.step, to);
        count -= in_row;
        next_row(s, &at);
    }
}

/* A phase without taps, as an adjoint has them whose stride is larger than its filter: what its
 * sums start with. */
#define FILL                                                                                       \
    const int position_from = tile_from * TILE;                                                    \
    const int position_to = min(tile_to * TILE, s.batch * s.y.count * s.x.count);                  \
                                                                                                   \
    for (int item = item_from; item < item_to; item++) {                                           \
        FIND_START(item)                                                                           \
        for (int b = 0; b < KB; b++) {                                                             \
            const int channel = (item * KB + b) * LANES;                                           \
                                                                                                   \
            if (channel < s.dst_channels)                                                          \
                fill_positions(&s, at, position_to - position_from,                                \
                               select(start[b], least, start[b] <= least),                         \
                               dst + (size_t)(group * s.dst_channels + channel) * s.dst_h *        \
                                         s.dst_w);                                                 \
        }                                                                                          \
    }

/* Where a tile's taps read is worked out once for each tile; past the border they read `zeros`.
 * Sums run over chunks of TAPS taps, block of channels, tap, channel; between turns they wait in
 * memory, which changes nothing. */
__kernel void conv_blocked(__global const float *restrict src, __global const float *restrict w,
                           __global const float *restrict bias, __global const float *restrict add,
                           __global float *restrict dst, __global const float *restrict zeros,
                           __global const blocked_shape *restrict phases,
                           const blocked_output output)
{
    blocked_shape s;

    get_phase(phases, &output, &s);
    WORK;
    const int turn_blocks = max(1, TURN_WEIGHTS / (TAP_FLOATS * max(1, min(TAPS, all_taps))));
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);
    tile_places all_places[TURN];
    tile_taps turn_taps[TURN];
    VEC waiting[TURN][KB][TILE];
    int shift[MOST_TERMS], terms = 0;
    int known_first = -1, known_blocks = 0; /* what `shift` is worked out for */

    if (all_taps == 0 && s.dst_block > 1 && !add) {
        FILL return;
    }
    for (int g = 0; g < TURN; g++) {
        turn_taps[g].first = -1;
        turn_taps[g].count = 0; /* a phase without taps has none to find */
    }
    for (int tile = tile_from, tiles; tile < tile_to; tile += tiles) {
        const int turns = (tile_to - tile + TURN - 1) / TURN;

        tiles = (tile_to - tile) / turns;

        for (int g = 0; g < tiles; g++)
            find_places(&s, &at, LANES, &all_places[g]);
        for (int item = item_from; item < item_to; item++) {
            __global const float *weights =
                w + s.weight_offset +
                (size_t)(group * s.items + item) * s.blocks * all_taps * TAP_FLOATS;
            int first = 0, block_from = 0, more;
            FIND_START(item)

            do {
                const int step = min(TAPS, all_taps - first);
                const int block_to = min(block_from + turn_blocks, s.blocks);
                const int begin = first == 0 && block_from == 0;

                more = block_to < s.blocks || first + TAPS < all_taps;
                if (known_first != first || known_blocks != block_to - block_from) {
                    known_first = first;
                    known_blocks = block_to - block_from;
                    terms = find_terms(&s, known_blocks, first, shift);
                }
                for (int g = 0; g < tiles; g++) {
                    const tile_places *places = &all_places[g];
                    tile_taps *taps = &turn_taps[g];
                    VEC sum[KB][TILE];

                    if (all_taps > 0 && !places->inside && block_from == 0 &&
                        (item == item_from || all_taps > TAPS))
                        find_taps(&s, places, first, taps);
                    if (begin) {
                        START_SUMS
                    } else {
                        EACH(b, KB) EACH(t, TILE) sum[b][t] = waiting[g][b][t];
                    }
                    {
                        ADD_TERMS
                    }
                    if (more) {
                        EACH(b, KB) EACH(t, TILE) waiting[g][b][t] = sum[b][t];
                    } else {
                        STORE_SUMS(item)
                    }
                }
                if (block_to == s.blocks) {
                    weights += (size_t)(s.blocks * step) * TAP_FLOATS;
                    first += TAPS;
                    block_from = 0;
                } else {
                    block_from = block_to;
                }
            } while (more);
        }
    }
}
