/* Kernel objects, their arguments and their launch. Building programs is in program.c. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "device.h"

struct kernel {
    device *device;
    cl_kernel object;
    cl_uint parameters; /* that the source declares */
    cl_uint set;        /* arguments since kernel_begin() */
    cl_int code;        /* of the first call that failed */
    char problem[96];   /* what is wrong with an argument; "" when nothing is */
    char name[96];
};

deconv_status kernel_create(deconv_ctx *ctx, const char *source, const char *options,
                            const char *name, kernel **out)
{
    device *d = ctx_device(ctx);
    cl_program program;
    kernel *k = NULL;
    deconv_status status;
    cl_int code;

    *out = NULL;
    TRY(device_check(d));
    TRY(program_get(d, source, options, &program));
    TRY_ALLOC(k, ctx, 1);
    k->device = d;
    snprintf(k->name, sizeof k->name, "%s", name);
    /* PoCL 3.1 keeps per-program state while it makes a kernel: one at a time. */
    pthread_mutex_lock(&d->program_lock);
    k->object = d->api.CreateKernel(program, name, &code);
    pthread_mutex_unlock(&d->program_lock);
    if (!k->object) {
        status = cl_failed(ctx, code, "clCreateKernel", "kernel %s of %s, options \"%s\"", name,
                           source, options);
        goto done;
    }
    TRY_CL(ctx, &d->api, GetKernelInfo,
           (k->object, CL_KERNEL_NUM_ARGS, sizeof k->parameters, &k->parameters, NULL), "kernel %s",
           name);
done:
    if (status != DECONV_OK)
        kernel_free(k);
    else
        *out = k;
    return status;
}

void kernel_free(kernel *k)
{
    if (!k)
        return;
    if (k->object)
        k->device->api.ReleaseKernel(k->object);
    mem_free(k->device->ctx, k);
}

/* ---- Arguments ---- */

void kernel_begin(kernel *k)
{
    k->set = 0;
    k->code = CL_SUCCESS;
    k->problem[0] = '\0';
}

static void set_arg(kernel *k, const char *type, size_t size, const void *value)
{
    cl_uint index = k->set++;

    if (k->problem[0] || index >= k->parameters) /* too many: kernel_launch() counts them */
        return;
    k->code = k->device->api.SetKernelArg(k->object, index, size, value);
    if (k->code != CL_SUCCESS)
        snprintf(k->problem, sizeof k->problem, "argument %u, %s of %zu bytes", (unsigned)index,
                 type, size);
}

void arg_buffer(kernel *k, const buffer *b)
{
    cl_mem memory = b ? b->memory : NULL;

    set_arg(k, "a buffer", sizeof memory, &memory);
}

void arg_int(kernel *k, int64_t value)
{
    cl_int number = (cl_int)value;

    if ((value < INT_MIN || value > INT_MAX) && !k->problem[0]) {
        k->code = CL_INVALID_ARG_VALUE;
        snprintf(k->problem, sizeof k->problem, "argument %u, %" PRId64 " is not an int",
                 (unsigned)k->set, value);
    }
    set_arg(k, "an int", sizeof number, &number);
}

void arg_float(kernel *k, float value)
{
    set_arg(k, "a float", sizeof value, &value);
}

void arg_struct(kernel *k, const void *value, size_t size)
{
    set_arg(k, "a struct", size, value);
}

void arg_local(kernel *k, size_t bytes)
{
    set_arg(k, "local memory", bytes, NULL);
}

/* ---- Launch ---- */

static deconv_status check_arguments(const kernel *k)
{
    deconv_ctx *ctx = k->device->ctx;

    if (k->problem[0])
        return cl_failed(ctx, k->code, "clSetKernelArg", "kernel %s, %s", k->name, k->problem);
    if (k->set != k->parameters)
        return error_set(ctx, DECONV_ERROR_DEVICE, "kernel %s takes %u arguments; %u were set",
                         k->name, (unsigned)k->parameters, (unsigned)k->set);
    return DECONV_OK;
}

/* `local` is NULL where the group size is the implementation's choice. */
static deconv_status launch(kernel *k, int64_t x, int64_t y, int64_t z, const size_t *local)
{
    device *d = k->device;
    const int64_t wanted[3] = {x, y, z};
    size_t global[3];
    cl_event event = NULL;
    deconv_status status;

    TRY(check_arguments(k));
    for (int i = 0; i < 3; i++) {
        size_t group = local ? local[i] : 1;

        if (wanted[i] < 1 || group < 1 || (uint64_t)wanted[i] > SIZE_MAX - group)
            FAIL(d->ctx, DECONV_ERROR_INVALID,
                 "kernel %s: %" PRId64 "x%" PRId64 "x%" PRId64
                 " work-items in groups of %zu along dimension %d; each is at least 1",
                 k->name, x, y, z, group, i);
        global[i] = ((size_t)wanted[i] + group - 1) / group * group;
    }
    TRY_QUEUE(d, false, EnqueueNDRangeKernel,
              (d->queue, k->object, 3, NULL, global, local, 0, NULL, d->profile ? &event : NULL),
              "kernel %s, %zux%zux%zu work-items in groups of %zux%zux%zu (0: the driver's choice)",
              k->name, global[0], global[1], global[2], local ? local[0] : 0, local ? local[1] : 0,
              local ? local[2] : 0);
    if (event)
        profile_add(d, k->name, event);
done:
    return status;
}

deconv_status kernel_launch(kernel *k, int64_t x, int64_t y, int64_t z)
{
    /* PoCL compiles a kernel anew for each group size, and left to itself takes a large divisor of
     * the items: another one for nearly every shape. */
    const size_t local[3] = {x % 64 == 0 ? 64 : x >= 8 ? 8 : 1, 1, 1};
    bool ours = k->device->limits.kind == DECONV_DEVICE_CPU;

    return launch(k, x, y, z, ours ? local : NULL);
}

deconv_status kernel_launch_groups(kernel *k, int64_t x, int64_t y, int64_t z, size_t lx, size_t ly,
                                   size_t lz)
{
    const size_t local[3] = {lx, ly, lz};

    return launch(k, x, y, z, local);
}
