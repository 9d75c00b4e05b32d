/* One walk down the levels of a model file that lead to its weights: model, graph, initializer. All
 * is copied as it stands except the raw data of large initializers. The lengths around what was
 * left out shrink in place: a varint may be longer than it needs to be. */
#include "outline.h"

#include <string.h>

#include "../file.h"

#define WINDOW      65536
#define OUTPUT_ROOM 16384

typedef enum level { LEVEL_MODEL, LEVEL_GRAPH, LEVEL_TENSOR } level;

/* Field numbers of onnx.proto. */
enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, TENSOR_RAW_DATA = 9 };

/* Wire types of protobuf; groups (3 and 4) are no part of ONNX. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct walker {
    deconv_ctx *ctx;
    const char *path;
    int fd;
    uint64_t size, at;
    uint8_t *window;
    uint64_t window_at;
    size_t window_size;
    outline *out;
    size_t room, places;
    bool broken; /* not a well-formed message */
} walker;

static deconv_status more_room(deconv_ctx *ctx, void **list, size_t used, size_t *room, size_t size)
{
    size_t larger = *room ? 2 * *room : OUTPUT_ROOM / size;
    void *moved = mem_alloc(ctx, larger, size, "the contents of an ONNX file");

    if (!moved)
        return DECONV_ERROR_NO_MEMORY;
    if (used)
        memcpy(moved, *list, used * size);
    mem_free(ctx, *list);
    *list = moved;
    *room = larger;
    return DECONV_OK;
}

/* ---- From the file to the outline ---- */

/* How many bytes stand ready at the place of the walk; 0 at the end of the file. */
static deconv_status fill(walker *w, size_t *ready, const uint8_t **bytes)
{
    deconv_status status = DECONV_OK;

    if (w->at < w->window_at || w->at >= w->window_at + w->window_size) {
        uint64_t left = w->size - w->at;

        w->window_size = left < WINDOW ? (size_t)left : WINDOW;
        w->window_at = w->at;
        TRY(file_read_at(w->ctx, w->path, w->fd, w->at, w->window_size, w->window));
    }
    *bytes = w->window + (w->at - w->window_at);
    *ready = w->window_size - (size_t)(w->at - w->window_at);
done:
    return status;
}

static deconv_status copy(walker *w, uint64_t count)
{
    deconv_status status = DECONV_OK;

    while (count > 0) {
        const uint8_t *bytes;
        size_t ready;

        TRY(fill(w, &ready, &bytes));
        ready = ready < count ? ready : (size_t)count;
        while (w->out->size + ready > w->room)
            TRY(more_room(w->ctx, (void **)&w->out->bytes, w->out->size, &w->room, 1));
        memcpy(w->out->bytes + w->out->size, bytes, ready);
        w->out->size += ready;
        w->at += ready;
        count -= ready;
    }
done:
    return status;
}

/* Copies a varint that ends before `end`. */
static deconv_status copy_varint(walker *w, uint64_t end, uint64_t *value)
{
    deconv_status status = DECONV_OK;

    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (w->at >= end)
            break;
        TRY(copy(w, 1));
        byte = w->out->bytes[w->out->size - 1];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            goto done;
    }
    w->broken = true;
done:
    return status;
}

/* ---- Fields ---- */

static deconv_status add_place(walker *w)
{
    deconv_status status = DECONV_OK;

    if (w->out->count == w->places)
        TRY(more_room(w->ctx, (void **)&w->out->place, w->out->count, &w->places,
                      sizeof *w->out->place));
    w->out->place[w->out->count++] = (raw_place){0, 0};
done:
    return status;
}

/* Writes `value` over the varint at from..to of the outline, which is long enough for it. */
static void shrink_length(walker *w, size_t from, size_t to, uint64_t value)
{
    for (size_t i = from; i < to; i++, value >>= 7)
        w->out->bytes[i] = (uint8_t)((value & 0x7f) | (i + 1 < to ? 0x80 : 0));
}

static deconv_status copy_fields(walker *w, level depth, uint64_t end);

/* A field of `length` bytes whose tag began at `tag` of the outline and its length at `from`. */
static deconv_status copy_bytes(walker *w, level depth, uint64_t field, uint64_t length, size_t tag,
                                size_t from)
{
    raw_place *last = w->out->count ? &w->out->place[w->out->count - 1] : NULL;
    bool nested = (depth == LEVEL_MODEL && field == MODEL_GRAPH) ||
                  (depth == LEVEL_GRAPH && field == GRAPH_INITIALIZER);
    size_t body = w->out->size;
    deconv_status status = DECONV_OK;

    if (nested) {
        if (depth == LEVEL_GRAPH)
            TRY(add_place(w));
        TRY(copy_fields(w, depth + 1, w->at + length));
        shrink_length(w, from, body, w->out->size - body);
    } else if (depth == LEVEL_TENSOR && field == TENSOR_RAW_DATA) {
        *last = (raw_place){w->at, length < LARGE_WEIGHT ? 0 : length};
        if (last->bytes) {
            w->out->size = tag;
            w->at += length;
        } else {
            TRY(copy(w, length));
        }
    } else {
        TRY(copy(w, length));
    }
done:
    return status;
}

static deconv_status copy_fields(walker *w, level depth, uint64_t end)
{
    deconv_status status = DECONV_OK;

    while (w->at < end && !w->broken) {
        size_t tag = w->out->size, from;
        uint64_t key, length = 0;

        TRY(copy_varint(w, end, &key));
        from = w->out->size;
        if (w->broken)
            break;
        if ((key & 7) == WIRE_VARINT || (key & 7) == WIRE_BYTES)
            TRY(copy_varint(w, end, &length));
        else
            length = (key & 7) == WIRE_64 ? 8 : 4;
        w->broken = w->broken || ((key & 7) > WIRE_BYTES && (key & 7) != WIRE_32) ||
                    ((key & 7) != WIRE_VARINT && length > end - w->at);
        if (!w->broken && (key & 7) != WIRE_VARINT)
            TRY((key & 7) == WIRE_BYTES ? copy_bytes(w, depth, key >> 3, length, tag, from)
                                        : copy(w, length));
    }
done:
    return status;
}

deconv_status outline_read(deconv_ctx *ctx, const char *path, int fd, uint64_t size, outline *out,
                           bool *whole)
{
    walker w = {.ctx = ctx, .path = path, .fd = fd, .size = size, .out = out};
    deconv_status status = DECONV_OK;

    *whole = false;
    memset(out, 0, sizeof *out);
    TRY_ALLOC(w.window, ctx, WINDOW);
    TRY(copy_fields(&w, LEVEL_MODEL, size));
    *whole = !w.broken;
done:
    mem_free(ctx, w.window);
    if (!*whole) {
        mem_free(ctx, out->bytes);
        mem_free(ctx, out->place);
        memset(out, 0, sizeof *out);
    }
    return status;
}
