/* Packed weights: what is read alike is packed once, by whoever comes first, and gives the bits
 * that a copy of its own gives. */
#include "opencl_fixture.h"

#include "conv/packed.h"

enum { MOST = 1 << 16 };

typedef struct network {
    deconv_ctx *ctx;
    buffer *weights, *src, *dst;
    packed_list list;
    scratch scratch;
} network;

static int copies(const packed_list *list)
{
    int count = 0;

    for (const packed *p = list->first; p; p = p->next)
        count++;
    return count;
}

static void open_buffers(network *n, deconv_ctx *ctx)
{
    float *values = malloc(MOST * sizeof *values);
    uint32_t seed = 7;

    assert_non_null(values);
    for (int i = 0; i < MOST; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) / (1 << 23) - 1.0f;
    }
    *n = (network){.ctx = ctx};
    OK(ctx, buffer_create(ctx, MOST * sizeof *values, "weights", &n->weights));
    OK(ctx, buffer_create(ctx, MOST * sizeof *values, "source", &n->src));
    OK(ctx, buffer_create(ctx, MOST * sizeof *values, "result", &n->dst));
    OK(ctx, buffer_write(ctx, n->weights, 0, MOST * sizeof *values, values));
    OK(ctx, buffer_write(ctx, n->src, 0, MOST * sizeof *values, values));
    free(values);
}

static void close_buffers(network *n)
{
    packed_list_free(&n->list);
    scratch_free(&n->scratch);
    buffer_free(n->weights);
    buffer_free(n->src);
    buffer_free(n->dst);
}

static float *result_of(network *n, convolution *c, const buffer *weights)
{
    float *values = malloc(MOST * sizeof *values);

    assert_non_null(values);
    OK(n->ctx, buffer_fill(n->ctx, n->dst, 0, MOST * sizeof *values, 0.0f));
    OK(n->ctx,
       convolution_run(c, &(conv_operands){.src = n->src, .weights = weights, .dst = n->dst}));
    OK(n->ctx, buffer_read(n->ctx, n->dst, 0, MOST * sizeof *values, values));
    return values;
}

static bool has_values(const float *values)
{
    int count = 0;

    for (int i = 0; i < MOST; i++)
        count += values[i] != 0.0f;
    return count > 10;
}

/* The task with the list's weights, `copies_then` of them in the end; the first of a kind packs,
 * the others do not even get the weights. */
static void check(network *n, conv_task task, int copies_then)
{
    bool first = copies(&n->list) < copies_then;
    convolution *shares, *alone;
    float *is, *should;

    task.ctx = n->ctx;
    task.scratch = &n->scratch;
    OK(n->ctx, convolution_create(&task, n->weights, &alone));
    should = result_of(n, alone, n->weights);
    task.packed = &n->list;
    OK(n->ctx, convolution_create(&task, NULL, &shares));
    assert_int_equal(copies(&n->list), copies_then);
    assert_int_equal(convolution_is_packed(shares), !first);
    if (first)
        OK(n->ctx, convolution_pack(shares, n->weights));
    assert_true(convolution_is_packed(shares));
    is = result_of(n, shares, NULL);
    assert_memory_equal(is, should, MOST * sizeof *is);
    assert_true(has_values(is));
    free(is);
    free(should);
    convolution_free(shares);
    convolution_free(alone);
}

static conv_task task_of(conv_direction direction, int channels, int filters, int stride)
{
    return (conv_task){.direction = direction,
                       .src_block = 1,
                       .dst_block = 1,
                       .problem = {.batch = 1,
                                   .in_channels = channels,
                                   .out_channels = filters,
                                   .groups = 1,
                                   .in_size = {12, 12},
                                   .out_size = {12 / stride, 12 / stride},
                                   .kernel = {3, 3},
                                   .stride = {stride, stride},
                                   .dilation = {1, 1},
                                   .pad = {1, 1}}};
}

