/* Networks when memory runs out: from the file to a projection, every single allocation fails in
 * turn. Single operators are layers_memory's. */
#define _XOPEN_SOURCE 700
#include "onnx_build.h"

#include "../harness/starve.h"
#include "opencl/device.h"
#include "conv/tuning.h"

enum { SIDE = 12, BATCH = 2, INPUT = 3 * SIDE * SIDE, MAPS = 6 };

/* What a run leaves: compared bit for bit. */
typedef struct result {
    float activation;
    float projection[2 * INPUT];
} result;

typedef struct job {
    char path[512];
    float input[BATCH * INPUT];
    result found;
    const result *should; /* for work that compares */

    /* For work on objects that stay. */
    deconv_net *net;
    deconv_trace *trace;
    deconv_tensor *x, *projections;
    uint32_t layer;
} job;

/* ---- A network with a bit of everything ---- */

static void add_weights(build *b, const char *name, size_t rank, const int64_t *dims)
{
    float values[4 * 3 * 3 * 3 * 2];
    size_t count = 1;

    for (size_t d = 0; d < rank; d++)
        count *= (size_t)dims[d];
    assert_true(count <= sizeof values / sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = 0.25f * (float)((int)(i * 37 % 19) - 6);
    build_raw(b, build_initializer(b, name, TYPE_OF(FLOAT), rank, dims), values,
              count * sizeof *values);
}

/* Two branches over a normalised, pooled and resized convolution, scaled and joined, with the shape
 * arithmetic that exporters put in front of a dense layer. */
static void build_network(build *b)
{
    static const int64_t x_dims[] = {0, 3, SIDE, SIDE}, conv_dims[] = {4, 3, 3, 3}, four[] = {4};
    static const int64_t left_dims[] = {3, 4, 1, 1}, right_dims[] = {3, 4, 3, 3}, six[] = {MAPS};
    static const int64_t dense_dims[] = {MAPS, 5}, one_dim[] = {1};
    static const int64_t pads[] = {1, 1, 1, 1}, three[] = {3, 3}, two[] = {2, 2};
    static const int64_t rest = -1, zero = 0;
    static const float variance[MAPS] = {1, 2, 1, 0.5f, 1, 1};
    static const float scales[] = {1, 1, 2, 1.5f};
    Onnx__AttributeProto *size, *mode;
    Onnx__NodeProto *node;

    build_start(b);
    build_input(b, "x", TYPE_OF(FLOAT), 4, x_dims);
    add_weights(b, "w1", 4, conv_dims);
    add_weights(b, "b1", 1, four);
    add_weights(b, "w2", 4, left_dims);
    add_weights(b, "w3", 4, right_dims);
    add_weights(b, "gamma", 1, six);
    add_weights(b, "beta", 1, six);
    add_weights(b, "mean", 1, six);
    build_raw(b, build_initializer(b, "var", TYPE_OF(FLOAT), 1, six), variance, sizeof variance);
    add_weights(b, "w4", 2, dense_dims);
    build_raw(b, build_initializer(b, "scales", TYPE_OF(FLOAT), 1, four), scales, sizeof scales);
    build_raw(b, build_initializer(b, "rest", TYPE_OF(INT64), 1, one_dim), &rest, sizeof rest);
    build_raw(b, build_initializer(b, "zero", TYPE_OF(INT64), 1, one_dim), &zero, sizeof zero);

    node = build_node(b, "Conv", "conv1", "x w1 b1", "c1");
    build_ints(b, node, "pads", 4, pads);
    build_node(b, "Relu", "relu1", "c1", "r1");
    node = build_node(b, "MaxPool", "pool1", "r1", "p1");
    build_ints(b, node, "kernel_shape", 2, three);
    build_ints(b, node, "strides", 2, two);
    node = build_node(b, "LRN", "norm1", "p1", "n1");
    size = build_attr(b, node, "size", ATTR_OF(INT));
    size->has_i = 1;
    size->i = 3;
    node = build_node(b, "Resize", "larger", "n1 - scales", "n2");
    mode = build_attr(b, node, "mode", ATTR_OF(STRING));
    mode->has_s = 1;
    mode->s = build_bytes(b, "linear", strlen("linear"));
    build_node(b, "Conv", "left", "n2 w2", "l");
    node = build_node(b, "Conv", "right", "n2 w3", "r");
    build_ints(b, node, "pads", 4, pads);
    build_node(b, "Relu", "relu2", "r", "rr");
    node = build_node(b, "Concat", "concat", "l rr", "cat");
    size = build_attr(b, node, "axis", ATTR_OF(INT));
    size->has_i = 1;
    size->i = 1;
    build_node(b, "BatchNormalization", "batch", "cat gamma beta mean var", "bn");
    build_node(b, "Sigmoid", "gate", "bn", "g");
    build_node(b, "Mul", "swish", "bn g", "s");
    build_node(b, "GlobalAveragePool", "mean", "s", "m");
    build_node(b, "Shape", "shape", "m", "dims");
    build_node(b, "Gather", "batch_size", "dims zero", "n");
    node = build_node(b, "Concat", "flat_shape", "n rest", "to");
    size = build_attr(b, node, "axis", ATTR_OF(INT));
    size->has_i = 1;
    size->i = 0;
    build_node(b, "Reshape", "flat", "m to", "f");
    build_node(b, "Gemm", "dense", "f w4", "logits");
    build_node(b, "Softmax", "classes", "logits", "prob");
    build_output(b, "prob");
}

/* ---- What is done with it ---- */

static void expect_same(const result *is, const result *should)
{
    assert_true(should->activation > 0);
    assert_memory_equal(is, should, sizeof *is);
}

static deconv_status read_result(deconv_tensor *projections, const deconv_projection_info *infos,
                                 result *to)
{
    to->activation = infos[0].activation;
    return deconv_tensor_read(projections, to->projection, 2 * INPUT);
}

static deconv_status project(job *j)
{
    static const deconv_seed seeds[2] = {{0, DECONV_STRONGEST, DECONV_STRONGEST, DECONV_STRONGEST},
                                         {1, 2, 3, 1}};
    deconv_projection_info infos[2];
    deconv_status status =
        deconv_project(j->trace, j->layer, seeds, 2, NULL, j->projections, infos);

    return status == DECONV_OK ? read_result(j->projections, infos, &j->found) : status;
}

static deconv_status make_traces(deconv_ctx *ctx, job *j)
{
    static const int64_t batch_dims[] = {BATCH, 3, SIDE, SIDE}, seed_dims[] = {2, 3, SIDE, SIDE};
    deconv_status status = deconv_net_find(j->net, "rr", &j->layer);

    if (status == DECONV_OK)
        status = deconv_trace_create(j->net, BATCH, NULL, &j->trace);
    if (status == DECONV_OK)
        status = deconv_tensor_create(ctx, batch_dims, 4, &j->x);
    if (status == DECONV_OK)
        status = deconv_tensor_write(j->x, j->input, BATCH * INPUT);
    if (status == DECONV_OK)
        status = deconv_tensor_create(ctx, seed_dims, 4, &j->projections);
    return status;
}

static deconv_status make_objects(deconv_ctx *ctx, job *j)
{
    deconv_status status = deconv_net_open(ctx, j->path, NULL, &j->net);

    return status == DECONV_OK ? make_traces(ctx, j) : status;
}

static void destroy_objects(job *j)
{
    deconv_tensor_destroy(j->projections);
    deconv_tensor_destroy(j->x);
    deconv_trace_destroy(j->trace);
    deconv_net_destroy(j->net);
    j->projections = j->x = NULL;
    j->trace = NULL;
    j->net = NULL;
}

static deconv_status ask(deconv_net *net)
{
    int64_t top, left, bottom, right;
    deconv_status status = DECONV_OK;

    for (uint32_t i = 0; status == DECONV_OK && i < deconv_net_layer_count(net); i++) {
        deconv_layer_info info = DECONV_LAYER_INFO_INIT;

        status = deconv_net_layer(net, i, &info);
    }
    if (status == DECONV_OK)
        status = deconv_net_field(net, 0, 3, 4, &top, &left, &bottom, &right);
    return status;
}

static deconv_status run(job *j)
{
    return deconv_trace_run(j->trace, (const deconv_tensor *const *)&j->x, 1);
}

static deconv_status from_file_to_projection(deconv_ctx *ctx, void *user)
{
    job *j = user;
    deconv_status status = make_objects(ctx, j);

    if (status == DECONV_OK)
        status = ask(j->net);
    if (status == DECONV_OK)
        status = run(j);
    if (status == DECONV_OK)
        status = project(j);
    destroy_objects(j);
    return status;
}

/* The same; where it fails, a second time with what is there. That one must do all of it, and leave
 * nothing behind either. */
static deconv_status twice(deconv_ctx *ctx, void *user)
{
    job *j = user;
    deconv_status status = make_objects(ctx, j);

    if (status == DECONV_OK)
        status = run(j);
    if (status == DECONV_OK)
        status = project(j);
    if (status != DECONV_OK && j->net) {
        deconv_net *net = j->net;

        j->net = NULL;
        destroy_objects(j);
        j->net = net;
        memset(&j->found, 0, sizeof j->found);
        if (make_traces(ctx, j) != DECONV_OK || run(j) != DECONV_OK || project(j) != DECONV_OK)
            fail_msg("a second time: %s", deconv_ctx_message(ctx));
        expect_same(&j->found, j->should);
    }
    destroy_objects(j);
    return status;
}

static deconv_status another_projection(deconv_ctx *ctx, void *user)
{
    job *j = user;
    deconv_status status = run(j);

    (void)ctx;
    return status == DECONV_OK ? project(j) : status;
}

/* ---- Tests ---- */

static job *open_job(fixture *f)
{
    job *j = calloc(1, sizeof *j);
    uint8_t *bytes;
    size_t size;
    build b;

    assert_non_null(j);
    build_network(&b);
    bytes = build_pack(&b, &size);
    snprintf(j->path, sizeof j->path, "%s", put_file(f, "net.onnx", bytes, size));
    free(bytes);
    build_free(&b);
    for (int i = 0; i < BATCH * INPUT; i++)
        j->input[i] = 0.01f * (float)(i * 7919 % 201 - 90);
    return j;
}

/* Work on a warm context: every refused request must fail the call. */
static void opening_to_projecting(void **state)
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    job *j = open_job(*state);
    char why[512] = "";
    result first;
    long refused;

    assert_non_null(ctx);
    if (from_file_to_projection(ctx, j) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(ctx));
    first = j->found;
    memset(&j->found, 0, sizeof j->found);
    refused = starve(ctx, &h, from_file_to_projection, j, why, sizeof why);
    if (refused < 0)
        fail_msg("%s", why);
    print_message("%ld allocations refused\n", refused);
    assert_true(refused > 300);
    expect_same(&j->found, &first);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
    free(j);
}

