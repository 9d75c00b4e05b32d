/* The table of reference operators, the life of a case, and all that is common to them: the generic
 * passes of linear operators, dependencies, index arithmetic. */
#include "reference.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ref_op *const all_ops[] = {
    &ref_conv,
    &ref_conv_transpose,
    &ref_max_pool,
    &ref_average_pool,
    &ref_global_max_pool,
    &ref_global_average_pool,
    &ref_relu,
    &ref_leaky_relu,
    &ref_prelu,
    &ref_elu,
    &ref_selu,
    &ref_celu,
    &ref_sigmoid,
    &ref_tanh,
    &ref_softplus,
    &ref_softsign,
    &ref_hard_sigmoid,
    &ref_hard_swish,
    &ref_mish,
    &ref_gelu,
    &ref_clip,
    &ref_erf,
    &ref_add,
    &ref_sub,
    &ref_mul,
    &ref_div,
    &ref_batch_normalization,
    &ref_lrn,
    &ref_softmax,
    &ref_log_softmax,
    &ref_gemm,
    &ref_matmul,
    &ref_concat,
    &ref_split,
    &ref_slice,
    &ref_pad,
    &ref_flatten,
    &ref_reshape,
    &ref_squeeze,
    &ref_unsqueeze,
    &ref_transpose,
    &ref_identity,
    &ref_dropout,
    &ref_cast,
    &ref_resize,
    &ref_upsample,
    &ref_reduce_mean,
    &ref_gather,
    &ref_expand,
    &ref_tile,
    &ref_thresholded_relu,
    &ref_exp,
    &ref_sqrt,
    &ref_abs,
    &ref_neg,
    &ref_reciprocal,
    &ref_pow,
    &ref_sum,
    &ref_reduce_sum,
};

const ref_op *const *ref_ops(size_t *count)
{
    *count = sizeof all_ops / sizeof *all_ops;
    return all_ops;
}

/* ---- Life of a case ---- */

bool ref_error(ref_case *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->error, sizeof c->error, format, args);
    va_end(args);
    return false;
}

static void allocate(ref_tensor *t)
{
    t->count = ref_span(t, 0, t->rank);
    t->at = calloc((size_t)t->count + 1, sizeof *t->at);
    if (!t->at)
        abort();
}

static bool open_input(ref_case *c, int input, const ref_attr *a)
{
    ref_tensor *t = &c->in[input];

    if (a->type != REF_INTS || a->count > REF_MAX_RANK)
        return ref_error(c, "%s is not a shape of 1 to %d sizes", a->name, REF_MAX_RANK);
    for (int d = 0; d < a->count; d++)
        if (a->ints[d] < 1 || a->ints[d] > 1 << 24)
            return ref_error(c, "%s has a size outside 1 to 2^24", a->name);
    t->given = true;
    t->rank = a->count;
    memcpy(t->dim, a->ints, (size_t)a->count * sizeof *t->dim);
    c->S[input] = *t;
    c->n_in = input + 1;
    allocate(t);
    allocate(&c->S[input]);
    return true;
}

bool ref_open_inputs(const ref_problem *p, ref_case *c)
{
    memset(c, 0, sizeof *c);
    c->problem = p;
    for (size_t i = 0; i < sizeof all_ops / sizeof *all_ops; i++)
        if (!strcmp(all_ops[i]->type, p->type))
            c->op = all_ops[i];
    if (!c->op)
        return ref_error(c, "the reference has no operator %s", p->type);
    for (int i = 0; i < REF_MAX_IN && c->op->inputs[i]; i++) {
        const ref_attr *a = ref_find(p, c->op->inputs[i]);

        if (a && !open_input(c, i, a))
            return false;
    }
    if (!c->in[0].given)
        return ref_error(c, "input %s is missing", c->op->inputs[0]);
    c->n_out = 1;
    return true;
}

bool ref_open(const ref_problem *p, ref_case *c)
{
    if (!ref_open_inputs(p, c) || !c->op->shape(c))
        return false;
    for (int o = 0; o < c->n_out; o++) {
        if (c->out[o].rank < 1)
            return ref_error(c, "output %d is a scalar", o);
        for (int d = 0; d < c->out[o].rank; d++)
            if (c->out[o].dim[d] < 1)
                return ref_error(c, "output %d is empty in dimension %d", o, d);
        c->out[o].given = true;
        c->R[o] = c->out[o];
        allocate(&c->out[o]);
        allocate(&c->R[o]);
    }
    return true;
}

void ref_close(ref_case *c)
{
    for (int i = 0; i < REF_MAX_IN; i++) {
        free(c->in[i].at);
        free(c->S[i].at);
    }
    for (int o = 0; o < REF_MAX_OUT; o++) {
        free(c->out[o].at);
        free(c->R[o].at);
    }
    memset(c, 0, sizeof *c);
}

const char *ref_input_name(const ref_op *op, int input)
{
    return op->inputs[input];
}

bool ref_wants(const ref_case *c, int input)
{
    const char *wanted = c->problem->wanted;
    const char *name = c->op->inputs[input];

    if (!c->in[input].given || c->op->weights >> input & 1)
        return false;
    if (!*wanted)
        return true;
    for (size_t length = strlen(name); wanted; wanted = strchr(wanted, ',')) {
        wanted += *wanted == ',';
        if (!strncmp(wanted, name, length) && (wanted[length] == ',' || !wanted[length]))
            return true;
    }
    return false;
}

/* ---- Linear operators ---- */

