/* Opens the OpenCL loader and names its failures. Which device is taken is in select.c. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader.h"

#if !defined(RTLD_NODELETE)
#define RTLD_NODELETE 0
#endif

#if defined(__APPLE__)
static const char *const library_names[] = {"/System/Library/Frameworks/OpenCL.framework/OpenCL"};
#else
static const char *const library_names[] = {"libOpenCL.so.1", "libOpenCL.so"};
#endif

const char *deconv_device_advice(void)
{
#if defined(__APPLE__)
    return "no OpenCL device found: macOS brings OpenCL along; without a GPU, install PoCL "
           "(\"brew install pocl\") and name its loader in DECONV_OPENCL_LIBRARY";
#else
    return "no OpenCL device found: install an OpenCL loader and a driver, for the CPU "
           "ocl-icd-libopencl1 and pocl-opencl-icd (Debian, Ubuntu) or ocl-icd and pocl (Fedora, "
           "Arch), for a GPU its vendor's OpenCL driver";
#endif
}

/* Loaders are never unloaded: drivers behind them (PoCL and its LLVM, NVIDIA's) start threads and
 * register exit handlers that would run into unmapped code. With RTLD_NODELETE dlclose() gives up
 * the handle and leaves the code where it is. */
static void *open_library(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* The process itself when it has OpenCL already: the program is linked against a loader, or a tool
 * put itself in front of it with LD_PRELOAD, as Oclgrind does. */
static void *open_preloaded(void)
{
    void *library = dlopen(NULL, RTLD_NOW | RTLD_LOCAL);

    if (library && !dlsym(library, "clGetPlatformIDs")) {
        dlclose(library);
        library = NULL;
    }
    return library;
}

static deconv_status open_loader(deconv_ctx *ctx, void **library, const char **name)
{
    const char *wanted = getenv("DECONV_OPENCL_LIBRARY");

    if (wanted && wanted[0]) {
        *name = wanted;
        *library = open_library(wanted);
        if (!*library)
            return error_set(
                ctx, DECONV_ERROR_NO_DEVICE,
                "DECONV_OPENCL_LIBRARY names an OpenCL loader that cannot be loaded: %s",
                dlerror());
        return DECONV_OK;
    }
    *name = "the OpenCL loader of this program";
    *library = open_preloaded();
    if (*library)
        return DECONV_OK;
    for (size_t i = 0; i < sizeof library_names / sizeof library_names[0]; i++) {
        *name = library_names[i];
        *library = open_library(*name);
        if (*library)
            return DECONV_OK;
    }
    return error_set(ctx, DECONV_ERROR_NO_DEVICE, "%s (there is no OpenCL loader, %s)",
                     deconv_device_advice(), library_names[0]);
}

/* `function` points at a function pointer: ISO C has no cast from what dlsym() returns. */
static bool look_up(const cl_api *api, const char *symbol, void *function)
{
    void *address = dlsym(api->library, symbol);

    memcpy(function, &address, sizeof address);
    return address != NULL;
}

deconv_status cl_api_open(deconv_ctx *ctx, cl_api *api)
{
    const char *name = "";
    const char *missing = NULL;
    deconv_status status;

    memset(api, 0, sizeof *api);
    TRY(open_loader(ctx, &api->library, &name));
#define LOOK_UP(function)                                                                          \
    if (!missing && !look_up(api, "cl" #function, &api->function))                                 \
        missing = "cl" #function;
    CL_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    if (missing)
        FAIL(ctx, DECONV_ERROR_NO_DEVICE,
             "%s has no %s: it is older than OpenCL 1.2; install a newer loader "
             "(Debian: ocl-icd-libopencl1)",
             name, missing);
done:
    if (status != DECONV_OK)
        cl_api_close(api);
    return status;
}

void cl_api_close(cl_api *api)
{
    if (api->library)
        dlclose(api->library);
    api->library = NULL;
}

#define CL_PLATFORM_NOT_FOUND -1001 /* cl_khr_icd, from CL/cl_ext.h */

const char *cl_code_name(cl_int code)
{
    switch (code) {
#define NAME(code)                                                                                 \
    case code:                                                                                     \
        return #code;
        NAME(CL_SUCCESS)
        NAME(CL_DEVICE_NOT_FOUND)
        NAME(CL_DEVICE_NOT_AVAILABLE)
        NAME(CL_COMPILER_NOT_AVAILABLE)
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        NAME(CL_OUT_OF_RESOURCES)
        NAME(CL_OUT_OF_HOST_MEMORY)
        NAME(CL_PROFILING_INFO_NOT_AVAILABLE)
        NAME(CL_MEM_COPY_OVERLAP)
        NAME(CL_BUILD_PROGRAM_FAILURE)
        NAME(CL_MAP_FAILURE)
        NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET)
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        NAME(CL_COMPILE_PROGRAM_FAILURE)
        NAME(CL_LINKER_NOT_AVAILABLE)
        NAME(CL_LINK_PROGRAM_FAILURE)
        NAME(CL_DEVICE_PARTITION_FAILED)
        NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE)
        NAME(CL_INVALID_VALUE)
        NAME(CL_INVALID_DEVICE_TYPE)
        NAME(CL_INVALID_PLATFORM)
        NAME(CL_INVALID_DEVICE)
        NAME(CL_INVALID_CONTEXT)
        NAME(CL_INVALID_QUEUE_PROPERTIES)
        NAME(CL_INVALID_COMMAND_QUEUE)
        NAME(CL_INVALID_HOST_PTR)
        NAME(CL_INVALID_MEM_OBJECT)
        NAME(CL_INVALID_BINARY)
        NAME(CL_INVALID_BUILD_OPTIONS)
        NAME(CL_INVALID_PROGRAM)
        NAME(CL_INVALID_PROGRAM_EXECUTABLE)
        NAME(CL_INVALID_KERNEL_NAME)
        NAME(CL_INVALID_KERNEL_DEFINITION)
        NAME(CL_INVALID_KERNEL)
        NAME(CL_INVALID_ARG_INDEX)
        NAME(CL_INVALID_ARG_VALUE)
        NAME(CL_INVALID_ARG_SIZE)
        NAME(CL_INVALID_KERNEL_ARGS)
        NAME(CL_INVALID_WORK_DIMENSION)
        NAME(CL_INVALID_WORK_GROUP_SIZE)
        NAME(CL_INVALID_WORK_ITEM_SIZE)
        NAME(CL_INVALID_GLOBAL_OFFSET)
        NAME(CL_INVALID_EVENT_WAIT_LIST)
        NAME(CL_INVALID_EVENT)
        NAME(CL_INVALID_OPERATION)
        NAME(CL_INVALID_BUFFER_SIZE)
        NAME(CL_INVALID_GLOBAL_WORK_SIZE)
        NAME(CL_INVALID_PROPERTY)
        NAME(CL_INVALID_COMPILER_OPTIONS)
        NAME(CL_INVALID_LINKER_OPTIONS)
        NAME(CL_INVALID_DEVICE_PARTITION_COUNT)
        NAME(CL_PLATFORM_NOT_FOUND)
#undef NAME
    default:
        return "unknown OpenCL code";
    }
}

deconv_status cl_failed(deconv_ctx *ctx, cl_int code, const char *call, const char *format, ...)
{
    bool no_memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
    char detail[512] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    return error_set(ctx, no_memory ? DECONV_ERROR_NO_MEMORY : DECONV_ERROR_DEVICE,
                     "%s%s: %s (%d): %s", no_memory ? "no memory: " : "", call, cl_code_name(code),
                     (int)code, detail);
}
