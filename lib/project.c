/* Projections: choosing the units, seeding, reading the result, and saying where a signal died. */
#include "project.h"

#include "options.h"

#include <math.h>

void deconv_project_options_init(deconv_project_options *options)
{
    *options = (deconv_project_options)DECONV_PROJECT_OPTIONS_INIT;
}

/* ---- A layer as maps of positions ---- */

static int64_t map_size(const maps *m)
{
    return m->height * m->width;
}

static int64_t item_size(const maps *m)
{
    return m->units * map_size(m);
}

/* (N,C), (N,C,W) and (N,C,H,W); a vector without a batch is one item. */
static deconv_status maps_of(const deconv_trace *trace, int value, maps *m)
{
    const graph_value *v = &trace->graph->value[value];
    const shape *s = &v->shape;
    deconv_status status = DECONV_OK;

    if (s->rank < 1 || s->rank > 4)
        FAIL(trace->ctx, DECONV_ERROR_UNSUPPORTED,
             "%s has %d dimensions; units are projected from layers of 1 to 4", v->name, s->rank);
    m->name = v->name;
    m->value = value;
    m->items = s->rank > 1 ? s->dim[0] : 1;
    m->units = s->rank > 1 ? s->dim[1] : s->dim[0];
    m->height = s->rank == 4 ? s->dim[2] : 1;
    m->width = s->rank >= 3 ? s->dim[s->rank - 1] : 1;
done:
    return status;
}

/* ---- Choosing units ---- */

static deconv_status check_range(deconv_ctx *ctx, const maps *m, const char *what, int64_t at,
                                 int64_t count)
{
    if (at >= 0 && at < count)
        return DECONV_OK;
    if (count == 1)
        return error_set(ctx, DECONV_ERROR_INVALID, "%s: %s %lld does not exist; the only one is 0",
                         m->name, what, (long long)at);
    return error_set(ctx, DECONV_ERROR_INVALID,
                     "%s: %s %lld does not exist; the layer has %lld (0-%lld)", m->name, what,
                     (long long)at, (long long)count, (long long)count - 1);
}

static deconv_status check_seed(deconv_ctx *ctx, const maps *m, const deconv_seed *seed)
{
    deconv_status status = DECONV_OK;

    TRY(check_range(ctx, m, "picture", seed->item, m->items));
    if (seed->unit != DECONV_STRONGEST)
        TRY(check_range(ctx, m, m->height * m->width > 1 ? "feature map" : "unit", seed->unit,
                        m->units));
    if ((seed->y == DECONV_STRONGEST) != (seed->x == DECONV_STRONGEST) && map_size(m) > 1)
        FAIL(ctx, DECONV_ERROR_INVALID, "%s: give both row and column, or neither", m->name);
    if (seed->y != DECONV_STRONGEST)
        TRY(check_range(ctx, m, "row", seed->y, m->height));
    if (seed->x != DECONV_STRONGEST)
        TRY(check_range(ctx, m, "column", seed->x, m->width));
done:
    return status;
}

/* The first of the largest of `count` values; NaN is never the largest. */
static int64_t largest(const float *values, int64_t count)
{
    int64_t best = 0;

    for (int64_t i = 1; i < count; i++)
        if (values[i] > values[best] || (isnan(values[best]) && !isnan(values[i])))
            best = i;
    return best;
}

/* Fills in what the seed leaves open, from one picture's activations (units, height, width). */
static void resolve_seed(const maps *m, const deconv_seed *seed, const float *item,
                         deconv_projection_info *info)
{
    int64_t unit = seed->unit, at;

    if (unit == DECONV_STRONGEST)
        unit = largest(item, item_size(m)) / map_size(m);
    if (seed->y == DECONV_STRONGEST || seed->x == DECONV_STRONGEST)
        at = largest(item + unit * map_size(m), map_size(m));
    else
        at = seed->y * m->width + seed->x;
    *info = (deconv_projection_info){.item = seed->item,
                                     .unit = unit,
                                     .y = at / m->width,
                                     .x = at % m->width,
                                     .activation = item[unit * map_size(m) + at],
                                     .died_at = -1};
}

static deconv_status resolve_seeds(const deconv_trace *trace, const maps *m,
                                   const deconv_seed *seeds, uint64_t count,
                                   deconv_projection_info *infos)
{
    deconv_ctx *ctx = trace->ctx;
    deconv_status status = DECONV_OK;
    float *item = NULL;
    int64_t loaded = -1;

    TRY_ALLOC(item, ctx, (size_t)item_size(m));
    for (uint64_t i = 0; i < count; i++) {
        TRY(check_seed(ctx, m, &seeds[i]));
        if (loaded != seeds[i].item)
            TRY(trace_read_item(trace, m->value, seeds[i].item, item));
        loaded = seeds[i].item;
        resolve_seed(m, &seeds[i], item, &infos[i]);
    }
done:
    mem_free(ctx, item);
    return status;
}

