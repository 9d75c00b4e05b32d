/* All that the library does with OpenCL: one device and in-order queue per context, buffers,
 * programs from the embedded .cl sources, kernels. No other folder includes an OpenCL header. */
#ifndef DECONV_LIB_OPENCL_H
#define DECONV_LIB_OPENCL_H

#include "../context.h"

typedef struct device device;

typedef struct device_limits {
    deconv_device_kind kind;
    uint64_t global_memory;  /* bytes */
    uint64_t max_allocation; /* bytes */
    uint32_t compute_units;
    uint32_t vector_floats; /* preferred float vector width, 1 on most GPUs */
    uint32_t max_group;     /* work-items in a group */
    uint64_t local_memory;  /* bytes */
    bool host_memory;       /* the device works in host memory: mapping costs nothing */
} device_limits;

/* `wanted`: the device option of deconv_ctx_options. */
deconv_status device_open(deconv_ctx *ctx, const char *wanted, const char *cache_dir, bool profile,
                          device **out);
void device_close(device *device);
const device_limits *device_limits_of(deconv_ctx *ctx);
/* Where the context keeps files from one process to the next; NULL: nowhere. It may not exist yet.
 */
const char *device_cache_folder(deconv_ctx *ctx);
void device_describe(const device *device, deconv_device_info *info);

/* Waits until all that was enqueued is done; reports what failed since the last wait. */
deconv_status device_wait(deconv_ctx *ctx);

/* ---- Buffers: device memory. `what` names the purpose in messages. ---- */

typedef struct buffer buffer;

deconv_status buffer_create(deconv_ctx *ctx, size_t bytes, const char *what, buffer **out);
void buffer_free(buffer *buffer);
size_t buffer_size(const buffer *buffer);
/* Blocking copies from and to host memory. */
deconv_status buffer_write(deconv_ctx *ctx, buffer *buffer, size_t offset, size_t bytes,
                           const void *values);
deconv_status buffer_read(deconv_ctx *ctx, const buffer *buffer, size_t offset, size_t bytes,
                          void *values);
/* Enqueued, not waited for. Offsets and sizes in bytes. */
deconv_status buffer_copy(deconv_ctx *ctx, const buffer *from, size_t from_offset, buffer *to,
                          size_t to_offset, size_t bytes);
deconv_status buffer_fill(deconv_ctx *ctx, buffer *buffer, size_t offset, size_t bytes,
                          float value);

/* A part of a buffer as host memory, between opening and closing it; nothing that uses the buffer
 * may be enqueued in between. Where the device works in host memory it is that memory itself,
 * elsewhere a copy. Reading waits for what was enqueued; what is written need not be initialised
 * before. */
typedef enum view_access { VIEW_READ, VIEW_WRITE } view_access;

typedef struct buffer_view {
    buffer *buffer;
    size_t offset, bytes;
    view_access access;
    bool mapped;
    void *at; /* NULL: not open */
} buffer_view;

deconv_status buffer_view_open(deconv_ctx *ctx, const buffer *buffer, size_t offset, size_t bytes,
                               view_access access, buffer_view *view);
/* Hands over what was written. Nothing happens where it is not open. */
deconv_status buffer_view_close(buffer_view *view);
/* The same without handing over, where what was written is of no use; the buffer's part is then
 * undefined. */
void buffer_view_drop(buffer_view *view);

/* For tests: every buffer made from now on has `bytes` of pattern before and behind its data, and
 * buffers_check_guards() says which live buffer's pattern was written over. New buffers are filled
 * with NaN so that what is read before it was written shows. */
void buffers_set_guards(deconv_ctx *ctx, size_t bytes);
deconv_status buffers_check_guards(deconv_ctx *ctx);

/* ---- Kernels ---- */

typedef struct kernel kernel;

/* Kernel `name` of the embedded file cl/`source` built with `options` ("" or "-DX=1 ..."). Programs
 * are built once per context and options and cached on disk (PoCL's by itself); every kernel_create
 * gives a kernel object of its own, so that no two users share arguments. */
deconv_status kernel_create(deconv_ctx *ctx, const char *source, const char *options,
                            const char *name, kernel **out);
void kernel_free(kernel *kernel);

/* Arguments are set in order. The first one that fails is remembered and reported by kernel_launch:
 *
 *     kernel_begin(k);
 *     arg_buffer(k, x); arg_buffer(k, y); arg_int(k, n); arg_float(k, alpha);
 *     return kernel_launch(k, width, height, batch);
 */
void kernel_begin(kernel *kernel);
void arg_buffer(kernel *kernel, const buffer *buffer); /* NULL is allowed: a NULL pointer */
void arg_int(kernel *kernel, int64_t value);           /* an `int`; out of its range is an error */
void arg_float(kernel *kernel, float value);
void arg_struct(kernel *kernel, const void *value, size_t size); /* only int and float fields */
void arg_local(kernel *kernel, size_t bytes);

/* Enqueues at least x*y*z work-items (each at least 1); the group size is the implementation's
 * choice, so a kernel must not depend on it. */
deconv_status kernel_launch(kernel *kernel, int64_t x, int64_t y, int64_t z);
/* The same with groups of lx*ly*lz; global sizes are rounded up to multiples, so kernels check
 * bounds. */
deconv_status kernel_launch_groups(kernel *kernel, int64_t x, int64_t y, int64_t z, size_t lx,
                                   size_t ly, size_t lz);

/* ---- Matrix products by CLBlast, where it is installed ---- */

/* C[m][n] = sum over k of A[m][k] B[k][n]: rows one after the other, from element a_at of a, b_at
 * of b, c_at of c. */
typedef struct blas_product {
    size_t m, n, k;
    const buffer *a, *b, *c;
    size_t a_at, b_at, c_at;
} blas_product;

/* NULL, or why CLBlast cannot be used. */
const char *blas_missing(deconv_ctx *ctx);
/* Bytes that the product needs besides its operands; these need not be there yet. */
deconv_status blas_scratch(deconv_ctx *ctx, const blas_product *p, size_t *bytes);
/* Enqueues the product; the first call for a kind of product compiles. `scratch`: it begins with
 * what blas_scratch() said, and may hold operands behind that. The order of a sum is CLBlast's: the
 * same for the same sizes. */
deconv_status blas_multiply(deconv_ctx *ctx, const blas_product *p, const buffer *scratch);

#endif
