/* What a trace will hold: which nodes run, which Relus their predecessors do, what is kept, where
 * everything is stored. */
#include "net.h"
#include "options.h"
#include "trace.h"

#include <string.h>

/* ---- What runs and what is kept ---- */

static deconv_status mark_last(deconv_trace *trace, const deconv_trace_options *options)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;
    int value;

    for (uint32_t i = 0; options->last && i < options->last_count; i++) {
        TRY(graph_layer(g, options->last[i], &value));
        trace->runs[g->value[value].producer] = true;
    }
    for (int i = 0; !options->last && i < g->model->n_output; i++) {
        int producer = g->value[g->model->output[i]].producer;

        if (producer >= 0)
            trace->runs[producer] = true;
    }
done:
    return status;
}

/* The caller's wish list: these layers run and stay readable. */
static deconv_status mark_kept(deconv_trace *trace, const deconv_trace_options *options)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;
    int value;

    for (uint32_t i = 0; options->keep && i < options->keep_count; i++) {
        TRY(graph_layer(g, options->keep[i], &value));
        trace->runs[g->value[value].producer] = true;
        trace->readable[value] = true;
    }
done:
    return status;
}

/* A node runs when another that runs reads what it computes. */
static void spread_runs(deconv_trace *trace)
{
    const graph *g = trace->graph;

    for (int n = g->n_node - 1; n >= 0; n--) {
        const graph_node *node = &g->node[n];

        for (int i = 0; trace->runs[n] && i < node->n_in; i++)
            if (node->in[i] >= 0 && g->value[node->in[i]].producer >= 0)
                trace->runs[g->value[node->in[i]].producer] = true;
    }
}

bool trace_wants_rows(const graph *g, const graph_node *node, int i)
{
    const graph_value *v = node->in[i] < 0 ? NULL : &g->value[node->in[i]];

    return v && v->from_input && v->block > 1 && node->op->in_block[i] == 1;
}

/* What an inverse under any of the trace's rules will read. */
static void mark_needed_by_rules(deconv_trace *trace)
{
    const graph *g = trace->graph;

    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        const op_class *class = node->op->class;
        uint32_t keeps = 0;

        if (!trace->runs[n])
            continue;
        for (int rule = DECONV_RULE_DECONVNET; class->keeps && rule <= DECONV_RULE_GUIDED; rule++)
            if (trace->rules >> rule & 1)
                keeps |= class->keeps(node->op, (deconv_rule)rule, trace->flags);
        for (int i = 0; i < node->n_in && i < 16; i++) {
            if (node->in[i] < 0 || !(keeps & KEEP_INPUT(i)))
                continue;
            if (trace_wants_rows(g, node, i))
                trace->rows_kept[node->in[i]] = true;
            else
                trace->kept[node->in[i]] = true;
        }
        for (int i = 0; i < node->n_out && i < 16; i++)
            if (node->out[i] >= 0 && (keeps & KEEP_OUTPUT(i)))
                trace->kept[node->out[i]] = true;
    }
}

/* The only reader of a value among the nodes that run, -1 where there are more or none. */
static void find_only_readers(const deconv_trace *trace, int *reader)
{
    const graph *g = trace->graph;

    for (int v = 0; v < g->n_value; v++)
        reader[v] = -1;
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        for (int i = 0; trace->runs[n] && i < node->n_in; i++)
            if (node->in[i] >= 0)
                reader[node->in[i]] = reader[node->in[i]] == -1 ? n : -2;
    }
}

/* A Relu whose input nobody else reads and nobody keeps is done by the node before it. */
static void mark_fused(deconv_trace *trace, const int *reader)
{
    const graph *g = trace->graph;

    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        int v = node->out[0], next;

        if (!trace->runs[n] || !(node->op->class->rectifies & RECTIFIES_FORWARD) || v < 0)
            continue;
        next = reader[v];
        trace->fused[n] = next >= 0 && !trace->kept[v] && !trace->rows_kept[v] &&
                          strcmp(g->node[next].op->class->type, "Relu") == 0 &&
                          g->node[next].out[0] >= 0 &&
                          g->value[g->node[next].out[0]].block == g->value[v].block;
        if (trace->fused[n])
            trace->done[next] = true;
    }
}

/* Whether the node that computes `v`, which only the Add at node `n` reads, can do that: the other
 * operand is there by then, and as large. */
