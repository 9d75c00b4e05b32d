/* Log lines and progress, handed to the caller's callbacks. No lock is held while a callback runs,
 * so that it may use the context. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context_private.h"

#define LOG_LINE_SIZE 1024

static const char *const level_names[] = {"error", "warning", "info", "debug"};

#define LEVELS (sizeof level_names / sizeof level_names[0])

void log_read_environment(deconv_ctx *ctx)
{
    const char *wanted = getenv("DECONV_LOG");

    if (!wanted || !wanted[0])
        return;
    for (size_t i = 0; i < LEVELS; i++) {
        if (strcmp(wanted, level_names[i]) == 0) {
            ctx->level = (deconv_log_level)i;
            return;
        }
    }
    log_line(ctx, DECONV_LOG_WARNING,
             "DECONV_LOG is \"%s\"; it takes error, warning, info or debug", wanted);
}

bool log_wants(const deconv_ctx *ctx, deconv_log_level level)
{
    return ctx && level <= ctx->level;
}

void log_line(deconv_ctx *ctx, deconv_log_level level, const char *format, ...)
{
    char line[LOG_LINE_SIZE] = "";
    va_list args;
    int length;

    if (!log_wants(ctx, level))
        return;
    va_start(args, format);
    length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    text_one_line(line, sizeof line, length);
    if (ctx->log)
        ctx->log(level, line, ctx->log_user);
    else
        fprintf(stderr, "deconv: %s: %s\n", level_names[level], line);
}

deconv_status progress_step(deconv_ctx *ctx, uint64_t done, uint64_t total, const char *what)
{
    if (!ctx->progress || ctx->progress(done, total, what, ctx->progress_user) == 0)
        return DECONV_OK;
    return error_set(ctx, DECONV_ERROR_CANCELLED, "cancelled: %s, %" PRIu64 " of %" PRIu64 " done",
                     what, done, total);
}
