/* Convolution over blocks of channels for CPU devices (cl/conv_blocked.cl): `blocked` for results
 * of many channels, `few` for results of up to four. */
#include "engine.h"

#include <stdio.h>

/* As cl/conv_blocked.cl declares it, field for field. */
typedef struct blocked_shape {
    phase_axis y, x;
    int32_t groups, blocks;
    int32_t src_channels, src_h, src_w;
    int32_t dst_channels, dst_h, dst_w;
    int32_t src_image, src_plane;
    int32_t dst_image;
    int32_t dst_block;
    int32_t relu;
    int32_t items;
    int32_t weight_offset;
    int32_t weight_group, weight_dst, weight_src, kernel_w;
} blocked_shape;

/* How the kernel is specialised. */
typedef struct tiling {
    int lanes;
    int tile;   /* positions per work-item */
    int kb;     /* blocks of result channels per work-item; 0: the `few` kernel */
    int across; /* source channels side by side: lanes when packed, 1 when read as they are */
} tiling;

/* Positions and blocks that fill a register file: 28 sums of 32 registers, 12 of 16. */
static const tiling wide[] = {{16, 14, 2, 0}, {16, 7, 4, 0}, {16, 14, 1, 0}};
static const tiling narrow[] = {{8, 6, 2, 0}, {8, 3, 4, 0}, {8, 12, 1, 0}};
enum { TILINGS = sizeof wide / sizeof wide[0] };

/* Shares of peak, measured on PoCL: what the estimate divides by. */
#define BLOCKED_SHARE      0.90
#define SINGLE_BLOCK_SHARE 0.50 /* one vector of weights per load of a position */
#define FEW_SHARE          0.80

/* Below this many source channels lanes would be mostly padding: read NCHW as it is. */
#define PACK_CHANNELS 8

typedef struct blocked_plan {
    conv_task task;
    tiling tiling;
    kernel *pack_channels, *pack_weights, *compute;
    buffer *weights, *zeros;
    blocked_shape *phase;
    int *weight_count; /* floats of each phase */
    int phases;
} blocked_plan;

/* ---- The task as the kernel sees it ---- */

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Channels in a group of the side that is read, and of the one that is written. */
static int64_t src_channels(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    return (t->direction == CONV_FORWARD ? p->in_channels : p->out_channels) / p->groups;
}

static int64_t dst_channels(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    return (t->direction == CONV_FORWARD ? p->out_channels : p->in_channels) / p->groups;
}

static const int64_t *src_size(const conv_task *t)
{
    return t->direction == CONV_FORWARD ? t->problem.in_size : t->problem.out_size;
}

static const int64_t *dst_size(const conv_task *t)
{
    return t->direction == CONV_FORWARD ? t->problem.out_size : t->problem.in_size;
}

static int lanes_of(const conv_task *t)
{
    return device_limits_of(t->ctx)->vector_floats >= 16 ? 16 : 8;
}

static int src_step(const conv_task *t)
{
    return t->direction == CONV_FORWARD ? (int)t->problem.stride[1] : 1;
}

/* Multiply-adds that a tiling spends, the idle lanes and positions included. */
static double padded_work(const conv_task *t, const tiling *g)
{
    const conv_problem *p = &t->problem;
    int64_t positions = 0, channels, sources;
    int rows = phase_count(p, t->direction, 0), columns = phase_count(p, t->direction, 1);

    for (int i = 0; i < rows * columns; i++) {
        phase_axis y = phase_of(p, t->direction, 0, i / columns);
        phase_axis x = phase_of(p, t->direction, 1, i % columns);

        positions += y.count * ceil_div(x.count, g->tile) * g->tile * y.taps * x.taps;
    }
    channels =
        g->kb ? ceil_div(dst_channels(t), g->kb * g->lanes) * g->kb * g->lanes : dst_channels(t);
    sources = ceil_div(src_channels(t), g->across) * g->across;
    return (double)positions * (double)(p->batch * p->groups) * (double)channels * (double)sources;
}

static double share_of(const tiling *g)
{
    return g->kb == 0 ? FEW_SHARE : g->kb == 1 ? SINGLE_BLOCK_SHARE : BLOCKED_SHARE;
}

