/* One operator on the caller's tensors (deconv_run_layer). Networks of them are in net.c. */
#include "ops/op.h"
#include "options.h"

#include <string.h>

struct deconv_layer {
    deconv_ctx *ctx;
    char *type;
    int opset;
    deconv_attr *attrs;
    size_t attr_count;

    /* What the last call planned; remade when shapes change. */
    op *op;
    bool planned;
    buffer *kept; /* switches */
    scratch scratch;
    tensor **traced; /* [n_out] forward outputs for an inverse whose rule reads them */
};

/* ---- Creation ---- */

static void free_attrs(deconv_layer *layer)
{
    for (size_t i = 0; layer->attrs && i < layer->attr_count; i++) {
        mem_free(layer->ctx, (void *)layer->attrs[i].name);
        mem_free(layer->ctx, (void *)layer->attrs[i].ints);
        mem_free(layer->ctx, (void *)layer->attrs[i].floats);
        mem_free(layer->ctx, (void *)layer->attrs[i].string);
    }
    mem_free(layer->ctx, layer->attrs);
}

static deconv_status copy_list(deconv_ctx *ctx, const void *list, uint64_t count, size_t size,
                               const void **out)
{
    void *copy = mem_alloc(ctx, (size_t)count + 1, size, "attribute");

    if (!copy)
        return DECONV_ERROR_NO_MEMORY;
    memcpy(copy, list, (size_t)count * size);
    *out = copy;
    return DECONV_OK;
}

static deconv_status copy_attr(deconv_ctx *ctx, const deconv_attr *from, deconv_attr *to)
{
    deconv_status status = DECONV_OK;
    const void *copy = NULL;

    if (!from->name)
        FAIL(ctx, DECONV_ERROR_INVALID, "an attribute has no name");
    to->type = from->type;
    to->count = from->count;
    TRY(copy_list(ctx, from->name, strlen(from->name), 1, &copy));
    to->name = copy;
    switch (from->type) {
    case DECONV_ATTR_INTS:
        TRY(copy_list(ctx, from->ints, from->count, sizeof(int64_t), &copy));
        to->ints = copy;
        break;
    case DECONV_ATTR_FLOATS:
        TRY(copy_list(ctx, from->floats, from->count, sizeof(float), &copy));
        to->floats = copy;
        break;
    case DECONV_ATTR_STRING:
        TRY(copy_list(ctx, from->string, strlen(from->string), 1, &copy));
        to->string = copy;
        break;
    default:
        FAIL(ctx, DECONV_ERROR_INVALID, "attribute %s has type %d; the types are 0 to 2",
             from->name, (int)from->type);
    }
done:
    return status;
}

deconv_status deconv_layer_create(deconv_ctx *ctx, const char *op_type, int32_t opset,
                                  const deconv_attr *attrs, uint64_t attr_count, deconv_layer **out)
{
    deconv_status status = DECONV_OK;
    deconv_layer *layer = NULL;

    *out = NULL;
    if (opset < 7 || opset > 21)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "opset %d is not supported; 7 to 21 are", (int)opset);
    TRY_ALLOC(layer, ctx, 1);
    layer->ctx = ctx;
    layer->opset = opset;
    if (!op_find(op_type)) {
        status = op_unknown(ctx, "deconv_layer_create", op_type);
        goto done;
    }
    layer->type = mem_strdup(ctx, op_type);
    if (!layer->type) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY_ALLOC(layer->attrs, ctx, (size_t)attr_count + 1);
    layer->attr_count = (size_t)attr_count;
    for (size_t i = 0; i < attr_count; i++)
        TRY(copy_attr(ctx, &attrs[i], &layer->attrs[i]));
    *out = layer;
    layer = NULL;
done:
    deconv_layer_destroy(layer);
    return status;
}

static void forget_plan(deconv_layer *layer)
{
    for (int i = 0; layer->op && layer->traced && i < layer->op->n_out; i++)
        deconv_tensor_destroy(layer->traced[i]);
    mem_free(layer->ctx, layer->traced);
    buffer_free(layer->kept);
    op_free(layer->op);
    layer->traced = NULL;
    scratch_free(&layer->scratch);
    layer->kept = NULL;
    layer->op = NULL;
    layer->planned = false;
}

