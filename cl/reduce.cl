/* Sums over some dimensions of a tensor: what a reduction computes, and what reaches an operand
 * that was repeated along them.
 *
 *   r        the tensor, walked with one step for each kept and each summed dimension
 *   p        factor or divisor of every term, walked likewise with steps of its own; not read by
 *            sum_plain
 *   out      [kept] the sums, when they are made in one go (chunks == 1)
 *   partial  [chunks][kept] otherwise, for sum_chunks
 *   divisor  [kept], may be NULL: each sum is divided by its square
 *
 * One work-item: `chunk` terms of one kept element, in order. How terms are cut into chunks depends
 * on the shapes alone, so a sum is the same on every run and for every group size.
 * Global size: kept x chunks, chunks spread over y and z (launch_rows of lib/ops/broadcast.c).
 */
typedef struct sum_walk {
    int kept, terms, chunk, chunks;
    int kept_size[5], kept_r[5], kept_p[5];
    int size[5], r[5], p[5];
} sum_walk;

/* Scales a finished sum. */
float finished(float sum, __global const float *divisor, int element, float scale)
{
    return divisor ? scale * sum / divisor[element] / divisor[element] : scale * sum;
}

/* Start of the run of terms that term `t` is in: where it is in r and p. */
void find_run(const sum_walk *w, int element, int t, int *at_r, int *at_p)
{
    *at_r = 0;
    *at_p = 0;
    for (int d = 0; d < 5; d++) {
        const int i = element % w->kept_size[d], j = t % w->size[d];

        element /= w->kept_size[d];
        t /= w->size[d];
        *at_r += i * w->kept_r[d] + j * w->r[d];
        *at_p += i * w->kept_p[d] + j * w->p[d];
    }
}

/* ADD: the sum so far and the term at r[at_r] and p[at_p]. */
#define SUM(NAME, ADD)                                                                             \
    __kernel void NAME(__global const float *r, __global const float *p,                           \
                       __global const float *divisor, __global float *out, const sum_walk w,       \
                       const float scale)                                                          \
    {                                                                                              \
        const size_t element = get_global_id(0);                                                   \
        const size_t part = get_global_id(2) * get_global_size(1) + get_global_id(1);              \
                                                                                                   \
        if (element >= (size_t)w.kept || part >= (size_t)w.chunks)                                 \
            return;                                                                                \
                                                                                                   \
        const int first = (int)part * w.chunk;                                                     \
        const int last = first + min(w.chunk, w.terms - first);                                    \
        float sum = 0.0f;                                                                          \
                                                                                                   \
        for (int t = first; t < last;) {                                                           \
            const int run = min(w.size[0] - t % w.size[0], last - t);                              \
            int at_r, at_p;                                                                        \
                                                                                                   \
            find_run(&w, (int)element, t, &at_r, &at_p);                                           \
            for (int k = 0; k < run; k++) {                                                        \
                sum = ADD;                                                                         \
                at_r += w.r[0];                                                                    \
                at_p += w.p[0];                                                                    \
            }                                                                                      \
            t += run;                                                                              \
        }                                                                                          \
        out[part * w.kept + element] =                                                             \
            w.chunks == 1 ? finished(sum, divisor, (int)element, scale) : sum;                     \
    }

SUM(sum_plain, sum + r[at_r])
SUM(sum_times, fma(r[at_r], p[at_p], sum))
SUM(sum_over, sum + r[at_r] / p[at_p])

/* One work-item: one kept element. */
__kernel void sum_chunks(__global const float *restrict partial, __global const float *divisor,
                         __global float *restrict out, const int kept, const int chunks,
                         const float scale)
{
    const size_t element = get_global_id(0);
    float sum = 0.0f;

    if (element >= (size_t)kept)
        return;
    for (int part = 0; part < chunks; part++)
        sum += partial[(size_t)part * kept + element];
    out[element] = finished(sum, divisor, (int)element, scale);
}