static tiling best_tiling(const conv_task *t)
{
    const tiling *list = lanes_of(t) == 16 ? wide : narrow;
    tiling best = list[0];

    best.across = src_channels(t) >= PACK_CHANNELS ? best.lanes : 1;
    for (int i = 1; i < TILINGS; i++) {
        tiling g = list[i];

        g.across = best.across;
        if (padded_work(t, &g) / share_of(&g) < padded_work(t, &best) / share_of(&best))
            best = g;
    }
    return best;
}

/* The fewer channels, the more positions a work-item takes. */
static tiling few_tiling(const conv_task *t)
{
    static const int positions[2][5] = {{0, 10, 5, 4, 3}, {0, 16, 10, 6, 5}};
    int lanes = lanes_of(t);

    return (tiling){lanes, positions[lanes == 16][dst_channels(t)], 0, lanes};
}

/* ---- The choice ---- */

static int64_t floats_of_image(const int64_t *size, int64_t channels, int block)
{
    return ceil_div(channels, block) * block * size[0] * size[1];
}

/* Whether the channels of every group fill whole blocks of a side stored in blocks. */
static bool fits_blocks(const conv_task *t, int block, int64_t channels)
{
    return block == 1 ||
           (block == lanes_of(t) && (t->problem.groups == 1 || channels % block == 0));
}

static const char *refuses_device(const conv_task *t)
{
    if (device_limits_of(t->ctx)->kind != DECONV_DEVICE_CPU)
        return "it is made for the registers of CPU devices";
    if (!fits_blocks(t, t->src_block, src_channels(t)) ||
        !fits_blocks(t, t->dst_block, dst_channels(t)))
        return "a block would hold channels of two groups";
    if (floats_of_image(src_size(t), src_channels(t) * t->problem.groups, lanes_of(t)) >
            INT32_MAX ||
        floats_of_image(dst_size(t), dst_channels(t) * t->problem.groups, lanes_of(t)) > INT32_MAX)
        return "one image in blocks is too large";
    return NULL;
}

static const char *blocked_refuses(const conv_task *t)
{
    if (src_channels(t) == 1 && dst_channels(t) == 1)
        return "a depthwise convolution leaves its lanes idle";
    return refuses_device(t);
}

static double blocked_cost(const conv_task *t)
{
    tiling g = best_tiling(t);

    return padded_work(t, &g) / share_of(&g);
}

static const char *few_refuses(const conv_task *t)
{
    if (dst_channels(t) > 4)
        return "the result has more than 4 channels";
    if (t->problem.groups > 1)
        return "the convolution has groups";
    if (src_channels(t) < PACK_CHANNELS)
        return "the source has few channels too";
    return refuses_device(t);
}

static double few_cost(const conv_task *t)
{
    tiling g = few_tiling(t);

    return padded_work(t, &g) / share_of(&g);
}

/* ---- Planning ---- */

/* The source is read as it is, not packed first. */
static bool reads_source(const conv_task *t, const tiling *g)
{
    return g->across == 1 || t->src_block == g->across;
}

/* Floats between neighbouring positions of the source. */
static int position_step(const conv_task *t, const tiling *g)
{
    return g->across > 1 ? g->across : t->src_block;
}

static blocked_shape shape_of(const conv_task *t, const tiling *g)
{
    const conv_problem *p = &t->problem;
    int64_t taps = p->kernel[0] * p->kernel[1], sources = p->in_channels / p->groups;
    int64_t src_plane = src_size(t)[0] * src_size(t)[1] * g->across;
    int64_t blocks = ceil_div(src_channels(t), g->across);
    int64_t src_image = p->groups * blocks * src_plane;
    bool forward = t->direction == CONV_FORWARD;

    if (g->across == 1 && t->src_block > 1) { /* the lanes of one block, one by one */
        src_image = src_plane * t->src_block;
        src_plane = 1;
    }
    return (blocked_shape){
        .groups = (int32_t)p->groups,
        .blocks = (int32_t)blocks,
        .src_channels = (int32_t)src_channels(t),
        .src_h = (int32_t)src_size(t)[0],
        .src_w = (int32_t)src_size(t)[1],
        .dst_channels = (int32_t)dst_channels(t),
        .dst_h = (int32_t)dst_size(t)[0],
        .dst_w = (int32_t)dst_size(t)[1],
        .src_image = (int32_t)src_image,
        .src_plane = (int32_t)src_plane,
        .dst_image =
            (int32_t)floats_of_image(dst_size(t), dst_channels(t) * p->groups, t->dst_block),
        .dst_block = t->dst_block,
        .items = g->kb ? (int32_t)ceil_div(dst_channels(t), g->kb * g->lanes) : 1,
        .weight_group = (int32_t)(p->out_channels / p->groups * sources * taps),
        .weight_dst = (int32_t)(forward ? sources * taps : taps),
        .weight_src = (int32_t)(forward ? taps : sources * taps),
        .kernel_w = (int32_t)p->kernel[1]};
}

