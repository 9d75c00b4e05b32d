/* Plans of the algorithms with lanes across channels: phases, packed weights, launches. */
#include "blocked.h"
#include "packed.h"

#include <stdio.h>
#include <string.h>

typedef struct blocked_plan {
    conv_task task;
    tiling tiling;
    kernel *pack_source, *pack_weights, *compute;
    packed *weights;
    buffer *zeros;
    blocked_shape *phase;
    buffer *phase_data; /* the same for the kernels */
    int *weight_count;  /* floats of each phase */
    int phases;
} blocked_plan;

/* Bytes of weights that a work-item goes through for each tile: they stay in a core's cache. */
#define CACHED_WEIGHTS (256 * 1024)

/* Floats of an item's weights from which on a work-item asks for them ahead, and positions up to
 * which a quarter of that is enough. */
#define FAR_WEIGHTS   (CACHED_WEIGHTS / (int64_t)sizeof(float))
#define FEW_POSITIONS 256

/* ---- The task as the kernels see it ---- */

int task_lanes(const conv_task *t)
{
    return device_limits_of(t->ctx)->vector_floats >= 16 ? 16 : 8;
}

/* Whether the channels of every group fill whole blocks of a side stored in blocks. */
static bool fits_blocks(const conv_task *t, int block, int64_t channels)
{
    return block == 1 ||
           (block == task_lanes(t) && (t->problem.groups == 1 || channels % block == 0));
}

static int64_t side_floats(const conv_task *t, const int64_t *size, int64_t channels, int block)
{
    return t->problem.batch * ceil_div(channels * t->problem.groups, block) * block * size[0] *
           size[1];
}

const char *blocked_refuses_task(const conv_task *t)
{
    const int lanes = task_lanes(t);

    if (device_limits_of(t->ctx)->kind != DECONV_DEVICE_CPU)
        return "it is made for the registers of CPU devices";
    if (!fits_blocks(t, t->src_block, task_src_channels(t)) ||
        !fits_blocks(t, t->dst_block, task_dst_channels(t)))
        return "a block would hold channels of two groups";
    if (side_floats(t, task_src_size(t), ceil_div(task_src_channels(t), lanes) * lanes, 1) >
            INT32_MAX ||
        side_floats(t, task_dst_size(t), task_dst_channels(t), lanes) > INT32_MAX)
        return "in blocks one side is too large";
    return NULL;
}

static int64_t positions_of(const conv_problem *p, const phase_axis *y, const phase_axis *x)
{
    return p->batch * y->count * x->count;
}

double blocked_work(const conv_task *t, const tiling *g)
{
    const conv_problem *p = &t->problem;
    int rows = phase_count(p, t->direction, 0), columns = phase_count(p, t->direction, 1);
    int64_t channels = g->kb ? ceil_div(task_dst_channels(t), g->kb * g->lanes) * g->kb * g->lanes
                             : task_dst_channels(t);
    int64_t sources = g->depthwise ? 1 : ceil_div(task_src_channels(t), g->across) * g->across;
    double steps = 0.0;

    for (int i = 0; i < rows * columns; i++) {
        phase_axis y = phase_of(p, t->direction, 0, i / columns);
        phase_axis x = phase_of(p, t->direction, 1, i % columns);

        steps += (double)ceil_div(positions_of(p, &y, &x), g->tile) * g->tile * y.taps * x.taps;
    }
    return steps * (double)p->groups * (double)channels * (double)sources;
}

size_t blocked_scratch(const conv_task *t, const tiling *g)
{
    return source_is_ready(t, g) ? 0 : (size_t)source_floats(t, g) * sizeof(float);
}

/* ---- Planning ---- */

