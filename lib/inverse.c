/* The pass back through the graph. At a value with several consumers their signals are added before
 * its producer's own inverse (DESIGN, the inverse rules). Seeds and results are project.c's. */
#include "inverse_frames.h"
#include "inverse_twin.h"

#include "ops/strided_copy.h"

#include <string.h>

/* ---- Which values lie on the way ---- */

static deconv_status find_way(const inverse *way, bool *on_way)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;
    bool *depends = NULL;

    TRY_ALLOC(depends, way->ctx, (size_t)g->n_value);
    depends[way->key.to] = true;
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        bool any = false;

        for (int i = 0; i < node->n_in; i++)
            any = any || (node->in[i] >= 0 && depends[node->in[i]]);
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] >= 0 && node->out[i] != way->key.to)
                depends[node->out[i]] = any;
    }
    on_way[way->key.from] = depends[way->key.from];
    for (int n = g->n_node - 1; n >= 0; n--) {
        const graph_node *node = &g->node[n];
        bool leads = false;

        for (int i = 0; i < node->n_out; i++)
            leads = leads || (node->out[i] >= 0 && on_way[node->out[i]]);
        for (int i = 0; leads && i < node->n_in; i++)
            if (node->in[i] >= 0 && depends[node->in[i]])
                on_way[node->in[i]] = true;
    }
    if (!on_way[way->key.from])
        FAIL(way->ctx, DECONV_ERROR_INVALID, "layer %s does not depend on input %s",
             g->value[way->key.from].name, g->value[way->key.to].name);
done:
    mem_free(way->ctx, depends);
    return status;
}

/* ---- Planning ---- */

typedef struct planner {
    bool *on_way;              /* [n_value] */
    bool *reached;             /* [n_value] a signal is there already */
    int *root;                 /* [n_value] value whose memory the signal uses */
    int *senders;              /* [n_value] consumers on the way */
    frames frames;             /* where the pass carries windows */
    span *spans;               /* [n_value + what is delivered] */
    int *extra_of;             /* value that each delivery goes to */
    window_frame *extra_frame; /* and in which frame */
    int *extra_block;
    int n_extra;
} planner;

static deconv_status start_planner(inverse *way, planner *p)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;
    size_t operands = 0;
    bool yes = true;

    for (int n = 0; n < g->n_node; n++)
        operands += (size_t)g->node[n].n_in;
    TRY_ALLOC(p->on_way, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(p->reached, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(p->root, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(p->senders, way->ctx, (size_t)g->n_value);
    TRY(frames_create(way->ctx, g, &p->frames));
    TRY_ALLOC(p->spans, way->ctx, (size_t)g->n_value + operands);
    TRY_ALLOC(p->extra_of, way->ctx, operands + 1);
    TRY_ALLOC(p->extra_frame, way->ctx, operands + 1);
    TRY_ALLOC(p->extra_block, way->ctx, operands + 1);
    for (int v = 0; v < g->n_value; v++)
        p->root[v] = v;
    TRY(find_way(way, p->on_way));
    if (way->key.windows)
        TRY(frames_find(way->ctx, g, &way->key, p->on_way, &p->frames, &yes));
    if (!yes)
        FAIL(way->ctx, DECONV_ERROR_UNSUPPORTED, "%s: no windows from here",
             g->value[way->key.from].name);
    p->reached[way->key.from] = true;
    p->spans[way->key.from] = (span){.first = -1, .last = -1};
done:
    return status;
}

static void free_planner(deconv_ctx *ctx, planner *p)
{
    mem_free(ctx, p->on_way);
    mem_free(ctx, p->reached);
    mem_free(ctx, p->root);
    mem_free(ctx, p->senders);
    frames_free(ctx, &p->frames);
    mem_free(ctx, p->spans);
    mem_free(ctx, p->extra_of);
    mem_free(ctx, p->extra_frame);
    mem_free(ctx, p->extra_block);
}

static bool has_signal(const planner *p, const graph_node *node)
{
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0 && p->on_way[node->out[i]] && p->reached[node->out[i]])
            return true;
    return false;
}

/* What node `n` writes for input `i` is the signal there as it is stored: layout and frame. */
static bool is_native(const inverse *way, const planner *p, int n, int i)
{
    const graph_node *node = &way->graph->node[n];
    int v = node->in[i];
    window_frame written;

    if (node->op->in_block[i] != way->graph->value[v].block)
        return false;
    if (!way->key.windows)
        return true;
    written = frames_written(&p->frames, n, i);
    return frame_equal(&p->frames.value[v], &written);
}

/* The Relu below is done by the step that writes its only signal. */
static bool can_rectify(const inverse *way, const planner *p, int n)
{
    const graph *g = way->graph;
    const graph_node *node = &g->node[n];
    int v = node->in[0], below;

    if (way->key.watched || way->key.rule != DECONV_RULE_DECONVNET ||
        !(node->op->class->rectifies & RECTIFIES_BACK) || v < 0 || !p->on_way[v] ||
        p->senders[v] != 1 || v == way->key.to || !is_native(way, p, n, 0))
        return false;
    below = g->value[v].producer;
    return below >= 0 && strcmp(g->node[below].op->class->type, "Relu") == 0;
}

static bool hands_on(const inverse *way, const inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];
    const op_class *class = node->op->class;

    if ((class->is_view && class->is_view(node->op)) ||
        (class->passes_signal && class->passes_signal(node->op, way->key.rule, way->key.flags)))
        return true;
    for (int k = 0; strcmp(class->type, "Relu") == 0 && k < way->n_step; k++)
        if (way->step[k].rectify && way->graph->node[way->step[k].node].in[0] == node->out[0])
            return true;
    return false;
}