/* Every phase with its place in the packed weights; *floats is their number. */
static deconv_status lay_out_phases(blocked_plan *plan, int64_t *floats)
{
    const conv_task *t = &plan->task;
    const tiling *g = &plan->tiling;
    int rows = phase_count(&t->problem, t->direction, 0);
    int columns = phase_count(&t->problem, t->direction, 1);
    int64_t per_tap = g->kb ? t->problem.groups * g->kb * g->lanes : dst_channels(t);
    deconv_status status = DECONV_OK;

    plan->phases = rows * columns;
    *floats = 0;
    TRY_ALLOC(plan->phase, t->ctx, (size_t)plan->phases);
    TRY_ALLOC(plan->weight_count, t->ctx, (size_t)plan->phases);
    for (int i = 0; i < plan->phases; i++) {
        blocked_shape *s = &plan->phase[i];
        int64_t count;

        *s = shape_of(t, g);
        s->y = phase_of(&t->problem, t->direction, 0, i / columns);
        s->x = phase_of(&t->problem, t->direction, 1, i % columns);
        s->weight_offset = (int32_t)*floats;
        count = per_tap * s->items * s->blocks * g->across * s->y.taps * s->x.taps;
        *floats += count;
        if (*floats > INT32_MAX)
            FAIL(t->ctx, DECONV_ERROR_UNSUPPORTED,
                 "a convolution's weights are too large to be packed: over 2147483647 values");
        plan->weight_count[i] = (int)count;
    }
done:
    return status;
}

static int64_t packed_floats(const blocked_plan *plan)
{
    const conv_task *t = &plan->task;

    return t->problem.batch * t->problem.groups * plan->phase[0].blocks * plan->tiling.across *
           src_size(t)[0] * src_size(t)[1];
}

static deconv_status create_kernels(blocked_plan *plan)
{
    const conv_task *t = &plan->task;
    const tiling *g = &plan->tiling;
    deconv_status status = DECONV_OK;
    char packing[32], options[96];

    snprintf(packing, sizeof packing, "-DLANES=%d", g->lanes);
    if (g->kb)
        snprintf(options, sizeof options, "-DLANES=%d -DTILE=%d -DKB=%d -DX=%d -DPOS=%d -DSTEP=%d",
                 g->lanes, g->tile, g->kb, g->across, position_step(t, g), src_step(t));
    else
        snprintf(options, sizeof options, "-DLANES=%d -DTILE=%d -DCHANNELS=%d", g->lanes, g->tile,
                 (int)dst_channels(t));
    TRY(kernel_create(t->ctx, "conv_blocked.cl", packing, "pack_weights", &plan->pack_weights));
    if (!reads_source(t, g))
        TRY(kernel_create(t->ctx, "conv_blocked.cl", packing, "pack_channels",
                          &plan->pack_channels));
    TRY(kernel_create(t->ctx, "conv_blocked.cl", options, g->kb ? "conv_blocked" : "conv_few",
                      &plan->compute));
done:
    return status;
}

static void blocked_release(void *state)
{
    blocked_plan *plan = state;

    kernel_free(plan->pack_channels);
    kernel_free(plan->pack_weights);
    kernel_free(plan->compute);
    buffer_free(plan->weights);
    buffer_free(plan->zeros);
    mem_free(plan->task.ctx, plan->phase);
    mem_free(plan->task.ctx, plan->weight_count);
    mem_free(plan->task.ctx, plan);
}

