/* From the parsed file to a checked model: opset, values and their numbers, inputs, outputs, nodes.
 * Parsing is in message.c, attributes in node.c, constants in tensor_data.c. */
#include "reader.h"

#include <stdio.h>
#include <string.h>

typedef struct reader {
    deconv_ctx *ctx;
    const Onnx__GraphProto *graph;
    onnx_model *model;
    name_table values;       /* numbers of model->value */
    name_table initializers; /* numbers of graph->initializer */
    bool *known;             /* by value: an input, an initializer or an output of a node */
} reader;

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

/* ---- The model around the graph ---- */

static bool is_standard_domain(const char *domain)
{
    return !domain || !*domain || strcmp(domain, "ai.onnx") == 0;
}

static deconv_status check_model(deconv_ctx *ctx, const Onnx__ModelProto *message, int *opset)
{
    const Onnx__OperatorSetIdProto *standard = NULL;
    deconv_status status = DECONV_OK;

    if (!message->graph)
        FAIL(ctx, DECONV_ERROR_FORMAT, "no graph in it: not an ONNX model");
    if (message->n_functions > 0)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "it defines %zu functions of its own; inline them first (onnx.inliner in Python)",
             message->n_functions);
    for (size_t i = 0; i < message->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = message->opset_import[i];

        if (!is_standard_domain(set->domain))
            continue;
        if (standard && standard->version != set->version)
            FAIL(ctx, DECONV_ERROR_FORMAT, "it asks for two opsets, %lld and %lld",
                 (long long)standard->version, (long long)set->version);
        standard = set;
    }
    if (!standard)
        FAIL(ctx, DECONV_ERROR_FORMAT,
             "it does not say which opset it uses; %d to %d are supported", ONNX_OPSET_MIN,
             ONNX_OPSET_MAX);
    if (standard->version < ONNX_OPSET_MIN || standard->version > ONNX_OPSET_MAX)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "opset %lld; %d to %d are supported (onnx.version_converter in Python changes it)",
             (long long)standard->version, ONNX_OPSET_MIN, ONNX_OPSET_MAX);
    if (message->graph->n_sparse_initializer > 0)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "%zu of its weights are sparse; store them dense",
             message->graph->n_sparse_initializer);
    *opset = (int)standard->version;
done:
    return status;
}

/* ---- Room ---- */

static deconv_status make_room(reader *r)
{
    const Onnx__GraphProto *graph = r->graph;
    size_t most = graph->n_input + graph->n_output;
    deconv_status status = DECONV_OK;

    for (size_t i = 0; i < graph->n_node; i++)
        most += graph->node[i]->n_input + graph->node[i]->n_output;
    TRY(name_table_create(r->ctx, most, &r->values));
    TRY(name_table_create(r->ctx, graph->n_initializer, &r->initializers));
    TRY_ALLOC(r->known, r->ctx, most + 1);
    TRY_ALLOC(r->model->value, r->ctx, most + 1);
    TRY_ALLOC(r->model->node, r->ctx, graph->n_node + 1);
    TRY_ALLOC(r->model->input, r->ctx, graph->n_input + 1);
    TRY_ALLOC(r->model->output, r->ctx, graph->n_output + 1);
done:
    return status;
}

/* The number of value `name`, which is made when it is new. */
static int number(reader *r, const char *name)
{
    int value = name_table_add(&r->values, name);

    if (value == r->model->n_value) {
        r->model->value[value].name = name;
        r->model->value[value].producer = -1;
        r->model->n_value++;
    }
    return value;
}

/* ---- Initializers and inputs ---- */

static deconv_status list_initializers(reader *r)
{
    deconv_status status = DECONV_OK;

    for (size_t i = 0; i < r->graph->n_initializer; i++) {
        const char *name = text_or_empty(r->graph->initializer[i]->name);

        if (!*name)
            FAIL(r->ctx, DECONV_ERROR_FORMAT, "initializer %zu has no name", i);
        TRY(name_check(r->ctx, "an initializer", name));
        if (name_table_find(&r->initializers, name) >= 0)
            FAIL(r->ctx, DECONV_ERROR_FORMAT, "initializer '%s' is in the file twice", name);
        name_table_add(&r->initializers, name);
    }
done:
    return status;
}

static deconv_status input_dims(reader *r, const char *name, const Onnx__TensorShapeProto *from,
                                onnx_input *input)
{
    deconv_status status = DECONV_OK;
    int64_t count = 1;

    if (from->n_dim > DECONV_MAX_RANK)
        FAIL(r->ctx, DECONV_ERROR_UNSUPPORTED,
             "input '%s' has %zu dimensions; at most %d are supported", name, from->n_dim,
             DECONV_MAX_RANK);
    input->rank = (int)from->n_dim;
    for (int d = 0; d < input->rank; d++) {
        const Onnx__TensorShapeProto__Dimension *dim = from->dim[d];
        bool open = !dim->has_dim_value || dim->dim_value == -1;
        int64_t size = open ? 1 : dim->dim_value;

        if (size < 1)
            FAIL(r->ctx, DECONV_ERROR_FORMAT,
                 "input '%s': dimension %d is %lld; it must be at least 1, or open", name, d,
                 (long long)size);
        if (size > INT32_MAX / count)
            FAIL(r->ctx, DECONV_ERROR_UNSUPPORTED,
                 "input '%s' is too large at dimension %d (%lld); a tensor holds at most "
                 "2147483647 elements",
                 name, d, (long long)size);
        count *= size;
        input->dim[d] = open ? -1 : size;
    }
done:
    return status;
}

