/* Winograd's algorithm for 3x3 convolutions of stride 1 on CPU devices (cl/conv_winograd.cl). It
 * takes under half of the multiply-adds and rounds otherwise than a sum does, and that differently
 * for each place in a tile: it serves only who says that this may be. */
#include "blocked.h"
#include "packed.h"

#include <stdio.h>

/* Shares of peak, measured on PoCL. */
#define MULTIPLY_SHARE 0.80
/* Multiply-adds in whose time one vector of a tile's values is transformed, or of its results. */
#define TRANSFORM_COST 64.0
/* And in whose time a transformed weight comes to the core that needs it: more of them than a cache
 * holds are read from memory for each run. */
#define WEIGHT_COST 12.0

/* Tiles of a work-item that transforms. */
#define SPAN 16
/* Work-items that multiply, for each core: enough that the last ones even out. */
#define GROUPS_PER_CORE 8
/* Floats of transformed values and products that stay in the cache between the three steps. Each
 * chunk goes through all weights: where these are more, it is as large as a part of them. */
#define CHUNK_FLOATS      ((int64_t)2 << 20)
#define CHUNK_WEIGHTS     2
#define CACHE_LINE_FLOATS 16

/* As cl/conv_winograd.cl has it, field for field. */
typedef struct winograd_shape {
    int32_t groups, blocks, dst_blocks;
    int32_t src_h, src_w, dst_h, dst_w;
    int32_t src_first_y, src_first_x;
    int32_t src_image, src_plane;
    int32_t dst_image, dst_from;
    int32_t dst_channels;
    int32_t tiles_y, tiles_x;
    int32_t first, count, room;
    int32_t v_position, m_position;
    int32_t m_from;
    int32_t items, range;
    int32_t relu;
    int32_t src_channels;
    int32_t weight_group, weight_dst, weight_src;
    int32_t weight_first[2], weight_step;
} winograd_shape;

typedef struct winograd_plan {
    conv_task task;
    winograd_shape shape;
    int positions, tiles, parts;
    kernel *pack, *source, *multiply, *result;
    packed *weights;
    buffer *zeros;
    int64_t pairs; /* of channels in the weights, those of padding too */
} winograd_plan;

/* Sizes of a task cut into tiles of m x m results. */
typedef struct cut {
    int m, positions;
    int lanes, kb, tile, rest;
    int64_t blocks, dst_blocks, items; /* in a group */
    int64_t tiles_y, tiles_x, tiles;
} cut;

static cut cut_by(const conv_task *t, int m)
{
    const int64_t *size = task_dst_size(t);
    cut c = {.m = m, .positions = (m + 2) * (m + 2), .lanes = task_lanes(t), .tile = 6, .rest = 4};

    c.blocks = ceil_div(task_src_channels(t), c.lanes);
    c.dst_blocks = ceil_div(task_dst_channels(t), c.lanes);
    c.kb = c.lanes == 16 && c.dst_blocks > 2 ? 4 : 2;
    c.items = ceil_div(c.dst_blocks, c.kb);
    c.tiles_y = ceil_div(size[0], m);
    c.tiles_x = ceil_div(size[1], m);
    c.tiles = t->problem.batch * c.tiles_y * c.tiles_x;
    return c;
}

static int64_t weight_floats(const conv_task *t, const cut *c)
{
    return c->positions * t->problem.groups * c->items * c->kb * c->lanes * c->blocks * c->lanes;
}

/* Tiles with those that fill the last registers. */
static int64_t filled(const cut *c, int64_t tiles)
{
    const int64_t left = tiles % c->tile;

    return tiles - left + (left == 0 ? 0 : left <= c->rest ? c->rest : c->tile);
}

static double cut_cost(const conv_task *t, const cut *c)
{
    const double groups = (double)t->problem.groups, floats = (double)weight_floats(t, c);
    const double transforms = groups * (double)(c->blocks + c->dst_blocks) * (double)c->tiles;

    return floats * ((double)filled(c, c->tiles) / MULTIPLY_SHARE + WEIGHT_COST) +
           transforms * c->positions * TRANSFORM_COST;
}

