/* One node of an ONNX file: its attributes, and messages that name it. What the attributes mean is
 * for the operators to decide. */
#include "reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

deconv_status node_error(deconv_ctx *ctx, const onnx_node *node, deconv_status code,
                         const char *format, ...)
{
    char text[768];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(ctx, code, "node %.100s (%.40s): %s", node->name, node->type, text);
}

typedef Onnx__AttributeProto__AttributeType attr_type;

/* Files of the first IR version have no types: the field that is there says it. */
static attr_type type_of(const Onnx__AttributeProto *from)
{
    if (from->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED)
        return from->type;
    if (from->has_i)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    if (from->has_f)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    if (from->has_s)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    if (from->n_ints)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    if (from->n_floats)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    if (from->t)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    if (from->has_g || from->n_graphs)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
    return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
}

static const char *type_text(attr_type type)
{
    static const char *const text[] = {
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED] = "nothing",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR] = "a tensor",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH] = "a subgraph",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS] = "a list of strings",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSORS] = "a list of tensors",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPHS] = "a list of subgraphs",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR] = "a sparse tensor",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSORS] = "a list of sparse tensors",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO] = "a type",
        [ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTOS] = "a list of types",
    };
    size_t index = (size_t)type;

    return index < sizeof text / sizeof text[0] && text[index] ? text[index] : "something unknown";
}

/* The bytes of a STRING as text of their own, for they do not end in a zero. */
static deconv_status take_string(deconv_ctx *ctx, const onnx_node *node,
                                 const Onnx__AttributeProto *from, const char **out)
{
    deconv_status status = DECONV_OK;
    char *text;

    if (from->s.len > 0 && memchr(from->s.data, 0, from->s.len))
        NODE_FAIL(ctx, node, DECONV_ERROR_FORMAT, "attribute %s has a zero byte in its text",
                  from->name);
    TRY_ALLOC(text, ctx, from->s.len + 1);
    if (from->s.len > 0)
        memcpy(text, from->s.data, from->s.len);
    *out = text;
done:
    return status;
}

static deconv_status take_tensor(deconv_ctx *ctx, const model_file *file,
                                 Onnx__AttributeProto *from, onnx_node *node)
{
    bool has_value =
        strcmp(node->type, "Constant") == 0 || strcmp(node->type, "ConstantOfShape") == 0;
    deconv_status status = DECONV_OK;
    host_tensor *value = NULL;
    char *what = NULL;

    if (!has_value || strcmp(from->name, "value") != 0)
        NODE_FAIL(ctx, node, DECONV_ERROR_UNSUPPORTED,
                  "attribute %s is a tensor; only the value of Constant and ConstantOfShape may be",
                  from->name);
    if (!from->t)
        NODE_FAIL(ctx, node, DECONV_ERROR_FORMAT, "its value has no tensor");
    what = mem_printf(ctx, "node %.100s (%s): its value", node->name, node->type);
    if (!what) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(tensor_decode(ctx, file, what, from->t, NULL, &value));
    node->value = value;
done:
    mem_free(ctx, what);
    return status;
}

static deconv_status take_attribute(deconv_ctx *ctx, const model_file *file,
                                    Onnx__AttributeProto *from, onnx_node *node)
{
    deconv_attr attr = {.name = from->name, .count = 1};
    deconv_status status = DECONV_OK;

    if (from->ref_attr_name && *from->ref_attr_name)
        NODE_FAIL(ctx, node, DECONV_ERROR_FORMAT,
                  "attribute %s refers to an attribute of a function, and this is none",
                  from->name);
    switch (type_of(from)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        attr.type = DECONV_ATTR_INTS;
        attr.ints = &from->i;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        attr.type = DECONV_ATTR_INTS;
        attr.ints = from->ints;
        attr.count = from->n_ints;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        attr.type = DECONV_ATTR_FLOATS;
        attr.floats = &from->f;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        attr.type = DECONV_ATTR_FLOATS;
        attr.floats = from->floats;
        attr.count = from->n_floats;
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        attr.type = DECONV_ATTR_STRING;
        attr.count = 0;
        TRY(take_string(ctx, node, from, &attr.string));
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        TRY(take_tensor(ctx, file, from, node));
        goto done;
    default:
        NODE_FAIL(ctx, node, DECONV_ERROR_UNSUPPORTED,
                  "attribute %s is %s; numbers, lists of numbers and single strings are supported",
                  from->name, type_text(type_of(from)));
    }
    node->attrs[node->attr_count++] = attr;
done:
    return status;
}

deconv_status node_attributes(deconv_ctx *ctx, const model_file *file, const Onnx__NodeProto *from,
                              onnx_node *node)
{
    deconv_status status = DECONV_OK;
    name_table names = {0};

    TRY_ALLOC(node->attrs, ctx, from->n_attribute + 1);
    TRY(name_table_create(ctx, from->n_attribute, &names));
    for (size_t i = 0; i < from->n_attribute; i++) {
        Onnx__AttributeProto *attr = from->attribute[i];

        if (!attr->name || !*attr->name)
            NODE_FAIL(ctx, node, DECONV_ERROR_FORMAT, "attribute %zu has no name", i);
        TRY(name_check(ctx, "an attribute", attr->name));
        if (name_table_find(&names, attr->name) >= 0)
            NODE_FAIL(ctx, node, DECONV_ERROR_FORMAT, "attribute %s is given twice", attr->name);
        name_table_add(&names, attr->name);
        TRY(take_attribute(ctx, file, attr, node));
    }
done:
    name_table_free(ctx, &names);
    return status;
}
