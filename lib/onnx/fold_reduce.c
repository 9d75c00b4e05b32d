/* Folding of reductions over axes. */
#include "fold.h"

#include <math.h>

typedef enum reduction { REDUCE_SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN, REDUCE_MEAN } reduction;

/* Sums of floats are kept in double, integers wrap around. */
static double combine_f(reduction kind, double sum, double x)
{
    switch (kind) {
    case REDUCE_PROD:
        return sum * x;
    case REDUCE_MAX:
        return x > sum || x != x ? x : sum;
    case REDUCE_MIN:
        return x < sum || x != x ? x : sum;
    default:
        return sum + x;
    }
}

static int64_t combine_i(reduction kind, int64_t sum, int64_t x)
{
    switch (kind) {
    case REDUCE_PROD:
        return (int64_t)((uint64_t)sum * (uint64_t)x);
    case REDUCE_MAX:
        return x > sum ? x : sum;
    case REDUCE_MIN:
        return x < sum ? x : sum;
    default:
        return (int64_t)((uint64_t)sum + (uint64_t)x);
    }
}

/* What a reduction of nothing gives. */
static double start_f(reduction kind)
{
    return kind == REDUCE_PROD  ? 1
           : kind == REDUCE_MAX ? -INFINITY
           : kind == REDUCE_MIN ? INFINITY
                                : 0;
}

static int64_t start_i(reduction kind)
{
    return kind == REDUCE_PROD  ? 1
           : kind == REDUCE_MAX ? INT64_MIN
           : kind == REDUCE_MIN ? INT64_MAX
                                : 0;
}

/* Output 0, which has its shape: every one of its elements takes `each` elements of x, which `w`
 * brings one after the other. */
static void reduce(reduction kind, const host_tensor *x, walk *w, int64_t each, host_tensor *y)
{
    int64_t count = shape_count(&y->shape);

    for (int64_t n = 0; n < count; n++) {
        double f = start_f(kind);
        int64_t i = start_i(kind);

        for (int64_t k = 0; k < each; k++, walk_next(w)) {
            if (x->is_float)
                f = combine_f(kind, f, x->f[w->offset[0]]);
            else
                i = combine_i(kind, i, x->i[w->offset[0]]);
        }
        if (x->is_float)
            y->f[n] = (float)(kind == REDUCE_MEAN ? f / (double)each : f);
        else
            y->i[n] = kind == REDUCE_MEAN ? i / each : i;
    }
}

/* The dimensions of `s` that are (or are not) reduced, as the next ones of the walk. */
static void add_dimensions(walk *w, const shape *s, const bool *reduced, bool which)
{
    int64_t stride[DECONV_MAX_RANK];

    strides_dense(s, stride);
    for (int d = 0; d < s->rank; d++) {
        if (reduced[d] != which)
            continue;
        w->dim[w->rank] = s->dim[d];
        w->stride[0][w->rank++] = stride[d];
    }
}

/* Which dimensions are reduced: those named, or all; noop_with_empty_axes makes it none. */
static deconv_status reduced_axes(const fold *f, int rank, bool *reduced)
{
    deconv_status status = DECONV_OK;
    const int64_t *axes;
    int64_t noop;
    size_t count;

    TRY(fold_list(f, "axes", 1, &axes, &count));
    TRY(fold_attr_int(f, "noop_with_empty_axes", 0, &noop));
    TRY(fold_axes(f, axes, count, rank, reduced));
    for (int d = 0; d < rank && count == 0 && !noop; d++)
        reduced[d] = true;
done:
    return status;
}

static deconv_status run_reduce(const fold *f, reduction kind)
{
    const host_tensor *x = fold_in(f, 0);
    deconv_status status = DECONV_OK;
    bool reduced[DECONV_MAX_RANK];
    shape s = {0};
    walk w = {0};
    int64_t keep, each = 1;

    TRY(reduced_axes(f, x->shape.rank, reduced));
    TRY(fold_attr_int(f, "keepdims", 1, &keep));
    for (int d = 0; d < x->shape.rank; d++) {
        if (reduced[d])
            each *= x->shape.dim[d];
        if (!reduced[d] || keep)
            s.dim[s.rank++] = reduced[d] ? 1 : x->shape.dim[d];
    }
    if (each == 0 && !x->is_float && kind != REDUCE_SUM && kind != REDUCE_PROD)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its input has no elements to reduce");
    add_dimensions(&w, &x->shape, reduced, false);
    add_dimensions(&w, &x->shape, reduced, true);
    TRY(fold_out(f, 0, &s, x->is_float));
    reduce(kind, x, &w, each, f->out[0]);
done:
    return status;
}

static deconv_status run_sum(const fold *f)
{
    return run_reduce(f, REDUCE_SUM);
}

static deconv_status run_prod(const fold *f)
{
    return run_reduce(f, REDUCE_PROD);
}

static deconv_status run_max(const fold *f)
{
    return run_reduce(f, REDUCE_MAX);
}

static deconv_status run_min(const fold *f)
{
    return run_reduce(f, REDUCE_MIN);
}

static deconv_status run_mean(const fold *f)
{
    return run_reduce(f, REDUCE_MEAN);
}

const fold_op fold_reduce_ops[] = {
    {"ReduceSum", 1, 2, .run = run_sum},   {"ReduceProd", 1, 2, .run = run_prod},
    {"ReduceMax", 1, 2, .run = run_max},   {"ReduceMin", 1, 2, .run = run_min},
    {"ReduceMean", 1, 2, .run = run_mean}, {.type = NULL},
};
