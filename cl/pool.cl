/* Pools, forward and inverse, NCHW. P = N C planes; 1-D runs as 2-D with height 1.
 *
 *   x  [P][in_h][in_w]     the cells          y  [P][out_h][out_w]   the windows
 *   switches  int, like y: row-major position in the plane of the cell that a window chose
 *
 * Window o of an axis holds the cells o stride - pad + t dilation, t = 0..kernel-1, that lie inside
 * the picture; tap loops run over those alone, so what lies in the padding is never read or chosen.
 *
 *   max      y = the largest cell, the first in row-major order of several; NaN counts as largest.
 *            Inverse: R goes to the chosen cell; overlapping windows add.
 *   average  y = sum / count, count = cells inside, or with `count_padding` taps inside the padded
 *            picture (what ceil_mode adds beyond that never counts).
 *            Inverse: R / count to each cell, or with `copy` R itself.
 *
 * One work-item: one window forward, one cell back. The inverse gathers from the windows that hold
 * its cell, in row-major order: no atomics, the same sum every time. */
#pragma OPENCL FP_CONTRACT OFF

/* Filled in by lib/ops/pool.c, field for field (pool.h). */
typedef struct pool_shape {
    int planes;
    int in_h, in_w, out_h, out_w;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int pad_h, pad_w;       /* before the first row and column */
    int padded_h, padded_w; /* in + pad behind: where the padded picture ends */
    int dilation_h, dilation_w;
} pool_shape;

/* The first tap of a window starting at `start` that reaches position 0. */
int first_tap(int start, int dilation)
{
    return start < 0 ? (-start + dilation - 1) / dilation : 0;
}

/* One past the last tap of that window that lies before `end`. */
int last_tap(int start, int dilation, int kernel_size, int end)
{
    return start < end ? min(kernel_size, (end - 1 - start) / dilation + 1) : 0;
}

/* The windows of one axis that may hold cell i are first_window()..i + pad divided by the stride.
 */
int first_window(int i, int kernel_size, int stride, int pad, int dilation)
{
    int start = i + pad - (kernel_size - 1) * dilation;
    return start > 0 ? (start + stride - 1) / stride : 0;
}

/* Work-items: x, y, plane of y. `switches` may be NULL. */
kernel void max_pool_forward(global const float *x, global float *y, global int *switches,
                             pool_shape s)
{
    int ox = get_global_id(0), oy = get_global_id(1), plane = get_global_id(2);
    if (ox >= s.out_w || oy >= s.out_h || plane >= s.planes)
        return;

    int top = oy * s.stride_h - s.pad_h, left = ox * s.stride_w - s.pad_w;
    int ty_end = last_tap(top, s.dilation_h, s.kernel_h, s.in_h);
    int tx_from = first_tap(left, s.dilation_w);
    int tx_end = last_tap(left, s.dilation_w, s.kernel_w, s.in_w);
    int chosen = -1;
    float best = 0.0f;

    x += plane * s.in_h * s.in_w;
    for (int ty = first_tap(top, s.dilation_h); ty < ty_end; ty++) {
        int row = (top + ty * s.dilation_h) * s.in_w;
        for (int tx = tx_from; tx < tx_end; tx++) {
            int at = row + left + tx * s.dilation_w;
            float v = x[at];
            if (chosen < 0 || v > best || (isnan(v) && !isnan(best))) {
                best = v;
                chosen = at;
            }
        }
    }

    int out = (plane * s.out_h + oy) * s.out_w + ox;
    y[out] = best;
    if (switches)
        switches[out] = chosen;
}

/* Work-items: x, y, plane of the cells. */
kernel void max_pool_inverse(global const float *signal_y, global const int *switches,
                             global float *signal_x, pool_shape s)
{
    int ix = get_global_id(0), iy = get_global_id(1), plane = get_global_id(2);
    if (ix >= s.in_w || iy >= s.in_h || plane >= s.planes)
        return;

    int cell = iy * s.in_w + ix;
    int oy_end = min((iy + s.pad_h) / s.stride_h + 1, s.out_h);
    int ox_from = first_window(ix, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w);
    int ox_end = min((ix + s.pad_w) / s.stride_w + 1, s.out_w);
    float sum = 0.0f;

    for (int oy = first_window(iy, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h); oy < oy_end;
         oy++) {
        int row = (plane * s.out_h + oy) * s.out_w;
        for (int ox = ox_from; ox < ox_end; ox++) {
            if (switches[row + ox] == cell)
                sum += signal_y[row + ox];
        }
    }
    signal_x[plane * s.in_h * s.in_w + cell] = sum;
}

/* Cells, or with `count_padding` taps inside the padded picture, of a window along one axis. */
int count_taps(int start, int dilation, int kernel_size, int in, int padded, int count_padding)
{
    if (count_padding)
        return last_tap(start, dilation, kernel_size, padded);
    return last_tap(start, dilation, kernel_size, in) - first_tap(start, dilation);
}

