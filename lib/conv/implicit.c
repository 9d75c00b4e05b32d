/* Implicit GEMM convolution for GPUs (cl/conv_implicit.cl): tiles, packing and launches. */
#include "packed.h"
#include "task.h"

#include <stdio.h>
#include <string.h>

/* As cl/conv_implicit.cl declares them, field for field. */
typedef struct implicit_phase {
    phase_axis y, x;
    int32_t terms, depth;
    int32_t chunks;
    int32_t weights, table;
} implicit_phase;

typedef struct implicit_shape {
    int32_t batch, groups;
    int32_t src_channels, src_h, src_w;
    int32_t dst_channels, dst_h, dst_w;
    int32_t rows;
    int32_t phases_y, phases_x;
    int32_t split;
    int32_t part_size;
    int32_t relu;
    int32_t weight_group, weight_dst, weight_src, kernel_w;
} implicit_shape;

/* Where a tap lies from a position's first one. */
typedef struct tap {
    int32_t distance;
    int32_t row_column; /* row << 16 | column */
} tap;

enum { TILE_TERMS = 8, CHUNK = 512, TAP_REACH = 1 << 15 };

typedef struct tile {
    int channels, positions;           /* of a work-group */
    int item_channels, item_positions; /* of a work-item */
    double share; /* of a GPU's peak, as it is expected without a measurement */
} tile;

/* The zero-spill sizes of AMD's and NVIDIA's register files; see the kernel. */
static const tile tiles[] = {
    {128, 128, 8, 8, 0.70},
    {64, 64, 4, 4, 0.50},
    {16, 128, 4, 4, 0.35},
};

enum { TILES = sizeof tiles / sizeof tiles[0] };

/* On CPU devices, which have no local memory of their own, it serves only when it is asked for. */
#define CPU_SHARE 0.001

/* Work-groups along all dimensions but the first that every driver takes. */
#define GRID_LIMIT 65535

typedef struct implicit_plan {
    conv_task task;
    tile tile;
    implicit_shape shape;
    implicit_phase *phase;
    int phases;
    int64_t tiles; /* of positions, of the phase that has most */
    int depth;     /* of the deepest phase */
    int chunks;    /* likewise */
    kernel *pack, *compute, *sum;
    packed *weights;
    buffer *table, *phase_buffer;
} implicit_plan;

/* ---- Tiles ---- */

static int group_items(const tile *g)
{
    return g->channels / g->item_channels * (g->positions / g->item_positions);
}

static uint64_t local_bytes(const tile *g)
{
    uint64_t terms = 2 * TILE_TERMS * (uint64_t)(g->channels + g->positions);

    return (terms + (uint64_t)g->positions) * sizeof(float);
}

static bool tile_fits(const conv_task *t, const tile *g)
{
    const device_limits *limits = device_limits_of(t->ctx);

    return (uint32_t)group_items(g) <= limits->max_group && local_bytes(g) <= limits->local_memory;
}

/* What a tile size has to do: work-groups, the chunks that each could be split into, and
 * multiply-adds, padding included. */
typedef struct load {
    double groups, chunks, work;
} load;

static load load_of(const conv_task *t, const tile *g)
{
    const conv_problem *p = &t->problem;
    int rows = phase_count(p, t->direction, 0), columns = phase_count(p, t->direction, 1);
    double channel_tiles = (double)(p->groups * ceil_div(task_dst_channels(t), g->channels));
    load l = {0, 1, 0};

    for (int i = 0; i < rows * columns; i++) {
        phase_axis y = phase_of(p, t->direction, 0, i / columns);
        phase_axis x = phase_of(p, t->direction, 1, i % columns);
        int64_t depth = round_up(task_src_channels(t) * y.taps * x.taps, TILE_TERMS);
        double groups =
            channel_tiles * (double)ceil_div(p->batch * y.count * x.count, g->positions);

        l.groups += groups;
        l.work += groups * (double)depth * g->channels * g->positions;
        if (depth > CHUNK * l.chunks)
            l.chunks = (double)ceil_div(depth, CHUNK);
    }
    return l;
}

/* Results so small that the device would idle are split into chunks of terms. */
static bool splits(const conv_task *t, const load *l)
{
    const device_limits *limits = device_limits_of(t->ctx);
    double bytes = l->chunks * (double)task_dst_floats(t) * sizeof(float);

    return l->chunks > 1 && l->groups < limits->compute_units &&
           bytes <= (double)limits->max_allocation;
}

