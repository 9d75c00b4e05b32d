/* Whether a projection really goes by windows: without this, a library that never cuts anything
 * would pass every comparison. The looks behind the public header. */
#include "inverse.h"
#include "project.h"

#include "graphs.h"

#include <string.h>

bool goes_by_windows(deconv_trace *trace, uint32_t layer, deconv_rule rule, uint32_t flags)
{
    const graph *g = trace->graph;
    inverse_key key = {.rule = rule, .flags = flags, .to = g->model->input[0].value};
    bool yes = false;

    return graph_layer(g, layer, &key.from) == DECONV_OK &&
           inverse_takes_windows(trace, &key, &yes) == DECONV_OK && yes;
}

bool count_whole(deconv_trace *trace, uint32_t layer, deconv_rule rule, uint32_t flags,
                 const char *type, int *nodes, int *whole)
{
    const graph *g = trace->graph;
    inverse_key key = {.rule = rule, .flags = flags, .to = g->model->input[0].value, .windows = 1};
    inverse *way = NULL;

    *nodes = *whole = 0;
    if (graph_layer(g, layer, &key.from) != DECONV_OK ||
        inverse_create(trace, &key, &way) != DECONV_OK)
        return false;
    for (int k = 0; k < way->n_step; k++) {
        const inverse_step *step = &way->step[k];
        const graph_node *node = &g->node[step->node];

        if (step->shares || strcmp(node->op->class->type, type) != 0)
            continue;
        for (int i = 0; i < node->n_in; i++)
            if (step->signal_in[i]) {
                ++*nodes;
                *whole += frame_is_whole(&step->windows.in[i]);
            }
    }
    inverse_free(way);
    return true;
}
