/* Shapes, and tensors on the device. A shape of rank 0 is a scalar: it occurs inside networks only.
 */
#ifndef DECONV_LIB_TENSOR_H
#define DECONV_LIB_TENSOR_H

#include "opencl/opencl.h"

typedef struct shape {
    int rank; /* 0 to DECONV_MAX_RANK */
    int64_t dim[DECONV_MAX_RANK];
} shape;

/* Number of elements; shapes that exist were checked to have at most INT32_MAX. */
int64_t shape_count(const shape *s);
bool shape_equal(const shape *a, const shape *b);
/* "1x3x224x224", "scalar" */
const char *shape_text(const shape *s, char *text, size_t size);
#define SHAPE_TEXT 112
/* Checks `rank` sizes (each at least 1, product at most INT32_MAX) into *out; `what` names them. */
deconv_status shape_make(deconv_ctx *ctx, const char *what, const int64_t *dims, size_t rank,
                         shape *out);
/* Product of dimensions from..to-1. */
int64_t shape_span(const shape *s, int from, int to);
/* NumPy broadcasting of two shapes; false when they do not fit. */
bool shape_broadcast(const shape *a, const shape *b, shape *out);

typedef struct deconv_tensor tensor;

struct deconv_tensor {
    deconv_ctx *ctx;
    shape shape;
    buffer *data;
    int block; /* channels that lie side by side; 1: row-major, as the ABI wants it */
    /* A tensor in blocks may be some channels of a larger one: the float where its first picture
     * begins there, and floats from picture to picture. 0: a tensor of its own. Only operators that
     * say so (op_class.writes_slices) and the Concat that wants them meet such tensors. */
    int64_t from, image;
    bool borrowed; /* data belongs to somebody else: a buffer of a plan */
};

/* Inside networks maps of channels may be stored in blocks: (N, C, ...) as
 * [N][ceil(C/block)][...][block], zeros in the lanes past the last channel. This is the block that
 * a device's kernels like: 16 or 8 on CPUs, by their vectors, 1 elsewhere. */
int device_block(deconv_ctx *ctx);
/* Floats that a tensor of this shape takes in that layout. */
int64_t layout_floats(const shape *s, int block);

deconv_status tensor_create(deconv_ctx *ctx, const shape *s, const char *what, tensor **out);
/* A tensor over somebody else's buffer, which must be large enough and outlive it. */
deconv_status tensor_borrow(deconv_ctx *ctx, const shape *s, buffer *data, tensor **out);

/* A constant in host memory: weights as float32, everything else as int64. Of a large weight there
 * may be no copy in memory (data is NULL): onnx/model.h has what brings it. */
typedef struct host_tensor {
    shape shape;
    bool is_float;
    bool in_file; /* its elements lie in the model's file as they are in memory, at `offset` */
    uint64_t offset;
    union {
        float *f;
        int64_t *i;
        void *data;
    };
} host_tensor;

#endif
