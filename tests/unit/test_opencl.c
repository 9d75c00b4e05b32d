/* Buffers, guards, kernels and their launch, on kernel sources that the test writes itself. The
 * disk cache has a test of its own, test_program_cache.c. */
#define _XOPEN_SOURCE 700
#include <math.h>

#include "opencl_fixture.h"

#include "opencl/device.h"

/* ---- Buffers ---- */

static void buffers_copy_and_fill(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    float in[COUNT], out[COUNT];
    buffer *a, *b;

    for (int i = 0; i < COUNT; i++)
        in[i] = (float)i;
    OK(ctx, buffer_create(ctx, sizeof in, "a", &a));
    OK(ctx, buffer_create(ctx, sizeof in, "b", &b));
    assert_int_equal(buffer_size(a), sizeof in);
    OK(ctx, buffer_write(ctx, a, 0, sizeof in, in));
    OK(ctx, buffer_fill(ctx, b, 0, sizeof in, -1.5f));
    OK(ctx, buffer_copy(ctx, a, 40, b, 80, 200));
    OK(ctx, buffer_fill(ctx, b, 0, 8, 9.0f));
    OK(ctx, buffer_fill(ctx, b, 16, 0, 9.0f));
    OK(ctx, buffer_read(ctx, b, 0, sizeof out, out));
    for (int i = 0; i < COUNT; i++)
        assert_true(out[i] == (i < 2 ? 9.0f : i >= 20 && i < 70 ? (float)(i - 10) : -1.5f));
    OK(ctx, buffer_read(ctx, a, 396, 4, out));
    assert_true(out[0] == 99.0f);
    buffer_free(a);
    buffer_free(b);
    buffer_free(NULL);
}

static void bad_ranges_are_refused(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    float values[8] = {0};
    buffer *a, *none = (buffer *)values;

    OK(ctx, buffer_create(ctx, 16, "weights", &a));
    expect_message(ctx, buffer_write(ctx, a, 4, 16, values), DECONV_ERROR_INVALID,
                   "16 bytes at 4 of weights, which has 16 bytes");
    expect_message(ctx, buffer_read(ctx, a, 20, 0, values), DECONV_ERROR_INVALID, "weights");
    expect_message(ctx, buffer_read(ctx, a, SIZE_MAX, 2, values), DECONV_ERROR_INVALID, "weights");
    expect_message(ctx, buffer_copy(ctx, a, 0, a, 8, 12), DECONV_ERROR_INVALID, "weights");
    expect_message(ctx, buffer_fill(ctx, a, 0, 20, 1.0f), DECONV_ERROR_INVALID, "weights");
    expect_message(ctx, buffer_fill(ctx, a, 2, 4, 1.0f), DECONV_ERROR_INVALID, "not whole floats");
    buffer_free(a);
    expect_message(ctx, buffer_create(ctx, 0, "nothing", &none), DECONV_ERROR_INVALID, "nothing");
    assert_null(none);
}