static blocked_shape shape_of(const conv_task *t, const tiling *g)
{
    const conv_problem *p = &t->problem;
    const int64_t taps = p->kernel[0] * p->kernel[1];
    const int64_t sources = g->depthwise ? 1 : p->in_channels / p->groups;
    const int64_t blocks = ceil_div(task_src_channels(t), g->across);
    const bool forward = t->direction == CONV_FORWARD || g->depthwise;
    bordered b = {0, 0, task_src_size(t)[0], task_src_size(t)[1]};

    if (g->across == 1)
        b = source_border(t);
    return (blocked_shape){
        .batch = (int32_t)p->batch,
        .groups = (int32_t)p->groups,
        .blocks = g->depthwise ? 1 : (int32_t)blocks,
        .src_channels = (int32_t)task_src_channels(t),
        .src_h = (int32_t)b.high,
        .src_w = (int32_t)b.wide,
        .dst_channels = (int32_t)task_dst_channels(t),
        .dst_h = (int32_t)task_dst_size(t)[0],
        .dst_w = (int32_t)task_dst_size(t)[1],
        .src_image = (int32_t)(p->groups * blocks * b.high * b.wide * g->across),
        .src_plane = (int32_t)(b.high * b.wide * g->across),
        .dst_image =
            (int32_t)(side_floats(t, task_dst_size(t), task_dst_channels(t), t->dst_block) /
                      p->batch),
        .dst_block = t->dst_block,
        .items = g->kb ? (int32_t)ceil_div(task_dst_channels(t), g->kb * g->lanes) : 1,
        .weight_group = (int32_t)(p->out_channels / p->groups * sources * taps),
        .weight_dst = (int32_t)(forward ? sources * taps : taps),
        .weight_src = (int32_t)(forward ? taps : sources * taps),
        .kernel_w = (int32_t)p->kernel[1]};
}

/* Source channels side by side in the weights of one tap. */
static int weights_across(const tiling *g)
{
    return g->depthwise ? 1 : g->across;
}

/* Into how many ranges of items and chunks of tiles the work is split, for all phases alike: they
 * go as one launch. The kernels share items and tiles out as evenly as whole ones can be, the
 * smaller shares first: PoCL gives the first half of the groups to one thread at once. */
static void split_work(blocked_plan *plan)
{
    const conv_task *t = &plan->task;
    const int tile = plan->tiling.tile;
    const blocked_shape *first = &plan->phase[0];
    const int64_t cores = device_limits_of(t->ctx)->compute_units;
    int64_t item_floats = 0, most_tiles = 1, range, ranges, chunks;
    double work = 0.0;

    for (int i = 0; i < plan->phases; i++) {
        const blocked_shape *s = &plan->phase[i];
        const int64_t tiles = ceil_div(positions_of(&t->problem, &s->y, &s->x), tile);
        const int64_t floats = plan->weight_count[i] / s->items / s->groups;

        most_tiles = tiles > most_tiles ? tiles : most_tiles;
        item_floats = floats > item_floats ? floats : item_floats;
        work += (double)tiles * tile * (double)(floats + 1);
    }
    range = CACHED_WEIGHTS / (int64_t)sizeof(float) / (item_floats + 1);
    range = range < 1 ? 1 : range < first->items ? range : first->items;
    ranges = ceil_div(first->items, range);
    work *= (double)first->items / (double)ranges / plan->phases;
    chunks = ceil_div(cores * CORE_GROUPS, ranges * first->groups);
    if ((double)chunks > work / LEAST_GROUP_WORK)
        chunks = (int64_t)(work / LEAST_GROUP_WORK);
    chunks = chunks < 1 ? 1 : chunks > most_tiles ? most_tiles : chunks;
    for (int i = 0; i < plan->phases; i++) {
        plan->phase[i].ranges = (int32_t)ranges;
        plan->phase[i].chunks = (int32_t)chunks;
    }
}

/* The phases of an axis in an order of their taps that no padding changes: windows find the weights
 * packed as they are for whole maps. */
static phase_axis phase_in_order(const conv_task *t, int axis, int index)
{
    const int64_t count = phase_count(&t->problem, t->direction, axis);
    const int64_t at = (index - t->problem.pad[axis]) % count;

    return phase_of(&t->problem, t->direction, axis, (int)(at < 0 ? at + count : at));
}

