/* The convolution engine: one direction of one problem, by the algorithm that suits it. engine.c
 * has the ordered table of algorithms; each is a file of its own. */
#ifndef DECONV_LIB_CONV_ENGINE_H
#define DECONV_LIB_CONV_ENGINE_H

#include "../scratch.h"
#include "phases.h"

typedef struct conv_algorithm conv_algorithm;

/* What an algorithm computes: dst from src. Forward, src is the problem's input side; adjoint, its
 * output side. Both are NCHW, the weights ONNX's (K, C/G, R, S). */
typedef struct conv_task {
    deconv_ctx *ctx;
    conv_problem problem;
    conv_direction direction;
    scratch *scratch; /* shared, for what lives within one run */
} conv_task;

struct conv_algorithm {
    const char *name;
    /* NULL, or why it cannot serve the task. */
    const char *(*refuses)(const conv_task *task);
    /* Estimated cost: multiply-adds, padding included, over the share of the device's peak it
     * reaches. */
    double (*cost)(const conv_task *task);
    deconv_status (*create)(const conv_task *task, void **plan);
    /* Enqueues the packing of weights; NULL where they are read as they are. */
    deconv_status (*pack)(void *plan, const buffer *weights);
    /* `bias` has one value per channel of dst, or is NULL. dst is overwritten whole. */
    deconv_status (*run)(void *plan, const buffer *src, const buffer *weights, const buffer *bias,
                         const buffer *dst);
    void (*release)(void *plan);
};

extern const conv_algorithm conv_algorithm_blocked, conv_algorithm_few, conv_algorithm_direct;

/* ---- For the operators ---- */

typedef struct convolution convolution;

/* Chooses and plans. `weights`: the constant weights, packed here and now; NULL: they come with
 * each run. $DECONV_CONV_ALGORITHM names one to prefer wherever it does not refuse. */
deconv_status convolution_create(deconv_ctx *ctx, const conv_problem *problem,
                                 conv_direction direction, const buffer *weights, scratch *scratch,
                                 convolution **out);
void convolution_free(convolution *c);
/* Enqueues dst from src. */
deconv_status convolution_run(convolution *c, const buffer *src, const buffer *weights,
                              const buffer *bias, const buffer *dst);
/* The chosen algorithm's name. */
const char *convolution_algorithm(const convolution *c);

/* Algorithm `index` of the table, in order; NULL past its end. */
const conv_algorithm *conv_algorithm_at(int index);

#endif
