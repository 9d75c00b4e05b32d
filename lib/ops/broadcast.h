/* Operands that repeat along some dimensions of a result (NumPy broadcasting): how kernels walk
 * through them, how windows map, how sums over the repeated dimensions are formed. No operator
 * lives here. */
#ifndef DECONV_LIB_BROADCAST_H
#define DECONV_LIB_BROADCAST_H

#include "op.h"

/* ---- Launching ---- */

/* In groups of 64: left alone, PoCL 3.1 takes groups of 1 for a prime number of work-items and is
 * 30 times slower. Global sizes are rounded up, so kernels check every index. */

/* `rows` rows of `width` work-items, numbered get_global_id(2) * get_global_size(1) +
 * get_global_id(1). */
deconv_status launch_rows(kernel *kernel, int64_t width, int64_t rows);
/* x * y * z work-items, where planes_flat() launch_rows() of y * z rows: drivers limit y and z. */
bool planes_flat(int64_t y, int64_t z);
deconv_status launch_planes(kernel *kernel, int64_t x, int64_t y, int64_t z);

/* ---- Element by element ---- */

/* grid of cl/arithmetic.cl: dimension 0 is the innermost. */
typedef struct grid {
    int32_t size[DECONV_MAX_RANK];
    int32_t a[DECONV_MAX_RANK];
    int32_t b[DECONV_MAX_RANK];
    int32_t rank, flat;
} grid;

/* Walks the elements of `out` in the fewest dimensions; `a` and `b` broadcast to it. */
grid grid_make(const shape *out, const shape *a, const shape *b);
/* After the kernel's other arguments are set: its work-items. */
deconv_status grid_launch(kernel *kernel, const grid *g);

/* Boxes between an operand and the result it broadcasts to. */
box broadcast_needs(const shape *operand, const shape *result, const box *out);
box broadcast_reach(const shape *operand, const shape *result, const box *in);

/* ---- Sums ---- */

typedef enum sum_term {
    SUM_PLAIN, /* r */
    SUM_TIMES, /* r p */
    SUM_OVER   /* r / p */
} sum_term;

/* sum_walk of cl/reduce.cl */
typedef struct sum_walk {
    int32_t kept, terms, chunk, chunks;
    int32_t kept_size[DECONV_MAX_RANK], kept_r[DECONV_MAX_RANK], kept_p[DECONV_MAX_RANK];
    int32_t size[DECONV_MAX_RANK], r[DECONV_MAX_RANK], p[DECONV_MAX_RANK];
} sum_walk;

/* A planned sum over dimensions. Zeroed, it is released already. */
typedef struct sums {
    sum_walk walk;
    kernel *terms, *join;
    buffer *partial;
} sums;

/* Sums a tensor of shape `full` over the dimensions in which `kept` broadcasts to it. `factor`, the
 * shape of p, broadcasts to `full` too; it is not looked at where the terms are plain. */
deconv_status sums_plan(deconv_ctx *ctx, const shape *full, const shape *kept, sum_term term,
                        const shape *factor, sums *out);
/* out = scale times the sums of `r`, divided by divisor^2 where `divisor`, of the shape of `out`,
 * is not NULL. */
deconv_status sums_run(const sums *s, const buffer *r, const buffer *factor, const buffer *divisor,
                       buffer *out, float scale);
void sums_release(sums *s);

/* ---- Signals ---- */

/* Whole tensors, enqueued. */
deconv_status tensor_copy(const tensor *from, tensor *to);
deconv_status tensor_clear(tensor *t);
/* to = max(from, 0), by kernel `rectify` of cl/activation.cl. */
deconv_status tensor_rectify(kernel *rectify, const tensor *from, tensor *to);

#endif
