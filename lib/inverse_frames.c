/* Frames of the windows that a pass back carries; see inverse_frames.h. */
#include "inverse_frames.h"

#include "inverse_twin.h"

/* Memory for the signals of one batch of windows, where the budget allows: more of them at a time
 * are no faster. */
#define WINDOW_MEMORY ((uint64_t)512 << 20)

static int64_t count_operands(const graph *g)
{
    int64_t operands = 0;

    for (int n = 0; n < g->n_node; n++)
        operands += g->node[n].n_in;
    return operands;
}

deconv_status frames_create(deconv_ctx *ctx, const graph *g, frames *out)
{
    deconv_status status = DECONV_OK;

    *out = (frames){.tables = {.ctx = ctx}};
    TRY_ALLOC(out->value, ctx, (size_t)g->n_value);
    TRY_ALLOC(out->kind, ctx, (size_t)g->n_node);
    TRY_ALLOC(out->written, ctx, (size_t)count_operands(g) + 1);
    TRY_ALLOC(out->first, ctx, (size_t)g->n_node);
    TRY_ALLOC(out->spread, ctx, (size_t)g->n_value);
    for (int n = 1; n < g->n_node; n++)
        out->first[n] = out->first[n - 1] + g->node[n - 1].n_in;
done:
    return status;
}

void frames_free(deconv_ctx *ctx, frames *f)
{
    mem_free(ctx, f->value);
    mem_free(ctx, f->kind);
    mem_free(ctx, f->written);
    mem_free(ctx, f->first);
    mem_free(ctx, f->spread);
    if (f->tables.ctx)
        frame_tables_free(&f->tables);
    *f = (frames){0};
}

window_frame frames_written(const frames *f, int n, int i)
{
    return f->written[f->first[n] + i];
}

/* ---- Rows of the table of origins ---- */

static void number_frame(window_frame *f, int64_t count, window_frame *row, int *rows)
{
    int r = 0;

    if (!frame_is_whole(f))
        for (r = 1; r < *rows && !frame_equal(&row[r], f);)
            r++;
    f->first = (int32_t)(r * count);
    if (r == *rows)
        row[(*rows)++] = *f;
}

int64_t frames_most_rows(const graph *g)
{
    return 1 + g->n_value + count_operands(g);
}

deconv_status frames_number(deconv_ctx *ctx, const graph *g, frames *f, int64_t count,
                            window_frame **row, int *rows)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(*row, ctx, (size_t)frames_most_rows(g));
    *rows = 1;
    for (int v = 0; v < g->n_value; v++)
        number_frame(&f->value[v], count, *row, rows);
    for (int64_t i = 0; i < count_operands(g); i++)
        number_frame(&f->written[i], count, *row, rows);
done:
    return status;
}

/* ---- The walk from the seeds' layer down ---- */

static double area(const window_frame *f)
{
    return (double)f->size[0] * f->size[1];
}

/* Signals at all of these are batches of items. */
static bool is_batch(const graph *g, int value)
{
    const shape *s = &g->value[value].shape;

    return s->rank >= 1 && s->dim[0] == g->batch;
}

/* Where windows of it may be cut out. */
static bool is_map(const graph *g, int value)
{
    return is_batch(g, value) &&
           (g->value[value].shape.rank == 3 || g->value[value].shape.rank == 4);
}

/* Maps whose channels are grouped may be cut for views alone. */
static bool may_cut(const graph *g, const op *op, int value)
{
    return is_map(g, value) || (is_batch(g, value) && g->value[value].shape.rank == 5 &&
                                op->class->is_view && op->class->is_view(op));
}

typedef struct walk {
    const graph *g;
    const inverse_key *key;
    const bool *on_way;
    bool *reached;
    frames *f;
} walk;

static bool has_reached(const walk *w, int value)
{
    return value >= 0 && w->on_way[value] && w->reached[value];
}

