/* Making and releasing a context, and describing it. Its messages are in error.c,
 * its log and progress in log.c, its allocator in memory.c, its device in opencl/. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context_private.h"
#include "conv/tuning.h"
#include "opencl/opencl.h"
#include "options.h"

uint32_t deconv_abi_version(void)
{
    return DECONV_ABI_VERSION;
}

const char *deconv_version(void)
{
    return DECONV_VERSION;
}

void deconv_ctx_options_init(deconv_ctx_options *options)
{
    *options = (deconv_ctx_options)DECONV_CTX_OPTIONS_INIT;
}

void deconv_device_info_init(deconv_device_info *info)
{
    *info = (deconv_device_info)DECONV_DEVICE_INFO_INIT;
}

static deconv_status check_options(deconv_ctx *ctx, const deconv_ctx_options *o)
{
    if (o->flags & ~(uint32_t)DECONV_CTX_PROFILE)
        return error_set(
            ctx, DECONV_ERROR_INVALID,
            "deconv_ctx_options: flags are 0x%x; only DECONV_CTX_PROFILE (0x%x) is known",
            (unsigned)o->flags, (unsigned)DECONV_CTX_PROFILE);
    if (o->reserved != 0)
        return error_set(ctx, DECONV_ERROR_INVALID, "deconv_ctx_options: reserved is %u, not 0",
                         (unsigned)o->reserved);
    if ((uint32_t)o->level > DECONV_LOG_DEBUG)
        return error_set(ctx, DECONV_ERROR_INVALID,
                         "deconv_ctx_options: level is %u; it goes from %d (error) to %d (debug)",
                         (unsigned)o->level, DECONV_LOG_ERROR, DECONV_LOG_DEBUG);
    if (!o->allocate != !o->release)
        return error_set(
            ctx, DECONV_ERROR_INVALID, "deconv_ctx_options: %s is set without %s; both or neither",
            o->allocate ? "allocate" : "release", o->allocate ? "release" : "allocate");
    return DECONV_OK;
}

static void copy_message(const deconv_ctx_options *o, const char *message)
{
    if (o->error && o->error_size > 0)
        snprintf(o->error, (size_t)o->error_size, "%s", message);
}

/* A context on the stack stands in until the real one exists, so that refused options and a failing
 * allocator have somewhere to put their message too. It uses malloc. */
static deconv_status context_allocate(const deconv_ctx_options *given, deconv_ctx_options *o,
                                      deconv_ctx **out)
{
    deconv_ctx early = {.level = DECONV_LOG_ERROR};
    deconv_ctx *ctx = NULL;
    deconv_status status;

    pthread_mutex_init(&early.message_lock, NULL);
    TRY(options_read(&early, o, sizeof *o, given, "deconv_ctx_options"));
    TRY(check_options(&early, o));
    ctx = o->allocate ? o->allocate(sizeof *ctx, o->allocator_user) : malloc(sizeof *ctx);
    if (!ctx)
        FAIL(&early, DECONV_ERROR_NO_MEMORY, "no memory: %zu bytes for the context", sizeof *ctx);
    *ctx = (deconv_ctx){.allocate = o->allocate,
                        .release = o->release,
                        .allocator_user = o->allocator_user,
                        .level = o->level,
                        .log = o->log,
                        .log_user = o->log_user,
                        .progress = o->progress,
                        .progress_user = o->progress_user,
                        .memory = o->memory};
    if (pthread_mutex_init(&ctx->message_lock, NULL) != 0) {
        mem_free(ctx, ctx);
        ctx = NULL;
        FAIL(&early, DECONV_ERROR_NO_MEMORY, "no memory: a lock for the context");
    }
done:
    /* Options whose size is wrong may have no room for `error`. */
    if (status != DECONV_OK && given && given->struct_size >= offsetof(deconv_ctx_options, memory))
        copy_message(given, deconv_ctx_message(&early));
    messages_free(&early);
    pthread_mutex_destroy(&early.message_lock);
    *out = ctx;
    return status;
}

deconv_status deconv_ctx_create(const deconv_ctx_options *options, deconv_ctx **out)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx = NULL;
    deconv_status status;

    if (!out)
        return DECONV_ERROR_INVALID;
    *out = NULL;
    TRY(context_allocate(options, &o, &ctx));
    log_read_environment(ctx);
    status = device_open(ctx, o.device, o.cache_dir, o.flags & DECONV_CTX_PROFILE, &ctx->device);
    if (status != DECONV_OK) {
        copy_message(&o, deconv_ctx_message(ctx));
        deconv_ctx_destroy(ctx);
        goto done;
    }
    ctx->tuning = tuning_read(ctx);
    *out = ctx;
done:
    return status;
}

void deconv_ctx_destroy(deconv_ctx *ctx)
{
    if (!ctx)
        return;
    tuning_free(ctx->tuning);
    device_close(ctx->device);
    messages_free(ctx);
    pthread_mutex_destroy(&ctx->message_lock);
    mem_free(ctx, ctx);
}

uint64_t ctx_memory_budget(deconv_ctx *ctx)
{
    return ctx->memory ? ctx->memory : device_limits_of(ctx)->global_memory / 4;
}

struct device *ctx_device(deconv_ctx *ctx)
{
    return ctx->device;
}

const struct tuning *ctx_tuning(const deconv_ctx *ctx)
{
    return ctx->tuning;
}

/* A message is written under the context's lock: to its users a const context stays as it is. */
deconv_status deconv_ctx_device(const deconv_ctx *ctx, deconv_device_info *info)
{
    deconv_device_info own = DECONV_DEVICE_INFO_INIT;

    if (!ctx || !info)
        return error_set((deconv_ctx *)ctx, DECONV_ERROR_INVALID,
                         "deconv_ctx_device: info is NULL; it is where the device goes");
    device_describe(ctx->device, &own);
    return options_write((deconv_ctx *)ctx, info, &own, sizeof own, "deconv_device_info");
}
