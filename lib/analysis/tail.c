/* The part of a pass that needs whole tensors: the nodes of a graph for as many pictures as fit,
 * behind values that are put together out of windows. */
#include "windows.h"

static void extend(span *s, int step)
{
    s->first = step < s->first ? step : s->first;
    s->last = step > s->last ? step : s->last;
}

/* Node `n`'s input `i` is read row-major and stored in blocks. */
static bool wants_rows(const graph *g, int n, int i)
{
    return trace_wants_rows(g, &g->node[n], i);
}

/* The node whose result is written by node n: the Relu behind it, where it does that too. */
static int result_of(const change *c, const graph *g, int n, int o)
{
    if (o == 0 && c->fused[n])
        for (int next = n + 1; next < g->n_node; next++)
            if (c->done_before[next] && g->node[next].in[0] == g->node[n].out[0])
                return g->node[next].out[0];
    return g->node[n].out[o];
}

static bool runs(const change *c, int n)
{
    return c->tail[n] && !c->done_before[n];
}

static bool is_read_here(const change *c, int v)
{
    return v >= 0 && !c->graph->value[v].constant && c->graph->value[v].from_input;
}

static void find_spans(const change *c, const graph *g, const int *wanted, int count, span *spans)
{
    int n_value = g->n_value;

    for (int u = 0; u < 2 * n_value; u++)
        spans[u] = (span){.first = g->n_node, .last = -2};
    for (int n = 0; n < g->n_node; n++) {
        for (int o = 0; runs(c, n) && o < g->node[n].n_out; o++)
            if (g->node[n].out[o] >= 0)
                extend(&spans[result_of(c, g, n, o)], n);
        for (int i = 0; runs(c, n) && i < g->node[n].n_in; i++) {
            int v = g->node[n].in[i], rows = is_read_here(c, v) && wants_rows(g, n, i);

            if (!is_read_here(c, v))
                continue;
            extend(&spans[v + rows * n_value], n);
            if (c->in_tail[v])
                extend(&spans[v + rows * n_value], -1);
            else if (rows) /* copied when it is first wanted */
                extend(&spans[v], n);
        }
    }
    for (int i = 0; i < count; i++)
        if (c->state[wanted[i]] == CHANGE_WHOLE)
            extend(&spans[wanted[i]], g->n_node);
    for (int u = 0; u < 2 * n_value; u++) {
        const graph_value *v = &g->value[u % n_value];

        spans[u].name = v->name;
        if (spans[u].first <= spans[u].last)
            spans[u].bytes =
                (size_t)layout_floats(&v->shape, u < n_value ? v->block : 1) * sizeof(float);
    }
}

deconv_status tail_bytes(const change *c, const int *wanted, int count, uint64_t *bytes)
{
    storage slots = {.ctx = c->ctx};
    deconv_status status = DECONV_OK;
    span *spans = NULL;

    *bytes = 0;
    TRY_ALLOC(spans, c->ctx, 2 * (size_t)c->graph->n_value);
    find_spans(c, c->graph, wanted, count, spans);
    TRY(storage_plan(&slots, spans, 2 * c->graph->n_value));
    for (int i = 0; i < slots.count; i++)
        *bytes += slots.bytes[i];
done:
    storage_free(&slots);
    mem_free(c->ctx, spans);
    return status;
}

static deconv_status place(tail *t, const span *spans)
{
    const graph *g = t->graph;
    deconv_status status = DECONV_OK;

    for (int v = 0; v < g->n_value; v++) {
        const span *is = &spans[v], *rows = &spans[v + g->n_value];

        if (is->bytes) {
            TRY(tensor_borrow(t->ctx, &g->value[v].shape, t->storage.slot[is->slot], &t->value[v]));
            t->value[v]->block = g->value[v].block;
        }
        if (rows->bytes)
            TRY(tensor_borrow(t->ctx, &g->value[v].shape, t->storage.slot[rows->slot],
                              &t->rows[v]));
        if (rows->bytes && !t->change->in_tail[v])
            TRY(mover_create(t->ctx, g->value[v].shape.dim[1], g->value[v].block, 1,
                             &t->to_rows[v]));
    }
done:
    return status;
}

static deconv_status lay_out(tail *t, const int *wanted, int count)
{
    const graph *g = t->graph;
    deconv_status status = DECONV_OK;
    span *spans = NULL;

    TRY_ALLOC(spans, t->ctx, 2 * (size_t)g->n_value);
    TRY_ALLOC(t->value, t->ctx, (size_t)g->n_value);
    TRY_ALLOC(t->rows, t->ctx, (size_t)g->n_value);
    TRY_ALLOC(t->to_rows, t->ctx, (size_t)g->n_value);
    find_spans(t->change, g, wanted, count, spans);
    t->storage.ctx = t->ctx;
    TRY(storage_plan(&t->storage, spans, 2 * g->n_value));
    TRY(storage_allocate(&t->storage, "whole maps"));
    /* Places that are not there yet are computed with the rest: on zeros. */
    for (int i = 0; i < t->storage.count; i++)
        TRY(buffer_fill(t->ctx, t->storage.slot[i], 0, t->storage.bytes[i], 0.0f));
    TRY(place(t, spans));
done:
    mem_free(t->ctx, spans);
    return status;
}

