/* An ONNX model and constants as objects: making, dropping and releasing them. Reading is in
 * reader.c. */
#include "reader.h"

#include <string.h>

#include "../file.h"

deconv_status host_tensor_create(deconv_ctx *ctx, const shape *s, bool is_float, host_tensor **out)
{
    size_t element = is_float ? sizeof(float) : sizeof(int64_t);
    size_t count = (size_t)shape_count(s);
    deconv_status status = DECONV_OK;
    host_tensor *t = NULL;

    *out = NULL;
    TRY_ALLOC(t, ctx, 1);
    t->shape = *s;
    t->is_float = is_float;
    t->data = mem_alloc(ctx, count ? count : 1, element, "a constant");
    if (!t->data) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    *out = t;
    t = NULL;
done:
    host_tensor_free(ctx, t);
    return status;
}

void host_tensor_free(deconv_ctx *ctx, host_tensor *t)
{
    if (!t)
        return;
    mem_free(ctx, t->data);
    mem_free(ctx, t);
}

void onnx_drop_constant(onnx_model *model, int value)
{
    host_tensor *t = model->value[value].constant;

    if (!t)
        return;
    mem_free(model->ctx, t->data);
    t->data = NULL;
}

deconv_status onnx_read_constant(const onnx_model *model, const host_tensor *t, size_t first,
                                 size_t count, float *to)
{
    const model_file *file = model->file;
    deconv_status status = DECONV_OK;

    if (t->data) {
        memcpy(to, t->f + first, count * sizeof(float));
        goto done;
    }
    TRY(file_read_at(model->ctx, file->path, file->fd, t->offset + first * sizeof(float),
                     count * sizeof(float), to));
    /* Half a network from before and half of it from after would be no network. */
    TRY(file_unchanged(model->ctx, file->path, file->fd, &file->state));
done:
    return status;
}

deconv_status onnx_load_constant(onnx_model *model, int value)
{
    host_tensor *t = model->value[value].constant;
    deconv_status status = DECONV_OK;
    float *values = NULL;
    size_t count;

    if (!t || t->data || !t->in_file)
        goto done;
    count = (size_t)shape_count(&t->shape);
    TRY_ALLOC(values, model->ctx, count);
    TRY(onnx_read_constant(model, t, 0, count, values));
    t->f = values;
    values = NULL;
done:
    mem_free(model->ctx, values);
    return status;
}

static void node_release(deconv_ctx *ctx, onnx_node *node)
{
    for (size_t i = 0; i < node->attr_count; i++)
        mem_free(ctx, (void *)node->attrs[i].string);
    mem_free(ctx, node->attrs);
    mem_free(ctx, node->in);
    mem_free(ctx, node->out);
    host_tensor_free(ctx, (host_tensor *)node->value);
}

void onnx_free(onnx_model *model)
{
    if (!model)
        return;
    for (int i = 0; i < model->n_node; i++)
        node_release(model->ctx, &model->node[i]);
    for (int i = 0; i < model->n_value; i++)
        host_tensor_free(model->ctx, model->value[i].constant);
    mem_free(model->ctx, model->node);
    mem_free(model->ctx, model->value);
    mem_free(model->ctx, model->input);
    mem_free(model->ctx, model->output);
    message_free(model->ctx, model->private);
    model_file_close(model->ctx, model->file);
    mem_free(model->ctx, model);
}
