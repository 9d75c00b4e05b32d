/* Draws a network: blocks as real networks have them (plain, pooled, residual, fire, gated, split,
 * moved), with sizes, strides, padding and dilation as they come. Whatever does not fit is left
 * out. */
#include "graphs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 256 };

static const int channel_counts[] = {1, 3, 4, 7, 8, 16, 17, 24, 32};

/* ---- Chance ---- */

uint64_t draw(random_net *g, uint64_t count)
{
    uint64_t z = g->random += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % count;
}

bool chance(random_net *g, int percent)
{
    return draw(g, 100) < (uint64_t)percent;
}

#define PICK(g, ...)                                                                               \
    ((const int[]){__VA_ARGS__}[draw(g, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))])

static int pick_channels(random_net *g)
{
    return channel_counts[draw(g, sizeof channel_counts / sizeof *channel_counts)];
}

/* ---- Text ---- */

static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + used, TEXT - used, format, args);
    va_end(args);
}

/* " NAME=a,b", one number a dimension. */
static void append_list(char *text, const char *name, int count, const int *numbers)
{
    append(text, "%s%s=", *text ? " " : "", name);
    for (int d = 0; d < count; d++)
        append(text, "%s%d", d ? "," : "", numbers[d]);
}

/* The same number in every spatial dimension. */
static void append_same(const random_net *g, char *text, const char *name, int number)
{
    append_list(text, name, g->dims, (const int[]){number, number});
}

static int64_t channels_of(const random_net *g, int value)
{
    return g->value[value].dim[1];
}

static bool is_map(const random_net *g, int value)
{
    return g->value[value].rank == g->dims + 2;
}

static int one(random_net *g, const char *type, int from, const char *rest)
{
    return from < 0 ? -1 : net_add(g, type, 1, &from, rest);
}

static int two(random_net *g, const char *type, int a, int b, const char *rest)
{
    return a < 0 || b < 0 ? -1 : net_add(g, type, 2, (const int[]){a, b}, rest);
}

/* ---- Operators ---- */

/* Kernel `k`; the sizes stay where stride is 1. */
static int same_conv(random_net *g, int from, int64_t channels, int k, int dilation)
{
    int64_t in = channels_of(g, from);
    char text[TEXT] = "";
    int pad = k / 2 * dilation;

    append(text, "w=%lld,%lld,", (long long)channels, (long long)in);
    append(text, g->dims == 2 ? "%d,%d" : "%d", k, k);
    if (chance(g, 80))
        append(text, " b=%lld", (long long)channels);
    append_list(text, "pads", 2 * g->dims, (const int[]){pad, pad, pad, pad});
    if (dilation > 1)
        append_same(g, text, "dilations", dilation);
    return one(g, "Conv", from, text);
}

/* Anything goes: strides, dilation, groups, uneven padding and kernels. */
static int wild_conv(random_net *g, int from)
{
    int64_t in = channels_of(g, from), groups = 1, out = pick_channels(g);
    int k[2], stride[2], dilation[2], pads[4];
    bool uneven = chance(g, 25);
    char text[TEXT] = "";

    for (int d = 0; d < g->dims; d++) {
        k[d] = d && !uneven ? k[0] : PICK(g, 1, 2, 3, 3, 3, 5, 7);
        stride[d] = d && !uneven ? stride[0] : PICK(g, 1, 1, 2, 2, 3, 4);
        dilation[d] = d && !uneven ? dilation[0] : PICK(g, 1, 1, 1, 2, 3);
        pads[d] = (int)draw(g, (uint64_t)k[d]);
        pads[g->dims + d] = uneven ? (int)draw(g, (uint64_t)k[d]) : pads[d];
    }
    if (chance(g, 20))
        groups = out = in; /* depthwise */
    else if (in % 4 == 0 && out % 4 == 0 && chance(g, 30))
        groups = PICK(g, 2, 4);
    append(text, "w=%lld,%lld,", (long long)out, (long long)(in / groups));
    append(text, g->dims == 2 ? "%d,%d" : "%d", k[0], k[1 % g->dims]);
    if (chance(g, 80))
        append(text, " b=%lld", (long long)out);
    append_list(text, "strides", g->dims, stride);
    append_list(text, "pads", 2 * g->dims, pads);
    append_list(text, "dilations", g->dims, dilation);
    if (groups > 1)
        append(text, " group=%lld", (long long)groups);
    return one(g, "Conv", from, text);
}

static int transposed_conv(random_net *g, int from)
{
    int k = PICK(g, 2, 3, 4), stride = PICK(g, 1, 2, 2, 3), pad = (int)draw(g, (uint64_t)k);
    int channels = pick_channels(g);
    char text[TEXT] = "";

    append(text, "b=%d w=%lld,%d,", channels, (long long)channels_of(g, from), channels);
    append(text, g->dims == 2 ? "%d,%d" : "%d", k, k);
    append_same(g, text, "strides", stride);
    append_list(text, "pads", 2 * g->dims, (const int[]){pad, pad, pad, pad});
    return one(g, "ConvTranspose", from, text);
}

