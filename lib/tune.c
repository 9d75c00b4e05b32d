/* deconv_net_tune: measures the convolutions of a network and keeps the times. How one is measured
 * is conv/measure.c's, where the times are kept conv/tuning.c's. */
#include "conv/measure.h"
#include "net_plan.h"
#include "options.h"

#include <math.h>
#include <string.h>

#define DEFAULT_LIMIT 1.0

void deconv_tune_options_init(deconv_tune_options *options)
{
    *options = (deconv_tune_options)DECONV_TUNE_OPTIONS_INIT;
}

void deconv_tune_summary_init(deconv_tune_summary *summary)
{
    *summary = (deconv_tune_summary)DECONV_TUNE_SUMMARY_INIT;
}

/* What is measured: one task a line of the file. */
typedef struct work {
    conv_task *task;
    tuning_entry *entry; /* entry[i] is task[i]'s once it was measured */
    int tasks;
    measure_counts counts;
} work;

static deconv_status check_options(deconv_ctx *ctx, const deconv_tune_options *o)
{
    if (o->batch < 0)
        return error_set(ctx, DECONV_ERROR_INVALID,
                         "deconv_tune_options: batch is %lld; it must be at least 0",
                         (long long)o->batch);
    if (!(o->limit_seconds >= 0.0) || isinf(o->limit_seconds))
        return error_set(ctx, DECONV_ERROR_INVALID,
                         "deconv_tune_options: limit_seconds is %g; it must be at least 0",
                         o->limit_seconds);
    if (o->reserved != 0)
        return error_set(ctx, DECONV_ERROR_INVALID, "deconv_tune_options: reserved is %u, not 0",
                         o->reserved);
    return DECONV_OK;
}

/* The net's tasks, each once. */
static deconv_status collect_tasks(deconv_net *net, int64_t batch, work *w)
{
    deconv_status status = DECONV_OK;
    net_convolution *list = NULL;
    graph *graph = NULL;
    char key[TUNING_KEY];
    int count;

    TRY(net_graph(net, batch ? batch : net->graph->batch, false, &graph));
    TRY(net_convolutions(graph, &list, &count));
    TRY_ALLOC(w->task, net->ctx, (size_t)count + 1);
    TRY_ALLOC(w->entry, net->ctx, (size_t)count + 1);
    for (int i = 0; i < count; i++) {
        bool known = false;

        tuning_key(&list[i].task, key);
        for (int k = 0; k < w->tasks; k++)
            known = known || strcmp(w->entry[k].key, key) == 0;
        if (known)
            continue;
        memcpy(w->entry[w->tasks].key, key, sizeof key);
        w->task[w->tasks++] = list[i].task;
    }
done:
    mem_free(net->ctx, list);
    graph_drop(graph);
    return status;
}

/* Measures one after the other; *done are over even when it fails. */
static deconv_status measure_tasks(deconv_ctx *ctx, work *w, double limit, int *done)
{
    deconv_status status = DECONV_OK;

    for (*done = 0; *done < w->tasks; ++*done) {
        TRY(progress_step(ctx, (uint64_t)*done, (uint64_t)w->tasks, "tuning"));
        TRY(conv_measure(&w->task[*done], limit, &w->entry[*done], &w->counts));
    }
    TRY(progress_step(ctx, (uint64_t)*done, (uint64_t)w->tasks, "tuning"));
done:
    return status;
}

/* Keeps the entries that have a candidate; there may be none. */
static deconv_status keep(deconv_ctx *ctx, work *w, int count)
{
    int kept = 0;

    for (int i = 0; i < count; i++)
        if (w->entry[i].count > 0)
            w->entry[kept++] = w->entry[i];
    return kept ? tuning_store(ctx, w->entry, kept) : DECONV_OK;
}

deconv_status deconv_net_tune(deconv_net *net, const deconv_tune_options *options,
                              deconv_tune_summary *summary)
{
    deconv_tune_options given = DECONV_TUNE_OPTIONS_INIT;
    deconv_tune_summary own = DECONV_TUNE_SUMMARY_INIT;
    deconv_ctx *ctx = net->ctx;
    deconv_status status = DECONV_OK;
    work w = {0};
    char *path;
    int measured = 0;

    TRY(OPTIONS_READ(ctx, &given, options));
    TRY(check_options(ctx, &given));
    TRY(tuning_path(ctx, &path));
    mem_free(ctx, net->tuning_path);
    net->tuning_path = path;
    TRY(tuning_store(ctx, NULL, 0)); /* what cannot be kept is not worth minutes of measuring */
    TRY(collect_tasks(net, given.batch, &w));
    status = measure_tasks(ctx, &w, given.limit_seconds > 0.0 ? given.limit_seconds : DEFAULT_LIMIT,
                           &measured);
    /* Cancelled or out of memory: what was measured until then counts. */
    if (measured > 0) {
        deconv_status stored = keep(ctx, &w, measured);

        status = status == DECONV_OK ? stored : status;
    }
    own.convolutions = (uint32_t)measured;
    own.measured = w.counts.measured;
    own.over_limit = w.counts.over_limit;
    own.wrong = w.counts.wrong;
    own.path = net->tuning_path;
    if (summary) {
        deconv_status written = OPTIONS_WRITE(ctx, summary, &own);

        status = status == DECONV_OK ? written : status;
    }
done:
    mem_free(ctx, w.task);
    mem_free(ctx, w.entry);
    return status;
}
