/* The pass back through the graph. At a value with several consumers their signals are added before
 * its producer's own inverse (DESIGN, the inverse rules). Seeds and results are project.c's. */
#include "inverse.h"

#include "ops/strided_copy.h"

#include <string.h>

/* ---- Which values lie on the way ---- */

static deconv_status find_way(const inverse *way, bool *on_way)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;
    bool *depends = NULL;

    TRY_ALLOC(depends, way->ctx, (size_t)g->n_value);
    depends[way->to] = true;
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        bool any = false;

        for (int i = 0; i < node->n_in; i++)
            any = any || (node->in[i] >= 0 && depends[node->in[i]]);
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] >= 0 && node->out[i] != way->to)
                depends[node->out[i]] = any;
    }
    on_way[way->from] = depends[way->from];
    for (int n = g->n_node - 1; n >= 0; n--) {
        const graph_node *node = &g->node[n];
        bool leads = false;

        for (int i = 0; i < node->n_out; i++)
            leads = leads || (node->out[i] >= 0 && on_way[node->out[i]]);
        for (int i = 0; leads && i < node->n_in; i++)
            if (node->in[i] >= 0 && depends[node->in[i]])
                on_way[node->in[i]] = true;
    }
    if (!on_way[way->from])
        FAIL(way->ctx, DECONV_ERROR_INVALID, "layer %s does not depend on input %s",
             g->value[way->from].name, g->value[way->to].name);
done:
    mem_free(way->ctx, depends);
    return status;
}

/* ---- Planning ---- */

typedef struct planner {
    bool *on_way;  /* [n_value] */
    bool *reached; /* [n_value] a signal is there already */
    int *root;     /* [n_value] value whose memory the signal uses */
    span *spans;   /* [n_value + extra contributions] */
    int *extra_of; /* value that each extra contribution goes to */
    int n_extra;
} planner;

static deconv_status start_planner(const inverse *way, planner *p)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;
    size_t operands = 0;

    for (int n = 0; n < g->n_node; n++)
        operands += (size_t)g->node[n].n_in;
    TRY_ALLOC(p->on_way, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(p->reached, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(p->root, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(p->spans, way->ctx, (size_t)g->n_value + operands);
    TRY_ALLOC(p->extra_of, way->ctx, operands + 1);
    for (int v = 0; v < g->n_value; v++)
        p->root[v] = v;
    TRY(find_way(way, p->on_way));
    p->reached[way->from] = true;
    p->spans[way->from] = (span){.first = -1, .last = -1};
done:
    return status;
}

static void free_planner(deconv_ctx *ctx, planner *p)
{
    mem_free(ctx, p->on_way);
    mem_free(ctx, p->reached);
    mem_free(ctx, p->root);
    mem_free(ctx, p->spans);
    mem_free(ctx, p->extra_of);
}

/* The node hands its only signal on unchanged to an input that nothing else has reached yet. */
static bool can_share(const inverse *way, const planner *p, const graph_node *node)
{
    const op_class *class = node->op->class;
    bool same = (class->is_view && class->is_view(node->op)) ||
                (class->passes_signal && class->passes_signal(node->op, way->rule, way->flags));

    if (!same || node->in[0] < 0 || !p->on_way[node->in[0]] || p->reached[node->in[0]])
        return false;
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] >= 0 && p->on_way[node->in[i]])
            return false;
    return node->out[0] >= 0 && p->reached[node->out[0]];
}

static bool has_signal(const planner *p, const graph_node *node)
{
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0 && p->on_way[node->out[i]] && p->reached[node->out[i]])
            return true;
    return false;
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
        if (p->reached[v]) {
            p->spans[g->n_value + p->n_extra] = (span){.first = k, .last = k};
            p->extra_of[p->n_extra++] = v;
        } else {
            p->reached[v] = true;
            p->spans[v] = (span){.first = k, .last = k};
        }
    }
}

static size_t bytes_of(const graph *g, int value)
{
    return (size_t)shape_count(&g->value[value].shape) * sizeof(float);
}

