/* Folding of operators that keep every element and change its place or the shape around it. */
#include "fold.h"

#include <string.h>

/* ---- Another shape ---- */

static deconv_status run_identity(const fold *f)
{
    return fold_copy_as(f, 0, fold_in(f, 0), &fold_in(f, 0)->shape);
}

/* The size that -1 stands for. `rest` is the product of the others. */
static deconv_status open_size(const fold *f, const shape *from, int64_t rest, int64_t *out)
{
    int64_t count = shape_count(from);
    char text[SHAPE_TEXT];

    if (rest == 0 || count % rest != 0)
        return node_error(f->ctx, f->node, DECONV_ERROR_FORMAT,
                          "no size in place of -1 makes %lld elements (%s) fit", (long long)count,
                          shape_text(from, text, sizeof text));
    *out = count / rest;
    return DECONV_OK;
}

static deconv_status run_reshape(const fold *f)
{
    const shape *from = &fold_in(f, 0)->shape;
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT], wanted[SHAPE_TEXT];
    const int64_t *list;
    size_t count;
    int64_t keep_zero, rest = 1;
    int open = -1;
    shape s = {0};

    TRY(fold_list(f, "shape", 1, &list, &count));
    TRY(fold_attr_int(f, "allowzero", 0, &keep_zero));
    if (count > DECONV_MAX_RANK)
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED, "%zu dimensions; at most %d are supported", count,
                  DECONV_MAX_RANK);
    s.rank = (int)count;
    for (int d = 0; d < s.rank; d++) {
        s.dim[d] = list[d];
        if (list[d] == -1) {
            if (open >= 0)
                FOLD_FAIL(f, DECONV_ERROR_FORMAT, "more than one dimension is -1");
            open = d;
            continue;
        }
        if (list[d] == 0 && !keep_zero) {
            if (d >= from->rank)
                FOLD_FAIL(f, DECONV_ERROR_FORMAT,
                          "dimension %d is 0 (as in the input), but the input is %s", d,
                          shape_text(from, text, sizeof text));
            s.dim[d] = from->dim[d];
        }
        if (s.dim[d] < 0 || (s.dim[d] > 0 && rest > INT32_MAX / s.dim[d]))
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "dimension %d cannot be %lld", d,
                      (long long)s.dim[d]);
        rest *= s.dim[d];
    }
    if (open >= 0)
        TRY(open_size(f, from, rest, &s.dim[open]));
    if (shape_count(&s) != shape_count(from))
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "%s cannot become %s",
                  shape_text(from, text, sizeof text), shape_text(&s, wanted, sizeof wanted));
    TRY(fold_copy_as(f, 0, fold_in(f, 0), &s));
done:
    return status;
}

static deconv_status run_flatten(const fold *f)
{
    const shape *from = &fold_in(f, 0)->shape;
    deconv_status status = DECONV_OK;
    shape s = {.rank = 2};
    int64_t axis;

    TRY(fold_attr_int(f, "axis", 1, &axis));
    if (axis < -from->rank || axis > from->rank)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "axis %lld does not exist; there are %d dimensions",
                  (long long)axis, from->rank);
    axis += axis < 0 ? from->rank : 0;
    s.dim[0] = shape_span(from, 0, (int)axis);
    s.dim[1] = shape_span(from, (int)axis, from->rank);
    TRY(fold_copy_as(f, 0, fold_in(f, 0), &s));
done:
    return status;
}

static deconv_status run_squeeze(const fold *f)
{
    const shape *from = &fold_in(f, 0)->shape;
    deconv_status status = DECONV_OK;
    bool drop[DECONV_MAX_RANK];
    const int64_t *axes;
    size_t count;
    shape s = {0};

    TRY(fold_list(f, "axes", 1, &axes, &count));
    TRY(fold_axes(f, axes, count, from->rank, drop));
    for (int d = 0; d < from->rank; d++) {
        if (drop[d] && from->dim[d] != 1)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "dimension %d is %lld; only one of 1 can be dropped",
                      d, (long long)from->dim[d]);
        if (!axes && from->dim[d] == 1)
            drop[d] = true;
        if (!drop[d])
            s.dim[s.rank++] = from->dim[d];
    }
    TRY(fold_copy_as(f, 0, fold_in(f, 0), &s));