static void a_second_time(void **state)
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    job *j = open_job(*state);
    char why[512] = "";
    result first;
    long refused;

    assert_non_null(ctx);
    assert_int_equal(from_file_to_projection(ctx, j), DECONV_OK);
    first = j->found;
    j->should = &first;
    refused = starve(ctx, &h, twice, j, why, sizeof why);
    if (refused < 0)
        fail_msg("%s", why);
    assert_true(refused > 300);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
    free(j);
}

/* Objects that a failed call leaves behind must work when there is memory again. */
static void objects_survive(void **state)
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, "");
    job *j = open_job(*state);
    result first;

    assert_non_null(ctx);
    assert_int_equal(from_file_to_projection(ctx, j), DECONV_OK);
    first = j->found;
    assert_int_equal(make_objects(ctx, j), DECONV_OK);
    for (long n = 0;; n++) {
        deconv_status status;

        h.refused = false;
        h.countdown = n;
        status = another_projection(ctx, j);
        h.countdown = -1;
        if (!h.refused)
            break;
        assert_int_equal(status, DECONV_ERROR_NO_MEMORY);
    }
    memset(&j->found, 0, sizeof j->found);
    assert_int_equal(another_projection(ctx, j), DECONV_OK);
    expect_same(&j->found, &first);
    destroy_objects(j);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
    free(j);
}

