/* BatchNormalization at inference, and LRN (cl/normalize.cl). */
#include "broadcast.h"
#include "classes.h"

#include <limits.h>
#include <stdio.h>

/* planes of cl/normalize.cl: a tensor as batch x channels x inner. */
typedef struct planes {
    int32_t inner, channels, batch, flat;
    int32_t block, blocks;
} planes;

static planes planes_of(const shape *x, int block)
{
    planes p = {.inner = 1, .channels = 1, .batch = (int32_t)x->dim[0], .block = block};

    if (x->rank > 1) {
        p.channels = (int32_t)x->dim[1];
        p.inner = (int32_t)shape_span(x, 2, x->rank);
    }
    p.blocks = (p.channels + block - 1) / block;
    p.flat = planes_flat(p.blocks, p.batch);
    return p;
}

/* ---- BatchNormalization ---- */

typedef struct batch_norm {
    float epsilon;
    planes planes;
    kernel *forward, *inverse;
} batch_norm;

enum { SCALE = 1, BIAS, MEAN, VARIANCE };

static deconv_status batch_norm_init(op *op)
{
    batch_norm *n = op->state;
    int64_t training, spatial;
    deconv_status status;

    TRY(attr_float(op, "epsilon", 1e-5f, &n->epsilon));
    TRY(attr_int(op, "training_mode", 0, &training));
    TRY(attr_int(op, "spatial", 1, &spatial));
    if (training)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "training_mode %lld of BatchNormalization; only 0 is supported: export the network "
                "for inference",
                (long long)training);
    if (!spatial)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "spatial 0 of BatchNormalization, statistics for every position; only 1 is "
                "supported");
done:
    return status;
}

static deconv_status batch_norm_shape(op *op)
{
    static const char *const name[] = {"x", "scale", "bias", "mean", "variance"};
    batch_norm *n = op->state;
    const shape *x = &op->in_shape[0];
    char text[SHAPE_TEXT];
    deconv_status status = DECONV_OK;

    if (x->rank < 1)
        OP_FAIL(op, DECONV_ERROR_INVALID, "BatchNormalization of a scalar");
    n->planes = planes_of(x, 1);
    for (int i = SCALE; i <= VARIANCE; i++)
        if (op->in_shape[i].rank != 1 || op->in_shape[i].dim[0] != n->planes.channels)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "%s of BatchNormalization is %s; it must have one value for each of the %d "
                    "channels",
                    name[i], shape_text(&op->in_shape[i], text, sizeof text), n->planes.channels);
    op->out_shape[0] = *x;
done:
    return status;
}

static deconv_status normalize_kernel(op *op, const planes *p, const char *name, kernel **out)
{
    char options[24];

    snprintf(options, sizeof options, "-DBLOCK=%d", p->block);
    return kernel_create(op->ctx, "normalize.cl", options, name, out);
}

static deconv_status batch_norm_plan(op *op)
{
    batch_norm *n = op->state;
    deconv_status status;

    n->planes = planes_of(&op->in_shape[0], op->in_block[0]);
    TRY(normalize_kernel(op, &n->planes, "batch_forward", &n->forward));
    TRY(normalize_kernel(op, &n->planes, "batch_inverse", &n->inverse));
done:
    return status;
}

static void batch_norm_release(op *op)
{
    batch_norm *n = op->state;

    kernel_free(n->forward);
    kernel_free(n->inverse);
}

static deconv_status batch_norm_launch(const batch_norm *n, kernel *k, const planes *p)
{
    arg_struct(k, p, sizeof *p);
    arg_float(k, n->epsilon);
    return launch_planes(k, (int64_t)p->inner * p->block, p->blocks, p->batch);
}

static deconv_status batch_norm_forward(op *op, const op_pass *pass)
{
    const batch_norm *n = op->state;

    kernel_begin(n->forward);
    for (int i = 0; i <= VARIANCE; i++)
        arg_buffer(n->forward, pass->in[i]->data);
    arg_buffer(n->forward, pass->out[0]->data);
    return batch_norm_launch(n, n->forward, &n->planes);
}

