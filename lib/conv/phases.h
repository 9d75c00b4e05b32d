/* Either direction of a convolution as dense convolutions: the positions of the result that lie
 * `step` apart see the same taps of the kernel. The forward direction is one phase; the adjoint of
 * stride s has s per axis, each a stride-1 convolution with every s-th tap, flipped. */
#ifndef DECONV_LIB_CONV_PHASES_H
#define DECONV_LIB_CONV_PHASES_H

#include "problem.h"

/* One axis of a phase. Position u of the phase is first + u step of dst; its tap m reads src at
 * src_first + u src_step + m tap_step, with the kernel's tap weight_first + m weight_step. As
 * cl/conv_shape.h declares it, field for field. */
typedef struct phase_axis {
    int32_t first, step, count;
    int32_t src_step, src_first;
    int32_t taps, tap_step;
    int32_t weight_first, weight_step;
} phase_axis;

typedef enum conv_direction { CONV_FORWARD, CONV_ADJOINT } conv_direction;

/* How many phases an axis has (1 or the stride, no more than positions), and phase `index` of it. A
 * phase may have no taps: its positions are zero. */
int phase_count(const conv_problem *p, conv_direction direction, int axis);
phase_axis phase_of(const conv_problem *p, conv_direction direction, int axis, int index);

#endif
