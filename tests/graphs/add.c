/* Nodes and values of a random network: one line of text each, checked by the reference's shapes.
 */
#include "graphs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t most_elements = 40000, most_terms = 1500000;

static const ref_op *find_op(const char *type)
{
    size_t count;
    const ref_op *const *ops = ref_ops(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(ops[i]->type, type) == 0)
            return ops[i];
    abort();
}

static int add_value(random_net *g, int node, int output, int rank, const int64_t *dim)
{
    net_value *v = &g->value[g->n_value];

    *v = (net_value){.node = node, .output = output, .rank = rank, .count = 1};
    memcpy(v->dim, dim, (size_t)rank * sizeof *dim);
    for (int d = 0; d < rank; d++)
        v->count *= dim[d];
    if (node < 0)
        strcpy(v->name, "x");
    else
        snprintf(v->name, sizeof v->name, "v%d", g->n_value);
    return g->n_value++;
}

void net_begin(random_net *g, int rank, const int64_t *dim)
{
    add_value(g, -1, 0, rank, dim);
}

/* "Conv x=1,3,9,9 w=8,3,3,3": the shapes of what is linked stand first. */
static bool make_line(const random_net *g, const ref_op *op, int count, const int *from,
                      const char *rest, char *line)
{
    size_t used = (size_t)snprintf(line, REF_MAX_LINE, "%s", op->type);

    for (int i = 0; i < count; i++)
        for (int d = 0; d < g->value[from[i]].rank && used < REF_MAX_LINE; d++) {
            long long size = (long long)g->value[from[i]].dim[d];

            used += d ? (size_t)snprintf(line + used, REF_MAX_LINE - used, ",%lld", size)
                      : (size_t)snprintf(line + used, REF_MAX_LINE - used, " %s=%lld",
                                         op->inputs[i], size);
        }
    if (used < REF_MAX_LINE)
        used += (size_t)snprintf(line + used, REF_MAX_LINE - used, "%s%s", *rest ? " " : "", rest);
    return used < REF_MAX_LINE;
}

/* What the reference adds up in one direction, about. */
static int64_t terms_of(const ref_case *c)
{
    const ref_tensor *w = &c->in[1];

    if (strcmp(c->op->type, "Conv") == 0)
        return c->out[0].count * (w->count / w->dim[0]);
    if (strcmp(c->op->type, "ConvTranspose") == 0)
        return c->in[0].count * (w->count / w->dim[0]);
    if (strcmp(c->op->type, "Gemm") == 0)
        return c->out[0].count * c->in[0].dim[1];
    return c->out[0].count;
}

/* Weights are drawn by the line and the seed. Those of sums are centred and shrunk by the length of
 * the sum, so that activations stay about as large as they were and gates close about half. */
static void fill_weights(const random_net *g, ref_case *c)
{
    const char *type = c->op->type;
    ref_tensor *w = &c->in[1];
    double length = 0;

    ref_fill_inputs(c, g->seed * NET_NODES + (uint64_t)g->n_node);
    if (strcmp(type, "Conv") == 0)
        length = (double)(w->count / w->dim[0]);
    else if (strcmp(type, "ConvTranspose") == 0)
        length = (double)w->dim[0] * 2;
    else if (strcmp(type, "Gemm") == 0)
        length = (double)c->in[0].dim[1];
    for (int64_t i = 0; length > 0 && i < w->count; i++)
        w->at[i] = (float)((w->at[i] - 0.2) * sqrt(6 / length));
}

int net_add(random_net *g, const char *type, int count, const int *from, const char *rest)
{
    net_node *n = &g->node[g->n_node];
    char line[REF_MAX_LINE], error[160];
    bool fits;

    memset(n, 0, sizeof *n);
    if (g->n_node == NET_NODES || g->n_value + REF_MAX_OUT > NET_VALUES ||
        !make_line(g, find_op(type), count, from, rest, line) ||
        !ref_parse(line, &n->problem, error, sizeof error))
        return -1;
    fits = ref_open(&n->problem, &n->c) && terms_of(&n->c) <= most_terms;
    for (int o = 0; fits && o < n->c.n_out; o++)
        fits = n->c.out[o].count <= most_elements;
    if (!fits) {
        ref_close(&n->c);
        return -1;
    }
    fill_weights(g, &n->c);
    for (int i = 0; i < REF_MAX_IN; i++)
        n->from[i] = i < count ? from[i] : -1;
    for (int i = 0; i < count; i++)
        g->value[from[i]].consumers++;
    for (int o = 0; o < n->c.n_out; o++)
        n->value[o] = add_value(g, g->n_node, o, n->c.out[o].rank, n->c.out[o].dim);
    g->n_node++;
    return n->value[0];
}

void net_free(random_net *g)
{
    for (int i = 0; i < g->n_node; i++)
        ref_close(&g->node[i].c);
    for (int v = 0; v < g->n_value; v++) {
        free(g->value[v].is);
        free(g->value[v].signal);
    }
    memset(g, 0, sizeof *g);
}

/* v5 = Conv x=2,8,9,9 w=16,8,3,3 b=16 of v3 */
void net_print(const random_net *g)
{
    for (int i = 0; i < g->n_node; i++) {
        const net_node *n = &g->node[i];

        printf("     ");
        for (int o = 0; o < n->c.n_out; o++)
            printf("%s%s", o ? ", " : "", g->value[n->value[o]].name);
        printf(" = %s of", n->problem.line);
        for (int k = 0; k < n->c.n_in && n->from[k] >= 0; k++)
            printf(" %s", g->value[n->from[k]].name);
        printf("\n");
    }
}
