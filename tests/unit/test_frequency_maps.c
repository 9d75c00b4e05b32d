/* Frequencies of feature maps and of pictures: what passes through a filter, maps without life,
 * batches, memory that runs out. */
#define _XOPEN_SOURCE 700
#include "frequency_nets.h"

#include "../harness/starve.h"

enum { SIDE = 48, AREA = SIDE * SIDE };

/* ---- Helpers ---- */

static deconv_tensor *tensor_of(deconv_ctx *ctx, const float *values, int64_t pictures,
                                int64_t channels, int64_t height, int64_t width)
{
    const int64_t shape[4] = {pictures, channels, height, width};
    deconv_tensor *t;

    assert_int_equal(deconv_tensor_create(ctx, shape, 4, &t), DECONV_OK);
    assert_int_equal(
        deconv_tensor_write(t, values, (uint64_t)(pictures * channels * height * width)),
        DECONV_OK);
    return t;
}

static deconv_status run(deconv_frequency *frequency, const deconv_tensor *t)
{
    return deconv_frequency_run(frequency, &t, 1);
}

static deconv_filter_info map_filter(const fixture *f, const deconv_frequency *frequency,
                                     uint32_t filter)
{
    deconv_filter_info info = DECONV_FILTER_INFO_INIT;

    WORKS(f, deconv_frequency_filter(frequency, 0, filter, &info));
    return info;
}

/* ---- Energies of maps ---- */

/* Filters of one pixel hand the picture on: maps have its energy, whatever its size. */
static void parseval_holds_for_maps(void **state)
{
    static const int sides[] = {1, 2, 7, 13, 31, 48, 55};
    static const float weights[2] = {1.0f, 2.0f};
    static const float bias[2] = {100.0f, 100.0f};
    static float picture[55 * 55];
    const fixture *f = *state;

    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        int side = sides[i], area = side * side;
        conv_net n = {.filters = 2,
                      .channels = 1,
                      .height = 1,
                      .width = 1,
                      .side = side,
                      .weights = weights,
                      .bias = bias};
        deconv_net *net = open_conv_net(f, &n);
        deconv_frequency *frequency;
        deconv_tensor *t;

        draw_noise(picture, (size_t)area, (uint32_t)side);
        t = tensor_of(f->ctx, picture, 1, 1, side, side);
        WORKS(f, deconv_frequency_create(net, NULL, &frequency));
        WORKS(f, run(frequency, t));
        for (uint32_t k = 0; k < 2; k++) {
            deconv_filter_info info = map_filter(f, frequency, k);
            double energy = 0.0, mean = 0.0;

            for (int p = 0; p < area; p++) {
                double value = (double)weights[k] * picture[p] + 100.0;

                energy += value * value;
                mean += value / area;
            }
            assert_true(fabs(info.map_bands.energy - energy) < 1e-5 * energy);
            assert_true(fabs(sum_of_bands(&info.map_bands) - energy) < 1e-5 * energy);
            assert_true(fabs(info.map_bands.dc - mean * mean * area) < 1e-5 * energy);
        }
        deconv_frequency_destroy(frequency);
        deconv_tensor_destroy(t);
        deconv_net_destroy(net);
    }
}

/* Gratings as pictures: in the right band and the right way round, in the input and in the map. */
static void gratings_pass_where_they_belong(void **state)
{
    static const double frequencies[] = {0.1, 0.25, 0.4};
    static const float one[1] = {1.0f}, bias[1] = {1.0f};
    static float picture[AREA];
    const conv_net n = {.filters = 1,
                        .channels = 1,
                        .height = 1,
                        .width = 1,
                        .side = SIDE,
                        .weights = one,
                        .bias = bias};
    const fixture *f = *state;
    deconv_net *net = open_conv_net(f, &n);

    for (int i = 0; i < 3; i++)
        for (int degrees = 0; degrees < 180; degrees += 20) {
            double band[3], off;
            deconv_frequency *frequency;
            deconv_filter_info info;
            deconv_bands input;
            deconv_tensor *t;

            draw_grating(picture, SIDE, SIDE, frequencies[i], degrees, 0.4);
            t = tensor_of(f->ctx, picture, 1, 1, SIDE, SIDE);
            WORKS(f, deconv_frequency_create(net, NULL, &frequency));
            WORKS(f, run(frequency, t));
            WORKS(f, deconv_frequency_input(frequency, &input));
            info = map_filter(f, frequency, 0);
            band[0] = input.low;
            band[1] = input.mid;
            band[2] = input.high;
            assert_true(fabs(sum_of_bands(&input) - 1.0) < 1e-6);
            if (band[i] < 0.8)
                fail_msg("%g at %d degrees: share %g", frequencies[i], degrees, band[i]);
            assert_true(fabs(input.centroid - frequencies[i]) < 0.04);
            off = apart(input.orientation, degrees);
            if (off > 1.5 || input.oriented < 0.8)
                fail_msg("%g at %d degrees: %g", frequencies[i], degrees, input.orientation);
            assert_true(apart(info.map_bands.orientation, input.orientation) < 1e-3);
            deconv_frequency_destroy(frequency);
            deconv_tensor_destroy(t);
        }
    deconv_net_destroy(net);
}

