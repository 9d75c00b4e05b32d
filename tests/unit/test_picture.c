/* Pictures in and out of files: every format, every kind of pixel, and what must be refused. */
#define _XOPEN_SOURCE 700
#include "files.h"

#include "picture/picture.h"

/* ---- Files that no encoder at hand writes: made with Pillow ---- */

/* 8 x 8, columns of 40, 60, ... 180. */
static const uint8_t grey_jpeg[] = {
    0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00,
    0x01, 0x00, 0x01, 0x00, 0x00, 0xff, 0xdb, 0x00, 0x43, 0x00, 0x06, 0x04, 0x05, 0x06, 0x05,
    0x04, 0x06, 0x06, 0x05, 0x06, 0x07, 0x07, 0x06, 0x08, 0x0a, 0x10, 0x0a, 0x0a, 0x09, 0x09,
    0x0a, 0x14, 0x0e, 0x0f, 0x0c, 0x10, 0x17, 0x14, 0x18, 0x18, 0x17, 0x14, 0x16, 0x16, 0x1a,
    0x1d, 0x25, 0x1f, 0x1a, 0x1b, 0x23, 0x1c, 0x16, 0x16, 0x20, 0x2c, 0x20, 0x23, 0x26, 0x27,
    0x29, 0x2a, 0x29, 0x19, 0x1f, 0x2d, 0x30, 0x2d, 0x28, 0x30, 0x25, 0x28, 0x29, 0x28, 0xff,
    0xc0, 0x00, 0x0b, 0x08, 0x00, 0x08, 0x00, 0x08, 0x01, 0x01, 0x11, 0x00, 0xff, 0xc4, 0x00,
    0x14, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x05, 0xff, 0xc4, 0x00, 0x17, 0x10, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x43, 0x81, 0xff,
    0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x3f, 0x00, 0x1d, 0x49, 0x1c, 0x3f, 0xff, 0xd9};

/* 16 x 16: red grows to the right, green downwards, blue is 100. */
static const uint8_t progressive_jpeg[] = {
    0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01,
    0x00, 0x01, 0x00, 0x00, 0xff, 0xdb, 0x00, 0x43, 0x00, 0x03, 0x02, 0x02, 0x03, 0x02, 0x02, 0x03,
    0x03, 0x03, 0x03, 0x04, 0x03, 0x03, 0x04, 0x05, 0x08, 0x05, 0x05, 0x04, 0x04, 0x05, 0x0a, 0x07,
    0x07, 0x06, 0x08, 0x0c, 0x0a, 0x0c, 0x0c, 0x0b, 0x0a, 0x0b, 0x0b, 0x0d, 0x0e, 0x12, 0x10, 0x0d,
    0x0e, 0x11, 0x0e, 0x0b, 0x0b, 0x10, 0x16, 0x10, 0x11, 0x13, 0x14, 0x15, 0x15, 0x15, 0x0c, 0x0f,
    0x17, 0x18, 0x16, 0x14, 0x18, 0x12, 0x14, 0x15, 0x14, 0xff, 0xdb, 0x00, 0x43, 0x01, 0x03, 0x04,
    0x04, 0x05, 0x04, 0x05, 0x09, 0x05, 0x05, 0x09, 0x14, 0x0d, 0x0b, 0x0d, 0x14, 0x14, 0x14, 0x14,
    0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14,
    0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14,
    0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0xff, 0xc2,
    0x00, 0x11, 0x08, 0x00, 0x10, 0x00, 0x10, 0x03, 0x01, 0x22, 0x00, 0x02, 0x11, 0x01, 0x03, 0x11,
    0x01, 0xff, 0xc4, 0x00, 0x15, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x07, 0xff, 0xc4, 0x00, 0x15, 0x01, 0x01, 0x01, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x04, 0xff,
    0xda, 0x00, 0x0c, 0x03, 0x01, 0x00, 0x02, 0x10, 0x03, 0x10, 0x00, 0x00, 0x01, 0x90, 0xb0, 0x5c,
    0xc2, 0x67, 0xff, 0xc4, 0x00, 0x16, 0x10, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x05, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01,
    0x00, 0x01, 0x05, 0x02, 0x56, 0x58, 0xac, 0xb1, 0x59, 0x62, 0xb2, 0xcf, 0xff, 0xc4, 0x00, 0x18,
    0x11, 0x00, 0x02, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x05, 0x06, 0x21, 0x31, 0xff, 0xda, 0x00, 0x08, 0x01, 0x03, 0x01, 0x01, 0x3f, 0x01,
    0x8e, 0xbc, 0xcb, 0x3f, 0xff, 0xc4, 0x00, 0x17, 0x11, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x05, 0x61, 0xff, 0xda, 0x00,
    0x08, 0x01, 0x02, 0x01, 0x01, 0x3f, 0x01, 0x6e, 0xb6, 0x9f, 0xff, 0xc4, 0x00, 0x15, 0x10, 0x01,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x31, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x06, 0x3f, 0x02, 0x88, 0x88, 0xff, 0xc4, 0x00,
    0x15, 0x10, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x31, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x01, 0x3f, 0x21, 0x83, 0x06,
    0x0c, 0x1f, 0xff, 0xda, 0x00, 0x0c, 0x03, 0x01, 0x00, 0x02, 0x00, 0x03, 0x00, 0x00, 0x00, 0x10,
    0xff, 0x00, 0xff, 0xc4, 0x00, 0x14, 0x11, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xda, 0x00, 0x08, 0x01, 0x03, 0x01, 0x01,
    0x3f, 0x10, 0x3f, 0xff, 0xc4, 0x00, 0x15, 0x11, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x31, 0xff, 0xda, 0x00, 0x08, 0x01, 0x02,
    0x01, 0x01, 0x3f, 0x10, 0xb9, 0xff, 0xc4, 0x00, 0x15, 0x10, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf1, 0xff, 0xda, 0x00, 0x08,
    0x01, 0x01, 0x00, 0x01, 0x3f, 0x10, 0x94, 0x94, 0x94, 0x94, 0xff, 0xd9};

