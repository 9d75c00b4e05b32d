/* 3x3 convolution of stride 1 for CPU devices by Winograd's minimal filtering F(M x M, 3 x 3), both
 * directions: the adjoint is the forward with the taps turned around and channels exchanged.
 *
 *   src   [N][blocks][H][W][LANES]
 *   u     the weights, transformed once: [position][items][C][KB][LANES], C of a group
 *   v     the source, transformed:       [position][src blocks][tile][LANES]
 *   m     their products:                [position][dst blocks][tile][LANES]
 *   bias  one value for each channel of dst, or NULL
 *   add   NULL, or a tensor of dst's layout that is added to the sums
 *   dst   [N][blocks][H][W][LANES] with zeros in the lanes past the last channel
 *
 * M x M results of one channel, a tile, come of N x N values of src, N = M + 2: both are
 * polynomials known at N points, where a convolution is a product. At each of the N x N positions
 * winograd_multiply is a product of matrices, channels by channels by tiles. Tiles are counted
 * through rows and images and come in chunks whose v and m stay in a cache.
 *
 *   LANES     16 or 8: floats in a vector register
 *   M         4: the points 0, a, -a, 1/a, -1/a and infinity with a = sqrt(1/2), whose error is a
 *             quarter of that of the usual 0, 1, -1, 2, -2 and infinity;
 *             2: 0, 1, -1 and infinity, for maps too small for tiles of 4
 *   TILE, KB  tiles and blocks of channels whose sums are in registers at a time
 */
#include "lanes.h"

#define N (M + 2)

/* lib/conv/winograd.c has the same. */
typedef struct {
    int groups, blocks, dst_blocks; /* blocks of src and of dst in a group */
    int src_h, src_w, dst_h, dst_w;
    int src_first_y, src_first_x; /* what the first result's first tap reads */
    int src_image, src_plane;     /* floats from image to image, from block to block */
    int dst_image, dst_from;      /* of dst, and where its first image begins */
    int dst_channels;             /* of all groups */
    int tiles_y, tiles_x;         /* of an image */
    int first, count, room;       /* tiles of this chunk, and from block to block of v and m */
    int v_position, m_position;   /* floats from position to position */
    int m_from;                   /* where m begins behind v */
    int items, range;             /* KB blocks of dst each, in a group; items of a work-item */
    int relu;                     /* what is below zero becomes zero */
    int src_channels;             /* in a group */
    int weight_group, weight_dst, weight_src; /* steps through the ONNX weights */
    int weight_first[2], weight_step;         /* tap i is the kernel's first + i step */
} winograd_shape;

/* The three transforms of one row or column: of weights (3 to N), source (N to N) and products (N
 * to M). */
#if M == 4
#define A_ 0.70710678f
#define B_ 1.41421356f
#define TRANSFORM_WEIGHTS(g, out)                                                                  \
    {                                                                                              \
        const float even = fma(0.5f, (g)[2], (g)[0]) * (-2.0f / 3.0f);                             \
        const float odd = (g)[1] * (A_ * (-2.0f / 3.0f));                                          \
        const float even2 = fma(2.0f, (g)[2], (g)[0]) * (1.0f / 6.0f);                             \
        const float odd2 = (g)[1] * (B_ * (1.0f / 6.0f));                                          \
                                                                                                   \
        (out)[0] = (g)[0];                                                                         \
        (out)[1] = even + odd;                                                                     \
        (out)[2] = even - odd;                                                                     \
        (out)[3] = even2 + odd2;                                                                   \
        (out)[4] = even2 - odd2;                                                                   \
        (out)[5] = (g)[2];                                                                         \
    }
#define TRANSFORM_SOURCE(d, out)                                                                   \
    {                                                                                              \
        const VEC even = fma((VEC)-2.0f, (d)[2], (d)[4]);                                          \
        const VEC odd = fma((VEC)-2.0f, (d)[1], (d)[3]);                                           \
        const VEC even2 = fma((VEC)-0.5f, (d)[2], (d)[4]);                                         \
        const VEC odd2 = fma((VEC)-0.5f, (d)[1], (d)[3]);                                          \
                                                                                                   \
        (out)[0] = fma((VEC)-2.5f, (d)[2], (d)[0]) + (d)[4];                                       \
        (out)[1] = fma((VEC)A_, odd, even);                                                        \
        (out)[2] = fma((VEC)-A_, odd, even);                                                       \
        (out)[3] = fma((VEC)B_, odd2, even2);                                                      \
        (out)[4] = fma((VEC)-B_, odd2, even2);                                                     \
        (out)[5] = fma((VEC)-2.5f, (d)[3], (d)[1]) + (d)[5];                                       \
    }