/* The node hands its only signal on, in place, to an input that nothing else has reached yet. */
static bool can_share(const inverse *way, const planner *p, const inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];
    int y = node->out[0], x = node->in[0];

    if (!hands_on(way, step) || x < 0 || !p->on_way[x] || p->reached[x])
        return false;
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] >= 0 && p->on_way[node->in[i]])
            return false;
    return y >= 0 && p->reached[y] && is_native(way, p, step->node, 0) &&
           (!way->key.windows || frame_equal(&p->frames.value[x], &p->frames.value[y]) ||
            (frame_is_whole(&p->frames.value[x]) && frame_is_whole(&p->frames.value[y])));
}

/* Lifetimes of the signals that step `k` reads and writes. */
static void plan_step(const inverse *way, planner *p, int k)
{
    const graph *g = way->graph;
    const inverse_step *step = &way->step[k];
    const graph_node *node = &g->node[step->node];

    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0 && p->reached[node->out[i]])
            p->spans[p->root[node->out[i]]].last = k;
    if (step->shares) {
        p->root[node->in[0]] = p->root[node->out[0]];
        p->reached[node->in[0]] = true;
        return;
    }
    for (int i = 0; i < node->n_in; i++) {
        int v = node->in[i];

        if (v < 0 || !p->on_way[v])
            continue;
        if (p->reached[v] || !is_native(way, p, step->node, i)) {
            p->spans[g->n_value + p->n_extra] = (span){.first = k, .last = k};
            if (way->key.windows)
                p->extra_frame[p->n_extra] = frames_written(&p->frames, step->node, i);
            p->extra_block[p->n_extra] = node->op->in_block[i];
            p->extra_of[p->n_extra++] = v;
        }
        if (!p->reached[v]) {
            p->reached[v] = true;
            p->spans[v] = (span){.first = k, .last = k};
        } else if (p->spans[p->root[v]].last < k) {
            p->spans[p->root[v]].last = k;
        }
    }
}

/* The shape of a signal at value `v`: the value's own, or that of `count` windows. */
static deconv_status signal_shape(const inverse *way, int v, const window_frame *frame,
                                  int64_t count, shape *out)
{
    *out = way->graph->value[v].shape;
    return way->key.windows ? frame_shape(way->ctx, frame, out, count, out) : DECONV_OK;
}

static deconv_status count_bytes(const inverse *way, int v, const window_frame *frame, int block,
                                 size_t *bytes)
{
    deconv_status status = DECONV_OK;
    shape s;

    TRY(signal_shape(way, v, frame, 1, &s));
    *bytes = (size_t)layout_floats(&s, block) * sizeof(float);
done:
    return status;
}

