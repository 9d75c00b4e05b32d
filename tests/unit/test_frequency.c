/* Frequencies of filters: gratings, noise, Parseval, aliasing. */
#define _XOPEN_SOURCE 700
#include "frequency_nets.h"

/* ---- Gratings ---- */

/* The bin of a filter's spectrum with most energy, as a frequency. */
static void find_peak(const fixture *f, const analysis *a, uint32_t filter, double *fy, double *fx)
{
    size_t rows = a->info.grid_y, cols = a->info.grid_x, best = 0;
    double *e = malloc(rows * cols * sizeof *e);

    assert_non_null(e);
    WORKS(f, deconv_frequency_spectrum(a->frequency, 0, filter, e, rows * cols));
    for (size_t i = 0; i < rows * cols; i++)
        if (e[i] > e[best])
            best = i;
    *fy = ((double)(best / cols) - (double)(rows / 2)) / (double)rows;
    *fx = ((double)(best % cols) - (double)(cols / 2)) / (double)cols;
    free(e);
}

static double band_of(const deconv_bands *b, double frequency)
{
    return frequency < 1.0 / 6.0 ? b->low : frequency < 1.0 / 3.0 ? b->mid : b->high;
}

static void check_grating(const fixture *f, const analysis *a, uint32_t filter, double frequency,
                          double degrees)
{
    deconv_filter_info info = filter_of(f, a, filter);
    double fy, fx, bin = 1.0 / a->info.grid_x, across = (90.0 - degrees) * PI / 180.0;
    double should_y = frequency * sin(across), should_x = frequency * cos(across);
    /* How far a step of one bin turns the direction at this frequency. */
    double one_bin = atan(bin / frequency) * 180.0 / PI;

    find_peak(f, a, filter, &fy, &fx);
    if (fy * should_y + fx * should_x < 0.0) { /* the same wave */
        fy = -fy;
        fx = -fx;
    }
    if (fabs(fy - should_y) > bin || fabs(fx - should_x) > bin)
        fail_msg("%g at %g degrees: the peak is at (%g, %g), not (%g, %g)", frequency, degrees, fy,
                 fx, should_y, should_x);
    if (apart(info.bands.orientation, degrees) > one_bin)
        fail_msg("%g at %g degrees: orientation %g", frequency, degrees, info.bands.orientation);
    assert_true(band_of(&info.bands, frequency) > 0.7 * info.bands.energy);
    assert_true(info.bands.oriented > 0.7);
}

static void gratings_land_where_they_belong(void **state)
{
    enum { SIDE = 21, ANGLES = 12, FREQUENCIES = 6 };
    static const double frequencies[FREQUENCIES] = {0.07, 0.1, 0.22, 0.27, 0.4, 0.45};
    static float weights[FREQUENCIES * ANGLES][SIDE * SIDE];
    conv_net n = {.filters = FREQUENCIES * ANGLES,
                  .channels = 1,
                  .height = SIDE,
                  .width = SIDE,
                  .side = 32,
                  .weights = weights[0]};
    analysis a;

    for (int i = 0; i < FREQUENCIES * ANGLES; i++)
        draw_grating(weights[i], SIDE, SIDE, frequencies[i / ANGLES], i % ANGLES * 15.0, 0.3);
    a = analyse(*state, &n, NULL);
    for (uint32_t i = 0; i < FREQUENCIES * ANGLES; i++)
        check_grating(*state, &a, i, frequencies[i / ANGLES], i % ANGLES * 15.0);
    done_with(&a);
}

/* A grating that ends in a box has energy far and wide, if little; one that fades out has its
 * centroid where it should. */
