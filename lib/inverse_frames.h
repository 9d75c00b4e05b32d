/* Which windows (window.h) a pass back carries at each value. */
#ifndef DECONV_LIB_INVERSE_FRAMES_H
#define DECONV_LIB_INVERSE_FRAMES_H

#include "inverse.h"

/* How a node's inverse takes windows: of itself, or through a twin (inverse_twin.h) for windows of
 * one frame on both sides, or for whole signals. */
typedef enum frame_kind { FRAME_OWN, FRAME_TWIN, FRAME_TWIN_WHOLE } frame_kind;

typedef struct frames {
    window_frame *value;   /* [n_value] of the signal */
    frame_kind *kind;      /* [n_node] */
    window_frame *written; /* [operands] of what nodes write for their inputs */
    int *first;            /* [n_node] of a node's operands */
    signal_spread *spread; /* [n_value] how far the signal has come */
    frame_tables tables;
} frames;

deconv_status frames_create(deconv_ctx *ctx, const graph *g, frames *out);
void frames_free(deconv_ctx *ctx, frames *f);

/* Fills in the frames from key->from down, of the values `on_way`; *yes = false where some operator
 * takes no windows. */
deconv_status frames_find(deconv_ctx *ctx, const graph *g, const inverse_key *key,
                          const bool *on_way, frames *f, bool *yes);

/* Of what node `n` writes for its input `i`. */
window_frame frames_written(const frames *f, int n, int i);

/* Numbers the frames that differ, so that kernels find where the windows of each begin when `count`
 * are carried at a time: *row lists them, that of whole maps first. */
deconv_status frames_number(deconv_ctx *ctx, const graph *g, frames *f, int64_t count,
                            window_frame **row, int *rows);
/* As many rows as that can be, at most. */
int64_t frames_most_rows(const graph *g);

/* How many of key->windows at a time: as many as are wanted, as far as memory and the kernels' ints
 * go, in rounds of about the same size. `each`: bytes of one window in all signals together,
 * `largest`: in the largest. */
int64_t frames_count(deconv_ctx *ctx, const inverse_key *key, uint64_t each, uint64_t largest);

#endif
