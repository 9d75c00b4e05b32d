/* What all operators share: creation, attributes and parameters, boxes. No operator lives here. */
#include "op.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

deconv_status op_error(const op *op, deconv_status code, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(op->ctx, code, "%s: %s", op->name, text);
}

/* ---- Creation ---- */

static deconv_status copy_lists(op *op, const deconv_attr *attrs, const shape *in_shape,
                                const host_tensor *const *constant, const bool *is_weight)
{
    deconv_status status = DECONV_OK;

    op->attrs = attrs;
    TRY_ALLOC(op->in_shape, op->ctx, (size_t)op->n_in + 1);
    TRY_ALLOC(op->constant, op->ctx, (size_t)op->n_in + 1);
    TRY_ALLOC(op->is_weight, op->ctx, (size_t)op->n_in + 1);
    TRY_ALLOC(op->weight, op->ctx, (size_t)op->n_in + 1);
    TRY_ALLOC(op->uses, op->ctx, (size_t)op->n_in + 1);
    TRY_ALLOC(op->out_shape, op->ctx, (size_t)op->n_out + 1);
    TRY_ALLOC(op->in_block, op->ctx, (size_t)op->n_in + 1);
    TRY_ALLOC(op->out_block, op->ctx, (size_t)op->n_out + 1);
    for (int i = 0; i < op->n_out; i++)
        op->out_block[i] = 1;
    for (int i = 0; i < op->n_in; i++) {
        op->in_block[i] = 1;
        op->in_shape[i] = in_shape[i];
        op->constant[i] = constant ? constant[i] : NULL;
        op->is_weight[i] = is_weight && is_weight[i];
    }
done:
    return status;
}

static deconv_status check_inputs(const op *op)
{
    const op_class *class = op->class;
    deconv_status status = DECONV_OK;

    if (op->n_in < class->min_in || op->n_in > class->max_in)
        OP_FAIL(op, DECONV_ERROR_INVALID, "%s takes %d to %d inputs, not %d", class->type,
                class->min_in, class->max_in, op->n_in);
    if (op->n_out < 1 || op->n_out > class->max_out)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED, "%d outputs of %s are wanted; %d can be given",
                op->n_out, class->type, class->max_out);
    for (int i = 0; i < op->n_in; i++) {
        bool weight = i < 32 && (class->weights >> i & 1);

        if (i < class->min_in && !op_has_input(op, i))
            OP_FAIL(op, DECONV_ERROR_INVALID, "input %d of %s is missing", i, class->type);
        if (weight && op_has_input(op, i) && !op->is_weight[i])
            OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                    "input %d of %s is computed by the network; it must be a constant", i,
                    class->type);
    }
done:
    return status;
}

deconv_status op_unknown(deconv_ctx *ctx, const char *name, const char *type)
{
    enum { ROOM = 128 };
    const char *types[ROOM];
    size_t count = op_types(types, ROOM);
    char near[128];

    nearest_names(type, types, count < ROOM ? count : ROOM, 3, near, sizeof near);
    return error_set(ctx, DECONV_ERROR_UNSUPPORTED,
                     "%s: operator %s is not supported (the nearest that are: %s)", name, type,
                     near);
}

deconv_status op_create(deconv_ctx *ctx, const char *type, const char *name, int opset,
                        const deconv_attr *attrs, size_t attr_count, int n_in,
                        const shape *in_shape, const host_tensor *const *constant,
                        const bool *is_weight, int n_out, op **out)
{
    const op_class *class = op_find(type);
    deconv_status status = DECONV_OK;
    op *op = NULL;

    *out = NULL;
    if (!class)
        return op_unknown(ctx, name, type);
    TRY_ALLOC(op, ctx, 1);
    op->class = class;
    op->ctx = ctx;
    op->name = name;
    op->opset = opset;
    op->attr_count = attr_count;
    op->n_in = n_in;
    op->n_out = n_out;
    TRY(copy_lists(op, attrs, in_shape, constant, is_weight));
    TRY(check_inputs(op));
    if (class->state_size) {
        op->state = mem_alloc(ctx, 1, class->state_size, "operator");
        if (!op->state) {
            status = DECONV_ERROR_NO_MEMORY;
            goto done;
        }
    }
    TRY(class->init(op));
    TRY(class->shape(op));
    *out = op;
    op = NULL;
done:
    op_free(op);
    return status;
}

/* What memory ran out for is told by where it was asked for; whose it is, here. */
static deconv_status named(const op *op, deconv_status status)
{
    if (status == DECONV_ERROR_NO_MEMORY)
        error_prefix(op->ctx, "%s", op->name);
    return status;
}

const tensor *op_weight(const op *op, int input)
{
    return op->weight[input] ? op->weight[input]->data : NULL;
}

