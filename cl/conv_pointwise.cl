/* Convolution by kernels of 1x1 for CPU devices, both directions: src and dst are NCHW as they
 * stand, lanes run across positions.
 *
 *   src   [N][G C][H][W]
 *   w     [G][items][C][KC], packed once by pack_pointwise, zero where there is no channel
 *   bias  one value for each channel of dst, or NULL
 *   add   NULL, or a tensor of dst's layout that is added to the sums
 *   dst   [N][G K][H][W]
 *
 * A plane is one row of positions, cut into vectors of LANES; the last one begins early enough to
 * be full, and stores what the one before has not. A sum starts with the bias and takes the
 * channels in ascending order, as conv_blocked.cl has it, so both give the same bits. With strides,
 * positions are those of the smaller side: forward they are gathered from src; backward each writes
 * the box of dst in front of the next one, of which its sum is the first value.
 *
 * One work-item: `vectors` vectors of an image for `range` items of KC channels. A tile's source is
 * copied on the way through the first item: what later items read lies side by side.
 *
 *   LANES       16 or 8: floats in a vector register
 *   KC          channels of dst in an item
 *   SIDES       ALIKE, GATHER: src is the larger side, SPREAD: dst is
 */
#include "hints.h"
#include "lanes.h"

#if LANES == 16
#define HALF float8
#else
#define HALF float4
#endif

#define ALIKE  0
#define GATHER 1
#define SPREAD 2

/* As lib/conv/pointwise.c has it, field for field. */
typedef struct {
    int positions, width;                   /* of the smaller side: in a plane, in a row of it */
    int vectors;                            /* of a work-item */
    int src_channels, dst_channels, groups; /* channels in a group */
    int src_image, src_plane;
    int dst_image, dst_plane, dst_from;
    int stride_h, stride_w;
    int src_w, dst_h, dst_w;
    int items, range;
    int relu;
    int weight_group, weight_dst, weight_src; /* steps through the ONNX weights */
} pointwise_shape;

/* Vectors of positions in a tile, and positions. */
#define MOST_VECTORS 2
#define TILE         (MOST_VECTORS * LANES)

/* Floats of src that are copied at a time: most of a first-level cache. As many channels of a tile
 * at most; the fewer there are, the more tiles, so that results are written in longer rows. */
#define PANEL      6144
#define CHANNELS   (PANEL / TILE)
#define MOST_TILES 32

/* Items whose sums wait in memory while they take channels from one panel after the other. */
#define WAITING 16

/* What the steps of a work-item are about: its image and group. */
typedef struct {
    __global const float *src, *w, *bias, *add;
    __global float *dst;
    VEC *waiting;
} pointwise_work;

typedef struct {
    int vectors;
    int start[MOST_VECTORS]; /* positions */
    int skip;                /* first positions of its last vector that another one stores */
    int next;                /* where the next tile begins in a plane of dst */
} pointwise_tile;

#if SIDES == GATHER
/* Where the positions of a vector lie in a plane of src. */
typedef struct {
    int in_row; /* side by side in a row, with a stride of two */
    int from[LANES];
} gathered;

static void find_gathered(const pointwise_shape *s, int at, gathered *g)
{
    int y = at / s->width, x = at - y * s->width;

    g->in_row = x + LANES <= s->width && s->stride_w == 2;
    for (int l = 0; l < LANES; l++) {
        g->from[l] = y * s->stride_h * s->src_w + x * s->stride_w;
        if (++x == s->width) {
            x = 0;
            y++;
        }
    }
}

static VEC gather(const gathered *g, __global const float *plane)
{
    VEC value;

    if (g->in_row) {
        value.lo = LOAD(0, plane + g->from[0]).even;
        value.hi = LOAD(0, plane + g->from[0] + LANES - 1).odd;
    } else {
        float lanes[LANES];

        EACH(l, LANES) lanes[l] = plane[g->from[l]];
        value = LOAD(0, lanes);
    }
    return value;
}

/* Channels from c on of all tiles. */
static void gather_panel(const pointwise_shape *s, __global const float *src, int c,
                         const pointwise_tile *tiles, int count, VEC *panel)
{
    const int channels = min(CHANNELS, s->src_channels - c);

    src += (size_t)c * s->src_plane;
    for (int t = 0; t < count; t++) {
        gathered places[MOST_VECTORS];

        EACH(v, MOST_VECTORS) find_gathered(s, tiles[t].start[v], &places[v]);
        for (int n = 0; n < channels; n++) {
            EACH(v, MOST_VECTORS)
            {
                *panel++ = gather(&places[v], src + (size_t)n * s->src_plane);
            }
        }
    }
}
#endif