static deconv_status batch_norm_inverse(op *op, const op_pass *pass)
{
    const batch_norm *n = op->state;
    planes p; /* of the signals, which may be windows */

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    p = planes_of(&pass->signal_in[0]->shape, op->in_block[0]);
    kernel_begin(n->inverse);
    arg_buffer(n->inverse, pass->signal_out[0]->data);
    arg_buffer(n->inverse, pass->in[SCALE]->data);
    arg_buffer(n->inverse, pass->in[VARIANCE]->data);
    arg_buffer(n->inverse, pass->signal_in[0]->data);
    return batch_norm_launch(n, n->inverse, &p);
}

/* A statistic concerns its channel and nothing else. */
static box batch_norm_reach(const op *op, int input, const box *in, int output)
{
    box out = box_whole(&op->out_shape[output]);

    if (input == 0 || box_is_empty(in))
        return reach_same(op, input, in, output);
    if (out.rank > 1) {
        out.from[1] = in->from[0];
        out.to[1] = in->to[0];
    }
    return out;
}

static box batch_norm_needs(const op *op, int output, const box *out, int input)
{
    box in = box_whole(&op->in_shape[input]);

    (void)output;
    if (box_is_empty(out))
        return box_empty(in.rank);
    if (input == 0)
        return *out;
    if (out->rank > 1) {
        in.from[0] = out->from[1];
        in.to[0] = out->to[1];
    }
    return in;
}

const op_class op_batch_normalization = {.type = "BatchNormalization",
                                         .min_in = 5,
                                         .max_in = 5,
                                         .max_out = 1,
                                         .weights = 0x1e,
                                         .state_size = sizeof(batch_norm),
                                         .init = batch_norm_init,
                                         .shape = batch_norm_shape,
                                         .plan = batch_norm_plan,
                                         .release = batch_norm_release,
                                         .forward = batch_norm_forward,
                                         .inverse = batch_norm_inverse,
                                         .reach = batch_norm_reach,
                                         .needs = batch_norm_needs,
                                         .blocks = blocks_alike,
                                         .frame = frame_same,
                                         .spread = spread_cell};

/* ---- LRN ---- */

/* lrn of cl/normalize.cl */
typedef struct lrn_window {
    planes planes;
    int32_t below, above; /* a window reaches from channel c - below to c + above */
    float alpha;          /* divided by size */
    float beta, bias;
} lrn_window;

typedef struct lrn {
    lrn_window window;
    kernel *forward, *inverse;
} lrn;

static deconv_status lrn_init(op *op)
{
    lrn_window *w = &((lrn *)op->state)->window;
    const shape *x = &op->in_shape[0];
    char text[SHAPE_TEXT];
    int32_t channels;
    int64_t size;
    deconv_status status;

    TRY(attr_int(op, "size", 0, &size));
    TRY(attr_float(op, "alpha", 0.0001f, &w->alpha));
    TRY(attr_float(op, "beta", 0.75f, &w->beta));
    TRY(attr_float(op, "bias", 1.0f, &w->bias));
    if (size < 1 || size > INT_MAX)
        OP_FAIL(op, DECONV_ERROR_INVALID, "size %lld of LRN; it must be at least 1",
                (long long)size);
    if (x->rank < 2)
        OP_FAIL(op, DECONV_ERROR_INVALID, "LRN of %s, which has no channels",
                shape_text(x, text, sizeof text));
    w->alpha /= (float)size;
    w->planes = planes_of(x, 1);
    channels = w->planes.channels;
    w->below = (int32_t)((size - 1) / 2);
    w->above = (int32_t)(size / 2);
    /* A window that is wider than the tensor is clipped anyway; like this no sum overflows. */
    w->below = w->below < channels ? w->below : channels;
    w->above = w->above < channels ? w->above : channels;
done:
    return status;
}

static deconv_status lrn_shape(op *op)
{
    op->out_shape[0] = op->in_shape[0];
    return DECONV_OK;
}

