/* What is packed for cl/conv_blocked.cl: sources into blocks of channels or planes with a border,
 * before each run; weights once.
 *
 *   LANES  16 or 8: floats in a vector register
 */
/* One axis of a phase; lib/conv/phases.h has the same. */
typedef struct {
    int first, step, count;  /* positions of dst: first + u step, u < count */
    int src_step, src_first; /* tap m of position u reads src_first + u src_step + m tap_step */
    int taps, tap_step;
    int weight_first, weight_step; /* tap m is the kernel's weight_first + m weight_step */
} phase_axis;

/* lib/conv/blocked.h has the same. */
typedef struct {
    phase_axis y, x;
    int batch, groups, blocks;      /* blocks of src channels in a group */
    int src_channels, src_h, src_w; /* channels in a group */
    int dst_channels, dst_h, dst_w;
    int src_image, src_plane; /* floats from image to image, from block of channels to block */
    int dst_image;            /* floats from image to image of dst */
    int dst_from;             /* float of dst where the first image begins */
    int dst_block;            /* 1: dst is NCHW; LANES: blocks */
    int relu;                 /* what is below zero becomes zero */
    int items, range;         /* KB blocks of dst each, in a group; items of a work-item */
    int tiles;                /* of a work-item */
    int weight_offset;        /* of this phase, in floats */
    int weight_group, weight_dst, weight_src, kernel_w; /* steps through the ONNX weights */
} blocked_shape;

/* Eight vectors of eight as a matrix, turned over its diagonal. */
#define TRANSPOSE8(a, b, c, d, e, f, g, h)                                                         \
    {                                                                                              \
        const float8 ab = PAIR_UP(a, b, s0, s1, s4, s5), ab2 = PAIR_UP(a, b, s2, s3, s6, s7);      \
        const float8 cd = PAIR_UP(c, d, s0, s1, s4, s5), cd2 = PAIR_UP(c, d, s2, s3, s6, s7);      \
        const float8 ef = PAIR_UP(e, f, s0, s1, s4, s5), ef2 = PAIR_UP(e, f, s2, s3, s6, s7);      \
        const float8 gh = PAIR_UP(g, h, s0, s1, s4, s5), gh2 = PAIR_UP(g, h, s2, s3, s6, s7);      \
        const float8 p = FIRSTS(ab, cd), q = SECONDS(ab, cd);                                      \
        const float8 r = FIRSTS(ab2, cd2), t_ = SECONDS(ab2, cd2);                                 \
        const float8 p2 = FIRSTS(ef, gh), q2 = SECONDS(ef, gh);                                    \
        const float8 r2 = FIRSTS(ef2, gh2), t2 = SECONDS(ef2, gh2);                                \
        a = (float8)(p.lo, p2.lo);                                                                 \
        b = (float8)(q.lo, q2.lo);                                                                 \
        c = (float8)(r.lo, r2.lo);                                                                 \
        d = (float8)(t_.lo, t2.lo);                                                                \
        e = (float8)(p.hi, p2.hi);                                                                 \
        f = (float8)(q.hi, q2.hi);                                                                 \
        g = (float8)(r.hi, r2.hi);                                                                 \
        h = (float8)(t_.hi, t2.hi);                                                                \
    }
#define PAIR_UP(x, y, i, j, k, l) (float8)(x.i, y.i, x.j, y.j, x.k, y.k, x.l, y.l)
#define FIRSTS(x, y)              (float8)(x.s01, y.s01, x.s45, y.s45)
#define SECONDS(x, y)             (float8)(x.s23, y.s23, x.s67, y.s67)

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
            vstore8(a, 0, out + (t + 0) * LANES + l);
            vstore8(b, 0, out + (t + 1) * LANES + l);
            vstore8(c, 0, out + (t + 2) * LANES + l);
            vstore8(d, 0, out + (t + 3) * LANES + l);
            vstore8(e, 0, out + (t + 4) * LANES + l);
            vstore8(f, 0, out + (t + 5) * LANES + l);
            vstore8(g, 0, out + (t + 6) * LANES + l);
            vstore8(h, 0, out + (t + 7) * LANES + l);
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
