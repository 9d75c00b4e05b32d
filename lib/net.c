/* Opening a network and asking about its layers. Running it is trace.c's. */
#include "net.h"
#include "options.h"

#include <string.h>

void deconv_net_options_init(deconv_net_options *options)
{
    *options = (deconv_net_options)DECONV_NET_OPTIONS_INIT;
}

void deconv_layer_info_init(deconv_layer_info *info)
{
    *info = (deconv_layer_info)DECONV_LAYER_INFO_INIT;
}

/* ---- Opening ---- */

/* The batch that the file fixes: the number in front of the first input; 0 where it is open. */
static int64_t batch_of(const onnx_model *model)
{
    const onnx_input *first = &model->input[0];

    if (first->rank < 1)
        return 1;
    return first->dim[0] < 0 ? 0 : first->dim[0];
}

deconv_status deconv_net_open(deconv_ctx *ctx, const char *path, const deconv_net_options *options,
                              deconv_net **out)
{
    deconv_net_options given = DECONV_NET_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    deconv_net *net = NULL;

    *out = NULL;
    TRY(OPTIONS_READ(ctx, &given, options));
    TRY_ALLOC(net, ctx, 1);
    net->ctx = ctx;
    TRY(onnx_read(ctx, path, &net->model));
    if (net->model->n_input == 0)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "%s: the network has no input", path);
    TRY_ALLOC(net->weights, ctx, (size_t)net->model->n_value + 1);
    net->fixed_batch = batch_of(net->model);
    net->sizes.batch = net->fixed_batch ? net->fixed_batch : 1;
    net->sizes.height = given.height;
    net->sizes.width = given.width;
    TRY(graph_build(ctx, net->model, &net->sizes, net->weights, &net->graph));
    *out = net;
    net = NULL;
done:
    deconv_net_destroy(net);
    return status;
}

void deconv_net_destroy(deconv_net *net)
{
    if (!net)
        return;
    graph_drop(net->graph);
    graph_drop(net->recent);
    for (int v = 0; net->weights && v < net->model->n_value; v++)
        weight_free(&net->weights[v]);
    mem_free(net->ctx, net->weights);
    mem_free(net->ctx, net->tuning_path);
    onnx_free(net->model);
    mem_free(net->ctx, net);
}

deconv_status net_graph(deconv_net *net, int64_t batch, bool approximate, graph **out)
{
    deconv_status status = DECONV_OK;
    graph_sizes sizes = net->sizes;

    *out = NULL;
    if (batch < 1)
        FAIL(net->ctx, DECONV_ERROR_INVALID, "a batch of %lld pictures; it must be at least 1",
             (long long)batch);
    if (batch == net->graph->batch && !approximate) {
        *out = graph_hold(net->graph);
        goto done;
    }
    if (net->fixed_batch && batch != net->fixed_batch)
        FAIL(
            net->ctx, DECONV_ERROR_UNSUPPORTED,
            "the file fixes the batch at %lld; for a batch of %lld export the network with an open "
            "batch dimension",
            (long long)net->fixed_batch, (long long)batch);
    if (!net->recent || net->recent->batch != batch || net->recent->approximate != approximate) {
        graph_drop(net->recent);
        net->recent = NULL;
        sizes.batch = batch;
        TRY(graph_build(net->ctx, net->model, &sizes, net->weights, &net->recent));
        if (approximate)
            graph_permit_approximate(net->recent);
    }
    *out = graph_hold(net->recent);
done:
    return status;
}

/* ---- Layers ---- */

uint32_t deconv_net_layer_count(const deconv_net *net)
{
    return (uint32_t)net->graph->n_layer;
}

deconv_status deconv_net_find(const deconv_net *net, const char *name, uint32_t *index)
{
    const graph *g = net->graph;
    deconv_status status = DECONV_OK;
    const char **names = NULL;
    char near[256];

    TRY_ALLOC(names, net->ctx, (size_t)g->n_layer + 1);
    for (int i = 0; i < g->n_layer; i++) {
        names[i] = g->value[g->layer[i]].name;
        if (strcmp(names[i], name) == 0) {
            *index = (uint32_t)i;
            goto done;
        }
    }
    nearest_names(name, names, (size_t)g->n_layer, 4, near, sizeof near);
    FAIL(net->ctx, DECONV_ERROR_NOT_FOUND, "no layer is called %s; the nearest names are %s", name,
         near);
done:
    mem_free(net->ctx, (void *)names);
    return status;
}

/* Inputs that hold settings, not something learned. */
static bool is_setting(const op *op)
{
    static const char *const types[] = {"Resize", "Upsample", "Pad", "Clip", "Slice", "Dropout"};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(op->class->type, types[i]) == 0)
            return true;
    return false;
}

static uint64_t parameters_of(const graph *g, const graph_node *node)
{
    uint64_t count = 0;

    for (int i = 0; i < node->n_in && !is_setting(node->op); i++) {
        const graph_value *v = node->in[i] < 0 ? NULL : &g->value[node->in[i]];

        if (v && v->constant && v->constant->is_float)
            count += (uint64_t)shape_count(&v->shape);
    }
    return count;
}

/* A box of one unit, all maps: position (y, x) of the first picture. */
static deconv_status unit_box(const graph *g, int value, int64_t y, int64_t x, box *out)
{
    const graph_value *v = &g->value[value];
    const shape *s = &v->shape;
    int64_t at[2] = {y, x};
    deconv_status status = DECONV_OK;

    *out = box_whole(s);
    if (s->rank > 1)
        out->to[0] = 1;
    for (int i = 0; i < 2; i++) {
        int d = s->rank - 2 + i;
        int64_t size = d >= 2 ? s->dim[d] : 1;

        if (at[i] < 0 || at[i] >= size)
            FAIL(g->ctx, DECONV_ERROR_INVALID, "%s: %s %lld is outside the map; it has 0-%lld",
                 v->name, i ? "column" : "row", (long long)at[i], (long long)size - 1);
        if (d >= 2) {
            out->from[d] = at[i];
            out->to[d] = at[i] + 1;
        }
    }
done:
    return status;
}

