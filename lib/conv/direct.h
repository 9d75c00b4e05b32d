/* The clear convolution algorithm: any problem, both directions, straight from NCHW tensors and
 * ONNX weights, nothing packed. Faster ones stand beside it in this folder. */
#ifndef DECONV_LIB_CONV_DIRECT_H
#define DECONV_LIB_CONV_DIRECT_H

#include "../opencl/opencl.h"
#include "problem.h"

typedef struct direct_conv direct_conv;

deconv_status direct_conv_create(deconv_ctx *ctx, const conv_problem *problem, direct_conv **out);
void direct_conv_free(direct_conv *direct);

/* Enqueue y from x, or x from y; `bias` has one value per channel of the side that is computed, or
 * is NULL. The side that is computed is overwritten whole. */
deconv_status direct_conv_forward(direct_conv *direct, const buffer *x, const buffer *weights,
                                  const buffer *bias, const buffer *y);
deconv_status direct_conv_adjoint(direct_conv *direct, const buffer *y, const buffer *weights,
                                  const buffer *bias, const buffer *x);

#endif
