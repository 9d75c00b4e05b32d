/* Messages about one node, while it is read and while it is folded. */
#ifndef DECONV_LIB_ONNX_NODE_ERROR_H
#define DECONV_LIB_ONNX_NODE_ERROR_H

#include "model.h"

/* "node NAME (TYPE): ..." as message; returns `code`. */
deconv_status node_error(deconv_ctx *ctx, const onnx_node *node, deconv_status code,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

#define NODE_FAIL(ctx, node, code, ...)                                                            \
    do {                                                                                           \
        status = node_error((ctx), (node), (code), __VA_ARGS__);                                   \
        goto done;                                                                                 \
    } while (0)

#endif