static deconv_status plan_steps(inverse *way, planner *p)
{
    const graph *g = way->graph;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(way->step, way->ctx, (size_t)g->n_node + 1);
    for (int n = g->value[way->from].producer; n >= 0; n--) {
        const graph_node *node = &g->node[n];

        if (!has_signal(p, node))
            continue;
        way->step[way->n_step].node = n;
        way->step[way->n_step].shares = can_share(way, p, node);
        plan_step(way, p, way->n_step++);
    }
    p->spans[p->root[way->to]].last = way->n_step;
    for (int v = 0; v < g->n_value; v++)
        if (p->reached[v] && p->root[v] == v)
            p->spans[v].bytes = bytes_of(g, v);
    for (int e = 0; e < p->n_extra; e++)
        p->spans[g->n_value + e].bytes = bytes_of(g, p->extra_of[e]);
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
    TRY(storage_allocate(&way->storage, "signals"));
    TRY_ALLOC(way->signal, way->ctx, (size_t)g->n_value);
    TRY_ALLOC(way->extra, way->ctx, (size_t)p->n_extra + 1);
    for (int v = 0; v < g->n_value; v++)
        if (p->reached[v])
            TRY(tensor_borrow(way->ctx, &g->value[v].shape,
                              way->storage.slot[p->spans[p->root[v]].slot], &way->signal[v]));
    for (int e = 0; e < p->n_extra; e++) {
        TRY(tensor_borrow(way->ctx, &g->value[p->extra_of[e]].shape,
                          way->storage.slot[p->spans[g->n_value + e].slot], &way->extra[e]));
        way->n_extra++;
    }
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
        TRY_ALLOC(step->add_to, way->ctx, (size_t)node->n_in + 1);
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] >= 0 && p->on_way[node->out[i]])
                step->signal_out[i] = way->signal[node->out[i]];
        for (int i = 0; i < node->n_in; i++) {
            int v = node->in[i];

            if (v < 0 || !p->on_way[v] || (step->shares && i > 0))
                continue;
            if (written[v]) {
                step->signal_in[i] = way->extra[extra++];
                step->add_to[i] = way->signal[v];
            } else {
                step->signal_in[i] = way->signal[v];
                written[v] = true;
            }
        }
    }
done:
    mem_free(way->ctx, written);
    return status;
}

static deconv_status inverse_create(deconv_trace *trace, int from, int to, deconv_rule rule,
                                    uint32_t flags, inverse **out)
{
    deconv_status status = DECONV_OK;
    inverse *way = NULL;
    planner p = {0};

    *out = NULL;
    TRY_ALLOC(way, trace->ctx, 1);
    way->ctx = trace->ctx;
    way->graph = trace->graph;
    way->from = from;
    way->to = to;
    way->rule = rule;
    way->flags = flags;
    TRY(start_planner(way, &p));
    TRY(plan_steps(way, &p));
    TRY(make_signals(way, &p));
    TRY(bind_steps(way, &p));
    for (int k = 0; k < way->n_step; k++)
        TRY(op_plan_inverse(way->graph->node[way->step[k].node].op));
    if (p.n_extra)
        TRY(add_into_create(way->ctx, &way->add));
    *out = way;
    way = NULL;
done:
    free_planner(trace->ctx, &p);
    inverse_free(way);
    return status;
}

void inverse_free(inverse *way)
{
    if (!way)
        return;
    for (int k = 0; way->step && k < way->n_step; k++) {
        mem_free(way->ctx, (void *)way->step[k].signal_out);
        mem_free(way->ctx, way->step[k].signal_in);
        mem_free(way->ctx, way->step[k].add_to);
    }
    for (int v = 0; way->signal && v < way->graph->n_value; v++)
        deconv_tensor_destroy(way->signal[v]);
    for (int e = 0; e < way->n_extra; e++)
        deconv_tensor_destroy(way->extra[e]);
    kernel_free(way->add);
    storage_free(&way->storage);
    mem_free(way->ctx, way->signal);
    mem_free(way->ctx, way->extra);
    mem_free(way->ctx, way->step);
    mem_free(way->ctx, way);
}

deconv_status inverse_prepare(deconv_trace *trace, int from, int to, deconv_rule rule,
                              uint32_t flags, inverse **out)
{
    inverse *last = trace->inverse;
    deconv_status status = DECONV_OK;

    if (last && last->from == from && last->to == to && last->rule == rule &&
        last->flags == flags) {
        *out = last;
        goto done;
    }
    *out = NULL;
    trace->inverse = NULL;
    inverse_free(last);
    TRY(inverse_create(trace, from, to, rule, flags, out));
    trace->inverse = *out;
done:
    return status;
}

/* ---- Running ---- */

static deconv_status run_step(deconv_trace *trace, inverse *way, const inverse_step *step)
{
    const graph_node *node = &way->graph->node[step->node];
    deconv_status status = DECONV_OK;
    op_pass pass = {.rule = way->rule,
                    .flags = way->flags,
                    .in = trace->in,
                    .out = trace->out,
                    .kept = trace->switches[step->node],
                    .signal_out = step->signal_out,
                    .signal_in = step->signal_in};

    if (step->shares)
        goto done;
    trace_operands(trace, node, false);
    TRY(node->op->class->inverse(node->op, &pass));
    for (int i = 0; i < node->n_in; i++)
        if (step->add_to[i])
            TRY(add_into(way->add, step->signal_in[i]->data, step->add_to[i]->data,
                         shape_count(&step->add_to[i]->shape)));
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
