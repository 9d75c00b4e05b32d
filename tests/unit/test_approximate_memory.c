/* Approximate traces, whose convolutions Winograd's algorithm serves, when memory runs out: every
 * single allocation, and every size of a buffer, fails in turn. Exact ones are test_net_memory's.
 */
#define _XOPEN_SOURCE 700
#include "onnx_build.h"

#include "../harness/starve.h"
#include "opencl/device.h"

enum { SIDE = 9, BATCH = 2, INPUT = BATCH * 3 * SIDE * SIDE, MAPS = 16 };
enum { RESULT = BATCH * MAPS * SIDE * SIDE };

#define OK(ctx, call)                                                                              \
    do {                                                                                           \
        if ((call) != DECONV_OK)                                                                   \
            fail_msg("%s: %s", #call, deconv_ctx_message(ctx));                                    \
    } while (0)

static const char algorithm_variable[] = "DECONV_CONV_ALGORITHM";

/* What must come of it, both ways; that they differ says that the algorithm served. */
typedef struct results {
    float exact[RESULT], approximate[RESULT];
} results;

typedef struct job {
    char path[512];
    float input[INPUT];
    uint32_t flag; /* of the traces */
    deconv_net *net;
    float found[RESULT]; /* what a run leaves: compared bit for bit */
    const results *should;
} job;

/* ---- A network that Winograd's algorithm may serve ---- */

static void add_convolution(build *b, int number, int64_t channels, int64_t filters)
{
    static const int64_t pads[] = {1, 1, 1, 1};
    const int64_t dims[] = {filters, channels, 3, 3};
    float values[MAPS * MAPS * 9];
    char in[16], names[32], weights[8], out[8];
    Onnx__NodeProto *node;

    for (int64_t i = 0; i < filters * channels * 9; i++)
        values[i] = 0.05f * (float)(i * 37 % 19 - 8);
    snprintf(in, sizeof in, number == 0 ? "x" : "r%d", number - 1);
    snprintf(weights, sizeof weights, "w%d", number);
    snprintf(names, sizeof names, "%s %s", in, weights);
    snprintf(out, sizeof out, "c%d", number);
    build_raw(b, build_initializer(b, weights, TYPE_OF(FLOAT), 4, dims), values,
              (size_t)(filters * channels * 9) * sizeof *values);
    node = build_node(b, "Conv", "", names, out);
    build_ints(b, node, "pads", 4, pads);
    snprintf(names, sizeof names, "r%d", number);
    build_node(b, "Relu", "", out, names);
}

static job *open_job(fixture *f)
{
    static const int64_t x_dims[] = {0, 3, SIDE, SIDE};
    job *j = calloc(1, sizeof *j);
    uint8_t *bytes;
    size_t size;
    build b;

    assert_non_null(j);
    build_start(&b);
    build_input(&b, "x", TYPE_OF(FLOAT), 4, x_dims);
    add_convolution(&b, 0, 3, MAPS / 2);
    add_convolution(&b, 1, MAPS / 2, MAPS);
    add_convolution(&b, 2, MAPS, MAPS);
    build_output(&b, "r2");
    bytes = build_pack(&b, &size);
    snprintf(j->path, sizeof j->path, "%s", put_file(f, "net.onnx", bytes, size));
    free(bytes);
    build_free(&b);
    j->flag = DECONV_TRACE_APPROXIMATE;
    for (int i = 0; i < INPUT; i++)
        j->input[i] = 0.01f * (float)(i * 7919 % 201 - 90);
    return j;
}

/* ---- What is done with it ---- */

static deconv_status run_and_read(deconv_trace *trace, const deconv_tensor *x, uint32_t layer,
                                  float to[RESULT])
{
    const deconv_tensor *result;
    deconv_status status = deconv_trace_run(trace, &x, 1);

    if (status == DECONV_OK)
        status = deconv_trace_activation(trace, layer, &result);
    return status == DECONV_OK ? deconv_tensor_read(result, to, RESULT) : status;
}

static deconv_status run_trace(deconv_ctx *ctx, void *user)
{
    static const int64_t dims[] = {BATCH, 3, SIDE, SIDE};
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_trace *trace = NULL;
    deconv_tensor *x = NULL;
    deconv_status status;
    job *j = user;
    uint32_t layer;

    status = deconv_net_find(j->net, "r2", &layer);
    options.flags = j->flag;
    options.keep = options.last = &layer;
    options.keep_count = options.last_count = 1;
    if (status == DECONV_OK)
        status = deconv_trace_create(j->net, BATCH, &options, &trace);
    if (status == DECONV_OK)
        status = deconv_tensor_create(ctx, dims, 4, &x);
    if (status == DECONV_OK)
        status = deconv_tensor_write(x, j->input, INPUT);
    if (status == DECONV_OK)
        status = run_and_read(trace, x, layer, j->found);
    deconv_tensor_destroy(x);
    deconv_trace_destroy(trace);
    return status;
}

static deconv_status from_file_to_result(deconv_ctx *ctx, void *user)
{
    job *j = user;
    deconv_status status = deconv_net_open(ctx, j->path, NULL, &j->net);

    if (status == DECONV_OK)
        status = run_trace(ctx, j);
    deconv_net_destroy(j->net);
    j->net = NULL;
    return status;
}

/* ---- Tests ---- */

static results *find_results(deconv_ctx *ctx, job *j)
{
    results *r = malloc(sizeof *r);

    assert_non_null(r);
    j->flag = DECONV_TRACE_NO_INVERSE;
    OK(ctx, from_file_to_result(ctx, j));
    memcpy(r->exact, j->found, sizeof r->exact);
    j->flag = DECONV_TRACE_APPROXIMATE;
    OK(ctx, from_file_to_result(ctx, j));
    memcpy(r->approximate, j->found, sizeof r->approximate);
    if (device_limits_of(ctx)->kind == DECONV_DEVICE_CPU)
        assert_memory_not_equal(r->exact, r->approximate, sizeof r->exact);
    memset(j->found, 0, sizeof j->found);
    return r;
}

/* On a warm context every refused request must fail the call. */
static void opening_to_running(void **state)
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    job *j = open_job(*state);
    char why[512] = "";
    results *should;
    long refused;

    assert_non_null(ctx);
    should = find_results(ctx, j);
    refused = starve(ctx, &h, from_file_to_result, j, why, sizeof why);
    if (refused < 0)
        fail_msg("%s", why);
    print_message("%ld allocations refused\n", refused);
    assert_true(refused > 100);
    assert_memory_equal(j->found, should->approximate, sizeof j->found);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
    free(should);
    free(j);
}