/* Both ways: in the device's memory, where that is the host's, and through a copy. */
static void views_show_and_change_a_part(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    device *d = ctx_device(ctx);
    const bool host_memory = d->limits.host_memory;

    for (int round = 0; round < 3; round++) {
        kernel *k = probe(ctx, "", "ramp");
        float out[COUNT], *at;
        buffer_view v;
        buffer *b;

        d->limits.host_memory = host_memory && round != 1;
        buffers_set_guards(ctx, round == 2 ? 64 : 0);
        OK(ctx, buffer_create(ctx, sizeof out, "ramp", &b));
        OK(ctx, run_ramp(k, b, COUNT, 0.5f));
        OK(ctx, buffer_view_open(ctx, b, 40, 80, VIEW_READ, &v));
        assert_int_equal(v.mapped, d->limits.host_memory);
        at = v.at;
        for (int i = 0; i < 20; i++)
            assert_true(at[i] == 2.0f * (float)(i + 13) + 0.5f);
        OK(ctx, buffer_view_close(&v));
        OK(ctx, buffer_view_close(&v));
        OK(ctx, buffer_view_open(ctx, b, 40, 80, VIEW_WRITE, &v));
        at = v.at;
        for (int i = 0; i < 20; i++)
            at[i] = (float)-i;
        OK(ctx, buffer_view_close(&v));
        OK(ctx, buffer_view_open(ctx, b, 0, 8, VIEW_READ, &v));
        buffer_view_drop(&v);
        buffer_view_drop(&v);
        OK(ctx, buffer_read(ctx, b, 0, sizeof out, out));
        for (int i = 0; i < COUNT; i++)
            assert_true(out[i] ==
                        (i >= 10 && i < 30 ? (float)(10 - i) : 2.0f * (float)(i + 3) + 0.5f));
        expect_message(ctx, buffer_view_open(ctx, b, 4, sizeof out, VIEW_READ, &v),
                       DECONV_ERROR_INVALID, "400 bytes at 4 of ramp");
        expect_message(ctx, buffer_view_open(ctx, b, 4, 0, VIEW_READ, &v), DECONV_ERROR_INVALID,
                       "ramp");
        OK(ctx, buffer_view_close(&v));
        OK(ctx, buffers_check_guards(ctx));
        buffer_free(b);
        kernel_free(k);
    }
    buffers_set_guards(ctx, 0);
}

static void too_large_is_refused_with_both_sizes(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    uint64_t most = device_limits_of(ctx)->max_allocation;
    char text[32];
    buffer *a;

    expect_message(ctx, buffer_create(ctx, (size_t)most + 1, "activations", &a),
                   DECONV_ERROR_NO_MEMORY, "activations");
    assert_null(a);
    snprintf(text, sizeof text, "%llu bytes", (unsigned long long)most);
    assert_non_null(strstr(deconv_ctx_message(ctx), text));
    snprintf(text, sizeof text, "%llu bytes", (unsigned long long)most + 1);
    assert_non_null(strstr(deconv_ctx_message(ctx), text));
}

static void limits_agree_with_the_device(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    const device_limits *l = device_limits_of(ctx);
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;

    OK(ctx, deconv_ctx_device(ctx, &info));
    assert_int_equal(l->kind, info.kind);
    assert_int_equal(l->global_memory, info.global_memory);
    assert_int_equal(l->max_allocation, info.max_allocation);
    assert_int_equal(l->compute_units, info.compute_units);
    assert_true(l->vector_floats >= 1 && l->max_group >= 1 && l->local_memory >= 16384);
}

/* ---- Guards ---- */

static void write_at(kernel *k, buffer *b, int64_t at)
{
    kernel_begin(k);
    arg_buffer(k, b);
    arg_int(k, at);
    assert_int_equal(kernel_launch(k, 1, 1, 1), DECONV_OK);
}

static void guards_find_stray_writes(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    kernel *k = probe(ctx, "", "write_at");
    const int64_t strays[] = {-1, -16, 25, 31};
    const char *const found[] = {
        "before its beginning, first at byte -4", "before its beginning, first at byte -64",
        "behind its end, first at byte 100", "behind its end, first at byte 124"};
    float value;
    buffer *other, *b;

    buffers_set_guards(ctx, 64);
    OK(ctx, buffer_create(ctx, 10, "other", &other)); /* no whole number of floats */
    for (size_t i = 0; i < 4; i++) {
        OK(ctx, buffer_create(ctx, 25 * sizeof(float), "victim", &b));
        OK(ctx, buffers_check_guards(ctx));
        OK(ctx, buffer_read(ctx, b, 24 * sizeof(float), sizeof value, &value));
        assert_true(isnan(value));
        write_at(k, b, 0);
        write_at(k, b, 24);
        OK(ctx, buffers_check_guards(ctx));
        write_at(k, b, strays[i]);
        expect_message(ctx, buffers_check_guards(ctx), DECONV_ERROR_DEVICE, "victim (100 bytes)");
        assert_non_null(strstr(deconv_ctx_message(ctx), found[i]));
        buffer_free(b);
        OK(ctx, buffers_check_guards(ctx));
    }
    buffers_set_guards(ctx, 0);
    OK(ctx, buffer_create(ctx, 100, "plain", &b));
    OK(ctx, buffers_check_guards(ctx));
    buffer_free(b);
    buffer_free(other);
    kernel_free(k);
}