static bool can_add(const deconv_trace *trace, int n, int v)
{
    const graph *g = trace->graph;
    const graph_node *node = &g->node[n];
    const graph_value *other = &g->value[node->in[node->in[0] == v]],
                      *sum = &g->value[node->out[0]];
    const int producer = g->value[v].producer;

    return producer >= 0 && g->node[producer].op->class->adds && !trace->kept[v] &&
           !trace->rows_kept[v] && other->from_input && other->producer < producer &&
           shape_equal(&g->value[v].shape, &sum->shape) &&
           shape_equal(&other->shape, &sum->shape) && g->value[v].block == sum->block &&
           other->block == sum->block && !trace_wants_rows(g, node, 0) &&
           !trace_wants_rows(g, node, 1);
}

/* An Add is done by the node that computes one of its operands, for it alone and after the other.
 */
static void mark_added(deconv_trace *trace, const int *reader)
{
    const graph *g = trace->graph;

    for (int n = 0; n < g->n_node; n++)
        trace->adder[n] = -1;
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        if (!trace->runs[n] || strcmp(node->op->class->type, "Add") != 0 || node->out[0] < 0)
            continue;
        for (int i = 0; i < 2 && !trace->done[n]; i++) {
            const int v = node->in[i];

            if (v < 0 || reader[v] != n || !can_add(trace, n, v))
                continue;
            trace->adder[g->value[v].producer] = n;
            trace->done[n] = true;
        }
    }
}

/* Value `v` is left by an operator that can write slices, itself or with the Relu behind it. */
static bool comes_in_slices(const deconv_trace *trace, int v)
{
    const graph *g = trace->graph;
    int producer = g->value[v].producer;

    if (producer < 0)
        return false;
    if (g->node[producer].op->class->writes_slices)
        return !trace->fused[producer];
    if (strcmp(g->node[producer].op->class->type, "Relu") != 0)
        return false;
    producer = g->value[g->node[producer].in[0]].producer;
    return producer >= 0 && trace->fused[producer] && g->node[producer].op->class->writes_slices;
}

/* What only a Concat reads and nobody keeps is written where the Concat would copy it. */
static void mark_slices(deconv_trace *trace, const int *reader)
{
    const graph *g = trace->graph;

    for (int v = 0; v < g->n_value; v++)
        trace->slice_of[v] = -1;
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        const op *op = node->op;

        for (int i = 0; trace->runs[n] && op->class->slice && i < node->n_in; i++) {
            int v = node->in[i];

            if (v >= 0 && reader[v] == n && !trace->kept[v] && !trace->rows_kept[v] &&
                op->out_block[0] > 1 && g->value[v].block == op->out_block[0] &&
                op->class->slice(op, i) >= 0 && comes_in_slices(trace, v))
                trace->slice_of[v] = n;
        }
    }
}

deconv_status trace_mark(deconv_trace *trace, const deconv_trace_options *options)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;
    int *reader = NULL;

    TRY_ALLOC(trace->runs, trace->ctx, (size_t)g->n_node);
    TRY_ALLOC(trace->fused, trace->ctx, (size_t)g->n_node);
    TRY_ALLOC(trace->adder, trace->ctx, (size_t)g->n_node);
    TRY_ALLOC(trace->done, trace->ctx, (size_t)g->n_node);
    TRY_ALLOC(trace->slice_of, trace->ctx, (size_t)g->n_value);
    TRY_ALLOC(trace->kept, trace->ctx, (size_t)g->n_value);
    TRY_ALLOC(trace->rows_kept, trace->ctx, (size_t)g->n_value);
    TRY_ALLOC(trace->readable, trace->ctx, (size_t)g->n_value);
    TRY(mark_last(trace, options));
    TRY(mark_kept(trace, options));
    spread_runs(trace);
    for (int i = 0; !options->keep && i < g->n_layer; i++)
        if (trace->runs[g->value[g->layer[i]].producer])
            trace->readable[g->layer[i]] = true;
    mark_needed_by_rules(trace);
    for (int v = 0; v < g->n_value; v++)
        trace->kept[v] = trace->kept[v] || trace->readable[v];
    TRY_ALLOC(reader, trace->ctx, (size_t)g->n_value);
    find_only_readers(trace, reader);
    mark_fused(trace, reader);
    mark_added(trace, reader);
    mark_slices(trace, reader);
done:
    mem_free(trace->ctx, reader);
    return status;
}

/* ---- Storage ---- */

static bool is_view(const op *op)
{
    return op->class->is_view && op->class->is_view(op);
}

/* What needs memory: every value as its producer leaves it, unit v, and its row-major copy, unit
 * n_value + v. */
static int unit_read(const graph *g, const graph_node *node, int i)
{
    return node->in[i] + (trace_wants_rows(g, node, i) ? g->n_value : 0);
}

bool trace_is_alias(const graph *g, const graph_node *node)
{
    return is_view(node->op) && node->out[0] >= 0 && g->value[node->in[0]].from_input;
}

