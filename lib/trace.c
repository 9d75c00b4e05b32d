/* The forward pass over what trace_plan.c has planned, and reading what it leaves. The way back is
 * inverse.c's. */
#include "trace.h"

#include "net.h"
#include "options.h"

#include <string.h>

void deconv_trace_options_init(deconv_trace_options *options)
{
    *options = (deconv_trace_options)DECONV_TRACE_OPTIONS_INIT;
}

/* ---- Creating ---- */

deconv_status trace_create_marked(deconv_net *net, int64_t batch,
                                  const deconv_trace_options *options, deconv_trace **out)
{
    const uint32_t forward_only = DECONV_TRACE_NO_INVERSE | DECONV_TRACE_APPROXIMATE;
    deconv_status status = DECONV_OK;
    deconv_ctx *ctx = net->ctx;
    deconv_trace *trace = NULL;

    *out = NULL;
    TRY_ALLOC(trace, ctx, 1);
    trace->ctx = ctx;
    trace->rules = options->rules ? options->rules : 7;
    trace->flags = options->flags & ~forward_only;
    if (trace->rules > 7)
        FAIL(ctx, DECONV_ERROR_INVALID, "rules 0x%x: bits 0 to 2 name the three rules",
             trace->rules);
    if (options->flags & forward_only)
        trace->rules = 0;
    TRY(net_graph(net, batch, options->flags & DECONV_TRACE_APPROXIMATE, &trace->graph));
    TRY(trace_mark(trace, options));
    *out = trace;
    trace = NULL;
done:
    deconv_trace_destroy(trace);
    return status;
}

deconv_status deconv_trace_create(deconv_net *net, int64_t batch,
                                  const deconv_trace_options *options, deconv_trace **out)
{
    deconv_trace_options given = DECONV_TRACE_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    deconv_trace *trace = NULL;

    *out = NULL;
    TRY(OPTIONS_READ(net->ctx, &given, options));
    TRY(trace_create_marked(net, batch, &given, &trace));
    TRY(trace_lay_out(trace));
    TRY(trace_plan_nodes(trace));
    *out = trace;
    trace = NULL;
done:
    deconv_trace_destroy(trace);
    return status;
}

void deconv_trace_destroy(deconv_trace *trace)
{
    deconv_ctx *ctx;

    if (!trace)
        return;
    ctx = trace->ctx;
    inverse_free(trace->inverse);
    for (int v = 0; trace->to_rows && v < trace->graph->n_value; v++) {
        deconv_tensor_destroy(trace->value[v]);
        deconv_tensor_destroy(trace->rows[v]);
        deconv_tensor_destroy(trace->shown[v]);
        mover_release(&trace->to_rows[v]);
    }
    for (int n = 0; trace->switches && n < trace->graph->n_node; n++)
        buffer_free(trace->switches[n]);
    storage_free(&trace->storage);
    mem_free(ctx, trace->runs);
    mem_free(ctx, trace->fused);
    mem_free(ctx, trace->adder);
    mem_free(ctx, trace->done);
    mem_free(ctx, trace->slice_of);
    mem_free(ctx, trace->kept);
    mem_free(ctx, trace->rows_kept);
    mem_free(ctx, trace->readable);
    mem_free(ctx, trace->value);
    mem_free(ctx, trace->rows);
    mem_free(ctx, trace->shown);
    mem_free(ctx, trace->is_shown);
    mem_free(ctx, trace->to_rows);
    mem_free(ctx, trace->switches);
    mem_free(ctx, (void *)trace->in);
    mem_free(ctx, trace->out);
    graph_drop(trace->graph);
    mem_free(ctx, trace);
}

/* ---- Running ---- */

void trace_operands(const deconv_trace *trace, const graph_node *node, bool all)
{
    const graph *g = trace->graph;

    for (int i = 0; i < node->n_in; i++) {
        int v = node->in[i];
        bool rows = trace_wants_rows(g, node, i);
        bool there = v >= 0 && (all || (rows ? trace->rows_kept[v] : trace->kept[v]));

        if (v >= 0 && g->value[v].constant)
            trace->in[i] = op_weight(node->op, i);
        else
            trace->in[i] = !there ? NULL : rows ? trace->rows[v] : trace->value[v];
    }
    for (int i = 0; i < node->n_out; i++) {
        int v = node->out[i];

        trace->out[i] = v >= 0 && (all || trace->kept[v]) ? trace->value[v] : NULL;
    }
}

