/* libdeconv's side of a comparison; see ours.h. */
#include "ours.h"

#include <stdlib.h>
#include <string.h>

#include "tensor.h"

/* A network leaves sides with fewer channels as they are: lanes would be mostly padding. */
#define FEW_CHANNELS 4

struct ours {
    deconv_ctx *ctx;
    scratch scratch;
    conv_task task;
    convolution *convolution;
    buffer *src, *dst, *weights;
    shape src_shape, dst_shape;
};

static void check_ours(const ours *o, deconv_status status)
{
    if (status != DECONV_OK)
        die("%s", deconv_ctx_message(o->ctx));
}

/* The shape of the problem's input side or output side. */
static shape side_of(const conv_problem *p, bool in)
{
    const int64_t *size = in ? p->in_size : p->out_size;

    return (shape){4, {p->batch, in ? p->in_channels : p->out_channels, size[0], size[1]}};
}

/* The first pair of layouts that the engine takes, blocks before plain. */
static void choose_layouts(ours *o)
{
    int block = device_block(o->ctx);
    int src = o->src_shape.dim[1] > FEW_CHANNELS ? block : 1;
    int dst = o->dst_shape.dim[1] > FEW_CHANNELS ? block : 1;
    const int pairs[][2] = {{src, dst}, {src, 1}, {1, dst}, {1, 1}};

    for (int i = 0; i < 4; i++) {
        o->task.src_block = pairs[i][0];
        o->task.dst_block = pairs[i][1];
        if (convolution_can(&o->task))
            return;
    }
}

static buffer *side_buffer(ours *o, const shape *s, int block)
{
    size_t bytes = (size_t)layout_floats(s, block) * sizeof(float);
    buffer *out;

    check_ours(o, buffer_create(o->ctx, bytes, "a side", &out));
    check_ours(o, buffer_fill(o->ctx, out, 0, bytes, 0.0f));
    return out;
}

ours *ours_create(deconv_ctx *ctx, const conv_problem *p, conv_direction direction, ours_wish wish,
                  const float *weights)
{
    size_t bytes =
        (size_t)(p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1]) *
        sizeof(float);
    ours *o = calloc(1, sizeof *o);

    if (!o)
        die("no memory");
    o->ctx = ctx;
    o->src_shape = side_of(p, direction == CONV_FORWARD);
    o->dst_shape = side_of(p, direction != CONV_FORWARD);
    o->task = (conv_task){.ctx = ctx,
                          .problem = *p,
                          .direction = direction,
                          .scratch = &o->scratch,
                          .src_block = 1,
                          .dst_block = 1,
                          .approximate = wish.approximate};
    if (!wish.nchw)
        choose_layouts(o);
    o->src = side_buffer(o, &o->src_shape, o->task.src_block);
    o->dst = side_buffer(o, &o->dst_shape, o->task.dst_block);
    check_ours(o, buffer_create(ctx, bytes, "weights", &o->weights));
    check_ours(o, buffer_write(ctx, o->weights, 0, bytes, weights));
    check_ours(o, convolution_create(&o->task, o->weights, &o->convolution));
    check_ours(o, device_wait(ctx));
    return o;
}

void ours_free(ours *o)
{
    convolution_free(o->convolution);
    buffer_free(o->src);
    buffer_free(o->dst);
    buffer_free(o->weights);
    scratch_free(&o->scratch);
    free(o);
}

static void run(void *self, int times)
{
    ours *o = self;
    const conv_operands operands = {.src = o->src, .weights = o->weights, .dst = o->dst};

    for (int i = 0; i < times; i++)
        check_ours(o, convolution_run(o->convolution, &operands));
    check_ours(o, device_wait(o->ctx));
}

runner ours_runner(ours *o)
{
    return (runner){run, o};
}

/* Where element (n, c, i) of a side lies in blocks. */
static size_t place(const shape *s, int block, int64_t n, int64_t c, int64_t i)
{
    int64_t blocks = (s->dim[1] + block - 1) / block, plane = s->dim[2] * s->dim[3];

    return (size_t)(((n * blocks + c / block) * plane + i) * block + c % block);
}

static void reorder(const shape *s, int block, const float *from, float *to, bool to_blocks)
{
    int64_t plane = s->dim[2] * s->dim[3];

    for (int64_t n = 0; n < s->dim[0]; n++)
        for (int64_t c = 0; c < s->dim[1]; c++)
            for (int64_t i = 0; i < plane; i++) {
                size_t plain = (size_t)((n * s->dim[1] + c) * plane + i);
                size_t blocked = place(s, block, n, c, i);

                to[to_blocks ? blocked : plain] = from[to_blocks ? plain : blocked];
            }
}

void ours_load(ours *o, const float *values)
{
    size_t count = (size_t)layout_floats(&o->src_shape, o->task.src_block);
    float *stored = calloc(count, sizeof *stored);

    if (!stored)
        die("no memory");
    reorder(&o->src_shape, o->task.src_block, values, stored, true);
    check_ours(o, buffer_write(o->ctx, o->src, 0, count * sizeof *stored, stored));
    free(stored);
}

void ours_read(ours *o, float *values)
{
    size_t count = (size_t)layout_floats(&o->dst_shape, o->task.dst_block);
    float *stored = calloc(count, sizeof *stored);

    if (!stored)
        die("no memory");
    check_ours(o, buffer_read(o->ctx, o->dst, 0, count * sizeof *stored, stored));
    reorder(&o->dst_shape, o->task.dst_block, stored, values, false);
    free(stored);
}

const char *ours_algorithm(const ours *o)
{
    return convolution_algorithm(o->convolution);
}

const char *ours_layouts(const ours *o)
{
    static const char *const names[] = {"plain to plain", "plain to blocks", "blocks to plain",
                                        "blocks to blocks"};

    return names[(o->task.src_block > 1) * 2 + (o->task.dst_block > 1)];
}
