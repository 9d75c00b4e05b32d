/* Weights on their way to the device: as a whole or in parts, from memory or from the file, and
 * when they go again. */
#include "onnx_build.h"

#include "net.h"
#include "opencl/device.h"
#include "trace.h"

#include <math.h>

enum { IN = 700, OUT = 500, CHANNELS = 16 }; /* more weights than go in one part */

static float weight_at(int64_t i)
{
    return (float)(i * 37 % 1019 - 500) / 512.0f;
}

static const char *put_network(fixture *f, build *b)
{
    size_t size;
    uint8_t *bytes = build_pack(b, &size);
    const char *path = put_file(f, "weights.onnx", bytes, size);

    free(bytes);
    build_free(b);
    return path;
}

static const weight *only_weight(const deconv_net *net)
{
    for (int v = 0; v < net->model->n_value; v++)
        if (net->weights[v].host)
            return &net->weights[v];
    fail_msg("the network has no weight");
    return NULL;
}

static deconv_trace *run_on(fixture *f, deconv_net *net, const int64_t *dims, uint32_t rank)
{
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_tensor *x;
    deconv_trace *trace;
    float *values;
    uint64_t count;

    options.flags = DECONV_TRACE_NO_INVERSE;
    if (deconv_trace_create(net, 1, &options, &trace) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    assert_int_equal(deconv_tensor_create(f->ctx, dims, rank, &x), DECONV_OK);
    count = deconv_tensor_count(x);
    values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)((int)(i % 7) - 3);
    assert_int_equal(deconv_tensor_write(x, values, count), DECONV_OK);
    assert_int_equal(deconv_trace_run(trace, (const deconv_tensor *const *)&x, 1), DECONV_OK);
    deconv_tensor_destroy(x);
    free(values);
    return trace;
}

/* y = x W, W in the file. */
static const char *put_dense(fixture *f)
{
    static const int64_t x_dims[] = {0, IN}, w_dims[] = {IN, OUT};
    float *w = malloc((size_t)IN * OUT * sizeof *w);
    build b;

    assert_non_null(w);
    for (int64_t i = 0; i < (int64_t)IN * OUT; i++)
        w[i] = weight_at(i);
    build_start(&b);
    build_input(&b, "x", TYPE_OF(FLOAT), 2, x_dims);
    build_raw(&b, build_initializer(&b, "w", TYPE_OF(FLOAT), 2, w_dims), w,
              (size_t)IN * OUT * sizeof *w);
    build_node(&b, "Gemm", "dense", "x w", "y");
    build_output(&b, "y");
    free(w);
    return put_network(f, &b);
}

/* The small integers and fractions make every sum exact. */
static void large_weights_arrive(void **state)
{
    static const int64_t dims[] = {1, IN};
    fixture *f = *state;
    device *d = ctx_device(f->ctx);
    const bool host_memory = d->limits.host_memory;
    const char *path = put_dense(f);

    for (int round = 0; round < 2; round++) {
        const deconv_tensor *y;
        deconv_trace *trace;
        deconv_net *net;
        float is[OUT];

        d->limits.host_memory = host_memory && round == 0;
        assert_int_equal(deconv_net_open(f->ctx, path, NULL, &net), DECONV_OK);
        assert_true(only_weight(net)->host->in_file && !only_weight(net)->host->data);
        trace = run_on(f, net, dims, 2);
        assert_int_equal(deconv_trace_activation(trace, 0, &y), DECONV_OK);
        assert_int_equal(deconv_tensor_read(y, is, OUT), DECONV_OK);
        for (int o = 0; o < OUT; o++) {
            double sum = 0.0;

            for (int i = 0; i < IN; i++)
                sum += (double)(i % 7 - 3) * (double)weight_at((int64_t)i * OUT + o);
            assert_true((double)is[o] == sum);
        }
        deconv_trace_destroy(trace);
        deconv_net_destroy(net);
    }
}

/* A convolution whose weights the file has as they are in memory, or as single numbers, which are
 * decoded once and then nowhere but on the device. */
static const char *put_convolution(fixture *f, bool raw)
{
    static const int64_t x_dims[] = {0, CHANNELS, 6, 6}, w_dims[] = {32, CHANNELS, 3, 3};
    const size_t count = 32 * CHANNELS * 9;
    Onnx__TensorProto *t;
    float *w;
    build b;

    build_start(&b);
    build_input(&b, "x", TYPE_OF(FLOAT), 4, x_dims);
    t = build_initializer(&b, "w", TYPE_OF(FLOAT), 4, w_dims);
    w = build_keep(&b, count * sizeof *w);
    for (size_t i = 0; i < count; i++)
        w[i] = weight_at((int64_t)i);
    if (raw) {
        build_raw(&b, t, w, count * sizeof *w);
    } else {
        t->n_float_data = count;
        t->float_data = w;
    }
    build_node(&b, "Conv", "conv", "x w", "y");
    build_output(&b, "y");
    return put_network(f, &b);
}

/* Once it is packed a weight leaves the device, if there is a way back for it; a second network
 * from the same numbers computes the same. */
static void packed_weights_leave(void **state)
{
    static const int64_t dims[] = {1, CHANNELS, 6, 6};
    fixture *f = *state;
    float result[2][32 * 16];

    if (device_limits_of(f->ctx)->kind != DECONV_DEVICE_CPU)
        skip(); /* a small convolution is left to the algorithm that packs nothing */
    for (int raw = 0; raw < 2; raw++) {
        const deconv_tensor *y;
        deconv_trace *trace;
        const weight *w;
        deconv_net *net;

        assert_int_equal(deconv_net_open(f->ctx, put_convolution(f, raw), NULL, &net), DECONV_OK);
        w = only_weight(net);
        assert_int_equal(w->host->in_file, raw);
        assert_null(w->data);
        trace = run_on(f, net, dims, 4);
        assert_int_equal(w->users, 0);
        assert_non_null(w->packed.first);
        assert_null(w->host->data);
        assert_int_equal(w->data == NULL, raw);
        assert_int_equal(deconv_trace_activation(trace, 0, &y), DECONV_OK);
        assert_int_equal(deconv_tensor_read(y, result[raw], 32 * 16), DECONV_OK);
        deconv_trace_destroy(trace);
        deconv_net_destroy(net);
    }
    assert_true(result[0][0] != result[0][1]);
    assert_memory_equal(result[0], result[1], sizeof result[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_weights_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packed_weights_leave, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("weight", tests, NULL, NULL);
}