/* ---- Where a signal died ---- */

/* Per value: is any of item `item`'s signal there not zero? */
typedef struct death_watch {
    int64_t item, items;
    bool *alive; /* [n_value] */
    int died_at; /* layer, -1 as long as something lives */
} death_watch;

static deconv_status is_alive(const inverse *way, int value, const death_watch *watch, bool *alive)
{
    const tensor *t = way->signal[value];
    int64_t count = layout_floats(&t->shape, t->block), first = 0;
    deconv_status status = DECONV_OK;
    buffer_view view = {0};
    const float *values;

    if (t->shape.rank > 0 && t->shape.dim[0] == watch->items) {
        count /= watch->items;
        first = watch->item * count;
    }
    TRY(buffer_view_open(way->ctx, t->data, (size_t)first * sizeof(float),
                         (size_t)count * sizeof(float), VIEW_READ, &view));
    values = view.at;
    *alive = false;
    for (int64_t i = 0; i < count && !*alive; i++)
        *alive = values[i] != 0.0f;
    TRY(buffer_view_close(&view));
done:
    return status;
}

static deconv_status watch_for_death(const inverse *way, const inverse_step *step, void *user)
{
    const graph_node *node = &way->graph->node[step->node];
    death_watch *watch = user;
    deconv_status status = DECONV_OK;
    bool any = false;

    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0)
            watch->alive[node->out[i]] = false;
    for (int i = 0; i < node->n_in; i++)
        if (step->signal_in[i])
            TRY(is_alive(way, node->in[i], watch, &watch->alive[node->in[i]]));
    for (int v = 0; v < way->graph->n_value; v++)
        any = any || watch->alive[v];
    if (!any && watch->died_at < 0)
        watch->died_at = way->graph->value[node->out[0]].layer;
done:
    return status;
}

static deconv_status find_death(deconv_trace *trace, inverse *way, int64_t items,
                                deconv_projection_info *info)
{
    const graph *g = way->graph;
    death_watch watch = {.item = info->item, .items = items, .died_at = -1};
    deconv_status status = DECONV_OK;

    TRY_ALLOC(watch.alive, way->ctx, (size_t)g->n_value);
    TRY(is_alive(way, way->key.from, &watch, &watch.alive[way->key.from]));
    if (watch.alive[way->key.from])
        TRY(inverse_run(trace, way, watch_for_death, &watch));
    else
        watch.died_at = g->value[way->key.from].layer;
    info->died_at = watch.died_at;
done:
    mem_free(way->ctx, watch.alive);
    return status;
}

/* ---- Projecting ---- */

float seed_value(const job *j, const deconv_projection_info *seed)
{
    return j->value == DECONV_SEED_ONE ? 1.0f : seed->activation;
}

deconv_status largest_of(const job *j, const float *values, size_t count, float *largest)
{
    deconv_status status = DECONV_OK;

    *largest = 0.0f;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            FAIL(j->trace->ctx, DECONV_ERROR_INVALID,
                 "%s: the projection is not finite; the network or its input overflows",
                 j->maps.name);
        *largest = fmaxf(*largest, fabsf(values[i]));
    }
done:
    return status;
}

/* Zero everywhere but at the seeds of this round. */
static deconv_status seed_round(const job *j, const uint8_t *in_round)
{
    const maps *m = &j->maps;
    tensor *signal = j->way->signal[j->way->key.from];
    deconv_status status = DECONV_OK;

    TRY(buffer_fill(j->trace->ctx, signal->data, 0,
                    (size_t)layout_floats(&signal->shape, signal->block) * sizeof(float), 0.0f));
    for (uint64_t i = 0; i < j->count; i++) {
        const deconv_projection_info *s = &j->infos[i];
        int64_t blocks = (m->units + signal->block - 1) / signal->block;
        int64_t plane = s->item * blocks + s->unit / signal->block;
        int64_t at = ((plane * m->height + s->y) * m->width + s->x) * signal->block +
                     s->unit % signal->block;
        float value = seed_value(j, s);

        if (in_round[i])
            TRY(buffer_write(j->trace->ctx, signal->data, (size_t)at * sizeof(float), sizeof value,
                             &value));
    }
done:
    return status;
}

