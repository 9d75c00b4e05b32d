/* deconv-bench conv: every convolution of five networks by libdeconv and by oneDNN, in one process,
 * in turn. */
#include <math.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"
#include "ceiling.h"
#include "conv_report.h"
#include "ours.h"
#include "peer.h"

/* A figure that other processes disturbed is measured again, a few times at most. Before that they
 * are waited for, but no longer than this in a whole run. */
#define TRIES     4
#define PATIENCE  900.0
#define TRY_AGAIN 3.0

/* How long --lock keeps the machine, and how long it leaves it to others. */
#define LOCK_SECONDS   40.0
#define UNLOCK_SECONDS 0.2

typedef struct conv_bench {
    char *only, *algorithm, *device, *lock, *table_name;
    int batch; /* 0: 1 and 8 */
    int table; /* -1: all */
    int json;
    effort effort;

    int lock_file;
    double locked_at; /* 0: not locked */
    double waited;    /* seconds, for other processes */
    deconv_ctx *ctx;
    ceiling *ceiling;
    machine machine;
} conv_bench;

/* The host's side of one shape and direction. */
typedef struct operands {
    conv_problem problem;
    conv_direction direction;
    float *weights, *src, *ours, *peer;
    size_t results;
} operands;

/* ---- Options ---- */

static int parse(conv_bench *b, int argc, const char **argv)
{
    struct poptOption options[] = {
        {"only", 0, POPT_ARG_STRING, &b->only, 0, "only shapes with TEXT in their name", "TEXT"},
        {"table", 0, POPT_ARG_STRING, &b->table_name, 0,
         "only this table: own, nchw or winograd (default: all)", "NAME"},
        {"batch", 0, POPT_ARG_INT, &b->batch, 0, "only this batch size (default: 1 and 8)", "N"},
        {"seconds", 0, POPT_ARG_DOUBLE, &b->effort.seconds, 0,
         "time for each program at each figure (default: 0.15)", "S"},
        {"repeat", 0, POPT_ARG_INT, &b->effort.rounds, 0,
         "turns to spread it over; figures are their medians (default: 7)", "N"},
        {"algorithm", 0, POPT_ARG_STRING, &b->algorithm, 0,
         "prefer this algorithm wherever it does not refuse ($DECONV_CONV_ALGORITHM)", "NAME"},
        {"device", 0, POPT_ARG_STRING, &b->device, 0, "cpu, gpu, a number or part of a name",
         "DEVICE"},
        {"lock", 0, POPT_ARG_STRING, &b->lock, 0,
         "hold an exclusive flock(2) of FILE while measuring, for a machine with other work",
         "FILE"},
        {"json", 0, POPT_ARG_NONE, &b->json, 0, "print one JSON object", NULL},
        POPT_AUTOHELP POPT_TABLEEND,
    };
    poptContext parser = poptGetContext("deconv-bench conv", argc, argv, options, 0);
    int code = poptGetNextOpt(parser);
    int result = -1;

    if (code < -1) {
        fprintf(stderr, "deconv-bench: error: %s: %s\n",
                poptBadOption(parser, POPT_BADOPTION_NOALIAS), poptStrerror(code));
        result = 2;
    } else if (poptPeekArg(parser)) {
        fprintf(stderr, "deconv-bench: error: %s: conv takes options only\n", poptPeekArg(parser));
        result = 2;
    } else if (b->table_name && (b->table = table_named(b->table_name)) < 0) {
        fprintf(stderr, "deconv-bench: error: %s: there are the tables own, nchw and winograd\n",
                b->table_name);
        result = 2;
    } else if (b->batch < 0 || b->effort.rounds < 1 || b->effort.rounds > MOST_ROUNDS ||
               !(b->effort.seconds > 0)) {
        fprintf(stderr,
                "deconv-bench: error: a batch of at least 1, 1 to %d turns and some time are "
                "wanted\n",
                MOST_ROUNDS);
        result = 2;
    }
    poptFreeContext(parser);
    return result;
}

/* ---- The machine ---- */

/* With --lock: taken before a figure, kept over the next ones for a while, as others may hold it
 * long. */
static void lock_machine(conv_bench *b)
{
    if (!b->lock || b->locked_at > 0)
        return;
    if (flock(b->lock_file, LOCK_EX) != 0)
        die("%s: it cannot be locked", b->lock);
    b->locked_at = seconds_now();
}

static void unlock_machine(conv_bench *b)
{
    if (b->locked_at > 0)
        flock(b->lock_file, LOCK_UN);
    b->locked_at = 0;
}

