/* Measuring the algorithms that could serve a convolution task, each checked against the plain one
 * before its time counts. What becomes of the result is tuning.h's. */
#ifndef DECONV_LIB_CONV_MEASURE_H
#define DECONV_LIB_CONV_MEASURE_H

#include "tuning.h"

typedef struct measure_counts {
    uint32_t measured;   /* candidates that have a time */
    uint32_t over_limit; /* not run, or run once and dropped */
    uint32_t wrong;
} measure_counts;

/* Measures every exact algorithm that does not refuse the task, on random data, for up to `limit`
 * seconds each: an entry without candidates when none could be. A kernel cannot be interrupted, so
 * what is expected to run for longer than the limit is left out; and what then did run for longer
 * is dropped. task->scratch and task->whole are not looked at. Adds to *counts. */
deconv_status conv_measure(const conv_task *task, double limit, tuning_entry *entry,
                           measure_counts *counts);

#endif
