/* The source of a convolution as its kernel wants it: blocks of channels, or planes with a border.
 */
#include "blocked.h"

#include <stdio.h>

/* As cl/conv_pack.cl has it: positions that one work-item of pack_channels takes. */
#define PACK_ROW 64

static void widen(const conv_task *t, int axis, int64_t *before, int64_t *size)
{
    int64_t first = 0, last = task_src_size(t)[axis] - 1;

    for (int i = 0; i < phase_count(&t->problem, t->direction, axis); i++) {
        phase_axis a = phase_of(&t->problem, t->direction, axis, i);
        int64_t end =
            a.src_first + (int64_t)(a.count - 1) * a.src_step + (int64_t)(a.taps - 1) * a.tap_step;

        if (a.taps == 0)
            continue;
        first = a.src_first < first ? a.src_first : first;
        last = end > last ? end : last;
    }
    *before = -first;
    *size = last - first + 1;
}

bordered source_border(const conv_task *t)
{
    bordered b;

    widen(t, 0, &b.top, &b.high);
    widen(t, 1, &b.left, &b.wide);
    return b;
}

bool source_is_ready(const conv_task *t, const tiling *g)
{
    const int64_t *size = task_src_size(t);
    bordered b;

    if (g->across > 1)
        return t->src_block == g->across;
    b = source_border(t);
    return t->src_block == 1 && b.high == size[0] && b.wide == size[1];
}

int64_t source_floats(const conv_task *t, const tiling *g)
{
    const int64_t planes = t->problem.batch * t->problem.groups;
    const int64_t *size = task_src_size(t);
    bordered b = source_border(t);

    return g->across > 1
               ? planes * ceil_div(task_src_channels(t), g->across) * g->across * size[0] * size[1]
               : planes * task_src_channels(t) * b.high * b.wide;
}

deconv_status source_kernel(const conv_task *t, const tiling *g, kernel **out)
{
    char options[32];

    snprintf(options, sizeof options, "-DLANES=%d", g->lanes);
    return kernel_create(t->ctx, "conv_pack.cl", options,
                         g->across > 1 ? "pack_channels" : "pad_planes", out);
}

deconv_status source_pack(const conv_task *t, const tiling *g, kernel *k, const buffer *src)
{
    const int64_t channels = task_src_channels(t), planes = t->problem.batch * t->problem.groups;
    const int64_t *size = task_src_size(t);

    kernel_begin(k);
    arg_buffer(k, src);
    arg_buffer(k, t->scratch->data);
    if (g->across > 1) {
        arg_int(k, channels);
        arg_int(k, size[0] * size[1]);
        return kernel_launch_groups(k, ceil_div(size[0] * size[1], PACK_ROW),
                                    planes * ceil_div(channels, g->across), 1, 1, 1, 1);
    }
    const bordered b = source_border(t);

    arg_int(k, channels * t->problem.groups);
    arg_int(k, t->src_block);
    arg_int(k, size[0]);
    arg_int(k, size[1]);
    arg_int(k, b.high);
    arg_int(k, b.wide);
    arg_int(k, b.top);
    arg_int(k, b.left);
    return kernel_launch_groups(k, b.high, planes * channels, 1, 1, 1, 1);
}