/* The lock and a machine without other work, as far as patience goes. */
static void take_machine(conv_bench *b)
{
    for (;;) {
        double start;

        lock_machine(b);
        start = seconds_now();
        if (machine_is_quiet() || b->waited > PATIENCE)
            return;
        unlock_machine(b);
        pause_seconds(TRY_AGAIN);
        b->waited += seconds_now() - start;
    }
}

static void leave_machine(conv_bench *b)
{
    if (b->locked_at == 0 || seconds_now() - b->locked_at < LOCK_SECONDS)
        return;
    unlock_machine(b);
    pause_seconds(UNLOCK_SECONDS);
}

/* Returns the cores that others used meanwhile, of the quietest try. */
static double measure_quietly(conv_bench *b, const runner *runners, int count, timings *found)
{
    double least = INFINITY;
    timings tried;

    for (int i = 0; i < TRIES && least > MOST_OTHERS; i++) {
        double others;

        take_machine(b);
        others = measure(runners, count, &b->effort, &tried);
        leave_machine(b);
        if (others >= least)
            continue;
        least = others;
        *found = tried;
    }
    return least;
}

static void measure_ceiling(conv_bench *b)
{
    const runner r = ceiling_runner(b->ceiling);
    timings t;

    measure_quietly(b, &r, 1, &t);
    b->machine.ceiling = 1e-9 * ceiling_flops(b->ceiling) / median_seconds(&t, 0);
}

static void open_machine(conv_bench *b)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;
    char error[512] = "";

    if (b->algorithm)
        setenv("DECONV_CONV_ALGORITHM", b->algorithm, 1);
    if (b->lock) {
        b->lock_file = open(b->lock, O_RDWR | O_CREAT, 0666);
        if (b->lock_file < 0)
            die("%s: it cannot be opened", b->lock);
    }
    options.device = b->device;
    options.error = error;
    options.error_size = sizeof error;
    if (deconv_ctx_create(&options, &b->ctx) || deconv_ctx_device(b->ctx, &info))
        die("%s", error);
    snprintf(b->machine.device, sizeof b->machine.device, "%s, %s", info.name, info.version);
    b->machine.version = deconv_version();
    b->machine.peer_version = peer_version();
    b->machine.threads = (int)info.compute_units;
    b->machine.lanes = (int)device_limits_of(b->ctx)->vector_floats;
    peer_open(b->machine.threads);
    b->ceiling = ceiling_create(b->ctx);
    measure_ceiling(b);
}

/* ---- Operands ---- */

/* Values between -1 and 1, the same in every run. */
static float *values_of(size_t count, uint32_t seed)
{
    float *values = malloc(count * sizeof *values);
    uint32_t state = seed;

    if (!values)
        die("no memory for %zu values", count);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return values;
}

static size_t side_count(const conv_problem *p, bool in)
{
    const int64_t *size = in ? p->in_size : p->out_size;

    return (size_t)(p->batch * (in ? p->in_channels : p->out_channels) * size[0] * size[1]);
}

static operands operands_of(const conv_problem *p, conv_direction direction)
{
    bool forward = direction == CONV_FORWARD;
    size_t weights =
        (size_t)(p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1]);
    operands o = {.problem = *p, .direction = direction, .results = side_count(p, !forward)};

    o.weights = values_of(weights, 1);
    o.src = values_of(side_count(p, forward), 2);
    o.ours = values_of(o.results, 3);
    o.peer = values_of(o.results, 4);
    return o;
}

static void operands_free(operands *o)
{
    free(o->weights);
    free(o->src);
    free(o->ours);
    free(o->peer);
}

static double difference(const operands *o)
{
    double most = 0.0, largest = 0.0;

    for (size_t i = 0; i < o->results; i++) {
        double d = fabs((double)o->ours[i] - (double)o->peer[i]);

        if (!(d <= most)) /* a NaN stays */
            most = d;
        if (fabs((double)o->peer[i]) > largest)
            largest = fabs((double)o->peer[i]);
    }
    return most / largest;
}

/* ---- Measuring ---- */

/* The results of all contenders against libdeconv's. */
static double check_results(operands *o, ours *mine, peer *const *peers, int count)
{
    const runner r = ours_runner(mine);
    double most = 0.0;

    ours_load(mine, o->src);
    r.run(r.self, 1);
    ours_read(mine, o->ours);
    for (int i = 0; i < count; i++) {
        const runner p = peer_runner(peers[i]);
        double d;

        peer_load(peers[i], o->src);
        p.run(p.self, 1);
        peer_read(peers[i], o->peer);
        d = difference(o);
        if (!(d <= most))
            most = d;
    }
    return most;
}