/* Every phase with its place in the packed weights; *floats is their number. */
static deconv_status lay_out_phases(blocked_plan *plan, int64_t *floats)
{
    const conv_task *t = &plan->task;
    const tiling *g = &plan->tiling;
    const int rows = phase_count(&t->problem, t->direction, 0);
    const int columns = phase_count(&t->problem, t->direction, 1);
    const bordered b = source_border(t);
    deconv_status status = DECONV_OK;

    plan->phases = rows * columns;
    *floats = 0;
    TRY_ALLOC(plan->phase, t->ctx, (size_t)plan->phases);
    TRY_ALLOC(plan->weight_count, t->ctx, (size_t)plan->phases);
    for (int i = 0; i < plan->phases; i++) {
        blocked_shape *s = &plan->phase[i];
        int64_t item_floats, count;

        *s = shape_of(t, g);
        s->y = phase_in_order(t, 0, i / columns);
        s->x = phase_in_order(t, 1, i % columns);
        s->weight_offset = (int32_t)*floats;
        item_floats = (int64_t)(g->kb ? g->kb * g->lanes : g->channels) * s->blocks *
                      weights_across(g) * s->y.taps * s->x.taps;
        count = item_floats * s->items * s->groups;
        *floats += count;
        if (*floats > INT32_MAX)
            FAIL(t->ctx, DECONV_ERROR_UNSUPPORTED,
                 "a convolution's weights are too large to be packed: over 2147483647 values");
        plan->weight_count[i] = (int)count;
        if (g->across == 1) {
            s->y.src_first += (int32_t)b.top;
            s->x.src_first += (int32_t)b.left;
        }
    }
    split_work(plan);
done:
    return status;
}

/* Whether a tile's weights come from memory when their turn is: they are more than stays in a
 * core's cache beside the source; or all of a run's are, and maps are so small that each is needed
 * only now and then. It decides about time alone. */
static bool weights_are_far(const blocked_plan *plan)
{
    const blocked_shape *s = &plan->phase[0];
    const int64_t all = plan->weight_count[0], floats = all / s->items / s->groups;
    const int64_t positions = positions_of(&plan->task.problem, &s->y, &s->x);

    return plan->tiling.kb > 1 && plan->tiling.across > 1 &&
           (floats > FAR_WEIGHTS ||
            (floats > FAR_WEIGHTS / 4 && all > 4 * FAR_WEIGHTS && positions <= FEW_POSITIONS));
}

static deconv_status create_kernels(blocked_plan *plan)
{
    const conv_task *t = &plan->task;
    const tiling *g = &plan->tiling;
    deconv_status status = DECONV_OK;
    char packing[32], options[96], source[32];

    snprintf(packing, sizeof packing, "-DLANES=%d", g->lanes);
    snprintf(options, sizeof options, "-DLANES=%d -DTILE=%d -D%s=%d%s", g->lanes, g->tile,
             g->kb ? "KB" : "CHANNELS", g->kb ? g->kb : g->channels,
             weights_are_far(plan) ? " -DAHEAD" : "");
    TRY(kernel_create(t->ctx, "conv_pack.cl", packing, "pack_weights", &plan->pack_weights));
    if (!source_is_ready(t, g))
        TRY(source_kernel(t, g, &plan->pack_source));
    snprintf(source, sizeof source, "%s.cl", g->kernel);
    TRY(kernel_create(t->ctx, source, options, g->kernel, &plan->compute));
done:
    return status;
}

static bool phase_weights(const void *state, int i, packed_phase *out)
{
    const blocked_plan *plan = state;
    const blocked_shape *f = &plan->phase[i];

    *out = (packed_phase){&f->y, &f->x, f->weight_offset};
    return plan->weight_count[i] > 0;
}

/* The packed weights, by all that pack_weights goes by. Phases without taps have no part in it. */
static deconv_status get_weights(blocked_plan *plan, int64_t floats)
{
    const conv_task *t = &plan->task;
    const tiling *g = &plan->tiling;
    const blocked_shape *s = &plan->phase[0];
    const int32_t whole[] = {PACKED_BLOCKED,  t->direction,      g->lanes,        g->kb,
                             g->channels,     weights_across(g), g->chunk,        s->groups,
                             s->items,        s->blocks,         s->src_channels, s->dst_channels,
                             s->weight_group, s->weight_dst,     s->weight_src,   s->kernel_w};

    return packed_get_phases(t, whole, sizeof whole / sizeof whole[0], plan, plan->phases,
                             phase_weights, floats, &plan->weights);
}

