/* One direction of one convolution by oneDNN: convolution_forward, or convolution_backward_data. */
#ifndef DECONV_BENCH_PEER_H
#define DECONV_BENCH_PEER_H

#include <stdbool.h>

#include "conv/phases.h"
#include "measure.h"

typedef struct peer peer;

/* Its weights are always packed as it likes, before the timing. */
typedef enum peer_layout {
    PEER_OWN,      /* both sides as it likes */
    PEER_PLAIN,    /* NCHW to NCHW by a primitive made for that */
    PEER_REORDERED /* NCHW to NCHW through its own layouts: the reorders are part of each run */
} peer_layout;

/* Call once before the others, when libdeconv's context exists: as many threads as its device has
 * cores. */
void peer_open(int threads);
void peer_close(void);
const char *peer_version(void);

/* NULL where oneDNN has no such primitive. */
peer *peer_create(const conv_problem *p, conv_direction direction, peer_layout layout,
                  const float *weights);
void peer_free(peer *p);
runner peer_runner(peer *p);
/* Values in NCHW. */
void peer_load(peer *p, const float *values);
void peer_read(peer *p, float *values);
/* "jit:avx2" */
const char *peer_kernel(const peer *p);
/* Whether its runs contain reorders. */
bool peer_reorders(const peer *p);

#endif
