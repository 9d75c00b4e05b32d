/* Conv, and what it shares with ConvTranspose. How a convolution is computed is lib/conv's. */
#include "ahead.h"
#include "classes.h"
#include "conv.h"
#include "conv_tasks.h"
#include "signal.h"

#include <inttypes.h>

/* ---- Shared with ConvTranspose ---- */

deconv_status conv_read(op *op)
{
    conv *c = op->state;
    deconv_status status = DECONV_OK;

    TRY(spatial_read(op, &c->attrs));
    TRY(spatial_kernel_from(op, &op->in_shape[1], &c->attrs));
    TRY(attr_int(op, "group", 1, &c->groups));
    if (c->groups < 1 || op->in_shape[1].dim[0] % c->groups != 0 ||
        op->in_shape[0].dim[1] % c->groups != 0)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "group %" PRId64 " must divide the %" PRId64 " input channels and the %" PRId64
                " filters",
                c->groups, op->in_shape[0].dim[1], op->in_shape[1].dim[0]);
done:
    return status;
}

deconv_status conv_set_problem(op *op, int64_t in_channels, int64_t out_channels,
                               int64_t bias_channels)
{
    conv *c = op->state;
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT];

    c->problem = (conv_problem){.batch = op->in_shape[0].dim[0],
                                .in_channels = in_channels,
                                .out_channels = out_channels,
                                .groups = c->groups};
    for (int i = 0; i < 2; i++) {
        const spatial_axis *a = &c->windows.axis[i];

        c->problem.in_size[i] = a->in;
        c->problem.out_size[i] = a->out;
        c->problem.kernel[i] = a->kernel;
        c->problem.stride[i] = a->stride;
        c->problem.dilation[i] = a->dilation;
        c->problem.pad[i] = a->pad;
    }
    if (op_has_input(op, 2) &&
        (op->in_shape[2].rank != 1 || op->in_shape[2].dim[0] != bias_channels))
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "the bias has shape %s; it must have one value for each of the %" PRId64
                " output channels",
                shape_text(&op->in_shape[2], text, sizeof text), bias_channels);
done:
    return status;
}

conv_task conv_task_of(const op *op, conv_direction direction, int in_block, int out_block)
{
    const conv *c = op->state;
    bool forward = direction == CONV_FORWARD;

    return (conv_task){.ctx = op->ctx,
                       .name = op->name,
                       .problem = c->problem,
                       .direction = direction,
                       .scratch = op->scratch,
                       .src_block = forward ? in_block : out_block,
                       .dst_block = forward ? out_block : in_block,
                       .approximate = op->approximate};
}

deconv_status conv_plan_task(op *op, conv_task task, convolution **out)
{
    conv *c = op->state;
    deconv_status status = DECONV_OK;

    task.packed = op->weight[1] ? &op->weight[1]->packed : NULL;
    TRY(convolution_create(&task, NULL, out));
    if (!op->weight[1] || convolution_is_packed(*out))
        goto done;
    TRY(op_use_weight(op, 1));
    TRY(convolution_pack(*out, op_weight(op, 1)->data));
    c->reads_weights = c->reads_weights || !convolution_is_packed(*out);
done:
    if (!c->reads_weights)
        op_leave_weight(op, 1);
    if (status != DECONV_OK) {
        convolution_free(*out);
        *out = NULL;
    }
    return status;
}

deconv_status conv_plan_direction(op *op, conv_direction direction)
{
    conv *c = op->state;
    const conv_task task = conv_task_of(op, direction, op->in_block[0], op->out_block[0]);

    return conv_plan_task(op, task, direction == CONV_FORWARD ? &c->forward : &c->adjoint);
}

deconv_status conv_run(const op *op, convolution *c, const op_pass *pass)
{
    const tensor *bias = op_has_input(op, 2) ? pass->in[2] : NULL;

    return convolution_run(c, &(conv_operands){.src = pass->in[0]->data,
                                               .weights = pass->in[1] ? pass->in[1]->data : NULL,
                                               .bias = bias ? bias->data : NULL,
                                               .add = pass->add ? pass->add->data : NULL,
                                               .dst = pass->out[0]->data,
                                               .dst_from = pass->out[0]->from,
                                               .dst_image = pass->out[0]->image,
                                               .relu = pass->rectify});
}

deconv_status conv_run_back(convolution *c, const op_pass *pass)
{
    return convolution_run(c, &(conv_operands){.src = pass->signal_out[0]->data,
                                               .weights = pass->in[1] ? pass->in[1]->data : NULL,
                                               .dst = pass->signal_in[0]->data,
                                               .units = pass->windows ? pass->windows->units : NULL,
                                               .relu = pass->rectify});
}

