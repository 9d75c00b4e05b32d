/* Operators that move elements and compute nothing. Each names, for an output element, the input
 * element it is a copy of. */
#include "reference.h"

#include <string.h>

/* ---- Same elements in the same order under another shape ---- */

static void copy_terms(ref_case *c, ref_sink *sink)
{
    for (int64_t i = 0; i < c->in[0].count; i++)
        sink->term(sink, 0, i, 0, i, 1);
}

static bool same_shape(ref_case *c)
{
    ref_same_shape(c);
    return true;
}

static bool flatten_shape(ref_case *c)
{
    const ref_tensor *x = &c->in[0];
    int64_t axis = ref_int(c->problem, "axis", 1);

    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis > x->rank)
        return ref_error(c, "axis is out of range");
    ref_set_shape(c, 0, 2, (int64_t[]){ref_span(x, 0, (int)axis), ref_span(x, (int)axis, x->rank)});
    return true;
}

static bool reshape_shape(ref_case *c)
{
    const ref_attr *shape = ref_find(c->problem, "shape");
    bool allow_zero = ref_int(c->problem, "allowzero", 0) != 0;
    int64_t dim[REF_MAX_RANK], known = 1;
    int open = -1;

    if (!shape || shape->type != REF_INTS || shape->count > REF_MAX_RANK)
        return ref_error(c, "shape is missing or too long");
    for (int d = 0; d < shape->count; d++) {
        dim[d] = shape->ints[d];
        if (dim[d] == 0 && !allow_zero)
            dim[d] = c->in[0].dim[d];
        if (dim[d] == -1)
            open = d;
        else
            known *= dim[d];
    }
    if (open >= 0)
        dim[open] = known > 0 ? c->in[0].count / known : 0;
    if (known * (open >= 0 ? dim[open] : 1) != c->in[0].count)
        return ref_error(c, "the sizes do not multiply to the number of elements");
    ref_set_shape(c, 0, shape->count, dim);
    return true;
}

/* Marks the dimensions that the attribute `axes` names in a shape of `rank`. */
static bool read_axes(ref_case *c, int rank, bool *named)
{
    const ref_attr *axes = ref_find(c->problem, "axes");

    memset(named, 0, REF_MAX_RANK * sizeof *named);
    for (int i = 0; axes && i < axes->count; i++) {
        int axis = ref_axis(axes->ints[i], rank);

        if (axis < 0 || named[axis])
            return ref_error(c, "axes is out of range or names one twice");
        named[axis] = true;
    }
    return true;
}

static bool squeeze_shape(ref_case *c)
{
    const ref_tensor *x = &c->in[0];
    bool all = !ref_find(c->problem, "axes"), named[REF_MAX_RANK];
    int64_t dim[REF_MAX_RANK];
    int rank = 0;

    if (!read_axes(c, x->rank, named))
        return false;
    for (int d = 0; d < x->rank; d++) {
        if (named[d] && x->dim[d] != 1)
            return ref_error(c, "a squeezed dimension is not 1");
        if (!(named[d] || (all && x->dim[d] == 1)))
            dim[rank++] = x->dim[d];
    }
    ref_set_shape(c, 0, rank, dim);
    return true;
}

static bool unsqueeze_shape(ref_case *c)
{
    const ref_attr *axes = ref_find(c->problem, "axes");
    int rank = c->in[0].rank + (axes ? axes->count : 0);
    int64_t dim[REF_MAX_RANK];
    bool named[REF_MAX_RANK];

    if (!axes || rank > REF_MAX_RANK || !read_axes(c, rank, named))
        return ref_error(c, "axes is missing or does not fit");
    for (int d = 0, from = 0; d < rank; d++)
        dim[d] = named[d] ? 1 : c->in[0].dim[from++];
    ref_set_shape(c, 0, rank, dim);
    return true;
}

#define RESHAPING(variable, name, how)                                                             \
    const ref_op variable = {.type = (name),                                                       \
                             .inputs = {"x"},                                                      \
                             .fills = "u",                                                         \
                             .linearity = REF_LINEAR,                                              \
                             .shape = (how),                                                       \
                             .terms = copy_terms}

