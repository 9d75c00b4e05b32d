/* Convolution as matrix products by CLBlast (cl/conv_im2col.cl): src gathered into columns, as many
 * at a time as a part of memory takes. */
#include "packed.h"
#include "task.h"

#include <stdlib.h>
#include <string.h>

/* As cl/conv_im2col.cl declares it, field for field. */
typedef struct im2col_shape {
    phase_axis y, x;
    int32_t groups;
    int32_t src_channels, src_h, src_w;
    int32_t dst_channels, dst_h, dst_w;
    int32_t terms;
    int32_t weights;
    int32_t weight_group, weight_dst, weight_src, kernel_w;
} im2col_shape;

/* Where columns and result begin in the scratch memory, in floats, behind what CLBlast wants for
 * itself; and where they end. */
typedef struct layout {
    int64_t count; /* positions at a time */
    int64_t columns, result, end;
} layout;

typedef struct im2col_plan {
    conv_task task;
    im2col_shape *phase;
    layout *layout; /* of each phase */
    int phases;
    kernel *pack, *gather, *finish;
    packed *weights;
} im2col_plan;

/* Columns for a large part of a picture; more would only take memory. */
#define SCRATCH_BYTES ((int64_t)128 << 20)

/* A column count that still makes a product worth its call. */
#define LEAST_COLUMNS 64

/* More groups than this leave products too small to be worth their calls. */
#define MOST_GROUPS 64

/* Less than the plain algorithm's, so that no estimate chooses it: what it serves has no windows.
 * That it is faster must be measured. CPU devices have no use for it. */
#define GPU_SHARE 0.10
#define CPU_SHARE 0.0005

/* ---- Phases ---- */

static int phases_of(const conv_task *t)
{
    return phase_count(&t->problem, t->direction, 0) * phase_count(&t->problem, t->direction, 1);
}

static im2col_shape shape_of(const conv_task *t, int phase)
{
    const conv_problem *p = &t->problem;
    const int columns = phase_count(p, t->direction, 1);
    im2col_shape s = {.y = phase_of(p, t->direction, 0, phase / columns),
                      .x = phase_of(p, t->direction, 1, phase % columns),
                      .groups = (int32_t)p->groups,
                      .src_channels = (int32_t)task_src_channels(t),
                      .src_h = (int32_t)task_src_size(t)[0],
                      .src_w = (int32_t)task_src_size(t)[1],
                      .dst_channels = (int32_t)task_dst_channels(t),
                      .dst_h = (int32_t)task_dst_size(t)[0],
                      .dst_w = (int32_t)task_dst_size(t)[1],
                      .weight_group = (int32_t)task_weight_group(t),
                      .weight_dst = (int32_t)task_weight_dst(t),
                      .weight_src = (int32_t)task_weight_src(t),
                      .kernel_w = (int32_t)p->kernel[1]};

    s.terms = s.src_channels * s.y.taps * s.x.taps;
    return s;
}

static int64_t positions_of(const conv_task *t, const im2col_shape *s)
{
    return t->problem.batch * s->y.count * s->x.count;
}

static blas_product product_of(const im2col_shape *s, const layout *l, int64_t count)
{
    return (blas_product){.m = (size_t)s->dst_channels,
                          .n = (size_t)count,
                          .k = (size_t)s->terms,
                          .a_at = (size_t)s->weights,
                          .b_at = (size_t)l->columns,
                          .c_at = (size_t)l->result};
}

/* `count` positions at a time; the last ones may be fewer and want another kind of product. */
static deconv_status lay_out(const conv_task *t, const im2col_shape *s, int64_t count, layout *out)
{
    const int64_t rest = positions_of(t, s) % count;
    deconv_status status = DECONV_OK;
    size_t most = 0;

    *out = (layout){.count = count, .columns = 1, .result = 1};
    for (int i = 0; s->terms && i < 2; i++) {
        blas_product p = product_of(s, out, i == 0 ? count : rest);
        size_t bytes;

        /* An operand that does not begin its buffer is copied: ask for that. */
        p.a_at = 1;
        if (p.n == 0)
            continue;
        TRY(blas_scratch(t->ctx, &p, &bytes));
        most = bytes > most ? bytes : most;
    }
    out->columns = round_up(ceil_div((int64_t)most, sizeof(float)) + 1, 16);
    out->result = out->columns + round_up(s->terms * count, 16);
    out->end = out->result + (s->terms ? s->dst_channels * count : 0);
done:
    return status;
}

static int64_t limit_of(const conv_task *t)
{
    uint64_t allocation = device_limits_of(t->ctx)->max_allocation;

    return allocation < (uint64_t)SCRATCH_BYTES ? (int64_t)allocation : SCRATCH_BYTES;
}