#if SIDES == SPREAD
/* Part of a row of dst: `start` everywhere. */
static void store_start(const pointwise_shape *s, float start, int length,
                        __global const float *add, __global float *dst)
{
    const float least = s->relu ? 0.0f : -INFINITY;

    for (int j = 0; j < length; j++) {
        const float value = start + (add ? add[j] : 0.0f);

        dst[j] = value <= least ? least : value;
    }
}

/* The boxes of LANES positions from `at` on, but for the first `skip`: a sum each, else `start`. */
static void store_boxes(const pointwise_shape *s, VEC sum, float start, int at, int skip,
                        __global const float *add, __global float *dst)
{
    const float least = s->relu ? 0.0f : -INFINITY;
    int row = (at + skip) / s->width, column = at + skip - row * s->width, run;
    float lanes[LANES];

    HOLD(sum, 0, lanes);
    for (int l = skip; l < LANES; l += run) {
        const int x = column * s->stride_w, y = row * s->stride_h;
        const int below = (row + 1) * s->width == s->positions ? s->dst_h : y + s->stride_h;
        size_t to = (size_t)y * s->dst_w + x;
        int length;

        run = min(LANES - l, s->width - column);
        length = column + run == s->width ? s->dst_w - x : run * s->stride_w;
        if (run == LANES && length == 2 * LANES && s->stride_w == 2 && !add) {
            VEC first, second, none = (VEC)(start <= least ? least : start);

            first.even = sum.lo;
            first.odd = (HALF)start;
            second.even = sum.hi;
            second.odd = (HALF)start;
            STORE(select(first, (VEC)least, first <= least), 0, dst + to);
            STORE(select(second, (VEC)least, second <= least), 1, dst + to);
            for (int i = y + 1; i < below; i++) {
                to += s->dst_w;
                STORE(none, 0, dst + to);
                STORE(none, 1, dst + to);
            }
        } else if (length == run * 2 && s->stride_w == 2 && !add) {
            const float none = start <= least ? least : start;

            SCALAR for (int i = 0; i < run; i++)
            {
                const float value = lanes[l + i];

                vstore2((float2)(value <= least ? least : value, none), i, dst + to);
            }
            for (int i = y + 1; i < below; i++) {
                to += s->dst_w;
                SCALAR for (int j = 0; j < run; j++) vstore2((float2)none, j, dst + to);
            }
        } else {
            store_start(s, start, length, add ? add + to : 0, dst + to);
            for (int i = 0; i < run; i++) {
                const size_t here = to + i * s->stride_w;
                const float value = lanes[l + i] + (add ? add[here] : 0.0f);

                dst[here] = value <= least ? least : value;
            }
            for (int i = y + 1; i < below; i++) {
                to += s->dst_w;
                store_start(s, start, length, add ? add + to : 0, dst + to);
            }
        }
        column = 0;
        row++;
    }
}
#endif

#if SIDES == SPREAD
#define ASK_FOR_RESULTS(at)                                                                        \
    for (int i = 0; i < 2; i++) {                                                                  \
        ASK_FOR_WRITING((at) + i * s->dst_w + TILE);                                               \
        ASK_FOR_WRITING((at) + i * s->dst_w + 2 * TILE - 1);                                       \
    }
#define STORE_VECTOR(value, position, skip)                                                        \
    store_boxes(s, value, work->bias ? work->bias[channel] : 0.0f, position, skip,                 \
                work->add ? work->add + to : 0, work->dst + to);
#else
#define ASK_FOR_RESULTS(at) ASK_FOR_WRITING((at) + TILE - 1)
#define STORE_VECTOR(value, position, skip)                                                        \
    store_row(s, value, skip, work->add ? work->add + to + (position) : 0,                         \
              work->dst + to + (position));

static void store_row(const pointwise_shape *s, VEC value, int skip, __global const float *add,
                      __global float *dst)
{
    const VEC least = (VEC)(s->relu ? 0.0f : -INFINITY);
    float lanes[LANES];

    if (add)
        value += LOAD(0, add);
    value = select(value, least, value <= least);
    if (skip == 0) {
        STORE(value, 0, dst);
        return;
    }
    HOLD(value, 0, lanes);
    for (int l = skip; l < LANES; l++)
        dst[l] = lanes[l];
}

