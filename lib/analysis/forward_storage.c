/* What the windows of a batch take: sizes, lifetimes, storage for every pair of cuts. */
#include "forward.h"

/* ---- Sizes ---- */

static int relu_behind(const change *c, int n)
{
    const graph *g = c->graph;

    for (int next = n + 1; next < g->n_node; next++)
        if (c->done_before[next] && g->node[next].in[0] == g->node[n].out[0])
            return g->node[next].out[0];
    return g->node[n].out[0];
}

int forward_written(const change *c, int n)
{
    return c->fused[n] ? relu_behind(c, n) : c->graph->node[n].out[0];
}

bool forward_is_step(const change *c, int n)
{
    return c->how[n] != AHEAD_WHOLE && c->how[n] != AHEAD_ALIAS && !c->done_before[n];
}

static int64_t window_floats(const shape *map, int block, int64_t height, int64_t width)
{
    return (map->dim[1] + block - 1) / block * block * height * width;
}

int64_t forward_read_size(const graph_node *node, op_ahead how, int axis, int64_t size)
{
    ahead_axis a;

    if (how != AHEAD_CONV && how != AHEAD_POOL)
        return size;
    a = how == AHEAD_CONV ? conv_ahead_axis(node->op, axis) : pool_ahead_axis(node->op, axis);
    return (size - 1) * a.stride + a.extent;
}

static int64_t map_size(const shape *s, int axis)
{
    return axis ? map_width(s) : map_height(s);
}

/* ---- Storage ---- */

int forward_root(const change *c, int value)
{
    const graph *g = c->graph;

    for (int n = g->value[value].producer; n >= 0 && c->how[n] == AHEAD_ALIAS;
         n = g->value[value].producer)
        value = g->node[n].in[0];
    return value;
}

static int32_t largest_size(const cuts *k, int value)
{
    int32_t most = 0;

    for (int i = 0; i < k->count; i++)
        most = k->cut[i].size[value] > most ? k->cut[i].size[value] : most;
    return most;
}

static void extend(span *s, int step)
{
    s->first = step < s->first ? step : s->first;
    s->last = step > s->last ? step : s->last;
}

static void find_lifetimes(const change *c, span *spans)
{
    const graph *g = c->graph;

    extend(&spans[c->input], -1);
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        if (!forward_is_step(c, n))
            continue;
        extend(&spans[forward_root(c, forward_written(c, n))], n);
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] >= 0 && c->state[node->in[i]] == CHANGE_WINDOW)
                extend(&spans[forward_root(c, node->in[i])], n);
    }
    /* What is put together whole is there to the end. */
    for (int v = 0; v < g->n_value; v++)
        if (c->state[v] == CHANGE_WINDOW && c->clean[v] && spans[forward_root(c, v)].last >= -1)
            extend(&spans[forward_root(c, v)], g->n_node);
}

/* What operand `i` of node `n` takes when it is gathered. */
static int64_t gathered_floats(const change *c, const cuts *rows, const cuts *columns, int n, int i)
{
    const graph_node *node = &c->graph->node[n];
    const shape *map = &c->graph->value[node->in[i]].shape;
    int out = forward_written(c, n);
    int64_t size[2] = {largest_size(rows, out), largest_size(columns, out)};

    for (int axis = 0; axis < 2; axis++) {
        int64_t whole = map_size(map, axis);

        size[axis] = forward_read_size(node, c->how[n], axis, size[axis]);
        size[axis] = size[axis] > whole ? size[axis] : c->how[n] == AHEAD_CONV ? whole : size[axis];
    }
    return window_floats(map, node->op->in_block[i], size[0], size[1]);
}

bool forward_pool_reads_as_it_is(const graph *g, int n)
{
    return g->node[n].op->in_block[0] == g->value[g->node[n].in[0]].block;
}

int forward_operands(const graph *g)
{
    int count = 0;

    for (int n = 0; n < g->n_node; n++)
        count += g->node[n].n_in;
    return count;
}

deconv_status forward_storage(const change *c, const cuts *rows, const cuts *columns, int64_t batch,
                              storage *slots, span **out, uint64_t *bytes)
{
    const graph *g = c->graph;
    int count = g->n_value + forward_operands(g), at = g->n_value;
    deconv_status status = DECONV_OK;
    span *spans = NULL;

    *bytes = 0;
    TRY_ALLOC(*out, c->ctx, (size_t)count);
    spans = *out;
    for (int i = 0; i < count; i++)
        spans[i] = (span){.first = g->n_node, .last = -2};
    find_lifetimes(c, spans);
    for (int v = 0; v < g->n_value; v++)
        if (spans[v].first <= spans[v].last)
            spans[v].bytes =
                (size_t)(batch * window_floats(&g->value[v].shape, g->value[v].block,
                                               largest_size(rows, v), largest_size(columns, v))) *
                sizeof(float);
    for (int n = 0; n < g->n_node; at += g->node[n].n_in, n++)
        for (int i = 0; i < g->node[n].n_in; i++) {
            int v = g->node[n].in[i];

            if (!forward_is_step(c, n) || v < 0 || g->value[v].constant ||
                c->how[n] == AHEAD_COPY ||
                (c->how[n] == AHEAD_POOL && forward_pool_reads_as_it_is(g, n)))
                continue;
            spans[at + i] = (span){.first = n, .last = n, .name = g->value[v].name};
            spans[at + i].bytes =
                (size_t)(batch * gathered_floats(c, rows, columns, n, i)) * sizeof(float);
        }
    slots->ctx = c->ctx;
    TRY(storage_plan(slots, spans, count));
    for (int i = 0; i < slots->count; i++)
        *bytes += slots->bytes[i];
done:
    return status;
}