static deconv_status create(const conv_task *t, const tiling *g, void **out)
{
    const size_t zeros = (size_t)g->lanes * sizeof(float);
    deconv_status status = DECONV_OK;
    blocked_plan *plan = NULL;
    int64_t floats;

    *out = NULL;
    TRY_ALLOC(plan, t->ctx, 1);
    plan->task = *t;
    plan->tiling = *g;
    TRY(lay_out_phases(plan, &floats));
    TRY(create_kernels(plan));
    TRY(buffer_create(t->ctx, (size_t)(floats ? floats : 1) * sizeof(float), "packed weights",
                      &plan->weights));
    TRY(buffer_create(t->ctx, zeros, "padding", &plan->zeros));
    TRY(buffer_fill(t->ctx, plan->zeros, 0, zeros, 0.0f));
    if (!reads_source(t, g))
        TRY(scratch_reserve(t->ctx, t->scratch, (size_t)packed_floats(plan) * sizeof(float)));
    *out = plan;
    plan = NULL;
done:
    if (plan)
        blocked_release(plan);
    return status;
}

static deconv_status blocked_create(const conv_task *t, void **out)
{
    conv_task flat = *t;
    tiling g;

    flat.problem = conv_problem_flat(&t->problem);
    g = best_tiling(&flat);
    return create(&flat, &g, out);
}

static deconv_status few_create(const conv_task *t, void **out)
{
    conv_task flat = *t;
    tiling g;

    flat.problem = conv_problem_flat(&t->problem);
    g = few_tiling(&flat);
    return create(&flat, &g, out);
}

/* ---- Running ---- */

static deconv_status blocked_pack(void *state, const buffer *weights)
{
    blocked_plan *plan = state;
    kernel *k = plan->pack_weights;
    deconv_status status = DECONV_OK;

    for (int i = 0; i < plan->phases; i++) {
        if (!plan->weight_count[i])
            continue;
        kernel_begin(k);
        arg_buffer(k, weights);
        arg_buffer(k, plan->weights);
        arg_struct(k, &plan->phase[i], sizeof plan->phase[i]);
        arg_int(k, plan->tiling.kb);
        arg_int(k, plan->tiling.across);
        TRY(kernel_launch(k, plan->weight_count[i], 1, 1));
    }
done:
    return status;
}

static deconv_status pack_source(blocked_plan *plan, const buffer *src)
{
    const conv_task *t = &plan->task;
    const blocked_shape *s = &plan->phase[0];
    int64_t size = src_size(t)[0] * src_size(t)[1];
    kernel *k = plan->pack_channels;

    kernel_begin(k);
    arg_buffer(k, src);
    arg_buffer(k, t->scratch->data);
    arg_int(k, s->src_channels);
    arg_int(k, size);
    return kernel_launch(k, ceil_div(size, 16), t->problem.batch * s->groups * s->blocks, 1);
}

static deconv_status blocked_run(void *state, const conv_operands *operands)
{
    blocked_plan *plan = state;
    const conv_task *t = &plan->task;
    kernel *k = plan->compute;
    const bool packs = !reads_source(t, &plan->tiling);
    deconv_status status = DECONV_OK;

    if (packs)
        TRY(pack_source(plan, operands->src));
    for (int i = 0; i < plan->phases; i++) {
        blocked_shape here = plan->phase[i], *s = &here;

        here.relu = operands->relu;
        kernel_begin(k);
        arg_buffer(k, packs ? t->scratch->data : operands->src);
        arg_buffer(k, plan->weights);
        arg_buffer(k, operands->bias);
        arg_buffer(k, operands->add);
        arg_buffer(k, operands->dst);
        arg_buffer(k, plan->zeros);
        arg_struct(k, s, sizeof *s);
        TRY(kernel_launch_groups(k, ceil_div(s->x.count, plan->tiling.tile), s->y.count,
                                 t->problem.batch * s->groups * s->items, 1, 1, 1));
    }
done:
    return status;
}

/* Block after block of source channels, or lanes across them. */
static int blocked_order(const conv_task *t)
{
    return best_tiling(t).across > 1 ? CONV_ORDER_BLOCKED : CONV_ORDER_PLANAR;
}

static int few_order(const conv_task *t)
{
    (void)t;
    return CONV_ORDER_FEW;
}

const conv_algorithm conv_algorithm_blocked = {
    .name = "blocked",
    .refuses = blocked_refuses,
    .cost = blocked_cost,
    .order = blocked_order,
    .create = blocked_create,
    .pack = blocked_pack,
    .run = blocked_run,
    .release = blocked_release,
};

const conv_algorithm conv_algorithm_few = {
    .name = "few",
    .refuses = few_refuses,
    .cost = few_cost,
    .order = few_order,
    .create = few_create,
    .pack = blocked_pack,
    .run = blocked_run,
    .release = blocked_release,
};
