/* Sparse linear maps along one axis, and chains of them over several axes: what interpolation,
 * repetition, gathering and the paddings that copy are made of. The adjoint is the transposed map,
 * so both directions gather and neither needs atomics. */
#ifndef DECONV_LIB_AXIS_MAP_H
#define DECONV_LIB_AXIS_MAP_H

#include "op.h"

/* Output position j is the sum of weight[e] x[index[e]] over start[j] <= e < start[j + 1]. */
typedef struct axis_map {
    int64_t in_len, out_len;
    int32_t *start; /* [out_len + 1] */
    int32_t *index;
    double *weight;
    /* While it is filled: */
    int64_t rows, entries, capacity;
} axis_map;

/* An empty map with room for `most` entries a row. Rows are filled one after the other: any number
 * of axis_map_add(), then axis_map_end_row(). */
deconv_status axis_map_init(deconv_ctx *ctx, axis_map *map, int64_t in_len, int64_t out_len,
                            int64_t most);
/* A weight of 0 is left out; one at the row's last index is added to what is there. */
void axis_map_add(axis_map *map, int64_t index, double weight);
void axis_map_end_row(axis_map *map);
void axis_map_release(deconv_ctx *ctx, axis_map *map);

/* A map as the kernel reads it. */
typedef struct device_map {
    buffer *start, *index, *weight;
} device_map;

typedef struct axis_step {
    int axis;
    axis_map map, adjoint;
    device_map device, device_adjoint; /* made by axis_chain_plan */
} axis_step;

/* Maps along different axes of one tensor, at most one an axis, run one after the other. */
typedef struct axis_chain {
    shape in, out; /* of one rank; out_shape of the operator may group `out` differently */
    axis_step step[DECONV_MAX_RANK];
    int count;
    buffer *scratch[2];
    kernel *kernel;
} axis_chain;

/* A chain without steps over tensors of shape `in`. */
void axis_chain_init(axis_chain *chain, const shape *in);
/* Adds the filled `map` along `axis` and takes it over, also when it fails. */
deconv_status axis_chain_add(deconv_ctx *ctx, axis_chain *chain, int axis, axis_map *map);
deconv_status axis_chain_plan(deconv_ctx *ctx, axis_chain *chain);
void axis_chain_release(deconv_ctx *ctx, axis_chain *chain);
deconv_status axis_chain_forward(deconv_ctx *ctx, const axis_chain *chain, const buffer *x,
                                 buffer *y);
deconv_status axis_chain_inverse(deconv_ctx *ctx, const axis_chain *chain, const buffer *signal_out,
                                 buffer *signal_in);
/* Boxes of chain->in and chain->out. */
box axis_chain_reach(const axis_chain *chain, const box *in);
box axis_chain_needs(const axis_chain *chain, const box *out);

/* The functions of an operator whose state begins with an axis_chain from input 0 to output 0.
 * Input and output count as the chain's shapes do, but may group dimensions differently. */
deconv_status axis_op_plan(op *op);
void axis_op_release(op *op);
deconv_status axis_op_forward(op *op, const op_pass *pass);
deconv_status axis_op_inverse(op *op, const op_pass *pass);
box axis_op_reach(const op *op, int input, const box *in, int output);
box axis_op_needs(const op *op, int output, const box *out, int input);
/* Windows of signals: where maps of one rank are mapped along channels, height and width. */
bool axis_op_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                   window_frame *in);
bool axis_op_apart(const op *op, axes_apart *how);
signal_spread axis_op_spread(const op *op, deconv_rule rule, uint32_t flags);
deconv_status axis_op_plan_windows(op *op, const windows *w, void **plan);
void axis_op_release_windows(op *op, void *plan);

/* The fields of an op_class for them. */
#define AXIS_OP_WINDOWS                                                                            \
    .frame = axis_op_frame, .apart = axis_op_apart, .spread = axis_op_spread,                      \
    .plan_windows = axis_op_plan_windows, .release_windows = axis_op_release_windows

#endif
