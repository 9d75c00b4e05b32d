/* Pictures from files. stb_image decodes; what it lets pass or leaves to its caller is settled
 * here: files that end early, sizes, alpha, 16 bits per channel. */
#include <stdlib.h>
#include <string.h>

#include "../file.h"
#include "picture.h"

/* The decoder lives in this file alone, under names that no other copy in the program can clash
 * with. Its memory starts zeroed: stb_image 2.27 shows uninitialised memory for some broken files.
 */
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS PICTURE_MAX_SIDE
#define STBI_ASSERT(x)      ((void)0)
#define STBI_MALLOC(size)   calloc(1, size)
#define STBI_REALLOC        realloc
#define STBI_FREE           free
#if defined(__GNUC__) /* gcc reports unused functions at the end of the file: no pop would help */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#endif
#if defined(__GNUC__) && !defined(__clang__) /* it counts on integers that wrap around */
#pragma GCC push_options
#pragma GCC optimize("wrapv")
#endif
#include <stb/stb_image.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#define FILE_LIMIT ((size_t)1 << 30)

/* The file as stb_image sees it. It takes every byte behind the end for a zero, so the reader keeps
 * note of whether it asked for one. */
typedef struct stream {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    const char *window; /* stb_image's own buffer, which it fills as far as the file goes */
    bool overrun;
} stream;

static int stream_read(void *user, char *data, int size)
{
    stream *s = user;
    size_t left = s->size - s->at;
    size_t take = (size_t)size < left ? (size_t)size : left;

    if (!s->window)
        s->window = data;
    if (data == s->window ? take == 0 : take < (size_t)size)
        s->overrun = true;
    memcpy(data, s->bytes + s->at, take);
    s->at += take;
    return (int)take;
}

static void stream_skip(void *user, int count)
{
    stream *s = user;
    size_t left = s->size - s->at;

    if (count > 0)
        s->at += (size_t)count < left ? (size_t)count : left;
}

static int stream_eof(void *user)
{
    const stream *s = user;

    return s->at >= s->size;
}

static const stbi_io_callbacks stream_calls = {stream_read, stream_skip, stream_eof};

/* Whatever stb_image would take for a JPEG: it lets fill bytes stand before the first marker. */
static bool is_jpeg(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0xFF && (bytes[1] == 0xD8 || bytes[1] == 0xFF);
}

/* Of `channels` (grey, grey and alpha, RGB, RGBA) to RGB; alpha shows mid-grey behind the picture.
 */
static void to_rgb(const uint8_t *from, int channels, int64_t count, uint8_t *to)
{
    bool colour = channels >= 3;
    bool alpha = channels % 2 == 0;

    for (int64_t i = 0; i < count; i++, from += channels, to += PICTURE_CHANNELS) {
        int a = alpha ? from[channels - 1] : 255;

        for (int c = 0; c < PICTURE_CHANNELS; c++)
            to[c] =
                (uint8_t)((from[colour ? c : 0] * a + PICTURE_MID_GREY * (255 - a) + 127) / 255);
    }
}

/* In place: the 8-bit value lies in front of what is still to be read. */
static uint8_t *to_8_bits(uint16_t *samples, int64_t count)
{
    uint8_t *bytes = (uint8_t *)samples;

    for (int64_t i = 0; i < count; i++) {
        uint16_t value;

        memcpy(&value, bytes + 2 * i, sizeof value);
        bytes[i] = (uint8_t)((value * 255u + 32767u) / 65535u);
    }
    return bytes;
}

/* Whether the file says by its first bytes that it is a PNG, GIF or BMP. TGA has no such sign. */
static bool has_signature(const uint8_t *bytes, size_t size)
{
    return (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0) ||
           (size >= 6 && memcmp(bytes, "GIF8", 4) == 0) ||
           (size >= 18 && memcmp(bytes, "BM", 2) == 0);
}

