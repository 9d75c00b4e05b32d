/* A trace as the inverse pass sees it: what one forward pass left behind. */
#ifndef DECONV_LIB_TRACE_H
#define DECONV_LIB_TRACE_H

#include "graph.h"
#include "layout.h"
#include "plan.h"

struct inverse;

/* What a pass reports as its progress when it is part of something longer. */
typedef struct progress_part {
    uint64_t done, total;
    const char *what;
} progress_part;

struct deconv_trace {
    deconv_ctx *ctx;
    graph *graph;
    uint32_t rules; /* 1 << rule that it serves; 0: it is forward only */
    uint32_t flags;
    bool has_run;
    bool *runs;        /* [n_node] executed by a forward pass */
    bool *fused;       /* [n_node] the Relu behind it is done in its epilogue */
    int *adder;        /* [n_node] the Add behind it that is, and the Relu behind that; -1: none */
    bool *done;        /* [n_node] a node before it does its work */
    int *slice_of;     /* [n_value] the Concat in whose result it is written; -1: none */
    bool *kept;        /* [n_value] still there after the pass */
    bool *rows_kept;   /* [n_value] so is its row-major copy */
    bool *readable;    /* [n_value] kept by the caller's wish */
    tensor **value;    /* [n_value] activations; NULL where nothing computes them */
    tensor **rows;     /* [n_value] row-major copies of values in blocks, for those who want them */
    tensor **shown;    /* [n_value] the same for the caller, made when asked for */
    bool *is_shown;    /* [n_value] and of the last run */
    mover *to_rows;    /* [n_value] */
    buffer **switches; /* [n_node] */
    const tensor **in; /* [widest node] operands of the node at hand */
    tensor **out;
    storage storage;
    const progress_part *part; /* NULL: a pass tells of itself */
    struct inverse *inverse;   /* the plan of the last inverse pass (inverse.c), NULL at first */
};

/* A trace that knows what it will hold and has nothing yet: graph and marks. */
deconv_status trace_create_marked(deconv_net *net, int64_t batch,
                                  const deconv_trace_options *options, deconv_trace **out);
/* trace_plan.c: the marks, then tensors over planned storage, then kernels and switches. */
deconv_status trace_mark(deconv_trace *trace, const deconv_trace_options *options);
deconv_status trace_lay_out(deconv_trace *trace);
deconv_status trace_plan_nodes(deconv_trace *trace);
/* Input `i` is stored in blocks and the operator takes it row-major. */
bool trace_wants_rows(const graph *g, const graph_node *node, int i);
/* The node's output is its input as it stands. */
bool trace_is_alias(const graph *g, const graph_node *node);
/* Bytes that node `n` leaves for the way back besides activations; 0 where nobody goes it. */
size_t trace_switch_bytes(const deconv_trace *trace, int n);

/* Operands of `node` out of the trace: inverse passes see only what is kept. */
void trace_operands(const deconv_trace *trace, const graph_node *node, bool all);

/* Item `item` of a kept value, row-major, as shape_count() / batch floats. */
deconv_status trace_read_item(const deconv_trace *trace, int value, int64_t item, float *out);

void inverse_free(struct inverse *inverse);

#endif