/* As if every compute unit took one group after the other. */
static double tile_cost(const conv_task *t, const tile *g)
{
    load l = load_of(t, g);
    double units = device_limits_of(t->ctx)->compute_units;
    double groups = splits(t, &l) ? l.groups * l.chunks : l.groups;

    return l.work / g->share * (groups > 0 && groups < units ? units / groups : 1);
}

/* The cheapest tile that the device has room for; NULL: none. */
static const tile *best_tile(const conv_task *t)
{
    const tile *best = NULL;

    for (int i = 0; i < TILES; i++) {
        if (tile_fits(t, &tiles[i]) && (!best || tile_cost(t, &tiles[i]) < tile_cost(t, best)))
            best = &tiles[i];
    }
    return best;
}

/* ---- The choice ---- */

/* Floats of the packed weights, all phases. */
static double packed_floats(const conv_task *t, const tile *g)
{
    const conv_problem *p = &t->problem;
    int rows = phase_count(p, t->direction, 0), columns = phase_count(p, t->direction, 1);
    double floats = 0;

    for (int i = 0; i < rows * columns; i++) {
        phase_axis y = phase_of(p, t->direction, 0, i / columns);
        phase_axis x = phase_of(p, t->direction, 1, i % columns);

        floats += (double)round_up(task_src_channels(t) * y.taps * x.taps, TILE_TERMS);
    }
    return floats * (double)(p->groups * round_up(task_dst_channels(t), g->channels));
}

static const char *implicit_refuses(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    const double allocation = (double)device_limits_of(t->ctx)->max_allocation;
    const tile *g = best_tile(t);
    load l;

    if (t->src_block != 1 || t->dst_block != 1)
        return "it reads and writes NCHW only";
    if (!g)
        return "the device's work-groups or its local memory are too small";
    for (int i = 0; i < 2; i++) {
        if ((p->kernel[i] - 1) * p->dilation[i] >= TAP_REACH)
            return "the kernel reaches too far";
    }
    l = load_of(t, g);
    if (p->groups * ceil_div(task_dst_channels(t), g->channels) > GRID_LIMIT ||
        (double)p->stride[0] * (double)p->stride[1] * l.chunks > GRID_LIMIT)
        return "there are too many channels or strides";
    if (packed_floats(t, g) > INT32_MAX || packed_floats(t, g) * sizeof(float) > allocation)
        return "the packed weights do not fit into one buffer";
    return NULL;
}

static double implicit_cost(const conv_task *t)
{
    if (device_limits_of(t->ctx)->kind == DECONV_DEVICE_CPU)
        return conv_problem_work(&t->problem) / CPU_SHARE;
    return tile_cost(t, best_tile(t));
}

static int implicit_order(const conv_task *t)
{
    (void)t;
    return CONV_ORDER_IMPLICIT;
}

/* ---- Planning ---- */

static implicit_shape shape_of(const conv_task *t, const tile *g)
{
    const conv_problem *p = &t->problem;

    return (implicit_shape){.batch = (int32_t)p->batch,
                            .groups = (int32_t)p->groups,
                            .src_channels = (int32_t)task_src_channels(t),
                            .src_h = (int32_t)task_src_size(t)[0],
                            .src_w = (int32_t)task_src_size(t)[1],
                            .dst_channels = (int32_t)task_dst_channels(t),
                            .dst_h = (int32_t)task_dst_size(t)[0],
                            .dst_w = (int32_t)task_dst_size(t)[1],
                            .rows = (int32_t)round_up(task_dst_channels(t), g->channels),
                            .phases_y = phase_count(p, t->direction, 0),
                            .phases_x = phase_count(p, t->direction, 1),
                            .part_size = (int32_t)task_dst_floats(t),
                            .weight_group = (int32_t)task_weight_group(t),
                            .weight_dst = (int32_t)task_weight_dst(t),
                            .weight_src = (int32_t)task_weight_src(t),
                            .kernel_w = (int32_t)p->kernel[1]};
}

/* Every phase with its place in the packed weights and in the table of taps, whose sizes come out.
 */
