/* Operators whose outputs are put together from boxes of their inputs (rearrange.c, pad.c), and
 * their windows on the way back (reorder_windows.c). */
#ifndef DECONV_LIB_REORDER_H
#define DECONV_LIB_REORDER_H

#include "strided_copy.h"

/* A box of one output that is a box of one input. Element k of output dimension d is position
 * out_from[d] + k there and in_from[d] + k in_step[d] along dimension axis[d] of the input. */
typedef struct piece {
    int input, output;
    int axis[DECONV_MAX_RANK];
    int64_t size[DECONV_MAX_RANK];
    int64_t in_from[DECONV_MAX_RANK], in_step[DECONV_MAX_RANK];
    int64_t out_from[DECONV_MAX_RANK];
    copy_box forward, inverse; /* set by reorder_plan */
} piece;

/* Pieces do not overlap on either side. What none covers is `fill` in an output, and gets no signal
 * in an input. */
typedef struct reorder {
    piece *piece;
    int count;
    float fill;
    kernel *copy; /* NULL when every piece is one contiguous run */
} reorder;

/* `count` pieces, each whole: input 0 to output 0, position to position. */
deconv_status reorder_init(op *op, reorder *r, int count);
deconv_status reorder_plan(op *op, reorder *r);
void reorder_release(op *op, reorder *r);
deconv_status reorder_forward(op *op, const reorder *r, const op_pass *pass);
deconv_status reorder_inverse(op *op, const reorder *r, const op_pass *pass);
box reorder_reach(const op *op, const reorder *r, int input, const box *in, int output);
box reorder_needs(const op *op, const reorder *r, int output, const box *out, int input);

/* op_class.apart and the like. An inverse over windows needs the plan that is made here. */
bool reorder_apart(const op *op, const reorder *r, axes_apart *how);
signal_spread reorder_spread(const op *op, const reorder *r);
deconv_status reorder_plan_windows(op *op, const reorder *r, void **plan);
void reorder_release_windows(void *plan);
deconv_status reorder_inverse_windows(op *op, const reorder *r, const op_pass *pass);

#endif
