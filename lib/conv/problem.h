/* What a convolution algorithm has to solve: the sizes of one convolution, in both directions. The
 * ONNX attributes behind them are read in lib/ops; the algorithms of this folder see only this. */
#ifndef DECONV_LIB_CONV_PROBLEM_H
#define DECONV_LIB_CONV_PROBLEM_H

#include <stdint.h>

/* With x the input side, y the output side, k an output channel of group g, c a channel in a group:
 *
 *     forward  y[n][k][o] = sum over c, t of w[k][c][t] x[n][g C/G + c][o stride - pad + t
 * dilation] adjoint  x[n][g C/G + c][i] = sum over k of g and over t, o with o stride - pad + t
 * dilation = i of w[k][c][t] y[n][k][o]
 *
 * x is NCHW with C = in_channels, y with K = out_channels, w is [K][C/G][kernel_h][kernel_w]. A
 * transposed convolution is the adjoint of the problem whose input side is its output.
 * Index 0 of the pairs is the height, 1 the width; a 1-D problem has height 1. Every size fits an
 * int, and so does the number of elements of each tensor. */
typedef struct conv_problem {
    int64_t batch;
    int64_t in_channels, out_channels; /* of all groups together */
    int64_t groups;
    int64_t in_size[2], out_size[2];
    int64_t kernel[2], stride[2], dilation[2];
    int64_t pad[2]; /* before the first row and column; the rest follows from the sizes */
} conv_problem;

/* A 1x1 kernel that takes every position sees one long row: fewer and fuller vectors. */
conv_problem conv_problem_flat(const conv_problem *p);

/* Multiply-adds of one pass, either way. */
double conv_problem_work(const conv_problem *p);

#endif
