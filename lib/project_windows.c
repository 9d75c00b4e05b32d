/* Projections by windows: a seed's signal lives inside its receptive field, so the pass carries
 * windows around the seeds, many seeds of one value as one batch. Equal to the whole pass bit for
 * bit: what is left out is zero. */
#include "project.h"

#include <string.h>

/* Of the windows that are looked at together. */
#define LOOK_FLOATS ((int64_t)1 << 20)

/* Where a seed starts: a Concat only hands it to one operand, a view to its input. */
typedef struct start {
    int value;
    int64_t unit;
} start;

/* A Concat whose operands have all positions of its result. */
static bool joins_units(const op *op)
{
    shape all = op->in_shape[0];

    if (strcmp(op->class->type, "Concat") != 0 || all.rank < 2)
        return false;
    all.dim[1] = op->out_shape[0].dim[1];
    return shape_equal(&all, &op->out_shape[0]);
}

static bool hands_down(const op *op)
{
    return joins_units(op) || (op->class->is_view && op->class->is_view(op) &&
                               shape_equal(&op->in_shape[0], &op->out_shape[0]));
}

/* The input of `node` that unit `s->unit` of its output comes from, and the unit there. */
static bool step_down(const graph *g, const graph_node *node, start *s)
{
    box unit = box_whole(&node->op->out_shape[0]);

    unit.from[1] = s->unit;
    unit.to[1] = s->unit + 1;
    for (int i = 0; i < node->n_in; i++) {
        box b;

        if (node->in[i] < 0 || !g->value[node->in[i]].from_input)
            continue;
        b = node->op->class->needs(node->op, 0, &unit, i);
        if (box_is_empty(&b))
            continue;
        *s = (start){node->in[i], b.from[1]};
        return true;
    }
    return false;
}

/* With several inputs a branch need not lead to the one that is projected to; and a function that
 * is applied to signals may make one out of nothing in a branch that none comes to. */
static start find_start(const graph *g, const inverse_key *key, int64_t unit)
{
    bool lifts = key->rule == DECONV_RULE_DECONVNET && key->flags & DECONV_INVERSE_APPLY_F;
    start s = {key->from, unit};

    while (g->model->n_input == 1 && !lifts) {
        int producer = g->value[s.value].producer;

        if (producer < 0 || !hands_down(g->node[producer].op) ||
            !step_down(g, &g->node[producer], &s))
            break;
    }
    return s;
}

/* ---- One batch ---- */

typedef struct batch {
    job *job;
    const uint64_t *seed; /* [count] numbers of the job's seeds */
    const int64_t *unit;  /* [count] their maps in the value that the pass starts from */
    int64_t count;
} batch;

static deconv_status plant(const batch *b, inverse *way)
{
    deconv_status status = DECONV_OK;
    window_seed *seeds = NULL;
    float *values = NULL;

    TRY_ALLOC(seeds, way->ctx, (size_t)b->count);
    TRY_ALLOC(values, way->ctx, (size_t)b->count);
    for (int64_t i = 0; i < b->count; i++) {
        const deconv_projection_info *s = &b->job->infos[b->seed[i]];

        seeds[i] =
            (window_seed){(int32_t)s->item, (int32_t)s->y, (int32_t)s->x, (int32_t)b->seed[i]};
        values[i] = seed_value(b->job, s);
    }
    TRY(inverse_set_seeds(way, seeds, b->unit, values, b->count));
done:
    mem_free(way->ctx, seeds);
    mem_free(way->ctx, values);
    return status;
}

/* The windows of the input to their places in the projections. */
static deconv_status place(const batch *b, const inverse *way)
{
    const tensor *last = way->signal[way->key.to];
    const window_frame whole = frame_whole(&b->job->result->shape);
    const windows w = {.count = b->count, .seeds = way->seeds, .origins = way->origins};
    deconv_status status = DECONV_OK;

    TRY(mover_run_windows(&way->leave, &w, &way->frame[way->key.to], last->data, &whole,
                          b->job->result->data, false, true));
    TRY(device_wait(way->ctx));
done:
    return status;
}

/* ---- Where signals died ---- */

typedef struct watch {
    const batch *batch;
    bool *alive; /* [n_value x count] anything left of the seed's signal there */
} watch;

/* Windows of `each` floats that are looked at together: a view may be a copy. */
static int64_t looked_at(int64_t each)
{
    const int64_t most = LOOK_FLOATS / each;

    return most < 1 ? 1 : most;
}

/* Those from number `from` on of `count`, in place of what the view showed before. */
static deconv_status view_windows(deconv_ctx *ctx, const buffer *data, int64_t each, int64_t from,
                                  int64_t count, buffer_view *view)
{
    const int64_t step = looked_at(each), part = count - from < step ? count - from : step;
    deconv_status status = DECONV_OK;

    TRY(buffer_view_close(view));
    TRY(buffer_view_open(ctx, data, (size_t)(from * each) * sizeof(float),
                         (size_t)(part * each) * sizeof(float), VIEW_READ, view));
done:
    return status;
}

static deconv_status look(const inverse *way, int value, const watch *w)
{
    const tensor *t = way->signal[value];
    const int64_t each = layout_floats(&t->shape, t->block) / way->count, step = looked_at(each);
    bool *alive = w->alive + value * w->batch->count;
    deconv_status status = DECONV_OK;
    buffer_view view = {0};

    for (int64_t i = 0; i < w->batch->count; i++) {
        const float *values;

        if (i % step == 0)
            TRY(view_windows(way->ctx, t->data, each, i, w->batch->count, &view));
        values = (const float *)view.at + i % step * each;
        alive[i] = false;
        for (int64_t k = 0; k < each && !alive[i]; k++)
            alive[i] = values[k] != 0.0f;
    }
    TRY(buffer_view_close(&view));
done:
    buffer_view_drop(&view);
    return status;
}