/* A buffer with guards is otherwise like any other. */
static void guarded_buffers_work(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;

    buffers_set_guards(ctx, 1000);
    buffers_copy_and_fill(state);
    bad_ranges_are_refused(state);
    expect_ramp(ctx, "", 1.0f);
    OK(ctx, buffers_check_guards(ctx));
}

/* ---- A device that fails ---- */

static cl_int CL_API_CALL crashing_finish(cl_command_queue queue)
{
    (void)queue;
    return CL_OUT_OF_RESOURCES; /* what NVIDIA's driver says of a kernel that crashed */
}

static cl_int CL_API_CALL gone_launch(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
                                      const size_t *offset, const size_t *global,
                                      const size_t *local, cl_uint waits, const cl_event *wait,
                                      cl_event *event)
{
    (void)queue, (void)kernel, (void)dims, (void)offset, (void)global, (void)local;
    (void)waits, (void)wait, (void)event;
    return CL_DEVICE_NOT_AVAILABLE;
}

static cl_int CL_API_CALL full_launch(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
                                      const size_t *offset, const size_t *global,
                                      const size_t *local, cl_uint waits, const cl_event *wait,
                                      cl_event *event)
{
    (void)queue, (void)kernel, (void)dims, (void)offset, (void)global, (void)local;
    (void)waits, (void)wait, (void)event;
    return CL_MEM_OBJECT_ALLOCATION_FAILURE;
}

/* Every call is refused with the first failure, though the driver would work again. */
static void expect_refusals(deconv_ctx *ctx, kernel *k, buffer *b, const char *first)
{
    kernel *other = NULL;
    buffer *more = NULL;
    float value = 0;

    expect_message(ctx, device_wait(ctx), DECONV_ERROR_DEVICE, first);
    expect_message(ctx, buffer_write(ctx, b, 0, 4, &value), DECONV_ERROR_DEVICE, first);
    expect_message(ctx, buffer_read(ctx, b, 0, 4, &value), DECONV_ERROR_DEVICE, first);
    expect_message(ctx, buffer_fill(ctx, b, 0, 4, value), DECONV_ERROR_DEVICE, first);
    expect_message(ctx, buffer_copy(ctx, b, 0, b, 4, 4), DECONV_ERROR_DEVICE, first);
    expect_message(ctx, buffer_create(ctx, 4, "more", &more), DECONV_ERROR_DEVICE, first);
    kernel_begin(k);
    arg_buffer(k, b);
    arg_int(k, 0);
    expect_message(ctx, kernel_launch(k, 1, 1, 1), DECONV_ERROR_DEVICE, first);
    expect_message(ctx, kernel_create(ctx, "probe.cl", "", "write_at", &other), DECONV_ERROR_DEVICE,
                   "make a new context");
    assert_null(more);
    assert_null(other);
}

static void a_failed_device_takes_no_more_work(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    device *d = ctx_device(ctx);
    const cl_api api = d->api;
    kernel *k = probe(ctx, "", "write_at");
    buffer *b;

    OK(ctx, buffer_create(ctx, 16, "b", &b));
    OK(ctx, device_wait(ctx));
    d->api.Finish = crashing_finish;
    expect_message(ctx, device_wait(ctx), DECONV_ERROR_DEVICE,
                   "clFinish: CL_OUT_OF_RESOURCES (-5): work enqueued since the last wait");
    d->api = api;
    expect_refusals(ctx, k, b, "takes no more work; make a new context (clFinish: CL_OUT_OF_RES");
    buffer_free(b);
    kernel_free(k);
}

