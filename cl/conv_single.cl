/* The adjoint of a convolution for signals that are zero outside one channel each: what the others
 * would add is zero, so nothing of them is read.
 *
 *   src    [N][ceil(K/SRC)][src_h][src_w][SRC]   image n is zero outside channel units[n]
 *   w      [K][C/G][kernel_h][kernel_w]          as ONNX stores it
 *   dst    [N][ceil(C/DST)][dst_h][dst_w][DST]   zeros in the lanes past the last channel
 *
 * Every cell of the channel sends itself times the filter to where the filter's taps came from.
 * A work-item owns what it adds to, and adds in the order of its cells: forwards or `backwards`,
 * as the algorithm does that serves signals of all channels.
 *
 * One work-item: `range` blocks of channels of one image.
 * SRC, DST  channels side by side: 1, 8 or 16 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef SRC
#define SRC 1
#endif
#ifndef DST
#define DST 1
#endif

/* Filled in by lib/conv/single.c, field for field. */
typedef struct single_shape {
    int batch;
    int src_blocks, src_h, src_w;
    int dst_blocks, dst_h, dst_w;
    int group_src, group_dst; /* channels in a group */
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int pad_h, pad_w;
    int dilation_h, dilation_w;
    int range;
    int backwards;
    int relu;
} single_shape;

/* `value` of row and column `y`, `x` of src, into the block that begins with channel `d` of the
 * group; `w` are the filter's taps of channel 0. */
void send(const single_shape *s, global const float *w, float value, int y, int x, int d,
          global float *out)
{
    const int taps = s->kernel_h * s->kernel_w;
    const int top = y * s->stride_h - s->pad_h, left = x * s->stride_w - s->pad_w;
    const int whole = d >= 0 && d + DST <= s->group_dst;

    for (int i = 0; i < s->kernel_h; i++) {
        const int row = top + i * s->dilation_h;

        if (row < 0 || row >= s->dst_h)
            continue;
        for (int j = 0; j < s->kernel_w; j++) {
            const int column = left + j * s->dilation_w;
            global float *cell = out + ((size_t)row * s->dst_w + column) * DST;
            const int tap = i * s->kernel_w + j;

            if (column < 0 || column >= s->dst_w)
                continue;
            if (whole) {
                for (int l = 0; l < DST; l++)
                    cell[l] = fma(value, w[(d + l) * taps + tap], cell[l]);
            } else {
                for (int l = max(0, -d); l < min(DST, s->group_dst - d); l++)
                    cell[l] = fma(value, w[(d + l) * taps + tap], cell[l]);
            }
        }
    }
}

/* Work-items: ranges of blocks, images. */
kernel void conv_single(global const float *restrict src, global const float *restrict w,
                        global const int *restrict units, global float *restrict dst,
                        single_shape s)
{
    const int first = (int)get_global_id(0) * s.range, image = (int)get_global_id(1);
    const int last = min(first + s.range, s.dst_blocks);

    if (image >= s.batch)
        return;
    const int unit = units[image], cells = s.src_h * s.src_w, floats = s.dst_h * s.dst_w * DST;
    global const float *in =
        src + ((size_t)image * s.src_blocks + unit / SRC) * cells * SRC + unit % SRC;
    global const float *filter = w + (size_t)unit * s.group_dst * s.kernel_h * s.kernel_w;

    for (int block = first; block < last; block++) {
        const int d = block * DST - unit / s.group_src * s.group_dst;
        global float *out = dst + ((size_t)image * s.dst_blocks + block) * floats;

        for (int i = 0; i < floats; i++)
            out[i] = 0.0f;
        if (d + DST <= 0 || d >= s.group_dst)
            continue;
        for (int i = 0; i < cells; i++) {
            const int cell = s.backwards ? cells - 1 - i : i;
            const float value = in[cell * SRC];

            if (value != 0.0f)
                send(&s, filter, value, cell / s.src_w, cell % s.src_w, d, out);
        }
        if (s.relu)
            for (int i = 0; i < floats; i++)
                out[i] = out[i] <= 0.0f ? 0.0f : out[i];
    }
}
