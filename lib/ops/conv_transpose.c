/* ConvTranspose: the convolution problem of conv.c run the other way. Its output is the problem's
 * input side, its forward pass the adjoint, its inverse the plain convolution. */
#include "classes.h"
#include "conv.h"
#include "signal.h"

#include <inttypes.h>

typedef struct conv_transpose {
    conv conv;             /* first: conv.c works on it */
    int64_t out_extra[2];  /* output_padding */
    int64_t out_wanted[2]; /* output_shape; 0: follows from the rest */
} conv_transpose;

/* output_shape has one size for each spatial dimension; some exporters put N and C in front. */
static deconv_status read_output_shape(const op *op, conv_transpose *t)
{
    const int axes = t->conv.attrs.axes;
    const int64_t *list;
    deconv_status status = DECONV_OK;
    size_t count;

    TRY(attr_ints(op, "output_shape", &list, &count));
    if (count != 0 && count != (size_t)axes && count != (size_t)axes + 2)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "output_shape has %zu values; an input of %d dimensions takes %d", count, axes + 2,
                axes);
    for (int i = 0; count && i < axes; i++) {
        int64_t size = list[count - (size_t)axes + (size_t)i];

        if (size < 1 || size > SPATIAL_MAX)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "output_shape has %" PRId64 "; each size is 1 to %" PRId64, size, SPATIAL_MAX);
        t->out_wanted[2 - axes + i] = size;
    }
done:
    return status;
}

static deconv_status conv_transpose_init(op *op)
{
    conv_transpose *t = op->state;
    deconv_status status = DECONV_OK;

    TRY(conv_read(op));
    TRY(spatial_read_list(op, t->conv.attrs.axes, "output_padding", 0, 0, t->out_extra));
    TRY(read_output_shape(op, t));
done:
    return status;
}

/* Size of the output and padding in front. Where a size is given, the padding is what is left over,
 * split in halves; a size beyond what the kernel covers leaves positions that only get the bias. */
static deconv_status resolve_axis(const op *op, const conv_transpose *t, int i, spatial_axis *a)
{
    const spatial_attrs *attrs = &t->conv.attrs;
    const bool same = attrs->auto_pad == PAD_SAME_UPPER || attrs->auto_pad == PAD_SAME_LOWER;
    deconv_status status = DECONV_OK;
    int64_t full;

    *a = (spatial_axis){.out = spatial_size(&op->in_shape[0], i),
                        .kernel = attrs->kernel[i],
                        .stride = attrs->stride[i],
                        .dilation = attrs->dilation[i],
                        .pad = attrs->pad_begin[i],
                        .pad_end = attrs->pad_end[i]};
    if (a->out > SPATIAL_MAX)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "input %s %" PRId64 "; up to %" PRId64 " are possible",
                spatial_axis_name(attrs->axes, i), a->out, SPATIAL_MAX);
    full = (a->out - 1) * a->stride + spatial_extent(a->kernel, a->dilation) + t->out_extra[i];
    a->in = full - a->pad - a->pad_end;
    if (t->out_wanted[i] || same) {
        int64_t rest;

        a->in = t->out_wanted[i] ? t->out_wanted[i] : a->out * a->stride;
        rest = full > a->in ? full - a->in : 0;
        a->pad = attrs->auto_pad == PAD_SAME_UPPER ? rest / 2 : rest - rest / 2;
        a->pad_end = rest - a->pad;
    }
    if (a->in < 1)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "output %s would be %" PRId64 ": the kernel covers %" PRId64
                ", of which padding %" PRId64 " + %" PRId64 " is cut off",
                spatial_axis_name(attrs->axes, i), a->in, full, a->pad, a->pad_end);
done:
    return status;
}

static deconv_status conv_transpose_shape(op *op)
{
    conv_transpose *t = op->state;
    conv *c = &t->conv;
    const shape *x = &op->in_shape[0], *w = &op->in_shape[1];
    shape y = *x;
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT];

    if (w->dim[0] != x->dim[1])
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "%" PRId64 " input channels need weights (%" PRId64
                ", C / group, ...); they are %s",
                x->dim[1], x->dim[1], shape_text(w, text, sizeof text));
    y.dim[1] = w->dim[1] * c->groups;
    c->windows.axes = c->attrs.axes;
    for (int i = 0; i < 2; i++) {
        TRY(resolve_axis(op, t, i, &c->windows.axis[i]));
        if (spatial_dim(&c->windows, i) >= 0)
            y.dim[spatial_dim(&c->windows, i)] = c->windows.axis[i].in;
    }
    TRY(spatial_finish(op, &c->windows));
    TRY(shape_make(op->ctx, op->name, y.dim, (size_t)y.rank, &op->out_shape[0]));
    TRY(conv_set_problem(op, y.dim[1], x->dim[1], y.dim[1]));
done:
    return status;
}

