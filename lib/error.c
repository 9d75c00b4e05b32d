/* Status names and the per-thread message of a context. Messages live in the context, not in
 * thread-local storage: the library keeps no globals, and a context takes them along when it goes.
 * A thread id that the system hands out again inherits the message of the thread that ended. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "context_private.h"

const char *deconv_status_name(deconv_status status)
{
    switch (status) {
    case DECONV_OK:
        return "ok";
    case DECONV_ERROR_INVALID:
        return "invalid argument";
    case DECONV_ERROR_NOT_FOUND:
        return "not found";
    case DECONV_ERROR_IO:
        return "input/output error";
    case DECONV_ERROR_FORMAT:
        return "bad format";
    case DECONV_ERROR_UNSUPPORTED:
        return "unsupported";
    case DECONV_ERROR_NO_MEMORY:
        return "no memory";
    case DECONV_ERROR_NO_DEVICE:
        return "no device";
    case DECONV_ERROR_DEVICE:
        return "device error";
    case DECONV_ERROR_CANCELLED:
        return "cancelled";
    case DECONV_STATUS_FORCE_32:
        break;
    }
    return "unknown status";
}

void text_one_line(char *text, size_t size, int wanted)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c == 0x7f)
            text[i] = ' ';
    }
    if (wanted >= 0 && (size_t)wanted < size)
        return;

    size_t cut = size - sizeof "...";

    if (cut > length)
        cut = length;
    while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    memcpy(text + cut, "...", sizeof "...");
}

/* This thread's entry, made when `create` asks for it; NULL when there is none. Lock held. */
static thread_message *message_of_thread(deconv_ctx *ctx, bool create)
{
    thread_message *m;

    for (m = ctx->messages; m; m = m->next) {
        if (pthread_equal(m->thread, pthread_self()))
            return m;
    }
    if (!create)
        return NULL;
    m = mem_try(ctx, sizeof *m);
    if (!m) {
        ctx->message_lost = true;
        return NULL;
    }
    m->thread = pthread_self();
    m->next = ctx->messages;
    ctx->messages = m;
    return m;
}

static void message_store(deconv_ctx *ctx, const char *text)
{
    pthread_mutex_lock(&ctx->message_lock);
    thread_message *m = message_of_thread(ctx, true);
    if (m)
        memcpy(m->text, text, MESSAGE_SIZE);
    pthread_mutex_unlock(&ctx->message_lock);
}

deconv_status error_set(deconv_ctx *ctx, deconv_status code, const char *format, ...)
{
    /* Formatted apart first: an argument may be the message that is about to be replaced. */
    char text[MESSAGE_SIZE] = "";
    va_list args;
    int length;

    if (!ctx)
        return code;
    va_start(args, format);
    length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text_one_line(text, sizeof text, length);
    message_store(ctx, text);
    return code;
}

void error_prefix(deconv_ctx *ctx, const char *format, ...)
{
    char prefix[MESSAGE_SIZE / 2] = "";
    char text[MESSAGE_SIZE] = "";
    va_list args;
    int length;

    if (!ctx)
        return;
    va_start(args, format);
    length = vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    text_one_line(prefix, sizeof prefix, length);
    length = snprintf(text, sizeof text, "%s: %s", prefix, deconv_ctx_message(ctx));
    text_one_line(text, sizeof text, length);
    message_store(ctx, text);
}

const char *deconv_ctx_message(const deconv_ctx *ctx)
{
    /* Reading a message takes the lock, which is part of the object. */
    deconv_ctx *c = (deconv_ctx *)ctx;
    const char *text = "";

    if (!c)
        return text;
    pthread_mutex_lock(&c->message_lock);
    const thread_message *m = message_of_thread(c, false);
    if (m)
        text = m->text;
    else if (c->message_lost)
        text = "no memory, not even for the message that says for what";
    pthread_mutex_unlock(&c->message_lock);
    return text;
}

void messages_free(deconv_ctx *ctx)
{
    while (ctx->messages) {
        thread_message *m = ctx->messages;

        ctx->messages = m->next;
        mem_free(ctx, m);
    }
}