void conv_release(op *op)
{
    conv *c = op->state;

    convolution_free(c->forward);
    convolution_free(c->adjoint);
}

bool conv_task_in(const op *op, deconv_direction direction, conv_task *task)
{
    bool transposed = op->class == &op_conv_transpose;

    if (op->class != &op_conv && !transposed)
        return false;
    *task =
        conv_task_of(op, (direction == DECONV_FORWARD) != transposed ? CONV_FORWARD : CONV_ADJOINT,
                     op->in_block[0], op->out_block[0]);
    return true;
}

/* Channels to.. of the groups that channels from->from[1]..to[1] of `count` belong to. */
static void whole_groups(const conv *c, const box *from, int64_t count, int64_t other, box *to)
{
    int64_t size = count / c->groups, other_size = other / c->groups;

    to->from[1] = from->from[1] / size * other_size;
    to->to[1] = ((from->to[1] - 1) / size + 1) * other_size;
}

box conv_in_of_out(const conv *c, const box *out)
{
    box in;

    if (box_is_empty(out))
        return box_empty(out->rank);
    in = spatial_inputs(&c->windows, out);
    if (!box_is_empty(&in))
        whole_groups(c, out, c->problem.out_channels, c->problem.in_channels, &in);
    return in;
}

box conv_out_of_in(const conv *c, const box *in)
{
    box out;

    if (box_is_empty(in))
        return box_empty(in->rank);
    out = spatial_outputs(&c->windows, in);
    if (!box_is_empty(&out))
        whole_groups(c, in, c->problem.in_channels, c->problem.out_channels, &out);
    return out;
}

/* The taps of weights box `w` through which the positions of the two sides meet; NULL: all. */
static box with_taps(const conv *c, box w, const box *out, const box *in)
{
    for (int i = 0; i < 2; i++) {
        const spatial_axis *a = &c->windows.axis[i];
        int d = spatial_dim(&c->windows, i);
        span hit;

        if (d < 0)
            continue;
        hit = axis_taps(a, out ? (span){out->from[d], out->to[d]} : (span){0, a->out},
                        in ? (span){in->from[d], in->to[d]} : (span){0, a->in});
        w.from[d] = hit.from;
        w.to[d] = hit.to;
    }
    return box_is_empty(&w) ? box_empty(w.rank) : w;
}

box conv_weights_of_out(const conv *c, const box *out)
{
    box w = *out;

    if (box_is_empty(out))
        return box_empty(out->rank);
    w.from[0] = out->from[1];
    w.to[0] = out->to[1];
    w.from[1] = 0;
    w.to[1] = c->problem.in_channels / c->groups;
    return with_taps(c, w, out, NULL);
}

box conv_weights_of_in(const conv *c, const box *in)
{
    int64_t size = c->problem.in_channels / c->groups;
    int64_t filters = c->problem.out_channels / c->groups;
    box w = *in;

    if (box_is_empty(in))
        return box_empty(in->rank);
    w.from[0] = in->from[1] / size * filters;
    w.to[0] = ((in->to[1] - 1) / size + 1) * filters;
    w.from[1] = in->from[1] % size;
    w.to[1] = (in->to[1] - 1) % size + 1;
    if (w.to[0] - w.from[0] > filters) { /* the end of one group and the start of the next */
        w.from[1] = 0;
        w.to[1] = size;
    }
    return with_taps(c, w, NULL, in);
}

/* The positions of one side that taps of `w` meet, every image, channels set by the caller. */
static box positions_of_weights(const conv *c, const box *w, bool out)
{
    box side = *w;

    side.from[0] = 0;
    side.to[0] = c->problem.batch;
    for (int i = 0; i < 2; i++) {
        const spatial_axis *a = &c->windows.axis[i];
        int d = spatial_dim(&c->windows, i);
        span taps, hit;

        if (d < 0)
            continue;
        taps = (span){w->from[d], w->to[d]};
        hit =
            out ? axis_outputs(a, (span){0, a->in}, taps) : axis_inputs(a, (span){0, a->out}, taps);
        side.from[d] = hit.from;
        side.to[d] = hit.to;
    }
    return side;
}

box conv_out_of_weights(const conv *c, const box *weights)
{
    box out;

    if (box_is_empty(weights))
        return box_empty(weights->rank);
    out = positions_of_weights(c, weights, true);
    out.from[1] = weights->from[0];
    out.to[1] = weights->to[0];
    return box_is_empty(&out) ? box_empty(out.rank) : out;
}

