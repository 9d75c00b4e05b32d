/* Dense layers and matrix products, every transposition by strides:
 *
 *     C[z][m][n] = alpha sum over r, k of A[z][r][m][k] B[z][r][k][n]  + beta bias[m][n]
 *
 *   z  product of up to three batch dimensions
 *   r  product of up to three dimensions that are summed over: where an operand was broadcast over
 *      a batch dimension, its signal on the way back is the sum along it
 *
 * Every operand is addressed as base + sum of index * stride; a stride of 0 broadcasts.
 *
 *   gemm_columns  B's neighbours in n lie side by side (b_n = 1): a work-item holds ROWS x
 *                 VECTORS*LANES elements of C and runs down k.
 *   gemm_dots     B's neighbours in k lie side by side (b_k = 1): a work-item holds ROWS x COLUMNS
 *                 elements of C as vectors of LANES partial sums along k, added up at the end.
 *
 * In both, one row (ROWS = 1: a dense layer on one picture) reads each weight once, in long runs.
 * gemm_columns closes a partial sum every RUN terms, which keeps rounding small.
 *
 * LANES    16  4, 8 or 16
 * ROWS      4  rows of C per work-item
 * VECTORS   4  vectors along n per work-item in gemm_columns
 * COLUMNS   4  columns of C per work-item in gemm_dots
 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef LANES
#define LANES 16
#endif
#ifndef ROWS
#define ROWS 4
#endif
#ifndef VECTORS
#define VECTORS 4
#endif
#define COLUMNS         4
#define RUN             128

#define JOIN2(a, b)     a##b
#define JOIN(a, b)      JOIN2(a, b)
#define vec             JOIN(float, LANES)
#define load_vec(p)     JOIN(vload, LANES)(0, p)
#define store_vec(v, p) JOIN(vstore, LANES)(v, 0, p)

/* Filled in by lib/ops/product.c, field for field (product.h). */
typedef struct gemm_shape {
    int m, n, k;
    int a_m, a_k, b_k, b_n, c_m, c_n, bias_m, bias_n;
    int batch[3], a_batch[3], b_batch[3], c_batch[3];
    int repeat[3], a_repeat[3], b_repeat[3];
    int b_size; /* elements of B: how far a vector may reach */
    float alpha, beta;
} gemm_shape;

/* Offset of element `index` of a box of three dimensions. */
int offset_of(int index, const int *size, const int *stride)
{
    int inner = index % size[2], rest = index / size[2];
    return inner * stride[2] + rest % size[1] * stride[1] + rest / size[1] * stride[0];
}

/* p[0], p[step], ..., `count` of them, then zeros. */
vec load_part(global const float *p, int step, int count)
{
    float lane[LANES];

    for (int i = 0; i < LANES; i++)
        lane[i] = i < count ? p[i * step] : 0.0f;
    return load_vec(lane);
}

/* alpha value + beta bias into C at m, n */
void finish(const gemm_shape *s, float value, global const float *bias, global float *c, int m,
            int n)
{
    value *= s->alpha;
    if (bias)
        value = fma(s->beta, bias[m * s->bias_m + n * s->bias_n], value);
    c[m * s->c_m + n * s->c_n] = value;
}