/* 4 x 3, indices 0 1 2 3, 1 2 3 0, 2 3 0 1: red, green, blue, transparent. */
static const uint8_t gif[] = {
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x04, 0x00, 0x03, 0x00, 0x81, 0x00, 0x00, 0xff, 0x00,
    0x00, 0x00, 0xff, 0x00, 0x00, 0x00, 0xff, 0x0a, 0x14, 0x1e, 0x21, 0xf9, 0x04, 0x01, 0x00,
    0x00, 0x03, 0x00, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x03, 0x00, 0x00, 0x08, 0x0d,
    0x00, 0x01, 0x04, 0x10, 0x30, 0x60, 0xe0, 0x00, 0x00, 0x04, 0x05, 0x06, 0x04, 0x00, 0x3b};

static deconv_picture *read_bytes(fixture *f, const char *name, const void *bytes, size_t size)
{
    deconv_picture *p = NULL;

    if (deconv_picture_read(f->ctx, put_file(f, name, bytes, size), &p) != DECONV_OK)
        fail_msg("%s: %s", name, deconv_ctx_message(f->ctx));
    assert_non_null(p);
    return p;
}

static void expect_refusal(fixture *f, const char *name, const void *bytes, size_t size,
                           const char *part)
{
    deconv_picture *p = (deconv_picture *)f;
    const char *path = put_file(f, name, bytes, size);

    assert_int_equal(deconv_picture_read(f->ctx, path, &p), DECONV_ERROR_FORMAT);
    assert_null(p);
    expect_message(f, path);
    expect_message(f, part);
}

static void expect_pixel(deconv_picture *p, int x, int y, int r, int g, int b, int tolerance)
{
    const uint8_t *pixel = deconv_picture_pixels(p) + (y * deconv_picture_width(p) + x) * 3;

    if (abs(pixel[0] - r) > tolerance || abs(pixel[1] - g) > tolerance ||
        abs(pixel[2] - b) > tolerance)
        fail_msg("pixel (%d, %d) is %d %d %d, not %d %d %d", x, y, pixel[0], pixel[1], pixel[2], r,
                 g, b);
}

static deconv_picture *pattern(fixture *f, int width, int height)
{
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, width, height, NULL, &p), DECONV_OK);
    for (int i = 0; i < width * height * 3; i++)
        deconv_picture_pixels(p)[i] = (uint8_t)(i * 31 + i / 7);
    return p;
}

/* ---- The object ---- */

