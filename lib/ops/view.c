/* Operators that hand their elements on as they stand, at most under another shape: Reshape,
 * Flatten, Squeeze, Unsqueeze, Identity, Dropout, Cast between floats. Nothing moves an element
 * here. */
#include "classes.h"
#include "view.h"

#include <string.h>

/* ---- Boxes ---- */

/* Dimensions first .. last-1 of a shape, taken as one flat range of elements. */
typedef struct dim_group {
    const int64_t *dim;
    int rank;
} dim_group;

/* Grows from/to, a box of `g`, to hold the flat elements low..high. */
static void hold_run(const dim_group *g, int64_t low, int64_t high, int64_t *from, int64_t *to)
{
    int64_t inner = 1;
    bool split = false;

    for (int d = 0; d < g->rank; d++)
        inner *= g->dim[d];
    for (int d = 0; d < g->rank; d++) {
        int64_t first, last;

        inner /= g->dim[d];
        /* Once two ends of a run differ in one dimension, it covers all of the next ones. */
        first = split ? 0 : low / inner % g->dim[d];
        last = split ? g->dim[d] - 1 : high / inner % g->dim[d];
        split = split || first != last;
        from[d] = first < from[d] ? first : from[d];
        to[d] = last + 1 > to[d] ? last + 1 : to[d];
    }
}

static bool holds_all(const dim_group *g, const int64_t *from, const int64_t *to)
{
    for (int d = 0; d < g->rank; d++)
        if (from[d] > 0 || to[d] < g->dim[d])
            return false;
    return true;
}

/* The box in_from..in_to of group `in` seen in group `out`, run by run: a run is what lies
 * contiguous in it. */
static void map_group(const dim_group *in, const int64_t *in_from, const int64_t *in_to,
                      const dim_group *out, int64_t *from, int64_t *to)
{
    int64_t at[DECONV_MAX_RANK];
    int tail = in->rank - 1; /* the last dimension that is not whole */

    while (tail > 0 && in_from[tail] == 0 && in_to[tail] == in->dim[tail])
        tail--;
    for (int d = 0; d < out->rank; d++) {
        from[d] = out->dim[d];
        to[d] = 0;
    }
    memcpy(at, in_from, (size_t)in->rank * sizeof at[0]);
    for (bool more = true; more && !holds_all(out, from, to);) {
        int64_t low = 0, high = 0;
        int d;

        for (int e = 0; e < in->rank; e++) {
            low = low * in->dim[e] + at[e];
            high = high * in->dim[e] + (e < tail ? at[e] : in_to[e] - 1);
        }
        hold_run(out, low, high, from, to);
        for (d = tail - 1; d >= 0 && ++at[d] == in_to[d]; d--)
            at[d] = in_from[d];
        more = d >= 0;
    }
}

box reshape_box(const shape *from, const box *b, const shape *to)
{
    box out = {.rank = to->rank};
    int i = 0, j = 0;

    if (box_is_empty(b))
        return out;
    /* The finest groups of dimensions that count the same on both sides. */
    while (i < from->rank || j < to->rank) {
        int first_in = i, first_out = j;
        int64_t in_count = 1, out_count = 1;

        do {
            if (i < from->rank && in_count <= out_count)
                in_count *= from->dim[i++];
            else
                out_count *= to->dim[j++];
        } while (in_count != out_count);
        map_group(&(dim_group){from->dim + first_in, i - first_in}, b->from + first_in,
                  b->to + first_in, &(dim_group){to->dim + first_out, j - first_out},
                  out.from + first_out, out.to + first_out);
    }
    return out;
}

/* ---- What all views share ---- */

static deconv_status nothing_to_read(op *op)
{
    (void)op;
    return DECONV_OK;
}

static deconv_status view_forward(op *op, const op_pass *pass)
{
    return buffer_copy(op->ctx, pass->in[0]->data, 0, pass->out[0]->data, 0,
                       (size_t)layout_floats(&op->out_shape[0], op->out_block[0]) * sizeof(float));
}

static deconv_status view_inverse(op *op, const op_pass *pass)
{
    const tensor *to = pass->signal_in[0];
    size_t bytes;

    if (!to)
        return DECONV_OK;
    bytes = (size_t)layout_floats(&to->shape, to->block) * sizeof(float);
    if (!pass->signal_out[0])
        return buffer_fill(op->ctx, pass->signal_in[0]->data, 0, bytes, 0.0f);
    return buffer_copy(op->ctx, pass->signal_out[0]->data, 0, pass->signal_in[0]->data, 0, bytes);
}

