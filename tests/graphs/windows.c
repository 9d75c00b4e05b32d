/* Whether a projection really goes by windows: without this, a library that never cuts anything
 * would pass every comparison. The one look behind the public header. */
#include "inverse.h"
#include "project.h"

#include "graphs.h"

bool goes_by_windows(deconv_trace *trace, uint32_t layer, deconv_rule rule, uint32_t flags)
{
    const graph *g = trace->graph;
    inverse_key key = {.rule = rule, .flags = flags, .to = g->model->input[0].value};
    bool yes = false;

    return graph_layer(g, layer, &key.from) == DECONV_OK &&
           inverse_takes_windows(trace, &key, &yes) == DECONV_OK && yes;
}
