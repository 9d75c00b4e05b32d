/* What is packed for the convolutions with lanes across channels: sources into blocks of channels
 * or planes with a border, before each run; weights once.
 *
 *   LANES  16 or 8: floats in a vector register
 */
#include "store.h"
#include "transpose.h"
#include "conv_shape.h"

/* NCHW to blocks of LANES channels; channels that do not exist are zero. One item: LANES channels
 * of up to ROW positions. */
#define ROW 64
__kernel void pack_channels(__global const float *restrict src, __global float *restrict packed,
                            int channels, int size)
{
    const int from = (int)get_global_id(0) * ROW, to = min(from + ROW, size);
    const int plane = (int)get_global_id(1); /* of [N][G][blocks] */
    const int blocks = (channels + LANES - 1) / LANES;
    const int channel = plane % blocks * LANES;
    const int there = min(LANES, channels - channel);
    __global const float *in = src + ((size_t)(plane / blocks) * channels + channel) * size;
    __global float *out = packed + (size_t)plane * size * LANES;
    int t = from;

    for (; there == LANES && t + 8 <= to; t += 8) {
        for (int l = 0; l < LANES; l += 8) {
            __global const float *p = in + (size_t)l * size + t;
            float8 a = vload8(0, p), b = vload8(0, p + size), c = vload8(0, p + 2 * (size_t)size);
            float8 d = vload8(0, p + 3 * (size_t)size), e = vload8(0, p + 4 * (size_t)size);
            float8 f = vload8(0, p + 5 * (size_t)size), g = vload8(0, p + 6 * (size_t)size);
            float8 h = vload8(0, p + 7 * (size_t)size);

            TRANSPOSE8(a, b, c, d, e, f, g, h)
            STORE8(a, out + (t + 0) * LANES + l);
            STORE8(b, out + (t + 1) * LANES + l);
            STORE8(c, out + (t + 2) * LANES + l);
            STORE8(d, out + (t + 3) * LANES + l);
            STORE8(e, out + (t + 4) * LANES + l);
            STORE8(f, out + (t + 5) * LANES + l);
            STORE8(g, out + (t + 6) * LANES + l);
            STORE8(h, out + (t + 7) * LANES + l);
        }
    }
    for (; t < to; t++)
        for (int l = 0; l < LANES; l++)
            out[t * LANES + l] = l < there ? in[(size_t)l * size + t] : 0.0f;
}

/* The channels of NCHW (lanes = 1) or of a block of `lanes`, each as a plane with a border of
 * zeros: `top` and `left` before it, the rest of high x wide behind it. One item: one row. */
__kernel void pad_planes(__global const float *restrict src, __global float *restrict padded,
                         int channels, int lanes, int h, int w, int high, int wide, int top,
                         int left)
{
    const int y = (int)get_global_id(0), plane = (int)get_global_id(1);
    const int image = plane / channels, c = plane % channels;
    __global const float *in = lanes == 1 ? src + ((size_t)plane * h + y - top) * w
                                          : src + ((size_t)image * h + y - top) * w * lanes + c;
    __global float *out = padded + ((size_t)plane * high + y) * wide;
    const int from = y < top || y >= top + h ? wide : left;

    if (y >= high)
        return;
    for (int x = 0; x < min(from, wide); x++)
        out[x] = 0.0f;
    for (int x = from; x < min(left + w, wide); x++)
        out[x] = in[(x - left) * lanes];
    for (int x = max(from, left + w); x < wide; x++)
        out[x] = 0.0f;
}

/* The weights of one phase. `across` channels of src side by side:
 *
 *   kb > 0  [G][items][chunk of taps][C/across][taps of the chunk][across][kb][LANES]
 *   kb = 0  [G][chunk of taps][C/LANES][taps of the chunk][dst_channels][LANES], for conv_few
 *
 * One item: the taps of a chunk for `across` channels of src, which lie side by side here and
 * there.
 */
__kernel void pack_weights(__global const float *restrict w, __global float *restrict packed,
                           const blocked_shape s, int kb, int across, int chunk)
{
    const int taps = s.y.taps * s.x.taps, chunks = (taps + chunk - 1) / chunk;
    const int at = (int)get_global_id(0), block = at % s.blocks;
    const int first = at / s.blocks % chunks * chunk, last = min(first + chunk, taps);
    const int item = at / (s.blocks * chunks) % s.items, group = at / (s.blocks * chunks * s.items);
    const int dsts = kb ? kb * LANES : s.dst_channels; /* of an item */
    const int from_src = block * across, from_dst = item * dsts;
    const int there_src = min(across, s.src_channels - from_src);
    const int there_dst = min(dsts, s.dst_channels - from_dst);
    /* Between neighbours of dst, and of src, in the packed weights. */
    const int step_dst = kb ? 1 : LANES, step_src = kb ? dsts : 1;
    size_t place = (size_t)(group * s.items + item) * s.blocks * taps + (size_t)first * s.blocks +
                   (size_t)block * (last - first);

    if (group >= s.groups)
        return;
    packed += s.weight_offset + place * across * dsts;
    w += group * s.weight_group + from_dst * s.weight_dst + from_src * s.weight_src;
    for (int tap = first; tap < last; tap++, packed += across * dsts) {
        const int row = s.y.weight_first + tap / s.x.taps * s.y.weight_step;
        const int column = s.x.weight_first + tap % s.x.taps * s.x.weight_step;
        __global const float *of_tap = w + row * s.kernel_w + column;

        for (int i = 0; i < across; i++)
            for (int k = 0; k < dsts; k++)
                packed[i * step_src + k * step_dst] =
                    i < there_src && k < there_dst ? of_tap[k * s.weight_dst + i * s.weight_src]
                                                   : 0.0f;
    }
}
