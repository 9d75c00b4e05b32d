/* A batch of windows through the graph: planned for one pair of cuts, run for any of its places. */
#include "windows.h"

#include "../ops/classes.h"

/* An input of a step: as its producer left it, or gathered first. */
typedef struct operand {
    int value;
    bool gathered;
    int to_block;
    gather_shape shape;
    const buffer *data; /* what the step reads, or for a concatenation writes to */
} operand;

struct forward_step {
    int node, out; /* out: the value that is written; the Relu's where it is done with it */
    op_ahead how;
    bool relu;
    operand *operand;
    int operands;
    convolution *conv;
    kernel *pool;
    op *like; /* the operator on windows */
    tensor *tensors;
    const tensor **in;
    tensor *result;
};

/* ---- Sizes ---- */

static int relu_behind(const change *c, int n)
{
    const graph *g = c->graph;

    for (int next = n + 1; next < g->n_node; next++)
        if (c->done_before[next] && g->node[next].in[0] == g->node[n].out[0])
            return g->node[next].out[0];
    return g->node[n].out[0];
}

static int written_by(const change *c, int n)
{
    return c->fused[n] ? relu_behind(c, n) : c->graph->node[n].out[0];
}

/* The node is a step: it computes something. */
static bool is_step(const change *c, int n)
{
    return c->how[n] != AHEAD_WHOLE && c->how[n] != AHEAD_ALIAS && !c->done_before[n];
}

static int64_t window_floats(const shape *map, int block, int64_t height, int64_t width)
{
    return (map->dim[1] + block - 1) / block * block * height * width;
}

/* Positions along `axis` that `size` outputs of a step read, padding included. */
static int64_t read_size(const graph_node *node, op_ahead how, int axis, int64_t size)
{
    ahead_axis a;

    if (how != AHEAD_CONV && how != AHEAD_POOL)
        return size;
    a = how == AHEAD_CONV ? conv_ahead_axis(node->op, axis) : pool_ahead_axis(node->op, axis);
    return (size - 1) * a.stride + a.extent;
}

static int64_t map_size(const shape *s, int axis)
{
    return axis ? map_width(s) : map_height(s);
}

/* ---- Storage ---- */

/* Whose windows a value's are: those of what an alias stands for. */
static int root_of(const change *c, int value)
{
    const graph *g = c->graph;

    for (int n = g->value[value].producer; n >= 0 && c->how[n] == AHEAD_ALIAS;
         n = g->value[value].producer)
        value = g->node[n].in[0];
    return value;
}

static int32_t largest_size(const cuts *k, int value)
{
    int32_t most = 0;

    for (int i = 0; i < k->count; i++)
        most = k->cut[i].size[value] > most ? k->cut[i].size[value] : most;
    return most;
}

static void extend(span *s, int step)
{
    s->first = step < s->first ? step : s->first;
    s->last = step > s->last ? step : s->last;
}

static void find_lifetimes(const change *c, span *spans)
{
    const graph *g = c->graph;

    extend(&spans[c->input], -1);
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        if (!is_step(c, n))
            continue;
        extend(&spans[root_of(c, written_by(c, n))], n);
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] >= 0 && c->state[node->in[i]] == CHANGE_WINDOW)
                extend(&spans[root_of(c, node->in[i])], n);
    }
    /* What is put together whole is there to the end. */
    for (int v = 0; v < g->n_value; v++)
        if (c->state[v] == CHANGE_WINDOW && c->clean[v] && spans[root_of(c, v)].last >= -1)
            extend(&spans[root_of(c, v)], g->n_node);
}

/* What operand `i` of node `n` takes when it is gathered. */
static int64_t gathered_floats(const change *c, const cuts *rows, const cuts *columns, int n, int i)
{
    const graph_node *node = &c->graph->node[n];
    const shape *map = &c->graph->value[node->in[i]].shape;
    int out = written_by(c, n);
    int64_t size[2] = {largest_size(rows, out), largest_size(columns, out)};

    for (int axis = 0; axis < 2; axis++) {
        int64_t whole = map_size(map, axis);

        size[axis] = read_size(node, c->how[n], axis, size[axis]);
        size[axis] = size[axis] > whole ? size[axis] : c->how[n] == AHEAD_CONV ? whole : size[axis];
    }
    return window_floats(map, node->op->in_block[i], size[0], size[1]);
}

/* A pool reads windows and clean maps in the layout that it writes; others are gathered first. */
static bool pool_reads_as_it_is(const graph *g, int n)
{
    return g->node[n].op->in_block[0] == g->value[g->node[n].in[0]].block;
}

