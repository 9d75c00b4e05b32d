/* Global pools: one window over all cells of a channel. Max pools are row-major. Average pools take
 * x in blocks of LANES channels (1: NCHW).
 *
 * LANES  1, 8 or 16 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef LANES
#define LANES 1
#endif
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#if LANES == 1
#define FLOATS         float
#define LOAD(i, p)     ((p)[i])
#define STORE(v, i, p) ((p)[i] = (v))
#else
#define FLOATS         CAT(float, LANES)
#define LOAD(i, p)     CAT(vload, LANES)(i, p)
#define STORE(v, i, p) CAT(vstore, LANES)(v, i, p)
#endif

/* Global pools: x [P][cells][LANES], y [P][LANES]; only global_average_forward knows lanes. Sums
 * run in eight parts and in runs of `RUN` cells of each, so that rounding stays small over large
 * pictures. */
#define RUN 64

/* Work-items: planes, of blocks of channels. y is row-major, with `channels` of a picture. */
kernel void global_average_forward(global const float *x, global float *y, int planes, int cells,
                                   int channels)
{
    int plane = get_global_id(0), blocks = (channels + LANES - 1) / LANES;
    if (plane >= planes)
        return;

    FLOATS part[8], total = (FLOATS)(0.0f);
    float lane[LANES];
    int i = 0;

    x += (size_t)plane * cells * LANES;
    for (int k = 0; k < 8; k++)
        part[k] = (FLOATS)(0.0f);
    while (cells - i >= 8) {
        FLOATS run[8];

        for (int k = 0; k < 8; k++)
            run[k] = (FLOATS)(0.0f);
        for (int n = 0; n < RUN && cells - i >= 8; n++, i += 8)
            for (int k = 0; k < 8; k++)
                run[k] += LOAD(i + k, x);
        for (int k = 0; k < 8; k++)
            part[k] += run[k];
    }
    total =
        ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
    for (; i < cells; i++)
        total += LOAD(i, x);
    STORE(total / (FLOATS)((float)cells), 0, lane);

    int first = plane % blocks * LANES;
    for (int l = 0; l < LANES && first + l < channels; l++)
        y[plane / blocks * channels + first + l] = lane[l];
}

/* Work-items: cells of a plane, planes, of blocks of channels. signal_y is row-major. */
kernel void global_average_inverse(global const float *signal_y, global float *signal_x, int copy,
                                   int planes, int cells, int channels)
{
    int i = get_global_id(0), plane = get_global_id(1), blocks = (channels + LANES - 1) / LANES;
    if (i >= cells || plane >= planes)
        return;

    int first = plane % blocks * LANES;
    for (int l = 0; l < LANES; l++) {
        float r = first + l < channels ? signal_y[plane / blocks * channels + first + l] : 0.0f;
        signal_x[((size_t)plane * cells + i) * LANES + l] = copy ? r : r / (float)cells;
    }
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
