/* An ONNX file in memory: nodes in an order they can run in, values by number, constants decoded.
 * What the operators mean is not decided here; net.c builds a network from it. */
#ifndef DECONV_LIB_ONNX_MODEL_H
#define DECONV_LIB_ONNX_MODEL_H

#include "../tensor.h"

typedef struct onnx_node {
    const char *name; /* the node's own name, or its first output's where it has none */
    const char *type; /* operator, default domain only */
    deconv_attr *attrs;
    size_t attr_count;
    const host_tensor
        *value; /* a tensor attribute (Constant's and ConstantOfShape's `value`), else NULL */
    int *in;    /* value numbers, -1 where an optional input is left out */
    int n_in;   /* trailing left-out inputs are not counted */
    int *out;   /* value numbers, -1 where an output is not wanted */
    int n_out;  /* trailing ones that are not wanted count for Split only */
} onnx_node;

typedef struct onnx_value {
    const char *name;
    host_tensor *constant; /* an initializer, else NULL */
    int producer;          /* node, -1 for inputs and initializers */
} onnx_value;

typedef struct onnx_input {
    int value;
    int rank;                     /* -1: the file does not say */
    int64_t dim[DECONV_MAX_RANK]; /* -1: symbolic or unknown */
} onnx_input;

typedef struct model_file model_file;

typedef struct onnx_model {
    deconv_ctx *ctx;
    int opset;
    onnx_node *node; /* producers before consumers */
    int n_node;
    onnx_value *value;
    int n_value;
    onnx_input *input; /* graph inputs that are not initializers */
    int n_input;
    int *output; /* value numbers of the graph's outputs */
    int n_output;
    void *private; /* what the arrays point into */
    model_file *file;
} onnx_model;

/* Reads and checks a file: broken protobuf, opset outside 7..21, foreign domains, cycles, dangling
 * or doubled names, oversized or mistyped tensors and external data outside the model's folder are
 * refused. Operators are not checked here. */
deconv_status onnx_read(deconv_ctx *ctx, const char *path, onnx_model **out);
void onnx_free(onnx_model *model);

/* Elements from which on a weight is worth dropping. */
#define LARGE_CONSTANT 4096

/* Releases the elements of a large weight once the device has them: the constant keeps its shape,
 * its data is NULL, and onnx_fold does not take it for known. Nothing happens where `value` is no
 * constant. */
void onnx_drop_constant(onnx_model *model, int value);
/* Brings the elements of a constant that lie in the file into memory; nothing to do where they are
 * there. */
deconv_status onnx_load_constant(onnx_model *model, int value);
/* Copies `count` floats from element `first` of a constant, wherever they are. */
deconv_status onnx_read_constant(const onnx_model *model, const host_tensor *t, size_t first,
                                 size_t count, float *to);

/* A constant of its own, zeroed. Dimensions of 0 are allowed (empty axes, an unused roi): the data
 * of an empty constant is not NULL. */
deconv_status host_tensor_create(deconv_ctx *ctx, const shape *s, bool is_float, host_tensor **out);
void host_tensor_free(deconv_ctx *ctx, host_tensor *t);

/* Evaluates a node on the host where its outputs depend on constants and shapes only: Constant,
 * ConstantOfShape, Shape and Size of anything whose shape is known, and on constant inputs the
 * shape arithmetic that exporters leave behind and the reorderings of weights. `in[i]` is the
 * constant or NULL, `in_shape[i]` the shape (rank -1: left out). When it folds, *folded is true and
 * out[0..n_out-1] are fresh tensors, NULL for outputs that are not wanted; when it is not such a
 * node *folded is false and nothing is made; an error is a malformed one. */
deconv_status onnx_fold(deconv_ctx *ctx, const onnx_node *node, int opset,
                        const host_tensor *const *in, const shape *in_shape, host_tensor **out,
                        bool *folded);

#endif
