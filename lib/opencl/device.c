/* Opens the chosen device with one in-order queue, and closes it. Choosing is in select.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "device.h"
#include "select.h"

static void read_limits(device *d)
{
    const cl_api *api = &d->api;
    device_limits *l = &d->limits;
    cl_uint width = 1, alignment_bits = 0;
    cl_ulong local = 0;
    cl_bool host = CL_FALSE;
    size_t group = 1;

    api->GetDeviceInfo(d->id, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL);
    api->GetDeviceInfo(d->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof alignment_bits, &alignment_bits,
                       NULL);
    api->GetDeviceInfo(d->id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    api->GetDeviceInfo(d->id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof host, &host, NULL);
    api->GetDeviceInfo(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    *l = (device_limits){.kind = d->info.kind,
                         .global_memory = d->info.global_memory,
                         .max_allocation = d->info.max_allocation,
                         .compute_units = d->info.compute_units,
                         .vector_floats = width > 0 ? width : 1,
                         .max_group = group < UINT32_MAX ? (uint32_t)group : UINT32_MAX,
                         .local_memory = local,
                         .host_memory = host};
    d->base_alignment = alignment_bits >= 8 ? alignment_bits / 8 : 1;
}

/* For tests on a CPU device: choices are made as a GPU, or a CPU with vectors of 8 or 16 floats,
 * would have them made. */
static void pretend(device *d)
{
    const char *like = getenv("DECONV_DEVICE_LIKE");
    device_limits *l = &d->limits;

    if (!like || !like[0])
        return;
    if (strcmp(like, "gpu") == 0) {
        l->kind = DECONV_DEVICE_GPU;
        l->vector_floats = 1;
    } else if (strcmp(like, "cpu8") == 0 || strcmp(like, "cpu16") == 0) {
        l->kind = DECONV_DEVICE_CPU;
        l->vector_floats = like[3] == '8' ? 8 : 16;
    } else {
        log_line(d->ctx, DECONV_LOG_WARNING,
                 "DECONV_DEVICE_LIKE is %s; it may be gpu, cpu8 or cpu16", like);
        return;
    }
    log_line(d->ctx, DECONV_LOG_INFO, "choices as for a device like %s", like);
}

/* Why not PoCL's: program.c. */
static bool wants_binaries(const device *d)
{
    const char *keep = getenv("DECONV_KEEP_PROGRAMS");

    return strcmp(d->info.platform, "Portable Computing Language") != 0 ||
           (keep && strcmp(keep, "1") == 0);
}

static deconv_status choose(device *d, const char *wanted, cl_platform_id *platform)
{
    candidates found = {0};
    size_t index;
    deconv_status status;

    TRY(candidates_find(d->ctx, &d->api, &found));
    TRY(candidates_choose(d->ctx, &found, wanted, &index));
    d->info = found.list[index].info;
    d->id = found.list[index].id;
    memcpy(d->platform_version, found.list[index].platform_version, sizeof d->platform_version);
    *platform = found.list[index].platform;
    log_line(d->ctx, DECONV_LOG_INFO, "device %zu: %s, %s, driver %s", index, d->info.name,
             d->info.version, d->info.driver);
done:
    candidates_free(d->ctx, &found);
    return status;
}

static deconv_status open_queue(device *d, cl_platform_id platform, bool profile)
{
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)platform, 0};
    cl_command_queue_properties flags = profile ? CL_QUEUE_PROFILING_ENABLE : 0;
    cl_int code;

    d->context = d->api.CreateContext(properties, 1, &d->id, NULL, NULL, &code);
    if (!d->context)
        return cl_failed(d->ctx, code, "clCreateContext", "device %s", d->info.name);
    d->queue = d->api.CreateCommandQueue(d->context, d->id, flags, &code);
    if (!d->queue)
        return cl_failed(d->ctx, code, "clCreateCommandQueue", "device %s", d->info.name);
    return DECONV_OK;
}

/* The folder need not hold every source, but one that does not exist is a slip of the pen. */
static deconv_status read_kernel_dir(device *d)
{
    const char *path = getenv("DECONV_KERNEL_DIR");
    deconv_status status = DECONV_OK;
    struct stat st;

    if (!path || !path[0])
        goto done;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        FAIL(d->ctx, DECONV_ERROR_NOT_FOUND,
             "DECONV_KERNEL_DIR is %s, which is no folder; it names one with .cl files", path);
    d->kernel_dir = mem_strdup(d->ctx, path);
    if (!d->kernel_dir)
        status = DECONV_ERROR_NO_MEMORY;
done:
    return status;
}

