/* Storage by lifetime: things that are not alive at the same step share memory. */
#ifndef DECONV_LIB_PLAN_H
#define DECONV_LIB_PLAN_H

#include "tensor.h"

/* One thing to store, alive from step `first` to step `last`, both inclusive. */
typedef struct span {
    size_t bytes;
    int first, last;
    int slot;         /* result */
    const char *name; /* whose it is, for messages; must outlive the storage. NULL: nobody's */
} span;

/* The buffers that a set of spans was laid out in. */
typedef struct storage {
    deconv_ctx *ctx;
    buffer **slot;
    size_t *bytes;
    const char **name; /* of the largest span in each */
    int count;
} storage;

/* Gives every span with bytes > 0 a slot: best fit among those that are free at its first step. No
 * two spans that are alive together share one. `slots->ctx` must be set; buffers are made by
 * storage_allocate(). */
deconv_status storage_plan(storage *slots, span *spans, int count);
/* `what` and the name of the largest span are what a message calls a buffer. */
deconv_status storage_allocate(storage *slots, const char *what);
void storage_free(storage *slots);

#endif
