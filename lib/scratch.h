/* Device memory that operators share: each uses it within one run and keeps nothing in it. */
#ifndef DECONV_LIB_SCRATCH_H
#define DECONV_LIB_SCRATCH_H

#include "opencl/opencl.h"

typedef struct scratch {
    buffer *data; /* as large as the largest wish so far; NULL before the first */
} scratch;

/* Makes it at least `bytes` large. For planning only: what was in it is lost. */
deconv_status scratch_reserve(deconv_ctx *ctx, scratch *s, size_t bytes);
void scratch_free(scratch *s);

#endif
