/* Device memory. Tensors, which know what is in it, are in ../tensor.c. */
#include <stdio.h>
#include <string.h>

#include "device.h"

#define GUARD_BYTE 0xa5
#define NAN_BYTE   0xff /* four of them are a NaN */

/* ---- Creation ---- */

static deconv_status create_memory(device *d, size_t bytes, const char *what, cl_mem *out)
{
    cl_mem_flags flags = CL_MEM_READ_WRITE | (d->limits.host_memory ? CL_MEM_ALLOC_HOST_PTR : 0);
    cl_int code;

    *out = d->api.CreateBuffer(d->context, flags, bytes, NULL, &code);
    if (!*out)
        return cl_failed(d->ctx, code, "clCreateBuffer", "%zu bytes for %s", bytes, what);
    return DECONV_OK;
}

/* The data as a part of something larger, with a pattern before and behind it. */
static deconv_status create_guarded(device *d, buffer *b)
{
    const unsigned char guard = GUARD_BYTE, nan = NAN_BYTE;
    size_t align = d->base_alignment;
    cl_buffer_region region;
    deconv_status status;
    cl_int code;

    b->guard = (d->guard + align - 1) / align * align;
    region = (cl_buffer_region){b->guard, b->bytes};
    TRY(create_memory(d, b->guard + b->bytes + b->guard, b->what, &b->whole));
    b->memory = d->api.CreateSubBuffer(b->whole, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION,
                                       &region, &code);
    if (!b->memory)
        FAIL(d->ctx, DECONV_ERROR_DEVICE, "clCreateSubBuffer: %s (%d): %zu bytes at %zu for %s",
             cl_code_name(code), (int)code, b->bytes, b->guard, b->what);
    TRY_QUEUE(d, false, EnqueueFillBuffer,
              (d->queue, b->whole, &guard, 1, 0, b->guard, 0, NULL, NULL), "guard of %s", b->what);
    TRY_QUEUE(d, false, EnqueueFillBuffer,
              (d->queue, b->whole, &nan, 1, b->guard, b->bytes, 0, NULL, NULL), "NaN for %s",
              b->what);
    TRY_QUEUE(d, false, EnqueueFillBuffer,
              (d->queue, b->whole, &guard, 1, b->guard + b->bytes, b->guard, 0, NULL, NULL),
              "guard of %s", b->what);
    b->next = d->guarded;
    d->guarded = b;
done:
    return status;
}

deconv_status buffer_create(deconv_ctx *ctx, size_t bytes, const char *what, buffer **out)
{
    device *d = ctx_device(ctx);
    buffer *b = NULL;
    deconv_status status;

    *out = NULL;
    if (bytes == 0)
        FAIL(ctx, DECONV_ERROR_INVALID, "device memory of 0 bytes for %s; at least 1 is needed",
             what);
    if (bytes > d->limits.max_allocation)
        FAIL(ctx, DECONV_ERROR_NO_MEMORY,
             "no memory: %zu bytes for %s; device %s allows %llu bytes in one buffer", bytes, what,
             d->info.name, (unsigned long long)d->limits.max_allocation);
    TRY(device_check(d));
    TRY_ALLOC(b, ctx, 1);
    b->device = d;
    b->bytes = bytes;
    snprintf(b->what, sizeof b->what, "%s", what);
    pthread_mutex_lock(&d->buffer_lock);
    status = d->guard > 0 ? create_guarded(d, b) : create_memory(d, bytes, what, &b->memory);
    d->held += bytes;
    d->most_held = d->held > d->most_held ? d->held : d->most_held;
    pthread_mutex_unlock(&d->buffer_lock);
done:
    if (status != DECONV_OK)
        buffer_free(b);
    else
        *out = b;
    return status;
}

void buffer_free(buffer *b)
{
    if (!b)
        return;

    device *d = b->device;

    pthread_mutex_lock(&d->buffer_lock);
    d->held -= b->bytes;
    for (buffer **at = &d->guarded; *at; at = &(*at)->next) {
        if (*at == b) {
            *at = b->next;
            break;
        }
    }
    pthread_mutex_unlock(&d->buffer_lock);
    if (b->memory)
        d->api.ReleaseMemObject(b->memory);
    if (b->whole)
        d->api.ReleaseMemObject(b->whole);
    mem_free(d->ctx, b);
}

