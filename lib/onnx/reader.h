/* What the files of the ONNX reader share while a file is being read. Nobody outside this folder
 * includes it: it shows the generated protobuf code. */
#ifndef DECONV_LIB_ONNX_READER_H
#define DECONV_LIB_ONNX_READER_H

#include "../file.h"
#include "model.h"
#include "node_error.h"
#include "onnx.pb-c.h"
#include "outline.h"

#define ONNX_OPSET_MIN 7
#define ONNX_OPSET_MAX 21

/* ---- The file (message.c) ---- */

/* The file that a model was read from: open as long as the model lives, for its large weights. */
struct model_file {
    char *path;
    int fd;           /* -1: everything was read */
    file_state state; /* when it was opened */
    raw_place *place; /* raw data that was not, of each initializer; NULL: of none */
    size_t places;
};
void model_file_close(deconv_ctx *ctx, model_file *file);

/* Opens file->path and parses what is there besides large weights. */
deconv_status message_read(deconv_ctx *ctx, const char *path, model_file *file,
                           Onnx__ModelProto **out);
void message_free(deconv_ctx *ctx, Onnx__ModelProto *message);

/* ---- Names to numbers (name_table.c) ---- */

typedef struct name_table {
    const char **name; /* by number; the texts belong to somebody else */
    int count;
    int *slot;
    size_t slots; /* a power of two */
} name_table;

/* Room for `most` names. */
deconv_status name_table_create(deconv_ctx *ctx, size_t most, name_table *table);
void name_table_free(deconv_ctx *ctx, name_table *table);
/* The number of a name, -1 where it is not known. */
int name_table_find(const name_table *table, const char *name);
/* The same; a new name gets the next number. */
int name_table_add(name_table *table, const char *name);

/* Refuses text that is not UTF-8 or has control characters; `what` says whose it is. NULL is "". */
deconv_status name_check(deconv_ctx *ctx, const char *what, const char *text);

/* ---- Tensors (tensor_data.c, external.c) ---- */

/* "float32", "int64", ...: never NULL. */
const char *element_type_name(int32_t type);
bool element_type_is_float(int32_t type);
bool element_type_is_integer(int32_t type); /* or bool */

/* Decodes a tensor of the file; large float32 data moves out of `proto` instead of being copied, or
 * stays where `place` says that it lies in `file` (place NULL or of 0 bytes: it is in `proto`).
 * `what` starts the messages ("initializer 'w'"), file->path leads to external data. */
deconv_status tensor_decode(deconv_ctx *ctx, const model_file *file, const char *what,
                            Onnx__TensorProto *proto, const raw_place *place, host_tensor **out);
/* Releases the elements that a tensor of the file still holds. */
void tensor_release_data(deconv_ctx *ctx, Onnx__TensorProto *proto);

/* The `expected` bytes of a tensor that are in another file in the model's folder. */
deconv_status external_read(deconv_ctx *ctx, const char *path, const char *what,
                            const Onnx__TensorProto *proto, size_t expected, uint8_t **bytes);

/* ---- Nodes (node.c, order.c) ---- */

/* Attributes of a node whose name and type are set. */
deconv_status node_attributes(deconv_ctx *ctx, const model_file *file, const Onnx__NodeProto *from,
                              onnx_node *node);

/* Puts producers before consumers and leaves an order that is right as it is; names a cycle. */
deconv_status order_nodes(onnx_model *model);

#endif