/* Noise through a smoothing filter comes out lower, through a differencing one higher. */
static void filters_let_through_what_they_are(void **state)
{
    static float weights[3][9] = {
        {0, 0, 0, 0, 1, 0, 0, 0, 0}, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, -1, 1, -1, 1, -1, 1, -1, 1}};
    static const float bias[3] = {100, 100, 100}; /* so that nothing is rectified */
    static float picture[AREA];
    const conv_net n = {.filters = 3,
                        .channels = 1,
                        .height = 3,
                        .width = 3,
                        .side = SIDE,
                        .weights = weights[0],
                        .bias = bias};
    const fixture *f = *state;
    deconv_net *net = open_conv_net(f, &n);
    double centroid[3], shares[DECONV_FREQUENCY_CLASSES], sum = 0.0;
    deconv_frequency_info info = DECONV_FREQUENCY_INFO_INIT;
    deconv_frequency *frequency;
    deconv_tensor *t;

    draw_noise(picture, AREA, 77);
    t = tensor_of(f->ctx, picture, 1, 1, SIDE, SIDE);
    WORKS(f, deconv_frequency_create(net, NULL, &frequency));
    WORKS(f, deconv_frequency_get(frequency, 0, &info));
    assert_true(info.map_bands.energy == 0.0);
    WORKS(f, run(frequency, t));
    WORKS(f, deconv_frequency_get(frequency, 0, &info));
    for (uint32_t k = 0; k < 3; k++) {
        deconv_bands b = map_filter(f, frequency, k).map_bands;

        centroid[k] = b.centroid / (1.0 - b.dc / b.energy);
    }
    assert_true(centroid[1] < 0.2 && fabs(centroid[0] - 0.38) < 0.02 && centroid[2] > 0.5);
    assert_true(fabs(sum_of_bands(&info.map_bands) - 1.0) < 1e-6);
    WORKS(f, deconv_frequency_histogram(frequency, 0, DECONV_FREQUENCY_MAPS, shares,
                                        DECONV_FREQUENCY_CLASSES));
    for (int i = 0; i < DECONV_FREQUENCY_CLASSES; i++)
        sum += shares[i];
    assert_true(fabs(sum + info.map_bands.dc - 1.0) < 1e-6);
    deconv_frequency_destroy(frequency);
    deconv_tensor_destroy(t);
    deconv_net_destroy(net);
}

/* ---- Dead by activation ---- */

static void silent_maps_are_found(void **state)
{
    static float weights[4][9], picture[2 * AREA];
    static const float bias[4] = {0.0f, -1000.0f, 5.0f, 0.5f};
    const conv_net n = {.filters = 4,
                        .channels = 1,
                        .height = 3,
                        .width = 3,
                        .side = SIDE,
                        .weights = weights[0],
                        .bias = bias};
    static const uint32_t flags[4] = {0, DECONV_FILTER_DEAD_ACTIVATION,
                                      DECONV_FILTER_DEAD_ACTIVATION | DECONV_FILTER_DEAD_WEIGHT, 0};
    deconv_frequency_info info = DECONV_FREQUENCY_INFO_INIT;
    deconv_layer_info maps = DECONV_LAYER_INFO_INIT;
    const fixture *f = *state;
    deconv_frequency *frequency;
    deconv_tensor *t;
    deconv_net *net;

    draw_noise(weights[0], 4 * 9, 3);
    for (int i = 0; i < 9; i++) {
        weights[2][i] = 0.0f;
        for (int k = 0; k < 4; k++)
            weights[k][i] *= 0.05f;
    }
    draw_noise(picture, 2 * AREA, 8);
    net = open_conv_net(f, &n);
    t = tensor_of(f->ctx, picture, 2, 1, SIDE, SIDE);
    WORKS(f, deconv_frequency_create(net, NULL, &frequency));
    WORKS(f, run(frequency, t));
    WORKS(f, deconv_frequency_get(frequency, 0, &info));
    WORKS(f, deconv_net_layer(net, info.maps_of, &maps));
    assert_string_equal(maps.name, "r"); /* behind the Relu */
    assert_int_equal(info.dead_activation, 2);
    assert_int_equal(info.dead_weight, 1);
    for (uint32_t k = 0; k < 4; k++)
        assert_int_equal(map_filter(f, frequency, k).flags, flags[k]);
    assert_non_null(strstr(info.text, "2 of 4 maps are the same everywhere in all 2 pictures"));
    deconv_frequency_destroy(frequency);
    deconv_tensor_destroy(t);
    deconv_net_destroy(net);
}