static void count_senders(const inverse *way, const planner *p)
{
    const graph *g = way->graph;

    for (int n = g->value[way->key.from].producer; n >= 0; n--) {
        const graph_node *node = &g->node[n];
        bool sends = false;

        for (int i = 0; i < node->n_out; i++)
            sends = sends || (node->out[i] >= 0 && p->on_way[node->out[i]]);
        for (int i = 0; sends && i < node->n_in; i++)
            if (node->in[i] >= 0 && p->on_way[node->in[i]])
                p->senders[node->in[i]]++;
    }
}

static deconv_status plan_steps(inverse *way, planner *p)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(way->step, way->ctx, (size_t)g->n_node + 1);
    count_senders(way, p);
    for (int n = g->value[way->key.from].producer; n >= 0; n--) {
        inverse_step *step = &way->step[way->n_step];

        if (!has_signal(p, &g->node[n]))
            continue;
        step->node = n;
        step->rectify = can_rectify(way, p, n);
        step->shares = can_share(way, p, step);
        step->rectify = step->rectify && !step->shares;
        plan_step(way, p, way->n_step++);
    }
    p->spans[p->root[way->key.to]].last = way->n_step;
    for (int v = 0; v < g->n_value; v++)
        p->spans[v].name = g->value[v].name;
    for (int e = 0; e < p->n_extra; e++)
        p->spans[g->n_value + e].name = g->value[p->extra_of[e]].name;
    for (int v = 0; v < g->n_value; v++)
        if (p->reached[v] && p->root[v] == v)
            TRY(count_bytes(way, v, &p->frames.value[v], g->value[v].block, &p->spans[v].bytes));
    for (int e = 0; e < p->n_extra; e++)
        TRY(count_bytes(way, p->extra_of[e], &p->extra_frame[e], p->extra_block[e],
                        &p->spans[g->n_value + e].bytes));
done:
    return status;
}

/* What a node's twin is made for; NULL: whole signals. */
static const window_frame *twin_frame(const planner *p, int n)
{
    const frames *f = &p->frames;

    return f->kind[n] == FRAME_TWIN ? &f->written[f->first[n]] : NULL;
}

