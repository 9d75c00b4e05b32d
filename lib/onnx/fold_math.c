/* Folding of arithmetic, comparisons and logic with broadcasting. */
#include "fold.h"

#include <math.h>
#include <string.h>

/* ---- Element functions. Integers wrap around, as the runtimes' do. ---- */

static double add_f(double a, double b)
{
    return a + b;
}

static int64_t add_i(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static double sub_f(double a, double b)
{
    return a - b;
}

static int64_t sub_i(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static double mul_f(double a, double b)
{
    return a * b;
}

static int64_t mul_i(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}

static double div_f(double a, double b)
{
    return a / b;
}

/* Towards zero; b is not 0. */
static int64_t div_i(int64_t a, int64_t b)
{
    return b == -1 ? sub_i(0, a) : a / b;
}

/* The sign is the divisor's; b is not 0. */
static int64_t mod_i(int64_t a, int64_t b)
{
    int64_t rest = b == -1 ? 0 : a % b;

    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* The sign is the dividend's; b is not 0. */
static int64_t fmod_i(int64_t a, int64_t b)
{
    return b == -1 ? 0 : a % b;
}

static double min_f(double a, double b)
{
    return isnan(a) || a < b ? a : b;
}

static int64_t min_i(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static double max_f(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

static int64_t max_i(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* 0 to a negative power does not come here. */
static int64_t pow_i(int64_t a, int64_t b)
{
    int64_t result = 1;

    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (; b > 0; b >>= 1, a = mul_i(a, a)) {
        if (b & 1)
            result = mul_i(result, a);
    }
    return result;
}

static double neg_f(double a, double b)
{
    (void)b;
    return -a;
}

static int64_t neg_i(int64_t a, int64_t b)
{
    (void)b;
    return sub_i(0, a);
}

static double abs_f(double a, double b)
{
    (void)b;
    return fabs(a);
}

static int64_t abs_i(int64_t a, int64_t b)
{
    return a < 0 ? neg_i(a, b) : a;
}

static double sqrt_f(double a, double b)
{
    (void)b;
    return sqrt(a);
}

static double reciprocal_f(double a, double b)
{
    (void)b;
    return 1 / a;
}

static double exp_f(double a, double b)
{
    (void)b;
    return exp(a);
}

static double floor_f(double a, double b)
{
    (void)b;
    return floor(a);
}

static double ceil_f(double a, double b)
{
    (void)b;
    return ceil(a);
}

/* Halves go to the even neighbour, whatever the rounding mode. */
static double round_f(double a, double b)
{
    double down = floor(a), rest = a - down;

    (void)b;
    if (!isfinite(a))
        return a;
    if (rest != 0.5)
        return copysign(rest < 0.5 ? down : down + 1, a);
    return copysign(fmod(down, 2) == 0 ? down : down + 1, a);
}

static double equal_f(double a, double b)
{
    return a == b;
}

static int64_t equal_i(int64_t a, int64_t b)
{
    return a == b;
}

static double less_f(double a, double b)
{
    return a < b;
}

static int64_t less_i(int64_t a, int64_t b)
{
    return a < b;
}

static double greater_f(double a, double b)
{
    return a > b;
}

static int64_t greater_i(int64_t a, int64_t b)
{
    return a > b;
}

static double less_equal_f(double a, double b)
{
    return a <= b;
}

static int64_t less_equal_i(int64_t a, int64_t b)
{
    return a <= b;
}

static double greater_equal_f(double a, double b)
{
    return a >= b;
}

static int64_t greater_equal_i(int64_t a, int64_t b)
{
    return a >= b;
}

static int64_t not_i(int64_t a, int64_t b)
{
    (void)b;
    return !a;
}

static int64_t and_i(int64_t a, int64_t b)
{
    return a && b;
}

static int64_t or_i(int64_t a, int64_t b)
{
    return a || b;
}

static int64_t xor_i(int64_t a, int64_t b)
{
    return !a != !b;
}

/* ---- One broadcast loop for all of them ---- */

/* A row may take another function than its table says: Mod has two. */
typedef struct arithmetic {
    double (*on_floats)(double a, double b);
    int64_t (*on_ints)(int64_t a, int64_t b);
    bool gives_bool;
} arithmetic;

static double as_double(const host_tensor *t, int64_t i)
{
    return t->is_float ? (double)t->f[i] : (double)t->i[i];
}

static void store(host_tensor *t, int64_t i, double value)
{
    if (t->is_float)
        t->f[i] = (float)value;
    else
        t->i[i] = (int64_t)value; /* a comparison: 0 or 1 */
}

/* Output 0 = op(a, b). `b` is `a` again for an operator of one operand. */
static deconv_status run_arithmetic(const fold *f, const arithmetic *op, const host_tensor *a,
                                    const host_tensor *b)
{
    deconv_status status = DECONV_OK;
    walk w = {0};
    host_tensor *y;
    int64_t count;
    shape s;

    if (a->is_float ? !op->on_floats : !op->on_ints)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "%s does not take %s", f->op->type,
                  a->is_float ? "floats" : "integers");
    TRY(fold_broadcast(f, &a->shape, &b->shape, &s));
    TRY(fold_out(f, 0, &s, a->is_float && !op->gives_bool));
    y = f->out[0];
    w.rank = s.rank;
    memcpy(w.dim, s.dim, sizeof s.dim);
    strides_broadcast(&a->shape, &s, w.stride[0]);
    strides_broadcast(&b->shape, &s, w.stride[1]);
    count = shape_count(&s);
    for (int64_t n = 0; n < count; n++, walk_next(&w)) {
        if (a->is_float)
            store(y, n, op->on_floats(a->f[w.offset[0]], as_double(b, w.offset[1])));
        else
            y->i[n] = op->on_ints(a->i[w.offset[0]], b->i[w.offset[1]]);
    }
done:
    return status;
}

static deconv_status run_plain(const fold *f)
{
    arithmetic op = {f->op->on_floats, f->op->on_ints, f->op->gives_bool};
    const host_tensor *a = fold_in(f, 0);
    const host_tensor *b = f->op->max_in == 1 ? a : fold_in(f, 1);
    deconv_status status = DECONV_OK;

    TRY(fold_same_kind(f, a, b));
    TRY(run_arithmetic(f, &op, a, b));
done:
    return status;
}

static bool has_zero(const host_tensor *t)
{
    int64_t count = shape_count(&t->shape);

    for (int64_t i = 0; i < count; i++) {
        if (t->i[i] == 0)
            return true;
    }
    return false;
}

static deconv_status run_div(const fold *f)
{
    const host_tensor *by = fold_in(f, 1);

    if (!by->is_float && has_zero(by))
        return node_error(f->ctx, f->node, DECONV_ERROR_FORMAT, "division by zero");
    return run_plain(f);
}

static deconv_status run_mod(const fold *f)
{
    arithmetic op = {fmod, mod_i, false};
    const host_tensor *a = fold_in(f, 0), *b = fold_in(f, 1);
    deconv_status status = DECONV_OK;
    int64_t like_fmod;

    TRY(fold_same_kind(f, a, b));
    TRY(fold_attr_int(f, "fmod", 0, &like_fmod));
    if (a->is_float && !like_fmod)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "Mod of floats must have fmod = 1");
    if (!b->is_float && has_zero(b))
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "division by zero");
    if (like_fmod)
        op.on_ints = fmod_i;
    TRY(run_arithmetic(f, &op, a, b));
done:
    return status;
}

/* The exponent may be of another kind than the base, which decides. */
static deconv_status run_pow(const fold *f)
{
    arithmetic op = {pow, pow_i, false};
    const host_tensor *a = fold_in(f, 0), *b = fold_in(f, 1);
    deconv_status status = DECONV_OK;
    bool negative = false;

    if (!a->is_float && b->is_float)
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED,
                  "an integer to the power of a float; convert one with Cast");
    for (int64_t i = 0; !b->is_float && i < shape_count(&b->shape); i++)
        negative = negative || b->i[i] < 0;
    if (!a->is_float && negative && has_zero(a))
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "0 to a negative power");
    TRY(run_arithmetic(f, &op, a, b));
done:
    return status;
}

/* Any number of operands, two at a time: output 0 = op(output 0, the next one). */
static deconv_status run_many(const fold *f)
{
    arithmetic op = {f->op->on_floats, f->op->on_ints, false};
    deconv_status status = DECONV_OK;
    host_tensor *before = NULL;

    TRY(fold_copy_as(f, 0, fold_in(f, 0), &fold_in(f, 0)->shape));
    for (int i = 1; i < f->node->n_in; i++) {
        const host_tensor *b = fold_in(f, i);

        before = f->out[0];
        f->out[0] = NULL;
        if (!b)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its input %d is left out", i);
        TRY(fold_same_kind(f, before, b));
        TRY(run_arithmetic(f, &op, before, b));
        host_tensor_free(f->ctx, before);
        before = NULL;
    }
done:
    host_tensor_free(f->ctx, before);
    return status;
}

const fold_op fold_math_ops[] = {
    {"Add", 2, 2, .run = run_plain, .on_floats = add_f, .on_ints = add_i},
    {"Sub", 2, 2, .run = run_plain, .on_floats = sub_f, .on_ints = sub_i},
    {"Mul", 2, 2, .run = run_plain, .on_floats = mul_f, .on_ints = mul_i},
    {"Div", 2, 2, .run = run_div, .on_floats = div_f, .on_ints = div_i},
    {"Mod", 2, 2, .run = run_mod},
    {"Pow", 2, 2, .run = run_pow},
    {"Min", 1, FOLD_MANY, .run = run_many, .on_floats = min_f, .on_ints = min_i},
    {"Max", 1, FOLD_MANY, .run = run_many, .on_floats = max_f, .on_ints = max_i},
    {"Neg", 1, 1, .run = run_plain, .on_floats = neg_f, .on_ints = neg_i},
    {"Abs", 1, 1, .run = run_plain, .on_floats = abs_f, .on_ints = abs_i},
    {"Sqrt", 1, 1, .run = run_plain, .on_floats = sqrt_f},
    {"Reciprocal", 1, 1, .run = run_plain, .on_floats = reciprocal_f},
    {"Exp", 1, 1, .run = run_plain, .on_floats = exp_f},
    {"Floor", 1, 1, .run = run_plain, .on_floats = floor_f},
    {"Ceil", 1, 1, .run = run_plain, .on_floats = ceil_f},
    {"Round", 1, 1, .run = run_plain, .on_floats = round_f},
    {"Equal", 2, 2, .run = run_plain, .on_floats = equal_f, .on_ints = equal_i, .gives_bool = true},
    {"Less", 2, 2, .run = run_plain, .on_floats = less_f, .on_ints = less_i, .gives_bool = true},
    {"Greater", 2, 2, .run = run_plain, .on_floats = greater_f, .on_ints = greater_i,
     .gives_bool = true},
    {"LessOrEqual", 2, 2, .run = run_plain, .on_floats = less_equal_f, .on_ints = less_equal_i,
     .gives_bool = true},
    {"GreaterOrEqual", 2, 2, .run = run_plain, .on_floats = greater_equal_f,
     .on_ints = greater_equal_i, .gives_bool = true},
    {"Not", 1, 1, .run = run_plain, .on_ints = not_i, .gives_bool = true},
    {"And", 2, 2, .run = run_plain, .on_ints = and_i, .gives_bool = true},
    {"Or", 2, 2, .run = run_plain, .on_ints = or_i, .gives_bool = true},
    {"Xor", 2, 2, .run = run_plain, .on_ints = xor_i, .gives_bool = true},
    {.type = NULL},
};
