/* Host memory through the context's allocator. Device memory is in opencl/buffer.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context_private.h"

bool size_mul(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

void *mem_try(deconv_ctx *ctx, size_t bytes)
{
    size_t size = bytes ? bytes : 1; /* NULL means failure, so nothing asks for 0 bytes */
    void *memory;

    if (!ctx || !ctx->allocate)
        return calloc(1, size);
    memory = ctx->allocate(size, ctx->allocator_user);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void *mem_alloc(deconv_ctx *ctx, size_t count, size_t size, const char *what)
{
    size_t bytes;
    void *memory;

    if (!size_mul(count, size, &bytes)) {
        error_set(ctx, DECONV_ERROR_NO_MEMORY, "no memory: %zu times %zu bytes for %s", count, size,
                  what);
        return NULL;
    }
    memory = mem_try(ctx, bytes);
    if (!memory)
        error_set(ctx, DECONV_ERROR_NO_MEMORY, "no memory: %zu bytes for %s", bytes, what);
    return memory;
}

void mem_free(deconv_ctx *ctx, void *memory)
{
    if (!memory)
        return;
    if (ctx && ctx->allocate)
        ctx->release(memory, ctx->allocator_user);
    else
        free(memory);
}

char *mem_strdup(deconv_ctx *ctx, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mem_alloc(ctx, size, 1, "text");

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

char *mem_printf(deconv_ctx *ctx, const char *format, ...)
{
    va_list args;
    char *text;
    int length;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        error_set(ctx, DECONV_ERROR_NO_MEMORY, "no memory: text of a format that has no length");
        return NULL;
    }
    text = mem_alloc(ctx, (size_t)length + 1, 1, "text");
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}
