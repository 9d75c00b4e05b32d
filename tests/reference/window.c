/* Geometry of sliding windows, as Conv, ConvTranspose and the pools of ONNX define it. */
#include "reference.h"

#include <string.h>

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return -floor_div(-a, b);
}

static bool read_list(ref_case *c, const char *name, int count, int64_t otherwise, int64_t *out)
{
    const ref_attr *a = ref_find(c->problem, name);

    if (a && (a->type != REF_INTS || a->count != count))
        return ref_error(c, "%s must have %d integers", name, count);
    for (int d = 0; d < count; d++)
        out[d] = a ? a->ints[d] : otherwise;
    return true;
}

/* All but pads and g->out. */
static bool read_common(ref_case *c, const int64_t *kernel, ref_window *g)
{
    memset(g, 0, sizeof *g);
    g->dims = c->in[0].rank - 2;
    if (g->dims < 1 || g->dims > REF_MAX_SPATIAL)
        return ref_error(c, "the input has %d spatial dimensions", g->dims);
    if (!read_list(c, "kernel_shape", g->dims, 0, g->kernel) ||
        !read_list(c, "strides", g->dims, 1, g->stride) ||
        !read_list(c, "dilations", g->dims, 1, g->dilation))
        return false;
    for (int d = 0; d < g->dims; d++) {
        if (kernel && g->kernel[d] && g->kernel[d] != kernel[d])
            return ref_error(c, "kernel_shape differs from the weight");
        if (kernel)
            g->kernel[d] = kernel[d];
        if (g->kernel[d] < 1 || g->stride[d] < 1 || g->dilation[d] < 1)
            return ref_error(c, "kernel, stride and dilation must be at least 1");
    }
    return true;
}

static bool finish(ref_case *c, ref_window *g)
{
    g->in_count = g->out_count = g->kernel_count = 1;
    for (int d = 0; d < g->dims; d++) {
        if (g->out[d] < 1 || g->in[d] < 1)
            return ref_error(c, "no window fits in spatial dimension %d", d);
        g->in_count *= g->in[d];
        g->out_count *= g->out[d];
        g->kernel_count *= g->kernel[d];
    }
    return true;
}

/* Splits padding in two; the odd cell goes to the end for SAME_UPPER. */
static void split_padding(ref_window *g, int d, int64_t total, bool odd_at_end)
{
    total = total > 0 ? total : 0;
    g->before[d] = odd_at_end ? total / 2 : total - total / 2;
    g->after[d] = total - g->before[d];
}

bool ref_window_read(ref_case *c, const int64_t *kernel, ref_window *g)
{
    const char *auto_pad = ref_string(c->problem, "auto_pad", "NOTSET");
    bool ceil_mode = ref_int(c->problem, "ceil_mode", 0) != 0;
    int64_t pads[2 * REF_MAX_SPATIAL];

    if (!read_common(c, kernel, g) || !read_list(c, "pads", 2 * g->dims, 0, pads))
        return false;
    for (int d = 0; d < g->dims; d++) {
        int64_t extent = (g->kernel[d] - 1) * g->dilation[d] + 1;

        g->in[d] = c->in[0].dim[2 + d];
        if (!strncmp(auto_pad, "SAME", 4)) {
            g->out[d] = ceil_div(g->in[d], g->stride[d]);
            split_padding(g, d, (g->out[d] - 1) * g->stride[d] + extent - g->in[d],
                          !strcmp(auto_pad, "SAME_UPPER"));
            continue;
        }
        if (strcmp(auto_pad, "VALID") != 0) {
            g->before[d] = pads[d];
            g->after[d] = pads[g->dims + d];
        }
        int64_t room = g->in[d] + g->before[d] + g->after[d] - extent;

        if (room < 0)
            return ref_error(c, "the window is larger than the padded input");
        g->out[d] = (ceil_mode ? ceil_div(room, g->stride[d]) : room / g->stride[d]) + 1;
        /* A window that starts beyond input and left padding is left out. */
        if (ceil_mode && (g->out[d] - 1) * g->stride[d] >= g->in[d] + g->before[d])
            g->out[d]--;
    }
    return finish(c, g);
}

bool ref_window_read_transposed(ref_case *c, ref_window *g)
{
    const char *auto_pad = ref_string(c->problem, "auto_pad", "NOTSET");
    const ref_attr *size = ref_find(c->problem, "output_shape");
    bool same = !strncmp(auto_pad, "SAME", 4);
    int64_t pads[2 * REF_MAX_SPATIAL], extra[REF_MAX_SPATIAL];

    if (!read_common(c, c->in[1].dim + 2, g) || !read_list(c, "pads", 2 * g->dims, 0, pads) ||
        !read_list(c, "output_padding", g->dims, 0, extra))
        return false;
    for (int d = 0; d < g->dims; d++) {
        int64_t steps = c->in[0].dim[2 + d];
        int64_t full =
            g->stride[d] * (steps - 1) + extra[d] + (g->kernel[d] - 1) * g->dilation[d] + 1;

        g->out[d] = steps;
        if (size || same) {
            g->in[d] = size ? size->ints[d] : steps * g->stride[d];
            split_padding(g, d, full - g->in[d], !strcmp(auto_pad, "SAME_UPPER"));
            continue;
        }
        if (strcmp(auto_pad, "VALID") != 0) {
            g->before[d] = pads[d];
            g->after[d] = pads[g->dims + d];
        }
        g->in[d] = full - g->before[d] - g->after[d];
    }
    return finish(c, g);
}

int64_t ref_window_cell(const ref_window *g, int64_t p, int64_t k)
{
    int64_t cell = 0, scale = 1;

    for (int d = g->dims - 1; d >= 0; d--) {
        int64_t at =
            p % g->out[d] * g->stride[d] - g->before[d] + k % g->kernel[d] * g->dilation[d];

        if (at < 0 || at >= g->in[d])
            return -1;
        cell += at * scale;
        scale *= g->in[d];
        p /= g->out[d];
        k /= g->kernel[d];
    }
    return cell;
}

int64_t ref_window_padded_cells(const ref_window *g, int64_t p)
{
    int64_t cells = 1;

    for (int d = g->dims - 1; d >= 0; d--) {
        int64_t inside = 0;

        for (int64_t k = 0; k < g->kernel[d]; k++)
            inside += p % g->out[d] * g->stride[d] + k * g->dilation[d] <
                      g->before[d] + g->in[d] + g->after[d];
        cells *= inside;
        p /= g->out[d];
    }
    return cells;
}
