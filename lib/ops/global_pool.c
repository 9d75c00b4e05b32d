/* GlobalAveragePool and GlobalMaxPool: one window over all positions of a channel, whatever their
 * number of dimensions. */
#include "classes.h"
#include "signal.h"

#include <stdio.h>

typedef struct global_pool {
    int64_t planes, cells;
    kernel *forward, *inverse;
} global_pool;

static deconv_status global_pool_init(op *op)
{
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT];

    if (op->in_shape[0].rank < 3)
        OP_FAIL(
            op, DECONV_ERROR_INVALID,
            "an input of shape %s has no positions to pool over; it must be (N, C, ...) with at "
            "least one more dimension",
            shape_text(&op->in_shape[0], text, sizeof text));
done:
    return status;
}

static deconv_status global_pool_shape(op *op)
{
    global_pool *g = op->state;
    const shape *in = &op->in_shape[0];

    g->planes = shape_span(in, 0, 2);
    g->cells = shape_span(in, 2, in->rank);
    op->out_shape[0] = *in;
    for (int d = 2; d < in->rank; d++)
        op->out_shape[0].dim[d] = 1;
    return DECONV_OK;
}

static deconv_status global_average_plan(op *op)
{
    global_pool *g = op->state;
    deconv_status status = DECONV_OK;
    char options[32];

    snprintf(options, sizeof options, "-DLANES=%d", op->in_block[0]);
    TRY(kernel_create(op->ctx, "global_pool.cl", options, "global_average_forward", &g->forward));
    TRY(kernel_create(op->ctx, "global_pool.cl", options, "global_average_inverse", &g->inverse));
done:
    return status;
}

static deconv_status global_max_plan(op *op)
{
    global_pool *g = op->state;
    deconv_status status = DECONV_OK;

    TRY(kernel_create(op->ctx, "global_pool.cl", "", "global_max_forward", &g->forward));
    TRY(kernel_create(op->ctx, "global_pool.cl", "", "global_max_inverse", &g->inverse));
done:
    return status;
}

static void global_pool_release(op *op)
{
    global_pool *g = op->state;

    kernel_free(g->forward);
    kernel_free(g->inverse);
}

/* ---- GlobalAveragePool ---- */

static deconv_status global_average_forward(op *op, const op_pass *pass)
{
    global_pool *g = op->state;
    int64_t channels = op->in_shape[0].dim[1];
    int64_t planes = g->planes / channels * ((channels + op->in_block[0] - 1) / op->in_block[0]);

    kernel_begin(g->forward);
    arg_buffer(g->forward, pass->in[0]->data);
    arg_buffer(g->forward, pass->out[0]->data);
    arg_int(g->forward, planes);
    arg_int(g->forward, g->cells);
    arg_int(g->forward, channels);
    return kernel_launch(g->forward, planes, 1, 1);
}

static deconv_status global_average_inverse(op *op, const op_pass *pass)
{
    global_pool *g = op->state;
    const windows *w = pass->windows;
    int64_t channels = op->in_shape[0].dim[1], block = op->in_block[0];
    int64_t planes = (w ? w->count : g->planes / channels) * ((channels + block - 1) / block);

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return signal_clear(op, pass->signal_in[0]);
    kernel_begin(g->inverse);
    arg_buffer(g->inverse, pass->signal_out[0]->data);
    arg_buffer(g->inverse, pass->signal_in[0]->data);
    arg_int(g->inverse, (pass->flags & DECONV_INVERSE_AVERAGE_COPY) != 0);
    arg_int(g->inverse, planes);
    arg_int(g->inverse, g->cells);
    arg_int(g->inverse, channels);
    return kernel_launch(g->inverse, g->cells, planes, 1);
}

/* ---- GlobalMaxPool ---- */

static op_blocks global_average_blocks(const op *op, int block)
{
    (void)op;
    (void)block;
    return BLOCKS_EACH;
}

static bool global_average_takes_blocks(const op *op, int in_block, int out_block)
{
    (void)op;
    (void)in_block;
    return out_block == 1;
}

static bool global_average_frame(const op *op, deconv_rule rule, uint32_t flags,
                                 const window_frame *out, window_frame *in)
{
    (void)rule;
    (void)flags;
    *in = frame_whole(&op->in_shape[0]);
    return frame_is_whole(out);
}

static deconv_status global_max_forward(op *op, const op_pass *pass)
{
    global_pool *g = op->state;

    kernel_begin(g->forward);
    arg_buffer(g->forward, pass->in[0]->data);
    arg_buffer(g->forward, pass->out[0]->data);
    arg_buffer(g->forward, pass->kept);
    arg_int(g->forward, g->planes);
    arg_int(g->forward, g->cells);
    return kernel_launch(g->forward, g->planes, 1, 1);
}

static deconv_status global_max_inverse(op *op, const op_pass *pass)
{
    global_pool *g = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return signal_clear(op, pass->signal_in[0]);
    kernel_begin(g->inverse);
    arg_buffer(g->inverse, pass->signal_out[0]->data);
    arg_buffer(g->inverse, pass->kept);
    arg_buffer(g->inverse, pass->signal_in[0]->data);
    arg_int(g->inverse, g->planes);
    arg_int(g->inverse, g->cells);
    return kernel_launch(g->inverse, g->cells, g->planes, 1);
}

static size_t global_max_keep_bytes(const op *op)
{
    const global_pool *g = op->state;

    return (size_t)g->planes * sizeof(int32_t);
}

/* ---- Boxes: image and channel as they are, all positions or the only one ---- */

static box all_positions(box b, const shape *s)
{
    if (box_is_empty(&b))
        return box_empty(s->rank);
    for (int d = 2; d < s->rank; d++) {
        b.from[d] = 0;
        b.to[d] = s->dim[d];
    }
    return b;
}

static box global_pool_needs(const op *op, int output, const box *out, int input)
{
    (void)output;
    return all_positions(*out, &op->in_shape[input]);
}

static box global_pool_reach(const op *op, int input, const box *in, int output)
{
    (void)input;
    return all_positions(*in, &op->out_shape[output]);
}

const op_class op_global_average_pool = {
    .type = "GlobalAveragePool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .state_size = sizeof(global_pool),
    .init = global_pool_init,
    .shape = global_pool_shape,
    .plan = global_average_plan,
    .release = global_pool_release,
    .forward = global_average_forward,
    .inverse = global_average_inverse,
    .reach = global_pool_reach,
    .needs = global_pool_needs,
    .blocks = global_average_blocks,
    .takes_blocks = global_average_takes_blocks,
    .frame = global_average_frame,
    .spread = spread_channel,
};

const op_class op_global_max_pool = {
    .type = "GlobalMaxPool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .state_size = sizeof(global_pool),
    .init = global_pool_init,
    .shape = global_pool_shape,
    .plan = global_max_plan,
    .release = global_pool_release,
    .forward = global_max_forward,
    .inverse = global_max_inverse,
    .reach = global_pool_reach,
    .needs = global_pool_needs,
    .keep_bytes = global_max_keep_bytes,
};