/* Runs the round again, node by node, for an empty projection. */
static deconv_status look_for_death(const job *j, uint64_t index, const uint8_t *in_round)
{
    inverse_key watched = j->way->key;
    deconv_status status = DECONV_OK;
    job again = *j;

    watched.watched = true;
    TRY(inverse_create(j->trace, &watched, &again.way));
    TRY(seed_round(&again, in_round));
    TRY(find_death(j->trace, again.way, j->maps.items, &j->infos[index]));
done:
    inverse_free(again.way == j->way ? NULL : again.way);
    return status;
}

/* Reads the largest absolute value of one finished projection; looks for the death of an empty one.
 */
static deconv_status inspect(const job *j, uint64_t index, const uint8_t *in_round)
{
    deconv_ctx *ctx = j->trace->ctx;
    deconv_projection_info *info = &j->infos[index];
    size_t count = (size_t)(shape_count(&j->result->shape) / (int64_t)j->count);
    deconv_status status = DECONV_OK;
    buffer_view view = {0};

    TRY(buffer_view_open(ctx, j->result->data, (size_t)index * count * sizeof(float),
                         count * sizeof(float), VIEW_READ, &view));
    TRY(largest_of(j, view.at, count, &info->largest));
    TRY(buffer_view_close(&view));
    if (info->largest == 0.0f)
        TRY(look_for_death(j, index, in_round));
done:
    buffer_view_drop(&view);
    return status;
}

static deconv_status run_round(const job *j, const uint8_t *in_round)
{
    deconv_ctx *ctx = j->trace->ctx;
    const tensor *projected = j->way->signal[j->way->key.to];
    size_t bytes = buffer_size(j->result->data) / (size_t)j->count;
    deconv_status status = DECONV_OK;

    TRY(seed_round(j, in_round));
    TRY(inverse_run(j->trace, j->way, NULL, NULL));
    for (uint64_t i = 0; i < j->count; i++)
        if (in_round[i])
            TRY(buffer_copy(ctx, projected->data, (size_t)j->infos[i].item * bytes, j->result->data,
                            (size_t)i * bytes, bytes));
    TRY(device_wait(ctx));
    for (uint64_t i = 0; i < j->count; i++)
        if (in_round[i])
            TRY(inspect(j, i, in_round));
done:
    return status;
}

/* A pass carries one seed per picture of the batch: as many rounds as the busiest picture has
 * seeds. */
static deconv_status run_rounds(const job *j)
{
    deconv_ctx *ctx = j->trace->ctx;
    deconv_status status = DECONV_OK;
    uint8_t *in_round = NULL, *done_before = NULL, *busy = NULL;
    uint64_t left = j->count;

    TRY_ALLOC(in_round, ctx, (size_t)j->count);
    TRY_ALLOC(done_before, ctx, (size_t)j->count);
    TRY_ALLOC(busy, ctx, (size_t)j->maps.items);
    while (left > 0) {
        for (int64_t item = 0; item < j->maps.items; item++)
            busy[item] = 0;
        for (uint64_t i = 0; i < j->count; i++) {
            in_round[i] = !done_before[i] && !busy[j->infos[i].item];
            if (!in_round[i])
                continue;
            busy[j->infos[i].item] = 1;
            done_before[i] = 1;
            left--;
        }
        TRY(run_round(j, in_round));
    }
done:
    mem_free(ctx, in_round);
    mem_free(ctx, done_before);
    mem_free(ctx, busy);
    return status;
}

/* Checks shared by both ways of projecting; says which pass is wanted. */
static deconv_status check_pass(deconv_trace *trace, uint32_t layer,
                                const deconv_project_options *options, inverse_key *key)
{
    const graph *g = trace->graph;
    uint32_t flags = options->flags & ~(uint32_t)DECONV_PROJECT_WHOLE;
    deconv_status status = DECONV_OK;

    *key = (inverse_key){.rule = options->rule, .flags = flags};
    if (!trace->rules)
        FAIL(trace->ctx, DECONV_ERROR_INVALID,
             "the trace was made with DECONV_TRACE_NO_INVERSE or DECONV_TRACE_APPROXIMATE and has "
             "nothing to project with; make one without these flags");
    TRY(graph_layer(g, layer, &key->from));
    if (!trace->has_run)
        FAIL(trace->ctx, DECONV_ERROR_INVALID, "the trace has not been run yet");
    if (!trace->readable[key->from])
        FAIL(trace->ctx, DECONV_ERROR_INVALID, "%s is not kept by this trace; add it to `keep`",
             g->value[key->from].name);
    if ((unsigned)options->rule > DECONV_RULE_GUIDED || !(trace->rules >> options->rule & 1))
        FAIL(trace->ctx, DECONV_ERROR_INVALID, "the trace does not serve rule %d",
             (int)options->rule);
    if (flags & ~trace->flags)
        FAIL(trace->ctx, DECONV_ERROR_INVALID,
             "flags 0x%x were not named when the trace was made (0x%x)", flags, trace->flags);
    if (options->input >= (uint32_t)g->model->n_input)
        FAIL(trace->ctx, DECONV_ERROR_NOT_FOUND, "input %u does not exist; the network has %d",
             options->input, g->model->n_input);
    key->to = g->model->input[options->input].value;
done:
    return status;
}