static deconv_status lrn_plan(op *op)
{
    lrn *n = op->state;
    deconv_status status;

    n->window.planes = planes_of(&op->in_shape[0], op->in_block[0]);
    TRY(normalize_kernel(op, &n->window.planes, "lrn_forward", &n->forward));
    TRY(normalize_kernel(op, &n->window.planes, "lrn_inverse", &n->inverse));
done:
    return status;
}

static void lrn_release(op *op)
{
    lrn *n = op->state;

    kernel_free(n->forward);
    kernel_free(n->inverse);
}

/* Work-items that take `elements` each of a position's channels. */
static deconv_status lrn_launch(const lrn *n, kernel *k, int elements)
{
    const planes *p = &n->window.planes;

    arg_struct(k, &n->window, sizeof n->window);
    return launch_planes(k, (int64_t)p->inner * p->block / elements, p->blocks, p->batch);
}

static deconv_status lrn_forward(op *op, const op_pass *pass)
{
    const lrn *n = op->state;

    kernel_begin(n->forward);
    arg_buffer(n->forward, pass->in[0]->data);
    arg_buffer(n->forward, pass->out[0]->data);
    return lrn_launch(n, n->forward, n->window.planes.block);
}

static deconv_status lrn_inverse(op *op, const op_pass *pass)
{
    const lrn *n = op->state;

    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return tensor_clear(pass->signal_in[0]);
    if (!(pass->flags & DECONV_INVERSE_LRN_DERIVATIVE))
        return tensor_copy(pass->signal_out[0], pass->signal_in[0]);
    kernel_begin(n->inverse);
    arg_buffer(n->inverse, pass->signal_out[0]->data);
    arg_buffer(n->inverse, pass->in[0]->data);
    arg_buffer(n->inverse, pass->signal_in[0]->data);
    return lrn_launch(n, n->inverse, 1);
}

static uint32_t lrn_keeps(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)op;
    (void)rule;
    return flags & DECONV_INVERSE_LRN_DERIVATIVE ? KEEP_INPUT(0) : 0;
}

static bool lrn_passes(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)op;
    (void)rule;
    return !(flags & DECONV_INVERSE_LRN_DERIVATIVE);
}

static bool lrn_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                      window_frame *in)
{
    *in = *out;
    return lrn_passes(op, rule, flags);
}

static signal_spread lrn_spread(const op *op, deconv_rule rule, uint32_t flags)
{
    return lrn_passes(op, rule, flags) ? IN_CELL : ANYWHERE;
}

/* The derivative mixes channels, position by position. */
static bool lrn_local(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)rule;
    (void)flags;
    return op->in_shape[0].rank <= 4;
}

/* Widens a box by channels, clipped to those there are. */
static box widen(const op *op, const box *b, int64_t below, int64_t above)
{
    box wide = *b;

    if (box_is_empty(b))
        return box_empty(b->rank);
    wide.from[1] -= below;
    wide.to[1] += above;
    return box_clip(wide, &op->in_shape[0]);
}

static box lrn_reach(const op *op, int input, const box *in, int output)
{
    const lrn_window *w = &((const lrn *)op->state)->window;

    (void)input;
    (void)output;
    return widen(op, in, w->above, w->below);
}

static box lrn_needs(const op *op, int output, const box *out, int input)
{
    const lrn_window *w = &((const lrn *)op->state)->window;

    (void)output;
    (void)input;
    return widen(op, out, w->below, w->above);
}

const op_class op_lrn = {.type = "LRN",
                         .min_in = 1,
                         .max_in = 1,
                         .max_out = 1,
                         .state_size = sizeof(lrn),
                         .init = lrn_init,
                         .shape = lrn_shape,
                         .plan = lrn_plan,
                         .release = lrn_release,
                         .forward = lrn_forward,
                         .inverse = lrn_inverse,
                         .reach = lrn_reach,
                         .needs = lrn_needs,
                         .keeps = lrn_keeps,
                         .passes_signal = lrn_passes,
                         .blocks = blocks_alike,
                         .frame = lrn_frame,
                         .local = lrn_local,
                         .spread = lrn_spread};
