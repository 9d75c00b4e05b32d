/* Builds ONNX files message by message, right and wrong ones, through the reader's own schema. What
 * is built is released as a whole. */
#ifndef DECONV_TESTS_ONNX_BUILD_H
#define DECONV_TESTS_ONNX_BUILD_H

#include "files.h"

#include "onnx.pb-c.h"
#include "onnx/model.h"

#define BUILD_LIST    128 /* entries of any list */
#define BUILD_PIECES  4096

#define TYPE_OF(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name
#define ATTR_OF(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

typedef struct build {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset;
    void *piece[BUILD_PIECES];
    int pieces;
} build;

static inline void *build_keep(build *b, size_t size)
{
    void *piece = calloc(1, size);

    assert_non_null(piece);
    assert_true(b->pieces < BUILD_PIECES);
    b->piece[b->pieces++] = piece;
    return piece;
}

static inline char *build_text(build *b, const char *text)
{
    return strcpy(build_keep(b, strlen(text) + 1), text);
}

/* Room for a list of pointers. */
static inline void *build_list(build *b)
{
    return build_keep(b, BUILD_LIST * sizeof(void *));
}

static inline void build_start(build *b)
{
    memset(b, 0, sizeof *b);
    onnx__model_proto__init(&b->model);
    onnx__graph_proto__init(&b->graph);
    onnx__operator_set_id_proto__init(&b->opset);
    b->model.graph = &b->graph;
    b->model.has_ir_version = 1;
    b->model.ir_version = 8;
    b->model.opset_import = build_list(b);
    b->model.opset_import[b->model.n_opset_import++] = &b->opset;
    b->opset.domain = build_text(b, "");
    b->opset.has_version = 1;
    b->opset.version = 13;
    b->graph.node = build_list(b);
    b->graph.initializer = build_list(b);
    b->graph.input = build_list(b);
    b->graph.output = build_list(b);
}

static inline void build_free(build *b)
{
    for (int i = 0; i < b->pieces; i++)
        free(b->piece[i]);
}

/* Names between spaces; "-" is one left out. */
static inline size_t build_names(build *b, const char *text, char ***names)
{
    size_t count = 0;

    *names = build_list(b);
    while (*text) {
        size_t length = strcspn(text, " ");
        char *name = build_keep(b, length + 1);

        assert_true(count < BUILD_LIST);
        memcpy(name, text, length);
        if (strcmp(name, "-") == 0)
            *name = 0;
        (*names)[count++] = name;
        text += length;
        text += *text == ' ';
    }
    return count;
}

static inline Onnx__NodeProto *build_node(build *b, const char *type, const char *name,
                                          const char *in, const char *out)
{
    Onnx__NodeProto *node = build_keep(b, sizeof *node);

    onnx__node_proto__init(node);
    node->op_type = build_text(b, type);
    node->name = build_text(b, name);
    node->n_input = build_names(b, in, &node->input);
    node->n_output = build_names(b, out, &node->output);
    node->attribute = build_list(b);
    assert_true(b->graph.n_node < BUILD_LIST);
    b->graph.node[b->graph.n_node++] = node;
    return node;
}

static inline Onnx__AttributeProto *build_attr(build *b, Onnx__NodeProto *node, const char *name,
                                               Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *attr = build_keep(b, sizeof *attr);

    onnx__attribute_proto__init(attr);
    attr->name = build_text(b, name);
    attr->has_type = 1;
    attr->type = type;
    assert_true(node->n_attribute < BUILD_LIST);
    node->attribute[node->n_attribute++] = attr;
    return attr;
}

static inline void build_ints(build *b, Onnx__NodeProto *node, const char *name, size_t count,
                              const int64_t *values)
{
    Onnx__AttributeProto *attr = build_attr(b, node, name, ATTR_OF(INTS));

    attr->n_ints = count;
    attr->ints = build_keep(b, count * sizeof *values + 1);
    memcpy(attr->ints, values, count * sizeof *values);
}

static inline ProtobufCBinaryData build_bytes(build *b, const void *bytes, size_t size)
{
    ProtobufCBinaryData data = {size, build_keep(b, size + 1)};

    memcpy(data.data, bytes, size);
    return data;
}

static inline Onnx__TensorProto *build_tensor(build *b, const char *name, int32_t type, size_t rank,
                                              const int64_t *dims)
{
    Onnx__TensorProto *t = build_keep(b, sizeof *t);

    onnx__tensor_proto__init(t);
    t->name = build_text(b, name);
    t->has_data_type = 1;
    t->data_type = type;
    t->n_dims = rank;
    t->dims = build_keep(b, rank * sizeof *dims + 1);
    if (rank > 0)
        memcpy(t->dims, dims, rank * sizeof *dims);
    return t;
}

static inline void build_raw(build *b, Onnx__TensorProto *t, const void *bytes, size_t size)
{
    t->has_raw_data = 1;
    t->raw_data = build_bytes(b, bytes, size);
}

