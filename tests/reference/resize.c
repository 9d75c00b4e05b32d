/* Resize and Upsample: every output element is a product, over the dimensions, of nearest or linear
 * interpolation. */
#include "reference.h"

#include <math.h>
#include <string.h>

/* How one dimension is resized. */
typedef struct resizing {
    int64_t in, out;
    double scale;
} resizing;

/* The two input positions that an output position lies between, and their weights. */
typedef struct taps {
    int64_t at[2];
    double weight[2];
} taps;

static bool upsample(const ref_case *c)
{
    return c->op == &ref_upsample;
}

static bool read_sizes(ref_case *c, resizing *r)
{
    const ref_attr *scales = ref_find(c->problem, "scales");
    const ref_attr *sizes = ref_find(c->problem, "sizes");
    const ref_attr *axes = ref_find(c->problem, "axes");
    const ref_tensor *x = &c->in[0];
    int count = axes ? axes->count : x->rank;

    for (int d = 0; d < x->rank; d++)
        r[d] = (resizing){.in = x->dim[d], .out = x->dim[d], .scale = 1};
    if (!scales == !sizes || (scales ? scales : sizes)->count != count)
        return ref_error(c, "one of scales and sizes must be given, with %d numbers", count);
    if (scales ? scales->type != REF_FLOATS : sizes->type != REF_INTS)
        return ref_error(c, "scales are floats, sizes integers");
    for (int i = 0; i < count; i++) {
        int d = ref_axis(axes ? axes->ints[i] : i, x->rank);

        if (d < 0)
            return ref_error(c, "axes is out of range");
        r[d].scale = scales ? scales->floats[i] : (double)sizes->ints[i] / (double)r[d].in;
        r[d].out = scales ? (int64_t)floor((double)r[d].in * r[d].scale) : sizes->ints[i];
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

static double coordinate(const ref_case *c, const resizing *r, int64_t x)
{
    bool early = upsample(c) || c->problem->opset < 11;
    const char *mode = early
                           ? "asymmetric"
                           : ref_string(c->problem, "coordinate_transformation_mode", "half_pixel");

    if (r->in == r->out && r->scale == 1)
        return (double)x;
    if (!strcmp(mode, "asymmetric"))
        return (double)x / r->scale;
    if (!strcmp(mode, "align_corners"))
        return r->out > 1 ? (double)(x * (r->in - 1)) / (double)(r->out - 1) : 0;
    if (!strcmp(mode, "pytorch_half_pixel") && r->out == 1)
        return 0;
    return ((double)x + 0.5) / r->scale - 0.5;
}

static double round_to(const ref_case *c, double x)
{
    bool early = upsample(c) || c->problem->opset < 11;
    const char *mode =
        early ? "floor" : ref_string(c->problem, "nearest_mode", "round_prefer_floor");

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

static taps taps_at(const ref_case *c, const resizing *r, int64_t p)
{
    double x = coordinate(c, r, p), low = floor(x);

    if (strcmp(ref_string(c->problem, "mode", "nearest"), "nearest") == 0)
        return (taps){.at = {clamp(round_to(c, x), r->in), 0}, .weight = {1, 0}};
    return (taps){.at = {clamp(low, r->in), clamp(low + 1, r->in)},
                  .weight = {1 - (x - low), x - low}};
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
        ref_index(&c->out[0], o, index);
        for (int d = 0; d < rank; d++)
            t[d] = taps_at(c, &r[d], index[d]);
        for (int corner = 0; corner < 1 << rank; corner++) {
            double weight = 1;

            for (int d = 0; d < rank; d++) {
                from[d] = t[d].at[corner >> d & 1];
                weight *= t[d].weight[corner >> d & 1];
            }
            if (weight > no_weight)
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
