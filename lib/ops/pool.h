/* What MaxPool and AveragePool share: windows over single planes. The operators themselves are in
 * max_pool.c and average_pool.c. */
#ifndef DECONV_LIB_POOL_H
#define DECONV_LIB_POOL_H

#include "spatial.h"

/* As cl/pool.cl declares it, field for field. */
typedef struct pool_shape {
    int32_t planes;
    int32_t in_h, in_w, out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t padded_h, padded_w;
    int32_t dilation_h, dilation_w;
} pool_shape;

typedef struct pool {
    spatial_attrs attrs;
    spatial windows;
    pool_shape sizes;
    kernel *forward, *inverse;
} pool;

/* op_class functions, for an op whose state begins with a pool. */
deconv_status pool_init(op *op);
deconv_status pool_resolve(op *op);
void pool_release(op *op);
box pool_needs(const op *op, int output, const box *out, int input);
box pool_reach(const op *op, int input, const box *in, int output);

#endif
