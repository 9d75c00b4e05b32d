/* Outputs put together from boxes of inputs, and on the way back inputs from boxes of signals. Who
 * does that is in rearrange.c and pad.c. */
#include "reorder.h"

/* ---- Pieces ---- */

deconv_status reorder_init(op *op, reorder *r, int count)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(r->piece, op->ctx, (size_t)count);
    r->count = count;
    for (int i = 0; i < count; i++) {
        piece *p = &r->piece[i];

        for (int d = 0; d < op->in_shape[0].rank; d++) {
            p->axis[d] = d;
            p->size[d] = op->in_shape[0].dim[d];
            p->in_step[d] = 1;
        }
    }
done:
    return status;
}

static copy_box piece_copy(const op *op, const piece *p)
{
    const shape *in = &op->in_shape[p->input], *out = &op->out_shape[p->output];
    int64_t in_step[DECONV_MAX_RANK], out_step[DECONV_MAX_RANK];
    copy_box b = {.rank = out->rank};

    dense_steps(in, in_step);
    dense_steps(out, out_step);
    for (int d = 0; d < out->rank; d++) {
        b.size[d] = p->size[d];
        b.from_at += p->in_from[d] * in_step[p->axis[d]];
        b.from_step[d] = p->in_step[d] * in_step[p->axis[d]];
        b.to_at += p->out_from[d] * out_step[d];
        b.to_step[d] = out_step[d];
    }
    return b;
}

deconv_status reorder_plan(op *op, reorder *r)
{
    deconv_status status = DECONV_OK;
    bool plain = true;

    for (int i = 0; i < r->count; i++) {
        piece *p = &r->piece[i];
        copy_box copy = piece_copy(op, p);

        p->forward = copy_box_merge(&copy);
        p->inverse = copy_box_swap(&copy);
        plain = plain && copy_box_is_plain(&p->forward);
    }
    if (!plain)
        TRY(strided_copy_create(op->ctx, &r->copy));
done:
    return status;
}

void reorder_release(op *op, reorder *r)
{
    kernel_free(r->copy);
    mem_free(op->ctx, r->piece);
}

/* ---- Running ---- */

static int64_t piece_count(const piece *p, int rank)
{
    int64_t count = 1;

    for (int d = 0; d < rank; d++)
        count *= p->size[d];
    return count;
}

static deconv_status fill_tensor(const op *op, const tensor *t, float value)
{
    return buffer_fill(op->ctx, t->data, 0, (size_t)shape_count(&t->shape) * sizeof(float), value);
}

deconv_status reorder_forward(op *op, const reorder *r, const op_pass *pass)
{
    deconv_status status = DECONV_OK;

    for (int o = 0; o < op->n_out; o++) {
        int64_t bare = shape_count(&op->out_shape[o]);

        for (int i = 0; i < r->count; i++)
            if (r->piece[i].output == o)
                bare -= piece_count(&r->piece[i], op->out_shape[o].rank);
        if (bare > 0 && pass->out[o])
            TRY(fill_tensor(op, pass->out[o], r->fill));
    }
    for (int i = 0; i < r->count; i++) {
        const piece *p = &r->piece[i];

        if (pass->out[p->output])
            TRY(strided_copy(op->ctx, r->copy, &p->forward, pass->in[p->input]->data,
                             pass->out[p->output]->data));
    }
done:
    return status;
}

deconv_status reorder_inverse(op *op, const reorder *r, const op_pass *pass)
{
    deconv_status status = DECONV_OK;

    for (int n = 0; n < op->n_in; n++) {
        int64_t bare = op_has_input(op, n) ? shape_count(&op->in_shape[n]) : 0;

        for (int i = 0; i < r->count; i++) {
            const piece *p = &r->piece[i];

            if (p->input == n && pass->signal_out[p->output])
                bare -= piece_count(p, op->out_shape[p->output].rank);
        }
        if (bare > 0 && pass->signal_in[n])
            TRY(fill_tensor(op, pass->signal_in[n], 0.0f));
    }
    for (int i = 0; i < r->count; i++) {
        const piece *p = &r->piece[i];

        if (pass->signal_in[p->input] && pass->signal_out[p->output])
            TRY(strided_copy(op->ctx, r->copy, &p->inverse, pass->signal_out[p->output]->data,
                             pass->signal_in[p->input]->data));
    }
done:
    return status;
}

/* ---- Boxes ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

/* The elements k of dimension d whose input position lies in from..to-1. */
static void piece_range(const piece *p, int d, int64_t from, int64_t to, int64_t *first,
                        int64_t *end)
{
    int64_t step = p->in_step[d], start = p->in_from[d];

    if (step > 0) {
        *first = -floor_div(start - from, step);
        *end = -floor_div(start - to, step);
    } else {
        *first = floor_div(start - to, -step) + 1;
        *end = floor_div(start - from, -step) + 1;
    }
    *first = *first < 0 ? 0 : *first;
    *end = *end > p->size[d] ? p->size[d] : *end;
}

box reorder_reach(const op *op, const reorder *r, int input, const box *in, int output)
{
    int rank = op->out_shape[output].rank;
    box out = box_empty(rank);

    if (box_is_empty(in))
        return out;
    for (int i = 0; i < r->count; i++) {
        const piece *p = &r->piece[i];
        box part = {.rank = rank};

        if (p->input != input || p->output != output)
            continue;
        for (int d = 0; d < rank; d++) {
            int64_t first, end;

            piece_range(p, d, in->from[p->axis[d]], in->to[p->axis[d]], &first, &end);
            part.from[d] = p->out_from[d] + first;
            part.to[d] = p->out_from[d] + end;
        }
        out = box_union(&out, &part);
    }
    return box_is_empty(&out) ? box_empty(rank) : out;
}

box reorder_needs(const op *op, const reorder *r, int output, const box *out, int input)
{
    int rank = op->in_shape[input].rank;
    box in = box_empty(rank);

    if (box_is_empty(out))
        return in;
    for (int i = 0; i < r->count; i++) {
        const piece *p = &r->piece[i];
        box part = {.rank = rank};
        bool empty = false;

        if (p->input != input || p->output != output)
            continue;
        for (int d = 0; d < rank; d++) {
            int64_t first = out->from[d] - p->out_from[d], end = out->to[d] - p->out_from[d];
            int64_t a, b;

            first = first < 0 ? 0 : first;
            end = end > p->size[d] ? p->size[d] : end;
            empty = empty || first >= end;
            a = p->in_from[d] + first * p->in_step[d];
            b = p->in_from[d] + (end - 1) * p->in_step[d];
            part.from[p->axis[d]] = a < b ? a : b;
            part.to[p->axis[d]] = (a < b ? b : a) + 1;
        }
        if (!empty)
            in = box_union(&in, &part);
    }
    return in;
}
