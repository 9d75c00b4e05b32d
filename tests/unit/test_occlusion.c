/* Occlusion sweeps: maps against pictures that are covered by hand and run one by one, fills, the
 * grid, overlays, what happens under little memory and when it is cancelled. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analysis/occlusion.h"

#define FIGURES DECONV_TEST_SOURCE_DIR "/../examples/figures/"

enum { SIDE = 96, PLANE = SIDE * SIDE, VALUES = 3 * PLANE, CLASSES = 10 };

typedef struct fixture {
    deconv_ctx *ctx;
    deconv_net *net;
    deconv_card *card;
    deconv_tensor *input;
    float values[VALUES]; /* what `input` holds */
    uint32_t probabilities, logits, pool2;
    int cancel_at; /* places after which the progress callback cancels; -1: never */
    char said[64];
} fixture;

static int32_t on_progress(uint64_t done, uint64_t total, const char *what, void *user)
{
    fixture *f = user;

    (void)total;
    if (strncmp(what, "occlusion", 9) != 0)
        return 0;
    snprintf(f->said, sizeof f->said, "%s", what);
    return f->cancel_at >= 0 && done > (uint64_t)f->cancel_at;
}

static void must(fixture *f, deconv_status status)
{
    if (status != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
}

static void open_all(fixture *f, uint64_t memory)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_picture *picture;
    const int64_t shape[] = {1, 3, SIDE, SIDE};

    options.progress = on_progress;
    options.progress_user = f;
    options.memory = memory;
    f->cancel_at = -1;
    assert_int_equal(deconv_ctx_create(&options, &f->ctx), DECONV_OK);
    must(f, deconv_card_open(f->ctx, NULL, FIGURES "zfnet-small.onnx", &f->card));
    must(f, deconv_net_open(f->ctx, FIGURES "zfnet-small.onnx", NULL, &f->net));
    must(f, deconv_net_classifier(f->net, &f->probabilities, &f->logits));
    must(f, deconv_net_find(f->net, "pool2", &f->pool2));
    must(f, deconv_picture_read(f->ctx, FIGURES "face.png", &picture));
    must(f, deconv_card_values(f->card, picture, 3, f->values, VALUES));
    must(f, deconv_tensor_create(f->ctx, shape, 4, &f->input));
    must(f, deconv_tensor_write(f->input, f->values, VALUES));
    deconv_picture_destroy(picture);
}