RESHAPING(ref_identity, "Identity", same_shape);
RESHAPING(ref_dropout, "Dropout", same_shape);
RESHAPING(ref_cast, "Cast", same_shape);
RESHAPING(ref_flatten, "Flatten", flatten_shape);
RESHAPING(ref_reshape, "Reshape", reshape_shape);
RESHAPING(ref_squeeze, "Squeeze", squeeze_shape);
RESHAPING(ref_unsqueeze, "Unsqueeze", unsqueeze_shape);

/* ---- Concat and Split ---- */

static bool concat_shape(ref_case *c)
{
    const ref_attr *given = ref_find(c->problem, "axis");
    int axis = given ? ref_axis(given->ints[0], c->in[0].rank) : -1;
    ref_tensor sum = c->in[0];

    if (axis < 0)
        return ref_error(c, "axis is missing or out of range");
    for (int i = 1; i < c->n_in; i++) {
        for (int d = 0; d < sum.rank; d++)
            if (c->in[i].rank != sum.rank || (d != axis && c->in[i].dim[d] != sum.dim[d]))
                return ref_error(c, "input %d does not fit the first", i);
        sum.dim[axis] += c->in[i].dim[axis];
    }
    ref_set_shape(c, 0, sum.rank, sum.dim);
    return true;
}

static void concat_terms(ref_case *c, ref_sink *sink)
{
    int axis = ref_axis(ref_int(c->problem, "axis", 0), c->in[0].rank);
    int64_t before = 0, index[REF_MAX_RANK];

    for (int input = 0; input < c->n_in; input++) {
        for (int64_t i = 0; i < c->in[input].count; i++) {
            ref_index(&c->in[input], i, index);
            index[axis] += before;
            sink->term(sink, input, i, 0, ref_flat(&c->out[0], index), 1);
        }
        before += c->in[input].dim[axis];
    }
}

const ref_op ref_concat = {.type = "Concat",
                           .inputs = {"x0", "x1", "x2", "x3"},
                           .fills = "uuuu",
                           .linearity = REF_LINEAR,
                           .shape = concat_shape,
                           .terms = concat_terms};

static bool split_shape(ref_case *c)
{
    const ref_attr *sizes = ref_find(c->problem, "split");
    int axis = ref_axis(ref_int(c->problem, "axis", 0), c->in[0].rank);
    int64_t count = sizes ? sizes->count : ref_int(c->problem, "num_outputs", 0), left;
    int64_t dim[REF_MAX_RANK];

    if (axis < 0 || count < 1 || count > REF_MAX_OUT)
        return ref_error(c, "axis, or the number of outputs, is out of range");
    c->n_out = (int)count;
    left = c->in[0].dim[axis];
    memcpy(dim, c->in[0].dim, sizeof dim);
    for (int o = 0; o < c->n_out; o++) {
        int64_t even = (c->in[0].dim[axis] + count - 1) / count;

        dim[axis] = sizes ? sizes->ints[o] : even < left ? even : left;
        left -= dim[axis];
        ref_set_shape(c, o, c->in[0].rank, dim);
    }
    return left == 0 || ref_error(c, "the parts do not add up to the dimension");
}

static void split_terms(ref_case *c, ref_sink *sink)
{
    int axis = ref_axis(ref_int(c->problem, "axis", 0), c->in[0].rank);
    int64_t before = 0, index[REF_MAX_RANK];

    for (int output = 0; output < c->n_out; output++) {
        for (int64_t o = 0; o < c->out[output].count; o++) {
            ref_index(&c->out[output], o, index);
            index[axis] += before;
            sink->term(sink, 0, ref_flat(&c->in[0], index), output, o, 1);
        }
        before += c->out[output].dim[axis];
    }
}

const ref_op ref_split = {.type = "Split",
                          .inputs = {"x"},
                          .fills = "u",
                          .linearity = REF_LINEAR,
                          .shape = split_shape,
                          .terms = split_terms};