static cut best_cut(const conv_task *t)
{
    const cut four = cut_by(t, 4), two = cut_by(t, 2);

    return cut_cost(t, &two) < cut_cost(t, &four) ? two : four;
}

/* ---- Chunks ---- */

/* Floats from position to position where one takes `floats`: an odd number of cache lines, or all
 * positions of a tile might fall into one set of a cache. */
static int64_t apart(int64_t floats)
{
    int64_t lines = ceil_div(floats, CACHE_LINE_FLOATS);

    return (lines | 1) * CACHE_LINE_FLOATS;
}

/* The scratch of chunks of `s->count` tiles; returns its floats. */
static int64_t lay_out_chunk(const conv_task *t, const cut *c, winograd_shape *s)
{
    const int64_t groups = t->problem.groups, room = filled(c, s->count);
    const int64_t v = apart(groups * c->blocks * room * c->lanes);
    const int64_t m = apart(groups * c->dst_blocks * room * c->lanes);

    s->room = (int32_t)room;
    s->v_position = (int32_t)v;
    s->m_position = (int32_t)m;
    s->m_from = (int32_t)(v * c->positions);
    return (v + m) * c->positions;
}

/* As many tiles at a time as the cache has room for, in chunks alike. */
static int64_t split_tiles(const conv_task *t, const cut *c, winograd_shape *s)
{
    const int64_t each = c->positions * t->problem.groups * (c->blocks + c->dst_blocks) * c->lanes;
    const int64_t part = weight_floats(t, c) / CHUNK_WEIGHTS;
    int64_t most = (part > CHUNK_FLOATS ? part : CHUNK_FLOATS) / each, chunks;

    most = most < c->tile ? c->tile : most;
    chunks = ceil_div(c->tiles, most);
    s->count = (int32_t)ceil_div(c->tiles, chunks);
    return lay_out_chunk(t, c, s);
}

/* ---- The algorithm's answers ---- */

static const char *winograd_refuses(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    const double most = (double)device_limits_of(t->ctx)->max_allocation;
    winograd_shape s = {0};
    double floats;
    cut c;

    for (int i = 0; i < 2; i++)
        if (p->kernel[i] != 3 || p->stride[i] != 1 || p->dilation[i] != 1)
            return "it is made for kernels of 3x3, stride 1, no dilation";
    if (t->src_block == 1 || t->dst_block == 1)
        return "it takes both sides in blocks of channels only";
    if (task_src_channels(t) < PACK_CHANNELS || task_dst_channels(t) < PACK_CHANNELS)
        return "there are too few channels for its lanes";
    c = best_cut(t);
    floats = (double)weight_floats(t, &c);
    if (floats > INT32_MAX || floats * sizeof(float) > most)
        return "its transformed weights are too large";
    if ((double)split_tiles(t, &c, &s) * sizeof(float) > most)
        return "its transformed maps are too large";
    return blocked_refuses_task(t);
}

static double winograd_cost(const conv_task *t)
{
    const cut c = best_cut(t);

    return cut_cost(t, &c);
}

static int winograd_order(const conv_task *t)
{
    (void)t;
    return CONV_ORDER_WINOGRAD;
}

/* ---- Planning ---- */

/* A work-item multiplies at one position; where there are many cores, a part of the items. */
static void split_items(winograd_plan *plan)
{
    const int64_t cores = device_limits_of(plan->task.ctx)->compute_units;
    const int64_t items = (int64_t)plan->shape.items * plan->shape.groups;
    int64_t parts = ceil_div(cores * GROUPS_PER_CORE, plan->positions);

    parts = parts < items ? parts : items;
    plan->shape.range = (int32_t)ceil_div(items, parts);
    plan->parts = (int)ceil_div(items, plan->shape.range);
}

