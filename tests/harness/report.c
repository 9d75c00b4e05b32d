/* Counting and printing of checks, and small conversions that all checks share. */
#include "harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const float unwritten[2] = {NAN, 1e30f};

static void print_failure(const report *r, const char *format, va_list args)
{
    printf("FAIL ");
    vprintf(format, args);
    printf("\n     layers '%s'\n", r->line);
    fflush(stdout);
}

bool check(report *r, bool passed, const char *format, ...)
{
    va_list args;

    r->checks++;
    if (passed)
        return true;
    r->failures++;
    va_start(args, format);
    print_failure(r, format, args);
    va_end(args);
    return false;
}

bool check_status(report *r, deconv_ctx *ctx, deconv_status status, const char *what)
{
    if (status == DECONV_OK)
        return true;
    return check(r, false, "%s: %s: %s", what, deconv_status_name(status), deconv_ctx_message(ctx));
}

/* Largest difference over largest reference value; infinite for NaN, and for anything but zeros
 * where the reference is zero. *at is where the difference is largest. */
static double relative_error(const float *is, const ref_tensor *should, int64_t *at)
{
    double largest = 0, difference = 0;

    *at = 0;
    for (int64_t i = 0; i < should->count; i++) {
        double d = fabs((double)is[i] - should->at[i]);

        largest = fmax(largest, fabs(should->at[i]));
        if (!(d <= difference)) {
            difference = isnan(d) ? INFINITY : d;
            *at = i;
        }
    }
    return difference == 0 ? 0 : difference / largest;
}

bool check_close(report *r, const float *is, const ref_tensor *should, int64_t terms, double *worst,
                 const char *format, ...)
{
    const int64_t long_sum = 10000;
    double tolerance = terms > long_sum ? 1e-4 : 1e-5;
    int64_t at;
    double error = relative_error(is, should, &at);
    char what[160];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    *worst = fmax(*worst, error);
    return check(r, error <= tolerance,
                 "%s: relative error %.2e, allowed %.0e; element %lld is %.9g, it must be %.9g",
                 what, error, tolerance, (long long)at, (double)is[at], should->at[at]);
}

int ways_back(const ref_op *of, way_back *ways)
{
    static const char *const name[] = {"deconvnet", "gradient", "guided"};
    int count = 0;

    for (int rule = 0; rule < 3; rule++) {
        for (int with_flags = 0; with_flags <= (of->flags != 0); with_flags++) {
            way_back *way = &ways[count++];

            way->rule = (deconv_rule)rule;
            way->flags = with_flags ? of->flags : 0;
            snprintf(way->name, sizeof way->name, "inverse, %s%s", name[rule],
                     !with_flags                                 ? ""
                     : of->flags & DECONV_INVERSE_AVERAGE_COPY   ? ", AVERAGE_COPY"
                     : of->flags & DECONV_INVERSE_LRN_DERIVATIVE ? ", LRN_DERIVATIVE"
                                                                 : ", APPLY_F");
        }
    }
    return count;
}

void attrs_of(const ref_case *c, attr_list *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < c->problem->n_attrs; i++) {
        const ref_attr *from = &c->problem->attrs[i];
        deconv_attr *to = &out->attrs[out->count];
        bool is_input = false;

        for (int k = 0; k < REF_MAX_IN && c->op->inputs[k]; k++)
            is_input |= !strcmp(from->name, c->op->inputs[k]);
        if (is_input)
            continue;
        to->name = from->name;
        to->type = from->type == REF_INTS     ? DECONV_ATTR_INTS
                   : from->type == REF_FLOATS ? DECONV_ATTR_FLOATS
                                              : DECONV_ATTR_STRING;
        to->count = (uint64_t)from->count;
        to->ints = from->ints;
        to->floats = from->floats;
        to->string = from->string;
        out->count++;
    }
}

float *floats_filled(int64_t count, float value)
{
    float *values = malloc((size_t)(count + 1) * sizeof *values);

    if (!values)
        abort();
    for (int64_t i = 0; i < count; i++)
        values[i] = value;
    return values;
}

float *floats_of(const ref_tensor *t)
{
    float *values = floats_filled(t->count, 0);

    for (int64_t i = 0; i < t->count; i++)
        values[i] = (float)t->at[i];
    return values;
}

bool same_bits(const float *a, const float *b, int64_t count)
{
    return memcmp(a, b, (size_t)count * sizeof *a) == 0;
}