/* Bytes for each window that the steps take besides the signals. */
static uint64_t twins_bytes(const inverse *way, const planner *p)
{
    uint64_t most = 0;

    for (int k = 0; k < way->n_step; k++) {
        int n = way->step[k].node;
        uint64_t bytes = 0;

        if (!way->step[k].shares && p->frames.kind[n] != FRAME_OWN)
            bytes = twin_bytes(way->graph, &way->graph->node[n], way->key.rule, way->key.flags,
                               twin_frame(p, n));
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* How many windows at a time; the storage then holds so many. */
static void choose_count(inverse *way, const planner *p)
{
    uint64_t each =
        twins_bytes(way, p) + (uint64_t)frames_most_rows(way->graph) * 2 * sizeof(int32_t);
    uint64_t largest = each;

    for (int i = 0; i < way->storage.count; i++) {
        each += way->storage.bytes[i];
        if (way->storage.bytes[i] > largest)
            largest = way->storage.bytes[i];
    }
    way->count = frames_count(way->ctx, &way->key, each, largest);
    for (int i = 0; i < way->storage.count; i++)
        way->storage.bytes[i] *= (size_t)way->count;
}

static deconv_status make_signal(const inverse *way, int v, const window_frame *frame, int block,
                                 int slot, tensor **out)
{
    deconv_status status = DECONV_OK;
    shape s;

    TRY(signal_shape(way, v, frame, way->count, &s));
    TRY(tensor_borrow(way->ctx, &s, way->storage.slot[slot], out));
    (*out)->block = block;
done:
    return status;
}

/* Tensors over the planned storage. */
static deconv_status make_signals(inverse *way, const planner *p)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;

    way->storage.ctx = way->ctx;
    TRY(storage_plan(&way->storage, p->spans, g->n_value + p->n_extra));
    if (way->key.windows)
        choose_count(way, p);
    TRY(storage_allocate(&way->storage, "signals"));
    TRY_ALLOC(way->signal, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(way->extra, way->ctx, (size_t)p->n_extra + 1);
    for (int v = 0; v < g->n_value; v++)
        if (p->reached[v])
            TRY(make_signal(way, v, &p->frames.value[v], g->value[v].block,
                            p->spans[p->root[v]].slot, &way->signal[v]));
    for (int e = 0; e < p->n_extra; e++) {
        TRY(make_signal(way, p->extra_of[e], &p->extra_frame[e], p->extra_block[e],
                        p->spans[g->n_value + e].slot, &way->extra[e]));
        way->n_extra++;
    }
done:
    return status;
}

/* Where input `i` of a step's node gets its signal: in place, or through delivery `*extra`. */
static deconv_status bind_input(inverse *way, const planner *p, inverse_step *step, int i,
                                bool *written, int *extra)
{
    const graph *g = way->graph;
    const graph_node *node = &g->node[step->node];
    int v = node->in[i];
    bool native = is_native(way, p, step->node, i);
    delivery *d = &step->delivery[i];
    deconv_status status = DECONV_OK;

    if (!written[v] && native) {
        step->signal_in[i] = way->signal[v];
    } else {
        step->signal_in[i] = way->extra[(*extra)++];
        d->to = way->signal[v];
        d->add = written[v];
        d->plain = native;
        if (way->key.windows)
            d->frame = frames_written(&p->frames, step->node, i);
        if (!native)
            TRY(mover_create(way->ctx, g->value[v].shape.dim[1], node->op->in_block[i],
                             g->value[v].block, &d->mover));
    }
    written[v] = true;
done:
    return status;
}

/* Binds each step to its tensors, in the order in which plan_steps() met them. */
static deconv_status bind_steps(inverse *way, const planner *p)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;
    bool *written = NULL;
    int extra = 0;

    TRY_ALLOC(written, way->ctx, (size_t)g->n_value);
    for (int k = 0; k < way->n_step; k++) {
        inverse_step *step = &way->step[k];
        const graph_node *node = &g->node[step->node];

        TRY_ALLOC(step->signal_out, way->ctx, (size_t)node->n_out);
        TRY_ALLOC(step->signal_in, way->ctx, (size_t)node->n_in + 1);
        TRY_ALLOC(step->delivery, way->ctx, (size_t)node->n_in + 1);
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] >= 0 && p->on_way[node->out[i]])
                step->signal_out[i] = way->signal[node->out[i]];
        for (int i = 0; i < node->n_in; i++) {
            int v = node->in[i];

            if (v < 0 || !p->on_way[v] || (step->shares && i > 0))
                continue;
            TRY(bind_input(way, p, step, i, written, &extra));
        }
    }
done:
    mem_free(way->ctx, written);
    return status;
}

/* What the operator of a step is told. */
static deconv_status describe_windows(const inverse *way, const planner *p, inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];
    deconv_status status = DECONV_OK;

    TRY_ALLOC(step->frames, way->ctx, (size_t)(node->n_out + node->n_in));
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] >= 0)
            step->frames[o] = p->frames.value[node->out[o]];
    for (int i = 0; i < node->n_in; i++)
        step->frames[node->n_out + i] = frames_written(&p->frames, step->node, i);
    step->windows = (windows){.count = way->count,
                              .seeds = way->seeds,
                              .origins = way->origins,
                              .out = step->frames,
                              .in = step->frames + node->n_out,
                              .spread = p->frames.spread[node->out[0]],
                              .units = way->units};
done:
    return status;
}

