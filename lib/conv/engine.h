/* The convolution engine: one direction of one problem, by the algorithm that suits it. engine.c
 * has the ordered table of algorithms; each is a file of its own. */
#ifndef DECONV_LIB_CONV_ENGINE_H
#define DECONV_LIB_CONV_ENGINE_H

#include "../scratch.h"
#include "phases.h"

typedef struct conv_algorithm conv_algorithm;

/* Packed copies of one constant (packed.h), shared by all that reads it. Starts as {0}; whoever
 * owns it frees it when no convolution uses it any more. */
typedef struct packed packed;
typedef struct packed_list {
    packed *first;
} packed_list;

void packed_list_free(packed_list *list);

/* What an algorithm computes: dst from src. Forward, src is the problem's input side; adjoint, its
 * output side. The weights are ONNX's (K, C/G, R, S).
 *
 * Layouts: a side with block 1 is NCHW; with block B it is [N][ceil(C/B)][H][W][B] over the
 * channels of all groups together, and the lanes past the last channel hold zeros (lib/tensor.h). B
 * is device_block(). A window may have negative padding: its inputs then begin before the first
 * that the first output sees. */
typedef struct conv_task {
    deconv_ctx *ctx;
    const char *name; /* the layer's, for messages; NULL: none */
    conv_problem problem;
    conv_direction direction;
    scratch *scratch;    /* shared, for what lives within one run */
    packed_list *packed; /* of its constant weights; NULL: they are not constant, or not shared */
    int src_block, dst_block;
    /* The whole-tensor problem of which this one computes windows; NULL: it is the whole itself.
     * A window must give the bits of the whole, so it is served by an algorithm of the same
     * summation order as the one that serves the whole. */
    const conv_problem *whole;
    /* Results may differ from the sums of their terms by more than the rounding of a sum, and
     * differ from place to place: inexact algorithms may serve. */
    bool approximate;
    /* Adjoint: every image of the source is zero outside one channel, that of its number in
     * conv_operands.units; outside one cell of it. */
    bool one_channel, one_cell;
} conv_task;

/* The operands of one run, in the layouts of the task. */
typedef struct conv_operands {
    const buffer *src, *weights, *bias, *dst;
    const buffer *add; /* a tensor of dst's layout that is added to the sums; NULL: none */
    bool relu;         /* then dst = max(sum, 0), NaN kept and no negative zero */
    /* Where dst, in blocks, is some channels of a larger tensor: the float at which the first
     * picture begins, and floats from picture to picture. 0: dst is dense. Every algorithm that
     * writes blocks takes this; `add` is not given with it. */
    int64_t dst_from, dst_image;
    const buffer *units; /* [batch] int, where the task says one_channel */
} conv_operands;

struct conv_algorithm {
    const char *name;
    /* It rounds otherwise than a sum does: equal inputs at two places may give different results,
     * and a window those that the whole does not have. Serves only tasks that are `approximate`. */
    bool inexact;
    /* NULL, or why it cannot serve the task. */
    const char *(*refuses)(const conv_task *task);
    /* Estimated cost: multiply-adds, padding included, over the share of the device's peak it
     * reaches. */
    double (*cost)(const conv_task *task);
    /* Bytes of the task's scratch that a run uses; NULL: none. */
    size_t (*scratch)(const conv_task *task);
    /* Names the order in which the terms of one result are added: two algorithms of the same order
     * give the same bits. It may depend on channels, groups, kernel, strides, dilation, direction
     * and the device, never on the batch, the sizes, the padding or the layouts. */
    int (*order)(const conv_task *task);
    deconv_status (*create)(const conv_task *task, void **plan);
    /* Enqueues the packing of weights; NULL where they are read as they are. */
    deconv_status (*pack)(void *plan, const buffer *weights);
    /* Where a plan has them; NULL: there are no packed weights, or none that plans can share. */
    packed *(*packed)(const void *plan);
    /* `bias` has one value per channel of dst, or is NULL. dst is overwritten whole. */
    deconv_status (*run)(void *plan, const conv_operands *operands);
    void (*release)(void *plan);
};

/* Orders of summation: over taps and channels, and how lanes take part. */
enum {
    CONV_ORDER_DIRECT,
    CONV_ORDER_BLOCKED,
    CONV_ORDER_PLANAR,
    CONV_ORDER_FEW,
    CONV_ORDER_DEPTHWISE,
    CONV_ORDER_IMPLICIT,
    CONV_ORDER_IM2COL,
    CONV_ORDER_WINOGRAD,
};

extern const conv_algorithm conv_algorithm_blocked, conv_algorithm_planar, conv_algorithm_few,
    conv_algorithm_pointwise, conv_algorithm_depthwise, conv_algorithm_direct;
extern const conv_algorithm conv_algorithm_implicit, conv_algorithm_im2col, conv_algorithm_winograd;

/* ---- For the operators ---- */

typedef struct convolution convolution;

/* Whether some algorithm takes the task in its layouts. NCHW on both sides always works. */
bool convolution_can(const conv_task *task);
/* Chooses and plans: the algorithm that was measured to be the fastest (tuning.h), else the one
 * with the least estimated cost. All tasks of one convolution are served in one order of summation
 * where their layouts allow it: that of the fastest of those measured. `weights`: the constant
 * weights, packed here and now; NULL: others have packed them, convolution_pack() is called, or
 * they come with each run. $DECONV_CONV_ALGORITHM names one to prefer wherever it does not refuse.
 */
deconv_status convolution_create(const conv_task *task, const buffer *weights, convolution **out);
void convolution_free(convolution *c);
/* Constant weights after creation. Enqueued; nothing happens where they are read as they are. */
deconv_status convolution_pack(convolution *c, const buffer *weights);
/* The weights are packed: runs read them no more. */
bool convolution_is_packed(const convolution *c);
/* Enqueues dst from src. */
deconv_status convolution_run(convolution *c, const conv_operands *operands);
/* The chosen algorithm's name. */
const char *convolution_algorithm(const convolution *c);

/* ---- For those who ask about the choice ---- */

/* What convolution_create() would choose; NULL: none takes the layouts. */
const conv_algorithm *convolution_choice(const conv_task *task);
/* Why algorithm `a` cannot serve the task or must not, whatever was measured; NULL: it may. */
const char *conv_algorithm_refusal(const conv_algorithm *a, const conv_task *task);
/* The same, and whether it was measured to be wrong or would break windows. */
const char *convolution_refusal(const conv_algorithm *a, const conv_task *task);

/* single.c: for tasks of one_channel, in place of the algorithm `instead` and with its bits; false
 * where it cannot give these or spares nothing. */
bool conv_single_serves(const conv_task *task, const conv_algorithm *instead);
deconv_status conv_single_create(const conv_task *task, const conv_algorithm *instead, void **plan);
extern const conv_algorithm conv_algorithm_single;

/* Algorithm `index` of the table, in order; NULL past its end. */
const conv_algorithm *conv_algorithm_at(int index);

#endif
