/* What becomes of a change of an input: which values have windows of it, which are changed all
 * over, which are not touched. */
#include "windows.h"

#include <string.h>

static void find_needed(change *c, const int *wanted, int count)
{
    const graph *g = c->graph;

    for (int i = 0; i < count; i++)
        if (g->value[wanted[i]].producer >= 0)
            c->needed[g->value[wanted[i]].producer] = true;
    for (int n = g->n_node - 1; n >= 0; n--)
        for (int i = 0; c->needed[n] && i < g->node[n].n_in; i++)
            if (g->node[n].in[i] >= 0 && g->value[g->node[n].in[i]].producer >= 0)
                c->needed[g->value[g->node[n].in[i]].producer] = true;
}

/* ---- Which nodes do the Relu behind them ---- */

static void count_readers(const change *c, int *readers, int *reader)
{
    const graph *g = c->graph;

    for (int n = 0; n < g->n_node; n++)
        for (int i = 0; c->needed[n] && i < g->node[n].n_in; i++)
            if (g->node[n].in[i] >= 0) {
                readers[g->node[n].in[i]]++;
                reader[g->node[n].in[i]] = n;
            }
}

static deconv_status find_fused(change *c, const int *wanted, int count)
{
    const graph *g = c->graph;
    deconv_status status = DECONV_OK;
    int *readers = NULL, *reader = NULL;

    TRY_ALLOC(readers, c->ctx, (size_t)g->n_value);
    TRY_ALLOC(reader, c->ctx, (size_t)g->n_value);
    count_readers(c, readers, reader);
    for (int i = 0; i < count; i++)
        readers[wanted[i]]++;
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        int v = node->out[0], next = v < 0 || readers[v] != 1 ? -1 : reader[v];

        if (next < 0 || !c->needed[n] || !(node->op->class->rectifies & RECTIFIES_FORWARD) ||
            strcmp(g->node[next].op->class->type, "Relu") != 0 || g->node[next].out[0] < 0 ||
            g->value[g->node[next].out[0]].block != g->value[v].block)
            continue;
        c->fused[n] = c->done_before[next] = true;
    }
done:
    mem_free(c->ctx, readers);
    mem_free(c->ctx, reader);
    return status;
}

/* ---- States ---- */

/* A pool has no kernel that changes layouts on the way. */
static bool layouts_fit(const graph *g, const graph_node *node, op_ahead how)
{
    return how != AHEAD_POOL || node->op->in_block[0] == g->value[node->in[0]].block;
}

/* A map that is not the network's own picture by picture has no windows. */
static bool has_maps(const graph_value *v)
{
    return v->from_input && v->shape.rank >= 3 && v->shape.dim[0] == 1;
}

static op_ahead how_of(const graph *g, const graph_node *node)
{
    op_ahead how = op_ahead_of(node->op);

    for (int i = 0; i < node->n_in; i++) {
        int v = node->in[i];

        if (v >= 0 && !g->value[v].constant && !has_maps(&g->value[v]))
            return AHEAD_WHOLE;
    }
    if (node->n_out != 1 || node->out[0] < 0 || !has_maps(&g->value[node->out[0]]) ||
        !layouts_fit(g, node, how))
        return AHEAD_WHOLE;
    return how;
}

static void classify(change *c, int n)
{
    const graph_node *node = &c->graph->node[n];
    change_state most = CHANGE_NONE;

    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && c->state[node->in[i]] > most)
            most = c->state[node->in[i]];
    if (most == CHANGE_NONE)
        return;
    c->how[n] = most == CHANGE_WINDOW ? how_of(c->graph, node) : AHEAD_WHOLE;
    c->tail[n] = c->how[n] == AHEAD_WHOLE;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0)
            c->state[node->out[i]] = c->tail[n] ? CHANGE_WHOLE : CHANGE_WINDOW;
}

/* What the clean trace must keep, and what the tail gets put together. */
static void find_reads(change *c, const int *wanted, int count)
{
    const graph *g = c->graph;

    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        if (c->done_before[n] || (!c->tail[n] && c->how[n] == AHEAD_WHOLE))
            continue;
        for (int i = 0; i < node->n_in; i++) {
            int v = node->in[i];

            if (v < 0 || g->value[v].constant || c->state[v] == CHANGE_WHOLE)
                continue;
            c->clean[v] = true;
            c->in_tail[v] = c->in_tail[v] || (c->tail[n] && g->value[v].from_input);
        }
    }
    for (int i = 0; i < count; i++)
        c->clean[wanted[i]] = true;
}

/* A Relu in the tail, of a value with windows, is not done before. */
static void settle_fused(change *c)
{
    const graph *g = c->graph;

    for (int n = 0; n < g->n_node; n++) {
        int before = c->done_before[n] ? g->value[g->node[n].in[0]].producer : -1;

        if (before >= 0 && (c->tail[n] != c->tail[before] || c->how[n] == AHEAD_ALIAS))
            c->fused[before] = c->done_before[n] = false;
    }
}

static void number_rows(change *c)
{
    for (int v = 0; v < c->graph->n_value; v++)
        c->row[v] = c->state[v] == CHANGE_WINDOW ? c->rows++ : -1;
}

deconv_status change_create(const graph *g, int input, const int *wanted, int count, change **out)
{
    deconv_status status = DECONV_OK;
    change *c = NULL;

    *out = NULL;
    TRY_ALLOC(c, g->ctx, 1);
    c->ctx = g->ctx;
    c->graph = g;
    c->input = input;
    TRY_ALLOC(c->state, g->ctx, (size_t)g->n_value);
    TRY_ALLOC(c->how, g->ctx, (size_t)g->n_node);
    TRY_ALLOC(c->tail, g->ctx, (size_t)g->n_node);
    TRY_ALLOC(c->fused, g->ctx, (size_t)g->n_node);
    TRY_ALLOC(c->done_before, g->ctx, (size_t)g->n_node);
    TRY_ALLOC(c->in_tail, g->ctx, (size_t)g->n_value);
    TRY_ALLOC(c->clean, g->ctx, (size_t)g->n_value);
    TRY_ALLOC(c->row, g->ctx, (size_t)g->n_value);
    c->state[input] = CHANGE_WINDOW;
    TRY_ALLOC(c->needed, g->ctx, (size_t)g->n_node);
    find_needed(c, wanted, count);
    for (int n = 0; n < g->n_node; n++)
        if (c->needed[n])
            classify(c, n);
    TRY(find_fused(c, wanted, count));
    settle_fused(c);
    find_reads(c, wanted, count);
    number_rows(c);
    *out = c;
    c = NULL;
done:
    change_free(c);
    return status;
}

void change_free(change *c)
{
    if (!c)
        return;
    mem_free(c->ctx, c->state);
    mem_free(c->ctx, c->how);
    mem_free(c->ctx, c->tail);
    mem_free(c->ctx, c->fused);
    mem_free(c->ctx, c->done_before);
    mem_free(c->ctx, c->in_tail);
    mem_free(c->ctx, c->clean);
    mem_free(c->ctx, c->needed);
    mem_free(c->ctx, c->row);
    mem_free(c->ctx, c);
}
