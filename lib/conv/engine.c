/* The table of convolution algorithms, and the choice among them. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

/* Where costs tie, the first one serves. `direct` takes everything. */
static const conv_algorithm *const algorithms[] = {
    &conv_algorithm_blocked,   &conv_algorithm_planar, &conv_algorithm_few,
    &conv_algorithm_depthwise, &conv_algorithm_direct,
};

enum { ALGORITHMS = sizeof algorithms / sizeof algorithms[0] };

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
static const conv_algorithm *choose(const conv_task *task);

static int order_of_whole(const conv_task *task)
{
    conv_task whole = *task;

    whole.problem = *task->whole;
    whole.whole = NULL;
    return choose(&whole)->order(&whole);
}

static const char *refusal(const conv_algorithm *a, const conv_task *task)
{
    const char *reason = a->refuses(task);

    if (!reason && task->whole && a->order(task) != order_of_whole(task))
        return "it adds in another order than what serves the whole tensor";
    return reason;
}

static const conv_algorithm *preferred(const conv_task *task)
{
    const char *name = getenv("DECONV_CONV_ALGORITHM");

    for (int i = 0; name && i < ALGORITHMS; i++)
        if (strcmp(algorithms[i]->name, name) == 0 && !refusal(algorithms[i], task))
            return algorithms[i];
    return NULL;
}

static const conv_algorithm *choose(const conv_task *task)
{
    const conv_algorithm *best = preferred(task);
    const char *why = "another is expected to be faster";
    double least = 0.0;

    if (best)
        return best;
    for (int i = 0; i < ALGORITHMS; i++) {
        const char *reason = refusal(algorithms[i], task);
        double cost = reason ? 0.0 : algorithms[i]->cost(task);

        why = i == 0 && reason ? reason : why;
        if (reason || (best && cost >= least))
            continue;
        best = algorithms[i];
        least = cost;
    }
    if (best == &conv_algorithm_direct && conv_problem_work(&task->problem) > LARGE_LAYER)
        log_line(task->ctx, DECONV_LOG_INFO,
                 "a large convolution (%lld to %lld channels) runs by the plain algorithm: %s",
                 (long long)task->problem.in_channels, (long long)task->problem.out_channels, why);
    return best;
}

bool convolution_can(const conv_task *task)
{
    for (int i = 0; i < ALGORITHMS; i++)
        if (!refusal(algorithms[i], task))
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
    c->algorithm = choose(task);
    c->task.whole = NULL;
    if (!c->algorithm)
        FAIL(task->ctx, DECONV_ERROR_UNSUPPORTED, "no convolution algorithm takes these layouts");
    TRY(c->algorithm->create(&c->task, &c->plan));
    if (weights && c->algorithm->pack) {
        TRY(c->algorithm->pack(c->plan, weights));
        c->packed = true;
    }
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
