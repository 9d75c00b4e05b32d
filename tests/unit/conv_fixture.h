/* The context of a file of tests of the convolution engine: opened once, every buffer between
 * guards. */
#ifndef DECONV_TESTS_CONV_FIXTURE_H
#define DECONV_TESTS_CONV_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conv/engine.h"
#include "tensor.h"

#define GUARD 256 /* bytes of pattern around every buffer */

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != DECONV_OK)                                                                   \
            fail_msg("%s: %s", #call, deconv_ctx_message(ctx));                                    \
    } while (0)

static deconv_ctx *ctx;

static int open_context(void **state)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;

    (void)state;
    if (deconv_ctx_create(&options, &ctx) != DECONV_OK)
        return -1;
    buffers_set_guards(ctx, GUARD);
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    deconv_ctx_destroy(ctx);
    return 0;
}

#endif
