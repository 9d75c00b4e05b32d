/* Windows of one pair of cuts through the graph: what storage (forward_storage.c), planning
 * (forward_plan.c) and running (forward.c) share. The calls are in windows.h. */
#ifndef DECONV_LIB_ANALYSIS_FORWARD_H
#define DECONV_LIB_ANALYSIS_FORWARD_H

#include "windows.h"

/* An input of a step: as its producer left it, or gathered first. */
typedef struct operand {
    int value;
    bool gathered;
    int to_block;
    gather_shape shape;
    const buffer *data; /* what the step reads, or for a concatenation writes to */
} operand;

struct forward_step {
    int node, out; /* out: the value that is written; the Relu's where it is done with it */
    op_ahead how;
    bool relu;
    operand *operand;
    int operands;
    convolution *conv;
    kernel *pool;
    op *like; /* the operator on windows */
    tensor *tensors;
    const tensor **in;
    tensor *result;
};

/* ---- forward_storage.c ---- */

/* The value that node `n` writes: the Relu's behind it, where it does that too. */
int forward_written(const change *c, int n);
/* The node is a step: it computes something. */
bool forward_is_step(const change *c, int n);
/* Whose windows a value's are: those of what an alias stands for. */
int forward_root(const change *c, int value);
/* Positions along `axis` that `size` outputs of a step read, padding included. */
int64_t forward_read_size(const graph_node *node, op_ahead how, int axis, int64_t size);
/* A pool reads windows and clean maps in the layout that it writes; others are gathered first. */
bool forward_pool_reads_as_it_is(const graph *g, int n);
/* Operands of all nodes: their spans stand behind those of the values, node by node. */
int forward_operands(const graph *g);

/* ---- forward.c ---- */

/* Reading value `from` where windows of `to` lie; `to` -1: the whole map. */
gather_shape forward_gather(const forward *f, int from, int to);

#endif
