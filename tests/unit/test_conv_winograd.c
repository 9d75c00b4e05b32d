/* Winograd's algorithm: how far its results are from the sums in float64, where it may serve and
 * where not, results that are a slice of a larger tensor. Odd sizes, layouts and the epilogue are
 * for test_conv_layouts.c. */
#include "conv_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static scratch shared;

/* ---- Tasks ---- */

static conv_task task_of(conv_direction direction, int64_t batch, int64_t in, int64_t out,
                         int64_t size)
{
    conv_task task = {.ctx = ctx,
                      .problem = {.batch = batch,
                                  .in_channels = in,
                                  .out_channels = out,
                                  .groups = 1,
                                  .in_size = {size, size},
                                  .out_size = {size, size},
                                  .kernel = {3, 3},
                                  .stride = {1, 1},
                                  .dilation = {1, 1},
                                  .pad = {1, 1}},
                      .direction = direction,
                      .scratch = &shared,
                      .src_block = device_block(ctx),
                      .dst_block = device_block(ctx),
                      .approximate = true};

    return task;
}

static int64_t src_channels(const conv_task *t)
{
    return t->direction == CONV_FORWARD ? t->problem.in_channels : t->problem.out_channels;
}

static int64_t dst_channels(const conv_task *t)
{
    return t->direction == CONV_FORWARD ? t->problem.out_channels : t->problem.in_channels;
}

static const conv_algorithm *winograd(void)
{
    const conv_algorithm *a;

    for (int i = 0; (a = conv_algorithm_at(i)); i++)
        if (strcmp(a->name, "winograd") == 0)
            return a;
    fail_msg("there is no algorithm called winograd");
    return NULL;
}

/* Floats of a side in blocks; where element (n, c, i) of it lies. */
static int64_t stored(int64_t batch, int64_t channels, int64_t plane, int block)
{
    return batch * ((channels + block - 1) / block * block) * plane;
}

static int64_t place(int64_t n, int64_t c, int64_t i, int64_t channels, int64_t plane, int block)
{
    return ((n * ((channels + block - 1) / block) + c / block) * plane + i) * block + c % block;
}

/* ---- Values ---- */

static float *floats(int64_t count)
{
    float *values = calloc((size_t)count + 1, sizeof *values);

    assert_non_null(values);
    return values;
}

/* Uniform in [-1, 1), or what a Relu would leave of it. */
static float *noise(int64_t count, uint32_t seed, bool rectified)
{
    float *values = floats(count);
    uint32_t state = seed * 2654435761u + 1;

    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)state * 0x1p-31f;
        if (rectified && values[i] < 0.0f)
            values[i] = 0.0f;
    }
    return values;
}

static buffer *device_copy(const float *values, int64_t count)
{
    buffer *b;

    OK(buffer_create(ctx, (size_t)count * sizeof *values, "values", &b));
    OK(buffer_write(ctx, b, 0, (size_t)count * sizeof *values, values));
    return b;
}

/* The result in NCHW of a task from its source in NCHW; `algorithm` receives who served. */
static float *run(const conv_task *task, const float *from, const float *w, const char **algorithm)
{
    const int64_t plane = task->problem.in_size[0] * task->problem.in_size[1];
    const int64_t in = src_channels(task), out = dst_channels(task), n = task->problem.batch;
    const int64_t count = stored(n, out, plane, task->dst_block);
    float *placed = floats(stored(n, in, plane, task->src_block)), *blocked = floats(count);
    float *result = floats(n * out * plane);
    buffer *src, *weights = device_copy(w, in * out * 9), *dst;
    convolution *c;

    for (int64_t i = 0; i < n * in * plane; i++)
        placed[place(i / plane / in, i / plane % in, i % plane, in, plane, task->src_block)] =
            from[i];
    src = device_copy(placed, stored(n, in, plane, task->src_block));
    OK(buffer_create(ctx, (size_t)count * sizeof(float), "result", &dst));
    OK(convolution_create(task, weights, &c));
    if (algorithm)
        *algorithm = convolution_algorithm(c);
    OK(convolution_run(c, &(conv_operands){.src = src, .weights = weights, .dst = dst}));
    OK(device_wait(ctx));
    OK(buffers_check_guards(ctx));
    OK(buffer_read(ctx, dst, 0, (size_t)count * sizeof(float), blocked));
    for (int64_t i = 0; i < n * out * plane; i++)
        result[i] = blocked[place(i / plane / out, i / plane % out, i % plane, out, plane,
                                  task->dst_block)];
    convolution_free(c);
    buffer_free(src);
    buffer_free(weights);
    buffer_free(dst);
    free(placed);
    free(blocked);
    return result;
}