static void close_all(fixture *f)
{
    deconv_tensor_destroy(f->input);
    deconv_net_destroy(f->net);
    deconv_card_destroy(f->card);
    deconv_ctx_destroy(f->ctx);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    open_all(f, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    close_all(*state);
    free(*state);
    return 0;
}

static deconv_occlusion *sweep_of(fixture *f, const deconv_occlusion_options *options)
{
    deconv_occlusion *result;

    must(f, deconv_occlusion_run(f->net, (const deconv_tensor *const *)&f->input, 1, options,
                                 &result));
    return result;
}

static void refused(fixture *f, const deconv_occlusion_options *options, deconv_status code,
                    const char *part)
{
    deconv_occlusion *result = (deconv_occlusion *)f;

    assert_int_equal(
        deconv_occlusion_run(f->net, (const deconv_tensor *const *)&f->input, 1, options, &result),
        code);
    assert_null(result);
    if (!strstr(deconv_ctx_message(f->ctx), part))
        fail_msg("\"%s\" is not in: %s", part, deconv_ctx_message(f->ctx));
}

/* ---- Maps ---- */

/* All of one picture: scores, logits, one map's sum. */
typedef struct by_hand {
    float scores[CLASSES], logits[CLASSES];
    double sum;
    int label;
} by_hand;

static void run_by_hand(fixture *f, const float *values, int64_t unit, by_hand *out)
{
    const uint32_t keep[] = {f->probabilities, f->logits, f->pool2};
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    const deconv_tensor *t;
    const int64_t shape[] = {1, 3, SIDE, SIDE};
    deconv_tensor *picture;
    deconv_trace *trace;
    float *maps;

    options.keep = keep;
    options.keep_count = 3;
    must(f, deconv_tensor_create(f->ctx, shape, 4, &picture));
    must(f, deconv_tensor_write(picture, values, VALUES));
    must(f, deconv_trace_create(f->net, 1, &options, &trace));
    must(f, deconv_trace_run(trace, (const deconv_tensor *const *)&picture, 1));
    must(f, deconv_trace_activation(trace, f->probabilities, &t));
    must(f, deconv_tensor_read(t, out->scores, CLASSES));
    must(f, deconv_trace_activation(trace, f->logits, &t));
    must(f, deconv_tensor_read(t, out->logits, CLASSES));
    must(f, deconv_trace_activation(trace, f->pool2, &t));
    maps = malloc((size_t)deconv_tensor_count(t) * sizeof *maps);
    must(f, deconv_tensor_read(t, maps, deconv_tensor_count(t)));
    out->sum = 0;
    for (int i = 0; i < 11 * 11; i++)
        out->sum += (double)maps[unit * 11 * 11 + i];
    out->label = 0;
    for (int k = 1; k < CLASSES; k++)
        if (out->scores[k] > out->scores[out->label])
            out->label = k;
    free(maps);
    deconv_trace_destroy(trace);
    deconv_tensor_destroy(picture);
}

static void maps_are_those_of_pictures_covered_by_hand(void **state)
{
    fixture *f = *state;
    deconv_occlusion_map maps[] = {{DECONV_OCCLUSION_PROB, 0, 0},
                                   {DECONV_OCCLUSION_LOGIT, 0, 0},
                                   {DECONV_OCCLUSION_DROP, 0, 0},
                                   {DECONV_OCCLUSION_LABEL, 0, 0},
                                   {DECONV_OCCLUSION_ACTIVITY, f->pool2, 5}};
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
    static const int64_t tops[] = {0, 17, 34, 51, 68, 76}, lefts[] = {0, 17, 34, 51, 68, 70};
    deconv_occlusion *o;
    by_hand clean, covered;
    float value;

    options.patch_height = 20;
    options.patch_width = 26;
    options.stride_y = options.stride_x = 17;
    options.maps = maps;
    options.map_count = 5;
    options.class_index = 3;
    o = sweep_of(f, &options);
    must(f, deconv_occlusion_get(o, &info));
    run_by_hand(f, f->values, 5, &clean);
    assert_int_equal(info.rows, 6);
    assert_int_equal(info.columns, 6);
    assert_int_equal(info.class_index, 3);
    assert_int_equal(info.clean_label, clean.label);
    assert_true(info.clean_prob == clean.scores[3] && info.clean_logit == clean.logits[3]);
    assert_memory_equal(deconv_occlusion_tops(o), tops, sizeof tops);
    assert_memory_equal(deconv_occlusion_lefts(o), lefts, sizeof lefts);
    must(f, deconv_occlusion_map_get(o, 4, NULL, &value));
    assert_true(value == (float)clean.sum);
    for (int i = 0; i < 36; i++) {
        float *picture = malloc(sizeof f->values);

        memcpy(picture, f->values, sizeof f->values);
        for (int c = 0; c < 3; c++)
            for (int64_t y = tops[i / 6]; y < tops[i / 6] + 20; y++)
                for (int64_t x = lefts[i % 6]; x < lefts[i % 6] + 26; x++)
                    picture[c * PLANE + y * SIDE + x] = 0;
        run_by_hand(f, picture, 5, &covered);
        assert_true(deconv_occlusion_values(o, 0)[i] == covered.scores[3]);
        assert_true(deconv_occlusion_values(o, 1)[i] == covered.logits[3]);
        assert_true(deconv_occlusion_values(o, 2)[i] == clean.scores[3] - covered.scores[3]);
        assert_true(deconv_occlusion_values(o, 3)[i] == (float)covered.label);
        assert_true(deconv_occlusion_values(o, 4)[i] == (float)covered.sum);
        free(picture);
    }
    assert_null(deconv_occlusion_values(o, 5));
    deconv_occlusion_destroy(o);
}

static void classes_and_units_are_found(void **state)
{
    fixture *f = *state;
    deconv_occlusion_map activity = {DECONV_OCCLUSION_ACTIVITY, f->pool2, DECONV_STRONGEST}, got;
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
    deconv_occlusion *o;

    options.patch_height = options.patch_width = SIDE / 2;
    options.stride_y = options.stride_x = SIDE / 2;
    o = sweep_of(f, &options);
    must(f, deconv_occlusion_get(o, &info));
    assert_int_equal(info.class_index, 9); /* face */
    assert_int_equal(info.map_count, 1);
    assert_true(info.clean_prob > 0.9f);
    deconv_occlusion_destroy(o);

    options.card = f->card;
    options.label = "Face";
    options.maps = &activity;
    options.map_count = 1;
    o = sweep_of(f, &options);
    must(f, deconv_occlusion_get(o, &info));
    assert_int_equal(info.class_index, -1); /* no map needs it */
    must(f, deconv_occlusion_map_get(o, 0, &got, NULL));
    assert_in_range(got.unit, 0, 63);
    assert_int_equal(deconv_occlusion_map_get(o, 1, &got, NULL), DECONV_ERROR_NOT_FOUND);
    deconv_occlusion_destroy(o);

    options.maps = NULL;
    o = sweep_of(f, &options);
    must(f, deconv_occlusion_get(o, &info));
    assert_int_equal(info.class_index, 9);
    deconv_occlusion_destroy(o);
    options.label = "fase";
    refused(f, &options, DECONV_ERROR_NOT_FOUND, "face");
    options.class_index = 2;
    refused(f, &options, DECONV_ERROR_INVALID, "one of them");
    options.class_index = DECONV_STRONGEST;
    options.card = NULL;
    refused(f, &options, DECONV_ERROR_INVALID, "model card");
}

static void a_region_is_kept_to(void **state)
{
    fixture *f = *state;
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
    deconv_occlusion *o;

    options.patch_height = options.patch_width = 10;
    options.stride_y = 10;
    options.stride_x = 8;
    options.top = 20;
    options.left = 30;
    options.bottom = 50;
    options.right = 57;
    o = sweep_of(f, &options);
    must(f, deconv_occlusion_get(o, &info));
    assert_int_equal(info.rows, 3);
    assert_int_equal(info.columns, 4);
    assert_int_equal(deconv_occlusion_tops(o)[0], 20);
    assert_int_equal(deconv_occlusion_tops(o)[2], 40);
    assert_int_equal(deconv_occlusion_lefts(o)[2], 46);
    assert_int_equal(deconv_occlusion_lefts(o)[3], 47);
    deconv_occlusion_destroy(o);
    options.right = 39;
    refused(f, &options, DECONV_ERROR_INVALID, "region");
    options.right = 97;
    refused(f, &options, DECONV_ERROR_INVALID, "region");
}

/* ---- Fills ---- */

static void fill_of(fixture *f, const deconv_occlusion_options *options, float *values)
{
    sweep s = {.ctx = f->ctx,
               .net = f->net,
               .inputs = (const tensor *const *)&f->input,
               .options = *options};

    must(f, sweep_fill(&s));
    must(f, deconv_tensor_read(s.fill, values, VALUES));
    deconv_tensor_destroy(s.fill);
}

/* A picture of one colour as the card has it. */
static void of_colour(fixture *f, const uint8_t *rgb, float *values)
{
    deconv_picture *p;

    must(f, deconv_picture_create(f->ctx, SIDE, SIDE, NULL, &p));
    for (int i = 0; i < PLANE; i++)
        memcpy(deconv_picture_pixels(p) + 3 * i, rgb, 3);
    must(f, deconv_card_values(f->card, p, 3, values, VALUES));
    deconv_picture_destroy(p);
}

static void colours_are_what_the_card_makes_of_them(void **state)
{
    static const uint8_t colour[] = {200, 7, 90}, below[] = {127, 127, 127},
                         above[] = {128, 128, 128};
    fixture *f = *state;
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    float *fill = malloc(sizeof f->values), *low = malloc(sizeof f->values),
          *high = malloc(sizeof f->values);

    options.card = f->card;
    options.fill = DECONV_FILL_COLOUR;
    for (int c = 0; c < 3; c++)
        options.colour[c] = colour[c];
    fill_of(f, &options, fill);
    of_colour(f, colour, low);
    assert_memory_equal(fill, low, sizeof f->values);
    options.fill = DECONV_FILL_GREY;
    fill_of(f, &options, fill);
    of_colour(f, below, low);
    of_colour(f, above, high);
    for (int i = 0; i < VALUES; i++)
        assert_true(fill[i] == (low[i] + high[i]) / 2);
    options.fill = DECONV_FILL_MEAN;
    fill_of(f, &options, fill);
    for (int i = 0; i < VALUES; i++)
        assert_true(fill[i] == 0);
    options.fill = DECONV_FILL_COLOUR;
    options.colour[1] = 256;
    refused(f, &options, DECONV_ERROR_INVALID, "256");
    options.colour[1] = 0;
    options.card = NULL;
    refused(f, &options, DECONV_ERROR_INVALID, "model card");
    free(fill);
    free(low);
    free(high);
}

static void noise_is_even_and_the_seeds(void **state)
{
    fixture *f = *state;
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    float *one = malloc(sizeof f->values), *again = malloc(sizeof f->values);
    static const float mean[] = {103, 103, 101};
    int seen[256] = {0}, same = 0;

    options.card = f->card;
    options.fill = DECONV_FILL_NOISE;
    options.seed = 7;
    fill_of(f, &options, one);
    fill_of(f, &options, again);
    assert_memory_equal(one, again, sizeof f->values);
    for (int i = 0; i < VALUES; i++) {
        float value = one[i] + mean[i / PLANE];

        assert_true(value >= 0 && value <= 255 && value == floorf(value));
        seen[(int)value]++;
    }
    for (int v = 0; v < 256; v++) /* 108 of each on average, 10 its deviation */
        assert_in_range(seen[v], 58, 158);
    options.seed = 8;
    fill_of(f, &options, again);
    for (int i = 0; i < VALUES; i++)
        same += one[i] == again[i];
    assert_in_range(same, 0, VALUES / 128);
    free(one);
    free(again);
}

/* The sum over all pixels with the weights of a Gaussian, as its formula has it. */
static double blurred_at(const float *map, double sigma, int row, int column)
{
    double sum = 0, weights = 0;

    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double dy = y - row, dx = x - column, w;

            if (fabs(dy) > 3 * sigma || fabs(dx) > 3 * sigma)
                continue;
            w = exp(-(dy * dy + dx * dx) / (2 * sigma * sigma));
            sum += w * (double)map[y * SIDE + x];
            weights += w;
        }
    return sum / weights;
}

