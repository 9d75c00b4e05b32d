/* Depthwise convolution for CPU devices: one channel in each group, lanes across the groups
 * (cl/conv_depthwise.cl). */
#include "blocked.h"

/* Share of peak, measured on PoCL: every multiply-add loads its source. */
#define DEPTHWISE_SHARE 0.40

#define TILE            8

/* The same channels as one group: that is how they lie in blocks. */
static conv_task one_group(const conv_task *t)
{
    conv_task one = *t;

    one.problem = conv_problem_flat(&t->problem);
    one.problem.groups = 1;
    return one;
}

static tiling depthwise_tiling(const conv_task *t)
{
    const int lanes = task_lanes(t);

    return (tiling){.kernel = "conv_depthwise",
                    .lanes = lanes,
                    .tile = TILE,
                    .kb = 1,
                    .depthwise = true,
                    .across = lanes,
                    .chunk = INT32_MAX};
}

static const char *depthwise_refuses(const conv_task *t)
{
    const conv_problem *p = &t->problem;
    const conv_task one = one_group(t);

    if (p->groups < 2 || p->in_channels != p->groups || p->out_channels != p->groups)
        return "its groups do not have one channel each";
    return blocked_refuses_task(&one);
}

static double depthwise_cost(const conv_task *t)
{
    const conv_task one = one_group(t);
    const tiling g = depthwise_tiling(t);

    return blocked_work(&one, &g) / DEPTHWISE_SHARE;
}

static size_t depthwise_scratch(const conv_task *t)
{
    const conv_task one = one_group(t);
    const tiling g = depthwise_tiling(t);

    return blocked_scratch(&one, &g);
}

static int depthwise_order(const conv_task *t)
{
    (void)t;
    return CONV_ORDER_DEPTHWISE;
}

static deconv_status depthwise_create(const conv_task *t, void **out)
{
    const conv_task one = one_group(t);
    const tiling g = depthwise_tiling(t);

    return blocked_plan_create(&one, &g, out);
}

const conv_algorithm conv_algorithm_depthwise = {
    .name = "depthwise",
    .refuses = depthwise_refuses,
    .cost = depthwise_cost,
    .scratch = depthwise_scratch,
    .order = depthwise_order,
    .create = depthwise_create,
    .pack = blocked_plan_pack,
    .packed = blocked_plan_packed,
    .run = blocked_plan_run,
    .release = blocked_plan_release,
};
