/* Elementwise functions of one operand. Each is a pair of formulas, f and f'; the rules are applied
 * to all of them in one place. At a kink f' is the derivative from the left. */
#include "reference.h"

#include <math.h>

/* The numbers a function is made with; alpha is the slope at this element for PRelu. */
typedef struct params {
    double alpha, beta;
} params;

typedef double (*formula)(double x, params p);

static const double pi = 3.14159265358979323846;

static double relu(double x, params p)
{
    (void)p;
    return x > 0 ? x : 0;
}

static double relu_slope(double x, params p)
{
    (void)p;
    return x > 0 ? 1 : 0;
}

static double leaky(double x, params p)
{
    return x > 0 ? x : p.alpha * x;
}

static double leaky_slope(double x, params p)
{
    return x > 0 ? 1 : p.alpha;
}

static double elu(double x, params p)
{
    return x > 0 ? x : p.alpha * (exp(x) - 1);
}

static double elu_slope(double x, params p)
{
    return x > 0 ? 1 : p.alpha * exp(x);
}

/* beta is the ONNX gamma. */
static double selu(double x, params p)
{
    return p.beta * (x > 0 ? x : p.alpha * (exp(x) - 1));
}

static double selu_slope(double x, params p)
{
    return p.beta * (x > 0 ? 1 : p.alpha * exp(x));
}

static double celu(double x, params p)
{
    return x > 0 ? x : p.alpha * (exp(x / p.alpha) - 1);
}

static double celu_slope(double x, params p)
{
    return x > 0 ? 1 : exp(x / p.alpha);
}

static double sigmoid(double x, params p)
{
    (void)p;
    return 1 / (1 + exp(-x));
}

static double sigmoid_slope(double x, params p)
{
    return sigmoid(x, p) * sigmoid(-x, p);
}

static double tanh_of(double x, params p)
{
    (void)p;
    return tanh(x);
}

static double tanh_slope(double x, params p)
{
    (void)p;
    return 1 / (cosh(x) * cosh(x));
}

static double softplus(double x, params p)
{
    (void)p;
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double softsign(double x, params p)
{
    (void)p;
    return x / (1 + fabs(x));
}

static double softsign_slope(double x, params p)
{
    (void)p;
    return 1 / ((1 + fabs(x)) * (1 + fabs(x)));
}

static double hard_sigmoid(double x, params p)
{
    return fmax(0, fmin(1, p.alpha * x + p.beta));
}

static double hard_sigmoid_slope(double x, params p)
{
    double y = p.alpha * x + p.beta;

    return y > 0 && y < 1 ? p.alpha : 0;
}

static double hard_swish(double x, params p)
{
    (void)p;
    return x * fmax(0, fmin(1, x / 6 + 0.5));
}

static double hard_swish_slope(double x, params p)
{
    (void)p;
    return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
}

static double mish(double x, params p)
{
    return x * tanh(softplus(x, p));
}

static double mish_slope(double x, params p)
{
    double s = softplus(x, p);

    return tanh(s) + x * tanh_slope(s, p) * sigmoid(x, p);
}

static double gelu(double x, params p)
{
    (void)p;
    return x * 0.5 * (1 + erf(x / sqrt(2)));
}

static double gelu_slope(double x, params p)
{
    (void)p;
    return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(2 * pi);
}

static double gelu_tanh(double x, params p)
{
    (void)p;
    return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
}

static double gelu_tanh_slope(double x, params p)
{
    double u = sqrt(2 / pi) * (x + 0.044715 * x * x * x);
    double du = sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x);

    return 0.5 * (1 + tanh(u)) + 0.5 * x * tanh_slope(u, p) * du;
}

/* alpha is the ONNX min, beta the max. */
static double clip(double x, params p)
{
    return x < p.alpha ? p.alpha : x > p.beta ? p.beta : x;
}

static double clip_slope(double x, params p)
{
    return x > p.alpha && x < p.beta ? 1 : 0;
}

static double erf_of(double x, params p)
{
    (void)p;
    return erf(x);
}

static double erf_slope(double x, params p)
{
    (void)p;
    return 2 / sqrt(pi) * exp(-x * x);
}

static double thresholded(double x, params p)
{
    return x > p.alpha ? x : 0;
}

static double thresholded_slope(double x, params p)
{
    return x > p.alpha ? 1 : 0;
}

/* ---- Plain arithmetic ---- */

static double exp_of(double x, params p)
{
    (void)p;
    return exp(x);
}

static double sqrt_of(double x, params p)
{
    (void)p;
    return sqrt(x);
}

