/* Maps between layouts and windows (cl/layout.h); see layout.h. */
#include "layout.h"

#include <stdio.h>

/* As cl/layout.h declares it, field for field. */
typedef struct move_shape {
    placed_frame from, to;
    int32_t count, channels;
    int32_t block, add, numbered;
} move_shape;

deconv_status mover_create(deconv_ctx *ctx, int64_t channels, int from, int to, mover *out)
{
    char name[32] = "move_alike";

    if (from != to)
        snprintf(name, sizeof name, "move_%d_to_%d", from, to);
    *out = (mover){.channels = channels, .to_block = to};
    return kernel_create(ctx, "maps.cl", "", name, &out->kernel);
}

void mover_release(mover *m)
{
    kernel_free(m->kernel);
    *m = (mover){0};
}

/* `w`: NULL for whole maps. */
static deconv_status move(const mover *m, const buffer *from, const buffer *to, const windows *w,
                          const move_shape *s)
{
    int64_t planes = (m->channels + m->to_block - 1) / m->to_block;
    kernel *k = m->kernel;
    kernel_begin(k);
    arg_buffer(k, from);
    arg_buffer(k, to);
    arg_buffer(k, w ? w->seeds : NULL);
    arg_buffer(k, w ? w->origins : NULL);
    arg_struct(k, s, sizeof *s);
    return kernel_launch_groups(k, s->to.size[0], s->count * planes, 1, 1, 1, 1);
}

deconv_status mover_run(const mover *m, const shape *map, const buffer *from, const buffer *to,
                        bool add)
{
    const window_frame whole = frame_whole(map);
    const move_shape s = {.from = frame_placed(&whole),
                          .to = frame_placed(&whole),
                          .count = (int32_t)map->dim[0],
                          .channels = (int32_t)m->channels,
                          .block = m->to_block,
                          .add = add};

    return move(m, from, to, NULL, &s);
}

deconv_status mover_run_windows(const mover *m, const windows *w, const window_frame *from_frame,
                                const buffer *from, const window_frame *to_frame, const buffer *to,
                                bool add, bool numbered)
{
    const move_shape s = {.from = frame_placed(from_frame),
                          .to = frame_placed(to_frame),
                          .count = (int32_t)w->count,
                          .channels = (int32_t)m->channels,
                          .block = m->to_block,
                          .add = add,
                          .numbered = numbered};

    return move(m, from, to, w, &s);
}

void unblock(const float *blocked, int64_t channels, int64_t size, int block, float *values)
{
    for (int64_t first = 0; first < channels; first += block, blocked += size * block) {
        int there = channels - first < block ? (int)(channels - first) : block;

        for (int64_t i = 0; i < size; i++)
            for (int l = 0; l < there; l++)
                values[(first + l) * size + i] = blocked[i * block + l];
    }
}
