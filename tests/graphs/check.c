/* What is asked of the library about one random network:
 *   - every layer's activation is the float64 one of its inputs, but for rounding;
 *   - a trace that keeps one layer computes it bit for bit as one that keeps all, and so does one
 * that goes forward only;
 *   - projections are the same bit for bit by windows, by whole layers, one by one, as a signal,
 * and from a trace that keeps one layer (but that -0 counts as 0);
 *   - projections are the float64 adjoints at the same gates and switches, but for rounding. */
#include "graphs.h"

#include "opencl/opencl.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 7, RULES = 3, MOST_SHOWN = 4 };

static const uint32_t every_flag =
    DECONV_INVERSE_AVERAGE_COPY | DECONV_INVERSE_LRN_DERIVATIVE | DECONV_INVERSE_APPLY_F;

static const char *const rule_name[RULES] = {"deconvnet", "gradient", "guided"};

/* A layer that is looked at. */
typedef struct layer {
    const net_value *value;
    uint32_t index;
    int64_t units, height, width;
    deconv_seed seeds[SEEDS];
} layer;

/* `count` projections, and what was said about them. */
typedef struct projected {
    float *values;
    int64_t each;
    deconv_projection_info infos[SEEDS];
} projected;

typedef struct checker {
    deconv_ctx *ctx;
    random_net *g;
    net_report *r;
    deconv_net *net;
    deconv_tensor *input;
    deconv_trace *trace; /* keeps all */
} checker;

/* ---- Reporting ---- */

static bool check(checker *k, bool passed, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool check(checker *k, bool passed, const char *format, ...)
{
    va_list args;

    k->r->checks++;
    if (passed)
        return true;
    if (k->r->failures++ < MOST_SHOWN) {
        printf("FAIL ");
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("\n");
        if (k->r->failures == 1) {
            printf("     graphs %llu\n", (unsigned long long)k->g->seed);
            net_print(k->g);
        }
        fflush(stdout);
    }
    return false;
}

static bool ok(checker *k, deconv_status status, const char *what)
{
    if (status == DECONV_OK)
        return true;
    return check(k, false, "%s: %s: %s", what, deconv_status_name(status),
                 deconv_ctx_message(k->ctx));
}

/* Bit for bit, but that -0 is 0: a sum of nothing may have either sign. */
static bool check_same(checker *k, const float *is, const float *should, int64_t count,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

static bool check_same(checker *k, const float *is, const float *should, int64_t count,
                       const char *format, ...)
{
    int64_t first = -1, different = 0;
    char what[160];
    va_list args;

    for (int64_t i = 0; i < count; i++) {
        float a = is[i] + 0.0f, b = should[i] + 0.0f;

        if (memcmp(&a, &b, sizeof a) == 0)
            continue;
        first = first < 0 ? i : first;
        different++;
    }
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return check(k, different == 0,
                 "%s: %lld of %lld values differ; element %lld is %.9g, not %.9g", what,
                 (long long)different, (long long)count, (long long)first,
                 first < 0 ? 0 : (double)is[first], first < 0 ? 0 : (double)should[first]);
}

/* The largest difference over the largest value. */
static bool check_close(checker *k, const float *is, const double *should, int64_t count,
                        double tolerance, double *worst, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

static bool check_close(checker *k, const float *is, const double *should, int64_t count,
                        double tolerance, double *worst, const char *format, ...)
{
    double largest = 0, difference = 0, error;
    int64_t at = 0;
    char what[160];
    va_list args;

    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)is[i] - should[i]);

        largest = fmax(largest, fabs(should[i]));
        if (!(d <= difference)) {
            difference = isnan(d) ? INFINITY : d;
            at = i;
        }
    }
    error = difference == 0 ? 0 : difference / largest;
    *worst = fmax(*worst, error);
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return check(k, error <= tolerance,
                 "%s: relative error %.2e, allowed %.0e; element %lld is %.9g, it must be %.9g",
                 what, error, tolerance, (long long)at, (double)is[at], should[at]);
}

/* ---- Running ---- */

static float *read_tensor(checker *k, const deconv_tensor *t)
{
    uint64_t count = deconv_tensor_count(t);
    float *values = malloc((size_t)count * sizeof *values);

    if (!values)
        abort();
    if (ok(k, deconv_tensor_read(t, values, count), "reading a tensor"))
        return values;
    free(values);
    return NULL;
}

static float *activation_of(checker *k, deconv_trace *trace, uint32_t layer)
{
    const deconv_tensor *t;

    if (!ok(k, deconv_trace_activation(trace, layer, &t), "an activation"))
        return NULL;
    return read_tensor(k, t);
}