static double sqrt_slope(double x, params p)
{
    (void)p;
    return 0.5 / sqrt(x);
}

static double abs_of(double x, params p)
{
    (void)p;
    return fabs(x);
}

static double abs_slope(double x, params p)
{
    (void)p;
    return x > 0 ? 1 : -1;
}

static double negative(double x, params p)
{
    (void)p;
    return -x;
}

static double negative_slope(double x, params p)
{
    (void)x;
    (void)p;
    return -1;
}

static double reciprocal(double x, params p)
{
    (void)p;
    return 1 / x;
}

static double reciprocal_slope(double x, params p)
{
    (void)p;
    return -1 / (x * x);
}

/* alpha is the exponent at this element. */
static double power(double x, params p)
{
    return pow(x, p.alpha);
}

static double power_slope(double x, params p)
{
    return p.alpha * pow(x, p.alpha - 1);
}

/* ---- One pass for all ---- */

typedef struct activation {
    const ref_op *op;
    formula f, slope;
    const char *alpha, *beta; /* attribute names, NULL where there is none */
    params otherwise;
} activation;

static const activation activations[] = {
    {&ref_relu, relu, relu_slope, NULL, NULL, {0, 0}},
    {&ref_leaky_relu, leaky, leaky_slope, "alpha", NULL, {0.01, 0}},
    {&ref_prelu, leaky, leaky_slope, NULL, NULL, {0, 0}},
    {&ref_elu, elu, elu_slope, "alpha", NULL, {1, 0}},
    {&ref_selu,
     selu,
     selu_slope,
     "alpha",
     "gamma",
     {1.67326319217681884765625, 1.05070102214813232421875}},
    {&ref_celu, celu, celu_slope, "alpha", NULL, {1, 0}},
    {&ref_sigmoid, sigmoid, sigmoid_slope, NULL, NULL, {0, 0}},
    {&ref_tanh, tanh_of, tanh_slope, NULL, NULL, {0, 0}},
    {&ref_softplus, softplus, sigmoid, NULL, NULL, {0, 0}},
    {&ref_softsign, softsign, softsign_slope, NULL, NULL, {0, 0}},
    {&ref_hard_sigmoid, hard_sigmoid, hard_sigmoid_slope, "alpha", "beta", {0.2, 0.5}},
    {&ref_hard_swish, hard_swish, hard_swish_slope, NULL, NULL, {0, 0}},
    {&ref_mish, mish, mish_slope, NULL, NULL, {0, 0}},
    {&ref_gelu, gelu, gelu_slope, NULL, NULL, {0, 0}},
    {&ref_clip, clip, clip_slope, "min", "max", {-INFINITY, INFINITY}},
    {&ref_erf, erf_of, erf_slope, NULL, NULL, {0, 0}},
    {&ref_thresholded_relu, thresholded, thresholded_slope, "alpha", NULL, {1, 0}},
    {&ref_exp, exp_of, exp_of, NULL, NULL, {0, 0}},
    {&ref_sqrt, sqrt_of, sqrt_slope, NULL, NULL, {0, 0}},
    {&ref_abs, abs_of, abs_slope, NULL, NULL, {0, 0}},
    {&ref_neg, negative, negative_slope, NULL, NULL, {0, 0}},
    {&ref_reciprocal, reciprocal, reciprocal_slope, NULL, NULL, {0, 0}},
    {&ref_pow, power, power_slope, NULL, NULL, {0, 0}},
};

static activation find(const ref_case *c)
{
    activation a = activations[0];

    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (activations[i].op == c->op)
            a = activations[i];
    if (a.alpha)
        a.otherwise.alpha = ref_float(c->problem, a.alpha, a.otherwise.alpha);
    if (a.beta)
        a.otherwise.beta = ref_float(c->problem, a.beta, a.otherwise.beta);
    if (c->op == &ref_gelu && *ref_string(c->problem, "approximate", "none") == 't') {
        a.f = gelu_tanh;
        a.slope = gelu_tanh_slope;
    }
    return a;
}

static params params_at(const ref_case *c, const activation *a, int64_t i)
{
    params p = a->otherwise;

    if (c->in[1].given)
        p.alpha = c->in[1].at[ref_broadcast_element(&c->in[1], &c->in[0], i)];
    return p;
}

static bool same_shape(ref_case *c)
{
    ref_same_shape(c);
    return true;
}

