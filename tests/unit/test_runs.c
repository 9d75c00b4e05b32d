/* Plan once, run many: what a run that has been planned asks of OpenCL and of the allocator. Every
 * call is written down as a letter. */
#include "bundled.h"

#include "opencl/device.h"

/* k kernel, c copy, f fill on the device; r read, w write, m map: the host waits; u unmap; F wait
 * for all; B buffer, S sub-buffer, K kernel, P program made; a host memory allocated. */
static struct {
    cl_api real;
    bool open;
    char text[8192];
    size_t length;
} calls;

static void note(char what)
{
    if (calls.open && calls.length + 1 < sizeof calls.text)
        calls.text[calls.length++] = what;
    calls.text[calls.length] = '\0';
}

/* ---- OpenCL, listened to ---- */

static cl_mem CL_API_CALL create_buffer(cl_context c, cl_mem_flags f, size_t s, void *p, cl_int *e)
{
    note('B');
    return calls.real.CreateBuffer(c, f, s, p, e);
}

static cl_mem CL_API_CALL create_sub_buffer(cl_mem m, cl_mem_flags f, cl_buffer_create_type t,
                                            const void *p, cl_int *e)
{
    note('S');
    return calls.real.CreateSubBuffer(m, f, t, p, e);
}

static cl_kernel CL_API_CALL create_kernel(cl_program p, const char *n, cl_int *e)
{
    note('K');
    return calls.real.CreateKernel(p, n, e);
}

static cl_int CL_API_CALL build_program(cl_program p, cl_uint n, const cl_device_id *d,
                                        const char *o, void(CL_CALLBACK *f)(cl_program, void *),
                                        void *u)
{
    note('P');
    return calls.real.BuildProgram(p, n, d, o, f, u);
}

static cl_int CL_API_CALL enqueue_kernel(cl_command_queue q, cl_kernel k, cl_uint d,
                                         const size_t *o, const size_t *g, const size_t *l,
                                         cl_uint n, const cl_event *w, cl_event *e)
{
    note('k');
    return calls.real.EnqueueNDRangeKernel(q, k, d, o, g, l, n, w, e);
}

static cl_int CL_API_CALL enqueue_copy(cl_command_queue q, cl_mem a, cl_mem b, size_t x, size_t y,
                                       size_t s, cl_uint n, const cl_event *w, cl_event *e)
{
    note('c');
    return calls.real.EnqueueCopyBuffer(q, a, b, x, y, s, n, w, e);
}

static cl_int CL_API_CALL enqueue_fill(cl_command_queue q, cl_mem b, const void *p, size_t ps,
                                       size_t x, size_t s, cl_uint n, const cl_event *w,
                                       cl_event *e)
{
    note('f');
    return calls.real.EnqueueFillBuffer(q, b, p, ps, x, s, n, w, e);
}

static cl_int CL_API_CALL enqueue_read(cl_command_queue q, cl_mem b, cl_bool block, size_t x,
                                       size_t s, void *p, cl_uint n, const cl_event *w, cl_event *e)
{
    note('r');
    return calls.real.EnqueueReadBuffer(q, b, block, x, s, p, n, w, e);
}

static cl_int CL_API_CALL enqueue_write(cl_command_queue q, cl_mem b, cl_bool block, size_t x,
                                        size_t s, const void *p, cl_uint n, const cl_event *w,
                                        cl_event *e)
{
    note('w');
    return calls.real.EnqueueWriteBuffer(q, b, block, x, s, p, n, w, e);
}

static void *CL_API_CALL enqueue_map(cl_command_queue q, cl_mem b, cl_bool block, cl_map_flags f,
                                     size_t x, size_t s, cl_uint n, const cl_event *w, cl_event *e,
                                     cl_int *code)
{
    note('m');
    return calls.real.EnqueueMapBuffer(q, b, block, f, x, s, n, w, e, code);
}

static cl_int CL_API_CALL enqueue_unmap(cl_command_queue q, cl_mem b, void *p, cl_uint n,
                                        const cl_event *w, cl_event *e)
{
    note('u');
    return calls.real.EnqueueUnmapMemObject(q, b, p, n, w, e);
}

static cl_int CL_API_CALL finish(cl_command_queue q)
{
    note('F');
    return calls.real.Finish(q);
}

static void *allocate(size_t bytes, void *user)
{
    (void)user;
    note('a');
    return malloc(bytes);
}

static void release(void *memory, void *user)
{
    (void)user;
    free(memory);
}

/* A context on the fixture's cache that is listened to. */
static deconv_ctx *listen(const fixture *f)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx;
    cl_api *api;

    options.cache_dir = f->cache;
    options.level = DECONV_LOG_ERROR;
    options.allocate = allocate;
    options.release = release;
    assert_int_equal(deconv_ctx_create(&options, &ctx), DECONV_OK);
    api = &ctx_device(ctx)->api;
    calls.real = *api;
    api->CreateBuffer = create_buffer;
    api->CreateSubBuffer = create_sub_buffer;
    api->CreateKernel = create_kernel;
    api->BuildProgram = build_program;
    api->EnqueueNDRangeKernel = enqueue_kernel;
    api->EnqueueCopyBuffer = enqueue_copy;
    api->EnqueueFillBuffer = enqueue_fill;
    api->EnqueueReadBuffer = enqueue_read;
    api->EnqueueWriteBuffer = enqueue_write;
    api->EnqueueMapBuffer = enqueue_map;
    api->EnqueueUnmapMemObject = enqueue_unmap;
    api->Finish = finish;
    return ctx;
}

