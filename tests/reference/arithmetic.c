/* Add, Sub, Mul, Div and Sum with NumPy broadcasting. */
#include "reference.h"

#include <string.h>

static bool shape(ref_case *c)
{
    if (!c->in[1].given)
        return ref_error(c, "input b is missing");
    return ref_broadcast_shape(c, &c->in[0], &c->in[1]);
}

static void sum_terms(ref_case *c, ref_sink *sink)
{
    double sign = c->op == &ref_sub ? -1 : 1;

    for (int64_t o = 0; o < c->out[0].count; o++) {
        sink->term(sink, 0, ref_broadcast_element(&c->in[0], &c->out[0], o), 0, o, 1);
        sink->term(sink, 1, ref_broadcast_element(&c->in[1], &c->out[0], o), 0, o, sign);
    }
}

/* Sum: any number of operands. */
static bool sum_shape(ref_case *c)
{
    ref_tensor all = c->in[0];

    ref_set_shape(c, 0, all.rank, all.dim);
    for (int i = 1; i < c->n_in; i++) {
        if (!c->in[i].given || !ref_broadcast_shape(c, &all, &c->in[i]))
            return ref_error(c, "input %d is missing or does not broadcast", i);
        all.rank = c->out[0].rank;
        memcpy(all.dim, c->out[0].dim, sizeof all.dim);
    }
    return true;
}

static void all_terms(ref_case *c, ref_sink *sink)
{
    for (int64_t o = 0; o < c->out[0].count; o++)
        for (int i = 0; i < c->n_in; i++)
            sink->term(sink, i, ref_broadcast_element(&c->in[i], &c->out[0], o), 0, o, 1);
}

static void product_forward(ref_case *c)
{
    for (int64_t o = 0; o < c->out[0].count; o++) {
        double a = c->in[0].at[ref_broadcast_element(&c->in[0], &c->out[0], o)];
        double b = c->in[1].at[ref_broadcast_element(&c->in[1], &c->out[0], o)];

        c->out[0].at[o] = c->op == &ref_mul ? a * b : a / b;
    }
}

static void product_inverse(ref_case *c)
{
    int64_t shortest = c->in[0].count < c->in[1].count ? c->in[0].count : c->in[1].count;

    c->terms_in = c->out[0].count / shortest;
    for (int64_t o = 0; o < c->out[0].count; o++) {
        int64_t i = ref_broadcast_element(&c->in[0], &c->out[0], o);
        int64_t j = ref_broadcast_element(&c->in[1], &c->out[0], o);
        double a = c->in[0].at[i], b = c->in[1].at[j], R = c->R[0].at[o];

        c->S[0].at[i] += c->op == &ref_mul ? R * b : R / b;
        c->S[1].at[j] += c->op == &ref_mul ? R * a : -R * a / (b * b);
    }
}

const ref_op ref_add = {.type = "Add",
                        .inputs = {"a", "b"},
                        .fills = "uu",
                        .linearity = REF_LINEAR,
                        .shape = shape,
                        .terms = sum_terms};
const ref_op ref_sub = {.type = "Sub",
                        .inputs = {"a", "b"},
                        .fills = "uu",
                        .linearity = REF_LINEAR,
                        .shape = shape,
                        .terms = sum_terms};
const ref_op ref_mul = {.type = "Mul",
                        .inputs = {"a", "b"},
                        .fills = "uu",
                        .linearity = REF_LINEAR_FIRST,
                        .shape = shape,
                        .forward = product_forward,
                        .inverse = product_inverse};
const ref_op ref_div = {.type = "Div",
                        .inputs = {"a", "b"},
                        .fills = "ud",
                        .linearity = REF_LINEAR_FIRST,
                        .shape = shape,
                        .forward = product_forward,
                        .inverse = product_inverse};
const ref_op ref_sum = {.type = "Sum",
                        .inputs = {"x0", "x1", "x2", "x3"},
                        .fills = "uuuu",
                        .linearity = REF_LINEAR,
                        .shape = sum_shape,
                        .terms = all_terms};
