/* Convolution for CPU devices, both directions: dst = gather(src, w) over blocks of LANES channels.
 *
 *   src   X = LANES: [N][G][C/X][H][W][X]; X = 1: channel after channel, its positions POS floats
 *         apart: NCHW as it is (POS 1), or the lanes of a single block (POS = LANES)
 *   w     [G][items][C/X][R][S][X][KB][LANES], packed once by pack_weights, zero where there is no
 *         channel
 *   bias  one value for each channel of dst, or NULL
 *   add   NULL, or a tensor of dst's layout that is added to the sums
 *   dst   NCHW, or [N][blocks][H][W][LANES] with zeros in the lanes past the last channel
 *
 * A direction is a set of phases (lib/conv/phases.h): the positions of dst that are `step` apart
 * see the same taps, so each phase is a dense convolution. The forward direction has one, the
 * adjoint of stride s has s*s. Sums run over channel block, row, column, channel: the same order
 * for every position, so a window of a picture gives the same bits as the whole.
 *
 * conv_blocked: one work-item computes TILE positions of one row for KB * LANES channels, all sums
 * in registers, and reads every weight once for the tile.
 *
 *   LANES  16 or 8: floats in a vector register
 *   TILE   positions per item; KB blocks of channels per item: KB * TILE sums (28 on AVX-512, 12 on
 *          AVX2)
 *   X      channels side by side in src; STEP columns of src between neighbouring positions
 *
 * conv_few: for dst with CHANNELS (1 to 4) channels, where lanes across dst would idle: lanes run
 * across the channels of src instead, CHANNELS * TILE sums, added up across lanes at the end. w is
 * [C/LANES][R][S][CHANNELS][LANES].
 */
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#define VEC        CAT(float, LANES)
#define LOAD       CAT(vload, LANES)
#define STORE      CAT(vstore, LANES)
#define IVEC       CAT(int, LANES)
#if LANES == 16
#define LANE_NUMBERS (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#else
#define LANE_NUMBERS (int8)(0, 1, 2, 3, 4, 5, 6, 7)
#endif

/* One axis of a phase; lib/conv/phases.h has the same. */
typedef struct {
    int first, step, count;  /* positions of dst: first + u step, u < count */
    int src_step, src_first; /* tap m of position u reads src_first + u src_step + m tap_step */
    int taps, tap_step;
    int weight_first, weight_step; /* tap m is the kernel's weight_first + m weight_step */
} phase_axis;

typedef struct {
    phase_axis y, x;
    int groups, blocks;             /* blocks of src channels in a group */
    int src_channels, src_h, src_w; /* channels in a group */
    int dst_channels, dst_h, dst_w;
    int src_image, src_plane; /* floats from image to image, from block of channels to block */
    int dst_image;            /* floats from image to image of dst */
    int dst_block;            /* 1: dst is NCHW; LANES: blocks */
    int relu;                 /* what is below zero becomes zero */
    int items;                /* work-items that share the channels of a group */
    int weight_offset;        /* of this phase, in floats */
    int weight_group, weight_dst, weight_src, kernel_w; /* steps through the ONNX weights */
} blocked_shape;

/* NCHW to blocks of LANES channels; channels that do not exist are zero. One item: LANES channels
 * of up to 16 positions. */
__kernel void pack_channels(__global const float *restrict src, __global float *restrict packed,
                            int channels, int size)
{
    const int from = (int)get_global_id(0) * 16;
    const int plane = (int)get_global_id(1); /* of [N][G][blocks] */
    const int blocks = (channels + LANES - 1) / LANES;
    const int channel = plane % blocks * LANES;
    const int count = min(16, size - from);
    const int there = min(LANES, channels - channel);
    __global const float *in = src + ((size_t)(plane / blocks) * channels + channel) * size + from;
    __global float *out = packed + ((size_t)plane * size + from) * LANES;
    float tile[16 * LANES];

    for (int l = 0; l < LANES; l++)
        for (int t = 0; t < 16; t++)
            tile[t * LANES + l] = l < there && t < count ? in[(size_t)l * size + t] : 0.0f;
    for (int t = 0; t < count; t++)
        STORE(LOAD(t, tile), t, out);
}

/* The weights of one phase; one item a float. `kb` blocks and `across` source channels side by
 * side; kb = 0: for conv_few. */
__kernel void pack_weights(__global const float *restrict w, __global float *restrict packed,
                           blocked_shape s, int kb, int across)
{
    const int at = (int)get_global_id(0);
    int i = at, source, target, group = 0;
    int dst, src, row, column;

    if (kb > 0) {
        const int lane = i % LANES;

        i /= LANES;
        target = i % kb * LANES + lane;
        i /= kb;
        source = i % across;
        i /= across;
    } else {
        source = i % LANES;
        i /= LANES;
        target = i % s.dst_channels;
        i /= s.dst_channels;
    }
    column = s.x.weight_first + i % s.x.taps * s.x.weight_step;
    i /= s.x.taps;
    row = s.y.weight_first + i % s.y.taps * s.y.weight_step;
    i /= s.y.taps;
    src = i % s.blocks * across + source;
    i /= s.blocks;
    dst = target;
    if (kb > 0) {
        dst += i % s.items * kb * LANES;
        group = i / s.items;
    }
    packed[s.weight_offset + at] = src < s.src_channels && dst < s.dst_channels
                                       ? w[group * s.weight_group + dst * s.weight_dst +
                                           src * s.weight_src + row * s.kernel_w + column]
                                       : 0.0f;
}

