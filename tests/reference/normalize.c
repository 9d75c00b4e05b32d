/* BatchNormalization (inference), LRN, Softmax and LogSoftmax. */
#include "reference.h"

#include <math.h>

/* ---- BatchNormalization: y = (x - mean) / sqrt(var + epsilon) scale + bias ---- */

static bool norm_shape(ref_case *c)
{
    for (int i = 1; i < 5; i++)
        if (!c->in[i].given || c->in[i].rank != 1 || c->in[i].dim[0] != c->in[0].dim[1])
            return ref_error(c, "%s must have one value per channel", c->op->inputs[i]);
    ref_same_shape(c);
    return true;
}

static int64_t channel_of(const ref_case *c, int64_t i)
{
    return i / ref_span(&c->in[0], 2, c->in[0].rank) % c->in[0].dim[1];
}

static double norm_factor(const ref_case *c, int64_t channel)
{
    double epsilon = ref_float(c->problem, "epsilon", 1e-5);

    return c->in[1].at[channel] / sqrt(c->in[4].at[channel] + epsilon);
}

static void norm_terms(ref_case *c, ref_sink *sink)
{
    for (int64_t i = 0; i < c->in[0].count; i++)
        sink->term(sink, 0, i, 0, i, norm_factor(c, channel_of(c, i)));
}

static void norm_offset(ref_case *c)
{
    for (int64_t i = 0; i < c->in[0].count; i++) {
        int64_t k = channel_of(c, i);

        c->out[0].at[i] += c->in[2].at[k] - c->in[3].at[k] * norm_factor(c, k);
    }
}

const ref_op ref_batch_normalization = {.type = "BatchNormalization",
                                        .inputs = {"x", "scale", "bias", "mean", "var"},
                                        .fills = "upuup",
                                        .weights = 0x1e,
                                        .linearity = REF_LINEAR,
                                        .shape = norm_shape,
                                        .terms = norm_terms,
                                        .offset = norm_offset};

/* ---- LRN: y = x / (bias + alpha/size sum x^2)^beta over neighbouring channels ---- */

typedef struct lrn {
    int64_t size, channels, inner;
    double alpha, beta, bias;
} lrn;

static lrn lrn_read(const ref_case *c)
{
    return (lrn){.size = ref_int(c->problem, "size", 0),
                 .channels = c->in[0].dim[1],
                 .inner = ref_span(&c->in[0], 2, c->in[0].rank),
                 .alpha = ref_float(c->problem, "alpha", 0.0001),
                 .beta = ref_float(c->problem, "beta", 0.75),
                 .bias = ref_float(c->problem, "bias", 1)};
}

static bool lrn_shape(ref_case *c)
{
    if (ref_int(c->problem, "size", 0) < 1)
        return ref_error(c, "size must be at least 1");
    ref_same_shape(c);
    return true;
}

/* Whether channel `other` is in the region of `channel`. */
static bool in_region(const lrn *l, int64_t channel, int64_t other)
{
    return other >= channel - (l->size - 1) / 2 && other <= channel + l->size / 2;
}

/* bias + alpha/size sum x^2 over the region of element i. */
static double lrn_base(const ref_case *c, const lrn *l, int64_t i)
{
    int64_t channel = i / l->inner % l->channels;
    double sum = 0;

    for (int64_t k = 0; k < l->channels; k++) {
        double x = c->in[0].at[i + (k - channel) * l->inner];

        if (in_region(l, channel, k))
            sum += x * x;
    }
    return l->bias + l->alpha / (double)l->size * sum;
}

static void lrn_forward(ref_case *c)
{
    lrn l = lrn_read(c);

    for (int64_t i = 0; i < c->in[0].count; i++)
        c->out[0].at[i] = c->in[0].at[i] / pow(lrn_base(c, &l, i), l.beta);
}

/* dy[j]/dx[i] = [i = j] base_j^-beta - 2 alpha beta / size x_j x_i base_j^(-beta-1) where i is in
 * the region of j. */
static void lrn_inverse(ref_case *c)
{
    lrn l = lrn_read(c);
    bool derivative = c->flags & DECONV_INVERSE_LRN_DERIVATIVE;

    for (int64_t j = 0; j < c->in[0].count; j++) {
        int64_t channel = j / l.inner % l.channels;
        double base = lrn_base(c, &l, j), R = c->R[0].at[j];

        if (!derivative) {
            c->S[0].at[j] = R;
            continue;
        }
        c->S[0].at[j] += R * pow(base, -l.beta);
        for (int64_t k = 0; k < l.channels; k++) {
            int64_t i = j + (k - channel) * l.inner;

            if (in_region(&l, channel, k))
                c->S[0].at[i] -= R * 2 * l.alpha * l.beta / (double)l.size * c->in[0].at[j] *
                                 c->in[0].at[i] * pow(base, -l.beta - 1);
        }
    }
}

