/* What a convolution by matrix products needs around them, both directions. A direction is a set of
 * phases (lib/conv/phases.h), dense convolutions; for each phase and group
 *
 *     result[m][n] = sum over k of w[m][k] columns[k][n]       by CLBlast
 *
 *   m  a channel of dst in the group
 *   n  a position of dst, counted from `from`: image, row, column
 *   k  a channel of src and a tap: channel, row, column
 *
 *   w        [phase][G][M][terms], packed once
 *   columns  [terms][count], src gathered; result [M][count]; both in scratch memory
 *   src, dst NCHW
 */
#pragma OPENCL FP_CONTRACT OFF

/* One axis of a phase; lib/conv/phases.h has the same. */
typedef struct phase_axis {
    int first, step, count;  /* positions of dst: first + u step, u < count */
    int src_step, src_first; /* tap m of position u reads src_first + u src_step + m tap_step */
    int taps, tap_step;
    int weight_first, weight_step; /* tap m is the kernel's weight_first + m weight_step */
} phase_axis;

/* Filled in by lib/conv/im2col.c, field for field. Channels are those of one group. */
typedef struct im2col_shape {
    phase_axis y, x;
    int groups;
    int src_channels, src_h, src_w;
    int dst_channels, dst_h, dst_w;
    int terms;
    int weights;                                        /* where the phase begins in w */
    int weight_group, weight_dst, weight_src, kernel_w; /* steps through the ONNX weights */
} im2col_shape;

/* Negative zero becomes zero, NaN stays. */
inline float above_zero(float v)
{
    return v <= 0.0f ? 0.0f : v;
}

/* Work-items: term; channel and group. */
kernel void pack_im2col(global const float *restrict w, global float *restrict packed,
                        im2col_shape s)
{
    const int k = get_global_id(0), m = (int)get_global_id(1) % s.dst_channels;
    const int g = (int)get_global_id(1) / s.dst_channels;

    if (k >= s.terms || g >= s.groups)
        return;

    const int tap = k % (s.y.taps * s.x.taps), channel = k / (s.y.taps * s.x.taps);
    const int row = s.y.weight_first + tap / s.x.taps * s.y.weight_step;
    const int column = s.x.weight_first + tap % s.x.taps * s.x.weight_step;

    packed[s.weights + (g * s.dst_channels + m) * s.terms + k] =
        w[g * s.weight_group + m * s.weight_dst + channel * s.weight_src + row * s.kernel_w +
          column];
}

/* Positions `from` to from + count of group g. Work-items: position, term. */
kernel void columns_of(global const float *restrict src, global float *restrict columns, int at,
                       int g, int from, int count, im2col_shape s)
{
    const int i = get_global_id(0), k = get_global_id(1);
    const int n = from + i, area = s.y.count * s.x.count;

    if (i >= count || k >= s.terms)
        return;

    const int tap = k % (s.y.taps * s.x.taps), channel = k / (s.y.taps * s.x.taps);
    const int v = n % area / s.x.count, u = n % s.x.count;
    const int y = s.y.src_first + v * s.y.src_step + tap / s.x.taps * s.y.tap_step;
    const int x = s.x.src_first + u * s.x.src_step + tap % s.x.taps * s.x.tap_step;
    const int plane = (n / area * s.groups + g) * s.src_channels + channel;
    const int inside = y >= 0 && y < s.src_h && x >= 0 && x < s.src_w;

    columns[at + (size_t)k * count + i] = inside ? src[(plane * s.src_h + y) * s.src_w + x] : 0.0f;
}

/* dst = bias + result + add, rectified if `relu`. Work-items: position, channel. */
kernel void finish_columns(global const float *restrict result, int at,
                           global const float *restrict bias, global const float *add,
                           global float *dst, int g, int from, int count, int relu, im2col_shape s)
{
    const int i = get_global_id(0), m = get_global_id(1);
    const int n = from + i, area = s.y.count * s.x.count;

    if (i >= count || m >= s.dst_channels)
        return;

    const int v = n % area / s.x.count, u = n % s.x.count;
    const int plane = (n / area * s.groups + g) * s.dst_channels + m;
    const int to =
        (plane * s.dst_h + s.y.first + v * s.y.step) * s.dst_w + s.x.first + u * s.x.step;
    float value = bias ? bias[g * s.dst_channels + m] : 0.0f;

    if (s.terms)
        value += result[at + (size_t)m * count + i];
    if (add)
        value += add[to];
    dst[to] = relu ? above_zero(value) : value;
}
