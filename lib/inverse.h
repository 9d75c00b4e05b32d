/* One pass back from a layer to a network input, planned once and run many times. */
#ifndef DECONV_LIB_INVERSE_H
#define DECONV_LIB_INVERSE_H

#include "trace.h"

/* One node's part of the way back. */
typedef struct inverse_step {
    int node;
    bool shares;               /* the signal passes unchanged and in place: nothing runs */
    const tensor **signal_out; /* [n_out] */
    tensor **signal_in;        /* [n_in] what the node writes; NULL where nothing is wanted */
    tensor **add_to;           /* [n_in] where a value has several consumers: the sum so far */
} inverse_step;

typedef struct inverse {
    deconv_ctx *ctx;
    const graph *graph;
    int from, to; /* values */
    deconv_rule rule;
    uint32_t flags;
    inverse_step *step;
    int n_step;
    tensor **signal; /* [n_value] R at each value on the way, else NULL */
    tensor **extra;  /* second contributions, before they are added */
    int n_extra;
    kernel *add;
    storage storage;
} inverse;

/* Called after each step; stops the pass when it fails. */
typedef deconv_status (*inverse_watch)(const inverse *way, const inverse_step *step, void *user);

/* The way from value `from` to value `to` under a rule that the trace serves: the trace's last one,
 * or a new one in its place. */
deconv_status inverse_prepare(deconv_trace *trace, int from, int to, deconv_rule rule,
                              uint32_t flags, inverse **out);

/* Carries the signal in way->signal[from] to way->signal[to]. Enqueues only. `watch` may be NULL.
 */
deconv_status inverse_run(deconv_trace *trace, inverse *way, inverse_watch watch, void *user);

#endif