/* Work-items: x, y, plane of y. */
kernel void average_pool_forward(global const float *x, global float *y, int count_padding,
                                 pool_shape s)
{
    int ox = get_global_id(0), oy = get_global_id(1), plane = get_global_id(2);
    if (ox >= s.out_w || oy >= s.out_h || plane >= s.planes)
        return;

    int top = oy * s.stride_h - s.pad_h, left = ox * s.stride_w - s.pad_w;
    int ty_end = last_tap(top, s.dilation_h, s.kernel_h, s.in_h);
    int tx_from = first_tap(left, s.dilation_w);
    int tx_end = last_tap(left, s.dilation_w, s.kernel_w, s.in_w);
    float sum = 0.0f;

    x += plane * s.in_h * s.in_w;
    for (int ty = first_tap(top, s.dilation_h); ty < ty_end; ty++) {
        int row = (top + ty * s.dilation_h) * s.in_w;
        float row_sum = 0.0f;
        for (int tx = tx_from; tx < tx_end; tx++)
            row_sum += x[row + left + tx * s.dilation_w];
        sum += row_sum;
    }

    float rows = count_taps(top, s.dilation_h, s.kernel_h, s.in_h, s.padded_h, count_padding);
    float columns = count_taps(left, s.dilation_w, s.kernel_w, s.in_w, s.padded_w, count_padding);
    y[(plane * s.out_h + oy) * s.out_w + ox] = sum / (rows * columns);
}

/* Work-items: x, y, plane of the cells. */
kernel void average_pool_inverse(global const float *signal_y, global float *signal_x,
                                 int count_padding, int copy, pool_shape s)
{
    int ix = get_global_id(0), iy = get_global_id(1), plane = get_global_id(2);
    if (ix >= s.in_w || iy >= s.in_h || plane >= s.planes)
        return;

    int oy_end = min((iy + s.pad_h) / s.stride_h + 1, s.out_h);
    int ox_from = first_window(ix, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w);
    int ox_end = min((ix + s.pad_w) / s.stride_w + 1, s.out_w);
    float sum = 0.0f;

    for (int oy = first_window(iy, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h); oy < oy_end;
         oy++) {
        int top = oy * s.stride_h - s.pad_h, row = (plane * s.out_h + oy) * s.out_w;
        if ((iy - top) % s.dilation_h != 0)
            continue;
        float rows = count_taps(top, s.dilation_h, s.kernel_h, s.in_h, s.padded_h, count_padding);
        for (int ox = ox_from; ox < ox_end; ox++) {
            int left = ox * s.stride_w - s.pad_w;
            if ((ix - left) % s.dilation_w != 0)
                continue;
            float columns =
                count_taps(left, s.dilation_w, s.kernel_w, s.in_w, s.padded_w, count_padding);
            sum += copy ? signal_y[row + ox] : signal_y[row + ox] / (rows * columns);
        }
    }
    signal_x[(plane * s.in_h + iy) * s.in_w + ix] = sum;
}

/* Global pools: y [P][1], x [P][cells]. Sums run in eight lanes and in runs of `RUN` vectors, so
 * that rounding stays small over large pictures. */
#define RUN 64

/* Work-items: planes. */
kernel void global_average_forward(global const float *x, global float *y, int planes, int cells)
{
    int plane = get_global_id(0);
    if (plane >= planes)
        return;

    float8 sum = (float8)(0.0f);
    int i = 0;

    x += plane * cells;
    while (cells - i >= 8) {
        float8 run = (float8)(0.0f);
        for (int n = 0; n < RUN && cells - i >= 8; n++, i += 8)
            run += vload8(0, x + i);
        sum += run;
    }

    float4 half_sum = sum.lo + sum.hi;
    float total = (half_sum.x + half_sum.y) + (half_sum.z + half_sum.w);
    for (; i < cells; i++)
        total += x[i];
    y[plane] = total / (float)cells;
}

/* Work-items: cells of a plane, planes. */
kernel void global_average_inverse(global const float *signal_y, global float *signal_x, int copy,
                                   int planes, int cells)
{
    int i = get_global_id(0), plane = get_global_id(1);
    if (i >= cells || plane >= planes)
        return;
    signal_x[plane * cells + i] = copy ? signal_y[plane] : signal_y[plane] / (float)cells;
}

/* Work-items: planes. `switches` may be NULL. */
kernel void global_max_forward(global const float *x, global float *y, global int *switches,
                               int planes, int cells)
{
    int plane = get_global_id(0);
    if (plane >= planes)
        return;

    x += plane * cells;
    int chosen = 0;
    float best = x[0];
    for (int i = 1; i < cells; i++) {
        float v = x[i];
        if (v > best || (isnan(v) && !isnan(best))) {
            best = v;
            chosen = i;
        }
    }
    y[plane] = best;
    if (switches)
        switches[plane] = chosen;
}

/* Work-items: cells of a plane, planes. */
kernel void global_max_inverse(global const float *signal_y, global const int *switches,
                               global float *signal_x, int planes, int cells)
{
    int i = get_global_id(0), plane = get_global_id(1);
    if (i >= cells || plane >= planes)
        return;
    signal_x[plane * cells + i] = switches[plane] == i ? signal_y[plane] : 0.0f;
}
