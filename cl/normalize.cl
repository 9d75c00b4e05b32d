/* Batch normalization at inference, and local response normalization across channels.
 *
 *   x, y  [batch][channels][inner]  input and output
 *   r     [batch][channels][inner]  signal at y
 *   out   [batch][channels][inner]  signal at x
 *
 * One work-item: one element. Global size: inner x channels x batch; `flat`, inner x all channels
 * as one number, spread over y and z (launch_planes of lib/ops/broadcast.c).
 */
typedef struct planes {
    int inner, channels, batch, flat;
} planes;

typedef struct place {
    int channel; /* of how many */
    int start;   /* element of channel 0 */
    int at;      /* element of this work-item */
} place;

/* Where this work-item's element is; false when it has none. */
bool find(const planes *s, place *p)
{
    const size_t x = get_global_id(0);
    size_t y = get_global_id(1), z = get_global_id(2);

    if (s->flat) {
        const size_t row = z * get_global_size(1) + y;

        y = row % (size_t)s->channels;
        z = row / (size_t)s->channels;
    }
    p->channel = (int)y;
    p->start = (int)z * s->channels * s->inner + (int)x;
    p->at = p->start + p->channel * s->inner;
    return x < (size_t)s->inner && y < (size_t)s->channels && z < (size_t)s->batch;
}

/* ---- Batch normalization: y = (x - mean) scale / sqrt(variance + epsilon) + bias ----
 *
 *   scale, bias, mean, variance  [channels]
 */
__kernel void batch_forward(__global const float *restrict x, __global const float *restrict scale,
                            __global const float *restrict bias,
                            __global const float *restrict mean,
                            __global const float *restrict variance, __global float *restrict y,
                            const planes s, const float epsilon)
{
    place p;

    if (find(&s, &p)) {
        const int c = p.channel;

        y[p.at] = fma(x[p.at] - mean[c], scale[c] / sqrt(variance[c] + epsilon), bias[c]);
    }
}

__kernel void batch_inverse(__global const float *restrict r, __global const float *restrict scale,
                            __global const float *restrict variance, __global float *restrict out,
                            const planes s, const float epsilon)
{
    place p;

    if (find(&s, &p))
        out[p.at] = r[p.at] * (scale[p.channel] / sqrt(variance[p.channel] + epsilon));
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
    planes s;
    int below, above;
    float alpha; /* divided by size */
    float beta, bias;
} lrn;

/* base of channel `c` of the column that starts at `x`. */
float lrn_base(const lrn *n, __global const float *x, int c)
{
    const int last = min(c + n->above, n->s.channels - 1);
    float sum = 0.0f;

    for (int k = max(c - n->below, 0); k <= last; k++)
        sum = fma(x[k * n->s.inner], x[k * n->s.inner], sum);
    return fma(n->alpha, sum, n->bias);
}

/* base^-beta; roots where beta is 3/4, as nearly always: pow() is slow. */
float lrn_factor(const lrn *n, float base)
{
    return n->beta == 0.75f ? 1.0f / (sqrt(base) * sqrt(sqrt(base))) : pow(base, -n->beta);
}

__kernel void lrn_forward(__global const float *restrict x, __global float *restrict y, const lrn n)
{
    place p;

    if (find(&n.s, &p))
        y[p.at] = x[p.at] * lrn_factor(&n, lrn_base(&n, x + p.start, p.channel));
}

__kernel void lrn_inverse(__global const float *restrict r, __global const float *restrict x,
                          __global float *restrict out, const lrn n)
{
    place p;

    if (find(&n.s, &p)) {
        const int c = p.channel;
        const int last = min(c + n.below, n.s.channels - 1);
        float sum = 0.0f, own = 0.0f;

        for (int k = max(c - n.above, 0); k <= last; k++) {
            const int j = p.start + k * n.s.inner;
            const float base = lrn_base(&n, x + p.start, k);
            const float factor = lrn_factor(&n, base);

            sum = fma(r[j] * x[j], factor / base, sum);
            own = k == c ? factor : own;
        }
        out[p.at] = fma(-2.0f * n.alpha * n.beta * x[p.at], sum, r[p.at] * own);
    }
}