/* Kernels and what the operators need for this many windows. */
static deconv_status plan_operators(inverse *way, const planner *p)
{
    deconv_status status = DECONV_OK;

    if (way->key.windows) {
        TRY(buffer_create(way->ctx, (size_t)way->count * sizeof(window_seed), "seeds",
                          &way->seeds));
        TRY_ALLOC(way->origin, way->ctx, (size_t)way->rows * (size_t)way->count * 2);
        TRY(buffer_create(way->ctx,
                          (size_t)way->rows * (size_t)way->count * 2 * sizeof *way->origin,
                          "origins of windows", &way->origins));
        TRY(buffer_create(way->ctx, (size_t)way->count * sizeof(int32_t), "units", &way->units));
        TRY(buffer_create(way->ctx, (size_t)way->count * sizeof(float), "seed values",
                          &way->values));
        TRY(kernel_create(way->ctx, "maps.cl", "", "clip_windows", &way->clip));
        TRY(kernel_create(way->ctx, "maps.cl", "", "plant_seeds", &way->plant));
        TRY(mover_create(way->ctx, way->graph->value[way->key.to].shape.dim[1], 1, 1, &way->leave));
    }
    for (int k = 0; k < way->n_step; k++) {
        inverse_step *step = &way->step[k];
        const graph_node *node = &way->graph->node[step->node];
        const op_class *class = node->op->class;

        if (step->shares)
            continue;
        if (!way->key.windows) {
            TRY(op_plan_inverse(node->op));
            continue;
        }
        TRY(describe_windows(way, p, step));
        if (p->frames.kind[step->node] != FRAME_OWN)
            TRY(twin_create(way->graph, node, way->key.rule, way->key.flags,
                            twin_frame(p, step->node), &step->windows, &way->room, &step->twin));
        else if (class->plan_windows)
            TRY(class->plan_windows(node->op, &step->windows, &step->windows.plan));
    }
    if (p->n_extra)
        TRY(add_into_create(way->ctx, &way->add));
    if (way->signal[way->key.from]->block > 1)
        TRY(mover_create(way->ctx, way->graph->value[way->key.from].shape.dim[1], 1,
                         way->signal[way->key.from]->block, &way->enter));
done:
    return status;
}

deconv_status inverse_create(deconv_trace *trace, const inverse_key *key, inverse **out)
{
    deconv_status status = DECONV_OK;
    inverse *way = NULL;
    planner p = {0};

    *out = NULL;
    TRY_ALLOC(way, trace->ctx, 1);
    way->ctx = trace->ctx;
    way->graph = trace->graph;
    way->key = *key;
    TRY(start_planner(way, &p));
    TRY(plan_steps(way, &p));
    TRY(make_signals(way, &p));
    if (key->windows)
        TRY(frames_number(way->ctx, way->graph, &p.frames, way->count, &way->row, &way->rows));
    TRY(bind_steps(way, &p));
    TRY(plan_operators(way, &p));
    way->frame = p.frames.value;
    way->tables = p.frames.tables;
    p.frames.value = NULL;
    p.frames.tables = (frame_tables){0};
    *out = way;
    way = NULL;
done:
    free_planner(trace->ctx, &p);
    inverse_free(way);
    return status;
}

static void free_step(inverse *way, inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];

    if (step->windows.plan)
        node->op->class->release_windows(node->op, step->windows.plan);
    twin_free(step->twin);
    for (int i = 0; step->delivery && i < node->n_in; i++)
        mover_release(&step->delivery[i].mover);
    mem_free(way->ctx, (void *)step->signal_out);
    mem_free(way->ctx, step->signal_in);
    mem_free(way->ctx, step->delivery);
    mem_free(way->ctx, step->frames);
}

void inverse_free(inverse *way)
{
    if (!way)
        return;
    for (int k = 0; way->step && k < way->n_step; k++)
        free_step(way, &way->step[k]);
    for (int v = 0; way->signal && v < way->graph->n_value; v++)
        deconv_tensor_destroy(way->signal[v]);
    for (int e = 0; e < way->n_extra; e++)
        deconv_tensor_destroy(way->extra[e]);
    kernel_free(way->add);
    kernel_free(way->clip);
    kernel_free(way->plant);
    mover_release(&way->enter);
    mover_release(&way->leave);
    buffer_free(way->seeds);
    buffer_free(way->origins);
    buffer_free(way->units);
    buffer_free(way->values);
    twin_room_free(&way->room);
    storage_free(&way->storage);
    mem_free(way->ctx, way->frame);
    frame_tables_free(&way->tables);
    mem_free(way->ctx, way->row);
    mem_free(way->ctx, way->origin);
    mem_free(way->ctx, way->signal);
    mem_free(way->ctx, way->extra);
    mem_free(way->ctx, way->step);
    mem_free(way->ctx, way);
}