done:
    return status;
}

static deconv_status run_unsqueeze(const fold *f)
{
    const shape *from = &fold_in(f, 0)->shape;
    deconv_status status = DECONV_OK;
    bool added[DECONV_MAX_RANK];
    const int64_t *axes;
    size_t count;
    shape s = {0};
    int next = 0;

    TRY(fold_list(f, "axes", 1, &axes, &count));
    if (count > (size_t)(DECONV_MAX_RANK - from->rank))
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED, "%zu dimensions; at most %d are supported",
                  count + (size_t)from->rank, DECONV_MAX_RANK);
    s.rank = from->rank + (int)count;
    TRY(fold_axes(f, axes, count, s.rank, added));
    for (int d = 0; d < s.rank; d++)
        s.dim[d] = added[d] ? 1 : from->dim[next++];
    TRY(fold_copy_as(f, 0, fold_in(f, 0), &s));
done:
    return status;
}

/* ---- Another order ---- */

static deconv_status run_transpose(const fold *f)
{
    const host_tensor *x = fold_in(f, 0);
    deconv_status status = DECONV_OK;
    int64_t stride[DECONV_MAX_RANK];
    bool seen[DECONV_MAX_RANK];
    const int64_t *perm;
    size_t count;
    shape s = x->shape;
    walk w = {.rank = s.rank};

    TRY(fold_list(f, "perm", -1, &perm, &count));
    if (perm && count != (size_t)s.rank)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "perm has %zu entries for %d dimensions", count, s.rank);
    TRY(fold_axes(f, perm, count, s.rank, seen));
    strides_dense(&x->shape, stride);
    for (int d = 0; d < s.rank; d++) {
        int from = s.rank - 1 - d;

        if (perm)
            TRY(fold_axis(f, perm[d], s.rank, &from));
        w.dim[d] = s.dim[d] = x->shape.dim[from];
        w.stride[1][d] = stride[from];
    }
    TRY(fold_out(f, 0, &s, x->is_float));
    strides_dense(&s, w.stride[0]);
    fold_walk_copy(f->out[0], x, &w);
done:
    return status;
}

/* ---- Together and apart ---- */

static deconv_status concat_shape(const fold *f, int axis, shape *s)
{
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT], first[SHAPE_TEXT];

    *s = fold_in(f, 0)->shape;
    for (int i = 1; i < f->node->n_in; i++) {
        const host_tensor *x = fold_in(f, i);
        shape fitting;

        if (!x)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its input %d is left out", i);
        if (x->is_float != fold_in(f, 0)->is_float)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its inputs are of different types");
        fitting = x->shape;
        fitting.dim[axis] = fold_in(f, 0)->shape.dim[axis];
        if (!shape_equal(&fitting, &fold_in(f, 0)->shape))
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "input %d is %s, which does not fit %s along axis %d",
                      i, shape_text(&x->shape, text, sizeof text),
                      shape_text(&fold_in(f, 0)->shape, first, sizeof first), axis);
        s->dim[axis] += x->shape.dim[axis];
    }
done:
    return status;
}