static deconv_status field_of(const graph *g, int value, int64_t y, int64_t x, box *out)
{
    deconv_status status = DECONV_OK;
    box unit;

    TRY(unit_box(g, value, y, x, &unit));
    TRY(graph_needs(g, value, &unit, g->model->input[0].value, out));
done:
    return status;
}

static int64_t extent(const box *b, int from_end)
{
    int d = b->rank - from_end;

    return d < 0 || box_is_empty(b) ? 0 : b->to[d] - b->from[d];
}

static deconv_status describe_layer(const graph *g, uint32_t index, deconv_layer_info *info)
{
    const graph_value *v;
    deconv_status status = DECONV_OK;
    box field;
    int value;

    TRY(graph_layer(g, index, &value));
    v = &g->value[value];
    info->rank = (uint32_t)v->shape.rank;
    memset(info->shape, 0, sizeof info->shape);
    for (int d = 0; d < v->shape.rank; d++)
        info->shape[d] = v->shape.dim[d];
    info->name = v->name;
    info->op_type = g->node[v->producer].op->class->type;
    info->parameters = parameters_of(g, &g->node[v->producer]);
    info->field_height = info->field_width = 0;
    if (v->from_input && v->shape.rank >= 2) {
        int64_t y = v->shape.rank >= 4 ? v->shape.dim[v->shape.rank - 2] / 2 : 0;
        int64_t x = v->shape.rank >= 3 ? v->shape.dim[v->shape.rank - 1] / 2 : 0;

        TRY(field_of(g, value, y, x, &field));
        info->field_width = extent(&field, 1);
        info->field_height = field.rank >= 4 ? extent(&field, 2) : 1;
    }
done:
    return status;
}

deconv_status deconv_net_layer(deconv_net *net, uint32_t index, deconv_layer_info *info)
{
    deconv_layer_info full = DECONV_LAYER_INFO_INIT;
    deconv_status status = DECONV_OK;

    TRY(describe_layer(net->graph, index, &full));
    TRY(OPTIONS_WRITE(net->ctx, info, &full));
done:
    return status;
}

deconv_status deconv_net_field(deconv_net *net, uint32_t layer, int64_t y, int64_t x, int64_t *top,
                               int64_t *left, int64_t *bottom, int64_t *right)
{
    const graph *g = net->graph;
    deconv_status status = DECONV_OK;
    box field;
    int value, d;

    TRY(graph_layer(g, layer, &value));
    TRY(field_of(g, value, y, x, &field));
    d = field.rank - 2;
    if (d < 1)
        FAIL(net->ctx, DECONV_ERROR_UNSUPPORTED,
             "the network's input has %d dimensions; a receptive field needs positions",
             field.rank);
    *top = d >= 2 ? field.from[d] : 0;
    *bottom = d >= 2 ? field.to[d] : 1;
    *left = field.from[d + 1];
    *right = field.to[d + 1];
done:
    return status;
}

/* ---- Inputs and outputs ---- */

uint32_t deconv_net_input_count(const deconv_net *net)
{
    return (uint32_t)net->model->n_input;
}

deconv_status deconv_net_input(const deconv_net *net, uint32_t index, const char **name,
                               int64_t *dims, uint32_t *rank, int64_t *fixed_batch)
{
    const graph_value *v;

    if (index >= (uint32_t)net->model->n_input)
        return error_set(net->ctx, DECONV_ERROR_NOT_FOUND,
                         "input %u does not exist; the network has %d", index, net->model->n_input);
    v = &net->graph->value[net->model->input[index].value];
    *name = v->name;
    *rank = (uint32_t)v->shape.rank;
    for (int d = 0; d < v->shape.rank; d++)
        dims[d] = v->shape.dim[d];
    *fixed_batch = net->fixed_batch;
    return DECONV_OK;
}

uint32_t deconv_net_output_count(const deconv_net *net)
{
    return (uint32_t)net->model->n_output;
}

deconv_status deconv_net_output(const deconv_net *net, uint32_t index, uint32_t *layer)
{
    const graph *g = net->graph;
    const graph_value *v;

    if (index >= (uint32_t)net->model->n_output)
        return error_set(net->ctx, DECONV_ERROR_NOT_FOUND,
                         "output %u does not exist; the network has %d", index,
                         net->model->n_output);
    v = &g->value[net->model->output[index]];
    if (v->layer < 0)
        return error_set(net->ctx, DECONV_ERROR_UNSUPPORTED,
                         "output %s is not computed by a layer: it is an input or a constant",
                         v->name);
    *layer = (uint32_t)v->layer;
    return DECONV_OK;
}

deconv_status deconv_net_classifier(const deconv_net *net, uint32_t *probabilities,
                                    uint32_t *logits)
{
    const graph *g = net->graph;
    deconv_status status = DECONV_OK;
    const graph_node *node;
    int source;

    TRY(deconv_net_output(net, 0, probabilities));
    *logits = *probabilities;
    node = &g->node[g->value[g->layer[*probabilities]].producer];
    source = node->in[0];
    if (strcmp(node->op->class->type, "Softmax") == 0 ||
        strcmp(node->op->class->type, "LogSoftmax") == 0)
        if (source >= 0 && g->value[source].layer >= 0)
            *logits = (uint32_t)g->value[source].layer;
done:
    return status;
}