static bool key_equal(const inverse_key *a, const inverse_key *b)
{
    return a->from == b->from && a->to == b->to && a->rule == b->rule && a->flags == b->flags &&
           a->windows == b->windows && a->watched == b->watched;
}

deconv_status inverse_prepare(deconv_trace *trace, const inverse_key *key, inverse **out)
{
    inverse *last = trace->inverse;
    deconv_status status = DECONV_OK;

    if (last && key_equal(&last->key, key)) {
        *out = last;
        goto done;
    }
    *out = NULL;
    trace->inverse = NULL;
    inverse_free(last);
    TRY(inverse_create(trace, key, out));
    trace->inverse = *out;
done:
    return status;
}

deconv_status inverse_takes_windows(const deconv_trace *trace, const inverse_key *key, bool *yes)
{
    inverse way = {.ctx = trace->ctx, .graph = trace->graph, .key = *key};
    deconv_status status = DECONV_OK;
    bool *on_way = NULL;
    frames f = {0};

    *yes = false;
    TRY_ALLOC(on_way, trace->ctx, (size_t)trace->graph->n_value);
    TRY(frames_create(trace->ctx, trace->graph, &f));
    TRY(find_way(&way, on_way));
    TRY(frames_find(trace->ctx, trace->graph, key, on_way, &f, yes));
done:
    mem_free(trace->ctx, on_way);
    frames_free(trace->ctx, &f);
    return status;
}

/* ---- Running ---- */

/* Windows of nothing lie far outside; kernels add to where they begin. */
static int32_t within(int64_t begin)
{
    const int32_t most = INT32_MAX / 4;

    return begin < -most ? -most : begin > most ? most : (int32_t)begin;
}

/* Where the windows of all frames begin; row 0 stays zero. */
static void find_origins(const inverse *way, const window_seed *seeds)
{
    for (int r = 1; r < way->rows; r++) {
        const window_frame *f = &way->row[r];
        int32_t *origin = way->origin + 2 * r * way->count;

        for (int64_t i = 0; i < way->count; i++) {
            const int32_t at[2] = {seeds[i].y, seeds[i].x};

            for (int d = 0; d < 2; d++)
                origin[2 * i + d] = within(frame_begin(f, d, at[frame_by(f, d)]));
        }
    }
}

/* The first signal: zero but for the seeds. */
static deconv_status plant(const inverse *way)
{
    const tensor *first = way->signal[way->key.from];
    const placed_frame f = frame_placed(&way->frame[way->key.from]);
    kernel *k = way->plant;
    deconv_status status = DECONV_OK;

    TRY(buffer_fill(way->ctx, first->data, 0,
                    (size_t)layout_floats(&first->shape, first->block) * sizeof(float), 0.0f));
    kernel_begin(k);
    arg_buffer(k, first->data);
    arg_buffer(k, way->seeds);
    arg_buffer(k, way->origins);
    arg_buffer(k, way->units);
    arg_buffer(k, way->values);
    arg_struct(k, &f, sizeof f);
    arg_int(k, way->count);
    arg_int(k, (first->shape.dim[1] + first->block - 1) / first->block);
    arg_int(k, first->block);
    TRY(kernel_launch(k, way->count, 1, 1));
done:
    return status;
}

deconv_status inverse_set_seeds(inverse *way, const window_seed *seeds, const int64_t *units,
                                const float *values, int64_t count)
{
    size_t room = (size_t)way->count;
    deconv_status status = DECONV_OK;
    window_seed *all = NULL;
    int32_t *unit = NULL;
    float *value = NULL;

    TRY_ALLOC(all, way->ctx, room);
    TRY_ALLOC(unit, way->ctx, room);
    TRY_ALLOC(value, way->ctx, room);
    for (int64_t i = 0; i < way->count; i++) {
        int64_t of = i < count ? i : count - 1;

        all[i] = seeds[of];
        unit[i] = (int32_t)units[of];
        value[i] = i < count ? values[i] : 0.0f;
    }
    TRY(buffer_write(way->ctx, way->seeds, 0, room * sizeof *all, all));
    TRY(buffer_write(way->ctx, way->units, 0, room * sizeof *unit, unit));
    TRY(buffer_write(way->ctx, way->values, 0, room * sizeof *value, value));
    find_origins(way, all);
    TRY(buffer_write(way->ctx, way->origins, 0, (size_t)way->rows * room * 2 * sizeof *way->origin,
                     way->origin));
    TRY(plant(way));
done:
    mem_free(way->ctx, all);
    mem_free(way->ctx, unit);
    mem_free(way->ctx, value);
    return status;
}