size_t buffer_size(const buffer *b)
{
    return b->bytes;
}

/* ---- Transfers ---- */

static deconv_status check_range(deconv_ctx *ctx, const char *verb, const buffer *b, size_t offset,
                                 size_t bytes)
{
    if (offset <= b->bytes && bytes <= b->bytes - offset)
        return DECONV_OK;
    return error_set(ctx, DECONV_ERROR_INVALID, "%s %zu bytes at %zu of %s, which has %zu bytes",
                     verb, bytes, offset, b->what, b->bytes);
}

deconv_status buffer_write(deconv_ctx *ctx, buffer *b, size_t offset, size_t bytes,
                           const void *values)
{
    device *d = b->device;
    deconv_status status;

    TRY(check_range(ctx, "writing", b, offset, bytes));
    if (bytes > 0)
        TRY_QUEUE(d, true, EnqueueWriteBuffer,
                  (d->queue, b->memory, CL_TRUE, offset, bytes, values, 0, NULL, NULL),
                  "%zu bytes to %s", bytes, b->what);
done:
    return status;
}

deconv_status buffer_read(deconv_ctx *ctx, const buffer *b, size_t offset, size_t bytes,
                          void *values)
{
    device *d = b->device;
    deconv_status status;

    TRY(check_range(ctx, "reading", b, offset, bytes));
    if (bytes > 0)
        TRY_QUEUE(d, true, EnqueueReadBuffer,
                  (d->queue, b->memory, CL_TRUE, offset, bytes, values, 0, NULL, NULL),
                  "%zu bytes from %s", bytes, b->what);
done:
    return status;
}

deconv_status buffer_copy(deconv_ctx *ctx, const buffer *from, size_t from_offset, buffer *to,
                          size_t to_offset, size_t bytes)
{
    device *d = to->device;
    deconv_status status;

    TRY(check_range(ctx, "copying", from, from_offset, bytes));
    TRY(check_range(ctx, "copying to", to, to_offset, bytes));
    if (bytes > 0)
        TRY_QUEUE(
            d, false, EnqueueCopyBuffer,
            (d->queue, from->memory, to->memory, from_offset, to_offset, bytes, 0, NULL, NULL),
            "%zu bytes from %s to %s", bytes, from->what, to->what);
done:
    return status;
}

deconv_status buffer_fill(deconv_ctx *ctx, buffer *b, size_t offset, size_t bytes, float value)
{
    device *d = b->device;
    deconv_status status;

    TRY(check_range(ctx, "filling", b, offset, bytes));
    if (offset % sizeof value != 0 || bytes % sizeof value != 0)
        FAIL(ctx, DECONV_ERROR_INVALID, "filling %zu bytes at %zu of %s: not whole floats", bytes,
             offset, b->what);
    if (bytes > 0)
        TRY_QUEUE(d, false, EnqueueFillBuffer,
                  (d->queue, b->memory, &value, sizeof value, offset, bytes, 0, NULL, NULL),
                  "%zu bytes of %s", bytes, b->what);
done:
    return status;
}

/* ---- Views ---- */

static deconv_status map_view(device *d, buffer_view *v)
{
    const cl_map_flags flags =
        v->access == VIEW_READ ? CL_MAP_READ : CL_MAP_WRITE_INVALIDATE_REGION;
    deconv_status status;
    cl_int code;

    TRY(device_check(d));
    v->at = d->api.EnqueueMapBuffer(d->queue, v->buffer->memory, CL_TRUE, flags, v->offset,
                                    v->bytes, 0, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        v->at = NULL;
        status = device_failed(d, code, true, "clEnqueueMapBuffer", "%zu bytes at %zu of %s",
                               v->bytes, v->offset, v->buffer->what);
        goto done;
    }
    v->mapped = true;
done:
    return status;
}

static deconv_status copy_view(deconv_ctx *ctx, buffer_view *v)
{
    deconv_status status = DECONV_OK;
    unsigned char *copy = NULL;

    TRY_ALLOC(copy, ctx, v->bytes);
    if (v->access == VIEW_READ)
        TRY(buffer_read(ctx, v->buffer, v->offset, v->bytes, copy));
    v->at = copy;
    copy = NULL;
done:
    mem_free(ctx, copy);
    return status;
}

