/* MaxPool with switches: the forward pass records which cell each window chose, and the inverse
 * hands each window's signal to that cell (Zeiler & Fergus 2013, section 2.1, "unpooling"). */
#include "broadcast.h"
#include "classes.h"
#include "pool.h"

#include <inttypes.h>

static deconv_status max_pool_init(op *op)
{
    deconv_status status = DECONV_OK;
    int64_t storage_order;

    TRY(pool_init(op));
    if (op->n_out > 1)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "the second output of MaxPool, Indices, is not supported; MaxPool with one output "
                "is, and its inverse uses the switches that it records itself");
    TRY(attr_int(op, "storage_order", 0, &storage_order));
    if (storage_order != 0)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "storage_order %" PRId64 " is not supported; 0, row-major, is", storage_order);
done:
    return status;
}

static deconv_status max_pool_shape(op *op)
{
    const pool *p = op->state;
    deconv_status status = DECONV_OK;

    TRY(pool_resolve(op));
    TRY(spatial_check_filled(op, &p->windows));
done:
    return status;
}

static deconv_status max_pool_plan(op *op)
{
    return pool_plan(op, "max_pool");
}

static deconv_status max_pool_forward(op *op, const op_pass *pass)
{
    pool *p = op->state;

    kernel_begin(p->forward);
    arg_buffer(p->forward, pass->in[0]->data);
    arg_buffer(p->forward, pass->out[0]->data);
    arg_buffer(p->forward, pass->kept);
    arg_struct(p->forward, &p->sizes, sizeof p->sizes);
    return pool_launch_forward(p);
}

static deconv_status max_pool_inverse(op *op, const op_pass *pass)
{
    pool *p = op->state;
    const pool_frames frames = pool_frames_of(p, pass);

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    kernel_begin(p->inverse);
    arg_buffer(p->inverse, pass->signal_out[0]->data);
    arg_buffer(p->inverse, pass->kept);
    arg_buffer(p->inverse, pass->signal_in[0]->data);
    arg_buffer(p->inverse, pass->windows ? pass->windows->seeds : NULL);
    arg_buffer(p->inverse, pass->windows ? pass->windows->origins : NULL);
    arg_int(p->inverse, pool_windows_of(p, pass));
    arg_int(p->inverse, pass->rectify);
    arg_struct(p->inverse, &p->sizes, sizeof p->sizes);
    arg_struct(p->inverse, &frames, sizeof frames);
    return pool_launch_inverse(p, pass);
}

static size_t max_pool_keep_bytes(const op *op)
{
    return (size_t)layout_floats(&op->out_shape[0], op->out_block[0]) * sizeof(int32_t);
}

const op_class op_max_pool = {
    .type = "MaxPool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 2, /* so that init can say what to do about the second */
    .state_size = sizeof(pool),
    .init = max_pool_init,
    .shape = max_pool_shape,
    .plan = max_pool_plan,
    .release = pool_release,
    .forward = max_pool_forward,
    .inverse = max_pool_inverse,
    .reach = pool_reach,
    .needs = pool_needs,
    .keep_bytes = max_pool_keep_bytes,
    .blocks = blocks_alike,
    .rectifies = RECTIFIES_BACK,
    .frame = pool_frame,
    .spread = spread_cell, /* a window hands its signal to one cell */
};
