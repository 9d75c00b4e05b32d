/* Windows of signals. An inverse pass from single units is zero outside their receptive fields, so
 * it may carry those alone: every signal is a batch of equally large windows, one a seed, cut out
 * of the whole map around where the seed sends it.
 *
 * All windows of one value have the same size, and where one begins depends on its seed's position
 * alone, row by row and column by column. A convolution moves them all alike, so that their batch
 * is one problem of one geometry: an ordinary convolution without padding. Windows may reach past
 * the border of the map; signals are zero there. */
#ifndef DECONV_LIB_WINDOW_H
#define DECONV_LIB_WINDOW_H

#include "tensor.h"

/* Where the windows of a value lie, along height and width: the window of a seed begins at table[p]
 * times `jump` plus `offset`, p being the seed's position along that axis, and has `size`
 * positions. A whole map is a window of jump and offset 0. */
typedef struct window_frame {
    int32_t jump[2], offset[2], size[2];
    const int32_t *table[2]; /* NULL: p itself */
    int32_t turned;          /* height goes by the seed's column and width by its row */
    int32_t first;           /* see placed_frame; known once a pass is planned */
} window_frame;

/* Where a window begins that is to hold nothing: so far outside the map that what convolutions make
 * of it does not come back. If it does, it holds zeros. */
#define FRAME_NOWHERE (-(1 << 16))

/* What frames take their tables from, and what becomes of them. */
typedef struct frame_tables {
    deconv_ctx *ctx;
    int64_t seeds[2]; /* positions that a seed may have */
    int32_t **table;
    int count, room;
} frame_tables;

/* A table for positions along `axis` of the seeds' layer, to be filled. */
deconv_status frame_tables_add(frame_tables *t, int axis, int32_t **out);
void frame_tables_free(frame_tables *t);

/* The whole of a map of shape (N, C, H, W) or (N, C, W). */
window_frame frame_whole(const shape *map);
bool frame_is_whole(const window_frame *f);
bool frame_equal(const window_frame *a, const window_frame *b);
/* Where the window of a seed begins along `axis`; `at`: the seed's row or column, as frame_by()
 * says.
 */
int64_t frame_begin(const window_frame *f, int axis, int64_t at);
int frame_by(const window_frame *f, int axis);
/* Smallest frame that holds what both have of a map of shape `map`; the whole map where one of them
 * is, where they go by different axes, or where a window would be about as large. */
deconv_status frame_union(frame_tables *t, const window_frame *a, const window_frame *b,
                          const shape *map, window_frame *out);
window_frame frame_clip(const window_frame *f, const shape *map);
/* Windows that begin at multiples of `step`, but for a constant, and hold those of `f`. */
deconv_status frame_align(frame_tables *t, const window_frame *f, const int32_t step[2],
                          window_frame *out);
/* (count, ..., h, w), or (count, C, w): the shape of `count` windows of a value of shape `map`,
 * which may have any other rank where the windows are whole. */
deconv_status frame_shape(deconv_ctx *ctx, const window_frame *f, const shape *map, int64_t count,
                          shape *out);
/* Height of a map; 1 for (N, C, W). Its channels may be grouped: (N, G, C / G, H, W). */
int64_t map_height(const shape *map);
int64_t map_width(const shape *map);
int64_t map_channels(const shape *map);

/* A frame as kernels read it. Window s of a batch begins at origins[first + s]; where there are no
 * origins it is the whole map. */
typedef struct placed_frame {
    int32_t first, size[2];
} placed_frame;

placed_frame frame_placed(const window_frame *f);

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
    int64_t count;                /* the signals' first dimension */
    const buffer *seeds;          /* [count] window_seed */
    const buffer *origins;        /* int2: where windows begin (placed_frame) */
    const window_frame *out, *in; /* of each output's signal; of each input's */
    signal_spread spread;         /* of output 0's signal */
    const buffer *units; /* [count] int: the seeds' channels; where spread is not ANYWHERE */
    void *plan;          /* what class->plan_windows made */
} windows;

#endif
