/* Constants on the device; see weight.h. */
#include "weight.h"

#include "onnx/model.h"

/* Where the device has memory of its own, large weights go there in parts of this many floats. */
#define UPLOAD_STEP ((size_t)1 << 18)

static deconv_status copy_to_device(const weight *w, const tensor *to)
{
    const size_t count = (size_t)shape_count(&w->host->shape);
    const size_t step = device_limits_of(w->ctx)->host_memory ? count : UPLOAD_STEP;
    deconv_status status = DECONV_OK;
    buffer_view view = {0};

    if (w->host->data) {
        TRY(buffer_write(w->ctx, to->data, 0, count * sizeof(float), w->host->f));
        goto done;
    }
    for (size_t at = 0; at < count; at += step) {
        size_t part = count - at < step ? count - at : step;

        TRY(buffer_view_open(w->ctx, to->data, at * sizeof(float), part * sizeof(float), VIEW_WRITE,
                             &view));
        TRY(onnx_read_constant(w->model, w->host, at, part, view.at));
        TRY(buffer_view_close(&view));
    }
done:
    buffer_view_drop(&view);
    return status;
}

static deconv_status bring(weight *w)
{
    deconv_status status = DECONV_OK;
    tensor *t = NULL;

    TRY(tensor_create(w->ctx, &w->host->shape, w->name, &t));
    TRY(copy_to_device(w, t));
    w->data = t;
    t = NULL;
    if (!w->keep_host && shape_count(&w->host->shape) >= LARGE_CONSTANT) {
        mem_free(w->ctx, w->host->data);
        w->host->data = NULL;
    }
done:
    deconv_tensor_destroy(t);
    return status;
}

deconv_status weight_use(weight *w)
{
    deconv_status status = DECONV_OK;

    if (!w->data)
        TRY(bring(w));
    w->users++;
done:
    return status;
}

void weight_leave(weight *w)
{
    if (--w->users > 0 || !w->packed.first || !(w->host->data || w->host->in_file))
        return;
    deconv_tensor_destroy(w->data);
    w->data = NULL;
}

void weight_free(weight *w)
{
    deconv_tensor_destroy(w->data);
    packed_list_free(&w->packed);
    w->data = NULL;
}