/* Why stb_image gave up. Its words are short, but they say what a wrong file has. */
static deconv_status stb_failure(deconv_ctx *ctx, const char *path, stream *s, const char **reason)
{
    *reason = stbi_failure_reason();
    if (!*reason || strcmp(*reason, "unknown image type") == 0)
        *reason = "it is in none of these formats";
    if (strcmp(*reason, "outofmem") == 0) {
        *reason = NULL;
        return error_set(ctx, DECONV_ERROR_NO_MEMORY, "no memory: %s: decoding the picture", path);
    }
    if (strcmp(*reason, "too large") == 0 && !s->overrun) {
        *reason = NULL;
        return error_set(ctx, DECONV_ERROR_UNSUPPORTED,
                         "%s: the picture is too large: at most %d pixels a side and %lld in all "
                         "are possible",
                         path, PICTURE_MAX_SIDE, (long long)PICTURE_MAX_PIXELS);
    }
    return DECONV_ERROR_FORMAT;
}

static uint8_t *stb_load(stream *s, bool wide, int *width, int *height, int *channels)
{
    uint16_t *samples;

    if (!wide)
        return stbi_load_from_callbacks(&stream_calls, s, width, height, channels, 0);
    samples = stbi_load_16_from_callbacks(&stream_calls, s, width, height, channels, 0);
    return samples ? to_8_bits(samples, (int64_t)*width * *height * *channels) : NULL;
}

/* *reason: why the file is refused; NULL when the message is already set. */
static deconv_status stb_decode(deconv_ctx *ctx, const char *path, stream *s, picture **out,
                                const char **reason)
{
    stream head = *s;
    int width = 0, height = 0, channels = 0;
    bool known, wide;
    uint8_t *samples = NULL;
    deconv_status status;

    known = stbi_info_from_callbacks(&stream_calls, &head, &width, &height, &channels);
    if (known)
        TRY(picture_check_size(ctx, path, width, height < 0 ? -(int64_t)height : height));
    head = *s;
    wide = known && stbi_is_16_bit_from_callbacks(&stream_calls, &head);
    samples = stb_load(s, wide, &width, &height, &channels); /* not known: for its reason alone */
    s->overrun = s->overrun && (known || has_signature(s->bytes, s->size));
    if (!samples || !known || s->overrun) {
        status = stb_failure(ctx, path, s, reason);
        goto done;
    }
    TRY(picture_alloc(ctx, path, width, height, out));
    to_rgb(samples, channels, (int64_t)width * height, (*out)->pixels);
done:
    stbi_image_free(samples);
    return status;
}

static deconv_status decode(deconv_ctx *ctx, const char *path, const uint8_t *bytes, size_t size,
                            picture **out)
{
    stream s = {.bytes = bytes, .size = size};
    const char *reason = NULL;
    bool cut = false;
    deconv_status status = DECONV_OK;

    if (pnm_is(bytes, size)) {
        status = pnm_decode(ctx, path, bytes, size, out, &reason, &cut);
    } else {
        if (is_jpeg(bytes, size))
            reason = jpeg_check(bytes, size, &cut);
        if (reason)
            status = DECONV_ERROR_FORMAT;
        else
            status = stb_decode(ctx, path, &s, out, &reason);
        cut = cut || s.overrun;
    }
    if (status == DECONV_OK || !reason)
        return status;
    if (cut)
        return error_set(ctx, DECONV_ERROR_FORMAT,
                         "%s: the picture is cut off: the file ends after %zu bytes", path, size);
    return error_set(ctx, DECONV_ERROR_FORMAT,
                     "%s: not a picture that can be read (JPEG, PNG, BMP, TGA, GIF, PNM): %s", path,
                     reason);
}

deconv_status deconv_picture_read(deconv_ctx *ctx, const char *path, deconv_picture **out)
{
    uint8_t *bytes = NULL;
    size_t size;
    deconv_status status;

    *out = NULL;
    TRY(file_read(ctx, path, FILE_LIMIT, &bytes, &size));
    if (size == 0)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: the file is empty; a picture is wanted", path);
    TRY(decode(ctx, path, bytes, size, out));
done:
    mem_free(ctx, bytes);
    return status;
}
