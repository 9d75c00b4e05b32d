/* The clear convolution: forward and adjoint of any stride, padding, dilation and grouping, NCHW.
 * Both are one gather,
 *
 *     dst[n][g][d][y][x] = bias[g][d] + sum over s, taps of w(g, d, s, tap) src[n][g][s][y'][x']
 *
 *   forward  dst = y, src = x:  y' = y stride - pad + tap dilation, every tap
 *   adjoint  dst = x, src = y:  y' = (y + pad - tap dilation) / stride, for the taps where that
 *            division is exact. Positions of one residue modulo the stride share their taps and
 *            read neighbours, so a work-item takes positions `stride` apart and meets no tap that
 *            misses.
 *
 *   src   [N][G][S][src_h][src_w]        dst  [N][G][D][dst_h][dst_w]
 *   w     [K][C/G][kernel_h][kernel_w]   as ONNX stores it; forward D = K/G, S = C/G, adjoint the
 *                                        other way round
 *   bias  [G][D] or NULL
 *   add   NULL, or a tensor like dst that is added to the sums; `relu`: what is below zero after
 *         that becomes zero
 *
 * One work-item: LANES positions of one row x BLOCK channels, all sums in registers. The sums run
 * over source channels, then rows, then columns of the filter; every `chunk` channels the partial
 * sum goes to the total, so that rounding grows with the root of the chunk and not of the whole.
 * The result depends neither on LANES nor on BLOCK nor on the group size.
 *
 * LANES  16  4, 8 or 16: width of the vectors, along the row
 * BLOCK   8  channels per work-item
 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef LANES
#define LANES 16
#endif
#ifndef BLOCK
#define BLOCK 8
#endif

#define JOIN2(a, b)     a##b
#define JOIN(a, b)      JOIN2(a, b)
#define vec             JOIN(float, LANES)
#define ivec            JOIN(int, LANES)
#define load_vec(p)     JOIN(vload, LANES)(0, p)
#define store_vec(v, p) JOIN(vstore, LANES)(v, 0, p)
#define as_vec          JOIN(as_float, LANES)
#define as_ivec         JOIN(as_int, LANES)
#if LANES == 16
#define LANE_NUMBERS (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif LANES == 8
#define LANE_NUMBERS (int8)(0, 1, 2, 3, 4, 5, 6, 7)
#else
#define LANE_NUMBERS (int4)(0, 1, 2, 3)
#endif

/* Filled in by lib/conv/direct.c, field for field. Channels are those of one group. */
typedef struct gather_shape {
    int batch, groups;
    int src_channels, src_h, src_w;
    int dst_channels, dst_h, dst_w;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int pad_h, pad_w;
    int dilation_h, dilation_w;
    int tap_step_h, tap_step_w; /* stride / gcd(stride, dilation) */
    int weight_dst, weight_src; /* distance in w between neighbours in d and in s */
    int chunk;
    int relu;
    int items; /* work-items along a row */
} gather_shape;

/* The taps along one axis that meet a position: `count` of them, from tap `first` every `step`;
 * they read from source position `at` on, every `move`. */
typedef struct taps {
    int first, step, count;
    int at, move;
} taps;

taps taps_forward(int kernel_size, int pad, int dilation)
{
    taps t;

    t.first = 0;
    t.step = 1;
    t.count = kernel_size;
    t.at = -pad;
    t.move = dilation;
    return t;
}

/* For destination positions that leave `residue` modulo the stride; `at` is counted from the
 * position's quotient. */
taps taps_adjoint(int residue, int kernel_size, int stride, int pad, int dilation, int step)
{
    taps t;
    int last = min(step, kernel_size);

    t.first = 0;
    while (t.first < last && (residue + pad - t.first * dilation) % stride != 0)
        t.first++;
    t.step = step;
    t.count = t.first < last ? (kernel_size - t.first + step - 1) / step : 0;
    t.at = (residue + pad - t.first * dilation) / stride;
    t.move = -(dilation / (stride / step)); /* stride / step: their common divisor */
    return t;
}

/* src[row + x], src[row + x + step], ... for LANES lanes; 0 where x leaves the row's 0..width-1. */
vec load_guarded(global const float *src, int row, int x, int step, int width)
{
    float lane[LANES];

    for (int i = 0; i < LANES; i++) {
        int at = x + i * step;
        lane[i] = at >= 0 && at < width ? src[row + at] : 0.0f;
    }
    return load_vec(lane);
}

/* The same for the hot loop. Its vector loads may touch neighbouring rows, but nothing outside
 * src[0..size-1]. Inlined by force: a call would spill every sum. */
__attribute__((always_inline)) vec load_lanes(global const float *src, int size, int row, int x,
                                              int step, int width)
{
    ivec at = x + step * LANE_NUMBERS, inside = (at >= 0) & (at < width);
    vec v;

    if (step > 2 || x < -row || x > size - row - step * LANES)
        return load_guarded(src, row, x, step, width);
    v = load_vec(src + row + x);
    if (step == 2)
        v = (vec)(v.even, load_vec(src + row + x + LANES).even);
    return as_vec(as_ivec(v) & inside);
}

/* max(value, 0), with NaN kept and no negative zero. */
vec above_zero(vec value)
{
    return select(value, (vec)(0.0f), value <= (vec)(0.0f));
}