static bool is_as_it_should(const void *user)
{
    const job *j = user;

    return memcmp(&j->found, j->should, sizeof j->found) == 0;
}

static void cold_contexts(void **state)
{
    fixture *f = *state;
    job *j = open_job(f);
    heap warm = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&warm, f->folder);
    char why[512] = "";
    long refused, got_by;
    result first;

    assert_non_null(ctx);
    assert_int_equal(from_file_to_projection(ctx, j), DECONV_OK);
    deconv_ctx_destroy(ctx);
    first = j->found;
    assert_true(first.activation > 0);
    j->should = &first;
    refused = starve_cold(f->folder, from_file_to_projection, is_as_it_should, j, &got_by, why,
                          sizeof why);
    if (refused < 0)
        fail_msg("%s", why);
    print_message("%ld allocations refused, without %ld more it went on\n", refused, got_by);
    assert_true(refused > 400 && got_by < refused / 4);
    free(j);
}

/* A layer that needs more than the device gives in one piece is named, on both ways. */
static void too_large_layers_are_named(void **state)
{
    fixture *f = *state;
    device *d = ctx_device(f->ctx);
    const uint64_t most = d->limits.max_allocation;
    job *j = open_job(f);

    d->limits.max_allocation = BATCH * INPUT * sizeof(float) + 100;
    assert_int_equal(make_objects(f->ctx, j), DECONV_ERROR_NO_MEMORY);
    assert_non_null(strstr(deconv_ctx_message(f->ctx), "bytes for activations of r1; device"));
    destroy_objects(j);
    d->limits.max_allocation = most;
    assert_int_equal(from_file_to_projection(f->ctx, j), DECONV_OK);
    free(j);
}

