/* Telling which algorithms serve a network's convolutions, and why not the others. The choice
 * itself is conv/engine.c's. */
#include "net_plan.h"

#include "conv/tuning.h"
#include "options.h"
#include "trace.h"

#include <string.h>

struct deconv_plan {
    deconv_ctx *ctx;
    deconv_plan_info *info;
    deconv_plan_candidate *candidate; /* [count][algorithms] */
    char **reason;                    /* those that were put together here, or NULL; likewise */
    int count, algorithms;
};

void deconv_plan_info_init(deconv_plan_info *info)
{
    *info = (deconv_plan_info)DECONV_PLAN_INFO_INIT;
}

void deconv_plan_candidate_init(deconv_plan_candidate *candidate)
{
    *candidate = (deconv_plan_candidate)DECONV_PLAN_CANDIDATE_INIT;
}

/* ---- The convolutions of a net ---- */

static deconv_status plan_convolutions(graph *g, net_convolutions *out)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(out->list, g->ctx, 2 * (size_t)g->n_node + 1);
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        if (!conv_planned(node->op, DECONV_FORWARD))
            continue;
        TRY(op_plan_inverse(node->op));
        for (int d = DECONV_FORWARD; d <= DECONV_INVERSE; d++)
            out->list[out->count++] =
                (net_convolution){.layer = (uint32_t)g->value[node->out[0]].layer,
                                  .direction = (deconv_direction)d,
                                  .planned = conv_planned(node->op, (deconv_direction)d)};
    }
done:
    return status;
}

deconv_status net_convolutions_plan(deconv_net *net, int64_t batch, net_convolutions *out)
{
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    const uint32_t none = 0;

    *out = (net_convolutions){0};
    options.keep = &none; /* no activation is read */
    TRY(deconv_trace_create(net, batch ? batch : net->graph->batch, &options, &out->trace));
    TRY(plan_convolutions(out->trace->graph, out));
done:
    if (status != DECONV_OK)
        net_convolutions_free(out);
    return status;
}

void net_convolutions_free(net_convolutions *c)
{
    if (c->trace)
        mem_free(c->trace->ctx, c->list);
    deconv_trace_destroy(c->trace);
    *c = (net_convolutions){0};
}

/* ---- Reasons ---- */

/* Why one that could serve does not. */
static char *explain(deconv_ctx *ctx, const deconv_plan_candidate *c,
                     const deconv_plan_candidate *chosen)
{
    if (c->microseconds > 0.0 && chosen->microseconds > 0.0)
        return mem_printf(ctx, "measured to take %.2f times as long",
                          c->microseconds / chosen->microseconds);
    if (chosen->microseconds > 0.0)
        return mem_printf(ctx, "not measured; estimated at %.2f times the cost", c->cost);
    if (c->cost < 1.0)
        return mem_printf(ctx, "not wanted; estimated at %.2f times the cost", c->cost);
    return mem_printf(ctx, "estimated at %.2f times the cost", c->cost);
}

static deconv_status describe_candidates(deconv_plan *plan, int index, const conv_task *task)
{
    deconv_plan_candidate *list = &plan->candidate[index * plan->algorithms], *chosen = NULL;
    const tuning_entry *measured = tuning_find(ctx_tuning(plan->ctx), task);
    deconv_status status = DECONV_OK;

    for (int i = 0; i < plan->algorithms; i++) {
        const conv_algorithm *a = conv_algorithm_at(i);
        double time = tuning_time(measured, a->name);

        list[i] = (deconv_plan_candidate)DECONV_PLAN_CANDIDATE_INIT;
        list[i].name = a->name;
        list[i].reason = convolution_refusal(a, task);
        list[i].refused = list[i].reason != NULL;
        list[i].cost = list[i].refused ? 0.0 : a->cost(task);
        list[i].microseconds = time > 0.0 ? time : 0.0;
        if (strcmp(a->name, plan->info[index].algorithm) == 0)
            chosen = &list[i];
    }
    plan->info[index].microseconds = chosen->microseconds;
    plan->info[index].share = chosen->cost; /* of a sum that is not known yet */
    for (int i = 0; i < plan->algorithms; i++) {
        char **own = &plan->reason[index * plan->algorithms + i];

        if (&list[i] == chosen || list[i].refused)
            continue;
        list[i].cost /= chosen->cost;
        *own = explain(plan->ctx, &list[i], chosen);
        if (!*own)
            FAIL(plan->ctx, DECONV_ERROR_NO_MEMORY, "no memory: a reason");
        list[i].reason = *own;
    }
    chosen->cost = 1.0;
done:
    return status;
}

