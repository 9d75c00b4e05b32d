/* oneDNN's description of a convolution: the part of its interface that changes between its major
 * versions (this is for 2.x). Used by peer.c only. */
#ifndef DECONV_BENCH_PEER_CONVOLUTION_H
#define DECONV_BENCH_PEER_CONVOLUTION_H

#include <oneapi/dnnl/dnnl.h>

#include "conv/problem.h"

#include <stdbool.h>

/* x is the problem's input side, y its output side. */
typedef struct peer_plan {
    dnnl_primitive_desc_t desc;
    dnnl_memory_desc_t plain_x, plain_y, plain_weights;
    const dnnl_memory_desc_t *x, *y, *weights; /* as the primitive wants them; they go with desc */
    const char *kernel;
} peer_plan;

/* `plain`: x and y are NCHW; else as oneDNN likes. False where it has no such primitive. */
bool peer_plan_make(dnnl_engine_t engine, const conv_problem *p, bool forward, bool plain,
                    peer_plan *out);

void check_dnnl(dnnl_status_t status, const char *call);

#endif