static void term_forward(ref_sink *sink, int input, int64_t i, int output, int64_t o, double k)
{
    sink->c->out[output].at[o] += k * sink->c->in[input].at[i];
    sink->count_out[output][o]++;
}

static void term_inverse(ref_sink *sink, int input, int64_t i, int output, int64_t o, double k)
{
    sink->c->S[input].at[i] += k * sink->c->R[output].at[o];
    sink->count_in[input][i]++;
}

static void term_mark(ref_sink *sink, int input, int64_t i, int output, int64_t o, double k)
{
    (void)k;
    if (input == sink->input && output == sink->output)
        sink->marks[i * sink->c->out[output].count + o] = 1;
}

/* Allocates counters for `n` tensors, or folds them into their maximum and releases them. */
static void counters_begin(int64_t **counters, const ref_tensor *t, int n)
{
    for (int i = 0; i < n; i++) {
        counters[i] = calloc((size_t)t[i].count + 1, sizeof **counters);
        if (!counters[i])
            abort();
    }
}

static int64_t counters_end(int64_t **counters, const ref_tensor *t, int n)
{
    int64_t longest = 0;

    for (int i = 0; i < n; i++) {
        for (int64_t e = 0; e < t[i].count; e++)
            longest = counters[i][e] > longest ? counters[i][e] : longest;
        free(counters[i]);
    }
    return longest;
}

void ref_forward(ref_case *c)
{
    ref_sink sink = {.term = term_forward, .c = c};

    for (int o = 0; o < c->n_out; o++)
        memset(c->out[o].at, 0, (size_t)c->out[o].count * sizeof(double));
    if (!c->op->terms) {
        c->op->forward(c);
        return;
    }
    counters_begin(sink.count_out, c->out, c->n_out);
    c->op->terms(c, &sink);
    c->terms_out = counters_end(sink.count_out, c->out, c->n_out);
    if (c->op->offset)
        c->op->offset(c);
}

void ref_inverse(ref_case *c, deconv_rule rule, uint32_t flags)
{
    ref_sink sink = {.term = term_inverse, .c = c, .inverse = true};

    c->rule = rule;
    c->flags = flags;
    for (int i = 0; i < c->n_in; i++)
        if (c->S[i].at)
            memset(c->S[i].at, 0, (size_t)c->S[i].count * sizeof(double));
    if (!c->op->terms) {
        c->op->inverse(c);
        return;
    }
    counters_begin(sink.count_in, c->in, c->n_in);
    c->op->terms(c, &sink);
    c->terms_in = counters_end(sink.count_in, c->in, c->n_in);
}

void ref_dependencies(ref_case *c, int input, int output, unsigned char *marks)
{
    ref_sink sink = {.term = term_mark, .c = c, .input = input, .output = output, .marks = marks};
    const ref_tensor *out = &c->out[output];

    memset(marks, 0, (size_t)(c->in[input].count * out->count));
    if (c->op->terms) {
        c->op->terms(c, &sink);
        return;
    }
    for (int64_t i = 0; i < c->in[input].count; i++) {
        double kept = c->in[input].at[i];

        c->in[input].at[i] = NAN;
        ref_forward(c);
        c->in[input].at[i] = kept;
        for (int64_t o = 0; o < out->count; o++)
            marks[i * out->count + o] = isnan(out->at[o]) ? 1 : 0;
    }
}

/* ---- Indices and shapes ---- */

void ref_set_shape(ref_case *c, int output, int rank, const int64_t *dim)
{
    c->out[output].rank = rank;
    memcpy(c->out[output].dim, dim, (size_t)rank * sizeof *dim);
}

void ref_same_shape(ref_case *c)
{
    ref_set_shape(c, 0, c->in[0].rank, c->in[0].dim);
}

int64_t ref_span(const ref_tensor *t, int from, int to)
{
    int64_t product = 1;

    for (int d = from; d < to; d++)
        product *= t->dim[d];
    return product;
}

void ref_index(const ref_tensor *t, int64_t flat, int64_t *index)
{
    for (int d = t->rank - 1; d >= 0; d--) {
        index[d] = flat % t->dim[d];
        flat /= t->dim[d];
    }
}

int64_t ref_flat(const ref_tensor *t, const int64_t *index)
{
    int64_t flat = 0;

    for (int d = 0; d < t->rank; d++)
        flat = flat * t->dim[d] + index[d];
    return flat;
}

int ref_axis(int64_t axis, int rank)
{
    if (axis < 0)
        axis += rank;
    return axis >= 0 && axis < rank ? (int)axis : -1;
}

double ref_max(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

bool ref_broadcast_shape(ref_case *c, const ref_tensor *a, const ref_tensor *b)
{
    int rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t dim[REF_MAX_RANK];

    for (int d = 1; d <= rank; d++) { /* counted from the last */
        int64_t of_a = d <= a->rank ? a->dim[a->rank - d] : 1;
        int64_t of_b = d <= b->rank ? b->dim[b->rank - d] : 1;

        if (of_a != of_b && of_a != 1 && of_b != 1)
            return ref_error(c, "the shapes do not broadcast");
        dim[rank - d] = of_a == 1 ? of_b : of_a;
    }
    ref_set_shape(c, 0, rank, dim);
    return true;
}

int64_t ref_broadcast_element(const ref_tensor *t, const ref_tensor *out, int64_t o)
{
    int64_t index[REF_MAX_RANK], flat = 0;

    ref_index(out, o, index);
    for (int d = 0; d < t->rank; d++) {
        int64_t i = index[out->rank - t->rank + d];

        flat = flat * t->dim[d] + (t->dim[d] == 1 ? 0 : i);
    }
    return flat;
}