static void blur_is_a_gaussian(void **state)
{
    static const int at[][2] = {{0, 0}, {40, 50}, {95, 3}, {70, 95}};
    fixture *f = *state;
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    float *fill = malloc(sizeof f->values);

    options.fill = DECONV_FILL_BLUR;
    options.patch_height = 8;
    options.patch_width = 12; /* sigma 3 */
    fill_of(f, &options, fill);
    for (int c = 0; c < 3; c++)
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            double want = blurred_at(f->values + c * PLANE, 3, at[i][0], at[i][1]);

            assert_true(fabs((double)fill[c * PLANE + at[i][0] * SIDE + at[i][1]] - want) < 1e-3);
        }
    free(fill);
}

/* ---- The rest ---- */

static void little_memory_changes_nothing(void **state)
{
    fixture *f = *state, *small = calloc(1, sizeof *small);
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    deconv_occlusion *one, *other;

    options.patch_height = options.patch_width = 24;
    options.stride_y = options.stride_x = 24;
    one = sweep_of(f, &options);
    open_all(small, 1);
    other = sweep_of(small, &options);
    assert_memory_equal(deconv_occlusion_values(one, 0), deconv_occlusion_values(other, 0),
                        16 * sizeof(float));
    deconv_occlusion_destroy(one);
    deconv_occlusion_destroy(other);
    close_all(small);
    free(small);
}