/* LANES positions of row `y` from `x` on, `step` apart, of the channels `d`.. of image and group
 * `plane`. `y_from` and `x_from` are the source positions that the taps count from, `src_step` the
 * distance in the source between neighbouring lanes. */
void gather(const gather_shape *s, global const float *src, global const float *w,
            global const float *bias, global const float *add, global float *dst, int plane, int d,
            int y, int x, int step, const taps *ty, int y_from, const taps *tx, int x_from,
            int src_step)
{
    int g = plane % s->groups;
    int src_plane = s->src_h * s->src_w;
    int size = s->batch * s->groups * s->src_channels * src_plane;
    int filter = g * s->dst_channels * s->src_channels * s->kernel_h * s->kernel_w;
    global const float *wd[BLOCK];
    vec total[BLOCK];

#pragma unroll
    for (int b = 0; b < BLOCK; b++) {
        wd[b] = w + filter + min(d + b, s->dst_channels - 1) * s->weight_dst;
        total[b] = (vec)(0.0f);
    }
    for (int from = 0; from < s->src_channels; from += s->chunk) {
        int to = min(from + s->chunk, s->src_channels);
        vec sum[BLOCK];

#pragma unroll
        for (int b = 0; b < BLOCK; b++)
            sum[b] = (vec)(0.0f);
        for (int c = from; c < to; c++) {
            int channel = (plane * s->src_channels + c) * src_plane;
            for (int i = 0; i < ty->count; i++) {
                int row = y_from + ty->at + i * ty->move;
                int tap = c * s->weight_src + (ty->first + i * ty->step) * s->kernel_w + tx->first;
                if (row < 0 || row >= s->src_h)
                    continue;
                for (int j = 0; j < tx->count; j++) {
                    vec v = load_lanes(src, size, channel + row * s->src_w,
                                       x_from + tx->at + j * tx->move, src_step, s->src_w);
#pragma unroll
                    for (int b = 0; b < BLOCK; b++)
                        sum[b] = fma(v, (vec)(wd[b][tap + j * tx->step]), sum[b]);
                }
            }
        }
#pragma unroll
        for (int b = 0; b < BLOCK; b++)
            total[b] += sum[b];
    }

    for (int b = 0; b < BLOCK && d + b < s->dst_channels; b++) {
        int row = ((plane * s->dst_channels + d + b) * s->dst_h + y) * s->dst_w + x;
        float lane[LANES];

        if (bias)
            total[b] += bias[g * s->dst_channels + d + b];
        if (step == 1 && LANES <= s->dst_w - x) {
            if (add)
                total[b] += load_vec(add + row);
            store_vec(s->relu ? above_zero(total[b]) : total[b], dst + row);
            continue;
        }
        store_vec(total[b], lane);
        for (int i = 0; add && i < LANES && i * step < s->dst_w - x; i++)
            lane[i] += add[row + i * step];
        store_vec(s->relu ? above_zero(load_vec(lane)) : load_vec(lane), lane);
        for (int i = 0; i < LANES && i * step < s->dst_w - x; i++)
            dst[row + i * step] = lane[i];
    }
}

/* Work-items: LANES positions along x; rows; image, group and block of channels. */
kernel void conv_forward(global const float *src, global const float *w, global const float *bias,
                         global const float *add, global float *dst, gather_shape s)
{
    int blocks = (s.dst_channels + BLOCK - 1) / BLOCK;
    int x = get_global_id(0) * LANES, y = get_global_id(1);
    int plane = get_global_id(2) / blocks, d = get_global_id(2) % blocks * BLOCK;

    if ((int)get_global_id(0) >= s.items || y >= s.dst_h || plane >= s.batch * s.groups)
        return;

    taps ty = taps_forward(s.kernel_h, s.pad_h, s.dilation_h);
    taps tx = taps_forward(s.kernel_w, s.pad_w, s.dilation_w);
    gather(&s, src, w, bias, add, dst, plane, d, y, x, 1, &ty, y * s.stride_h, &tx, x * s.stride_w,
           s.stride_w);
}

/* Work-items: LANES positions of one residue along x, residues fastest; rows; image, group and
 * block of channels. */
kernel void conv_adjoint(global const float *src, global const float *w, global const float *bias,
                         global const float *add, global float *dst, gather_shape s)
{
    int blocks = (s.dst_channels + BLOCK - 1) / BLOCK;
    int residues = min(s.stride_w, s.dst_w);
    int residue = get_global_id(0) % residues, quotient = get_global_id(0) / residues * LANES;
    int x = quotient * s.stride_w + residue, y = get_global_id(1);
    int plane = get_global_id(2) / blocks, d = get_global_id(2) % blocks * BLOCK;

    if ((int)get_global_id(0) >= s.items || y >= s.dst_h || plane >= s.batch * s.groups)
        return;

    taps ty =
        taps_adjoint(y % s.stride_h, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h, s.tap_step_h);
    taps tx = taps_adjoint(residue, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w, s.tap_step_w);
    gather(&s, src, w, bias, add, dst, plane, d, y, x, s.stride_w, &ty, y / s.stride_h, &tx,
           quotient, 1);
}
