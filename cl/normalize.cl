/* Batch normalization at inference, and local response normalization across channels.
 *
 *   x, y  [batch][channels][inner]  input and output
 *   r     [batch][channels][inner]  signal at y
 *   out   [batch][channels][inner]  signal at x
 *
 * One work-item: one element. Global size: inner x batch * channels, rows spread over y and z
 * (launch_rows of lib/ops/broadcast.c).
 */

/* Row and column of this work-item; false when it is outside. */
bool find(int rows, int inner, int *row, int *column)
{
    const size_t y = get_global_id(2) * get_global_size(1) + get_global_id(1);
    const size_t x = get_global_id(0);

    *row = (int)y;
    *column = (int)x;
    return y < (size_t)rows && x < (size_t)inner;
}

/* ---- Batch normalization: y = (x - mean) scale / sqrt(variance + epsilon) + bias ----
 *
 *   scale, bias, mean, variance  [channels]
 *
 * Without inner positions the host makes the channels the columns of a row (`across`), so that
 * neighbouring work-items still read neighbouring elements.
 */
__kernel void batch_forward(__global const float *restrict x, __global const float *restrict scale,
                            __global const float *restrict bias,
                            __global const float *restrict mean,
                            __global const float *restrict variance, __global float *restrict y,
                            const int rows, const int inner, const int channels, const int across,
                            const float epsilon)
{
    int row, column;

    if (find(rows, inner, &row, &column)) {
        const int c = across ? column : row % channels;
        const int i = row * inner + column;
        const float factor = scale[c] / sqrt(variance[c] + epsilon);

        y[i] = fma(x[i] - mean[c], factor, bias[c]);
    }
}

__kernel void batch_inverse(__global const float *restrict r, __global const float *restrict scale,
                            __global const float *restrict variance, __global float *restrict out,
                            const int rows, const int inner, const int channels, const int across,
                            const float epsilon)
{
    int row, column;

    if (find(rows, inner, &row, &column)) {
        const int c = across ? column : row % channels;
        const int i = row * inner + column;

        out[i] = r[i] * (scale[c] / sqrt(variance[c] + epsilon));
    }
}

/* ---- Local response normalization: y_c = x_c / base_c^beta ----
 *
 * base_c = bias + alpha / size times the sum of x^2 over channels c - below .. c + above, as far as
 * they exist. On the way back, with f = base^-beta,
 *
 *   out_c = r_c f_c - 2 beta alpha / size x_c times the sum of r_k x_k f_k / base_k
 *
 * over the channels k that have c in their window: c - above .. c + below.
 */
typedef struct lrn {
    int rows, inner, channels, below, above;
    float alpha; /* divided by size */
    float beta, bias;
} lrn;

/* base of channel `c` of the column that starts at `x`. */
float lrn_base(const lrn *n, __global const float *x, int c)
{
    const int last = min(c + n->above, n->channels - 1);
    float sum = 0.0f;

    for (int k = max(c - n->below, 0); k <= last; k++)
        sum = fma(x[k * n->inner], x[k * n->inner], sum);
    return fma(n->alpha, sum, n->bias);
}

/* base^-beta; roots where beta is 3/4, as nearly always: pow() is slow. */
float lrn_factor(const lrn *n, float base)
{
    return n->beta == 0.75f ? 1.0f / (sqrt(base) * sqrt(sqrt(base))) : pow(base, -n->beta);
}

__kernel void lrn_forward(__global const float *restrict x, __global float *restrict y, const lrn n)
{
    int row, column;

    if (find(n.rows, n.inner, &row, &column)) {
        const int c = row % n.channels;
        const int start = (row - c) * n.inner + column;
        const int i = start + c * n.inner;

        y[i] = x[i] * lrn_factor(&n, lrn_base(&n, x + start, c));
    }
}

__kernel void lrn_inverse(__global const float *restrict r, __global const float *restrict x,
                          __global float *restrict out, const lrn n)
{
    int row, column;

    if (find(n.rows, n.inner, &row, &column)) {
        const int c = row % n.channels;
        const int start = (row - c) * n.inner + column;
        const int i = start + c * n.inner;
        const int last = min(c + n.below, n.channels - 1);
        float sum = 0.0f, own = 0.0f;

        for (int k = max(c - n.above, 0); k <= last; k++) {
            const int j = start + k * n.inner;
            const float base = lrn_base(&n, x + start, k);
            const float factor = lrn_factor(&n, base);

            sum = fma(r[j] * x[j], factor / base, sum);
            own = k == c ? factor : own;
        }
        out[i] = fma(-2.0f * n.alpha * n.beta * x[i], sum, r[i] * own);
    }
}
