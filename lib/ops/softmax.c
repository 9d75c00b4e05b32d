/* Softmax and LogSoftmax (cl/softmax.cl). What the deconvnet and guided rules project is their
 * input, so R passes through unchanged there; the gradient rule takes the derivative. */
#include "broadcast.h"
#include "classes.h"

#include <stdio.h>
#include <string.h>

typedef struct softmax {
    int first, last; /* dimensions first .. last - 1 of the input make a line */
    int64_t outer, length, inner;
    kernel *forward, *inverse;
} softmax;

/* Before opset 13 the input counts as two-dimensional, cut before `axis`, and a line is a whole
 * row; since then it runs along `axis` alone. */
static deconv_status softmax_init(op *op)
{
    softmax *s = op->state;
    const shape *x = &op->in_shape[0];
    bool single = op->opset >= 13;
    int64_t axis;
    deconv_status status;

    TRY(attr_int(op, "axis", single ? -1 : 1, &axis));
    if (!single && axis == x->rank)
        s->first = x->rank;
    else
        TRY(axis_resolve(op, "axis", axis, x->rank, &s->first));
    s->last = single ? s->first + 1 : x->rank;
    s->outer = shape_span(x, 0, s->first);
    s->length = shape_span(x, s->first, s->last);
    s->inner = shape_span(x, s->last, x->rank);
done:
    return status;
}

static deconv_status softmax_shape(op *op)
{
    op->out_shape[0] = op->in_shape[0];
    return DECONV_OK;
}

static deconv_status softmax_plan(op *op)
{
    softmax *s = op->state;
    bool logarithm = strcmp(op->class->type, "LogSoftmax") == 0;
    deconv_status status;

    TRY(kernel_create(op->ctx, "softmax.cl", "",
                      logarithm ? "log_softmax_forward" : "softmax_forward", &s->forward));
    TRY(kernel_create(op->ctx, "softmax.cl", "",
                      logarithm ? "log_softmax_inverse" : "softmax_inverse", &s->inverse));
done:
    return status;
}

static void softmax_release(op *op)
{
    softmax *s = op->state;

    kernel_free(s->forward);
    kernel_free(s->inverse);
}

static deconv_status launch(const softmax *s, kernel *k)
{
    arg_int(k, s->outer);
    arg_int(k, s->length);
    arg_int(k, s->inner);
    return launch_rows(k, s->inner, s->outer);
}

static deconv_status softmax_forward(op *op, const op_pass *pass)
{
    const softmax *s = op->state;

    kernel_begin(s->forward);
    arg_buffer(s->forward, pass->in[0]->data);
    arg_buffer(s->forward, pass->out[0]->data);
    return launch(s, s->forward);
}

static deconv_status softmax_inverse(op *op, const op_pass *pass)
{
    const softmax *s = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    if (pass->rule != DECONV_RULE_GRADIENT)
        return tensor_copy(pass->signal_out[0], pass->signal_in[0]);
    kernel_begin(s->inverse);
    arg_buffer(s->inverse, pass->signal_out[0]->data);
    arg_buffer(s->inverse, pass->out[0]->data);
    arg_buffer(s->inverse, pass->signal_in[0]->data);
    return launch(s, s->inverse);
}

static uint32_t softmax_keeps(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)op;
    (void)flags;
    return rule == DECONV_RULE_GRADIENT ? KEEP_OUTPUT(0) : 0;
}

static bool softmax_passes(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)op;
    (void)flags;
    return rule != DECONV_RULE_GRADIENT;
}

/* Lines across channels. */
static bool softmax_local(const op *op, deconv_rule rule, uint32_t flags)
{
    const softmax *s = op->state;

    (void)op;
    (void)rule;
    (void)flags;
    return s->first == 1 && s->last == 2;
}

/* Lines are whole or not at all, in either direction. */
static box whole_lines(const op *op, const box *b)
{
    const softmax *s = op->state;
    box whole = *b;

    if (box_is_empty(b))
        return box_empty(b->rank);
    for (int d = s->first; d < s->last; d++) {
        whole.from[d] = 0;
        whole.to[d] = op->in_shape[0].dim[d];
    }
    return whole;
}

static box softmax_reach(const op *op, int input, const box *in, int output)
{
    (void)input;
    (void)output;
    return whole_lines(op, in);
}

static box softmax_needs(const op *op, int output, const box *out, int input)
{
    (void)input;
    (void)output;
    return whole_lines(op, out);
}

#define SOFTMAX(TYPE)                                                                              \
    {                                                                                              \
        .type = TYPE, .min_in = 1, .max_in = 1, .max_out = 1, .state_size = sizeof(softmax),       \
        .init = softmax_init, .shape = softmax_shape, .plan = softmax_plan,                        \
        .release = softmax_release, .forward = softmax_forward, .inverse = softmax_inverse,        \
        .reach = softmax_reach, .needs = softmax_needs, .keeps = softmax_keeps,                    \
        .passes_signal = softmax_passes, .local = softmax_local                                    \
    }

const op_class op_softmax = SOFTMAX("Softmax");
const op_class op_log_softmax = SOFTMAX("LogSoftmax");
