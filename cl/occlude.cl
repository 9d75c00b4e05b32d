/* Pictures with a patch over them, and what is read of what becomes of them. */

/* y[i] = picture where it is not covered, fill where it is.
 *
 *   picture, fill  [channels][height][width]      y  [count][channels][height][width]
 *   places         [count] int4: rows and columns that are covered, ends exclusive
 *
 * One work-item: one pixel of one channel, of all pictures. */
typedef struct place {
    int top, left, bottom, right;
} place;

__kernel void cover(__global const float *restrict picture, __global const float *restrict fill,
                    __global const place *restrict places, __global float *restrict y,
                    const int count, const int channels, const int height, const int width)
{
    const int x = (int)get_global_id(0), row = (int)get_global_id(1);
    const int channel = (int)get_global_id(2);

    if (x >= width || row >= height || channel >= channels)
        return;
    const size_t at = ((size_t)channel * height + row) * width + x;
    const size_t each = (size_t)channels * height * width;
    const float clean = picture[at], covered = fill[at];

    for (int i = 0; i < count; i++) {
        const place p = places[i];
        const bool under = row >= p.top && row < p.bottom && x >= p.left && x < p.right;

        y[i * each + at] = under ? covered : clean;
    }
}

/* Channels first..first+taken of maps in blocks of `block` channels, row-major.
 *
 *   maps  [count][ceil(channels / block)][size][block]      y  [count][taken][size]
 *
 * One work-item: one position of one channel of one picture. */
__kernel void take_channels(__global const float *restrict maps, __global float *restrict y,
                            const int count, const int channels, const int block, const int size,
                            const int first, const int taken)
{
    const int i = (int)get_global_id(0), c = (int)get_global_id(1), item = (int)get_global_id(2);

    if (i >= size || c >= taken || item >= count)
        return;
    const int channel = first + c, planes = (channels + block - 1) / block;
    const size_t at = ((size_t)item * planes + channel / block) * size + i;

    y[((size_t)item * taken + c) * size + i] = maps[at * block + channel % block];
}
