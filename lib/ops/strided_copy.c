/* Boxes copied from buffer to buffer (cl/copy.h), merged into as few dimensions as they allow.
 * Which box an operator copies is the operator's business. */
#include "strided_copy.h"

/* Work-items in a group. Left to PoCL 3.1, a prime number of items would run in groups of one. */
#define GROUP 64

#include <stdlib.h>
#include <string.h>

void dense_steps(const shape *s, int64_t step[DECONV_MAX_RANK])
{
    int64_t next = 1;

    for (int d = s->rank - 1; d >= 0; d--) {
        step[d] = next;
        next *= s->dim[d];
    }
}

/* ---- Merging ---- */

static void move_dim(copy_box *b, int to, int from)
{
    b->size[to] = b->size[from];
    b->from_step[to] = b->from_step[from];
    b->to_step[to] = b->to_step[from];
}

static void swap_dims(copy_box *b, int d, int e)
{
    copy_box old = *b;

    move_dim(b, d, e);
    b->size[e] = old.size[d];
    b->from_step[e] = old.from_step[d];
    b->to_step[e] = old.to_step[d];
}

copy_box copy_box_merge(const copy_box *box)
{
    copy_box b = *box;
    int rank = 0;

    for (int d = 0; d < b.rank; d++)
        if (b.size[d] != 1)
            move_dim(&b, rank++, d);
    for (int d = 1; d < rank; d++)
        for (int e = d; e > 0 && llabs(b.to_step[e - 1]) < llabs(b.to_step[e]); e--)
            swap_dims(&b, e - 1, e);
    b.rank = 0;
    for (int d = 0; d < rank; d++) {
        int last = b.rank - 1;

        if (last >= 0 && b.from_step[last] == b.from_step[d] * b.size[d] &&
            b.to_step[last] == b.to_step[d] * b.size[d]) {
            b.size[last] *= b.size[d];
            b.from_step[last] = b.from_step[d];
            b.to_step[last] = b.to_step[d];
        } else {
            move_dim(&b, b.rank++, d);
        }
    }
    return b;
}

copy_box copy_box_swap(const copy_box *b)
{
    copy_box swapped = *b;

    swapped.from_at = b->to_at;
    swapped.to_at = b->from_at;
    memcpy(swapped.from_step, b->to_step, sizeof b->to_step);
    memcpy(swapped.to_step, b->from_step, sizeof b->from_step);
    return copy_box_merge(&swapped);
}

static int64_t box_count(const copy_box *b)
{
    int64_t count = 1;

    for (int d = 0; d < b->rank; d++)
        count *= b->size[d];
    return count;
}

bool copy_box_is_plain(const copy_box *b)
{
    return box_count(b) == 0 || b->rank == 0 ||
           (b->rank == 1 && b->from_step[0] == 1 && b->to_step[0] == 1);
}

/* ---- Kernels ---- */

deconv_status strided_copy_create(deconv_ctx *ctx, kernel **out)
{
    return kernel_create(ctx, "maps.cl", "", "strided_copy", out);
}

/* copy_walk of cl/copy.h */
typedef struct copy_walk {
    int32_t size[DECONV_MAX_RANK];
    int32_t from_at;
    int32_t from_step[DECONV_MAX_RANK];
    int32_t to_at;
    int32_t to_step[DECONV_MAX_RANK];
} copy_walk;

deconv_status strided_copy(deconv_ctx *ctx, kernel *kernel, const copy_box *b, const buffer *from,
                           buffer *to)
{
    int64_t count = box_count(b);
    copy_walk w = {.from_at = (int32_t)b->from_at, .to_at = (int32_t)b->to_at};

    if (count == 0)
        return DECONV_OK;
    if (copy_box_is_plain(b))
        return buffer_copy(ctx, from, (size_t)b->from_at * sizeof(float), to,
                           (size_t)b->to_at * sizeof(float), (size_t)count * sizeof(float));
    for (int d = 0; d < DECONV_MAX_RANK; d++) {
        int e = d - (DECONV_MAX_RANK - b->rank);

        w.size[d] = e < 0 ? 1 : (int32_t)b->size[e];
        w.from_step[d] = e < 0 ? 0 : (int32_t)b->from_step[e];
        w.to_step[d] = e < 0 ? 0 : (int32_t)b->to_step[e];
    }
    kernel_begin(kernel);
    arg_buffer(kernel, from);
    arg_buffer(kernel, to);
    arg_struct(kernel, &w, sizeof w);
    return kernel_launch_groups(kernel, w.size[4], w.size[3],
                                (int64_t)w.size[2] * w.size[1] * w.size[0], GROUP, 1, 1);
}

deconv_status add_into_create(deconv_ctx *ctx, kernel **out)
{
    return kernel_create(ctx, "maps.cl", "", "add_into", out);
}

deconv_status add_into(kernel *kernel, const buffer *x, buffer *y, int64_t count)
{
    kernel_begin(kernel);
    arg_buffer(kernel, x);
    arg_buffer(kernel, y);
    arg_int(kernel, count);
    return kernel_launch_groups(kernel, count, 1, 1, GROUP, 1, 1);
}