static int pool(random_net *g, int from)
{
    bool average = chance(g, 35);
    int k = PICK(g, 2, 2, 3, 3, 3, 5), stride = PICK(g, 1, 2, 2, 2, 3), pads[4];
    char text[TEXT] = "";

    append_same(g, text, "kernel_shape", k);
    append_same(g, text, "strides", stride);
    for (int i = 0; i < 4; i++)
        pads[i] = chance(g, 60) ? 0 : (int)draw(g, (uint64_t)(k / 2 + 1));
    append_list(text, "pads", 2 * g->dims, pads);
    if (chance(g, 40))
        append(text, " ceil_mode=1");
    if (average)
        append(text, " count_include_pad=%d", (int)draw(g, 2));
    else if (chance(g, 15))
        append_same(g, text, "dilations", 2);
    return one(g, average ? "AveragePool" : "MaxPool", from, text);
}

static int activation(random_net *g, int from)
{
    static const char *const types[] = {"LeakyRelu", "Sigmoid",  "Tanh", "Elu",
                                        "HardSwish", "Softplus", "Clip"};
    const char *type = types[draw(g, sizeof types / sizeof *types)];

    if (chance(g, 75))
        return one(g, "Relu", from, "");
    return one(g, type, from, strcmp(type, "Clip") == 0 ? "min=0.0 max=1.0" : "");
}

static int normalization(random_net *g, int from)
{
    int c = (int)channels_of(g, from);
    char text[TEXT] = "";

    if (chance(g, 40))
        return one(g, "LRN", from,
                   chance(g, 50) ? "size=5" : "size=3 alpha=0.5 beta=0.75 bias=1.0");
    append(text, "scale=%d bias=%d mean=%d var=%d", c, c, c, c);
    return one(g, "BatchNormalization", from, text);
}

/* Factors for each channel, for all, or for each position. */
static int scale(random_net *g, int from)
{
    char text[TEXT] = "b=";

    if (chance(g, 70))
        append(text, g->dims == 2 ? "1,%lld,1,1" : "1,%lld,1", (long long)channels_of(g, from));
    else if (chance(g, 50))
        append(text, "1");
    else
        append(text, "%lld", (long long)g->value[from].dim[g->value[from].rank - 1]);
    return one(g, "Mul", from, text);
}

/* Some of one axis, in either direction, every one or every other; or a box. */
static int slice(random_net *g, int from)
{
    const int64_t *dim = g->value[from].dim;
    int axis = 1 + (int)draw(g, (uint64_t)g->dims + 1), step = chance(g, 25) ? 2 : 1;
    int first = (int)draw(g, 3), last = (int)dim[axis] - (int)draw(g, 3);
    char text[TEXT] = "";

    if (g->dims == 2 && chance(g, 30))
        append(text, "starts=%d,%d ends=%lld,%lld axes=2,3", first, (int)draw(g, 3),
               (long long)dim[2], (long long)dim[3] - 1);
    else if (chance(g, 25))
        append(text, "starts=%d ends=-1000 axes=%d steps=%d", last - 1, axis, -step);
    else
        append(text, "starts=%d ends=%d axes=%d steps=%d", first, last, axis, step);
    return one(g, "Slice", from, text);
}

static int pad(random_net *g, int from)
{
    static const char *const modes[] = {"", " mode=edge", " mode=reflect", " constant_value=0.5"};
    int sides[8] = {0}, rank = g->dims + 2;
    char text[TEXT] = "";

    for (int d = 2; d < rank; d++) {
        sides[d] = (int)draw(g, 3);
        sides[rank + d] = (int)draw(g, 3);
    }
    append_list(text, "pads", 2 * rank, sides);
    append(text, "%s", modes[draw(g, 4)]);
    return one(g, "Pad", from, text);
}

static int resize(random_net *g, int from)
{
    static const char *const scales[] = {"0.5", "0.75", "1.0", "1.5", "2.0", "2.0", "3.0"};
    static const char *const modes[] = {
        " mode=linear", " mode=linear coordinate_transformation_mode=pytorch_half_pixel",
        " coordinate_transformation_mode=asymmetric nearest_mode=floor", ""};
    char text[TEXT] = "scales=1.0,1.0";
    uint64_t scale = draw(g, 7);

    for (int d = 0; d < g->dims; d++)
        append(text, ",%s", scales[chance(g, 70) ? scale : draw(g, 7)]);
    append(text, "%s", modes[draw(g, 4)]);
    return one(g, "Resize", from, text);
}

