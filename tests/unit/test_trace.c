/* What traces of the bundled network hold on the device: activations, switches, weights; what an
 * approximate one changes, and that nothing else changes beside it. */
#include "bundled.h"

#include "conv/packed.h"
#include "opencl/device.h"

static float *activation(const network *n, deconv_trace *trace, uint32_t layer, uint64_t *count)
{
    const deconv_tensor *t;
    float *values;

    OK(n->ctx, deconv_trace_activation(trace, layer, &t));
    *count = deconv_tensor_count(t);
    values = malloc((size_t)*count * sizeof *values);
    assert_non_null(values);
    OK(n->ctx, deconv_tensor_read(t, values, *count));
    return values;
}

static bool varies(const float *values, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++)
        if (values[i] != values[0])
            return true;
    return false;
}

/* ---- Forward only ---- */

static void same_bits_in_less_memory(void **state)
{
    fixture *f = *state;
    const device *d = ctx_device(f->ctx);
    uint64_t before, ordinary, forward, count;
    deconv_trace *both, *only;
    uint32_t keep[2];
    network n;

    open_network(f->ctx, &n);
    keep[0] = n.output;
    keep[1] = find(&n, "pool2");
    deconv_trace_destroy(
        make_trace(&n, BATCH, keep, 2, 0)); /* whatever the net keeps is there now */
    before = d->held;
    both = make_trace(&n, BATCH, keep, 2, 0);
    ordinary = d->held - before;
    only = make_trace(&n, BATCH, keep, 2, DECONV_TRACE_NO_INVERSE);
    forward = d->held - before - ordinary;
    run(&n, both);
    run(&n, only);
    for (int i = 0; i < 2; i++) {
        float *should = activation(&n, both, keep[i], &count);
        float *is = activation(&n, only, keep[i], &count);

        assert_memory_equal(is, should, (size_t)count * sizeof *is);
        assert_true(varies(is, count));
        free(should);
        free(is);
    }
    print_message("%llu bytes, forward only %llu\n", (unsigned long long)ordinary,
                  (unsigned long long)forward);
    for (int k = 0; k < both->graph->n_node; k++) {
        assert_null(only->switches[k]);
        ordinary -= both->switches[k] ? buffer_size(both->switches[k]) : 0;
    }
    assert_true(forward > 0 && forward <= ordinary);
    deconv_trace_destroy(both);
    deconv_trace_destroy(only);
    close_network(&n);
}

/* A rule's wishes, and the switches, count for nothing: more pictures fit a budget. */
static void more_pictures_fit(void **state)
{
    fixture *f = *state;
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_ctx_options of_ctx = DECONV_CTX_OPTIONS_INIT;
    int64_t ordinary, forward;
    deconv_ctx *ctx;
    network n;

    of_ctx.cache_dir = f->cache;
    of_ctx.memory = 64 << 20;
    assert_int_equal(deconv_ctx_create(&of_ctx, &ctx), DECONV_OK);
    open_network(ctx, &n);
    options.keep = &n.output;
    options.keep_count = 1;
    OK(ctx, deconv_trace_batch(n.net, 100000, &options, &ordinary));
    options.flags = DECONV_TRACE_NO_INVERSE;
    OK(ctx, deconv_trace_batch(n.net, 100000, &options, &forward));
    print_message("%lld pictures, forward only %lld\n", (long long)ordinary, (long long)forward);
    assert_true(ordinary > 1 && forward > ordinary);
    close_network(&n);
    deconv_ctx_destroy(ctx);
}

static void expect_no_way_back(deconv_ctx *ctx, uint32_t flag)
{
    const deconv_seed seed = {0, DECONV_STRONGEST, DECONV_STRONGEST, DECONV_STRONGEST};
    const deconv_tensor *signal;
    deconv_tensor *one;
    deconv_trace *trace;
    network n;

    open_network(ctx, &n);
    trace = make_trace(&n, BATCH, &n.output, 1, flag);
    run(&n, trace);
    n.shape[0] = 1;
    OK(ctx, deconv_tensor_create(ctx, n.shape, 4, &one));
    expect_message(ctx, deconv_project(trace, n.output, &seed, 1, NULL, one, NULL),
                   DECONV_ERROR_INVALID, "DECONV_TRACE_NO_INVERSE");
    OK(ctx, deconv_trace_activation(trace, n.output, &signal));
    expect_message(ctx, deconv_project_signal(trace, n.output, signal, NULL, n.input),
                   DECONV_ERROR_INVALID, "DECONV_TRACE_APPROXIMATE");
    deconv_tensor_destroy(one);
    deconv_trace_destroy(trace);
    close_network(&n);
}

