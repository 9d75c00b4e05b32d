/* One direction of one convolution by libdeconv's engine (lib/conv/engine.h). */
#ifndef DECONV_BENCH_OURS_H
#define DECONV_BENCH_OURS_H

#include "conv/engine.h"
#include "measure.h"

typedef struct ours ours;

typedef struct ours_wish {
    bool nchw; /* both sides plain; else in blocks of channels where the engine takes them, sides of
                  few channels plain, as they are inside a network */
    bool approximate; /* inexact algorithms may serve */
} ours_wish;

/* The weights (K, C/G, R, S) are packed here. */
ours *ours_create(deconv_ctx *ctx, const conv_problem *p, conv_direction direction, ours_wish wish,
                  const float *weights);
void ours_free(ours *o);
runner ours_runner(ours *o);
/* Values in NCHW to what is read, and from what was written. */
void ours_load(ours *o, const float *values);
void ours_read(ours *o, float *values);

const char *ours_algorithm(const ours *o);
/* "blocked to plain" */
const char *ours_layouts(const ours *o);

#endif