deconv_status op_use_weight(op *op, int input)
{
    deconv_status status = DECONV_OK;

    if (op->weight[input] && !op->uses[input]) {
        TRY(weight_use(op->weight[input]));
        op->uses[input] = true;
    }
done:
    return status;
}

void op_leave_weight(op *op, int input)
{
    if (op->uses[input])
        weight_leave(op->weight[input]);
    op->uses[input] = false;
}

/* Back to what creation made of it, without what a plan that failed has left. */
static deconv_status start_again(op *op)
{
    deconv_status status = DECONV_OK;

    if (!op->state)
        goto done;
    if (op->class->release)
        op->class->release(op);
    memset(op->state, 0, op->class->state_size);
    TRY(op->class->init(op));
    TRY(op->class->shape(op));
done:
    return status;
}

deconv_status op_plan(op *op)
{
    deconv_status status = DECONV_OK;

    if (op->planned)
        goto done;
    if (op->begun)
        TRY(named(op, start_again(op)));
    op->begun = true;
    for (int i = 0; i < op->n_in; i++)
        if (i >= 32 || !(op->class->packs >> i & 1))
            TRY(op_use_weight(op, i));
    if (op->class->plan)
        TRY(named(op, op->class->plan(op)));
    op->planned = true;
done:
    return status;
}

deconv_status op_plan_inverse(op *op)
{
    deconv_status status = DECONV_OK;

    if (!op->planned_inverse && op->class->plan_inverse)
        TRY(named(op, op->class->plan_inverse(op)));
    op->planned_inverse = true;
done:
    return status;
}

void op_free(op *op)
{
    if (!op)
        return;
    if (op->state && op->class->release)
        op->class->release(op);
    mem_free(op->ctx, op->state);
    mem_free(op->ctx, op->in_shape);
    mem_free(op->ctx, op->out_shape);
    mem_free(op->ctx, (void *)op->constant);
    for (int i = 0; op->uses && i < op->n_in; i++)
        op_leave_weight(op, i);
    mem_free(op->ctx, op->weight);
    mem_free(op->ctx, op->uses);
    mem_free(op->ctx, op->is_weight);
    mem_free(op->ctx, op->in_block);
    mem_free(op->ctx, op->out_block);
    mem_free(op->ctx, op);
}

bool op_has_input(const op *op, int input)
{
    return input < op->n_in && op->in_shape[input].rank >= 0;
}

/* ---- Attributes ---- */

static const deconv_attr *find_attr(const op *op, const char *name)
{
    for (size_t i = 0; i < op->attr_count; i++)
        if (strcmp(op->attrs[i].name, name) == 0)
            return &op->attrs[i];
    return NULL;
}

static deconv_status typed_attr(const op *op, const char *name, deconv_attr_type type, bool single,
                                const deconv_attr **out)
{
    static const char *const type_name[] = {"integers", "floats", "a string"};
    const deconv_attr *attr = find_attr(op, name);

    *out = attr;
    if (!attr || (attr->type == type && (!single || attr->count == 1)))
        return DECONV_OK;
    *out = NULL;
    if (attr->type != type)
        return op_error(op, DECONV_ERROR_FORMAT, "attribute %s must be %s", name, type_name[type]);
    return op_error(op, DECONV_ERROR_FORMAT, "attribute %s is a list of %llu; one is wanted", name,
                    (unsigned long long)attr->count);
}

deconv_status attr_int(const op *op, const char *name, int64_t otherwise, int64_t *out)
{
    const deconv_attr *attr;
    deconv_status status = typed_attr(op, name, DECONV_ATTR_INTS, true, &attr);

    *out = attr ? attr->ints[0] : otherwise;
    return status;
}

deconv_status attr_float(const op *op, const char *name, float otherwise, float *out)
{
    const deconv_attr *attr;
    deconv_status status = typed_attr(op, name, DECONV_ATTR_FLOATS, true, &attr);

    *out = attr ? attr->floats[0] : otherwise;
    return status;
}

deconv_status attr_string(const op *op, const char *name, const char *otherwise, const char **out)
{
    const deconv_attr *attr;
    deconv_status status = typed_attr(op, name, DECONV_ATTR_STRING, false, &attr);

    *out = attr ? attr->string : otherwise;
    return status;
}

deconv_status attr_ints(const op *op, const char *name, const int64_t **list, size_t *count)
{
    const deconv_attr *attr;
    deconv_status status = typed_attr(op, name, DECONV_ATTR_INTS, false, &attr);

    *list = attr ? attr->ints : NULL;
    *count = attr ? (size_t)attr->count : 0;
    return status;
}