static deconv_status conv_transpose_plan_forward(op *op)
{
    return conv_plan_direction(op, CONV_ADJOINT);
}

static deconv_status conv_transpose_plan_inverse(op *op)
{
    return conv_plan_direction(op, CONV_FORWARD);
}

static deconv_status conv_transpose_forward(op *op, const op_pass *pass)
{
    conv *c = op->state;

    return conv_run(op, c->adjoint, pass);
}

static deconv_status conv_transpose_inverse(op *op, const op_pass *pass)
{
    conv *c = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return signal_clear(op, pass->signal_in[0]);
    return conv_run_back(pass->windows ? pass->windows->plan : c->forward, pass);
}

/* ---- Windows of signals ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

/* The windows of y are one problem only where they move by whole strides. */
static void conv_transpose_align(const op *op, int32_t step[2])
{
    const conv *c = op->state;

    for (int i = 0; i < 2; i++)
        step[i] = (int32_t)c->windows.axis[i].stride;
}

/* The positions of x that meet a window of y: the outputs of the convolution behind it. */
static bool window_of_x(const conv *c, const window_frame *out, window_frame *in)
{
    *in = *out;
    for (int i = 0; i < 2; i++) {
        const spatial_axis *a = &c->windows.axis[i];
        int64_t extent = spatial_extent(a->kernel, a->dilation);
        int64_t first, last = out->offset[i] + (int64_t)out->size[i] - 1 + a->pad;

        if (out->jump[i] % a->stride != 0)
            return false;
        first = floor_div(out->offset[i] + a->pad - extent + a->stride, a->stride);
        last = floor_div(last, a->stride);
        /* Nothing meets it, or it begins before the first tap. */
        if (last < first || out->offset[i] + a->pad < first * a->stride)
            return false;
        in->jump[i] = (int32_t)(out->jump[i] / a->stride);
        in->offset[i] = (int32_t)first;
        in->size[i] = (int32_t)(last - first + 1);
    }
    return in->jump[0] > 0 && in->jump[1] > 0;
}

static conv_task window_task(const op *op, const window_frame *out, const window_frame *in,
                             int64_t count)
{
    const conv *c = op->state;
    conv_task task = conv_task_of(op, CONV_FORWARD, op->out_block[0], op->in_block[0]);

    task.whole = &c->problem;
    task.problem.batch = count;
    for (int i = 0; i < 2; i++) {
        task.problem.in_size[i] = out->size[i];
        task.problem.out_size[i] = in->size[i];
        task.problem.pad[i] =
            c->problem.pad[i] + out->offset[i] - in->offset[i] * c->problem.stride[i];
    }
    return task;
}

static bool conv_transpose_frame(const op *op, deconv_rule rule, uint32_t flags,
                                 const window_frame *out, window_frame *in)
{
    const conv *c = op->state;
    conv_task task;

    (void)rule;
    (void)flags;
    *in = frame_whole(&op->in_shape[0]);
    if (!frame_is_whole(out) && !window_of_x(c, out, in))
        return false;
    task = window_task(op, out, in, 1);
    return convolution_can(&task);
}

static deconv_status conv_transpose_plan_windows(op *op, const windows *w, void **plan)
{
    convolution *forward = NULL;
    deconv_status status = DECONV_OK;

    TRY(conv_plan_task(op, window_task(op, &w->out[0], &w->in[0], w->count), &forward));
    *plan = forward;
done:
    return status;
}

static void conv_transpose_release_windows(op *op, void *plan)
{
    (void)op;
    convolution_free(plan);
}

static box conv_transpose_needs(const op *op, int output, const box *out, int input)
{
    const conv *c = op->state;

    (void)output;
    return input == 0   ? conv_out_of_in(c, out)
           : input == 1 ? conv_weights_of_in(c, out)
                        : conv_bias_of(out);
}

static box conv_transpose_reach(const op *op, int input, const box *in, int output)
{
    const conv *c = op->state;

    return input == 0   ? conv_in_of_out(c, in)
           : input == 1 ? conv_in_of_weights(c, in)
                        : conv_side_of_bias(&op->out_shape[output], in);
}

const op_class op_conv_transpose = {
    .type = "ConvTranspose",
    .min_in = 2,
    .max_in = 3,
    .max_out = 1,
    .weights = 1u << 1 | 1u << 2,
    .packs = 1u << 1,
    .state_size = sizeof(conv_transpose),
    .init = conv_transpose_init,
    .shape = conv_transpose_shape,
    .plan = conv_transpose_plan_forward,
    .plan_inverse = conv_transpose_plan_inverse,
    .release = conv_release,
    .forward = conv_transpose_forward,
    .inverse = conv_transpose_inverse,
    .reach = conv_transpose_reach,
    .needs = conv_transpose_needs,
    .frame = conv_transpose_frame,
    .align = conv_transpose_align,
    .plan_windows = conv_transpose_plan_windows,
    .release_windows = conv_transpose_release_windows,
};