/* Units that are the same bytes: root[u] is the unit whose memory u uses. */
static void find_roots(const deconv_trace *trace, int *root)
{
    const graph *g = trace->graph;

    for (int u = 0; u < 2 * g->n_value; u++)
        root[u] = u;
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        if (trace_is_alias(g, node))
            root[node->out[0]] = root[unit_read(g, node, 0)];
        if (n > 0 && strcmp(node->op->class->type, "Relu") == 0) {
            int before = g->value[node->in[0]].producer;

            if (before >= 0 && trace->fused[before])
                root[node->in[0]] = node->out[0];
        }
        if (trace->adder[n] >= 0)
            root[node->out[0]] = g->node[trace->adder[n]].out[0];
    }
    for (int v = 0; v < g->n_value; v++)
        if (trace->slice_of[v] >= 0)
            root[v] = g->node[trace->slice_of[v]].out[0];
    for (int u = 0; u < 2 * g->n_value; u++)
        while (root[u] != root[root[u]])
            root[u] = root[root[u]];
}

static void extend(span *s, int step)
{
    s->first = step < s->first ? step : s->first;
    s->last = step > s->last ? step : s->last;
}

/* A row-major copy is made where its value is. */
static void extend_read(const graph *g, const int *root, span *spans, int unit, int n)
{
    extend(&spans[root[unit]], n);
    if (unit >= g->n_value) {
        int producer = g->value[unit - g->n_value].producer;

        extend(&spans[root[unit]], producer < 0 ? -1 : producer);
    }
}

/* Lifetimes in steps: node n is step n, the inputs are written at step -1, what is kept lives on.
 */
static void find_lifetimes(const deconv_trace *trace, const int *root, span *spans)
{
    const graph *g = trace->graph;

    for (int u = 0; u < 2 * g->n_value; u++)
        spans[u] = (span){.first = g->n_node, .last = -1};
    for (int i = 0; i < g->model->n_input; i++)
        extend(&spans[g->model->input[i].value], -1);
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        for (int i = 0; trace->runs[n] && i < node->n_in; i++)
            if (node->in[i] >= 0)
                extend_read(g, root, spans, unit_read(g, node, i), n);
        for (int i = 0; trace->runs[n] && i < node->n_out; i++)
            if (node->out[i] >= 0)
                extend(&spans[root[node->out[i]]], n);
    }
    for (int v = 0; v < g->n_value; v++) {
        const graph_value *value = &g->value[v];

        if (trace->kept[v])
            spans[root[v]].last = g->n_node;
        if (trace->rows_kept[v])
            spans[root[g->n_value + v]].last = g->n_node;
        spans[v].name = spans[g->n_value + v].name = value->name;
        for (int u = v; value->from_input && u < 2 * g->n_value; u += g->n_value)
            if (root[u] == u && spans[u].first <= spans[u].last)
                spans[u].bytes =
                    (size_t)layout_floats(&value->shape, u == v ? value->block : 1) * sizeof(float);
    }
}

/* Which part of a Concat's result a value, or what becomes of it in a Relu, is. */
static void place_slice(const deconv_trace *trace, int v, tensor *t)
{
    const graph *g = trace->graph;
    int producer = g->value[v].producer;
    const graph_node *concat;
    const shape *whole;

    for (int n = producer + 1; producer >= 0 && trace->fused[producer] && n < g->n_node; n++) {
        if (g->node[n].in[0] != v)
            continue;
        v = g->node[n].out[0];
        break;
    }
    if (trace->slice_of[v] < 0)
        return;
    concat = &g->node[trace->slice_of[v]];
    whole = &concat->op->out_shape[0];
    for (int i = 0; i < concat->n_in; i++)
        if (concat->in[i] == v)
            t->from = concat->op->class->slice(concat->op, i) * shape_span(whole, 2, whole->rank);
    t->image = layout_floats(whole, t->block) / whole->dim[0];
}

/* The tensor of unit `u` in the planned storage; none where it has no bytes. */
static deconv_status place_unit(deconv_trace *trace, const span *spans, const int *root, int u,
                                tensor **out)
{
    const graph *g = trace->graph;
    const graph_value *v = &g->value[u % g->n_value];
    const span *s = &spans[root[u]];
    deconv_status status = DECONV_OK;
    buffer *data = NULL;

    if (s->bytes && s->first <= s->last)
        data = trace->storage.slot[s->slot];
    if (!data)
        goto done;
    TRY(tensor_borrow(trace->ctx, &v->shape, data, out));
    (*out)->block = u < g->n_value ? v->block : 1;
    if (u < g->n_value)
        place_slice(trace, u, *out);
done:
    return status;
}

