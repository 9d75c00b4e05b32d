/* Frames of the windows that a pass back carries; see inverse_frames.h. */
#include "inverse_frames.h"

#include "inverse_twin.h"

/* Memory for the signals of one batch of windows, where the budget allows: more of them at a time
 * are no faster. */
#define WINDOW_MEMORY ((uint64_t)512 << 20)

deconv_status frames_create(deconv_ctx *ctx, const graph *g, frames *out)
{
    deconv_status status = DECONV_OK;

    *out = (frames){0};
    TRY_ALLOC(out->value, ctx, (size_t)g->n_value);
    TRY_ALLOC(out->kind, ctx, (size_t)g->n_node);
    TRY_ALLOC(out->written, ctx, (size_t)g->n_node);
    TRY_ALLOC(out->spread, ctx, (size_t)g->n_value);
done:
    return status;
}

void frames_free(deconv_ctx *ctx, frames *f)
{
    mem_free(ctx, f->value);
    mem_free(ctx, f->kind);
    mem_free(ctx, f->written);
    mem_free(ctx, f->spread);
    *f = (frames){0};
}

window_frame frames_written(const frames *f, const graph *g, int n, int i)
{
    if (f->kind[n] == FRAME_TWIN_WHOLE)
        return frame_whole(&g->value[g->node[n].in[i]].shape);
    return f->written[n];
}

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

/* The walk from the seeds' layer down. */
typedef struct walk {
    const graph *g;
    const inverse_key *key;
    const bool *on_way;
    bool *reached;
    frames *f;
} walk;

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

/* The smallest frame of what has come to all outputs; false where some is no map. */
static bool common_frame(const walk *w, const graph_node *node, window_frame *common)
{
    bool any = false;

    for (int o = 0; o < node->n_out; o++) {
        int v = node->out[o];

        if (v < 0 || !w->on_way[v] || !w->reached[v])
            continue;
        if (!is_map(w->g, v))
            return false;
        *common = any ? frame_union(common, &w->f->value[v], &w->g->value[v].shape)
                      : frame_clip(&w->f->value[v], &w->g->value[v].shape);
        any = true;
    }
    return any;
}

static void set_outputs(const walk *w, const graph_node *node, const window_frame *frame)
{
    for (int o = 0; o < node->n_out; o++) {
        int v = node->out[o];

        if (v >= 0 && w->on_way[v] && w->reached[v])
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

/* The frames of node `n`'s signals. Those of its outputs become the whole map where the operator
 * wants that, or where its windows of inputs would be larger than the map. */
static bool frame_node(const walk *w, int n)
{
    const graph_node *node = &w->g->node[n];
    const op_class *class = node->op->class;
    const deconv_rule rule = w->key->rule;
    window_frame *in = &w->f->written[n], common;
    bool cut = common_frame(w, node, &common);

    if (!passes_batches(w, node))
        return false;
    w->f->kind[n] = FRAME_OWN;
    if (cut && own_frame(w, node, common, in)) {
        set_outputs(w, node, &common);
        return true;
    }
    if (cut && class->local && class->local(node->op, rule, w->key->flags) &&
        twin_fits(w->g, node, rule, w->key->flags, &common)) {
        w->f->kind[n] = FRAME_TWIN;
        *in = common;
        set_outputs(w, node, &common);
        return true;
    }
    set_outputs(w, node, NULL);
    if (own_frame(w, node, frame_whole(&w->g->value[node->out[0]].shape), in))
        return true;
    w->f->kind[n] = FRAME_TWIN_WHOLE;
    return twin_fits(w->g, node, rule, w->key->flags, NULL);
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
static void arrive(const walk *w, int v, const window_frame *sent, signal_spread spread)
{
    frames *f = w->f;

    if (!w->reached[v]) {
        f->value[v] = *sent;
        f->spread[v] = spread;
    } else {
        f->value[v] = frame_union(&f->value[v], sent, &w->g->value[v].shape);
        f->spread[v] = wider(IN_CHANNEL, wider(spread, f->spread[v]));
    }
    w->reached[v] = true;
}

static bool has_signal(const walk *w, const graph_node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] >= 0 && w->on_way[node->out[o]] && w->reached[node->out[o]])
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
    f->spread[key->from] = IN_CELL;
    /* Projections are put together by channels. */
    *yes = is_batch(g, key->from) && is_batch(g, key->to) && to->rank >= 2 && to->rank <= 4;
    for (int n = g->value[key->from].producer; n >= 0 && *yes; n--) {
        const graph_node *node = &g->node[n];

        if (!has_signal(&w, node))
            continue;
        *yes = frame_node(&w, n);
        for (int i = 0; i < node->n_in && *yes; i++) {
            int v = node->in[i];

            if (v >= 0 && on_way[v]) {
                window_frame sent = frames_written(f, g, n, i);

                arrive(&w, v, &sent, spread_behind(&w, node));
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
