/* From an ONNX model to a graph of operators: shapes, folding of constants, weights.
 * Which buffers a run uses is not decided here. */
#include "graph.h"

#include <string.h>

/* ---- Inputs ---- */

/* What an open dimension of an input becomes: the batch in front, height and width at the end. */
static deconv_status open_dimension(deconv_ctx *ctx, const graph_sizes *sizes, const char *name,
                                    const onnx_input *input, int d, int64_t *out)
{
    int from_end = input->rank - d;

    *out = 0;
    if (d == 0)
        *out = sizes->batch;
    else if (input->rank >= 3 && from_end == 1)
        *out = sizes->width;
    else if (input->rank >= 4 && from_end == 2)
        *out = sizes->height;
    if (*out > 0)
        return DECONV_OK;
    return error_set(ctx, DECONV_ERROR_UNSUPPORTED,
                     "input %s leaves dimension %d open; give the picture's size, or export the "
                     "network with a fixed one",
                     name, d);
}

static deconv_status input_shape(graph *g, const graph_sizes *sizes, const onnx_input *input)
{
    graph_value *v = &g->value[input->value];
    int64_t dims[DECONV_MAX_RANK];
    deconv_status status = DECONV_OK;

    if (input->rank < 0)
        FAIL(g->ctx, DECONV_ERROR_UNSUPPORTED, "input %s has no declared shape", v->name);
    for (int d = 0; d < input->rank; d++) {
        dims[d] = input->dim[d];
        if (dims[d] < 0)
            TRY(open_dimension(g->ctx, sizes, v->name, input, d, &dims[d]));
    }
    TRY(shape_make(g->ctx, v->name, dims, (size_t)input->rank, &v->shape));
    v->from_input = true;
done:
    return status;
}

static deconv_status take_values(graph *g, const graph_sizes *sizes)
{
    const onnx_model *model = g->model;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(g->value, g->ctx, (size_t)model->n_value + 1);
    g->n_value = model->n_value;
    for (int i = 0; i < model->n_value; i++) {
        graph_value *v = &g->value[i];

        v->name = model->value[i].name;
        v->producer = v->layer = -1;
        v->shape.rank = -1;
        v->constant = model->value[i].constant;
        if (v->constant)
            v->shape = v->constant->shape;
    }
    for (int i = 0; i < model->n_input; i++)
        TRY(input_shape(g, sizes, &model->input[i]));
done:
    return status;
}

/* ---- Nodes ---- */

typedef struct operands {
    shape *shape;
    const host_tensor **constant;
    bool *is_weight;
} operands;

static deconv_status gather_operands(graph *g, const onnx_node *node, operands *x)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(x->shape, g->ctx, (size_t)node->n_in + 1);
    TRY_ALLOC(x->constant, g->ctx, (size_t)node->n_in + 1);
    TRY_ALLOC(x->is_weight, g->ctx, (size_t)node->n_in + 1);
    for (int i = 0; i < node->n_in; i++) {
        const graph_value *v = node->in[i] < 0 ? NULL : &g->value[node->in[i]];

        x->shape[i].rank = -1;
        if (!v)
            continue;
        x->shape[i] = v->shape;
        x->constant[i] = v->constant;
        x->is_weight[i] = v->constant != NULL;
    }
done:
    return status;
}

static void free_operands(deconv_ctx *ctx, operands *x)
{
    mem_free(ctx, x->shape);
    mem_free(ctx, (void *)x->constant);
    mem_free(ctx, x->is_weight);
}

