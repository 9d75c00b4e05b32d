/* A batch of windows through the graph, planned for one pair of cuts: what each step reads, and the
 * operator that runs on it. */
#include "forward.h"

#include "../ops/classes.h"

static bool is_whole(const forward *f, int value)
{
    const shape *map = &f->change->graph->value[value].shape;

    return f->cut[0]->size[value] == map_height(map) && f->cut[1]->size[value] == map_width(map);
}

/* Windows of the two values lie at the same places and have the same sizes. */
static bool same_windows(const forward *f, int a, int b)
{
    int n_value = f->change->graph->n_value;

    for (int axis = 0; axis < 2; axis++) {
        const cut *k = f->cut[axis];

        if (k->size[a] != k->size[b])
            return false;
        for (int64_t i = 0; i < k->count; i++)
            if (k->origin[i * n_value + a] != k->origin[i * n_value + b])
                return false;
    }
    return true;
}

/* The operand as it lies, or else gathered to `to`. */
static deconv_status set_operand(const forward *f, operand *o, int value, int block,
                                 const gather_shape *shape, bool as_it_is, const buffer *to)
{
    const graph_value *v = &f->change->graph->value[value];
    deconv_status status = DECONV_OK;

    o->value = value;
    o->to_block = block;
    o->shape = *shape;
    o->gathered = !as_it_is || v->block != block || !f->window[value];
    o->data = o->gathered ? to : f->window[value];
    if (o->gathered)
        TRY(gather_prepare(f->gatherer, v->block, block));
done:
    return status;
}

static deconv_status plan_conv(const forward *f, forward_step *s, const buffer *gathered)
{
    const graph_node *node = &f->change->graph->node[s->node];
    const ahead_axis h = conv_ahead_axis(node->op, 0), w = conv_ahead_axis(node->op, 1);
    int in = node->in[0];
    bool padded = is_whole(f, s->out), as_it_is = padded && is_whole(f, in);
    const int64_t to[2] = {f->cut[0]->size[s->out], f->cut[1]->size[s->out]};
    int64_t from[2] = {h.in, w.in};
    gather_shape shape = forward_gather(f, in, padded ? -1 : s->out);
    deconv_status status = DECONV_OK;

    if (!padded) {
        from[0] = forward_read_size(node, AHEAD_CONV, 0, to[0]);
        from[1] = forward_read_size(node, AHEAD_CONV, 1, to[1]);
        shape.to_h = (int32_t)from[0];
        shape.to_w = (int32_t)from[1];
        shape.step_h = (int32_t)h.stride;
        shape.step_w = (int32_t)w.stride;
        shape.shift_h = (int32_t)h.pad;
        shape.shift_w = (int32_t)w.pad;
        as_it_is = h.extent == 1 && w.extent == 1 && h.stride == 1 && w.stride == 1 && h.pad == 0 &&
                   w.pad == 0 && same_windows(f, in, s->out);
    }
    TRY_ALLOC(s->operand, f->ctx, 1);
    s->operands = 1;
    TRY(set_operand(f, &s->operand[0], in, node->op->in_block[0], &shape, as_it_is, gathered));
    TRY(conv_plan_ahead(node->op, f->batch, from, to, padded, &s->conv));
done:
    return status;
}

static deconv_status plan_pool(const forward *f, forward_step *s, const buffer *gathered)
{
    const graph *g = f->change->graph;
    const graph_node *node = &g->node[s->node];
    const ahead_axis h = pool_ahead_axis(node->op, 0), w = pool_ahead_axis(node->op, 1);
    gather_shape shape = forward_gather(f, node->in[0], s->out);
    deconv_status status = DECONV_OK;

    TRY(pool_plan_ahead(node->op, &s->pool));
    if (forward_pool_reads_as_it_is(g, s->node))
        goto done;
    shape.to_h = (int32_t)forward_read_size(node, AHEAD_POOL, 0, shape.to_h);
    shape.to_w = (int32_t)forward_read_size(node, AHEAD_POOL, 1, shape.to_w);
    shape.step_h = (int32_t)h.stride;
    shape.step_w = (int32_t)w.stride;
    shape.shift_h = (int32_t)h.pad;
    shape.shift_w = (int32_t)w.pad;
    TRY_ALLOC(s->operand, f->ctx, 1);
    s->operands = 1;
    TRY(set_operand(f, &s->operand[0], node->in[0], node->op->in_block[0], &shape, false,
                    gathered));
done:
    return status;
}

