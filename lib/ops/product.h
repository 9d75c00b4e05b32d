/* Products of stacks of matrices, C = alpha A B + beta bias, and the two products that carry a
 * signal on C back to A and to B. Gemm and MatMul (dense.c) differ only in how they set one up. */
#ifndef DECONV_LIB_PRODUCT_H
#define DECONV_LIB_PRODUCT_H

#include "op.h"

/* dimensions of a stack */
#define BATCH_DIMS (DECONV_MAX_RANK - 2)

/* As cl/gemm.cl declares it, field for field. The kernels' own names: each solves one problem
 * c = alpha a b + beta bias, which is the product itself or one of the two ways back. */
typedef struct gemm_shape {
    int32_t m, n, k;
    int32_t a_m, a_k, b_k, b_n, c_m, c_n, bias_m, bias_n;
    int32_t batch[BATCH_DIMS], a_batch[BATCH_DIMS], b_batch[BATCH_DIMS], c_batch[BATCH_DIMS];
    int32_t repeat[BATCH_DIMS], a_repeat[BATCH_DIMS], b_repeat[BATCH_DIMS];
    int32_t b_size;
    float alpha, beta;
} gemm_shape;

typedef struct gemm {
    kernel *kernel;
    gemm_shape shape;
    bool swapped; /* computes the transpose: the factors change places */
    bool dense;   /* by cl/dense.cl */
    int32_t span; /* columns of a work-item there */
    int64_t items[3];
} gemm;

/* A stack of matrices in memory. A stride of 0 repeats the same matrix along a batch dimension. */
typedef struct matrix {
    int64_t batch[BATCH_DIMS];
    int64_t row, column;
    int64_t size; /* elements of the whole tensor */
} matrix;

/* C = alpha A B + beta bias over `batch`: A is m x k, B is k x n. */
typedef struct product {
    int64_t m, n, k;
    int64_t batch[BATCH_DIMS];
    matrix a, b, c;
    int64_t bias_row, bias_column;
    float alpha, beta;
    gemm forward, to_a, to_b;
} product;

/* op_class functions, for an op whose state begins with a product: inputs A, B and the bias. */
deconv_status product_plan(op *op);
deconv_status product_plan_inverse(op *op);
void product_release(op *op);
deconv_status product_forward(op *op, const op_pass *pass);
deconv_status product_inverse(op *op, const op_pass *pass);
/* The way back to A over a batch of rows, where B is one constant matrix. */
bool product_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                   window_frame *in);
deconv_status product_plan_windows(op *op, const windows *w, void **plan);
void product_release_windows(op *op, void *plan);
uint32_t product_keeps(const op *op, deconv_rule rule, uint32_t flags);

matrix matrix_transposed(matrix a);

#endif
