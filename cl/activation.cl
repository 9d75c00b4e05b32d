/* Elementwise nonlinearities y = f(x) and their way back.
 *
 *   x, y  [count]  input and output of f
 *   r     [count]  signal at y
 *   out   [count]  signal at x
 *   a, b           the function's parameters, in the order of lib/ops/activation.c
 *
 * One work-item: one element. Every function NAME has kernels NAME_forward and NAME_inverse of its
 * own in this one program: a switch over functions inside one kernel keeps PoCL 3.1 from
 * vectorizing it and costs a factor of ten. For the same reason erf, erfc, log1p and expm1 are not
 * the built-in ones, which it calls element by element, but the polynomials below.
 *
 * All formulas hold for every finite x: exp() is taken only of what is not positive, and nothing
 * small is found as the difference of two large numbers.
 */

/* max(v, 0), with NaN kept and no negative zero. */
float rectified(float v)
{
    return v <= 0.0f ? 0.0f : v;
}

/* ---- Special functions, each to about 2e-7 of its value ---- */

/* exp(x) - 1 for x <= 0 */
float expm1_of(float x)
{
    float p = 0.00112163462f;

    p = fma(p, x, 0.00818738528f);
    p = fma(p, x, 0.0416290872f);
    p = fma(p, x, 0.166662246f);
    p = fma(p, x, 0.499999821f);
    p = fma(p, x, 1.0f);
    return x < -0.5f ? exp(x) - 1.0f : x * p;
}

/* log(1 + x) for 0 <= x <= 1 */
float log1p_of(float x)
{
    float p = -0.00324398093f;

    p = fma(p, x, 0.0198512617f);
    p = fma(p, x, -0.0569591597f);
    p = fma(p, x, 0.106036171f);
    p = fma(p, x, -0.153055698f);
    p = fma(p, x, 0.196759313f);
    p = fma(p, x, -0.249541327f);
    p = fma(p, x, 0.333299637f);
    p = fma(p, x, -0.499999017f);
    p = fma(p, x, 1.0f);
    return x * p;
}

/* exp(-x^2) for x >= 0, with the rounding error of the square put back. */
float exp_minus_square(float x)
{
    const float z =
        x > 20.0f ? 20.0f : x; /* beyond 11 the result is 0, and x^2 must not overflow */
    const float square = z * z;

    return exp(-square) * (1.0f - fma(z, z, -square));
}

/* erfc(x) for x >= 0: exp(-x^2) times t p(t), t = 1 / (1 + 0.45 x) */
float erfc_of(float x)
{
    const float t = 1.0f / fma(0.45f, x, 1.0f);
    float p = -0.0413920432f;

    p = fma(p, t, 0.190691933f);
    p = fma(p, t, -0.3005898f);
    p = fma(p, t, 0.142408103f);
    p = fma(p, t, -0.0223620348f);
    p = fma(p, t, 0.119951837f);
    p = fma(p, t, 0.175251856f);
    p = fma(p, t, 0.228271678f);
    p = fma(p, t, 0.253883153f);
    p = fma(p, t, 0.253885329f);
    return exp_minus_square(x) * t * p;
}

float erf_of(float x)
{
    const float s = x * x;
    float p = 7.85385782e-05f;

    p = fma(p, s, -0.000801019254f);
    p = fma(p, s, 0.00518832775f);
    p = fma(p, s, -0.026853811f);
    p = fma(p, s, 0.112835854f);
    p = fma(p, s, -0.37612626f);
    p = fma(p, s, 1.12837911f);
    const float far = 1.0f - erfc_of(fabs(x));

    return fabs(x) <= 1.0f ? x * p : x < 0.0f ? -far : far;
}

