/* Broadcasting: merged walks over operands, window boxes, and sums over repeated dimensions. What
 * is computed with them is the operators' business. */
#include "broadcast.h"

#include <math.h>

/* ---- Launching ---- */

enum {
    GROUP = 64,      /* work-items in a group: a multiple of every device's vector width so far */
    MAX_ROWS = 32768 /* along y and along z; CUDA devices take at most 65535 groups there */
};

/* A group is a part of one row, or several rows where they are short. A single row has groups of
 * one row, so that its kernel need not look at y and z. */
static deconv_status launch_groups(kernel *kernel, int64_t x, int64_t y, int64_t z)
{
    size_t across = 1;

    while (across < GROUP && ((int64_t)across < x || y == 1))
        across *= 2;
    return kernel_launch_groups(kernel, x, y, z, across, GROUP / across, 1);
}

deconv_status launch_rows(kernel *kernel, int64_t width, int64_t rows)
{
    int64_t y = rows < MAX_ROWS ? rows : MAX_ROWS;

    return launch_groups(kernel, width, y, (rows + y - 1) / y);
}

bool planes_flat(int64_t y, int64_t z)
{
    return y > MAX_ROWS || z > MAX_ROWS;
}

deconv_status launch_planes(kernel *kernel, int64_t x, int64_t y, int64_t z)
{
    return planes_flat(y, z) ? launch_rows(kernel, x, y * z) : launch_groups(kernel, x, y, z);
}

/* ---- Merging dimensions ---- */

/* Size of dimension `d` of a shape of `rank` dimensions when `s` is aligned to it at the end. */
static int64_t aligned_size(const shape *s, int rank, int d)
{
    int own = d - (rank - s->rank);

    return own < 0 ? 1 : s->dim[own];
}

/* Dimensions of one walk, the innermost first, with a step for each of two tensors. */
typedef struct walk {
    int rank;
    int64_t size[DECONV_MAX_RANK], a[DECONV_MAX_RANK], b[DECONV_MAX_RANK];
} walk;

/* Adds the next dimension outwards; merges it into the last one where both tensors allow. */
static void walk_add(walk *w, int64_t size, int64_t a, int64_t b)
{
    int last = w->rank - 1;

    if (size == 1)
        return;
    if (last >= 0 && a == w->a[last] * w->size[last] && b == w->b[last] * w->size[last]) {
        w->size[last] *= size;
        return;
    }
    w->size[w->rank] = size;
    w->a[w->rank] = a;
    w->b[w->rank++] = b;
}

/* Into the arrays of a kernel's struct; dimensions that are not used have size 1. */
static void walk_store(const walk *w, int32_t *size, int32_t *a, int32_t *b)
{
    for (int d = 0; d < DECONV_MAX_RANK; d++) {
        size[d] = d < w->rank ? (int32_t)w->size[d] : 1;
        a[d] = d < w->rank ? (int32_t)w->a[d] : 0;
        b[d] = d < w->rank ? (int32_t)w->b[d] : 0;
    }
}

/* ---- Element by element ---- */

grid grid_make(const shape *out, const shape *a, const shape *b)
{
    walk w = {0};
    int64_t step_a = 1, step_b = 1;
    grid g = {0};

    for (int d = out->rank - 1; d >= 0; d--) {
        int64_t size_a = aligned_size(a, out->rank, d), size_b = aligned_size(b, out->rank, d);

        walk_add(&w, out->dim[d], size_a == 1 ? 0 : step_a, size_b == 1 ? 0 : step_b);
        step_a *= size_a;
        step_b *= size_b;
    }
    walk_store(&w, g.size, g.a, g.b);
    g.rank = w.rank;
    g.flat = w.rank > 3 || planes_flat(g.size[1], g.size[2]);
    return g;
}

deconv_status grid_launch(kernel *kernel, const grid *g)
{
    int64_t rows = 1;

    if (!g->flat)
        return launch_planes(kernel, g->size[0], g->size[1], g->size[2]);
    for (int d = 1; d < g->rank; d++)
        rows *= g->size[d];
    return launch_rows(kernel, g->size[0], rows);
}

box broadcast_needs(const shape *operand, const shape *result, const box *out)
{
    box in = {.rank = operand->rank};
    int lead = result->rank - operand->rank;

    if (box_is_empty(out))
        return in;
    for (int d = 0; d < operand->rank; d++) {
        bool repeats = operand->dim[d] == 1;

        in.from[d] = repeats ? 0 : out->from[d + lead];
        in.to[d] = repeats ? 1 : out->to[d + lead];
    }
    return in;
}

