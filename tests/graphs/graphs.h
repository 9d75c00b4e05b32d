/* Random networks: how they are drawn, written as ONNX files, computed in float64 with the
 * operators of tests/reference, and compared with what the library makes of them. A network is its
 * seed: graph N is the same on every machine, and `graphs N` repeats it. */
#ifndef DECONV_TESTS_GRAPHS_H
#define DECONV_TESTS_GRAPHS_H

#include "reference.h"

enum { NET_NODES = 40, NET_VALUES = 56, NET_NAME = 8 };

/* Value 0 is the input, x. */
typedef struct net_value {
    char name[NET_NAME];
    int node, output; /* who makes it; node -1 for the input */
    int rank;
    int64_t dim[REF_MAX_RANK];
    int64_t count;
    int consumers;
    float *is;      /* the library's activation */
    double *signal; /* of the float64 way back; NULL where none has arrived */
} net_value;

/* One operator: a problem as tests/reference knows it, whose activations come from other nodes. */
typedef struct net_node {
    ref_problem problem;
    ref_case c;
    int from[REF_MAX_IN]; /* values; -1 for a weight, a constant or an input left out */
    int value[REF_MAX_OUT];
} net_node;

typedef struct random_net {
    uint64_t seed, random;
    int64_t batch;
    int dims; /* 1 or 2 */
    int n_node, n_value;
    net_node node[NET_NODES];
    net_value value[NET_VALUES];
} random_net;

/* ---- draw.c ---- */

uint64_t draw(random_net *g, uint64_t count); /* 0 to count-1 */
bool chance(random_net *g, int percent);
void net_draw(random_net *g, uint64_t seed);
void net_free(random_net *g);
void net_print(const random_net *g);

/* ---- add.c ---- */

/* The network's input. */
void net_begin(random_net *g, int rank, const int64_t *dim);
/* Adds an operator on the values `from`; `rest` has the shapes of weights and the attributes as in
 * a line of tests/problems. Returns its first output, or -1 where the shapes do not fit, a tensor
 * would be large or the reference slow, or nothing would be computed; nothing has changed then. */
int net_add(random_net *g, const char *type, int count, const int *from, const char *rest);

/* ---- onnx.c ---- */

/* Opset 13, weights inside, every value that nobody consumes an output. */
void net_write(const random_net *g, const char *path);

/* ---- float64.c ---- */

/* One node on the activations that the library computed: its outputs are in g->node[node].c.out. */
void net_forward(random_net *g, int node);
/* Carries `signal` of a value to the input by the rule, at the activations that the library
 * computed, so that its gates and switches hold here too. The result is g->value[0].signal. */
void net_inverse(random_net *g, int value, const double *signal, deconv_rule rule, uint32_t flags);

/* ---- windows.c ---- */

bool goes_by_windows(deconv_trace *trace, uint32_t layer, deconv_rule rule, uint32_t flags);
/* How many inverses of operators of a type such a pass runs, and how many of them write whole maps.
 */
bool count_whole(deconv_trace *trace, uint32_t layer, deconv_rule rule, uint32_t flags,
                 const char *type, int *nodes, int *whole);

/* ---- check.c ---- */

typedef struct net_report {
    uint64_t seed;
    int checks, failures;
    int projections;     /* by windows and whole */
    int cut;             /* ... of them really by windows */
    int layers;          /* ... of so many layers */
    int nodes, adjoints; /* compared with float64 */
    double forward_error, inverse_error;
    const char *cut_type; /* of operators that must not write whole maps in passes by windows */
    int cut_nodes;        /* ... how many inverses of them there were */
} net_report;

void net_check(deconv_ctx *ctx, random_net *g, const char *path, net_report *r);

/* ---- operators.c ---- */

/* The networks of one name; how many of them failed. */
int operators_check(deconv_ctx *ctx, const char *name, const char *path, bool print);

#endif
