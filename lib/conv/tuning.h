/* What was measured of convolution algorithms on this device, kept from one process to the next in
 * a text file. A context reads it once, when it is made, and chooses by it for all its life; what
 * is measured meanwhile serves later contexts. Measuring is measure.c's, choosing engine.c's. */
#ifndef DECONV_LIB_CONV_TUNING_H
#define DECONV_LIB_CONV_TUNING_H

#include "engine.h"

enum { TUNING_KEY = 256, TUNING_NAME = 24, TUNING_CANDIDATES = 12 };

/* One algorithm; `microseconds` of a run, or TUNING_WRONG: its result was not the reference's. */
typedef struct tuning_candidate {
    char name[TUNING_NAME];
    double microseconds;
} tuning_candidate;

#define TUNING_WRONG (-1.0)

/* One task, the fastest candidate first, the wrong ones last. */
typedef struct tuning_entry {
    char key[TUNING_KEY];
    tuning_candidate candidate[TUNING_CANDIDATES];
    int count;
} tuning_entry;

typedef struct tuning tuning;

/* What the device's file holds. NULL when there is none, when it is broken or was made for
 * something else (which costs one line in the log), or where $DECONV_TUNING is "off". */
tuning *tuning_read(deconv_ctx *ctx);
void tuning_free(tuning *t);

/* The task as text: direction and sizes, then layouts. */
void tuning_key(const conv_task *task, char key[TUNING_KEY]);
/* What was measured of just this task, or NULL. */
const tuning_entry *tuning_find(const tuning *t, const conv_task *task);
/* The first entry of the same convolution in any layouts, or NULL. */
const tuning_entry *tuning_find_any(const tuning *t, const conv_task *task);
/* Microseconds of an algorithm; 0 where it was not measured or `entry` is NULL. */
double tuning_time(const tuning_entry *entry, const char *name);

/* Brings an entry's candidates into order. */
void tuning_rank(tuning_entry *entry);
/* The path of the device's file, released by mem_free(). Fails where the context keeps no files. */
deconv_status tuning_path(deconv_ctx *ctx, char **path);
/* Adds entries to the device's file, over older ones of the same tasks. Other processes may do so
 * at the same time: nobody's entries are lost and no reader sees half a file. */
deconv_status tuning_store(deconv_ctx *ctx, const tuning_entry *entries, int count);

#endif
