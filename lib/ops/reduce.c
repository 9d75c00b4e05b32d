/* ReduceMean and ReduceSum over any dimensions. The sums themselves are in broadcast.c. */
#include "broadcast.h"
#include "classes.h"

#include <string.h>

typedef struct reduce {
    bool reduced[DECONV_MAX_RANK];
    bool keep;  /* reduced dimensions stay, with size 1 */
    shape kept; /* the output with every reduced dimension as 1 */
    float scale;
    sums sums;
    kernel *spread;
    grid grid; /* of the input, over which the output is spread on the way back */
} reduce;

static deconv_status mark_axes(op *op)
{
    reduce *r = op->state;
    int rank = op->in_shape[0].rank;
    const int64_t *axes;
    int64_t nothing;
    size_t count;
    deconv_status status;

    TRY(attr_int(op, "noop_with_empty_axes", 0, &nothing));
    TRY(param_ints(op, "axes", 1, &axes, &count));
    for (int d = 0; count == 0 && !nothing && d < rank; d++)
        r->reduced[d] = true;
    for (size_t i = 0; i < count; i++) {
        int axis;

        TRY(axis_resolve(op, "axis", axes[i], rank, &axis));
        if (r->reduced[axis])
            OP_FAIL(op, DECONV_ERROR_INVALID, "axis %d is listed twice", axis);
        r->reduced[axis] = true;
    }
done:
    return status;
}

static deconv_status reduce_init(op *op)
{
    reduce *r = op->state;
    const shape *x = &op->in_shape[0];
    int64_t keep;
    deconv_status status;

    TRY(attr_int(op, "keepdims", 1, &keep));
    r->keep = keep != 0;
    TRY(mark_axes(op));
    r->kept = *x;
    for (int d = 0; d < x->rank; d++)
        if (r->reduced[d])
            r->kept.dim[d] = 1;
    r->scale = 1.0f;
    if (strcmp(op->class->type, "ReduceMean") == 0)
        r->scale = (float)((double)shape_count(&r->kept) / (double)shape_count(x));
done:
    return status;
}

static deconv_status reduce_shape(op *op)
{
    const reduce *r = op->state;
    shape *y = &op->out_shape[0];

    *y = (shape){0};
    for (int d = 0; d < r->kept.rank; d++)
        if (r->keep || !r->reduced[d])
            y->dim[y->rank++] = r->kept.dim[d];
    return DECONV_OK;
}

static deconv_status reduce_plan(op *op)
{
    reduce *r = op->state;
    const shape *x = &op->in_shape[0];
    deconv_status status;

    TRY(sums_plan(op->ctx, x, &r->kept, SUM_PLAIN, NULL, &r->sums));
    TRY(kernel_create(op->ctx, "arithmetic.cl", "", "spread", &r->spread));
    r->grid = grid_make(x, &r->kept, &r->kept);
done:
    return status;
}

static void reduce_release(op *op)
{
    reduce *r = op->state;

    sums_release(&r->sums);
    kernel_free(r->spread);
}

static deconv_status reduce_forward(op *op, const op_pass *pass)
{
    const reduce *r = op->state;

    return sums_run(&r->sums, pass->in[0]->data, NULL, NULL, pass->out[0]->data, r->scale);
}

static deconv_status reduce_inverse(op *op, const op_pass *pass)
{
    const reduce *r = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    kernel_begin(r->spread);
    arg_buffer(r->spread, pass->signal_out[0]->data);
    arg_buffer(r->spread, pass->signal_in[0]->data);
    arg_struct(r->spread, &r->grid, sizeof r->grid);
    arg_float(r->spread, r->scale);
    return grid_launch(r->spread, &r->grid);
}

static box reduce_reach(const op *op, int input, const box *in, int output)
{
    const reduce *r = op->state;
    box out = {.rank = op->out_shape[output].rank};

    if (input > 0)
        return reach_all(op, input, in, output);
    if (box_is_empty(in))
        return out;
    for (int d = 0, e = 0; d < r->kept.rank; d++) {
        if (r->reduced[d] && !r->keep)
            continue;
        out.from[e] = r->reduced[d] ? 0 : in->from[d];
        out.to[e++] = r->reduced[d] ? 1 : in->to[d];
    }
    return out;
}

static box reduce_needs(const op *op, int output, const box *out, int input)
{
    const reduce *r = op->state;
    box in = {.rank = op->in_shape[input].rank};

    if (input > 0)
        return needs_all(op, output, out, input);
    if (box_is_empty(out))
        return in;
    for (int d = 0, e = 0; d < r->kept.rank; d++) {
        in.from[d] = r->reduced[d] ? 0 : out->from[e];
        in.to[d] = r->reduced[d] ? op->in_shape[0].dim[d] : out->to[e];
        e += r->keep || !r->reduced[d];
    }
    return in;
}

/* Over channels: the same at every position. */
static bool reduce_local(const op *op, deconv_rule rule, uint32_t flags)
{
    const reduce *r = op->state;

    (void)rule;
    (void)flags;
    for (int d = 0; d < r->kept.rank; d++)
        if (r->reduced[d] && d != 1)
            return false;
    return r->keep;
}

#define REDUCE(TYPE)                                                                               \
    {                                                                                              \
        .type = TYPE, .min_in = 1, .max_in = 2, .max_out = 1, .weights = 1u << 1,                  \
        .state_size = sizeof(reduce), .init = reduce_init, .shape = reduce_shape,                  \
        .plan = reduce_plan, .release = reduce_release, .forward = reduce_forward,                 \
        .inverse = reduce_inverse, .reach = reduce_reach, .needs = reduce_needs,                   \
        .local = reduce_local                                                                      \
    }

const op_class op_reduce_mean = REDUCE("ReduceMean");
const op_class op_reduce_sum = REDUCE("ReduceSum");
