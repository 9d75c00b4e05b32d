/* One pass back from a layer to a network input, planned once and run many times. A pass carries
 * whole signals of the trace's batch, or a batch of windows (window.h). */
#ifndef DECONV_LIB_INVERSE_H
#define DECONV_LIB_INVERSE_H

#include "inverse_twin.h"

/* How a signal that a node has written reaches the one it is part of. */
typedef struct delivery {
    tensor *to;         /* NULL: it was written in place */
    bool add;           /* to what other consumers sent before */
    bool plain;         /* same layout, same frame */
    window_frame frame; /* what was written */
    mover mover;
} delivery;

/* One node's part of the way back. */
typedef struct inverse_step {
    int node;
    bool shares;               /* the signal passes in place: nothing runs */
    bool rectify;              /* the Relu below is done with it */
    const tensor **signal_out; /* [n_out] */
    tensor **signal_in;        /* [n_in] what the node writes; NULL where nothing is wanted */
    delivery *delivery;        /* [n_in] */
    windows windows;           /* where the pass carries windows */
    window_frame *frames;      /* [n_out + n_in] theirs */
    twin *twin;                /* what does the node's work then; NULL: its own operator */
} inverse_step;

/* Which pass: what decides how it is planned. */
typedef struct inverse_key {
    int from, to; /* values */
    deconv_rule rule;
    uint32_t flags;
    int64_t windows; /* 0: whole signals, else how many windows at most at a time */
    bool watched;    /* every node does its own work and no more, so that it can be looked at */
} inverse_key;

typedef struct inverse {
    deconv_ctx *ctx;
    const graph *graph;
    inverse_key key;
    inverse_step *step;
    int n_step;
    tensor **signal; /* [n_value] R at each value on the way, else NULL; in the value's layout */
    tensor **extra;  /* what is delivered from */
    int n_extra;
    kernel *add;
    mover enter; /* a row-major signal into the layout of `from` */
    storage storage;

    /* Windows only. */
    int64_t count;       /* of them */
    window_frame *frame; /* [n_value] */
    frame_tables tables; /* of the frames */
    window_frame *row;   /* [rows] different frames; the first is that of whole maps */
    int rows;
    int32_t *origin; /* [rows][count][2] where the windows of the seeds at hand begin */
    twin_room room;  /* of the steps' twins */
    buffer *seeds;   /* [count] window_seed */
    buffer *origins; /* `origin` for kernels */
    buffer *units;   /* [count] int: the channel of signal[from] that each seed is in */
    buffer *values;  /* [count] what each starts with */
    kernel *plant;   /* puts them into signal[from] */
    kernel *clip;    /* clears what lies outside the maps */
    mover leave;     /* of the windows of `to`, row-major, to where they belong */
} inverse;

/* Called after each step; stops the pass when it fails. */
typedef deconv_status (*inverse_watch)(const inverse *way, const inverse_step *step, void *user);

/* Whether windows can be carried from `from` to `to`: every operator on the way must be able to. */
deconv_status inverse_takes_windows(const deconv_trace *trace, const inverse_key *key, bool *yes);

/* The way of `key`, whose rule the trace serves: one of the caller's own, or the trace's, which
 * keeps the last one. */
deconv_status inverse_create(deconv_trace *trace, const inverse_key *key, inverse **out);
deconv_status inverse_prepare(deconv_trace *trace, const inverse_key *key, inverse **out);

/* Begins a pass from `count` seeds, at most way->count, each with `values` in its unit of
 * signal[from], which is zero elsewhere. The rest of the batch repeats the last seed with zero. */
deconv_status inverse_set_seeds(inverse *way, const window_seed *seeds, const int64_t *units,
                                const float *values, int64_t count);

/* Carries the signal in way->signal[from] to way->signal[to]. Enqueues only. `watch` may be NULL.
 */
deconv_status inverse_run(deconv_trace *trace, inverse *way, inverse_watch watch, void *user);

#endif
