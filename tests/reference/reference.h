/* The float64 reference of every operator: plain loops that read as the ONNX formula, independent
 * of the library. A linear operator is written once, as the list of its terms y[o] += k x[i];
 * forward, adjoint, dependencies and the length of the sums all come from that list. The others
 * spell out both directions.
 */
#ifndef DECONV_TESTS_REFERENCE_H
#define DECONV_TESTS_REFERENCE_H

#include "deconv.h"
#include "problem.h"

enum { REF_MAX_IN = 5, REF_MAX_OUT = 6, REF_MAX_RANK = DECONV_MAX_RANK, REF_MAX_SPATIAL = 3 };

typedef struct ref_tensor {
    bool given; /* false: an optional input left out */
    int rank;
    int64_t dim[REF_MAX_RANK];
    int64_t count;
    double *at;
} ref_tensor;

typedef struct ref_op ref_op;

/* One problem with its tensors. R arrives at the outputs; S leaves at the inputs. */
typedef struct ref_case {
    const ref_problem *problem;
    const ref_op *op;
    int n_in, n_out; /* trailing inputs left out are not counted */
    ref_tensor in[REF_MAX_IN];
    ref_tensor out[REF_MAX_OUT];
    ref_tensor R[REF_MAX_OUT];
    ref_tensor S[REF_MAX_IN];
    deconv_rule rule;
    uint32_t flags;
    int64_t terms_out; /* terms of the longest sum of the forward pass */
    int64_t terms_in;  /* ... and of the inverse */
    char error[160];
} ref_case;

/* Receives the terms y[o] += k x[i] of a linear operator. */
typedef struct ref_sink ref_sink;
struct ref_sink {
    void (*term)(ref_sink *sink, int input, int64_t i, int output, int64_t o, double k);
    ref_case *c;
    bool inverse;         /* the terms of the inverse are wanted: flags of the way back apply */
    int input, output;    /* what a sink for dependencies collects */
    unsigned char *marks; /* [in][out] */
    int64_t *count_in[REF_MAX_IN];
    int64_t *count_out[REF_MAX_OUT];
};

typedef enum ref_linearity {
    REF_NONLINEAR,
    REF_LINEAR,      /* affine in all activations together */
    REF_LINEAR_FIRST /* affine in input 0 while the others stand still, or 1-homogeneous in it */
} ref_linearity;

struct ref_op {
    const char *type;
    const char *inputs[REF_MAX_IN]; /* their names in a problem */
    /* What the inputs are filled with: u in about [-1, 1], p positive, d away from zero; a base (b)
     * and its exponent (e): positive to any power, or, in problems with ties, any to a whole one.
     */
    const char *fills;
    uint32_t weights; /* bit i: input i is a weight and never gets a signal */
    uint32_t flags;   /* DECONV_INVERSE_... that change the inverse */
    ref_linearity linearity;
    /* Shapes and number of outputs into c->out; false with c->error set. */
    bool (*shape)(ref_case *c);
    void (*terms)(ref_case *c, ref_sink *sink); /* linear operators */
    void (*offset)(ref_case *c);                /* ... the constant that is added to c->out */
    void (*forward)(ref_case *c);               /* the others: in to out */
    void (*inverse)(ref_case *c);               /* in and R to S, which is zero before */
};

/* Makes the case of a problem: inputs allocated, output shapes known. False with c->error set. The
 * case keeps `p` and is closed in either event. */
bool ref_open(const ref_problem *p, ref_case *c);
/* The same without outputs, for problems that are to be refused. */
bool ref_open_inputs(const ref_problem *p, ref_case *c);
void ref_close(ref_case *c);

/* Fills the inputs with values that depend on the line and `salt` alone, and are exact in float32.
 * Without ties no two values of a tensor are equal. */
void ref_fill_inputs(ref_case *c, uint64_t salt);
void ref_fill_signals(ref_case *c, uint64_t salt);

