/* What the files that evaluate nodes on the host share. An operator here is one row of a table and
 * a function over constants. */
#ifndef DECONV_LIB_ONNX_FOLD_H
#define DECONV_LIB_ONNX_FOLD_H

#include "model.h"
#include "node_error.h"
#include "walk.h"

#define FOLD_MANY INT32_MAX /* max_in of Concat, Min, Max */

typedef struct fold fold;

typedef struct fold_op {
    const char *type;
    int min_in, max_in;
    deconv_status (*run)(const fold *f);

    /* Of arithmetic, with one operand (b is a again) or two. Floats are computed in double and
     * rounded once, which gives what float arithmetic gives. NULL where the operator does not take
     * them. */
    double (*on_floats)(double a, double b);
    int64_t (*on_ints)(int64_t a, int64_t b);
    bool gives_bool;
    bool by_shape; /* Shape and Size: inputs need not be constant */
    bool many_out;
} fold_op;

/* One node being evaluated. */
struct fold {
    deconv_ctx *ctx;
    const fold_op *op;
    const onnx_node *node;
    const host_tensor *const *in; /* NULL where left out, or by_shape */
    const shape *in_shape;
    host_tensor **out;
};

/* Tables that end with a row without type. */
extern const fold_op fold_math_ops[];
extern const fold_op fold_cast_ops[];
extern const fold_op fold_reduce_ops[];
extern const fold_op fold_layout_ops[];
extern const fold_op fold_select_ops[];
extern const fold_op fold_create_ops[];

#define FOLD_FAIL(f, code, ...) NODE_FAIL((f)->ctx, (f)->node, (code), __VA_ARGS__)

/* Input `i` or NULL; a missing trailing one is NULL too. */
const host_tensor *fold_in(const fold *f, int i);

/* Refuses a float and an integer operand together. */
deconv_status fold_same_kind(const fold *f, const host_tensor *a, const host_tensor *b);
deconv_status fold_broadcast(const fold *f, const shape *a, const shape *b, shape *out);

/* Makes output `index` of sizes that were not checked yet: rank, count and the memory it would
 * take. */
deconv_status fold_out(const fold *f, int index, const shape *s, bool is_float);

/* The whole of `from` as output `index`, under another shape of as many elements. */
deconv_status fold_copy_as(const fold *f, int index, const host_tensor *from, const shape *s);

/* to[offset 0] = from[offset 1] along `w`, both of one kind. */
void fold_walk_copy(host_tensor *to, const host_tensor *from, walk *w);

const deconv_attr *fold_attr(const fold *f, const char *name);
deconv_status fold_attr_int(const fold *f, const char *name, int64_t otherwise, int64_t *out);
/* Integers from input `input` where there is one, else from the attribute; NULL and 0 when there is
 * neither. `input` -1: attribute only. */
deconv_status fold_list(const fold *f, const char *name, int input, const int64_t **list,
                        size_t *count);

/* `axis` counted from the end when negative, for `rank` dimensions. */
deconv_status fold_axis(const fold *f, int64_t axis, int rank, int *out);
/* A list of axes as flags; one named twice is refused. */
deconv_status fold_axes(const fold *f, const int64_t *axes, size_t count, int rank, bool *chosen);

#endif