/* ---- Accuracy ---- */

/* Channel `c` of dst of picture `n`, by the formula. */
static void formula(const conv_task *task, const float *from, const float *w, int64_t n, int64_t c,
                    double *to)
{
    const conv_problem *p = &task->problem;
    const bool forward = task->direction == CONV_FORWARD;
    const int64_t size = p->in_size[0], plane = size * size, sources = src_channels(task);

    for (int64_t i = 0; i < plane; i++)
        to[i] = 0.0;
    for (int64_t s = 0; s < sources; s++) {
        const float *x = from + (n * sources + s) * plane;
        const float *taps = w + (forward ? c * p->in_channels + s : s * p->in_channels + c) * 9;

        for (int64_t y = 0; y < size; y++)
            for (int64_t t = 0; t < 9; t++) {
                const int64_t row = y + t / 3 - 1, shift = t % 3 - 1;
                const double weight = taps[forward ? t : 8 - t];

                if (row < 0 || row >= size)
                    continue;
                for (int64_t i = shift < 0; i < size - (shift > 0); i++)
                    to[y * size + i] += weight * x[row * size + i + shift];
            }
    }
}

/* Largest deviation of a task's results from the formula as a share of the largest result; of every
 * `step`-th channel. */
static double error_of(const conv_task *task, bool rectified, int64_t step)
{
    const int64_t plane = task->problem.in_size[0] * task->problem.in_size[1];
    const int64_t in = src_channels(task), out = dst_channels(task);
    float *from = noise(task->problem.batch * in * plane, 1, rectified);
    float *w = noise(in * out * 9, 2, false);
    double *should = calloc((size_t)plane, sizeof *should), most = 0.0, largest = 0.0;
    float *is;

    assert_non_null(should);
    is = run(task, from, w, NULL);
    for (int64_t nc = 0; nc < task->problem.batch * out; nc += step) {
        formula(task, from, w, nc / out, nc % out, should);
        for (int64_t i = 0; i < plane; i++) {
            most = fmax(most, fabs(should[i] - (double)is[nc * plane + i]));
            largest = fmax(largest, fabs(should[i]));
        }
    }
    free(from);
    free(w);
    free(should);
    free(is);
    return most / largest;
}

/* What docs/architecture.md states. F(2x2) serves a single map of 7x7, F(4x4) the others. A sum of
 * C x 9 terms one after the other errs by about two thirds of that. */
static void errs_by_little(void **state)
{
    static const int64_t channels[] = {64, 128, 256, 512};
    static const double bound[] = {2e-6, 3e-6, 4e-6, 6e-6};

    (void)state;
    setenv("DECONV_CONV_ALGORITHM", "winograd", 1);
    for (int i = 0; i < 16; i++) {
        const int64_t c = channels[i / 4], size = i % 2 ? 7 : 14;
        const conv_direction direction = i / 2 % 2 ? CONV_ADJOINT : CONV_FORWARD;
        const conv_task task = task_of(direction, size == 7 ? 1 : 2, c, c, size);
        const double most = bound[i / 4] * (size == 7 ? 0.4 : 1.0);

        for (int rectified = 0; rectified < 2; rectified++) {
            const double error = error_of(&task, rectified, 7);

            print_message("%3d channels, %2dx%d, %s%s: largest error %.2g of the largest result\n",
                          (int)c, (int)size, (int)size, i / 2 % 2 ? "adjoint" : "forward",
                          rectified ? ", source rectified" : "", error);
            if (!(error <= most))
                fail_msg("that is over %g", most);
        }
    }
    unsetenv("DECONV_CONV_ALGORITHM");
}

/* More tiles than go through the cache at a time: 4096, the last ones of a row and a column cut. */
static void works_in_chunks(void **state)
{
    const conv_task task = task_of(CONV_FORWARD, 1, 8, 8, 253);
    double error;

    (void)state;
    setenv("DECONV_CONV_ALGORITHM", "winograd", 1);
    error = error_of(&task, false, 1);
    unsetenv("DECONV_CONV_ALGORITHM");
    assert_true(winograd()->scratch(&task) < 4096 * 36 * 16 * sizeof(float));
    if (!(error <= 2e-6))
        fail_msg("an error of %.2g of the largest result", error);
}

/* ---- Where it serves ---- */