static void projecting_is_refused(void **state)
{
    fixture *f = *state;

    expect_no_way_back(f->ctx, DECONV_TRACE_NO_INVERSE);
    expect_no_way_back(f->ctx, DECONV_TRACE_APPROXIMATE);
}

/* ---- Approximate ---- */

static float *run_and_read(const network *n, deconv_trace *trace, uint32_t layer, uint64_t *count)
{
    run(n, trace);
    return activation(n, trace, layer, count);
}

/* Whoever does not permit it has the same bits before, beside and after an approximate trace, asked
 * for Winograd's algorithm or not. */
static void only_who_permits_it_has_other_bits(void **state)
{
    fixture *f = *state;
    deconv_trace *before, *beside, *after, *approximate;
    float *first, *second, *third, *rounded, largest = 0.0f, most = 0.0f;
    uint64_t count;
    uint32_t layer;
    network n;

    open_network(f->ctx, &n);
    layer = find(&n, "conv4");
    before = make_trace(&n, BATCH, &layer, 1, DECONV_TRACE_NO_INVERSE);
    first = run_and_read(&n, before, layer, &count);
    setenv("DECONV_CONV_ALGORITHM", "winograd", 1);
    approximate = make_trace(&n, BATCH, &layer, 1, DECONV_TRACE_APPROXIMATE);
    beside = make_trace(&n, BATCH, &layer, 1, 0);
    rounded = run_and_read(&n, approximate, layer, &count);
    second = run_and_read(&n, beside, layer, &count);
    deconv_trace_destroy(approximate);
    after = make_trace(&n, BATCH, &layer, 1, DECONV_TRACE_NO_INVERSE);
    third = run_and_read(&n, after, layer, &count);
    unsetenv("DECONV_CONV_ALGORITHM");
    assert_memory_equal(second, first, (size_t)count * sizeof *first);
    assert_memory_equal(third, first, (size_t)count * sizeof *first);
    assert_memory_not_equal(rounded, first, (size_t)count * sizeof *first);
    for (uint64_t i = 0; i < count; i++) {
        largest = fmaxf(largest, fabsf(first[i]));
        most = fmaxf(most, fabsf(rounded[i] - first[i]));
    }
    print_message("approximate: %.2g of the largest\n", (double)(most / largest));
    assert_true(largest > 0.0f && most <= 2e-5f * largest);
    deconv_trace_destroy(before);
    deconv_trace_destroy(beside);
    deconv_trace_destroy(after);
    free(first);
    free(second);
    free(third);
    free(rounded);
    close_network(&n);
}

/* ---- Weights ---- */

/* The weights of a net's convolutions: how many, packed copies of them, and how many are there as
 * they are too. */
typedef struct weights {
    int convolutions, packed, there;
    size_t largest; /* bytes */
} weights;

static weights weights_of(const deconv_net *net)
{
    weights w = {0};

    for (int v = 0; v < net->model->n_value; v++) {
        const weight *one = &net->weights[v];
        size_t bytes;

        if (!one->host || one->host->shape.rank != 4)
            continue;
        bytes = (size_t)shape_count(&one->host->shape) * sizeof(float);
        for (const packed *p = one->packed.first; p; p = p->next)
            w.packed++;
        w.largest = bytes > w.largest ? bytes : w.largest;
        w.convolutions++;
        w.there += one->data != NULL;
    }
    return w;
}

