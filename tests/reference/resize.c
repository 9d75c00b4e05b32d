/* Resize and Upsample: every output element is a product, over the dimensions, of interpolations:
 * nearest, linear or cubic (Keys 1981). */
#include "reference.h"

#include <math.h>
#include <string.h>

/* How one dimension is resized. `width` is the output's size before it was rounded down. */
typedef struct resizing {
    int64_t in, out;
    double scale, width;
} resizing;

enum { MOST_TAPS = 32 };

/* The input positions that an output position is interpolated from, and their weights. */
typedef struct taps {
    int count;
    int64_t at[MOST_TAPS];
    double weight[MOST_TAPS];
} taps;

static bool early(const ref_case *c)
{
    return c->op == &ref_upsample || c->problem->opset < 11;
}

static bool has_mode(const ref_case *c, const char *mode)
{
    return strcmp(ref_string(c->problem, "mode", "nearest"), mode) == 0;
}

/* Scales are float32: 6 / 1.2f is 4.9999998 and 10 * 0.7f is 6.9999999, which mean 5 and 7. */
static double meant(double x)
{
    double half = floor(2 * x + 0.5) / 2;

    return fabs(x - half) < 1e-5 ? half : x;
}

static bool read_sizes(ref_case *c, resizing *r)
{
    const ref_attr *scales = ref_find(c->problem, "scales");
    const ref_attr *sizes = ref_find(c->problem, "sizes");
    const ref_attr *axes = ref_find(c->problem, "axes");
    const ref_tensor *x = &c->in[0];
    int count = axes ? axes->count : x->rank;

    for (int d = 0; d < x->rank; d++)
        r[d] = (resizing){x->dim[d], x->dim[d], 1, (double)x->dim[d]};
    if (!scales == !sizes || (scales ? scales : sizes)->count != count)
        return ref_error(c, "one of scales and sizes must be given, with %d numbers", count);
    if (scales ? scales->type != REF_FLOATS : sizes->type != REF_INTS)
        return ref_error(c, "scales are floats, sizes integers");
    for (int i = 0; i < count; i++) {
        int d = ref_axis(axes ? axes->ints[i] : i, x->rank);

        if (d < 0)
            return ref_error(c, "axes is out of range");
        r[d].scale = scales ? scales->floats[i] : (double)sizes->ints[i] / (double)r[d].in;
        r[d].width = scales ? meant((double)r[d].in * r[d].scale) : (double)sizes->ints[i];
        r[d].out = (int64_t)floor(r[d].width);
    }
    return true;
}

static bool shape(ref_case *c)
{
    resizing r[REF_MAX_RANK];
    int64_t dim[REF_MAX_RANK];

    if (!read_sizes(c, r))
        return false;
    for (int d = 0; d < c->in[0].rank; d++)
        dim[d] = r[d].out;
    ref_set_shape(c, 0, c->in[0].rank, dim);
    return true;
}

static double coordinate(const ref_case *c, const resizing *r, double x)
{
    const char *mode = early(c)
                           ? "asymmetric"
                           : ref_string(c->problem, "coordinate_transformation_mode", "half_pixel");

    if (r->in == r->out && r->scale == 1)
        return x;
    if (!strcmp(mode, "asymmetric"))
        return x / r->scale;
    if (!strcmp(mode, "align_corners"))
        return x > 0 ? x * (double)(r->in - 1) / (r->width - 1) : 0;
    if (!strcmp(mode, "tf_half_pixel_for_nn"))
        return (x + 0.5) / r->scale;
    if (!strcmp(mode, "pytorch_half_pixel") && r->out == 1)
        return 0;
    if (!strcmp(mode, "half_pixel_symmetric"))
        return (double)r->in / 2 * (1 - (double)r->out / r->width) + (x + 0.5) / r->scale - 0.5;
    return (x + 0.5) / r->scale - 0.5;
}

static double round_to(const ref_case *c, const resizing *r, double x)
{
    const char *mode = early(c) ? r->scale < 1 ? "ceil" : "floor"
                                : ref_string(c->problem, "nearest_mode", "round_prefer_floor");

    if (!strcmp(mode, "floor"))
        return floor(x);
    if (!strcmp(mode, "ceil"))
        return ceil(x);
    return !strcmp(mode, "round_prefer_ceil") ? floor(x + 0.5) : ceil(x - 0.5);
}

static int64_t clamp(double x, int64_t n)
{
    return x < 0 ? 0 : x > (double)(n - 1) ? n - 1 : (int64_t)x;
}

static double kernel(const ref_case *c, double x)
{
    double a = ref_float(c->problem, "cubic_coeff_a", -0.75);

    x = fabs(x);
    if (has_mode(c, "linear"))
        return x < 1 ? 1 - x : 0;
    if (x < 1)
        return (a + 2) * pow(x, 3) - (a + 3) * pow(x, 2) + 1;
    return x < 2 ? a * pow(x, 3) - 5 * a * pow(x, 2) + 8 * a * x - 4 * a : 0;
}

/* Outside the input is its border, or nothing with exclude_outside. With antialias the kernel of
 * a smaller output is as much wider. Weights add up to 1. */
static taps taps_at(const ref_case *c, const resizing *r, int64_t p)
{
    double x = meant(coordinate(c, r, (double)p)), sum = 0;
    double wide = ref_int(c->problem, "antialias", 0) && r->scale < 1 ? 1 / r->scale : 1;
    bool exclude = ref_int(c->problem, "exclude_outside", 0);
    taps t = {0};

    if (has_mode(c, "nearest"))
        return (taps){1, {clamp(round_to(c, r, x), r->in)}, {1}};
    for (double at = ceil(x - 2 * wide); at <= x + 2 * wide && t.count < MOST_TAPS; at++) {
        double weight = kernel(c, (at - x) / wide);

        if (weight == 0 || (exclude && (at < 0 || at >= (double)r->in)))
            continue;
        t.at[t.count] = clamp(at, r->in);
        t.weight[t.count++] = weight;
        sum += weight;
    }
    for (int i = 0; i < t.count; i++)
        t.weight[i] /= sum;
    return t;
}

/* Neighbours whose weight is nothing but rounding error do not take part. */
static const double no_weight = 1e-9;

static void terms(ref_case *c, ref_sink *sink)
{
    int rank = c->in[0].rank;
    resizing r[REF_MAX_RANK];
    int64_t index[REF_MAX_RANK], from[REF_MAX_RANK];
    taps t[REF_MAX_RANK];

    read_sizes(c, r);
    for (int64_t o = 0; o < c->out[0].count; o++) {
        int64_t all = 1;

        ref_index(&c->out[0], o, index);
        for (int d = 0; d < rank; d++) {
            t[d] = taps_at(c, &r[d], index[d]);
            all *= t[d].count;
        }
        for (int64_t i = 0; i < all; i++) {
            int64_t rest = i;
            double weight = 1;

            for (int d = 0; d < rank; rest /= t[d++].count) {
                from[d] = t[d].at[rest % t[d].count];
                weight *= t[d].weight[rest % t[d].count];
            }
            if (fabs(weight) > no_weight)
                sink->term(sink, 0, ref_flat(&c->in[0], from), 0, o, weight);
        }
    }
}

const ref_op ref_resize = {.type = "Resize",
                           .inputs = {"x"},
                           .fills = "u",
                           .linearity = REF_LINEAR,

                           .shape = shape,
                           .terms = terms};
const ref_op ref_upsample = {.type = "Upsample",
                             .inputs = {"x"},
                             .fills = "u",
                             .linearity = REF_LINEAR,

                             .shape = shape,
                             .terms = terms};
