/* Runs the candidates of a convolution task; see measure.h. */
#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Deviation from the plain algorithm that is rounding, as a share of the results' root mean square:
 * a single wrong or missing term is more, in sums of up to some ten thousand terms. */
#define TOLERANCE 1e-3

/* A sample has enough runs that waiting for it does not count. There are several, in two rounds
 * over the candidates: what else the machine does for a while must not hit a single one. */
#define SAMPLE_SECONDS 2e-3
#define SAMPLE_RUNS    64
#define SAMPLES        5
#define ROUNDS         2

/* One side of the task: its maps in NCHW on the host and in the task's layout on the device. */
typedef struct side {
    int64_t batch, channels, positions;
    int block;
    float *values; /* [batch][channels][positions] */
    buffer *data;
} side;

typedef struct bench {
    deconv_ctx *ctx;
    conv_task task; /* with scratch of its own */
    scratch scratch;
    side src, dst;
    side add;         /* what the epilogue adds to dst */
    float *reference; /* dst in NCHW, without an epilogue */
    double tolerance;
    int64_t weight_count;
    float *weight_values, *bias_values;
    buffer *weights, *bias;
    double seconds_per_cost; /* of the plain algorithm */
} bench;

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Data ---- */

/* Uniform in [-1, 1). */
static void fill(float *values, int64_t count, uint32_t state)
{
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)state / 2147483648.0f;
    }
}

static size_t blocks_of(const side *s)
{
    return (size_t)((s->channels + s->block - 1) / s->block);
}

static size_t stored_floats(const side *s)
{
    return (size_t)s->batch * blocks_of(s) * (size_t)s->block * (size_t)s->positions;
}

/* Where the element of `image`, `channel` and `position` is stored. */
static size_t stored_at(const side *s, int64_t image, int64_t channel, int64_t position)
{
    size_t block = (size_t)image * blocks_of(s) + (size_t)(channel / s->block);

    return (block * (size_t)s->positions + (size_t)position) * (size_t)s->block +
           (size_t)(channel % s->block);
}

static deconv_status write_side(bench *b, const side *s)
{
    deconv_status status = DECONV_OK;
    const float *from = s->values;
    float *stored = NULL;

    TRY_ALLOC(stored, b->ctx, stored_floats(s));
    for (int64_t n = 0; n < s->batch; n++)
        for (int64_t c = 0; c < s->channels; c++)
            for (int64_t i = 0; i < s->positions; i++)
                stored[stored_at(s, n, c, i)] = *from++;
    TRY(buffer_write(b->ctx, s->data, 0, stored_floats(s) * sizeof(float), stored));
done:
    mem_free(b->ctx, stored);
    return status;
}

static deconv_status open_side(bench *b, side *s, bool is_input, int block, uint32_t seed)
{
    const conv_problem *p = &b->task.problem;
    const int64_t *size = is_input ? p->in_size : p->out_size;
    deconv_status status = DECONV_OK;

    *s = (side){.batch = p->batch,
                .channels = is_input ? p->in_channels : p->out_channels,
                .positions = size[0] * size[1],
                .block = block};
    TRY_ALLOC(s->values, b->ctx, (size_t)(s->batch * s->channels * s->positions));
    fill(s->values, s->batch * s->channels * s->positions, seed);
    TRY(buffer_create(b->ctx, stored_floats(s) * sizeof(float), "maps to measure with", &s->data));
done:
    return status;
}

