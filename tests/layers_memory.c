/* layers_memory: operators when memory runs out. For the first problems of every operator in the
 * given files, every single allocation fails in turn, in creation, forward and inverse under all
 * rules; then the same context must still give right results.
 */
#include "harness.h"
#include "starve.h"

#include <errno.h>

enum { PROBLEMS_PER_OPERATOR = 6, MAX_OPERATORS = 128 };

static const int64_t max_elements = 2000;

typedef struct starved_case {
    ref_case *c;
    attr_list attrs;
} starved_case;

typedef struct seen {
    const ref_op *op[MAX_OPERATORS];
    int problems[MAX_OPERATORS];
    int count;
} seen;

static deconv_status make_tensor(deconv_ctx *ctx, const ref_tensor *like, bool filled,
                                 deconv_tensor **out)
{
    deconv_status status = deconv_tensor_create(ctx, like->dim, (uint32_t)like->rank, out);
    float *values;

    if (status != DECONV_OK || !filled)
        return status;
    values = floats_of(like);
    status = deconv_tensor_write(*out, values, (uint64_t)like->count);
    free(values);
    return status;
}

static deconv_status run_all(deconv_ctx *ctx, const ref_case *c, deconv_layer *layer,
                             deconv_tensor **in, deconv_tensor **out, deconv_tensor **signal)
{
    const deconv_tensor *const *inputs = (const deconv_tensor *const *)in;
    deconv_status status = deconv_run_layer(ctx, layer, DECONV_FORWARD, NULL, inputs,
                                            (uint32_t)c->n_in, out, (uint32_t)c->n_out, NULL);

    for (int rule = DECONV_RULE_DECONVNET; status == DECONV_OK && rule <= DECONV_RULE_GUIDED;
         rule++) {
        deconv_inverse_options options = DECONV_INVERSE_OPTIONS_INIT;

        options.rule = (deconv_rule)rule;
        status = deconv_run_layer(ctx, layer, DECONV_INVERSE, &options, inputs, (uint32_t)c->n_in,
                                  out, (uint32_t)c->n_out, signal);
    }
    return status;
}

static deconv_status create_and_run(deconv_ctx *ctx, void *user)
{
    const starved_case *s = user;
    const ref_case *c = s->c;
    deconv_tensor *in[REF_MAX_IN] = {NULL}, *signal[REF_MAX_IN] = {NULL};
    deconv_tensor *out[REF_MAX_OUT] = {NULL};
    deconv_layer *layer = NULL;
    deconv_status status = deconv_layer_create(ctx, c->op->type, c->problem->opset, s->attrs.attrs,
                                               (uint64_t)s->attrs.count, &layer);

    for (int i = 0; i < c->n_in; i++) {
        if (status == DECONV_OK && c->in[i].given)
            status = make_tensor(ctx, &c->in[i], true, &in[i]);
        if (status == DECONV_OK && c->in[i].given && ref_wants(c, i))
            status = make_tensor(ctx, &c->S[i], false, &signal[i]);
    }
    for (int o = 0; o < c->n_out; o++)
        if (status == DECONV_OK)
            status = make_tensor(ctx, &c->R[o], true, &out[o]);
    if (status == DECONV_OK) {
        status = run_all(ctx, c, layer, in, out, signal);
        /* A second time on the same layer, which must neither fail nor lose anything. */
        if (status != DECONV_OK && run_all(ctx, c, layer, in, out, signal) != DECONV_OK)
            status = DECONV_ERROR_INVALID;
    }
    for (int i = 0; i < REF_MAX_IN; i++) {
        deconv_tensor_destroy(in[i]);
        deconv_tensor_destroy(signal[i]);
    }
    for (int o = 0; o < REF_MAX_OUT; o++)
        deconv_tensor_destroy(out[o]);
    deconv_layer_destroy(layer);
    return status;
}

/* Counts the problem; false when its operator has had enough of them. */
static bool is_wanted(seen *all, const ref_case *c)
{
    int i = 0;

    for (int t = 0; t < c->n_in + c->n_out; t++)
        if ((t < c->n_in ? c->in[t] : c->out[t - c->n_in]).count > max_elements)
            return false;
    while (i < all->count && all->op[i] != c->op)
        i++;
    if (i == MAX_OPERATORS)
        return false;
    if (i == all->count)
        all->op[all->count++] = c->op;
    return all->problems[i]++ < PROBLEMS_PER_OPERATOR;
}

static bool starve_problem(deconv_ctx *ctx, heap *h, ref_case *c, const char *line, long *refused)
{
    starved_case s = {.c = c};
    report r = {.line = line};
    char why[512] = "";
    long count;

    ref_fill_inputs(c, 1);
    ref_fill_signals(c, 1);
    attrs_of(c, &s.attrs);
    if (create_and_run(ctx, &s) != DECONV_OK) { /* compiles the kernels */
        printf("FAIL %s\n     %s\n", line, deconv_ctx_message(ctx));
        return false;
    }
    count = starve(ctx, h, create_and_run, &s, why, sizeof why);
    if (count <= 0) {
        printf("FAIL %s\n     %s\n", line, count ? why : "nothing was allocated");
        return false;
    }
    *refused += count;
    check_layer(ctx, c, false, &r);
    return r.failures == 0;
}

/* What a file of problems adds; false when something failed. */
static bool run_file(deconv_ctx *ctx, heap *h, const char *path, seen *all, int *problems,
                     long *refused)
{
    FILE *file = fopen(path, "r");
    char line[2 * REF_MAX_LINE], error[160];
    bool passed = true;

    if (!file) {
        fprintf(stderr, "layers_memory: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (fgets(line, sizeof line, file)) {
        const char *text = ref_trim(line);
        ref_problem p;
        ref_case c;

        if (!*text || !ref_parse(text, &p, error, sizeof error) || p.refused)
            continue;
        if (ref_open(&p, &c) && is_wanted(all, &c)) {
            passed = starve_problem(ctx, h, &c, text, refused) && passed;
            ++*problems;
        }
        ref_close(&c);
    }
    fclose(file);
    return passed;
}

int main(int argc, char **argv)
{
    heap h = {.countdown = -1};
    deconv_ctx *ctx = heap_context(&h, NULL);
    seen all = {.count = 0};
    bool passed = true;
    int problems = 0;
    long refused = 0;

    if (!ctx || argc < 2) {
        fprintf(stderr, "usage: layers_memory FILE...; on an OpenCL device\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        passed = run_file(ctx, &h, argv[i], &all, &problems, &refused) && passed;
    deconv_ctx_destroy(ctx);
    if (h.live != 0)
        printf("FAIL %ld pieces of memory outlive the context\n", h.live);
    printf("%d operators, %d problems, %ld allocations refused: %s\n", all.count, problems, refused,
           passed && h.live == 0 ? "passed" : "failed");
    return passed && h.live == 0 && problems > 0 ? 0 : 1;
}
