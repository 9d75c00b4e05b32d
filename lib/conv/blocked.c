/* Convolution with lanes across channels for CPU devices: `blocked` for sources and results of many
 * channels, `planar` for sources of few, `few` for results of up to four. */
#include "blocked.h"

/* Shares of peak, measured on PoCL: what the estimate divides by. */
#define BLOCKED_SHARE 0.90
#define SINGLE_SHARE  0.60 /* one block of channels: one vector of weights for each position */
#define PLANAR_SHARE  0.80
#define FEW_SHARE     0.80

/* What packing a value of the source costs, in multiply-adds. */
#define PACKED_VALUE 32.0

/* Positions and blocks that fill a register file: 6 x 2 sums of 16 registers, 6 x 4 or 8 x 3 of 32.
 */
#define TILE      6
#define WIDE_TILE 8 /* for one block and for three */

/* Blocks of result channels that go together: the more the better, but no more than that leaves the
 * fewest of them empty. */
static int blocks_together(int64_t blocks, int lanes)
{
    int best = blocks == 1 ? 1 : 2;

    if (lanes < 16 || blocks <= 2)
        return best;
    best = 4;
    return ceil_div(blocks, 3) * 3 < ceil_div(blocks, best) * best ? 3 : best;
}

/* Depends on channels and the device alone, as does all that decides about an order. */
static tiling tiling_of(const conv_task *t, int across)
{
    const int lanes = task_lanes(t);
    const int kb = blocks_together(ceil_div(task_dst_channels(t), lanes), lanes);

    return (tiling){.kernel = across > 1 ? "conv_blocked" : "conv_planar",
                    .lanes = lanes,
                    .tile = kb % 2 ? WIDE_TILE : TILE,
                    .kb = kb,
                    .across = across,
                    .chunk = across > 1 ? BLOCKED_TAPS : INT32_MAX};
}

static tiling blocked_tiling(const conv_task *t)
{
    return tiling_of(t, task_lanes(t));
}

static tiling planar_tiling(const conv_task *t)
{
    return tiling_of(t, 1);
}

/* The fewer channels, the more positions. */
static tiling few_tiling(const conv_task *t)
{
    static const int positions[2][5] = {{0, 8, 5, 4, 3}, {0, 8, 8, 8, 6}};
    const int lanes = task_lanes(t);

    return (tiling){.kernel = "conv_few",
                    .lanes = lanes,
                    .tile = positions[lanes == 16][task_dst_channels(t)],
                    .channels = (int)task_dst_channels(t),
                    .across = lanes,
                    .chunk = BLOCKED_TAPS};
}

static conv_task flat_task(const conv_task *t)
{
    conv_task flat = *t;

    flat.problem = conv_problem_flat(&t->problem);
    return flat;
}

static int64_t few_channels(const conv_task *t)
{
    return task_dst_channels(t) <= 4 && t->problem.groups == 1;
}

/* ---- blocked ---- */

static const char *blocked_refuses(const conv_task *t)
{
    if (task_src_channels(t) < PACK_CHANNELS)
        return "the source has too few channels for its lanes";
    return blocked_refuses_task(t);
}

static double cost_of(const conv_task *t, const tiling *g, double share)
{
    conv_task flat = flat_task(t);
    const size_t packed = blocked_scratch(&flat, g) / sizeof(float);

    return blocked_work(&flat, g) / share + PACKED_VALUE * (double)packed;
}

static double blocked_cost(const conv_task *t)
{
    tiling g = blocked_tiling(t);

    return cost_of(t, &g, g.kb == 1 ? SINGLE_SHARE : BLOCKED_SHARE);
}

static size_t blocked_scratch_of(const conv_task *t)
{
    conv_task flat = flat_task(t);
    tiling g = blocked_tiling(t);

    return blocked_scratch(&flat, &g);
}

static int blocked_order(const conv_task *t)
{
    (void)t;
    return CONV_ORDER_BLOCKED;
}

