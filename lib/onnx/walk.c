/* Index arithmetic for folding: see walk.h. */
#include "walk.h"

int64_t walk_count(const walk *w)
{
    int64_t count = 1;

    for (int d = 0; d < w->rank; d++)
        count *= w->dim[d];
    return count;
}

void walk_next(walk *w)
{
    for (int d = w->rank - 1; d >= 0; d--) {
        bool carry = ++w->at[d] == w->dim[d];

        if (carry)
            w->at[d] = 0;
        for (int t = 0; t < WALK_TENSORS; t++)
            w->offset[t] += carry ? -(w->dim[d] - 1) * w->stride[t][d] : w->stride[t][d];
        if (!carry)
            return;
    }
}

void strides_dense(const shape *s, int64_t *stride)
{
    int64_t step = 1;

    for (int d = s->rank - 1; d >= 0; d--) {
        stride[d] = step;
        step *= s->dim[d];
    }
}

void strides_broadcast(const shape *from, const shape *to, int64_t *stride)
{
    int64_t dense[DECONV_MAX_RANK];
    int lead = to->rank - from->rank;

    strides_dense(from, dense);
    for (int d = 0; d < to->rank; d++)
        stride[d] = d < lead || from->dim[d - lead] == 1 ? 0 : dense[d - lead];
}
