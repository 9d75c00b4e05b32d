/* Max and average pools, windowed and global. */
#include "reference.h"

#include <math.h>

static bool pool_shape(ref_case *c)
{
    int64_t dim[REF_MAX_RANK] = {c->in[0].dim[0], c->in[0].dim[1]};
    ref_window g;

    if (!ref_window_read(c, NULL, &g))
        return false;
    for (int d = 0; d < g.dims; d++)
        dim[2 + d] = g.out[d];
    ref_set_shape(c, 0, 2 + g.dims, dim);
    return true;
}

static bool global_shape(ref_case *c)
{
    int64_t dim[REF_MAX_RANK] = {c->in[0].dim[0], c->in[0].dim[1], 1, 1, 1};

    if (c->in[0].rank < 3)
        return ref_error(c, "the input has no spatial dimensions");
    ref_set_shape(c, 0, c->in[0].rank, dim);
    return true;
}

/* ---- Max ---- */

/* Position of the first maximum of window p in `plane`, in row-major order; padding is never it.
 * NaN counts as the largest value. -1 for a window of nothing but padding. */
static int64_t window_switch(const ref_window *g, const double *plane, int64_t p)
{
    int64_t best = -1;

    for (int64_t k = 0; k < g->kernel_count; k++) {
        int64_t cell = ref_window_cell(g, p, k);

        if (cell >= 0 &&
            (best < 0 || plane[cell] > plane[best] || (isnan(plane[cell]) && !isnan(plane[best]))))
            best = cell;
    }
    return best;
}

/* y[nc][p] = x[nc][switch] and S[nc][switch] += R[nc][p]. */
static void max_pass(ref_case *c, const ref_window *g, bool inverse)
{
    const ref_tensor *x = &c->in[0];

    for (int64_t o = 0; o < c->out[0].count; o++) {
        int64_t plane = o / g->out_count * g->in_count;
        int64_t cell = window_switch(g, x->at + plane, o % g->out_count);

        if (inverse)
            c->S[0].at[plane + cell] += c->R[0].at[o];
        else
            c->out[0].at[o] = x->at[plane + cell];
    }
}

static void max_forward(ref_case *c)
{
    ref_window g;

    ref_window_read(c, NULL, &g);
    max_pass(c, &g, false);
}

static void max_inverse(ref_case *c)
{
    ref_window g;

    ref_window_read(c, NULL, &g);
    c->terms_in = g.kernel_count;
    max_pass(c, &g, true);
}

/* One window that covers each whole plane. */
static ref_window whole_plane(const ref_case *c)
{
    int64_t cells = ref_span(&c->in[0], 2, c->in[0].rank);

    return (ref_window){.dims = 1,
                        .in = {cells},
                        .out = {1},
                        .kernel = {cells},
                        .stride = {1},
                        .dilation = {1},
                        .in_count = cells,
                        .out_count = 1,
                        .kernel_count = cells};
}

static void global_max_forward(ref_case *c)
{
    ref_window g = whole_plane(c);

    max_pass(c, &g, false);
}

static void global_max_inverse(ref_case *c)
{
    ref_window g = whole_plane(c);

    max_pass(c, &g, true);
}

const ref_op ref_max_pool = {.type = "MaxPool",
                             .inputs = {"x"},
                             .fills = "u",
                             .linearity = REF_LINEAR_FIRST,
                             .shape = pool_shape,
                             .forward = max_forward,
                             .inverse = max_inverse};
const ref_op ref_global_max_pool = {.type = "GlobalMaxPool",
                                    .inputs = {"x"},
                                    .fills = "u",
                                    .linearity = REF_LINEAR_FIRST,
                                    .shape = global_shape,
                                    .forward = global_max_forward,
                                    .inverse = global_max_inverse};

/* ---- Average ---- */

static void average_window(ref_case *c, ref_sink *sink, const ref_window *g, bool with_padding)
{
    bool copy = sink->inverse && c->flags & DECONV_INVERSE_AVERAGE_COPY;

    for (int64_t o = 0; o < c->out[0].count; o++) {
        int64_t plane = o / g->out_count * g->in_count, p = o % g->out_count, inside = 0;

        for (int64_t k = 0; k < g->kernel_count; k++)
            inside += ref_window_cell(g, p, k) >= 0;
        int64_t cells = with_padding ? ref_window_padded_cells(g, p) : inside;

        for (int64_t k = 0; k < g->kernel_count; k++) {
            int64_t cell = ref_window_cell(g, p, k);

            if (cell >= 0)
                sink->term(sink, 0, plane + cell, 0, o, copy ? 1 : 1 / (double)cells);
        }
    }
}

static void average_terms(ref_case *c, ref_sink *sink)
{
    ref_window g;

    ref_window_read(c, NULL, &g);
    average_window(c, sink, &g, ref_int(c->problem, "count_include_pad", 0) != 0);
}

static void global_average_terms(ref_case *c, ref_sink *sink)
{
    ref_window g = whole_plane(c);

    average_window(c, sink, &g, false);
}

const ref_op ref_average_pool = {.type = "AveragePool",
                                 .inputs = {"x"},
                                 .fills = "u",
                                 .flags = DECONV_INVERSE_AVERAGE_COPY,
                                 .linearity = REF_LINEAR,
                                 .shape = pool_shape,
                                 .terms = average_terms};
const ref_op ref_global_average_pool = {.type = "GlobalAveragePool",
                                        .inputs = {"x"},
                                        .fills = "u",
                                        .flags = DECONV_INVERSE_AVERAGE_COPY,
                                        .linearity = REF_LINEAR,
                                        .shape = global_shape,
                                        .terms = global_average_terms};
