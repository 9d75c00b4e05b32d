/* Checks of one operator through the public interface: deconv_run_layer on the caller's tensors. */
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensors of a problem on the device. */
typedef struct device_case {
    deconv_ctx *ctx;
    ref_case *c;
    report *r;
    deconv_layer *layer;
    deconv_tensor *in[REF_MAX_IN];
    deconv_tensor *out[REF_MAX_OUT];
    deconv_tensor *signal[REF_MAX_IN];
    float *first[REF_MAX_IN > REF_MAX_OUT ? REF_MAX_IN : REF_MAX_OUT]; /* results of a first run */
} device_case;

/* ---- Setting up ---- */

static bool ok(device_case *d, deconv_status status, const char *what)
{
    return check_status(d->r, d->ctx, status, what);
}

static bool create_tensor(device_case *d, const ref_tensor *like, deconv_tensor **out)
{
    return ok(d, deconv_tensor_create(d->ctx, like->dim, (uint32_t)like->rank, out),
              "deconv_tensor_create");
}

static bool write_tensor(device_case *d, deconv_tensor *t, const ref_tensor *from)
{
    float *values = floats_of(from);
    bool written = ok(d, deconv_tensor_write(t, values, (uint64_t)from->count), "write");

    free(values);
    return written;
}

static bool fill_tensor(device_case *d, deconv_tensor *t, float value)
{
    uint64_t count = deconv_tensor_count(t);
    float *values = floats_filled((int64_t)count, value);
    bool written = ok(d, deconv_tensor_write(t, values, count), "write");

    free(values);
    return written;
}

/* The tensor's values in fresh memory, NULL on failure. */
static float *read_tensor(device_case *d, const deconv_tensor *t)
{
    uint64_t count = deconv_tensor_count(t);
    float *values = floats_filled((int64_t)count, 0);

    if (ok(d, deconv_tensor_read(t, values, count), "read"))
        return values;
    free(values);
    return NULL;
}

static bool open_case(device_case *d)
{
    ref_case *c = d->c;
    attr_list attrs;

    attrs_of(c, &attrs);
    if (!ok(d,
            deconv_layer_create(d->ctx, c->op->type, c->problem->opset, attrs.attrs,
                                (uint64_t)attrs.count, &d->layer),
            "deconv_layer_create"))
        return false;
    for (int i = 0; i < c->n_in; i++) {
        if (!c->in[i].given)
            continue;
        if (!create_tensor(d, &c->in[i], &d->in[i]) || !write_tensor(d, d->in[i], &c->in[i]))
            return false;
        if (ref_wants(c, i) && !create_tensor(d, &c->S[i], &d->signal[i]))
            return false;
    }
    for (int o = 0; o < c->n_out; o++)
        if (!create_tensor(d, &c->out[o], &d->out[o]))
            return false;
    return true;
}

static void forget_first(device_case *d)
{
    for (size_t i = 0; i < sizeof d->first / sizeof *d->first; i++) {
        free(d->first[i]);
        d->first[i] = NULL;
    }
}

static void close_case(device_case *d)
{
    forget_first(d);
    for (int i = 0; i < REF_MAX_IN; i++) {
        deconv_tensor_destroy(d->in[i]);
        deconv_tensor_destroy(d->signal[i]);
    }
    for (int o = 0; o < REF_MAX_OUT; o++)
        deconv_tensor_destroy(d->out[o]);
    deconv_layer_destroy(d->layer);
}

static bool check_shapes(device_case *d)
{
    for (int o = 0; o < d->c->n_out; o++) {
        const ref_tensor *should = &d->c->out[o];
        int64_t dim[DECONV_MAX_RANK];
        uint32_t rank = 0;
        bool same;

        if (!ok(d,
                deconv_layer_shape(d->layer, (const deconv_tensor *const *)d->in,
                                   (uint32_t)d->c->n_in, (uint32_t)o, dim, &rank),
                "deconv_layer_shape"))
            return false;
        same = (int)rank == should->rank && !memcmp(dim, should->dim, rank * sizeof *dim);
        if (!check(d->r, same, "output %d has another shape than the reference: rank %u", o, rank))
            return false;
    }
    return true;
}

/* ---- Running ---- */

static bool guards_intact(device_case *d, const char *what)
{
    deconv_status status = buffers_check_guards(d->ctx);

    return check(d->r, status == DECONV_OK, "%s: %s", what, deconv_ctx_message(d->ctx));
}

