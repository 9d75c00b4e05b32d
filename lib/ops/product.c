/* Products of stacks of matrices: three problems of cl/gemm.cl, set up by strides. On CPU devices a
 * product of just two matrices, which every dense layer is, goes to cl/dense.cl. */
#include "product.h"
#include "signal.h"
#include "../conv/lanes.h"

#include <stdio.h>

/* C' = B' A': the kernels hold many columns and few rows, so a single column becomes a row. */
static void swap_factors(gemm_shape *s, int64_t a_size)
{
    const gemm_shape old = *s;

    s->m = old.n;
    s->n = old.m;
    s->a_m = old.b_n;
    s->a_k = old.b_k;
    s->b_k = old.a_k;
    s->b_n = old.a_m;
    s->c_m = old.c_n;
    s->c_n = old.c_m;
    s->bias_m = old.bias_n;
    s->bias_n = old.bias_m;
    for (int i = 0; i < BATCH_DIMS; i++) {
        s->a_batch[i] = old.b_batch[i];
        s->b_batch[i] = old.a_batch[i];
        s->a_repeat[i] = old.b_repeat[i];
        s->b_repeat[i] = old.a_repeat[i];
    }
    s->b_size = (int32_t)a_size;
}

/* Vectors run along k where neighbours lie side by side only there, or there is but one column. */
static bool along_k(const gemm_shape *s)
{
    return s->b_k == 1 && (s->b_n != 1 || s->n == 1);
}

static deconv_status plan_stacks(deconv_ctx *ctx, gemm *g)
{
    const gemm_shape *s = &g->shape;
    bool dots = along_k(s);
    int lanes = vector_lanes(ctx, dots ? s->k : s->n);
    int rows = s->m == 1 ? 1 : 4;
    int columns = dots ? 4 : s->m == 1 ? 8 * lanes : 4 * lanes;
    char options[64];

    snprintf(options, sizeof options, "-DLANES=%d -DROWS=%d -DVECTORS=%d", lanes, rows,
             s->m == 1 ? 8 : 4);
    g->items[0] = (s->n + columns - 1) / columns;
    g->items[1] = (s->m + rows - 1) / rows;
    g->items[2] = (int64_t)s->batch[0] * s->batch[1] * s->batch[2];
    return kernel_create(ctx, "gemm.cl", options, dots ? "gemm_dots" : "gemm_columns", &g->kernel);
}

/* One product whose operands lie as cl/dense.cl wants them. The number of rows has no say: a row
 * alone must take the same way as in a batch. */
static bool is_dense(deconv_ctx *ctx, const gemm_shape *s)
{
    if (device_limits_of(ctx)->kind != DECONV_DEVICE_CPU)
        return false;
    for (int i = 0; i < BATCH_DIMS; i++)
        if (s->batch[i] != 1 || s->repeat[i] != 1)
            return false;
    return along_k(s) ? s->a_k == 1 : s->b_n == 1 && s->c_n == 1;
}

/* As cl/dense.cl has them. */
enum { DENSE_STRIP = 24, DENSE_SPAN = 384, DENSE_ROW_SPAN = 1024 };

/* Columns of a work-item: as many as it can hold, fewer where there would be too few items for all
 * cores; whole tiles. */
static int64_t dense_span(deconv_ctx *ctx, int64_t n, int most, int tile)
{
    int64_t items = 4 * (int64_t)device_limits_of(ctx)->compute_units;
    int64_t span = (n / items + tile - 1) / tile * tile;

    return span < tile ? tile : span < most ? span : most / tile * tile;
}

