/* A model file without its large weights: what is parsed, and where in the file the rest lies. */
#ifndef DECONV_LIB_ONNX_OUTLINE_H
#define DECONV_LIB_ONNX_OUTLINE_H

#include "../context.h"

/* Raw data of fewer bytes is parsed like everything else. */
#define LARGE_WEIGHT 16384

/* Raw data that was left out; 0 bytes: none. */
typedef struct raw_place {
    uint64_t offset, bytes;
} raw_place;

typedef struct outline {
    uint8_t *bytes; /* an ONNX message; mem_free() */
    size_t size;
    raw_place *place; /* of each initializer of the graph, in their order; mem_free() */
    size_t count;
} outline;

/* Copies the message in a plain file of `size` bytes but for the raw data of large initializers,
 * which is not read at all. *whole is false where the file is no well-formed message: nothing is
 * made then, and parsing it as it stands says what is wrong. */
deconv_status outline_read(deconv_ctx *ctx, const char *path, int fd, uint64_t size, outline *out,
                           bool *whole);

#endif
