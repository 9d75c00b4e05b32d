/* Checks of reach and needs: for random boxes, both must be the smallest box that the dependencies
 * of the reference ask for. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Dependencies are a table of in x out marks: problems beyond this are left out. */
static const int64_t max_marks_linear = 1 << 23, max_marks = 1 << 18;

enum { RANDOM_BOXES = 24 };

typedef struct probe {
    report *r;
    const ref_case *c;
    const op *op;
    int input, output;
    const unsigned char *marks; /* [in][out] */
    uint64_t random;
} probe;

static int64_t next_below(probe *p, int64_t bound)
{
    p->random = p->random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((p->random >> 33) % (uint64_t)bound);
}

/* The n-th box to try in a tensor: empty, whole, single elements, then boxes of any size. */
static box random_box(probe *p, const ref_tensor *t, int n)
{
    box b = {.rank = t->rank};

    for (int d = 0; d < t->rank; d++) {
        int64_t from = next_below(p, t->dim[d]);
        int64_t size = 1 + next_below(p, t->dim[d] - from);

        if (n == 1 || (n > 9 && next_below(p, 3) == 0)) {
            from = 0;
            size = t->dim[d];
        }
        b.from[d] = from;
        b.to[d] = from + (n == 0 ? 0 : n >= 2 && n <= 9 ? 1 : size);
    }
    return b;
}

static bool holds(const box *b, const ref_tensor *t, int64_t flat)
{
    int64_t index[REF_MAX_RANK];

    ref_index(t, flat, index);
    for (int d = 0; d < t->rank; d++)
        if (index[d] < b->from[d] || index[d] >= b->to[d])
            return false;
    return true;
}

static void grow(box *b, const ref_tensor *t, int64_t flat)
{
    int64_t index[REF_MAX_RANK];

    ref_index(t, flat, index);
    for (int d = 0; d < t->rank; d++) {
        b->from[d] = index[d] < b->from[d] ? index[d] : b->from[d];
        b->to[d] = index[d] >= b->to[d] ? index[d] + 1 : b->to[d];
    }
}

/* The smallest box of the elements of `to` that are tied to an element of `from` in `b`. */
static box smallest(const probe *p, const ref_tensor *from, const box *b, const ref_tensor *to,
                    bool from_inputs)
{
    box found = {.rank = to->rank};
    int64_t width = p->c->out[p->output].count;

    for (int d = 0; d < to->rank; d++)
        found.from[d] = to->dim[d];
    for (int64_t f = 0; f < from->count; f++) {
        if (!holds(b, from, f))
            continue;
        for (int64_t t = 0; t < to->count; t++)
            if (p->marks[from_inputs ? f * width + t : t * width + f])
                grow(&found, to, t);
    }
    return found;
}

/* "[0,2)x[3,4)" */
static const char *text_of(const box *b, char *text, size_t size)
{
    size_t used = 0;

    if (box_is_empty(b))
        return "empty";
    for (int d = 0; d < b->rank && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s[%lld,%lld)", d ? "x" : "",
                                 (long long)b->from[d], (long long)b->to[d]);
    return text;
}

static bool same_box(const box *a, const box *b)
{
    if (box_is_empty(a) || box_is_empty(b))
        return box_is_empty(a) && box_is_empty(b);
    for (int d = 0; d < a->rank; d++)
        if (a->from[d] != b->from[d] || a->to[d] != b->to[d])
            return false;
    return a->rank == b->rank;
}

/* Whether `outer` holds all of `inner`, and nothing outside the tensor. */
static bool covers(const box *outer, const box *inner, const ref_tensor *t)
{
    if (outer->rank != t->rank)
        return false;
    if (box_is_empty(outer))
        return box_is_empty(inner);
    for (int d = 0; d < t->rank; d++) {
        if (outer->from[d] < 0 || outer->to[d] > t->dim[d])
            return false;
        if (!box_is_empty(inner) &&
            (outer->from[d] > inner->from[d] || outer->to[d] < inner->to[d]))
            return false;
    }
    return true;
}

static bool check_box(probe *p, const char *what, const box *of, const box *is, const box *should,
                      const ref_tensor *t)
{
    char text[3][160];
    bool sound = covers(is, should, t);
    bool fits = same_box(is, should) && is->rank == t->rank;

    return check(p->r, fits, "%s of %s, input %s, output %d, is %s; %s is %s", what,
                 text_of(of, text[0], sizeof text[0]), ref_input_name(p->c->op, p->input),
                 p->output, text_of(is, text[1], sizeof text[1]),
                 sound ? "too wide: the smallest box" : "it must hold what depends on it, which",
                 text_of(should, text[2], sizeof text[2]));
}

static void probe_pair(probe *p)
{
    const ref_tensor *in = &p->c->in[p->input], *out = &p->c->out[p->output];
    bool fine = true;

    for (int n = 0; fine && n < RANDOM_BOXES; n++) {
        box of = random_box(p, out, n);
        box is = p->op->class->needs(p->op, p->output, &of, p->input);
        box should = smallest(p, out, &of, in, false);

        fine = check_box(p, "needs", &of, &is, &should, in);
        of = random_box(p, in, n);
        is = p->op->class->reach(p->op, p->input, &of, p->output);
        should = smallest(p, in, &of, out, true);
        fine = check_box(p, "reach", &of, &is, &should, out) && fine;
    }
}

static bool open_op(deconv_ctx *ctx, const ref_case *c, const attr_list *attrs, report *r, op **out)
{
    const op_class *class = op_find(c->op->type);
    bool is_weight[REF_MAX_IN] = {false};
    shape in_shape[REF_MAX_IN];

    for (int i = 0; i < c->n_in; i++) {
        in_shape[i].rank = c->in[i].given ? c->in[i].rank : -1;
        memcpy(in_shape[i].dim, c->in[i].dim, sizeof in_shape[i].dim);
        is_weight[i] = class && class->weights >> i & 1;
    }
    return check_status(r, ctx,
                        op_create(ctx, c->op->type, c->op->type, c->problem->opset, attrs->attrs,
                                  (size_t)attrs->count, c->n_in, in_shape, NULL, is_weight,
                                  c->n_out, out),
                        "op_create");
}

void check_boxes(deconv_ctx *ctx, ref_case *c, report *r)
{
    probe p = {.r = r, .c = c, .random = 1};
    op *made = NULL;
    attr_list attrs;

    attrs_of(c, &attrs);
    if (!open_op(ctx, c, &attrs, r, &made))
        return;
    p.op = made;
    for (p.input = 0; p.input < c->n_in; p.input++) {
        if (!c->in[p.input].given || c->op->weights >> p.input & 1)
            continue;
        for (p.output = 0; p.output < c->n_out; p.output++) {
            int64_t size = c->in[p.input].count * c->out[p.output].count;
            unsigned char *marks;

            if (size > (c->op->terms ? max_marks_linear : max_marks))
                continue;
            marks = malloc((size_t)size);
            if (!marks)
                abort();
            ref_dependencies(c, p.input, p.output, marks);
            p.marks = marks;
            probe_pair(&p);
            free(marks);
            r->boxes = true;
        }
    }
    op_free(made);
}