/* The operator's own windows: `out` is what the consumers left. */
static bool own_frame(const walk *w, const graph_node *node, window_frame out, window_frame *in)
{
    const shape *x = &w->g->value[node->in[0]].shape;
    const window_frame whole_in = frame_whole(x);
    const op *op = node->op;

    return op->class->frame && node->n_out == 1 &&
           op->class->frame(op, w->key->rule, w->key->flags, &out, in) &&
           (frame_is_whole(&out) || area(in) <= area(&whole_in));
}

/* The smallest frame of what has come to all outputs; *cut = false where some is no map. */
static deconv_status common_frame(const walk *w, const graph_node *node, window_frame *common,
                                  bool *cut)
{
    deconv_status status = DECONV_OK;

    *cut = false;
    for (int o = 0; o < node->n_out; o++) {
        int v = node->out[o];
        const shape *map;

        if (!has_reached(w, v))
            continue;
        map = &w->g->value[v].shape;
        if (!may_cut(w->g, node->op, v)) {
            *cut = false;
            break;
        }
        if (*cut)
            TRY(frame_union(&w->f->tables, common, &w->f->value[v], map, common));
        else
            *common = frame_clip(&w->f->value[v], map);
        *cut = true;
    }
done:
    return status;
}

static void set_outputs(const walk *w, const graph_node *node, const window_frame *frame)
{
    for (int o = 0; o < node->n_out; o++) {
        int v = node->out[o];

        if (has_reached(w, v))
            w->f->value[v] = frame ? *frame : frame_whole(&w->g->value[v].shape);
    }
}

static bool passes_batches(const walk *w, const graph_node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] >= 0 && w->reached[node->out[o]] && !is_batch(w->g, node->out[o]))
            return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && w->on_way[node->in[i]] && !is_batch(w->g, node->in[i]))
            return false;
    return true;
}

static void set_written(const walk *w, int n, const window_frame *frame)
{
    const graph_node *node = &w->g->node[n];

    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0)
            w->f->written[w->f->first[n] + i] =
                frame ? *frame : frame_whole(&w->g->value[node->in[i]].shape);
}

/* ---- Axes that go their own ways ---- */

/* More positions than this, of all windows together, are not worth looking up. */
#define MOST_POSITIONS 5e7

static int dim_of(const shape *map, int axis)
{
    return map->rank - 2 + axis;
}

/* What the windows of all outputs need along axis `axis` of input `i`, clipped to the maps, for the
 * seed's row or column `at`. Nothing: from >= to. */
static void needed_range(const walk *w, const graph_node *node, int i, int axis,
                         const axes_apart *how, int64_t at, int64_t *from, int64_t *to)
{
    const op *op = node->op;
    int out_axis = how->turned ? 1 - axis : axis;

    *from = INT64_MAX;
    *to = 0;
    for (int o = 0; o < node->n_out; o++) {
        const window_frame *f;
        box out, in;
        int d;

        if (!has_reached(w, node->out[o]))
            continue;
        f = &w->f->value[node->out[o]];
        d = dim_of(&op->out_shape[o], out_axis);
        out = box_whole(&op->out_shape[o]);
        out.from[d] = frame_begin(f, out_axis, at);
        out.to[d] = out.from[d] + f->size[out_axis];
        out = box_clip(out, &op->out_shape[o]);
        if (box_is_empty(&out))
            continue;
        in = op->class->needs(op, o, &out, i);
        d = dim_of(&op->in_shape[i], axis);
        if (box_is_empty(&in))
            continue;
        *from = in.from[d] < *from ? in.from[d] : *from;
        *to = in.to[d] > *to ? in.to[d] : *to;
    }
}

/* Along one axis: the windows of the input as large as the largest range needed, and inside the
 * map. `by`: the axis of the seeds that it goes by. */
