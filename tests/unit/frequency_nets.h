/* Networks of one convolution for the tests of frequencies, and the filters to put into them. */
#ifndef DECONV_TESTS_FREQUENCY_NETS_H
#define DECONV_TESTS_FREQUENCY_NETS_H

#include "onnx_build.h"

#include <math.h>

#define PI 3.14159265358979323846

/* One Conv or ConvTranspose "c" of input x (N, inputs, side, side), or (N, inputs, side) where the
 * kernel is 1-D, and a Relu "r" behind it. 0 stands for 1. */
typedef struct conv_net {
    int filters, channels; /* channels of one filter */
    int height, width;     /* height 0: 1-D */
    int stride, dilation, groups;
    int side;
    bool transposed;
    bool folded;          /* the weights come out of a Transpose that moves nothing */
    const float *weights; /* as ONNX has them */
    const float *bias;    /* [filters] or NULL */
    const int64_t *batch; /* NULL: open */
} conv_net;

static inline int or_one(int n)
{
    return n ? n : 1;
}

static inline void build_conv_net(build *b, const conv_net *n)
{
    int groups = or_one(n->groups), spatial = n->height ? 2 : 1;
    int64_t x_dims[4] = {0, n->channels * groups, n->side, n->side};
    int64_t w_dims[4] = {n->filters, n->channels, n->height ? n->height : n->width, n->width};
    int64_t strides[2] = {or_one(n->stride), or_one(n->stride)};
    int64_t dilations[2] = {or_one(n->dilation), or_one(n->dilation)}, bias_dims[1] = {n->filters};
    size_t count =
        (size_t)n->filters * (size_t)n->channels * (size_t)or_one(n->height) * (size_t)n->width;
    const int64_t stay[4] = {0, 1, 2, 3};
    Onnx__AttributeProto *group;
    Onnx__NodeProto *node;

    if (n->transposed) {
        w_dims[0] = x_dims[1];
        w_dims[1] = n->filters / groups;
    }
    if (n->batch)
        x_dims[0] = *n->batch;
    build_start(b);
    build_input(b, "x", TYPE_OF(FLOAT), (size_t)(2 + spatial), x_dims);
    build_raw(
        b,
        build_initializer(b, n->folded ? "w0" : "w", TYPE_OF(FLOAT), (size_t)(2 + spatial), w_dims),
        n->weights, count * sizeof(float));
    if (n->bias)
        build_raw(b, build_initializer(b, "b", TYPE_OF(FLOAT), 1, bias_dims), n->bias,
                  (size_t)n->filters * sizeof(float));
    if (n->folded)
        build_ints(b, build_node(b, "Transpose", "stay", "w0", "w"), "perm", (size_t)(2 + spatial),
                   stay);
    node = build_node(b, n->transposed ? "ConvTranspose" : "Conv", "conv",
                      n->bias ? "x w b" : "x w", "c");
    build_ints(b, node, "strides", (size_t)spatial, strides);
    build_ints(b, node, "dilations", (size_t)spatial, dilations);
    group = build_attr(b, node, "group", ATTR_OF(INT));
    group->has_i = 1;
    group->i = groups;
    build_node(b, "Relu", "relu", "c", "r");
    build_output(b, "r");
}

static inline const char *put_conv_net(const fixture *f, const conv_net *n)
{
    const char *path;
    uint8_t *bytes;
    size_t size;
    build b;

    build_conv_net(&b, n);
    bytes = build_pack(&b, &size);
    path = put_file(f, "net.onnx", bytes, size);
    free(bytes);
    build_free(&b);
    return path;
}

static inline deconv_net *open_conv_net(const fixture *f, const conv_net *n)
{
    deconv_net *net;

    if (deconv_net_open(f->ctx, put_conv_net(f, n), NULL, &net) != DECONV_OK)
        fail_msg("%s", deconv_ctx_message(f->ctx));
    return net;
}

/* Whatever fails is a fault of the library here. */
#define WORKS(f, call)                                                                             \
    do {                                                                                           \
        if ((call) != DECONV_OK)                                                                   \
            fail_msg("%s: %s", #call, deconv_ctx_message((f)->ctx));                               \
    } while (0)

/* A net and what was found in its filters. */
typedef struct analysis {
    deconv_net *net;
    deconv_frequency *frequency;
    deconv_frequency_info info;
} analysis;

static inline analysis analyse(const fixture *f, const conv_net *n,
                               const deconv_frequency_options *options)
{
    analysis a = {.info = DECONV_FREQUENCY_INFO_INIT};

    a.net = open_conv_net(f, n);
    WORKS(f, deconv_frequency_create(a.net, options, &a.frequency));
    assert_int_equal(deconv_frequency_count(a.frequency), 1);
    WORKS(f, deconv_frequency_get(a.frequency, 0, &a.info));
    return a;
}

static inline void done_with(analysis *a)
{
    deconv_frequency_destroy(a->frequency);
    deconv_net_destroy(a->net);
}

static inline deconv_filter_info filter_of(const fixture *f, const analysis *a, uint32_t filter)
{
    deconv_filter_info info = DECONV_FILTER_INFO_INIT;

    WORKS(f, deconv_frequency_filter(a->frequency, 0, filter, &info));
    return info;
}

/* Stripes of `frequency` cycles per pixel, `degrees` counter-clockwise from horizontal. */
static inline void draw_grating(float *to, int height, int width, double frequency, double degrees,
                                double phase)
{
    double across = (90.0 - degrees) * PI / 180.0; /* direction of change, rows downwards */
    double fx = frequency * cos(across), fy = frequency * sin(across);

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            to[y * width + x] = (float)(0.05 * cos(2.0 * PI * (fx * x + fy * y) + phase));
}

static inline double random_normal(uint32_t *seed)
{
    double sum = -6.0;

    for (int i = 0; i < 12; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        sum += (double)(*seed >> 8) / (1 << 24);
    }
    return sum;
}

static inline void draw_noise(float *to, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (float)random_normal(&seed);
}

/* Between two orientations. */
static inline double apart(double degrees, double from)
{
    double d = fmod(fabs(degrees - from), 180.0);

    return fmin(d, 180.0 - d);
}

static inline double low_share(const deconv_bands *b)
{
    return b->dc + b->low;
}

static inline double sum_of_bands(const deconv_bands *b)
{
    return b->dc + b->low + b->mid + b->high;
}

#endif
