/* Softmax and its logarithm along one dimension.
 *
 *   x, y  [outer][length][inner]  input and output
 *   r     [outer][length][inner]  signal at y
 *   out   [outer][length][inner]  signal at x
 *
 * One work-item: one line of `length` elements, added up in order. Global size: inner x outer, rows
 * spread over y and z (launch_rows of lib/ops/broadcast.c).
 */

/* First element of this work-item's line; -1 when it has none. */
int find(int outer, int length, int inner)
{
    const size_t row = get_global_id(2) * get_global_size(1) + get_global_id(1);
    const size_t column = get_global_id(0);

    if (row >= (size_t)outer || column >= (size_t)inner)
        return -1;
    return (int)row * length * inner + (int)column;
}

/* The largest value; NaN where there is one. */
float largest(__global const float *x, int length, int step)
{
    float most = x[0];

    for (int k = 1; k < length; k++)
        most = x[k * step] <= most ? most : x[k * step];
    return most;
}

__kernel void softmax_forward(__global const float *restrict x, __global float *restrict y,
                              const int outer, const int length, const int inner)
{
    const int start = find(outer, length, inner);
    float most, sum = 0.0f;

    if (start < 0)
        return;
    most = largest(x + start, length, inner);
    for (int k = 0; k < length; k++) {
        const float e = exp(x[start + k * inner] - most);

        y[start + k * inner] = e;
        sum += e;
    }
    for (int k = 0; k < length; k++)
        y[start + k * inner] /= sum;
}

__kernel void log_softmax_forward(__global const float *restrict x, __global float *restrict y,
                                  const int outer, const int length, const int inner)
{
    const int start = find(outer, length, inner);
    float most, sum = 0.0f;

    if (start < 0)
        return;
    most = largest(x + start, length, inner);
    for (int k = 0; k < length; k++)
        sum += exp(x[start + k * inner] - most);
    sum = log(sum);
    for (int k = 0; k < length; k++)
        y[start + k * inner] = x[start + k * inner] - most - sum;
}

/* out = y (r - sum of r y). The lines of y add up to 1, so r may be taken from any origin: from its
 * value where y is largest nothing cancels when y is close to 1 there. */
__kernel void softmax_inverse(__global const float *restrict r, __global const float *restrict y,
                              __global float *restrict out, const int outer, const int length,
                              const int inner)
{
    const int start = find(outer, length, inner);
    int most = start;
    float sum = 0.0f;

    if (start < 0)
        return;
    for (int k = 1; k < length; k++)
        most = y[start + k * inner] > y[most] ? start + k * inner : most;
    for (int k = 0; k < length; k++)
        sum = fma(r[start + k * inner] - r[most], y[start + k * inner], sum);
    for (int k = 0; k < length; k++)
        out[start + k * inner] = y[start + k * inner] * (r[start + k * inner] - r[most] - sum);
}

/* out = r - exp(y) sum of r */
__kernel void log_softmax_inverse(__global const float *restrict r,
                                  __global const float *restrict y, __global float *restrict out,
                                  const int outer, const int length, const int inner)
{
    const int start = find(outer, length, inner);
    float sum = 0.0f;

    if (start < 0)
        return;
    for (int k = 0; k < length; k++)
        sum += r[start + k * inner];
    for (int k = 0; k < length; k++)
        out[start + k * inner] = fma(-exp(y[start + k * inner]), sum, r[start + k * inner]);
}
