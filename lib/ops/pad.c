/* Pad: constant padding and cropping as a box in a filled tensor; reflect, edge and wrap padding,
 * which repeat what is there, as maps along axes. */
#include "ahead.h"
#include "axis_map.h"
#include "classes.h"
#include "reorder.h"

#include <string.h>

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

typedef struct pad {
    axis_chain chain; /* first: axis_op_reach and axis_op_needs look here */
    reorder reorder;  /* the constant mode's */
    pad_mode mode;
    shape out;
    int64_t before[DECONV_MAX_RANK], after[DECONV_MAX_RANK]; /* negative: cropped */
} pad;

/* ---- Reading ---- */

static deconv_status read_mode(const op *op, pad_mode *out)
{
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode;
    deconv_status status;

    TRY(attr_string(op, "mode", "constant", &mode));
    for (int m = PAD_CONSTANT; m <= PAD_WRAP; m++) {
        if (strcmp(mode, names[m]) == 0) {
            *out = (pad_mode)m;
            goto done;
        }
    }
    OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
            "Pad: mode %s is not supported; constant, reflect, edge and wrap are", mode);
done:
    return status;
}

static deconv_status read_value(const op *op, float *out)
{
    const float *value;
    size_t count;
    deconv_status status;

    TRY(param_floats(op, "constant_value", 2, &value, &count));
    if (count == 0)
        TRY(param_floats(op, "value", -1, &value, &count));
    *out = count > 0 ? value[0] : 0.0f;
done:
    return status;
}

static deconv_status read_pads(const op *op, pad *p)
{
    const shape *in = &op->in_shape[0];
    const int64_t *pads, *axes;
    size_t count, n_axes;
    bool seen[DECONV_MAX_RANK] = {false};
    deconv_status status;

    TRY(param_ints(op, "pads", 1, &pads, &count));
    TRY(param_ints(op, "axes", 3, &axes, &n_axes));
    if (!axes)
        n_axes = (size_t)in->rank;
    if (n_axes > (size_t)in->rank || count != 2 * n_axes)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Pad of %zu dimensions has %zu pads; it needs %zu",
                n_axes, count, 2 * n_axes);
    for (size_t i = 0; i < n_axes; i++) {
        int64_t before = pads[i], after = pads[i + n_axes];
        int axis;

        TRY(axis_resolve(op, "axis", axes ? axes[i] : (int64_t)i, in->rank, &axis));
        if (seen[axis])
            OP_FAIL(op, DECONV_ERROR_INVALID, "axis %d is listed twice", axis);
        seen[axis] = true;
        if (before < -INT32_MAX || before > INT32_MAX || after < -INT32_MAX || after > INT32_MAX ||
            in->dim[axis] + before + after < 1)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "Pad: dimension %d (size %lld) cannot be padded by %lld and %lld", axis,
                    (long long)in->dim[axis], (long long)before, (long long)after);
        p->before[axis] = before;
        p->after[axis] = after;
    }
done:
    return status;
}

/* ---- Preparing ---- */

/* The part of the input that stays is one piece; where all of it is cropped, an empty one. */
static deconv_status init_constant(op *op, pad *p)
{
    deconv_status status;
    piece *piece;

    TRY(reorder_init(op, &p->reorder, 1));
    TRY(read_value(op, &p->reorder.fill));
    piece = &p->reorder.piece[0];
    for (int d = 0; d < p->out.rank; d++) {
        int64_t from = p->before[d] < 0 ? -p->before[d] : 0;
        int64_t to = op->in_shape[0].dim[d] + (p->after[d] < 0 ? p->after[d] : 0);

        piece->in_from[d] = from;
        piece->out_from[d] = from + p->before[d];
        piece->size[d] = to > from ? to - from : 0;
    }
done:
    return status;
}

static int64_t modulo(int64_t a, int64_t n)
{
    return (a % n + n) % n;
}

/* Which of `n` elements stands at position `i`, which may be outside 0..n-1. A reflection turns at
 * both ends, without repeating them, as often as it takes. */
static int64_t pad_source(pad_mode mode, int64_t i, int64_t n)
{
    int64_t period = 2 * (n - 1);

    switch (mode) {
    case PAD_REFLECT:
        if (n == 1)
            return 0;
        i = modulo(i, period);
        return i < n ? i : period - i;
    case PAD_WRAP:
        return modulo(i, n);
    default:
        return i < 0 ? 0 : i >= n ? n - 1 : i;
    }
}

/* Negative pads crop first; what is left is then repeated outwards. */
static deconv_status pad_axis(op *op, pad *p, int d)
{
    int64_t n = op->in_shape[0].dim[d];
    int64_t first = p->before[d] < 0 ? -p->before[d] : 0;
    int64_t left = n - first + (p->after[d] < 0 ? p->after[d] : 0);
    axis_map map = {0};
    deconv_status status = DECONV_OK;

    if (p->before[d] == 0 && p->after[d] == 0)
        goto done;
    if (left < 1)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "Pad: pads %lld and %lld leave nothing of dimension %d (size %lld) to repeat",
                (long long)p->before[d], (long long)p->after[d], d, (long long)n);
    TRY(axis_map_init(op->ctx, &map, n, p->out.dim[d], 1));
    for (int64_t j = 0; j < p->out.dim[d]; j++) {
        int64_t at = j - (p->before[d] > 0 ? p->before[d] : 0);

        axis_map_add(&map, first + pad_source(p->mode, at, left), 1.0);
        axis_map_end_row(&map);
    }
    TRY(axis_chain_add(op->ctx, &p->chain, d, &map));