void deconv_layer_destroy(deconv_layer *layer)
{
    if (!layer)
        return;
    forget_plan(layer);
    free_attrs(layer);
    mem_free(layer->ctx, layer->type);
    mem_free(layer->ctx, layer);
}

/* ---- Planning ---- */

static bool same_problem(const op *op, const tensor *const *inputs, int n_in, int n_out)
{
    if (!op || op->n_in != n_in || op->n_out != n_out)
        return false;
    for (int i = 0; i < n_in; i++) {
        if (!inputs[i] ? op->in_shape[i].rank >= 0
                       : !shape_equal(&inputs[i]->shape, &op->in_shape[i]))
            return false;
    }
    return true;
}

/* Makes layer->op fit the inputs, without planning it yet. */
static deconv_status prepare(deconv_layer *layer, const tensor *const *inputs, uint32_t n_in,
                             uint32_t n_out)
{
    const op_class *class = op_find(layer->type);
    deconv_ctx *ctx = layer->ctx;
    deconv_status status = DECONV_OK;
    shape *in_shape = NULL;
    bool *is_weight = NULL;

    while (n_in > 0 && !inputs[n_in - 1])
        n_in--;
    if (same_problem(layer->op, inputs, (int)n_in, (int)n_out))
        goto done;
    forget_plan(layer);
    TRY_ALLOC(in_shape, ctx, (size_t)n_in + 1);
    TRY_ALLOC(is_weight, ctx, (size_t)n_in + 1);
    for (uint32_t i = 0; i < n_in; i++) {
        if (inputs[i] && inputs[i]->ctx != ctx)
            FAIL(ctx, DECONV_ERROR_INVALID, "%s: input %u belongs to another context", layer->type,
                 i);
        in_shape[i].rank = -1;
        if (inputs[i])
            in_shape[i] = inputs[i]->shape;
        is_weight[i] = i < 32 && (class->weights >> i & 1);
    }
    TRY(op_create(ctx, layer->type, layer->type, layer->opset, layer->attrs, layer->attr_count,
                  (int)n_in, in_shape, NULL, is_weight, (int)n_out, &layer->op));
done:
    mem_free(ctx, in_shape);
    mem_free(ctx, is_weight);
    return status;
}

static deconv_status plan(deconv_layer *layer)
{
    op *op = layer->op;
    size_t keep = op->class->keep_bytes ? op->class->keep_bytes(op) : 0;
    deconv_status status = DECONV_OK;

    if (layer->planned)
        goto done;
    op->scratch = &layer->scratch;
    TRY(op_plan(op));
    if (keep && !layer->kept)
        TRY(buffer_create(layer->ctx, keep, "switches", &layer->kept));
    if (!layer->traced)
        TRY_ALLOC(layer->traced, layer->ctx, (size_t)op->n_out);
    layer->planned = true;
done:
    return status;
}

deconv_status deconv_layer_shape(deconv_layer *layer, const deconv_tensor *const *inputs,
                                 uint32_t input_count, uint32_t output, int64_t *dims,
                                 uint32_t *rank)
{
    deconv_status status = DECONV_OK;
    const shape *s;
    uint32_t n_out = output + 1;

    /* Keep a plan with more outputs: shapes do not depend on how many are wanted. */
    if (layer->op && (uint32_t)layer->op->n_out > n_out)
        n_out = (uint32_t)layer->op->n_out;
    TRY(prepare(layer, inputs, input_count, n_out));
    s = &layer->op->out_shape[output];
    *rank = (uint32_t)s->rank;
    for (int d = 0; d < s->rank; d++)
        dims[d] = s->dim[d];
done:
    return status;
}

/* ---- Running ---- */

