/* Attributes, sizes and reach of sliding windows. No operator lives here. */
#include "spatial.h"

#include <inttypes.h>
#include <string.h>

static int64_t min_i(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_i(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Division rounded down and up; b > 0. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b > 0);
}

int64_t spatial_extent(int64_t kernel, int64_t dilation)
{
    return (kernel - 1) * dilation + 1;
}

const char *spatial_axis_name(int axes, int axis)
{
    return axes == 1 ? "length" : axis == 0 ? "height" : "width";
}

int64_t spatial_size(const shape *s, int axis)
{
    return s->rank == 3 && axis == 0 ? 1 : s->dim[s->rank - 2 + axis];
}

int spatial_dim(const spatial *s, int axis)
{
    return s->axes == 1 && axis == 0 ? -1 : s->axes + axis;
}

/* ---- Attributes ---- */

/* `count` values of `name`, each from `least` to SPATIAL_MAX. NULL where the attribute is missing.
 */
static deconv_status read_values(const op *op, const char *name, size_t count, int64_t least,
                                 const int64_t **values)
{
    deconv_status status = DECONV_OK;
    size_t given;

    TRY(attr_ints(op, name, values, &given));
    if (given == 0) {
        *values = NULL;
        goto done;
    }
    if (given != count)
        OP_FAIL(op, DECONV_ERROR_INVALID, "%s has %zu values; an input of %d dimensions takes %zu",
                name, given, op->in_shape[0].rank, count);
    for (size_t i = 0; i < count; i++) {
        if ((*values)[i] < least || (*values)[i] > SPATIAL_MAX)
            OP_FAIL(op, DECONV_ERROR_INVALID, "%s has %" PRId64 "; each is %" PRId64 " to %" PRId64,
                    name, (*values)[i], least, SPATIAL_MAX);
    }
done:
    return status;
}

deconv_status spatial_read_list(const op *op, int axes, const char *name, int64_t least,
                                int64_t otherwise, int64_t list[2])
{
    const int64_t *values;
    deconv_status status = DECONV_OK;

    list[0] = list[1] = otherwise;
    TRY(read_values(op, name, (size_t)axes, least, &values));
    for (int i = 0; values && i < axes; i++)
        list[2 - axes + i] = values[i];
done:
    return status;
}

static deconv_status read_pads(const op *op, spatial_attrs *a)
{
    const int64_t *values;
    deconv_status status = DECONV_OK;

    a->pad_begin[0] = a->pad_begin[1] = a->pad_end[0] = a->pad_end[1] = 0;
    if (a->auto_pad != PAD_EXPLICIT)
        goto done;
    TRY(read_values(op, "pads", 2 * (size_t)a->axes, 0, &values));
    for (int i = 0; values && i < a->axes; i++) {
        a->pad_begin[2 - a->axes + i] = values[i];
        a->pad_end[2 - a->axes + i] = values[a->axes + i];
    }
done:
    return status;
}

static deconv_status read_auto_pad(const op *op, auto_pad *out)
{
    static const char *const names[] = {
        [PAD_EXPLICIT] = "NOTSET",
        [PAD_VALID] = "VALID",
        [PAD_SAME_UPPER] = "SAME_UPPER",
        [PAD_SAME_LOWER] = "SAME_LOWER",
    };
    const char *name;
    deconv_status status = DECONV_OK;

    TRY(attr_string(op, "auto_pad", "NOTSET", &name));
    if (!name[0])
        name = "NOTSET";
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (auto_pad)i;
            goto done;
        }
    }
    OP_FAIL(op, DECONV_ERROR_INVALID,
            "auto_pad %.40s does not exist; NOTSET, VALID, SAME_UPPER and SAME_LOWER do", name);
done:
    return status;
}

