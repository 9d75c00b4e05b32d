/* Finds the devices of all platforms and chooses one. Opening it is device.c. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../options.h"
#include "select.h"

/* ---- What a device says of itself ---- */

static void trim(char *text)
{
    size_t length = strlen(text), blank = 0;

    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    while (blank < length && isspace((unsigned char)text[blank]))
        blank++;
    memmove(text, text + blank, length - blank + 1);
}

/* A driver's string cut to what fits; "" when it has none. */
static void copy_text(char *out, size_t out_size, cl_int code, char *text)
{
    trim(text);
    snprintf(out, out_size, "%s", code == CL_SUCCESS ? text : "");
}

static void device_text(const cl_api *api, cl_device_id id, cl_device_info what, char *out,
                        size_t out_size)
{
    char text[4096] = "";
    cl_int code = api->GetDeviceInfo(id, what, sizeof text - 1, text, NULL);

    copy_text(out, out_size, code, text);
}

static void platform_text(const cl_api *api, cl_platform_id id, cl_platform_info what, char *out,
                          size_t out_size)
{
    char text[4096] = "";
    cl_int code = api->GetPlatformInfo(id, what, sizeof text - 1, text, NULL);

    copy_text(out, out_size, code, text);
}

static bool says_yes(const cl_api *api, cl_device_id id, cl_device_info what)
{
    cl_bool value = CL_FALSE;

    return api->GetDeviceInfo(id, what, sizeof value, &value, NULL) == CL_SUCCESS && value;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* The type is a set of bits: a CPU may come with the default bit on top. Mesa's renderers run on
 * the CPU whatever type they report (rusticl 22.3 says CPU; other releases differ). */
static deconv_device_kind kind_of(cl_device_type type, bool renderer)
{
    if (renderer || (type & CL_DEVICE_TYPE_CPU))
        return DECONV_DEVICE_CPU;
    if (type & CL_DEVICE_TYPE_GPU)
        return DECONV_DEVICE_GPU;
    return DECONV_DEVICE_OTHER;
}

static void describe(const cl_api *api, candidate *c)
{
    deconv_device_info *info = &c->info;
    cl_device_type type = 0;
    cl_uint units = 0;
    cl_ulong memory = 0, allocation = 0;
    unsigned major = 0, minor = 0;

    deconv_device_info_init(info);
    device_text(api, c->id, CL_DEVICE_NAME, info->name, sizeof info->name);
    device_text(api, c->id, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    device_text(api, c->id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    device_text(api, c->id, CL_DEVICE_VERSION, info->version, sizeof info->version);
    platform_text(api, c->platform, CL_PLATFORM_NAME, info->platform, sizeof info->platform);
    platform_text(api, c->platform, CL_PLATFORM_VERSION, c->platform_version,
                  sizeof c->platform_version);
    api->GetDeviceInfo(c->id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    api->GetDeviceInfo(c->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    api->GetDeviceInfo(c->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
    api->GetDeviceInfo(c->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof allocation, &allocation, NULL);
    c->renderer = starts_with(info->name, "llvmpipe") || starts_with(info->name, "softpipe") ||
                  starts_with(info->name, "swrast");
    info->kind = kind_of(type, c->renderer);
    info->compute_units = units;
    info->global_memory = memory;
    info->max_allocation = allocation;
    if (sscanf(info->version, "OpenCL %u.%u", &major, &minor) != 2 || major < 1 ||
        (major == 1 && minor < 2))
        snprintf(c->refusal, sizeof c->refusal, "it speaks %.40s; 1.2 or later is needed",
                 info->version[0] ? info->version : "no known version of OpenCL");
}

/* ---- All of them ---- */

static deconv_status add_devices(deconv_ctx *ctx, const cl_api *api, cl_platform_id platform,
                                 candidates *found)
{
    cl_uint count = 0;
    cl_device_id *ids = NULL;
    candidate *longer = NULL;
    deconv_status status = DECONV_OK;

    /* A platform without devices says CL_DEVICE_NOT_FOUND (Mesa's Clover, a driver whose card is
     * missing): not a failure as long as some other platform has one. */
    if (api->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) != CL_SUCCESS ||
        count == 0)
        goto done;
    TRY_ALLOC(ids, ctx, count);
    if (api->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL) != CL_SUCCESS)
        goto done;
    TRY_ALLOC(longer, ctx, found->count + count);
    if (found->count > 0)
        memcpy(longer, found->list, found->count * sizeof *longer);
    mem_free(ctx, found->list);
    found->list = longer;
    for (cl_uint i = 0; i < count; i++) {
        candidate *c = &found->list[found->count];

        if (!says_yes(api, ids[i], CL_DEVICE_AVAILABLE) ||
            !says_yes(api, ids[i], CL_DEVICE_COMPILER_AVAILABLE))
            continue;
        c->platform = platform;
        c->id = ids[i];
        describe(api, c);
        found->count++;
    }
done:
    mem_free(ctx, ids);
    return status;
}

deconv_status candidates_find(deconv_ctx *ctx, const cl_api *api, candidates *out)
{
    cl_platform_id *platforms = NULL;
    cl_uint count = 0;
    size_t chosen;
    deconv_status status = DECONV_OK;

    *out = (candidates){0};
    /* With no driver installed loaders answer CL_PLATFORM_NOT_FOUND_KHR, or success and 0. */
    if (api->GetPlatformIDs(0, NULL, &count) != CL_SUCCESS || count == 0)
        FAIL(ctx, DECONV_ERROR_NO_DEVICE, "%s (the loader finds no driver)",
             deconv_device_advice());
    TRY_ALLOC(platforms, ctx, count);
    TRY_CL(ctx, api, GetPlatformIDs, (count, platforms, NULL), "%u platforms", (unsigned)count);
    for (cl_uint i = 0; i < count; i++)
        TRY(add_devices(ctx, api, platforms[i], out));
    if (out->count == 0)
        FAIL(ctx, DECONV_ERROR_NO_DEVICE, "%s (the %u drivers installed find none they can use)",
             deconv_device_advice(), (unsigned)count);
done:
    mem_free(ctx, platforms);
    if (status != DECONV_OK)
        candidates_free(ctx, out);
    else if (candidates_choose(NULL, out, NULL, &chosen) == DECONV_OK)
        out->list[chosen].info.is_default = 1;
    return status;
}

void candidates_free(deconv_ctx *ctx, candidates *found)
{
    mem_free(ctx, found->list);
    *found = (candidates){0};
}

/* ---- The choice ---- */

static const char *kind_name(deconv_device_kind kind)
{
    return kind == DECONV_DEVICE_GPU ? "gpu" : kind == DECONV_DEVICE_CPU ? "cpu" : "other";
}

/* "0: NAME (cpu), 1: ..." */
static void list_devices(const candidates *found, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < found->count && length < size; i++) {
        const candidate *c = &found->list[i];
        int n = snprintf(text + length, size - length, "%s%zu: %s (%s)", i > 0 ? ", " : "", i,
                         c->info.name, kind_name(c->info.kind));

        length += n > 0 ? (size_t)n : 0;
    }
}

/* Smaller is better: a GPU, a CPU, a renderer on the CPU (several times slower than a CPU driver
 * made for computing), anything else. */
static int rank_of(const candidate *c)
{
    if (c->info.kind == DECONV_DEVICE_GPU)
        return 0;
    if (c->info.kind == DECONV_DEVICE_CPU)
        return c->renderer ? 2 : 1;
    return 3;
}

static bool matches_kind(const candidate *c, const char *wanted)
{
    return strcmp(wanted, kind_name(c->info.kind)) == 0;
}

static bool contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;

        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* The best-ranked usable device, of the kind `kind` unless that is NULL; found->count without one.
 */
static size_t best_device(const candidates *found, const char *kind)
{
    size_t best = found->count;

    for (size_t i = 0; i < found->count; i++) {
        const candidate *c = &found->list[i];

        if (c->refusal[0] || (kind && !matches_kind(c, kind)))
            continue;
        if (best == found->count || rank_of(c) < rank_of(&found->list[best]))
            best = i;
    }
    return best;
}

/* The device's own name counts before its platform and version ("pocl" is in PoCL's version only).
 */
static size_t named_device(const candidates *found, const char *name)
{
    for (size_t i = 0; i < found->count; i++) {
        if (contains(found->list[i].info.name, name))
            return i;
    }
    for (size_t i = 0; i < found->count; i++) {
        if (contains(found->list[i].info.platform, name) ||
            contains(found->list[i].info.version, name))
            return i;
    }
    return found->count;
}

static bool is_number(const char *text)
{
    return text[0] && text[strspn(text, "0123456789")] == '\0';
}

deconv_status candidates_choose(deconv_ctx *ctx, const candidates *found, const char *wanted,
                                size_t *index)
{
    const char *from = "";
    char list[768];
    size_t chosen;
    deconv_status status = DECONV_OK;

    if (!wanted) {
        wanted = getenv("DECONV_DEVICE");
        from = "DECONV_DEVICE: ";
    }
    list_devices(found, list, sizeof list);
    if (!wanted || !wanted[0]) {
        chosen = best_device(found, NULL);
        if (chosen == found->count)
            FAIL(ctx, DECONV_ERROR_NO_DEVICE,
                 "no OpenCL device can be used (%s: %s); there are: %s", found->list[0].info.name,
                 found->list[0].refusal, list);
    } else if (is_number(wanted)) {
        unsigned long long number = strtoull(wanted, NULL, 10);

        if (number >= found->count)
            FAIL(ctx, DECONV_ERROR_NOT_FOUND, "%sthere is no OpenCL device %s; there are: %s", from,
                 wanted, list);
        chosen = (size_t)number;
    } else if (strcmp(wanted, "cpu") == 0 || strcmp(wanted, "gpu") == 0) {
        chosen = best_device(found, wanted);
        if (chosen == found->count)
            FAIL(ctx, DECONV_ERROR_NO_DEVICE,
                 "%sno OpenCL device of kind \"%s\" can be used; there are: %s", from, wanted,
                 list);
    } else {
        chosen = named_device(found, wanted);
        if (chosen == found->count)
            FAIL(ctx, DECONV_ERROR_NO_DEVICE,
                 "%sno OpenCL device has \"%s\" in its name; there are: %s", from, wanted, list);
    }
    if (found->list[chosen].refusal[0])
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED, "%sOpenCL device %zu, %s, cannot be used: %s", from,
             chosen, found->list[chosen].info.name, found->list[chosen].refusal);
    *index = chosen;
done:
    return status;
}

/* ---- Without a context ---- */

static deconv_status with_devices(cl_api *api, candidates *found)
{
    deconv_status status = cl_api_open(NULL, api);

    return status == DECONV_OK ? candidates_find(NULL, api, found) : status;
}

deconv_status deconv_device_count(uint32_t *count)
{
    cl_api api = {0};
    candidates found = {0};
    deconv_status status;

    if (!count)
        return DECONV_ERROR_INVALID;
    status = with_devices(&api, &found);
    *count = (uint32_t)found.count;
    candidates_free(NULL, &found);
    cl_api_close(&api);
    return status;
}

deconv_status deconv_device_get(uint32_t index, deconv_device_info *info)
{
    cl_api api = {0};
    candidates found = {0};
    deconv_status status;

    if (!info)
        return DECONV_ERROR_INVALID;
    TRY(with_devices(&api, &found));
    if (index >= found.count)
        FAIL(NULL, DECONV_ERROR_NOT_FOUND, "no device %u", (unsigned)index);
    TRY(options_write(NULL, info, &found.list[index].info, sizeof *info, "deconv_device_info"));
done:
    candidates_free(NULL, &found);
    cl_api_close(&api);
    return status;
}