box conv_in_of_weights(const conv *c, const box *weights)
{
    int64_t size = c->problem.in_channels / c->groups;
    int64_t filters = c->problem.out_channels / c->groups;
    box in;

    if (box_is_empty(weights))
        return box_empty(weights->rank);
    in = positions_of_weights(c, weights, false);
    in.from[1] = weights->from[0] / filters * size + weights->from[1];
    in.to[1] = (weights->to[0] - 1) / filters * size + weights->to[1];
    return box_is_empty(&in) ? box_empty(in.rank) : in;
}

box conv_bias_of(const box *side)
{
    box b = box_empty(1);

    if (box_is_empty(side))
        return b;
    b.from[0] = side->from[1];
    b.to[0] = side->to[1];
    return b;
}

box conv_side_of_bias(const shape *side, const box *bias)
{
    box b = box_whole(side);

    if (box_is_empty(bias))
        return box_empty(side->rank);
    b.from[1] = bias->from[0];
    b.to[1] = bias->to[0];
    return b;
}

/* ---- Conv ---- */

static deconv_status conv_shape(op *op)
{
    conv *c = op->state;
    const shape *x = &op->in_shape[0], *w = &op->in_shape[1];
    shape y = *x;
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT];

    if (w->dim[1] != x->dim[1] / c->groups)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "%" PRId64 " input channels with group %" PRId64 " need weights (K, %" PRId64
                ", ...); they are %s",
                x->dim[1], c->groups, x->dim[1] / c->groups, shape_text(w, text, sizeof text));
    TRY(spatial_windows(op, &c->attrs, x, &c->windows));
    y.dim[1] = w->dim[0];
    for (int i = 0; i < 2; i++) {
        if (spatial_dim(&c->windows, i) >= 0)
            y.dim[spatial_dim(&c->windows, i)] = c->windows.axis[i].out;
    }
    TRY(shape_make(op->ctx, op->name, y.dim, (size_t)y.rank, &op->out_shape[0]));
    TRY(conv_set_problem(op, x->dim[1], w->dim[0], w->dim[0]));
done:
    return status;
}

static deconv_status conv_plan_forward(op *op)
{
    return conv_plan_direction(op, CONV_FORWARD);
}

static deconv_status conv_plan_inverse(op *op)
{
    return conv_plan_direction(op, CONV_ADJOINT);
}

static deconv_status conv_forward(op *op, const op_pass *pass)
{
    conv *c = op->state;

    return conv_run(op, c->forward, pass);
}

static deconv_status conv_inverse(op *op, const op_pass *pass)
{
    conv *c = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return signal_clear(op, pass->signal_in[0]);
    return conv_run_back(pass->windows ? pass->windows->plan : c->adjoint, pass);
}

/* ---- Forward over windows ---- */

ahead_axis conv_ahead_axis(const op *op, int axis)
{
    const spatial_axis *a = &((const conv *)op->state)->windows.axis[axis];

    return (ahead_axis){a->in, a->stride, spatial_extent(a->kernel, a->dilation), a->pad};
}

static conv_task task_ahead(const op *op, int64_t count, const int64_t in[2], const int64_t out[2],
                            bool padded)
{
    const conv *c = op->state;
    conv_task task = conv_task_of(op, CONV_FORWARD, op->in_block[0], op->out_block[0]);

    task.whole = &c->problem;
    task.problem.batch = count;
    for (int i = 0; i < 2; i++) {
        task.problem.in_size[i] = in[i];
        task.problem.out_size[i] = out[i];
        task.problem.pad[i] = padded ? c->problem.pad[i] : 0;
    }
    return task;
}

bool conv_can_ahead(const op *op)
{
    const conv *c = op->state;
    int64_t in[2];
    conv_task task;

    if (!op->is_weight[1] || (op_has_input(op, 2) && !op->is_weight[2]))
        return false;
    for (int i = 0; i < 2; i++)
        in[i] = spatial_extent(c->problem.kernel[i], c->problem.dilation[i]);
    task = task_ahead(op, 1, in, (const int64_t[]){1, 1}, false);
    return convolution_can(&task);
}

deconv_status conv_plan_ahead(op *op, int64_t count, const int64_t in[2], const int64_t out[2],
                              bool padded, convolution **plan)
{
    return conv_plan_task(op, task_ahead(op, count, in, out, padded), plan);
}

