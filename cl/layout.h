/* Moving maps between layouts and between windows.
 *
 *   from  [count][ceil(channels / F)][h][w][F]     to  [.][ceil(channels / T)][h][w][T]
 *
 * F, T  channels side by side: 1 (NCHW), 8 or 16 */
#include "placed_frame.h"

typedef struct move_shape {
    placed_frame from, to;
    int count, channels;
    int block;    /* F and T, where they are the same */
    int add;      /* to += from, else to = from */
    int numbered; /* window s goes to place seeds[s].to, else to place s */
} move_shape;

static void move_row(__global const float *restrict from, __global float *restrict to,
                     __global const int *restrict seeds, __global const int2 *restrict origins,
                     const move_shape *m, const int F, const int T)
{
    const int y = (int)get_global_id(0), z = (int)get_global_id(1);
    const int planes = (m->channels + T - 1) / T, from_planes = (m->channels + F - 1) / F;
    const int window = z / planes, plane = z % planes, width = m->to.size[1];

    if (y >= m->to.size[0] || window >= m->count)
        return;
    int row = y, shift = 0, place = window;

    if (origins) {
        const int2 apart = origins[m->to.first + window] - origins[m->from.first + window];

        row += apart.x;
        shift = apart.y;
        place = m->numbered ? seeds[4 * window + 3] : window;
    }
    const bool there = row >= 0 && row < m->from.size[0];
    const int first = there ? clamp(-shift, 0, width) : width;
    const int last = there ? clamp(m->from.size[1] - shift, first, width) : width;
    const size_t map = (size_t)m->from.size[0] * m->from.size[1];
    __global float *out = to + (((size_t)place * planes + plane) * m->to.size[0] + y) * width * T;

    if (!m->add) {
        for (int i = 0; i < first * T; i++)
            out[i] = 0.0f;
        for (int i = last * T; i < width * T; i++)
            out[i] = 0.0f;
    }
    if (first == last)
        return;
    out += first * T;
    from +=
        ((size_t)window * from_planes * map + (size_t)row * m->from.size[1] + first + shift) * F;
    if (F == T) {
        from += plane * map * F;
        for (int i = 0; i < (last - first) * T; i++)
            out[i] = m->add ? out[i] + from[i] : from[i];
        return;
    }
    for (int l = 0; l < T; l++) {
        const int channel = plane * T + l, source = min(channel, m->channels - 1);
        __global const float *in = from + source / F * map * F + source % F;

        for (int x = 0; x < last - first; x++) {
            const float value = channel < m->channels ? in[x * F] : 0.0f;

            out[x * T + l] = m->add ? out[x * T + l] + value : value;
        }
    }
}

/* Windows `from` to where they lie in windows (or whole maps) `to` of the same seeds; what they do
 * not cover becomes zero, or stays as it is with `add`. origins = NULL: both are whole maps. Lanes
 * past the last channel become zero where layouts differ. One work-item: one row of one block of
 * `to`. */
#define MOVER(name, F, T)                                                                          \
    __kernel void name(__global const float *restrict from, __global float *restrict to,           \
                       __global const int *restrict seeds, __global const int2 *restrict origins,  \
                       const move_shape m)                                                         \
    {                                                                                              \
        move_row(from, to, seeds, origins, &m, F, T);                                              \
    }

MOVER(move_alike, m.block, m.block)
/* Of a size that the compiler knows: a third faster. */
MOVER(move_1_to_8, 1, 8)
MOVER(move_8_to_1, 8, 1)
MOVER(move_1_to_16, 1, 16)
MOVER(move_16_to_1, 16, 1)

/* Zero where windows of a signal lie outside the maps of height x width. `planes` blocks of
 * channels of `block` floats. One work-item: one position of a window. (Code for vectors would take
 * longer to compile than the zeros to write.) */
__kernel void clip_windows(__global float *signal, __global const int2 *restrict origins,
                           const placed_frame f, const int count, const int planes, const int block,
                           const int height, const int width)
{
    const int x = (int)get_global_id(0), y = (int)get_global_id(1), window = (int)get_global_id(2);

    if (x >= f.size[1] || y >= f.size[0] || window >= count)
        return;
    const int row = origins[f.first + window].x + y;
    const int column = origins[f.first + window].y + x;

    if (row >= 0 && row < height && column >= 0 && column < width)
        return;
#pragma clang loop vectorize(disable)
    for (int plane = 0; plane < planes; plane++) {
        __global float *cell =
            signal + ((((size_t)window * planes + plane) * f.size[0] + y) * f.size[1] + x) * block;

#pragma clang loop vectorize(disable)
        for (int l = 0; l < block; l++)
            cell[l] = 0.0f;
    }
}

/* Seed s of a batch, a cell of channel units[s] in its window. One work-item: one seed. */
__kernel void plant_seeds(__global float *restrict signal, __global const int *restrict seeds,
                          __global const int2 *restrict origins, __global const int *restrict units,
                          __global const float *restrict values, const placed_frame f,
                          const int count, const int planes, const int block)
{
    const int s = (int)get_global_id(0);

    if (s >= count)
        return;
    const int row = seeds[4 * s + 1] - origins[f.first + s].x;
    const int column = seeds[4 * s + 2] - origins[f.first + s].y;
    const size_t plane = (size_t)s * planes + units[s] / block;

    signal[((plane * f.size[0] + row) * f.size[1] + column) * block + units[s] % block] = values[s];
}

/* Windows out of whole maps [picture][planes][height][width][block] of the pictures that the seeds
 * are of, `block` floats side by side; past the border stands the nearest cell. Work-items: rows,
 * planes of all windows. */
__kernel void cut_windows(__global const float *restrict from, __global float *restrict to,
                          __global const int *restrict seeds, __global const int2 *restrict origins,
                          const placed_frame f, const int count, const int planes, const int block,
                          const int height, const int width)
{
    const int row = (int)get_global_id(0), z = (int)get_global_id(1);

    if (row >= f.size[0] || z >= count * planes)
        return;
    const int2 origin = origins[f.first + z / planes];
    const int item = seeds[4 * (z / planes)];
    const int y = clamp(origin.x + row, 0, height - 1), left = origin.y;
    __global const float *in =
        from + (((size_t)item * planes + z % planes) * height + y) * width * block;
    __global float *out = to + ((size_t)z * f.size[0] + row) * f.size[1] * block;

    for (int i = 0; i < f.size[1]; i++) {
        const int x = clamp(left + i, 0, width - 1);

        for (int l = 0; l < block; l++)
            out[i * block + l] = in[x * block + l];
    }
}
