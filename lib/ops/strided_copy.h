/* Copying a box of up to five dimensions between two buffers with steps of their own: what every
 * operator that reorders elements is built on. */
#ifndef DECONV_LIB_STRIDED_COPY_H
#define DECONV_LIB_STRIDED_COPY_H

#include "op.h"

/* Element (i0, i1, ...) of the box goes from from_at + sum of i_d from_step[d] to to_at + sum of
 * i_d to_step[d], in elements. Both sides must lie inside their buffers, and no element of `to` may
 * be met twice. */
typedef struct copy_box {
    int rank;
    int64_t size[DECONV_MAX_RANK];
    int64_t from_at, from_step[DECONV_MAX_RANK];
    int64_t to_at, to_step[DECONV_MAX_RANK];
} copy_box;

/* Steps of a dense row-major tensor. */
void dense_steps(const shape *s, int64_t step[DECONV_MAX_RANK]);

/* The same copy in the fewest dimensions, the smallest step through `to` last. */
copy_box copy_box_merge(const copy_box *b);
/* The way back, merged. */
copy_box copy_box_swap(const copy_box *b);
/* A merged box that is one contiguous run on both sides, or empty, and so needs no kernel. */
bool copy_box_is_plain(const copy_box *merged);

deconv_status strided_copy_create(deconv_ctx *ctx, kernel **out);
/* Enqueues a merged copy; `kernel` may be NULL where copy_box_is_plain(). */
deconv_status strided_copy(deconv_ctx *ctx, kernel *kernel, const copy_box *merged,
                           const buffer *from, buffer *to);

/* y += x over `count` floats: how the signals of several consumers are joined. */
deconv_status add_into_create(deconv_ctx *ctx, kernel **out);
deconv_status add_into(kernel *kernel, const buffer *x, buffer *y, int64_t count);

#endif