#define TRANSFORM_PRODUCTS(m, out)                                                                 \
    {                                                                                              \
        const VEC sum = (m)[1] + (m)[2], less = (m)[1] - (m)[2];                                   \
        const VEC sum2 = (m)[3] + (m)[4], less2 = (m)[3] - (m)[4];                                 \
                                                                                                   \
        (out)[0] = (m)[0] + sum + sum2;                                                            \
        (out)[1] = fma((VEC)A_, less, (VEC)B_ * less2);                                            \
        (out)[2] = fma((VEC)0.5f, sum, (VEC)2.0f * sum2);                                          \
        (out)[3] = fma((VEC)(0.5f * A_), less, fma((VEC)(2.0f * B_), less2, (m)[5]));              \
    }
#else
#define TRANSFORM_WEIGHTS(g, out)                                                                  \
    {                                                                                              \
        const float even = 0.5f * ((g)[0] + (g)[2]), odd = 0.5f * (g)[1];                          \
                                                                                                   \
        (out)[0] = (g)[0];                                                                         \
        (out)[1] = even + odd;                                                                     \
        (out)[2] = even - odd;                                                                     \
        (out)[3] = (g)[2];                                                                         \
    }
#define TRANSFORM_SOURCE(d, out)                                                                   \
    {                                                                                              \
        (out)[0] = (d)[0] - (d)[2];                                                                \
        (out)[1] = (d)[1] + (d)[2];                                                                \
        (out)[2] = (d)[2] - (d)[1];                                                                \
        (out)[3] = (d)[3] - (d)[1];                                                                \
    }
#define TRANSFORM_PRODUCTS(m, out)                                                                 \
    {                                                                                              \
        (out)[0] = (m)[0] + (m)[1] + (m)[2];                                                       \
        (out)[1] = (m)[1] - (m)[2] + (m)[3];                                                       \
    }
#endif

/* u from the ONNX weights, one item for each pair of channels. */
__kernel void winograd_weights(__global const float *restrict w, __global float *restrict u,
                               const winograd_shape s)
{
    const int at = (int)get_global_id(0);
    const int src_blocks = s.blocks * LANES;
    const size_t apart = (size_t)s.groups * s.items * src_blocks * KB * LANES;
    const int src = at / (KB * LANES) % src_blocks;
    const int item = at / (KB * LANES) / src_blocks;
    const int dst = item % s.items * KB * LANES + at % (KB * LANES);
    const bool there = src < s.src_channels && dst < s.dst_channels / s.groups;
    float half_way[3][N], column[N];

    if (at >= (int)apart)
        return;
    for (int j = 0; j < 3; j++) {
        float taps[3];

        for (int i = 0; i < 3; i++)
            taps[i] = there ? w[item / s.items * s.weight_group + dst * s.weight_dst +
                                src * s.weight_src + (s.weight_first[0] + i * s.weight_step) * 3 +
                                s.weight_first[1] + j * s.weight_step]
                            : 0.0f;
        TRANSFORM_WEIGHTS(taps, half_way[j])
    }
    for (int i = 0; i < N; i++) {
        const float taps[3] = {half_way[0][i], half_way[1][i], half_way[2][i]};

        TRANSFORM_WEIGHTS(taps, column)
        for (int j = 0; j < N; j++)
            u[(i * N + j) * apart + at] = column[j];
    }
}

/* Where tile `tile` of the whole lies. */
typedef struct {
    int image, y, x; /* of the first result */
} tile_place;

static tile_place place_of(const winograd_shape *s, int tile)
{
    const int row = tile / s->tiles_x;
    tile_place p;

    p.image = row / s->tiles_y;
    p.y = (row - p.image * s->tiles_y) * M;
    p.x = (tile - row * s->tiles_x) * M;
    return p;
}

/* v from src: SPAN tiles of a block of channels. What lies past the border is read from `zeros`. */
__kernel void winograd_source(__global const float *restrict src, __global float *restrict v,
                              __global const float *restrict zeros, const winograd_shape s)
{
    const int from = (int)get_global_id(0) * SPAN, to = min(from + SPAN, s.count);
    const int block = (int)get_global_id(1);
    __global const float *plane = src + (size_t)block * s.src_plane;

    for (int tile = from; tile < to; tile++) {
        const tile_place p = place_of(&s, s.first + tile);
        const int y = p.y + s.src_first_y, x = p.x + s.src_first_x;
        __global const float *in = plane + (size_t)p.image * s.src_image;
        __global float *out = v + ((size_t)block * s.room + tile) * LANES;
        VEC half_way[N][N];

        if (y >= 0 && x >= 0 && y + N <= s.src_h && x + N <= s.src_w) {
            in += (y * s.src_w + x) * LANES;
            EACH(j, N)
            {
                VEC d[N], t[N];

                EACH(i, N) d[i] = LOAD(i * s.src_w + j, in);
                TRANSFORM_SOURCE(d, t)
                EACH(i, N) half_way[i][j] = t[i];
            }
        } else {
            EACH(j, N)
            {
                const int column = x + j;
                VEC d[N], t[N];

                EACH(i, N)
                {
                    const int row = y + i;
                    const bool inside =
                        (row >= 0) & (row < s.src_h) & (column >= 0) & (column < s.src_w);

                    d[i] = LOAD(0, inside ? in + (row * s.src_w + column) * LANES : zeros);
                }
                TRANSFORM_SOURCE(d, t)
                EACH(i, N) half_way[i][j] = t[i];
            }
        }
        EACH(i, N)
        {
            VEC t[N];

            TRANSFORM_SOURCE(half_way[i], t)
            EACH(j, N) STORE(t[j], 0, out + (size_t)(i * N + j) * s.v_position);
        }
    }
}

