/* Transpose, Slice, Concat and Split (reorder.h). Padding, which has modes besides, is in pad.c. */
#include "classes.h"
#include "reorder.h"

/* ---- What the four share: op->state is a reorder ---- */

/* Pieces cover every output. */
static deconv_status covered_shape(op *op)
{
    const reorder *r = op->state;
    deconv_status status = DECONV_OK;

    for (int o = 0; o < op->n_out; o++) {
        int64_t dims[DECONV_MAX_RANK] = {0};
        int rank = op->in_shape[0].rank;

        for (int i = 0; i < r->count; i++) {
            const piece *p = &r->piece[i];

            for (int d = 0; p->output == o && d < rank; d++)
                if (p->out_from[d] + p->size[d] > dims[d])
                    dims[d] = p->out_from[d] + p->size[d];
        }
        TRY(shape_make(op->ctx, op->name, dims, (size_t)rank, &op->out_shape[o]));
    }
done:
    return status;
}

static deconv_status plan(op *op)
{
    return reorder_plan(op, op->state);
}

static void release(op *op)
{
    reorder_release(op, op->state);
}

static deconv_status forward(op *op, const op_pass *pass)
{
    return reorder_forward(op, op->state, pass);
}

static deconv_status inverse(op *op, const op_pass *pass)
{
    return pass->windows ? reorder_inverse_windows(op, op->state, pass)
                         : reorder_inverse(op, op->state, pass);
}

static box reach(const op *op, int input, const box *in, int output)
{
    return reorder_reach(op, op->state, input, in, output);
}

static box needs(const op *op, int output, const box *out, int input)
{
    return reorder_needs(op, op->state, output, out, input);
}

static bool apart(const op *op, axes_apart *how)
{
    return reorder_apart(op, op->state, how);
}

static signal_spread spread(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)rule;
    (void)flags;
    return reorder_spread(op, op->state);
}

static deconv_status plan_windows(op *op, const windows *w, void **plan)
{
    (void)w;
    return reorder_plan_windows(op, op->state, plan);
}

static void release_windows(op *op, void *plan)
{
    (void)op;
    reorder_release_windows(plan);
}

/* ---- Transpose ---- */

static deconv_status transpose_init(op *op)
{
    const shape *in = &op->in_shape[0];
    reorder *r = op->state;
    const int64_t *perm;
    size_t count;
    bool seen[DECONV_MAX_RANK] = {false};
    deconv_status status;

    TRY(attr_ints(op, "perm", &perm, &count));
    if (perm && count != (size_t)in->rank)
        OP_FAIL(op, DECONV_ERROR_INVALID, "perm lists %zu dimensions; the input has %d", count,
                in->rank);
    TRY(reorder_init(op, r, 1));
    for (int d = 0; d < in->rank; d++) {
        int axis = in->rank - 1 - d;

        if (perm)
            TRY(axis_resolve(op, "perm", perm[d], in->rank, &axis));
        if (seen[axis])
            OP_FAIL(op, DECONV_ERROR_INVALID, "perm lists dimension %d twice", axis);
        seen[axis] = true;
        r->piece[0].axis[d] = axis;
        r->piece[0].size[d] = in->dim[axis];
    }
done:
    return status;
}

/* ---- Slice ---- */

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Elements start, start + step, ... before `end` of dimension `axis`. */
static deconv_status slice_axis(op *op, piece *p, int axis, int64_t start, int64_t end,
                                int64_t step)
{
    int64_t n = op->in_shape[0].dim[axis], first, last, size;
    deconv_status status = DECONV_OK;

    if (step == 0)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Slice of dimension %d has step 0", axis);
    /* A longer step than the dimension picks one element just the same. */
    step = clamp(step, -n, n);
    first = start < 0 ? start + n : start;
    last = end < 0 ? end + n : end;
    if (step > 0) {
        first = clamp(first, 0, n);
        last = clamp(last, 0, n);
        size = (last - first + step - 1) / step;
    } else {
        first = clamp(first, 0, n - 1);
        last = clamp(last, -1, n - 1);
        size = (first - last - step - 1) / -step;
    }
    if (size < 1)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "Slice of dimension %d (size %lld) from %lld to %lld by %lld is empty", axis,
                (long long)n, (long long)start, (long long)end, (long long)step);
    p->in_from[axis] = first;
    p->in_step[axis] = step;
    p->size[axis] = size;
done:
    return status;
}

