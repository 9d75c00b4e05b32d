/* Packed weights: a constant's elements in the order in which kernels read them. Plans that read a
 * constant alike share one copy: whole maps and windows, all batch sizes of a net. */
#ifndef DECONV_LIB_CONV_PACKED_H
#define DECONV_LIB_CONV_PACKED_H

#include "engine.h"

/* One copy. */
struct packed {
    packed_list *list; /* that owns it; NULL: it belongs to one plan */
    deconv_ctx *ctx;
    buffer *data;
    bool filled; /* the packing is enqueued, or done */
    int32_t *key;
    size_t key_size;
    packed *next;
};

/* What packed layouts are told apart by: the kernel that packs, and all that it goes by. */
enum { PACKED_BLOCKED, PACKED_IMPLICIT, PACKED_IM2COL, PACKED_WINOGRAD, PACKED_POINTWISE };

/* A phase as its kernel packs it. */
typedef struct packed_phase {
    const phase_axis *y, *x;
    int32_t first; /* where its weights begin */
} packed_phase;

/* Phase `i` of a plan; false: it has no weights. */
typedef bool (*packed_phase_of)(const void *plan, int i, packed_phase *out);

/* Room for `floats` packed weights (0 is allowed). `key`: `count` numbers that say how they lie;
 * equal keys share a copy if the task has a list. */
deconv_status packed_get(const conv_task *t, const int32_t *key, size_t count, int64_t floats,
                         packed **out);
/* The same for weights in `phases` phases, which the key says more about. */
deconv_status packed_get_phases(const conv_task *t, const int32_t *key, size_t count,
                                const void *plan, int phases, packed_phase_of phase_of,
                                int64_t floats, packed **out);
/* For plans: releases a copy that is theirs alone. */
void packed_leave(packed *p);

#endif
