/* Which values of a graph are stored in blocks of channels. An operator that cannot take them gets
 * a row-major copy; what comes from outside and what goes there is row-major. */
#include "graph.h"

/* Fewer channels than half a block would be mostly empty lanes. */
static bool worth_blocks(const graph_value *v, int block)
{
    return v->from_input && v->shape.rank >= 3 && v->shape.rank <= 4 && v->shape.dim[1] * 2 > block;
}

static op_blocks blocks_of(const op *op, int block)
{
    return op->class->blocks ? op->class->blocks(op, block) : BLOCKS_NEVER;
}

static bool in_blocks(const graph *g, int value)
{
    return value < 0 || g->value[value].block > 1;
}

/* An operator that wants its maps alike and has one that is row-major has them all so. */
static bool settle_alike(graph *g, const graph_node *node)
{
    bool all = true, changed = false;

    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && g->value[node->in[i]].from_input)
            all = all && in_blocks(g, node->in[i]);
    for (int i = 0; i < node->n_out; i++)
        all = all && in_blocks(g, node->out[i]);
    for (int i = 0; !all && i < node->n_out; i++) {
        if (node->out[i] < 0 || g->value[node->out[i]].block == 1)
            continue;
        g->value[node->out[i]].block = 1;
        changed = true;
    }
    return changed;
}

/* One that takes each as it comes, within limits: rather the result row-major than refused. */
static bool settle_each(graph *g, const graph_node *node, int block)
{
    const op_class *class = node->op->class;
    graph_value *out = &g->value[node->out[0]];
    int in = g->value[node->in[0]].block;

    if (out->block == 1 || class->takes_blocks(node->op, in, block) ||
        (in > 1 && class->takes_blocks(node->op, 1, block)))
        return false; /* as it is, or from a row-major copy */
    out->block = 1;
    return true;
}

static bool settle(graph *g, int block)
{
    bool changed = false;

    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        if (blocks_of(node->op, block) == BLOCKS_ALIKE)
            changed = settle_alike(g, node) || changed;
        if (blocks_of(node->op, block) == BLOCKS_EACH)
            changed = settle_each(g, node, block) || changed;
    }
    return changed;
}

/* The layouts in which a node takes its operands. */
static void tell(const graph *g, const graph_node *node, int block)
{
    op_blocks kind = blocks_of(node->op, block);
    op *op = node->op;

    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0)
            op->out_block[i] = g->value[node->out[i]].block;
    for (int i = 0; i < node->n_in; i++) {
        const graph_value *v = node->in[i] < 0 ? NULL : &g->value[node->in[i]];

        if (!v || !v->from_input)
            continue;
        if (kind == BLOCKS_ALIKE)
            op->in_block[i] = op->out_block[0];
        if (kind == BLOCKS_EACH && i == 0 &&
            op->class->takes_blocks(op, v->block, op->out_block[0]))
            op->in_block[i] = v->block;
    }
}

void graph_choose_layouts(graph *g)
{
    int block = device_block(g->ctx);

    for (int v = 0; v < g->n_value; v++)
        g->value[v].block = 1;
    for (int n = 0; block > 1 && n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] >= 0 && blocks_of(node->op, block) != BLOCKS_NEVER &&
                worth_blocks(&g->value[node->out[i]], block))
                g->value[node->out[i]].block = block;
    }
    while (block > 1 && settle(g, block))
        ;
    for (int n = 0; n < g->n_node; n++)
        tell(g, &g->node[n], block);
}