static int count_operands(const graph *g)
{
    int count = 0;

    for (int n = 0; n < g->n_node; n++)
        count += g->node[n].n_in;
    return count;
}

deconv_status forward_storage(const change *c, const cuts *rows, const cuts *columns, int64_t batch,
                              storage *slots, span **out, uint64_t *bytes)
{
    const graph *g = c->graph;
    int count = g->n_value + count_operands(g), at = g->n_value;
    deconv_status status = DECONV_OK;
    span *spans = NULL;

    *bytes = 0;
    TRY_ALLOC(*out, c->ctx, (size_t)count);
    spans = *out;
    for (int i = 0; i < count; i++)
        spans[i] = (span){.first = g->n_node, .last = -2};
    find_lifetimes(c, spans);
    for (int v = 0; v < g->n_value; v++)
        if (spans[v].first <= spans[v].last)
            spans[v].bytes =
                (size_t)(batch * window_floats(&g->value[v].shape, g->value[v].block,
                                               largest_size(rows, v), largest_size(columns, v))) *
                sizeof(float);
    for (int n = 0; n < g->n_node; at += g->node[n].n_in, n++)
        for (int i = 0; i < g->node[n].n_in; i++) {
            int v = g->node[n].in[i];

            if (!is_step(c, n) || v < 0 || g->value[v].constant || c->how[n] == AHEAD_COPY ||
                (c->how[n] == AHEAD_POOL && pool_reads_as_it_is(g, n)))
                continue;
            spans[at + i] = (span){.first = n, .last = n, .name = g->value[v].name};
            spans[at + i].bytes =
                (size_t)(batch * gathered_floats(c, rows, columns, n, i)) * sizeof(float);
        }
    slots->ctx = c->ctx;
    TRY(storage_plan(slots, spans, count));
    for (int i = 0; i < slots->count; i++)
        *bytes += slots->bytes[i];
done:
    return status;
}

/* ---- Planning ---- */

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

