/* Twins of operators for batches of windows; see inverse_twin.h. */
#include "inverse_twin.h"

/* One activation of the operator, or what its forward pass kept, and how it lies in memory. */
typedef struct cut {
    int operand;   /* input, n_in + output, or KEPT */
    tensor tensor; /* of the windows */
    window_frame frame;
    int64_t planes, height, width; /* of one picture */
} cut;

enum { KEPT = -1 };

struct twin {
    op *op;
    const graph_node *node;
    cut cut[TWIN_CUTS];
    int count;
    const tensor **in;
    tensor **out;
};

/* ---- The operator ---- */

static bool varies(const op *op, int input)
{
    return op_has_input(op, input) && !op->is_weight[input] && !op->constant[input];
}

/* The shape of `count` windows, or items, of a value; false where its first dimension is none of
 * items. */
static bool window_shape(const graph *g, const shape *of, int64_t count, const window_frame *frame,
                         shape *out)
{
    *out = *of;
    if (of->rank < 1 || of->dim[0] != g->batch)
        return false;
    out->dim[0] = count;
    if (!frame)
        return true;
    if (of->rank != 3 && of->rank != 4)
        return false;
    out->dim[of->rank - 1] = frame->size[1];
    if (of->rank == 4)
        out->dim[2] = frame->size[0];
    return true;
}

/* NULL in *out: there is no such operator. */
static deconv_status make_op(const graph *g, const graph_node *node, int64_t count,
                             const window_frame *frame, op **out)
{
    const op *of = node->op;
    deconv_status status = DECONV_OK;
    shape *in = NULL, want;
    bool fits = true;

    *out = NULL;
    TRY_ALLOC(in, of->ctx, (size_t)of->n_in + 1);
    for (int i = 0; i < of->n_in && fits; i++) {
        in[i] = of->in_shape[i];
        if (varies(of, i))
            fits = window_shape(g, &of->in_shape[i], count, frame, &in[i]);
    }
    if (!fits)
        goto done;
    if (op_create(of->ctx, of->class->type, of->name, of->opset, of->attrs, of->attr_count,
                  of->n_in, in, of->constant, of->is_weight, of->n_out, out) != DECONV_OK)
        goto done;
    for (int o = 0; o < of->n_out; o++)
        fits = fits && window_shape(g, &of->out_shape[o], count, frame, &want) &&
               shape_equal(&want, &(*out)->out_shape[o]);
    if (!fits) {
        op_free(*out);
        *out = NULL;
    }
done:
    mem_free(of->ctx, in);
    return status;
}

/* Item by item: none of an output depends on another one of an input. `op` has two. */
static bool items_apart(const op *op)
{
    for (int o = 0; o < op->n_out; o++)
        for (int i = 0; i < op->n_in; i++)
            for (int item = 0; item < 2 && varies(op, i); item++) {
                box out = box_whole(&op->out_shape[o]), in;

                out.from[0] = item;
                out.to[0] = item + 1;
                in = op->class->needs(op, o, &out, i);
                if (!box_is_empty(&in) && (in.from[0] != item || in.to[0] != item + 1))
                    return false;
            }
    return true;
}

/* ---- What it reads ---- */

/* A batch of rows: planes of each item, side by side. */
static void lay_out(cut *c, const shape *of, int block, const window_frame *frame)
{
    int64_t channels = of->rank > 1 ? of->dim[1] : 1;

    c->planes = (channels + block - 1) / block;
    if (frame) {
        c->frame = *frame;
        c->height = map_height(of);
        c->width = map_width(of);
        return;
    }
    c->height = 1;
    c->width = of->rank > 2 ? shape_span(of, 2, of->rank) : 1;
    c->frame = (window_frame){.size = {1, (int32_t)c->width}};
}

/* The activations that the inverse reads; false where they are too many. */
static bool list_cuts(const graph *g, const op *op, deconv_rule rule, uint32_t flags,
                      const window_frame *frame, cut *list, int *count)
{
    uint32_t keeps = op->class->keeps ? op->class->keeps(op, rule, flags) : 0;
    size_t kept = op->class->keep_bytes ? op->class->keep_bytes(op) / sizeof(float) : 0;

    *count = 0;
    for (int k = 0; k < op->n_in + op->n_out && k < 32; k++) {
        bool is_in = k < op->n_in;
        int at = is_in ? k : k - op->n_in;
        const shape *s = is_in ? &op->in_shape[at] : &op->out_shape[at];
        int block = is_in ? op->in_block[at] : op->out_block[at];

        if (at >= 16 || !(keeps & (is_in ? KEEP_INPUT(at) : KEEP_OUTPUT(at))) ||
            (is_in && !varies(op, at)))
            continue;
        if (*count == TWIN_CUTS || s->rank < 1)
            return false;
        list[*count] = (cut){.operand = k, .tensor = {.ctx = op->ctx, .shape = *s, .block = block}};
        lay_out(&list[(*count)++], s, block, frame);
    }
    if (kept == 0)
        return true;
    if (frame || *count == TWIN_CUTS || kept % (size_t)g->batch != 0)
        return false;
    list[*count] = (cut){.operand = KEPT, .planes = 1, .height = 1};
    list[*count].width = (int64_t)kept / g->batch;
    list[*count].tensor.block = 1;
    list[*count].frame.size[0] = 1;
    list[(*count)++].frame.size[1] = (int32_t)(kept / (size_t)g->batch);
    return true;
}

static uint64_t bytes_of(const cut *c)
{
    return (uint64_t)c->planes * (uint64_t)c->tensor.block * (uint64_t)c->frame.size[0] *
           (uint64_t)c->frame.size[1] * sizeof(float);
}

