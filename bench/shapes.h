/* The convolutions that are compared: every distinct one of five networks. */
#ifndef DECONV_BENCH_SHAPES_H
#define DECONV_BENCH_SHAPES_H

#include "conv/problem.h"

#include <stdbool.h>

/* Square pictures, kernels and strides. */
typedef struct conv_shape {
    const char *name; /* "vgg16/conv1_2"; a shape of two networks has both names */
    int channels, filters, groups;
    int kernel, stride, pad;
    int size; /* of the input */
} conv_shape;

extern const conv_shape conv_shapes[];
extern const int conv_shape_count;

conv_problem conv_shape_problem(const conv_shape *s, int batch);
/* A network's first layer: it reads the picture. */
bool conv_shape_is_first(const conv_shape *s);
/* A 3x3 convolution of VGG-16. */
bool conv_shape_is_vgg(const conv_shape *s);
/* 3x3, stride 1, at least 128 channels on both sides: what Winograd's algorithm is for. */
bool conv_shape_suits_winograd(const conv_shape *s);

#endif
