/* Elementwise functions of one operand (cl/activation.cl): the nonlinearities of networks, and a
 * few functions of plain arithmetic. PRelu and Pow, which have a tensor of parameters, are in
 * parametric.c. */
#include "broadcast.h"
#include "classes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A parameter of the function: attribute `name`, NULL where there is none, and its default. */
typedef struct parameter {
    const char *name;
    float otherwise;
} parameter;

typedef struct form {
    const char *type;
    const char *kernel; /* KERNEL_forward and KERNEL_inverse of cl/activation.cl */
    parameter a, b;
    /* Arithmetic, as Mul and Div are: its derivative under every rule, nothing is rectified. */
    bool arithmetic;
    bool lifts_zero; /* f(0) is not 0, at least for usual parameters */
} form;

static const form forms[] = {
    {.type = "LeakyRelu", .kernel = "leaky_relu", .a = {"alpha", 0.01f}},
    {.type = "ThresholdedRelu", .kernel = "thresholded_relu", .a = {"alpha", 1.0f}},
    {.type = "Elu", .kernel = "elu", .a = {"alpha", 1.0f}},
    {.type = "Selu",
     .kernel = "selu",
     .a = {"alpha", 1.67326319217681884765625f},
     .b = {"gamma", 1.05070102214813232421875f}},
    {.type = "Celu", .kernel = "celu", .a = {"alpha", 1.0f}},
    {.type = "Sigmoid", .kernel = "sigmoid", .lifts_zero = true},
    {.type = "Tanh", .kernel = "tanh"},
    {.type = "Softplus", .kernel = "softplus", .lifts_zero = true},
    {.type = "Softsign", .kernel = "softsign"},
    {.type = "HardSigmoid",
     .kernel = "hard_sigmoid",
     .a = {"alpha", 0.2f},
     .b = {"beta", 0.5f},
     .lifts_zero = true},
    {.type = "HardSwish", .kernel = "hard_swish"},
    {.type = "Mish", .kernel = "mish"},
    {.type = "Gelu", .kernel = "gelu"},
    {.type = "Clip", .kernel = "clip"}, /* a: min, b: max */
    {.type = "Erf", .kernel = "erf"},
    {.type = "Exp", .kernel = "exp", .arithmetic = true},
    {.type = "Sqrt", .kernel = "sqrt", .arithmetic = true},
    {.type = "Abs", .kernel = "abs", .arithmetic = true},
    {.type = "Neg", .kernel = "neg", .arithmetic = true},
    {.type = "Reciprocal", .kernel = "reciprocal", .arithmetic = true},
};

typedef struct activation {
    const form *form; /* NULL: Relu */
    const char *kernel_name;
    float a, b;
    kernel *forward;
    kernel *rectify; /* max(v, 0) */
    kernel *inverse;
    kernel *inverse_windows; /* Relu's */
} activation;

/* ---- Attributes ---- */

static deconv_status read_parameter(const op *op, const parameter *p, float *out)
{
    return p->name ? attr_float(op, p->name, p->otherwise, out) : DECONV_OK;
}

/* Clip's limits: attributes before opset 11, single constants since. */
static deconv_status read_limit(const op *op, const char *name, int input, float otherwise,
                                float *out)
{
    const float *list;
    size_t count;
    deconv_status status;

    *out = otherwise;
    TRY(param_floats(op, name, input, &list, &count));
    if (count > 1)
        OP_FAIL(op, DECONV_ERROR_INVALID, "%s of Clip has %zu values; it must have one", name,
                count);
    if (count == 1)
        *out = list[0];
done:
    return status;
}

static deconv_status read_gelu(const op *op, activation *f)
{
    const char *approximate;
    deconv_status status;

    TRY(attr_string(op, "approximate", "none", &approximate));
    if (strcmp(approximate, "tanh") == 0)
        f->kernel_name = "gelu_tanh";
    else if (strcmp(approximate, "none") != 0)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED, "approximate \"%s\" of Gelu; \"none\" or \"tanh\"",
                approximate);
done:
    return status;
}

static deconv_status activation_init(op *op)
{
    activation *f = op->state;
    deconv_status status;

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].type, op->class->type) == 0)
            f->form = &forms[i];
    f->kernel_name = f->form->kernel;
    TRY(read_parameter(op, &f->form->a, &f->a));
    TRY(read_parameter(op, &f->form->b, &f->b));
    if (strcmp(f->form->type, "Gelu") == 0)
        TRY(read_gelu(op, f));
    if (strcmp(f->form->type, "Clip") == 0) {
        TRY(read_limit(op, "min", 1, -INFINITY, &f->a));
        TRY(read_limit(op, "max", 2, INFINITY, &f->b));
    }
    if (strcmp(f->form->type, "Celu") == 0 && f->a == 0.0f)
        OP_FAIL(op, DECONV_ERROR_INVALID, "alpha of Celu is 0; it divides, so it must not be");
done:
    return status;
}

static deconv_status relu_init(op *op)
{
    (void)op;
    return DECONV_OK;
}