static void create_copies_pixels(void **state)
{
    fixture *f = *state;
    uint8_t rgb[] = {1, 2, 3, 4, 5, 6};
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, 1, 2, rgb, &p), DECONV_OK);
    rgb[0] = 99;
    assert_int_equal(deconv_picture_width(p), 1);
    assert_int_equal(deconv_picture_height(p), 2);
    expect_pixel(p, 0, 0, 1, 2, 3, 0);
    expect_pixel(p, 0, 1, 4, 5, 6, 0);
    deconv_picture_destroy(p);
    deconv_picture_destroy(NULL);
}

static void impossible_sizes_are_refused(void **state)
{
    fixture *f = *state;
    deconv_picture *p = (deconv_picture *)f;

    assert_int_equal(deconv_picture_create(f->ctx, 0, 5, NULL, &p), DECONV_ERROR_INVALID);
    assert_null(p);
    expect_message(f, "0 x 5");
    assert_int_equal(deconv_picture_create(f->ctx, 5, -1, NULL, &p), DECONV_ERROR_INVALID);
    assert_int_equal(deconv_picture_create(f->ctx, 32769, 1, NULL, &p), DECONV_ERROR_UNSUPPORTED);
    expect_message(f, "32768");
    assert_int_equal(deconv_picture_create(f->ctx, 32768, 32768, NULL, &p),
                     DECONV_ERROR_UNSUPPORTED);
    assert_int_equal(deconv_picture_create(f->ctx, INT64_MAX, INT64_MAX, NULL, &p),
                     DECONV_ERROR_UNSUPPORTED);
    assert_null(p);
}

/* ---- Formats ---- */

static void lossless_formats_give_back_every_pixel(void **state)
{
    fixture *f = *state;
    const char *names[] = {"a.png", "a.bmp", "a.tga", "a.PNG"};

    for (int width = 1; width <= 6; width++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            deconv_picture *p = pattern(f, width, 5), *q;

            assert_int_equal(deconv_picture_write(p, in_folder(f, names[i])), DECONV_OK);
            assert_int_equal(deconv_picture_read(f->ctx, in_folder(f, names[i]), &q), DECONV_OK);
            assert_int_equal(deconv_picture_width(q), width);
            assert_int_equal(deconv_picture_height(q), 5);
            assert_memory_equal(deconv_picture_pixels(q), deconv_picture_pixels(p),
                                (size_t)width * 5 * 3);
            deconv_picture_destroy(p);
            deconv_picture_destroy(q);
        }
    assert_int_equal(clear_folder(f), 4);
}

static void jpeg_comes_back_close(void **state)
{
    fixture *f = *state;
    const char *names[] = {"a.jpg", "a.jpeg"};

    for (int i = 0; i < 2; i++) {
        deconv_picture *p, *q;

        assert_int_equal(deconv_picture_create(f->ctx, 20, 11, NULL, &p), DECONV_OK);
        for (int k = 0; k < 20 * 11; k++) {
            deconv_picture_pixels(p)[3 * k] = (uint8_t)(k % 20 * 10);
            deconv_picture_pixels(p)[3 * k + 1] = 90;
            deconv_picture_pixels(p)[3 * k + 2] = (uint8_t)(k / 20 * 20);
        }
        assert_int_equal(deconv_picture_write(p, in_folder(f, names[i])), DECONV_OK);
        assert_int_equal(deconv_picture_read(f->ctx, in_folder(f, names[i]), &q), DECONV_OK);
        for (int k = 0; k < 20 * 11; k++)
            expect_pixel(q, k % 20, k / 20, k % 20 * 10, 90, k / 20 * 20, 8);
        deconv_picture_destroy(p);
        deconv_picture_destroy(q);
    }
}

static void grey_jpeg_is_grey(void **state)
{
    deconv_picture *p = read_bytes(*state, "grey.jpg", grey_jpeg, sizeof grey_jpeg);

    assert_int_equal(deconv_picture_width(p), 8);
    assert_int_equal(deconv_picture_height(p), 8);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++)
            expect_pixel(p, x, y, 40 + 20 * x, 40 + 20 * x, 40 + 20 * x, 2);
    deconv_picture_destroy(p);
}

static void progressive_jpeg_is_read(void **state)
{
    deconv_picture *p =
        read_bytes(*state, "progressive.jpg", progressive_jpeg, sizeof progressive_jpeg);

    expect_pixel(p, 15, 0, 214, 7, 97, 3); /* what Pillow decodes */
    expect_pixel(p, 3, 8, 46, 121, 101, 3);
    expect_pixel(p, 0, 15, 12, 219, 103, 3);
    deconv_picture_destroy(p);
}

