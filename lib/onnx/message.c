/* The file as a protobuf message, parsed into memory of the context. Names and lists of the model
 * point into it, so it lives as long as the model does. */
#include "reader.h"

#include <unistd.h>

#include "../file.h"

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

/* The bytes to parse: all but large weights of a plain file, all of a stream. */
static deconv_status read_bytes(deconv_ctx *ctx, const char *path, model_file *file,
                                uint8_t **bytes, size_t *size)
{
    deconv_status status = DECONV_OK;
    uint64_t file_size;
    bool whole = false;
    outline out;

    TRY(file_open(ctx, path, FILE_LIMIT, &file->fd, &file_size));
    if (file->fd >= 0)
        file->state = file_state_of(file->fd);
    if (file->fd >= 0)
        TRY(outline_read(ctx, path, file->fd, file_size, &out, &whole));
    if (whole) {
        *bytes = out.bytes;
        *size = out.size;
        file->place = out.place;
        file->places = out.count;
    } else {
        TRY(file_read(ctx, path, FILE_LIMIT, bytes, size));
    }
done:
    return status;
}

deconv_status message_read(deconv_ctx *ctx, const char *path, model_file *file,
                           Onnx__ModelProto **out)
{
    message_memory memory = {ctx, false};
    ProtobufCAllocator allocator = {message_alloc, message_release, &memory};
    deconv_status status = DECONV_OK;
    uint8_t *bytes = NULL;
    size_t size = 0, initializers;

    *out = NULL;
    TRY(read_bytes(ctx, path, file, &bytes, &size));
    if (size == 0)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: the file is empty; an ONNX model was expected", path);
    *out = onnx__model_proto__unpack(&allocator, size, bytes);
    if (!*out && memory.ran_out) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    initializers = *out && (*out)->graph ? (*out)->graph->n_initializer : 0;
    if (!*out || (file->place && file->places != initializers))
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: not an ONNX file, or a damaged or incomplete one",
             path);
done:
    mem_free(ctx, bytes);
    if (status != DECONV_OK) {
        message_free(ctx, *out);
        *out = NULL;
    }
    return status;
}

void message_free(deconv_ctx *ctx, Onnx__ModelProto *message)
{
    message_memory memory = {ctx, false};
    ProtobufCAllocator allocator = {message_alloc, message_release, &memory};

    onnx__model_proto__free_unpacked(message, &allocator);
}

void model_file_close(deconv_ctx *ctx, model_file *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    mem_free(ctx, file->path);
    mem_free(ctx, file->place);
    mem_free(ctx, file);
}
