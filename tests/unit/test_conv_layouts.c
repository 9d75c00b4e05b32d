/* The convolution engine as networks use it: every algorithm that takes a task, inexact ones too,
 * in every pair of layouts, with and without what comes after the sum, against the formula in
 * float64; and windows against the whole, bit for bit. */
#include "conv_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Problems ---- */

typedef struct sizes {
    int batch, in_channels, out_channels, groups;
    int height, width;
    int kernel[2], stride[2], dilation[2], pad[2];
} sizes;

/* clang-format off */
static const sizes problems[] = {
    {1, 3, 20, 1, 15, 17, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {2, 3, 24, 1, 23, 23, {7, 7}, {2, 2}, {1, 1}, {1, 1}},
    {1, 3, 16, 1, 31, 35, {11, 11}, {4, 4}, {1, 1}, {0, 0}},
    {1, 1, 9, 1, 9, 30, {5, 5}, {2, 1}, {1, 1}, {2, 2}},
    {2, 4, 33, 1, 9, 9, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
    {1, 5, 6, 1, 8, 8, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {2, 16, 32, 1, 13, 13, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {1, 33, 17, 1, 7, 7, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
    {3, 40, 24, 1, 6, 5, {1, 1}, {1, 1}, {1, 1}, {0, 0}},
    {1, 17, 19, 1, 9, 11, {1, 1}, {2, 2}, {1, 1}, {0, 0}},
    {1, 20, 31, 1, 12, 14, {5, 5}, {2, 2}, {1, 1}, {2, 2}},
    {1, 16, 8, 1, 11, 12, {3, 2}, {4, 3}, {1, 1}, {1, 0}},
    {1, 12, 20, 1, 13, 14, {3, 3}, {1, 1}, {2, 2}, {2, 2}},
    {1, 12, 20, 1, 17, 16, {3, 3}, {2, 2}, {2, 3}, {1, 1}},
    {1, 64, 96, 2, 9, 9, {5, 5}, {1, 1}, {1, 1}, {2, 2}},
    {2, 32, 32, 2, 8, 7, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
    {1, 12, 24, 3, 7, 9, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {1, 24, 24, 24, 9, 10, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {2, 16, 16, 16, 9, 10, {3, 3}, {2, 2}, {1, 1}, {1, 1}},
    {2, 19, 19, 19, 11, 6, {3, 7}, {2, 1}, {2, 1}, {3, 2}},
    {1, 16, 32, 16, 7, 7, {5, 5}, {1, 1}, {1, 1}, {2, 2}},
    {2, 18, 10, 1, 1, 50, {1, 5}, {1, 2}, {1, 1}, {0, 2}},
    {1, 64, 64, 1, 1, 1, {1, 1}, {1, 1}, {1, 1}, {0, 0}},
    {1, 9, 3, 1, 6, 6, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {1, 9, 12, 1, 2, 2, {5, 5}, {1, 1}, {1, 1}, {2, 2}},
    {3, 20, 35, 1, 9, 10, {3, 3}, {1, 1}, {1, 1}, {0, 0}},
    {1, 40, 33, 1, 3, 21, {3, 3}, {1, 1}, {1, 1}, {2, 2}},
    {3, 64, 32, 2, 7, 6, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {2, 19, 23, 1, 7, 9, {1, 1}, {1, 1}, {1, 1}, {0, 0}},
    {1, 400, 104, 1, 5, 7, {1, 1}, {1, 1}, {1, 1}, {0, 0}},
    {2, 24, 14, 2, 6, 6, {1, 1}, {1, 1}, {1, 1}, {0, 0}},
    {1, 40, 24, 1, 1, 3, {1, 1}, {1, 1}, {1, 1}, {0, 0}},
    {2, 10, 9, 1, 17, 19, {1, 1}, {2, 2}, {1, 1}, {0, 0}},
    {1, 12, 8, 1, 40, 37, {1, 1}, {2, 2}, {1, 1}, {0, 0}},
    {1, 9, 13, 1, 6, 64, {1, 1}, {2, 2}, {1, 1}, {0, 0}},
    {1, 410, 12, 1, 12, 14, {1, 1}, {2, 2}, {1, 1}, {0, 0}},
    {1, 9, 7, 1, 16, 13, {1, 1}, {3, 2}, {1, 1}, {0, 0}},
    {2, 3, 8, 1, 12, 11, {1, 1}, {2, 1}, {1, 1}, {0, 0}},
    {1, 40, 48, 1, 9, 11, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, /* three blocks of 16 lanes */
    {2, 36, 48, 1, 8, 9, {1, 1}, {2, 2}, {1, 1}, {0, 0}},
    {1, 33, 96, 1, 5, 7, {5, 5}, {2, 2}, {1, 1}, {2, 2}},
};
/* clang-format on */
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static conv_problem problem_of(const sizes *s)
{
    conv_problem p = {.batch = s->batch,
                      .in_channels = s->in_channels,
                      .out_channels = s->out_channels,
                      .groups = s->groups,
                      .in_size = {s->height, s->width}};

    for (int i = 0; i < 2; i++) {
        p.kernel[i] = s->kernel[i];
        p.stride[i] = s->stride[i];
        p.dilation[i] = s->dilation[i];
        p.pad[i] = s->pad[i];
        p.out_size[i] =
            (p.in_size[i] + 2 * p.pad[i] - (p.kernel[i] - 1) * p.dilation[i] - 1) / p.stride[i] + 1;
    }
    return p;
}

/* One side of a problem: the source of a direction, or its result. */
typedef struct side {
    int64_t batch, channels, height, width;
} side;

static side input_side(const conv_problem *p)
{
    return (side){p->batch, p->in_channels, p->in_size[0], p->in_size[1]};
}

static side output_side(const conv_problem *p)
{
    return (side){p->batch, p->out_channels, p->out_size[0], p->out_size[1]};
}

static side source_of(const conv_problem *p, conv_direction direction)
{
    return direction == CONV_FORWARD ? input_side(p) : output_side(p);
}

static side result_of(const conv_problem *p, conv_direction direction)
{
    return direction == CONV_FORWARD ? output_side(p) : input_side(p);
}

static int64_t count_of(const side *s, int block)
{
    return s->batch * ((s->channels + block - 1) / block * block) * s->height * s->width;
}

static int64_t weights_of(const conv_problem *p)
{
    return p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1];
}

/* ---- Values ---- */

static float *floats(int64_t count)
{
    float *values = calloc((size_t)count + 1, sizeof *values);

    assert_non_null(values);
    return values;
}

/* Multiples of 1/4096 in [-1, 1), the same ones in every run. */
static float *noise(int64_t count, uint32_t seed)
{
    float *values = floats(count);
    uint32_t state = seed * 2654435761u + 1;

    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = ((float)(state >> 19) - 4096.0f) / 4096.0f;
    }
    return values;
}

/* Where NCHW element `i` of a side lies in blocks. */
static int64_t place(const side *s, int block, int64_t i)
{
    int64_t plane = s->height * s->width, at = i % plane, c = i / plane % s->channels;
    int64_t image = i / plane / s->channels, blocks = (s->channels + block - 1) / block;

    return ((image * blocks + c / block) * plane + at) * block + c % block;
}

static float *to_layout(const side *s, int block, const float *values)
{
    float *placed = floats(count_of(s, block));

    for (int64_t i = 0; i < count_of(s, 1); i++)
        placed[place(s, block, i)] = values[i];
    return placed;
}

static buffer *device_copy(const float *values, int64_t count)
{
    buffer *b;

    OK(buffer_create(ctx, (size_t)count * sizeof *values, "values", &b));
    OK(buffer_write(ctx, b, 0, (size_t)count * sizeof *values, values));
    return b;
}

/* ---- The formula ---- */

/* y += or x += all terms of the problem; `to` receives, in the direction, from `from`. */
static void formula(const conv_problem *p, conv_direction direction, const float *from,
                    const float *w, double *to)
{
    int64_t per_in = p->in_channels / p->groups, per_out = p->out_channels / p->groups;
    int64_t taps = p->kernel[0] * p->kernel[1];
    int64_t in_plane = p->in_size[0] * p->in_size[1], out_plane = p->out_size[0] * p->out_size[1];

    for (int64_t at = 0; at < out_plane * taps; at++) {
        int64_t o = at / taps, t = at % taps;
        int64_t row =
            o / p->out_size[1] * p->stride[0] - p->pad[0] + t / p->kernel[1] * p->dilation[0];
        int64_t column =
            o % p->out_size[1] * p->stride[1] - p->pad[1] + t % p->kernel[1] * p->dilation[1];

        if (row < 0 || row >= p->in_size[0] || column < 0 || column >= p->in_size[1])
            continue;
        for (int64_t nk = 0; nk < p->batch * p->out_channels; nk++) {
            int64_t n = nk / p->out_channels, k = nk % p->out_channels;

            for (int64_t j = 0; j < per_in; j++) {
                int64_t x = (n * p->in_channels + k / per_out * per_in + j) * in_plane +
                            row * p->in_size[1] + column;
                int64_t y = nk * out_plane + o;
                double weight = w[(k * per_in + j) * taps + t];

                if (direction == CONV_FORWARD)
                    to[y] += weight * from[x];
                else
                    to[x] += weight * from[y];
            }
        }
    }
}

/* ---- Running the engine ---- */

/* The result of a task in its layout, from operands in NCHW. `bias`, `add`: NULL for none. */
static float *run(const conv_task *task, const float *from, const float *w, const float *bias,
                  const float *add, bool relu)
{
    side in = source_of(&task->problem, task->direction);
    side out = result_of(&task->problem, task->direction);
    int64_t count = count_of(&out, task->dst_block);
    float *placed = to_layout(&in, task->src_block, from), *result = floats(count);
    float *added = add ? to_layout(&out, task->dst_block, add) : NULL;
    buffer *src = device_copy(placed, count_of(&in, task->src_block));
    buffer *weights = device_copy(w, weights_of(&task->problem));
    buffer *biases = bias ? device_copy(bias, out.channels) : NULL;
    buffer *addend = add ? device_copy(added, count) : NULL;
    convolution *c;
    buffer *dst;

    OK(buffer_create(ctx, (size_t)count * sizeof *result, "result", &dst));
    OK(convolution_create(task, weights, &c));
    OK(convolution_run(c, &(conv_operands){.src = src,
                                           .weights = weights,
                                           .bias = biases,
                                           .add = addend,
                                           .relu = relu,
                                           .dst = dst}));
    OK(device_wait(ctx));
    OK(buffers_check_guards(ctx));
    OK(buffer_read(ctx, dst, 0, (size_t)count * sizeof *result, result));
    convolution_free(c);
    buffer_free(src);
    buffer_free(weights);
    buffer_free(biases);
    buffer_free(addend);
    buffer_free(dst);
    free(placed);
    free(added);
    return result;
}

static const char *text_of(const conv_task *t, char *text, size_t size)
{
    const conv_problem *p = &t->problem;

    snprintf(text, size,
             "%s %dx%dx%dx%d to %d channels, group %d, kernel %dx%d, stride %dx%d, dilation %dx%d, "
             "pad %dx%d, blocks %d to %d",
             t->direction == CONV_FORWARD ? "forward" : "adjoint", (int)p->batch,
             (int)p->in_channels, (int)p->in_size[0], (int)p->in_size[1], (int)p->out_channels,
             (int)p->groups, (int)p->kernel[0], (int)p->kernel[1], (int)p->stride[0],
             (int)p->stride[1], (int)p->dilation[0], (int)p->dilation[1], (int)p->pad[0],
             (int)p->pad[1], t->src_block, t->dst_block);
    return text;
}

/* ---- Layouts and epilogue ---- */

/* A problem's operands and what must come out of one direction. */
typedef struct expectation {
    float *from, *w, *bias, *add;
    double *sum, *plain; /* of all terms; without bias and addend */
} expectation;

static expectation expect(const conv_problem *p, conv_direction direction)
{
    side in = source_of(p, direction), out = result_of(p, direction);
    int64_t count = count_of(&out, 1), plane = out.height * out.width;
    expectation e = {.from = noise(count_of(&in, 1), 1),
                     .w = noise(weights_of(p), 2),
                     .bias = noise(out.channels, 3),
                     .add = noise(count, 4),
                     .sum = calloc((size_t)count, sizeof(double)),
                     .plain = calloc((size_t)count, sizeof(double))};

    assert_true(e.sum && e.plain);
    formula(p, direction, e.from, e.w, e.plain);
    for (int64_t i = 0; i < count; i++)
        e.sum[i] = e.plain[i] + e.bias[i / plane % out.channels] + e.add[i];
    return e;
}

static void forget(expectation *e)
{
    free(e->from);
    free(e->w);
    free(e->bias);
    free(e->add);
    free(e->sum);
    free(e->plain);
}

/* `tolerance`: relative to values of about 1, the size of what goes in. */
static void check_result(const conv_task *task, const expectation *e, bool epilogue,
                         const conv_algorithm *algorithm)
{
    side out = result_of(&task->problem, task->direction);
    float *is =
        run(task, e->from, e->w, epilogue ? e->bias : NULL, epilogue ? e->add : NULL, epilogue);
    int64_t terms = weights_of(&task->problem) * 2 / out.channels + 2;
    double tolerance = (algorithm->inexact ? 3e-6 : 1e-6) * sqrt((double)terms);
    double lanes = 0.0; /* sum of what the lanes past the last channel hold */
    char text[256];

    for (int64_t i = 0; i < count_of(&out, 1); i++) {
        int64_t at = place(&out, task->dst_block, i);
        double should = epilogue ? fmax(e->sum[i], 0.0) : e->plain[i];

        if (!(fabs(is[at] - should) <= tolerance) || (epilogue && signbit(is[at])))
            fail_msg("%s: %s: element %d is %.9g and should be %.9g", algorithm->name,
                     text_of(task, text, sizeof text), (int)i, is[at], should);
        is[at] = 0.0f;
    }
    for (int64_t i = 0; i < count_of(&out, task->dst_block); i++)
        lanes += fabs(is[i]);
    if (!(lanes == 0.0))
        fail_msg("%s: %s: lanes past the last channel hold %g", algorithm->name,
                 text_of(task, text, sizeof text), lanes);
    free(is);
}

/* Groups whose channels fill whole blocks, or a single one. */
static bool fits(const conv_problem *p, int block, int64_t channels)
{
    return block == 1 || p->groups == 1 || channels / p->groups % block == 0;
}

static void check_layouts(conv_task task, const expectation *e)
{
    const conv_problem *p = &task.problem;
    const bool depthwise = p->in_channels == p->groups && p->out_channels == p->groups;
    const conv_algorithm *a;
    int served = 0;
    char text[256];

    for (int i = 0; (a = conv_algorithm_at(i)); i++) {
        if (conv_algorithm_refusal(a, &task))
            continue;
        served++;
        setenv("DECONV_CONV_ALGORITHM", a->name, 1);
        check_result(&task, e, false, a);
        check_result(&task, e, true, a);
    }
    unsetenv("DECONV_CONV_ALGORITHM");
    assert_int_equal(convolution_can(&task), served > 0);
    if ((depthwise ||
         (p->groups < 3 && fits(p, task.src_block, source_of(p, task.direction).channels) &&
          fits(p, task.dst_block, result_of(p, task.direction).channels))) &&
        !served)
        fail_msg("no algorithm takes %s", text_of(&task, text, sizeof text));
}

static void layouts_and_epilogue(void **state)
{
    scratch shared = {NULL};
    int block = device_block(ctx);

    (void)state;
    for (int i = 0; i < PROBLEMS * 2; i++) {
        conv_task task = {.ctx = ctx,
                          .problem = problem_of(&problems[i / 2]),
                          .direction = i % 2 ? CONV_ADJOINT : CONV_FORWARD,
                          .scratch = &shared,
                          .approximate = true};
        expectation e = expect(&task.problem, task.direction);

        for (int variant = 0; variant < 4; variant++) {
            task.src_block = variant & 1 ? block : 1;
            task.dst_block = variant & 2 ? block : 1;
            if (block > 1 || variant == 0)
                check_layouts(task, &e);
        }
        forget(&e);
    }
    scratch_free(&shared);
}

/* ---- Orders of summation ---- */

/* All that serve a task and name the same order give the same bits. */
static void check_bits(const conv_task *task, const expectation *e, bool epilogue)
{
    const side out = result_of(&task->problem, task->direction);
    const int64_t count = count_of(&out, 1);
    const conv_algorithm *a;
    float *first[CONV_ORDER_WINOGRAD + 1] = {NULL};
    char text[256];

    for (int i = 0; (a = conv_algorithm_at(i)); i++) {
        const int order = a->order(task);
        float *is;

        if (conv_algorithm_refusal(a, task))
            continue;
        setenv("DECONV_CONV_ALGORITHM", a->name, 1);
        is =
            run(task, e->from, e->w, epilogue ? e->bias : NULL, epilogue ? e->add : NULL, epilogue);
        if (!first[order])
            first[order] = is;
        else if (memcmp(first[order], is, (size_t)count * sizeof *is) != 0)
            fail_msg("%s gives other bits than another algorithm of its order: %s", a->name,
                     text_of(task, text, sizeof text));
        if (first[order] != is)
            free(is);
    }
    unsetenv("DECONV_CONV_ALGORITHM");
    for (int i = 0; i <= CONV_ORDER_WINOGRAD; i++)
        free(first[i]);
}

static void one_order_has_the_same_bits(void **state)
{
    scratch shared = {NULL};

    (void)state;
    for (int i = 0; i < PROBLEMS * 2; i++) {
        conv_task task = {.ctx = ctx,
                          .problem = problem_of(&problems[i / 2]),
                          .direction = i % 2 ? CONV_ADJOINT : CONV_FORWARD,
                          .scratch = &shared,
                          .src_block = 1,
                          .dst_block = 1};
        expectation e = expect(&task.problem, task.direction);

        check_bits(&task, &e, false);
        check_bits(&task, &e, true);
        forget(&e);
    }
    scratch_free(&shared);
}

/* ---- NaN ---- */

/* A NaN reaches the channels it is a term of, through the rectification too, and never the lanes
 * past the last channel. */
static void not_a_number(void **state)
{
    scratch shared = {NULL};
    conv_task task = {.ctx = ctx,
                      .problem =
                          problem_of(&(sizes){1, 8, 11, 1, 4, 4, {3, 3}, {1, 1}, {1, 1}, {1, 1}}),
                      .direction = CONV_FORWARD,
                      .scratch = &shared,
                      .src_block = device_block(ctx),
                      .dst_block = device_block(ctx)};
    side in = input_side(&task.problem), out = output_side(&task.problem);
    float *from = noise(count_of(&in, 1), 1), *w = noise(weights_of(&task.problem), 2), *is;

    (void)state;
    from[5] = NAN;
    is = run(&task, from, w, NULL, NULL, true);
    assert_true(isnan(is[place(&out, task.dst_block, 0)]));
    for (int64_t i = 0; i < count_of(&out, 1); i++)
        is[place(&out, task.dst_block, i)] = 0.0f;
    for (int64_t i = 0; i < count_of(&out, task.dst_block); i++)
        assert_true(is[i] == 0.0f);
    free(is);
    free(from);
    free(w);
    scratch_free(&shared);
}

/* ---- Windows ---- */

/* `size` outputs an axis, seen back: the problem whose input is what they reach and `margin` more
 * on either side. */
static conv_problem window_of(const conv_problem *whole, const int64_t size[2], int64_t margin)
{
    conv_problem p = *whole;

    for (int i = 0; i < 2; i++) {
        p.out_size[i] = size[i];
        p.in_size[i] =
            (size[i] - 1) * p.stride[i] + (p.kernel[i] - 1) * p.dilation[i] + 1 + 2 * margin;
        p.pad[i] = -margin;
    }
    return p;
}

/* Copies the window of `size` at `from` between a whole side and a side of that size. */
static void copy_window(const side *whole, float *values, const side *window, float *part,
                        const int64_t from[2], bool back)
{
    for (int64_t i = 0; i < count_of(window, 1); i++) {
        int64_t column = i % window->width + from[1];
        int64_t row = i / window->width % window->height + from[0];
        int64_t plane = i / window->width / window->height;
        int64_t at = (plane * whole->height + row) * whole->width + column;

        if (row < 0 || row >= whole->height || column < 0 || column >= whole->width)
            continue;
        if (back)
            values[at] = part[i];
        else
            part[i] = values[at];
    }
}

static void check_window(conv_task task, const int64_t size[2], const int64_t from[2],
                         int64_t margin)
{
    const conv_problem whole = task.problem, window = window_of(&whole, size, margin);
    side whole_in = input_side(&whole), whole_out = output_side(&whole);
    side in = input_side(&window), out = output_side(&window);
    int64_t count = count_of(&in, 1);
    const int64_t at[2] = {from[0] * whole.stride[0] - whole.pad[0] - margin,
                           from[1] * whole.stride[1] - whole.pad[1] - margin};
    float *seed = noise(count_of(&out, 1), 5), *w = noise(weights_of(&whole), 6);
    float *everywhere = floats(count_of(&whole_out, 1)), *should, *is;
    float *cut = floats(count), *seen = floats(count), *plain = floats(count_of(&whole_in, 1));
    char text[256];

    copy_window(&whole_out, everywhere, &out, seed, from, true);
    should = run(&task, everywhere, w, NULL, NULL, false);
    task.problem = window;
    task.whole = &whole;
    if (!convolution_can(&task))
        fail_msg("no algorithm takes the window of %s", text_of(&task, text, sizeof text));
    is = run(&task, seed, w, NULL, NULL, false);
    for (int64_t i = 0; i < count_of(&whole_in, 1); i++)
        plain[i] = should[place(&whole_in, task.dst_block, i)];
    for (int64_t i = 0; i < count; i++)
        cut[i] = seen[i] = is[place(&in, task.dst_block, i)];
    copy_window(&whole_in, plain, &in, cut, at, false);
    if (memcmp(cut, seen, (size_t)count * sizeof *cut) != 0)
        fail_msg("a window differs from the whole: %s", text_of(&task, text, sizeof text));
    free(seed);
    free(w);
    free(everywhere);
    free(should);
    free(is);
    free(cut);
    free(seen);
    free(plain);
}

static void windows_are_parts_of_the_whole(void **state)
{
    scratch shared = {NULL};
    int block = device_block(ctx);

    (void)state;
    for (int i = 0; i < PROBLEMS; i++) {
        conv_problem p = problem_of(&problems[i]);

        for (int variant = 0; variant < 6; variant++) {
            conv_task task = {.ctx = ctx,
                              .problem = p,
                              .direction = CONV_ADJOINT,
                              .scratch = &shared,
                              .src_block = variant & 1 ? block : 1,
                              .dst_block = variant & 1 ? block : 1};
            int64_t most = variant < 2 ? 1 : variant < 4 ? 2 : 5, size[2], from[2];

            for (int d = 0; d < 2; d++) {
                size[d] = most < p.out_size[d] ? most : p.out_size[d];
                from[d] = (p.out_size[d] - size[d]) / (1 + variant / 2 % 2);
            }
            if (convolution_can(&task))
                check_window(task, size, from, variant / 2);
        }
    }
    scratch_free(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_and_epilogue),
        cmocka_unit_test(one_order_has_the_same_bits),
        cmocka_unit_test(not_a_number),
        cmocka_unit_test(windows_are_parts_of_the_whole),
    };

    return cmocka_run_group_tests(tests, open_context, close_context);
}