deconv_status conv_run_ahead(const op *op, convolution *plan, const buffer *src, const buffer *dst,
                             bool relu)
{
    const tensor *weights = op_weight(op, 1), *bias = op_has_input(op, 2) ? op_weight(op, 2) : NULL;

    return convolution_run(plan, &(conv_operands){.src = src,
                                                  .weights = weights ? weights->data : NULL,
                                                  .bias = bias ? bias->data : NULL,
                                                  .dst = dst,
                                                  .relu = relu});
}

/* ---- Layouts and windows of signals ---- */

static op_blocks conv_blocks(const op *op, int block)
{
    (void)op;
    (void)block;
    return BLOCKS_EACH;
}

static bool conv_takes_blocks(const op *op, int in_block, int out_block)
{
    conv_task forward = conv_task_of(op, CONV_FORWARD, in_block, out_block);
    conv_task adjoint = conv_task_of(op, CONV_ADJOINT, in_block, out_block);

    return convolution_can(&forward) && convolution_can(&adjoint);
}

/* The adjoint over `count` windows. They meet as whole maps do, only that a window of inputs starts
 * where its outputs' first tap reads: there is no padding left, or less than none. Whole maps keep
 * theirs. */
static conv_task window_task(const op *op, const window_frame *out, const window_frame *in,
                             int64_t count)
{
    const conv *c = op->state;
    conv_task task = conv_task_of(op, CONV_ADJOINT, op->in_block[0], op->out_block[0]);

    task.whole = &c->problem;
    task.problem.batch = count;
    for (int i = 0; i < 2; i++) {
        task.problem.in_size[i] = in->size[i];
        task.problem.out_size[i] = out->size[i];
        task.problem.pad[i] =
            c->problem.pad[i] + in->offset[i] - out->offset[i] * c->problem.stride[i];
    }
    return task;
}

/* No windows either where what serves the whole has an order of its own. */
static bool conv_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                       window_frame *in)
{
    const conv *c = op->state;
    conv_task task;

    (void)rule;
    (void)flags;
    if (!spatial_frame(&c->windows, &op->in_shape[0], out, in))
        return false;
    task = window_task(op, out, in, 1);
    return convolution_can(&task);
}

static deconv_status conv_plan_windows(op *op, const windows *w, void **plan)
{
    conv_task task = window_task(op, &w->out[0], &w->in[0], w->count);
    convolution *adjoint = NULL;
    deconv_status status = DECONV_OK;

    *plan = NULL;
    task.one_channel = w->spread != ANYWHERE;
    task.one_cell = w->spread == IN_CELL;
    TRY(conv_plan_task(op, task, &adjoint));
    *plan = adjoint;
done:
    return status;
}

static void conv_release_windows(op *op, void *plan)
{
    (void)op;
    convolution_free(plan);
}

/* Depthwise, a channel meets itself alone. */
static signal_spread conv_spread(const op *op, deconv_rule rule, uint32_t flags)
{
    const conv_problem *p = &((const conv *)op->state)->problem;

    (void)rule;
    (void)flags;
    return p->groups == p->in_channels && p->groups == p->out_channels ? IN_CHANNEL : ANYWHERE;
}

static box conv_needs(const op *op, int output, const box *out, int input)
{
    const conv *c = op->state;

    (void)output;
    return input == 0   ? conv_in_of_out(c, out)
           : input == 1 ? conv_weights_of_out(c, out)
                        : conv_bias_of(out);
}

static box conv_reach(const op *op, int input, const box *in, int output)
{
    const conv *c = op->state;

    return input == 0   ? conv_out_of_in(c, in)
           : input == 1 ? conv_out_of_weights(c, in)
                        : conv_side_of_bias(&op->out_shape[output], in);
}

const op_class op_conv = {
    .type = "Conv",
    .min_in = 2,
    .max_in = 3,
    .max_out = 1,
    .weights = 1u << 1 | 1u << 2,
    .packs = 1u << 1,
    .state_size = sizeof(conv),
    .init = conv_read,
    .shape = conv_shape,
    .plan = conv_plan_forward,
    .plan_inverse = conv_plan_inverse,
    .release = conv_release,
    .forward = conv_forward,
    .inverse = conv_inverse,
    .reach = conv_reach,
    .needs = conv_needs,
    .blocks = conv_blocks,
    .takes_blocks = conv_takes_blocks,
    .rectifies = RECTIFIES_FORWARD | RECTIFIES_BACK,
    .adds = true,
    .writes_slices = true,
    .frame = conv_frame,
    .spread = conv_spread,
    .plan_windows = conv_plan_windows,
    .release_windows = conv_release_windows,
};