static deconv_status lay_out_phases(implicit_plan *plan, int64_t *weights, int64_t *taps)
{
    const conv_task *t = &plan->task;
    const implicit_shape *s = &plan->shape;
    deconv_status status = DECONV_OK;

    plan->phases = s->phases_y * s->phases_x;
    *weights = *taps = 0;
    TRY_ALLOC(plan->phase, t->ctx, (size_t)plan->phases);
    for (int i = 0; i < plan->phases; i++) {
        implicit_phase *f = &plan->phase[i];
        int64_t positions;

        f->y = phase_of(&t->problem, t->direction, 0, i / s->phases_x);
        f->x = phase_of(&t->problem, t->direction, 1, i % s->phases_x);
        f->terms = s->src_channels * f->y.taps * f->x.taps;
        f->depth = (int32_t)round_up(f->terms, TILE_TERMS);
        f->chunks = f->depth ? (int32_t)ceil_div(f->depth, CHUNK) : 1;
        f->weights = (int32_t)*weights;
        f->table = (int32_t)*taps;
        *weights += (int64_t)s->groups * f->depth * s->rows;
        *taps += f->depth;
        positions = (int64_t)s->batch * f->y.count * f->x.count;
        if (ceil_div(positions, plan->tile.positions) > plan->tiles)
            plan->tiles = ceil_div(positions, plan->tile.positions);
        plan->depth = f->depth > plan->depth ? f->depth : plan->depth;
        plan->chunks = f->chunks > plan->chunks ? f->chunks : plan->chunks;
    }
done:
    return status;
}

static void fill_taps(const implicit_shape *s, const implicit_phase *f, tap *out)
{
    for (int i = 0; i < f->terms; i++) {
        int taps = f->y.taps * f->x.taps;
        int row = i % taps / f->x.taps * f->y.tap_step, column = i % f->x.taps * f->x.tap_step;

        out[i].distance = (i / taps * s->src_h + row) * s->src_w + column;
        out[i].row_column = row << 16 | column;
    }
}

/* The tables that the kernels read: taps and phases. */
static deconv_status create_tables(implicit_plan *plan, int64_t count)
{
    deconv_ctx *ctx = plan->task.ctx;
    const size_t phases = (size_t)plan->phases * sizeof *plan->phase;
    deconv_status status = DECONV_OK;
    tap *taps = NULL;

    TRY_ALLOC(taps, ctx, (size_t)count);
    for (int i = 0; i < plan->phases; i++)
        fill_taps(&plan->shape, &plan->phase[i], taps + plan->phase[i].table);
    TRY(buffer_create(ctx, (size_t)count * sizeof *taps, "table of taps", &plan->table));
    TRY(buffer_write(ctx, plan->table, 0, (size_t)count * sizeof *taps, taps));
    TRY(buffer_create(ctx, phases, "phases of a convolution", &plan->phase_buffer));
    TRY(buffer_write(ctx, plan->phase_buffer, 0, phases, plan->phase));
done:
    mem_free(ctx, taps);
    return status;
}

static deconv_status create_kernels(implicit_plan *plan)
{
    const tile *g = &plan->tile;
    deconv_ctx *ctx = plan->task.ctx;
    deconv_status status = DECONV_OK;
    char options[80];

    snprintf(options, sizeof options, "-DBM=%d -DBN=%d -DTM=%d -DTN=%d", g->channels, g->positions,
             g->item_channels, g->item_positions);
    TRY(kernel_create(ctx, "conv_implicit.cl", options, "pack_implicit", &plan->pack));
    TRY(kernel_create(ctx, "conv_implicit.cl", options, "conv_implicit", &plan->compute));
    if (plan->shape.split)
        TRY(kernel_create(ctx, "conv_implicit.cl", options, "sum_chunks", &plan->sum));
done:
    return status;
}

static bool phase_weights(const void *state, int i, packed_phase *out)
{
    const implicit_plan *plan = state;
    const implicit_phase *f = &plan->phase[i];

    *out = (packed_phase){&f->y, &f->x, f->weights};
    return true;
}

/* The packed weights, by all that pack_implicit goes by. */
static deconv_status get_weights(implicit_plan *plan, int64_t floats)
{
    const conv_task *t = &plan->task;
    const implicit_shape *s = &plan->shape;
    const int32_t whole[] = {PACKED_IMPLICIT, t->direction, s->groups,       s->src_channels,
                             s->dst_channels, s->rows,      s->weight_group, s->weight_dst,
                             s->weight_src,   s->kernel_w};

    return packed_get_phases(t, whole, sizeof whole / sizeof whole[0], plan, plan->phases,
                             phase_weights, floats, &plan->weights);
}