static bool broadcast_shape(ref_case *c)
{
    if (!c->in[1].given || !ref_broadcast_shape(c, &c->in[0], &c->in[1]))
        return ref_error(c, "%s does not broadcast to x", c->op->inputs[1]);
    for (int d = 0; d < c->in[0].rank; d++)
        if (c->out[0].rank != c->in[0].rank || c->out[0].dim[d] != c->in[0].dim[d])
            return ref_error(c, "%s is larger than x", c->op->inputs[1]);
    return true;
}

static void forward(ref_case *c)
{
    activation a = find(c);

    for (int64_t i = 0; i < c->in[0].count; i++) {
        double x = c->in[0].at[i];

        c->out[0].at[i] = isnan(x) ? x : a.f(x, params_at(c, &a, i));
    }
}

static void inverse(ref_case *c)
{
    activation a = find(c);
    bool apply_f = c->flags & DECONV_INVERSE_APPLY_F && c->op != &ref_relu;
    /* Arithmetic is no nonlinearity that a rule treats in its own way: always the derivative. */
    deconv_rule rule = c->op->flags ? c->rule : DECONV_RULE_GRADIENT;

    for (int64_t i = 0; i < c->in[0].count; i++) {
        double x = c->in[0].at[i], R = c->R[0].at[i], S = 0;
        params p = params_at(c, &a, i);

        switch (rule) {
        case DECONV_RULE_GRADIENT:
            S = R * a.slope(x, p);
            break;
        case DECONV_RULE_GUIDED:
            S = fmax(R, 0) * a.slope(x, p);
            break;
        default:
            S = apply_f ? a.f(R, p) : fmax(R, 0);
        }
        c->S[0].at[i] = S;
    }
}

#define FUNCTION(variable, name, how, fill, rule_flags)                                            \
    const ref_op variable = {.type = (name),                                                       \
                             .inputs = {"x"},                                                      \
                             .fills = (fill),                                                      \
                             .flags = (rule_flags),                                                \
                             .linearity = (how),                                                   \
                             .shape = same_shape,                                                  \
                             .forward = forward,                                                   \
                             .inverse = inverse}
#define ACTIVATION(variable, name, how) FUNCTION(variable, name, how, "u", DECONV_INVERSE_APPLY_F)

ACTIVATION(ref_relu, "Relu", REF_LINEAR_FIRST);
ACTIVATION(ref_leaky_relu, "LeakyRelu", REF_LINEAR_FIRST);
ACTIVATION(ref_elu, "Elu", REF_NONLINEAR);
ACTIVATION(ref_selu, "Selu", REF_NONLINEAR);
ACTIVATION(ref_celu, "Celu", REF_NONLINEAR);
ACTIVATION(ref_sigmoid, "Sigmoid", REF_NONLINEAR);
ACTIVATION(ref_tanh, "Tanh", REF_NONLINEAR);
ACTIVATION(ref_softplus, "Softplus", REF_NONLINEAR);
ACTIVATION(ref_softsign, "Softsign", REF_NONLINEAR);
ACTIVATION(ref_hard_sigmoid, "HardSigmoid", REF_NONLINEAR);
ACTIVATION(ref_hard_swish, "HardSwish", REF_NONLINEAR);
ACTIVATION(ref_mish, "Mish", REF_NONLINEAR);
ACTIVATION(ref_gelu, "Gelu", REF_NONLINEAR);
ACTIVATION(ref_clip, "Clip", REF_NONLINEAR);
ACTIVATION(ref_erf, "Erf", REF_NONLINEAR);
ACTIVATION(ref_thresholded_relu, "ThresholdedRelu", REF_LINEAR_FIRST);
FUNCTION(ref_exp, "Exp", REF_NONLINEAR, "u", 0);
FUNCTION(ref_sqrt, "Sqrt", REF_NONLINEAR, "p", 0);
FUNCTION(ref_abs, "Abs", REF_LINEAR_FIRST, "u", 0);
FUNCTION(ref_neg, "Neg", REF_LINEAR_FIRST, "u", 0);
FUNCTION(ref_reciprocal, "Reciprocal", REF_NONLINEAR, "d", 0);

const ref_op ref_prelu = {.type = "PRelu",
                          .inputs = {"x", "slope"},
                          .fills = "uu",
                          .weights = 1 << 1,
                          .flags = DECONV_INVERSE_APPLY_F,
                          .linearity = REF_LINEAR_FIRST,
                          .shape = broadcast_shape,
                          .forward = forward,
                          .inverse = inverse};
const ref_op ref_pow = {.type = "Pow",
                        .inputs = {"x", "exponent"},
                        .fills = "be",
                        .weights = 1 << 1,
                        .linearity = REF_NONLINEAR,
                        .shape = broadcast_shape,
                        .forward = forward,
                        .inverse = inverse};
