/* What `deconv-bench conv` found and how it is printed. */
#ifndef DECONV_BENCH_CONV_REPORT_H
#define DECONV_BENCH_CONV_REPORT_H

#include <stdbool.h>

#include "shapes.h"

/* The tables: sides in each program's own layouts, in NCHW, and in layouts of their own where
 * libdeconv may use Winograd's algorithm, of the shapes that suit it. */
enum { TABLE_OWN, TABLE_NCHW, TABLE_WINOGRAD, TABLES };
enum { FORWARD, INVERSE, DIRECTIONS };

/* One shape in one direction in one table. */
typedef struct figure {
    double ours, peer; /* GFLOP/s */
    double ratio;      /* of ours to the peer's, median over the rounds */
    double percent;    /* ours of the ceiling, likewise */
    double others;     /* cores that other processes used meanwhile */
    double difference; /* largest one between the results, relative to the largest result */
    const char *algorithm, *layouts;
    char peer_kernel[64];
} figure;

typedef struct row {
    const conv_shape *shape;
    int batch;
    bool has[TABLES]; /* what was measured */
    figure figure[TABLES][DIRECTIONS];
} row;

typedef struct machine {
    char device[320];
    const char *version, *peer_version;
    int threads, lanes;
    double ceiling; /* GFLOP/s */
} machine;

/* Results that differ by more are wrong. */
#define MOST_DIFFERENCE 1e-4

/* "own", "nchw", "winograd" to the table; -1. */
int table_named(const char *name);

void report_machine(const machine *m);
void report_heading(int table);
void report_row(const row *r, int table);
/* Geometric means, the least ratios, and what the targets ask of classes of shapes. */
void report_summary(const row *rows, int count);
/* All of it as one JSON object. */
void report_json(const machine *m, const row *rows, int count);

#endif