static bool run_trace(checker *k, const deconv_trace_options *options, deconv_trace **trace)
{
    return ok(k, deconv_trace_create(k->net, k->g->batch, options, trace), "making a trace") &&
           ok(k, deconv_trace_run(*trace, (const deconv_tensor *const *)&k->input, 1),
              "running forward");
}

/* The net, one input, and the trace that keeps everything. */
static bool open_net(checker *k, const char *path)
{
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    net_value *x = &k->g->value[0];

    net_write(k->g, path);
    if (!ok(k, deconv_net_open(k->ctx, path, NULL, &k->net), "opening the network") ||
        !ok(k, deconv_tensor_create(k->ctx, x->dim, (uint32_t)x->rank, &k->input), "the input"))
        return false;
    x->is = malloc((size_t)x->count * sizeof *x->is);
    if (!x->is)
        abort();
    for (int64_t i = 0; i < x->count; i++)
        x->is[i] = (float)draw(k->g, 1 << 24) * 0x1p-23f - 1.0f;
    options.flags = every_flag;
    return ok(k, deconv_tensor_write(k->input, x->is, (uint64_t)x->count), "the input") &&
           run_trace(k, &options, &k->trace);
}

static bool open_layer(checker *k, int value, layer *l)
{
    const net_value *v = &k->g->value[value];
    char what[32];

    *l = (layer){.value = v, .units = v->dim[1]};
    l->height = v->rank == 4 ? v->dim[2] : 1;
    l->width = v->rank >= 3 ? v->dim[v->rank - 1] : 1;
    snprintf(what, sizeof what, "finding %s", v->name);
    return ok(k, deconv_net_find(k->net, v->name, &l->index), what);
}

/* The strongest of all and of a map, corners, a border, and anywhere; several of one picture. */
static void draw_seeds(random_net *g, layer *l)
{
    int64_t bottom = l->height - 1, right = l->width - 1;

    for (int i = 0; i < SEEDS; i++) {
        deconv_seed *s = &l->seeds[i];

        s->item = (int64_t)draw(g, (uint64_t)g->batch);
        s->unit = (int64_t)draw(g, (uint64_t)l->units);
        s->y = (int64_t)draw(g, (uint64_t)l->height);
        s->x = (int64_t)draw(g, (uint64_t)l->width);
    }
    l->seeds[0].unit = DECONV_STRONGEST;
    l->seeds[0].y = l->seeds[0].x = l->seeds[1].y = l->seeds[1].x = DECONV_STRONGEST;
    l->seeds[2].y = l->seeds[2].x = 0;
    l->seeds[3].y = bottom;
    l->seeds[3].x = right;
    l->seeds[4].y = chance(g, 50) ? 0 : bottom;
}

/* False where it failed or, in this layer, cannot be. */
static bool project(checker *k, deconv_trace *trace, const layer *l, int first, int count,
                    const deconv_project_options *options, projected *out)
{
    int64_t shape[REF_MAX_RANK];
    deconv_tensor *result = NULL;
    bool done;

    memcpy(shape, k->g->value[0].dim, sizeof shape);
    shape[0] = count;
    out->values = NULL;
    done = ok(k, deconv_tensor_create(k->ctx, shape, (uint32_t)k->g->value[0].rank, &result),
              "a tensor of projections") &&
           ok(k,
              deconv_project(trace, l->index, l->seeds + first, (uint64_t)count, options, result,
                             out->infos),
              "projecting") &&
           (out->values = read_tensor(k, result));
    out->each = done ? (int64_t)deconv_tensor_count(result) / count : 0;
    deconv_tensor_destroy(result);
    return done;
}

/* ---- Comparing ---- */

static void check_infos(checker *k, const layer *l, const char *what,
                        const deconv_projection_info *is, const deconv_projection_info *should)
{
    check(
        k,
        is->item == should->item && is->unit == should->unit && is->y == should->y &&
            is->x == should->x && is->activation == should->activation &&
            is->largest == should->largest && is->died_at == should->died_at,
        "%s, %s: unit %lld at %lld,%lld is described as of activation %.9g, largest %.9g, died at "
        "%d; not %.9g, %.9g, %d",
        l->value->name, what, (long long)is->unit, (long long)is->y, (long long)is->x,
        (double)is->activation, (double)is->largest, is->died_at, (double)should->activation,
        (double)should->largest, should->died_at);
}

