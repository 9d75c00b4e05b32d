/* Convolution by 1x1 kernels between row-major sides for CPU devices, lanes across positions
 * (cl/conv_pointwise.cl): nothing is packed but the weights, and results are stored as they are
 * summed. */
#include "blocked.h"
#include "packed.h"

#include <stdio.h>
#include <string.h>

/* Share of peak, measured on PoCL. */
#define POINTWISE_SHARE 0.95

/* What a value of a strided adjoint's result costs where rows are shorter than a vector, in
 * multiply-adds: it is stored by itself. */
#define NARROW_VALUE 32.0

/* As cl/conv_pointwise.cl has it. */
#define MOST_VECTORS 2

/* As cl/conv_pointwise.cl has it, field for field. */
typedef struct pointwise_shape {
    int32_t positions, width;
    int32_t vectors;
    int32_t src_channels, dst_channels, groups;
    int32_t src_image, src_plane;
    int32_t dst_image, dst_plane, dst_from;
    int32_t stride_h, stride_w;
    int32_t src_w, dst_h, dst_w;
    int32_t items, range;
    int32_t relu;
    int32_t weight_group, weight_dst, weight_src;
} pointwise_shape;

typedef struct pointwise_plan {
    conv_task task;
    pointwise_shape shape;
    kernel *pack, *compute;
    packed *weights;
    int64_t chunks, ranges; /* of vectors, of items: the launch */
} pointwise_plan;

/* Channels of dst in an item: with two vectors of positions they fill the registers. */
static int item_channels(const conv_task *t)
{
    return task_lanes(t) == 16 ? 12 : 6;
}

static int64_t item_count(const conv_task *t)
{
    return ceil_div(task_dst_channels(t), item_channels(t));
}

/* Which side is the larger one; cl/conv_pointwise.cl has the same. */
static const char *sides_of(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    if (p->in_size[0] == p->out_size[0] && p->in_size[1] == p->out_size[1])
        return "ALIKE";
    return t->direction == CONV_FORWARD ? "GATHER" : "SPREAD";
}

/* Positions of the smaller side. */
static int64_t positions_of(const conv_task *t)
{
    return t->problem.out_size[0] * t->problem.out_size[1];
}

/* ---- The algorithm's answers ---- */

static const char *pointwise_refuses(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    if (device_limits_of(t->ctx)->kind != DECONV_DEVICE_CPU)
        return "it is made for the registers of CPU devices";
    for (int i = 0; i < 2; i++) {
        if (p->kernel[i] != 1)
            return "it is made for kernels of 1x1";
        if (p->pad[i] != 0 || (p->out_size[i] - 1) * p->stride[i] >= p->in_size[i] ||
            (p->stride[i] == 1 && p->in_size[i] != p->out_size[i]))
            return "it takes no padding";
    }
    if (t->src_block != 1 || t->dst_block != 1)
        return "it takes row-major sides only";
    if (p->groups == 1 ? task_dst_channels(t) <= 4 : task_src_channels(t) == 1)
        return "there are too few channels";
    if (positions_of(t) < task_lanes(t))
        return "a plane does not fill a vector";
    return NULL;
}

static double pointwise_cost(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    const int64_t lanes = task_lanes(t), channels = item_count(t) * item_channels(t);
    const bool narrow = strcmp(sides_of(t), "SPREAD") == 0 && p->out_size[1] < lanes;

    return (double)p->batch * (double)(ceil_div(positions_of(t), lanes) * lanes) *
               (double)(channels * p->groups) * (double)task_src_channels(t) / POINTWISE_SHARE +
           (narrow ? NARROW_VALUE * (double)task_dst_floats(t) : 0.0);
}

/* As planar and blocked add the channels of a single tap. */
static int pointwise_order(const conv_task *t)
{
    return task_src_channels(t) < PACK_CHANNELS ? CONV_ORDER_PLANAR : CONV_ORDER_BLOCKED;
}

/* ---- Planning ---- */

static pointwise_shape shape_of(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    const int64_t *src = task_src_size(t), *dst = task_dst_size(t);

    return (pointwise_shape){
        .positions = (int32_t)positions_of(t),
        .width = (int32_t)p->out_size[1],
        .src_channels = (int32_t)task_src_channels(t),
        .dst_channels = (int32_t)task_dst_channels(t),
        .groups = (int32_t)p->groups,
        .src_image = (int32_t)(p->groups * task_src_channels(t) * src[0] * src[1]),
        .src_plane = (int32_t)(src[0] * src[1]),
        .dst_image = (int32_t)(p->groups * task_dst_channels(t) * dst[0] * dst[1]),
        .dst_plane = (int32_t)(dst[0] * dst[1]),
        .stride_h = (int32_t)p->stride[0],
        .stride_w = (int32_t)p->stride[1],
        .src_w = (int32_t)src[1],
        .dst_h = (int32_t)dst[0],
        .dst_w = (int32_t)dst[1],
        .items = (int32_t)item_count(t),
        .weight_group = (int32_t)task_weight_group(t),
        .weight_dst = (int32_t)task_weight_dst(t),
        .weight_src = (int32_t)task_weight_src(t)};
}