static void gif_shows_grey_through(void **state)
{
    deconv_picture *p = read_bytes(*state, "a.gif", gif, sizeof gif);

    assert_int_equal(deconv_picture_width(p), 4);
    assert_int_equal(deconv_picture_height(p), 3);
    expect_pixel(p, 0, 0, 255, 0, 0, 0);
    expect_pixel(p, 1, 0, 0, 255, 0, 0);
    expect_pixel(p, 2, 0, 0, 0, 255, 0);
    expect_pixel(p, 3, 0, 128, 128, 128, 0);
    expect_pixel(p, 3, 2, 0, 255, 0, 0);
    deconv_picture_destroy(p);
}

/* ---- PNG by hand: one stored deflate block, right checksums ---- */

static size_t put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
    return 4;
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static size_t put_chunk(uint8_t *to, const char *type, const uint8_t *data, size_t size)
{
    put_u32(to, (uint32_t)size);
    memcpy(to + 4, type, 4);
    if (size)
        memcpy(to + 8, data, size);
    put_u32(to + 8 + size, crc32_of(to + 4, size + 4));
    return size + 12;
}

/* `rows`: the filtered rows, each behind a filter byte of 0. */
static size_t make_png(uint8_t *to, uint32_t width, uint32_t height, uint8_t depth, uint8_t colour,
                       const uint8_t *rows, size_t size)
{
    uint8_t header[13] = {0}, data[512];
    uint32_t a = 1, b = 0;
    size_t used = 8;

    memcpy(to, "\x89PNG\r\n\x1a\n", 8);
    put_u32(header, width);
    put_u32(header + 4, height);
    header[8] = depth;
    header[9] = colour;
    used += put_chunk(to + used, "IHDR", header, sizeof header);

    assert_true(size + 11 <= sizeof data);
    memcpy(data, "\x78\x01\x01", 3);
    data[3] = (uint8_t)size;
    data[4] = (uint8_t)(size >> 8);
    data[5] = (uint8_t)~data[3];
    data[6] = (uint8_t)~data[4];
    memcpy(data + 7, rows, size);
    for (size_t i = 0; i < size; i++) {
        a = (a + rows[i]) % 65521;
        b = (b + a) % 65521;
    }
    put_u32(data + 7 + size, b << 16 | a);
    used += put_chunk(to + used, "IDAT", data, size + 11);
    return used + put_chunk(to + used, "IEND", NULL, 0);
}

static void sixteen_bits_are_rounded(void **state)
{
    /* 0x0080 = 128 is 0.498 of a level, 0x0081 0.502; 0xff7e 254.4981, 0xff80 254.506 */
    const uint8_t rows[] = {0,    0x00, 0x80, 0x00, 0x81, 0x12, 0x34,
                            0xff, 0x7e, 0xff, 0x80, 0xff, 0xff};
    const uint8_t grey[] = {0, 0x80, 0x00, 0x7f, 0x7f};
    uint8_t png[700];
    size_t size = make_png(png, 2, 1, 16, 2, rows, sizeof rows);
    deconv_picture *p = read_bytes(*state, "deep.png", png, size);

    expect_pixel(p, 0, 0, 0, 1, 18, 0); /* 0x1234 / 257 = 18.13 */
    expect_pixel(p, 1, 0, 254, 255, 255, 0);
    deconv_picture_destroy(p);

    size = make_png(png, 2, 1, 16, 0, grey, sizeof grey);
    p = read_bytes(*state, "deepgrey.png", png, size);
    expect_pixel(p, 0, 0, 128, 128, 128, 0); /* 127.502 */
    expect_pixel(p, 1, 0, 127, 127, 127, 0); /* 0x7f7f = 127 * 257 */
    deconv_picture_destroy(p);
}