/* ---- Transpose ---- */

static void permutation(const ref_case *c, int *perm)
{
    const ref_attr *given = ref_find(c->problem, "perm");
    int rank = c->in[0].rank;

    for (int d = 0; d < rank; d++)
        perm[d] = given ? (int)given->ints[d] : rank - 1 - d;
}

static bool transpose_shape(ref_case *c)
{
    const ref_attr *given = ref_find(c->problem, "perm");
    int64_t dim[REF_MAX_RANK];
    int perm[REF_MAX_RANK];

    if (given && given->count != c->in[0].rank)
        return ref_error(c, "perm has the wrong length");
    permutation(c, perm);
    for (int d = 0; d < c->in[0].rank; d++)
        dim[d] = c->in[0].dim[perm[d]];
    ref_set_shape(c, 0, c->in[0].rank, dim);
    return true;
}

static void transpose_terms(ref_case *c, ref_sink *sink)
{
    int64_t at[REF_MAX_RANK], from[REF_MAX_RANK];
    int perm[REF_MAX_RANK];

    permutation(c, perm);
    for (int64_t o = 0; o < c->out[0].count; o++) {
        ref_index(&c->out[0], o, at);
        for (int d = 0; d < c->in[0].rank; d++)
            from[perm[d]] = at[d];
        sink->term(sink, 0, ref_flat(&c->in[0], from), 0, o, 1);
    }
}

const ref_op ref_transpose = {.type = "Transpose",
                              .inputs = {"x"},
                              .fills = "u",
                              .linearity = REF_LINEAR,
                              .shape = transpose_shape,
                              .terms = transpose_terms};

/* ---- Slice ---- */

typedef struct slice {
    int64_t start[REF_MAX_RANK], step[REF_MAX_RANK], size[REF_MAX_RANK];
} slice;

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static bool slice_read(ref_case *c, slice *s)
{
    const ref_attr *starts = ref_find(c->problem, "starts"), *ends = ref_find(c->problem, "ends");
    const ref_attr *axes = ref_find(c->problem, "axes"), *steps = ref_find(c->problem, "steps");

    for (int d = 0; d < c->in[0].rank; d++) {
        s->start[d] = 0;
        s->step[d] = 1;
        s->size[d] = c->in[0].dim[d];
    }
    if (!starts || !ends || starts->count != ends->count)
        return ref_error(c, "starts and ends are missing or differ in length");
    for (int i = 0; i < starts->count; i++) {
        int axis = ref_axis(axes ? axes->ints[i] : i, c->in[0].rank);
        int64_t step = steps ? steps->ints[i] : 1;

        if (axis < 0 || step == 0)
            return ref_error(c, "axes or steps is out of range");
        int64_t n = c->in[0].dim[axis];
        int64_t start = starts->ints[i] + (starts->ints[i] < 0 ? n : 0);
        int64_t end = ends->ints[i] + (ends->ints[i] < 0 ? n : 0);

        start = step > 0 ? clamp(start, 0, n) : clamp(start, 0, n - 1);
        end = step > 0 ? clamp(end, 0, n) : clamp(end, -1, n - 1);
        s->start[axis] = start;
        s->step[axis] = step;
        s->size[axis] =
            step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
    }
    return true;
}

static bool slice_shape(ref_case *c)
{
    slice s;

    if (!slice_read(c, &s))
        return false;
    ref_set_shape(c, 0, c->in[0].rank, s.size);
    return true;
}

static void slice_terms(ref_case *c, ref_sink *sink)
{
    int64_t index[REF_MAX_RANK];
    slice s;

    slice_read(c, &s);
    for (int64_t o = 0; o < c->out[0].count; o++) {
        ref_index(&c->out[0], o, index);
        for (int d = 0; d < c->in[0].rank; d++)
            index[d] = s.start[d] + s.step[d] * index[d];
        sink->term(sink, 0, ref_flat(&c->in[0], index), 0, o, 1);
    }
}

const ref_op ref_slice = {.type = "Slice",
                          .inputs = {"x"},
                          .fills = "u",
                          .linearity = REF_LINEAR,
                          .shape = slice_shape,
                          .terms = slice_terms};