deconv_status device_open(deconv_ctx *ctx, const char *wanted, const char *cache_dir, bool profile,
                          device **out)
{
    cl_platform_id platform;
    device *d = NULL;
    deconv_status status;

    *out = NULL;
    TRY_ALLOC(d, ctx, 1);
    d->ctx = ctx;
    pthread_mutex_init(&d->program_lock, NULL);
    pthread_mutex_init(&d->buffer_lock, NULL);
    pthread_mutex_init(&d->lost_lock, NULL);
    TRY(cl_api_open(ctx, &d->api));
    TRY(choose(d, wanted, &platform));
    read_limits(d);
    pretend(d);
    TRY(open_queue(d, platform, profile));
    if (profile)
        TRY(profile_create(ctx, &d->profile));
    d->cache_dir = cache_folder(ctx, cache_dir);
    d->keep_programs = wants_binaries(d);
    TRY(read_kernel_dir(d));
done:
    if (status != DECONV_OK)
        device_close(d);
    else
        *out = d;
    return status;
}

void device_close(device *d)
{
    if (!d)
        return;
    if (d->queue)
        d->api.Finish(d->queue);
    if (d->profile) {
        profile_collect(d);
        profile_report(d);
        profile_free(d);
    }
    if (d->most_held)
        log_line(d->ctx, DECONV_LOG_INFO, "device memory: at most %.1f MB in buffers",
                 (double)d->most_held / 1e6);
    blas_close(d);
    programs_free(d);
    if (d->queue)
        d->api.ReleaseCommandQueue(d->queue);
    if (d->context)
        d->api.ReleaseContext(d->context);
    cl_api_close(&d->api);
    pthread_mutex_destroy(&d->lost_lock);
    pthread_mutex_destroy(&d->buffer_lock);
    pthread_mutex_destroy(&d->program_lock);
    mem_free(d->ctx, d->kernel_dir);
    mem_free(d->ctx, d->cache_dir);
    mem_free(d->ctx, d);
}

const device_limits *device_limits_of(deconv_ctx *ctx)
{
    return &ctx_device(ctx)->limits;
}

const char *device_cache_folder(deconv_ctx *ctx)
{
    return ctx_device(ctx)->cache_dir;
}

void device_describe(const device *d, deconv_device_info *info)
{
    *info = d->info;
}

/* ---- Failures ---- */

/* Codes of vendors' own lie beyond those of extensions; NVIDIA's for a kernel that reached outside
 * its buffers is -9999. */
#define VENDOR_CODES (-2000)

static bool breaks_device(cl_int code, bool waited)
{
    switch (code) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_HOST_MEMORY:
        return false;
    case CL_DEVICE_NOT_AVAILABLE:
    case CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST:
    case CL_INVALID_COMMAND_QUEUE:
    case CL_INVALID_CONTEXT:
        return true;
    default:
        return waited || code < VENDOR_CODES;
    }
}

deconv_status device_check(device *d)
{
    deconv_status status = DECONV_OK;

    pthread_mutex_lock(&d->lost_lock);
    if (d->lost[0])
        status =
            error_set(d->ctx, DECONV_ERROR_DEVICE,
                      "the device failed and takes no more work; make a new context (%s)", d->lost);
    pthread_mutex_unlock(&d->lost_lock);
    return status;
}

deconv_status device_failed(device *d, cl_int code, bool waited, const char *call,
                            const char *format, ...)
{
    deconv_status status;
    char detail[384] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    status = cl_failed(d->ctx, code, call, "%s", detail);
    if (!breaks_device(code, waited))
        return status;
    pthread_mutex_lock(&d->lost_lock);
    if (!d->lost[0])
        snprintf(d->lost, sizeof d->lost, "%s: %s (%d): %s", call, cl_code_name(code), (int)code,
                 detail);
    pthread_mutex_unlock(&d->lost_lock);
    return status;
}

deconv_status device_wait(deconv_ctx *ctx)
{
    device *d = ctx_device(ctx);
    deconv_status status = DECONV_OK;

    TRY_QUEUE(d, true, Finish, (d->queue), "work enqueued since the last wait");
    if (d->profile)
        profile_collect(d);
done:
    return status;
}