void blocked_plan_release(void *state)
{
    blocked_plan *plan = state;

    kernel_free(plan->pack_source);
    kernel_free(plan->pack_weights);
    kernel_free(plan->compute);
    packed_leave(plan->weights);
    buffer_free(plan->zeros);
    buffer_free(plan->phase_data);
    mem_free(plan->task.ctx, plan->phase);
    mem_free(plan->task.ctx, plan->weight_count);
    mem_free(plan->task.ctx, plan);
}

deconv_status blocked_plan_create(const conv_task *t, const tiling *g, void **out)
{
    const size_t zeros = (size_t)g->lanes * sizeof(float), scratch = blocked_scratch(t, g);
    deconv_status status = DECONV_OK;
    blocked_plan *plan = NULL;
    int64_t floats;
    size_t phases;

    *out = NULL;
    TRY_ALLOC(plan, t->ctx, 1);
    plan->task = *t;
    plan->tiling = *g;
    TRY(lay_out_phases(plan, &floats));
    TRY(create_kernels(plan));
    TRY(get_weights(plan, floats));
    TRY(buffer_create(t->ctx, zeros, "padding", &plan->zeros));
    TRY(buffer_fill(t->ctx, plan->zeros, 0, zeros, 0.0f));
    phases = (size_t)plan->phases * sizeof *plan->phase;
    TRY(buffer_create(t->ctx, phases, "phases of a convolution", &plan->phase_data));
    TRY(buffer_write(t->ctx, plan->phase_data, 0, phases, plan->phase));
    if (scratch)
        TRY(scratch_reserve(t->ctx, t->scratch, scratch));
    *out = plan;
    plan = NULL;
done:
    if (plan)
        blocked_plan_release(plan);
    return status;
}

packed *blocked_plan_packed(const void *state)
{
    const blocked_plan *plan = state;

    return plan->weights;
}

/* ---- Running ---- */

deconv_status blocked_plan_pack(void *state, const buffer *weights)
{
    blocked_plan *plan = state;
    const tiling *g = &plan->tiling;
    kernel *k = plan->pack_weights;
    deconv_status status = DECONV_OK;

    for (int i = 0; i < plan->phases; i++) {
        const blocked_shape *s = &plan->phase[i];
        const int taps = s->y.taps * s->x.taps, chunk = g->chunk < taps ? g->chunk : taps;

        if (!plan->weight_count[i])
            continue;
        kernel_begin(k);
        arg_buffer(k, weights);
        arg_buffer(k, plan->weights->data);
        arg_struct(k, s, sizeof *s);
        arg_int(k, g->kb);
        arg_int(k, weights_across(g));
        arg_int(k, chunk);
        TRY(kernel_launch_groups(k, ceil_div(taps, chunk) * s->groups * s->items * s->blocks, 1, 1,
                                 1, 1, 1));
    }
done:
    return status;
}

deconv_status blocked_plan_run(void *state, const conv_operands *operands)
{
    blocked_plan *plan = state;
    const conv_task *t = &plan->task;
    const tiling *g = &plan->tiling;
    kernel *k = plan->compute;
    const blocked_shape *s = &plan->phase[0];
    blocked_output output = {.image = s->dst_image, .relu = operands->relu};
    deconv_status status = DECONV_OK;

    if (plan->pack_source)
        TRY(source_pack(t, g, plan->pack_source, operands->src));
    if (operands->dst_image) {
        output.image = (int32_t)operands->dst_image;
        output.from = (int32_t)operands->dst_from;
    }
    kernel_begin(k);
    arg_buffer(k, plan->pack_source ? t->scratch->data : operands->src);
    arg_buffer(k, plan->weights->data);
    arg_buffer(k, operands->bias);
    arg_buffer(k, operands->add);
    arg_buffer(k, operands->dst);
    arg_buffer(k, plan->zeros);
    arg_buffer(k, plan->phase_data);
    arg_struct(k, &output, sizeof output);
    TRY(kernel_launch_groups(k, plan->phases, s->chunks, s->groups * s->ranges, 1, 1, 1));
done:
    return status;
}
