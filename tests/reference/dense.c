/* Gemm and MatMul. */
#include "reference.h"

#include <string.h>

/* ---- Gemm: Y = alpha A' B' + beta C, where ' transposes by attribute ---- */

typedef struct gemm {
    int64_t M, N, K;
    bool trans_a, trans_b;
} gemm;

static gemm gemm_read(const ref_case *c)
{
    bool trans_a = ref_int(c->problem, "transA", 0) != 0;
    bool trans_b = ref_int(c->problem, "transB", 0) != 0;

    return (gemm){.M = c->in[0].dim[trans_a],
                  .K = c->in[0].dim[!trans_a],
                  .N = c->in[1].dim[!trans_b],
                  .trans_a = trans_a,
                  .trans_b = trans_b};
}

static bool gemm_shape(ref_case *c)
{
    gemm g = gemm_read(c);

    if (c->in[0].rank != 2 || c->in[1].rank != 2 || c->in[1].dim[g.trans_b] != g.K)
        return ref_error(c, "a and b are not matrices that fit");
    ref_set_shape(c, 0, 2, (int64_t[]){g.M, g.N});
    return true;
}

static void gemm_terms(ref_case *c, ref_sink *sink)
{
    double alpha = ref_float(c->problem, "alpha", 1);
    gemm g = gemm_read(c);

    for (int64_t m = 0; m < g.M; m++)
        for (int64_t n = 0; n < g.N; n++)
            for (int64_t k = 0; k < g.K; k++)
                sink->term(sink, 0, g.trans_a ? k * g.M + m : m * g.K + k, 0, m * g.N + n,
                           alpha * c->in[1].at[g.trans_b ? n * g.K + k : k * g.N + n]);
}

static void gemm_offset(ref_case *c)
{
    double beta = ref_float(c->problem, "beta", 1);

    for (int64_t o = 0; c->in[2].given && o < c->out[0].count; o++)
        c->out[0].at[o] += beta * c->in[2].at[ref_broadcast_element(&c->in[2], &c->out[0], o)];
}

const ref_op ref_gemm = {.type = "Gemm",
                         .inputs = {"a", "b", "c"},
                         .fills = "uuu",
                         .weights = 1 << 1 | 1 << 2,
                         .linearity = REF_LINEAR,
                         .shape = gemm_shape,
                         .terms = gemm_terms,
                         .offset = gemm_offset};

/* ---- MatMul: NumPy's, with batches that broadcast and vectors as rows or columns ---- */

typedef struct matmul {
    int64_t M, N, K;
    ref_tensor a, b, batch; /* batches only */
} matmul;

/* The dimensions before the matrix; shape {1} where there are none. */
static ref_tensor batch_of(const ref_tensor *t)
{
    ref_tensor batch = {.given = true, .rank = t->rank > 2 ? t->rank - 2 : 1, .dim = {1}};

    if (t->rank > 2)
        memcpy(batch.dim, t->dim, (size_t)batch.rank * sizeof *batch.dim);
    batch.count = ref_span(&batch, 0, batch.rank);
    return batch;
}

static bool matmul_read(ref_case *c, matmul *m)
{
    const ref_tensor *a = &c->in[0], *b = &c->in[1];
    ref_tensor kept = c->out[0];

    m->M = a->rank > 1 ? a->dim[a->rank - 2] : 1;
    m->K = a->dim[a->rank - 1];
    m->N = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    m->a = batch_of(a);
    m->b = batch_of(b);
    if (b->dim[b->rank > 1 ? b->rank - 2 : 0] != m->K)
        return ref_error(c, "the inner sizes differ");
    if (!ref_broadcast_shape(c, &m->a, &m->b))
        return false;
    m->batch = c->out[0];
    m->batch.count = ref_span(&m->batch, 0, m->batch.rank);
    c->out[0] = kept;
    return true;
}

static bool matmul_shape(ref_case *c)
{
    const ref_tensor *a = &c->in[0], *b = &c->in[1];
    int64_t dim[REF_MAX_RANK];
    int rank = 0;
    matmul m;

    if (!b->given || !matmul_read(c, &m))
        return false;
    for (; (a->rank > 2 || b->rank > 2) && rank < m.batch.rank; rank++)
        dim[rank] = m.batch.dim[rank];
    if (a->rank > 1)
        dim[rank++] = m.M;
    if (b->rank > 1)
        dim[rank++] = m.N;
    ref_set_shape(c, 0, rank, dim);
    return true;
}

static void matmul_pass(ref_case *c, bool inverse)
{
    matmul m;

    matmul_read(c, &m);
    c->terms_out = m.K;
    c->terms_in = m.batch.count * (m.M > m.N ? m.M : m.N);
    for (int64_t o = 0; o < m.batch.count * m.M * m.N; o++) {
        int64_t n = o % m.N, row = o / m.N % m.M, batch = o / (m.M * m.N);
        int64_t of_a = ref_broadcast_element(&m.a, &m.batch, batch) * m.M * m.K + row * m.K;
        int64_t of_b = ref_broadcast_element(&m.b, &m.batch, batch) * m.K * m.N + n;

        for (int64_t k = 0; k < m.K; k++) {
            int64_t i = of_a + k, j = of_b + k * m.N;

            if (inverse) {
                c->S[0].at[i] += c->R[0].at[o] * c->in[1].at[j];
                c->S[1].at[j] += c->R[0].at[o] * c->in[0].at[i];
            } else {
                c->out[0].at[o] += c->in[0].at[i] * c->in[1].at[j];
            }
        }
    }
}

static void matmul_forward(ref_case *c)
{
    matmul_pass(c, false);
}

static void matmul_inverse(ref_case *c)
{
    matmul_pass(c, true);
}

const ref_op ref_matmul = {.type = "MatMul",
                           .inputs = {"a", "b"},
                           .fills = "uu",
                           .linearity = REF_LINEAR_FIRST,
                           .shape = matmul_shape,
                           .forward = matmul_forward,
                           .inverse = matmul_inverse};