static void a_device_that_is_gone_takes_no_more_work(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    device *d = ctx_device(ctx);
    const cl_api api = d->api;
    kernel *k = probe(ctx, "", "write_at");
    buffer *b;

    OK(ctx, buffer_create(ctx, 16, "b", &b));
    d->api.EnqueueNDRangeKernel = gone_launch;
    kernel_begin(k);
    arg_buffer(k, b);
    arg_int(k, 0);
    expect_message(ctx, kernel_launch(k, 1, 1, 1), DECONV_ERROR_DEVICE, "CL_DEVICE_NOT_AVAILABLE");
    d->api = api;
    expect_refusals(ctx, k, b, "(clEnqueueNDRangeKernel: CL_DEVICE_NOT_AVAILABLE");
    buffer_free(b);
    kernel_free(k);
}

/* Drivers that allocate lazily say only at a launch that a buffer does not fit: there may be more
 * memory later. */
static void memory_that_runs_out_at_a_launch_is_no_end(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    device *d = ctx_device(ctx);
    const cl_api api = d->api;
    kernel *k = probe(ctx, "", "write_at");
    float value = 0;
    buffer *b;

    OK(ctx, buffer_create(ctx, 16, "b", &b));
    d->api.EnqueueNDRangeKernel = full_launch;
    kernel_begin(k);
    arg_buffer(k, b);
    arg_int(k, 0);
    expect_message(ctx, kernel_launch(k, 1, 1, 1), DECONV_ERROR_NO_MEMORY,
                   "no memory: clEnqueueNDRangeKernel: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4): "
                   "kernel write_at");
    d->api = api;
    write_at(k, b, 0);
    OK(ctx, buffer_read(ctx, b, 0, sizeof value, &value));
    assert_true(value == 7.0f);
    buffer_free(b);
    kernel_free(k);
}

/* ---- Kernels ---- */

static void arguments_arrive(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    kernel *k = probe(ctx, "", "is_null");
    float value;
    buffer *a, *b;

    expect_ramp(ctx, "", 1.0f);
    expect_ramp(ctx, "-DSTEP=3", 3.0f);
    OK(ctx, buffer_create(ctx, 4, "a", &a));
    OK(ctx, buffer_create(ctx, 4, "b", &b));
    for (int null = 0; null < 2; null++) {
        kernel_begin(k);
        arg_buffer(k, a);
        arg_buffer(k, null ? NULL : b);
        OK(ctx, kernel_launch(k, 1, 1, 1));
        OK(ctx, buffer_read(ctx, a, 0, 4, &value));
        assert_true(value == (float)null);
    }
    buffer_free(a);
    buffer_free(b);
    kernel_free(k);
    kernel_free(NULL);
}

static void launches_cover_all_items(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    kernel *k = probe(ctx, "", "places");
    int32_t out[5 * 3 * 2];
    buffer *b;

    OK(ctx, buffer_create(ctx, sizeof out, "places", &b));
    for (int groups = 0; groups < 2; groups++) {
        OK(ctx, buffer_fill(ctx, b, 0, sizeof out, 0.0f));
        kernel_begin(k);
        arg_buffer(k, b);
        arg_int(k, 5);
        arg_int(k, 3);
        arg_int(k, 2);
        if (groups)
            OK(ctx, kernel_launch_groups(k, 5, 3, 2, 4, 2, 1));
        else
            OK(ctx, kernel_launch(k, 5, 3, 2));
        OK(ctx, buffer_read(ctx, b, 0, sizeof out, out));
        for (int i = 0; i < 30; i++)
            assert_int_equal(out[i], 10000 * (i / 15) + 100 * (i / 5 % 3) + i % 5);
    }
    buffer_free(b);
    kernel_free(k);
}

