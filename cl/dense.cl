/* Dense layers on CPU devices: one product of matrices, by the struct of gemm.cl.
 *
 *     C[m][n] = alpha sum over k of A[m][k] B[k][n]  + beta bias[m][n]
 *
 *   dense_dots     B's neighbours in k lie side by side (b_k = a_k = 1): y = W x for a weight (N,
 * K). A work-item holds `span` columns of C. Tiles of ROWS x COLUMNS sums run along k in vectors of
 * LANES. dense_columns  B's neighbours in n lie side by side (b_n = c_n = 1): x = W^T y. A
 * work-item holds `span` columns, SPAN at most. RUN rows of B are copied into a panel, tile after
 * tile, which all rows of A then use. dense_row      The same for a single row of C: B goes by
 * once, in rows, and the sums stay in the first cache.
 *
 * Each weight is read from memory once, however many rows C has. The sum of one element is made in
 * an order that the number of rows has no part in, so a row of a batch is what it is alone: in
 * dots, lanes along DEPTH terms, added pairwise, then these sums one by one; in columns and row,
 * one by one along RUN terms, then these sums one by one.
 *
 * LANES      8  4, 8 or 16
 * ROWS       4  rows of C per tile
 * COLUMNS    3  columns of C per tile in dense_dots
 * VECTORS    3  vectors along n per tile in dense_columns
 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef LANES
#define LANES 8
#endif
#ifndef ROWS
#define ROWS 4
#endif
#ifndef COLUMNS
#define COLUMNS 3
#endif
#ifndef VECTORS
#define VECTORS 3
#endif
#define DEPTH           1024
#define RUN             128
#define WIDTH           (VECTORS * LANES)
#define SPAN            384
#define STREAMS         8 /* rows of B at once in dense_row */

#define JOIN2(a, b)     a##b
#define JOIN(a, b)      JOIN2(a, b)
#define vec             JOIN(float, LANES)
#define load_vec(p)     JOIN(vload, LANES)(0, p)
#define store_vec(v, p) JOIN(vstore, LANES)(v, 0, p)

typedef struct gemm_shape {
    int m, n, k;
    int a_m, a_k, b_k, b_n, c_m, c_n, bias_m, bias_n;
    int batch[3], a_batch[3], b_batch[3], c_batch[3];
    int repeat[3], a_repeat[3], b_repeat[3];
    int b_size;
    float alpha, beta;
} gemm_shape;

/* p[0..count-1], then zeros. */
vec load_part(global const float *p, int count)
{
    float lane[LANES];

    for (int i = 0; i < LANES; i++)
        lane[i] = i < count ? p[i] : 0.0f;
    return load_vec(lane);
}

/* The lanes added pairwise. */
float sum_lanes(vec v)
{
#if LANES == 16
    float8 e = v.lo + v.hi;
    float4 q = e.lo + e.hi;
#elif LANES == 8
    float4 q = v.lo + v.hi;
#else
    float4 q = v;
#endif
    float2 d = q.lo + q.hi;
    return d.x + d.y;
}

/* From sums in C to results: columns from..to-1 of every row. */
void finish(const gemm_shape *s, global const float *bias, global float *c, int from, int to)
{
    if (s->alpha == 1.0f && !bias)
        return;
    for (int m = 0; m < s->m; m++) {
        for (int n = from; n < to; n++) {
            float value = c[m * s->c_m + n * s->c_n] * s->alpha;
            if (bias)
                value = fma(s->beta, bias[m * s->bias_m + n * s->bias_n], value);
            c[m * s->c_m + n * s->c_n] = value;
        }
    }
}

/* Adds the products of k in from..to-1 to a tile of C. */
void add_dots(const gemm_shape *s, global const float *a, global const float *b, global float *c,
              int m, int n, int from, int to)
{
    global const float *row[ROWS], *column[COLUMNS];
    vec sum[ROWS][COLUMNS];
    int k = from;

#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        row[i] = a + min(m + i, s->m - 1) * s->a_m;
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = (vec)(0.0f);
    }
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
        column[j] = b + min(n + j, s->n - 1) * s->b_n;
    for (; k + LANES <= to; k += LANES) {
        vec v[COLUMNS];

#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            v[j] = load_vec(column[j] + k);
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            vec av = load_vec(row[i] + k);
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
                sum[i][j] = fma(av, v[j], sum[i][j]);
        }
    }
    if (k < to) {
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            vec av = load_part(row[i] + k, to - k);
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
                sum[i][j] = fma(av, load_part(column[j] + k, to - k), sum[i][j]);
        }
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
            float value = sum_lanes(sum[i][j]);
            if (m + i < s->m && n + j < s->n) {
                global float *p = c + (m + i) * s->c_m + (n + j) * s->c_n;
                *p = from == 0 ? value : *p + value;
            }
        }
    }
}

/* Work-items: strips of n. */
kernel void dense_dots(global const float *a, global const float *b, global const float *bias,
                       global float *c, gemm_shape s, int span)
{
    int first = get_global_id(0) * span, last = min(first + span, s.n);
    if (first >= s.n)
        return;

    for (int k = 0; k < s.k; k += DEPTH) {
        for (int m = 0; m < s.m; m += ROWS) {
            for (int n = first; n < last; n += COLUMNS)
                add_dots(&s, a, b, c, m, n, k, min(k + DEPTH, s.k));
        }
    }
    finish(&s, bias, c, first, last);
}