/* As many positions at a time as fit. */
static deconv_status fit(const conv_task *t, const im2col_shape *s, layout *out)
{
    int64_t count = positions_of(t, s);
    deconv_status status;

    TRY(lay_out(t, s, count, out));
    while (out->end * (int64_t)sizeof(float) > limit_of(t) && count > LEAST_COLUMNS) {
        count = ceil_div(count, 2);
        TRY(lay_out(t, s, count, out));
    }
done:
    return status;
}

static size_t im2col_scratch(const conv_task *t)
{
    int64_t most = 0;

    for (int i = 0; i < phases_of(t); i++) {
        const im2col_shape s = shape_of(t, i);
        layout l;

        if (fit(t, &s, &l) == DECONV_OK && l.end > most)
            most = l.end;
    }
    return (size_t)most * sizeof(float);
}

/* ---- The choice ---- */

static bool is_wanted(void)
{
    const char *name = getenv("DECONV_CONV_ALGORITHM");

    return name && strcmp(name, "im2col") == 0;
}

static const char *im2col_refuses(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    const device_limits *limits = device_limits_of(t->ctx);
    double weights = (double)p->groups * (double)task_weight_group(t) * sizeof(float);
    double column = (double)task_src_channels(t) * (double)(p->kernel[0] * p->kernel[1]) +
                    (double)task_dst_channels(t);

    if (t->src_block != 1 || t->dst_block != 1)
        return "it reads and writes NCHW only";
    if (limits->kind == DECONV_DEVICE_CPU && !is_wanted())
        return "it is made for GPUs";
    if (t->whole)
        return "CLBlast adds in an order that depends on sizes";
    if (p->groups > MOST_GROUPS)
        return "so many groups leave products too small";
    /* Twice for what CLBlast copies. */
    if (weights > (double)limits->max_allocation ||
        2 * LEAST_COLUMNS * column * sizeof(float) + 2 * weights > (double)limits->max_allocation)
        return "its columns do not fit into one buffer";
    return blas_missing(t->ctx);
}

static double im2col_cost(const conv_task *t)
{
    bool cpu = device_limits_of(t->ctx)->kind == DECONV_DEVICE_CPU;

    return conv_problem_work(&t->problem) / (cpu ? CPU_SHARE : GPU_SHARE);
}

static int im2col_order(const conv_task *t)
{
    (void)t;
    return CONV_ORDER_IM2COL;
}

/* ---- Planning ---- */

static deconv_status lay_out_phases(im2col_plan *plan, int64_t *weights)
{
    const conv_task *t = &plan->task;
    deconv_status status = DECONV_OK;

    *weights = 0;
    plan->phases = phases_of(t);
    TRY_ALLOC(plan->phase, t->ctx, (size_t)plan->phases);
    TRY_ALLOC(plan->layout, t->ctx, (size_t)plan->phases);
    for (int i = 0; i < plan->phases; i++) {
        im2col_shape *s = &plan->phase[i];

        *s = shape_of(t, i);
        s->weights = (int32_t)*weights;
        TRY(fit(t, s, &plan->layout[i]));
        *weights += (int64_t)s->groups * s->dst_channels * s->terms;
    }
done:
    return status;
}

static deconv_status multiply(im2col_plan *plan, int i, int g, int64_t count)
{
    const im2col_shape *s = &plan->phase[i];
    const buffer *memory = plan->task.scratch->data;
    blas_product p = product_of(s, &plan->layout[i], count);

    p.a = plan->weights->data;
    p.a_at += (size_t)g * (size_t)s->dst_channels * (size_t)s->terms;
    p.b = p.c = memory;
    return blas_multiply(plan->task.ctx, &p, memory);
}

/* CLBlast compiles at the first product of a kind: that is now, with whatever is in memory. */
static deconv_status compile_products(im2col_plan *plan)
{
    deconv_status status = DECONV_OK;

    for (int i = 0; i < plan->phases; i++) {
        int64_t count = plan->layout[i].count;
        int64_t rest = positions_of(&plan->task, &plan->phase[i]) % count;

        if (!plan->phase[i].terms)
            continue;
        TRY(multiply(plan, i, 0, count));
        if (rest)
            TRY(multiply(plan, i, 0, rest));
    }
done:
    return status;
}

static bool phase_weights(const void *state, int i, packed_phase *out)
{
    const im2col_plan *plan = state;
    const im2col_shape *f = &plan->phase[i];

    *out = (packed_phase){&f->y, &f->x, f->weights};
    return true;
}

/* The packed weights, by all that pack_im2col goes by. */
static deconv_status get_weights(im2col_plan *plan, int64_t floats)
{
    const conv_task *t = &plan->task;
    const im2col_shape *s = &plan->phase[0];
    const int32_t whole[] = {PACKED_IM2COL,   t->direction,    s->groups,
                             s->src_channels, s->dst_channels, s->weight_group,
                             s->weight_dst,   s->weight_src,   s->kernel_w};

    return packed_get_phases(t, whole, sizeof whole / sizeof whole[0], plan, plan->phases,
                             phase_weights, floats, &plan->weights);
}

