/* The adjoint of signals that lie in one channel each (cl/conv_single.cl): the first step of a pass
 * back from single units. Not in the table of algorithms: it serves in place of one of them, whose
 * bits it must give. */
#include "task.h"

#include <stdio.h>

/* As cl/conv_single.cl declares it, field for field. */
typedef struct single_shape {
    int32_t batch;
    int32_t src_blocks, src_h, src_w;
    int32_t dst_blocks, dst_h, dst_w;
    int32_t group_src, group_dst;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t dilation_h, dilation_w;
    int32_t range;
    int32_t backwards;
    int32_t relu;
} single_shape;

typedef struct single {
    deconv_ctx *ctx;
    kernel *kernel;
    single_shape shape;
} single;

/* Floats of dst that a work-item of a CPU device writes, at least. */
#define ITEM_FLOATS 2048

/* Whether the terms of one channel are added with nothing else between them, and in which order:
 * that of ascending positions of src, or of ascending taps. With one cell no two terms meet. */
static bool order_known(const conv_task *t, int order, bool *backwards)
{
    *backwards = order == CONV_ORDER_DIRECT;
    return t->one_cell || order == CONV_ORDER_DIRECT || order == CONV_ORDER_BLOCKED ||
           order == CONV_ORDER_PLANAR || order == CONV_ORDER_FEW;
}

bool conv_single_serves(const conv_task *t, const conv_algorithm *instead)
{
    bool backwards;

    return t->one_channel && t->direction == CONV_ADJOINT && task_src_channels(t) > 1 &&
           order_known(t, instead->order(t), &backwards);
}

static void single_release(void *plan)
{
    single *s = plan;

    kernel_free(s->kernel);
    mem_free(s->ctx, s);
}

static single_shape shape_of(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    return (single_shape){.batch = (int32_t)p->batch,
                          .src_blocks = (int32_t)ceil_div(p->out_channels, t->src_block),
                          .src_h = (int32_t)p->out_size[0],
                          .src_w = (int32_t)p->out_size[1],
                          .dst_blocks = (int32_t)ceil_div(p->in_channels, t->dst_block),
                          .dst_h = (int32_t)p->in_size[0],
                          .dst_w = (int32_t)p->in_size[1],
                          .group_src = (int32_t)task_src_channels(t),
                          .group_dst = (int32_t)task_dst_channels(t),
                          .kernel_h = (int32_t)p->kernel[0],
                          .kernel_w = (int32_t)p->kernel[1],
                          .stride_h = (int32_t)p->stride[0],
                          .stride_w = (int32_t)p->stride[1],
                          .pad_h = (int32_t)p->pad[0],
                          .pad_w = (int32_t)p->pad[1],
                          .dilation_h = (int32_t)p->dilation[0],
                          .dilation_w = (int32_t)p->dilation[1],
                          .range = 1};
}

deconv_status conv_single_create(const conv_task *t, const conv_algorithm *instead, void **out)
{
    deconv_status status = DECONV_OK;
    single *s = NULL;
    char options[48];
    bool backwards;

    *out = NULL;
    TRY_ALLOC(s, t->ctx, 1);
    s->ctx = t->ctx;
    s->shape = shape_of(t);
    order_known(t, instead->order(t), &backwards);
    s->shape.backwards = backwards;
    if (device_limits_of(t->ctx)->kind == DECONV_DEVICE_CPU) {
        int64_t floats = task_dst_size(t)[0] * task_dst_size(t)[1] * t->dst_block;
        int64_t range = ceil_div(ITEM_FLOATS, floats);

        s->shape.range = (int32_t)(range < s->shape.dst_blocks ? range : s->shape.dst_blocks);
    }
    snprintf(options, sizeof options, "-DSRC=%d -DDST=%d", t->src_block, t->dst_block);
    TRY(kernel_create(t->ctx, "conv_single.cl", options, "conv_single", &s->kernel));
    *out = s;
    s = NULL;
done:
    if (s)
        single_release(s);
    return status;
}

static deconv_status single_run(void *plan, const conv_operands *operands)
{
    single *s = plan;
    kernel *k = s->kernel;
    int64_t ranges = ceil_div(s->shape.dst_blocks, s->shape.range);

    s->shape.relu = operands->relu;
    kernel_begin(k);
    arg_buffer(k, operands->src);
    arg_buffer(k, operands->weights);
    arg_buffer(k, operands->units);
    arg_buffer(k, operands->dst);
    arg_struct(k, &s->shape, sizeof s->shape);
    return device_limits_of(s->ctx)->kind == DECONV_DEVICE_CPU
               ? kernel_launch_groups(k, ranges, s->shape.batch, 1, 1, 1, 1)
               : kernel_launch(k, ranges, s->shape.batch, 1);
}

const conv_algorithm conv_algorithm_single = {
    .name = "single",
    .run = single_run,
    .release = single_release,
};