/* Some window of the seeds at hand reaches past the border of the map. */
static bool reaches_out(const inverse *way, const placed_frame *f, const shape *map)
{
    const int64_t size[2] = {map_height(map), map_width(map)};
    const int32_t *origin = way->origin + 2 * (int64_t)f->first;

    for (int64_t i = 0; i < 2 * way->count; i++)
        if (origin[i] < 0 || origin[i] + (int64_t)f->size[i % 2] > size[i % 2])
            return true;
    return false;
}

/* A convolution's windows take part of the padding with them, where there is no signal. Operators
 * whose axes go their own ways see to that themselves. */
static deconv_status clip(const inverse *way, const inverse_step *step, int i)
{
    const graph_node *node = &way->graph->node[step->node];
    const shape *map = &way->graph->value[node->in[i]].shape;
    const tensor *signal = step->signal_in[i];
    placed_frame f;
    int64_t planes = (map->dim[1] + signal->block - 1) / signal->block;
    kernel *k = way->clip;

    if (!step->windows.plan || node->op->class->apart)
        return DECONV_OK;
    f = frame_placed(&step->windows.in[i]);
    if (!reaches_out(way, &f, map))
        return DECONV_OK;
    kernel_begin(k);
    arg_buffer(k, signal->data);
    arg_buffer(k, way->origins);
    arg_struct(k, &f, sizeof f);
    arg_int(k, way->count);
    arg_int(k, planes);
    arg_int(k, signal->block);
    arg_int(k, map_height(map));
    arg_int(k, map_width(map));
    return kernel_launch_groups(k, f.size[1], f.size[0], way->count, 4, 1, 1);
}

static deconv_status deliver(const inverse *way, const inverse_step *step, int i, int value)
{
    const delivery *d = &step->delivery[i];
    const buffer *from = step->signal_in[i]->data;
    buffer *to = d->to->data;

    if (d->plain)
        return add_into(way->add, from, to, layout_floats(&d->to->shape, d->to->block));
    if (!way->key.windows)
        return mover_run(&d->mover, &d->to->shape, from, to, d->add);
    return mover_run_windows(&d->mover, &step->windows, &d->frame, from, &way->frame[value], to,
                             d->add, false);
}

static deconv_status run_step(deconv_trace *trace, inverse *way, const inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];
    deconv_status status = DECONV_OK;
    op_pass pass = {.rule = way->key.rule,
                    .flags = way->key.flags,
                    .in = trace->in,
                    .out = trace->out,
                    .kept = trace->switches[step->node],
                    .signal_out = step->signal_out,
                    .signal_in = step->signal_in,
                    .rectify = step->rectify,
                    .windows = way->key.windows ? &step->windows : NULL};

    if (step->shares)
        goto done;
    trace_operands(trace, node, false);
    if (step->twin)
        TRY(twin_run(step->twin, &step->windows, &way->room, &pass));
    else
        TRY(node->op->class->inverse(node->op, &pass));
    for (int i = 0; i < node->n_in; i++) {
        if (!step->signal_in[i])
            continue;
        TRY(clip(way, step, i));
        if (step->delivery[i].to)
            TRY(deliver(way, step, i, node->in[i]));
    }
done:
    return status;
}

deconv_status inverse_run(deconv_trace *trace, inverse *way, inverse_watch watch, void *user)
{
    deconv_status status = DECONV_OK;

    for (int k = 0; k < way->n_step; k++) {
        TRY(progress_step(way->ctx, (uint64_t)k, (uint64_t)way->n_step, "inverse"));
        TRY(run_step(trace, way, &way->step[k]));
        if (watch)
            TRY(watch(way, &way->step[k], user));
    }
done:
    return status;
}
