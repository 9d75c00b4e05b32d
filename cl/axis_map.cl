/* y = M x along one axis: every output position is a weighted sum of a few input positions. M is
 * sparse, in compressed rows; its transpose is the adjoint, applied by the same kernel.
 *
 *   x       [outer][in_len][inner]
 *   y       [outer][out_len][inner]
 *   start   [out_len + 1]  row j has the entries start[j] .. start[j + 1] - 1
 *   index   input position of an entry
 *   weight  its weight
 *
 * One work-item: one output element, summed in the order of its row. Global size: inner x out_len x
 * outer; along the last dimension, where inner is 1, out_len x outer.
 */
__kernel void axis_map(__global const float *restrict x, __global float *restrict y,
                       __global const int *restrict start, __global const int *restrict index,
                       __global const float *restrict weight, const int outer, const int in_len,
                       const int out_len, const int inner)
{
    const int last = inner == 1;
    const int i = last ? 0 : get_global_id(0);
    const int j = last ? get_global_id(0) : get_global_id(1);
    const int o = last ? get_global_id(1) : get_global_id(2);

    if (i >= inner || j >= out_len || o >= outer)
        return;

    __global const float *line = x + o * in_len * inner + i;
    const int end = start[j + 1];
    float sum = 0.0f;

    for (int e = start[j]; e < end; e++)
        sum = fma(weight[e], line[index[e] * inner], sum);
    y[(o * out_len + j) * inner + i] = sum;
}