static bool run_forward(device_case *d)
{
    return ok(d,
              deconv_run_layer(d->ctx, d->layer, DECONV_FORWARD, NULL,
                               (const deconv_tensor *const *)d->in, (uint32_t)d->c->n_in, d->out,
                               (uint32_t)d->c->n_out, NULL),
              "forward");
}

/* `fill`: what outputs hold before the run. */
static bool run_forward_over(device_case *d, float fill)
{
    for (int o = 0; o < d->c->n_out; o++)
        if (!fill_tensor(d, d->out[o], fill))
            return false;
    return run_forward(d) && guards_intact(d, "forward");
}

static void check_forward(device_case *d)
{
    ref_case *c = d->c;

    ref_forward(c);
    if (!run_forward_over(d, unwritten[0]))
        return;
    for (int o = 0; o < c->n_out; o++) {
        d->first[o] = read_tensor(d, d->out[o]);
        if (!d->first[o])
            return;
        check_close(d->r, d->first[o], &c->out[o], c->terms_out, &d->r->forward_error,
                    "forward, output %d", o);
    }
    if (!run_forward_over(d, unwritten[1]))
        return;
    for (int o = 0; o < c->n_out; o++) {
        float *again = read_tensor(d, d->out[o]);

        if (again)
            check(d->r, same_bits(d->first[o], again, c->out[o].count),
                  "forward, output %d: a second run differs", o);
        free(again);
    }
}

/* Writes R to the outputs, `fill` to the signals, and runs the inverse for `signals`. */
static bool run_inverse_over(device_case *d, const way_back *way, float fill,
                             deconv_tensor *const *signals)
{
    deconv_inverse_options options = DECONV_INVERSE_OPTIONS_INIT;
    ref_case *c = d->c;

    options.rule = way->rule;
    options.flags = way->flags;
    for (int o = 0; o < c->n_out; o++)
        if (!write_tensor(d, d->out[o], &c->R[o]))
            return false;
    for (int i = 0; i < c->n_in; i++)
        if (d->signal[i] && !fill_tensor(d, d->signal[i], fill))
            return false;
    return ok(d,
              deconv_run_layer(d->ctx, d->layer, DECONV_INVERSE, &options,
                               (const deconv_tensor *const *)d->in, (uint32_t)c->n_in, d->out,
                               (uint32_t)c->n_out, signals),
              way->name) &&
           guards_intact(d, way->name);
}

/* Runs again with one signal wanted at a time: the others' absence must not matter. */
static void check_alone(device_case *d, const way_back *way)
{
    for (int i = 0; i < d->c->n_in; i++) {
        deconv_tensor *alone[REF_MAX_IN] = {NULL};
        float *values;

        if (!d->signal[i])
            continue;
        alone[i] = d->signal[i];
        if (!run_inverse_over(d, way, unwritten[1], alone))
            return;
        values = read_tensor(d, d->signal[i]);
        if (values)
            check(d->r, same_bits(values, d->first[i], d->c->in[i].count),
                  "%s, signal %s: differs when it alone is wanted", way->name,
                  ref_input_name(d->c->op, i));
        free(values);
    }
}

static void check_way(device_case *d, const way_back *way)
{
    ref_case *c = d->c;
    int wanted = 0;

    ref_inverse(c, way->rule, way->flags);
    forget_first(d);
    if (!run_inverse_over(d, way, unwritten[0], d->signal))
        return;
    for (int i = 0; i < c->n_in; i++) {
        if (!d->signal[i])
            continue;
        wanted++;
        d->first[i] = read_tensor(d, d->signal[i]);
        if (!d->first[i])
            return;
        check_close(d->r, d->first[i], &c->S[i], c->terms_in, &d->r->inverse_error, "%s, signal %s",
                    way->name, ref_input_name(c->op, i));
    }
    if (!run_inverse_over(d, way, unwritten[1], d->signal))
        return;
    for (int i = 0; i < c->n_in; i++) {
        float *again = d->signal[i] ? read_tensor(d, d->signal[i]) : NULL;

        if (again)
            check(d->r, same_bits(d->first[i], again, c->in[i].count),
                  "%s, signal %s: a second run differs", way->name, ref_input_name(c->op, i));
        free(again);
    }
    if (wanted > 1)
        check_alone(d, way);
}

/* Neither direction may write to its inputs. */
static void check_inputs_intact(device_case *d)
{
    for (int i = 0; i < d->c->n_in; i++) {
        float *should = d->in[i] ? floats_of(&d->c->in[i]) : NULL;
        float *is = d->in[i] ? read_tensor(d, d->in[i]) : NULL;

        if (is)
            check(d->r, same_bits(is, should, d->c->in[i].count), "input %s was written to",
                  ref_input_name(d->c->op, i));
        free(is);
        free(should);
    }
}

