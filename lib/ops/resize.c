/* Resize (opset 10 and later) and Upsample (7 to 9): nearest, linear and cubic interpolation, which
 * all separate into one sparse map an axis. Here are the maps' weights; axis_map.c runs them. */
#include "axis_map.h"
#include "classes.h"

#include <math.h>
#include <string.h>

typedef enum resize_mode { MODE_NEAREST, MODE_LINEAR, MODE_CUBIC } resize_mode;

typedef enum resize_grid {
    GRID_HALF_PIXEL,
    GRID_HALF_PIXEL_SYMMETRIC,
    GRID_PYTORCH_HALF_PIXEL,
    GRID_TF_HALF_PIXEL_FOR_NN,
    GRID_ASYMMETRIC,
    GRID_ALIGN_CORNERS
} resize_grid;

typedef enum resize_rounding {
    ROUND_PREFER_FLOOR,
    ROUND_PREFER_CEIL,
    ROUND_FLOOR,
    ROUND_CEIL,
    ROUND_BY_SCALE /* up when shrinking, else down: what there was before nearest_mode */
} resize_rounding;

typedef struct sampling {
    resize_mode mode;
    resize_grid grid;
    resize_rounding rounding;
    double cubic_a;
    bool exclude_outside, antialias;
} sampling;

/* One axis: `scale` as given, or out / in with `exact` set, where positions are computed from the
 * two sizes without rounding the quotient first. `width` is the output's size before it was
 * rounded down: 10.5 for 7 x 1.5. */
typedef struct resize_axis {
    int64_t in, out;
    double scale, width;
    bool exact;
} resize_axis;

enum { RESIZE_MODES = 11, RESIZE_FIRST = 10 }; /* opsets */

/* ---- Weights ---- */

static double divide_by_scale(const resize_axis *a, double position)
{
    double quotient = a->exact ? position * (double)a->in / (double)a->out : position / a->scale;
    float rounded = (float)quotient;

    /* A scale is a float: 6 / 1.2f is 4.9999998, and the pixel meant is 5. Exporters and ONNX
     * Runtime divide in float, where it is 5. Halves are pixels of grids that subtract 0.5. */
    return !a->exact && 2.0f * rounded == floorf(2.0f * rounded) ? (double)rounded : quotient;
}

/* The input position that output position `j` looks at. */
static double source_position(const sampling *s, const resize_axis *a, int64_t j)
{
    double in = (double)a->in, out = (double)a->out, x = (double)j;

    switch (s->grid) {
    case GRID_ASYMMETRIC:
        return divide_by_scale(a, x);
    case GRID_ALIGN_CORNERS:
        /* By the fractional width, as ONNX's node tests have it (onnx/onnx#2462). ONNX Runtime
         * takes the size rounded down, and so do the frameworks that networks come from. */
        return j == 0 ? 0.0 : x * (in - 1.0) / (a->width - 1.0);
    case GRID_TF_HALF_PIXEL_FOR_NN:
        return divide_by_scale(a, x + 0.5);
    case GRID_PYTORCH_HALF_PIXEL:
        return a->out == 1 ? 0.0 : divide_by_scale(a, x + 0.5) - 0.5;
    case GRID_HALF_PIXEL_SYMMETRIC:
        return divide_by_scale(a, x + 0.5 - out / 2.0) + in / 2.0 - 0.5;
    case GRID_HALF_PIXEL:
        break;
    }
    return divide_by_scale(a, x + 0.5) - 0.5;
}

static int64_t clamp_index(double index, int64_t n)
{
    return index < 0.0 ? 0 : index > (double)(n - 1) ? n - 1 : (int64_t)index;
}

static double round_position(const sampling *s, const resize_axis *a, double position)
{
    switch (s->rounding) {
    case ROUND_PREFER_FLOOR:
        return ceil(position - 0.5);
    case ROUND_PREFER_CEIL:
        return floor(position + 0.5);
    case ROUND_CEIL:
        return ceil(position);
    case ROUND_BY_SCALE:
        return a->scale < 1.0 ? ceil(position) : floor(position);
    case ROUND_FLOOR:
        break;
    }
    return floor(position);
}

