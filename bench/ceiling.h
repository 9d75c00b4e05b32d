/* The measured ceiling of a device: multiply-adds per second of a kernel that does nothing else. */
#ifndef DECONV_BENCH_CEILING_H
#define DECONV_BENCH_CEILING_H

#include "context.h"
#include "measure.h"

typedef struct ceiling ceiling;

ceiling *ceiling_create(deconv_ctx *ctx);
void ceiling_free(ceiling *c);
/* One piece of its work: a few milliseconds on all cores. */
runner ceiling_runner(ceiling *c);
double ceiling_flops(const ceiling *c);

#endif