static void serves_only_who_permits(void **state)
{
    conv_task task = task_of(CONV_FORWARD, 1, 128, 128, 28), exact = task, window = task;
    float *from = noise(128 * 784, 1, false), *w = noise(128 * 128 * 9, 2, false);
    float *summed, *again, *rounded;
    const char *algorithm;

    (void)state;
    exact.approximate = false;
    assert_ptr_equal(convolution_choice(&task), winograd());
    summed = run(&exact, from, w, &algorithm);
    assert_string_not_equal(algorithm, "winograd");
    setenv("DECONV_CONV_ALGORITHM", "winograd", 1);
    again = run(&exact, from, w, &algorithm);
    assert_string_not_equal(algorithm, "winograd");
    assert_memory_equal(again, summed, 128 * 784 * sizeof(float));
    rounded = run(&task, from, w, &algorithm);
    assert_string_equal(algorithm, "winograd");
    assert_memory_not_equal(rounded, summed, 128 * 784 * sizeof(float));
    window.whole = &task.problem;
    assert_non_null(strstr(convolution_refusal(winograd(), &window), "windows"));
    unsetenv("DECONV_CONV_ALGORITHM");
    free(from);
    free(w);
    free(summed);
    free(again);
    free(rounded);
}

static void refuses_other_kernels(void **state)
{
    conv_task task = task_of(CONV_FORWARD, 1, 128, 128, 28), other = task;

    (void)state;
    assert_null(convolution_refusal(winograd(), &task));
    other.problem.kernel[1] = 1;
    assert_non_null(strstr(convolution_refusal(winograd(), &other), "3x3"));
    other = task;
    other.problem.stride[0] = 2;
    assert_non_null(strstr(convolution_refusal(winograd(), &other), "3x3"));
    other = task;
    other.dst_block = 1;
    assert_non_null(strstr(convolution_refusal(winograd(), &other), "blocks"));
}

/* ---- A slice of a larger tensor ---- */

/* Two pictures of 24 channels as channels 16..40 of tensors of 64 that hold 7 elsewhere. */
static void writes_slices(void **state)
{
    enum { SIZE = 10, PLANE = SIZE * SIZE, ALL = 64, FROM = 16, CHANNELS = 24 };
    const conv_task task = task_of(CONV_FORWARD, 2, 16, CHANNELS, SIZE);
    const int block = task.dst_block;
    const int64_t dense = stored(2, CHANNELS, PLANE, block);
    float *from = noise(stored(2, 16, PLANE, block), 1, false), *w = noise(16 * 24 * 9, 2, false);
    float *alone = floats(dense), *all = floats(2 * ALL * PLANE);
    buffer *src = device_copy(from, stored(2, 16, PLANE, block)), *weights, *dst, *whole;
    convolution *c;

    (void)state;
    setenv("DECONV_CONV_ALGORITHM", "winograd", 1);
    for (int i = 0; i < 2 * ALL * PLANE; i++)
        all[i] = 7.0f;
    weights = device_copy(w, 16 * 24 * 9);
    dst = device_copy(alone, dense);
    whole = device_copy(all, 2 * ALL * PLANE);
    OK(convolution_create(&task, weights, &c));
    assert_string_equal(convolution_algorithm(c), "winograd");
    OK(convolution_run(c, &(conv_operands){.src = src, .weights = weights, .dst = dst}));
    OK(convolution_run(c, &(conv_operands){.src = src,
                                           .weights = weights,
                                           .dst = whole,
                                           .dst_from = FROM * PLANE,
                                           .dst_image = ALL * PLANE}));
    OK(device_wait(ctx));
    OK(buffer_read(ctx, dst, 0, (size_t)dense * sizeof(float), alone));
    OK(buffer_read(ctx, whole, 0, 2 * ALL * PLANE * sizeof(float), all));
    for (int64_t i = 0; i < 2 * ALL * PLANE; i++) {
        const int64_t at = i % (ALL * PLANE) - FROM * PLANE, image = i / (ALL * PLANE);
        const bool inside = at >= 0 && at < dense / 2;

        if (all[i] != (inside ? alone[image * dense / 2 + at] : 7.0f))
            fail_msg("element %d of the larger tensor is %g", (int)i, (double)all[i]);
    }
    unsetenv("DECONV_CONV_ALGORITHM");
    convolution_free(c);
    buffer_free(src);
    buffer_free(weights);
    buffer_free(dst);
    buffer_free(whole);
    free(from);
    free(w);
    free(alone);
    free(all);
}

/* ---- */

static int close_all(void **state)
{
    scratch_free(&shared);
    return close_context(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errs_by_little),          cmocka_unit_test(works_in_chunks),
        cmocka_unit_test(serves_only_who_permits), cmocka_unit_test(refuses_other_kernels),
        cmocka_unit_test(writes_slices),
    };

    return cmocka_run_group_tests(tests, open_context, close_all);
}