static deconv_status plan_copy(const forward *f, forward_step *s)
{
    const graph_node *node = &f->change->graph->node[s->node];
    deconv_status status = DECONV_OK;
    int32_t channel = 0;

    TRY_ALLOC(s->operand, f->ctx, (size_t)node->n_in);
    for (int i = 0; i < node->n_in; i++) {
        int v = node->in[i];
        gather_shape shape;

        if (v < 0 || f->change->graph->value[v].constant)
            continue;
        shape = forward_gather(f, v, s->out);
        if (node->op->class == &op_pad) {
            shape.shift_h = (int32_t)pad_ahead_before(node->op, 0);
            shape.shift_w = (int32_t)pad_ahead_before(node->op, 1);
        }
        shape.to_first = channel;
        shape.to_channels = (int32_t)node->op->out_shape[0].dim[1];
        channel += shape.taken;
        TRY(set_operand(f, &s->operand[s->operands++], v, node->op->out_block[0], &shape, false,
                        f->window[s->out]));
    }
done:
    return status;
}

static shape window_shape(const forward *f, int value, const shape *map)
{
    shape s = *map;

    s.dim[0] = f->batch;
    if (s.rank == 4)
        s.dim[2] = f->cut[0]->size[value];
    s.dim[s.rank - 1] = f->cut[1]->size[value];
    return s;
}

/* The operator again, for maps of the windows' size. */
static deconv_status make_like(const forward *f, forward_step *s, const shape *in)
{
    const op *op = f->change->graph->node[s->node].op;
    deconv_status status = DECONV_OK;

    TRY(op_create(f->ctx, op->class->type, op->name, op->opset, op->attrs, op->attr_count, op->n_in,
                  in, op->constant, op->is_weight, op->n_out, &s->like));
    s->like->scratch = op->scratch;
    for (int i = 0; i < op->n_in; i++) {
        s->like->weight[i] = op->weight[i];
        s->like->in_block[i] = op->in_block[i];
    }
    s->like->out_block[0] = op->out_block[0];
    TRY(op_plan(s->like));
done:
    return status;
}

static deconv_status plan_same(const forward *f, forward_step *s, buffer *const *gathered)
{
    const graph *g = f->change->graph;
    const graph_node *node = &g->node[s->node];
    deconv_status status = DECONV_OK;
    shape *in = NULL;

    TRY_ALLOC(in, f->ctx, (size_t)node->n_in + 1);
    TRY_ALLOC(s->operand, f->ctx, (size_t)node->n_in);
    TRY_ALLOC(s->tensors, f->ctx, (size_t)node->n_in + 1);
    TRY_ALLOC(s->in, f->ctx, (size_t)node->n_in + 1);
    for (int i = 0; i < node->n_in; i++) {
        int v = node->in[i];
        operand *o = &s->operand[s->operands];
        gather_shape shape;

        in[i] = node->op->in_shape[i];
        if (v < 0 || g->value[v].constant)
            continue;
        in[i] = window_shape(f, s->out, &node->op->in_shape[i]);
        shape = forward_gather(f, v, s->out);
        TRY(set_operand(f, o, v, node->op->in_block[i], &shape,
                        f->change->state[v] == CHANGE_WINDOW && same_windows(f, v, s->out),
                        gathered[i]));
        s->operands++;
        s->tensors[i] = (tensor){f->ctx, in[i], (buffer *)o->data, o->to_block, 0, 0, true};
        s->in[i] = &s->tensors[i];
    }
    TRY(make_like(f, s, in));
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && g->value[node->in[i]].constant)
            s->in[i] = op_weight(s->like, i);
    s->tensors[node->n_in] = (tensor){
        f->ctx, s->like->out_shape[0], f->window[s->out], node->op->out_block[0], 0, 0, true};
    s->result = &s->tensors[node->n_in];
