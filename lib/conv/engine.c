/* The table of convolution algorithms, and the choice among them. */
#include "packed.h"
#include "tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where costs tie, the first one serves. `direct` takes everything. */
static const conv_algorithm *const algorithms[] = {
    &conv_algorithm_blocked, &conv_algorithm_planar,    &conv_algorithm_pointwise,
    &conv_algorithm_few,     &conv_algorithm_depthwise, &conv_algorithm_implicit,
    &conv_algorithm_im2col,  &conv_algorithm_winograd,  &conv_algorithm_direct,
};

enum { ALGORITHMS = sizeof algorithms / sizeof algorithms[0] };

/* Positions over all pictures that make up for tiles which are not full. */
#define MANY_POSITIONS 256

/* A layer of this many multiply-adds that no fast algorithm takes deserves a word. */
#define LARGE_LAYER 1e9

struct convolution {
    conv_task task;
    const conv_algorithm *algorithm;
    void *plan;
    bool packed; /* the weights are constant and packed */
};

const conv_algorithm *conv_algorithm_at(int index)
{
    return index >= 0 && index < ALGORITHMS ? algorithms[index] : NULL;
}

/* The order of summation that serves the whole tensors of which the task computes windows. */
static int order_of_whole(const conv_task *task)
{
    conv_task whole = *task;
    const conv_algorithm *serves;

    whole.problem = *task->whole;
    whole.whole = NULL;
    serves = convolution_choice(&whole);
    return serves ? serves->order(&whole) : -1;
}

const char *conv_algorithm_refusal(const conv_algorithm *a, const conv_task *task)
{
    if (a->inexact && !task->approximate)
        return "its rounding differs from place to place; it serves passes that permit that";
    if (a->inexact && task->whole)
        return "its rounding differs from place to place, and windows are parts of the whole";
    return a->refuses(task);
}

const char *convolution_refusal(const conv_algorithm *a, const conv_task *task)
{
    const tuning_entry *measured = tuning_find(ctx_tuning(task->ctx), task);
    const char *reason = conv_algorithm_refusal(a, task);

    if (!reason && task->whole && a->order(task) != order_of_whole(task))
        return "it adds in another order than what serves the whole tensor";
    if (!reason && tuning_time(measured, a->name) == TUNING_WRONG)
        return "its result was wrong when it was measured";
    return reason;
}

static const conv_algorithm *preferred(const conv_task *task)
{
    const char *name = getenv("DECONV_CONV_ALGORITHM");

    for (int i = 0; name && i < ALGORITHMS; i++)
        if (strcmp(algorithms[i]->name, name) == 0 && !convolution_refusal(algorithms[i], task))
            return algorithms[i];
    return NULL;
}

/* The order of the fastest that was measured for this convolution in any layouts: what serves it in
 * others should add in the same order. -1: none was measured. */
static int measured_order(const conv_task *task)
{
    const tuning_entry *measured = tuning_find_any(ctx_tuning(task->ctx), task);

    for (int i = 0; measured && i < ALGORITHMS; i++)
        if (strcmp(algorithms[i]->name, measured->candidate[0].name) == 0)
            return algorithms[i]->order(task);
    return -1;
}

/* The fastest of the measured ones, else the cheapest, of those that are exact; `order`: only of
 * that one, unless -1. */
static const conv_algorithm *best_of(const conv_task *task, int order)
{
    const tuning_entry *measured = tuning_find(ctx_tuning(task->ctx), task);
    const conv_algorithm *best = NULL;
    double best_time = 0.0, best_cost = 0.0;

    for (int i = 0; i < ALGORITHMS; i++) {
        const conv_algorithm *a = algorithms[i];
        double time = tuning_time(measured, a->name), cost;

        if (a->inexact || convolution_refusal(a, task) || (order >= 0 && a->order(task) != order))
            continue;
        cost = a->cost(task);
        if (best &&
            (best_time > 0.0 ? time <= 0.0 || time >= best_time : time <= 0.0 && cost >= best_cost))
            continue;
        best = a;
        best_time = time;
        best_cost = cost;
    }
    return best;
}

/* The order of what is cheapest for many positions, whatever the batch at hand: a picture has the
 * same bits alone and in a batch. */
static int usual_order(const conv_task *task)
{
    const int64_t *size = task->problem.out_size;
    const int64_t batch = MANY_POSITIONS / (size[0] * size[1]) + 1;
    const conv_algorithm *best;
    conv_task many = *task;

    if (task->whole)
        return -1; /* the whole's is the only one that serves */
    many.problem.batch = batch;
    best = best_of(&many, -1);
    return best ? best->order(&many) : -1;
}

/* `exact`, or an inexact algorithm that is expected to be faster: these are never measured. */
static const conv_algorithm *or_inexact(const conv_task *task, const conv_algorithm *exact)
{
    const conv_algorithm *best = exact;

    for (int i = 0; i < ALGORITHMS; i++)
        if (algorithms[i]->inexact && !convolution_refusal(algorithms[i], task) &&
            (!best || algorithms[i]->cost(task) < best->cost(task)))
            best = algorithms[i];
    return best;
}

