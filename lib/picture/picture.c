/* The picture object: its memory, its limits, and the frame drawn on it. Files are read.c's and
 * write.c's business. */
#include <string.h>

#include "picture.h"

deconv_status picture_check_size(deconv_ctx *ctx, const char *what, int64_t width, int64_t height)
{
    if (width < 1 || height < 1)
        return error_set(ctx, DECONV_ERROR_INVALID,
                         "%s: %lld x %lld pixels; a picture has at least one", what,
                         (long long)width, (long long)height);
    if (width > PICTURE_MAX_SIDE || height > PICTURE_MAX_SIDE ||
        width * height > PICTURE_MAX_PIXELS)
        return error_set(ctx, DECONV_ERROR_UNSUPPORTED,
                         "%s: %lld x %lld pixels; at most %d a side and %lld in all are possible",
                         what, (long long)width, (long long)height, PICTURE_MAX_SIDE,
                         (long long)PICTURE_MAX_PIXELS);
    return DECONV_OK;
}

deconv_status picture_alloc(deconv_ctx *ctx, const char *what, int64_t width, int64_t height,
                            picture **out)
{
    picture *made = NULL;
    deconv_status status;

    *out = NULL;
    TRY(picture_check_size(ctx, what, width, height));
    TRY_ALLOC(made, ctx, 1);
    made->ctx = ctx;
    made->width = width;
    made->height = height;
    made->pixels = mem_alloc(ctx, (size_t)(width * height), PICTURE_CHANNELS, what);
    if (!made->pixels) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    *out = made;
    made = NULL;
done:
    deconv_picture_destroy(made);
    return status;
}

deconv_status deconv_picture_create(deconv_ctx *ctx, int64_t width, int64_t height,
                                    const uint8_t *rgb, deconv_picture **out)
{
    deconv_status status;

    *out = NULL;
    TRY(picture_alloc(ctx, "new picture", width, height, out));
    if (rgb)
        memcpy((*out)->pixels, rgb, (size_t)(width * height * PICTURE_CHANNELS));
done:
    return status;
}

void deconv_picture_destroy(deconv_picture *p)
{
    if (!p)
        return;
    mem_free(p->ctx, p->pixels);
    mem_free(p->ctx, p);
}

int64_t deconv_picture_width(const deconv_picture *p)
{
    return p->width;
}

int64_t deconv_picture_height(const deconv_picture *p)
{
    return p->height;
}

uint8_t *deconv_picture_pixels(deconv_picture *p)
{
    return p->pixels;
}

deconv_status picture_crop(const picture *from, int64_t top, int64_t left, int64_t width,
                           int64_t height, picture **out)
{
    deconv_status status;

    TRY(picture_alloc(from->ctx, "cropped picture", width, height, out));
    for (int64_t y = 0; y < height; y++)
        memcpy((*out)->pixels + y * width * PICTURE_CHANNELS,
               from->pixels + ((top + y) * from->width + left) * PICTURE_CHANNELS,
               (size_t)(width * PICTURE_CHANNELS));
done:
    return status;
}

static int64_t clip(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

static void set_pixel(deconv_picture *p, int64_t y, int64_t x, uint32_t rgb)
{
    uint8_t *pixel = p->pixels + (y * p->width + x) * PICTURE_CHANNELS;

    pixel[0] = (uint8_t)(rgb >> 16);
    pixel[1] = (uint8_t)(rgb >> 8);
    pixel[2] = (uint8_t)rgb;
}

/* The box is clipped, not its frame: a receptive field that reaches past the border still shows as
 * a closed frame. */
void deconv_picture_outline(deconv_picture *p, int64_t top, int64_t left, int64_t bottom,
                            int64_t right, uint32_t rgb)
{
    top = clip(top, p->height);
    bottom = clip(bottom, p->height);
    left = clip(left, p->width);
    right = clip(right, p->width);
    if (top >= bottom || left >= right)
        return;
    for (int64_t x = left; x < right; x++) {
        set_pixel(p, top, x, rgb);
        set_pixel(p, bottom - 1, x, rgb);
    }
    for (int64_t y = top; y < bottom; y++) {
        set_pixel(p, y, left, rgb);
        set_pixel(p, y, right - 1, rgb);
    }
}