/* The interpolation kernel at distance `x`: a triangle, or the cubic convolution of Keys 1981 with
 * parameter a. */
static double kernel_value(const sampling *s, double x)
{
    double a = s->cubic_a;

    x = fabs(x);
    if (s->mode == MODE_LINEAR)
        return x < 1.0 ? 1.0 - x : 0.0;
    if (x <= 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

/* How far the kernel reaches, in input positions: shrinking with antialias stretches it. */
static double kernel_stretch(const sampling *s, const resize_axis *a)
{
    return s->antialias && a->scale < 1.0 ? a->scale : 1.0;
}

static int64_t kernel_radius(const sampling *s, const resize_axis *a)
{
    return (int64_t)ceil((s->mode == MODE_LINEAR ? 1.0 : 2.0) / kernel_stretch(s, a));
}

/* Adds the row of an output position that looks at `position`. Positions outside the input read its
 * border, or are left out and the others' weights scaled up. */
static void add_weighted_row(const sampling *s, const resize_axis *a, double position,
                             axis_map *map)
{
    double stretch = kernel_stretch(s, a), sum = 0.0, base = floor(position);
    int64_t radius = kernel_radius(s, a);

    for (int pass = 0; pass < 2; pass++) {
        for (int64_t k = -radius; k <= radius + 1; k++) {
            double at = base + (double)k, value = kernel_value(s, (at - position) * stretch);

            if (s->exclude_outside && (at < 0.0 || at > (double)(a->in - 1)))
                continue;
            if (pass == 0)
                sum += value;
            else if (sum != 0.0)
                axis_map_add(map, clamp_index(at, a->in), value / sum);
        }
    }
    axis_map_end_row(map);
}

static deconv_status resize_one_axis(op *op, axis_chain *chain, int axis, const sampling *s,
                                     const resize_axis *a)
{
    axis_map map = {0};
    int64_t most = 1;
    deconv_status status = DECONV_OK;

    if (a->in == a->out && a->scale == 1.0)
        goto done;
    if (s->mode != MODE_NEAREST)
        most = 2 * kernel_radius(s, a) + 2;
    TRY(axis_map_init(op->ctx, &map, a->in, a->out, most < a->in ? most : a->in));
    for (int64_t j = 0; j < a->out; j++) {
        double position = source_position(s, a, j);

        if (s->mode == MODE_NEAREST) {
            axis_map_add(&map, clamp_index(round_position(s, a, position), a->in), 1.0);
            axis_map_end_row(&map);
        } else {
            add_weighted_row(s, a, position, &map);
        }
    }
    TRY(axis_chain_add(op->ctx, chain, axis, &map));
done:
    axis_map_release(op->ctx, &map);
    return status;
}

/* ---- Attributes ---- */

/* The number of the attribute's value in `names`. */
static deconv_status read_choice(const op *op, const char *name, const char *const *names,
                                 int count, int otherwise, int *out)
{
    const char *value;
    char possible[160] = "";
    deconv_status status;

    *out = otherwise;
    TRY(attr_string(op, name, names[otherwise], &value));
    for (int i = 0; i < count; i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = i;
            goto done;
        }
        if (i > 0)
            strncat(possible, ", ", sizeof possible - strlen(possible) - 1);
        strncat(possible, names[i], sizeof possible - strlen(possible) - 1);
    }
    OP_FAIL(op, DECONV_ERROR_UNSUPPORTED, "%s: %s %s is not supported; these are: %s",
            op->class->type, name, value, possible);
done:
    return status;
}

/* Before opset 11 there was one grid, asymmetric, and one way of rounding. */
static deconv_status read_sampling(const op *op, sampling *s)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const grids[] = {"half_pixel",         "half_pixel_symmetric",
                                        "pytorch_half_pixel", "tf_half_pixel_for_nn",
                                        "asymmetric",         "align_corners"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    bool modern = op->opset >= RESIZE_MODES;
    int mode, grid = GRID_ASYMMETRIC, rounding = ROUND_BY_SCALE;
    int64_t exclude = 0, antialias = 0;
    float a = -0.75f;
    deconv_status status;

    TRY(read_choice(op, "mode", modes, modern ? 3 : 2, MODE_NEAREST, &mode));
    if (modern) {
        TRY(read_choice(op, "coordinate_transformation_mode", grids, 6, GRID_HALF_PIXEL, &grid));
        TRY(read_choice(op, "nearest_mode", roundings, 4, ROUND_PREFER_FLOOR, &rounding));
        TRY(attr_int(op, "exclude_outside", 0, &exclude));
        TRY(attr_int(op, "antialias", 0, &antialias));
        TRY(attr_float(op, "cubic_coeff_a", a, &a));
    }
    if (antialias && mode == MODE_NEAREST)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "Resize: antialias goes with mode linear or cubic, not nearest");
    *s = (sampling){.mode = (resize_mode)mode,
                    .grid = (resize_grid)grid,
                    .rounding = (resize_rounding)rounding,
                    .cubic_a = (double)a,
                    .exclude_outside = exclude != 0,
                    .antialias = antialias != 0};
done:
    return status;
}