static deconv_status take_input(reader *r, const Onnx__ValueInfoProto *from)
{
    const char *name = text_or_empty(from->name);
    deconv_status status = DECONV_OK;
    onnx_input *input;

    if (!*name)
        FAIL(r->ctx, DECONV_ERROR_FORMAT, "an input has no name");
    TRY(name_check(r->ctx, "an input", name));
    if (name_table_find(&r->initializers, name) >= 0)
        goto done; /* a weight that a caller may replace; here it is just a weight */
    if (name_table_find(&r->values, name) >= 0)
        FAIL(r->ctx, DECONV_ERROR_FORMAT, "input '%s' is listed twice", name);
    input = &r->model->input[r->model->n_input++];
    input->value = number(r, name);
    input->rank = -1;
    r->known[input->value] = true;
    if (!from->type)
        goto done;
    if (!from->type->tensor_type)
        FAIL(r->ctx, DECONV_ERROR_UNSUPPORTED,
             "input '%s' is not a tensor (a sequence, map, optional or sparse one)", name);
    if (from->type->tensor_type->elem_type &&
        !element_type_is_float(from->type->tensor_type->elem_type))
        FAIL(r->ctx, DECONV_ERROR_UNSUPPORTED,
             "input '%s' holds %s; inputs must be float32 (or another float)", name,
             element_type_name(from->type->tensor_type->elem_type));
    if (from->type->tensor_type->shape)
        TRY(input_dims(r, name, from->type->tensor_type->shape, input));
done:
    return status;
}

/* ---- Nodes ---- */

static deconv_status name_node(reader *r, const Onnx__NodeProto *from, size_t index,
                               onnx_node *node)
{
    deconv_status status = DECONV_OK;

    node->type = text_or_empty(from->op_type);
    node->name = text_or_empty(from->name);
    TRY(name_check(r->ctx, "a node", node->name));
    TRY(name_check(r->ctx, "an operator", node->type));
    TRY(name_check(r->ctx, "a domain", from->domain));
    for (size_t i = 0; !*node->name && i < from->n_output; i++) {
        TRY(name_check(r->ctx, "an output", from->output[i]));
        node->name = from->output[i];
    }
    if (!*node->name)
        FAIL(r->ctx, DECONV_ERROR_FORMAT, "node %zu (%.40s) has neither a name nor an output",
             index, node->type);
    if (!*node->type)
        FAIL(r->ctx, DECONV_ERROR_FORMAT, "node %s has no operator", node->name);
    if (!is_standard_domain(from->domain))
        NODE_FAIL(r->ctx, node, DECONV_ERROR_UNSUPPORTED,
                  "its operator belongs to domain '%.100s'; only those of the ONNX standard are "
                  "supported",
                  from->domain);
done:
    return status;
}

static size_t without_trailing_empty(char *const *names, size_t count)
{
    while (count > 0 && !*names[count - 1])
        count--;
    return count;
}

static deconv_status take_outputs(reader *r, const Onnx__NodeProto *from, int index)
{
    onnx_node *node = &r->model->node[index];
    /* Into how many parts Split splits is the number of its outputs, wanted or not. */
    bool all = strcmp(node->type, "Split") == 0;
    size_t count = without_trailing_empty(from->output, from->n_output);
    deconv_status status = DECONV_OK;

    if (count == 0)
        NODE_FAIL(r->ctx, node, DECONV_ERROR_FORMAT, "it has no output");
    count = all ? from->n_output : count;
    TRY_ALLOC(node->out, r->ctx, count);
    for (size_t i = 0; i < count; i++) {
        const char *name = from->output[i];
        int value;

        node->out[node->n_out++] = -1;
        if (!*name)
            continue;
        TRY(name_check(r->ctx, "an output", name));
        if (name_table_find(&r->initializers, name) >= 0)
            NODE_FAIL(r->ctx, node, DECONV_ERROR_FORMAT,
                      "output '%s' is the name of an initializer too", name);
        value = number(r, name);
        if (r->known[value]) {
            int other = r->model->value[value].producer;

            NODE_FAIL(r->ctx, node, DECONV_ERROR_FORMAT, "output '%s' is already %s%s", name,
                      other < 0 ? "an input of the graph" : "produced by node ",
                      other < 0 ? "" : r->model->node[other].name);
        }
        r->known[value] = true;
        r->model->value[value].producer = index;
        node->out[i] = value;
    }
done:
    return status;
}

/* The number of a value that must exist, decoding it if it is an initializer not met before; -1 and
 * no error where nothing has that name. */