static packed *im2col_packed(const void *state)
{
    const im2col_plan *plan = state;

    return plan->weights;
}

static void im2col_release(void *state)
{
    im2col_plan *plan = state;

    kernel_free(plan->pack);
    kernel_free(plan->gather);
    kernel_free(plan->finish);
    packed_leave(plan->weights);
    mem_free(plan->task.ctx, plan->phase);
    mem_free(plan->task.ctx, plan->layout);
    mem_free(plan->task.ctx, plan);
}

static deconv_status im2col_create(const conv_task *t, void **out)
{
    deconv_status status = DECONV_OK;
    im2col_plan *plan = NULL;
    int64_t weights;

    *out = NULL;
    TRY_ALLOC(plan, t->ctx, 1);
    plan->task = *t;
    TRY(lay_out_phases(plan, &weights));
    TRY(kernel_create(t->ctx, "conv_im2col.cl", "", "pack_im2col", &plan->pack));
    TRY(kernel_create(t->ctx, "conv_im2col.cl", "", "columns_of", &plan->gather));
    TRY(kernel_create(t->ctx, "conv_im2col.cl", "", "finish_columns", &plan->finish));
    TRY(get_weights(plan, weights));
    TRY(scratch_reserve(t->ctx, t->scratch, im2col_scratch(t)));
    TRY(compile_products(plan));
    *out = plan;
    plan = NULL;
done:
    if (plan)
        im2col_release(plan);
    return status;
}

/* ---- Running ---- */

static deconv_status im2col_pack(void *state, const buffer *weights)
{
    im2col_plan *plan = state;
    kernel *k = plan->pack;
    deconv_status status = DECONV_OK;

    for (int i = 0; i < plan->phases; i++) {
        const im2col_shape *s = &plan->phase[i];

        if (!s->terms)
            continue;
        kernel_begin(k);
        arg_buffer(k, weights);
        arg_buffer(k, plan->weights->data);
        arg_struct(k, s, sizeof *s);
        TRY(kernel_launch(k, s->terms, (int64_t)s->groups * s->dst_channels, 1));
    }
done:
    return status;
}

/* Columns and product of positions `from` to from + count. */
static deconv_status run_product(im2col_plan *plan, int i, int g, int64_t from, int64_t count,
                                 const buffer *src)
{
    const im2col_shape *s = &plan->phase[i];
    kernel *k = plan->gather;
    deconv_status status = DECONV_OK;

    if (!s->terms)
        goto done;
    kernel_begin(k);
    arg_buffer(k, src);
    arg_buffer(k, plan->task.scratch->data);
    arg_int(k, plan->layout[i].columns);
    arg_int(k, g);
    arg_int(k, from);
    arg_int(k, count);
    arg_struct(k, s, sizeof *s);
    TRY(kernel_launch(k, count, s->terms, 1));
    TRY(multiply(plan, i, g, count));
done:
    return status;
}

static deconv_status run_phase(im2col_plan *plan, int i, int g, const conv_operands *operands)
{
    const im2col_shape *s = &plan->phase[i];
    const int64_t positions = positions_of(&plan->task, s);
    kernel *k = plan->finish;
    deconv_status status = DECONV_OK;

    for (int64_t from = 0; from < positions; from += plan->layout[i].count) {
        int64_t left = positions - from;
        int64_t count = left < plan->layout[i].count ? left : plan->layout[i].count;

        TRY(run_product(plan, i, g, from, count, operands->src));
        kernel_begin(k);
        arg_buffer(k, plan->task.scratch->data);
        arg_int(k, plan->layout[i].result);
        arg_buffer(k, operands->bias);
        arg_buffer(k, operands->add);
        arg_buffer(k, operands->dst);
        arg_int(k, g);
        arg_int(k, from);
        arg_int(k, count);
        arg_int(k, operands->relu);
        arg_struct(k, s, sizeof *s);
        TRY(kernel_launch(k, count, s->dst_channels, 1));
    }
done:
    return status;
}

static deconv_status im2col_run(void *state, const conv_operands *operands)
{
    im2col_plan *plan = state;
    deconv_status status = DECONV_OK;

    for (int i = 0; i < plan->phases; i++) {
        for (int g = 0; g < plan->phase[i].groups; g++)
            TRY(run_phase(plan, i, g, operands));
    }
done:
    return status;
}

const conv_algorithm conv_algorithm_im2col = {
    .name = "im2col",
    .refuses = im2col_refuses,
    .cost = im2col_cost,
    .scratch = im2col_scratch,
    .order = im2col_order,
    .create = im2col_create,
    .pack = im2col_pack,
    .packed = im2col_packed,
    .run = im2col_run,
    .release = im2col_release,
};