static void groups_share_local_memory(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    kernel *k = probe(ctx, "", "group_sums");
    float sums[3];
    buffer *b;

    OK(ctx, buffer_create(ctx, sizeof sums, "sums", &b));
    kernel_begin(k);
    arg_buffer(k, b);
    arg_int(k, 20);
    arg_local(k, 8 * sizeof(float));
    OK(ctx, kernel_launch_groups(k, 20, 1, 1, 8, 1, 1));
    OK(ctx, buffer_read(ctx, b, 0, sizeof sums, sums));
    assert_true(sums[0] == 8.0f && sums[1] == 8.0f && sums[2] == 4.0f);
    buffer_free(b);
    kernel_free(k);
}

static void bad_arguments_are_reported_at_launch(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    kernel *k = probe(ctx, "", "ramp");
    const settings s = {0, 1.0f};
    buffer *b;

    OK(ctx, buffer_create(ctx, COUNT * sizeof(float), "out", &b));
    expect_message(ctx, run_ramp(k, b, INT64_C(5000000000), 0.0f), DECONV_ERROR_DEVICE,
                   "kernel ramp, argument 1, 5000000000 is not an int");
    expect_message(ctx, run_ramp(k, b, -INT64_C(5000000000), 0.0f), DECONV_ERROR_DEVICE,
                   "-5000000000");
    OK(ctx, run_ramp(k, b, COUNT, 0.0f)); /* the next launch starts afresh */
    kernel_begin(k);
    arg_buffer(k, b);
    expect_message(ctx, kernel_launch(k, 1, 1, 1), DECONV_ERROR_DEVICE,
                   "kernel ramp takes 4 arguments; 1 were set");
    kernel_begin(k);
    arg_buffer(k, b);
    arg_struct(k, &s, sizeof s); /* 8 bytes for an int */
    arg_float(k, 0.0f);
    arg_struct(k, &s, sizeof s);
    expect_message(ctx, kernel_launch(k, 1, 1, 1), DECONV_ERROR_DEVICE,
                   "kernel ramp, argument 1, a struct of 8 bytes");
    assert_non_null(strstr(deconv_ctx_message(ctx), "CL_INVALID_ARG_SIZE"));
    OK(ctx, run_ramp(k, b, COUNT, 0.0f));
    arg_int(k, 1);
    expect_message(ctx, kernel_launch(k, 1, 1, 1), DECONV_ERROR_DEVICE, "5 were set");
    buffer_free(b);
    kernel_free(k);
}

static void bad_launches_name_kernel_and_sizes(void **state)
{
    deconv_ctx *ctx = ((fixture *)*state)->ctx;
    kernel *k = probe(ctx, "", "write_at");
    size_t most = device_limits_of(ctx)->max_group;
    buffer *b;

    OK(ctx, buffer_create(ctx, 4, "out", &b));
    kernel_begin(k);
    arg_buffer(k, b);
    arg_int(k, 0);
    expect_message(ctx, kernel_launch(k, 4, 0, 1), DECONV_ERROR_INVALID,
                   "kernel write_at: 4x0x1 work-items");
    expect_message(ctx, kernel_launch(k, -1, 1, 1), DECONV_ERROR_INVALID, "-1x1x1");
    expect_message(ctx, kernel_launch_groups(k, 1, 1, 1, 0, 1, 1), DECONV_ERROR_INVALID,
                   "groups of 0");
    expect_message(ctx, kernel_launch_groups(k, 5, 1, 1, 2 * most, 1, 1), DECONV_ERROR_DEVICE,
                   "clEnqueueNDRangeKernel: CL_INVALID_WORK_");
    assert_non_null(strstr(deconv_ctx_message(ctx), "kernel write_at"));
    OK(ctx, kernel_launch(k, 1, 1, 1));
    OK(ctx, device_wait(ctx));
    buffer_free(b);
    kernel_free(k);
}