/* Columns first..last-1 of rows k..k+count-1 of B into panels of WIDTH columns, filled with zeros;
 * along the rows, as they lie in memory. */
void copy_panels(const gemm_shape *s, global const float *b, float *panel, int first, int last,
                 int k, int count)
{
    for (int i = 0; i < count; i++) {
        global const float *p = b + (k + i) * s->b_k;
        float *to = panel + i * WIDTH;

        for (int n = first; n < last; n += WIDTH, to += RUN * WIDTH) {
#pragma unroll
            for (int j = 0; j < VECTORS; j++) {
                int left = last - n - j * LANES;
                vec v = left >= LANES ? load_vec(p + n + j * LANES)
                                      : load_part(p + n + j * LANES, left);
                store_vec(v, to + j * LANES);
            }
        }
    }
}

/* Adds the products with `count` rows of a panel to a tile of C. */
void add_columns(const gemm_shape *s, global const float *a, const float *panel, global float *c,
                 int m, int n, int last, int k, int count)
{
    global const float *row[ROWS];
    vec sum[ROWS][VECTORS];

#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        row[i] = a + min(m + i, s->m - 1) * s->a_m + k * s->a_k;
#pragma unroll
        for (int j = 0; j < VECTORS; j++)
            sum[i][j] = (vec)(0.0f);
    }
    for (int t = 0; t < count; t++) {
        vec v[VECTORS];

#pragma unroll
        for (int j = 0; j < VECTORS; j++)
            v[j] = load_vec(panel + t * WIDTH + j * LANES);
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            vec av = (vec)(row[i][t * s->a_k]);
#pragma unroll
            for (int j = 0; j < VECTORS; j++)
                sum[i][j] = fma(av, v[j], sum[i][j]);
        }
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        if (m + i >= s->m)
            break;
#pragma unroll
        for (int j = 0; j < VECTORS; j++) {
            global float *p = c + (m + i) * s->c_m + n + j * LANES;
            int left = last - n - j * LANES;
            if (left >= LANES) {
                store_vec(k == 0 ? sum[i][j] : load_vec(p) + sum[i][j], p);
            } else {
                float lane[LANES];
                store_vec(sum[i][j], lane);
                for (int l = 0; l < left; l++)
                    p[l] = k == 0 ? lane[l] : p[l] + lane[l];
            }
        }
    }
}

/* Work-items: spans of n. */
kernel void dense_columns(global const float *a, global const float *b, global const float *bias,
                          global float *c, gemm_shape s, int span)
{
    int first = get_global_id(0) * span, last = min(first + span, s.n);
    if (first >= s.n)
        return;

    float panel[(SPAN / WIDTH) * RUN * WIDTH];
    for (int k = 0; k < s.k; k += RUN) {
        int count = min(RUN, s.k - k);

        copy_panels(&s, b, panel, first, last, k, count);
        for (int n = first, t = 0; n < last; n += WIDTH, t++) {
            for (int m = 0; m < s.m; m += ROWS)
                add_columns(&s, a, panel + t * RUN * WIDTH, c, m, n, last, k, count);
        }
    }
    finish(&s, bias, c, first, last);
}

/* sum[0..width-1] plus `streams` rows of B times their factors; inlined, so that `streams` is
 * known.
 */
__attribute__((always_inline)) static void add_rows(float *sum, global const float *b, int step,
                                                    const float *factor, int streams, int width)
{
    int n = 0;

    for (; n + LANES <= width; n += LANES) {
        vec v = load_vec(sum + n);
#pragma unroll
        for (int i = 0; i < streams; i++)
            v = fma((vec)(factor[i]), load_vec(b + i * step + n), v);
        store_vec(v, sum + n);
    }
    for (; n < width; n++) {
        for (int i = 0; i < streams; i++)
            sum[n] = fma(factor[i], b[i * step + n], sum[n]);
    }
}

#define ROW_SPAN 1024

/* Work-items: spans of n. C has one row. */
kernel void dense_row(global const float *a, global const float *b, global const float *bias,
                      global float *c, gemm_shape s, int span)
{
    int first = get_global_id(0) * span, last = min(first + span, s.n);
    if (first >= s.n)
        return;

    float sum[ROW_SPAN];
    for (int from = 0; from < s.k; from += RUN) {
        int to = min(from + RUN, s.k), k = from;
        float factor[STREAMS];

        for (int n = 0; n < last - first; n++)
            sum[n] = 0.0f;
        for (; k + STREAMS <= to; k += STREAMS) {
#pragma unroll
            for (int i = 0; i < STREAMS; i++)
                factor[i] = a[(k + i) * s.a_k];
            add_rows(sum, b + k * s.b_k + first, s.b_k, factor, STREAMS, last - first);
        }
        for (; k < to; k++) {
            factor[0] = a[k * s.a_k];
            add_rows(sum, b + k * s.b_k + first, s.b_k, factor, 1, last - first);
        }
        for (int n = 0; n < last - first; n++)
            c[first + n] = from == 0 ? sum[n] : c[first + n] + sum[n];
    }
    finish(&s, bias, c, first, last);
}
