/* Telling which algorithms serve a network's convolutions, and why not the others. The choice
 * itself is conv/engine.c's. */
#include "net_plan.h"

#include "conv/tuning.h"
#include "options.h"

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

deconv_status net_convolutions(const graph *g, net_convolution **list, int *count)
{
    deconv_status status = DECONV_OK;

    *count = 0;
    TRY_ALLOC(*list, g->ctx, 2 * (size_t)g->n_node + 1);
    for (int n = 0; n < g->n_node; n++) {
        const graph_node *node = &g->node[n];

        for (int d = DECONV_FORWARD; d <= DECONV_INVERSE; d++) {
            net_convolution *c = &(*list)[*count];

            if (node->out[0] < 0 || !conv_task_in(node->op, (deconv_direction)d, &c->task))
                continue;
            c->layer = (uint32_t)g->value[node->out[0]].layer;
            c->direction = (deconv_direction)d;
            ++*count;
        }
    }
done:
    return status;
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

/* What serves a pass that permits rounding of another kind, where that is another algorithm. */
static void describe_approximate(deconv_plan_info *info, const conv_task *task,
                                 const conv_algorithm *chosen)
{
    const conv_algorithm *other;
    conv_task fast = *task;

    if (info->direction != DECONV_FORWARD)
        return;
    fast.approximate = true;
    other = convolution_choice(&fast);
    if (other == chosen)
        return;
    info->approximate = other->name;
    info->approximate_cost = other->cost(&fast) / chosen->cost(task);
}

/* ---- Plans ---- */

static deconv_status describe(deconv_plan *plan, const net_convolution *c)
{
    const conv_algorithm *chosen = convolution_choice(&c->task);
    int index = plan->count++;

    if (!chosen)
        return error_set(plan->ctx, DECONV_ERROR_UNSUPPORTED,
                         "%s: no convolution algorithm takes these layouts", c->task.name);
    plan->info[index] = (deconv_plan_info){.struct_size = sizeof *plan->info,
                                           .layer = c->layer,
                                           .direction = c->direction,
                                           .candidate_count = (uint32_t)plan->algorithms,
                                           .from_block = (uint32_t)c->task.src_block,
                                           .to_block = (uint32_t)c->task.dst_block,
                                           .work = conv_problem_work(&c->task.problem),
                                           .algorithm = chosen->name};
    describe_approximate(&plan->info[index], &c->task, chosen);
    return describe_candidates(plan, index, &c->task);
}

deconv_status deconv_plan_create(deconv_net *net, int64_t batch, deconv_plan **out)
{
    deconv_status status = DECONV_OK;
    net_convolution *list = NULL;
    deconv_plan *plan = NULL;
    graph *graph = NULL;
    size_t all;
    int count;

    *out = NULL;
    TRY_ALLOC(plan, net->ctx, 1);
    plan->ctx = net->ctx;
    while (conv_algorithm_at(plan->algorithms))
        plan->algorithms++;
    TRY(net_graph(net, batch ? batch : net->graph->batch, false, &graph));
    TRY(net_convolutions(graph, &list, &count));
    all = (size_t)count * (size_t)plan->algorithms + 1;
    TRY_ALLOC(plan->info, net->ctx, (size_t)count + 1);
    TRY_ALLOC(plan->candidate, net->ctx, all);
    TRY_ALLOC(plan->reason, net->ctx, all);
    for (int i = 0; i < count; i++)
        TRY(describe(plan, &list[i]));
    share_costs(plan);
    *out = plan;
    plan = NULL;
done:
    graph_drop(graph);
    mem_free(net->ctx, list);
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
