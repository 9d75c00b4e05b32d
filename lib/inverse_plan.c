/* Planning a pass back through the graph: which values lie on the way, in which layouts, frames and
 * memory their signals are, which of them are added. Running it is inverse.c. */
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
            TRY(mover_create(way->ctx, map_channels(&g->value[v].shape), node->op->in_block[i],
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
