/* PRelu and Pow: functions of x with a constant tensor of parameters that broadcasts to it
 * (cl/arithmetic.cl). Only x gets a signal. */
#include "broadcast.h"
#include "classes.h"

#include <string.h>

typedef struct parametric {
    bool rectifies; /* PRelu, an activation; Pow is arithmetic: its derivative under every rule */
    grid grid;
    kernel *forward, *inverse;
    kernel *rectify;
    buffer *exponent; /* of an integer constant, which is not on the device as it stands */
} parametric;

static deconv_status parametric_init(op *op)
{
    parametric *f = op->state;
    deconv_status status = DECONV_OK;

    f->rectifies = strcmp(op->class->type, "PRelu") == 0;
    if (f->rectifies && op->constant[1] && !op->constant[1]->is_float)
        OP_FAIL(op, DECONV_ERROR_FORMAT, "the slope of PRelu must be floats");
done:
    return status;
}

static deconv_status parametric_shape(op *op)
{
    const shape *x = &op->in_shape[0], *parameter = &op->in_shape[1];
    char text[SHAPE_TEXT], wanted[SHAPE_TEXT];
    deconv_status status = DECONV_OK;
    shape joined;

    if (!shape_broadcast(x, parameter, &joined) || !shape_equal(x, &joined))
        OP_FAIL(op, DECONV_ERROR_INVALID, "the %s of %s is %s; it must broadcast to %s",
                op->class->type[1] == 'R' ? "slope" : "exponent", op->class->type,
                shape_text(parameter, text, sizeof text), shape_text(x, wanted, sizeof wanted));
    op->out_shape[0] = *x;
done:
    return status;
}

/* ---- Plan ---- */

static deconv_status plan_exponent(op *op, const host_tensor *constant, buffer **out)
{
    size_t count = (size_t)shape_count(&constant->shape);
    deconv_status status;
    float *values = NULL;

    TRY_ALLOC(values, op->ctx, count);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)constant->i[i];
    TRY(buffer_create(op->ctx, count * sizeof *values, "exponent", out));
    TRY(buffer_write(op->ctx, *out, 0, count * sizeof *values, values));
done:
    mem_free(op->ctx, values);
    return status;
}

static deconv_status parametric_plan(op *op)
{
    parametric *f = op->state;
    const host_tensor *constant = op->constant[1];
    deconv_status status;

    f->grid = grid_make(&op->out_shape[0], &op->in_shape[0], &op->in_shape[1]);
    TRY(kernel_create(op->ctx, "arithmetic.cl", "", f->rectifies ? "prelu" : "power", &f->forward));
    TRY(kernel_create(op->ctx, "arithmetic.cl", "",
                      f->rectifies ? "prelu_inverse" : "power_inverse", &f->inverse));
    if (f->rectifies)
        TRY(kernel_create(op->ctx, "maps.cl", "", "rectify", &f->rectify));
    if (constant && !constant->is_float)
        TRY(plan_exponent(op, constant, &f->exponent));
done:
    return status;
}

static void parametric_release(op *op)
{
    parametric *f = op->state;

    kernel_free(f->forward);
    kernel_free(f->inverse);
    kernel_free(f->rectify);
    buffer_free(f->exponent);
}

/* ---- Passes ---- */

static const buffer *parameters(const parametric *f, const op_pass *pass)
{
    return f->exponent ? f->exponent : pass->in[1]->data;
}

static deconv_status apply(const parametric *f, const op_pass *pass, const tensor *from, tensor *to)
{
    kernel_begin(f->forward);
    arg_buffer(f->forward, from->data);
    arg_buffer(f->forward, parameters(f, pass));
    arg_buffer(f->forward, to->data);
    arg_struct(f->forward, &f->grid, sizeof f->grid);
    return grid_launch(f->forward, &f->grid);
}

static deconv_status derive(const parametric *f, const op_pass *pass)
{
    kernel_begin(f->inverse);
    arg_buffer(f->inverse, pass->signal_out[0]->data);
    arg_buffer(f->inverse, pass->in[0]->data);
    arg_buffer(f->inverse, parameters(f, pass));
    arg_buffer(f->inverse, pass->signal_in[0]->data);
    arg_struct(f->inverse, &f->grid, sizeof f->grid);
    arg_int(f->inverse, f->rectifies && pass->rule == DECONV_RULE_GUIDED ? 1 : 0);
    return grid_launch(f->inverse, &f->grid);
}

static deconv_status parametric_forward(op *op, const op_pass *pass)
{
    return apply(op->state, pass, pass->in[0], pass->out[0]);
}

static deconv_status parametric_inverse(op *op, const op_pass *pass)
{
    const parametric *f = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    if (!f->rectifies || pass->rule != DECONV_RULE_DECONVNET)
        return derive(f, pass);
    if (pass->flags & DECONV_INVERSE_APPLY_F)
        return apply(f, pass, pass->signal_out[0], pass->signal_in[0]);
    return tensor_rectify(f->rectify, pass->signal_out[0], pass->signal_in[0]);
}

static uint32_t parametric_keeps(const op *op, deconv_rule rule, uint32_t flags)
{
    const parametric *f = op->state;

    (void)flags;
    return f->rectifies && rule == DECONV_RULE_DECONVNET ? 0 : KEEP_INPUT(0);
}

/* Parameters that are the same at every position. */
static bool parametric_local(const op *op, deconv_rule rule, uint32_t flags)
{
    const shape *s = &op->in_shape[1];

    (void)rule;
    (void)flags;
    for (int d = 1; d <= op->out_shape[0].rank - 2 && d <= s->rank; d++)
        if (s->dim[s->rank - d] != 1)
            return false;
    return shape_equal(&op->in_shape[0], &op->out_shape[0]);
}

static box parametric_reach(const op *op, int input, const box *in, int output)
{
    return broadcast_reach(&op->in_shape[input], &op->out_shape[output], in);
}

static box parametric_needs(const op *op, int output, const box *out, int input)
{
    return broadcast_needs(&op->in_shape[input], &op->out_shape[output], out);
}

#define PARAMETRIC(TYPE)                                                                           \
    {                                                                                              \
        .type = TYPE, .min_in = 2, .max_in = 2, .max_out = 1, .weights = 1u << 1,                  \
        .state_size = sizeof(parametric), .init = parametric_init, .shape = parametric_shape,      \
        .plan = parametric_plan, .release = parametric_release, .forward = parametric_forward,     \
        .inverse = parametric_inverse, .reach = parametric_reach, .needs = parametric_needs,       \
        .keeps = parametric_keeps, .local = parametric_local                                       \
    }

const op_class op_prelu = PARAMETRIC("PRelu");
const op_class op_pow = PARAMETRIC("Pow");
