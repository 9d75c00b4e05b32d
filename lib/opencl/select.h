/* The devices of all platforms in one index space, and the choice of one. */
#ifndef DECONV_LIB_OPENCL_SELECT_H
#define DECONV_LIB_OPENCL_SELECT_H

#include "loader.h"

typedef struct candidate {
    cl_platform_id platform;
    cl_device_id id;
    deconv_device_info info;
    char platform_version[128];
    bool renderer;    /* the CPU dressed up as a graphics device */
    char refusal[96]; /* why no context can be made on it; "" when one can */
} candidate;

typedef struct candidates {
    candidate *list;
    size_t count;
} candidates;

/* `ctx` may be NULL here and below: memory then comes from malloc, messages are dropped. A machine
 * without any device is DECONV_ERROR_NO_DEVICE. */
deconv_status candidates_find(deconv_ctx *ctx, const cl_api *api, candidates *out);
void candidates_free(deconv_ctx *ctx, candidates *found);

/* `wanted`: kind, index or part of a name; NULL: $DECONV_DEVICE, else the best there is. */
deconv_status candidates_choose(deconv_ctx *ctx, const candidates *found, const char *wanted,
                                size_t *index);

#endif
