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

/* One phase in a key: PACKED_PHASE numbers, that of its first float among them. */
enum { PACKED_PHASE = 7 };
void packed_key_phase(int32_t *key, const phase_axis *y, const phase_axis *x, int32_t first);

/* Room for `floats` packed weights (0 is allowed). `key`: `count` numbers that say how they lie;
 * equal keys share a copy if the task has a list. */
deconv_status packed_get(const conv_task *t, const int32_t *key, size_t count, int64_t floats,
                         packed **out);
/* For plans: releases a copy that is theirs alone. */
void packed_leave(packed *p);

#endif