static void check_projected(checker *k, const layer *l, deconv_rule rule, const char *how,
                            const projected *is, int count, const projected *should, int first)
{
    for (int i = 0; i < count; i++) {
        const deconv_projection_info *s = &should->infos[first + i];

        check_same(k, is->values + i * is->each, should->values + (first + i) * should->each,
                   is->each, "%s, %s, %s: item %lld, unit %lld at %lld,%lld", l->value->name,
                   rule_name[rule], how, (long long)s->item, (long long)s->unit, (long long)s->y,
                   (long long)s->x);
        check_infos(k, l, how, &is->infos[i], s);
    }
}

/* A projection as a signal with one unit that is not zero. */
static void check_signal(checker *k, const layer *l, const deconv_project_options *options,
                         const projected *all, int seed)
{
    const deconv_projection_info *s = &all->infos[seed];
    const net_value *x = &k->g->value[0], *v = l->value;
    deconv_tensor *signal = NULL, *result = NULL;
    float *values = calloc((size_t)v->count, sizeof *values), *got = NULL;
    float *want = calloc((size_t)x->count, sizeof *want);
    /* f applied to a signal may leave none of the other pictures empty. */
    bool one = options->flags & DECONV_INVERSE_APPLY_F;
    int64_t first = one ? s->item * all->each : 0, count = one ? all->each : x->count;

    if (!values || !want)
        abort();
    values[((s->item * l->units + s->unit) * l->height + s->y) * l->width + s->x] =
        options->value == DECONV_SEED_ONE ? 1.0f : s->activation;
    memcpy(want + s->item * all->each, all->values + seed * all->each,
           (size_t)all->each * sizeof *want);
    if (ok(k, deconv_tensor_create(k->ctx, v->dim, (uint32_t)v->rank, &signal), "a signal") &&
        ok(k, deconv_tensor_create(k->ctx, x->dim, (uint32_t)x->rank, &result), "a projection") &&
        ok(k, deconv_tensor_write(signal, values, (uint64_t)v->count), "a signal") &&
        ok(k, deconv_project_signal(k->trace, l->index, signal, options, result),
           "projecting a signal") &&
        (got = read_tensor(k, result)))
        check_same(k, got + first, want + first, count, "%s, %s, as a signal", v->name,
                   rule_name[options->rule]);
    deconv_tensor_destroy(signal);
    deconv_tensor_destroy(result);
    free(values);
    free(want);
    free(got);
}

/* The same from a trace that keeps no other layer, goes no further and serves no other rule. */
static void check_alone(checker *k, const layer *l, const deconv_project_options *options,
                        const projected *all)
{
    deconv_trace_options keep = DECONV_TRACE_OPTIONS_INIT;
    deconv_trace *trace = NULL;
    float *activation = NULL;
    projected alone;

    keep.rules = 1u << options->rule;
    keep.flags = options->flags;
    keep.keep = keep.last = &l->index;
    keep.keep_count = keep.last_count = 1;
    if (run_trace(k, &keep, &trace) && (activation = activation_of(k, trace, l->index)) &&
        check_same(k, activation, l->value->is, l->value->count, "%s, kept alone",
                   l->value->name) &&
        project(k, trace, l, 0, SEEDS, options, &alone)) {
        check_projected(k, l, options->rule, "kept alone", &alone, SEEDS, all, 0);
        free(alone.values);
    }
    deconv_trace_destroy(trace);
    free(activation);
}

/* A trace for this layer that nobody goes back from. */
static void check_forward_only(checker *k, const layer *l)
{
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_trace *trace = NULL;
    float *activation = NULL;

    options.flags = DECONV_TRACE_NO_INVERSE;
    options.keep = options.last = &l->index;
    options.keep_count = options.last_count = 1;
    if (run_trace(k, &options, &trace) && (activation = activation_of(k, trace, l->index)))
        check_same(k, activation, l->value->is, l->value->count, "%s, forward only",
                   l->value->name);
    deconv_trace_destroy(trace);
    free(activation);
}

/* One seed of each picture, against the adjoint in float64. */
static void check_adjoint(checker *k, layer l, const deconv_project_options *options)
{
    const net_value *x = &k->g->value[0];
    double *signal = calloc((size_t)l.value->count, sizeof *signal);
    int items = (int)k->g->batch;
    projected some;

    if (!signal)
        abort();
    for (int i = 0; i < items; i++)
        l.seeds[i].item = i;
    if (project(k, k->trace, &l, 0, items, options, &some)) {
        for (int i = 0; i < items; i++) {
            const deconv_projection_info *s = &some.infos[i];

            signal[((i * l.units + s->unit) * l.height + s->y) * l.width + s->x] =
                options->value == DECONV_SEED_ONE ? 1 : s->activation;
        }
        net_inverse(k->g, (int)(l.value - k->g->value), signal, options->rule, options->flags);
        for (int i = 0; i < items; i++)
            check_close(k, some.values + i * some.each, x->signal + i * some.each, some.each, 1e-4,
                        &k->r->inverse_error, "%s, %s against float64: item %d, unit %lld",
                        l.value->name, rule_name[options->rule], i, (long long)some.infos[i].unit);
        k->r->adjoints += items;
        free(some.values);
    }
    free(signal);
}

