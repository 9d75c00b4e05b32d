/* Pools, forward and inverse, over maps in blocks of LANES channels (1: NCHW). P = N C/LANES
 * planes; 1-D runs as 2-D with height 1.
 *
 *   x  [P][in_h][in_w][LANES]     the cells       y  [P][out_h][out_w][LANES]   the windows
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
 * One work-item: one window forward, one cell back, LANES channels of it. The inverse gathers from
 * the windows that hold its cell, in row-major order: no atomics, the same sum every time.
 *
 * On the way back the signals may be the windows of lib/window.h, a batch of their own: `seeds`
 * says whose picture each is of, `origins` where it lies, `f` how large they are. seeds = NULL:
 * whole maps.
 *
 * LANES  1, 8 or 16 */
#include "placed_frame.h"
#include "store.h"

#pragma OPENCL FP_CONTRACT OFF

#ifndef LANES
#define LANES 1
#endif
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#if LANES == 1
#define FLOATS              float
#define INTS                int
#define LOAD(i, p)          ((p)[i])
#define STORE(v, i, p)      ((p)[i] = (v))
#define STORE_INTS(v, i, p) ((p)[i] = (v))
#define CHOOSE(no, yes, c)  ((c) ? (yes) : (no))
#else
#define FLOATS              CAT(float, LANES)
#define INTS                CAT(int, LANES)
#define LOAD(i, p)          CAT(vload, LANES)(i, p)
#define STORE(v, i, p)      CAT(STORE, LANES)(v, (p) + (i)*LANES)
#define STORE_INTS(v, i, p) CAT(vstore, LANES)(v, i, p)
#define CHOOSE(no, yes, c)  select(no, yes, c)
#endif

/* Filled in by lib/ops/pool.c, field for field (pool.h). */
typedef struct pool_shape {
    int planes; /* of one picture */
    int batch;
    int in_h, in_w, out_h, out_w;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int pad_h, pad_w;       /* before the first row and column */
    int padded_h, padded_w; /* in + pad behind: where the padded picture ends */
    int dilation_h, dilation_w;
} pool_shape;

typedef struct pool_frames {
    placed_frame out, in; /* of the signal at y and at x */
} pool_frames;

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
    if (ox >= s.out_w || oy >= s.out_h || plane >= s.planes * s.batch)
        return;

    int top = oy * s.stride_h - s.pad_h, left = ox * s.stride_w - s.pad_w;
    int ty_from = first_tap(top, s.dilation_h);
    int ty_end = last_tap(top, s.dilation_h, s.kernel_h, s.in_h);
    int tx_from = first_tap(left, s.dilation_w);
    int tx_end = last_tap(left, s.dilation_w, s.kernel_w, s.in_w);

    x += (size_t)plane * s.in_h * s.in_w * LANES;
    int first = (top + ty_from * s.dilation_h) * s.in_w + left + tx_from * s.dilation_w;
    FLOATS best = LOAD(first, x);
    INTS chosen = (INTS)(first);

    for (int ty = ty_from; ty < ty_end; ty++) {
        int row = (top + ty * s.dilation_h) * s.in_w;
        for (int tx = tx_from; tx < tx_end; tx++) {
            int at = row + left + tx * s.dilation_w;
            FLOATS v = LOAD(at, x);
            INTS larger = (v > best) | ((v != v) & (best == best));
            best = CHOOSE(best, v, larger);
            chosen = CHOOSE(chosen, (INTS)(at), larger);
        }
    }

    size_t out = ((size_t)plane * s.out_h + oy) * s.out_w + ox;
    STORE(best, out, y);
    if (switches)
        STORE_INTS(chosen, out, switches);
}

/* Where the windows of this work-item's plane lie, and whose picture it is. */
typedef struct place {
    int item, plane;  /* plane: of all windows */
    int in_y, in_x;   /* cell of the picture */
    int out_y, out_x; /* the origin of the window of y */
    int inside;       /* the cell exists */
} place;

place find(global const int *seeds, global const int2 *origins, const pool_shape *s,
           const pool_frames *f)
{
    int z = get_global_id(2), window = z / s->planes;
    int2 in = (int2)(0), out = (int2)(0);
    place p;

    p.item = window;
    if (seeds) {
        p.item = seeds[4 * window];
        in = origins[f->in.first + window];
        out = origins[f->out.first + window];
    }
    p.plane = z;
    p.in_y = in.x + (int)get_global_id(1);
    p.in_x = in.y + (int)get_global_id(0);
    p.out_y = out.x;
    p.out_x = out.y;
    p.inside = p.in_y >= 0 && p.in_y < s->in_h && p.in_x >= 0 && p.in_x < s->in_w;
    return p;
}