/* `result` must hold `count` of the network's inputs. */
static deconv_status check_result(const deconv_trace *trace, const inverse_key *key,
                                  const tensor *result, uint64_t count)
{
    shape want = trace->graph->value[key->to].shape;
    char is[SHAPE_TEXT], should[SHAPE_TEXT];

    want.dim[0] = (int64_t)count;
    if (shape_equal(&result->shape, &want))
        return DECONV_OK;
    return error_set(
        trace->ctx, DECONV_ERROR_INVALID, "the projections' tensor is %s; it must be %s",
        shape_text(&result->shape, is, sizeof is), shape_text(&want, should, sizeof should));
}

deconv_status deconv_project(deconv_trace *trace, uint32_t layer, const deconv_seed *seeds,
                             uint64_t count, const deconv_project_options *options,
                             deconv_tensor *projections, deconv_projection_info *infos)
{
    deconv_project_options given = DECONV_PROJECT_OPTIONS_INIT;
    deconv_ctx *ctx = trace->ctx;
    deconv_status status = DECONV_OK;
    job j = {.trace = trace, .result = projections, .count = count};
    inverse_key key;
    bool cut = false;

    TRY(OPTIONS_READ(ctx, &given, options));
    if (count < 1 || count > INT32_MAX)
        FAIL(ctx, DECONV_ERROR_INVALID, "%llu seeds; at least 1 is wanted",
             (unsigned long long)count);
    TRY(check_pass(trace, layer, &given, &key));
    TRY(check_result(trace, &key, projections, count));
    TRY(maps_of(trace, key.from, &j.maps));
    if (j.maps.items != trace->graph->value[key.to].shape.dim[0])
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "%s does not keep the batch as its first dimension; project a signal instead",
             j.maps.name);
    j.value = given.value;
    TRY_ALLOC(j.infos, ctx, (size_t)count);
    TRY(resolve_seeds(trace, &j.maps, seeds, count, j.infos));
    if (!(given.flags & DECONV_PROJECT_WHOLE))
        TRY(inverse_takes_windows(trace, &key, &cut));
    if (cut) {
        TRY(project_windows(&j, &key));
    } else {
        TRY(inverse_prepare(trace, &key, &j.way));
        TRY(run_rounds(&j));
    }
    for (uint64_t i = 0; infos && i < count; i++)
        infos[i] = j.infos[i];
done:
    mem_free(ctx, j.infos);
    return status;
}

deconv_status deconv_project_signal(deconv_trace *trace, uint32_t layer,
                                    const deconv_tensor *signal,
                                    const deconv_project_options *options,
                                    deconv_tensor *projection)
{
    deconv_project_options given = DECONV_PROJECT_OPTIONS_INIT;
    deconv_ctx *ctx = trace->ctx;
    char is[SHAPE_TEXT], should[SHAPE_TEXT];
    deconv_status status = DECONV_OK;
    const tensor *first;
    inverse_key key;
    inverse *way;

    TRY(OPTIONS_READ(ctx, &given, options));
    TRY(check_pass(trace, layer, &given, &key));
    TRY(check_result(trace, &key, projection, (uint64_t)trace->graph->value[key.to].shape.dim[0]));
    TRY(inverse_prepare(trace, &key, &way));
    first = way->signal[key.from];
    if (!shape_equal(&signal->shape, &first->shape))
        FAIL(ctx, DECONV_ERROR_INVALID, "the signal is %s; layer %s is %s",
             shape_text(&signal->shape, is, sizeof is), trace->graph->value[key.from].name,
             shape_text(&first->shape, should, sizeof should));
    if (first->block > 1)
        TRY(mover_run(&way->enter, &first->shape, signal->data, first->data, false));
    else
        TRY(buffer_copy(ctx, signal->data, 0, first->data, 0,
                        (size_t)shape_count(&signal->shape) * sizeof(float)));
    TRY(inverse_run(trace, way, NULL, NULL));
    TRY(buffer_copy(ctx, way->signal[key.to]->data, 0, projection->data, 0,
                    (size_t)shape_count(&projection->shape) * sizeof(float)));
    TRY(device_wait(ctx));
done:
    return status;
}