static deconv_status activation_shape(op *op)
{
    op->out_shape[0] = op->in_shape[0];
    return DECONV_OK;
}

/* ---- Plan ---- */

static deconv_status activation_plan(op *op)
{
    activation *f = op->state;
    char name[48];
    deconv_status status;

    snprintf(name, sizeof name, "%s_forward", f->kernel_name);
    TRY(kernel_create(op->ctx, "activation.cl", "", name, &f->forward));
    snprintf(name, sizeof name, "%s_inverse", f->kernel_name);
    TRY(kernel_create(op->ctx, "activation.cl", "", name, &f->inverse));
    if (!f->form->arithmetic)
        TRY(kernel_create(op->ctx, "maps.cl", "", "rectify", &f->rectify));
done:
    return status;
}

static deconv_status relu_plan(op *op)
{
    activation *f = op->state;
    deconv_status status;

    TRY(kernel_create(op->ctx, "maps.cl", "", "rectify", &f->rectify));
    TRY(kernel_create(op->ctx, "maps.cl", "", "rectify_inverse", &f->inverse));
    TRY(kernel_create(op->ctx, "maps.cl", "", "rectify_inverse_windows", &f->inverse_windows));
done:
    return status;
}

static void activation_release(op *op)
{
    activation *f = op->state;

    kernel_free(f->forward);
    kernel_free(f->rectify);
    kernel_free(f->inverse);
    kernel_free(f->inverse_windows);
}

/* ---- Passes ---- */

static deconv_status apply(const activation *f, const tensor *from, tensor *to)
{
    int64_t count = layout_floats(&to->shape, to->block);

    kernel_begin(f->forward);
    arg_buffer(f->forward, from->data);
    arg_buffer(f->forward, to->data);
    arg_int(f->forward, count);
    arg_float(f->forward, f->a);
    arg_float(f->forward, f->b);
    return launch_rows(f->forward, count, 1);
}

static deconv_status activation_forward(op *op, const op_pass *pass)
{
    return apply(op->state, pass->in[0], pass->out[0]);
}

static deconv_status relu_forward(op *op, const op_pass *pass)
{
    const activation *f = op->state;

    return tensor_rectify(f->rectify, pass->in[0], pass->out[0]);
}

/* The rule's derivative, from the input or, for Relu, the output of the forward pass. */
static deconv_status derive(const activation *f, const op_pass *pass, const tensor *activity)
{
    int64_t count = layout_floats(&activity->shape, activity->block);

    kernel_begin(f->inverse);
    arg_buffer(f->inverse, pass->signal_out[0]->data);
    arg_buffer(f->inverse, activity->data);
    arg_buffer(f->inverse, pass->signal_in[0]->data);
    arg_int(f->inverse, count);
    if (f->form) {
        arg_float(f->inverse, f->a);
        arg_float(f->inverse, f->b);
    }
    arg_int(f->inverse,
            pass->rule == DECONV_RULE_GUIDED && !(f->form && f->form->arithmetic) ? 1 : 0);
    return launch_rows(f->inverse, count, 1);
}

/* The same over windows of signals, the output of the forward pass whole. */
static deconv_status derive_windows(const activation *f, const op_pass *pass)
{
    const windows *w = pass->windows;
    const placed_frame frame = frame_placed(&w->in[0]);
    const tensor *activity = pass->out[0];
    const shape *map = &activity->shape;
    int64_t planes = (map_channels(map) + activity->block - 1) / activity->block;
    kernel *k = f->inverse_windows;

    kernel_begin(k);
    arg_buffer(k, pass->signal_out[0]->data);
    arg_buffer(k, activity->data);
    arg_buffer(k, pass->signal_in[0]->data);
    arg_buffer(k, w->seeds);
    arg_buffer(k, w->origins);
    arg_struct(k, &frame, sizeof frame);
    arg_int(k, w->count);
    arg_int(k, planes);
    arg_int(k, activity->block);
    arg_int(k, map_height(map));
    arg_int(k, map_width(map));
    arg_int(k, pass->rule == DECONV_RULE_GUIDED);
    return kernel_launch_groups(k, (int64_t)frame.size[1] * activity->block, frame.size[0],
                                w->count * planes, 8, 1, 1);
}

static deconv_status activation_inverse(op *op, const op_pass *pass)
{
    const activation *f = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    if (pass->rule != DECONV_RULE_DECONVNET || f->form->arithmetic)
        return derive(f, pass, pass->in[0]);
    if (pass->flags & DECONV_INVERSE_APPLY_F)
        return apply(f, pass->signal_out[0], pass->signal_in[0]);
    return tensor_rectify(f->rectify, pass->signal_out[0], pass->signal_in[0]);
}

static deconv_status relu_inverse(op *op, const op_pass *pass)
{
    const activation *f = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    if (pass->rule == DECONV_RULE_DECONVNET)
        return tensor_rectify(f->rectify, pass->signal_out[0], pass->signal_in[0]);
    return pass->windows ? derive_windows(f, pass) : derive(f, pass, pass->out[0]);
}

