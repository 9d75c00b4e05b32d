/* The way back of operators whose axes go their own ways, over windows of signals (lib/window.h):
 * window s of a signal begins at origins[first + s] of its map. Maps are row-major. */

#include "placed_frame.h"

/* A box of an output that is a box of an input, as lib/ops/reorder.c has it. Index 0: channels, 1:
 * height, 2: width, of the input: its position in_from + k in_step there is position out_from + k
 * of the output, for k below `size`. */
typedef struct piece_shape {
    placed_frame out, in;
    int count;
    int out_channels, in_channels;
    int in_from[3], in_step[3], size[3], out_from[3];
    int turned; /* height of the input is width of the output */
    int fill;   /* positions outside the box become zero, else stay as they are */
} piece_shape;

/* signal_in = the box of signal_out, zero where its window does not reach. Work-items: positions of
 * the input's windows, planes of all windows. */
__kernel void piece_inverse(__global const float *restrict signal_out,
                            __global float *restrict signal_in,
                            __global const int2 *restrict origins, const piece_shape s)
{
    const int x = (int)get_global_id(0), y = (int)get_global_id(1), z = (int)get_global_id(2);

    if (x >= s.in.size[1] || y >= s.in.size[0] || z >= s.count * s.in_channels)
        return;
    const int window = z / s.in_channels;
    const int2 in = origins[s.in.first + window], out = origins[s.out.first + window];
    const int at[3] = {z % s.in_channels, in.x + y, in.y + x};
    int to[3];
    bool inside = true;

    for (int d = 0; d < 3; d++) {
        const int off = at[d] - s.in_from[d], k = off / s.in_step[d];

        inside = inside && k * s.in_step[d] == off && k >= 0 && k < s.size[d];
        to[d] = s.out_from[d] + k;
    }
    if (!inside && !s.fill)
        return;
    const int row = to[s.turned ? 2 : 1] - out.x, column = to[s.turned ? 1 : 2] - out.y;
    float value = 0.0f;

    if (inside && row >= 0 && row < s.out.size[0] && column >= 0 && column < s.out.size[1])
        value = signal_out[(((size_t)window * s.out_channels + to[0]) * s.out.size[0] + row) *
                               s.out.size[1] +
                           column];
    signal_in[((size_t)z * s.in.size[0] + y) * s.in.size[1] + x] = value;
}

/* y = M x along one spatial axis of windows, as axis_map of cl/axis_map.cl has it: the same sums in
 * the same order, but for terms outside the windows of x, which are zero.
 *
 *   x  [windows][outer][x_len][inner]    y  [windows][outer][y_len][inner] */
typedef struct map_shape {
    int x_first, y_first; /* of origins */
    int axis;             /* 0: height, 1: width */
    int windows, outer, x_len, y_len, inner;
    int out_len; /* of the map of y */
} map_shape;

/* Work-items: one element of y: inner, y_len, the rest; along the width y_len, the rest. */
__kernel void axis_map_windows(__global const float *restrict x, __global float *restrict y,
                               __global const int2 *restrict origins,
                               __global const int *restrict start,
                               __global const int *restrict index,
                               __global const float *restrict weight, const map_shape s)
{
    const int i = s.axis ? 0 : (int)get_global_id(0);
    const int j = s.axis ? (int)get_global_id(0) : (int)get_global_id(1);
    const int o = s.axis ? (int)get_global_id(1) : (int)get_global_id(2);

    if (i >= s.inner || j >= s.y_len || o >= s.windows * s.outer)
        return;
    const int2 x_at = origins[s.x_first + o / s.outer], y_at = origins[s.y_first + o / s.outer];
    const int x_from = s.axis ? x_at.y : x_at.x, at = j + (s.axis ? y_at.y : y_at.x);
    __global const float *line = x + (size_t)o * s.x_len * s.inner + i;
    float sum = 0.0f;

    if (at >= 0 && at < s.out_len) {
        const int end = start[at + 1];

        for (int e = start[at]; e < end; e++) {
            const int k = index[e] - x_from;

            if (k >= 0 && k < s.x_len)
                sum = fma(weight[e], line[k * s.inner], sum);
        }
    }
    y[((size_t)o * s.y_len + j) * s.inner + i] = sum;
}
