/* The most multiply-adds that a device can do: CHAINS sums in vector registers that do not depend
 * on each other, and nothing else. Each round does UNROLL steps of every chain.
 *
 * LANES   floats in a vector register
 * CHAINS  enough to hide the latency of one (4 cycles on two units: at least 8), few enough to stay
 *         in registers
 */
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#define VEC        CAT(float, LANES)
#define STORE      CAT(vstore, LANES)
#define UNROLL     16

__kernel void ceiling(__global float *restrict out, int rounds, float factor, float term)
{
    const VEC by = (VEC)factor, plus = (VEC)term;
    VEC sum[CHAINS], all = (VEC)0.0f;

    for (int i = 0; i < CHAINS; i++)
        sum[i] = (VEC)((float)(i + (int)get_global_id(0)));
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
#pragma unroll
            for (int i = 0; i < CHAINS; i++)
                sum[i] = fma(sum[i], by, plus);
        }
    }
    for (int i = 0; i < CHAINS; i++)
        all += sum[i];
    STORE(all, get_global_id(0), out);
}
