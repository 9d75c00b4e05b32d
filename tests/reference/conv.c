/* Conv and ConvTranspose: both are lists of terms x[n][c][i] w[..][k] -> y[n][m][o]. */
#include "reference.h"

static int64_t groups(const ref_case *c)
{
    return ref_int(c->problem, "group", 1);
}

static bool check_channels(ref_case *c, int64_t x_channels, int64_t group, int64_t out_channels)
{
    const ref_tensor *w = &c->in[1], *b = &c->in[2];

    if (!w->given || w->rank != c->in[0].rank)
        return ref_error(c, "w must have as many dimensions as x");
    if (group < 1 || x_channels != c->in[0].dim[1] || out_channels % group != 0)
        return ref_error(c, "the channels of x and w do not fit the groups");
    if (b->given && (b->rank != 1 || b->dim[0] != out_channels))
        return ref_error(c, "b must have one value per output channel");
    return true;
}

static void set_shape(ref_case *c, int64_t channels, int dims, const int64_t *grid)
{
    int64_t dim[REF_MAX_RANK] = {c->in[0].dim[0], channels};

    for (int d = 0; d < dims; d++)
        dim[2 + d] = grid[d];
    ref_set_shape(c, 0, 2 + dims, dim);
}

static void add_bias(ref_case *c)
{
    ref_tensor *y = &c->out[0];
    int64_t cells = ref_span(y, 2, y->rank);

    for (int64_t o = 0; c->in[2].given && o < y->count; o++)
        y->at[o] += c->in[2].at[o / cells % y->dim[1]];
}

/* ---- Conv: w [M][C/group][kernel] ---- */

static bool conv_shape(ref_case *c)
{
    const ref_tensor *w = &c->in[1];
    ref_window g;

    if (!check_channels(c, w->dim[1] * groups(c), groups(c), w->dim[0]) ||
        !ref_window_read(c, w->dim + 2, &g))
        return false;
    set_shape(c, w->dim[0], g.dims, g.out);
    return true;
}

static void conv_terms(ref_case *c, ref_sink *sink)
{
    const ref_tensor *x = &c->in[0], *w = &c->in[1];
    int64_t C = x->dim[1], M = w->dim[0], per_group = w->dim[1], maps = M / groups(c);
    ref_window g;

    ref_window_read(c, w->dim + 2, &g);
    for (int64_t p = 0; p < g.out_count; p++) {
        for (int64_t k = 0; k < g.kernel_count; k++) {
            int64_t cell = ref_window_cell(&g, p, k);

            for (int64_t nm = 0; cell >= 0 && nm < x->dim[0] * M; nm++) {
                int64_t n = nm / M, m = nm % M, first = m / maps * per_group;

                for (int64_t j = 0; j < per_group; j++)
                    sink->term(sink, 0, (n * C + first + j) * g.in_count + cell, 0,
                               nm * g.out_count + p,
                               w->at[(m * per_group + j) * g.kernel_count + k]);
            }
        }
    }
}

const ref_op ref_conv = {.type = "Conv",
                         .inputs = {"x", "w", "b"},
                         .fills = "uuu",
                         .weights = 1 << 1 | 1 << 2,
                         .linearity = REF_LINEAR,
                         .shape = conv_shape,
                         .terms = conv_terms,
                         .offset = add_bias};

/* ---- ConvTranspose: w [C][M/group][kernel]; x at p goes to the cells of window p ---- */

static bool transpose_shape(ref_case *c)
{
    const ref_tensor *w = &c->in[1];
    ref_window g;

    if (!check_channels(c, w->dim[0], groups(c), w->dim[1] * groups(c)) ||
        !ref_window_read_transposed(c, &g))
        return false;
    if (w->dim[0] % groups(c))
        return ref_error(c, "the channels of x do not divide into the groups");
    set_shape(c, w->dim[1] * groups(c), g.dims, g.in);
    return true;
}

static void transpose_terms(ref_case *c, ref_sink *sink)
{
    const ref_tensor *x = &c->in[0], *w = &c->in[1];
    int64_t C = x->dim[1], maps = w->dim[1], M = maps * groups(c), per_group = C / groups(c);
    ref_window g;

    ref_window_read_transposed(c, &g);
    for (int64_t p = 0; p < g.out_count; p++) {
        for (int64_t k = 0; k < g.kernel_count; k++) {
            int64_t cell = ref_window_cell(&g, p, k);

            for (int64_t nj = 0; cell >= 0 && nj < x->dim[0] * C; nj++) {
                int64_t n = nj / C, j = nj % C, first = j / per_group * maps;

                for (int64_t m = 0; m < maps; m++)
                    sink->term(sink, 0, nj * g.out_count + p, 0,
                               (n * M + first + m) * g.in_count + cell,
                               w->at[(j * maps + m) * g.kernel_count + k]);
            }
        }
    }
}

const ref_op ref_conv_transpose = {.type = "ConvTranspose",
                                   .inputs = {"x", "w", "b"},
                                   .fills = "uuu",
                                   .weights = 1 << 1 | 1 << 2,
                                   .linearity = REF_LINEAR,
                                   .shape = transpose_shape,
                                   .terms = transpose_terms,
                                   .offset = add_bias};
