/* Networks around one operator each: what windows do in its inverse fails by its name. */
#include "graphs.h"

#include "opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    const char *name;
    int dims;
    const char *type, *rest; /* type NULL: drawn by name */
} fixture;

/* Between convolutions over maps of 8 channels and 17 x 15 positions, or 43. */
static const fixture fixtures[] = {
    {"pad", 2, "Pad", "pads=0,0,1,2,0,0,3,0"},
    {"pad", 2, "Pad", "pads=0,0,-2,1,0,0,1,-3"},
    {"pad", 2, "Pad", "pads=0,2,1,1,0,1,1,0 constant_value=0.5"},
    {"pad", 2, "Pad", "pads=0,0,2,1,0,0,1,3 mode=reflect"},
    {"pad", 2, "Pad", "pads=0,0,1,3,0,0,2,0 mode=edge"},
    {"pad", 2, "Pad", "pads=0,0,2,0,0,0,4,0 mode=wrap opset=19"},
    {"pad", 2, "Pad", "pads=0,3,0,20,0,2,0,-2 mode=wrap opset=19"},
    {"pad_seams", 2, "Pad", "pads=0,0,2,3,0,0,4,1 mode=wrap opset=19"},
    {"pad", 1, "Pad", "pads=0,0,2,0,0,5"},
    {"pad", 1, "Pad", "pads=0,0,4,0,0,1 mode=reflect"},
    {"pad_seams", 1, "Pad", "pads=0,0,50,0,0,7 mode=wrap opset=19"},
    {"slice", 2, "Slice", "starts=3,2 ends=16,14 axes=2,3"},
    {"slice", 2, "Slice", "starts=1 ends=14 axes=3 steps=2"},
    {"slice", 2, "Slice", "starts=-1,-2 ends=-1000,-1000 axes=2,3 steps=-1,-1"},
    {"slice", 2, "Slice", "starts=16 ends=-1000 axes=2 steps=-2"},
    {"slice", 2, "Slice", "starts=1,2 ends=7,16 axes=1,2"},
    {"slice", 1, "Slice", "starts=5 ends=41 axes=2 steps=2"},
    {"transpose", 2, "Transpose", "perm=0,1,3,2"},
    {"transpose_channels", 2, "Transpose", "perm=0,2,1,3"},
    {"resize_nearest", 2, "Resize", "scales=1.0,1.0,2.0,2.0 nearest_mode=floor"},
    {"resize_nearest", 2, "Resize", "scales=1.0,1.0,1.5,3.0"},
    {"resize_nearest", 2, "Resize", "scales=1.0,1.0,0.5,0.75"},
    {"resize_nearest", 2, "Resize", "sizes=2,8,24,19 nearest_mode=ceil"},
    {"resize_nearest", 2, "Resize",
     "scales=1.0,1.0,1.55,0.7 coordinate_transformation_mode=align_corners nearest_mode=floor"},
    {"resize_nearest", 2, "Resize",
     "scales=1.0,1.0,0.7,1.55 coordinate_transformation_mode=half_pixel_symmetric opset=19"},
    {"resize_nearest", 1, "Resize", "scales=1.0,1.0,2.0"},
    {"resize_linear", 2, "Resize", "scales=1.0,1.0,2.0,2.0 mode=linear"},
    {"resize_linear", 2, "Resize", "scales=1.0,1.0,1.0,1.6 mode=linear"},
    {"resize_linear", 2, "Resize",
     "sizes=2,8,29,22 mode=linear coordinate_transformation_mode=align_corners"},
    {"resize_linear", 2, "Resize", "sizes=2,8,11,25 mode=linear"},
    {"resize_linear", 1, "Resize", "scales=1.0,1.0,3.0 mode=linear"},
    {"resize_linear", 2, "Resize",
     "scales=1.0,1.0,1.55,0.7 mode=linear coordinate_transformation_mode=align_corners"},
    {"resize_cubic", 2, "Resize", "scales=1.0,1.0,2.0,2.0 mode=cubic"},
    {"resize_cubic", 2, "Resize", "scales=1.0,1.0,1.3,0.7 mode=cubic cubic_coeff_a=-0.5"},
    {"resize_cubic", 2, "Resize",
     "sizes=2,8,11,25 mode=cubic coordinate_transformation_mode=align_corners exclude_outside=1"},
    {"resize_cubic", 2, "Resize", "sizes=2,8,9,15 mode=cubic antialias=1 opset=18"},
    {"resize_cubic", 1, "Resize", "scales=1.0,1.0,0.7 mode=cubic"},
    {"upsample", 2, "Upsample", "scales=1.0,1.0,2.0,2.0 opset=9"},
    {"upsample", 2, "Upsample", "scales=1.0,1.0,1.5,1.0 mode=linear opset=9"},
    {"upsample", 1, "Upsample", "scales=1.0,1.0,2.0 opset=9"},
    {"expand", 2, NULL, "shape=1,8,1,1"},
    {"expand", 2, NULL, "shape=1,1,13,1"},
    {"expand", 2, NULL, "shape=6,1,9"},
    {"expand", 1, NULL, "shape=8,1"},
    {"repeat", 2, "Tile", "repeats=1,1,2,1"},
    {"repeat", 2, "Tile", "repeats=1,2,1,1"},
    {"repeat", 2, "Gather", "indices=0,2,1,3,4,4,5,7,6,9,10,11,12,12,13,14 axis=3"},
    {"repeat", 2, "Gather", "indices=5,0,2,7,1,1 axis=1"},
    {"conv_transpose", 2, "ConvTranspose", "w=8,8,3,3 b=8 strides=2,2 pads=1,1,1,1"},
    {"conv_transpose", 2, "ConvTranspose", "w=8,8,4,2 b=8 strides=2,1"},
    {"conv_transpose", 1, "ConvTranspose", "w=8,8,4 b=8 strides=3"},
    {"reduce", 2, "ReduceMean", "axes=1"},
    {"shuffle", 2, NULL, "0,2,1,3,4"},
    {"shuffle", 2, NULL, "0,2,1,3,4 Relu"},
    {"shuffle", 2, NULL, "0,1,2,3,4"},
    {"squeeze", 2, NULL, "axes=2"},
    {"squeeze", 2, NULL, "axes=1"},
    {"nearly_whole", 2, "Gather", "indices=5,0,2,7,1,1,3,4 axis=1"},
    {"nearly_whole", 2, "Resize", "scales=1.0,1.0,1.0,1.6 mode=linear"},
    {"nearly_whole", 2, "Tile", "repeats=1,1,2,1"},
    {"nearly_whole", 2, "Slice", "starts=1 ends=14 axes=3"},
    {"residual", 2, NULL, "first Relu"},
    {"residual", 2, NULL, "second"},
    {"residual", 2, NULL, "both Relu"},
    {"residual", 1, NULL, "second Relu"},
    {"concat", 2, NULL, "axis=2"},
    {"concat", 2, NULL, "axis=3"},
    {"concat", 1, NULL, "axis=2"},
    {"split", 2, NULL, "axis=2 split=8,9"},
    {"split", 2, NULL, "axis=3 split=9,6"},
    {"split", 2, NULL, "axis=1 split=3,5"},
    {"split", 1, NULL, "axis=2 split=20,23"},
    {"skip", 2, NULL, "mode=nearest nearest_mode=floor"},
    {"skip", 2, NULL, "mode=linear"},
};