const conv_algorithm *convolution_choice(const conv_task *task)
{
    const conv_algorithm *best = preferred(task);
    int order = best ? -1 : measured_order(task);

    if (best)
        return best;
    if (order < 0 && !tuning_find_any(ctx_tuning(task->ctx), task))
        order = usual_order(task);
    if (order >= 0)
        best = best_of(task, order);
    return or_inexact(task, best ? best : best_of(task, -1));
}

/* Whether the device has a fast algorithm for ordinary layers. */
static bool has_fast(const conv_task *like)
{
    conv_task plain = {
        .ctx = like->ctx, .direction = like->direction, .src_block = 1, .dst_block = 1};

    plain.problem = (conv_problem){.batch = 1,
                                   .in_channels = 64,
                                   .out_channels = 64,
                                   .groups = 1,
                                   .in_size = {32, 32},
                                   .out_size = {32, 32},
                                   .kernel = {3, 3},
                                   .stride = {1, 1},
                                   .dilation = {1, 1},
                                   .pad = {1, 1}};
    for (int i = 0; i < ALGORITHMS; i++)
        if (algorithms[i] != &conv_algorithm_direct && !algorithms[i]->refuses(&plain))
            return true;
    return false;
}

/* A word when a large layer is left to the plain algorithm, unless that was wanted or measured to
 * be the fastest. */
static void warn_if_slow(const conv_task *task)
{
    const conv_algorithm *direct = &conv_algorithm_direct;
    const tuning_entry *measured = tuning_find(ctx_tuning(task->ctx), task);
    char reasons[512] = "";
    size_t used = 0;

    if (conv_problem_work(&task->problem) < LARGE_LAYER || preferred(task) == direct ||
        (measured && strcmp(measured->candidate[0].name, direct->name) == 0))
        return;
    for (int i = 0; i < ALGORITHMS && used < sizeof reasons; i++) {
        const char *why = convolution_refusal(algorithms[i], task);

        if (algorithms[i] != direct)
            used += (size_t)snprintf(reasons + used, sizeof reasons - used, "; %s: %s",
                                     algorithms[i]->name, why ? why : "expected to be slower");
    }
    log_line(task->ctx, has_fast(task) ? DECONV_LOG_WARNING : DECONV_LOG_INFO,
             "%s %s: a large convolution runs by the plain algorithm%s",
             task->name ? task->name : "a layer",
             task->direction == CONV_FORWARD ? "forward" : "inverse", reasons);
}

bool convolution_can(const conv_task *task)
{
    conv_task rows = *task;

    /* Layouts give way to an algorithm that was asked for. */
    rows.src_block = rows.dst_block = 1;
    if (!preferred(task) && preferred(&rows))
        return false;
    for (int i = 0; i < ALGORITHMS; i++)
        if (!convolution_refusal(algorithms[i], task))
            return true;
    return false;
}

deconv_status convolution_create(const conv_task *task, const buffer *weights, convolution **out)
{
    deconv_status status = DECONV_OK;
    convolution *c = NULL;

    *out = NULL;
    TRY_ALLOC(c, task->ctx, 1);
    c->task = *task;
    c->algorithm = convolution_choice(task);
    c->task.whole = NULL;
    if (!c->algorithm)
        FAIL(task->ctx, DECONV_ERROR_UNSUPPORTED, "no convolution algorithm takes these layouts");
    if (conv_single_serves(task, c->algorithm)) {
        const conv_algorithm *instead = c->algorithm;

        c->algorithm = &conv_algorithm_single;
        TRY(conv_single_create(&c->task, instead, &c->plan));
    } else {
        if (c->algorithm == &conv_algorithm_direct)
            warn_if_slow(task);
        TRY(c->algorithm->create(&c->task, &c->plan));
    }
    c->packed = c->algorithm->packed && c->algorithm->packed(c->plan)->filled;
    if (weights)
        TRY(convolution_pack(c, weights));
    *out = c;
    c = NULL;
done:
    convolution_free(c);
    return status;
}

void convolution_free(convolution *c)
{
    if (!c)
        return;
    if (c->plan)
        c->algorithm->release(c->plan);
    mem_free(c->task.ctx, c);
}

deconv_status convolution_pack(convolution *c, const buffer *weights)
{
    deconv_status status = DECONV_OK;

    if (c->packed || !c->algorithm->pack)
        goto done;
    TRY(c->algorithm->pack(c->plan, weights));
    c->packed = true;
    if (c->algorithm->packed)
        c->algorithm->packed(c->plan)->filled = true;
done:
    return status;
}

bool convolution_is_packed(const convolution *c)
{
    return c->packed;
}

deconv_status convolution_run(convolution *c, const conv_operands *operands)
{
    deconv_status status = DECONV_OK;

    if (!c->packed && c->algorithm->pack)
        TRY(c->algorithm->pack(c->plan, operands->weights));
    TRY(c->algorithm->run(c->plan, operands));
done:
    return status;
}

const char *convolution_algorithm(const convolution *c)
{
    return c->algorithm->name;
}