#endif

/* The tiles of some vectors; returns their number. */
static int find_tiles(const pointwise_shape *s, int from, int to, pointwise_tile *tiles)
{
    int count = 0;

    for (int vector = from; vector < to; vector += MOST_VECTORS) {
        pointwise_tile *tile = &tiles[count++];

        tile->vectors = min(to - vector, MOST_VECTORS);
        EACH(v, MOST_VECTORS) tile->start[v] = min((vector + v) * LANES, s->positions - LANES);
        tile->skip = (vector + tile->vectors - 1) * LANES - tile->start[tile->vectors - 1];
        tile->next = vector * LANES + TILE;
#if SIDES == SPREAD
        tile->next =
            tile->next / s->width * s->stride_h * s->dst_w + tile->next % s->width * s->stride_w;
#endif
    }
    return count;
}

#define VECTORS 2
#include "conv_pointwise_tile.h"
#undef VECTORS
#define VECTORS 1
#include "conv_pointwise_tile.h"
#undef VECTORS

__kernel void conv_pointwise(__global const float *restrict src, __global const float *restrict w,
                             __global const float *restrict bias,
                             __global const float *restrict add, __global float *restrict dst,
                             const pointwise_shape s)
{
    const int ranges = (s.items + s.range - 1) / s.range;
    const int image = (int)get_global_id(1), group = (int)get_global_id(2) / ranges;
    const int item_from = (int)get_global_id(2) % ranges * s.range;
    const int item_to = min(item_from + s.range, s.items);
    const int all = (s.positions + LANES - 1) / LANES;
    const int vector_from = (int)get_global_id(0) * s.vectors;
    const int vector_to = min(vector_from + s.vectors, all);
    const size_t to =
        s.dst_from + (size_t)image * s.dst_image + (size_t)group * s.dst_channels * s.dst_plane;
    const int run = clamp(PANEL / (TILE * s.src_channels), 1, MOST_TILES);
    const int sums_wait = s.src_channels > CHANNELS, items = sums_wait ? WAITING : s.items;
    VEC panel[PANEL / LANES], waiting[WAITING * KC * MOST_VECTORS];
    pointwise_tile tiles[MOST_TILES];
    pointwise_work work;

    work.src = src + (size_t)image * s.src_image + (size_t)group * s.src_channels * s.src_plane;
    work.w = w + (size_t)group * s.items * s.src_channels * KC;
    work.bias = bias ? bias + group * s.dst_channels : 0;
    work.add = add ? add + to : 0;
    work.dst = dst + to;
    work.waiting = waiting;
    for (int vector = vector_from; vector < vector_to; vector += run * MOST_VECTORS) {
        const int count =
            find_tiles(&s, vector, min(vector + run * MOST_VECTORS, vector_to), tiles);

        for (int first = item_from; first < item_to; first += items) {
            const int last = min(first + items, item_to);

            for (int c = 0; c < s.src_channels; c += CHANNELS) {
                const int fill = first == item_from || sums_wait;

#if SIDES == GATHER
                if (fill)
                    gather_panel(&s, work.src, c, tiles, count, panel);
#endif
                for (int item = first; item < last; item++) {
                    const int copy = SIDES == GATHER ? 0 : fill && item == first;
                    VEC *values = panel;

                    for (int t = 0; t < count; t++) {
                        if (tiles[t].vectors == 2)
                            add_2(&s, &work, &tiles[t], item, item - first, c, copy, values);
                        else
                            add_1(&s, &work, &tiles[t], item, item - first, c, copy, values);
                        values += min(CHANNELS, s.src_channels) * MOST_VECTORS;
                    }
                }
            }
        }
    }
}

/* One work-item: the weights of one channel of src for one item. */
__kernel void pack_pointwise(__global const float *restrict w, __global float *restrict packed,
                             const pointwise_shape s)
{
    const int at = (int)get_global_id(0), c = at % s.src_channels;
    const int item = at / s.src_channels % s.items, group = at / (s.src_channels * s.items);

    if (group >= s.groups)
        return;
    w += group * s.weight_group + c * s.weight_src;
    for (int k = 0; k < KC; k++) {
        const int channel = item * KC + k;

        packed[(size_t)at * KC + k] = channel < s.dst_channels ? w[channel * s.weight_dst] : 0.0f;
    }
}
