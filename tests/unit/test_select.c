/* Which device is taken, on made-up machines: the functions that OpenCL would answer are stand-ins.
 */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "opencl/select.h"

typedef struct fake_device {
    const char *name;
    cl_device_type type;
    const char *version;
    bool unavailable, no_compiler;
} fake_device;

typedef struct fake_platform {
    const char *name;
    cl_uint count;
    fake_device device[4];
} fake_platform;

/* The machine of the running test: OpenCL's functions have no argument that could lead to it. */
static const fake_platform *machine;
static cl_uint machine_platforms;

static cl_int answer(const void *from, size_t from_size, size_t size, void *to)
{
    if (size < from_size)
        return CL_INVALID_VALUE;
    memcpy(to, from, from_size);
    return CL_SUCCESS;
}

static cl_int answer_text(const char *text, size_t size, void *to)
{
    return answer(text, strlen(text) + 1, size, to);
}

static cl_int CL_API_CALL get_platforms(cl_uint room, cl_platform_id *ids, cl_uint *count)
{
    if (machine_platforms == 0)
        return -1001; /* CL_PLATFORM_NOT_FOUND_KHR */
    if (count)
        *count = machine_platforms;
    for (cl_uint i = 0; ids && i < room; i++)
        ids[i] = (cl_platform_id)(uintptr_t)&machine[i];
    return CL_SUCCESS;
}

static cl_int CL_API_CALL get_platform(cl_platform_id id, cl_platform_info what, size_t size,
                                       void *value, size_t *needed)
{
    const fake_platform *p = (const fake_platform *)id;

    (void)needed;
    return answer_text(what == CL_PLATFORM_NAME ? p->name : "OpenCL 3.0", size, value);
}

static cl_int CL_API_CALL get_devices(cl_platform_id id, cl_device_type type, cl_uint room,
                                      cl_device_id *ids, cl_uint *count)
{
    const fake_platform *p = (const fake_platform *)id;

    assert_true(type == CL_DEVICE_TYPE_ALL);
    if (p->count == 0)
        return CL_DEVICE_NOT_FOUND;
    if (count)
        *count = p->count;
    for (cl_uint i = 0; ids && i < room; i++)
        ids[i] = (cl_device_id)(uintptr_t)&p->device[i];
    return CL_SUCCESS;
}

static cl_int CL_API_CALL get_device(cl_device_id id, cl_device_info what, size_t size, void *value,
                                     size_t *needed)
{
    const fake_device *d = (const fake_device *)id;
    const cl_bool available = !d->unavailable, compiler = !d->no_compiler;
    const cl_uint units = 4;
    const cl_ulong memory = 1 << 30;

    (void)needed;
    switch (what) {
    case CL_DEVICE_NAME:
        return answer_text(d->name, size, value);
    case CL_DEVICE_VERSION:
        return answer_text(d->version, size, value);
    case CL_DEVICE_TYPE:
        return answer(&d->type, sizeof d->type, size, value);
    case CL_DEVICE_AVAILABLE:
        return answer(&available, sizeof available, size, value);
    case CL_DEVICE_COMPILER_AVAILABLE:
        return answer(&compiler, sizeof compiler, size, value);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return answer(&units, sizeof units, size, value);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return answer(&memory, sizeof memory, size, value);
    default:
        return CL_INVALID_VALUE; /* a driver need not answer everything */
    }
}

static const cl_api api = {.GetPlatformIDs = get_platforms,
                           .GetPlatformInfo = get_platform,
                           .GetDeviceIDs = get_devices,
                           .GetDeviceInfo = get_device};

static deconv_status find(deconv_ctx *ctx, const fake_platform *platforms, cl_uint count,
                          candidates *found)
{
    machine = platforms;
    machine_platforms = count;
    return candidates_find(ctx, &api, found);
}

