/* An occlusion sweep in memory: what the public call (occlusion.c), the filling (occlusion_fill.c),
 * the maps' values (occlusion_scores.c) and the engines share. */
#ifndef DECONV_LIB_ANALYSIS_OCCLUSION_H
#define DECONV_LIB_ANALYSIS_OCCLUSION_H

#include "../net.h"
#include "../trace.h"

/* Pixels that the patch covers, ends exclusive. Kernels read it as int4. An empty one leaves the
 * picture clean. */
typedef struct place {
    int32_t top, left, bottom, right;
} place;

/* What is read of every pass: channels `from` to `from + count` of an activation, each of `size`
 * positions, as count * size floats a place. */
typedef struct probe {
    int value;
    int64_t from, count, size;
} probe;

/* How probabilities come out of the scores that the net ends in. */
typedef enum squash { SQUASH_NONE, SQUASH_EXP, SQUASH_SOFTMAX } squash;

typedef struct classifier {
    int scores; /* value; -1: no map needs it */
    int logits;
    int64_t count; /* classes */
    squash squash;
} classifier;

enum { PROBE_SCORES, PROBE_LOGITS, PROBE_MAPS }; /* of sweep.probe; one for every map follows */

struct deconv_occlusion {
    deconv_ctx *ctx;
    deconv_occlusion_info info;
    int64_t *tops, *lefts;
    deconv_occlusion_map *map; /* [map_count] units resolved */
    float **values;            /* [map_count][rows * columns] */
    float *clean;              /* [map_count] */
};

typedef struct sweep {
    deconv_ctx *ctx;
    deconv_net *net;
    const tensor *const *inputs;
    deconv_occlusion_options options;
    deconv_occlusion *result;
    classifier classes;
    probe *probe; /* [n_probe]; a count of 0: not read */
    int n_probe;
    uint32_t *keep; /* [n_keep] layers that probes read */
    uint32_t n_keep;
    place *place; /* [count] the clean picture, then row by row of the maps */
    int64_t count;
    tensor *fill;       /* the net's input, covered all over */
    double *chances;    /* [classes.count] */
    double started;     /* seconds */
    progress_part part; /* what a pass reports meanwhile */
    char text[64];
    bool always; /* by windows even where that does not pay */
} sweep;

/* deconv_occlusion_run(), `always` as above: for tests. */
deconv_status occlusion_run(deconv_net *net, const tensor *const *inputs, uint32_t input_count,
                            const deconv_occlusion_options *options, bool always,
                            deconv_occlusion **out);

/* The picture that shows through the patch, as the net's input (1, ...). */
deconv_status sweep_fill(sweep *s);

/* Where classes and maps are read: s->classes, s->probe, s->keep. */
deconv_status sweep_find_probes(sweep *s);
/* Which class and which units are meant, and what they are on the clean picture: item 0 of a trace
 * that has run. */
deconv_status sweep_resolve(sweep *s, const deconv_trace *clean);
/* Values of the maps at `count` places of the sweep, by their index. values[p]: what probe p read
 * there. */
deconv_status sweep_take(sweep *s, const int64_t *places, int64_t count, float *const *values);
/* Room for `count` places of every probe, and back. */
deconv_status sweep_alloc_values(const sweep *s, int64_t count, float ***values);
void sweep_free_values(const sweep *s, float **values);

/* Tells how far the sweep is: `done` places of s->count. */
deconv_status sweep_progress(sweep *s, int64_t done);

/* Device buffers for what probes read of `batch` places; reading the first `count` of them back. */
deconv_status sweep_alloc_taken(const sweep *s, int64_t batch, buffer ***taken);
void sweep_free_taken(const sweep *s, buffer **taken);
deconv_status sweep_read(const sweep *s, buffer *const *taken, int64_t count, float *const *values);
/* What probe `p` reads of `from`, an activation of several pictures. */
deconv_status sweep_probe(const sweep *s, int p, const tensor *from, int64_t count, kernel *take,
                          const buffer *to);

/* The whole net for every place. */
deconv_status sweep_full(sweep *s);
/* What each place changes; *done is false where that would not pay, and nothing has happened. */
deconv_status sweep_incremental(sweep *s, bool *done);

#endif