/* ---- What must hold ---- */

static void begin(void)
{
    calls.length = 0;
    calls.open = true;
}

static void end(const char *what)
{
    calls.open = false;
    assert_true(calls.length + 1 < sizeof calls.text);
    print_message("%s: %s\n", what, calls.text);
}

/* From the first kernel of each pass to the wait that ends it nothing but work for the device, and
 * nowhere anything that makes objects on it. */
static void expect_passes(int count)
{
    bool running = false;
    int passes = 0;

    assert_null(strpbrk(calls.text, "BSKP"));
    for (const char *c = calls.text; *c; c++) {
        running = running || *c == 'k';
        if (running && *c == 'F') {
            running = false;
            passes++;
        } else if (running && !strchr("kcf", *c)) {
            fail_msg("%c inside a pass: %s", *c, calls.text);
        }
    }
    assert_false(running);
    assert_int_equal(passes, count);
}

/* ---- Tests ---- */

/* A forward pass is nothing but kernels, copies and one wait. */
static void forward_passes(void **state)
{
    static const uint32_t flags[] = {0, DECONV_TRACE_NO_INVERSE};
    deconv_ctx *ctx = listen(*state);
    const deconv_tensor *activation;
    network n;

    open_network(ctx, &n);
    for (int i = 0; i < 2; i++) {
        uint32_t keep = find(&n, "conv3");
        deconv_trace *trace = make_trace(&n, BATCH, &keep, 1, flags[i]);

        begin();
        run(&n, trace); /* even the first one */
        end("forward");
        assert_true(calls.length > 1);
        assert_int_equal(strspn(calls.text, "kcf"), calls.length - 1);
        assert_int_equal(calls.text[calls.length - 1], 'F');
        OK(ctx, deconv_trace_activation(trace, keep, &activation));
        run(&n, trace);
        begin();
        OK(ctx, deconv_trace_activation(trace, keep, &activation));
        end("activation");
        /* A map in blocks is moved; one that is row-major is there. */
        assert_true(strcmp(calls.text, "kF") == 0 || calls.length == 0);
        deconv_trace_destroy(trace);
    }
    close_network(&n);
    deconv_ctx_destroy(ctx);
}

static void project(const network *n, deconv_trace *trace, const char *layer, uint32_t flags,
                    int count, deconv_tensor *to)
{
    deconv_project_options options = DECONV_PROJECT_OPTIONS_INIT;
    deconv_projection_info infos[4];
    deconv_seed seeds[4];
    uint32_t index = find(n, layer);

    for (int i = 0; i < count; i++)
        seeds[i] = (deconv_seed){i % 2, DECONV_STRONGEST, DECONV_STRONGEST, DECONV_STRONGEST};
    options.flags = flags;
    OK(n->ctx, deconv_project(trace, index, seeds, (uint64_t)count, &options, to, infos));
    for (int i = 0; i < count; i++)
        assert_true(infos[i].largest > 0.0f);
}

/* Once a way back is planned its passes are kernels from the seeds to the wait, whether they carry
 * windows or whole signals; what is looked at afterwards needs no memory of its own where the
 * device works in the host's. */
static void passes_back(void **state)
{
    static const struct {
        const char *layer;
        uint32_t flags;
        int passes; /* four seeds, two in each of two pictures */
    } ways[] = {
        {"conv3", 0, 1}, {"conv3", DECONV_PROJECT_WHOLE, 2}, {"relu2", 0, 1}, {"fc5", 0, 2}};
    deconv_ctx *ctx = listen(*state);
    deconv_tensor *to;
    deconv_trace *trace;
    network n;

    open_network(ctx, &n);
    trace = make_trace(&n, BATCH, NULL, 0, 0);
    run(&n, trace);
    n.shape[0] = 4;
    OK(ctx, deconv_tensor_create(ctx, n.shape, 4, &to));
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        project(&n, trace, ways[i].layer, ways[i].flags, 4, to);
        begin();
        project(&n, trace, ways[i].layer, ways[i].flags, 4, to);
        end(ways[i].layer);
        expect_passes(ways[i].passes);
    }
    deconv_tensor_destroy(to);
    deconv_trace_destroy(trace);
    close_network(&n);
    deconv_ctx_destroy(ctx);
}

/* A signal of the caller's comes and goes by copies on the device. */
static void passes_of_signals(void **state)
{
    deconv_ctx *ctx = listen(*state);
    const deconv_tensor *signal;
    deconv_trace *trace;
    uint32_t layer;
    network n;

    open_network(ctx, &n);
    trace = make_trace(&n, BATCH, NULL, 0, 0);
    run(&n, trace);
    layer = find(&n, "conv3");
    OK(ctx, deconv_trace_activation(trace, layer, &signal));
    OK(ctx, deconv_project_signal(trace, layer, signal, NULL, n.input));
    begin();
    OK(ctx, deconv_project_signal(trace, layer, signal, NULL, n.input));
    end("signal");
    expect_passes(1);
    assert_int_equal(strspn(calls.text, "kcf"), calls.length - 1);
    deconv_trace_destroy(trace);
    close_network(&n);
    deconv_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forward_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(passes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(passes_of_signals, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