static void share_costs(deconv_plan *plan)
{
    double sum[2] = {0.0, 0.0};

    for (int i = 0; i < plan->count; i++)
        sum[plan->info[i].direction] += plan->info[i].share;
    for (int i = 0; i < plan->count; i++)
        plan->info[i].share /= sum[plan->info[i].direction];
}

/* ---- Plans ---- */

deconv_status deconv_plan_create(deconv_net *net, int64_t batch, deconv_plan **out)
{
    deconv_status status = DECONV_OK;
    net_convolutions found = {0};
    deconv_plan *plan = NULL;
    size_t all;

    *out = NULL;
    TRY_ALLOC(plan, net->ctx, 1);
    plan->ctx = net->ctx;
    while (conv_algorithm_at(plan->algorithms))
        plan->algorithms++;
    TRY(net_convolutions_plan(net, batch, &found));
    all = (size_t)found.count * (size_t)plan->algorithms + 1;
    TRY_ALLOC(plan->info, net->ctx, (size_t)found.count + 1);
    TRY_ALLOC(plan->candidate, net->ctx, all);
    TRY_ALLOC(plan->reason, net->ctx, all);
    for (int i = 0; i < found.count; i++) {
        const net_convolution *c = &found.list[i];
        const conv_task *task = convolution_task(c->planned);

        plan->count++;
        plan->info[i] = (deconv_plan_info){.struct_size = sizeof *plan->info,
                                           .layer = c->layer,
                                           .direction = c->direction,
                                           .candidate_count = (uint32_t)plan->algorithms,
                                           .from_block = (uint32_t)task->src_block,
                                           .to_block = (uint32_t)task->dst_block,
                                           .work = conv_problem_work(&task->problem),
                                           .algorithm = convolution_algorithm(c->planned)};
        TRY(describe_candidates(plan, i, task));
    }
    share_costs(plan);
    *out = plan;
    plan = NULL;
done:
    net_convolutions_free(&found);
    deconv_plan_destroy(plan);
    return status;
}

void deconv_plan_destroy(deconv_plan *plan)
{
    if (!plan)
        return;
    for (int i = 0; plan->reason && i < plan->count * plan->algorithms; i++)
        mem_free(plan->ctx, plan->reason[i]);
    mem_free(plan->ctx, plan->reason);
    mem_free(plan->ctx, plan->candidate);
    mem_free(plan->ctx, plan->info);
    mem_free(plan->ctx, plan);
}

uint32_t deconv_plan_count(const deconv_plan *plan)
{
    return (uint32_t)plan->count;
}

static deconv_status check_index(const deconv_plan *plan, uint32_t index)
{
    if (index < (uint32_t)plan->count)
        return DECONV_OK;
    return error_set(plan->ctx, DECONV_ERROR_NOT_FOUND, "the plan has %d convolutions, not %u",
                     plan->count, index);
}

deconv_status deconv_plan_get(const deconv_plan *plan, uint32_t index, deconv_plan_info *info)
{
    deconv_status status = DECONV_OK;

    TRY(check_index(plan, index));
    TRY(options_write(plan->ctx, info, &plan->info[index], sizeof *info, "deconv_plan_info"));
done:
    return status;
}

deconv_status deconv_plan_candidate_get(const deconv_plan *plan, uint32_t index, uint32_t candidate,
                                        deconv_plan_candidate *found)
{
    deconv_status status = DECONV_OK;

    TRY(check_index(plan, index));
    if (candidate >= (uint32_t)plan->algorithms)
        FAIL(plan->ctx, DECONV_ERROR_NOT_FOUND, "there are %d algorithms, not %u", plan->algorithms,
             candidate);
    TRY(options_write(plan->ctx, found,
                      &plan->candidate[(int)index * plan->algorithms + (int)candidate],
                      sizeof *found, "deconv_plan_candidate"));
done:
    return status;
}
