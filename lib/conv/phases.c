/* Directions of a convolution as dense phases; see phases.h. */
#include "phases.h"

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

int phase_count(const conv_problem *p, conv_direction direction, int axis)
{
    if (direction == CONV_FORWARD)
        return 1;
    return (int)(p->stride[axis] < p->in_size[axis] ? p->stride[axis] : p->in_size[axis]);
}

static phase_axis forward_axis(const conv_problem *p, int axis)
{
    return (phase_axis){.first = 0,
                        .step = 1,
                        .count = (int32_t)p->out_size[axis],
                        .src_step = (int32_t)p->stride[axis],
                        .src_first = (int32_t)-p->pad[axis],
                        .taps = (int32_t)p->kernel[axis],
                        .tap_step = (int32_t)p->dilation[axis],
                        .weight_first = 0,
                        .weight_step = 1};
}

/* Input position i = first + u stride takes tap t from output (i + pad - t dilation) / stride where
 * that divides: every `every`-th tap. Backwards through the taps the outputs ascend. */
static phase_axis adjoint_axis(const conv_problem *p, int axis, int64_t first)
{
    int64_t stride = p->stride[axis], dilation = p->dilation[axis];
    int64_t every = stride / common_divisor(stride, dilation);
    int64_t tap = 0, taps, apart = every * dilation / stride;

    while (tap < every && (first + p->pad[axis] - tap * dilation) % stride != 0)
        tap++;
    taps = tap < every && tap < p->kernel[axis] ? (p->kernel[axis] - 1 - tap) / every + 1 : 0;
    return (phase_axis){
        .first = (int32_t)first,
        .step = (int32_t)stride,
        .count = (int32_t)((p->in_size[axis] - first + stride - 1) / stride),
        .src_step = 1,
        .src_first =
            taps ? (int32_t)((first + p->pad[axis] - tap * dilation) / stride - (taps - 1) * apart)
                 : 0,
        .taps = (int32_t)taps,
        .tap_step = (int32_t)apart,
        .weight_first = (int32_t)(tap + (taps - 1) * every),
        .weight_step = (int32_t)-every};
}

phase_axis phase_of(const conv_problem *p, conv_direction direction, int axis, int index)
{
    return direction == CONV_FORWARD ? forward_axis(p, axis) : adjoint_axis(p, axis, index);
}