/* ---- The adjoint identity ---- */

/* Inputs that the operator is linear in. */
static bool varies(const ref_case *c, int input)
{
    return c->in[input].given && !(c->op->weights >> input & 1) &&
           (c->op->linearity == REF_LINEAR || input == 0);
}

/* Adds sign <outputs now on the device, R> to *sum, and the absolute terms to *scale. */
static bool add_product(device_case *d, double sign, double *sum, double *scale)
{
    for (int o = 0; o < d->c->n_out; o++) {
        const ref_tensor *R = &d->c->R[o];
        float *y = read_tensor(d, d->out[o]);

        for (int64_t i = 0; y && i < R->count; i++) {
            *sum += sign * y[i] * (double)(float)R->at[i];
            *scale += fabs(y[i] * R->at[i]);
        }
        free(y);
        if (!y)
            return false;
    }
    return true;
}

/* <A x, R> = <x, A' R>, where A x = f(x) - f(0). Relative to the sum of the absolute terms. */
static void check_adjoint(device_case *d)
{
    static const way_back way = {DECONV_RULE_GRADIENT, 0, "inverse for the adjoint identity"};
    double there = 0, back = 0, scale = 0;
    ref_case *c = d->c;

    for (int i = 0; i < c->n_in; i++) {
        if (!varies(c, i))
            continue;
        if (!d->signal[i] && !create_tensor(d, &c->S[i], &d->signal[i]))
            return;
    }
    if (!run_inverse_over(d, &way, unwritten[0], d->signal))
        return;
    for (int i = 0; i < c->n_in; i++) {
        float *S = varies(c, i) ? read_tensor(d, d->signal[i]) : NULL;

        for (int64_t e = 0; S && e < c->in[i].count; e++)
            back += c->in[i].at[e] * S[e];
        free(S);
    }
    if (!run_forward(d) || !add_product(d, 1, &there, &scale))
        return;
    for (int i = 0; i < c->n_in; i++)
        if (varies(c, i) && !fill_tensor(d, d->in[i], 0))
            return;
    if (!run_forward(d) || !add_product(d, -1, &there, &scale))
        return;
    check(d->r, fabs(there - back) <= 1e-5 * scale, "adjoint: <Ax, R> is %.9g, <x, A'R> is %.9g",
          there, back);
}

void check_layer(deconv_ctx *ctx, ref_case *c, bool forward_only, report *r)
{
    device_case d = {.ctx = ctx, .c = c, .r = r};
    way_back ways[MAX_WAYS];

    if (open_case(&d) && check_shapes(&d)) {
        check_forward(&d);
        for (int w = 0, count = ways_back(c->op, ways); !forward_only && w < count; w++)
            check_way(&d, &ways[w]);
        check_inputs_intact(&d);
        if (!forward_only && c->op->linearity != REF_NONLINEAR)
            check_adjoint(&d);
    }
    close_case(&d);
}

void check_refused(deconv_ctx *ctx, ref_case *c, report *r)
{
    device_case d = {.ctx = ctx, .c = c, .r = r};
    deconv_status status;
    attr_list attrs;
    uint32_t rank;

    attrs_of(c, &attrs);
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].given && !create_tensor(&d, &c->in[i], &d.in[i]))
            goto done;
    status = deconv_layer_create(ctx, c->op->type, c->problem->opset, attrs.attrs,
                                 (uint64_t)attrs.count, &d.layer);
    if (status == DECONV_OK)
        status = deconv_layer_shape(d.layer, (const deconv_tensor *const *)d.in, (uint32_t)c->n_in,
                                    0, (int64_t[DECONV_MAX_RANK]){0}, &rank);
    if (check(r, status != DECONV_OK, "it was not refused")) {
        const char *message = deconv_ctx_message(ctx);
        size_t length = strlen(c->op->type);

        check(r,
              status == DECONV_ERROR_INVALID || status == DECONV_ERROR_UNSUPPORTED ||
                  status == DECONV_ERROR_FORMAT,
              "refused with status %s", deconv_status_name(status));
        check(r,
              !strncmp(message, c->op->type, length) && strchr(": ", message[length]) &&
                  strlen(message) > length + 10 && !strchr(message, '\n'),
              "the message does not say what was wrong with %s: '%s'", c->op->type, message);
    }
done:
    close_case(&d);
}
