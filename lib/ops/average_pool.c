/* AveragePool. The inverse spreads each window's signal over its cells: divided by their number
 * (the adjoint) or, with DECONV_INVERSE_AVERAGE_COPY, whole. */
#include "broadcast.h"
#include "classes.h"
#include "pool.h"

typedef struct average_pool {
    pool pool; /* first: pool.c works on it */
    int64_t count_padding;
} average_pool;

static deconv_status average_pool_init(op *op)
{
    average_pool *a = op->state;
    deconv_status status = DECONV_OK;

    TRY(pool_init(op));
    TRY(attr_int(op, "count_include_pad", 0, &a->count_padding));
    a->count_padding = a->count_padding != 0;
done:
    return status;
}

static deconv_status average_pool_shape(op *op)
{
    const average_pool *a = op->state;
    deconv_status status = DECONV_OK;

    TRY(pool_resolve(op));
    if (!a->count_padding)
        TRY(spatial_check_filled(op, &a->pool.windows));
done:
    return status;
}

static deconv_status average_pool_plan(op *op)
{
    return pool_plan(op, "average_pool");
}

static deconv_status average_pool_forward(op *op, const op_pass *pass)
{
    average_pool *a = op->state;
    kernel *k = a->pool.forward;

    kernel_begin(k);
    arg_buffer(k, pass->in[0]->data);
    arg_buffer(k, pass->out[0]->data);
    arg_int(k, a->count_padding);
    arg_struct(k, &a->pool.sizes, sizeof a->pool.sizes);
    return pool_launch_forward(&a->pool);
}

static deconv_status average_pool_inverse(op *op, const op_pass *pass)
{
    average_pool *a = op->state;
    const pool_frames frames = pool_frames_of(&a->pool, pass);
    kernel *k = a->pool.inverse;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    kernel_begin(k);
    arg_buffer(k, pass->signal_out[0]->data);
    arg_buffer(k, pass->signal_in[0]->data);
    arg_buffer(k, pass->windows ? pass->windows->seeds : NULL);
    arg_buffer(k, pass->windows ? pass->windows->origins : NULL);
    arg_int(k, pool_windows_of(&a->pool, pass));
    arg_int(k, a->count_padding);
    arg_int(k, (pass->flags & DECONV_INVERSE_AVERAGE_COPY) != 0);
    arg_int(k, pass->rectify);
    arg_struct(k, &a->pool.sizes, sizeof a->pool.sizes);
    arg_struct(k, &frames, sizeof frames);
    return pool_launch_inverse(&a->pool, pass);
}

bool average_pool_counts_padding(const op *op)
{
    const average_pool *a = op->state;

    return a->count_padding != 0;
}

const op_class op_average_pool = {
    .type = "AveragePool",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .state_size = sizeof(average_pool),
    .init = average_pool_init,
    .shape = average_pool_shape,
    .plan = average_pool_plan,
    .release = pool_release,
    .forward = average_pool_forward,
    .inverse = average_pool_inverse,
    .reach = pool_reach,
    .needs = pool_needs,
    .blocks = blocks_alike,
    .rectifies = RECTIFIES_BACK,
    .frame = pool_frame,
    .spread = spread_channel,
};