static winograd_shape shape_of(const conv_task *t, const cut *c)
{
    const conv_problem *p = &t->problem;
    const phase_axis y = phase_of(p, t->direction, 0, 0), x = phase_of(p, t->direction, 1, 0);
    const int64_t *src = task_src_size(t), *dst = task_dst_size(t);
    const int64_t taps = 9, per_group = p->in_channels / p->groups * taps;
    const bool forward = t->direction == CONV_FORWARD;

    return (winograd_shape){
        .groups = (int32_t)p->groups,
        .blocks = (int32_t)c->blocks,
        .dst_blocks = (int32_t)c->dst_blocks,
        .src_h = (int32_t)src[0],
        .src_w = (int32_t)src[1],
        .dst_h = (int32_t)dst[0],
        .dst_w = (int32_t)dst[1],
        .src_first_y = y.src_first,
        .src_first_x = x.src_first,
        .src_image = (int32_t)(p->groups * c->blocks * src[0] * src[1] * c->lanes),
        .src_plane = (int32_t)(src[0] * src[1] * c->lanes),
        .dst_image = (int32_t)(p->groups * c->dst_blocks * dst[0] * dst[1] * c->lanes),
        .dst_channels = (int32_t)(task_dst_channels(t) * p->groups),
        .tiles_y = (int32_t)c->tiles_y,
        .tiles_x = (int32_t)c->tiles_x,
        .items = (int32_t)c->items,
        .src_channels = (int32_t)task_src_channels(t),
        .weight_group = (int32_t)(p->out_channels / p->groups * per_group),
        .weight_dst = (int32_t)(forward ? per_group : taps),
        .weight_src = (int32_t)(forward ? taps : per_group),
        .weight_first = {y.weight_first, x.weight_first},
        .weight_step = y.weight_step};
}

static size_t winograd_scratch(const conv_task *t)
{
    const cut c = best_cut(t);
    winograd_shape s = {0};

    return (size_t)split_tiles(t, &c, &s) * sizeof(float);
}

static void winograd_release(void *state)
{
    winograd_plan *plan = state;

    kernel_free(plan->pack);
    kernel_free(plan->source);
    kernel_free(plan->multiply);
    kernel_free(plan->result);
    packed_leave(plan->weights);
    buffer_free(plan->zeros);
    mem_free(plan->task.ctx, plan);
}

static deconv_status create_kernels(winograd_plan *plan, const cut *c)
{
    static const char file[] = "conv_winograd.cl";
    deconv_ctx *ctx = plan->task.ctx;
    deconv_status status = DECONV_OK;
    char options[96];

    snprintf(options, sizeof options, "-DLANES=%d -DM=%d -DTILE=%d -DREST=%d -DKB=%d -DSPAN=%d",
             c->lanes, c->m, c->tile, c->rest, c->kb, SPAN);
    TRY(kernel_create(ctx, file, options, "winograd_weights", &plan->pack));
    TRY(kernel_create(ctx, file, options, "winograd_source", &plan->source));
    TRY(kernel_create(ctx, file, options, "winograd_multiply", &plan->multiply));
    TRY(kernel_create(ctx, file, options, "winograd_result", &plan->result));
done:
    return status;
}

/* The transformed weights, by all that winograd_weights goes by. */
static deconv_status get_weights(winograd_plan *plan, const cut *c)
{
    const winograd_shape *s = &plan->shape;
    const int32_t key[] = {PACKED_WINOGRAD,   c->m,
                           c->lanes,          c->kb,
                           s->groups,         s->items,
                           s->blocks,         s->src_channels,
                           s->dst_channels,   s->weight_dst,
                           s->weight_src,     s->weight_group,
                           s->weight_step,    s->weight_first[0],
                           s->weight_first[1]};

    plan->pairs = weight_floats(&plan->task, c) / c->positions;
    return packed_get(&plan->task, key, sizeof key / sizeof key[0], weight_floats(&plan->task, c),
                      &plan->weights);
}

static packed *winograd_packed(const void *state)
{
    const winograd_plan *plan = state;

    return plan->weights;
}