/* Reading value `from` where windows of `to` lie; `to` -1: the whole map. */
static gather_shape gather_of(const forward *f, int from, int to)
{
    const graph *g = f->change->graph;
    const shape *map = &g->value[from].shape;
    bool cut = f->change->state[from] == CHANGE_WINDOW;
    /* What does not change and is wanted whole may have any number of dimensions. */
    bool flat = !cut && to < 0;
    int32_t height = flat ? 1 : (int32_t)map_height(map);
    int32_t width = (int32_t)(flat ? shape_span(map, 2, map->rank) : map_width(map));

    return (gather_shape){
        .count = (int32_t)f->batch,
        .map_h = height,
        .map_w = width,
        .window_h = cut ? f->cut[0]->size[from] : 0,
        .window_w = cut ? f->cut[1]->size[from] : 0,
        .to_h = to < 0 ? height : f->cut[0]->size[to],
        .to_w = to < 0 ? width : f->cut[1]->size[to],
        .step_h = to >= 0,
        .step_w = to >= 0,
        .window_row = f->change->row[from],
        .to_row = to < 0 ? -1 : f->change->row[to],
        .pitch = (int32_t)f->batch,
        .channels = (int32_t)map->dim[1],
        .taken = (int32_t)map->dim[1],
        .to_channels = (int32_t)map->dim[1],
    };
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
    gather_shape shape = gather_of(f, in, padded ? -1 : s->out);
    deconv_status status = DECONV_OK;

    if (!padded) {
        from[0] = read_size(node, AHEAD_CONV, 0, to[0]);
        from[1] = read_size(node, AHEAD_CONV, 1, to[1]);
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
    gather_shape shape = gather_of(f, node->in[0], s->out);
    deconv_status status = DECONV_OK;

    TRY(pool_plan_ahead(node->op, &s->pool));
    if (pool_reads_as_it_is(g, s->node))
        goto done;
    shape.to_h = (int32_t)read_size(node, AHEAD_POOL, 0, shape.to_h);
    shape.to_w = (int32_t)read_size(node, AHEAD_POOL, 1, shape.to_w);
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
        shape = gather_of(f, v, s->out);
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
        shape = gather_of(f, v, s->out);
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
    s->out = written_by(f->change, n);
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

    TRY_ALLOC(gathered, f->ctx, (size_t)count_operands(g) + 1);
    for (int v = 0; v < g->n_value; v++) {
        int root = f->change->state[v] == CHANGE_WINDOW ? root_of(f->change, v) : -1;

        if (root >= 0 && spans[root].bytes)
            f->window[v] = slots->slot[spans[root].slot];
    }
    for (int n = 0; n < g->n_node; at += g->node[n].n_in, n++) {
        for (int i = 0; i < g->node[n].n_in; i++)
            gathered[i] = spans[at + i].bytes ? slots->slot[spans[at + i].slot] : NULL;
        if (is_step(f->change, n))
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

/* ---- Running ---- */

static deconv_status gather(const forward *f, const operand *o)
{
    const graph_value *v = &f->change->graph->value[o->value];

    return gather_run(f->gatherer, v->block, o->to_block, &o->shape, f->base[o->value]->data,
                      f->window[o->value], o->data, f->origins);
}

static deconv_status run_pool(const forward *f, const forward_step *s)
{
    const graph_node *node = &f->change->graph->node[s->node];
    const buffer *window = f->window[node->in[0]];
    int in = node->in[0];
    pool_cut c = {.count = (int32_t)f->batch,
                  .window_h = f->cut[0]->size[in],
                  .window_w = f->cut[1]->size[in],
                  .to_h = f->cut[0]->size[s->out],
                  .to_w = f->cut[1]->size[s->out],
                  .window_row = f->change->row[in],
                  .to_row = f->change->row[s->out],
                  .pitch = (int32_t)f->batch};

    if (s->operands) {
        const gather_shape *g = &s->operand[0].shape;

        window = s->operand[0].data;
        c.window_h = g->to_h;
        c.window_w = g->to_w;
        c.step_h = g->step_h;
        c.step_w = g->step_w;
        c.shift_h = g->shift_h;
        c.shift_w = g->shift_w;
    }
    return pool_run_ahead(node->op, s->pool, &c, f->base[in]->data, window, f->window[s->out],
                          f->origins);
}

static deconv_status run_step(const forward *f, const forward_step *s)
{
    const graph_node *node = &f->change->graph->node[s->node];
    deconv_status status = DECONV_OK;

    for (int i = 0; i < s->operands; i++)
        if (s->operand[i].gathered)
            TRY(gather(f, &s->operand[i]));
    if (s->how == AHEAD_CONV) {
        TRY(conv_run_ahead(node->op, s->conv, s->operand[0].data, f->window[s->out], s->relu));
    } else if (s->how == AHEAD_POOL) {
        TRY(run_pool(f, s));
    } else if (s->how == AHEAD_SAME) {
        tensor *out[1] = {s->result};
        op_pass pass = {.in = s->in, .out = out, .rectify = s->relu};

        TRY(s->like->class->forward(s->like, &pass));
    }
done:
    return status;
}

/* Where the windows of all places begin; the last place again where there are no more. */
static void fill_table(forward *f, const int64_t *places, int64_t count)
{
    int n_value = f->change->graph->n_value;

    for (int v = 0; v < n_value; v++) {
        int32_t *row = f->change->row[v] < 0 ? NULL : f->table + 2 * f->change->row[v] * f->batch;

        for (int64_t i = 0; row && i < f->batch; i++) {
            const int64_t *place = places + 2 * (i < count ? i : count - 1);

            for (int axis = 0; axis < 2; axis++)
                row[2 * i + axis] = f->cut[axis]->origin[place[axis] * n_value + v];
        }
    }
}

deconv_status forward_run(forward *f, const int64_t *places, int64_t count)
{
    int input = f->change->input, block = f->change->graph->value[input].block;
    gather_shape shape = gather_of(f, input, input);
    deconv_status status = DECONV_OK;

    fill_table(f, places, count);
    TRY(buffer_write(f->ctx, f->origins, 0,
                     (size_t)(2 * f->change->rows * f->batch) * sizeof(int32_t), f->table));
    TRY(gather_run(f->gatherer, block, block, &shape, f->fill, NULL, f->window[input], f->origins));
    for (int i = 0; i < f->steps; i++)
        TRY(run_step(f, &f->step[i]));
done:
    return status;
}

deconv_status forward_assemble(forward *f, int value, const landing *l, int64_t first,
                               int64_t taken, int block, const buffer *to)
{
    const graph_value *v = &f->change->graph->value[value];
    gather_shape shape = gather_of(f, value, -1);
    deconv_status status = DECONV_OK;

    shape.count = (int32_t)l->count;
    shape.slot = (int32_t)l->slot;
    shape.skip = (int32_t)l->first;
    shape.first = (int32_t)first;
    shape.taken = shape.to_channels = (int32_t)taken;
    TRY(gather_prepare(f->gatherer, v->block, block));
    TRY(gather_run(f->gatherer, v->block, block, &shape, f->base[value]->data, f->window[value], to,
                   f->origins));
done:
    return status;
}