deconv_status spatial_read(const op *op, spatial_attrs *attrs)
{
    const shape *in = &op->in_shape[0];
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT];
    int64_t ceil_mode;

    if (in->rank < 3)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "an input of shape %s has no positions; it must be (N, C, L) or (N, C, H, W)",
                shape_text(in, text, sizeof text));
    if (in->rank > 4)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "an input of shape %s has %d spatial dimensions; only 1-D and 2-D pictures, (N, C, "
                "L) or (N, C, H, W), are supported",
                shape_text(in, text, sizeof text), in->rank - 2);
    attrs->axes = in->rank - 2;
    TRY(spatial_read_list(op, attrs->axes, "kernel_shape", 1, 0, attrs->kernel));
    if (attrs->axes == 1 && attrs->kernel[1] > 0)
        attrs->kernel[0] = 1;
    TRY(spatial_read_list(op, attrs->axes, "strides", 1, 1, attrs->stride));
    TRY(spatial_read_list(op, attrs->axes, "dilations", 1, 1, attrs->dilation));
    attrs->stride[0] = attrs->axes == 1 ? 1 : attrs->stride[0];
    attrs->dilation[0] = attrs->axes == 1 ? 1 : attrs->dilation[0];
    TRY(read_auto_pad(op, &attrs->auto_pad));
    TRY(read_pads(op, attrs));
    TRY(attr_int(op, "ceil_mode", 0, &ceil_mode));
    attrs->ceil_mode = ceil_mode != 0;
done:
    return status;
}

deconv_status spatial_kernel_from(const op *op, const shape *weights, spatial_attrs *attrs)
{
    deconv_status status = DECONV_OK;
    char text[SHAPE_TEXT];

    if (weights->rank != op->in_shape[0].rank)
        OP_FAIL(op, DECONV_ERROR_INVALID,
                "weights of shape %s do not fit an input of %d dimensions",
                shape_text(weights, text, sizeof text), op->in_shape[0].rank);
    for (int i = 0; i < 2; i++) {
        int64_t size = spatial_size(weights, i);

        if (attrs->kernel[i] && attrs->kernel[i] != size)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "kernel_shape has %s %" PRId64 ", the weights of shape %s have %" PRId64,
                    spatial_axis_name(attrs->axes, i), attrs->kernel[i],
                    shape_text(weights, text, sizeof text), size);
        attrs->kernel[i] = size;
    }
done:
    return status;
}

/* ---- Sizes ---- */

/* Splits the padding that makes `out` windows cover the input, or as much as that takes. */
static void pad_same(spatial_axis *a, bool lower)
{
    int64_t extent = spatial_extent(a->kernel, a->dilation), total;

    a->out = ceil_div(a->in, a->stride);
    total = max_i((a->out - 1) * a->stride + extent - a->in, 0);
    a->pad = lower ? total - total / 2 : total / 2;
    a->pad_end = total - a->pad;
}

/* The number of windows over the padded picture. With ceil_mode the last one may stick out behind,
 * but one that would start behind the picture is dropped, as PyTorch and ONNX opset 22 do. */
static void count_windows(spatial_axis *a, bool ceil_mode)
{
    int64_t room = a->in + a->pad + a->pad_end - spatial_extent(a->kernel, a->dilation);

    a->out = (ceil_mode ? ceil_div(room, a->stride) : floor_div(room, a->stride)) + 1;
    if (ceil_mode && (a->out - 1) * a->stride >= a->in + a->pad)
        a->out--;
}

deconv_status spatial_windows(const op *op, const spatial_attrs *attrs, const shape *in,
                              spatial *out)
{
    deconv_status status = DECONV_OK;

    out->axes = attrs->axes;
    for (int i = 0; i < 2; i++) {
        spatial_axis *a = &out->axis[i];

        *a = (spatial_axis){.in = spatial_size(in, i),
                            .kernel = attrs->kernel[i],
                            .stride = attrs->stride[i],
                            .dilation = attrs->dilation[i],
                            .pad = attrs->pad_begin[i],
                            .pad_end = attrs->pad_end[i]};
        if (attrs->axes == 1 && i == 0)
            a->out = 1;
        else if (attrs->auto_pad == PAD_SAME_UPPER || attrs->auto_pad == PAD_SAME_LOWER)
            pad_same(a, attrs->auto_pad == PAD_SAME_LOWER);
        else
            count_windows(a, attrs->ceil_mode);
        if (a->out < 1)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "input %s %" PRId64 " with padding %" PRId64 " + %" PRId64
                    " is smaller than the kernel: %" PRId64 " with dilation %" PRId64
                    " takes at least %" PRId64,
                    spatial_axis_name(out->axes, i), a->in, a->pad, a->pad_end, a->kernel,
                    a->dilation, spatial_extent(a->kernel, a->dilation));
    }
    TRY(spatial_finish(op, out));
