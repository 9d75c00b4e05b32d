/* Convolution by CLBlast: what it refuses, results in parts when memory is short, and a second
 * context after the first. That its values are right is for the layer tests, with
 * $DECONV_CONV_ALGORITHM. Without CLBlast only the refusals are tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv/engine.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != DECONV_OK)                                                                   \
            fail_msg("%s: %s", #call, deconv_ctx_message(ctx));                                    \
    } while (0)

static deconv_ctx *ctx;

static const char loader_variable[] = "DECONV_OPENCL_LIBRARY";

static int open_context(void **state)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;

    (void)state;
    setenv("DECONV_CONV_ALGORITHM", "im2col", 1);
    return deconv_ctx_create(&options, &ctx) == DECONV_OK ? 0 : -1;
}

static int close_context(void **state)
{
    (void)state;
    deconv_ctx_destroy(ctx);
    ctx = NULL;
    return 0;
}

/* One channel of `size` squared to another, 11 x 11. */
static conv_task task_of(int64_t size, scratch *shared)
{
    conv_task task = {
        .ctx = ctx, .direction = CONV_FORWARD, .scratch = shared, .src_block = 1, .dst_block = 1};

    task.problem = (conv_problem){.batch = 1,
                                  .in_channels = 1,
                                  .out_channels = 1,
                                  .groups = 1,
                                  .in_size = {size, size},
                                  .out_size = {size, size},
                                  .kernel = {11, 11},
                                  .stride = {1, 1},
                                  .dilation = {1, 1},
                                  .pad = {5, 5}};
    return task;
}

static const conv_algorithm *im2col(void)
{
    const conv_algorithm *a;

    for (int i = 0; (a = conv_algorithm_at(i)); i++)
        if (strcmp(a->name, "im2col") == 0)
            return a;
    return NULL;
}

static buffer *device_noise(int64_t count)
{
    float *values = malloc((size_t)count * sizeof *values);
    uint32_t state = 1;
    buffer *b;

    assert_non_null(values);
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = ((float)(state >> 16) - 32768.0f) / 32768.0f;
    }
    OK(buffer_create(ctx, (size_t)count * sizeof *values, "noise", &b));
    OK(buffer_write(ctx, b, 0, (size_t)count * sizeof *values, values));
    free(values);
    return b;
}

/* dst = max(dst + conv(src), 0), dst first filled with ones. */
static float *run(const conv_task *task, const char *algorithm)
{
    int64_t count = task->problem.in_size[0] * task->problem.in_size[1];
    float *result = malloc((size_t)count * sizeof *result);
    buffer *src = device_noise(count), *weights = device_noise(121), *dst;
    convolution *c;

    assert_non_null(result);
    OK(buffer_create(ctx, (size_t)count * sizeof *result, "result", &dst));
    OK(buffer_fill(ctx, dst, 0, (size_t)count * sizeof *result, 1.0f));
    setenv("DECONV_CONV_ALGORITHM", algorithm, 1);
    OK(convolution_create(task, weights, &c));
    assert_string_equal(convolution_algorithm(c), algorithm);
    OK(convolution_run(
        c, &(conv_operands){.src = src, .weights = weights, .add = dst, .relu = true, .dst = dst}));
    OK(buffer_read(ctx, dst, 0, (size_t)count * sizeof *result, result));
    setenv("DECONV_CONV_ALGORITHM", "im2col", 1);
    convolution_free(c);
    buffer_free(src);
    buffer_free(weights);
    buffer_free(dst);
    return result;
}

static void check_against_direct(int64_t size)
{
    scratch shared = {NULL};
    conv_task task = task_of(size, &shared);
    float *is = run(&task, "im2col"), *again = run(&task, "im2col"), *should = run(&task, "direct");

    assert_memory_equal(is, again, (size_t)(size * size) * sizeof *is);
    for (int64_t i = 0; i < size * size; i++)
        if (!(fabsf(is[i] - should[i]) <= 1e-4f))
            fail_msg("element %lld is %.9g and should be %.9g", (long long)i, (double)is[i],
                     (double)should[i]);
    scratch_free(&shared);
    free(is);
    free(again);
    free(should);
}

/* 121 terms at each of 640000 positions are more than the limit of what is gathered at a time. */
static void large_results_come_in_parts(void **state)
{
    (void)state;
    if (blas_missing(ctx))
        skip();
    check_against_direct(800);
}

static void a_second_context_works(void **state)
{
    if (blas_missing(ctx))
        skip();
    check_against_direct(20);
    close_context(state);
    assert_int_equal(open_context(state), 0);
    check_against_direct(20);
}

static void refuses_windows(void **state)
{
    scratch shared = {NULL};
    conv_task task = task_of(20, &shared);
    const conv_problem whole = task.problem;

    (void)state;
    task.whole = &whole;
    assert_non_null(strstr(im2col()->refuses(&task), "order"));
}

static void cpu_devices_do_without(void **state)
{
    scratch shared = {NULL};
    conv_task task = task_of(20, &shared);

    (void)state;
    if (device_limits_of(ctx)->kind != DECONV_DEVICE_CPU)
        skip();
    unsetenv("DECONV_CONV_ALGORITHM");
    assert_string_equal(im2col()->refuses(&task), "it is made for GPUs");
    setenv("DECONV_CONV_ALGORITHM", "im2col", 1);
}

/* A loader of one's own is not CLBlast's: asked before CLBlast is opened, in a fresh context. */
static void refuses_another_loader(void **state)
{
    scratch shared = {NULL};
    conv_task task;

    close_context(state);
    assert_int_equal(open_context(state), 0);
    task = task_of(20, &shared);
    if (getenv(loader_variable))
        skip();
    setenv(loader_variable, "libOpenCL.so.1", 1);
    assert_non_null(strstr(im2col()->refuses(&task), loader_variable));
    unsetenv(loader_variable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_results_come_in_parts),
        cmocka_unit_test(a_second_context_works),
        cmocka_unit_test(refuses_windows),
        cmocka_unit_test(cpu_devices_do_without),
        cmocka_unit_test(refuses_another_loader),
    };

    return cmocka_run_group_tests(tests, open_context, close_context);
}