/* Positions are shared out first: each share copies its source once. Where they are too few for all
 * cores, items are too. */
static void split_work(pointwise_plan *plan)
{
    const conv_task *t = &plan->task;
    pointwise_shape *s = &plan->shape;
    const int64_t lanes = task_lanes(t), vectors = ceil_div(s->positions, lanes);
    const int64_t cores = device_limits_of(t->ctx)->compute_units;
    const int64_t apart = t->problem.batch * s->groups, tiles = ceil_div(vectors, MOST_VECTORS);
    const double work = (double)apart * (double)(vectors * lanes) * (double)s->src_channels *
                        (double)(s->items * item_channels(t));
    int64_t parts = cores * CORE_GROUPS, each;

    if ((double)parts > work / LEAST_GROUP_WORK)
        parts = (int64_t)(work / LEAST_GROUP_WORK) + 1;
    each = ceil_div(parts, apart);
    each = each < tiles ? each : tiles;
    s->vectors = (int32_t)(ceil_div(tiles, each) * MOST_VECTORS);
    plan->chunks = ceil_div(vectors, s->vectors);
    each = ceil_div(parts, apart * plan->chunks);
    each = each < s->items ? each : s->items;
    s->range = (int32_t)ceil_div(s->items, each);
    plan->ranges = ceil_div(s->items, s->range);
}

static void pointwise_release(void *state)
{
    pointwise_plan *plan = state;

    kernel_free(plan->pack);
    kernel_free(plan->compute);
    packed_leave(plan->weights);
    mem_free(plan->task.ctx, plan);
}

static deconv_status get_weights(pointwise_plan *plan)
{
    const pointwise_shape *s = &plan->shape;
    const int32_t channels = item_channels(&plan->task);
    const int32_t key[] = {PACKED_POINTWISE, channels,        s->groups,     s->src_channels,
                           s->dst_channels,  s->weight_group, s->weight_dst, s->weight_src};
    const int64_t floats = (int64_t)s->groups * s->items * s->src_channels * channels;
    deconv_status status = DECONV_OK;

    if (floats > INT32_MAX)
        FAIL(plan->task.ctx, DECONV_ERROR_UNSUPPORTED,
             "a convolution's weights are too large to be packed: over 2147483647 values");
    TRY(packed_get(&plan->task, key, sizeof key / sizeof key[0], floats, &plan->weights));
done:
    return status;
}

static deconv_status pointwise_create(const conv_task *t, void **out)
{
    static const char file[] = "conv_pointwise.cl";
    deconv_status status = DECONV_OK;
    pointwise_plan *plan = NULL;
    char options[64];

    *out = NULL;
    TRY_ALLOC(plan, t->ctx, 1);
    plan->task = *t;
    plan->shape = shape_of(t);
    split_work(plan);
    snprintf(options, sizeof options, "-DLANES=%d -DKC=%d -DSIDES=%s", task_lanes(t),
             item_channels(t), sides_of(t));
    TRY(kernel_create(t->ctx, file, options, "pack_pointwise", &plan->pack));
    TRY(kernel_create(t->ctx, file, options, "conv_pointwise", &plan->compute));
    TRY(get_weights(plan));
    *out = plan;
    plan = NULL;
done:
    if (plan)
        pointwise_release(plan);
    return status;
}

static packed *pointwise_packed(const void *state)
{
    const pointwise_plan *plan = state;

    return plan->weights;
}

/* ---- Running ---- */

static deconv_status pointwise_pack(void *state, const buffer *weights)
{
    pointwise_plan *plan = state;
    const pointwise_shape *s = &plan->shape;
    kernel *k = plan->pack;

    kernel_begin(k);
    arg_buffer(k, weights);
    arg_buffer(k, plan->weights->data);
    arg_struct(k, s, sizeof *s);
    return kernel_launch(k, (int64_t)s->groups * s->items * s->src_channels, 1, 1);
}

static deconv_status pointwise_run(void *state, const conv_operands *operands)
{
    pointwise_plan *plan = state;
    pointwise_shape s = plan->shape;
    kernel *k = plan->compute;

    s.relu = operands->relu;
    if (operands->dst_image) {
        s.dst_from = (int32_t)operands->dst_from;
        s.dst_image = (int32_t)operands->dst_image;
    }
    kernel_begin(k);
    arg_buffer(k, operands->src);
    arg_buffer(k, plan->weights->data);
    arg_buffer(k, operands->bias);
    arg_buffer(k, operands->add);
    arg_buffer(k, operands->dst);
    arg_struct(k, &s, sizeof s);
    return kernel_launch_groups(k, plan->chunks, plan->task.problem.batch, s.groups * plan->ranges,
                                1, 1, 1);
}

const conv_algorithm conv_algorithm_pointwise = {
    .name = "pointwise",
    .refuses = pointwise_refuses,
    .cost = pointwise_cost,
    .order = pointwise_order,
    .create = pointwise_create,
    .pack = pointwise_pack,
    .packed = pointwise_packed,
    .run = pointwise_run,
    .release = pointwise_release,
};