static void alpha_shows_mid_grey(void **state)
{
    const uint8_t rgba[] = {0, 200, 100, 0, 255, 200, 100, 0, 0, 200, 100, 0, 51};
    const uint8_t grey_alpha[] = {0, 10, 255, 10, 127};
    const uint8_t deep[] = {0, 0xff, 0xff, 0x00, 0x00, 0x80, 0x80, 0x80, 0x80};
    uint8_t png[700];
    size_t size = make_png(png, 3, 1, 8, 6, rgba, sizeof rgba);
    deconv_picture *p = read_bytes(*state, "rgba.png", png, size);

    expect_pixel(p, 0, 0, 200, 100, 0, 0);
    expect_pixel(p, 1, 0, 128, 128, 128, 0);
    expect_pixel(p, 2, 0, 142, 122, 102, 0); /* 128 + 0.2 * (v - 128), rounded */
    deconv_picture_destroy(p);

    size = make_png(png, 2, 1, 8, 4, grey_alpha, sizeof grey_alpha);
    p = read_bytes(*state, "ga.png", png, size);
    expect_pixel(p, 0, 0, 10, 10, 10, 0);
    expect_pixel(p, 1, 0, 69, 69, 69, 0); /* 69.23 */
    deconv_picture_destroy(p);

    size = make_png(png, 1, 1, 16, 6, deep, sizeof deep);
    p = read_bytes(*state, "deeprgba.png", png, size);
    expect_pixel(p, 0, 0, 192, 64, 128, 0); /* alpha 128 / 255: 191.75, 63.75, 128 */
    deconv_picture_destroy(p);
}

static void grey_png_is_grey(void **state)
{
    const uint8_t rows[] = {0, 7, 250, 0, 128, 1};
    uint8_t png[700];
    size_t size = make_png(png, 2, 2, 8, 0, rows, sizeof rows);
    deconv_picture *p = read_bytes(*state, "grey.png", png, size);

    expect_pixel(p, 0, 0, 7, 7, 7, 0);
    expect_pixel(p, 1, 0, 250, 250, 250, 0);
    expect_pixel(p, 0, 1, 128, 128, 128, 0);
    expect_pixel(p, 1, 1, 1, 1, 1, 0);
    deconv_picture_destroy(p);
}

/* ---- PNM ---- */

static void expect_pnm(fixture *f, const char *text, size_t size, const uint8_t *grey, int count)
{
    deconv_picture *p = read_bytes(f, "a.pnm", text, size);

    assert_int_equal(deconv_picture_width(p) * deconv_picture_height(p), count);
    for (int i = 0; i < count; i++)
        expect_pixel(p, i % (int)deconv_picture_width(p), i / (int)deconv_picture_width(p), grey[i],
                     grey[i], grey[i], 0);
    deconv_picture_destroy(p);
}

#define PNM(text) text, sizeof text - 1

static void pnm_of_all_kinds(void **state)
{
    fixture *f = *state;
    deconv_picture *p;

    expect_pnm(f, PNM("P1\n# a comment\n3 2\n101\n0 1 0\n"), (uint8_t[]){0, 255, 0, 255, 0, 255},
               6);
    expect_pnm(f, PNM("P2 2 1 4 0 3"), (uint8_t[]){0, 191}, 2);
    expect_pnm(f, PNM("P4\n9 2\n\x80\x80\x00\x00"),
               (uint8_t[]){0, 255, 255, 255, 255, 255, 255, 255, 0, 255, 255, 255, 255, 255, 255,
                           255, 255, 255},
               18);
    expect_pnm(f, PNM("P5 2 1 255\n\x20\xff"), (uint8_t[]){32, 255}, 2);
    expect_pnm(f, PNM("P5#c\n2 1\n100\n\x32\xff"), (uint8_t[]){128, 255}, 2); /* above: clipped */
    expect_pnm(f, PNM("P5 2 1 65535 \x00\x81\xff\x7e"), (uint8_t[]){1, 254}, 2);
    p = read_bytes(f, "a.ppm", PNM("P6 1 2 255\n\x01\x02\x03\x04\x05\x06"));
    expect_pixel(p, 0, 0, 1, 2, 3, 0);
    expect_pixel(p, 0, 1, 4, 5, 6, 0);
    deconv_picture_destroy(p);
    p = read_bytes(f, "b.ppm", PNM("P3 1 1 10 0 5 10"));
    expect_pixel(p, 0, 0, 0, 128, 255, 0);
    deconv_picture_destroy(p);
}

