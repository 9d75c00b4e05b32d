/* What MaxPool and AveragePool share: attributes, sizes, boxes. */
#include "pool.h"
#include "ahead.h"
#include "classes.h"

#include <stdio.h>

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
        .planes = (int32_t)in->dim[1],
        .batch = (int32_t)in->dim[0],
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

deconv_status pool_plan(op *op, const char *name)
{
    pool *p = op->state;
    char options[32], kernel[48];
    int block = op->in_block[0];
    deconv_status status = DECONV_OK;

    p->sizes.planes = (int32_t)((op->in_shape[0].dim[1] + block - 1) / block);
    snprintf(options, sizeof options, "-DLANES=%d", block);
    snprintf(kernel, sizeof kernel, "%s_forward", name);
    TRY(kernel_create(op->ctx, "pool.cl", options, kernel, &p->forward));
    snprintf(kernel, sizeof kernel, "%s_inverse", name);
    TRY(kernel_create(op->ctx, "pool.cl", options, kernel, &p->inverse));
done:
    return status;
}

/* Groups along the rows, of no more items than a row has. */
static deconv_status launch_cells(kernel *k, int64_t x, int64_t y, int64_t z)
{
    size_t across = 1;

    while (across < 16 && (int64_t)across * 2 <= x)
        across *= 2;
    return kernel_launch_groups(k, x, y, z, across, 1, 1);
}

deconv_status pool_launch_forward(const pool *p)
{
    return launch_cells(p->forward, p->sizes.out_w, p->sizes.out_h,
                        (int64_t)p->sizes.planes * p->sizes.batch);
}

pool_frames pool_frames_of(const pool *p, const op_pass *pass)
{
    pool_frames f = {.out = {.size = {p->sizes.out_h, p->sizes.out_w}},
                     .in = {.size = {p->sizes.in_h, p->sizes.in_w}}};

    if (pass->windows)
        f = (pool_frames){frame_placed(&pass->windows->out[0]),
                          frame_placed(&pass->windows->in[0])};
    return f;
}

int64_t pool_windows_of(const pool *p, const op_pass *pass)
{
    return pass->windows ? pass->windows->count : p->sizes.batch;
}

deconv_status pool_launch_inverse(const pool *p, const op_pass *pass)
{
    const pool_frames f = pool_frames_of(p, pass);

    return launch_cells(p->inverse, f.in.size[1], f.in.size[0],
                        p->sizes.planes * pool_windows_of(p, pass));
}

bool pool_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                window_frame *in)
{
    const pool *p = op->state;

    (void)rule;
    (void)flags;
    return spatial_frame(&p->windows, &op->in_shape[0], out, in);
}

/* ---- Forward over windows ---- */

ahead_axis pool_ahead_axis(const op *op, int axis)
{
    const spatial_axis *a = &((const pool *)op->state)->windows.axis[axis];

    return (ahead_axis){a->in, a->stride, spatial_extent(a->kernel, a->dilation), a->pad};
}

deconv_status pool_plan_ahead(const op *op, kernel **out)
{
    bool average = op->class == &op_average_pool;
    char options[32];

    snprintf(options, sizeof options, "-DLANES=%d", op->in_block[0]);
    return kernel_create(op->ctx, "pool.cl", options,
                         average ? "average_pool_windows" : "max_pool_windows", out);
}

deconv_status pool_run_ahead(const op *op, kernel *k, const pool_cut *c, const buffer *base,
                             const buffer *window, const buffer *to, const buffer *origins)
{
    const pool *p = op->state;

    kernel_begin(k);
    arg_buffer(k, base);
    arg_buffer(k, window);
    arg_buffer(k, to);
    arg_buffer(k, origins);
    if (op->class == &op_average_pool)
        arg_int(k, average_pool_counts_padding(op));
    arg_struct(k, &p->sizes, sizeof p->sizes);
    arg_struct(k, c, sizeof *c);
    return launch_cells(k, c->to_w, c->to_h, (int64_t)p->sizes.planes * c->count);
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