static deconv_status open_bench(bench *b, const conv_task *task)
{
    const conv_problem *p = &task->problem;
    bool forward = task->direction == CONV_FORWARD;
    deconv_status status = DECONV_OK;

    b->ctx = task->ctx;
    b->task = *task;
    b->task.whole = NULL;
    b->task.approximate = false;
    b->task.packed = NULL;
    b->task.scratch = &b->scratch;
    TRY(open_side(b, &b->src, forward, task->src_block, 1));
    TRY(write_side(b, &b->src));
    TRY(open_side(b, &b->dst, !forward, task->dst_block, 2));
    TRY(open_side(b, &b->add, !forward, task->dst_block, 3));
    TRY(write_side(b, &b->add));
    b->weight_count = p->out_channels * (p->in_channels / p->groups) * p->kernel[0] * p->kernel[1];
    TRY_ALLOC(b->weight_values, b->ctx, (size_t)b->weight_count);
    TRY_ALLOC(b->bias_values, b->ctx, (size_t)b->dst.channels);
    fill(b->weight_values, b->weight_count, 4);
    fill(b->bias_values, b->dst.channels, 5);
    TRY(buffer_create(b->ctx, (size_t)b->weight_count * sizeof(float), "weights", &b->weights));
    TRY(buffer_create(b->ctx, (size_t)b->dst.channels * sizeof(float), "bias", &b->bias));
    TRY(buffer_write(b->ctx, b->weights, 0, buffer_size(b->weights), b->weight_values));
    TRY(buffer_write(b->ctx, b->bias, 0, buffer_size(b->bias), b->bias_values));
done:
    return status;
}

static void close_side(bench *b, side *s)
{
    buffer_free(s->data);
    mem_free(b->ctx, s->values);
}

static void close_bench(bench *b)
{
    close_side(b, &b->src);
    close_side(b, &b->dst);
    close_side(b, &b->add);
    buffer_free(b->weights);
    buffer_free(b->bias);
    scratch_free(&b->scratch);
    mem_free(b->ctx, b->weight_values);
    mem_free(b->ctx, b->bias_values);
    mem_free(b->ctx, b->reference);
}

/* ---- One algorithm, planned ---- */

typedef struct candidate {
    const conv_algorithm *algorithm;
    void *plan;
} candidate;

static deconv_status open_candidate(bench *b, const conv_algorithm *a, const conv_task *task,
                                    candidate *c)
{
    deconv_status status = DECONV_OK;

    c->algorithm = a;
    TRY(a->create(task, &c->plan));
    if (a->pack)
        TRY(a->pack(c->plan, b->weights));
    TRY(device_wait(b->ctx));
done:
    return status;
}

static void close_candidate(candidate *c)
{
    if (c->plan)
        c->algorithm->release(c->plan);
}

/* Seconds of `runs` runs. */
static deconv_status time_runs(bench *b, const candidate *c, const conv_operands *x, int runs,
                               double *taken)
{
    deconv_status status = DECONV_OK;
    double begin = seconds();

    for (int i = 0; i < runs; i++)
        TRY(c->algorithm->run(c->plan, x));
    TRY(device_wait(b->ctx));
    *taken = seconds() - begin;
done:
    return status;
}

/* ---- The reference ---- */

/* By the plain algorithm in NCHW, without an epilogue; its time says how long others may take. */
static deconv_status run_reference(bench *b)
{
    conv_task plain = b->task;
    side src = b->src, dst = b->dst;
    size_t floats = (size_t)(dst.batch * dst.channels * dst.positions);
    deconv_status status = DECONV_OK;
    candidate c = {0};
    double squares = 0.0, taken;
    conv_operands x;

    plain.src_block = plain.dst_block = src.block = dst.block = 1;
    src.data = dst.data = NULL;
    TRY_ALLOC(b->reference, b->ctx, floats);
    TRY(buffer_create(b->ctx, stored_floats(&src) * sizeof(float), "source", &src.data));
    TRY(buffer_create(b->ctx, floats * sizeof(float), "reference", &dst.data));
    TRY(buffer_write(b->ctx, src.data, 0, buffer_size(src.data), src.values));
    TRY(open_candidate(b, &conv_algorithm_direct, &plain, &c));
    x = (conv_operands){.src = src.data, .weights = b->weights, .bias = b->bias, .dst = dst.data};
    TRY(time_runs(b, &c, &x, 1, &taken)); /* drivers compile at the first run */
    TRY(time_runs(b, &c, &x, 1, &taken));
    TRY(buffer_read(b->ctx, dst.data, 0, floats * sizeof(float), b->reference));
    for (size_t i = 0; i < floats; i++)
        squares += (double)b->reference[i] * (double)b->reference[i];
    b->tolerance = TOLERANCE * sqrt(squares / (double)floats) + 1e-6;
    b->seconds_per_cost = taken / conv_algorithm_direct.cost(&plain);
done:
    close_candidate(&c);
    buffer_free(src.data);
    buffer_free(dst.data);
    return status;
}

