/* What Conv and ConvTranspose share: both are one convolution problem (lib/conv/problem.h), used in
 * opposite directions. Here "in" is the side with in_channels, a ConvTranspose's output. */
#ifndef DECONV_LIB_CONV_H
#define DECONV_LIB_CONV_H

#include "../conv/engine.h"
#include "spatial.h"

typedef struct conv {
    spatial_attrs attrs;
    int64_t groups;
    spatial windows;
    conv_problem problem;
    convolution *forward, *adjoint; /* NULL until planned */
    bool reads_weights;             /* some plan does, as they are */
} conv;

/* Attributes, the kernel's size and the groups of weights (K, C/G, ...). */
deconv_status conv_read(op *op);
/* The problem between a side of `in_channels` and one of `out_channels`, over conv.windows, and the
 * check of the bias, one value for each of `bias_channels`. */
deconv_status conv_set_problem(op *op, int64_t in_channels, int64_t out_channels,
                               int64_t bias_channels);
/* One direction of it as a task for the engine, its sides in these layouts. */
conv_task conv_task_of(const op *op, conv_direction direction, int in_block, int out_block);
/* Plans a task. Constant weights come to the device for as long as they are packed, or for good
 * where an algorithm reads them as they are. */
deconv_status conv_plan_task(op *op, conv_task task, convolution **out);
/* Plans one direction of the problem. */
deconv_status conv_plan_direction(op *op, conv_direction direction);
/* Enqueue a planned direction between a pass's operands, or its signals. */
deconv_status conv_run(const op *op, convolution *c, const op_pass *pass);
deconv_status conv_run_back(convolution *c, const op_pass *pass);
void conv_release(op *op);

/* Boxes of the two sides, of the weights and of the bias that meet. */
box conv_in_of_out(const conv *c, const box *out);
box conv_out_of_in(const conv *c, const box *in);
box conv_weights_of_out(const conv *c, const box *out);
box conv_weights_of_in(const conv *c, const box *in);
box conv_out_of_weights(const conv *c, const box *weights);
box conv_in_of_weights(const conv *c, const box *weights);
box conv_bias_of(const box *side);
box conv_side_of_bias(const shape *side, const box *bias);

#endif