static void bad_sources_are_reported(void **state)
{
    fixture *f = *state;
    deconv_ctx *ctx = f->ctx;
    kernel *k = (kernel *)f;

    expect_message(ctx, kernel_create(ctx, "nowhere.cl", "", "x", &k), DECONV_ERROR_NOT_FOUND,
                   "cl/nowhere.cl");
    assert_null(k);
    expect_message(ctx, kernel_create(ctx, "probe.cl", "", "absent", &k), DECONV_ERROR_DEVICE,
                   "CL_INVALID_KERNEL_NAME");
    assert_non_null(strstr(deconv_ctx_message(ctx), "kernel absent of probe.cl"));
    write_kernel(f, "broken.cl",
                 "__kernel void x(__global float *y)\n{\n    y[0] = undeclared;\n}\n");
    expect_message(ctx, kernel_create(ctx, "broken.cl", "-DN=2", "x", &k), DECONV_ERROR_DEVICE,
                   "CL_BUILD_PROGRAM_FAILURE");
    assert_null(k);
    assert_non_null(strstr(deconv_ctx_message(ctx), "broken.cl, options \"-DN=2\""));
    assert_non_null(strstr(deconv_ctx_message(ctx), "undeclared"));
    assert_null(strchr(deconv_ctx_message(ctx), '\n'));
    /* Once the source is right, so is the kernel: a failed build is not remembered. */
    write_kernel(f, "broken.cl", "__kernel void x(__global float *y)\n{\n    y[0] = 1.0f;\n}\n");
    OK(ctx, kernel_create(ctx, "broken.cl", "-DN=2", "x", &k));
    kernel_free(k);
}

/* Included sources are part of the text, and of what a cached binary depends on. */
static void sources_include_others(void **state)
{
    fixture *f = *state;
    kernel *k = NULL;

    write_kernel(f, "outer.cl",
                 "#include \"middle.h\"\n__kernel void x(__global float *y)\n"
                 "{\n    y[0] = VALUE;\n}\n");
    write_kernel(f, "middle.h", "#define ONE 1.0f\n  #include \"not at the start\"\n");
    expect_message(f->ctx, kernel_create(f->ctx, "outer.cl", "", "x", &k), DECONV_ERROR_DEVICE,
                   "outer.cl");
    write_kernel(f, "middle.h", "#define ONE 1.0f\n#include \"inner.h\"\n");
    expect_message(f->ctx, kernel_create(f->ctx, "outer.cl", "", "x", &k), DECONV_ERROR_NOT_FOUND,
                   "cl/inner.h");
    write_kernel(f, "inner.h", "#define VALUE (2.0f * ONE)");
    OK(f->ctx, kernel_create(f->ctx, "outer.cl", "", "x", &k));
    kernel_free(k);
    write_kernel(f, "middle.h", "#include \"middle.h\"\n");
    expect_message(f->ctx, kernel_create(f->ctx, "outer.cl", "-DN=2", "x", &k), DECONV_ERROR_FORMAT,
                   "cl/middle.h is included in itself");
    write_kernel(f, "middle.h", "#include \"inner.h\n");
    expect_message(f->ctx, kernel_create(f->ctx, "outer.cl", "-DN=2", "x", &k), DECONV_ERROR_FORMAT,
                   "cl/middle.h: cannot read");
    assert_null(k);
}

/* ---- One context, several threads ---- */

static void *run_ramps(void *user)
{
    for (int i = 0; i < 20; i++)
        expect_ramp(user, i % 2 ? "-DSTEP=2" : "", i % 2 ? 2.0f : 1.0f);
    return NULL;
}

static void threads_share_a_context(void **state)
{
    fixture *f = *state;
    pthread_t threads[4];
    const char *first;

    if (is_oclgrind(f->ctx))
        skip();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_ramps, f->ctx), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    first = strstr(f->log, "program probe.cl \"\": built");
    assert_non_null(first);
    assert_null(strstr(first + 1, "program probe.cl \"\": built"));
}