static void expect_result(const job *j, const results *should)
{
    assert_memory_equal(j->found,
                        j->flag == DECONV_TRACE_APPROXIMATE ? should->approximate : should->exact,
                        sizeof j->found);
}

/* Whatever a failed trace leaves in its net, the next one has the right bits, of either kind, and
 * nothing of it stays. */
static void nets_survive(void **state)
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    job *j = open_job(*state);
    results *should;
    long n = 0;

    assert_non_null(ctx);
    should = find_results(ctx, j);
    for (bool more = true; more; n++) {
        long live = h.live;
        deconv_status status;

        OK(ctx, deconv_net_open(ctx, j->path, NULL, &j->net));
        j->flag = DECONV_TRACE_APPROXIMATE;
        h.refused = false;
        h.countdown = n;
        status = run_trace(ctx, j);
        h.countdown = -1;
        more = h.refused;
        assert_int_equal(status, more ? DECONV_ERROR_NO_MEMORY : DECONV_OK);
        for (int i = 0; i < 3; i++) {
            OK(ctx, run_trace(ctx, j));
            expect_result(j, should);
            j->flag ^= DECONV_TRACE_APPROXIMATE | DECONV_TRACE_NO_INVERSE;
        }
        deconv_net_destroy(j->net);
        j->net = NULL;
        if (h.live != live)
            fail_msg("request %ld refused: %ld pieces of memory leak", n, h.live - live);
    }
    assert_true(n > 50);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
    free(should);
    free(j);
}

static bool is_as_it_should(const void *user)
{
    const job *j = user;

    return memcmp(j->found, j->should->approximate, sizeof j->found) == 0;
}