static deconv_status find_value(reader *r, const char *name, int *out)
{
    const model_file *file = r->model->file;
    int value = name_table_find(&r->values, name);
    deconv_status status = DECONV_OK;
    char *what = NULL;
    int initializer;

    *out = value;
    if (value >= 0)
        goto done;
    initializer = name_table_find(&r->initializers, name);
    if (initializer < 0)
        goto done;
    what = mem_printf(r->ctx, "initializer '%.100s'", name);
    if (!what) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    value = number(r, name);
    TRY(tensor_decode(r->ctx, file, what, r->graph->initializer[initializer],
                      file->place ? &file->place[initializer] : NULL,
                      &r->model->value[value].constant));
    *out = value;
done:
    mem_free(r->ctx, what);
    return status;
}

static deconv_status take_inputs(reader *r, const Onnx__NodeProto *from, onnx_node *node)
{
    size_t count = without_trailing_empty(from->input, from->n_input);
    deconv_status status = DECONV_OK;

    TRY_ALLOC(node->in, r->ctx, count + 1);
    for (size_t i = 0; i < count; i++) {
        const char *name = from->input[i];

        node->in[node->n_in++] = -1;
        if (!*name)
            continue;
        TRY(name_check(r->ctx, "a node's input", name));
        TRY(find_value(r, name, &node->in[i]));
        if (node->in[i] < 0)
            NODE_FAIL(r->ctx, node, DECONV_ERROR_FORMAT, "input '%s' is produced by nothing", name);
    }
done:
    return status;
}

/* Outputs of all nodes come before the inputs of any: a name that is still unknown then is one that
 * nothing produces. */
static deconv_status take_nodes(reader *r)
{
    const Onnx__GraphProto *graph = r->graph;
    onnx_model *model = r->model;
    deconv_status status = DECONV_OK;

    for (size_t i = 0; i < graph->n_node; i++) {
        TRY(name_node(r, graph->node[i], i, &model->node[i]));
        model->n_node++;
        TRY(take_outputs(r, graph->node[i], (int)i));
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        TRY(take_inputs(r, graph->node[i], &model->node[i]));
        TRY(node_attributes(r->ctx, r->model->file, graph->node[i], &model->node[i]));
    }
done:
    return status;
}

/* ---- Everything ---- */

static deconv_status take_graph_outputs(reader *r)
{
    const Onnx__GraphProto *graph = r->graph;
    deconv_status status = DECONV_OK;

    if (graph->n_output == 0)
        FAIL(r->ctx, DECONV_ERROR_FORMAT, "the graph has no outputs");
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = text_or_empty(graph->output[i]->name);
        int value = -1;

        TRY(name_check(r->ctx, "an output", name));
        if (*name)
            TRY(find_value(r, name, &value));
        if (value < 0)
            FAIL(r->ctx, DECONV_ERROR_FORMAT, "output '%s' of the graph is produced by nothing",
                 name);
        r->model->output[r->model->n_output++] = value;
    }
done:
    return status;
}

static deconv_status read_graph(reader *r)
{
    const Onnx__GraphProto *graph = r->graph;
    deconv_status status = DECONV_OK;

    TRY(make_room(r));
    TRY(list_initializers(r));
    for (size_t i = 0; i < graph->n_input; i++)
        TRY(take_input(r, graph->input[i]));
    TRY(take_nodes(r));
    TRY(take_graph_outputs(r));
    TRY(order_nodes(r->model));
    for (size_t i = 0; i < graph->n_initializer; i++) /* those that nothing uses */
        tensor_release_data(r->ctx, graph->initializer[i]);
done:
    return status;
}

static deconv_status open_model(deconv_ctx *ctx, const char *path, onnx_model **out)
{
    deconv_status status = DECONV_OK;
    onnx_model *model = NULL;
    Onnx__ModelProto *message;

    *out = NULL;
    TRY_ALLOC(model, ctx, 1);
    *out = model;
    model->ctx = ctx;
    TRY_ALLOC(model->file, ctx, 1);
    model->file->fd = -1;
    model->file->path = mem_strdup(ctx, path);
    if (!model->file->path) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(message_read(ctx, path, model->file, &message));
    model->private = message;
done:
    return status;
}

deconv_status onnx_read(deconv_ctx *ctx, const char *path, onnx_model **out)
{
    deconv_status status = DECONV_OK;
    const Onnx__ModelProto *message;
    reader r = {.ctx = ctx};

    *out = NULL;
    TRY(open_model(ctx, path, &r.model));
    message = r.model->private;
    r.graph = message->graph;
    status = check_model(ctx, message, &r.model->opset);
    if (status == DECONV_OK)
        status = read_graph(&r);
    if (status != DECONV_OK) {
        error_prefix(ctx, "%s", path);
        goto done;
    }
    *out = r.model;
    r.model = NULL;
done:
    name_table_free(ctx, &r.values);
    name_table_free(ctx, &r.initializers);
    mem_free(ctx, r.known);
    onnx_free(r.model);
    return status;
}