/* Whole maps of one and of three pictures, and windows, whose padding is whatever the place of
 * their seeds makes it. */
static void check_family(network *n, conv_task task, int copies_then)
{
    const int stride = (int)task.problem.stride[0];
    conv_task other = task;

    check(n, task, copies_then);
    check(n, task, copies_then);
    other.problem.batch = 3;
    check(n, other, copies_then);
    for (int pad = -2; pad <= 2; pad++) {
        other.problem.pad[0] = pad;
        other.problem.pad[1] = -pad;
        other.problem.in_size[0] = 2 * stride + 1;
        other.problem.in_size[1] = 3 * stride;
        other.problem.out_size[0] = 4;
        other.problem.out_size[1] = 5;
        check(n, other, copies_then);
    }
}

static void plans_share(void **state)
{
    fixture *f = *state;
    network n;
    int kinds = 0;

    if (device_limits_of(f->ctx)->kind != DECONV_DEVICE_CPU)
        skip(); /* there the tiles, and so the packing, depend on sizes */
    for (int stride = 1; stride <= 3; stride++) {
        open_buffers(&n, f->ctx);
        kinds = 0;
        check_family(&n, task_of(CONV_FORWARD, 16, 40, stride), ++kinds);
        check_family(&n, task_of(CONV_ADJOINT, 16, 40, stride), ++kinds);
        close_buffers(&n);
        open_buffers(&n, f->ctx);
        kinds = 0;
        check_family(&n, task_of(CONV_FORWARD, 3, 40, stride), ++kinds);
        check_family(&n, task_of(CONV_ADJOINT, 3, 40, stride), ++kinds);
        close_buffers(&n);
    }
}

/* Another kernel over the same numbers is another copy. */
static void kinds_differ(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(CONV_FORWARD, 16, 16, 1);
    network n;

    open_buffers(&n, f->ctx);
    check(&n, task, 1);
    task.direction = CONV_ADJOINT;
    check(&n, task, 2);
    task = task_of(CONV_FORWARD, 8, 16, 1);
    check(&n, task, 3);
    task.problem.kernel[0] = 1;
    task.problem.pad[0] = 0;
    check(&n, task, 4);
    close_buffers(&n);
}

/* The way back over another stride is another set of phases of the same numbers: another copy. */
static void phases_differ(void **state)
{
    static const char variable[] = "DECONV_CONV_ALGORITHM";
    static const char *const names[] = {"blocked", "implicit", "im2col"};
    const char *before = getenv(variable);
    char *kept = before ? strdup(before) : NULL;
    fixture *f = *state;
    network n;

    for (int i = 0; i < 3; i++) {
        setenv(variable, names[i], 1);
        open_buffers(&n, f->ctx);
        for (int stride = 1; stride <= 3; stride++)
            check(&n, task_of(CONV_ADJOINT, 16, 40, stride), stride);
        close_buffers(&n);
    }
    if (kept)
        setenv(variable, kept, 1);
    else
        unsetenv(variable);
    free(kept);
}

/* Weights that come with each run are packed in each run. */
static void weights_of_a_run(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(CONV_FORWARD, 16, 16, 1);
    convolution *c;
    float *first, *second;
    network n;

    open_buffers(&n, f->ctx);
    task.ctx = f->ctx;
    task.scratch = &n.scratch;
    OK(f->ctx, convolution_create(&task, NULL, &c));
    first = result_of(&n, c, n.weights);
    assert_false(convolution_is_packed(c));
    OK(f->ctx, buffer_fill(f->ctx, n.weights, 0, MOST * sizeof(float), 0.0f));
    second = result_of(&n, c, n.weights);
    assert_true(first[0] != 0.0f && second[0] == 0.0f);
    free(first);
    free(second);
    convolution_free(c);
    close_buffers(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plans_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kinds_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(phases_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights_of_a_run, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("conv_packed", tests, NULL, NULL);
}