static void it_can_be_cancelled(void **state)
{
    fixture *f = *state;
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;

    options.patch_height = options.patch_width = 16;
    options.stride_y = options.stride_x = 4;
    f->cancel_at = 100;
    refused(f, &options, DECONV_ERROR_CANCELLED, "occlusion");
    assert_non_null(strstr(f->said, " left"));
    f->cancel_at = -1;
    options.stride_y = options.stride_x = 40;
    deconv_occlusion_destroy(sweep_of(f, &options));
}

static void overlays_average_what_covers_a_pixel(void **state)
{
    fixture *f = *state;
    deconv_occlusion_map maps[] = {{DECONV_OCCLUSION_PROB, 0, 0}, {DECONV_OCCLUSION_LABEL, 0, 0}};
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    float *overlay = malloc(PLANE * sizeof *overlay);
    deconv_occlusion *o;
    const float *v;
    float clean;

    options.patch_height = options.patch_width = 40;
    options.stride_y = options.stride_x = 28; /* corners 0, 28, 56 */
    options.maps = maps;
    options.map_count = 2;
    o = sweep_of(f, &options);
    v = deconv_occlusion_values(o, 0);
    must(f, deconv_occlusion_overlay(o, 0, overlay, PLANE));
    assert_true(overlay[0] == v[0]);
    assert_true(overlay[30 * SIDE] == (float)(((double)v[0] + (double)v[3]) / 2));
    assert_true(overlay[95 * SIDE + 95] == v[8]);
    assert_int_equal(deconv_occlusion_overlay(o, 0, overlay, 5), DECONV_ERROR_INVALID);
    assert_int_equal(deconv_occlusion_overlay(o, 1, overlay, PLANE), DECONV_ERROR_INVALID);
    assert_int_equal(deconv_occlusion_overlay(o, 2, overlay, PLANE), DECONV_ERROR_NOT_FOUND);
    deconv_occlusion_destroy(o);

    options.patch_height = options.patch_width = 10; /* 10 to 28 is covered by none */
    o = sweep_of(f, &options);
    must(f, deconv_occlusion_map_get(o, 0, NULL, &clean));
    must(f, deconv_occlusion_overlay(o, 0, overlay, PLANE));
    assert_true(overlay[15] == clean);
    deconv_occlusion_destroy(o);
    free(overlay);
}

