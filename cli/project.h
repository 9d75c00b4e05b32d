/* What `deconv project` is made of: one unit's projection (project.c), or all maps of a layer as
 * one montage (project_units.c). */
#ifndef DECONV_CLI_PROJECT_H
#define DECONV_CLI_PROJECT_H

#include "cli.h"

typedef struct project_options {
    char *layer, *unit, *units, *at, *rule, *seed, *scaling, *out, *raw;
    int alone;
    int average_copy, lrn_derivative, apply_f;

    deconv_seed where;
    deconv_project_options how;
    deconv_scaling display;
} project_options;

/* ---- project.c ---- */

const char *layer_name(session *s, uint32_t layer);
/* What the JSON output starts with, up to the list of projections. */
cJSON *project_json(session *s, const project_options *o, const char *model, const char *path,
                    uint32_t layer);
cJSON *projection_json(session *s, const deconv_projection_info *info);
/* The input's shape, when projections to it can be written as the options ask. */
bool projection_shape(const project_options *o, const char *path, const input *in, int64_t *shape,
                      uint32_t *rank);
/* Runs the input forward; the trace serves projections of `layer`. */
bool project_forward(session *s, const project_options *o, const input *in, uint32_t layer,
                     deconv_trace **trace);

/* ---- project_units.c ---- */

/* --units as a text: -1 when it makes sense, else the exit status. */
int units_check(const session *s, const project_options *o);
int units_run(session *s, const project_options *o, const char *model, const char *path);

/* ---- raw_file.c: a .npy file of float32 that is written piece by piece ---- */

typedef struct raw_file {
    const char *path;
    char *target;    /* what the finished file replaces, behind symbolic links */
    char *temporary; /* where it grows; NULL for a pipe or a device */
    FILE *file;
} raw_file;

/* False: the message was printed. The file appears with raw_finish(), whole; raw_abandon() removes
 * what there is of an unfinished one and does nothing to a finished or an empty `raw_file`. */
bool raw_open(raw_file *f, const char *path, const int64_t *shape, uint32_t rank);
/* The same for a text instead of an array. */
bool raw_open_text(raw_file *f, const char *path, const char *text, size_t size);
bool raw_append(raw_file *f, const float *values, uint64_t count);
bool raw_finish(raw_file *f);
void raw_abandon(raw_file *f);

#endif