static deconv_status plan_dense(deconv_ctx *ctx, gemm *g)
{
    const gemm_shape *s = &g->shape;
    bool dots = along_k(s), wide = device_limits_of(ctx)->vector_floats >= 16;
    int lanes = vector_lanes(ctx, INT32_MAX);
    int registers = wide ? 6 : 3; /* across a tile of four rows: what a register file holds */
    char options[64];

    if (dots)
        g->span = DENSE_STRIP;
    else if (s->m == 1)
        g->span = (int32_t)dense_span(ctx, s->n, DENSE_ROW_SPAN, 2 * lanes);
    else
        g->span = (int32_t)dense_span(ctx, s->n, DENSE_SPAN, registers * lanes);
    snprintf(options, sizeof options, "-DLANES=%d -DROWS=%d -DCOLUMNS=%d -DVECTORS=%d", lanes,
             dots && s->m == 1 ? 1 : 4, registers, registers);
    g->dense = true;
    g->items[0] = (s->n + g->span - 1) / g->span;
    g->items[1] = g->items[2] = 1;
    return kernel_create(ctx, "dense.cl", options,
                         dots        ? "dense_dots"
                         : s->m == 1 ? "dense_row"
                                     : "dense_columns",
                         &g->kernel);
}

static deconv_status gemm_plan(deconv_ctx *ctx, const gemm_shape *shape, int64_t a_size, gemm *g)
{
    g->shape = *shape;
    g->swapped = shape->n == 1 && shape->m > 1;
    if (g->swapped)
        swap_factors(&g->shape, a_size);
    return is_dense(ctx, &g->shape) ? plan_dense(ctx, g) : plan_stacks(ctx, g);
}

static deconv_status gemm_run(gemm *g, const tensor *a, const tensor *b, const tensor *bias,
                              const tensor *c)
{
    kernel_begin(g->kernel);
    arg_buffer(g->kernel, g->swapped ? b->data : a->data);
    arg_buffer(g->kernel, g->swapped ? a->data : b->data);
    arg_buffer(g->kernel, bias ? bias->data : NULL);
    arg_buffer(g->kernel, c->data);
    arg_struct(g->kernel, &g->shape, sizeof g->shape);
    if (!g->dense)
        return kernel_launch(g->kernel, g->items[0], g->items[1], g->items[2]);
    arg_int(g->kernel, g->span);
    return kernel_launch_groups(g->kernel, g->items[0], 1, 1, 1, 1, 1);
}

/* left (m x k) times right (k x n) into `to`. Where `to` stays in place along a batch dimension, it
 * is the sum along it. */
static gemm_shape shape_of(const product *p, int64_t m, int64_t n, int64_t k, const matrix *left,
                           const matrix *right, const matrix *to)
{
    gemm_shape s = {
        .m = (int32_t)m,
        .n = (int32_t)n,
        .k = (int32_t)k,
        .a_m = (int32_t)left->row,
        .a_k = (int32_t)left->column,
        .b_k = (int32_t)right->row,
        .b_n = (int32_t)right->column,
        .c_m = (int32_t)to->row,
        .c_n = (int32_t)to->column,
        .b_size = (int32_t)right->size,
        .alpha = p->alpha,
        .beta = p->beta,
    };

    for (int i = 0; i < BATCH_DIMS; i++) {
        bool summed = to->batch[i] == 0;
        int32_t size = (int32_t)p->batch[i];

        s.batch[i] = summed ? 1 : size;
        s.repeat[i] = summed ? size : 1;
        s.a_batch[i] = s.a_repeat[i] = (int32_t)left->batch[i];
        s.b_batch[i] = s.b_repeat[i] = (int32_t)right->batch[i];
        s.c_batch[i] = (int32_t)to->batch[i];
    }
    return s;
}

matrix matrix_transposed(matrix a)
{
    int64_t row = a.row;

    a.row = a.column;
    a.column = row;
    return a;
}

deconv_status product_plan(op *op)
{
    product *p = op->state;
    gemm_shape s = shape_of(p, p->m, p->n, p->k, &p->a, &p->b, &p->c);

    s.bias_m = (int32_t)p->bias_row;
    s.bias_n = (int32_t)p->bias_column;
    return gemm_plan(op->ctx, &s, p->a.size, &p->forward);
}