/* Taps from..to of an axis that meet src at 0 <= at < size, for the position that starts at `base`.
 */
static int first_tap(int base, int tap_step)
{
    return base < 0 ? (-base + tap_step - 1) / tap_step : 0;
}

static int last_tap(int base, int tap_step, int taps, int size)
{
    return base + (taps - 1) * tap_step < size ? taps
                                               : max(0, (size - base + tap_step - 1) / tap_step);
}

#ifdef TILE
/* max(value, 0), with NaN kept and no negative zero. */
static float above_zero(float value)
{
    return value <= 0.0f ? 0.0f : value;
}

#ifdef KB
/* One channel of src at TILE positions, AT(t) their addresses, times KB vectors of weights. */
#define MULTIPLY(AT)                                                                               \
    for (int l = 0; l < X; l++) {                                                                  \
        VEC weight[KB];                                                                            \
        _Pragma("unroll") for (int b = 0; b < KB; b++) weight[b] = LOAD(b, wt);                    \
        wt += KB * LANES;                                                                          \
        _Pragma("unroll") for (int t = 0; t < TILE; t++)                                           \
        {                                                                                          \
            const float one = AT(t)[l];                                                            \
            _Pragma("unroll") for (int b = 0; b < KB; b++) sum[b][t] =                             \
                fma((VEC)one, weight[b], sum[b][t]);                                               \
        }                                                                                          \
    }
#define INSIDE(t) (row + (at + t * STEP) * POS)
#define EDGE(t)   (edge[t])

__kernel void conv_blocked(__global const float *restrict src, __global const float *restrict w,
                           __global const float *restrict bias, __global const float *restrict add,
                           __global float *restrict dst, __global const float *restrict zeros,
                           blocked_shape s)
{
    const int u = (int)get_global_id(0) * TILE, v = (int)get_global_id(1);
    const int image = (int)get_global_id(2) / s.items; /* of [N][G] */
    const int item = (int)get_global_id(2) % s.items, group = image % s.groups;
    const int src_y = s.y.src_first + v * s.y.src_step;
    const int src_x = s.x.src_first + u * s.x.src_step;
    const int tap_from = first_tap(src_y, s.y.tap_step);
    const int tap_to = last_tap(src_y, s.y.tap_step, s.y.taps, s.src_h);
    const int tap_row = s.x.taps * X * KB * LANES;
    __global const float *in =
        src + (size_t)(image / s.groups) * s.src_image + (size_t)group * s.blocks * s.src_plane;
    __global const float *wi =
        w + s.weight_offset + (size_t)(group * s.items + item) * s.blocks * s.y.taps * tap_row;
    const int channel = item * KB * LANES;
    VEC sum[KB][TILE];

    for (int b = 0; b < KB; b++) {
        float start[LANES];

        for (int l = 0; l < LANES; l++) {
            const int c = channel + b * LANES + l;

            start[l] = bias && c < s.dst_channels ? bias[group * s.dst_channels + c] : 0.0f;
        }
        for (int t = 0; t < TILE; t++)
            sum[b][t] = LOAD(0, start);
    }
    for (int block = 0; block < s.blocks; block++, in += s.src_plane, wi += s.y.taps * tap_row) {
        for (int i = tap_from; i < tap_to; i++) {
            __global const float *row = in + (src_y + i * s.y.tap_step) * s.src_w * POS;
            __global const float *wt = wi + i * tap_row;

            for (int j = 0; j < s.x.taps; j++) {
                const int at = src_x + j * s.x.tap_step;

                if (at >= 0 && at + (TILE - 1) * STEP < s.src_w) {
                    MULTIPLY(INSIDE)
                } else {
                    __global const float *edge[TILE];

                    for (int t = 0; t < TILE; t++) {
                        const int p = at + t * STEP;

                        edge[t] = p >= 0 && p < s.src_w ? row + p * POS : zeros;
                    }
                    MULTIPLY(EDGE)
                }
            }
        }
    }
    const int count = min(TILE, s.x.count - u);
    const int there = min(KB * LANES, s.dst_channels - channel);
    const size_t dst_plane = (size_t)s.dst_h * s.dst_w;
    const size_t from =
        (size_t)(image / s.groups) * s.dst_image +
        ((size_t)group * s.dst_channels + channel) * dst_plane +
        (size_t)((s.y.first + v * s.y.step) * s.dst_w + s.x.first + u * s.x.step) * s.dst_block;

    for (int b = 0; b < KB && b * LANES < there; b++) {
        float tile[TILE * LANES];

        if (s.dst_block > 1) {
            const size_t at = from + b * LANES * dst_plane;
            const IVEC real = LANE_NUMBERS < (IVEC)(there - b * LANES);

            for (int t = 0; t < count; t++) {
                VEC value = sum[b][t];

                if (add)
                    value += LOAD(t * s.x.step, add + at);
                if (s.relu)
                    value = select(value, (VEC)0.0f, value <= (VEC)0.0f);
                STORE(select((VEC)0.0f, value, real), t * s.x.step, dst + at);
            }
            continue;
        }
        for (int t = 0; t < TILE; t++)
            STORE(sum[b][t], t, tile);
        for (int l = 0; l < min(LANES, there - b * LANES); l++)
            for (int t = 0; t < count; t++) {
                const size_t at = from + (b * LANES + l) * dst_plane + t * s.x.step;
                const float value = tile[t * LANES + l] + (add ? add[at] : 0.0f);

                dst[at] = s.relu ? above_zero(value) : value;
            }
    }
}
#endif