bool twin_fits(const graph *g, const graph_node *node, deconv_rule rule, uint32_t flags,
               const window_frame *cut_frame)
{
    cut list[TWIN_CUTS];
    bool fits = false;
    op *op = NULL;
    int count;

    /* Windows of their own in their own order: then it is they that say no. */
    if ((node->op->class->plan_windows && !node->op->class->apart) ||
        !list_cuts(g, node->op, rule, flags, cut_frame, list, &count))
        return false;
    if (make_op(g, node, 2, cut_frame, &op) == DECONV_OK && op)
        fits = cut_frame || items_apart(op);
    op_free(op);
    return fits;
}

uint64_t twin_bytes(const graph *g, const graph_node *node, deconv_rule rule, uint32_t flags,
                    const window_frame *cut_frame)
{
    cut list[TWIN_CUTS];
    uint64_t bytes = 0;
    int count;

    list_cuts(g, node->op, rule, flags, cut_frame, list, &count);
    for (int i = 0; i < count; i++)
        bytes += bytes_of(&list[i]);
    return bytes;
}

/* ---- Planning and running ---- */

void twin_free(twin *t)
{
    deconv_ctx *ctx;

    if (!t)
        return;
    ctx = t->node->op->ctx;
    op_free(t->op);
    mem_free(ctx, (void *)t->in);
    mem_free(ctx, (void *)t->out);
    mem_free(ctx, t);
}

void twin_room_free(twin_room *room)
{
    for (int i = 0; i < TWIN_CUTS; i++)
        scratch_free(&room->cut[i]);
    kernel_free(room->kernel);
    room->kernel = NULL;
}

static deconv_status plan_op(const op *of, op *op)
{
    deconv_status status = DECONV_OK;

    op->scratch = of->scratch;
    for (int i = 0; i < of->n_in; i++) {
        op->weight[i] = of->weight[i];
        op->in_block[i] = of->in_block[i];
    }
    for (int o = 0; o < of->n_out; o++)
        op->out_block[o] = of->out_block[o];
    TRY(op_plan(op));
    TRY(op_plan_inverse(op));
done:
    return status;
}

deconv_status twin_create(const graph *g, const graph_node *node, deconv_rule rule, uint32_t flags,
                          const window_frame *cut_frame, const windows *w, twin_room *room,
                          twin **out)
{
    const op *of = node->op;
    deconv_ctx *ctx = of->ctx;
    deconv_status status = DECONV_OK;
    twin *t = NULL;

    *out = NULL;
    TRY_ALLOC(t, ctx, 1);
    t->node = node;
    TRY_ALLOC(t->in, ctx, (size_t)of->n_in + 1);
    TRY_ALLOC(t->out, ctx, (size_t)of->n_out + 1);
    TRY(make_op(g, node, w->count, cut_frame, &t->op));
    if (!t->op || !list_cuts(g, of, rule, flags, cut_frame, t->cut, &t->count))
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "%s: no batch of %lld fits", of->name,
             (long long)w->count);
    TRY(plan_op(of, t->op));
    for (int i = 0; i < t->count; i++) {
        cut *c = &t->cut[i];

        TRY(scratch_reserve(ctx, &room->cut[i], (size_t)bytes_of(c) * (size_t)w->count));
        if (c->operand >= 0)
            c->tensor.shape = c->operand < of->n_in ? t->op->in_shape[c->operand]
                                                    : t->op->out_shape[c->operand - of->n_in];
    }
    if (!room->kernel)
        TRY(kernel_create(ctx, "maps.cl", "", "cut_windows", &room->kernel));
    *out = t;
    t = NULL;
done:
    twin_free(t);
    return status;
}

static deconv_status run_cut(const cut *c, const windows *w, kernel *k, const buffer *from,
                             const buffer *to)
{
    const placed_frame frame = frame_placed(&c->frame);

    kernel_begin(k);
    arg_buffer(k, from);
    arg_buffer(k, to);
    arg_buffer(k, w->seeds);
    arg_buffer(k, w->origins);
    arg_struct(k, &frame, sizeof frame);
    arg_int(k, w->count);
    arg_int(k, c->planes);
    arg_int(k, c->tensor.block);
    arg_int(k, c->height);
    arg_int(k, c->width);
    return kernel_launch_groups(k, c->frame.size[0], w->count * c->planes, 1, 1, 1, 1);
}

deconv_status twin_run(twin *t, const windows *w, const twin_room *room, const op_pass *pass)
{
    const op *of = t->node->op;
    op_pass own = *pass;
    deconv_status status = DECONV_OK;

    own.windows = NULL;
    own.kept = NULL;
    own.in = t->in;
    own.out = t->out;
    for (int i = 0; i < of->n_in; i++)
        t->in[i] = varies(of, i) ? NULL : pass->in[i];
    for (int i = 0; i < t->count; i++) {
        cut *c = &t->cut[i];
        const buffer *from = c->operand == KEPT      ? pass->kept
                             : c->operand < of->n_in ? pass->in[c->operand]->data
                                                     : pass->out[c->operand - of->n_in]->data;

        c->tensor.data = room->cut[i].data;
        TRY(run_cut(c, w, room->kernel, from, c->tensor.data));
        if (c->operand == KEPT)
            own.kept = c->tensor.data;
        else if (c->operand < of->n_in)
            t->in[c->operand] = &c->tensor;
        else
            t->out[c->operand - of->n_in] = &c->tensor;
    }
    TRY(t->op->class->inverse(t->op, &own));
done:
    return status;
}