static void fading_gratings_have_their_centroid(void **state)
{
    enum { SIDE = 21, ANGLES = 12 };
    static float weights[ANGLES][SIDE * SIDE];
    conv_net n = {.filters = ANGLES,
                  .channels = 1,
                  .height = SIDE,
                  .width = SIDE,
                  .side = 32,
                  .weights = weights[0]};

    for (double frequency = 0.2; frequency < 0.42; frequency += 0.05) {
        analysis a;

        for (int i = 0; i < ANGLES; i++) {
            draw_grating(weights[i], SIDE, SIDE, frequency, i * 15.0, 0.3);
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++)
                    weights[i][y * SIDE + x] *=
                        (float)exp(-0.03 * ((x - 10) * (x - 10) + (y - 10) * (y - 10)));
        }
        a = analyse(*state, &n, NULL);
        for (uint32_t i = 0; i < ANGLES; i++) {
            deconv_filter_info info = filter_of(*state, &a, i);

            if (fabs(info.bands.centroid - frequency) > 1.0 / 64.0)
                fail_msg("%g: centroid %g", frequency, info.bands.centroid);
        }
        done_with(&a);
    }
}

/* ---- Noise and Parseval ---- */

static void noise_splits_as_the_areas(void **state)
{
    enum { FILTERS = 256, SIDE = 11, COUNT = FILTERS * 3 * SIDE * SIDE };
    float *weights = malloc(COUNT * sizeof *weights);
    conv_net n = {.filters = FILTERS,
                  .channels = 3,
                  .height = SIDE,
                  .width = SIDE,
                  .side = 32,
                  .stride = 4,
                  .weights = weights};
    const deconv_bands *is, *should;
    analysis a;

    assert_non_null(weights);
    draw_noise(weights, COUNT, 7);
    a = analyse(*state, &n, NULL);
    is = &a.info.filter_bands;
    should = &a.info.noise_bands;
    /* The areas on paper: a circle, a ring, and what is left of the square. */
    assert_true(fabs(low_share(should) - PI / 36.0) < 0.005);
    assert_true(fabs(should->mid - PI / 12.0) < 0.005);
    assert_true(fabs(should->high - (1.0 - PI / 9.0)) < 0.005);
    assert_true(fabs(sum_of_bands(should) - 1.0) < 1e-6);
    assert_true(fabs(low_share(is) - low_share(should)) < 0.01);
    assert_true(fabs(is->mid - should->mid) < 0.01);
    assert_true(fabs(is->high - should->high) < 0.01);
    /* Past a quarter of the frequencies on either axis: all but a sixteenth. */
    assert_true(fabs(is->beyond - 15.0 / 16.0) < 0.03);
    assert_true(is->oriented < 0.05);
    assert_int_equal(a.info.verdict, DECONV_VERDICT_NOISE);
    done_with(&a);
    free(weights);
}

/* What noise is expected to have takes the kernel into account: in a small one the mean has a large
 * part, in a dilated one a small one. */
static void noise_of_small_kernels(void **state)
{
    enum { FILTERS = 2000, COUNT = FILTERS * 9 };
    float *weights = malloc(COUNT * sizeof *weights);
    conv_net n = {
        .filters = FILTERS, .channels = 1, .height = 3, .width = 3, .side = 32, .weights = weights};

    assert_non_null(weights);
    draw_noise(weights, COUNT, 4);
    for (n.dilation = 1; n.dilation < 4; n.dilation++) {
        analysis a = analyse(*state, &n, NULL);
        const deconv_bands *is = &a.info.filter_bands, *should = &a.info.noise_bands;
        int box = 2 * n.dilation + 1;

        assert_true(fabs(should->dc - 1.0 / (box * box)) < 1e-6);
        assert_true(fabs(is->dc - should->dc) < 0.01);
        assert_true(fabs(is->low - should->low) < 0.01);
        assert_true(fabs(is->mid - should->mid) < 0.01);
        assert_true(fabs(is->high - should->high) < 0.01);
        assert_true(fabs(is->centroid - should->centroid) < 0.005);
        done_with(&a);
    }
    free(weights);
}