enum { FIXTURES = sizeof fixtures / sizeof *fixtures, CHANNELS = 8, TEXT = 128, GUARD_BYTES = 512 };

static int one(random_net *g, const char *type, int from, const char *rest)
{
    return from < 0 ? -1 : net_add(g, type, 1, &from, rest);
}

/* 3 x 3, or 3, and a Relu; the size stays where stride is 1. */
static int conv(random_net *g, int from, int stride)
{
    const bool flat = g->dims == 1;
    char text[TEXT];

    if (from < 0)
        return -1;
    snprintf(text, sizeof text, "w=%d,%d,3%s b=%d strides=%d%s pads=1,1%s", CHANNELS,
             (int)g->value[from].dim[1], flat ? "" : ",3", CHANNELS, stride,
             flat          ? ""
             : stride == 1 ? ",1"
                           : ",2",
             flat ? "" : ",1,1");
    return one(g, "Relu", one(g, "Conv", from, text), "");
}

static int join(random_net *g, int a, int b, const char *axis)
{
    return a < 0 || b < 0 ? -1 : net_add(g, "Concat", 2, (const int[]){a, b}, axis);
}

/* A convolution without a Relu as the first or second operand of an Add, beside what it read or
 * beside another. */
static int residual(random_net *g, int from, const char *rest)
{
    const char *text = g->dims == 1 ? "w=8,8,3 b=8 pads=1,1" : "w=8,8,3,3 b=8 pads=1,1,1,1";
    const int operand[] = {strstr(rest, "second") ? from : one(g, "Conv", from, text),
                           strstr(rest, "first") ? from : one(g, "Conv", from, text)};
    int sum = operand[0] < 0 || operand[1] < 0 ? -1 : net_add(g, "Add", 2, operand, "");

    return strstr(rest, "Relu") ? one(g, "Relu", sum, "") : sum;
}

