/* Shared device memory; see scratch.h. */
#include "scratch.h"

deconv_status scratch_reserve(deconv_ctx *ctx, scratch *s, size_t bytes)
{
    deconv_status status = DECONV_OK;
    buffer *larger;

    if (s->data && buffer_size(s->data) >= bytes)
        goto done;
    TRY(buffer_create(ctx, bytes, "scratch", &larger));
    scratch_free(s); /* only now: operators that are planned count on it */
    s->data = larger;
done:
    return status;
}

void scratch_free(scratch *s)
{
    buffer_free(s->data);
    s->data = NULL;
}