static deconv_status check_tensor(const op *op, const tensor *t, const shape *s, const char *what,
                                  int index)
{
    char is[SHAPE_TEXT], should[SHAPE_TEXT];

    if (!t)
        return op_error(op, DECONV_ERROR_INVALID, "%s %d is missing", what, index);
    if (!shape_equal(&t->shape, s))
        return op_error(op, DECONV_ERROR_INVALID, "%s %d is %s; it must be %s", what, index,
                        shape_text(&t->shape, is, sizeof is), shape_text(s, should, sizeof should));
    return DECONV_OK;
}

static deconv_status run_forward(deconv_layer *layer, const tensor *const *inputs,
                                 tensor *const *outputs, buffer *kept)
{
    op_pass pass = {.in = inputs, .out = outputs, .kept = kept};

    return layer->op->class->forward(layer->op, &pass);
}

/* What the rule reads of the forward pass, computed from the inputs. */
static deconv_status retrace(deconv_layer *layer, const tensor *const *inputs, uint32_t keeps)
{
    op *op = layer->op;
    deconv_status status = DECONV_OK;

    if (!layer->kept && keeps < KEEP_OUTPUT(0))
        goto done;
    for (int i = 0; i < op->n_out; i++)
        if (!layer->traced[i])
            TRY(tensor_create(layer->ctx, &op->out_shape[i], "output", &layer->traced[i]));
    TRY(run_forward(layer, inputs, layer->traced, layer->kept));
done:
    return status;
}

static deconv_status run_inverse(deconv_layer *layer, const deconv_inverse_options *options,
                                 const tensor *const *inputs, tensor *const *outputs,
                                 tensor *const *signals)
{
    op *op = layer->op;
    const op_class *class = op->class;
    deconv_status status = DECONV_OK;
    op_pass pass = {.rule = options->rule,
                    .flags = options->flags,
                    .in = inputs,
                    .out = layer->traced,
                    .kept = layer->kept,
                    .signal_out = (const tensor *const *)outputs,
                    .signal_in = signals};
    uint32_t keeps = class->keeps ? class->keeps(op, pass.rule, pass.flags) : 0;

    if ((unsigned)options->rule > DECONV_RULE_GUIDED)
        OP_FAIL(op, DECONV_ERROR_INVALID, "rule %d does not exist", (int)options->rule);
    if (!signals)
        OP_FAIL(op, DECONV_ERROR_INVALID, "an inverse run needs `signals`");
    for (int i = 0; i < op->n_in; i++) {
        if (!signals[i])
            continue;
        if (op->is_weight[i])
            OP_FAIL(op, DECONV_ERROR_INVALID, "input %d is a weight: it carries no signal", i);
        TRY(check_tensor(op, signals[i], &op->in_shape[i], "signal", i));
    }
    TRY(op_plan_inverse(op));
    TRY(retrace(layer, inputs, keeps));
    TRY(class->inverse(op, &pass));
done:
    return status;
}

deconv_status deconv_run_layer(deconv_ctx *ctx, deconv_layer *layer, deconv_direction direction,
                               const deconv_inverse_options *options,
                               const deconv_tensor *const *inputs, uint32_t input_count,
                               deconv_tensor *const *outputs, uint32_t output_count,
                               deconv_tensor *const *signals)
{
    deconv_inverse_options given = DECONV_INVERSE_OPTIONS_INIT;
    deconv_status status = DECONV_OK;

    TRY(OPTIONS_READ(ctx, &given, options));
    if (layer->ctx != ctx)
        FAIL(ctx, DECONV_ERROR_INVALID, "%s: the layer belongs to another context", layer->type);
    TRY(prepare(layer, inputs, input_count, output_count));
    TRY(plan(layer));
    for (uint32_t i = 0; i < output_count; i++)
        TRY(check_tensor(layer->op, outputs[i], &layer->op->out_shape[i], "output", (int)i));
    if (direction == DECONV_FORWARD)
        TRY(run_forward(layer, inputs, outputs, layer->kept));
    else
        TRY(run_inverse(layer, &given, inputs, outputs, signals));
    TRY(device_wait(ctx));
done:
    return status;
}

void deconv_inverse_options_init(deconv_inverse_options *options)
{
    *options = (deconv_inverse_options)DECONV_INVERSE_OPTIONS_INIT;
}