/* What dst should be at element `i` of NCHW, with the whole epilogue or with none. */
static float expected(const bench *b, size_t i, bool epilogue)
{
    float sum = b->reference[i] + (epilogue ? b->add.values[i] : 0.0f);

    return epilogue && sum < 0.0f ? 0.0f : sum;
}

static deconv_status check_dst(bench *b, bool epilogue, bool *right)
{
    const side *s = &b->dst;
    deconv_status status = DECONV_OK;
    float *stored = NULL;
    size_t i = 0;

    TRY_ALLOC(stored, b->ctx, stored_floats(s));
    TRY(buffer_read(b->ctx, s->data, 0, stored_floats(s) * sizeof(float), stored));
    for (int64_t n = 0; n < s->batch; n++) {
        for (int64_t c = 0; c < (int64_t)blocks_of(s) * s->block; c++) {
            for (int64_t x = 0; x < s->positions; x++) {
                float is = stored[stored_at(s, n, c, x)];

                if (c >= s->channels) /* lanes past the last channel */
                    *right = *right && is == 0.0f;
                else if (!(fabs((double)is - (double)expected(b, i++, epilogue)) <= b->tolerance))
                    *right = false;
            }
        }
    }
done:
    mem_free(b->ctx, stored);
    return status;
}

/* Runs the candidate once for every kind of epilogue. */
static deconv_status check_candidate(bench *b, const candidate *c, conv_operands x, bool *right)
{
    deconv_status status = DECONV_OK;
    double taken;

    *right = true;
    for (int epilogue = 1; epilogue >= 0; epilogue--) {
        x.add = epilogue ? b->add.data : NULL;
        x.relu = epilogue;
        TRY(buffer_fill(b->ctx, b->dst.data, 0, buffer_size(b->dst.data), NAN));
        TRY(time_runs(b, c, &x, 1, &taken));
        TRY(check_dst(b, epilogue, right));
    }
done:
    return status;
}

/* ---- Measuring ---- */

/* Seconds of one run, the least of several samples; 0: it took longer than the limit. */
static deconv_status time_candidate(bench *b, const candidate *c, const conv_operands *x,
                                    double limit, double *best)
{
    deconv_status status = DECONV_OK;
    double once, taken, begin = seconds();
    int runs;

    *best = 0.0;
    TRY(time_runs(b, c, x, 1, &once));
    if (once > limit)
        goto done;
    runs = once * SAMPLE_RUNS < SAMPLE_SECONDS ? SAMPLE_RUNS : (int)(SAMPLE_SECONDS / once) + 1;
    *best = once;
    for (int i = 0; i < SAMPLES && seconds() - begin + once * runs < limit / ROUNDS; i++) {
        TRY(time_runs(b, c, x, runs, &taken));
        *best = taken / runs < *best ? taken / runs : *best;
    }
done:
    return status;
}

/* Microseconds, TUNING_WRONG, or 0 where the limit was too short. */
static deconv_status measure_one(bench *b, const conv_algorithm *a, double limit, bool checked,
                                 double *microseconds)
{
    const conv_operands x = {
        .src = b->src.data, .weights = b->weights, .bias = b->bias, .dst = b->dst.data};
    deconv_status status = DECONV_OK;
    candidate c = {0};
    double taken = 0.0;
    bool right = true;

    TRY(open_candidate(b, a, &b->task, &c));
    if (!checked)
        TRY(check_candidate(b, &c, x, &right));
    if (right)
        TRY(time_candidate(b, &c, &x, limit, &taken));
    *microseconds = right ? 1e6 * taken : TUNING_WRONG;
done:
    close_candidate(&c);
    return status;
}