done:
    return status;
}

deconv_status spatial_finish(const op *op, spatial *s)
{
    deconv_status status = DECONV_OK;

    for (int i = 0; i < 2; i++) {
        spatial_axis *a = &s->axis[i];
        const char *name = spatial_axis_name(s->axes, i);
        int64_t extent;

        if (a->out == 1)
            a->stride = 1;
        if (a->kernel == 1)
            a->dilation = 1;
        extent = spatial_extent(a->kernel, a->dilation);
        if (a->in + a->pad + a->pad_end > SPATIAL_MAX || extent > SPATIAL_MAX)
            OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                    "%s %" PRId64 " with padding %" PRId64 " + %" PRId64
                    " under a kernel that spans %" PRId64 "; up to %" PRId64 " are possible",
                    name, a->in, a->pad, a->pad_end, extent, SPATIAL_MAX);
        if (a->stride > SPATIAL_MAX_STRIDE || a->kernel > SPATIAL_MAX_TAPS)
            OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                    "kernel %" PRId64 " with stride %" PRId64 " along the %s; up to %" PRId64
                    " with stride %" PRId64 " are possible",
                    a->kernel, a->stride, name, SPATIAL_MAX_TAPS, SPATIAL_MAX_STRIDE);
    }
done:
    return status;
}

static bool meets_picture(const spatial_axis *a, int64_t o)
{
    int64_t start = o * a->stride - a->pad;
    int64_t tap = start < 0 ? ceil_div(-start, a->dilation) : 0;

    return tap < a->kernel && start + tap * a->dilation < a->in;
}

deconv_status spatial_check_filled(const op *op, const spatial *s)
{
    deconv_status status = DECONV_OK;

    for (int i = 0; i < 2; i++) {
        const spatial_axis *a = &s->axis[i];

        for (int64_t o = 0; o < a->out; o++) {
            int64_t start = o * a->stride - a->pad;

            /* From here on windows start in the picture; only the last can start behind it. */
            if (start >= 0 && start < a->in)
                o = a->out - 1;
            if (!meets_picture(a, o))
                OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                        "window %" PRId64 " of the %s lies wholly in the padding (%" PRId64
                        " + %" PRId64 " around %" PRId64
                        "): a pool over nothing has no value; pad by less than the kernel",
                        o, spatial_axis_name(s->axes, i), a->pad, a->pad_end, a->in);
        }
    }
done:
    return status;
}

/* ---- Which positions meet ---- */

static const span nothing = {0, 0};

/* The outputs that meet the inputs of `in` through tap t, as far as they are in `out`. */
static span outputs_through(const spatial_axis *a, int64_t t, span in, span out)
{
    int64_t shift = a->pad - t * a->dilation;

    return (span){max_i(ceil_div(in.from + shift, a->stride), out.from),
                  min_i(floor_div(in.to - 1 + shift, a->stride) + 1, out.to)};
}

/* The outputs whose windows, gaps included, overlap the inputs of `in`. */
static span overlapping(const spatial_axis *a, span in, span taps)
{
    return (span){
        max_i(ceil_div(in.from + a->pad - (taps.to - 1) * a->dilation, a->stride), 0),
        min_i(floor_div(in.to - 1 + a->pad - taps.from * a->dilation, a->stride) + 1, a->out)};
}

/* Without gaps in the window its borders say it all. With gaps the smallest input need not belong
 * to the first output, nor does every window over an input meet it: then tap by tap. */
