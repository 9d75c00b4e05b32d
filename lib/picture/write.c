/* Pictures to files: stb_image_write encodes into memory, and the file appears whole or not at all.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../file.h"
#include "picture.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#if defined(__GNUC__) /* gcc reports unused functions at the end of the file: no pop would help */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#if defined(__GNUC__) && !defined(__clang__) /* it counts on integers that wrap around */
#pragma GCC push_options
#pragma GCC optimize("wrapv")
#endif
#include <stb/stb_image_write.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#define JPEG_QUALITY 95 /* above 90 stb_image_write keeps the full colour resolution */
#define SINK_START   65536

typedef struct sink {
    deconv_ctx *ctx;
    uint8_t *bytes;
    size_t size;
    size_t room;
    bool failed; /* the message is set */
} sink;

static void sink_put(void *user, void *data, int size)
{
    sink *s = user;

    if (s->failed || size <= 0)
        return;
    if ((size_t)size > s->room - s->size) {
        size_t room = 2 * s->room + (size_t)size + SINK_START;
        uint8_t *larger = mem_alloc(s->ctx, room, 1, "encoded picture");

        if (!larger) {
            s->failed = true;
            return;
        }
        if (s->size)
            memcpy(larger, s->bytes, s->size);
        mem_free(s->ctx, s->bytes);
        s->bytes = larger;
        s->room = room;
    }
    memcpy(s->bytes + s->size, data, (size_t)size);
    s->size += (size_t)size;
}

static int put_png(sink *s, int width, int height, const uint8_t *rgb)
{
    return stbi_write_png_to_func(sink_put, s, width, height, PICTURE_CHANNELS, rgb,
                                  width * PICTURE_CHANNELS);
}

static int put_jpeg(sink *s, int width, int height, const uint8_t *rgb)
{
    return stbi_write_jpg_to_func(sink_put, s, width, height, PICTURE_CHANNELS, rgb, JPEG_QUALITY);
}

static int put_bmp(sink *s, int width, int height, const uint8_t *rgb)
{
    return stbi_write_bmp_to_func(sink_put, s, width, height, PICTURE_CHANNELS, rgb);
}

static int put_tga(sink *s, int width, int height, const uint8_t *rgb)
{
    return stbi_write_tga_to_func(sink_put, s, width, height, PICTURE_CHANNELS, rgb);
}

static const struct format {
    const char *ending;
    int (*put)(sink *s, int width, int height, const uint8_t *rgb);
} formats[] = {{".png", put_png},
               {".jpg", put_jpeg},
               {".jpeg", put_jpeg},
               {".bmp", put_bmp},
               {".tga", put_tga}};

static const struct format *format_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');

    for (size_t i = 0; dot && i < sizeof formats / sizeof *formats; i++)
        if (strcasecmp(dot, formats[i].ending) == 0)
            return &formats[i];
    return NULL;
}

deconv_status deconv_picture_write(const deconv_picture *p, const char *path)
{
    deconv_ctx *ctx = p->ctx;
    const struct format *format = format_of(path);
    sink s = {.ctx = ctx};
    deconv_status status;

    if (!format)
        FAIL(ctx, DECONV_ERROR_INVALID,
             "%s: a picture's name must end in .png, .jpg, .jpeg, .bmp or .tga", path);
    if (!format->put(&s, (int)p->width, (int)p->height, p->pixels) && !s.failed)
        FAIL(ctx, DECONV_ERROR_NO_MEMORY, "no memory: %s: %lld x %lld pixels to encode", path,
             (long long)p->width, (long long)p->height);
    if (s.failed) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(file_write(ctx, path, s.bytes, s.size));
done:
    mem_free(ctx, s.bytes);
    return status;
}