static void project(const network *n, deconv_trace *trace, uint32_t layer, uint32_t flags)
{
    deconv_project_options options = DECONV_PROJECT_OPTIONS_INIT;
    const deconv_seed seeds[2] = {{0, 1, 2, 2}, {1, 0, 5, 4}};
    deconv_projection_info infos[2];
    int64_t shape[DECONV_MAX_RANK];
    deconv_tensor *two;

    options.flags = flags;
    options.value = DECONV_SEED_ONE;
    memcpy(shape, n->shape, sizeof shape);
    shape[0] = 2;
    OK(n->ctx, deconv_tensor_create(n->ctx, shape, 4, &two));
    OK(n->ctx, deconv_project(trace, layer, seeds, 2, &options, two, infos));
    assert_true(infos[0].largest > 0.0f || infos[1].largest > 0.0f);
    deconv_tensor_destroy(two);
}

/* A device whose packing does not depend on sizes. */
static bool packs_once(const fixture *f)
{
    return device_limits_of(f->ctx)->kind == DECONV_DEVICE_CPU;
}

/* One packed copy of a convolution's weights for each direction, whatever runs. */
static void weights_are_packed_once(void **state)
{
    fixture *f = *state;
    uint32_t keep[2];
    int forward;
    network n;

    if (!packs_once(f))
        skip();
    open_network(f->ctx, &n);
    keep[0] = find(&n, "conv2");
    keep[1] = find(&n, "conv3");
    for (int64_t batch = BATCH; batch > 0; batch -= BATCH - 1) {
        deconv_trace *trace = make_trace(&n, batch, keep, 2, 0);

        forward = weights_of(n.net).convolutions;
        assert_int_equal(forward, 4);
        assert_int_equal(weights_of(n.net).packed, batch == BATCH ? forward : forward + 3);
        if (batch == BATCH) {
            run(&n, trace);
            project(&n, trace, keep[0], 0);
            project(&n, trace, keep[1], 0);
            project(&n, trace, keep[1], DECONV_PROJECT_WHOLE);
        }
        assert_int_equal(weights_of(n.net).packed, forward + 3);
        /* Where projections begin, single filters are read from the weights as they come. */
        assert_int_equal(weights_of(n.net).there, 2);
        deconv_trace_destroy(trace);
    }
    close_network(&n);
}

/* As they come, the weights of one convolution at a time are on the device. */
static void weights_pass_through(void **state)
{
    fixture *f = *state;
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    device *d = ctx_device(f->ctx);
    deconv_trace *trace;
    uint32_t last;
    uint64_t more;
    network n;

    if (!packs_once(f))
        skip();
    open_network(f->ctx, &n);
    last = find(&n, "conv4");
    options.flags = DECONV_TRACE_NO_INVERSE;
    options.keep = options.last = &last;
    options.keep_count = options.last_count = 1;
    d->most_held = 0;
    OK(f->ctx, deconv_trace_create(n.net, BATCH, &options, &trace));
    more = d->most_held - d->held;
    print_message("%llu bytes more than in the end\n", (unsigned long long)more);
    assert_true(more > 0 && more <= weights_of(n.net).largest);
    deconv_trace_destroy(trace);
    close_network(&n);
}

/* Into the file that is there, if one is. */
static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char bytes[4096];
    size_t count;

    assert_true(in && out);
    while ((count = fread(bytes, 1, sizeof bytes, in)) > 0)
        assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
    fclose(in);
}

/* A network is never half from before and half from after its file was written to. */
static void changed_files_are_noticed(void **state)
{
    fixture *f = *state;
    const deconv_seed seed = {0, 1, 2, 2};
    char path[2 * PATH_SIZE];
    deconv_tensor *one;
    deconv_trace *trace;
    uint32_t keep;
    network n;

    snprintf(path, sizeof path, "%s/network.onnx", f->folder);
    copy_file(NETWORK, path);
    open_network_at(f->ctx, path, &n);
    keep = find(&n, "conv3");
    trace = make_trace(&n, BATCH, &keep, 1, 0);
    run(&n, trace);
    n.shape[0] = 1;
    OK(f->ctx, deconv_tensor_create(f->ctx, n.shape, 4, &one));
    copy_file(NETWORK, path);
    expect_message(f->ctx, deconv_project(trace, keep, &seed, 1, NULL, one, NULL), DECONV_ERROR_IO,
                   "written to while it was in use");
    deconv_tensor_destroy(one);
    deconv_trace_destroy(trace);
    close_network(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_bits_in_less_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_pictures_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(projecting_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_who_permits_it_has_other_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights_are_packed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights_pass_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_files_are_noticed, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