static deconv_status take_inputs(deconv_trace *trace, const tensor *const *inputs, uint32_t count)
{
    const graph *g = trace->graph;
    char is[SHAPE_TEXT], should[SHAPE_TEXT];
    deconv_status status = DECONV_OK;

    if (count != (uint32_t)g->model->n_input)
        FAIL(trace->ctx, DECONV_ERROR_INVALID, "%u inputs; the network has %d", count,
             g->model->n_input);
    for (uint32_t i = 0; i < count; i++) {
        int v = g->model->input[i].value;
        const shape *s = &g->value[v].shape;

        if (!inputs[i] || !shape_equal(&inputs[i]->shape, s))
            FAIL(trace->ctx, DECONV_ERROR_INVALID, "input %s is %s; it must be %s",
                 g->value[v].name,
                 inputs[i] ? shape_text(&inputs[i]->shape, is, sizeof is) : "missing",
                 shape_text(s, should, sizeof should));
        if (trace->value[v])
            TRY(buffer_copy(trace->ctx, inputs[i]->data, 0, trace->value[v]->data, 0,
                            (size_t)shape_count(s) * sizeof(float)));
    }
done:
    return status;
}

/* What node `n` adds to its result for the Add behind it. */
static const tensor *added_to(const deconv_trace *trace, int n)
{
    const graph_node *node = &trace->graph->node[n], *add;

    if (trace->adder[n] < 0)
        return NULL;
    add = &trace->graph->node[trace->adder[n]];
    return trace->value[add->in[add->in[0] == node->out[0]]];
}

/* Row-major copies of what the node has computed. */
static deconv_status make_rows(const deconv_trace *trace, const graph_node *node)
{
    deconv_status status = DECONV_OK;

    for (int i = 0; i < node->n_out; i++) {
        int v = node->out[i];

        if (v >= 0 && trace->rows[v])
            TRY(mover_run(&trace->to_rows[v], &trace->value[v]->shape, trace->value[v]->data,
                          trace->rows[v]->data, false));
    }
done:
    return status;
}

deconv_status deconv_trace_run(deconv_trace *trace, const deconv_tensor *const *inputs,
                               uint32_t input_count)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;

    trace->has_run = false;
    memset(trace->is_shown, 0, (size_t)g->n_value * sizeof trace->is_shown[0]);
    TRY(take_inputs(trace, inputs, input_count));
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];
        op_pass pass = {.in = trace->in,
                        .out = trace->out,
                        .kept = trace->switches[n],
                        .rectify = trace->fused[trace->adder[n] < 0 ? n : trace->adder[n]],
                        .add = added_to(trace, n)};

        if (!trace->runs[n])
            continue;
        if (trace->part)
            TRY(progress_step(trace->ctx, trace->part->done, trace->part->total,
                              trace->part->what));
        else
            TRY(progress_step(trace->ctx, (uint64_t)n, (uint64_t)g->n_node, "forward"));
        if (!trace_is_alias(g, node) && !trace->done[n]) {
            trace_operands(trace, node, true);
            TRY(node->op->class->forward(node->op, &pass));
        }
        if (!trace->fused[n])
            TRY(make_rows(trace, node));
    }
    TRY(device_wait(trace->ctx));
    trace->has_run = true;
done:
    return status;
}

/* ---- Reading ---- */

deconv_status trace_read_item(const deconv_trace *trace, int value, int64_t item, float *out)
{
    const tensor *t = trace->value[value];
    int64_t items = t->shape.rank > 1 ? t->shape.dim[0] : 1;
    int64_t count = shape_count(&t->shape) / items;
    size_t bytes = (size_t)(layout_floats(&t->shape, t->block) / items) * sizeof(float);
    deconv_status status = DECONV_OK;
    buffer_view blocked = {0};

    if (t->block == 1)
        return buffer_read(trace->ctx, t->data, (size_t)item * bytes, bytes, out);
    TRY(buffer_view_open(trace->ctx, t->data, (size_t)item * bytes, bytes, VIEW_READ, &blocked));
    unblock(blocked.at, t->shape.dim[1], count / t->shape.dim[1], t->block, out);
    TRY(buffer_view_close(&blocked));
done:
    return status;
}

/* The caller's row-major tensor of a value in blocks. */
static deconv_status show(deconv_trace *trace, int v)
{
    const tensor *t = trace->value[v];
    deconv_status status = DECONV_OK;

    if (!trace->shown[v])
        TRY(tensor_create(trace->ctx, &t->shape, "activation", &trace->shown[v]));
    if (!trace->is_shown[v]) {
        TRY(mover_run(&trace->to_rows[v], &t->shape, t->data, trace->shown[v]->data, false));
        TRY(device_wait(trace->ctx));
    }
    trace->is_shown[v] = true;
done:
    return status;
}

deconv_status deconv_trace_activation(deconv_trace *trace, uint32_t layer,
                                      const deconv_tensor **activation)
{
    const graph *g = trace->graph;
    deconv_status status = DECONV_OK;
    int value;

    *activation = NULL;
    TRY(graph_layer(g, layer, &value));
    if (!trace->readable[value])
        FAIL(trace->ctx, DECONV_ERROR_INVALID, "%s is not kept by this trace; add it to `keep`",
             g->value[value].name);
    if (!trace->has_run)
        FAIL(trace->ctx, DECONV_ERROR_INVALID, "the trace has not been run yet");
    if (trace->value[value]->block > 1)
        TRY(show(trace, value));
    *activation = trace->value[value]->block > 1 ? trace->shown[value] : trace->value[value];
done:
    return status;
}