static deconv_status winograd_create(const conv_task *t, void **out)
{
    const cut c = best_cut(t);
    const size_t zeros = (size_t)c.lanes * sizeof(float);
    deconv_status status = DECONV_OK;
    winograd_plan *plan = NULL;
    int64_t floats;

    *out = NULL;
    TRY_ALLOC(plan, t->ctx, 1);
    plan->task = *t;
    plan->positions = c.positions;
    plan->tiles = (int)c.tiles;
    plan->shape = shape_of(t, &c);
    floats = split_tiles(t, &c, &plan->shape);
    split_items(plan);
    TRY(create_kernels(plan, &c));
    TRY(get_weights(plan, &c));
    TRY(buffer_create(t->ctx, zeros, "padding", &plan->zeros));
    TRY(buffer_fill(t->ctx, plan->zeros, 0, zeros, 0.0f));
    TRY(scratch_reserve(t->ctx, t->scratch, (size_t)floats * sizeof(float)));
    *out = plan;
    plan = NULL;
done:
    if (plan)
        winograd_release(plan);
    return status;
}

/* ---- Running ---- */

static deconv_status winograd_pack(void *state, const buffer *weights)
{
    winograd_plan *plan = state;
    kernel *k = plan->pack;

    kernel_begin(k);
    arg_buffer(k, weights);
    arg_buffer(k, plan->weights->data);
    arg_struct(k, &plan->shape, sizeof plan->shape);
    return kernel_launch(k, plan->pairs, 1, 1);
}

static deconv_status run_chunk(winograd_plan *plan, const conv_operands *x, const winograd_shape *s)
{
    const buffer *scratch = plan->task.scratch->data;
    const int64_t spans = ceil_div(s->count, SPAN);
    deconv_status status = DECONV_OK;
    kernel *k = plan->source;

    kernel_begin(k);
    arg_buffer(k, x->src);
    arg_buffer(k, scratch);
    arg_buffer(k, plan->zeros);
    arg_struct(k, s, sizeof *s);
    TRY(kernel_launch_groups(k, spans, (int64_t)s->groups * s->blocks, 1, 1, 1, 1));
    k = plan->multiply;
    kernel_begin(k);
    arg_buffer(k, scratch);
    arg_buffer(k, plan->weights->data);
    arg_buffer(k, scratch);
    arg_struct(k, s, sizeof *s);
    TRY(kernel_launch_groups(k, plan->positions, plan->parts, 1, 1, 1, 1));
    k = plan->result;
    kernel_begin(k);
    arg_buffer(k, scratch);
    arg_buffer(k, x->bias);
    arg_buffer(k, x->add);
    arg_buffer(k, x->dst);
    arg_struct(k, s, sizeof *s);
    TRY(kernel_launch_groups(k, spans, (int64_t)s->groups * s->dst_blocks, 1, 1, 1, 1));
done:
    return status;
}

static deconv_status winograd_run(void *state, const conv_operands *operands)
{
    winograd_plan *plan = state;
    winograd_shape s = plan->shape;
    deconv_status status = DECONV_OK;

    s.relu = operands->relu;
    if (operands->dst_image) {
        s.dst_from = (int32_t)operands->dst_from;
        s.dst_image = (int32_t)operands->dst_image;
    }
    for (s.first = 0; s.first < plan->tiles; s.first += plan->shape.count) {
        s.count = plan->tiles - s.first;
        s.count = s.count < plan->shape.count ? s.count : plan->shape.count;
        TRY(run_chunk(plan, operands, &s));
    }
done:
    return status;
}

const conv_algorithm conv_algorithm_winograd = {
    .name = "winograd",
    .inexact = true,
    .refuses = winograd_refuses,
    .cost = winograd_cost,
    .scratch = winograd_scratch,
    .order = winograd_order,
    .create = winograd_create,
    .pack = winograd_pack,
    .packed = winograd_packed,
    .run = winograd_run,
    .release = winograd_release,
};
