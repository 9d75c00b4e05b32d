/* The pass back through the graph, as inverse_plan.c has planned it. At a value with several
 * consumers their signals are added before its producer's own inverse (DESIGN, the inverse rules).
 * Seeds and results are project.c's. */
#include "inverse_frames.h"
#include "inverse_twin.h"

#include "ops/strided_copy.h"

static void free_step(inverse *way, inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];

    if (step->windows.plan)
        node->op->class->release_windows(node->op, step->windows.plan);
    twin_free(step->twin);
    for (int i = 0; step->delivery && i < node->n_in; i++)
        mover_release(&step->delivery[i].mover);
    mem_free(way->ctx, (void *)step->signal_out);
    mem_free(way->ctx, step->signal_in);
    mem_free(way->ctx, step->delivery);
    mem_free(way->ctx, step->frames);
}

void inverse_free(inverse *way)
{
    if (!way)
        return;
    for (int k = 0; way->step && k < way->n_step; k++)
        free_step(way, &way->step[k]);
    for (int v = 0; way->signal && v < way->graph->n_value; v++)
        deconv_tensor_destroy(way->signal[v]);
    for (int e = 0; e < way->n_extra; e++)
        deconv_tensor_destroy(way->extra[e]);
    kernel_free(way->add);
    kernel_free(way->clip);
    kernel_free(way->plant);
    mover_release(&way->enter);
    mover_release(&way->leave);
    buffer_free(way->seeds);
    buffer_free(way->origins);
    buffer_free(way->units);
    buffer_free(way->values);
    twin_room_free(&way->room);
    storage_free(&way->storage);
    mem_free(way->ctx, way->frame);
    frame_tables_free(&way->tables);
    mem_free(way->ctx, way->row);
    mem_free(way->ctx, way->origin);
    mem_free(way->ctx, way->signal);
    mem_free(way->ctx, way->extra);
    mem_free(way->ctx, way->step);
    mem_free(way->ctx, way);
}

static bool key_equal(const inverse_key *a, const inverse_key *b)
{
    return a->from == b->from && a->to == b->to && a->rule == b->rule && a->flags == b->flags &&
           a->windows == b->windows && a->watched == b->watched;
}

deconv_status inverse_prepare(deconv_trace *trace, const inverse_key *key, inverse **out)
{
    inverse *last = trace->inverse;
    deconv_status status = DECONV_OK;

    if (last && key_equal(&last->key, key)) {
        *out = last;
        goto done;
    }
    *out = NULL;
    trace->inverse = NULL;
    inverse_free(last);
    TRY(inverse_create(trace, key, out));
    trace->inverse = *out;
done:
    return status;
}

/* ---- Running ---- */

/* Windows of nothing lie far outside; kernels add to where they begin. */
static int32_t within(int64_t begin)
{
    const int32_t most = INT32_MAX / 4;

    return begin < -most ? -most : begin > most ? most : (int32_t)begin;
}

/* Where the windows of all frames begin; row 0 stays zero. */
static void find_origins(const inverse *way, const window_seed *seeds)
{
    for (int r = 1; r < way->rows; r++) {
        const window_frame *f = &way->row[r];
        int32_t *origin = way->origin + 2 * r * way->count;

        for (int64_t i = 0; i < way->count; i++) {
            const int32_t at[2] = {seeds[i].y, seeds[i].x};

            for (int d = 0; d < 2; d++)
                origin[2 * i + d] = within(frame_begin(f, d, at[frame_by(f, d)]));
        }
    }
}

/* The first signal: zero but for the seeds. */
static deconv_status plant(const inverse *way)
{
    const tensor *first = way->signal[way->key.from];
    const placed_frame f = frame_placed(&way->frame[way->key.from]);
    kernel *k = way->plant;
    deconv_status status = DECONV_OK;

    TRY(buffer_fill(way->ctx, first->data, 0,
                    (size_t)layout_floats(&first->shape, first->block) * sizeof(float), 0.0f));
    kernel_begin(k);
    arg_buffer(k, first->data);
    arg_buffer(k, way->seeds);
    arg_buffer(k, way->origins);
    arg_buffer(k, way->units);
    arg_buffer(k, way->values);
    arg_struct(k, &f, sizeof f);
    arg_int(k, way->count);
    arg_int(k, (first->shape.dim[1] + first->block - 1) / first->block);
    arg_int(k, first->block);
    TRY(kernel_launch(k, way->count, 1, 1));
done:
    return status;
}

