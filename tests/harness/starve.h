/* Work done again and again, with one allocation after another failing: no crash, no leak, the
 * right status and a message. For any test program, cmocka or not. */
#ifndef DECONV_TESTS_STARVE_H
#define DECONV_TESTS_STARVE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deconv.h"

/* An allocator that counts what lives, and refuses one request. */
typedef struct heap {
    long countdown; /* requests until one is refused; negative: none is */
    long live;
    bool refused;
} heap;

static inline void *heap_allocate(size_t bytes, void *user)
{
    heap *h = user;
    void *memory = h->countdown == 0 ? NULL : malloc(bytes);

    if (h->countdown >= 0 && h->countdown-- == 0)
        h->refused = true;
    h->live += memory != NULL;
    return memory;
}

static inline void heap_release(void *memory, void *user)
{
    heap *h = user;

    h->live -= memory != NULL;
    free(memory);
}

/* A context on the heap; NULL when it cannot be made. Its place for this thread's messages exists:
 * it is made with the first of them and kept. */
static inline deconv_ctx *heap_context(heap *h, const char *cache_dir)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_picture *nothing;
    deconv_ctx *ctx;

    options.device = getenv("DECONV_DEVICE") ? NULL : "cpu";
    options.cache_dir = cache_dir;
    options.level = DECONV_LOG_ERROR;
    options.allocate = heap_allocate;
    options.release = heap_release;
    options.allocator_user = h;
    if (deconv_ctx_create(&options, &ctx) == DECONV_OK)
        deconv_picture_create(ctx, 0, 0, NULL, &nothing);
    return ctx;
}

typedef deconv_status (*starved_work)(deconv_ctx *ctx, void *user);

/* Runs `work` with request 0, 1, 2, ... refused, until it gets by with fewer requests than that.
 * The context has to be warm: whatever it keeps from one run to the next is there already. Returns
 * how many requests were refused; -1 with the reason in `why` when a run did not end as it must. */
static inline long starve(deconv_ctx *ctx, heap *h, starved_work work, void *user, char *why,
                          size_t why_size)
{
    for (long n = 0;; n++) {
        long live = h->live;
        deconv_status status;
        const char *message;

        h->refused = false;
        h->countdown = n;
        status = work(ctx, user);
        h->countdown = -1;
        message = deconv_ctx_message(ctx);
        if (h->live != live)
            snprintf(why, why_size, "request %ld refused: %ld pieces of memory leak", n,
                     h->live - live);
        else if (!h->refused && status == DECONV_OK)
            return n;
        else if (status != DECONV_ERROR_NO_MEMORY || !h->refused)
            snprintf(why, why_size, "request %ld refused: status %s: %s", n,
                     deconv_status_name(status), message);
        else if (!strstr(message, "memory"))
            snprintf(why, why_size, "request %ld refused: the message is: %s", n, message);
        else
            continue;
        return -1;
    }
}

/* Whether what a run that ended well has left is right. */
typedef bool (*starved_result)(const void *user);

/* The same from nothing each time, kernels included. The cache of compiled programs may do without
 * memory, so a run may also get by, and must then be right. Returns how many runs failed and counts
 * those that got by; -1 with the reason in `why`. */
static inline long starve_cold(const char *cache_dir, starved_work work, starved_result good,
                               void *user, long *got_by, char *why, size_t why_size)
{
    long failed = 0;
    bool more = true;

    *got_by = 0;
    for (long n = 0; more; n++) {
        heap h = {.countdown = n};
        deconv_ctx *ctx = heap_context(&h, cache_dir);
        deconv_status status = ctx ? work(ctx, user) : DECONV_ERROR_NO_MEMORY;
        bool right =
            status == DECONV_OK ? good(user) : status == DECONV_ERROR_NO_MEMORY && h.refused;

        more = h.refused;
        failed += status != DECONV_OK;
        *got_by += status == DECONV_OK && h.refused;
        if (!right)
            snprintf(why, why_size, "request %ld refused: status %s: %s", n,
                     deconv_status_name(status),
                     status == DECONV_OK ? "the result is wrong"
                     : ctx               ? deconv_ctx_message(ctx)
                                         : "no context");
        deconv_ctx_destroy(ctx);
        if (right && h.live)
            snprintf(why, why_size, "request %ld refused: %ld pieces of memory leak", n, h.live);
        if (!right || h.live)
            return -1;
    }
    return failed;
}

#endif