/* ---- Profile ---- */

static void profile_counts_launches(void **state)
{
    fixture *f = *state;
    deconv_ctx *ctx = open_context(f, DECONV_CTX_PROFILE);
    kernel *k = probe(ctx, "", "write_at");
    buffer *b;

    OK(ctx, buffer_create(ctx, 4, "out", &b));
    for (int i = 0; i < 3000; i++)
        write_at(k, b, 0);
    buffer_free(b);
    kernel_free(k);
    expect_ramp(ctx, "", 1.0f);
    forget_log(f);
    deconv_ctx_destroy(ctx);
    assert_true(logged(f, "profile: write_at"));
    assert_true(logged(f, " 3000 launches"));
    assert_true(logged(f, "profile: ramp"));
    assert_true(logged(f, " 1 launches"));
    assert_false(logged(f, "could not be timed"));
}

/* ---- Memory ---- */

typedef struct heap {
    int live, made, fail_at;
} heap;

static void *heap_allocate(size_t size, void *user)
{
    heap *h = user;
    void *memory;

    if (h->made++ == h->fail_at)
        return NULL;
    memory = malloc(size);
    assert_non_null(memory);
    memset(memory, 0xcc, size);
    h->live++;
    return memory;
}

static void heap_release(void *memory, void *user)
{
    ((heap *)user)->live -= memory != NULL;
    free(memory);
}

static deconv_status make_and_run(deconv_ctx *ctx)
{
    kernel *k = NULL;
    buffer *out = NULL;
    deconv_status status;

    TRY(kernel_create(ctx, "probe.cl", "", "ramp", &k));
    TRY(buffer_create(ctx, COUNT * sizeof(float), "out", &out));
    TRY(run_ramp(k, out, COUNT, 0.0f));
    TRY(buffers_check_guards(ctx));
done:
    buffer_free(out);
    kernel_free(k);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    fixture *f = *state;
    int refused = 0;

    for (int i = 0;; i++) {
        deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
        heap h = {0, 0, -1};
        deconv_ctx *ctx;
        deconv_status status;
        int before;

        assert_true(i < 200);
        o.cache_dir = f->cache;
        o.flags = DECONV_CTX_PROFILE;
        o.log = keep_line; /* a lost launch time is a warning */
        o.log_user = f;
        o.allocate = heap_allocate;
        o.release = heap_release;
        o.allocator_user = &h;
        assert_int_equal(deconv_ctx_create(&o, &ctx), DECONV_OK);
        buffers_set_guards(ctx, 64);
        before = h.made;
        h.fail_at = before + i;
        status = make_and_run(ctx);
        if (status != DECONV_OK) {
            expect_message(ctx, status, DECONV_ERROR_NO_MEMORY, "no memory");
            refused++;
        }
        deconv_ctx_destroy(ctx);
        assert_int_equal(h.live, 0);
        if (h.made - before <= i)
            break;
    }
    assert_true(refused >= 8);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(buffers_copy_and_fill),
        TEST(bad_ranges_are_refused),
        TEST(views_show_and_change_a_part),
        TEST(too_large_is_refused_with_both_sizes),
        TEST(limits_agree_with_the_device),
        TEST(guards_find_stray_writes),
        TEST(guarded_buffers_work),
        TEST(a_failed_device_takes_no_more_work),
        TEST(a_device_that_is_gone_takes_no_more_work),
        TEST(memory_that_runs_out_at_a_launch_is_no_end),
        TEST(arguments_arrive),
        TEST(launches_cover_all_items),
        TEST(groups_share_local_memory),
        TEST(bad_arguments_are_reported_at_launch),
        TEST(bad_launches_name_kernel_and_sizes),
        TEST(bad_sources_are_reported),
        TEST(sources_include_others),
        TEST(threads_share_a_context),
        TEST(profile_counts_launches),
        TEST(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("opencl", tests, NULL, NULL);
}
