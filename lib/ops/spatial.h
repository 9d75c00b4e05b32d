/* Sliding windows: the attributes that Conv, ConvTranspose and the pools share, the sizes that
 * follow from them, and which positions meet through a window. 1-D runs as 2-D with height 1. */
#ifndef DECONV_LIB_SPATIAL_H
#define DECONV_LIB_SPATIAL_H

#include "op.h"

typedef enum auto_pad { PAD_EXPLICIT, PAD_VALID, PAD_SAME_UPPER, PAD_SAME_LOWER } auto_pad;

/* What the node says. Index 0 is the height, 1 the width; in 1-D the height is neutral. */
typedef struct spatial_attrs {
    int axes;          /* spatial dimensions of the tensors: 1 or 2 */
    int64_t kernel[2]; /* 0 where kernel_shape is missing */
    int64_t stride[2], dilation[2];
    int64_t pad_begin[2], pad_end[2];
    auto_pad auto_pad;
    bool ceil_mode;
} spatial_attrs;

/* One axis of a window that slides over `in` positions and stops at `out` of them. Output o and tap
 * t meet input i = o stride - pad + t dilation; taps outside 0..in-1 read padding. */
typedef struct spatial_axis {
    int64_t in, out;
    int64_t kernel, stride, dilation;
    int64_t pad, pad_end;
} spatial_axis;

/* For a ConvTranspose the roles are swapped: `in` is the size of its output. */
typedef struct spatial {
    int axes;
    spatial_axis axis[2];
} spatial;

/* Along one axis, the padded size and what a window spans stay within SPATIAL_MAX, strides within
 * SPATIAL_MAX_STRIDE: then int arithmetic in kernels cannot overflow. Taps stay within
 * SPATIAL_MAX_TAPS, as some loops run over them. */
#define SPATIAL_MAX        ((int64_t)1 << 30)
#define SPATIAL_MAX_STRIDE ((int64_t)1 << 26)
#define SPATIAL_MAX_TAPS   ((int64_t)1 << 24)

/* Reads kernel_shape, strides, dilations, pads, auto_pad and ceil_mode for the rank of input 0,
 * which must have one or two spatial dimensions. */
deconv_status spatial_read(const op *op, spatial_attrs *attrs);
/* `count` values of attribute `name`, one for each spatial dimension, each from `least` to
 * SPATIAL_MAX; `otherwise` in all of `list` where the attribute is missing. */
deconv_status spatial_read_list(const op *op, int axes, const char *name, int64_t least,
                                int64_t otherwise, int64_t list[2]);
/* Takes the kernel's size from the weights (N, C, spatial...) and holds it against kernel_shape. */
deconv_status spatial_kernel_from(const op *op, const shape *weights, spatial_attrs *attrs);

/* The size of dimension `axis` (0 height, 1 width) of an N, C, spatial... shape; 1 for the height
 * in 1-D. */
int64_t spatial_size(const shape *s, int axis);
/* "height", "width", "length" */
const char *spatial_axis_name(int axes, int axis);
/* kernel positions from the first to the last tap, the gaps between them included */
int64_t spatial_extent(int64_t kernel, int64_t dilation);

/* The windows of `attrs` over an input of shape `in`: paddings of auto_pad, output sizes. */
deconv_status spatial_windows(const op *op, const spatial_attrs *attrs, const shape *in,
                              spatial *out);
/* What remains to check once sizes are known: the limits above. A stride or dilation that is never
 * taken (one output, one tap) becomes 1. */
deconv_status spatial_finish(const op *op, spatial *s);
/* Refuses windows that lie wholly in the padding. */
deconv_status spatial_check_filled(const op *op, const spatial *s);

/* ---- Which positions meet ---- */

/* from inclusive, to exclusive; empty when from >= to */
typedef struct span {
    int64_t from, to;
} span;

/* Smallest span of inputs that the outputs and taps meet, of outputs that the inputs and taps meet,
 * of taps through which outputs and inputs meet. All spans lie inside their sizes. */
span axis_inputs(const spatial_axis *a, span out, span taps);
span axis_outputs(const spatial_axis *a, span in, span taps);
span axis_taps(const spatial_axis *a, span out, span in);

/* A box with the batch and channels of `b` and, for positions, the inputs that its outputs meet, or
 * the outputs that its inputs meet, through any tap. Empty where nothing meets. */
box spatial_inputs(const spatial *s, const box *out);
box spatial_outputs(const spatial *s, const box *in);

/* The frame of the inputs, of shape `in`, that windows of outputs are computed from, paddings
 * included; false where positions would not fit an int. */
bool spatial_frame(const spatial *s, const shape *in, const window_frame *out,
                   window_frame *in_frame);

/* Dimension of an N, C, spatial... tensor that holds axis `axis`; -1 for the height in 1-D. */
int spatial_dim(const spatial *s, int axis);

#endif
