/* ReduceMean and ReduceSum. */
#include "reference.h"

#include <string.h>

static bool read_axes(ref_case *c, bool *reduced)
{
    const ref_attr *axes = ref_find(c->problem, "axes");
    bool all = !axes && !ref_int(c->problem, "noop_with_empty_axes", 0);

    for (int d = 0; d < REF_MAX_RANK; d++)
        reduced[d] = all;
    for (int i = 0; axes && i < axes->count; i++) {
        int axis = ref_axis(axes->ints[i], c->in[0].rank);

        if (axis < 0)
            return ref_error(c, "axes is out of range");
        reduced[axis] = true;
    }
    return true;
}

static bool shape(ref_case *c)
{
    bool keep = ref_int(c->problem, "keepdims", 1) != 0, reduced[REF_MAX_RANK];
    int64_t dim[REF_MAX_RANK];
    int rank = 0;

    if (!read_axes(c, reduced))
        return false;
    for (int d = 0; d < c->in[0].rank; d++) {
        if (keep || !reduced[d])
            dim[rank++] = reduced[d] ? 1 : c->in[0].dim[d];
    }
    ref_set_shape(c, 0, rank, dim);
    return true;
}

/* With or without the dimensions of size 1, the flat index of an output element is the same. */
static void terms(ref_case *c, ref_sink *sink)
{
    double per_output = (double)(c->in[0].count / c->out[0].count);
    double weight = c->op == &ref_reduce_mean ? 1 / per_output : 1;
    int64_t index[REF_MAX_RANK];
    ref_tensor kept = c->in[0];
    bool reduced[REF_MAX_RANK];

    read_axes(c, reduced);
    for (int d = 0; d < kept.rank; d++)
        kept.dim[d] = reduced[d] ? 1 : kept.dim[d];
    for (int64_t i = 0; i < c->in[0].count; i++) {
        ref_index(&c->in[0], i, index);
        for (int d = 0; d < kept.rank; d++)
            index[d] = reduced[d] ? 0 : index[d];
        sink->term(sink, 0, i, 0, ref_flat(&kept, index), weight);
    }
}

const ref_op ref_reduce_mean = {.type = "ReduceMean",
                                .inputs = {"x"},
                                .fills = "u",
                                .linearity = REF_LINEAR,
                                .shape = shape,
                                .terms = terms};
const ref_op ref_reduce_sum = {.type = "ReduceSum",
                               .inputs = {"x"},
                               .fills = "u",
                               .linearity = REF_LINEAR,
                               .shape = shape,
                               .terms = terms};
