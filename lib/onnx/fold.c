/* Evaluation of nodes on the host: which nodes, and what all of them share. What they compute is in
 * the fold_*.c files. */
#include "fold.h"

#include <string.h>

/* Elements that folding may make out of less: more than any shape computation or position table
 * needs, and a bound on what a few bytes of a hostile file can ask for. */
#define FOLD_GROWTH_LIMIT (1 << 24)

/* ---- Inputs and attributes ---- */

const host_tensor *fold_in(const fold *f, int i)
{
    return i < f->node->n_in ? f->in[i] : NULL;
}

const deconv_attr *fold_attr(const fold *f, const char *name)
{
    for (size_t i = 0; i < f->node->attr_count; i++) {
        if (strcmp(f->node->attrs[i].name, name) == 0)
            return &f->node->attrs[i];
    }
    return NULL;
}

deconv_status fold_attr_int(const fold *f, const char *name, int64_t otherwise, int64_t *out)
{
    const deconv_attr *attr = fold_attr(f, name);

    *out = otherwise;
    if (!attr)
        return DECONV_OK;
    if (attr->type != DECONV_ATTR_INTS || attr->count != 1)
        return node_error(f->ctx, f->node, DECONV_ERROR_FORMAT, "attribute %s must be one integer",
                          name);
    *out = attr->ints[0];
    return DECONV_OK;
}

deconv_status fold_list(const fold *f, const char *name, int input, const int64_t **list,
                        size_t *count)
{
    const host_tensor *t = input < 0 ? NULL : fold_in(f, input);
    const deconv_attr *attr = t ? NULL : fold_attr(f, name);

    *list = NULL;
    *count = 0;
    if (t && (t->is_float || t->shape.rank > 1))
        return node_error(f->ctx, f->node, DECONV_ERROR_FORMAT,
                          "input %d (%s) must be a list of integers", input, name);
    if (attr && attr->type != DECONV_ATTR_INTS)
        return node_error(f->ctx, f->node, DECONV_ERROR_FORMAT, "attribute %s must be integers",
                          name);
    if (t) {
        *list = t->i;
        *count = (size_t)shape_count(&t->shape);
    } else if (attr) {
        *list = attr->ints;
        *count = (size_t)attr->count;
    }
    return DECONV_OK;
}

deconv_status fold_axis(const fold *f, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return node_error(f->ctx, f->node, DECONV_ERROR_FORMAT,
                          "axis %lld does not exist; there are %d dimensions", (long long)axis,
                          rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return DECONV_OK;
}

deconv_status fold_axes(const fold *f, const int64_t *axes, size_t count, int rank, bool *chosen)
{
    deconv_status status = DECONV_OK;
    int axis = 0;

    memset(chosen, 0, DECONV_MAX_RANK * sizeof chosen[0]);
    for (size_t i = 0; i < count; i++) {
        TRY(fold_axis(f, axes[i], rank, &axis));
        if (chosen[axis])
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "axis %d is named twice", axis);
        chosen[axis] = true;
    }
done:
    return status;
}

deconv_status fold_same_kind(const fold *f, const host_tensor *a, const host_tensor *b)
{
    if (a->is_float == b->is_float)
        return DECONV_OK;
    return node_error(f->ctx, f->node, DECONV_ERROR_FORMAT,
                      "one input is float and one is integer; convert one with Cast");
}

deconv_status fold_broadcast(const fold *f, const shape *a, const shape *b, shape *out)
{
    char text_a[SHAPE_TEXT], text_b[SHAPE_TEXT];

    if (shape_broadcast(a, b, out))
        return DECONV_OK;
    return node_error(
        f->ctx, f->node, DECONV_ERROR_FORMAT,
        "its inputs of %s and %s do not fit each other; dimensions must be equal or 1",
        shape_text(a, text_a, sizeof text_a), shape_text(b, text_b, sizeof text_b));
}

/* ---- Outputs ---- */