static box view_reach(const op *op, int input, const box *in, int output)
{
    box b = box_clip(*in, &op->in_shape[input]);

    return input == 0 ? reshape_box(&op->in_shape[0], &b, &op->out_shape[output])
                      : box_empty(op->out_shape[output].rank);
}

static box view_needs(const op *op, int output, const box *out, int input)
{
    box b = box_clip(*out, &op->out_shape[output]);

    return input == 0 ? reshape_box(&op->out_shape[output], &b, &op->in_shape[0])
                      : box_empty(op->in_shape[input].rank);
}

static bool always_view(const op *op)
{
    (void)op;
    return true;
}

/* ---- Shapes ---- */

static deconv_status same_shape(op *op)
{
    op->out_shape[0] = op->in_shape[0];
    return DECONV_OK;
}

/* The sizes of `wanted` with 0 (as before) and one -1 (whatever is left) filled in; false when they
 * do not hold the elements of `in`. */
static bool resolve_sizes(const shape *in, const shape *wanted, bool allow_zero, shape *out)
{
    int64_t count = shape_count(in), known = 1;
    int open = -1;

    *out = *wanted;
    for (int d = 0; d < out->rank; d++) {
        if (out->dim[d] == 0 && !allow_zero && d < in->rank)
            out->dim[d] = in->dim[d];
        if (out->dim[d] == -1 && open < 0) {
            open = d;
            continue;
        }
        if (out->dim[d] < 1 || out->dim[d] > count / known)
            return false;
        known *= out->dim[d];
    }
    if (open >= 0)
        out->dim[open] = count / known;
    return open >= 0 ? count % known == 0 : count == known;
}

static deconv_status reshape_shape(op *op)
{
    const shape *in = &op->in_shape[0];
    shape wanted = {0};
    const int64_t *sizes;
    int64_t allow_zero;
    size_t rank;
    char from[SHAPE_TEXT], to[SHAPE_TEXT];
    deconv_status status;

    TRY(attr_int(op, "allowzero", 0, &allow_zero));
    TRY(param_ints(op, "shape", 1, &sizes, &rank));
    if (!sizes && !op_has_input(op, 1))
        OP_FAIL(op, DECONV_ERROR_INVALID, "Reshape needs a shape");
    if (rank > DECONV_MAX_RANK)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED, "Reshape to %zu dimensions; at most %d are supported",
                rank, DECONV_MAX_RANK);
    wanted.rank = (int)rank;
    for (size_t d = 0; d < rank; d++)
        wanted.dim[d] = sizes[d];
    if (!resolve_sizes(in, &wanted, allow_zero != 0, &op->out_shape[0]))
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "Reshape of %s to %s: the number of elements must stay the same",
                shape_text(in, from, sizeof from), shape_text(&wanted, to, sizeof to));
done:
    return status;
}

static deconv_status flatten_shape(op *op)
{
    const shape *in = &op->in_shape[0];
    int64_t wanted;
    int axis = in->rank;
    deconv_status status;

    TRY(attr_int(op, "axis", 1, &wanted));
    if (wanted != in->rank)
        TRY(axis_resolve(op, "axis", wanted, in->rank, &axis));
    op->out_shape[0] = (shape){2, {shape_span(in, 0, axis), shape_span(in, axis, in->rank)}};
done:
    return status;
}

/* Marks the axes of the list in `axes` (constant input 1 or an attribute); false in *given when
 * there is none. */
static deconv_status read_axes(const op *op, int rank, bool marked[DECONV_MAX_RANK], bool *given)
{
    const int64_t *axes;
    size_t count;
    deconv_status status;

    memset(marked, 0, DECONV_MAX_RANK * sizeof marked[0]);
    TRY(param_ints(op, "axes", 1, &axes, &count));
    *given = axes || op_has_input(op, 1);
    for (size_t i = 0; i < count; i++) {
        int axis;

        TRY(axis_resolve(op, "axis", axes[i], rank, &axis));
        if (marked[axis])
            OP_FAIL(op, DECONV_ERROR_INVALID, "axis %d is listed twice", axis);
        marked[axis] = true;
    }
done:
    return status;
}

static deconv_status squeeze_shape(op *op)
{
    const shape *in = &op->in_shape[0];
    shape out = {0};
    bool gone[DECONV_MAX_RANK], given;
    char text[SHAPE_TEXT];
    deconv_status status;

    TRY(read_axes(op, in->rank, gone, &given));
    for (int d = 0; d < in->rank; d++) {
        if (!given)
            gone[d] = in->dim[d] == 1;
        if (gone[d] && in->dim[d] != 1)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "Squeeze of %s: dimension %d has size %lld; only size 1 can go",
                    shape_text(in, text, sizeof text), d, (long long)in->dim[d]);
        if (!gone[d])
            out.dim[out.rank++] = in->dim[d];
    }
    op->out_shape[0] = out;