/* Both parts are wanted, each behind a convolution of its own. */
static int split(random_net *g, int from, const char *rest)
{
    char axis[TEXT] = "";
    int first = one(g, "Split", from, rest), second;

    if (first < 0)
        return -1;
    second = g->node[g->n_node - 1].value[1];
    sscanf(rest, "%127s", axis);
    return join(g, conv(g, first, 1), conv(g, second, 1),
                strcmp(axis, "axis=1") == 0 ? g->dims == 1 ? "axis=2" : "axis=3" : axis);
}

/* Down and up again, beside what stayed as it was. */
static int skip(random_net *g, int from, const char *rest)
{
    char text[TEXT];
    int up;

    snprintf(text, sizeof text, "sizes=2,8,%d,%d %s", (int)g->value[from].dim[2],
             (int)g->value[from].dim[3], rest);
    up =
        one(g, "Resize", conv(g, one(g, "MaxPool", from, "kernel_shape=2,2 strides=2,2"), 1), text);
    return join(g, up, from, "axis=1");
}

/* One position of every axis that grows again. */
static int expand(random_net *g, int from, const char *rest)
{
    int64_t size[REF_MAX_RANK];
    char text[TEXT];
    int count = 0, rank = g->dims + 2;

    for (const char *at = strchr(rest, '='); at; at = strchr(at + 1, ','))
        size[count++] = strtoll(at + 1, NULL, 10);
    for (int i = 0; i < count; i++) {
        if (size[i] == 1)
            continue;
        snprintf(text, sizeof text, "starts=3 ends=4 axes=%d", rank - count + i);
        from = one(g, "Slice", from, text);
    }
    return one(g, "Expand", from, rest);
}

/* Channels in two groups of four, dealt out, and back in one row; with a Relu among the groups, or
 * beside what stayed as it was. */
static int shuffle(random_net *g, int from, const char *rest)
{
    const int64_t *dim = g->value[from].dim;
    const bool rectified = strstr(rest, "Relu") != NULL;
    char text[TEXT];
    int at;

    snprintf(text, sizeof text, "shape=2,2,4,%d,%d", (int)dim[2], (int)dim[3]);
    at = one(g, "Reshape", from, text);
    if (rectified)
        at = one(g, "Relu", at, "");
    snprintf(text, sizeof text, "perm=%.9s", rest);
    at = one(g, "Transpose", at, text);
    snprintf(text, sizeof text, "shape=2,8,%d,%d", (int)dim[2], (int)dim[3]);
    at = one(g, "Reshape", at, text);
    return rectified ? at : join(g, at, from, "axis=1");
}

