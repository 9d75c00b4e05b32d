/* Forward over windows: how an operator computes some of its positions from some of its input's,
 * for a pass that computes only what has changed (lib/analysis/windows.h). */
#ifndef DECONV_LIB_AHEAD_H
#define DECONV_LIB_AHEAD_H

#include "../conv/engine.h"
#include "op.h"

typedef enum op_ahead {
    AHEAD_WHOLE, /* it cannot: whole tensors */
    AHEAD_SAME,  /* position by position, each for itself: like a map of that many positions */
    AHEAD_ALIAS, /* likewise, and there is nothing to compute */
    AHEAD_CONV,  /* a convolution without padding over what its taps read */
    AHEAD_POOL,  /* by kernels that know where windows lie: padding is not just zeros there */
    AHEAD_COPY,  /* channels of one input or several, one behind the other, or a Pad of zeros */
} op_ahead;

op_ahead op_ahead_of(const op *op);

/* One axis of what a convolution or pool reads: output o from o stride - pad on, `extent`
 * positions. */
typedef struct ahead_axis {
    int64_t in; /* positions of the whole map that is read */
    int64_t stride, extent, pad;
} ahead_axis;

ahead_axis conv_ahead_axis(const op *op, int axis);
ahead_axis pool_ahead_axis(const op *op, int axis);

/* ---- AHEAD_CONV ---- */

bool conv_can_ahead(const op *op);
/* The convolution over `count` windows of `out` positions, from windows of `in`: with the
 * operator's padding where they are whole maps, without any where they hold all that is read. */
deconv_status conv_plan_ahead(op *op, int64_t count, const int64_t in[2], const int64_t out[2],
                              bool padded, convolution **plan);
/* Enqueues it with the operator's weights and bias. */
deconv_status conv_run_ahead(const op *op, convolution *plan, const buffer *src, const buffer *dst,
                             bool relu);

/* ---- AHEAD_COPY ---- */

/* A Pad that puts nothing but zeros around maps, or crops them. */
bool pad_can_ahead(const op *op);
/* Positions along an axis that stand before the input's; negative: so many of it are cropped. */
int64_t pad_ahead_before(const op *op, int axis);

/* ---- AHEAD_POOL ---- */

/* Windows that a pool reads and writes. As cl/pool.cl has it, field for field. */
typedef struct pool_cut {
    int32_t count;              /* of them */
    int32_t window_h, window_w; /* those that are read; 0: none, only `base` is */
    int32_t to_h, to_w;         /* those that are written */
    int32_t window_row, to_row; /* where they begin: rows of `origins`; -1: at 0, 0 */
    int32_t pitch;              /* of `origins`, int2 */
    int32_t step_h, step_w;   /* not 0: windows that are read begin where those that are written */
    int32_t shift_h, shift_w; /* do, times step, less shift, and hold all that is read */
} pool_cut;

deconv_status pool_plan_ahead(const op *op, kernel **out);
/* Reads windows where there are some, and the map `base`, the same for all, beside them. */
deconv_status pool_run_ahead(const op *op, kernel *k, const pool_cut *c, const buffer *base,
                             const buffer *window, const buffer *to, const buffer *origins);

#endif
