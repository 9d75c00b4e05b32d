/* layers: runs every operator on the device and compares it, in both directions and under every
 * rule, with the float64 reference. Problems come from files or from the command line, one line
 * each; a failure prints the line that repeats it.
 */
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: layers [OPTION]... FILE|'PROBLEM'...\n"
    "A problem is a line like 'Conv x=1,3,8,8 w=4,3,3,3 pads=1,1,1,1'; a file has one a line.\n"
    "  --forward-only     no inverse passes\n"
    "  --no-boxes         no checks of reach and needs\n"
    "  --no-guards        buffers as they are elsewhere, for tools that watch their borders\n"
    "  --max-elements N   leave out problems with a tensor of more than N elements\n"
    "  --plan-only        plan every operator, convolutions by every algorithm, and run none\n"
    "  --list             print the problems and run none\n"
    "The device is $DECONV_DEVICE, or the CPU.\n";

/* What is summed up over the problems of one operator. */
typedef struct tally {
    int problems, checks, failed, boxes;
    double forward_error, inverse_error;
} tally;

enum { MAX_OPS = 64 };

typedef struct runner {
    deconv_ctx *ctx;
    bool forward_only, no_boxes, no_guards, plan_only, list;
    int64_t max_elements; /* 0: any */
    int left_out;
    tally tallies[MAX_OPS];
} runner;

static const size_t guard_bytes = 512;

static int op_number(const ref_op *wanted)
{
    size_t count;
    const ref_op *const *ops = ref_ops(&count);

    for (size_t i = 0; i < count && i < MAX_OPS; i++)
        if (ops[i] == wanted)
            return (int)i;
    abort();
}

static int64_t largest_tensor(const ref_case *c)
{
    int64_t largest = 0;

    for (int i = 0; i < c->n_in; i++)
        largest = c->in[i].count > largest ? c->in[i].count : largest;
    for (int o = 0; o < c->n_out; o++)
        largest = c->out[o].count > largest ? c->out[o].count : largest;
    return largest;
}

static void run_checks(runner *run, ref_case *c, report *r)
{
    if (c->problem->refused) {
        check_refused(run->ctx, c, r);
        return;
    }
    ref_fill_inputs(c, 1);
    ref_fill_signals(c, 1);
    if (run->plan_only) {
        check_plans(run->ctx, c, r);
        return;
    }
    check_layer(run->ctx, c, run->forward_only, r);
    check_as_network(run->ctx, c, run->forward_only, r);
    if (!run->no_boxes)
        check_boxes(run->ctx, c, r);
}

static void add_to_tally(runner *run, const ref_case *c, const report *r)
{
    tally *t = &run->tallies[op_number(c->op)];

    t->problems++;
    t->checks += r->checks;
    t->failed += r->failures > 0;
    t->boxes += r->boxes;
    t->forward_error = fmax(t->forward_error, r->forward_error);
    t->inverse_error = fmax(t->inverse_error, r->inverse_error);
}

/* False when the line is no valid problem. */
static bool run_line(runner *run, const char *line)
{
    report r = {.line = line};
    char error[160];
    ref_problem p;
    ref_case c;

    if (!ref_parse(line, &p, error, sizeof error)) {
        fprintf(stderr, "layers: '%s': %s\n", line, error);
        return false;
    }
    if (!(p.refused ? ref_open_inputs : ref_open)(&p, &c)) {
        fprintf(stderr, "layers: '%s': %s\n", line, c.error);
        ref_close(&c);
        return false;
    }
    if (run->list) {
        printf("%s\n", line);
    } else if (run->max_elements && largest_tensor(&c) > run->max_elements) {
        run->left_out++;
    } else {
        run_checks(run, &c, &r);
        add_to_tally(run, &c, &r);
    }
    ref_close(&c);
    return true;
}

static bool run_file(runner *run, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[2 * REF_MAX_LINE];
    bool valid = true;

    if (!file) {
        fprintf(stderr, "layers: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (fgets(line, sizeof line, file)) {
        const char *text = ref_trim(line);

        if (*text)
            valid = run_line(run, text) && valid;
    }
    fclose(file);
    return valid;
}

/* Prints the table and returns how many problems failed. */
static int summarize(const runner *run)
{
    size_t count;
    const ref_op *const *ops = ref_ops(&count);
    tally all = {0};

    printf("%-20s %8s %8s %8s %12s %12s\n", "operator", "problems", "failed", "boxes", "forward",
           "inverse");
    for (size_t i = 0; i < count; i++) {
        const tally *t = &run->tallies[i];

        if (!t->problems)
            continue;
        printf("%-20s %8d %8d %8d %12.1e %12.1e\n", ops[i]->type, t->problems, t->failed, t->boxes,
               t->forward_error, t->inverse_error);
        all.problems += t->problems;
        all.checks += t->checks;
        all.failed += t->failed;
        all.forward_error = fmax(all.forward_error, t->forward_error);
        all.inverse_error = fmax(all.inverse_error, t->inverse_error);
    }
    if (run->left_out)
        printf("%d problems have more than %lld elements and were left out\n", run->left_out,
               (long long)run->max_elements);
    printf("%d problems, %d checks, worst relative error forward %.1e, inverse %.1e\n",
           all.problems, all.checks, all.forward_error, all.inverse_error);
    printf("%d passed, %d failed\n", all.problems - all.failed, all.failed);
    return all.failed;
}

static deconv_ctx *open_context(const runner *run)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;
    deconv_ctx *ctx = NULL;
    char error[512];

    options.device = getenv("DECONV_DEVICE") ? NULL : "cpu";
    options.error = error;
    options.error_size = sizeof error;
    if (deconv_ctx_create(&options, &ctx) != DECONV_OK) {
        fprintf(stderr, "layers: %s\n", error);
        return NULL;
    }
    buffers_set_guards(ctx, run->no_guards ? 0 : guard_bytes);
    if (deconv_ctx_device(ctx, &info) == DECONV_OK)
        printf("%s, %s\n", info.name, info.platform);
    return ctx;
}

/* Reads the options; the index of the first problem or file, 0 when they make no sense. */
static int read_options(int argc, char **argv, runner *run)
{
    int i;

    for (i = 1; i < argc && !strncmp(argv[i], "--", 2); i++) {
        char *end = NULL;

        if (!strcmp(argv[i], "--forward-only"))
            run->forward_only = true;
        else if (!strcmp(argv[i], "--no-boxes"))
            run->no_boxes = true;
        else if (!strcmp(argv[i], "--no-guards"))
            run->no_guards = true;
        else if (!strcmp(argv[i], "--plan-only"))
            run->plan_only = true;
        else if (!strcmp(argv[i], "--list"))
            run->list = true;
        else if (!strcmp(argv[i], "--max-elements") && i + 1 < argc)
            run->max_elements = strtoll(argv[++i], &end, 10);
        else
            return 0;
        if (end && (*end || run->max_elements < 1))
            return 0;
    }
    return i < argc ? i : 0;
}

int main(int argc, char **argv)
{
    runner run = {0};
    int first = read_options(argc, argv, &run), failed = 0;
    bool valid = true;

    if (!first) {
        fputs(usage, stderr);
        return 2;
    }
    if (!run.list) {
        run.ctx = open_context(&run);
        if (!run.ctx)
            return 1;
    }
    for (int i = first; i < argc; i++)
        valid = (strchr(argv[i], '=') ? run_line(&run, argv[i]) : run_file(&run, argv[i])) && valid;
    if (!run.list)
        failed = summarize(&run);
    deconv_ctx_destroy(run.ctx);
    return valid && !failed ? 0 : 1;
}