static inline void build_external(build *b, Onnx__TensorProto *t, const char *key,
                                  const char *value)
{
    Onnx__StringStringEntryProto *entry = build_keep(b, sizeof *entry);

    onnx__string_string_entry_proto__init(entry);
    entry->key = build_text(b, key);
    entry->value = build_text(b, value);
    if (!t->external_data)
        t->external_data = build_list(b);
    t->external_data[t->n_external_data++] = entry;
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* A tensor in the graph, all in one list. */
static inline Onnx__TensorProto *build_initializer(build *b, const char *name, int32_t type,
                                                   size_t rank, const int64_t *dims)
{
    Onnx__TensorProto *t = build_tensor(b, name, type, rank, dims);

    assert_true(b->graph.n_initializer < BUILD_LIST);
    b->graph.initializer[b->graph.n_initializer++] = t;
    return t;
}

static inline Onnx__ValueInfoProto *build_value(build *b, const char *name)
{
    Onnx__ValueInfoProto *value = build_keep(b, sizeof *value);

    onnx__value_info_proto__init(value);
    value->name = build_text(b, name);
    return value;
}

/* A dimension of 0 is one with a symbol in place of a size. */
static inline Onnx__ValueInfoProto *build_input(build *b, const char *name, int32_t type,
                                                size_t rank, const int64_t *dims)
{
    Onnx__ValueInfoProto *value = build_value(b, name);
    Onnx__TensorShapeProto *shape_of = build_keep(b, sizeof *shape_of);

    value->type = build_keep(b, sizeof *value->type);
    onnx__type_proto__init(value->type);
    value->type->tensor_type = build_keep(b, sizeof *value->type->tensor_type);
    onnx__type_proto__tensor__init(value->type->tensor_type);
    onnx__tensor_shape_proto__init(shape_of);
    value->type->tensor_type->has_elem_type = 1;
    value->type->tensor_type->elem_type = type;
    value->type->tensor_type->shape = shape_of;
    shape_of->dim = build_list(b);
    for (size_t d = 0; d < rank; d++) {
        Onnx__TensorShapeProto__Dimension *dim = build_keep(b, sizeof *dim);

        onnx__tensor_shape_proto__dimension__init(dim);
        dim->has_dim_value = dims[d] != 0;
        dim->dim_value = dims[d];
        dim->dim_param = dims[d] ? NULL : build_text(b, "batch");
        shape_of->dim[shape_of->n_dim++] = dim;
    }
    b->graph.input[b->graph.n_input++] = value;
    return value;
}

static inline void build_output(build *b, const char *name)
{
    b->graph.output[b->graph.n_output++] = build_value(b, name);
}

/* The file's bytes, released by free(). */
static inline uint8_t *build_pack(const build *b, size_t *size)
{
    uint8_t *bytes = malloc(onnx__model_proto__get_packed_size(&b->model) + 1);

    assert_non_null(bytes);
    *size = onnx__model_proto__pack(&b->model, bytes);
    return bytes;
}

static inline deconv_status build_read(const fixture *f, const build *b, onnx_model **model)
{
    size_t size;
    uint8_t *bytes = build_pack(b, &size);
    const char *path = put_file(f, "model.onnx", bytes, size);

    free(bytes);
    return onnx_read(f->ctx, path, model);
}

/* x (Nx3x4x4) -> conv1 -> c -> relu1 -> r -> flat -> y, with weights w (raw) and b (typed). */
static inline void build_small(build *b)
{
    static const int64_t x_dims[] = {0, 3, 4, 4}, w_dims[] = {2, 3, 1, 1}, b_dims[] = {2};
    static const int64_t ones[] = {1, 1};
    static const float w[] = {1, 2, 3, 4, 5, 6};
    Onnx__AttributeProto *pad;
    Onnx__NodeProto *conv;
    Onnx__TensorProto *bias;

    build_start(b);
    build_input(b, "x", TYPE_OF(FLOAT), 4, x_dims);
    build_raw(b, build_initializer(b, "w", TYPE_OF(FLOAT), 4, w_dims), w, sizeof w);
    bias = build_initializer(b, "b", TYPE_OF(FLOAT), 1, b_dims);
    bias->n_float_data = 2;
    bias->float_data = build_keep(b, 2 * sizeof(float));
    bias->float_data[1] = 0.5f;
    conv = build_node(b, "Conv", "conv1", "x w b", "c");
    build_ints(b, conv, "kernel_shape", 2, ones);
    pad = build_attr(b, conv, "auto_pad", ATTR_OF(STRING));
    pad->has_s = 1;
    pad->s = build_bytes(b, "VALID", 5);
    build_node(b, "Relu", "relu1", "c", "r");
    build_node(b, "Flatten", "flat", "r", "y");
    build_output(b, "y");
}

#endif