/* Work-items: x, y, plane of the cells of the signal at x. `rectify`: negative sums become 0. */
kernel void max_pool_inverse(global const float *signal_y, global const int *switches,
                             global float *signal_x, global const int *seeds,
                             global const int2 *origins, int windows, int rectify, pool_shape s,
                             pool_frames f)
{
    int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);
    if (x >= f.in.size[1] || y >= f.in.size[0] || z >= s.planes * windows)
        return;

    place p = find(seeds, origins, &s, &f);
    FLOATS sum = (FLOATS)(0.0f);

    if (p.inside) {
        int cell = p.in_y * s.in_w + p.in_x;
        size_t whole = ((size_t)p.item * s.planes + z % s.planes) * s.out_h;
        size_t own = (size_t)z * f.out.size[0];
        int oy = max(first_window(p.in_y, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h), p.out_y);
        int oy_end =
            min(min((p.in_y + s.pad_h) / s.stride_h + 1, s.out_h), p.out_y + f.out.size[0]);
        int ox_from =
            max(first_window(p.in_x, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w), p.out_x);
        int ox_end =
            min(min((p.in_x + s.pad_w) / s.stride_w + 1, s.out_w), p.out_x + f.out.size[1]);

        for (; oy < oy_end; oy++) {
            size_t row = (whole + oy) * s.out_w;
            size_t own_row = (own + oy - p.out_y) * f.out.size[1];
            for (int ox = ox_from; ox < ox_end; ox++) {
                INTS here = LOAD(row + ox, switches) == (INTS)(cell);
                FLOATS r = LOAD(own_row + ox - p.out_x, signal_y);
                sum += CHOOSE((FLOATS)(0.0f), r, here);
            }
        }
    }
    if (rectify)
        sum = CHOOSE(sum, (FLOATS)(0.0f), sum <= (FLOATS)(0.0f));
    STORE(sum, ((size_t)z * f.in.size[0] + y) * f.in.size[1] + x, signal_x);
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
    if (ox >= s.out_w || oy >= s.out_h || plane >= s.planes * s.batch)
        return;

    int top = oy * s.stride_h - s.pad_h, left = ox * s.stride_w - s.pad_w;
    int ty_end = last_tap(top, s.dilation_h, s.kernel_h, s.in_h);
    int tx_from = first_tap(left, s.dilation_w);
    int tx_end = last_tap(left, s.dilation_w, s.kernel_w, s.in_w);
    FLOATS sum = (FLOATS)(0.0f);

    x += (size_t)plane * s.in_h * s.in_w * LANES;
    for (int ty = first_tap(top, s.dilation_h); ty < ty_end; ty++) {
        int row = (top + ty * s.dilation_h) * s.in_w;
        FLOATS row_sum = (FLOATS)(0.0f);
        for (int tx = tx_from; tx < tx_end; tx++)
            row_sum += LOAD(row + left + tx * s.dilation_w, x);
        sum += row_sum;
    }

    float rows = count_taps(top, s.dilation_h, s.kernel_h, s.in_h, s.padded_h, count_padding);
    float columns = count_taps(left, s.dilation_w, s.kernel_w, s.in_w, s.padded_w, count_padding);
    STORE(sum / (FLOATS)(rows * columns), ((size_t)plane * s.out_h + oy) * s.out_w + ox, y);
}

/* Work-items: x, y, plane of the cells of the signal at x. */
kernel void average_pool_inverse(global const float *signal_y, global float *signal_x,
                                 global const int *seeds, global const int2 *origins, int windows,
                                 int count_padding, int copy, int rectify, pool_shape s,
                                 pool_frames f)
{
    int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);
    if (x >= f.in.size[1] || y >= f.in.size[0] || z >= s.planes * windows)
        return;

    place p = find(seeds, origins, &s, &f);
    FLOATS sum = (FLOATS)(0.0f);
    int oy = max(first_window(p.in_y, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h), p.out_y);
    int oy_end = min(min((p.in_y + s.pad_h) / s.stride_h + 1, s.out_h), p.out_y + f.out.size[0]);
    int ox_from = max(first_window(p.in_x, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w), p.out_x);
    int ox_end = min(min((p.in_x + s.pad_w) / s.stride_w + 1, s.out_w), p.out_x + f.out.size[1]);

    for (; p.inside && oy < oy_end; oy++) {
        int top = oy * s.stride_h - s.pad_h;
        size_t row = ((size_t)z * f.out.size[0] + oy - p.out_y) * f.out.size[1];
        if ((p.in_y - top) % s.dilation_h != 0)
            continue;
        float rows = count_taps(top, s.dilation_h, s.kernel_h, s.in_h, s.padded_h, count_padding);
        for (int ox = ox_from; ox < ox_end; ox++) {
            int left = ox * s.stride_w - s.pad_w;
            if ((p.in_x - left) % s.dilation_w != 0)
                continue;
            float columns =
                count_taps(left, s.dilation_w, s.kernel_w, s.in_w, s.padded_w, count_padding);
            FLOATS r = LOAD(row + ox - p.out_x, signal_y);
            sum += copy ? r : r / (FLOATS)(rows * columns);
        }
    }
    if (rectify)
        sum = CHOOSE(sum, (FLOATS)(0.0f), sum <= (FLOATS)(0.0f));
    STORE(sum, ((size_t)z * f.in.size[0] + y) * f.in.size[1] + x, signal_x);
}