const ref_op ref_lrn = {.type = "LRN",
                        .inputs = {"x"},
                        .fills = "u",
                        .flags = DECONV_INVERSE_LRN_DERIVATIVE,
                        .linearity = REF_NONLINEAR,
                        .shape = lrn_shape,
                        .forward = lrn_forward,
                        .inverse = lrn_inverse};

/* ---- Softmax and LogSoftmax ---- */

/* Element (outer, k, inner) of a row is at (outer * length + k) * step + inner. */
typedef struct rows {
    int64_t outer, length, step;
} rows;

/* From opset 13 on a row runs along `axis` alone; before it was all dimensions from `axis` on. */
static rows rows_read(const ref_case *c)
{
    const ref_tensor *x = &c->in[0];
    bool along = c->problem->opset >= 13;
    int axis = ref_axis(ref_int(c->problem, "axis", along ? -1 : 1), x->rank);

    return (rows){.outer = ref_span(x, 0, axis),
                  .length = along ? x->dim[axis] : ref_span(x, axis, x->rank),
                  .step = along ? ref_span(x, axis + 1, x->rank) : 1};
}

static bool softmax_shape(ref_case *c)
{
    if (ref_axis(ref_int(c->problem, "axis", -1), c->in[0].rank) < 0)
        return ref_error(c, "axis is out of range");
    ref_same_shape(c);
    return true;
}

/* log sum exp of the row that starts at `first`. */
static double log_sum_exp(const ref_case *c, const rows *r, int64_t first)
{
    double largest = -INFINITY, sum = 0;

    for (int64_t k = 0; k < r->length; k++)
        largest = ref_max(largest, c->in[0].at[first + k * r->step]);
    for (int64_t k = 0; k < r->length; k++)
        sum += exp(c->in[0].at[first + k * r->step] - largest);
    return largest + log(sum);
}

static void softmax_forward(ref_case *c)
{
    rows r = rows_read(c);

    for (int64_t row = 0; row < r.outer * r.step; row++) {
        int64_t first = row / r.step * r.length * r.step + row % r.step;
        double total = log_sum_exp(c, &r, first);

        for (int64_t k = 0; k < r.length; k++) {
            int64_t i = first + k * r.step;
            double y = c->in[0].at[i] - total;

            c->out[0].at[i] = c->op == &ref_softmax ? exp(y) : y;
        }
    }
}

/* Gradient of Softmax: S = y (R - sum R y); of LogSoftmax: S = R - softmax sum R. The other rules
 * hand R through. */
static void softmax_inverse(ref_case *c)
{
    rows r = rows_read(c);

    for (int64_t row = 0; row < r.outer * r.step; row++) {
        int64_t first = row / r.step * r.length * r.step + row % r.step;
        double total = log_sum_exp(c, &r, first), sum = 0;

        for (int64_t k = 0; k < r.length; k++) {
            int64_t i = first + k * r.step;

            sum += c->R[0].at[i] * (c->op == &ref_softmax ? exp(c->in[0].at[i] - total) : 1);
        }
        for (int64_t k = 0; k < r.length; k++) {
            int64_t i = first + k * r.step;
            double y = exp(c->in[0].at[i] - total), R = c->R[0].at[i];

            if (c->rule != DECONV_RULE_GRADIENT)
                c->S[0].at[i] = R;
            else
                c->S[0].at[i] = c->op == &ref_softmax ? y * (R - sum) : R - y * sum;
        }
    }
}

const ref_op ref_softmax = {.type = "Softmax",
                            .inputs = {"x"},
                            .fills = "u",
                            .linearity = REF_NONLINEAR,
                            .shape = softmax_shape,
                            .forward = softmax_forward,
                            .inverse = softmax_inverse};
const ref_op ref_log_softmax = {.type = "LogSoftmax",
                                .inputs = {"x"},
                                .fills = "u",
                                .linearity = REF_NONLINEAR,
                                .shape = softmax_shape,
                                .forward = softmax_forward,
                                .inverse = softmax_inverse};
