/* The bundled network with a picture batch, for tests of what a network does on the device. For one
 * program each, so its functions are in the header. */
#ifndef DECONV_TESTS_BUNDLED_H
#define DECONV_TESTS_BUNDLED_H

#include "opencl_fixture.h"

#include "net.h"
#include "trace.h"

#include <math.h>

#define NETWORK DECONV_TEST_SOURCE_DIR "/../examples/figures/zfnet-small.onnx"

enum { BATCH = 3 };

typedef struct network {
    deconv_ctx *ctx;
    deconv_net *net;
    deconv_tensor *input;
    int64_t shape[DECONV_MAX_RANK]; /* of the input */
    uint32_t output;
} network;

static inline void open_network_at(deconv_ctx *ctx, const char *path, network *n)
{
    const char *name;
    int64_t fixed;
    uint32_t rank;
    uint64_t count;
    float *values;

    n->ctx = ctx;
    OK(ctx, deconv_net_open(ctx, path, NULL, &n->net));
    OK(ctx, deconv_net_output(n->net, 0, &n->output));
    OK(ctx, deconv_net_input(n->net, 0, &name, n->shape, &rank, &fixed));
    n->shape[0] = BATCH;
    OK(ctx, deconv_tensor_create(ctx, n->shape, rank, &n->input));
    count = deconv_tensor_count(n->input);
    values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = sinf((float)i * 0.37f) + 0.5f * cosf((float)i * 0.011f);
    OK(ctx, deconv_tensor_write(n->input, values, count));
    free(values);
}

static inline void open_network(deconv_ctx *ctx, network *n)
{
    open_network_at(ctx, NETWORK, n);
}

static inline void close_network(network *n)
{
    deconv_tensor_destroy(n->input);
    deconv_net_destroy(n->net);
}

static inline uint32_t find(const network *n, const char *name)
{
    uint32_t layer;

    OK(n->ctx, deconv_net_find(n->net, name, &layer));
    return layer;
}

static inline deconv_trace *make_trace(const network *n, int64_t batch, const uint32_t *keep,
                                       uint32_t count, uint32_t flags)
{
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_trace *trace;

    options.rules = 1u << DECONV_RULE_DECONVNET;
    options.flags = flags;
    options.keep = keep;
    options.keep_count = count;
    OK(n->ctx, deconv_trace_create(n->net, batch, &options, &trace));
    return trace;
}

static inline void run(const network *n, deconv_trace *trace)
{
    OK(n->ctx, deconv_trace_run(trace, (const deconv_tensor *const *)&n->input, 1));
}

#endif