/* Which dimensions the scales or sizes are for, in their order. */
static deconv_status read_resized_axes(const op *op, int list[DECONV_MAX_RANK], size_t *count)
{
    int rank = op->in_shape[0].rank;
    const int64_t *axes;
    bool seen[DECONV_MAX_RANK] = {false};
    deconv_status status;

    TRY(attr_ints(op, "axes", &axes, count));
    if (!axes)
        *count = (size_t)rank;
    if (*count > (size_t)rank)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Resize of %d dimensions lists %zu axes", rank, *count);
    for (size_t i = 0; i < *count; i++) {
        TRY(axis_resolve(op, "axis", axes ? axes[i] : (int64_t)i, rank, &list[i]));
        if (seen[list[i]])
            OP_FAIL(op, DECONV_ERROR_INVALID, "axis %d is listed twice", list[i]);
        seen[list[i]] = true;
    }
done:
    return status;
}

/* ---- Sizes ---- */

static deconv_status axis_from_scale(const op *op, int axis, float scale, resize_axis *a)
{
    /* In float, as ONNX Runtime multiplies: 10 x 0.7f is 7, not 6.9999999. */
    float width = (float)a->in * scale;
    deconv_status status = DECONV_OK;

    if (!(scale > 0.0f) || !(width >= 1.0f) || width > (float)INT32_MAX)
        OP_FAIL(op, DECONV_ERROR_INVALID, "dimension %d (size %lld) cannot be scaled by %g", axis,
                (long long)a->in, (double)scale);
    if (scale < 1.0f && op->opset < RESIZE_FIRST)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Upsample: scale %g of dimension %d is below 1",
                (double)scale, axis);
    a->scale = (double)scale;
    a->width = (double)width;
    a->out = (int64_t)floorf(width);
done:
    return status;
}

/* One scale for all axes: the smallest (not_larger) or largest (not_smaller) of those wanted. */
static void keep_aspect(bool smallest, const int *list, size_t count, resize_axis *axis)
{
    double scale = axis[list[0]].scale;

    for (size_t i = 1; i < count; i++) {
        double other = axis[list[i]].scale;

        scale = (other < scale) == smallest ? other : scale;
    }
    for (size_t i = 0; i < count; i++) {
        resize_axis *a = &axis[list[i]];

        /* The axis that sets the scale keeps its exact sizes. */
        a->exact = a->scale == scale;
        if (!a->exact) {
            a->width = scale * (double)a->in;
            a->out = (int64_t)(a->width + 0.5);
        }
        a->scale = scale;
    }
}