static uint32_t activation_keeps(const op *op, deconv_rule rule, uint32_t flags)
{
    const activation *f = op->state;

    (void)flags;
    return rule != DECONV_RULE_DECONVNET || f->form->arithmetic ? KEEP_INPUT(0) : 0;
}

/* Relu's output tells where its input was positive, and is usually kept anyway. */
static uint32_t relu_keeps(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)op;
    (void)flags;
    return rule != DECONV_RULE_DECONVNET ? KEEP_OUTPUT(0) : 0;
}

/* ---- Layouts and windows of signals ---- */

/* Lanes past the last channel hold zeros, where arithmetic may have no finite value. */
static op_blocks activation_blocks(const op *op, int block)
{
    const activation *f = op->state;
    bool full = op->in_shape[0].rank > 1 && op->in_shape[0].dim[1] % block == 0;

    return full || !f->form->arithmetic ? BLOCKS_ALIKE : BLOCKS_NEVER;
}

/* f(0) is not 0: applied to a signal, it makes one where there was none. */
static bool lifts_zero(const activation *f)
{
    if (strcmp(f->form->type, "Clip") == 0)
        return f->a > 0 || f->b < 0;
    return f->form->lifts_zero;
}

/* Under the deconvnet rule a signal alone says what becomes of it. */
static bool activation_frame(const op *op, deconv_rule rule, uint32_t flags,
                             const window_frame *out, window_frame *in)
{
    const activation *f = op->state;

    *in = *out;
    return rule == DECONV_RULE_DECONVNET && !f->form->arithmetic &&
           !(flags & DECONV_INVERSE_APPLY_F && lifts_zero(f));
}

static bool makes_signals(const op *op, deconv_rule rule, uint32_t flags)
{
    const activation *f = op->state;

    return rule == DECONV_RULE_DECONVNET && !f->form->arithmetic &&
           flags & DECONV_INVERSE_APPLY_F && lifts_zero(f);
}

static bool activation_local(const op *op, deconv_rule rule, uint32_t flags)
{
    return !makes_signals(op, rule, flags);
}

static signal_spread activation_spread(const op *op, deconv_rule rule, uint32_t flags)
{
    return makes_signals(op, rule, flags) ? ANYWHERE : IN_CELL;
}

/* ---- Windows: Clip's limits are the only inputs besides x ---- */

static box activation_reach(const op *op, int input, const box *in, int output)
{
    return input == 0 ? reach_same(op, input, in, output) : reach_all(op, input, in, output);
}

static box activation_needs(const op *op, int output, const box *out, int input)
{
    return input == 0 ? needs_same(op, output, out, input) : needs_all(op, output, out, input);
}

/* ---- Tables ---- */

#define ACTIVATION(TYPE, INPUTS)                                                                   \
    {                                                                                              \
        .type = TYPE, .min_in = 1, .max_in = (INPUTS), .max_out = 1,                               \
        .weights = (1u << (INPUTS)) - 2, .state_size = sizeof(activation),                         \
        .init = activation_init, .shape = activation_shape, .plan = activation_plan,               \
        .release = activation_release, .forward = activation_forward,                              \
        .inverse = activation_inverse, .reach = activation_reach, .needs = activation_needs,       \
        .keeps = activation_keeps, .blocks = activation_blocks, .frame = activation_frame,         \
        .local = activation_local, .spread = activation_spread                                     \
    }

const op_class op_relu = {.type = "Relu",
                          .min_in = 1,
                          .max_in = 1,
                          .max_out = 1,
                          .state_size = sizeof(activation),
                          .init = relu_init,
                          .shape = activation_shape,
                          .plan = relu_plan,
                          .release = activation_release,
                          .forward = relu_forward,
                          .inverse = relu_inverse,
                          .reach = reach_same,
                          .needs = needs_same,
                          .keeps = relu_keeps,
                          .blocks = blocks_alike,
                          .frame = frame_same,
                          .spread = spread_cell};

const op_class op_activations[OP_ACTIVATIONS] = {
    ACTIVATION("LeakyRelu", 1), ACTIVATION("ThresholdedRelu", 1),
    ACTIVATION("Elu", 1),       ACTIVATION("Selu", 1),
    ACTIVATION("Celu", 1),      ACTIVATION("Sigmoid", 1),
    ACTIVATION("Tanh", 1),      ACTIVATION("Softplus", 1),
    ACTIVATION("Softsign", 1),  ACTIVATION("HardSigmoid", 1),
    ACTIVATION("HardSwish", 1), ACTIVATION("Mish", 1),
    ACTIVATION("Gelu", 1),      ACTIVATION("Clip", 3),
    ACTIVATION("Erf", 1),       ACTIVATION("Exp", 1),
    ACTIVATION("Sqrt", 1),      ACTIVATION("Abs", 1),
    ACTIVATION("Neg", 1),       ACTIVATION("Reciprocal", 1)};

_Static_assert(sizeof forms / sizeof *forms == OP_ACTIVATIONS, "a form for every type");