static deconv_status needed_axis(const walk *w, const graph_node *node, int i, int axis,
                                 const axes_apart *how, int by, window_frame *in)
{
    const shape *map = &node->op->in_shape[i];
    int64_t positions = w->f->tables.seeds[by], size = 1, length = map->dim[dim_of(map, axis)];
    deconv_status status = DECONV_OK;
    int32_t *table;

    TRY(frame_tables_add(&w->f->tables, by, &table));
    for (int64_t p = 0; p < positions; p++) {
        int64_t from, to;

        needed_range(w, node, i, axis, how, p, &from, &to);
        table[p] = from < to ? (int32_t)from : FRAME_NOWHERE;
        size = from < to && to - from > size ? to - from : size;
    }
    for (int64_t p = 0; p < positions; p++)
        table[p] = table[p] + size > length ? (int32_t)(length - size) : table[p];
    in->jump[axis] = 1;
    in->offset[axis] = 0;
    in->size[axis] = (int32_t)size;
    in->table[axis] = table;
done:
    return status;
}

/* Of input `i`: whole where some output's is, or where outputs go by different axes. */
static deconv_status needed_frame(const walk *w, const graph_node *node, int i,
                                  const axes_apart *how, window_frame *in)
{
    const shape *map = &node->op->in_shape[i];
    const window_frame *first = NULL;
    window_frame cut = {0};
    deconv_status status = DECONV_OK;

    *in = frame_whole(map);
    for (int o = 0; o < node->n_out; o++) {
        const window_frame *f = has_reached(w, node->out[o]) ? &w->f->value[node->out[o]] : NULL;

        if (!f)
            continue;
        first = first ? first : f;
        if (frame_is_whole(f) || f->turned != first->turned)
            goto done;
        for (int d = 0; d < 2; d++)
            if ((double)f->size[d] * (double)w->f->tables.seeds[frame_by(f, d)] > MOST_POSITIONS)
                goto done;
    }
    cut = *first;
    cut.turned = first->turned != how->turned;
    for (int axis = map->rank == 3; axis < 2; axis++)
        if (!how->same[axis])
            TRY(needed_axis(w, node, i, axis, how, frame_by(&cut, axis), &cut));
    /* Where windows must stay as they are along an axis they cannot become whole. */
    *in = how->same[0] || how->same[1] ? cut : frame_clip(&cut, map);
done:
    return status;
}

/* ---- One node ---- */

/* Through the operator's own windows, where `cut` of the frame `common`, else of whole maps. */
static bool takes_own(const walk *w, int n, bool cut, const window_frame *common)
{
    const graph_node *node = &w->g->node[n];
    window_frame in;

    w->f->kind[n] = FRAME_OWN;
    if (cut && own_frame(w, node, *common, &in)) {
        set_outputs(w, node, common);
        set_written(w, n, &in);
        return true;
    }
    return false;
}

/* The frames of node `n`'s signals. Those of its outputs become the whole map where the operator
 * wants that, or where its windows of inputs would be larger than the map. */
static deconv_status frame_node(const walk *w, int n, bool *yes)
{
    const graph_node *node = &w->g->node[n];
    const op_class *class = node->op->class;
    const deconv_rule rule = w->key->rule;
    deconv_status status = DECONV_OK;
    window_frame common, aligned, in;
    axes_apart how;
    bool cut;
    int32_t step[2];

    *yes = passes_batches(w, node);
    if (!*yes)
        goto done;
    w->f->kind[n] = FRAME_OWN;
    if (class->apart && class->apart(node->op, &how)) {
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] >= 0 && w->on_way[node->in[i]])
                TRY(needed_frame(w, node, i, &how, &w->f->written[w->f->first[n] + i]));
        goto done;
    }
    TRY(common_frame(w, node, &common, &cut));
    if (takes_own(w, n, cut, &common))
        goto done;
    if (cut && class->align) {
        class->align(node->op, step);
        TRY(frame_align(&w->f->tables, &common, step, &aligned));
        if (takes_own(w, n, cut, &aligned))
            goto done;
    }
    if (cut && class->local && class->local(node->op, rule, w->key->flags) &&
        twin_fits(w->g, node, rule, w->key->flags, &common)) {
        w->f->kind[n] = FRAME_TWIN;
        set_outputs(w, node, &common);
        set_written(w, n, &common);
        goto done;
    }
    set_outputs(w, node, NULL);
    if (own_frame(w, node, frame_whole(&w->g->value[node->out[0]].shape), &in)) {
        set_written(w, n, &in);
        goto done;
    }
    set_written(w, n, NULL);
    w->f->kind[n] = FRAME_TWIN_WHOLE;
    *yes = twin_fits(w->g, node, rule, w->key->flags, NULL);
