/* A network for one batch size: operators with known shapes, and the values between them. Built
 * from an ONNX model by graph.c; run by trace.c (forward) and inverse.c (back). */
#ifndef DECONV_LIB_GRAPH_H
#define DECONV_LIB_GRAPH_H

#include "onnx/model.h"
#include "ops/op.h"

typedef struct graph_value {
    const char *name;
    shape shape;
    const host_tensor *constant; /* known at load, else NULL */
    host_tensor *folded;         /* the same, where this graph computed it and so owns it */
    weight *weight;              /* a float constant for the device, else NULL */
    int block;                   /* layout its producer gives it (tensor.h); 1: row-major */
    int producer;                /* node, -1 for inputs and constants */
    int layer;                   /* index of the layer of this name, -1 for inputs and constants */
    bool from_input;             /* depends on a network input */
    bool fold_reads;             /* folding read its host copy */
} graph_value;

typedef struct graph_node {
    op *op;
    int *in; /* values, -1 where an optional input is left out */
    int n_in;
    int *out; /* values, -1 where the output is not wanted */
    int n_out;
} graph_node;

typedef struct graph {
    deconv_ctx *ctx;
    onnx_model *model;
    weight *weights; /* [n_value] the net's initializers */
    int references;  /* the net and every trace */
    int64_t batch;
    bool approximate;   /* its convolutions may be served by inexact algorithms */
    graph_value *value; /* numbered as in the model */
    int n_value;
    graph_node *node; /* in the order they run */
    int n_node;
    int *layer; /* value of each layer */
    int n_layer;
    scratch scratch; /* of all its operators */
} graph;

/* Sizes that the file leaves open. */
typedef struct graph_sizes {
    int64_t batch;
    int64_t height, width; /* 0: none given */
} graph_sizes;

/* Needs no device. `weights[v]`: initializers on the device, shared by all graphs of a net and
 * owned by it. */
deconv_status graph_build(deconv_ctx *ctx, onnx_model *model, const graph_sizes *sizes,
                          weight *weights, graph **out);
/* For a graph without a way back, before anything is planned. */
void graph_permit_approximate(graph *g);
/* Sets the layout of every value and tells the operators (graph_layout.c). */
void graph_choose_layouts(graph *g);
graph *graph_hold(graph *g);
void graph_drop(graph *g);

/* Layer index -> value number, checked. */
deconv_status graph_layer(const graph *g, uint32_t layer, int *value);

/* The box of value `to` that box `at` of value `from` is computed from: empty where it is not. */
deconv_status graph_needs(const graph *g, int from, const box *at, int to, box *out);

#endif
