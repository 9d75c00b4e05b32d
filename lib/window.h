/* Windows of signals. An inverse pass from single units is zero outside their receptive fields, so
 * it may carry those alone: every signal is a batch of equally large windows, one a seed, cut out
 * of the whole map around where the seed sends it.
 *
 * All windows of one value lie at the same place relative to their seeds, so that their batch is
 * one problem of one geometry: a convolution over windows is an ordinary convolution without
 * padding. Windows may reach past the border of the map; signals are zero there. */
#ifndef DECONV_LIB_WINDOW_H
#define DECONV_LIB_WINDOW_H

#include "tensor.h"

/* Where the windows of a value lie, along height and width: window s begins at seed s's position
 * times `jump` plus `offset` and has `size` positions. A whole map is a window of jump and offset
 * 0. Kernels have the same struct. */
typedef struct window_frame {
    int32_t jump[2], offset[2], size[2];
} window_frame;

/* The whole of a map of shape (N, C, H, W) or (N, C, W). */
window_frame frame_whole(const shape *map);
bool frame_is_whole(const window_frame *f);
bool frame_equal(const window_frame *a, const window_frame *b);
/* Smallest frame that holds both on a map of shape `map`; the whole map where they do not move
 * together, or where a window would be about as large. */
window_frame frame_union(const window_frame *a, const window_frame *b, const shape *map);
window_frame frame_clip(const window_frame *f, const shape *map);
/* (count, C, h, w), or (count, C, w): the shape of `count` windows of a value of shape `map`, which
 * may have any other rank where the windows are whole. */
deconv_status frame_shape(deconv_ctx *ctx, const window_frame *f, const shape *map, int64_t count,
                          shape *out);
/* Height of a map; 1 for (N, C, W). */
int64_t map_height(const shape *map);
int64_t map_width(const shape *map);

/* One seed as kernels read it: int4. */
typedef struct window_seed {
    int32_t item; /* picture of the trace's batch */
    int32_t y, x; /* position in the layer that the pass starts from */
    int32_t to;   /* which projection it is */
} window_seed;

/* How far a seed's signal has come at some value: it is still one cell of one channel, still in the
 * channel that it started in, or anywhere. */
typedef enum signal_spread { IN_CELL, IN_CHANNEL, ANYWHERE } signal_spread;

/* What an operator is told about the windows it works on. */
typedef struct windows {
    int64_t count;        /* the signals' first dimension */
    const buffer *seeds;  /* [count] window_seed */
    window_frame out, in; /* of the output's signal; of the inputs' signals */
    signal_spread spread; /* of the output's signal */
    const buffer *units;  /* [count] int: the seeds' channels; where spread is not ANYWHERE */
    void *plan;           /* what class->plan_windows made */
} windows;

#endif