/* Some of an axis over again: all of it, or a few positions in any order. */
static int repeat(random_net *g, int from)
{
    int axis = 1 + (int)draw(g, (uint64_t)g->dims + 1), times[4] = {1, 1, 1, 1};
    char text[TEXT] = "indices=";

    times[axis] = 2;
    if (chance(g, 40)) {
        text[0] = '\0';
        append_list(text, "repeats", g->dims + 2, times);
        return one(g, "Tile", from, text);
    }
    for (int i = 0; i < 8; i++)
        append(text, "%s%d", i ? "," : "", (int)draw(g, (uint64_t)g->value[from].dim[axis]));
    append(text, " axis=%d", axis);
    return one(g, "Gather", from, text);
}

/* ---- Blocks ---- */

static int plain_block(random_net *g, int from)
{
    int at = chance(g, 60) ? wild_conv(g, from)
                           : same_conv(g, from, pick_channels(g), PICK(g, 1, 3, 3, 5), 1);

    if (at >= 0 && chance(g, 15))
        at = normalization(g, at);
    return at >= 0 && chance(g, 85) ? activation(g, at) : at;
}

static int residual_block(random_net *g, int from)
{
    int at = same_conv(g, from, channels_of(g, from), 3, PICK(g, 1, 1, 2));

    at = one(g, "Relu", at, "");
    if (at >= 0 && chance(g, 50))
        at = same_conv(g, at, channels_of(g, from), 3, 1);
    at = chance(g, 50) ? two(g, "Add", at, from, "") : two(g, "Add", from, at, "");
    return chance(g, 70) ? one(g, "Relu", at, "") : at;
}

static int fire_block(random_net *g, int from)
{
    int squeeze =
        chance(g, 60) ? one(g, "Relu", same_conv(g, from, pick_channels(g), 1, 1), "") : from;
    int a, b, c;

    if (squeeze < 0)
        return -1;
    a = one(g, "Relu", same_conv(g, squeeze, pick_channels(g), 1, 1), "");
    b = same_conv(g, squeeze, pick_channels(g), 3, PICK(g, 1, 1, 2));
    b = chance(g, 70) ? one(g, "Relu", b, "") : b;
    if (a < 0 || b < 0)
        return -1;
    if (chance(g, 70))
        return two(g, "Concat", a, b, "axis=1");
    c = chance(g, 50) ? squeeze : a;
    return net_add(g, "Concat", 3, (const int[]){a, b, c}, "axis=1");
}

static int gate_block(random_net *g, int from)
{
    int gate = from;

    if (chance(g, 30))
        gate = one(g, "GlobalAveragePool", from, "");
    if (gate < 0)
        return -1;
    gate = one(g, "Sigmoid", same_conv(g, gate, channels_of(g, from), 1, 1), "");
    return chance(g, 50) ? two(g, "Mul", from, gate, "") : two(g, "Mul", gate, from, "");
}

static int split_block(random_net *g, int from)
{
    int64_t channels = channels_of(g, from), head = channels / 2;
    int first, second;
    char text[TEXT] = "";

    if (channels < 2)
        return -1;
    append(text, "split=%lld,%lld axis=1", (long long)head, (long long)(channels - head));
    first = one(g, "Split", from, text);
    if (first < 0)
        return -1;
    second = g->node[g->n_node - 1].value[1];
    if (chance(g, 50))
        second = one(g, "Relu", same_conv(g, second, pick_channels(g), 3, 1), "");
    else if (chance(g, 20))
        return second; /* nobody needs the first */
    return chance(g, 50) ? two(g, "Concat", first, second, "axis=1")
                         : two(g, "Concat", second, first, "axis=1");
}

/* Two ways from an earlier value to one concatenation. */
static int inception_block(random_net *g, int from)
{
    char text[TEXT] = "";
    int a = plain_block(g, from), b;

    append_same(g, text, "kernel_shape", 3);
    append_list(text, "pads", 2 * g->dims, (const int[]){1, 1, 1, 1});
    b = one(g, chance(g, 60) ? "MaxPool" : "AveragePool", from, text);
    if (b >= 0 && chance(g, 60))
        b = same_conv(g, b, pick_channels(g), 1, 1);
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    a = two(g, "Concat", a, b, "axis=1"); /* where the plain block kept the size */
    return a < 0 ? b : a;
}

