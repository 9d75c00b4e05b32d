/* Structs that cross the ABI; see options.h. */
#include "options.h"

#include <string.h>

static deconv_status check_size(deconv_ctx *ctx, const void *given, const char *type,
                                uint32_t *size)
{
    memcpy(size, given, sizeof *size);
    if (*size >= sizeof *size)
        return DECONV_OK;
    return error_set(ctx, DECONV_ERROR_INVALID,
                     "%s: struct_size is %u; set the struct up with its init function", type,
                     *size);
}

deconv_status options_read(deconv_ctx *ctx, void *to, size_t size, const void *from,
                           const char *type)
{
    deconv_status status = DECONV_OK;
    uint32_t given, own = (uint32_t)size;

    if (!from)
        goto done;
    TRY(check_size(ctx, from, type, &given));
    for (size_t i = size; i < given; i++)
        if (((const char *)from)[i])
            FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
                 "%s uses fields that this library (ABI %d) does not know", type,
                 DECONV_ABI_VERSION);
    memcpy(to, from, given < size ? given : size);
    memcpy(to, &own, sizeof own);
done:
    return status;
}

deconv_status options_write(deconv_ctx *ctx, void *to, const void *from, size_t size,
                            const char *type)
{
    deconv_status status = DECONV_OK;
    uint32_t given;

    TRY(check_size(ctx, to, type, &given));
    memcpy(to, from, given < size ? given : size);
    memcpy(to, &given, sizeof given);
done:
    return status;
}