static deconv_status look_at_step(const inverse *way, const inverse_step *step, void *user)
{
    const graph_node *node = &way->graph->node[step->node];
    const watch *w = user;
    int64_t count = w->batch->count;
    deconv_status status = DECONV_OK;

    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0)
            memset(&w->alive[node->out[i] * count], 0, (size_t)count * sizeof(bool));
    for (int i = 0; i < node->n_in; i++)
        if (step->signal_in[i])
            TRY(look(way, node->in[i], w));
    for (int64_t i = 0; i < count; i++) {
        deconv_projection_info *s = &w->batch->job->infos[w->batch->seed[i]];
        bool any = false;

        for (int v = 0; v < way->graph->n_value; v++)
            any = any || w->alive[v * count + i];
        if (!any && s->died_at < 0 && s->largest == 0.0f)
            s->died_at = way->graph->value[node->out[0]].layer;
    }
done:
    return status;
}

/* Runs the batch again, node by node. */
static deconv_status find_deaths(const batch *b, const inverse_key *key)
{
    deconv_trace *trace = b->job->trace;
    inverse_key watched = *key;
    deconv_status status = DECONV_OK;
    watch w = {.batch = b};
    inverse *way = NULL;

    watched.watched = true;
    watched.windows = b->count;
    TRY_ALLOC(w.alive, trace->ctx, (size_t)trace->graph->n_value * (size_t)b->count);
    TRY(inverse_create(trace, &watched, &way));
    for (int64_t from = 0; from < b->count; from += way->count) {
        batch part = {b->job, b->seed + from, b->unit + from,
                      b->count - from < way->count ? b->count - from : way->count};

        w.batch = &part;
        TRY(plant(&part, way));
        TRY(look(way, key->from, &w));
        TRY(inverse_run(trace, way, look_at_step, &w));
    }
done:
    inverse_free(way);
    mem_free(trace->ctx, w.alive);
    return status;
}

/* ---- All seeds of one value ---- */

static deconv_status inspect(const batch *b, const inverse *way, bool *dead)
{
    const tensor *last = way->signal[way->key.to];
    const int64_t each = shape_count(&last->shape) / way->count, step = looked_at(each);
    deconv_status status = DECONV_OK;
    buffer_view view = {0};

    for (int64_t i = 0; i < b->count; i++) {
        deconv_projection_info *s = &b->job->infos[b->seed[i]];

        if (i % step == 0)
            TRY(view_windows(way->ctx, last->data, each, i, b->count, &view));
        TRY(largest_of(b->job, (const float *)view.at + i % step * each, (size_t)each,
                       &s->largest));
        if (s->largest == 0.0f && seed_value(b->job, s) == 0.0f)
            s->died_at = b->job->trace->graph->value[b->job->maps.value].layer;
        *dead = *dead || (s->largest == 0.0f && s->died_at < 0);
    }
    TRY(buffer_view_close(&view));
done:
    buffer_view_drop(&view);
    return status;
}

static deconv_status project_group(job *j, const inverse_key *layer, const batch *group, int value)
{
    inverse_key key = *layer;
    deconv_status status = DECONV_OK;
    inverse *way;

    key.from = value;
    key.windows = group->count;
    TRY(inverse_prepare(j->trace, &key, &way));
    for (int64_t from = 0; from < group->count; from += way->count) {
        batch b = {j, group->seed + from, group->unit + from,
                   group->count - from < way->count ? group->count - from : way->count};
        bool dead = false;

        TRY(plant(&b, way));
        TRY(inverse_run(j->trace, way, NULL, NULL));
        TRY(place(&b, way));
        TRY(inspect(&b, way, &dead));
        if (dead)
            TRY(find_deaths(&b, &key));
    }
done:
    return status;
}

deconv_status project_windows(job *j, const inverse_key *key)
{
    const graph *g = j->trace->graph;
    deconv_status status = DECONV_OK;
    start *starts = NULL;
    uint64_t *seed = NULL;
    int64_t *unit = NULL;
    bool *done_before = NULL;

    TRY_ALLOC(starts, j->trace->ctx, (size_t)j->count);
    TRY_ALLOC(seed, j->trace->ctx, (size_t)j->count);
    TRY_ALLOC(unit, j->trace->ctx, (size_t)j->count);
    TRY_ALLOC(done_before, j->trace->ctx, (size_t)j->count);
    for (uint64_t i = 0; i < j->count; i++)
        starts[i] = find_start(g, key, j->infos[i].unit);
    for (uint64_t i = 0; i < j->count; i++) {
        batch group = {j, seed, unit, 0};

        for (uint64_t k = i; k < j->count && !done_before[i]; k++) {
            if (starts[k].value != starts[i].value)
                continue;
            seed[group.count] = k;
            unit[group.count++] = starts[k].unit;
        }
        for (int64_t k = 0; k < group.count; k++)
            done_before[seed[k]] = true;
        if (group.count)
            TRY(project_group(j, key, &group, starts[i].value));
    }
done:
    mem_free(j->trace->ctx, starts);
    mem_free(j->trace->ctx, seed);
    mem_free(j->trace->ctx, unit);
    mem_free(j->trace->ctx, done_before);
    return status;
}
