/* The adjoint of signals in one channel against the same adjoint of all channels: the same bits,
 * but that -0 is 0. */
#include "conv_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 5 };

typedef struct sizes {
    int in_channels, out_channels, groups;
    int out[2], kernel[2], stride[2], dilation[2], pad[2];
} sizes;

/* Windows without padding, windows with more than is read, whole maps. */
static const sizes problems[] = {
    {32, 48, 1, {1, 1}, {3, 3}, {1, 1}, {1, 1}, {0, 0}},
    {3, 40, 1, {1, 1}, {7, 7}, {2, 2}, {1, 1}, {0, 0}},
    {3, 24, 1, {4, 3}, {7, 7}, {2, 2}, {1, 1}, {0, 0}},
    {17, 16, 1, {3, 3}, {3, 3}, {1, 1}, {1, 1}, {0, 0}},
    {64, 32, 1, {5, 4}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {24, 9, 1, {3, 2}, {5, 3}, {2, 3}, {2, 1}, {1, 0}},
    {40, 64, 2, {3, 3}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {48, 32, 4, {2, 2}, {2, 2}, {2, 2}, {1, 1}, {0, 0}},
    {16, 16, 1, {2, 3}, {1, 1}, {3, 3}, {1, 1}, {-1, -1}},
    {20, 8, 1, {7, 7}, {7, 6}, {1, 1}, {1, 1}, {3, 3}}, /* more taps than a chunk has */
    {12, 6, 3, {1, 9}, {1, 5}, {1, 2}, {1, 1}, {0, 2}},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static conv_problem problem_of(const sizes *s)
{
    conv_problem p = {.batch = BATCH,
                      .in_channels = s->in_channels,
                      .out_channels = s->out_channels,
                      .groups = s->groups};

    for (int i = 0; i < 2; i++) {
        p.kernel[i] = s->kernel[i];
        p.stride[i] = s->stride[i];
        p.dilation[i] = s->dilation[i];
        p.pad[i] = s->pad[i];
        p.out_size[i] = s->out[i];
        p.in_size[i] = (s->out[i] - 1) * s->stride[i] + (s->kernel[i] - 1) * s->dilation[i] + 1 -
                       2 * s->pad[i];
    }
    return p;
}

/* ---- Values ---- */

static float *floats(int64_t count)
{
    float *values = calloc((size_t)count + 1, sizeof *values);

    assert_non_null(values);
    return values;
}

/* Of all signs and exponents around one, so that the order of a sum shows in its bits. */
static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return ((float)(*state >> 8) - 0x1p23f) / 0x1p22f;
}

static int64_t side_floats(int64_t channels, const int64_t *size, int block)
{
    return BATCH * ((channels + block - 1) / block * block) * size[0] * size[1];
}

/* Zero but for channel units[n] of image n, and there but for `cells` of its cells. */
static float *signal_of(const conv_task *t, const int32_t *units, int64_t cells)
{
    const conv_problem *p = &t->problem;
    int64_t size = p->out_size[0] * p->out_size[1];
    int64_t blocks = (p->out_channels + t->src_block - 1) / t->src_block;
    float *values = floats(side_floats(p->out_channels, p->out_size, t->src_block));
    uint32_t state = 7;

    for (int64_t n = 0; n < BATCH; n++)
        for (int64_t k = 0; k < cells; k++) {
            int64_t plane = n * blocks + units[n] / t->src_block;
            int64_t cell = cells == size ? k : (k + n) % size;

            values[(plane * size + cell) * t->src_block + units[n] % t->src_block] = noise(&state);
        }
    return values;
}

/* ---- Running ---- */

static buffer *device_copy(const void *values, int64_t count)
{
    buffer *b;

    OK(buffer_create(ctx, (size_t)count * sizeof(float), "values", &b));
    OK(buffer_write(ctx, b, 0, (size_t)count * sizeof(float), values));
    return b;
}

static float *run(const conv_task *t, const float *from, const buffer *weights,
                  const int32_t *units, bool relu, bool *single)
{
    const conv_problem *p = &t->problem;
    int64_t count = side_floats(p->in_channels, p->in_size, t->dst_block);
    float *result = floats(count);
    buffer *src = device_copy(from, side_floats(p->out_channels, p->out_size, t->src_block));
    buffer *unit = device_copy(units, BATCH), *dst = device_copy(result, count);
    convolution *c;

    OK(convolution_create(t, weights, &c));
    *single = strcmp(convolution_algorithm(c), "single") == 0;
    OK(convolution_run(
        c,
        &(conv_operands){.src = src, .weights = weights, .units = unit, .dst = dst, .relu = relu}));
    OK(device_wait(ctx));
    OK(buffers_check_guards(ctx));
    OK(buffer_read(ctx, dst, 0, (size_t)count * sizeof *result, result));
    convolution_free(c);
    buffer_free(src);
    buffer_free(unit);
    buffer_free(dst);
    return result;
}

/* True where the channel was taken alone. */
static bool check(conv_task t, int number, bool one_cell, bool relu)
{
    const conv_problem *p = &t.problem;
    int64_t count = side_floats(p->in_channels, p->in_size, t.dst_block), different = 0;
    int64_t taps = p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1];
    const int32_t last = (int32_t)p->out_channels - 1;
    const int32_t units[BATCH] = {0, last, last / 2, last / 2 + 1, 1};
    float *w = floats(taps), *from, *is, *should;
    buffer *weights;
    uint32_t state = 3;
    bool single, usual;

    for (int64_t i = 0; i < taps; i++)
        w[i] = noise(&state);
    from = signal_of(&t, units, one_cell ? 1 : p->out_size[0] * p->out_size[1]);
    weights = device_copy(w, taps);
    should = run(&t, from, weights, units, relu, &usual);
    assert_false(usual);
    t.one_channel = true;
    t.one_cell = one_cell;
    is = run(&t, from, weights, units, relu, &single);
    for (int64_t i = 0; i < count; i++) {
        float a = is[i] + 0.0f, b = should[i] + 0.0f;

        different += memcmp(&a, &b, sizeof a) != 0;
    }
    if (different)
        fail_msg("problem %d, blocks %d to %d%s%s: %d of %d values differ", number, t.src_block,
                 t.dst_block, one_cell ? ", one cell" : "", relu ? ", rectified" : "",
                 (int)different, (int)count);
    buffer_free(weights);
    free(w);
    free(from);
    free(is);
    free(should);
    return single;
}

static void bits_of_the_whole(void **state)
{
    scratch shared = {NULL};
    const char *asked = getenv("DECONV_CONV_ALGORITHM");
    int block = device_block(ctx);

    (void)state;
    for (int i = 0; i < PROBLEMS; i++)
        for (int variant = 0; variant < 16; variant++) {
            conv_task t = {.ctx = ctx,
                           .problem = problem_of(&problems[i]),
                           .direction = CONV_ADJOINT,
                           .scratch = &shared,
                           .src_block = variant & 1 ? block : 1,
                           .dst_block = variant & 2 ? block : 1};
            bool one_cell = variant & 4;

            if (!convolution_can(&t))
                continue;
            if (!check(t, i, one_cell, variant & 8) && one_cell)
                fail_msg("problem %d multiplied all channels%s%s", i, asked ? " by " : "",
                         asked ? asked : "");
        }
    scratch_free(&shared);
}

/* By the plain algorithm, whose taps ascend. */
static void bits_of_the_plain_algorithm(void **state)
{
    setenv("DECONV_CONV_ALGORITHM", "direct", 1);
    bits_of_the_whole(state);
    unsetenv("DECONV_CONV_ALGORITHM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_of_the_whole),
        cmocka_unit_test(bits_of_the_plain_algorithm),
    };

    return cmocka_run_group_tests(tests, open_context, close_context);
}
