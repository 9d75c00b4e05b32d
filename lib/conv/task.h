/* A task's sizes as seen from the side that is read (src) and the one that is written (dst). */
#ifndef DECONV_LIB_CONV_TASK_H
#define DECONV_LIB_CONV_TASK_H

#include "engine.h"

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t round_up(int64_t a, int64_t b)
{
    return ceil_div(a, b) * b;
}

/* Channels in a group. */
static inline int64_t task_src_channels(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    return (t->direction == CONV_FORWARD ? p->in_channels : p->out_channels) / p->groups;
}

static inline int64_t task_dst_channels(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    return (t->direction == CONV_FORWARD ? p->out_channels : p->in_channels) / p->groups;
}

/* Height and width. */
static inline const int64_t *task_src_size(const conv_task *t)
{
    return t->direction == CONV_FORWARD ? t->problem.in_size : t->problem.out_size;
}

static inline const int64_t *task_dst_size(const conv_task *t)
{
    return t->direction == CONV_FORWARD ? t->problem.out_size : t->problem.in_size;
}

/* Elements of dst, all images and groups. */
static inline int64_t task_dst_floats(const conv_task *t)
{
    const int64_t *size = task_dst_size(t);

    return t->problem.batch * t->problem.groups * task_dst_channels(t) * size[0] * size[1];
}

/* Distances in the ONNX weights between neighbouring channels of dst, of src, and groups. */
static inline int64_t task_weight_dst(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    int64_t taps = p->kernel[0] * p->kernel[1];

    return t->direction == CONV_FORWARD ? p->in_channels / p->groups * taps : taps;
}

static inline int64_t task_weight_src(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    int64_t taps = p->kernel[0] * p->kernel[1];

    return t->direction == CONV_FORWARD ? taps : p->in_channels / p->groups * taps;
}

static inline int64_t task_weight_group(const conv_task *t)
{
    const conv_problem *p = &t->problem;

    return p->out_channels / p->groups * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1];
}

#endif
