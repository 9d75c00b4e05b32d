/* The tables of all operators, for registry.c. */
#ifndef DECONV_LIB_CLASSES_H
#define DECONV_LIB_CLASSES_H

#include "op.h"

/* rearrange.c, pad.c */
extern const op_class op_transpose;
extern const op_class op_slice;
extern const op_class op_concat;
extern const op_class op_split;
extern const op_class op_pad;

/* view.c */
extern const op_class op_reshape;
extern const op_class op_flatten;
extern const op_class op_squeeze;
extern const op_class op_unsqueeze;
extern const op_class op_identity;
extern const op_class op_dropout;
extern const op_class op_cast;

/* resize.c, gather.c, tile.c */
extern const op_class op_resize;
extern const op_class op_upsample;
extern const op_class op_gather;
extern const op_class op_expand;
extern const op_class op_tile;

/* conv.c, conv_transpose.c */
extern const op_class op_conv;
extern const op_class op_conv_transpose;

/* max_pool.c, average_pool.c, global_pool.c */
extern const op_class op_max_pool;
extern const op_class op_average_pool;
extern const op_class op_global_average_pool;
extern const op_class op_global_max_pool;

/* dense.c */
extern const op_class op_gemm;
extern const op_class op_matmul;

/* activation.c */
enum { OP_ACTIVATIONS = 20 };
extern const op_class op_relu;
extern const op_class op_activations[OP_ACTIVATIONS];

/* arithmetic.c, parametric.c */
enum { OP_ARITHMETIC = 5 };
extern const op_class op_arithmetic[OP_ARITHMETIC];
extern const op_class op_prelu;
extern const op_class op_pow;

/* normalize.c, softmax.c, reduce.c */
extern const op_class op_batch_normalization;
extern const op_class op_lrn;
extern const op_class op_softmax;
extern const op_class op_log_softmax;
extern const op_class op_reduce_mean;
extern const op_class op_reduce_sum;

#endif
