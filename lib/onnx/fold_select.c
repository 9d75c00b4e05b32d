/* Folding of operators that take some elements of their inputs, or take them more than once:
 * slices, gathers, expansions, Where. */
#include "fold.h"

#include <string.h>

/* ---- Slice ---- */

typedef struct slice_lists {
    const int64_t *starts, *ends, *axes, *steps;
    size_t n_starts, n_ends, n_axes, n_steps;
} slice_lists;

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Of a dimension of `size`: the first element and how many there are. A start or end below zero
 * counts from the end; beyond either end stands for that end. */
static void slice_range(int64_t size, int64_t start, int64_t end, int64_t step, int64_t *first,
                        int64_t *count)
{
    int64_t low = step < 0 ? -1 : 0;
    int64_t high = step < 0 ? size - 1 : size;
    uint64_t stride = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
    int64_t distance;

    start = clamp(start < 0 ? start + size : start, step < 0 ? 0 : low, high);
    end = clamp(end < 0 ? end + size : end, low, high);
    distance = step < 0 ? start - end : end - start;
    *first = start;
    *count = distance > 0 && size > 0 ? (int64_t)(((uint64_t)distance - 1) / stride) + 1 : 0;
}

static deconv_status slice_parameters(const fold *f, slice_lists *l)
{
    deconv_status status = DECONV_OK;

    TRY(fold_list(f, "starts", 1, &l->starts, &l->n_starts));
    TRY(fold_list(f, "ends", 2, &l->ends, &l->n_ends));
    TRY(fold_list(f, "axes", 3, &l->axes, &l->n_axes));
    TRY(fold_list(f, "steps", 4, &l->steps, &l->n_steps));
    if (l->n_ends != l->n_starts || (l->axes && l->n_axes != l->n_starts) ||
        (l->steps && l->n_steps != l->n_starts) || l->n_starts > (size_t)fold_in(f, 0)->shape.rank)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT,
                  "%zu starts, %zu ends, %zu axes and %zu steps for %d dimensions do not fit",
                  l->n_starts, l->n_ends, l->n_axes, l->n_steps, fold_in(f, 0)->shape.rank);
done:
    return status;
}

static deconv_status run_slice(const fold *f)
{
    const host_tensor *x = fold_in(f, 0);
    deconv_status status = DECONV_OK;
    bool chosen[DECONV_MAX_RANK];
    slice_lists l = {0};
    shape s = x->shape;
    walk w = {.rank = s.rank};
    int axis;

    TRY(slice_parameters(f, &l));
    TRY(fold_axes(f, l.axes, l.n_axes, s.rank, chosen));
    strides_dense(&x->shape, w.stride[1]);
    for (int i = 0; i < (int)l.n_starts; i++) {
        int64_t step = l.steps ? l.steps[i] : 1;
        int64_t first;

        TRY(fold_axis(f, l.axes ? l.axes[i] : i, s.rank, &axis));
        if (step == 0)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "the step along axis %d is 0", axis);
        slice_range(x->shape.dim[axis], l.starts[i], l.ends[i], step, &first, &s.dim[axis]);
        w.offset[1] += first * w.stride[1][axis];
        if (s.dim[axis] > 1) /* so the step is shorter than the dimension */
            w.stride[1][axis] *= step;
    }
    TRY(fold_out(f, 0, &s, x->is_float));
    memcpy(w.dim, s.dim, sizeof s.dim);
    strides_dense(&s, w.stride[0]);
    fold_walk_copy(f->out[0], x, &w);
done:
    return status;
}

/* ---- Gather ---- */

static deconv_status gather_shape(const fold *f, const shape *x, const shape *index, int axis,
                                  shape *out)
{
    deconv_status status = DECONV_OK;
    int rank = x->rank + index->rank - 1;

    memset(out, 0, sizeof *out);
    if (rank > DECONV_MAX_RANK)
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED, "%d dimensions; at most %d are supported", rank,
                  DECONV_MAX_RANK);
    for (int d = 0; d < axis; d++)
        out->dim[out->rank++] = x->dim[d];
    for (int d = 0; d < index->rank; d++)
        out->dim[out->rank++] = index->dim[d];
    for (int d = axis + 1; d < x->rank; d++)
        out->dim[out->rank++] = x->dim[d];
done:
    return status;
}

static deconv_status run_gather(const fold *f)
{
    const host_tensor *x = fold_in(f, 0), *index = fold_in(f, 1);
    int64_t count = shape_count(&index->shape);
    deconv_status status = DECONV_OK;
    int64_t wanted, outer, inner, size;
    int axis;
    shape s;

    if (index->is_float)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its indices must be integers");
    TRY(fold_attr_int(f, "axis", 0, &wanted));
    TRY(fold_axis(f, wanted, x->shape.rank, &axis));
    TRY(gather_shape(f, &x->shape, &index->shape, axis, &s));
    TRY(fold_out(f, 0, &s, x->is_float));
    size = x->shape.dim[axis];
    outer = shape_span(&x->shape, 0, axis);
    inner = shape_span(&x->shape, axis + 1, x->shape.rank);
    for (int64_t n = 0; n < count; n++) {
        int64_t at = index->i[n];

        if (at < -size || at >= size)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "index %lld is outside axis %d of %lld",
                      (long long)at, axis, (long long)size);
        at += at < 0 ? size : 0;
        walk w = {.rank = 2,
                  .dim = {outer, inner},
                  .stride = {{count * inner, 1}, {size * inner, 1}},
                  .offset = {n * inner, at * inner}};
        fold_walk_copy(f->out[0], x, &w);
    }