/* Evaluates a node whose outputs depend on no activation. */
static deconv_status try_fold(graph *g, const onnx_node *node, const operands *x, bool *folded)
{
    host_tensor **out = NULL;
    deconv_status status = DECONV_OK;

    *folded = false;
    TRY_ALLOC(out, g->ctx, (size_t)node->n_out + 1);
    TRY(onnx_fold(g->ctx, node, g->model->opset, x->constant, x->shape, out, folded));
    for (int i = 0; *folded && i < node->n_out; i++) {
        graph_value *v = node->out[i] < 0 ? NULL : &g->value[node->out[i]];

        if (!v) {
            host_tensor_free(g->ctx, out[i]);
            continue;
        }
        v->folded = out[i];
        v->constant = out[i];
        v->shape = out[i]->shape;
    }
    for (int i = 0; *folded && i < node->n_in; i++) {
        graph_value *v = node->in[i] < 0 ? NULL : &g->value[node->in[i]];

        if (!v)
            continue;
        v->fold_reads = true;
        if (v->constant && v->constant->in_file)
            onnx_drop_constant(g->model, node->in[i]);
    }
done:
    mem_free(g->ctx, out);
    return status;
}

/* Folding wants the elements of its operands in memory, weights that were left in the file too. */
static deconv_status load_for_folding(graph *g, const onnx_node *node)
{
    deconv_status status = DECONV_OK;

    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0 && !g->value[node->in[i]].constant)
            goto done;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] >= 0)
            TRY(onnx_load_constant(g->model, node->in[i]));
done:
    return status;
}

/* An empty tensor can be the value of a shape computation but not an operand on the device. */
static deconv_status refuse_empty(deconv_ctx *ctx, const char *name, const shape *s)
{
    char text[SHAPE_TEXT];

    if (shape_count(s) > 0)
        return DECONV_OK;
    return error_set(ctx, DECONV_ERROR_UNSUPPORTED, "%s is empty (%s)", name,
                     shape_text(s, text, sizeof text));
}

static deconv_status add_node(graph *g, const onnx_node *from, const operands *x)
{
    graph_node *node = &g->node[g->n_node];
    const char *name =
        from->n_out > 0 && from->out[0] >= 0 ? g->value[from->out[0]].name : from->name;
    bool from_input = false;
    deconv_status status = DECONV_OK;

    node->in = from->in;
    node->n_in = from->n_in;
    node->out = from->out;
    node->n_out = from->n_out;
    TRY(op_create(g->ctx, from->type, name, g->model->opset, from->attrs, from->attr_count,
                  from->n_in, x->shape, x->constant, x->is_weight, from->n_out, &node->op));
    node->op->scratch = &g->scratch;
    for (int i = 0; i < from->n_in; i++) {
        if (from->in[i] >= 0)
            from_input = from_input || g->value[from->in[i]].from_input;
    }
    for (int i = 0; i < from->n_out; i++) {
        graph_value *v = from->out[i] < 0 ? NULL : &g->value[from->out[i]];

        if (!v)
            continue;
        v->shape = node->op->out_shape[i];
        TRY(refuse_empty(g->ctx, v->name, &v->shape));
        v->producer = g->n_node;
        v->from_input = from_input;
        v->layer = g->n_layer;
        g->layer[g->n_layer++] = from->out[i];
    }
    g->n_node++;
    node = NULL;
done:
    if (node)
        op_free(node->op);
    return status;
}

static deconv_status take_nodes(graph *g)
{
    onnx_model *model = g->model;
    deconv_status status = DECONV_OK;
    operands x = {0};

    TRY_ALLOC(g->node, g->ctx, (size_t)model->n_node + 1);
    TRY_ALLOC(g->layer, g->ctx, (size_t)model->n_value + 1);
    for (int i = 0; i < model->n_node; i++) {
        bool folded;

        TRY(load_for_folding(g, &model->node[i]));
        TRY(gather_operands(g, &model->node[i], &x));
        TRY(try_fold(g, &model->node[i], &x, &folded));
        if (!folded)
            TRY(add_node(g, &model->node[i], &x));
        free_operands(g->ctx, &x);
        memset(&x, 0, sizeof x);
    }
    if (g->n_node == 0)
        FAIL(g->ctx, DECONV_ERROR_FORMAT, "the network computes nothing from its inputs");
done:
    free_operands(g->ctx, &x);
    return status;
}

/* ---- Weights ---- */

/* A graph for another batch size folds what this one folded, so that a host copy which folding read
 * stays, unless the file has it too. */
