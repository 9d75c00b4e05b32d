/* Values shown as pictures, frames, montages and resizing: pixel by pixel. */
#define _XOPEN_SOURCE 700
#include "files.h"

#include <math.h>

#include "picture/picture.h"

static const uint8_t *pixel_at(deconv_picture *p, int64_t x, int64_t y)
{
    return deconv_picture_pixels(p) + (y * deconv_picture_width(p) + x) * 3;
}

/* The red of every pixel of a one-row picture of grey values. */
static void expect_row(fixture *f, const float *values, int count, deconv_scaling scaling,
                       const uint8_t *expected)
{
    deconv_picture *p;

    assert_int_equal(deconv_picture_display(f->ctx, values, 1, 1, count, scaling, 0, &p),
                     DECONV_OK);
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 3; c++)
            if (pixel_at(p, i, 0)[c] != expected[i])
                fail_msg("scaling %d: value %d, %g, is %d, not %d", scaling, i, values[i],
                         pixel_at(p, i, 0)[c], expected[i]);
    deconv_picture_destroy(p);
}

/* ---- Display ---- */

static void scalings_are_as_documented(void **state)
{
    fixture *f = *state;
    const float x[] = {0, 1, -1, 4, -2, 0.5f};

    expect_row(f, x, 6, DECONV_SCALING_ZERO_GREY, (uint8_t[]){128, 159, 96, 255, 64, 143});
    expect_row(f, x, 6, DECONV_SCALING_MIN_MAX, (uint8_t[]){85, 128, 43, 255, 0, 106});
    expect_row(f, x, 6, DECONV_SCALING_MAGNITUDE, (uint8_t[]){0, 64, 64, 255, 128, 32});
    expect_row(f, x, 6, DECONV_SCALING_POSITIVE, (uint8_t[]){0, 64, 0, 255, 0, 32});
}

static void percentile_clips_outliers(void **state)
{
    fixture *f = *state;
    float x[201];
    deconv_picture *p;

    for (int i = 0; i < 201; i++)
        x[i] = i % 2 ? 1.0f : -1.0f;
    x[0] = 0;
    x[7] = 1000;
    assert_int_equal(deconv_picture_display(f->ctx, x, 1, 1, 201, DECONV_SCALING_PERCENTILE, 0, &p),
                     DECONV_OK);
    assert_int_equal(pixel_at(p, 0, 0)[0], 128);
    assert_int_equal(pixel_at(p, 1, 0)[0], 255);
    assert_int_equal(pixel_at(p, 2, 0)[0], 0);
    assert_int_equal(pixel_at(p, 7, 0)[0], 255);
    deconv_picture_destroy(p);

    /* The percentile of 0, 1, 2, 3 is 2.97, as numpy.percentile(x, 99) has it. */
    expect_row(f, (float[]){0, -1, 2, 3}, 4, DECONV_SCALING_PERCENTILE,
               (uint8_t[]){128, 85, 213, 255});

    /* Sparse: the percentile is 0, so the largest value counts. */
    memset(x, 0, sizeof x);
    x[3] = 2;
    x[4] = -1;
    assert_int_equal(deconv_picture_display(f->ctx, x, 1, 1, 201, DECONV_SCALING_PERCENTILE, 0, &p),
                     DECONV_OK);
    assert_int_equal(pixel_at(p, 0, 0)[0], 128);
    assert_int_equal(pixel_at(p, 3, 0)[0], 255);
    assert_int_equal(pixel_at(p, 4, 0)[0], 64);
    deconv_picture_destroy(p);
}

static void nothing_is_even_grey_or_black(void **state)
{
    fixture *f = *state;
    const float zeros[4] = {0, -0.0f, 0, 0}, same[2] = {-3, -3};

    expect_row(f, zeros, 4, DECONV_SCALING_ZERO_GREY, (uint8_t[]){128, 128, 128, 128});
    expect_row(f, zeros, 4, DECONV_SCALING_PERCENTILE, (uint8_t[]){128, 128, 128, 128});
    expect_row(f, zeros, 4, DECONV_SCALING_MIN_MAX, (uint8_t[]){0, 0, 0, 0});
    expect_row(f, zeros, 4, DECONV_SCALING_MAGNITUDE, (uint8_t[]){0, 0, 0, 0});
    expect_row(f, zeros, 4, DECONV_SCALING_POSITIVE, (uint8_t[]){0, 0, 0, 0});
    expect_row(f, same, 2, DECONV_SCALING_MIN_MAX, (uint8_t[]){0, 0});
    expect_row(f, same, 2, DECONV_SCALING_POSITIVE, (uint8_t[]){0, 0});
    expect_row(f, same, 2, DECONV_SCALING_ZERO_GREY, (uint8_t[]){0, 0});
}