deconv_status attr_floats(const op *op, const char *name, const float **list, size_t *count)
{
    const deconv_attr *attr;
    deconv_status status = typed_attr(op, name, DECONV_ATTR_FLOATS, false, &attr);

    *list = attr ? attr->floats : NULL;
    *count = attr ? (size_t)attr->count : 0;
    return status;
}

/* The constant at input `input`, NULL where the input is left out. */
static deconv_status param_constant(const op *op, const char *name, int input, bool is_float,
                                    const host_tensor **out)
{
    deconv_status status = DECONV_OK;

    *out = NULL;
    if (input < 0 || !op_has_input(op, input))
        goto done;
    if (!op->constant[input])
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "%s of %s is computed by the network; it must be a constant", name,
                op->class->type);
    if (op->constant[input]->is_float != is_float)
        OP_FAIL(op, DECONV_ERROR_FORMAT, "%s of %s must be %s", name, op->class->type,
                is_float ? "floats" : "integers");
    if (!op->constant[input]->data)
        OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                "%s of %s has %lld values; that is no list of settings", name, op->class->type,
                (long long)shape_count(&op->constant[input]->shape));
    *out = op->constant[input];
done:
    return status;
}

deconv_status param_ints(const op *op, const char *name, int input, const int64_t **list,
                         size_t *count)
{
    const host_tensor *constant;
    deconv_status status = DECONV_OK;

    *list = NULL;
    *count = 0;
    TRY(param_constant(op, name, input, false, &constant));
    if (!constant)
        return attr_ints(op, name, list, count);
    *list = constant->i;
    *count = (size_t)shape_count(&constant->shape);
done:
    return status;
}

deconv_status param_floats(const op *op, const char *name, int input, const float **list,
                           size_t *count)
{
    const host_tensor *constant;
    deconv_status status = DECONV_OK;

    *list = NULL;
    *count = 0;
    TRY(param_constant(op, name, input, true, &constant));
    if (!constant)
        return attr_floats(op, name, list, count);
    *list = constant->f;
    *count = (size_t)shape_count(&constant->shape);
done:
    return status;
}

deconv_status axis_resolve(const op *op, const char *what, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return op_error(op, DECONV_ERROR_INVALID, "%s %lld is outside the %d dimensions", what,
                        (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return DECONV_OK;
}

/* ---- Boxes ---- */

box box_whole(const shape *s)
{
    box b = {.rank = s->rank};

    for (int d = 0; d < s->rank; d++)
        b.to[d] = s->dim[d];
    return b;
}

box box_empty(int rank)
{
    box b = {.rank = rank};

    return b;
}

bool box_is_empty(const box *b)
{
    for (int d = 0; d < b->rank; d++)
        if (b->from[d] >= b->to[d])
            return true;
    return false;
}

box box_union(const box *a, const box *b)
{
    box u = *a;

    if (box_is_empty(a))
        return *b;
    if (box_is_empty(b))
        return *a;
    for (int d = 0; d < u.rank; d++) {
        u.from[d] = a->from[d] < b->from[d] ? a->from[d] : b->from[d];
        u.to[d] = a->to[d] > b->to[d] ? a->to[d] : b->to[d];
    }
    return u;
}

box box_clip(box b, const shape *s)
{
    for (int d = 0; d < b.rank; d++) {
        b.from[d] = b.from[d] < 0 ? 0 : b.from[d];
        b.to[d] = b.to[d] > s->dim[d] ? s->dim[d] : b.to[d];
    }
    return box_is_empty(&b) ? box_empty(b.rank) : b;
}

box needs_same(const op *op, int output, const box *out, int input)
{
    (void)output;
    return box_is_empty(out) ? box_empty(op->in_shape[input].rank) : *out;
}

box reach_same(const op *op, int input, const box *in, int output)
{
    (void)input;
    return box_is_empty(in) ? box_empty(op->out_shape[output].rank) : *in;
}

box needs_all(const op *op, int output, const box *out, int input)
{
    (void)output;
    return box_is_empty(out) ? box_empty(op->in_shape[input].rank)
                             : box_whole(&op->in_shape[input]);
}

box reach_all(const op *op, int input, const box *in, int output)
{
    (void)input;
    return box_is_empty(in) ? box_empty(op->out_shape[output].rank)
                            : box_whole(&op->out_shape[output]);
}

bool frame_same(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                window_frame *in)
{
    (void)op;
    (void)rule;
    (void)flags;
    *in = *out;
    return true;
}

op_blocks blocks_alike(const op *op, int block)
{
    (void)op;
    (void)block;
    return BLOCKS_ALIKE;
}

signal_spread spread_cell(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)op;
    (void)rule;
    (void)flags;
    return IN_CELL;
}

signal_spread spread_channel(const op *op, deconv_rule rule, uint32_t flags)
{
    (void)op;
    (void)rule;
    (void)flags;
    return IN_CHANNEL;
}
