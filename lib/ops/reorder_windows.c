/* The way back of boxes that are boxes (reorder.h) over windows of signals (lib/window.h), run by
 * cl/apart.cl. */
#include "reorder.h"
#include "signal.h"

enum { CHANNELS, HEIGHT, WIDTH }; /* of an input, in piece_shape */

/* As cl/apart.cl declares it, field for field. */
typedef struct piece_shape {
    placed_frame out, in;
    int32_t count;
    int32_t out_channels, in_channels;
    int32_t in_from[3], in_step[3], size[3], out_from[3];
    int32_t turned;
    int32_t fill;
} piece_shape;

/* All of dimension `d` on both sides, in its place. */
static bool untouched(const op *op, const piece *p, int d)
{
    return p->axis[d] == d && p->in_from[d] == 0 && p->in_step[d] == 1 && p->out_from[d] == 0 &&
           p->size[d] == op->in_shape[p->input].dim[d] &&
           p->size[d] == op->out_shape[p->output].dim[d];
}

/* A Transpose of (N, G, C, H, W) that leaves pictures and positions where they are. */
static bool moves_planes(const op *op, const reorder *r)
{
    const piece *p = &r->piece[0];

    return op->in_shape[0].rank == 5 && r->count == 1 && p->axis[1] + p->axis[2] == 3 &&
           untouched(op, p, 0) && untouched(op, p, 3) && untouched(op, p, 4) &&
           shape_count(&op->in_shape[0]) == shape_count(&op->out_shape[0]);
}

bool reorder_apart(const op *op, const reorder *r, axes_apart *how)
{
    int rank = op->in_shape[0].rank;

    *how = (axes_apart){.same = {true, true}};
    if (moves_planes(op, r))
        return true;
    if (rank != 3 && rank != 4)
        return false;
    *how = (axes_apart){.turned = rank == 4 && r->piece[0].axis[2] == 3};
    for (int i = 0; i < r->count; i++) {
        const piece *p = &r->piece[i];

        if (!untouched(op, p, 0) || p->axis[1] != 1 || (rank == 3 && p->axis[2] != 2) ||
            (rank == 4 && p->axis[2] != (how->turned ? 3 : 2)))
            return false;
    }
    return true;
}

signal_spread reorder_spread(const op *op, const reorder *r)
{
    return op->in_shape[0].rank > 1 && r->count == 1 && untouched(op, &r->piece[0], 1) ? IN_CELL
                                                                                       : ANYWHERE;
}

deconv_status reorder_plan_windows(op *op, const reorder *r, void **plan)
{
    kernel *k = NULL;
    deconv_status status = DECONV_OK;

    *plan = NULL;
    if (moves_planes(op, r))
        goto done;
    TRY(kernel_create(op->ctx, "apart.cl", "", "piece_inverse", &k));
    *plan = k;
done:
    return status;
}

void reorder_release_windows(void *plan)
{
    kernel_free(plan);
}

static piece_shape describe(const op *op, const piece *p, const windows *w)
{
    const shape *in = &op->in_shape[p->input], *out = &op->out_shape[p->output];
    piece_shape s = {.out = frame_placed(&w->out[p->output]),
                     .in = frame_placed(&w->in[p->input]),
                     .count = (int32_t)w->count,
                     .out_channels = (int32_t)out->dim[1],
                     .in_channels = (int32_t)in->dim[1],
                     .in_step = {1, 1, 1},
                     .size = {1, 1, 1}};

    for (int d = 1; d < out->rank; d++) {
        int to = p->axis[d] == 1 ? CHANNELS : WIDTH - (in->rank - 1 - p->axis[d]);

        s.in_from[to] = (int32_t)p->in_from[d];
        s.in_step[to] = (int32_t)p->in_step[d];
        s.size[to] = (int32_t)p->size[d];
        s.out_from[to] = (int32_t)p->out_from[d];
    }
    s.turned = out->rank == 4 && p->axis[2] == 3;
    return s;
}

/* Channels of windows go where those of whole maps go. */
static deconv_status copy_planes(const op *op, const reorder *r, const op_pass *pass)
{
    const tensor *from = pass->signal_out[0], *to = pass->signal_in[0];
    int64_t to_step[DECONV_MAX_RANK];
    copy_box b = {.rank = from->shape.rank}, merged;

    dense_steps(&from->shape, b.from_step);
    dense_steps(&to->shape, to_step);
    for (int d = 0; d < b.rank; d++) {
        b.size[d] = from->shape.dim[d];
        b.to_step[d] = to_step[r->piece[0].axis[d]];
    }
    merged = copy_box_merge(&b);
    return strided_copy(op->ctx, r->copy, &merged, from->data, to->data);
}

deconv_status reorder_inverse_windows(op *op, const reorder *r, const op_pass *pass)
{
    const windows *w = pass->windows;
    kernel *k = w->plan;
    deconv_status status = DECONV_OK;

    if (moves_planes(op, r) && pass->signal_out[0] && pass->signal_in[0])
        return copy_planes(op, r, pass);
    for (int n = 0; n < op->n_in; n++) {
        bool written = false;

        for (int i = 0; i < r->count && pass->signal_in[n]; i++) {
            const piece *p = &r->piece[i];
            piece_shape s;

            if (p->input != n || !pass->signal_out[p->output])
                continue;
            s = describe(op, p, w);
            s.fill = !written;
            kernel_begin(k);
            arg_buffer(k, pass->signal_out[p->output]->data);
            arg_buffer(k, pass->signal_in[n]->data);
            arg_buffer(k, w->origins);
            arg_struct(k, &s, sizeof s);
            TRY(kernel_launch_groups(k, s.in.size[1], s.in.size[0], w->count * s.in_channels, 4, 1,
                                     1));
            written = true;
        }
        if (!written && pass->signal_in[n])
            TRY(signal_clear(op, pass->signal_in[n]));
    }
done:
    return status;
}