static deconv_status blocked_create(const conv_task *t, void **out)
{
    conv_task flat = flat_task(t);
    tiling g = blocked_tiling(t);

    return blocked_plan_create(&flat, &g, out);
}

/* ---- planar ---- */

/* A single tap of an NCHW source that needs no border: nothing is packed, which pays where the
 * source is the larger side. Channels are added in the order in which blocked adds them. */
static bool reads_in_place(const conv_task *t)
{
    const conv_task flat = flat_task(t);
    const tiling g = planar_tiling(t);

    return t->problem.kernel[0] * t->problem.kernel[1] == 1 && source_is_ready(&flat, &g) &&
           task_src_channels(t) > task_dst_channels(t);
}

static const char *planar_refuses(const conv_task *t)
{
    tiling g = planar_tiling(t);

    if (task_src_channels(t) >= PACK_CHANNELS && !reads_in_place(t))
        return "the source has channels enough for lanes";
    if (task_src_channels(t) == 1 && task_dst_channels(t) == 1)
        return "a depthwise convolution leaves its lanes idle";
    if (source_floats(t, &g) > INT32_MAX)
        return "the source with a border is too large";
    return blocked_refuses_task(t);
}

static double planar_cost(const conv_task *t)
{
    tiling g = planar_tiling(t);

    return cost_of(t, &g, PLANAR_SHARE);
}

static size_t planar_scratch(const conv_task *t)
{
    conv_task flat = flat_task(t);
    tiling g = planar_tiling(t);

    return blocked_scratch(&flat, &g);
}

static int planar_order(const conv_task *t)
{
    return task_src_channels(t) < PACK_CHANNELS ? CONV_ORDER_PLANAR : CONV_ORDER_BLOCKED;
}

static deconv_status planar_create(const conv_task *t, void **out)
{
    conv_task flat = flat_task(t);
    tiling g = planar_tiling(t);

    return blocked_plan_create(&flat, &g, out);
}

/* ---- few ---- */

static const char *few_refuses(const conv_task *t)
{
    if (!few_channels(t))
        return "the result has more than 4 channels, or groups";
    if (task_src_channels(t) < PACK_CHANNELS)
        return "the source has few channels too";
    return blocked_refuses_task(t);
}

static double few_cost(const conv_task *t)
{
    tiling g = few_tiling(t);

    return cost_of(t, &g, FEW_SHARE);
}

static size_t few_scratch(const conv_task *t)
{
    conv_task flat = flat_task(t);
    tiling g = few_tiling(t);

    return blocked_scratch(&flat, &g);
}

static int few_order(const conv_task *t)
{
    (void)t;
    return CONV_ORDER_FEW;
}

static deconv_status few_create(const conv_task *t, void **out)
{
    conv_task flat = flat_task(t);
    tiling g = few_tiling(t);

    return blocked_plan_create(&flat, &g, out);
}

const conv_algorithm conv_algorithm_blocked = {
    .name = "blocked",
    .refuses = blocked_refuses,
    .cost = blocked_cost,
    .scratch = blocked_scratch_of,
    .order = blocked_order,
    .create = blocked_create,
    .pack = blocked_plan_pack,
    .packed = blocked_plan_packed,
    .run = blocked_plan_run,
    .release = blocked_plan_release,
};

const conv_algorithm conv_algorithm_planar = {
    .name = "planar",
    .refuses = planar_refuses,
    .cost = planar_cost,
    .scratch = planar_scratch,
    .order = planar_order,
    .create = planar_create,
    .pack = blocked_plan_pack,
    .packed = blocked_plan_packed,
    .run = blocked_plan_run,
    .release = blocked_plan_release,
};

const conv_algorithm conv_algorithm_few = {
    .name = "few",
    .refuses = few_refuses,
    .cost = few_cost,
    .scratch = few_scratch,
    .order = few_order,
    .create = few_create,
    .pack = blocked_plan_pack,
    .packed = blocked_plan_packed,
    .run = blocked_plan_run,
    .release = blocked_plan_release,
};
