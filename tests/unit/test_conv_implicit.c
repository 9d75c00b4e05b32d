/* Implicit GEMM: a result keeps its bits whatever tile computes it and however its sum is shared
 * out; and what is added may be the result as it was. That its values are right is for the layer
 * tests, with $DECONV_CONV_ALGORITHM. */
#include "conv_fixture.h"

#include <stdlib.h>
#include <string.h>

/* The whole has positions enough for every compute unit, the window so few that sums of more than
 * 512 terms are split. */
enum { WHOLE = 64, WINDOW = 5, AT = 30 };

typedef struct sizes {
    int in_channels, out_channels, kernel, stride, dilation;
} sizes;

static const sizes problems[] = {
    {80, 24, 3, 1, 1},  /* split one way */
    {12, 160, 5, 2, 1}, /* the other, over phases of different depths */
    {8, 130, 3, 1, 2},  /* large and small tiles */
    {140, 5, 1, 1, 1},  /* narrow tiles */
    {64, 64, 3, 3, 2},
};

enum { PROBLEMS = sizeof problems / sizeof problems[0] };

/* The problem of `outputs` positions each way, without padding. */
static conv_problem problem_of(const sizes *s, int outputs)
{
    conv_problem p = {
        .batch = 1, .in_channels = s->in_channels, .out_channels = s->out_channels, .groups = 1};

    for (int i = 0; i < 2; i++) {
        p.kernel[i] = s->kernel;
        p.stride[i] = s->stride;
        p.dilation[i] = s->dilation;
        p.out_size[i] = outputs;
        p.in_size[i] = (outputs - 1) * s->stride + (s->kernel - 1) * s->dilation + 1;
    }
    return p;
}

static int64_t in_count(const conv_problem *p)
{
    return p->batch * p->in_channels * p->in_size[0] * p->in_size[1];
}

static int64_t out_count(const conv_problem *p)
{
    return p->batch * p->out_channels * p->out_size[0] * p->out_size[1];
}

static float *noise(int64_t count)
{
    float *values = malloc((size_t)count * sizeof *values);
    uint32_t state = 1;

    assert_non_null(values);
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = ((float)(state >> 16) - 32768.0f) / 32768.0f;
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

/* dst from src; `add`: what is added, in a buffer of its own or, `in_place`, in dst's. */
static float *run(const conv_task *task, const float *from, const float *w, const float *add,
                  bool in_place)
{
    const conv_problem *p = &task->problem;
    bool forward = task->direction == CONV_FORWARD;
    int64_t count = forward ? out_count(p) : in_count(p);
    buffer *src = device_copy(from, forward ? in_count(p) : out_count(p));
    buffer *weights =
        device_copy(w, p->in_channels * p->out_channels * p->kernel[0] * p->kernel[1]);
    buffer *addend = add ? device_copy(add, count) : NULL, *own = NULL;
    float *result = malloc((size_t)count * sizeof *result);
    convolution *c;

    assert_non_null(result);
    OK(buffer_create(ctx, (size_t)count * sizeof *result, "result", &own));
    OK(convolution_create(task, weights, &c));
    assert_string_equal(convolution_algorithm(c), "implicit");
    OK(convolution_run(c, &(conv_operands){.src = src,
                                           .weights = weights,
                                           .add = addend,
                                           .relu = add != NULL,
                                           .dst = in_place ? addend : own}));
    OK(buffers_check_guards(ctx));
    OK(buffer_read(ctx, in_place ? addend : own, 0, (size_t)count * sizeof *result, result));
    convolution_free(c);
    buffer_free(src);
    buffer_free(weights);
    buffer_free(addend);
    buffer_free(own);
    return result;
}

/* Channels of a square of `size` from the one at `at`,`at` in a larger square of `width`. */
static float *cut(const float *from, int64_t channels, int64_t width, int64_t at, int64_t size)
{
    float *part = malloc((size_t)(channels * size * size) * sizeof *part);

    assert_non_null(part);
    for (int64_t i = 0; i < channels * size; i++)
        memcpy(part + i * size, from + (i / size * width + at + i % size) * width + at,
               (size_t)size * sizeof *part);
    return part;
}

/* Everything outside the square becomes zero. */
static void keep_square(float *values, int64_t channels, int64_t width, int64_t at, int64_t size)
{
    for (int64_t i = 0; i < channels * width * width; i++) {
        int64_t y = i / width % width, x = i % width;

        if (y < at || y >= at + size || x < at || x >= at + size)
            values[i] = 0.0f;
    }
}

static void check_window(const sizes *s, conv_direction direction)
{
    scratch shared = {NULL};
    conv_problem all = problem_of(s, WHOLE), part = problem_of(s, WINDOW);
    bool forward = direction == CONV_FORWARD;
    conv_task whole = {.ctx = ctx,
                       .problem = all,
                       .direction = direction,
                       .scratch = &shared,
                       .src_block = 1,
                       .dst_block = 1};
    conv_task window = whole;
    float *from = noise(forward ? in_count(&all) : out_count(&all));
    float *w = noise((int64_t)s->in_channels * s->out_channels * s->kernel * s->kernel);
    float *is, *should, *result, *source;
    int64_t in_at = (int64_t)AT * s->stride;

    window.problem = part;
    window.whole = &all;
    if (!forward)
        keep_square(from, s->out_channels, WHOLE, AT, WINDOW);
    source = forward ? cut(from, s->in_channels, all.in_size[0], in_at, part.in_size[0])
                     : cut(from, s->out_channels, WHOLE, AT, WINDOW);
    result = run(&whole, from, w, NULL, false);
    should = forward ? cut(result, s->out_channels, WHOLE, AT, WINDOW)
                     : cut(result, s->in_channels, all.in_size[0], in_at, part.in_size[0]);
    is = run(&window, source, w, NULL, false);
    assert_memory_equal(is, should,
                        (size_t)(forward ? out_count(&part) : in_count(&part)) * sizeof *is);
    scratch_free(&shared);
    free(from);
    free(w);
    free(is);
    free(should);
    free(result);
    free(source);
}

static void windows_are_parts_of_the_whole(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEMS; i++) {
        check_window(&problems[i], CONV_FORWARD);
        check_window(&problems[i], CONV_ADJOINT);
    }
}

static void check_in_place(const conv_task *task)
{
    int64_t count = out_count(&task->problem);
    float *from = noise(in_count(&task->problem)), *add = noise(count);
    float *w = noise(task->problem.in_channels * task->problem.out_channels * 9);
    float *apart = run(task, from, w, add, false), *in_place = run(task, from, w, add, true);

    assert_memory_equal(apart, in_place, (size_t)count * sizeof *apart);
    free(from);
    free(add);
    free(w);
    free(apart);
    free(in_place);
}

/* Over more chunks than one, split and not. */
static void adds_to_the_result_itself(void **state)
{
    static const int outputs[] = {WINDOW, WHOLE};

    (void)state;
    for (int i = 0; i < 2; i++) {
        scratch shared = {NULL};
        conv_task task = {.ctx = ctx,
                          .problem = problem_of(&problems[0], outputs[i]),
                          .direction = CONV_FORWARD,
                          .scratch = &shared,
                          .src_block = 1,
                          .dst_block = 1};

        check_in_place(&task);
        scratch_free(&shared);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_parts_of_the_whole),
        cmocka_unit_test(adds_to_the_result_itself),
    };

    setenv("DECONV_CONV_ALGORITHM", "implicit", 1);
    return cmocka_run_group_tests(tests, open_context, close_context);
}
