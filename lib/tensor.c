/* Tensors: float32 on the device, dense and row-major. Files of them are in npy.c. */
#include "tensor.h"

int device_block(deconv_ctx *ctx)
{
    const device_limits *limits = device_limits_of(ctx);

    if (limits->kind != DECONV_DEVICE_CPU)
        return 1;
    return limits->vector_floats >= 16 ? 16 : 8;
}

int64_t layout_floats(const shape *s, int block)
{
    if (block == 1 || s->rank < 2)
        return shape_count(s);
    return s->dim[0] * ((s->dim[1] + block - 1) / block) * block * shape_span(s, 2, s->rank);
}

deconv_status tensor_create(deconv_ctx *ctx, const shape *s, const char *what, tensor **out)
{
    deconv_status status = DECONV_OK;
    tensor *t = NULL;

    *out = NULL;
    TRY_ALLOC(t, ctx, 1);
    t->ctx = ctx;
    t->shape = *s;
    t->block = 1;
    TRY(buffer_create(ctx, (size_t)shape_count(s) * sizeof(float), what, &t->data));
    *out = t;
    t = NULL;
done:
    deconv_tensor_destroy(t);
    return status;
}

deconv_status tensor_borrow(deconv_ctx *ctx, const shape *s, buffer *data, tensor **out)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(*out, ctx, 1);
    (*out)->ctx = ctx;
    (*out)->shape = *s;
    (*out)->block = 1;
    (*out)->data = data;
    (*out)->borrowed = true;
done:
    return status;
}

deconv_status deconv_tensor_create(deconv_ctx *ctx, const int64_t *dims, uint32_t rank,
                                   deconv_tensor **out)
{
    deconv_status status = DECONV_OK;
    tensor *t = NULL;
    shape s;

    *out = NULL;
    if (rank < 1)
        FAIL(ctx, DECONV_ERROR_INVALID, "a tensor has 1 to %d dimensions, not 0", DECONV_MAX_RANK);
    TRY(shape_make(ctx, "tensor", dims, rank, &s));
    TRY(tensor_create(ctx, &s, "tensor", &t));
    TRY(buffer_fill(ctx, t->data, 0, buffer_size(t->data), 0.0f));
    TRY(device_wait(ctx));
    *out = t;
    t = NULL;
done:
    deconv_tensor_destroy(t);
    return status;
}

void deconv_tensor_destroy(deconv_tensor *t)
{
    if (!t)
        return;
    if (!t->borrowed)
        buffer_free(t->data);
    mem_free(t->ctx, t);
}

uint32_t deconv_tensor_rank(const deconv_tensor *t)
{
    return (uint32_t)t->shape.rank;
}

int64_t deconv_tensor_size(const deconv_tensor *t, uint32_t axis)
{
    return axis < (uint32_t)t->shape.rank ? t->shape.dim[axis] : 0;
}

uint64_t deconv_tensor_count(const deconv_tensor *t)
{
    return (uint64_t)shape_count(&t->shape);
}

static deconv_status check_count(const tensor *t, uint64_t count)
{
    char text[SHAPE_TEXT];

    if (count == deconv_tensor_count(t))
        return DECONV_OK;
    return error_set(t->ctx, DECONV_ERROR_INVALID, "%llu values for a tensor of %s = %llu",
                     (unsigned long long)count, shape_text(&t->shape, text, sizeof text),
                     (unsigned long long)deconv_tensor_count(t));
}

deconv_status deconv_tensor_write(deconv_tensor *t, const float *values, uint64_t count)
{
    deconv_status status = check_count(t, count);

    if (status == DECONV_OK)
        status = buffer_write(t->ctx, t->data, 0, (size_t)count * sizeof(float), values);
    return status;
}

deconv_status deconv_tensor_read(const deconv_tensor *t, float *values, uint64_t count)
{
    deconv_status status = check_count(t, count);

    if (status == DECONV_OK)
        status = buffer_read(t->ctx, t->data, 0, (size_t)count * sizeof(float), values);
    return status;
}