done:
    axis_map_release(op->ctx, &map);
    return status;
}

static deconv_status pad_init(op *op)
{
    const shape *in = &op->in_shape[0];
    pad *p = op->state;
    int64_t dims[DECONV_MAX_RANK];
    deconv_status status;

    TRY(read_mode(op, &p->mode));
    TRY(read_pads(op, p));
    for (int d = 0; d < in->rank; d++)
        dims[d] = in->dim[d] + p->before[d] + p->after[d];
    TRY(shape_make(op->ctx, op->name, dims, (size_t)in->rank, &p->out));
    axis_chain_init(&p->chain, in);
    if (p->mode == PAD_CONSTANT)
        TRY(init_constant(op, p));
    for (int d = 0; d < in->rank && p->mode != PAD_CONSTANT; d++)
        TRY(pad_axis(op, p, d));
done:
    return status;
}

static deconv_status pad_shape(op *op)
{
    op->out_shape[0] = ((const pad *)op->state)->out;
    return DECONV_OK;
}

/* ---- Running ---- */

static deconv_status pad_plan(op *op)
{
    pad *p = op->state;

    return p->mode == PAD_CONSTANT ? reorder_plan(op, &p->reorder) : axis_op_plan(op);
}

static void pad_release(op *op)
{
    pad *p = op->state;

    reorder_release(op, &p->reorder);
    axis_op_release(op);
}

static deconv_status pad_forward(op *op, const op_pass *pass)
{
    const pad *p = op->state;

    return p->mode == PAD_CONSTANT ? reorder_forward(op, &p->reorder, pass)
                                   : axis_op_forward(op, pass);
}

static deconv_status pad_inverse(op *op, const op_pass *pass)
{
    const pad *p = op->state;

    if (p->mode != PAD_CONSTANT)
        return axis_op_inverse(op, pass);
    return pass->windows ? reorder_inverse_windows(op, &p->reorder, pass)
                         : reorder_inverse(op, &p->reorder, pass);
}

static box pad_reach(const op *op, int input, const box *in, int output)
{
    const pad *p = op->state;

    return p->mode == PAD_CONSTANT ? reorder_reach(op, &p->reorder, input, in, output)
                                   : axis_op_reach(op, input, in, output);
}

static box pad_needs(const op *op, int output, const box *out, int input)
{
    const pad *p = op->state;

    return p->mode == PAD_CONSTANT ? reorder_needs(op, &p->reorder, output, out, input)
                                   : axis_op_needs(op, output, out, input);
}

/* ---- Windows of signals ---- */

static bool pad_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                      window_frame *in)
{
    const pad *p = op->state;

    return p->mode != PAD_CONSTANT && axis_op_frame(op, rule, flags, out, in);
}

static bool pad_apart(const op *op, axes_apart *how)
{
    const pad *p = op->state;

    return p->mode == PAD_CONSTANT ? reorder_apart(op, &p->reorder, how) : axis_op_apart(op, how);
}

static signal_spread pad_spread(const op *op, deconv_rule rule, uint32_t flags)
{
    const pad *p = op->state;

    return p->mode == PAD_CONSTANT ? reorder_spread(op, &p->reorder)
                                   : axis_op_spread(op, rule, flags);
}

static deconv_status pad_plan_windows(op *op, const windows *w, void **plan)
{
    const pad *p = op->state;

    return p->mode == PAD_CONSTANT ? reorder_plan_windows(op, &p->reorder, plan)
                                   : axis_op_plan_windows(op, w, plan);
}

static void pad_release_windows(op *op, void *plan)
{
    const pad *p = op->state;

    if (p->mode == PAD_CONSTANT)
        reorder_release_windows(plan);
    else
        axis_op_release_windows(op, plan);
}

/* ---- Occlusion over windows (ahead.h) ---- */

bool pad_can_ahead(const op *op)
{
    const pad *p = op->state;
    bool zeros = p->mode == PAD_CONSTANT && p->reorder.fill == 0;

    for (int d = 0; d < p->out.rank; d++)
        if ((p->before[d] || p->after[d]) && (d < 2 || !zeros))
            return false;
    return true;
}

int64_t pad_ahead_before(const op *op, int axis)
{
    const pad *p = op->state;

    if (axis)
        return p->before[p->out.rank - 1];
    return p->out.rank == 4 ? p->before[2] : 0;
}

const op_class op_pad = {
    .type = "Pad",
    .min_in = 1,
    .max_in = 4,
    .max_out = 1,
    .weights = 0xe,
    .state_size = sizeof(pad),
    .init = pad_init,
    .shape = pad_shape,
    .plan = pad_plan,
    .release = pad_release,
    .forward = pad_forward,
    .inverse = pad_inverse,
    .reach = pad_reach,
    .needs = pad_needs,
    .frame = pad_frame,
    .apart = pad_apart,
    .spread = pad_spread,
    .plan_windows = pad_plan_windows,
    .release_windows = pad_release_windows,
};
