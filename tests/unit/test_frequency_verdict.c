/* Frequencies of filters in words: dead and large filters, verdicts, and what is refused. */
#define _XOPEN_SOURCE 700
#include "frequency_nets.h"

/* ---- Dead and large filters ---- */

static void dead_and_large_filters(void **state)
{
    enum { FILTERS = 10, SIZE = 3 * 25 };
    static float weights[FILTERS][SIZE];
    conv_net n = {.filters = FILTERS,
                  .channels = 3,
                  .height = 5,
                  .width = 5,
                  .side = 9,
                  .weights = weights[0]};
    analysis a;

    draw_noise(weights[0], FILTERS * SIZE, 23);
    for (int k = 0; k < FILTERS; k++)
        for (int i = 0; i < SIZE; i++)
            weights[k][i] *= k == 3 ? 0.0f : k == 5 ? 1e-4f : k == 7 ? 0.15f : 0.05f;
    a = analyse(*state, &n, NULL);
    assert_int_equal(a.info.dead_weight, 2);
    assert_int_equal(a.info.dead_activation, 0);
    assert_int_equal(a.info.over_limit, 1);
    for (uint32_t k = 0; k < FILTERS; k++)
        assert_int_equal(filter_of(*state, &a, k).flags, k == 3 || k == 5
                                                             ? DECONV_FILTER_DEAD_WEIGHT
                                                         : k == 7 ? DECONV_FILTER_OVER_LIMIT
                                                                  : 0);
    assert_non_null(strstr(a.info.text, "2 of 10 filters are dead"));
    assert_non_null(strstr(a.info.text, "1 filter is over the RMS limit of 0.1"));
    done_with(&a);
    memset(weights, 0, sizeof weights);
    a = analyse(*state, &n, NULL);
    assert_int_equal(a.info.dead_weight, FILTERS);
    assert_int_equal(a.info.verdict, DECONV_VERDICT_DEAD);
    assert_true(a.info.filter_bands.energy == 0.0);
    done_with(&a);
}

/* ---- Verdicts ---- */

/* A layer of gratings of these frequencies, `each` of a kind at angles all around. */
static deconv_verdict verdict_of(void **state, int side, const double *frequencies, int count)
{
    enum { EACH = 8, MOST = 4 };
    static float weights[MOST * EACH * 3 * 11 * 11];
    conv_net n = {.filters = count * EACH,
                  .channels = 3,
                  .height = side,
                  .width = side,
                  .stride = 2,
                  .side = 24,
                  .weights = weights};
    deconv_verdict verdict;
    analysis a;

    for (int i = 0; i < count * EACH * 3; i++)
        draw_grating(weights + i * side * side, side, side, frequencies[i / 3 / EACH],
                     (i / 3 % EACH) * 22.5, 0.7 * (i / 3 % EACH));
    a = analyse(*state, &n, NULL);
    verdict = a.info.verdict;
    print_message("%d x %d: %s\n", side, side, a.info.text);
    done_with(&a);
    return verdict;
}

static void the_papers_verdict(void **state)
{
    static const double extremes[] = {0.03, 0.45}, mixed[] = {0.06, 0.25, 0.45};
    static const double low[] = {0.05, 0.07}, middle[] = {0.25, 0.25}, high[] = {0.42, 0.46};

    assert_int_equal(verdict_of(state, 11, extremes, 2), DECONV_VERDICT_GAP);
    assert_int_equal(verdict_of(state, 7, extremes, 2), DECONV_VERDICT_GAP);
    assert_int_equal(verdict_of(state, 11, mixed, 3), DECONV_VERDICT_EVEN);
    assert_int_equal(verdict_of(state, 7, mixed, 3), DECONV_VERDICT_EVEN);
    assert_int_equal(verdict_of(state, 11, low, 2), DECONV_VERDICT_LOW);
    assert_int_equal(verdict_of(state, 11, middle, 2), DECONV_VERDICT_MID);
    assert_int_equal(verdict_of(state, 11, high, 2), DECONV_VERDICT_HIGH);
}