/* The sums of `tiles` tiles from `tile` on, for the blocks of an item. */
#define MULTIPLY(tiles)                                                                            \
    {                                                                                              \
        __global const float *vt = v_group + tile * LANES, *ut = u_item;                           \
        VEC sum[KB][tiles];                                                                        \
                                                                                                   \
        EACH(b, KB) EACH(t, tiles) sum[b][t] = (VEC)0.0f;                                          \
        for (int block = 0; block < s.blocks; block++) {                                           \
            EACH(l, LANES)                                                                         \
            {                                                                                      \
                VEC weight[KB];                                                                    \
                                                                                                   \
                EACH(b, KB) weight[b] = LOAD(l * KB + b, ut);                                      \
                EACH(t, tiles)                                                                     \
                {                                                                                  \
                    const VEC one = (VEC)vt[t * LANES + l];                                        \
                                                                                                   \
                    EACH(b, KB) sum[b][t] = fma(one, weight[b], sum[b][t]);                        \
                }                                                                                  \
            }                                                                                      \
            vt += s.room * LANES;                                                                  \
            ut += LANES * KB * LANES;                                                              \
        }                                                                                          \
        EACH(b, KB)                                                                                \
        {                                                                                          \
            if (b < there) {                                                                       \
                EACH(t, tiles) STORE(sum[b][t], t, m_item + ((size_t)b * s.room + tile) * LANES);  \
            }                                                                                      \
        }                                                                                          \
    }

/* m from v and u: some items at one position. */
__kernel void winograd_multiply(__global const float *restrict v, __global const float *restrict u,
                                __global float *restrict m, const winograd_shape s)
{
    const int position = (int)get_global_id(0);
    const int item_from = (int)get_global_id(1) * s.range;
    const int item_to = min(item_from + s.range, s.items * s.groups);
    const int item_floats = s.blocks * LANES * KB * LANES;

    for (int item = item_from; item < item_to; item++) {
        const int group = item / s.items, block = item % s.items * KB;
        const int there = s.dst_blocks - block;
        __global const float *v_group =
            v + (size_t)position * s.v_position + (size_t)group * s.blocks * s.room * LANES;
        __global const float *u_item =
            u + ((size_t)position * s.items * s.groups + item) * item_floats;
        __global float *m_item = m + s.m_from + (size_t)position * s.m_position +
                                 (size_t)(group * s.dst_blocks + block) * s.room * LANES;

        for (int tile = 0; tile < s.count; tile += TILE) {
            if (s.count - tile > REST)
                MULTIPLY(TILE)
            else
                MULTIPLY(REST)
        }
    }
}

/* dst from m: SPAN tiles of a block of channels. What is not above `least`, 0 or minus infinity,
 * becomes that: NaN stays, negative zero does not. */
__kernel void winograd_result(__global const float *restrict m, __global const float *restrict bias,
                              __global const float *restrict add, __global float *restrict dst,
                              const winograd_shape s)
{
    const int from = (int)get_global_id(0) * SPAN, to = min(from + SPAN, s.count);
    const int block = (int)get_global_id(1);
    const IVEC real = LANE_NUMBERS < (IVEC)(s.dst_channels - block * LANES);
    const VEC least = (VEC)(s.relu ? 0.0f : -INFINITY);
    const size_t plane = s.dst_from + (size_t)block * s.dst_h * s.dst_w * LANES;
    VEC start = (VEC)0.0f;

    if (bias)
        start = load_part(bias + block * LANES, s.dst_channels - block * LANES);
    for (int tile = from; tile < to; tile++) {
        const tile_place p = place_of(&s, s.first + tile);
        __global const float *in = m + s.m_from + ((size_t)block * s.room + tile) * LANES;
        const size_t to_image = plane + (size_t)p.image * s.dst_image;
        VEC half_way[M][N];

        EACH(j, N)
        {
            VEC column[N], t[M];

            EACH(i, N) column[i] = LOAD(0, in + (size_t)(i * N + j) * s.m_position);
            TRANSFORM_PRODUCTS(column, t)
            EACH(i, M) half_way[i][j] = t[i];
        }
        EACH(i, M)
        {
            const size_t row = to_image + (size_t)(p.y + i) * s.dst_w * LANES;
            VEC t[M];

            TRANSFORM_PRODUCTS(half_way[i], t)
            EACH(j, M)
            {
                if (p.y + i < s.dst_h && p.x + j < s.dst_w) {
                    const size_t at = row + (size_t)(p.x + j) * LANES;
                    VEC value = t[j] + start;

                    if (add)
                        value += LOAD(0, add + at);
                    value = select(value, least, value <= least);
                    STORE(select((VEC)0.0f, value, real), 0, dst + at);
                }
            }
        }
    }
}