/* ---- Many pictures ---- */

enum { PICTURES = 5 };

static void draw_pictures(float *pictures)
{
    draw_noise(pictures, PICTURES * AREA, 99);
    for (int p = 0; p < PICTURES; p++)
        for (int i = 0; i < AREA; i++)
            pictures[p * AREA + i] *= (float)(p + 1);
}

static void expect_same(const fixture *f, const deconv_frequency *a, const deconv_frequency *b)
{
    deconv_bands is, should;

    assert_int_equal(deconv_frequency_pictures(a), deconv_frequency_pictures(b));
    for (uint32_t k = 0; k < 4; k++) {
        deconv_filter_info one = map_filter(f, a, k), other = map_filter(f, b, k);

        assert_memory_equal(&one, &other, sizeof one);
    }
    WORKS(f, deconv_frequency_input(a, &is));
    WORKS(f, deconv_frequency_input(b, &should));
    assert_memory_equal(&is, &should, sizeof is);
}

/* All at once, one call a picture, and with a memory budget that splits the batch: the same. */
static void batches_do_not_matter(void **state)
{
    static float weights[4 * 9], pictures[PICTURES * AREA];
    const conv_net n = {
        .filters = 4, .channels = 1, .height = 3, .width = 3, .side = SIDE, .weights = weights};
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    const fixture *f = *state;
    deconv_frequency *at_once, *one_by_one, *in_parts;
    deconv_net *net, *other_net;
    deconv_ctx *small;
    deconv_tensor *t;

    draw_noise(weights, 4 * 9, 1);
    draw_pictures(pictures);
    net = open_conv_net(f, &n);
    WORKS(f, deconv_frequency_create(net, NULL, &at_once));
    WORKS(f, deconv_frequency_create(net, NULL, &one_by_one));
    t = tensor_of(f->ctx, pictures, PICTURES, 1, SIDE, SIDE);
    WORKS(f, run(at_once, t));
    deconv_tensor_destroy(t);
    for (int p = 0; p < PICTURES; p++) {
        t = tensor_of(f->ctx, pictures + p * AREA, 1, 1, SIDE, SIDE);
        WORKS(f, run(one_by_one, t));
        deconv_tensor_destroy(t);
    }
    expect_same(f, at_once, one_by_one);

    options.cache_dir = "";
    options.memory = 200000;
    assert_int_equal(deconv_ctx_create(&options, &small), DECONV_OK);
    assert_int_equal(deconv_net_open(small, put_conv_net(f, &n), NULL, &other_net), DECONV_OK);
    assert_int_equal(deconv_frequency_create(other_net, NULL, &in_parts), DECONV_OK);
    t = tensor_of(small, pictures, PICTURES, 1, SIDE, SIDE);
    assert_int_equal(run(in_parts, t), DECONV_OK);
    expect_same(f, at_once, in_parts);
    deconv_tensor_destroy(t);
    deconv_frequency_destroy(in_parts);
    deconv_net_destroy(other_net);
    deconv_ctx_destroy(small);
    deconv_frequency_destroy(at_once);
    deconv_frequency_destroy(one_by_one);
    deconv_net_destroy(net);
}

/* Weights that have left the host are read from the file, or, where it does not have them as they
 * are, from the device. */
static void check_weights_after_a_run(const fixture *f, bool folded)
{
    enum { FILTERS = 64, SIZE = 8 * 9 };
    static float weights[FILTERS * SIZE], zero[8 * AREA], read[SIZE];
    const conv_net n = {.folded = folded,
                        .filters = FILTERS,
                        .channels = 8,
                        .height = 3,
                        .width = 3,
                        .side = SIDE,
                        .weights = weights};
    deconv_frequency *before, *after;
    deconv_net *net;
    deconv_tensor *t;

    draw_noise(weights, FILTERS * SIZE, 2);
    net = open_conv_net(f, &n);
    t = tensor_of(f->ctx, zero, 1, 8, SIDE, SIDE);
    WORKS(f, deconv_frequency_create(net, NULL, &before));
    WORKS(f, run(before, t));
    WORKS(f, deconv_frequency_create(net, NULL, &after));
    for (uint32_t k = 0; k < FILTERS; k++) {
        deconv_filter_info one = map_filter(f, before, k), other = map_filter(f, after, k);

        assert_memory_equal(&one.bands, &other.bands, sizeof one.bands);
        WORKS(f, deconv_frequency_weights(after, 0, k, read, SIZE));
        assert_memory_equal(read, weights + k * SIZE, sizeof read);
    }
    deconv_frequency_destroy(before);
    deconv_frequency_destroy(after);
    deconv_tensor_destroy(t);
    deconv_net_destroy(net);
}