/* ---- What is refused ---- */

static void expect_refused(const fixture *f, deconv_net *net,
                           const deconv_frequency_options *options, const char *part)
{
    deconv_frequency *frequency = (deconv_frequency *)f;

    assert_int_equal(deconv_frequency_create(net, options, &frequency), DECONV_ERROR_INVALID);
    assert_null(frequency);
    if (!strstr(deconv_ctx_message(f->ctx), part))
        fail_msg("\"%s\" is not in \"%s\"", part, deconv_ctx_message(f->ctx));
}

static void wrong_options_are_refused(void **state)
{
    static const float one[1] = {1.0f};
    conv_net n = {.filters = 1, .channels = 1, .height = 1, .width = 1, .side = 4, .weights = one};
    deconv_net *net = open_conv_net(*state, &n);
    deconv_frequency_options o = DECONV_FREQUENCY_OPTIONS_INIT;

    o.grid = 63;
    expect_refused(*state, net, &o, "63");
    deconv_frequency_options_init(&o);
    o.low_to = 0.4;
    expect_refused(*state, net, &o, "0.4 and 0.333");
    deconv_frequency_options_init(&o);
    o.mid_to = NAN;
    expect_refused(*state, net, &o, "nan");
    deconv_frequency_options_init(&o);
    o.rms_limit = 0.0;
    expect_refused(*state, net, &o, "RMS limit");
    deconv_frequency_options_init(&o);
    o.dead_rms = -1.0;
    expect_refused(*state, net, &o, "-1");
    deconv_frequency_options_init(&o);
    o.little = 0.5;
    expect_refused(*state, net, &o, "0.5");
    o.struct_size = 0;
    expect_refused(*state, net, &o, "struct_size");
    deconv_net_destroy(net);
}

static void wrong_questions_are_refused(void **state)
{
    static const float one[1] = {1.0f};
    conv_net n = {.filters = 1, .channels = 1, .height = 1, .width = 1, .side = 4, .weights = one};
    analysis a = analyse(*state, &n, NULL);
    deconv_filter_info filter = DECONV_FILTER_INFO_INIT;
    double shares[DECONV_FREQUENCY_CLASSES];
    float weight[2];

    assert_int_equal(a.info.verdict, DECONV_VERDICT_POINT);
    assert_int_equal(deconv_frequency_get(a.frequency, 1, &a.info), DECONV_ERROR_NOT_FOUND);
    assert_int_equal(deconv_frequency_filter(a.frequency, 0, 1, &filter), DECONV_ERROR_NOT_FOUND);
    assert_int_equal(deconv_frequency_weights(a.frequency, 0, 0, weight, 2), DECONV_ERROR_INVALID);
    assert_int_equal(
        deconv_frequency_histogram(a.frequency, 0, DECONV_FREQUENCY_FILTERS, shares, 9),
        DECONV_ERROR_INVALID);
    assert_int_equal(deconv_frequency_histogram(a.frequency, 0, (deconv_frequency_source)7, shares,
                                                DECONV_FREQUENCY_CLASSES),
                     DECONV_ERROR_INVALID);
    assert_int_equal(deconv_frequency_spectrum(a.frequency, 0, 0, shares, 3), DECONV_ERROR_INVALID);
    done_with(&a);
}

static void broken_weights_are_named(void **state)
{
    static float weights[4 * 9];
    fixture *f = *state;
    conv_net n = {
        .filters = 4, .channels = 1, .height = 3, .width = 3, .side = 4, .weights = weights};
    deconv_frequency *frequency;
    deconv_net *net;

    weights[20] = INFINITY;
    net = open_conv_net(f, &n);
    assert_int_equal(deconv_frequency_create(net, NULL, &frequency), DECONV_ERROR_FORMAT);
    assert_string_equal(deconv_ctx_message(f->ctx), "c: filter 2 has a weight that is not finite");
    deconv_net_destroy(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dead_and_large_filters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_papers_verdict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_options_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_questions_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_weights_are_named, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