static void broken_pnm_is_refused(void **state)
{
    fixture *f = *state;
    deconv_picture *p = NULL;

    expect_refusal(f, "a.pgm", PNM("P5 2 2 255\nabc"), "cut off");
    expect_refusal(f, "b.pgm", PNM("P5 2 2"), "cut off");
    expect_refusal(f, "c.pgm", PNM("P5 2 2 0\nabcd"), "WIDTH HEIGHT MAXVALUE");
    expect_refusal(f, "d.pgm", PNM("P5 2 2 65536\nabcd"), "WIDTH HEIGHT MAXVALUE");
    expect_refusal(f, "e.pgm", PNM("P2 2 1 255\n3 x"), "not a number");
    expect_refusal(f, "f.pgm", PNM("P5 -2 2 255\nabcd"), "WIDTH HEIGHT MAXVALUE");
    assert_int_equal(
        deconv_picture_read(f->ctx, put_text(f, "g.pgm", "P5 99999999999 9 255\nab"), &p),
        DECONV_ERROR_UNSUPPORTED);
    expect_message(f, "g.pgm");
    assert_int_equal(deconv_picture_read(f->ctx, put_text(f, "h.pgm", "P5 0 9 255\nab"), &p),
                     DECONV_ERROR_INVALID);
    assert_null(p);
}

/* ---- What must be refused ---- */

/* Every proper prefix longer than the format's signature. */
static void expect_no_prefix_is_read(fixture *f, const char *name, const uint8_t *bytes,
                                     size_t size, size_t signature)
{
    for (size_t cut = signature; cut < size; cut++)
        expect_refusal(f, name, bytes, cut, "cut off");
}

static void cut_off_files_are_refused(void **state)
{
    fixture *f = *state;
    deconv_picture *p = pattern(f, 9, 6);
    const char *names[] = {"a.png", "a.jpg", "a.bmp", "a.tga"};
    const size_t signature[] = {8, 2, 18, 18};

    for (int i = 0; i < 4; i++) {
        size_t size;
        uint8_t *bytes;

        assert_int_equal(deconv_picture_write(p, in_folder(f, names[i])), DECONV_OK);
        bytes = get_file(in_folder(f, names[i]), &size);
        if (i == 2)
            size--; /* BMP rows of 27 bytes are padded; without the last padding all is there */
        expect_no_prefix_is_read(f, names[i], bytes, size, signature[i]);
        free(bytes);
    }
    expect_no_prefix_is_read(f, "g.jpg", grey_jpeg, sizeof grey_jpeg, 2);
    expect_no_prefix_is_read(f, "p.jpg", progressive_jpeg, sizeof progressive_jpeg, 2);
    expect_no_prefix_is_read(f, "a.gif", gif, sizeof gif - 1, 10); /* but for the trailer */
    deconv_picture_destroy(p);
}

static void what_is_no_picture_is_refused(void **state)
{
    fixture *f = *state;
    deconv_picture *p = (deconv_picture *)f;
    uint8_t zeros[4096] = {0};
    const char *text = "This is a text, not a picture, whatever its name may be.\n";

    expect_refusal(f, "empty.png", "", 0, "empty");
    expect_refusal(f, "text.png", text, strlen(text), "JPEG, PNG, BMP, TGA, GIF, PNM");
    expect_refusal(f, "zeros.jpg", zeros, sizeof zeros, "JPEG, PNG, BMP, TGA, GIF, PNM");
    for (size_t size = 1; size < 20; size++)
        expect_refusal(f, "short.png", text, size, "JPEG, PNG, BMP, TGA, GIF, PNM");
    assert_int_equal(deconv_picture_read(f->ctx, in_folder(f, "none.png"), &p),
                     DECONV_ERROR_NOT_FOUND);
    assert_null(p);
    expect_message(f, "none.png");
    assert_int_equal(deconv_picture_read(f->ctx, f->folder, &p), DECONV_ERROR_IO);
    expect_message(f, f->folder);
}