static void check_parseval(const fixture *f, const conv_net *n)
{
    size_t size = (size_t)n->channels * (size_t)or_one(n->height) * (size_t)n->width;
    analysis a = analyse(f, n, NULL);
    size_t cells = (size_t)a.info.grid_y * a.info.grid_x;
    double *spectrum = malloc(cells * sizeof *spectrum);
    float *weights = malloc(size * sizeof *weights);
    double all = 0.0;

    assert_non_null(spectrum);
    assert_non_null(weights);
    for (uint32_t k = 0; k < (uint32_t)n->filters; k++) {
        deconv_filter_info info = filter_of(f, &a, k);
        double energy = 0.0, sum = 0.0;

        WORKS(f, deconv_frequency_weights(a.frequency, 0, k, weights, size));
        WORKS(f, deconv_frequency_spectrum(a.frequency, 0, k, spectrum, cells));
        for (size_t i = 0; i < size; i++)
            energy += (double)weights[i] * weights[i];
        for (size_t i = 0; i < cells; i++)
            sum += spectrum[i];
        assert_true(energy > 0.0);
        assert_true(fabs(sum - energy) < 1e-5 * energy);
        assert_true(fabs(info.bands.energy - energy) < 1e-5 * energy);
        assert_true(fabs(sum_of_bands(&info.bands) - energy) < 1e-5 * energy);
        assert_true(fabs(info.rms - sqrt(energy / (double)size)) < 1e-5 * info.rms);
        all += energy;
    }
    /* Every weight is some filter's. */
    for (size_t i = 0; i < size * (size_t)n->filters; i++)
        all -= (double)n->weights[i] * n->weights[i];
    assert_true(fabs(all) < 1e-3);
    free(spectrum);
    free(weights);
    done_with(&a);
}

static void parseval_holds(void **state)
{
    static float weights[64 * 8 * 81];
    static const conv_net nets[] = {
        {.filters = 16, .channels = 3, .height = 7, .width = 7, .stride = 2},
        {.filters = 8, .channels = 5, .height = 3, .width = 3, .dilation = 2},
        {.filters = 4, .channels = 2, .height = 3, .width = 3, .dilation = 12, .groups = 2},
        {.filters = 4, .channels = 2, .height = 1, .width = 9},
        {.filters = 6, .channels = 3, .width = 9, .stride = 2},
        {.filters = 64, .channels = 8, .height = 1, .width = 1},
        {.filters = 8, .channels = 3, .height = 5, .width = 5, .transposed = true, .groups = 4},
        {.filters = 2, .channels = 1, .height = 71, .width = 3},
    };

    draw_noise(weights, sizeof weights / sizeof *weights, 3);
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        conv_net n = nets[i];

        n.side = 80;
        n.weights = weights;
        check_parseval(*state, &n);
    }
}

/* Energies of the smallest and largest numbers that weights may be. */
static void any_magnitude(void **state)
{
    enum { FILTERS = 3 };
    static const float scale[FILTERS] = {1e-30f, 1.0f, 1e30f};
    static float weights[FILTERS][25];
    conv_net n = {.filters = FILTERS,
                  .channels = 1,
                  .height = 5,
                  .width = 5,
                  .side = 9,
                  .weights = weights[0]};
    analysis a;

    for (int k = 0; k < FILTERS; k++)
        draw_noise(weights[k], 25, 5);
    for (int k = 0; k < FILTERS; k++)
        for (int i = 0; i < 25; i++)
            weights[k][i] *= scale[k];
    a = analyse(*state, &n, NULL);
    for (uint32_t k = 0; k < FILTERS; k++) {
        deconv_filter_info info = filter_of(*state, &a, k), one = filter_of(*state, &a, 1);

        assert_true(fabs(info.bands.mid / info.bands.energy - one.bands.mid / one.bands.energy) <
                    1e-5);
        assert_true(fabs(info.rms / scale[k] - one.rms) < 1e-5 * one.rms);
    }
    done_with(&a);
}

/* ---- DC, histogram, aliasing ---- */

static void an_even_filter_is_dc(void **state)
{
    static float weights[2][49];
    conv_net n = {
        .filters = 2, .channels = 1, .height = 7, .width = 7, .side = 9, .weights = weights[0]};
    deconv_filter_info info;
    analysis a;

    for (int i = 0; i < 49; i++) {
        weights[0][i] = 0.3f;
        weights[1][i] = i % 2 ? 0.1f : -0.1f;
    }
    a = analyse(*state, &n, NULL);
    info = filter_of(*state, &a, 0);
    assert_true(fabs(info.bands.dc - 49 * 0.09) < 1e-5);
    assert_true(info.bands.low + info.bands.mid + info.bands.high < 1e-9 &&
                info.bands.oriented == 0);
    info = filter_of(*state, &a, 1); /* a chessboard: both diagonals alike */
    assert_true(info.bands.high > 0.95 * info.bands.energy && info.bands.oriented < 0.05);
    assert_true(info.bands.centroid > 0.6);
    done_with(&a);
}