/* 1 / (1 + exp(-x)) */
float sigmoid_of(float x)
{
    const float e = exp(-fabs(x));

    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* Its derivative, sigmoid(x) sigmoid(-x). */
float sigmoid_slope(float x)
{
    const float e = exp(-fabs(x));

    return e / ((1.0f + e) * (1.0f + e));
}

/* v limited to low..high, with NaN kept. */
float limited(float v, float low, float high)
{
    const float raised = v < low ? low : v;

    return raised > high ? high : raised;
}

float hard_swish_slope(float x)
{
    return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : x / 3.0f + 0.5f;
}

/* tanh(log(1 + exp(x))) = up / down, polynomials in e = exp(-|x|); its derivative is
 * 4 e (1 + e) / down^2, where x > 0 times e. */
typedef struct gate {
    float value, slope;
} gate;

gate mish_gate(float x)
{
    const float e = exp(-fabs(x));
    const float up = x < 0.0f ? e * (e + 2.0f) : fma(2.0f, e, 1.0f);
    const float down = x < 0.0f ? up + 2.0f : fma(2.0f * e, e, up);
    gate g;

    g.value = up / down;
    g.slope = 4.0f * e * (x < 0.0f ? 1.0f : e) * (1.0f + e) / (down * down);
    return g;
}

float mish_slope(float x)
{
    const gate g = mish_gate(x);

    return fma(x, g.slope, g.value);
}

/* The normal distribution's cumulative function. */
float gelu_gate(float x)
{
    const float tail = 0.5f * erfc_of(fabs(x) * 0.707106781186547524f);

    return x < 0.0f ? tail : 1.0f - tail;
}

float gelu_slope(float x)
{
    const float density = 0.398942280401432678f * exp_minus_square(fabs(x) * 0.707106781186547524f);

    return fma(x, density, gelu_gate(x));
}

/* 2 u with u = sqrt(2 / pi) (x + 0.044715 x^3): 0.5 (1 + tanh u) = sigmoid(2 u). */
float gelu_argument(float x)
{
    return 1.59576912160573081f * x * fma(0.044715f * x, x, 1.0f);
}

float gelu_tanh_slope(float x)
{
    const float u = gelu_argument(x);
    const float du = 1.59576912160573081f * fma(0.134145f * x, x, 1.0f);

    return fma(x * sigmoid_slope(u), du, sigmoid_of(u));
}

/* ---- The functions ---- */

/* y = f(x); out = r f'(x), guided max(r, 0) f'(x). At a kink f' is the derivative from the left. */
#define FUNCTION(NAME, VALUE, SLOPE)                                                               \
    __kernel void NAME##_forward(__global const float *restrict in, __global float *restrict y,    \
                                 const int count, const float a, const float b)                    \
    {                                                                                              \
        const size_t i = get_global_id(0);                                                         \
                                                                                                   \
        if (i < (size_t)count) {                                                                   \
            const float x = in[i];                                                                 \
                                                                                                   \
            y[i] = VALUE;                                                                          \
        }                                                                                          \
    }                                                                                              \
    __kernel void NAME##_inverse(__global const float *restrict r,                                 \
                                 __global const float *restrict in, __global float *restrict out,  \
                                 const int count, const float a, const float b, const int guided)  \
    {                                                                                              \
        const size_t i = get_global_id(0);                                                         \
                                                                                                   \
        if (i < (size_t)count) {                                                                   \
            const float x = in[i];                                                                 \
                                                                                                   \
            (void)x; /* a slope may be constant */                                                 \
            out[i] = (guided ? rectified(r[i]) : r[i]) * (SLOPE);                                  \
        }                                                                                          \
    }

/* clang-format off */
FUNCTION(leaky_relu, x > 0.0f ? x : a * x, x > 0.0f ? 1.0f : a)
FUNCTION(thresholded_relu, x <= a ? 0.0f : x, x <= a ? 0.0f : 1.0f)
FUNCTION(elu, x > 0.0f ? x : a * expm1_of(x), x > 0.0f ? 1.0f : a * exp(x))
FUNCTION(selu, b * (x > 0.0f ? x : a * expm1_of(x)), b * (x > 0.0f ? 1.0f : a * exp(x)))
FUNCTION(celu, x > 0.0f ? x : a * expm1_of(x / a), x > 0.0f ? 1.0f : exp(x / a))
FUNCTION(sigmoid, sigmoid_of(x), sigmoid_slope(x))
FUNCTION(tanh, tanh(x), 4.0f * sigmoid_slope(2.0f * x))
FUNCTION(softplus, rectified(x) + log1p_of(exp(-fabs(x))), sigmoid_of(x))
FUNCTION(softsign, x / (1.0f + fabs(x)), 1.0f / ((1.0f + fabs(x)) * (1.0f + fabs(x))))
FUNCTION(hard_sigmoid, limited(fma(a, x, b), 0.0f, 1.0f),
         fma(a, x, b) <= 0.0f || fma(a, x, b) >= 1.0f ? 0.0f : a)
FUNCTION(hard_swish, x * limited(x / 6.0f + 0.5f, 0.0f, 1.0f), hard_swish_slope(x))
FUNCTION(mish, x * mish_gate(x).value, mish_slope(x))
FUNCTION(gelu, x * gelu_gate(x), gelu_slope(x))
FUNCTION(gelu_tanh, x * sigmoid_of(gelu_argument(x)), gelu_tanh_slope(x))
FUNCTION(clip, limited(x, a, b), x <= a || x >= b ? 0.0f : 1.0f)
FUNCTION(erf, erf_of(x), 1.12837916709551257f * exp_minus_square(fabs(x)))

FUNCTION(exp, exp(x), exp(x))
FUNCTION(sqrt, sqrt(x), 0.5f / sqrt(x))
FUNCTION(abs, fabs(x), x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x)
FUNCTION(neg, -x, -1.0f)
FUNCTION(reciprocal, 1.0f / x, -1.0f / x / x)
/* clang-format on */