/* Maps cut in two along an axis and put together again, the other way round or not. */
static int cut_block(random_net *g, int from)
{
    int axis = 1 + g->dims - (int)draw(g, (uint64_t)g->dims), first, second;
    int64_t size = g->value[from].dim[axis];
    char text[TEXT] = "";

    if (size < 4)
        return -1;
    append(text, "split=%lld,%lld axis=%d", (long long)size / 3, (long long)(size - size / 3),
           axis);
    first = one(g, "Split", from, text);
    if (first < 0)
        return -1;
    second = g->node[g->n_node - 1].value[1];
    if (chance(g, 50)) {
        first = same_conv(g, first, channels_of(g, from), 3, 1);
        second = same_conv(g, second, channels_of(g, from), 1, 1);
    }
    text[0] = '\0';
    append(text, "axis=%d", axis);
    return chance(g, 50) ? two(g, "Concat", first, second, text)
                         : two(g, "Concat", second, first, text);
}

/* Down and up again, beside what stayed as it was. */
static int skip_block(random_net *g, int from)
{
    const int64_t *dim = g->value[from].dim;
    int channels = pick_channels(g), at;
    char text[TEXT] = "";

    append_same(g, text, "kernel_shape", 2);
    append_same(g, text, "strides", 2);
    at = one(g, "MaxPool", from, text);
    at = at < 0 ? -1 : same_conv(g, at, channels, 3, 1);
    /* By scales: sizes would name the batch, which half of the files leave open. */
    if (dim[2] % 2 == 0 && dim[g->dims + 1] % 2 == 0) {
        at = one(g, "Resize", at,
                 g->dims == 1 ? "scales=1.0,1.0,2.0" : "scales=1.0,1.0,2.0,2.0 mode=linear");
        return two(g, "Concat", at, from, "axis=1");
    }
    return one(g, "Resize", at,
               g->dims == 1 ? "scales=1.0,1.0,2.0 mode=linear" : "scales=1.0,1.0,2.0,2.0");
}

/* Height and width are moved, cut, stretched or turned. */
static int moved_block(random_net *g, int from)
{
    switch (draw(g, 8)) {
    case 0:
        return slice(g, from);
    case 1:
        return pad(g, from);
    case 2:
    case 3:
        return resize(g, from);
    case 4:
        return g->dims == 1 ? -1 : one(g, "Transpose", from, "perm=0,1,3,2");
    case 5:
        return cut_block(g, from);
    case 6:
        return repeat(g, from);
    default:
        return skip_block(g, from);
    }
}

static int small_block(random_net *g, int from)
{
    switch (draw(g, 8)) {
    case 0:
        return one(g, "Dropout", from, "");
    case 1:
        return one(g, "Identity", from, "");
    case 2:
        return transposed_conv(g, from);
    case 3:
        return scale(g, from);
    case 4:
        return activation(g, from);
    default:
        return normalization(g, from);
    }
}

static int draw_block(random_net *g, int from)
{
    uint64_t kind = draw(g, 100);

    return kind < 33   ? plain_block(g, from)
           : kind < 46 ? pool(g, from)
           : kind < 53 ? residual_block(g, from)
           : kind < 61 ? fire_block(g, from)
           : kind < 67 ? inception_block(g, from)
           : kind < 71 ? gate_block(g, from)
           : kind < 75 ? split_block(g, from)
           : kind < 90 ? moved_block(g, from)
                       : small_block(g, from);
}

/* How networks end: nothing more, classes, or channels moved to the end. */
static void draw_end(random_net *g, int from)
{
    char text[TEXT] = "";
    int at = from, classes = PICK(g, 4, 7, 10);

    if (chance(g, 12)) {
        one(g, "Transpose", from, g->dims == 2 ? "perm=0,2,3,1" : "perm=0,2,1");
        return;
    }
    if (chance(g, 50))
        return;
    if (chance(g, 50))
        at = one(g, "GlobalAveragePool", at, "");
    at = one(g, "Flatten", at, "axis=1");
    if (at >= 0 && chance(g, 80)) {
        append(text, "b=%d,%lld c=%d transB=1", classes, (long long)g->value[at].dim[1], classes);
        at = one(g, "Gemm", at, text);
    }
    if (at >= 0 && chance(g, 60))
        one(g, "Softmax", at, "axis=1");
}

void net_draw(random_net *g, uint64_t seed)
{
    int64_t dim[REF_MAX_RANK];
    int at = 0, blocks;

    memset(g, 0, sizeof *g);
    g->seed = g->random = seed;
    g->batch = 1 + (int64_t)draw(g, 3);
    g->dims = chance(g, 15) ? 1 : 2;
    dim[0] = g->batch;
    dim[1] = chance(g, 60) ? 3 : pick_channels(g);
    for (int d = 0; d < g->dims; d++)
        dim[2 + d] = 5 + 2 * (int64_t)draw(g, 15);
    net_begin(g, g->dims + 2, dim);
    blocks = 3 + (int)draw(g, 5);
    for (int i = 0; i < blocks && g->n_node < NET_NODES - 12; i++) {
        int next = i == 0 ? plain_block(g, 0) : draw_block(g, at);

        if (next >= 0 && is_map(g, next))
            at = next;
    }
    draw_end(g, at);
}