static deconv_status run_concat(const fold *f)
{
    deconv_status status = DECONV_OK;
    int64_t wanted, at = 0;
    int axis;
    shape s;

    TRY(fold_attr_int(f, "axis", INT64_MIN, &wanted));
    TRY(fold_axis(f, wanted, fold_in(f, 0)->shape.rank, &axis));
    TRY(concat_shape(f, axis, &s));
    TRY(fold_out(f, 0, &s, fold_in(f, 0)->is_float));
    for (int i = 0; i < f->node->n_in; i++) {
        const shape *from = &fold_in(f, i)->shape;
        int64_t block = shape_span(from, axis, from->rank);
        walk w = {.rank = 2,
                  .dim = {shape_span(from, 0, axis), block},
                  .stride = {{shape_span(&s, axis, s.rank), 1}, {block, 1}},
                  .offset = {at, 0}};

        fold_walk_copy(f->out[0], fold_in(f, i), &w);
        at += block;
    }
done:
    return status;
}

/* Output `index` = elements from..from+size-1 along `axis`. */
static deconv_status split_part(const fold *f, int index, int axis, int64_t from, int64_t size)
{
    const host_tensor *x = fold_in(f, 0);
    deconv_status status = DECONV_OK;
    shape s = x->shape;
    int64_t inner = shape_span(&s, axis + 1, s.rank);
    walk w = {.rank = 2,
              .dim = {shape_span(&s, 0, axis), size * inner},
              .stride = {{size * inner, 1}, {s.dim[axis] * inner, 1}},
              .offset = {0, from * inner}};

    s.dim[axis] = size;
    if (f->node->out[index] < 0)
        goto done;
    TRY(fold_out(f, index, &s, x->is_float));
    fold_walk_copy(f->out[index], x, &w);
done:
    return status;
}

/* How many elements each part gets where that is not said; the last one may get fewer, and under
 * num_outputs only. */
static deconv_status equal_part(const fold *f, int64_t total, int64_t *size)
{
    deconv_status status = DECONV_OK;
    int64_t parts;

    TRY(fold_attr_int(f, "num_outputs", f->node->n_out, &parts));
    if (parts != f->node->n_out)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "it has %d outputs and num_outputs is %lld",
                  f->node->n_out, (long long)parts);
    if (total % parts != 0 && !fold_attr(f, "num_outputs"))
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "%lld elements cannot be split into %lld equal parts",
                  (long long)total, (long long)parts);
    *size = total / parts + (total % parts != 0);
done:
    return status;
}

static deconv_status run_split(const fold *f)
{
    const host_tensor *x = fold_in(f, 0);
    deconv_status status = DECONV_OK;
    const int64_t *sizes;
    size_t count;
    int64_t wanted, total, equal = 0, at = 0;
    int axis;

    TRY(fold_attr_int(f, "axis", 0, &wanted));
    TRY(fold_axis(f, wanted, x->shape.rank, &axis));
    TRY(fold_list(f, "split", 1, &sizes, &count));
    total = x->shape.dim[axis];
    if (!sizes)
        TRY(equal_part(f, total, &equal));
    else if (count != (size_t)f->node->n_out)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "it has %d outputs and is split into %zu", f->node->n_out,
                  count);
    for (int i = 0; i < f->node->n_out; i++) {
        int64_t size = sizes ? sizes[i] : equal < total - at ? equal : total - at;

        if (size < 0 || size > total - at)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "part %d of %lld elements does not fit into %lld", i,
                      (long long)size, (long long)total);
        TRY(split_part(f, i, axis, at, size));
        at += size;
    }
    if (at != total)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its parts add up to %lld of %lld elements",
                  (long long)at, (long long)total);
done:
    return status;
}

const fold_op fold_layout_ops[] = {
    {"Identity", 1, 1, .run = run_identity},
    {"Reshape", 1, 2, .run = run_reshape},
    {"Flatten", 1, 1, .run = run_flatten},
    {"Squeeze", 1, 2, .run = run_squeeze},
    {"Unsqueeze", 1, 2, .run = run_unsqueeze},
    {"Transpose", 1, 1, .run = run_transpose},
    {"Concat", 1, FOLD_MANY, .run = run_concat},
    {"Split", 1, 2, .run = run_split, .many_out = true},
    {.type = NULL},
};