static deconv_status make_weight(graph *g, int value)
{
    graph_value *v = &g->value[value];
    deconv_status status = DECONV_OK;
    weight *w = v->folded ? NULL : &g->weights[value];

    if (!v->constant || !v->constant->is_float || shape_count(&v->shape) == 0)
        goto done;
    if (v->folded)
        TRY_ALLOC(w, g->ctx, 1);
    w->ctx = g->ctx;
    w->name = v->name;
    w->model = g->model;
    w->host = v->folded ? v->folded : g->model->value[value].constant;
    w->keep_host = !v->folded && !v->constant->in_file && v->fold_reads;
    v->weight = w;
done:
    return status;
}

static deconv_status give_weights(graph *g)
{
    deconv_status status = DECONV_OK;

    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        for (int i = 0; i < node->n_in; i++) {
            if (node->in[i] < 0)
                continue;
            if (!g->value[node->in[i]].weight)
                TRY(make_weight(g, node->in[i]));
            node->op->weight[i] = g->value[node->in[i]].weight;
        }
    }
done:
    return status;
}

deconv_status graph_build(deconv_ctx *ctx, onnx_model *model, const graph_sizes *sizes,
                          weight *weights, graph **out)
{
    deconv_status status = DECONV_OK;
    graph *g = NULL;

    *out = NULL;
    TRY_ALLOC(g, ctx, 1);
    g->ctx = ctx;
    g->model = model;
    g->weights = weights;
    g->batch = sizes->batch;
    g->references = 1;
    TRY(take_values(g, sizes));
    TRY(take_nodes(g));
    TRY(give_weights(g));
    graph_choose_layouts(g);
    *out = g;
    g = NULL;
done:
    graph_drop(g);
    return status;
}

void graph_permit_approximate(graph *g)
{
    g->approximate = true;
    for (int n = 0; n < g->n_node; n++)
        g->node[n].op->approximate = true;
}

graph *graph_hold(graph *g)
{
    g->references++;
    return g;
}

void graph_drop(graph *g)
{
    if (!g || --g->references > 0)
        return;
    for (int i = 0; i < g->n_node; i++)
        op_free(g->node[i].op);
    for (int i = 0; g->value && i < g->n_value; i++) {
        if (!g->value[i].folded)
            continue;
        if (g->value[i].weight)
            weight_free(g->value[i].weight);
        mem_free(g->ctx, g->value[i].weight);
        host_tensor_free(g->ctx, g->value[i].folded);
    }
    scratch_free(&g->scratch);
    mem_free(g->ctx, g->node);
    mem_free(g->ctx, g->value);
    mem_free(g->ctx, g->layer);
    mem_free(g->ctx, g);
}

/* ---- Asking ---- */

deconv_status graph_layer(const graph *g, uint32_t layer, int *value)
{
    if (layer >= (uint32_t)g->n_layer)
        return error_set(g->ctx, DECONV_ERROR_NOT_FOUND,
                         "layer %u does not exist; the network has %d (0-%d)", layer, g->n_layer,
                         g->n_layer - 1);
    *value = g->layer[layer];
    return DECONV_OK;
}

deconv_status graph_needs(const graph *g, int from, const box *at, int to, box *out)
{
    deconv_status status = DECONV_OK;
    box *need = NULL;

    TRY_ALLOC(need, g->ctx, (size_t)g->n_value);
    for (int v = 0; v < g->n_value; v++)
        need[v] = box_empty(g->value[v].shape.rank < 0 ? 0 : g->value[v].shape.rank);
    need[from] = *at;
    for (int n = g->value[from].producer; n >= 0; n--) {
        const graph_node *node = &g->node[n];

        for (int o = 0; o < node->n_out; o++) {
            if (node->out[o] < 0 || box_is_empty(&need[node->out[o]]))
                continue;
            for (int i = 0; i < node->n_in; i++) {
                int v = node->in[i];
                box b;

                if (v < 0 || !g->value[v].from_input)
                    continue;
                b = node->op->class->needs(node->op, o, &need[node->out[o]], i);
                need[v] = box_union(&need[v], &b);
            }
        }
    }
    *out = need[to];
done:
    mem_free(g->ctx, need);
    return status;
}
