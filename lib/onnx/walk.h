/* Walks over several tensors at once in row-major order of a common index space: how every folded
 * operator finds its elements. No element types here. */
#ifndef DECONV_LIB_ONNX_WALK_H
#define DECONV_LIB_ONNX_WALK_H

#include "../tensor.h"

#define WALK_TENSORS 3
#define WALK_RANK    (2 * DECONV_MAX_RANK) /* Tile has two dimensions for each of a tensor */

/* offset[t] is the element of tensor t at the current index. Zeroed but for what the user sets:
 * rank, dim, stride (of each tensor along each dimension) and the offsets to start from. */
typedef struct walk {
    int rank;
    int64_t dim[WALK_RANK];
    int64_t stride[WALK_TENSORS][WALK_RANK];
    int64_t offset[WALK_TENSORS];
    int64_t at[WALK_RANK];
} walk;

/* Number of indices. */
int64_t walk_count(const walk *w);
/* To the next index; after the last one, back to the first. */
void walk_next(walk *w);

/* Strides of a dense row-major tensor. */
void strides_dense(const shape *s, int64_t *stride);
/* Strides of a dense tensor seen as the larger shape `to` that it broadcasts to: 0 along dimensions
 * where it repeats. */
void strides_broadcast(const shape *from, const shape *to, int64_t *stride);

#endif
