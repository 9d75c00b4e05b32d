/* What MaxPool and AveragePool share: attributes, sizes, boxes. */
#include "pool.h"

deconv_status pool_init(op *op)
{
    pool *p = op->state;
    deconv_status status = DECONV_OK;

    TRY(spatial_read(op, &p->attrs));
    if (p->attrs.kernel[1] == 0)
        OP_FAIL(op, DECONV_ERROR_INVALID, "kernel_shape is missing; a pool needs one");
done:
    return status;
}

deconv_status pool_resolve(op *op)
{
    pool *p = op->state;
    const spatial_axis *h = &p->windows.axis[0], *w = &p->windows.axis[1];
    const shape *in = &op->in_shape[0];
    shape out = *in;
    deconv_status status = DECONV_OK;

    TRY(spatial_windows(op, &p->attrs, in, &p->windows));
    for (int i = 0; i < 2; i++) {
        if (spatial_dim(&p->windows, i) >= 0)
            out.dim[spatial_dim(&p->windows, i)] = p->windows.axis[i].out;
    }
    TRY(shape_make(op->ctx, op->name, out.dim, (size_t)out.rank, &op->out_shape[0]));
    p->sizes = (pool_shape){
        .planes = (int32_t)(in->dim[0] * in->dim[1]),
        .in_h = (int32_t)h->in,
        .in_w = (int32_t)w->in,
        .out_h = (int32_t)h->out,
        .out_w = (int32_t)w->out,
        .kernel_h = (int32_t)h->kernel,
        .kernel_w = (int32_t)w->kernel,
        .stride_h = (int32_t)h->stride,
        .stride_w = (int32_t)w->stride,
        .pad_h = (int32_t)h->pad,
        .pad_w = (int32_t)w->pad,
        .padded_h = (int32_t)(h->in + h->pad_end),
        .padded_w = (int32_t)(w->in + w->pad_end),
        .dilation_h = (int32_t)h->dilation,
        .dilation_w = (int32_t)w->dilation,
    };
done:
    return status;
}

void pool_release(op *op)
{
    pool *p = op->state;

    kernel_free(p->forward);
    kernel_free(p->inverse);
}

box pool_needs(const op *op, int output, const box *out, int input)
{
    const pool *p = op->state;

    (void)output;
    return box_is_empty(out) ? box_empty(op->in_shape[input].rank)
                             : spatial_inputs(&p->windows, out);
}

box pool_reach(const op *op, int input, const box *in, int output)
{
    const pool *p = op->state;

    (void)input;
    return box_is_empty(in) ? box_empty(op->out_shape[output].rank)
                            : spatial_outputs(&p->windows, in);
}
