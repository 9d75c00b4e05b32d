/* The OpenCL functions we call, looked up at run time: the library is never linked against a
 * loader, so that a machine without one gets a message and not a failing start. */
#ifndef DECONV_LIB_OPENCL_LOADER_H
#define DECONV_LIB_OPENCL_LOADER_H

#define CL_TARGET_OPENCL_VERSION 120
#if defined(__APPLE__)
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif

#include "opencl.h"

/* All of OpenCL 1.2, or older. */
#define CL_FUNCTIONS(X)                                                                            \
    X(GetPlatformIDs)                                                                              \
    X(GetPlatformInfo)                                                                             \
    X(GetDeviceIDs)                                                                                \
    X(GetDeviceInfo)                                                                               \
    X(CreateContext)                                                                               \
    X(ReleaseContext)                                                                              \
    X(CreateCommandQueue)                                                                          \
    X(ReleaseCommandQueue)                                                                         \
    X(Flush)                                                                                       \
    X(Finish)                                                                                      \
    X(CreateBuffer)                                                                                \
    X(CreateSubBuffer)                                                                             \
    X(ReleaseMemObject)                                                                            \
    X(EnqueueReadBuffer)                                                                           \
    X(EnqueueWriteBuffer)                                                                          \
    X(EnqueueCopyBuffer)                                                                           \
    X(EnqueueFillBuffer)                                                                           \
    X(EnqueueMapBuffer)                                                                            \
    X(EnqueueUnmapMemObject)                                                                       \
    X(EnqueueNDRangeKernel)                                                                        \
    X(CreateProgramWithSource)                                                                     \
    X(CreateProgramWithBinary)                                                                     \
    X(BuildProgram)                                                                                \
    X(GetProgramInfo)                                                                              \
    X(GetProgramBuildInfo)                                                                         \
    X(ReleaseProgram)                                                                              \
    X(CreateKernel)                                                                                \
    X(GetKernelInfo)                                                                               \
    X(SetKernelArg)                                                                                \
    X(ReleaseKernel)                                                                               \
    X(GetEventInfo)                                                                                \
    X(GetEventProfilingInfo)                                                                       \
    X(ReleaseEvent)

typedef struct cl_api {
    void *library;
#define MEMBER(name) __typeof__(&cl##name) name;
    CL_FUNCTIONS(MEMBER)
#undef MEMBER
} cl_api;

/* DECONV_ERROR_NO_DEVICE without a loader; `ctx` may be NULL: then there is no message. */
deconv_status cl_api_open(deconv_ctx *ctx, cl_api *api);
void cl_api_close(cl_api *api);

/* "CL_OUT_OF_RESOURCES"; "unknown OpenCL code" where the code has no name. */
const char *cl_code_name(cl_int code);

/* Raises a failed call: "clCreateBuffer: CL_INVALID_VALUE (-30): DETAIL". Codes that mean that
 * memory ran out become DECONV_ERROR_NO_MEMORY, the rest DECONV_ERROR_DEVICE. */
deconv_status cl_failed(deconv_ctx *ctx, cl_int code, const char *call, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Fails the calling function when api->NAME(...) does; what follows the arguments, in brackets of
 * their own, is the detail, printf style. */
#define TRY_CL(ctx, api, name, arguments, ...)                                                     \
    do {                                                                                           \
        cl_int code_ = (api)->name arguments;                                                      \
        if (code_ != CL_SUCCESS) {                                                                 \
            status = cl_failed((ctx), code_, "cl" #name, __VA_ARGS__);                             \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

#endif