static void what_makes_no_sense_is_refused(void **state)
{
    fixture *f = *state;
    deconv_occlusion_map map = {DECONV_OCCLUSION_ACTIVITY, f->pool2, 64};
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;

    options.patch_height = SIDE + 1;
    refused(f, &options, DECONV_ERROR_INVALID, "larger than the picture");
    options.patch_height = -1;
    refused(f, &options, DECONV_ERROR_INVALID, "-1");
    options.patch_height = 0;
    options.stride_x = -2;
    refused(f, &options, DECONV_ERROR_INVALID, "-2");
    options.stride_x = 0;
    options.class_index = CLASSES;
    refused(f, &options, DECONV_ERROR_NOT_FOUND, "0-9");
    options.class_index = DECONV_STRONGEST;
    options.label = "strip";
    refused(f, &options, DECONV_ERROR_INVALID, "model card");
    options.card = f->card;
    refused(f, &options, DECONV_ERROR_NOT_FOUND, "the nearest are: stripes");
    options.label = NULL;
    options.engine = (deconv_occlusion_engine)7;
    refused(f, &options, DECONV_ERROR_INVALID, "engine 7");
    options.engine = DECONV_OCCLUSION_INCREMENTAL;
    options.input = 1;
    refused(f, &options, DECONV_ERROR_NOT_FOUND, "input 1");
    options.input = 0;
    options.maps = &map;
    refused(f, &options, DECONV_ERROR_INVALID, "no map");
    options.map_count = 1;
    refused(f, &options, DECONV_ERROR_NOT_FOUND, "0-63");
    map.layer = 1000;
    refused(f, &options, DECONV_ERROR_NOT_FOUND, "layer 1000");
    map.kind = (deconv_occlusion_kind)9;
    refused(f, &options, DECONV_ERROR_INVALID, "kind 9");
    options.maps = NULL;
    options.fill = (deconv_fill)9;
    refused(f, &options, DECONV_ERROR_INVALID, "fill 9");
    options.fill = DECONV_FILL_MEAN;
    f->values[PLANE + 2 * SIDE + 7] = NAN;
    must(f, deconv_tensor_write(f->input, f->values, VALUES));
    refused(f, &options, DECONV_ERROR_INVALID, "channel 1, row 2, column 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(maps_are_those_of_pictures_covered_by_hand, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(classes_and_units_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_region_is_kept_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(colours_are_what_the_card_makes_of_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(noise_is_even_and_the_seeds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blur_is_a_gaussian, set_up, tear_down),
        cmocka_unit_test_setup_teardown(little_memory_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_can_be_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overlays_average_what_covers_a_pixel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