deconv_status inverse_set_seeds(inverse *way, const window_seed *seeds, const int64_t *units,
                                const float *values, int64_t count)
{
    size_t room = (size_t)way->count;
    deconv_status status = DECONV_OK;
    window_seed *all = NULL;
    int32_t *unit = NULL;
    float *value = NULL;

    TRY_ALLOC(all, way->ctx, room);
    TRY_ALLOC(unit, way->ctx, room);
    TRY_ALLOC(value, way->ctx, room);
    for (int64_t i = 0; i < way->count; i++) {
        int64_t of = i < count ? i : count - 1;

        all[i] = seeds[of];
        unit[i] = (int32_t)units[of];
        value[i] = i < count ? values[i] : 0.0f;
    }
    TRY(buffer_write(way->ctx, way->seeds, 0, room * sizeof *all, all));
    TRY(buffer_write(way->ctx, way->units, 0, room * sizeof *unit, unit));
    TRY(buffer_write(way->ctx, way->values, 0, room * sizeof *value, value));
    find_origins(way, all);
    TRY(buffer_write(way->ctx, way->origins, 0, (size_t)way->rows * room * 2 * sizeof *way->origin,
                     way->origin));
    TRY(plant(way));
done:
    mem_free(way->ctx, all);
    mem_free(way->ctx, unit);
    mem_free(way->ctx, value);
    return status;
}

/* Some window of the seeds at hand reaches past the border of the map. */
static bool reaches_out(const inverse *way, const placed_frame *f, const shape *map)
{
    const int64_t size[2] = {map_height(map), map_width(map)};
    const int32_t *origin = way->origin + 2 * (int64_t)f->first;

    for (int64_t i = 0; i < 2 * way->count; i++)
        if (origin[i] < 0 || origin[i] + (int64_t)f->size[i % 2] > size[i % 2])
            return true;
    return false;
}

/* A convolution's windows take part of the padding with them, where there is no signal. Operators
 * whose axes go their own ways see to that themselves. */
static deconv_status clip(const inverse *way, const inverse_step *step, int i)
{
    const graph_node *node = &way->graph->node[step->node];
    const shape *map = &way->graph->value[node->in[i]].shape;
    const tensor *signal = step->signal_in[i];
    placed_frame f;
    int64_t planes = (map_channels(map) + signal->block - 1) / signal->block;
    kernel *k = way->clip;

    if (!step->windows.plan || node->op->class->apart)
        return DECONV_OK;
    f = frame_placed(&step->windows.in[i]);
    if (!reaches_out(way, &f, map))
        return DECONV_OK;
    kernel_begin(k);
    arg_buffer(k, signal->data);
    arg_buffer(k, way->origins);
    arg_struct(k, &f, sizeof f);
    arg_int(k, way->count);
    arg_int(k, planes);
    arg_int(k, signal->block);
    arg_int(k, map_height(map));
    arg_int(k, map_width(map));
    return kernel_launch_groups(k, f.size[1], f.size[0], way->count, 4, 1, 1);
}

static deconv_status deliver(const inverse *way, const inverse_step *step, int i, int value)
{
    const delivery *d = &step->delivery[i];
    const buffer *from = step->signal_in[i]->data;
    buffer *to = d->to->data;

    if (d->plain)
        return add_into(way->add, from, to, layout_floats(&d->to->shape, d->to->block));
    if (!way->key.windows)
        return mover_run(&d->mover, &d->to->shape, from, to, d->add);
    return mover_run_windows(&d->mover, &step->windows, &d->frame, from, &way->frame[value], to,
                             d->add, false);
}

static deconv_status run_step(deconv_trace *trace, inverse *way, const inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];
    deconv_status status = DECONV_OK;
    op_pass pass = {.rule = way->key.rule,
                    .flags = way->key.flags,
                    .in = trace->in,
                    .out = trace->out,
                    .kept = trace->switches[step->node],
                    .signal_out = step->signal_out,
                    .signal_in = step->signal_in,
                    .rectify = step->rectify,
                    .windows = way->key.windows ? &step->windows : NULL};

    if (step->shares)
        goto done;
    trace_operands(trace, node, false);
    if (step->twin)
        TRY(twin_run(step->twin, &step->windows, &way->room, &pass));
    else
        TRY(node->op->class->inverse(node->op, &pass));
    for (int i = 0; i < node->n_in; i++) {
        if (!step->signal_in[i])
            continue;
        TRY(clip(way, step, i));
        if (step->delivery[i].to)
            TRY(deliver(way, step, i, node->in[i]));
    }
done:
    return status;
}

deconv_status inverse_run(deconv_trace *trace, inverse *way, inverse_watch watch, void *user)
{
    deconv_status status = DECONV_OK;

    for (int k = 0; k < way->n_step; k++) {
        TRY(progress_step(way->ctx, (uint64_t)k, (uint64_t)way->n_step, "inverse"));
        TRY(run_step(trace, way, &way->step[k]));
        if (watch)
            TRY(watch(way, &way->step[k], user));
    }
done:
    return status;
}
