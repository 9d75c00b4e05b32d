/* Matrix products by CLBlast, opened at run time like the OpenCL loader: the library is never
 * linked against it, and a machine without one is told so.
 *
 * CLBlast keeps compiled programs in a cache of its own, one for the process, whose entries hold on
 * to the OpenCL context they were made for. A device that used it empties that cache when it is
 * closed; other contexts then compile again, which is slow and nothing worse. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#if !defined(RTLD_NODELETE)
#define RTLD_NODELETE 0
#endif

#if defined(__APPLE__)
static const char *const library_names[] = {"libclblast.1.dylib", "libclblast.dylib"};
#else
static const char *const library_names[] = {"libclblast.so.1", "libclblast.so"};
#endif

/* As clblast_c.h has them. */
enum { ROW_MAJOR = 101, AS_STORED = 111 };

typedef int multiply_fn(int layout, int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
                        float alpha, cl_mem a, size_t a_offset, size_t a_row, cl_mem b,
                        size_t b_offset, size_t b_row, float beta, cl_mem c, size_t c_offset,
                        size_t c_row, cl_command_queue *queue, cl_event *event, cl_mem scratch);
typedef int scratch_fn(int layout, int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
                       size_t a_offset, size_t a_row, size_t b_offset, size_t b_row,
                       size_t c_offset, size_t c_row, cl_command_queue *queue, size_t *bytes);
typedef int clear_fn(void);

struct blas {
    void *library;
    multiply_fn *multiply;
    scratch_fn *scratch;
    clear_fn *clear;
    bool used;
    const char *missing; /* why it cannot be used; NULL: it can */
};

/* `function` points at a function pointer: ISO C has no cast from what dlsym() returns. */
static bool look_up(const struct blas *b, const char *symbol, void *function)
{
    void *address = dlsym(b->library, symbol);

    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static void open_library(struct blas *b)
{
    const char *loader = getenv("DECONV_OPENCL_LIBRARY");

    b->missing = NULL;
    /* It calls the loader that it is linked to, which need not know another's objects. */
    if (loader && loader[0]) {
        b->missing = "CLBlast does not use the loader that DECONV_OPENCL_LIBRARY names";
        return;
    }
    for (size_t i = 0; !b->library && i < sizeof library_names / sizeof library_names[0]; i++)
        b->library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!b->library)
        b->missing = "CLBlast is not installed (Debian: libclblast1)";
    else if (!look_up(b, "CLBlastSgemmWithTempBuffer", &b->multiply) ||
             !look_up(b, "CLBlastSGemmTempBufferSize", &b->scratch) ||
             !look_up(b, "CLBlastClearCache", &b->clear))
        b->missing = "CLBlast is older than 1.5.3";
}

/* Opened at the first question. */
static struct blas *blas_of(device *d)
{
    pthread_mutex_lock(&d->program_lock);
    if (!d->blas) {
        d->blas = mem_try(d->ctx, sizeof *d->blas);
        if (d->blas) {
            memset(d->blas, 0, sizeof *d->blas);
            open_library(d->blas);
        }
    }
    pthread_mutex_unlock(&d->program_lock);
    return d->blas;
}

const char *blas_missing(deconv_ctx *ctx)
{
    const struct blas *b = blas_of(ctx_device(ctx));

    return b ? b->missing : "there is no memory to open CLBlast";
}

static deconv_status failed(deconv_ctx *ctx, int code, const char *call, const blas_product *p)
{
    return cl_failed(ctx, code, call, "%zu x %zu products of %zu terms by CLBlast", p->m, p->n,
                     p->k);
}

deconv_status blas_scratch(deconv_ctx *ctx, const blas_product *p, size_t *bytes)
{
    device *d = ctx_device(ctx);
    const struct blas *b = blas_of(d);
    int code;

    *bytes = 0;
    if (!b || b->missing)
        return error_set(ctx, DECONV_ERROR_UNSUPPORTED, "%s", blas_missing(ctx));
    code = b->scratch(ROW_MAJOR, AS_STORED, AS_STORED, p->m, p->n, p->k, p->a_at, p->k, p->b_at,
                      p->n, p->c_at, p->n, &d->queue, bytes);
    return code == 0 ? DECONV_OK : failed(ctx, code, "CLBlastSGemmTempBufferSize", p);
}

deconv_status blas_multiply(deconv_ctx *ctx, const blas_product *p, const buffer *scratch)
{
    device *d = ctx_device(ctx);
    struct blas *b = blas_of(d);
    int code;

    if (!b || b->missing)
        return error_set(ctx, DECONV_ERROR_UNSUPPORTED, "%s", blas_missing(ctx));
    b->used = true;
    code = b->multiply(ROW_MAJOR, AS_STORED, AS_STORED, p->m, p->n, p->k, 1.0f, p->a->memory,
                       p->a_at, p->k, p->b->memory, p->b_at, p->n, 0.0f, p->c->memory, p->c_at,
                       p->n, &d->queue, NULL, scratch->memory);
    return code == 0 ? DECONV_OK : failed(ctx, code, "CLBlastSgemmWithTempBuffer", p);
}

void blas_close(device *d)
{
    struct blas *b = d->blas;

    if (!b)
        return;
    if (b->used)
        b->clear();
    if (b->library)
        dlclose(b->library);
    mem_free(d->ctx, b);
    d->blas = NULL;
}
