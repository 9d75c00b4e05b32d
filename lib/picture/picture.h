/* Pictures as the rest of the library sees them, and what the files of this folder share. */
#ifndef DECONV_LIB_PICTURE_H
#define DECONV_LIB_PICTURE_H

#include "../context.h"

typedef struct deconv_picture picture;

struct deconv_picture {
    deconv_ctx *ctx;
    int64_t width;
    int64_t height;
    uint8_t *pixels; /* height x width x 3, row by row */
};

#define PICTURE_CHANNELS   3
#define PICTURE_MAX_SIDE   32768
#define PICTURE_MAX_PIXELS ((int64_t)1 << 27) /* 128 million, 384 MiB */
#define PICTURE_MID_GREY   128

/* Refuses sizes outside 1..PICTURE_MAX_SIDE or over PICTURE_MAX_PIXELS; `what` names the picture in
 * the message. */
deconv_status picture_check_size(deconv_ctx *ctx, const char *what, int64_t width, int64_t height);

/* A black picture of a size that passes picture_check_size(). */
deconv_status picture_alloc(deconv_ctx *ctx, const char *what, int64_t width, int64_t height,
                            picture **out);

/* Resized with the triangle filter, its support widened by the factor of a reduction. Equal to the
 * bit to Pillow's Image.resize(..., BILINEAR), which torchvision and most training code use. */
deconv_status picture_resize(const picture *from, int64_t width, int64_t height, picture **out);
/* The part_width x part_height pixels at (top, left) of that, without making the rest: a strip of a
 * picture may be resized to more than a picture can hold. */
deconv_status picture_resize_part(const picture *from, int64_t width, int64_t height, int64_t top,
                                  int64_t left, int64_t part_width, int64_t part_height,
                                  picture **out);

/* The part of `from` that starts at (top, left); it must lie inside. */
deconv_status picture_crop(const picture *from, int64_t top, int64_t left, int64_t width,
                           int64_t height, picture **out);

/* ---- Decoders, for read.c only ---- */

/* NULL when the marker segments of a JPEG are sound and complete, else the reason. *cut is true
 * when the file ends before its picture does. */
const char *jpeg_check(const uint8_t *bytes, size_t size, bool *cut);

/* PBM, PGM and PPM, plain and raw (P1 to P6). */
bool pnm_is(const uint8_t *bytes, size_t size);
/* *reason: why the file is refused; NULL when the message is already set. */
deconv_status pnm_decode(deconv_ctx *ctx, const char *path, const uint8_t *bytes, size_t size,
                         picture **out, const char **reason, bool *cut);

/* ---- Text, for montage.c only: ASCII in a small bitmap font ---- */

/* Pixels of a line's height and of `text`'s width at `scale`. */
int64_t font_height(int64_t scale);
int64_t font_width(const char *text, int64_t scale);
/* Bytes of `text` that fit into `room` pixels, whole characters only. */
size_t font_fit(const char *text, int64_t scale, int64_t room);
/* Draws `text` with its top left corner at (x, y), clipped to the picture. Characters outside ASCII
 * become question marks. */
void font_draw(picture *on, int64_t x, int64_t y, const char *text, int64_t scale, uint32_t rgb);

#endif