static deconv_status slice_init(op *op)
{
    const shape *in = &op->in_shape[0];
    reorder *r = op->state;
    const int64_t *starts, *ends, *axes, *steps;
    size_t count, n_ends, n_axes, n_steps;
    bool seen[DECONV_MAX_RANK] = {false};
    deconv_status status;

    TRY(param_ints(op, "starts", 1, &starts, &count));
    TRY(param_ints(op, "ends", 2, &ends, &n_ends));
    TRY(param_ints(op, "axes", 3, &axes, &n_axes));
    TRY(param_ints(op, "steps", 4, &steps, &n_steps));
    if (count < 1 || count > (size_t)in->rank || n_ends != count || (axes && n_axes != count) ||
        (steps && n_steps != count))
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "Slice of %d dimensions has %zu starts, %zu ends, %zu axes and %zu steps", in->rank,
                count, n_ends, n_axes, n_steps);
    TRY(reorder_init(op, r, 1));
    for (size_t i = 0; i < count; i++) {
        int axis;

        TRY(axis_resolve(op, "axis", axes ? axes[i] : (int64_t)i, in->rank, &axis));
        if (seen[axis])
            OP_FAIL(op, DECONV_ERROR_INVALID, "axis %d is listed twice", axis);
        seen[axis] = true;
        TRY(slice_axis(op, &r->piece[0], axis, starts[i], ends[i], steps ? steps[i] : 1));
    }
done:
    return status;
}

/* ---- Concat ---- */

static deconv_status concat_init(op *op)
{
    const shape *first = &op->in_shape[0];
    reorder *r = op->state;
    int64_t wanted, at = 0;
    int axis;
    char here[SHAPE_TEXT], there[SHAPE_TEXT];
    deconv_status status;

    TRY(attr_int(op, "axis", INT64_MAX, &wanted));
    if (wanted == INT64_MAX)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Concat needs an axis");
    TRY(axis_resolve(op, "axis", wanted, first->rank, &axis));
    TRY(reorder_init(op, r, op->n_in));
    for (int i = 0; i < op->n_in; i++) {
        const shape *s = &op->in_shape[i];
        piece *p = &r->piece[i];
        shape rest = *s;

        if (s->rank == first->rank)
            rest.dim[axis] = first->dim[axis];
        if (!shape_equal(&rest, first))
            OP_FAIL(op, DECONV_ERROR_INVALID, "Concat of %s and %s: only dimension %d may differ",
                    shape_text(first, here, sizeof here), shape_text(s, there, sizeof there), axis);
        p->input = i;
        p->size[axis] = s->dim[axis];
        p->out_from[axis] = at;
        at += s->dim[axis];
    }
done:
    return status;
}

static bool concat_joins_channels(const op *op)
{
    const reorder *r = op->state;

    return op->in_shape[0].rank >= 3 && (op->n_in == 1 || r->piece[1].out_from[1] > 0);
}

/* A block of the result comes from one operand whole. */
static op_blocks concat_blocks(const op *op, int block)
{
    if (!concat_joins_channels(op))
        return BLOCKS_NEVER;
    for (int i = 0; i < op->n_in; i++)
        if (op->in_shape[i].dim[1] % block != 0)
            return BLOCKS_NEVER;
    return BLOCKS_ALIKE;
}

static bool concat_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                         window_frame *in)
{
    (void)rule;
    (void)flags;
    *in = *out;
    return concat_joins_channels(op);
}

/* Along height or width each operand has windows of its own. */
static bool concat_apart(const op *op, axes_apart *how)
{
    return !concat_joins_channels(op) && apart(op, how);
}

static deconv_status concat_plan_windows(op *op, const windows *w, void **plan)
{
    *plan = NULL;
    return concat_joins_channels(op) ? DECONV_OK : plan_windows(op, w, plan);
}

/* Channels from.. of every picture of `whole`, as many as `part` has: one run each, in any layout.
 */
static copy_box channel_run(const tensor *whole, const tensor *part, int64_t from)
{
    int64_t pictures = whole->shape.dim[0];
    int64_t all = shape_count(&whole->shape) / pictures;
    int64_t some = shape_count(&part->shape) / pictures;
    copy_box b = {.rank = 2,
                  .size = {pictures, some},
                  .from_at = from * (all / whole->shape.dim[1]),
                  .from_step = {all, 1},
                  .to_step = {some, 1}};

    return copy_box_merge(&b);
}

static deconv_status concat_plan(op *op)
{
    reorder *r = op->state;
    deconv_status status = DECONV_OK;

    TRY(reorder_plan(op, r));
    if (!r->copy)
        TRY(strided_copy_create(op->ctx, &r->copy));
done:
    return status;
}

static int64_t concat_slice(const op *op, int input)
{
    const reorder *r = op->state;

    return concat_joins_channels(op) ? r->piece[input].out_from[1] : -1;
}

static deconv_status concat_forward(op *op, const op_pass *pass)
{
    const reorder *r = op->state;
    deconv_status status = DECONV_OK;

    if (op->out_block[0] == 1)
        return reorder_forward(op, r, pass);
    for (int i = 0; i < op->n_in; i++) {
        copy_box back, box;

        if (pass->in[i]->image)
            continue;
        back = channel_run(pass->out[0], pass->in[i], r->piece[i].out_from[1]);
        box = copy_box_swap(&back);
        TRY(strided_copy(op->ctx, r->copy, &box, pass->in[i]->data, pass->out[0]->data));
    }
done:
    return status;
}