done:
    mem_free(f->ctx, in);
    return status;
}

static deconv_status plan_step(forward *f, int n, buffer *const *gathered)
{
    forward_step *s = &f->step[f->steps++];

    s->node = n;
    s->out = forward_written(f->change, n);
    s->how = f->change->how[n];
    s->relu = f->change->fused[n];
    switch (s->how) {
    case AHEAD_CONV:
        return plan_conv(f, s, gathered[0]);
    case AHEAD_POOL:
        return plan_pool(f, s, gathered[0]);
    case AHEAD_COPY:
        return plan_copy(f, s);
    default:
        return plan_same(f, s, gathered);
    }
}

static deconv_status plan_all(forward *f, const storage *slots, const span *spans)
{
    const graph *g = f->change->graph;
    deconv_status status = DECONV_OK;
    buffer **gathered = NULL;
    int at = g->n_value;

    TRY_ALLOC(gathered, f->ctx, (size_t)forward_operands(g) + 1);
    for (int v = 0; v < g->n_value; v++) {
        int root = f->change->state[v] == CHANGE_WINDOW ? forward_root(f->change, v) : -1;

        if (root >= 0 && spans[root].bytes)
            f->window[v] = slots->slot[spans[root].slot];
    }
    for (int n = 0; n < g->n_node; at += g->node[n].n_in, n++) {
        for (int i = 0; i < g->node[n].n_in; i++)
            gathered[i] = spans[at + i].bytes ? slots->slot[spans[at + i].slot] : NULL;
        if (forward_is_step(f->change, n))
            TRY(plan_step(f, n, gathered));
    }
    TRY(gather_prepare(f->gatherer, g->value[f->change->input].block,
                       g->value[f->change->input].block));
done:
    mem_free(f->ctx, gathered);
    return status;
}

deconv_status forward_create(const change *c, const tensor *const *base, const buffer *fill,
                             gatherer *gatherer, const cut *rows, const cut *columns, int64_t batch,
                             const storage *slots, const span *spans, buffer *origins,
                             forward **out)
{
    deconv_status status = DECONV_OK;
    forward *f = NULL;

    *out = NULL;
    TRY_ALLOC(f, c->ctx, 1);
    f->ctx = c->ctx;
    f->change = c;
    f->base = base;
    f->fill = fill;
    f->gatherer = gatherer;
    f->cut[0] = rows;
    f->cut[1] = columns;
    f->batch = batch;
    f->origins = origins;
    TRY_ALLOC(f->table, c->ctx, (size_t)(2 * c->rows * batch));
    TRY_ALLOC(f->window, c->ctx, (size_t)c->graph->n_value);
    TRY_ALLOC(f->step, c->ctx, (size_t)c->graph->n_node);
    TRY(plan_all(f, slots, spans));
    *out = f;
    f = NULL;
done:
    forward_free(f);
    return status;
}

void forward_free(forward *f)
{
    if (!f)
        return;
    for (int i = 0; f->step && i < f->steps; i++) {
        forward_step *s = &f->step[i];

        convolution_free(s->conv);
        kernel_free(s->pool);
        op_free(s->like);
        mem_free(f->ctx, s->operand);
        mem_free(f->ctx, s->tensors);
        mem_free(f->ctx, (void *)s->in);
    }
    mem_free(f->ctx, f->step);
    mem_free(f->ctx, f->window);
    mem_free(f->ctx, f->table);
    mem_free(f->ctx, f);
}
