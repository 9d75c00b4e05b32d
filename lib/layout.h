/* Layouts of the maps inside a network (tensor.h), and moving maps between layouts and windows. */
#ifndef DECONV_LIB_LAYOUT_H
#define DECONV_LIB_LAYOUT_H

#include "window.h"

/* Maps of one value on their way between two layouts, two frames, or both. */
typedef struct mover {
    kernel *kernel;
    int64_t channels;
    int to_block;
} mover;

/* Maps of `channels` channels from blocks of `from` to blocks of `to`. */
deconv_status mover_create(deconv_ctx *ctx, int64_t channels, int from, int to, mover *out);
void mover_release(mover *m);

/* Enqueues `count` whole maps of shape `map`, added to what is there or in its place. */
deconv_status mover_run(const mover *m, const shape *map, const buffer *from, const buffer *to,
                        bool add);
/* The same for windows; `numbered`: each to the place that its seed names. */
deconv_status mover_run_windows(const mover *m, const windows *w, const window_frame *from_frame,
                                const buffer *from, const window_frame *to_frame, const buffer *to,
                                bool add, bool numbered);

/* One item of maps (C, ...) in blocks of `block` as the row-major values they stand for. */
void unblock(const float *blocked, int64_t channels, int64_t size, int block, float *values);

#endif