/* ---- One layer ---- */

static void check_cut(checker *k, const layer *l, deconv_rule rule, uint32_t flags)
{
    int nodes = 0, whole = 0;
    bool done = count_whole(k->trace, l->index, rule, flags, k->r->cut_type, &nodes, &whole);

    check(k, done && whole == 0, "%s, %s: %d of %d %s write whole maps: %s", l->value->name,
          rule_name[rule], whole, nodes, k->r->cut_type, deconv_ctx_message(k->ctx));
    k->r->cut_nodes += nodes;
    check(k, buffers_check_guards(k->ctx) == DECONV_OK, "%s, %s: %s", l->value->name,
          rule_name[rule], deconv_ctx_message(k->ctx));
}

static void check_rule(checker *k, layer *l, deconv_rule rule, bool in_depth)
{
    deconv_project_options options = DECONV_PROJECT_OPTIONS_INIT;
    projected all, other;
    int single = (int)draw(k->g, SEEDS);
    uint32_t flags;

    draw_seeds(k->g, l);
    options.rule = rule;
    options.value = chance(k->g, 50) ? DECONV_SEED_ONE : DECONV_SEED_ACTIVATION;
    options.flags = chance(k->g, 70) ? 0 : (uint32_t)draw(k->g, every_flag + 1);
    if (!project(k, k->trace, l, 0, SEEDS, &options, &all))
        return;
    k->r->projections += SEEDS;
    k->r->cut += goes_by_windows(k->trace, l->index, rule, options.flags) ? SEEDS : 0;
    if (k->r->cut_type)
        check_cut(k, l, rule, options.flags);
    flags = options.flags;
    options.flags |= DECONV_PROJECT_WHOLE;
    if (project(k, k->trace, l, 0, SEEDS, &options, &other)) {
        check_projected(k, l, rule, "whole layers", &other, SEEDS, &all, 0);
        free(other.values);
    }
    options.flags = flags;
    if (project(k, k->trace, l, single, 1, &options, &other)) {
        check_projected(k, l, rule, "one alone", &other, 1, &all, single);
        free(other.values);
    }
    check_signal(k, l, &options, &all, (int)draw(k->g, SEEDS));
    if (in_depth) {
        check_alone(k, l, &options, &all);
        check_adjoint(k, *l, &options);
    }
    free(all.values);
}

static void check_forward(checker *k, int value, const layer *l)
{
    net_value *v = &k->g->value[value];
    const net_node *n = &k->g->node[v->node];
    const double *should = n->c.out[v->output].at;
    /* A softmax over thousands of values adds them up in float32. */
    double tolerance = strcmp(n->problem.type, "Softmax") == 0 ? 5e-5 : 1e-5;

    v->is = activation_of(k, k->trace, l->index);
    if (!v->is)
        return;
    net_forward(k->g, v->node);
    check_close(k, v->is, should, v->count, tolerance, &k->r->forward_error, "%s", v->name);
    k->r->nodes++;
}

void net_check(deconv_ctx *ctx, random_net *g, const char *path, net_report *r)
{
    checker k = {.ctx = ctx, .g = g, .r = r};
    int deep = 1 + (int)draw(g, (uint64_t)g->n_value - 1);
    layer layers[NET_VALUES];
    bool sound = open_net(&k, path);

    for (int v = 1; sound && v < g->n_value; v++) {
        sound = open_layer(&k, v, &layers[v]);
        if (sound)
            check_forward(&k, v, &layers[v]);
        sound = sound && g->value[v].is;
    }
    for (int v = 1; sound && v < g->n_value; v++) {
        r->layers++;
        check_forward_only(&k, &layers[v]);
        /* Units are of maps; the library refuses others. */
        for (int rule = 0; g->value[v].rank <= 4 && rule < RULES; rule++)
            check_rule(&k, &layers[v], (deconv_rule)rule, v == deep || v == g->n_value - 1);
    }
    deconv_trace_destroy(k.trace);
    deconv_tensor_destroy(k.input);
    deconv_net_destroy(k.net);
}
