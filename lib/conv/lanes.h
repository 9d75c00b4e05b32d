/* How wide the vectors of a kernel are on a device. */
#ifndef DECONV_LIB_CONV_LANES_H
#define DECONV_LIB_CONV_LANES_H

#include "../opencl/opencl.h"

/* 4, 8 or 16: the device's own width, but no wider than it takes to hold `length` elements. */
static inline int vector_lanes(deconv_ctx *ctx, int64_t length)
{
    uint32_t preferred = device_limits_of(ctx)->vector_floats;
    int lanes = preferred >= 16 ? 16 : preferred >= 8 ? 8 : 4;

    while (lanes > 4 && lanes / 2 >= length)
        lanes /= 2;
    return lanes;
}

#endif
