/* How a failure is raised and passed on inside the library: two macros and one clean-up path.
 *
 * Every function that can fail has `deconv_status status` and a label `done:` at its only exit:
 *
 *     TRY(step(ctx));                        passes a failure on; its message is already set
 *     FAIL(ctx, DECONV_ERROR_X, "...", ...)  sets the message, once, where the cause is known
 * done:
 *     release(everything);
 *     return status;
 */
#ifndef DECONV_LIB_ERROR_H
#define DECONV_LIB_ERROR_H

#include "deconv.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != DECONV_OK)                                                                   \
            goto done;                                                                             \
    } while (0)

#define FAIL(ctx, code, ...)                                                                       \
    do {                                                                                           \
        status = error_set((ctx), (code), __VA_ARGS__);                                            \
        goto done;                                                                                 \
    } while (0)

/* Sets this thread's message on `ctx` and returns `code`. */
deconv_status error_set(deconv_ctx *ctx, deconv_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before this thread's message: for a caller that knows the layer's name. */
void error_prefix(deconv_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