box broadcast_reach(const shape *operand, const shape *result, const box *in)
{
    box out = {.rank = result->rank};
    int lead = result->rank - operand->rank;

    if (box_is_empty(in))
        return out;
    for (int d = 0; d < result->rank; d++) {
        bool repeats = d < lead || operand->dim[d - lead] == 1;

        out.from[d] = repeats ? 0 : in->from[d - lead];
        out.to[d] = repeats ? result->dim[d] : in->to[d - lead];
    }
    return out;
}

/* ---- Sums ---- */

/* Sums of more terms than this are cut into chunks: enough work-items for a scalar operand, and
 * rounding errors that grow with the square root of the number of terms. */
enum { LONG_SUM = 1024 };

static void cut_into_chunks(sum_walk *w)
{
    w->chunk = w->terms;
    if (w->terms > LONG_SUM)
        w->chunk = (int32_t)ceil(sqrt((double)w->terms));
    w->chunks = (int32_t)(((int64_t)w->terms + w->chunk - 1) / w->chunk);
}

static sum_walk sum_walk_make(const shape *full, const shape *kept, const shape *factor)
{
    walk outer = {0}, inner = {0};
    int64_t step_r = 1, step_p = 1;
    sum_walk w = {.kept = 1, .terms = 1};

    for (int d = full->rank - 1; d >= 0; d--) {
        int64_t size_p = aligned_size(factor, full->rank, d);
        bool summed = aligned_size(kept, full->rank, d) == 1;

        walk_add(summed ? &inner : &outer, full->dim[d], step_r, size_p == 1 ? 0 : step_p);
        step_r *= full->dim[d];
        step_p *= size_p;
    }
    walk_store(&outer, w.kept_size, w.kept_r, w.kept_p);
    walk_store(&inner, w.size, w.r, w.p);
    for (int d = 0; d < DECONV_MAX_RANK; d++) {
        w.kept *= w.kept_size[d];
        w.terms *= w.size[d];
    }
    cut_into_chunks(&w);
    return w;
}

deconv_status sums_plan(deconv_ctx *ctx, const shape *full, const shape *kept, sum_term term,
                        const shape *factor, sums *out)
{
    static const char *const kernel_name[] = {"sum_plain", "sum_times", "sum_over"};
    static const shape scalar = {0};
    deconv_status status;

    out->walk = sum_walk_make(full, kept, term == SUM_PLAIN ? &scalar : factor);
    TRY(kernel_create(ctx, "reduce.cl", "", kernel_name[term], &out->terms));
    if (out->walk.chunks > 1) {
        size_t partials = (size_t)out->walk.kept * (size_t)out->walk.chunks;

        TRY(buffer_create(ctx, partials * sizeof(float), "partial sums", &out->partial));
        TRY(kernel_create(ctx, "reduce.cl", "", "sum_chunks", &out->join));
    }
done:
    return status;
}

deconv_status sums_run(const sums *s, const buffer *r, const buffer *factor, const buffer *divisor,
                       buffer *out, float scale)
{
    const sum_walk *w = &s->walk;
    deconv_status status;

    kernel_begin(s->terms);
    arg_buffer(s->terms, r);
    arg_buffer(s->terms, factor);
    arg_buffer(s->terms, divisor);
    arg_buffer(s->terms, s->join ? s->partial : out);
    arg_struct(s->terms, w, sizeof *w);
    arg_float(s->terms, scale);
    TRY(launch_rows(s->terms, w->kept, w->chunks));
    if (!s->join)
        goto done;
    kernel_begin(s->join);
    arg_buffer(s->join, s->partial);
    arg_buffer(s->join, divisor);
    arg_buffer(s->join, out);
    arg_int(s->join, w->kept);
    arg_int(s->join, w->chunks);
    arg_float(s->join, scale);
    TRY(launch_rows(s->join, w->kept, 1));
done:
    return status;
}

void sums_release(sums *s)
{
    kernel_free(s->terms);
    kernel_free(s->join);
    buffer_free(s->partial);
    *s = (sums){0};
}

/* ---- Signals ---- */

static size_t tensor_bytes(const tensor *t)
{
    return (size_t)layout_floats(&t->shape, t->block) * sizeof(float);
}

deconv_status tensor_copy(const tensor *from, tensor *to)
{
    return buffer_copy(to->ctx, from->data, 0, to->data, 0, tensor_bytes(to));
}

deconv_status tensor_clear(tensor *t)
{
    return buffer_fill(t->ctx, t->data, 0, tensor_bytes(t), 0.0f);
}

deconv_status tensor_rectify(kernel *rectify, const tensor *from, tensor *to)
{
    int64_t count = layout_floats(&to->shape, to->block);

    kernel_begin(rectify);
    arg_buffer(rectify, from->data);
    arg_buffer(rectify, to->data);
    arg_int(rectify, count);
    return launch_rows(rectify, count, 1);
}