static void extreme_values_do_not_overflow(void **state)
{
    fixture *f = *state;

    expect_row(f, (float[]){3.4e38f, -3.4e38f, 0}, 3, DECONV_SCALING_ZERO_GREY,
               (uint8_t[]){255, 0, 128});
    expect_row(f, (float[]){3.4e38f, -3.4e38f, 0}, 3, DECONV_SCALING_MIN_MAX,
               (uint8_t[]){255, 0, 128});
    expect_row(f, (float[]){1e-45f, -1e-45f, 0}, 3, DECONV_SCALING_ZERO_GREY,
               (uint8_t[]){255, 0, 128});
}

static void channels_go_where_they_belong(void **state)
{
    fixture *f = *state;
    const float x[] = {1, 0, /* channel 0 */ -1, 0, /* 1 */ 0.5f, -0.25f /* 2 */};
    deconv_picture *p;

    assert_int_equal(deconv_picture_display(f->ctx, x, 3, 2, 1, DECONV_SCALING_ZERO_GREY, 0, &p),
                     DECONV_OK);
    assert_int_equal(deconv_picture_width(p), 1);
    assert_int_equal(deconv_picture_height(p), 2);
    assert_memory_equal(pixel_at(p, 0, 0), "\xff\x00\xbf", 3);
    assert_memory_equal(pixel_at(p, 0, 1), "\x80\x80\x60", 3);
    deconv_picture_destroy(p);
    assert_int_equal(deconv_picture_display(f->ctx, x, 3, 2, 1, DECONV_SCALING_ZERO_GREY, 1, &p),
                     DECONV_OK);
    assert_memory_equal(pixel_at(p, 0, 0), "\xbf\x00\xff", 3);
    assert_memory_equal(pixel_at(p, 0, 1), "\x60\x80\x80", 3);
    deconv_picture_destroy(p);
    assert_int_equal(deconv_picture_display(f->ctx, x, 3, 2, 1, DECONV_SCALING_MAGNITUDE, 0, &p),
                     DECONV_OK);
    assert_memory_equal(pixel_at(p, 0, 0), "\xff\xff\xff", 3);
    assert_memory_equal(pixel_at(p, 0, 1), "\x40\x40\x40", 3);
    deconv_picture_destroy(p);
}

static void values_that_make_no_picture_are_refused(void **state)
{
    fixture *f = *state;
    float x[3 * 4 * 5] = {0};
    deconv_picture *p = (deconv_picture *)f;

    x[2 * 20 + 3 * 5 + 4] = NAN;
    assert_int_equal(deconv_picture_display(f->ctx, x, 3, 4, 5, DECONV_SCALING_ZERO_GREY, 0, &p),
                     DECONV_ERROR_INVALID);
    assert_null(p);
    expect_message(f, "channel 2, row 3, column 4");
    expect_message(f, "nan");
    x[1 * 20 + 2 * 5 + 0] = -INFINITY;
    assert_int_equal(deconv_picture_display(f->ctx, x, 3, 4, 5, DECONV_SCALING_MIN_MAX, 0, &p),
                     DECONV_ERROR_INVALID);
    expect_message(f, "channel 1, row 2, column 0");
    expect_message(f, "-inf");
    assert_int_equal(deconv_picture_display(f->ctx, x, 2, 4, 5, DECONV_SCALING_ZERO_GREY, 0, &p),
                     DECONV_ERROR_INVALID);
    expect_message(f, "2 channels");
    assert_int_equal(deconv_picture_display(f->ctx, x, 1, 4, 5, (deconv_scaling)5, 0, &p),
                     DECONV_ERROR_INVALID);
    expect_message(f, "scaling 5");
    assert_int_equal(deconv_picture_display(f->ctx, x, 1, 0, 5, DECONV_SCALING_ZERO_GREY, 0, &p),
                     DECONV_ERROR_INVALID);
    assert_int_equal(
        deconv_picture_display(f->ctx, x, 1, INT64_MAX, 5, DECONV_SCALING_ZERO_GREY, 0, &p),
        DECONV_ERROR_UNSUPPORTED);
    assert_null(p);
}

/* ---- Frames ---- */