#ifdef CHANNELS
/* TILE positions of src, AT(t) their vectors, times CHANNELS vectors of weights. */
#define MULTIPLY_FEW(AT)                                                                           \
    _Pragma("unroll") for (int t = 0; t < TILE; t++)                                               \
    {                                                                                              \
        const VEC v = AT(t);                                                                       \
        _Pragma("unroll") for (int c = 0; c < CHANNELS; c++) sum[c][t] =                           \
            fma(v, weight[c], sum[c][t]);                                                          \
    }
#define INSIDE_FEW(t) LOAD(at + t * s.x.src_step, row)
#define EDGE_FEW(t)                                                                                \
    (at + t * s.x.src_step >= 0 && at + t * s.x.src_step < s.src_w                                 \
         ? LOAD(at + t * s.x.src_step, row)                                                        \
         : (VEC)0.0f)

/* The lanes of a vector added up in a fixed order. */
static float across(VEC v)
{
#if LANES == 16
    const float8 v8 = v.lo + v.hi;
#else
    const float8 v8 = v;
#endif
    const float4 v4 = v8.lo + v8.hi;
    const float2 v2 = v4.lo + v4.hi;

    return v2.x + v2.y;
}

__kernel void conv_few(__global const float *restrict src, __global const float *restrict w,
                       __global const float *restrict bias, __global const float *restrict add,
                       __global float *restrict dst, __global const float *restrict zeros,
                       blocked_shape s)
{
    const int u = (int)get_global_id(0) * TILE, v = (int)get_global_id(1);
    const int image = (int)get_global_id(2);
    const int src_y = s.y.src_first + v * s.y.src_step;
    const int src_x = s.x.src_first + u * s.x.src_step;
    const int tap_from = first_tap(src_y, s.y.tap_step);
    const int tap_to = last_tap(src_y, s.y.tap_step, s.y.taps, s.src_h);
    VEC sum[CHANNELS][TILE];

    for (int c = 0; c < CHANNELS; c++)
        for (int t = 0; t < TILE; t++)
            sum[c][t] = (VEC)0.0f;
    for (int block = 0; block < s.blocks; block++) {
        __global const float *in = src + (size_t)image * s.src_image + (size_t)block * s.src_plane;

        for (int i = tap_from; i < tap_to; i++) {
            __global const float *row = in + (src_y + i * s.y.tap_step) * s.src_w * LANES;
            __global const float *wt =
                w + s.weight_offset + (size_t)(block * s.y.taps + i) * s.x.taps * CHANNELS * LANES;

            for (int j = 0; j < s.x.taps; j++) {
                const int at = src_x + j * s.x.tap_step;
                VEC weight[CHANNELS];

                _Pragma("unroll") for (int c = 0; c < CHANNELS; c++) weight[c] =
                    LOAD(j * CHANNELS + c, wt);
                if (at >= 0 && at + (TILE - 1) * s.x.src_step < s.src_w) {
                    MULTIPLY_FEW(INSIDE_FEW)
                } else {
                    MULTIPLY_FEW(EDGE_FEW)
                }
            }
        }
    }
    const size_t apart = s.dst_block > 1 ? 1 : (size_t)s.dst_h * s.dst_w; /* channels of dst */
    const size_t from =
        (size_t)image * s.dst_image +
        (size_t)((s.y.first + v * s.y.step) * s.dst_w + s.x.first + u * s.x.step) * s.dst_block;

    for (int t = 0; t < min(TILE, s.x.count - u); t++) {
        const size_t at = from + (size_t)t * s.x.step * s.dst_block;

        for (int c = 0; c < CHANNELS; c++) {
            const float value =
                across(sum[c][t]) + (bias ? bias[c] : 0.0f) + (add ? add[at + c * apart] : 0.0f);

            dst[at + c * apart] = s.relu ? above_zero(value) : value;
        }
        for (int c = CHANNELS; c < s.dst_block; c++)
            dst[at + c] = 0.0f;
    }
}
#endif
#endif
