/* Shared device memory; see scratch.h. */
#include "scratch.h"

deconv_status scratch_reserve(deconv_ctx *ctx, scratch *s, size_t bytes)
{
    deconv_status status = DECONV_OK;

    if (s->data && buffer_size(s->data) >= bytes)
        goto done;
    scratch_free(s);
    TRY(buffer_create(ctx, bytes, "scratch", &s->data));
done:
    return status;
}

void scratch_free(scratch *s)
{
    buffer_free(s->data);
    s->data = NULL;
}