/* ---- Forward over windows (lib/analysis/windows.h): x is read from windows of what has changed,
 * and where it has not from `base`, the maps of the clean picture ---- */

/* As lib/analysis/windows.h has it, field for field. */
typedef struct pool_cut {
    int count;              /* places */
    int window_h, window_w; /* windows of x */
    int to_h, to_w;         /* windows of y */
    int window_row, to_row; /* rows of `origins`; -1: at 0, 0 */
    int pitch;
    int step_h, step_w; /* not 0: windows of x begin at those of y, times step, less shift */
    int shift_h, shift_w;
} pool_cut;

/* The window of y that a work-item is in. */
typedef struct cut_place {
    int place, plane;
    int oy, ox; /* position in the map of y */
    int2 at;    /* where the window of x begins */
} cut_place;

static cut_place find_cut(global const int2 *origins, const pool_shape *s, const pool_cut *c)
{
    const int z = get_global_id(2);
    cut_place p = {z / s->planes, z % s->planes, 0, 0, (int2)(0)};
    const int2 to = c->to_row < 0 ? (int2)(0) : origins[c->to_row * c->pitch + p.place];

    p.oy = to.x + get_global_id(1);
    p.ox = to.y + get_global_id(0);
    if (c->step_h)
        p.at = (int2)(to.x * c->step_h - c->shift_h, to.y * c->step_w - c->shift_w);
    else if (c->window_row >= 0)
        p.at = origins[c->window_row * c->pitch + p.place];
    return p;
}

static FLOATS load_cut(global const float *base, global const float *window, const pool_shape *s,
                       const pool_cut *c, const cut_place *p, int y, int x)
{
    const int row = y - p->at.x, column = x - p->at.y;

    if (window && row >= 0 && row < c->window_h && column >= 0 && column < c->window_w)
        return LOAD((((size_t)p->place * s->planes + p->plane) * c->window_h + row) * c->window_w +
                        column,
                    window);
    return LOAD(((size_t)p->plane * s->in_h + y) * s->in_w + x, base);
}

/* Work-items: x, y, plane of the windows of y. */
kernel void max_pool_windows(global const float *base, global const float *window, global float *y,
                             global const int2 *origins, pool_shape s, pool_cut c)
{
    int x = get_global_id(0), row = get_global_id(1), z = get_global_id(2);
    if (x >= c.to_w || row >= c.to_h || z >= s.planes * c.count)
        return;

    const cut_place p = find_cut(origins, &s, &c);
    int top = p.oy * s.stride_h - s.pad_h, left = p.ox * s.stride_w - s.pad_w;
    int ty_from = first_tap(top, s.dilation_h);
    int ty_end = last_tap(top, s.dilation_h, s.kernel_h, s.in_h);
    int tx_from = first_tap(left, s.dilation_w);
    int tx_end = last_tap(left, s.dilation_w, s.kernel_w, s.in_w);
    FLOATS best = load_cut(base, window, &s, &c, &p, top + ty_from * s.dilation_h,
                           left + tx_from * s.dilation_w);

    for (int ty = ty_from; ty < ty_end; ty++) {
        for (int tx = tx_from; tx < tx_end; tx++) {
            FLOATS v = load_cut(base, window, &s, &c, &p, top + ty * s.dilation_h,
                                left + tx * s.dilation_w);
            INTS larger = (v > best) | ((v != v) & (best == best));
            best = CHOOSE(best, v, larger);
        }
    }
    STORE(best, ((size_t)z * c.to_h + row) * c.to_w + x, y);
}

kernel void average_pool_windows(global const float *base, global const float *window,
                                 global float *y, global const int2 *origins, int count_padding,
                                 pool_shape s, pool_cut c)
{
    int x = get_global_id(0), row = get_global_id(1), z = get_global_id(2);
    if (x >= c.to_w || row >= c.to_h || z >= s.planes * c.count)
        return;

    const cut_place p = find_cut(origins, &s, &c);
    int top = p.oy * s.stride_h - s.pad_h, left = p.ox * s.stride_w - s.pad_w;
    int ty_end = last_tap(top, s.dilation_h, s.kernel_h, s.in_h);
    int tx_from = first_tap(left, s.dilation_w);
    int tx_end = last_tap(left, s.dilation_w, s.kernel_w, s.in_w);
    FLOATS sum = (FLOATS)(0.0f);

    for (int ty = first_tap(top, s.dilation_h); ty < ty_end; ty++) {
        FLOATS row_sum = (FLOATS)(0.0f);
        for (int tx = tx_from; tx < tx_end; tx++)
            row_sum += load_cut(base, window, &s, &c, &p, top + ty * s.dilation_h,
                                left + tx * s.dilation_w);
        sum += row_sum;
    }

    float rows = count_taps(top, s.dilation_h, s.kernel_h, s.in_h, s.padded_h, count_padding);
    float columns = count_taps(left, s.dilation_w, s.kernel_w, s.in_w, s.padded_w, count_padding);
    STORE(sum / (FLOATS)(rows * columns), ((size_t)z * c.to_h + row) * c.to_w + x, y);
}