/* The picture as one character a pixel: '#' where it is not black. */
static void expect_drawing(deconv_picture *p, const char *expected)
{
    char got[256] = "";
    size_t used = 0;

    for (int64_t y = 0; y < deconv_picture_height(p); y++) {
        for (int64_t x = 0; x < deconv_picture_width(p); x++)
            got[used++] = memcmp(pixel_at(p, x, y), "\0\0\0", 3) == 0 ? '.' : '#';
        got[used++] = '\n';
    }
    assert_string_equal(got, expected);
}

static void expect_frame(fixture *f, int64_t top, int64_t left, int64_t bottom, int64_t right,
                         const char *expected)
{
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, 6, 5, NULL, &p), DECONV_OK);
    deconv_picture_outline(p, top, left, bottom, right, 0x0a0b0c);
    expect_drawing(p, expected);
    for (int i = 0; i < 30; i++)
        if (pixel_at(p, i, 0)[0])
            assert_memory_equal(pixel_at(p, i, 0), "\x0a\x0b\x0c", 3);
    deconv_picture_destroy(p);
}

static void frames_are_clipped(void **state)
{
    fixture *f = *state;

    expect_frame(f, 1, 1, 4, 5, "......\n.####.\n.#..#.\n.####.\n......\n");
    expect_frame(f, 0, 0, 5, 6, "######\n#....#\n#....#\n#....#\n######\n");
    expect_frame(f, -9, -9, 3, 3, "###...\n#.#...\n###...\n......\n......\n");
    expect_frame(f, 2, 4, 99, INT64_MAX, "......\n......\n....##\n....##\n....##\n");
    expect_frame(f, 2, 3, 3, 4, "......\n......\n...#..\n......\n......\n");
    expect_frame(f, 2, 3, 2, 4, "......\n......\n......\n......\n......\n");
    expect_frame(f, 3, 4, 1, 2, "......\n......\n......\n......\n......\n");
    expect_frame(f, 7, 0, 9, 6, "......\n......\n......\n......\n......\n");
    expect_frame(f, INT64_MIN, INT64_MIN, INT64_MAX, INT64_MAX,
                 "######\n#....#\n#....#\n#....#\n######\n");
}

/* ---- Montages ---- */

static deconv_picture *even(fixture *f, int64_t width, int64_t height, uint8_t value)
{
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, width, height, NULL, &p), DECONV_OK);
    memset(deconv_picture_pixels(p), value, (size_t)(width * height * 3));
    return p;
}

/* Dark pixels in a box of a picture. */
static int count_ink(deconv_picture *p, int64_t top, int64_t left, int64_t bottom, int64_t right)
{
    int count = 0;

    for (int64_t y = top; y < bottom; y++)
        for (int64_t x = left; x < right; x++)
            count += pixel_at(p, x, y)[0] < 200;
    return count;
}

static void montage_places_tiles(void **state)
{
    fixture *f = *state;
    deconv_picture *tiles[] = {even(f, 2, 1, 10), even(f, 4, 3, 20), even(f, 4, 3, 30)};
    deconv_picture *p;

    assert_int_equal(
        deconv_picture_montage(f->ctx, (const deconv_picture *const *)tiles, NULL, 3, 2, 5, 3, &p),
        DECONV_OK);
    assert_int_equal(deconv_picture_width(p), 5 + 12 + 5 + 12 + 5);
    assert_int_equal(deconv_picture_height(p), 5 + 9 + 5 + 9 + 5);
    assert_int_equal(count_ink(p, 0, 0, 33, 39), 6 * 3 + 2 * 12 * 9);
    assert_int_equal(pixel_at(p, 5 + 3, 5 + 3)[0], 10); /* centred in its cell */
    assert_int_equal(pixel_at(p, 5 + 8, 5 + 5)[0], 10);
    assert_int_equal(pixel_at(p, 22, 5)[0], 20);
    assert_int_equal(pixel_at(p, 5, 19)[0], 30);
    assert_int_equal(pixel_at(p, 16, 27)[0], 30);
    assert_int_equal(pixel_at(p, 17, 27)[0], 255);
    deconv_picture_destroy(p);
    for (int i = 0; i < 3; i++)
        deconv_picture_destroy(tiles[i]);
}

