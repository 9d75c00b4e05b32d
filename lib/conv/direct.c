/* The clear convolution algorithm (cl/conv_direct.cl): sizes and launches. */
#include "engine.h"

#include <stdio.h>

#include "lanes.h"

/* As cl/conv_direct.cl declares it, field for field. */
typedef struct gather_shape {
    int32_t batch, groups;
    int32_t src_channels, src_h, src_w;
    int32_t dst_channels, dst_h, dst_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t dilation_h, dilation_w;
    int32_t tap_step_h, tap_step_w;
    int32_t weight_dst, weight_src;
    int32_t chunk;
    int32_t relu;
    int32_t items;
} gather_shape;

/* One direction: where it reads, where it writes, how it is launched. */
typedef struct gather {
    deconv_ctx *ctx;
    kernel *kernel;
    gather_shape shape;
    int64_t planes; /* image, group and block of channels */
} gather;

/* Terms in a partial sum: rounding grows with the root of these and of their number. */
#define SUM_TERMS 256

/* Channels that one work-item computes: they share what it reads of the source. */
#define CHANNEL_BLOCK 8

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static gather_shape shape_of(const conv_problem *p, bool adjoint)
{
    const int64_t *src = adjoint ? p->out_size : p->in_size;
    const int64_t *dst = adjoint ? p->in_size : p->out_size;
    int64_t in_channels = p->in_channels / p->groups, out_channels = p->out_channels / p->groups;
    int64_t taps = p->kernel[0] * p->kernel[1];

    return (gather_shape){
        .batch = (int32_t)p->batch,
        .groups = (int32_t)p->groups,
        .src_channels = (int32_t)(adjoint ? out_channels : in_channels),
        .src_h = (int32_t)src[0],
        .src_w = (int32_t)src[1],
        .dst_channels = (int32_t)(adjoint ? in_channels : out_channels),
        .dst_h = (int32_t)dst[0],
        .dst_w = (int32_t)dst[1],
        .kernel_h = (int32_t)p->kernel[0],
        .kernel_w = (int32_t)p->kernel[1],
        .stride_h = (int32_t)p->stride[0],
        .stride_w = (int32_t)p->stride[1],
        .pad_h = (int32_t)p->pad[0],
        .pad_w = (int32_t)p->pad[1],
        .dilation_h = (int32_t)p->dilation[0],
        .dilation_w = (int32_t)p->dilation[1],
        .tap_step_h = (int32_t)(p->stride[0] / common_divisor(p->stride[0], p->dilation[0])),
        .tap_step_w = (int32_t)(p->stride[1] / common_divisor(p->stride[1], p->dilation[1])),
        .weight_dst = (int32_t)(adjoint ? taps : in_channels * taps),
        .weight_src = (int32_t)(adjoint ? in_channels * taps : taps),
        .chunk = (int32_t)(taps < SUM_TERMS ? SUM_TERMS / taps : 1),
    };
}

static deconv_status plan_gather(deconv_ctx *ctx, const conv_problem *p, bool adjoint, gather *out)
{
    gather_shape *s = &out->shape;
    deconv_status status = DECONV_OK;
    char options[64];
    int64_t residues, row;
    int lanes, block;

    *s = shape_of(p, adjoint);
    /* Neighbouring lanes of the adjoint lie a stride apart: see the kernel. */
    residues = !adjoint ? 1 : s->stride_w < s->dst_w ? s->stride_w : s->dst_w;
    row = ceil_div(s->dst_w, residues);
    lanes = vector_lanes(ctx, row);
    block = s->dst_channels == 1 ? 1 : CHANNEL_BLOCK;
    s->items = (int32_t)(residues * ceil_div(row, lanes));
    out->planes = (int64_t)s->batch * s->groups * ceil_div(s->dst_channels, block);
    snprintf(options, sizeof options, "-DLANES=%d -DBLOCK=%d", lanes, block);
    TRY(kernel_create(ctx, "conv_direct.cl", options, adjoint ? "conv_adjoint" : "conv_forward",
                      &out->kernel));
done:
    return status;
}

static void direct_release(void *plan)
{
    gather *g = plan;

    kernel_free(g->kernel);
    mem_free(g->ctx, g);
}

static deconv_status direct_create(const conv_task *task, void **out)
{
    const conv_problem p = conv_problem_flat(&task->problem);
    deconv_status status = DECONV_OK;
    gather *g = NULL;

    *out = NULL;
    TRY_ALLOC(g, task->ctx, 1);
    g->ctx = task->ctx;
    TRY(plan_gather(task->ctx, &p, task->direction == CONV_ADJOINT, g));
    *out = g;
    g = NULL;
done:
    if (g)
        direct_release(g);
    return status;
}

static deconv_status direct_run(void *plan, const conv_operands *operands)
{
    gather *g = plan;

    g->shape.relu = operands->relu;
    kernel_begin(g->kernel);
    arg_buffer(g->kernel, operands->src);
    arg_buffer(g->kernel, operands->weights);
    arg_buffer(g->kernel, operands->bias);
    arg_buffer(g->kernel, operands->add);
    arg_buffer(g->kernel, operands->dst);
    arg_struct(g->kernel, &g->shape, sizeof g->shape);
    return kernel_launch(g->kernel, g->shape.items, g->shape.dst_h, g->planes);
}

static const char *direct_refuses(const conv_task *task)
{
    if (task->src_block != 1 || task->dst_block != 1)
        return "it reads and writes NCHW only";
    return NULL;
}

/* Share of a CPU's peak that it reaches (measured on PoCL); the work without padding. */
#define DIRECT_SHARE 0.15

static double direct_cost(const conv_task *task)
{
    return conv_problem_work(&task->problem) / DIRECT_SHARE;
}

static int direct_order(const conv_task *task)
{
    (void)task;
    return CONV_ORDER_DIRECT;
}

const conv_algorithm conv_algorithm_direct = {
    .name = "direct",
    .refuses = direct_refuses,
    .cost = direct_cost,
    .order = direct_order,
    .create = direct_create,
    .run = direct_run,
    .release = direct_release,
};