/* Where everything goes: `spans` and `root` of every unit, nothing allocated yet. */
static deconv_status plan_storage(deconv_trace *trace, span **spans, int **root)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(*spans, trace->ctx, 2 * (size_t)g->n_value);
    TRY_ALLOC(*root, trace->ctx, 2 * (size_t)g->n_value);
    find_roots(trace, *root);
    find_lifetimes(trace, *root, *spans);
    trace->storage.ctx = trace->ctx;
    TRY(storage_plan(&trace->storage, *spans, 2 * g->n_value));
done:
    return status;
}

deconv_status trace_lay_out(deconv_trace *trace)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;
    span *spans = NULL;
    int *root = NULL;

    TRY_ALLOC(trace->value, trace->ctx, (size_t)g->n_value);
    TRY_ALLOC(trace->rows, trace->ctx, (size_t)g->n_value);
    TRY_ALLOC(trace->shown, trace->ctx, (size_t)g->n_value);
    TRY_ALLOC(trace->is_shown, trace->ctx, (size_t)g->n_value);
    TRY_ALLOC(trace->to_rows, trace->ctx, (size_t)g->n_value);
    TRY(plan_storage(trace, &spans, &root));
    TRY(storage_allocate(&trace->storage, "activations"));
    for (int v = 0; v < g->n_value; v++) {
        const graph_value *value = &g->value[v];

        TRY(place_unit(trace, spans, root, v, &trace->value[v]));
        if (!value->from_input || value->block == 1)
            continue;
        TRY(place_unit(trace, spans, root, g->n_value + v, &trace->rows[v]));
        if (trace->rows[v] || trace->readable[v])
            TRY(mover_create(trace->ctx, value->shape.dim[1], value->block, 1, &trace->to_rows[v]));
    }
done:
    mem_free(trace->ctx, spans);
    mem_free(trace->ctx, root);
    return status;
}

size_t trace_switch_bytes(const deconv_trace *trace, int n)
{
    const op *op = trace->graph->node[n].op;

    return trace->rules && trace->runs[n] && op->class->keep_bytes ? op->class->keep_bytes(op) : 0;
}

/* Kernels, scratch and room for switches of every node that runs. */
deconv_status trace_plan_nodes(deconv_trace *trace)
{
    graph *g = trace->graph;
    deconv_status status = DECONV_OK;
    int widest = 1;

    TRY_ALLOC(trace->switches, trace->ctx, (size_t)g->n_node);
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        size_t bytes = trace_switch_bytes(trace, n);

        if (!trace->runs[n])
            continue;
        TRY(progress_step(trace->ctx, (uint64_t)n, (uint64_t)g->n_node, "planning"));
        TRY(op_plan(node->op));
        if (bytes)
            TRY(buffer_create(trace->ctx, bytes, "switches", &trace->switches[n]));
        widest = node->n_in > widest ? node->n_in : widest;
        widest = node->n_out > widest ? node->n_out : widest;
    }
    TRY_ALLOC(trace->in, trace->ctx, (size_t)widest);
    TRY_ALLOC(trace->out, trace->ctx, (size_t)widest);
done:
    return status;
}

/* Bytes of activations and switches of a trace that is marked. */
static deconv_status count_bytes(deconv_trace *trace, uint64_t *bytes)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;
    span *spans = NULL;
    int *root = NULL;

    *bytes = 0;
    TRY(plan_storage(trace, &spans, &root));
    for (int i = 0; i < trace->storage.count; i++)
        *bytes += trace->storage.bytes[i];
    for (int n = 0; n < g->n_node; n++)
        *bytes += trace_switch_bytes(trace, n);
done:
    mem_free(trace->ctx, spans);
    mem_free(trace->ctx, root);
    return status;
}

deconv_status deconv_trace_batch(deconv_net *net, int64_t wanted,
                                 const deconv_trace_options *options, int64_t *batch)
{
    deconv_trace_options given = DECONV_TRACE_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    deconv_trace *one = NULL;
    uint64_t bytes, most;

    *batch = 0;
    TRY(OPTIONS_READ(net->ctx, &given, options));
    if (wanted < 1)
        FAIL(net->ctx, DECONV_ERROR_INVALID, "a batch of %lld pictures; it must be at least 1",
             (long long)wanted);
    if (net->fixed_batch) {
        *batch = net->fixed_batch;
        goto done;
    }
    TRY(trace_create_marked(net, 1, &given, &one));
    TRY(count_bytes(one, &bytes));
    most = ctx_memory_budget(net->ctx) / (bytes ? bytes : 1);
    *batch = most < 1 ? 1 : most < (uint64_t)wanted ? (int64_t)most : wanted;
done:
    deconv_trace_destroy(one);
    return status;
}
