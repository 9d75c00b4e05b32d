/* Projections, shared by project.c (whole signals, one seed a picture and pass) and
 * project_windows.c (the seeds' receptive fields, many seeds a pass). */
#ifndef DECONV_LIB_PROJECT_H
#define DECONV_LIB_PROJECT_H

#include "inverse.h"

/* A layer as maps of positions. */
typedef struct maps {
    const char *name;
    int value;
    int64_t items, units, height, width;
} maps;

/* One call of deconv_project. */
typedef struct job {
    deconv_trace *trace;
    maps maps;
    inverse *way;
    deconv_seed_value value;
    tensor *result;
    deconv_projection_info *infos; /* [count] the seeds, resolved, and what became of them */
    uint64_t count;
} job;

/* What a seed starts with. */
float seed_value(const job *j, const deconv_projection_info *seed);

/* The largest |value| of a finished projection; an error when one is not finite. */
deconv_status largest_of(const job *j, const float *values, size_t count, float *largest);

/* All of the job's seeds by windows; inverse_takes_windows() said yes to `key`. */
deconv_status project_windows(job *j, const inverse_key *key);

#endif