/* ---- Pad ---- */

static bool pad_read(ref_case *c, int64_t *before, int64_t *after)
{
    const ref_attr *pads = ref_find(c->problem, "pads"), *axes = ref_find(c->problem, "axes");
    int count = axes ? axes->count : c->in[0].rank;

    if (!pads || pads->type != REF_INTS || pads->count != 2 * count)
        return ref_error(c, "pads must have two integers per axis");
    for (int d = 0; d < REF_MAX_RANK; d++)
        before[d] = after[d] = 0;
    for (int i = 0; i < count; i++) {
        int axis = ref_axis(axes ? axes->ints[i] : i, c->in[0].rank);

        if (axis < 0)
            return ref_error(c, "axes is out of range");
        before[axis] = pads->ints[i];
        after[axis] = pads->ints[count + i];
    }
    return true;
}

static bool pad_shape(ref_case *c)
{
    int64_t before[REF_MAX_RANK], after[REF_MAX_RANK], dim[REF_MAX_RANK];

    if (!pad_read(c, before, after))
        return false;
    for (int d = 0; d < c->in[0].rank; d++)
        dim[d] = c->in[0].dim[d] + before[d] + after[d];
    ref_set_shape(c, 0, c->in[0].rank, dim);
    return true;
}

/* The input position that position p, which may lie outside 0..n-1, repeats; -1 for the constant.
 */
static int64_t padded_position(const char *mode, int64_t p, int64_t n)
{
    if (p >= 0 && p < n)
        return p;
    if (!strcmp(mode, "edge"))
        return p < 0 ? 0 : n - 1;
    if (!strcmp(mode, "wrap"))
        return (p % n + n) % n;
    if (!strcmp(mode, "reflect") && n == 1)
        return 0;
    while (!strcmp(mode, "reflect") && (p < 0 || p >= n))
        p = p < 0 ? -p : 2 * (n - 1) - p;
    return !strcmp(mode, "reflect") ? p : -1;
}

/* Input element that output element o repeats; -1 for the constant. Negative pads crop first, and
 * what is left is repeated. */
static int64_t pad_source(const ref_case *c, const int64_t *before, const int64_t *after, int64_t o)
{
    const char *mode = ref_string(c->problem, "mode", "constant");
    int64_t index[REF_MAX_RANK];

    ref_index(&c->out[0], o, index);
    for (int d = 0; d < c->in[0].rank; d++) {
        int64_t crop = before[d] < 0 ? -before[d] : 0;
        int64_t left = c->in[0].dim[d] - crop + (after[d] < 0 ? after[d] : 0);
        int64_t p = padded_position(mode, index[d] - before[d] - crop, left);

        if (p < 0)
            return -1;
        index[d] = crop + p;
    }
    return ref_flat(&c->in[0], index);
}

static void pad_terms(ref_case *c, ref_sink *sink)
{
    int64_t before[REF_MAX_RANK], after[REF_MAX_RANK];

    pad_read(c, before, after);
    for (int64_t o = 0; o < c->out[0].count; o++) {
        int64_t i = pad_source(c, before, after, o);

        if (i >= 0)
            sink->term(sink, 0, i, 0, o, 1);
    }
}

/* The constant is the attribute `value` up to opset 10, the input `constant_value` from 11 on. */
static void pad_offset(ref_case *c)
{
    double value = ref_float(c->problem, "constant_value", ref_float(c->problem, "value", 0));
    int64_t before[REF_MAX_RANK], after[REF_MAX_RANK];

    pad_read(c, before, after);
    for (int64_t o = 0; o < c->out[0].count; o++)
        if (pad_source(c, before, after, o) < 0)
            c->out[0].at[o] += value;
}

const ref_op ref_pad = {.type = "Pad",
                        .inputs = {"x"},
                        .fills = "u",
                        .linearity = REF_LINEAR,
                        .shape = pad_shape,
                        .terms = pad_terms,
                        .offset = pad_offset};