static deconv_status concat_inverse(op *op, const op_pass *pass)
{
    const reorder *r = op->state;
    deconv_status status = DECONV_OK;

    if (!pass->signal_out[0] || (op->out_block[0] == 1 && !pass->windows))
        return reorder_inverse(op, r, pass);
    if (!concat_joins_channels(op))
        return reorder_inverse_windows(op, r, pass);
    for (int i = 0; i < op->n_in; i++) {
        copy_box box;

        if (!pass->signal_in[i])
            continue;
        box = channel_run(pass->signal_out[0], pass->signal_in[i], r->piece[i].out_from[1]);
        TRY(strided_copy(op->ctx, r->copy, &box, pass->signal_out[0]->data,
                         pass->signal_in[i]->data));
    }
done:
    return status;
}

/* ---- Split ---- */

enum { SPLIT_UNEVEN = 18 }; /* first opset where the last part may be smaller */

/* The size of part `i`: from `sizes`, else equal parts, the last one smaller. */
static int64_t part_size(const int64_t *sizes, int64_t whole, int64_t parts, int64_t i)
{
    int64_t even = (whole + parts - 1) / parts;

    if (sizes)
        return sizes[i];
    return i < parts - 1 ? even : whole - even * (parts - 1);
}

static deconv_status split_init(op *op)
{
    const shape *in = &op->in_shape[0];
    reorder *r = op->state;
    const int64_t *sizes;
    int64_t wanted, parts, whole, at = 0;
    size_t count;
    int axis;
    deconv_status status;

    TRY(attr_int(op, "axis", 0, &wanted));
    TRY(axis_resolve(op, "axis", wanted, in->rank, &axis));
    TRY(param_ints(op, "split", 1, &sizes, &count));
    TRY(attr_int(op, "num_outputs", op->n_out, &parts));
    if (sizes)
        parts = (int64_t)count;
    whole = in->dim[axis];
    if (parts < op->n_out || parts > whole)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "Split of a dimension of size %lld into %lld parts for %d outputs",
                (long long)whole, (long long)parts, op->n_out);
    if (!sizes && whole % parts != 0 && op->opset < SPLIT_UNEVEN)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "Split of a dimension of size %lld into %lld equal parts leaves a rest",
                (long long)whole, (long long)parts);
    TRY(reorder_init(op, r, op->n_out));
    for (int64_t i = 0; i < parts; i++) {
        int64_t size = part_size(sizes, whole, parts, i);

        if (size < 1 || size > whole - at)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "Split of a dimension of size %lld: part %lld cannot have size %lld",
                    (long long)whole, (long long)i, (long long)size);
        if (i < op->n_out) {
            r->piece[i].output = (int)i;
            r->piece[i].size[axis] = size;
            r->piece[i].in_from[axis] = at;
        }
        at += size;
    }
    if (at != whole)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "Split of a dimension of size %lld: the parts add up to %lld", (long long)whole,
                (long long)at);
done:
    return status;
}

/* ---- Tables ---- */

#define REORDER(TYPE, MAX_IN, MAX_OUT, WEIGHTS, INIT)                                              \
    {                                                                                              \
        .type = TYPE, .min_in = 1, .max_in = (MAX_IN), .max_out = (MAX_OUT), .weights = (WEIGHTS), \
        .state_size = sizeof(reorder), .init = INIT, .shape = covered_shape, .plan = plan,         \
        .release = release, .forward = forward, .inverse = inverse, .reach = reach,                \
        .needs = needs, .apart = apart, .spread = spread, .plan_windows = plan_windows,            \
        .release_windows = release_windows                                                         \
    }

const op_class op_transpose = REORDER("Transpose", 1, 1, 0, transpose_init);
const op_class op_slice = REORDER("Slice", 5, 1, 0x1e, slice_init);
const op_class op_concat = {.type = "Concat",
                            .min_in = 1,
                            .max_in = OP_MANY,
                            .max_out = 1,
                            .state_size = sizeof(reorder),
                            .init = concat_init,
                            .shape = covered_shape,
                            .plan = concat_plan,
                            .release = release,
                            .forward = concat_forward,
                            .inverse = concat_inverse,
                            .reach = reach,
                            .needs = needs,
                            .blocks = concat_blocks,
                            .slice = concat_slice,
                            .frame = concat_frame,
                            .apart = concat_apart,
                            .plan_windows = concat_plan_windows,
                            .release_windows = release_windows};
const op_class op_split = REORDER("Split", 2, OP_MANY, 0x2, split_init);
