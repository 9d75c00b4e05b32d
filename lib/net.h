/* A network: its file, its weights on the device, and a graph per batch size. */
#ifndef DECONV_LIB_NET_H
#define DECONV_LIB_NET_H

#include "graph.h"

struct deconv_net {
    deconv_ctx *ctx;
    onnx_model *model;
    graph_sizes sizes;   /* what the file leaves open; batch is that of `graph` */
    int64_t fixed_batch; /* 0: open */
    weight *weights;     /* [model->n_value] initializers on the device */
    graph *graph;        /* for one picture, or for the fixed batch */
    graph *recent;       /* for the batch size used last, if another, or the last approximate one */
    char *tuning_path;   /* what the last deconv_net_tune() said; NULL before */
};

/* A graph for `batch` pictures; the caller drops it. `approximate`: inexact algorithms may serve in
 * it (conv/engine.h), so nothing else shares its operators. */
deconv_status net_graph(deconv_net *net, int64_t batch, bool approximate, graph **out);

#endif
