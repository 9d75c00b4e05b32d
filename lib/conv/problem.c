/* Sizes of a convolution; see problem.h. */
#include "problem.h"

conv_problem conv_problem_flat(const conv_problem *problem)
{
    conv_problem p = *problem;

    for (int i = 0; i < 2; i++) {
        if (p.kernel[i] != 1 || p.stride[i] != 1 || p.pad[i] != 0 || p.in_size[i] != p.out_size[i])
            return p;
    }
    p.in_size[1] *= p.in_size[0];
    p.in_size[0] = 1;
    p.out_size[1] = p.in_size[1];
    p.out_size[0] = 1;
    return p;
}

double conv_problem_work(const conv_problem *p)
{
    return (double)p->batch * (double)p->out_channels * (double)p->out_size[0] *
           (double)p->out_size[1] * (double)(p->in_channels / p->groups) * (double)p->kernel[0] *
           (double)p->kernel[1];
}