deconv_status buffer_view_open(deconv_ctx *ctx, const buffer *b, size_t offset, size_t bytes,
                               view_access access, buffer_view *v)
{
    device *d = b->device;
    deconv_status status;

    *v = (buffer_view){.buffer = (buffer *)b, .offset = offset, .bytes = bytes, .access = access};
    TRY(check_range(ctx, "looking at", b, offset, bytes));
    if (bytes == 0)
        FAIL(ctx, DECONV_ERROR_INVALID, "looking at 0 bytes of %s; at least 1 is wanted", b->what);
    TRY(d->limits.host_memory ? map_view(d, v) : copy_view(ctx, v));
done:
    return status;
}

deconv_status buffer_view_close(buffer_view *v)
{
    device *d = v->buffer ? v->buffer->device : NULL;
    deconv_status status = DECONV_OK;

    if (!v->at)
        goto done;
    if (v->mapped)
        TRY_QUEUE(d, false, EnqueueUnmapMemObject,
                  (d->queue, v->buffer->memory, v->at, 0, NULL, NULL), "%zu bytes of %s", v->bytes,
                  v->buffer->what);
    else if (v->access == VIEW_WRITE)
        TRY(buffer_write(d->ctx, v->buffer, v->offset, v->bytes, v->at));
done:
    if (v->at && !v->mapped)
        mem_free(d->ctx, v->at);
    *v = (buffer_view){0};
    return status;
}

void buffer_view_drop(buffer_view *v)
{
    device *d = v->buffer ? v->buffer->device : NULL;

    if (v->at && v->mapped)
        d->api.EnqueueUnmapMemObject(d->queue, v->buffer->memory, v->at, 0, NULL, NULL);
    else if (v->at)
        mem_free(d->ctx, v->at);
    *v = (buffer_view){0};
}

/* ---- Guards ---- */

void buffers_set_guards(deconv_ctx *ctx, size_t bytes)
{
    device *d = ctx_device(ctx);

    pthread_mutex_lock(&d->buffer_lock);
    d->guard = bytes;
    pthread_mutex_unlock(&d->buffer_lock);
}

/* Index of the first byte that is not the pattern; `size` when all are. */
static size_t first_change(const unsigned char *bytes, size_t size)
{
    size_t i = 0;

    while (i < size && bytes[i] == GUARD_BYTE)
        i++;
    return i;
}

static deconv_status check_guard(device *d, const buffer *b, unsigned char *bytes)
{
    deconv_status status = DECONV_OK;
    size_t at;

    TRY_QUEUE(d, true, EnqueueReadBuffer,
              (d->queue, b->whole, CL_TRUE, 0, b->guard, bytes, 0, NULL, NULL), "guard of %s",
              b->what);
    at = first_change(bytes, b->guard);
    if (at < b->guard)
        FAIL(d->ctx, DECONV_ERROR_DEVICE,
             "%s (%zu bytes): a kernel wrote before its beginning, first at byte -%zu", b->what,
             b->bytes, b->guard - at);
    TRY_QUEUE(d, true, EnqueueReadBuffer,
              (d->queue, b->whole, CL_TRUE, b->guard + b->bytes, b->guard, bytes, 0, NULL, NULL),
              "guard of %s", b->what);
    at = first_change(bytes, b->guard);
    if (at < b->guard)
        FAIL(d->ctx, DECONV_ERROR_DEVICE,
             "%s (%zu bytes): a kernel wrote behind its end, first at byte %zu", b->what, b->bytes,
             b->bytes + at);
done:
    return status;
}

deconv_status buffers_check_guards(deconv_ctx *ctx)
{
    device *d = ctx_device(ctx);
    unsigned char *bytes = NULL;
    deconv_status status = device_wait(ctx);

    if (status != DECONV_OK)
        return status;
    pthread_mutex_lock(&d->buffer_lock);
    for (const buffer *b = d->guarded; b; b = b->next) {
        TRY_ALLOC(bytes, ctx, b->guard);
        TRY(check_guard(d, b, bytes));
        mem_free(ctx, bytes);
        bytes = NULL;
    }
done:
    pthread_mutex_unlock(&d->buffer_lock);
    mem_free(ctx, bytes);
    return status;
}
