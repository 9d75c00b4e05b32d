/* The context as the rest of the library sees it: memory, log, progress. What a context owns of
 * OpenCL is behind opencl/opencl.h. */
#ifndef DECONV_LIB_CONTEXT_H
#define DECONV_LIB_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "deconv.h"
#include "error.h"

/* Host memory through the context's allocator. `count * size` is checked for overflow; NULL only
 * when there is none left, with the message "no memory: N bytes for WHAT" set. Zeroed. */
void *mem_alloc(deconv_ctx *ctx, size_t count, size_t size, const char *what);
/* The same without a message, for what may fail without failing the call. */
void *mem_try(deconv_ctx *ctx, size_t bytes);
void mem_free(deconv_ctx *ctx, void *memory);
char *mem_strdup(deconv_ctx *ctx, const char *text);
/* printf into fresh memory. */
char *mem_printf(deconv_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `array = mem_alloc(...)` that fails the calling function when there is no memory. */
#define TRY_ALLOC(array, ctx, count)                                                               \
    do {                                                                                           \
        (array) = mem_alloc((ctx), (count), sizeof *(array), #array);                              \
        if (!(array)) {                                                                            \
            status = DECONV_ERROR_NO_MEMORY;                                                       \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

/* product of two sizes into *out; false when it does not fit */
bool size_mul(size_t a, size_t b, size_t *out);

void log_line(deconv_ctx *ctx, deconv_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool log_wants(const deconv_ctx *ctx, deconv_log_level level);

/* Tells the caller's progress callback; DECONV_ERROR_CANCELLED with its message when it says stop.
 */
deconv_status progress_step(deconv_ctx *ctx, uint64_t done, uint64_t total, const char *what);

/* The up to `limit` names of `names` nearest to `wanted` (edit distance), as "a, b, c" in `text`.
 */
void nearest_names(const char *wanted, const char *const *names, size_t count, size_t limit,
                   char *text, size_t text_size);

/* Device memory, in bytes, that one pass may take for activations or signals. */
uint64_t ctx_memory_budget(deconv_ctx *ctx);

/* What belongs to OpenCL (opencl/opencl.h). */
struct device *ctx_device(deconv_ctx *ctx);
/* What was measured of convolutions (conv/tuning.h), read when the context was made; or NULL. */
const struct tuning *ctx_tuning(const deconv_ctx *ctx);

#endif