static int create_peers(const operands *o, int table, peer **peers)
{
    int count = 0;

    for (int layout = PEER_OWN; layout <= PEER_REORDERED; layout++) {
        if ((layout == PEER_OWN) != (table != TABLE_NCHW))
            continue;
        peers[count] = peer_create(&o->problem, o->direction, (peer_layout)layout, o->weights);
        if (peers[count])
            count++;
    }
    if (count == 0)
        die("oneDNN has no primitive for this convolution");
    return count;
}

static void measure_figure(conv_bench *b, operands *o, int table, figure *f)
{
    const double gflop = 2e-9 * conv_problem_work(&o->problem);
    const double ceiling_gflop = 1e-9 * ceiling_flops(b->ceiling);
    const ours_wish wish = {.nchw = table == TABLE_NCHW, .approximate = table == TABLE_WINOGRAD};
    ours *mine = ours_create(b->ctx, &o->problem, o->direction, wish, o->weights);
    peer *peers[2];
    runner runners[MOST_RUNNERS];
    timings t;
    int count = create_peers(o, table, peers), best = 0;

    f->difference = check_results(o, mine, peers, count);
    for (int i = 0; i < count; i++)
        runners[i] = peer_runner(peers[i]);
    runners[count] = ours_runner(mine);
    runners[count + 1] = ceiling_runner(b->ceiling);
    f->others = measure_quietly(b, runners, count + 2, &t);
    if (count == 2 && median_ratio(&t, 1, 0) < 1)
        best = 1;
    f->ours = gflop / median_seconds(&t, count);
    f->peer = gflop / median_seconds(&t, best);
    f->ratio = median_ratio(&t, best, count);
    f->percent = 100.0 * gflop / ceiling_gflop * median_ratio(&t, count + 1, count);
    f->algorithm = ours_algorithm(mine);
    f->layouts = ours_layouts(mine);
    snprintf(f->peer_kernel, sizeof f->peer_kernel, "%s%s", peer_kernel(peers[best]),
             peer_reorders(peers[best]) ? " and reorders" : "");
    ours_free(mine);
    for (int i = 0; i < count; i++)
        peer_free(peers[i]);
}

static void measure_row(conv_bench *b, row *r, int table)
{
    static const conv_direction direction[] = {CONV_FORWARD, CONV_ADJOINT};
    const conv_problem p = conv_shape_problem(r->shape, r->batch);

    r->has[table] = true;
    for (int d = 0; d < DIRECTIONS; d++) {
        operands o = operands_of(&p, direction[d]);

        measure_figure(b, &o, table, &r->figure[table][d]);
        operands_free(&o);
    }
}

static int choose_rows(const conv_bench *b, row *rows)
{
    static const int batches[] = {1, 8};
    int count = 0;

    for (int i = 0; i < 2; i++) {
        for (int s = 0; s < conv_shape_count; s++) {
            if (b->only && !strstr(conv_shapes[s].name, b->only))
                continue;
            rows[count++] =
                (row){.shape = &conv_shapes[s], .batch = b->batch ? b->batch : batches[i]};
        }
        if (b->batch)
            break;
    }
    return count;
}

static bool all_agree(const row *rows, int count)
{
    for (int i = 0; i < count; i++)
        for (int t = 0; t < TABLES; t++)
            for (int d = 0; rows[i].has[t] && d < DIRECTIONS; d++)
                if (!(rows[i].figure[t][d].difference <= MOST_DIFFERENCE))
                    return false;
    return true;
}

int bench_conv(int argc, const char **argv)
{
    conv_bench b = {.table = -1, .effort = {0.15, 7}};
    int count, result = parse(&b, argc, argv);
    row *rows;

    if (result >= 0)
        return result;
    rows = calloc((size_t)conv_shape_count * 2, sizeof *rows);
    if (!rows)
        die("no memory");
    count = choose_rows(&b, rows);
    if (count == 0)
        die("no shape has \"%s\" in its name", b.only);
    open_machine(&b);
    if (!b.json)
        report_machine(&b.machine);
    for (int t = 0; t < TABLES; t++) {
        if (b.table >= 0 && b.table != t)
            continue;
        if (!b.json)
            report_heading(t);
        for (int i = 0; i < count; i++) {
            if (t == TABLE_WINOGRAD && !conv_shape_suits_winograd(rows[i].shape))
                continue;
            measure_row(&b, &rows[i], t);
            if (!b.json)
                report_row(&rows[i], t);
        }
    }
    if (b.json)
        report_json(&b.machine, rows, count);
    else
        report_summary(rows, count);
    result = all_agree(rows, count) ? 0 : 1;
    if (result)
        fputs("deconv-bench: error: results differ\n", stderr);
    ceiling_free(b.ceiling);
    peer_close();
    deconv_ctx_destroy(b.ctx);
    free(rows);
    free(b.only);
    free(b.algorithm);
    free(b.device);
    free(b.lock);
    free(b.table_name);
    return result;
}
