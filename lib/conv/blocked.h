/* What the algorithms with lanes across channels share (cl/conv_blocked.cl and others): the task as
 * their kernels see it, packed weights, packed sources, the split of the work. */
#ifndef DECONV_LIB_CONV_BLOCKED_H
#define DECONV_LIB_CONV_BLOCKED_H

#include "task.h"

/* As cl/conv_shape.h declares it, field for field. */
typedef struct blocked_shape {
    phase_axis y, x;
    int32_t batch, groups, blocks;
    int32_t src_channels, src_h, src_w;
    int32_t dst_channels, dst_h, dst_w;
    int32_t src_image, src_plane;
    int32_t dst_image;
    int32_t dst_from;
    int32_t dst_block;
    int32_t relu;
    int32_t items, ranges;
    int32_t chunks;
    int32_t weight_offset;
    int32_t weight_group, weight_dst, weight_src, kernel_w;
} blocked_shape;

/* As cl/conv_shape.h declares it: what may differ from run to run. */
typedef struct blocked_output {
    int32_t image, from, relu;
} blocked_output;

/* How an algorithm's kernel is specialised, and what it reads. */
typedef struct tiling {
    const char *kernel;
    int lanes;
    int tile;       /* positions */
    int kb;         /* blocks of result channels; 0: `channels` run across instead */
    int channels;   /* of the result, where kb is 0 */
    bool depthwise; /* lanes across the groups of a problem that is given as one group */
    int across;     /* source channels side by side: lanes, or 1 for planes with a border */
    int chunk;      /* taps between whose sums all channels are added; INT_MAX: all taps */
} tiling;

/* Taps that cl/conv_tile.h works out at a time. */
#define BLOCKED_TAPS 32

/* Below this many source channels lanes would be mostly padding: they are read one by one. */
#define PACK_CHANNELS 8

/* Work-groups for each core, enough that the last ones even out, and multiply-adds below which one
 * is not worth its launch. */
#define CORE_GROUPS      12
#define LEAST_GROUP_WORK 200000.0

/* A source of planes with a border: `top` rows and `left` columns of zeros before it. */
typedef struct bordered {
    int64_t top, left, high, wide;
} bordered;

int task_lanes(const conv_task *t);

/* NULL, or why no kernel of this kind takes the task. */
const char *blocked_refuses_task(const conv_task *t);

/* Multiply-adds that a tiling spends, idle lanes and positions included. */
double blocked_work(const conv_task *t, const tiling *g);
/* Bytes of shared scratch: the packed source where it is not read as it is. */
size_t blocked_scratch(const conv_task *t, const tiling *g);

/* A plan of any of the algorithms: conv_algorithm's functions. */
deconv_status blocked_plan_create(const conv_task *t, const tiling *g, void **out);
deconv_status blocked_plan_pack(void *plan, const buffer *weights);
deconv_status blocked_plan_run(void *plan, const conv_operands *operands);
packed *blocked_plan_packed(const void *plan);
void blocked_plan_release(void *plan);

/* ---- source.c: what is packed before a run ---- */

/* The source is read as it is. */
bool source_is_ready(const conv_task *t, const tiling *g);
/* The border that keeps every tap of every phase inside. */
bordered source_border(const conv_task *t);
int64_t source_floats(const conv_task *t, const tiling *g);
deconv_status source_kernel(const conv_task *t, const tiling *g, kernel **out);
deconv_status source_pack(const conv_task *t, const tiling *g, kernel *k, const buffer *src);

#endif