deconv_status fold_out(const fold *f, int index, const shape *s, bool is_float)
{
    deconv_status status = DECONV_OK;
    int64_t count = 1, largest = FOLD_GROWTH_LIMIT;
    char text[SHAPE_TEXT];

    for (int i = 0; i < f->node->n_in; i++) {
        if (f->in[i] && shape_count(&f->in[i]->shape) > largest)
            largest = shape_count(&f->in[i]->shape);
    }
    if (s->rank > DECONV_MAX_RANK)
        FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED,
                  "its result has %d dimensions; at most %d are supported", s->rank,
                  DECONV_MAX_RANK);
    for (int d = 0; d < s->rank; d++) {
        int64_t size = s->dim[d] ? s->dim[d] : 1; /* strides must not overflow behind a 0 either */

        if (count > largest / size)
            FOLD_FAIL(f, DECONV_ERROR_UNSUPPORTED,
                      "its constant result of %s is too large; at most %lld elements are made",
                      shape_text(s, text, sizeof text), (long long)largest);
        count *= size;
    }
    TRY(host_tensor_create(f->ctx, s, is_float, &f->out[index]));
done:
    return status;
}

deconv_status fold_copy_as(const fold *f, int index, const host_tensor *from, const shape *s)
{
    size_t element = from->is_float ? sizeof(float) : sizeof(int64_t);
    deconv_status status = DECONV_OK;

    TRY(fold_out(f, index, s, from->is_float));
    memcpy(f->out[index]->data, from->data, (size_t)shape_count(s) * element);
done:
    return status;
}

void fold_walk_copy(host_tensor *to, const host_tensor *from, walk *w)
{
    int64_t count = walk_count(w);

    if (to->is_float) {
        for (int64_t n = 0; n < count; n++, walk_next(w))
            to->f[w->offset[0]] = from->f[w->offset[1]];
    } else {
        for (int64_t n = 0; n < count; n++, walk_next(w))
            to->i[w->offset[0]] = from->i[w->offset[1]];
    }
}

/* ---- Nodes ---- */

static const fold_op *find_op(const char *type)
{
    static const fold_op *const tables[] = {fold_math_ops,   fold_cast_ops,   fold_reduce_ops,
                                            fold_layout_ops, fold_select_ops, fold_create_ops};

    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const fold_op *op = tables[t]; op->type; op++) {
            if (strcmp(op->type, type) == 0)
                return op;
        }
    }
    return NULL;
}

/* Whether everything is known that the operator's result depends on. */
static bool inputs_known(const fold *f)
{
    for (int i = 0; i < f->node->n_in; i++) {
        if (f->node->in[i] < 0)
            continue;
        if (f->op->by_shape ? f->in_shape[i].rank < 0 : !f->in[i] || !f->in[i]->data)
            return false;
    }
    return true;
}

static deconv_status check_node(const fold *f)
{
    const fold_op *op = f->op;
    deconv_status status = DECONV_OK;

    if (op->max_in == FOLD_MANY && f->node->n_in < op->min_in)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "it has no inputs; %s takes one or more", op->type);
    if (f->node->n_in < op->min_in || f->node->n_in > op->max_in)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "it has %d inputs; %s takes %d to %d", f->node->n_in,
                  op->type, op->min_in, op->max_in);
    for (int i = 0; i < op->min_in; i++) {
        if (f->node->in[i] < 0)
            FOLD_FAIL(f, DECONV_ERROR_FORMAT, "its input %d is left out", i);
    }
    if (f->node->n_out > 1 && !op->many_out)
        FOLD_FAIL(f, DECONV_ERROR_FORMAT, "it has %d outputs; %s gives one", f->node->n_out,
                  op->type);
done:
    return status;
}

deconv_status onnx_fold(deconv_ctx *ctx, const onnx_node *node, int opset,
                        const host_tensor *const *in, const shape *in_shape, host_tensor **out,
                        bool *folded)
{
    fold f = {ctx, find_op(node->type), node, in, in_shape, out};
    deconv_status status = DECONV_OK;

    (void)opset; /* parameters are taken as attributes or as inputs, whichever are there */
    *folded = false;
    memset(out, 0, (size_t)node->n_out * sizeof out[0]);
    if (!f.op || !inputs_known(&f))
        return DECONV_OK;
    TRY(check_node(&f));
    TRY(f.op->run(&f));
    *folded = true;
done:
    for (int i = 0; status != DECONV_OK && i < node->n_out; i++) {
        host_tensor_free(ctx, out[i]);
        out[i] = NULL;
    }
    return status;
}