static void montage_writes_captions(void **state)
{
    fixture *f = *state;
    deconv_picture *tiles[] = {even(f, 100, 10, 255), even(f, 100, 10, 255), even(f, 100, 10, 255),
                               even(f, 100, 10, 255)};
    const char *const captions[] = {"map 17", NULL, "",
                                    "great white shark, man-eater, a word\xc3\xa9 too many for two"
                                    " lines of a hundred pixels"};
    deconv_picture *p;
    int64_t below;

    assert_int_equal(deconv_picture_montage(f->ctx, (const deconv_picture *const *)tiles, captions,
                                            4, 4, 8, 1, &p),
                     DECONV_OK);
    assert_int_equal(deconv_picture_width(p), 8 + 4 * 108);
    assert_int_equal(deconv_picture_height(p), 8 + 10 + 4 + 2 * font_height(1) + 8);
    below = deconv_picture_height(p);
    assert_int_equal(count_ink(p, 0, 0, 18, 440), 0);
    assert_in_range(count_ink(p, 18, 8, below, 108), 40, 200);
    assert_int_equal(count_ink(p, 18, 108, below, 332), 0);
    assert_in_range(count_ink(p, 22, 332, 34, 432), 100, 400);
    assert_in_range(count_ink(p, 34, 332, below, 432), 100, 400);
    assert_int_equal(count_ink(p, 0, 432, below, 440), 0); /* nothing beyond the tile */
    deconv_picture_destroy(p);
    for (int i = 0; i < 4; i++)
        deconv_picture_destroy(tiles[i]);
}

static void captions_grow_with_the_cells(void **state)
{
    fixture *f = *state;
    deconv_picture *tile = even(f, 227, 10, 255);
    const char *caption = "conv1";
    deconv_picture *p;

    assert_int_equal(deconv_picture_montage(f->ctx, (const deconv_picture *const *)&tile, &caption,
                                            1, 3, 0, 1, &p),
                     DECONV_OK);
    assert_int_equal(deconv_picture_height(p), 10 + 2 * 4 + font_height(2));
    assert_int_equal(count_ink(p, 0, 0, deconv_picture_height(p), 227) % 4,
                     0); /* every dot is 2 x 2 pixels */
    assert_in_range(count_ink(p, 18, 0, deconv_picture_height(p), 227), 4 * 30, 4 * 120);
    deconv_picture_destroy(p);
    deconv_picture_destroy(tile);
}

static void impossible_montages_are_refused(void **state)
{
    fixture *f = *state;
    deconv_picture *tile = even(f, 2, 2, 0);
    const deconv_picture *tiles[] = {tile, NULL};
    deconv_picture *p = tile;

    assert_int_equal(deconv_picture_montage(f->ctx, tiles, NULL, 0, 1, 0, 1, &p),
                     DECONV_ERROR_INVALID);
    assert_null(p);
    assert_int_equal(deconv_picture_montage(f->ctx, tiles, NULL, 1, 0, 0, 1, &p),
                     DECONV_ERROR_INVALID);
    assert_int_equal(deconv_picture_montage(f->ctx, tiles, NULL, 1, 1, 0, 0, &p),
                     DECONV_ERROR_INVALID);
    assert_int_equal(deconv_picture_montage(f->ctx, tiles, NULL, 1, 1, UINT32_MAX, UINT32_MAX, &p),
                     DECONV_ERROR_INVALID);
    assert_int_equal(deconv_picture_montage(f->ctx, tiles, NULL, 2, 1, 0, 1, &p),
                     DECONV_ERROR_INVALID);
    expect_message(f, "tile 1");
    deconv_picture_destroy(tile);
    tile = even(f, 3000, 1, 0);
    assert_int_equal(
        deconv_picture_montage(f->ctx, (const deconv_picture *const *)&tile, NULL, 1, 1, 0, 64, &p),
        DECONV_ERROR_UNSUPPORTED);
    expect_message(f, "192000");
    assert_null(p);
    deconv_picture_destroy(tile);
}

/* ---- Resizing, against Pillow 9.4, Image.resize((w, h), Image.BILINEAR) ---- */

static deconv_picture *pattern(fixture *f, int width, int height)
{
    deconv_picture *p;

    assert_int_equal(deconv_picture_create(f->ctx, width, height, NULL, &p), DECONV_OK);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                deconv_picture_pixels(p)[(y * width + x) * 3 + c] =
                    (uint8_t)(x * 37 + y * 91 + c * 53 + x * y * 11);
    return p;
}