/* The name of the device that `wanted` leads to; the message when it leads to none. */
static const char *chosen(deconv_ctx *ctx, const fake_platform *platforms, cl_uint count,
                          const char *wanted)
{
    static char name[1024];
    candidates found;
    size_t index;

    if (find(ctx, platforms, count, &found) == DECONV_OK &&
        candidates_choose(ctx, &found, wanted, &index) == DECONV_OK) {
        for (size_t i = 0; i < found.count && !wanted; i++)
            assert_int_equal(found.list[i].info.is_default, i == index);
        snprintf(name, sizeof name, "%s", found.list[index].info.name);
    } else {
        snprintf(name, sizeof name, "%s", deconv_ctx_message(ctx));
    }
    candidates_free(ctx, &found);
    return name;
}

static void expect_refusal(const char *message, const char *part)
{
    if (!strstr(message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, message);
}

#define CPU CL_DEVICE_TYPE_CPU
#define GPU CL_DEVICE_TYPE_GPU

static const fake_platform workstation[] = {
    {"Portable Computing Language",
     1,
     {{"pthread-znver3", CPU | CL_DEVICE_TYPE_DEFAULT, "OpenCL 3.0 PoCL HSTR", false, false}}},
    {"Empty", 0, {{NULL, 0, NULL, false, false}}},
    {"rusticl", 1, {{"llvmpipe (LLVM 15)", GPU, "OpenCL 3.0", false, false}}},
    {"Vendor",
     4,
     {{"Broken One", GPU, "OpenCL 3.0", true, false},
      {"Binaries Only", GPU, "OpenCL 3.0", false, true},
      {"Great Graphics 7", GPU, "OpenCL 1.2 vendor", false, false},
      {"Great Graphics 8", GPU, "OpenCL 3.0 vendor", false, false}}},
    {"Clover", 1, {{"Old Graphics", GPU, "OpenCL 1.1 Mesa 22.3.6", false, false}}},
};
#define WORKSTATION workstation, 5

static void unusable_devices_are_left_out(void **state)
{
    const char *const names[] = {"pthread-znver3", "llvmpipe (LLVM 15)", "Great Graphics 7",
                                 "Great Graphics 8", "Old Graphics"};
    const deconv_device_kind kinds[] = {DECONV_DEVICE_CPU, DECONV_DEVICE_CPU, DECONV_DEVICE_GPU,
                                        DECONV_DEVICE_GPU, DECONV_DEVICE_GPU};
    candidates found;

    assert_int_equal(find(*state, WORKSTATION, &found), DECONV_OK);
    assert_int_equal(found.count, 5);
    for (size_t i = 0; i < found.count; i++) {
        assert_string_equal(found.list[i].info.name, names[i]);
        assert_int_equal(found.list[i].info.kind, kinds[i]);
        assert_int_equal(found.list[i].info.is_default, i == 2);
    }
    candidates_free(*state, &found);
}

static void gpu_goes_before_cpu(void **state)
{
    static const fake_platform laptop[] = {
        {"Mesa", 1, {{"llvmpipe (LLVM 15)", GPU, "OpenCL 3.0", false, false}}},
        {"PoCL", 1, {{"pthread", CPU, "OpenCL 3.0", false, false}}},
    };
    static const fake_platform board[] = {
        {"DSP", 1, {{"dsp", CL_DEVICE_TYPE_ACCELERATOR, "OpenCL 1.2", false, false}}},
        {"Mesa", 1, {{"llvmpipe (LLVM 15)", CPU, "OpenCL 3.0", false, false}}},
    };

    assert_string_equal(chosen(*state, WORKSTATION, NULL), "Great Graphics 7");
    assert_string_equal(chosen(*state, laptop, 2, NULL), "pthread");
    assert_string_equal(chosen(*state, board, 2, NULL), "llvmpipe (LLVM 15)");
    assert_string_equal(chosen(*state, board, 1, NULL), "dsp");
}

static void devices_are_named(void **state)
{
    assert_string_equal(chosen(*state, WORKSTATION, "cpu"), "pthread-znver3");
    assert_string_equal(chosen(*state, WORKSTATION, "gpu"), "Great Graphics 7");
    assert_string_equal(chosen(*state, WORKSTATION, "3"), "Great Graphics 8");
    assert_string_equal(chosen(*state, WORKSTATION, "great"), "Great Graphics 7");
    assert_string_equal(chosen(*state, WORKSTATION, "GRAPHICS 8"), "Great Graphics 8");
    assert_string_equal(chosen(*state, WORKSTATION, "LLVM"), "llvmpipe (LLVM 15)");
    /* Only where no device has it in its name: platform and version. */
    assert_string_equal(chosen(*state, WORKSTATION, "rusticl"), "llvmpipe (LLVM 15)");
    assert_string_equal(chosen(*state, WORKSTATION, "pocl"), "pthread-znver3");
}

static void refusals_say_why(void **state)
{
    deconv_ctx *ctx = *state;

    expect_refusal(chosen(ctx, WORKSTATION, "5"), "there is no OpenCL device 5; there are: 0: pth");
    expect_refusal(chosen(ctx, WORKSTATION, "5"), "4: Old Graphics (gpu)");
    expect_refusal(chosen(ctx, WORKSTATION, "4"), "OpenCL device 4, Old Graphics, cannot be used");
    expect_refusal(chosen(ctx, WORKSTATION, "old"), "OpenCL 1.1 Mesa 22.3.6; 1.2 or later");
    expect_refusal(chosen(ctx, WORKSTATION, "tpu"), "no OpenCL device has \"tpu\" in its name");
    expect_refusal(chosen(ctx, workstation, 1, "gpu"), "no OpenCL device of kind \"gpu\"");
    expect_refusal(chosen(ctx, workstation + 4, 1, NULL), "Old Graphics: it speaks OpenCL 1.1");
    expect_refusal(chosen(ctx, workstation + 4, 1, "gpu"), "no OpenCL device of kind \"gpu\"");
    expect_refusal(chosen(ctx, workstation + 1, 1, NULL), deconv_device_advice());
    expect_refusal(chosen(ctx, NULL, 0, NULL), deconv_device_advice());
}

static void failures_are_named(void **state)
{
    deconv_ctx *ctx = *state;

    assert_int_equal(cl_failed(ctx, CL_OUT_OF_RESOURCES, "clX", "kernel %s", "k"),
                     DECONV_ERROR_DEVICE);
    assert_string_equal(deconv_ctx_message(ctx), "clX: CL_OUT_OF_RESOURCES (-5): kernel k");
    assert_int_equal(cl_failed(ctx, CL_MEM_OBJECT_ALLOCATION_FAILURE, "clX", "%d bytes", 7),
                     DECONV_ERROR_NO_MEMORY);
    assert_string_equal(deconv_ctx_message(ctx),
                        "no memory: clX: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4): 7 bytes");
    assert_int_equal(cl_failed(ctx, CL_OUT_OF_HOST_MEMORY, "clX", "x"), DECONV_ERROR_NO_MEMORY);
    assert_int_equal(cl_failed(ctx, -9999, "clX", "x"), DECONV_ERROR_DEVICE);
    assert_string_equal(deconv_ctx_message(ctx), "clX: unknown OpenCL code (-9999): x");
}

static int set_up(void **state)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx;

    options.cache_dir = "";
    assert_int_equal(deconv_ctx_create(&options, &ctx), DECONV_OK);
    unsetenv("DECONV_DEVICE"); /* it would choose on the made-up machines too */
    *state = ctx;
    return 0;
}

static int tear_down(void **state)
{
    deconv_ctx_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unusable_devices_are_left_out),
        cmocka_unit_test(gpu_goes_before_cpu),
        cmocka_unit_test(devices_are_named),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(failures_are_named),
    };

    return cmocka_run_group_tests_name("select", tests, set_up, tear_down);
}