deconv_status product_plan_inverse(op *op)
{
    product *p = op->state;
    const matrix at = matrix_transposed(p->a), bt = matrix_transposed(p->b);
    deconv_status status = DECONV_OK;
    gemm_shape s;

    if (!op->is_weight[0] && !p->to_a.kernel) {
        s = shape_of(p, p->m, p->k, p->n, &p->c, &bt, &p->a);
        TRY(gemm_plan(op->ctx, &s, p->c.size, &p->to_a));
    }
    if (!op->is_weight[1]) {
        s = shape_of(p, p->k, p->n, p->m, &at, &p->c, &p->b);
        TRY(gemm_plan(op->ctx, &s, p->a.size, &p->to_b));
    }
done:
    return status;
}

void product_release(op *op)
{
    product *p = op->state;

    kernel_free(p->forward.kernel);
    kernel_free(p->to_a.kernel);
    kernel_free(p->to_b.kernel);
}

deconv_status product_forward(op *op, const op_pass *pass)
{
    product *p = op->state;

    return gemm_run(&p->forward, pass->in[0], pass->in[1], op_has_input(op, 2) ? pass->in[2] : NULL,
                    pass->out[0]);
}

deconv_status product_inverse(op *op, const op_pass *pass)
{
    product *p = op->state;
    const tensor *signal = pass->signal_out[0];
    deconv_status status = DECONV_OK;

    for (int i = 0; i < 2; i++) {
        if (pass->signal_in[i] && !signal)
            TRY(signal_clear(op, pass->signal_in[i]));
        else if (pass->signal_in[i] && i == 0)
            TRY(gemm_run(pass->windows ? pass->windows->plan : &p->to_a, signal, pass->in[1], NULL,
                         pass->signal_in[0]));
        else if (pass->signal_in[i])
            TRY(gemm_run(&p->to_b, pass->in[0], signal, NULL, pass->signal_in[1]));
    }
done:
    return status;
}

/* Rows of A and of C are rows of items, which B multiplies all alike. A single column would change
 * places with the rows (gemm_plan), and the order of its sums with their number. */
bool product_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                   window_frame *in)
{
    const product *p = op->state;
    int64_t items = op->in_shape[0].dim[0];

    (void)rule;
    (void)flags;
    *in = frame_whole(&op->in_shape[0]);
    for (int i = 0; i < BATCH_DIMS; i++)
        if (p->batch[i] != 1)
            return false;
    return frame_is_whole(out) && op->is_weight[1] && op->in_shape[0].rank > 1 && p->k > 1 &&
           p->m % items == 0 && p->a.row == p->k && p->a.column == 1 &&
           op->out_shape[0].dim[0] == items;
}

deconv_status product_plan_windows(op *op, const windows *w, void **plan)
{
    const product *p = op->state;
    const matrix bt = matrix_transposed(p->b);
    int64_t items = op->in_shape[0].dim[0], m = p->m / items * w->count;
    matrix a = p->a, c = p->c;
    deconv_status status = DECONV_OK;
    gemm *to_a = NULL;
    gemm_shape s;

    a.size = m * p->k;
    c.size = m * p->n;
    TRY_ALLOC(to_a, op->ctx, 1);
    s = shape_of(p, m, p->k, p->n, &c, &bt, &a);
    TRY(gemm_plan(op->ctx, &s, c.size, to_a));
    *plan = to_a;
    to_a = NULL;
done:
    mem_free(op->ctx, to_a);
    return status;
}

void product_release_windows(op *op, void *plan)
{
    gemm *to_a = plan;

    kernel_free(to_a->kernel);
    mem_free(op->ctx, to_a);
}

/* Each factor's signal is made with the other one; constants are there anyway. */
uint32_t product_keeps(const op *op, deconv_rule rule, uint32_t flags)
{
    uint32_t keeps = 0;

    (void)rule;
    (void)flags;
    if (!op->is_weight[0] && !op->is_weight[1])
        keeps = KEEP_INPUT(0) | KEEP_INPUT(1);
    return keeps;
}