static void resizing_equals_pillow(void **state)
{
    static const uint8_t resized_3x2[] = {108, 136, 143, 135, 132, 140, 131, 130, 131,
                                          117, 145, 117, 127, 124, 113, 106, 134, 120};
    static const uint8_t resized_9x4[] = {
        23,  76,  129, 50,  103, 156, 80,  133, 158, 111, 150, 153, 142, 131, 184, 123, 162, 215,
        140, 193, 139, 171, 160, 85,  197, 58,  111, 129, 182, 128, 164, 146, 163, 157, 151, 138,
        139, 159, 96,  180, 84,  137, 105, 124, 94,  113, 107, 112, 118, 100, 153, 82,  135, 188,
        86,  139, 85,  129, 112, 129, 133, 126, 113, 125, 144, 81,  175, 79,  132, 110, 130, 100,
        128, 122, 127, 143, 125, 128, 116, 169, 72,  85,  138, 191, 138, 191, 115, 113, 166, 84,
        67,  106, 109, 128, 117, 170, 139, 178, 82,  79,  132, 100, 55,  108, 139, 107, 160, 149};
    static const uint8_t resized_7x2[] = {79,  132, 127, 127, 122, 175, 117, 170, 107, 165, 102,
                                          155, 97,  150, 145, 145, 140, 111, 135, 106, 148, 87,
                                          140, 135, 157, 152, 123, 87,  140, 77,  157, 94,  147,
                                          111, 164, 77,  99,  94,  147, 111, 164, 112};
    fixture *f = *state;
    const struct {
        int width, height;
        const uint8_t *rgb;
    } expected[] = {{3, 2, resized_3x2}, {9, 4, resized_9x4}, {7, 2, resized_7x2}};
    deconv_picture *p = pattern(f, 7, 5), *q;

    for (int i = 0; i < 3; i++) {
        int width = expected[i].width, height = expected[i].height;

        assert_int_equal(picture_resize(p, width, height, &q), DECONV_OK);
        assert_int_equal(deconv_picture_width(q), width);
        assert_int_equal(deconv_picture_height(q), height);
        assert_memory_equal(deconv_picture_pixels(q), expected[i].rgb, (size_t)width * height * 3);
        deconv_picture_destroy(q);
    }
    assert_int_equal(picture_resize(p, 7, 5, &q), DECONV_OK);
    assert_memory_equal(deconv_picture_pixels(q), deconv_picture_pixels(p), 7 * 5 * 3);
    deconv_picture_destroy(q);
    deconv_picture_destroy(p);
}

static void even_pictures_stay_even(void **state)
{
    fixture *f = *state;
    deconv_picture *p = even(f, 301, 97, 255), *q;

    assert_int_equal(picture_resize(p, 17, 230, &q), DECONV_OK);
    for (int i = 0; i < 17 * 230 * 3; i++)
        assert_int_equal(deconv_picture_pixels(q)[i], 255);
    deconv_picture_destroy(q);
    assert_int_equal(picture_resize(p, 1, 1, &q), DECONV_OK);
    assert_memory_equal(deconv_picture_pixels(q), "\xff\xff\xff", 3);
    deconv_picture_destroy(q);
    deconv_picture_destroy(p);
}

/* Bit for bit what cutting it out of the whole would give. */
static void a_part_is_cut_out_of_the_whole(void **state)
{
    fixture *f = *state;
    deconv_picture *p = pattern(f, 7, 5), *whole, *cut, *part;

    assert_int_equal(picture_resize(p, 23, 14, &whole), DECONV_OK);
    assert_int_equal(picture_crop(whole, 2, 9, 11, 8, &cut), DECONV_OK);
    assert_int_equal(picture_resize_part(p, 23, 14, 2, 9, 11, 8, &part), DECONV_OK);
    assert_memory_equal(deconv_picture_pixels(part), deconv_picture_pixels(cut), 11 * 8 * 3);
    deconv_picture_destroy(part);
    deconv_picture_destroy(cut);
    deconv_picture_destroy(whole);
    deconv_picture_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalings_are_as_documented, set_up, tear_down),
        cmocka_unit_test_setup_teardown(percentile_clips_outliers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_even_grey_or_black, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extreme_values_do_not_overflow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(channels_go_where_they_belong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_that_make_no_picture_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_are_clipped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(montage_places_tiles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(montage_writes_captions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(captions_grow_with_the_cells, set_up, tear_down),
        cmocka_unit_test_setup_teardown(impossible_montages_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resizing_equals_pillow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_part_is_cut_out_of_the_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(even_pictures_stay_even, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