static void weights_after_a_run(void **state)
{
    check_weights_after_a_run(*state, false);
    check_weights_after_a_run(*state, true);
}

/* ---- Failures ---- */

static void wrong_pictures_are_refused(void **state)
{
    static float weights[9], picture[AREA];
    const conv_net n = {
        .filters = 1, .channels = 1, .height = 3, .width = 3, .side = SIDE, .weights = weights};
    const fixture *f = *state;
    deconv_frequency *frequency;
    deconv_tensor *t, *wrong;
    deconv_net *net;

    draw_noise(weights, 9, 2);
    draw_noise(picture, AREA, 2);
    net = open_conv_net(f, &n);
    WORKS(f, deconv_frequency_create(net, NULL, &frequency));
    t = tensor_of(f->ctx, picture, 1, 1, SIDE, SIDE);
    wrong = tensor_of(f->ctx, picture, 1, 1, SIDE, SIDE / 2);
    WORKS(f, run(frequency, t));
    assert_int_equal(run(frequency, wrong), DECONV_ERROR_INVALID);
    assert_non_null(strstr(deconv_ctx_message(f->ctx), "input x is 1x1x48x24"));
    assert_int_equal(run(frequency, NULL), DECONV_ERROR_INVALID);
    assert_int_equal(deconv_frequency_pictures(frequency), 0);
    picture[77] = NAN;
    deconv_tensor_destroy(t);
    t = tensor_of(f->ctx, picture, 1, 1, SIDE, SIDE);
    assert_int_equal(run(frequency, t), DECONV_ERROR_INVALID);
    assert_non_null(strstr(deconv_ctx_message(f->ctx), "not finite"));
    assert_true(map_filter(f, frequency, 0).map_bands.energy == 0.0);
    deconv_tensor_destroy(t);
    deconv_tensor_destroy(wrong);
    deconv_frequency_destroy(frequency);
    deconv_net_destroy(net);
}

typedef struct starving {
    deconv_net *net;
    const float *picture;
} starving;

static deconv_status analyse_starving(deconv_ctx *ctx, void *user)
{
    const starving *s = user;
    const int64_t shape[4] = {1, 1, SIDE, SIDE};
    deconv_frequency *frequency = NULL;
    double energies[64 * 64];
    deconv_tensor *t = NULL;
    deconv_status status = deconv_frequency_create(s->net, NULL, &frequency);

    if (status == DECONV_OK)
        status = deconv_tensor_create(ctx, shape, 4, &t);
    if (status == DECONV_OK)
        status = deconv_tensor_write(t, s->picture, AREA);
    if (status == DECONV_OK)
        status = run(frequency, t);
    if (status == DECONV_OK)
        status = deconv_frequency_spectrum(frequency, 0, 1, energies, 64 * 64);
    deconv_tensor_destroy(t);
    deconv_frequency_destroy(frequency);
    return status;
}

static void memory_may_run_out(void **state)
{
    static float weights[2 * 9], picture[AREA];
    const conv_net n = {
        .filters = 2, .channels = 1, .height = 3, .width = 3, .side = SIDE, .weights = weights};
    starving s = {.picture = picture};
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    char why[512] = "";
    long refused;

    assert_non_null(ctx);
    draw_noise(weights, 2 * 9, 2);
    draw_noise(picture, AREA, 2);
    assert_int_equal(deconv_net_open(ctx, put_conv_net(*state, &n), NULL, &s.net), DECONV_OK);
    assert_int_equal(analyse_starving(ctx, &s), DECONV_OK);
    refused = starve(ctx, &h, analyse_starving, &s, why, sizeof why);
    if (refused < 0)
        fail_msg("%s", why);
    print_message("%ld allocations refused\n", refused);
    assert_true(refused > 30);
    deconv_net_destroy(s.net);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parseval_holds_for_maps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gratings_pass_where_they_belong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters_let_through_what_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silent_maps_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches_do_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights_after_a_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_pictures_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_may_run_out, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