done:
    return status;
}

static signal_spread wider(signal_spread a, signal_spread b)
{
    return a > b ? a : b;
}

/* How far a signal has come behind node `n`. */
static signal_spread spread_behind(const walk *w, const graph_node *node)
{
    const op_class *class = node->op->class;

    if (!class->spread || node->n_out != 1)
        return ANYWHERE;
    return wider(class->spread(node->op, w->key->rule, w->key->flags), w->f->spread[node->out[0]]);
}

/* What a node sends arrives at value `v`, the first signal there or one of several. */
static deconv_status arrive(const walk *w, int v, const window_frame *sent, signal_spread spread)
{
    frames *f = w->f;
    deconv_status status = DECONV_OK;

    if (!w->reached[v]) {
        f->value[v] = *sent;
        f->spread[v] = spread;
    } else {
        TRY(frame_union(&f->tables, &f->value[v], sent, &w->g->value[v].shape, &f->value[v]));
        f->spread[v] = wider(IN_CHANNEL, wider(spread, f->spread[v]));
    }
    w->reached[v] = true;
done:
    return status;
}

static bool has_signal(const walk *w, const graph_node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (has_reached(w, node->out[o]))
            return true;
    return false;
}

deconv_status frames_find(deconv_ctx *ctx, const graph *g, const inverse_key *key,
                          const bool *on_way, frames *f, bool *yes)
{
    walk w = {.g = g, .key = key, .on_way = on_way, .f = f};
    const shape *to = &g->value[key->to].shape;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(w.reached, ctx, (size_t)g->n_value);
    w.reached[key->from] = true;
    f->value[key->from] = is_map(g, key->from) ? (window_frame){.jump = {1, 1}, .size = {1, 1}}
                                               : frame_whole(&g->value[key->from].shape);
    f->tables.seeds[0] = is_map(g, key->from) ? map_height(&g->value[key->from].shape) : 1;
    f->tables.seeds[1] = is_map(g, key->from) ? map_width(&g->value[key->from].shape) : 1;
    f->spread[key->from] = IN_CELL;
    /* Projections are put together by channels. */
    *yes = is_batch(g, key->from) && is_batch(g, key->to) && to->rank >= 2 && to->rank <= 4;
    for (int n = g->value[key->from].producer; n >= 0 && *yes; n--) {
        const graph_node *node = &g->node[n];

        if (!has_signal(&w, node))
            continue;
        TRY(frame_node(&w, n, yes));
        for (int i = 0; i < node->n_in && *yes; i++) {
            int v = node->in[i];

            if (v >= 0 && on_way[v]) {
                window_frame sent = frames_written(f, n, i);

                TRY(arrive(&w, v, &sent, spread_behind(&w, node)));
            }
        }
    }
done:
    mem_free(ctx, w.reached);
    return status;
}

int64_t frames_count(deconv_ctx *ctx, const inverse_key *key, uint64_t each, uint64_t largest)
{
    const device_limits *limits = device_limits_of(ctx);
    uint64_t budget =
        limits->global_memory / 8 < WINDOW_MEMORY ? limits->global_memory / 8 : WINDOW_MEMORY;
    int64_t most = (int64_t)(budget / (each ? each : 1)), rounds;

    if (most > (int64_t)(limits->max_allocation / largest))
        most = (int64_t)(limits->max_allocation / largest);
    if (most > (int64_t)(INT32_MAX / (largest / sizeof(float) + 1)))
        most = (int64_t)(INT32_MAX / (largest / sizeof(float) + 1));
    if (most < 1)
        most = 1;
    rounds = (key->windows + most - 1) / most;
    return (key->windows + rounds - 1) / rounds;
}