static deconv_status plan_nodes(tail *t)
{
    const graph *g = t->graph;
    deconv_status status = DECONV_OK;
    int widest = 1;

    for (int n = 0; n < g->n_node; n++) {
        if (!runs(t->change, n))
            continue;
        TRY(progress_step(t->ctx, (uint64_t)n, (uint64_t)g->n_node, "planning"));
        TRY(op_plan(g->node[n].op));
        widest = g->node[n].n_in > widest ? g->node[n].n_in : widest;
        widest = g->node[n].n_out > widest ? g->node[n].n_out : widest;
    }
    TRY_ALLOC(t->in, t->ctx, (size_t)widest);
    TRY_ALLOC(t->out, t->ctx, (size_t)widest);
done:
    return status;
}

deconv_status tail_create(deconv_net *net, const change *c, const tensor *const *base,
                          int64_t batch, const int *wanted, int count, tail **out)
{
    deconv_status status = DECONV_OK;
    tail *t = NULL;
    bool any = false;

    *out = NULL;
    TRY_ALLOC(t, c->ctx, 1);
    t->ctx = c->ctx;
    t->change = c;
    t->base = base;
    t->batch = batch;
    for (int n = 0; n < c->graph->n_node; n++)
        any = any || runs(c, n);
    if (any) {
        TRY(net_graph(net, batch, false, &t->graph));
        TRY(lay_out(t, wanted, count));
        TRY(plan_nodes(t));
    }
    *out = t;
    t = NULL;
done:
    tail_free(t);
    return status;
}

void tail_free(tail *t)
{
    if (!t)
        return;
    for (int v = 0; t->to_rows && v < t->graph->n_value; v++) {
        deconv_tensor_destroy(t->value[v]);
        deconv_tensor_destroy(t->rows[v]);
        mover_release(&t->to_rows[v]);
    }
    mem_free(t->ctx, t->value);
    mem_free(t->ctx, t->rows);
    mem_free(t->ctx, t->to_rows);
    mem_free(t->ctx, (void *)t->in);
    mem_free(t->ctx, t->out);
    storage_free(&t->storage);
    graph_drop(t->graph);
    mem_free(t->ctx, t);
}

deconv_status tail_take(tail *t, forward *f, const landing *l)
{
    deconv_status status = DECONV_OK;

    for (int v = 0; t->graph && v < t->graph->n_value; v++) {
        int64_t channels = t->graph->value[v].shape.rank > 1 ? t->graph->value[v].shape.dim[1] : 1;

        if (!t->change->in_tail[v])
            continue;
        if (t->value[v])
            TRY(forward_assemble(f, v, l, 0, channels, t->value[v]->block, t->value[v]->data));
        if (t->rows[v])
            TRY(forward_assemble(f, v, l, 0, channels, 1, t->rows[v]->data));
    }
done:
    return status;
}

/* The operands of node `n`; row-major copies are made here. */
static deconv_status set_operands(tail *t, int n)
{
    const graph *g = t->graph;
    const graph_node *node = &g->node[n];
    deconv_status status = DECONV_OK;

    for (int i = 0; i < node->n_in; i++) {
        int v = node->in[i];

        t->in[i] = NULL;
        if (v < 0)
            continue;
        if (g->value[v].constant)
            t->in[i] = op_weight(node->op, i);
        else if (!g->value[v].from_input)
            t->in[i] = t->base[v];
        else
            t->in[i] = wants_rows(g, n, i) ? t->rows[v] : t->value[v];
        if (t->in[i] && t->in[i] == t->rows[v] && !t->change->in_tail[v])
            TRY(mover_run(&t->to_rows[v], &g->value[v].shape, t->value[v]->data, t->rows[v]->data,
                          false));
    }
    for (int o = 0; o < node->n_out; o++)
        t->out[o] = node->out[o] < 0 ? NULL : t->value[result_of(t->change, g, n, o)];
done:
    return status;
}

deconv_status tail_run(tail *t)
{
    deconv_status status = DECONV_OK;

    for (int n = 0; t->graph && n < t->graph->n_node; n++) {
        const op_pass pass = {.in = t->in, .out = t->out, .rectify = t->change->fused[n]};

        if (!runs(t->change, n))
            continue;
        TRY(set_operands(t, n));
        TRY(t->graph->node[n].op->class->forward(t->graph->node[n].op, &pass));
    }
done:
    return status;
}