done:
    return status;
}

static deconv_status unsqueeze_shape(op *op)
{
    const shape *in = &op->in_shape[0];
    shape out = {0};
    const int64_t *axes;
    size_t count;
    bool added[DECONV_MAX_RANK], given;
    deconv_status status;

    TRY(param_ints(op, "axes", 1, &axes, &count));
    if (count > (size_t)(DECONV_MAX_RANK - in->rank))
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "Unsqueeze to %zu dimensions; at most %d are supported", count + (size_t)in->rank,
                DECONV_MAX_RANK);
    out.rank = in->rank + (int)count;
    TRY(read_axes(op, out.rank, added, &given));
    if (!given)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Unsqueeze needs axes");
    for (int d = 0, from = 0; d < out.rank; d++)
        out.dim[d] = added[d] ? 1 : in->dim[from++];
    op->out_shape[0] = out;
done:
    return status;
}

/* ---- What the others refuse ---- */

static deconv_status dropout_init(op *op)
{
    const int64_t *training;
    size_t count;
    deconv_status status;

    TRY(param_ints(op, "training_mode", 2, &training, &count));
    if (count > 0 && training[0])
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "Dropout in training mode is not supported; export the network for inference");
done:
    return status;
}

/* TensorProto.DataType of ONNX. */
enum { ONNX_FLOAT = 1, ONNX_FLOAT16 = 10, ONNX_DOUBLE = 11, ONNX_BFLOAT16 = 16 };

static deconv_status cast_init(op *op)
{
    int64_t to;
    deconv_status status;

    TRY(attr_int(op, "to", 0, &to));
    if (to != ONNX_FLOAT && to != ONNX_FLOAT16 && to != ONNX_DOUBLE && to != ONNX_BFLOAT16)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "Cast of activations to type %lld is not supported; to float (1), float16 (10), "
                "double (11) and bfloat16 (16) it is, and all are computed in float",
                (long long)to);
done:
    return status;
}

/* Height and width are the same on both sides, whatever becomes of the channels. */
static bool keeps_positions(const shape *x, const shape *y)
{
    return x->rank > 3 && y->rank > 3 && x->dim[x->rank - 2] == y->dim[y->rank - 2] &&
           x->dim[x->rank - 1] == y->dim[y->rank - 1];
}

/* Items one after the other on both sides. */
static bool view_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                       window_frame *in)
{
    const shape *x = &op->in_shape[0], *y = &op->out_shape[0];

    (void)rule;
    (void)flags;
    *in = frame_is_whole(out) ? frame_whole(x) : *out;
    return (frame_is_whole(out) || keeps_positions(x, y)) && x->rank > 0 && y->rank > 0 &&
           x->dim[0] == y->dim[0];
}

/* ---- Tables ---- */

/* All inputs but the first are parameters. */
#define VIEW_FUNCTIONS(TYPE, INPUTS, INIT, SHAPE)                                                  \
    .type = TYPE, .min_in = 1, .max_in = (INPUTS), .max_out = 1, .weights = (1u << (INPUTS)) - 2,  \
    .init = INIT, .shape = SHAPE, .forward = view_forward, .inverse = view_inverse,                \
    .reach = view_reach, .needs = view_needs, .is_view = always_view
#define VIEW(...)                                                                                  \
    {                                                                                              \
        VIEW_FUNCTIONS(__VA_ARGS__), .frame = view_frame                                           \
    }
/* Maps stay maps: in any layout, and windows of them too. */
#define SAME(...)                                                                                  \
    {                                                                                              \
        VIEW_FUNCTIONS(__VA_ARGS__), .blocks = blocks_alike, .frame = frame_same,                  \
                                     .spread = spread_cell                                         \
    }

const op_class op_reshape = VIEW("Reshape", 2, nothing_to_read, reshape_shape);
const op_class op_flatten = VIEW("Flatten", 1, nothing_to_read, flatten_shape);
const op_class op_squeeze = VIEW("Squeeze", 2, nothing_to_read, squeeze_shape);
const op_class op_unsqueeze = VIEW("Unsqueeze", 2, nothing_to_read, unsqueeze_shape);
const op_class op_identity = SAME("Identity", 1, nothing_to_read, same_shape);
const op_class op_dropout = SAME("Dropout", 3, dropout_init, same_shape);
const op_class op_cast = SAME("Cast", 1, cast_init, same_shape);
