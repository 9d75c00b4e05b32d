/* What MaxPool and AveragePool share: windows over single planes. The operators themselves are in
 * max_pool.c and average_pool.c. */
#ifndef DECONV_LIB_POOL_H
#define DECONV_LIB_POOL_H

#include "spatial.h"

/* As cl/pool.cl declares it, field for field. */
typedef struct pool_shape {
    int32_t planes; /* blocks of channels of one picture */
    int32_t batch;
    int32_t in_h, in_w, out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_h, pad_w;
    int32_t padded_h, padded_w;
    int32_t dilation_h, dilation_w;
} pool_shape;

typedef struct pool_frames {
    placed_frame out, in;
} pool_frames;

typedef struct pool {
    spatial_attrs attrs;
    spatial windows;
    pool_shape sizes;
    kernel *forward, *inverse;
} pool;

/* op_class functions, for an op whose state begins with a pool. */
deconv_status pool_init(op *op);
deconv_status pool_resolve(op *op);
/* Kernels NAME_forward and NAME_inverse of cl/pool.cl for the operator's layout. */
deconv_status pool_plan(op *op, const char *name);
/* The work-items over windows, and over the cells of an inverse pass. */
deconv_status pool_launch_forward(const pool *p);
pool_frames pool_frames_of(const pool *p, const op_pass *pass);
int64_t pool_windows_of(const pool *p, const op_pass *pass);
deconv_status pool_launch_inverse(const pool *p, const op_pass *pass);
bool pool_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                window_frame *in);
void pool_release(op *op);
box pool_needs(const op *op, int output, const box *out, int input);
box pool_reach(const op *op, int input, const box *in, int output);

/* Of an AveragePool: cells in the padding count. */
bool average_pool_counts_padding(const op *op);

#endif
