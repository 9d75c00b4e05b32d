/* Maps put together out of windows and clean maps (cl/windows.cl). */
#include "windows.h"

#include <stdio.h>

static int layout_index(int block)
{
    return block == 1 ? 0 : block == 8 ? 1 : 2;
}

void gatherer_free(gatherer *g)
{
    for (int i = 0; i < 3; i++) {
        kernel_free(g->blocks[i]);
        for (int k = 0; k < 3; k++)
            kernel_free(g->channels[i][k]);
    }
}

deconv_status gather_prepare(gatherer *g, int from_block, int to_block)
{
    kernel **blocks = &g->blocks[layout_index(from_block)];
    kernel **channels = &g->channels[layout_index(from_block)][layout_index(to_block)];
    deconv_status status = DECONV_OK;
    char options[48];

    snprintf(options, sizeof options, "-DFROM=%d -DTO=%d", from_block, to_block);
    if (from_block == to_block && !*blocks)
        TRY(kernel_create(g->ctx, "windows.cl", options, "gather_blocks", blocks));
    if (!*channels)
        TRY(kernel_create(g->ctx, "windows.cl", options, "gather_channels", channels));
done:
    return status;
}

/* Whole blocks go to whole blocks. */
static bool by_blocks(int from, int to, const gather_shape *s)
{
    return from == to && s->first % from == 0 && s->to_first % to == 0 &&
           (s->taken % to == 0 || s->to_first + s->taken == s->to_channels);
}

deconv_status gather_run(gatherer *g, int from_block, int to_block, const gather_shape *s,
                         const buffer *base, const buffer *window, const buffer *to,
                         const buffer *origins)
{
    bool blocks = by_blocks(from_block, to_block, s);
    kernel *k = blocks ? g->blocks[layout_index(from_block)]
                       : g->channels[layout_index(from_block)][layout_index(to_block)];
    int64_t taken = blocks ? (s->taken + to_block - 1) / to_block : s->taken;

    kernel_begin(k);
    arg_buffer(k, base);
    arg_buffer(k, window);
    arg_buffer(k, to);
    arg_buffer(k, origins);
    arg_struct(k, s, sizeof *s);
    return kernel_launch_groups(k, taken * s->count, 1, 1, 1, 1, 1);
}
