/* What the layer runner is made of: the checks of one problem, and the report they write into. */
#ifndef DECONV_TESTS_HARNESS_H
#define DECONV_TESTS_HARNESS_H

#include "ops/op.h"
#include "reference.h"

/* What the checks of one problem found. Failures are printed as they occur. */
typedef struct report {
    const char *line;
    int checks, failures;
    double forward_error, inverse_error; /* worst relative error against the reference */
    bool boxes;                          /* reach and needs were probed */
} report;

/* Counts a check; on failure prints what is wrong and the command that repeats it. */
bool check(report *r, bool passed, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool check_status(report *r, deconv_ctx *ctx, deconv_status status, const char *what);
/* Compares float32 results to the reference and keeps the relative error in *worst. */
bool check_close(report *r, const float *is, const ref_tensor *should, int64_t terms, double *worst,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));

/* One rule with flags, and the name it has in messages. */
typedef struct way_back {
    deconv_rule rule;
    uint32_t flags;
    char name[64];
} way_back;

enum { MAX_WAYS = 6 };
/* All that must be tested for an operator: three rules, each with and without its flags. */
int ways_back(const ref_op *of, way_back *ways);

/* The problem's attributes as the library takes them; they point into the problem. */
typedef struct attr_list {
    deconv_attr attrs[REF_MAX_ATTRS];
    int count;
} attr_list;

void attrs_of(const ref_case *c, attr_list *out);

float *floats_of(const ref_tensor *t);
float *floats_filled(int64_t count, float value);
bool same_bits(const float *a, const float *b, int64_t count);
/* An output or a signal is filled with this before a run, so that what was left out shows. */
extern const float unwritten[2];

/* The operator through deconv_run_layer: shapes, results, the adjoint identity, determinism. */
void check_layer(deconv_ctx *ctx, ref_case *c, bool forward_only, report *r);
/* The library refuses the problem, with a message that names the operator. */
void check_refused(deconv_ctx *ctx, ref_case *c, report *r);
/* The operator as a network runs it: weights known on the host, and of the forward pass only what
 * keeps() asked for. */
void check_as_network(deconv_ctx *ctx, ref_case *c, bool forward_only, report *r);
/* Plans the operator both ways and runs nothing; a convolution by every algorithm in turn. */
void check_plans(deconv_ctx *ctx, ref_case *c, report *r);
/* reach and needs against the dependencies of the reference. */
void check_boxes(deconv_ctx *ctx, ref_case *c, report *r);

#endif