/* Work-items: blocks of n, blocks of m, z. */
kernel void gemm_columns(global const float *a, global const float *b, global const float *bias,
                         global float *c, gemm_shape s)
{
    int n = get_global_id(0) * LANES * VECTORS, m = get_global_id(1) * ROWS, z = get_global_id(2);
    if (n >= s.n || m >= s.m || z >= s.batch[0] * s.batch[1] * s.batch[2])
        return;

    int repeats = s.repeat[0] * s.repeat[1] * s.repeat[2];
    vec total[ROWS][VECTORS];

#pragma unroll
    for (int i = 0; i < ROWS; i++) {
#pragma unroll
        for (int j = 0; j < VECTORS; j++)
            total[i][j] = (vec)(0.0f);
    }
    for (int r = 0; r < repeats; r++) {
        int a_at = offset_of(z, s.batch, s.a_batch) + offset_of(r, s.repeat, s.a_repeat);
        int b_at = offset_of(z, s.batch, s.b_batch) + offset_of(r, s.repeat, s.b_repeat) + n;
        int a_row[ROWS];

#pragma unroll
        for (int i = 0; i < ROWS; i++)
            a_row[i] = a_at + min(m + i, s.m - 1) * s.a_m;
        for (int from = 0; from < s.k; from += RUN) {
            int to = min(from + RUN, s.k);
            vec sum[ROWS][VECTORS];

#pragma unroll
            for (int i = 0; i < ROWS; i++) {
#pragma unroll
                for (int j = 0; j < VECTORS; j++)
                    sum[i][j] = (vec)(0.0f);
            }
            for (int k = from; k < to; k++) {
                int b_row = b_at + k * s.b_k;
                vec v[VECTORS];

                /* Lanes beyond n hold whatever B has there: they are not stored. */
#pragma unroll
                for (int j = 0; j < VECTORS; j++) {
                    global const float *p = b + b_row + j * LANES;
                    int left = s.b_size - b_row - j * LANES;
                    v[j] = left >= LANES ? load_vec(p) : load_part(p, 1, left);
                }
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    vec av = (vec)(a[a_row[i] + k * s.a_k]);
#pragma unroll
                    for (int j = 0; j < VECTORS; j++)
                        sum[i][j] = fma(av, v[j], sum[i][j]);
                }
            }
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
#pragma unroll
                for (int j = 0; j < VECTORS; j++)
                    total[i][j] += sum[i][j];
            }
        }
    }

    c += offset_of(z, s.batch, s.c_batch);
    for (int i = 0; i < ROWS && m + i < s.m; i++) {
        for (int j = 0; j < VECTORS; j++) {
            float lane[LANES];
            store_vec(total[i][j], lane);
            for (int l = 0; l < LANES && n + j * LANES + l < s.n; l++)
                finish(&s, lane[l], bias, c, m + i, n + j * LANES + l);
        }
    }
}

/* Work-items: blocks of n, blocks of m, z. */
kernel void gemm_dots(global const float *a, global const float *b, global const float *bias,
                      global float *c, gemm_shape s)
{
    int n = get_global_id(0) * COLUMNS, m = get_global_id(1) * ROWS, z = get_global_id(2);
    if (n >= s.n || m >= s.m || z >= s.batch[0] * s.batch[1] * s.batch[2])
        return;

    int repeats = s.repeat[0] * s.repeat[1] * s.repeat[2];
    vec sum[ROWS][COLUMNS];

#pragma unroll
    for (int i = 0; i < ROWS; i++) {
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = (vec)(0.0f);
    }
    for (int r = 0; r < repeats; r++) {
        int a_at = offset_of(z, s.batch, s.a_batch) + offset_of(r, s.repeat, s.a_repeat);
        int b_at = offset_of(z, s.batch, s.b_batch) + offset_of(r, s.repeat, s.b_repeat);
        global const float *a_row[ROWS], *b_column[COLUMNS];

#pragma unroll
        for (int i = 0; i < ROWS; i++)
            a_row[i] = a + a_at + min(m + i, s.m - 1) * s.a_m;
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            b_column[j] = b + b_at + min(n + j, s.n - 1) * s.b_n;
        for (int k = 0; k < s.k; k += LANES) {
            int left = s.k - k;
            vec va[ROWS], vb[COLUMNS];

#pragma unroll
            for (int i = 0; i < ROWS; i++)
                va[i] = s.a_k == 1 && left >= LANES ? load_vec(a_row[i] + k)
                                                    : load_part(a_row[i] + k * s.a_k, s.a_k, left);
#pragma unroll
            for (int j = 0; j < COLUMNS; j++)
                vb[j] =
                    left >= LANES ? load_vec(b_column[j] + k) : load_part(b_column[j] + k, 1, left);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
#pragma unroll
                for (int j = 0; j < COLUMNS; j++)
                    sum[i][j] = fma(va[i], vb[j], sum[i][j]);
            }
        }
    }

    c += offset_of(z, s.batch, s.c_batch);
    for (int i = 0; i < ROWS && m + i < s.m; i++) {
        for (int j = 0; j < COLUMNS && n + j < s.n; j++) {
            float lane[LANES];
            store_vec(sum[i][j], lane);
            for (int width = LANES / 2; width > 0; width /= 2) {
                for (int l = 0; l < width; l++)
                    lane[l] += lane[l + width];
            }
            finish(&s, lane[0], bias, c, m + i, n + j);
        }
    }
}
