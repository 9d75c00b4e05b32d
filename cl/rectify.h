/* Relu y = max(x, 0), its ways back, and what the deconvnet rule makes of every other function.
 * Nearly every network needs these and none of activation.cl's, which take long to compile.
 *
 *   x, y  [count]  input and output
 *   r     [count]  signal at y
 *   out   [count]  signal at x
 *
 * One work-item: one element. */
#include "placed_frame.h"

/* max(v, 0), with NaN kept and no negative zero. */
float rectified(float v)
{
    return v <= 0.0f ? 0.0f : v;
}

__kernel void rectify(__global const float *restrict x, __global float *restrict y, const int count)
{
    const size_t i = get_global_id(0);

    if (i < (size_t)count)
        y[i] = rectified(x[i]);
}

/* out = r, guided max(r, 0), where Relu let x through, else 0. y > 0 tells that as well as x > 0.
 */
__kernel void rectify_inverse(__global const float *restrict r, __global const float *restrict y,
                              __global float *restrict out, const int count, const int guided)
{
    const size_t i = get_global_id(0);

    if (i < (size_t)count) {
        const float signal = r[i];
        const bool stopped = y[i] <= 0.0f || (guided && signal <= 0.0f);

        out[i] = stopped ? 0.0f : signal;
    }
}

/* The same for windows of signals: r and out are [windows][planes][h][w][block], y whole maps
 * [item][planes][height][width][block]; nothing passes outside the maps. Work-items: columns times
 * block, rows, windows times planes. */
__kernel void rectify_inverse_windows(__global const float *restrict r,
                                      __global const float *restrict y,
                                      __global float *restrict out,
                                      __global const int *restrict seeds,
                                      __global const int2 *restrict origins, const placed_frame f,
                                      const int windows, const int planes, const int block,
                                      const int height, const int width, const int guided)
{
    const int x = (int)get_global_id(0), row = (int)get_global_id(1), z = (int)get_global_id(2);

    if (x >= f.size[1] * block || row >= f.size[0] || z >= windows * planes)
        return;
    const int2 origin = origins[f.first + z / planes];
    const int item = seeds[4 * (z / planes)];
    const int at_y = origin.x + row, at_x = origin.y + x / block;
    const size_t here = ((size_t)z * f.size[0] + row) * f.size[1] * block + x;
    const bool inside = at_y >= 0 && at_y < height && at_x >= 0 && at_x < width;
    const float signal = r[here];
    bool stopped = !inside || (guided && signal <= 0.0f);

    if (!stopped)
        stopped = y[(((size_t)item * planes + z % planes) * height + at_y) * width * block +
                    at_x * block + x % block] <= 0.0f;
    out[here] = stopped ? 0.0f : signal;
}