span axis_inputs(const spatial_axis *a, span out, span taps)
{
    const span all = {0, a->in};
    span in = {a->in, 0};

    if (out.from >= out.to || taps.from >= taps.to)
        return nothing;
    if (a->dilation == 1) {
        span near = overlapping(a, all, taps);

        near = (span){max_i(out.from, near.from), min_i(out.to, near.to)};
        if (near.from >= near.to)
            return nothing;
        return (span){max_i(near.from * a->stride - a->pad + taps.from, 0),
                      min_i((near.to - 1) * a->stride - a->pad + taps.to, a->in)};
    }
    for (int64_t t = taps.from; t < taps.to; t++) {
        span o = outputs_through(a, t, all, out);
        int64_t shift = t * a->dilation - a->pad;

        if (o.from >= o.to)
            continue;
        in.from = min_i(in.from, o.from * a->stride + shift);
        in.to = max_i(in.to, (o.to - 1) * a->stride + shift + 1);
    }
    return in.from < in.to ? in : nothing;
}

span axis_outputs(const spatial_axis *a, span in, span taps)
{
    const span all = {0, a->out};
    span out = {a->out, 0};

    if (in.from >= in.to || taps.from >= taps.to)
        return nothing;
    if (a->dilation == 1)
        out = overlapping(a, in, taps);
    for (int64_t t = taps.from; a->dilation > 1 && t < taps.to; t++) {
        span o = outputs_through(a, t, in, all);

        if (o.from >= o.to)
            continue;
        out.from = min_i(out.from, o.from);
        out.to = max_i(out.to, o.to);
    }
    return out.from < out.to ? out : nothing;
}

span axis_taps(const spatial_axis *a, span out, span in)
{
    span taps = {0, a->kernel}, o;

    if (in.from >= in.to || out.from >= out.to)
        return nothing;
    for (; taps.from < taps.to; taps.from++) {
        o = outputs_through(a, taps.from, in, out);
        if (o.from < o.to)
            break;
    }
    for (; taps.from < taps.to; taps.to--) {
        o = outputs_through(a, taps.to - 1, in, out);
        if (o.from < o.to)
            break;
    }
    return taps.from < taps.to ? taps : nothing;
}

static box map_positions(const spatial *s, const box *from,
                         span (*meets)(const spatial_axis *, span, span))
{
    box to = *from;

    for (int i = 0; i < 2; i++) {
        const spatial_axis *a = &s->axis[i];
        int d = spatial_dim(s, i);
        span hit;

        if (d < 0)
            continue;
        hit = meets(a, (span){from->from[d], from->to[d]}, (span){0, a->kernel});
        to.from[d] = hit.from;
        to.to[d] = hit.to;
    }
    return box_is_empty(&to) ? box_empty(to.rank) : to;
}

box spatial_inputs(const spatial *s, const box *out)
{
    return map_positions(s, out, axis_inputs);
}

box spatial_outputs(const spatial *s, const box *in)
{
    return map_positions(s, in, axis_outputs);
}

bool spatial_frame(const spatial *s, const shape *in, const window_frame *out,
                   window_frame *in_frame)
{
    window_frame f = *out;

    *in_frame = frame_whole(in);
    if (frame_is_whole(out))
        return true;
    for (int i = 0; i < 2; i++) {
        const spatial_axis *a = &s->axis[i];
        int64_t jump = out->jump[i] * a->stride, offset = out->offset[i] * a->stride - a->pad;
        int64_t size = (out->size[i] - 1) * a->stride + spatial_extent(a->kernel, a->dilation);

        if (jump > SPATIAL_MAX / 64 || offset < -SPATIAL_MAX || offset > SPATIAL_MAX ||
            size > SPATIAL_MAX)
            return false;
        f.jump[i] = (int32_t)jump;
        f.offset[i] = (int32_t)offset;
        f.size[i] = (int32_t)size;
    }
    *in_frame = f;
    return true;
}