void ref_forward(ref_case *c);
void ref_inverse(ref_case *c, deconv_rule rule, uint32_t flags);

/* marks[i * out_count + o] = 1 where output element o is computed from input element i. For the
 * operators that are not linear this is found with NaN, which the forward functions hand on. */
void ref_dependencies(ref_case *c, int input, int output, unsigned char *marks);

bool ref_wants(const ref_case *c, int input); /* the inverse makes a signal for this input */
const char *ref_input_name(const ref_op *op, int input);
const ref_op *const *ref_ops(size_t *count);

/* ---- For the operators ---- */

bool ref_error(ref_case *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ref_set_shape(ref_case *c, int output, int rank, const int64_t *dim);
void ref_same_shape(ref_case *c);
int64_t ref_span(const ref_tensor *t, int from, int to); /* product of dimensions from..to-1 */
void ref_index(const ref_tensor *t, int64_t flat, int64_t *index);
int64_t ref_flat(const ref_tensor *t, const int64_t *index);
/* Axis counted from the end when negative; -1 when out of range. */
int ref_axis(int64_t axis, int rank);
double ref_max(double a, double b); /* NaN where either is */

/* Shape of NumPy's broadcast, and the element of `t` that belongs to element `o` of it. */
bool ref_broadcast_shape(ref_case *c, const ref_tensor *a, const ref_tensor *b);
int64_t ref_broadcast_element(const ref_tensor *t, const ref_tensor *out, int64_t o);

/* Sliding windows over the spatial dimensions of N, C, spatial... */
typedef struct ref_window {
    int dims;
    int64_t in[REF_MAX_SPATIAL], out[REF_MAX_SPATIAL], kernel[REF_MAX_SPATIAL];
    int64_t stride[REF_MAX_SPATIAL], dilation[REF_MAX_SPATIAL];
    int64_t before[REF_MAX_SPATIAL], after[REF_MAX_SPATIAL]; /* padding */
    int64_t in_count, out_count, kernel_count;
} ref_window;

/* Reads kernel_shape (or `kernel`), strides, dilations, pads, auto_pad, ceil_mode for input 0 and
 * computes g->out. */
bool ref_window_read(ref_case *c, const int64_t *kernel, ref_window *g);
/* The same for a transposed convolution: g->in is the larger grid, of the output. */
bool ref_window_read_transposed(ref_case *c, ref_window *g);
/* Cell of the input grid under kernel cell k of window p; -1 in the padding. */
int64_t ref_window_cell(const ref_window *g, int64_t p, int64_t k);
/* Kernel cells of window p inside input and padding, not beyond as ceil_mode may reach. */
int64_t ref_window_padded_cells(const ref_window *g, int64_t p);

extern const ref_op ref_conv, ref_conv_transpose;
extern const ref_op ref_max_pool, ref_average_pool, ref_global_max_pool, ref_global_average_pool;
extern const ref_op ref_relu, ref_leaky_relu, ref_prelu, ref_elu, ref_selu, ref_celu, ref_sigmoid,
    ref_tanh, ref_softplus, ref_softsign, ref_hard_sigmoid, ref_hard_swish, ref_mish, ref_gelu,
    ref_clip, ref_erf, ref_thresholded_relu;
extern const ref_op ref_exp, ref_sqrt, ref_abs, ref_neg, ref_reciprocal, ref_pow;
extern const ref_op ref_add, ref_sub, ref_mul, ref_div, ref_sum;
extern const ref_op ref_batch_normalization, ref_lrn, ref_softmax, ref_log_softmax;
extern const ref_op ref_gemm, ref_matmul;
extern const ref_op ref_concat, ref_split, ref_slice, ref_pad, ref_flatten, ref_reshape,
    ref_squeeze, ref_unsqueeze, ref_transpose, ref_identity, ref_dropout, ref_cast;
extern const ref_op ref_gather, ref_expand, ref_tile;
extern const ref_op ref_resize, ref_upsample, ref_reduce_mean, ref_reduce_sum;

#endif
