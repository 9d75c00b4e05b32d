/* Carrying a change of the input forward, for many places of it at once, and computing only what
 * has changed.
 *
 * A change is a box of one network input. At every value behind it, what has changed is a box too
 * (op_class.reach): its window, along height and width. Windows of many places, of one size for
 * each value, are a batch of small maps on which the operators run; what they read beside their
 * windows is the clean picture's, out of a trace. Behind an operator that needs whole maps, and
 * everything behind that, whole tensors are put together and run as an ordinary batch (tail.c).
 *
 * Every position is computed by the same sums in the same order as in a pass over whole tensors, so
 * results are the same bit for bit. */
#ifndef DECONV_LIB_ANALYSIS_WINDOWS_H
#define DECONV_LIB_ANALYSIS_WINDOWS_H

#include "../net.h"
#include "../ops/ahead.h"
#include "../trace.h"

/* ---- change.c: what becomes of a change, whatever its place ---- */

typedef enum change_state { CHANGE_NONE, CHANGE_WINDOW, CHANGE_WHOLE } change_state;

typedef struct change {
    deconv_ctx *ctx;
    const graph *graph;  /* for one picture */
    int input;           /* value that changes */
    change_state *state; /* [n_value] */
    op_ahead *how;       /* [n_node] AHEAD_WHOLE where it runs in the tail or not at all */
    bool *tail;          /* [n_node] runs in the tail */
    bool *fused;         /* [n_node] does the Relu behind it */
    bool *done_before;   /* [n_node] is such a Relu */
    bool *in_tail;       /* [n_value] whole maps of it are put together for the tail */
    bool *clean;         /* [n_value] read as it is on the clean picture */
    bool *needed;        /* [n_node] for what is wanted */
    int *row;            /* [n_value] in the table of origins; -1: no windows */
    int rows;
    bool possible; /* false: something cannot be put together for a batch of places */
} change;

/* `wanted`: values that will be read, `count` of them. */
deconv_status change_create(const graph *g, int input, const int *wanted, int count, change **out);
void change_free(change *c);

/* ---- cuts.c: windows for certain places ---- */

/* Places of one axis (rows or columns of a grid) whose windows have one size a value. */
typedef struct cut {
    int64_t count;
    int64_t *index;  /* [count] which rows or columns */
    int32_t *size;   /* [n_value] */
    int32_t *origin; /* [count * n_value] */
} cut;

typedef struct cuts {
    cut *cut;
    int count;
} cuts;

/* The windows along `axis` (0 height, 1 width) of changes that begin at from[i] and have `size`
 * positions, in at most `most` cuts. */
deconv_status cuts_create(const change *c, int axis, const int64_t *from, int64_t count,
                          int64_t size, int most, cuts *out);
void cuts_free(const change *c, cuts *k);
/* Work of the graph's convolutions by windows: of all places of two axes' cuts together, and of as
 * many passes over whole tensors. */
void cuts_work(const change *c, const cuts *rows, const cuts *columns, double *windows,
               double *whole);

/* ---- gather.c: maps out of windows and clean maps ---- */

/* As cl/windows.cl has it, field for field. */
typedef struct gather_shape {
    int32_t count;
    int32_t slot, skip;
    int32_t map_h, map_w;
    int32_t window_h, window_w;
    int32_t to_h, to_w;
    int32_t step_h, step_w;
    int32_t shift_h, shift_w;
    int32_t window_row, to_row;
    int32_t pitch;
    int32_t channels;
    int32_t first, taken;
    int32_t to_channels, to_first;
} gather_shape;

/* Kernels for every pair of layouts, made when they are first wanted. */
typedef struct gatherer {
    deconv_ctx *ctx;
    kernel *blocks[3], *channels[3][3]; /* by layout_index() */
} gatherer;

void gatherer_free(gatherer *g);
deconv_status gather_prepare(gatherer *g, int from_block, int to_block);
deconv_status gather_run(gatherer *g, int from_block, int to_block, const gather_shape *s,
                         const buffer *base, const buffer *window, const buffer *to,
                         const buffer *origins);

/* ---- forward*.c: windows of one pair of cuts through the graph ---- */

typedef struct forward_step forward_step;

typedef struct forward {
    deconv_ctx *ctx;
    const change *change;
    const tensor *const *base; /* [n_value] as they are on the clean picture */
    const buffer *fill;        /* the input's map, changed all over */
    gatherer *gatherer;
    const cut *cut[2];
    int64_t batch;   /* places at a time */
    buffer *origins; /* [rows][batch] int2 */
    int32_t *table;  /* the same, to be filled */
    buffer **window; /* [n_value] borrowed from the storage; NULL: none */
    forward_step *step;
    int steps;
} forward;

/* Floats that windows of one place take, by lifetime; `slots` of storage for all pairs of cuts. */
deconv_status forward_storage(const change *c, const cuts *rows, const cuts *columns, int64_t batch,
                              storage *slots, span **spans, uint64_t *bytes);
deconv_status forward_create(const change *c, const tensor *const *base, const buffer *fill,
                             gatherer *gatherer, const cut *rows, const cut *columns, int64_t batch,
                             const storage *slots, const span *spans, buffer *origins,
                             forward **out);
void forward_free(forward *f);
/* Places `places` (row and column within the cuts, in turn), `count` of them, at most f->batch. */
deconv_status forward_run(forward *f, const int64_t *places, int64_t count);
/* Places of the last run, and the picture that the first of them becomes. */
typedef struct landing {
    int64_t first, count, slot;
} landing;

/* Whole maps of a value into `to`: channels first..first+taken in the layout `block`. */
deconv_status forward_assemble(forward *f, int value, const landing *l, int64_t first,
                               int64_t taken, int block, const buffer *to);

/* ---- tail.c: whole tensors ---- */

typedef struct tail {
    deconv_ctx *ctx;
    const change *change;
    const tensor *const *base;
    graph *graph; /* for `batch` pictures; NULL: nothing runs */
    int64_t batch;
    tensor **value, **rows; /* [n_value] as stored by its producer; row-major, where wanted */
    mover *to_rows;         /* [n_value] */
    const tensor **in;
    tensor **out;
    storage storage;
} tail;

/* Bytes that one picture takes. */
deconv_status tail_bytes(const change *c, const int *wanted, int count, uint64_t *bytes);
deconv_status tail_create(deconv_net *net, const change *c, const tensor *const *base,
                          int64_t batch, const int *wanted, int count, tail **out);
void tail_free(tail *t);
/* Places of the last run of `f` become pictures of the tail. */
deconv_status tail_take(tail *t, forward *f, const landing *l);
deconv_status tail_run(tail *t);

#endif