static deconv_status plan_and_tune(deconv_net *net)
{
    deconv_tune_options options = DECONV_TUNE_OPTIONS_INIT;
    deconv_plan *plan = NULL;
    deconv_status status = deconv_plan_create(net, BATCH, &plan);

    deconv_plan_destroy(plan);
    options.limit_seconds = 1e-4;
    return status == DECONV_OK ? deconv_net_tune(net, &options, NULL) : status;
}

/* What others measured is kept, whatever fails; a candidate without memory is left out. */
static void planning_and_tuning(void **state)
{
    fixture *f = *state;
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, f->folder), *later;
    job *j = open_job(f);
    tuning_entry other = {
        .key = "forward other layout 1 to 1", .candidate = {{"direct", 3.0}}, .count = 1};
    deconv_net *net = NULL;
    long refused = 0, got_by = 0;
    bool more = true;
    uint8_t *text;
    size_t size;
    char *path;

    assert_non_null(ctx);
    assert_int_equal(deconv_net_open(ctx, j->path, NULL, &net), DECONV_OK);
    assert_int_equal(tuning_store(ctx, &other, 1), DECONV_OK);
    assert_int_equal(plan_and_tune(net), DECONV_OK);
    for (long n = 0; more; n++) {
        long live = h.live;
        deconv_status status;

        h.refused = false;
        h.countdown = n;
        status = plan_and_tune(net);
        h.countdown = -1;
        more = h.refused;
        if (status != DECONV_OK && status != DECONV_ERROR_NO_MEMORY)
            fail_msg("request %ld refused: %s", n, deconv_ctx_message(ctx));
        assert_int_equal(h.live, live);
        refused += status != DECONV_OK;
        got_by += status == DECONV_OK && more;
    }
    print_message("%ld allocations refused, without %ld more it went on\n", refused, got_by);
    /* Most allocations belong to one of the candidates, and there are six algorithms. */
    assert_true(refused > 100 && got_by < 2 * refused);
    assert_int_equal(tuning_path(ctx, &path), DECONV_OK);
    text = get_file(path, &size);
    text[size] = '\0';
    assert_non_null(strstr((char *)text, other.key));
    free(text);
    deconv_net_destroy(net);
    later = heap_context(&h, f->folder);
    assert_non_null(ctx_tuning(later));
    deconv_ctx_destroy(later);
    mem_free(ctx, path);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
    free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening_to_projecting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_large_layers_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_survive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cold_contexts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(planning_and_tuning, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("net_memory", tests, NULL, NULL);
}