static packed *implicit_packed(const void *state)
{
    const implicit_plan *plan = state;

    return plan->weights;
}

static void implicit_release(void *state)
{
    implicit_plan *plan = state;

    kernel_free(plan->pack);
    kernel_free(plan->compute);
    kernel_free(plan->sum);
    packed_leave(plan->weights);
    buffer_free(plan->table);
    buffer_free(plan->phase_buffer);
    mem_free(plan->task.ctx, plan->phase);
    mem_free(plan->task.ctx, plan);
}

/* The partial sums of split groups. */
static size_t part_bytes(const conv_task *t)
{
    const load l = load_of(t, best_tile(t));

    return splits(t, &l) ? (size_t)l.chunks * (size_t)task_dst_floats(t) * sizeof(float) : 0;
}

static deconv_status implicit_create(const conv_task *t, void **out)
{
    const tile *g = best_tile(t);
    const load l = load_of(t, g);
    deconv_status status = DECONV_OK;
    implicit_plan *plan = NULL;
    int64_t weights, taps;

    *out = NULL;
    TRY_ALLOC(plan, t->ctx, 1);
    plan->task = *t;
    plan->tile = *g;
    plan->shape = shape_of(t, g);
    TRY(lay_out_phases(plan, &weights, &taps));
    plan->shape.split = splits(t, &l) ? plan->chunks : 0;
    TRY(create_kernels(plan));
    TRY(create_tables(plan, taps ? taps : 1));
    TRY(get_weights(plan, weights));
    if (part_bytes(t))
        TRY(scratch_reserve(t->ctx, t->scratch, part_bytes(t)));
    *out = plan;
    plan = NULL;
done:
    if (plan)
        implicit_release(plan);
    return status;
}

/* ---- Running ---- */

static deconv_status implicit_pack(void *state, const buffer *weights)
{
    implicit_plan *plan = state;
    kernel *k = plan->pack;

    if (!plan->depth)
        return DECONV_OK;
    kernel_begin(k);
    arg_buffer(k, weights);
    arg_buffer(k, plan->weights->data);
    arg_buffer(k, plan->phase_buffer);
    arg_struct(k, &plan->shape, sizeof plan->shape);
    return kernel_launch(k, plan->shape.rows, plan->depth,
                         (int64_t)plan->phases * plan->shape.groups);
}

static deconv_status run_sum(implicit_plan *plan, const implicit_shape *s, const buffer *add,
                             const buffer *dst)
{
    kernel *k = plan->sum;

    kernel_begin(k);
    arg_buffer(k, plan->task.scratch->data);
    arg_buffer(k, plan->phase_buffer);
    arg_buffer(k, add);
    arg_buffer(k, dst);
    arg_struct(k, s, sizeof *s);
    return kernel_launch(k, (int64_t)s->dst_h * s->dst_w,
                         (int64_t)s->batch * s->groups * s->dst_channels, 1);
}

static deconv_status implicit_run(void *state, const conv_operands *operands)
{
    implicit_plan *plan = state;
    const size_t items = (size_t)group_items(&plan->tile);
    implicit_shape s = plan->shape;
    kernel *k = plan->compute;
    deconv_status status = DECONV_OK;

    s.relu = operands->relu;
    kernel_begin(k);
    arg_buffer(k, operands->src);
    arg_buffer(k, plan->weights->data);
    arg_buffer(k, operands->bias);
    arg_buffer(k, plan->table);
    arg_buffer(k, plan->phase_buffer);
    arg_buffer(k, operands->add);
    arg_buffer(k, s.split ? plan->task.scratch->data : NULL);
    arg_buffer(k, operands->dst);
    arg_struct(k, &s, sizeof s);
    TRY(kernel_launch_groups(k, plan->tiles * (int64_t)items,
                             (int64_t)s.groups * (s.rows / plan->tile.channels),
                             (int64_t)plan->phases * (s.split ? s.split : 1), items, 1, 1));
    if (s.split)
        TRY(run_sum(plan, &s, operands->add, operands->dst));
done:
    return status;
}

const conv_algorithm conv_algorithm_implicit = {
    .name = "implicit",
    .refuses = implicit_refuses,
    .cost = implicit_cost,
    .scratch = part_bytes,
    .order = implicit_order,
    .create = implicit_create,
    .pack = implicit_pack,
    .packed = implicit_packed,
    .run = implicit_run,
    .release = implicit_release,
};