static deconv_status axes_from_sizes(const op *op, const int64_t *sizes, const int *list,
                                     size_t count, resize_axis *axis)
{
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    int policy;
    deconv_status status;

    TRY(read_choice(op, "keep_aspect_ratio_policy", policies, 3, 0, &policy));
    for (size_t i = 0; i < count; i++) {
        resize_axis *a = &axis[list[i]];

        if (sizes[i] < 1 || sizes[i] > INT32_MAX)
            OP_FAIL(op, DECONV_ERROR_INVALID, "dimension %d cannot be resized to %lld", list[i],
                    (long long)sizes[i]);
        a->out = sizes[i];
        a->width = (double)a->out;
        a->scale = (double)a->out / (double)a->in;
    }
    if (policy != 0 && count > 0)
        keep_aspect(policy == 1, list, count, axis);
done:
    return status;
}

/* Reads scales or sizes into axis[0..rank-1] and the output's shape. */
static deconv_status read_axes(const op *op, resize_axis *axis, shape *out)
{
    const shape *in = &op->in_shape[0];
    const float *scales;
    const int64_t *sizes;
    int64_t dims[DECONV_MAX_RANK];
    int list[DECONV_MAX_RANK];
    size_t count, n_scales, n_sizes;
    bool modern = op->opset >= RESIZE_MODES;
    deconv_status status;

    for (int d = 0; d < in->rank; d++)
        axis[d] = (resize_axis){in->dim[d], in->dim[d], 1.0, (double)in->dim[d], true};
    TRY(read_resized_axes(op, list, &count));
    TRY(param_floats(op, "scales", modern ? 2 : 1, &scales, &n_scales));
    TRY(param_ints(op, "sizes", modern ? 3 : -1, &sizes, &n_sizes));
    if ((n_scales == 0) == (n_sizes == 0) || n_scales + n_sizes != count)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "%s has %zu scales and %zu sizes; it needs %zu of one of them", op->class->type,
                n_scales, n_sizes, count);
    for (size_t i = 0; i < n_scales; i++) {
        axis[list[i]].exact = false;
        TRY(axis_from_scale(op, list[i], scales[i], &axis[list[i]]));
    }
    if (n_sizes)
        TRY(axes_from_sizes(op, sizes, list, count, axis));
    for (int d = 0; d < in->rank; d++)
        dims[d] = axis[d].out;
    TRY(shape_make(op->ctx, op->name, dims, (size_t)in->rank, out));
done:
    return status;
}

/* ---- The operators ---- */

static deconv_status resize_init(op *op)
{
    axis_chain *chain = op->state;
    resize_axis axis[DECONV_MAX_RANK];
    sampling s = {0};
    shape out;
    deconv_status status;

    axis_chain_init(chain, &op->in_shape[0]);
    TRY(read_sampling(op, &s));
    TRY(read_axes(op, axis, &out));
    for (int d = 0; d < out.rank; d++)
        TRY(resize_one_axis(op, chain, d, &s, &axis[d]));
done:
    return status;
}

static deconv_status resize_shape(op *op)
{
    op->out_shape[0] = ((const axis_chain *)op->state)->out;
    return DECONV_OK;
}

#define RESIZE(TYPE, INPUTS, WEIGHTS)                                                              \
    {                                                                                              \
        .type = TYPE, .min_in = 1, .max_in = (INPUTS), .max_out = 1, .weights = (WEIGHTS),         \
        .state_size = sizeof(axis_chain), .init = resize_init, .shape = resize_shape,              \
        .plan = axis_op_plan, .release = axis_op_release, .forward = axis_op_forward,              \
        .inverse = axis_op_inverse, .reach = axis_op_reach, .needs = axis_op_needs,                \
        AXIS_OP_WINDOWS                                                                            \
    }

const op_class op_resize = RESIZE("Resize", 4, 0xe);
const op_class op_upsample = RESIZE("Upsample", 2, 0x2);