done:
    return status;
}

/* ---- Expand and Tile ---- */

static deconv_status run_expand(const fold *f)
{
    const host_tensor *x = fold_in(f, 0);
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT], wanted[SHAPE_TEXT];
    shape to = {0}, s;
    const int64_t *list;
    walk w = {0};
    size_t count;

    TRY(fold_list(f, "shape", 1, &list, &count));
    if (count > DECONV_MAX_RANK)
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED, "%zu dimensions; at most %d are supported", count,
                  DECONV_MAX_RANK);
    to.rank = (int)count;
    for (int d = 0; d < to.rank; d++) {
        if (list[d] < 0)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "dimension %d cannot be %lld", d, (long long)list[d]);
        to.dim[d] = list[d];
    }
    if (!shape_broadcast(&x->shape, &to, &s))
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "%s cannot be expanded to %s",
                  shape_text(&x->shape, text, sizeof text), shape_text(&to, wanted, sizeof wanted));
    TRY(fold_out(f, 0, &s, x->is_float));
    w.rank = s.rank;
    memcpy(w.dim, s.dim, sizeof s.dim);
    strides_dense(&s, w.stride[0]);
    strides_broadcast(&x->shape, &s, w.stride[1]);
    fold_walk_copy(f->out[0], x, &w);
done:
    return status;
}

static deconv_status run_tile(const fold *f)
{
    const host_tensor *x = fold_in(f, 0);
    deconv_status status = DECONV_OK;
    int64_t from[DECONV_MAX_RANK], to[DECONV_MAX_RANK];
    const int64_t *repeats;
    shape s = x->shape;
    walk w = {.rank = 2 * s.rank};
    size_t count;

    TRY(fold_list(f, "repeats", 1, &repeats, &count));
    if (count != (size_t)s.rank)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "%zu repeats for %d dimensions", count, s.rank);
    for (int d = 0; d < s.rank; d++) {
        if (repeats[d] < 0 || repeats[d] > INT32_MAX)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "%lld repeats along axis %d", (long long)repeats[d],
                      d);
        s.dim[d] *= repeats[d];
    }
    TRY(fold_out(f, 0, &s, x->is_float));
    strides_dense(&x->shape, from);
    strides_dense(&s, to);
    for (int d = 0; d < s.rank; d++) {
        w.dim[2 * d] = repeats[d];
        w.stride[0][2 * d] = x->shape.dim[d] * to[d];
        w.dim[2 * d + 1] = x->shape.dim[d];
        w.stride[0][2 * d + 1] = to[d];
        w.stride[1][2 * d + 1] = from[d];
    }
    fold_walk_copy(f->out[0], x, &w);
done:
    return status;
}

/* ---- Where ---- */

static deconv_status run_where(const fold *f)
{
    const host_tensor *condition = fold_in(f, 0), *x = fold_in(f, 1), *y = fold_in(f, 2);
    deconv_status status = DECONV_OK;
    walk w = {0};
    int64_t count;
    shape both, s;

    if (condition->is_float)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "the condition of Where must be bool");
    TRY(fold_same_kind(f, x, y));
    TRY(fold_broadcast(f, &x->shape, &y->shape, &both));
    TRY(fold_broadcast(f, &condition->shape, &both, &s));
    TRY(fold_out(f, 0, &s, x->is_float));
    w.rank = s.rank;
    memcpy(w.dim, s.dim, sizeof s.dim);
    strides_broadcast(&condition->shape, &s, w.stride[0]);
    strides_broadcast(&x->shape, &s, w.stride[1]);
    strides_broadcast(&y->shape, &s, w.stride[2]);
    count = shape_count(&s);
    for (int64_t n = 0; n < count; n++, walk_next(&w)) {
        const host_tensor *from = condition->i[w.offset[0]] ? x : y;
        int64_t at = w.offset[from == x ? 1 : 2];

        if (x->is_float)
            f->out[0]->f[n] = from->f[at];
        else
            f->out[0]->i[n] = from->i[at];
    }
done:
    return status;
}

const fold_op fold_select_ops[] = {
    {"Slice", 1, 5, .run = run_slice},   {"Gather", 2, 2, .run = run_gather},
    {"Expand", 2, 2, .run = run_expand}, {"Tile", 2, 2, .run = run_tile},
    {"Where", 3, 3, .run = run_where},   {.type = NULL},
};
