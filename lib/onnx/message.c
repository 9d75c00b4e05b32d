/* The file as a protobuf message, parsed into memory of the context. Names and lists of the model
 * point into it, so it lives as long as the model does. */
#include "../file.h"
#include "reader.h"

/* protobuf's own limit for a message */
#define FILE_LIMIT INT32_MAX

typedef struct message_memory {
    deconv_ctx *ctx;
    bool ran_out;
} message_memory;

static void *message_alloc(void *user, size_t size)
{
    message_memory *memory = user;
    void *got = mem_alloc(memory->ctx, size ? size : 1, 1, "the contents of an ONNX file");

    memory->ran_out = memory->ran_out || !got;
    return got;
}

static void message_release(void *user, void *pointer)
{
    mem_free(((message_memory *)user)->ctx, pointer);
}

deconv_status message_read(deconv_ctx *ctx, const char *path, Onnx__ModelProto **out)
{
    message_memory memory = {ctx, false};
    ProtobufCAllocator allocator = {message_alloc, message_release, &memory};
    deconv_status status = DECONV_OK;
    uint8_t *bytes = NULL;
    size_t size;

    *out = NULL;
    TRY(file_read(ctx, path, FILE_LIMIT, &bytes, &size));
    if (size == 0)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: the file is empty; an ONNX model was expected", path);
    *out = onnx__model_proto__unpack(&allocator, size, bytes);
    if (!*out && memory.ran_out)
        status = DECONV_ERROR_NO_MEMORY;
    else if (!*out)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: not an ONNX file, or a damaged or incomplete one",
             path);
done:
    mem_free(ctx, bytes);
    return status;
}

void message_free(deconv_ctx *ctx, Onnx__ModelProto *message)
{
    message_memory memory = {ctx, false};
    ProtobufCAllocator allocator = {message_alloc, message_release, &memory};

    onnx__model_proto__free_unpacked(message, &allocator);
}
