/* Batch normalization at inference, and local response normalization across channels.
 *
 *   x, y  [batch][channels / block][inner][block]  input and output
 *   r     [batch][channels / block][inner][block]  signal at y
 *   out   [batch][channels / block][inner][block]  signal at x
 *
 * block 1 is NCHW; lanes past the last channel become zero. One work-item: one element. Global
 * size: (inner x block) x blocks x batch; `flat`, that x all blocks as one number, spread over y
 * and z (launch_planes of lib/ops/broadcast.c).
 *
 *   BLOCK  block, 1, 8 or 16: every element divides by it
 */
#ifndef BLOCK
#define BLOCK 1
#endif

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
    return start + c / BLOCK * s->inner * BLOCK + c % BLOCK;
}

/* Where element `x` of this work-item's row is; false when there is none. */
bool find(const planes *s, size_t x, place *p)
{
    size_t y = get_global_id(1), z = get_global_id(2);

    if (s->flat) {
        const size_t row = z * get_global_size(1) + y;

        y = row % (size_t)s->blocks;
        z = row / (size_t)s->blocks;
    }
    p->channel = (int)y * BLOCK + (int)x % BLOCK;
    p->start = (int)z * s->blocks * s->inner * BLOCK + (int)x / BLOCK * BLOCK;
    p->at = element(s, p->start, p->channel);
    p->lane = p->channel >= s->channels;
    return x < (size_t)s->inner * BLOCK && y < (size_t)s->blocks && z < (size_t)s->batch;
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

    if (find(&s, get_global_id(0), &p)) {
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

    if (find(&s, get_global_id(0), &p)) {
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

#if BLOCK > 1
#define LANES BLOCK
#include "lanes.h"

/* Block `b` of channels at a position; zeros where there is none. (Lanes past the last channel may
 * hold anything: Sigmoid leaves 1/2.) */
VEC lrn_block(const lrn *n, __global const float *x, int start, int b)
{
    if (b < 0 || b >= n->s.blocks)
        return (VEC)0.0f;
    return select((VEC)0.0f, LOAD(0, x + start + (size_t)b * n->s.inner * BLOCK),
                  LANE_NUMBERS < (IVEC)(n->s.channels - b * BLOCK));
}

/* lrn_base of the channels of block `b`, in the same order. */
VEC lrn_bases(const lrn *n, __global const float *x, int start, int b)
{
    float near[3 * BLOCK];
    VEC sum = (VEC)0.0f;

    if (n->below > BLOCK || n->above > BLOCK) {
        for (int l = 0; l < BLOCK; l++)
            near[l] = lrn_base(n, x, start, min(b * BLOCK + l, n->s.channels - 1));
        return LOAD(0, near);
    }
    for (int i = 0; i < 3; i++)
        HOLD(lrn_block(n, x, start, b + i - 1), i, near);
    for (int k = BLOCK - n->below; k <= BLOCK + n->above; k++) {
        const VEC v = LOAD(0, near + k);

        sum = fma(v, v, sum);
    }
    return fma((VEC)n->alpha, sum, (VEC)n->bias);
}

VEC lrn_factors(const lrn *n, VEC base)
{
    return n->beta == 0.75f ? (VEC)1.0f / (sqrt(base) * sqrt(sqrt(base)))
                            : pow(base, (VEC)-n->beta);
}

/* One work-item: a block of channels at a position. */
__kernel void lrn_forward(__global const float *restrict x, __global float *restrict y, const lrn n)
{
    place p;

    if (find(&n.s, get_global_id(0) * BLOCK, &p)) {
        const VEC factor = lrn_factors(&n, lrn_bases(&n, x, p.start, p.channel / BLOCK));
        const IVEC there = LANE_NUMBERS < (IVEC)(n.s.channels - p.channel);

        STORE(select((VEC)0.0f, LOAD(0, x + p.at) * factor, there), 0, y + p.at);
    }
}
#else
__kernel void lrn_forward(__global const float *restrict x, __global float *restrict y, const lrn n)
{
    place p;

    if (find(&n.s, get_global_id(0), &p))
        y[p.at] = x[p.at] * lrn_factor(&n, lrn_base(&n, x, p.start, p.channel));
}
#endif

__kernel void lrn_inverse(__global const float *restrict r, __global const float *restrict x,
                          __global float *restrict out, const lrn n)
{
    place p;

    if (find(&n.s, get_global_id(0), &p)) {
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