static void huge_headers_are_refused(void **state)
{
    fixture *f = *state;
    const uint8_t rows[] = {0, 1, 2, 3};
    uint8_t png[700];
    deconv_picture *p = (deconv_picture *)f;
    size_t size = make_png(png, 32768, 32768, 8, 2, rows, sizeof rows);

    assert_int_equal(deconv_picture_read(f->ctx, put_file(f, "huge.png", png, size), &p),
                     DECONV_ERROR_UNSUPPORTED);
    assert_null(p);
    expect_message(f, "at most 32768 pixels a side");
    size = make_png(png, 0x7fffffff, 0x7fffffff, 8, 2, rows, sizeof rows);
    assert_int_equal(deconv_picture_read(f->ctx, put_file(f, "huger.png", png, size), &p),
                     DECONV_ERROR_UNSUPPORTED);
    expect_message(f, "huger.png");
    size = make_png(png, 16384, 16384, 8, 0, rows, sizeof rows);
    assert_int_equal(deconv_picture_read(f->ctx, put_file(f, "large.png", png, size), &p),
                     DECONV_ERROR_UNSUPPORTED);
    expect_message(f, "16384 x 16384");
    size = make_png(png, 1000, 1000, 8, 2, rows, sizeof rows); /* far too few rows */
    expect_refusal(f, "hollow.png", png, size, "not enough pixels");
}

/* The position behind the first two bytes `marker` in a JPEG. */
static size_t behind_marker(const uint8_t *bytes, size_t size, uint8_t marker)
{
    for (size_t i = 0; i + 1 < size; i++)
        if (bytes[i] == 0xff && bytes[i + 1] == marker)
            return i + 2;
    fail_msg("no marker %02x", marker);
    return 0;
}

static void hostile_jpegs_are_refused(void **state)
{
    fixture *f = *state;
    uint8_t bytes[sizeof grey_jpeg];
    size_t huffman = behind_marker(grey_jpeg, sizeof grey_jpeg, 0xc4);
    size_t frame = behind_marker(grey_jpeg, sizeof grey_jpeg, 0xc0);
    size_t scan = behind_marker(grey_jpeg, sizeof grey_jpeg, 0xda);

    memcpy(bytes, grey_jpeg, sizeof bytes);
    memset(bytes + huffman + 3, 255, 16);
    expect_refusal(f, "huffman.jpg", bytes, sizeof bytes, "more than 256 symbols");

    memcpy(bytes, grey_jpeg, sizeof bytes);
    bytes[frame - 1] = 0xc9;
    expect_refusal(f, "arithmetic.jpg", bytes, sizeof bytes, "arithmetic-coded");

    memcpy(bytes, grey_jpeg, sizeof bytes);
    bytes[scan + 3] = 77; /* the id of a component that the frame does not have */
    expect_refusal(f, "component.jpg", bytes, sizeof bytes, "component are missing");

    memcpy(bytes, grey_jpeg, sizeof bytes);
    memcpy(bytes + scan - 2, "\xff\xd9", 2); /* the end in place of the scan */
    expect_refusal(f, "noscan.jpg", bytes, sizeof bytes, "component are missing");

    memcpy(bytes, grey_jpeg, sizeof bytes);
    bytes[frame + 2] = 12; /* bits */
    expect_refusal(f, "deep.jpg", bytes, sizeof bytes, "8 bits");

    memcpy(bytes, grey_jpeg, sizeof bytes);
    bytes[0] = bytes[1] = 0xff;
    expect_refusal(f, "start.jpg", bytes, sizeof bytes, "does not start as a JPEG");
}

/* ---- Writing ---- */

static void unwritable_outputs_leave_nothing(void **state)
{
    fixture *f = *state;
    deconv_picture *p = pattern(f, 3, 3);
    const char *wrong[] = {"a.gif", "a", "a.png.txt", ".png/a"};

    for (int i = 0; i < 4; i++) {
        assert_int_equal(deconv_picture_write(p, in_folder(f, wrong[i])), DECONV_ERROR_INVALID);
        expect_message(f, wrong[i]);
        expect_message(f, ".png, .jpg, .jpeg, .bmp or .tga");
    }
    assert_int_equal(deconv_picture_write(p, in_folder(f, "no/such/folder.png")), DECONV_ERROR_IO);
    expect_message(f, "no/such/folder.png");
    assert_int_equal(clear_folder(f), 0);
    deconv_picture_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(create_copies_pixels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(impossible_sizes_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lossless_formats_give_back_every_pixel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(jpeg_comes_back_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(grey_jpeg_is_grey, set_up, tear_down),
        cmocka_unit_test_setup_teardown(progressive_jpeg_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gif_shows_grey_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sixteen_bits_are_rounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(alpha_shows_mid_grey, set_up, tear_down),
        cmocka_unit_test_setup_teardown(grey_png_is_grey, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pnm_of_all_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_pnm_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_off_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_picture_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(huge_headers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_jpegs_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unwritable_outputs_leave_nothing, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
