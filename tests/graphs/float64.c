/* The network in float64, node by node, with the operators of tests/reference. */
#include "graphs.h"

#include <stdlib.h>
#include <string.h>

/* Inputs are what the library computed, so that an error shows where it is made. */
static void load_inputs(random_net *g, net_node *n)
{
    for (int i = 0; i < n->c.n_in; i++)
        for (int64_t e = 0; n->from[i] >= 0 && e < n->c.in[i].count; e++)
            n->c.in[i].at[e] = g->value[n->from[i]].is[e];
}

void net_forward(random_net *g, int node)
{
    load_inputs(g, &g->node[node]);
    ref_forward(&g->node[node].c);
}

static double *signal_of(net_value *v)
{
    if (!v->signal)
        v->signal = calloc((size_t)v->count, sizeof *v->signal);
    if (!v->signal)
        abort();
    return v->signal;
}

static void step_back(random_net *g, net_node *n, deconv_rule rule, uint32_t flags)
{
    for (int o = 0; o < n->c.n_out; o++)
        memcpy(n->c.R[o].at, signal_of(&g->value[n->value[o]]),
               (size_t)n->c.R[o].count * sizeof(double));
    ref_inverse(&n->c, rule, flags);
    for (int i = 0; i < n->c.n_in; i++) {
        double *to = n->from[i] < 0 ? NULL : signal_of(&g->value[n->from[i]]);

        for (int64_t e = 0; to && e < n->c.in[i].count; e++)
            to[e] += n->c.S[i].at[e];
    }
}

void net_inverse(random_net *g, int value, const double *signal, deconv_rule rule, uint32_t flags)
{
    for (int v = 0; v < g->n_value; v++) {
        free(g->value[v].signal);
        g->value[v].signal = NULL;
    }
    memcpy(signal_of(&g->value[value]), signal, (size_t)g->value[value].count * sizeof *signal);
    for (int i = g->value[value].node; i >= 0; i--) {
        net_node *n = &g->node[i];
        bool any = false;

        for (int o = 0; o < n->c.n_out; o++)
            any = any || g->value[n->value[o]].signal;
        if (any)
            step_back(g, n, rule, flags);
    }
    signal_of(&g->value[0]);
}