/* One pixel passes every frequency alike, and a stride aliases what white noise has there. */
static void one_pixel_is_flat(void **state)
{
    static const float weights[4] = {1.0f, 2.0f, -3.0f, 0.5f};
    const conv_net n = {.filters = 2,
                        .channels = 2,
                        .height = 1,
                        .width = 1,
                        .stride = 2,
                        .side = 9,
                        .weights = weights};
    analysis a = analyse(*state, &n, NULL);
    deconv_bands b = filter_of(*state, &a, 0).bands;

    assert_true(fabs(b.energy - 5.0) < 1e-6 && fabs(b.high / 5.0 - a.info.noise_bands.high) < 1e-6);
    assert_true(fabs(b.centroid - 0.3826) < 0.001); /* of a square, from its middle */
    assert_true(fabs(a.info.filter_bands.beyond - 0.75) < 0.03);
    assert_int_equal(a.info.verdict, DECONV_VERDICT_POINT);
    done_with(&a);
}

static void histogram_adds_up(void **state)
{
    static float weights[6 * 2 * 25];
    conv_net n = {
        .filters = 6, .channels = 2, .height = 5, .width = 5, .side = 9, .weights = weights};
    double shares[DECONV_FREQUENCY_CLASSES], sum = 0.0, low = 0.0;
    analysis a;

    draw_noise(weights, 300, 11);
    a = analyse(*state, &n, NULL);
    WORKS((fixture *)*state, deconv_frequency_histogram(a.frequency, 0, DECONV_FREQUENCY_FILTERS,
                                                        shares, DECONV_FREQUENCY_CLASSES));
    for (int i = 0; i < DECONV_FREQUENCY_CLASSES; i++) {
        sum += shares[i];
        low += i < 8 ? shares[i] : 0.0; /* 8/48 is where low ends */
    }
    assert_true(fabs(sum + a.info.filter_bands.dc - 1.0) < 1e-6);
    assert_true(fabs(low - a.info.filter_bands.low) < 1e-6);
    done_with(&a);
}

static void strides_alias_what_is_too_fast(void **state)
{
    enum { SIDE = 21 };
    static float weights[3][SIDE * SIDE];
    conv_net n = {.filters = 3,
                  .channels = 1,
                  .height = SIDE,
                  .width = SIDE,
                  .stride = 4,
                  .side = 32,
                  .weights = weights[0]};
    deconv_bands bands[3];
    analysis a;

    draw_grating(weights[0], SIDE, SIDE, 0.05, 90.0, 0.0);
    draw_grating(weights[1], SIDE, SIDE, 0.25, 90.0, 0.0);
    draw_grating(weights[2], SIDE, SIDE, 0.25, 0.0, 0.0);
    a = analyse(*state, &n, NULL);
    for (uint32_t k = 0; k < 3; k++)
        bands[k] = filter_of(*state, &a, k).bands;
    assert_true(bands[0].beyond < 0.1 * bands[0].energy);
    assert_true(bands[1].beyond > 0.9 * bands[1].energy);
    assert_true(bands[2].beyond > 0.9 * bands[2].energy);
    assert_non_null(strstr(a.info.text, "Nyquist"));
    done_with(&a);
    n.stride = 1;
    a = analyse(*state, &n, NULL);
    for (uint32_t k = 0; k < 3; k++)
        assert_true(filter_of(*state, &a, k).bands.beyond == 0.0);
    assert_null(strstr(a.info.text, "Nyquist"));
    done_with(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gratings_land_where_they_belong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fading_gratings_have_their_centroid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(noise_splits_as_the_areas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(noise_of_small_kernels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parseval_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_magnitude, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_even_filter_is_dc, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_pixel_is_flat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(histogram_adds_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strides_alias_what_is_too_fast, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
