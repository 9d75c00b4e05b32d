/* Frames of the windows that a pass back carries; see inverse_frames.h. */
#include "inverse_frames.h"

/* Memory for the signals of one batch of windows, where the budget allows: more of them at a time
 * are no faster. */
#define WINDOW_MEMORY ((uint64_t)512 << 20)

deconv_status frames_create(deconv_ctx *ctx, const graph *g, frames *out)
{
    deconv_status status = DECONV_OK;

    *out = (frames){0};
    TRY_ALLOC(out->value, ctx, (size_t)g->n_value);
    TRY_ALLOC(out->written, ctx, (size_t)g->n_node);
    TRY_ALLOC(out->spread, ctx, (size_t)g->n_value);
done:
    return status;
}

void frames_free(deconv_ctx *ctx, frames *f)
{
    mem_free(ctx, f->value);
    mem_free(ctx, f->written);
    mem_free(ctx, f->spread);
    *f = (frames){0};
}

static double area(const window_frame *f)
{
    return (double)f->size[0] * f->size[1];
}

static bool is_map(const graph_value *v)
{
    return v->shape.rank == 3 || v->shape.rank == 4;
}

/* The frames of a node's signals: `out` is what its consumers left, and becomes the whole map where
 * the operator wants that, or where its windows of inputs would be larger than the map. */
static bool frame_node(const graph *g, const inverse_key *key, const graph_node *node,
                       window_frame *out, window_frame *in)
{
    const graph_value *y = &g->value[node->out[0]], *x = &g->value[node->in[0]];
    const op *op = node->op;
    window_frame whole_in;

    if (!op->class->frame || node->n_out != 1 || !is_map(y) || !is_map(x))
        return false;
    *out = frame_clip(out, &y->shape);
    whole_in = frame_whole(&x->shape);
    if (op->class->frame(op, key->rule, key->flags, out, in) && area(in) <= area(&whole_in))
        return true;
    *out = frame_whole(&y->shape);
    return op->class->frame(op, key->rule, key->flags, out, in);
}

static signal_spread wider(signal_spread a, signal_spread b)
{
    return a > b ? a : b;
}

/* What node `n` sends arrives at value `v`, the first signal there or one of several. */
static void arrive(const graph *g, int v, const window_frame *sent, signal_spread spread,
                   bool first, frames *f)
{
    if (first) {
        f->value[v] = *sent;
        f->spread[v] = spread;
        return;
    }
    f->value[v] = frame_union(&f->value[v], sent, &g->value[v].shape);
    f->spread[v] = wider(IN_CHANNEL, wider(spread, f->spread[v]));
}

deconv_status frames_find(deconv_ctx *ctx, const graph *g, const inverse_key *key,
                          const bool *on_way, frames *f, bool *yes)
{
    deconv_status status = DECONV_OK;
    bool *reached = NULL;

    TRY_ALLOC(reached, ctx, (size_t)g->n_value);
    reached[key->from] = true;
    f->value[key->from] = (window_frame){.jump = {1, 1}, .size = {1, 1}};
    f->spread[key->from] = IN_CELL;
    *yes = is_map(&g->value[key->from]);
    for (int n = g->value[key->from].producer; n >= 0 && *yes; n--) {
        const graph_node *node = &g->node[n];
        signal_spread spread;
        bool any = false;

        for (int i = 0; i < node->n_out; i++)
            any = any || (node->out[i] >= 0 && on_way[node->out[i]] && reached[node->out[i]]);
        if (!any)
            continue;
        *yes = frame_node(g, key, node, &f->value[node->out[0]], &f->written[n]);
        spread = node->op->class->spread ? node->op->class->spread(node->op) : ANYWHERE;
        spread = wider(spread, f->spread[node->out[0]]);
        for (int i = 0; i < node->n_in && *yes; i++) {
            int v = node->in[i];

            if (v < 0 || !on_way[v])
                continue;
            *yes = is_map(&g->value[v]);
            arrive(g, v, &f->written[n], spread, !reached[v], f);
            reached[v] = true;
        }
    }
done:
    mem_free(ctx, reached);
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