/* Windows of all rows but one. */
static int tall_conv(random_net *g, int from)
{
    char text[TEXT];

    if (from < 0)
        return -1;
    snprintf(text, sizeof text, "w=%d,%d,%d,%d b=%d", CHANNELS, (int)g->value[from].dim[1],
             (int)g->value[from].dim[2] - 1, (int)g->value[from].dim[3], CHANNELS);
    return one(g, "Conv", from, text);
}

/* False where it could not be made. */
static bool make(random_net *g, const fixture *f, uint64_t seed)
{
    int at, before;

    memset(g, 0, sizeof *g);
    g->seed = g->random = seed;
    g->batch = 2;
    g->dims = f->dims;
    net_begin(g, g->dims + 2,
              g->dims == 1 ? (const int64_t[]){2, 3, 43} : (const int64_t[]){2, 3, 17, 15});
    before = at = conv(g, 0, 1);
    if (f->type)
        at = one(g, f->type, at, f->rest);
    else if (strcmp(f->name, "concat") == 0)
        at = join(g, at, conv(g, at, 1), f->rest);
    else if (strcmp(f->name, "split") == 0)
        at = split(g, at, f->rest);
    else if (strcmp(f->name, "residual") == 0)
        at = residual(g, at, f->rest);
    else if (strcmp(f->name, "expand") == 0)
        at = expand(g, at, f->rest);
    else if (strcmp(f->name, "shuffle") == 0)
        at = shuffle(g, at, f->rest);
    else if (strcmp(f->name, "squeeze") == 0)
        at = one(g, "Squeeze", one(g, "Unsqueeze", at, f->rest), f->rest);
    else
        at = skip(g, at, f->rest);
    if (strcmp(f->name, "nearly_whole") == 0)
        return before >= 0 && tall_conv(g, at) >= 0;
    return before >= 0 && conv(g, conv(g, at, 1), 2) >= 0;
}

/* The operator whose windows must not be whole maps; NULL: they may. A window on a seam of a map
 * that repeats around it comes from both ends of the map, and a Relu takes no groups of channels.
 * What only changes shapes has no step of its own; the convolution below tells. */
static const char *cut_type(const fixture *f)
{
    if (f->type)
        return strcmp(f->name, "transpose_channels") == 0 || strcmp(f->name, "pad_seams") == 0 ||
                       strcmp(f->name, "nearly_whole") == 0
                   ? NULL
                   : f->type;
    return strcmp(f->name, "concat") == 0     ? "Concat"
           : strcmp(f->name, "residual") == 0 ? "Add"
           : strcmp(f->name, "split") == 0    ? "Split"
           : strcmp(f->name, "expand") == 0   ? "Expand"
           : strcmp(f->name, "squeeze") == 0  ? "Conv"
           : strcmp(f->name, "shuffle") == 0  ? strstr(f->rest, "Relu") ? NULL : "Transpose"
                                              : "Resize";
}

int operators_check(deconv_ctx *ctx, const char *name, const char *path, bool print)
{
    static random_net g; /* large */
    int made = 0, failed = 0;

    buffers_set_guards(ctx, GUARD_BYTES);
    for (int i = 0; i < FIXTURES; i++) {
        const fixture *f = &fixtures[i];
        net_report r = {.seed = 2 * (uint64_t)i + 2, .cut_type = cut_type(f)};

        if (strcmp(f->name, name) != 0)
            continue;
        made++;
        if (!make(&g, f, 2 * (uint64_t)i + 2)) {
            printf("FAIL %s: '%s' does not fit\n", name, f->rest);
            failed++;
            continue;
        }
        if (print)
            net_print(&g);
        net_check(ctx, &g, path, &r);
        if (r.cut_type && !r.cut_nodes)
            r.failures += printf("FAIL %s: no pass met it\n", name) > 0;
        printf("%s %s: %d checks, %d failed\n", name, f->rest, r.checks, r.failures);
        failed += r.failures > 0;
        net_free(&g);
    }
    if (!made)
        printf("FAIL there is no operator %s here\n", name);
    return made ? failed : 1;
}
