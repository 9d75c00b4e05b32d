/* The .cl files of cl/, put into the library by cmake/EmbedKernels.cmake. */
#ifndef DECONV_LIB_OPENCL_EMBEDDED_H
#define DECONV_LIB_OPENCL_EMBEDDED_H

#include <stddef.h>

typedef struct embedded_kernel {
    const char *name; /* "pool.cl"; NULL ends the table */
    const unsigned char *text;
    const size_t *size;
} embedded_kernel;

extern const embedded_kernel embedded_kernels[];

#endif
