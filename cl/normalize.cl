/* Batch normalization at inference, and local response normalization across channels.
 *
 *   x, y  [batch][channels / block][inner][block]  input and output
 *   r     [batch][channels / block][inner][block]  signal at y
 *   out   [batch][channels / block][inner][block]  signal at x
 *
 * block 1 is NCHW; lanes past the last channel become zero. One work-item: one element. Global
 * size: (inner x block) x blocks x batch; `flat`, that x all blocks as one number, spread over y
 * and z (launch_planes of lib/ops/broadcast.c).
 */
typedef struct planes {
    int inner, channels, batch, flat;
    int block, blocks;
} planes;

typedef struct place {
    int channel; /* of how many */
    int start;   /* element of channel 0 */
    int at;      /* element of this work-item */
    int lane;    /* past the last channel: an element that is zero */
} place;

/* Element of channel `c` at the position whose channel 0 is element `start`. */
int element(const planes *s, int start, int c)
{
    return start + c / s->block * s->inner * s->block + c % s->block;
}

/* Where this work-item's element is; false when it has none. */
bool find(const planes *s, place *p)
{
    const size_t x = get_global_id(0);
    size_t y = get_global_id(1), z = get_global_id(2);

    if (s->flat) {
        const size_t row = z * get_global_size(1) + y;

        y = row % (size_t)s->blocks;
        z = row / (size_t)s->blocks;
    }
    p->channel = (int)y * s->block + (int)x % s->block;
    p->start = (int)z * s->blocks * s->inner * s->block + (int)x / s->block * s->block;
    p->at = element(s, p->start, p->channel);
    p->lane = p->channel >= s->channels;
    return x < (size_t)s->inner * (size_t)s->block && y < (size_t)s->blocks && z < (size_t)s->batch;
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
        const int c = p.lane ? 0 : p.channel;
        const float value = fma(x[p.at] - mean[c], scale[c] / sqrt(variance[c] + epsilon), bias[c]);

        y[p.at] = p.lane ? 0.0f : value;
    }
}

__kernel void batch_inverse(__global const float *restrict r, __global const float *restrict scale,
                            __global const float *restrict variance, __global float *restrict out,
                            const planes s, const float epsilon)
{
    place p;

    if (find(&s, &p)) {
        const int c = p.lane ? 0 : p.channel;

        out[p.at] = p.lane ? 0.0f : r[p.at] * (scale[c] / sqrt(variance[c] + epsilon));
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
    planes s;
    int below, above;
    float alpha; /* divided by size */
    float beta, bias;
} lrn;

/* base of channel `c` of the position whose channel 0 is x[start]. */
float lrn_base(const lrn *n, __global const float *x, int start, int c)
{
    const int last = min(c + n->above, n->s.channels - 1);
    float sum = 0.0f;

    for (int k = max(c - n->below, 0); k <= last; k++) {
        const float v = x[element(&n->s, start, k)];

        sum = fma(v, v, sum);
    }
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
        y[p.at] = p.lane ? 0.0f : x[p.at] * lrn_factor(&n, lrn_base(&n, x, p.start, p.channel));
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
            const int j = element(&n.s, p.start, k);
            const float base = lrn_base(&n, x, p.start, k);
            const float factor = lrn_factor(&n, base);

            sum = fma(r[j] * x[j], factor / base, sum);
            own = k == c ? factor : own;
        }
        out[p.at] = p.lane ? 0.0f : fma(-2.0f * n.alpha * n.beta * x[p.at], sum, r[p.at] * own);
    }
}