static void cold_contexts(void **state)
{
    fixture *f = *state;
    job *j = open_job(f);
    heap warm = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&warm, f->folder);
    char why[512] = "";
    long refused, got_by;
    results *should;

    assert_non_null(ctx);
    j->should = should = find_results(ctx, j);
    deconv_ctx_destroy(ctx);
    refused =
        starve_cold(f->folder, from_file_to_result, is_as_it_should, j, &got_by, why, sizeof why);
    if (refused < 0)
        fail_msg("%s", why);
    print_message("%ld allocations refused, without %ld more it went on\n", refused, got_by);
    assert_true(refused > 150 && got_by < refused / 2);
    free(should);
    free(j);
}

/* Buffers up to some size only, from next to nothing up: refused with the layer's name, then served
 * by what takes smaller ones, in the end by Winograd's algorithm. */
static void small_buffers(void **state)
{
    fixture *f = *state;
    device *d = ctx_device(f->ctx);
    const uint64_t most = d->limits.max_allocation;
    job *j = open_job(f);
    results *should = find_results(f->ctx, j);
    int refused = 0, exact = 0;

    for (uint64_t limit = 16; limit < most; limit += limit / 8) {
        deconv_status status;

        d->limits.max_allocation = limit;
        status = from_file_to_result(f->ctx, j);
        d->limits.max_allocation = most;
        if (status == DECONV_OK) {
            if (memcmp(j->found, should->approximate, sizeof j->found) == 0)
                break;
            exact += memcmp(j->found, should->exact, sizeof j->found) == 0;
        } else {
            const char *message = deconv_ctx_message(f->ctx);

            if (status != DECONV_ERROR_NO_MEMORY || exact ||
                (!strstr(message, " of r") && message[0] != 'c'))
                fail_msg("up to %llu bytes: %s", (unsigned long long)limit, message);
            refused++;
        }
        OK(f->ctx, from_file_to_result(f->ctx, j));
        expect_result(j, should);
    }
    print_message("%d sizes refused, %d served exactly\n", refused, exact);
    expect_result(j, should);
    assert_true(refused > 20);
    if (device_limits_of(f->ctx)->kind == DECONV_DEVICE_CPU)
        assert_true(exact > 2);
    free(should);
    free(j);
}

/* A trace that is there, of the second convolution, stays as it is when one of the third fails,
 * which wants more of the memory that they share. */
static void other_traces_survive(void **state)
{
    static const int64_t dims[] = {BATCH, 3, SIDE, SIDE};
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT, whole = options;
    job *j = open_job(*state);
    deconv_trace *trace, *larger = NULL;
    float first[RESULT];
    deconv_tensor *x;
    uint32_t layer;
    long n = 0;

    OK(ctx, deconv_tensor_create(ctx, dims, 4, &x));
    OK(ctx, deconv_tensor_write(x, j->input, INPUT));
    options.flags = whole.flags = DECONV_TRACE_APPROXIMATE;
    options.keep = options.last = &layer;
    options.keep_count = options.last_count = 1;
    for (; !larger; n++) {
        OK(ctx, deconv_net_open(ctx, j->path, NULL, &j->net));
        OK(ctx, deconv_net_find(j->net, "r1", &layer));
        OK(ctx, deconv_trace_create(j->net, BATCH, &options, &trace));
        OK(ctx, run_and_read(trace, x, layer, first));
        h.countdown = n;
        deconv_trace_create(j->net, BATCH, &whole, &larger);
        h.countdown = -1;
        OK(ctx, run_and_read(trace, x, layer, j->found));
        assert_memory_equal(j->found, first, sizeof first);
        deconv_trace_destroy(larger);
        deconv_trace_destroy(trace);
        deconv_net_destroy(j->net);
    }
    assert_true(n > 20);
    deconv_tensor_destroy(x);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
    free(j);
}

static int ask_for_winograd(void **state)
{
    (void)state;
    return setenv(algorithm_variable, "winograd", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening_to_running, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nets_survive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cold_contexts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_buffers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_traces_survive, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("approximate_memory", tests, ask_for_winograd, NULL);
}