static void report(const bench *b, const conv_algorithm *a, double microseconds, double limit)
{
    const char *name = b->task.name ? b->task.name : "a convolution";
    const char *direction = b->task.direction == CONV_FORWARD ? "forward" : "inverse";

    if (microseconds < 0.0)
        log_line(b->ctx, DECONV_LOG_WARNING,
                 "%s %s: %s gives a wrong result on this device and will not be used for it", name,
                 direction, a->name);
    else if (microseconds > 0.0)
        log_line(b->ctx, DECONV_LOG_INFO, "%s %s: %s takes %.1f us", name, direction, a->name,
                 microseconds);
    else
        log_line(b->ctx, DECONV_LOG_INFO, "%s %s: %s takes longer than the limit of %g s", name,
                 direction, a->name, limit);
}

/* The first round: who takes part. */
static deconv_status measure_candidates(bench *b, double limit, tuning_entry *entry,
                                        measure_counts *counts)
{
    deconv_status status = DECONV_OK;
    const conv_algorithm *a;

    for (int i = 0; (a = conv_algorithm_at(i)) && entry->count < TUNING_CANDIDATES; i++) {
        double microseconds = 0.0;

        if (conv_algorithm_refusal(a, &b->task))
            continue;
        if (a->cost(&b->task) * b->seconds_per_cost <= limit)
            status = measure_one(b, a, limit, false, &microseconds);
        if (status == DECONV_ERROR_NO_MEMORY) {
            log_line(b->ctx, DECONV_LOG_INFO, "%s is left out: %s", a->name,
                     deconv_ctx_message(b->ctx));
            status = DECONV_OK;
            continue;
        }
        TRY(status);
        counts->over_limit += microseconds == 0.0;
        counts->wrong += microseconds < 0.0;
        counts->measured += microseconds > 0.0;
        if (microseconds <= 0.0)
            report(b, a, microseconds, limit);
        if (microseconds == 0.0)
            continue;
        snprintf(entry->candidate[entry->count].name, TUNING_NAME, "%s", a->name);
        entry->candidate[entry->count++].microseconds = microseconds;
    }
done:
    return status;
}

/* Another round, over those that have a time. */
static deconv_status measure_again(bench *b, double limit, tuning_entry *entry)
{
    deconv_status status = DECONV_OK;
    const conv_algorithm *a;

    for (int i = 0; (a = conv_algorithm_at(i)); i++) {
        for (int k = 0; k < entry->count; k++) {
            tuning_candidate *c = &entry->candidate[k];
            double microseconds = 0.0;

            if (c->microseconds <= 0.0 || strcmp(c->name, a->name) != 0)
                continue;
            status = measure_one(b, a, limit, true, &microseconds);
            if (status != DECONV_ERROR_NO_MEMORY) /* or the first time stands */
                TRY(status);
            status = DECONV_OK;
            if (microseconds > 0.0 && microseconds < c->microseconds)
                c->microseconds = microseconds;
            report(b, a, c->microseconds, limit);
        }
    }
done:
    return status;
}

deconv_status conv_measure(const conv_task *task, double limit, tuning_entry *entry,
                           measure_counts *counts)
{
    deconv_status status = DECONV_OK;
    bench b = {0};

    entry->count = 0;
    tuning_key(task, entry->key);
    TRY(open_bench(&b, task));
    TRY(run_reference(&b));
    TRY(measure_candidates(&b, limit, entry, counts));
    for (int round = 1; round < ROUNDS; round++)
        TRY(measure_again(&b, limit, entry));
    tuning_rank(entry);
done:
    close_bench(&b);
    return status;
}
