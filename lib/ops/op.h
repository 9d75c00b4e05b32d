/* An operator is five functions: shape, forward, inverse, reach and needs (docs/architecture.md).
 * The first three make a network that runs both ways; the last two say how windows travel through
 * it. One file per operator family implements op_class; registry.c lists them all. */
#ifndef DECONV_LIB_OP_H
#define DECONV_LIB_OP_H

#include "../scratch.h"
#include "../tensor.h"
#include "../weight.h"
#include "../window.h"

/* A box of elements of one tensor, from inclusive, to exclusive, in every dimension (the batch
 * too). Empty when from >= to in any dimension. rank equals the tensor's. */
typedef struct box {
    int rank;
    int64_t from[DECONV_MAX_RANK];
    int64_t to[DECONV_MAX_RANK];
} box;

box box_whole(const shape *s);
box box_empty(int rank);
bool box_is_empty(const box *b);
/* Smallest box that holds both. */
box box_union(const box *a, const box *b);
box box_clip(box b, const shape *s);

typedef struct op op;
typedef struct op_class op_class;

/* What one pass over an operator reads and writes. Tensors are float32 on the device. */
typedef struct op_pass {
    deconv_rule rule;
    uint32_t flags; /* DECONV_INVERSE_... */

    /* Forward: all inputs and outputs. Inverse: weights always; activations only where keeps()
     * asked for them, else NULL. An optional input left out is NULL. So is an integer constant
     * (op->constant). */
    const tensor *const *in;
    tensor *const *out;

    /* What the forward leaves for the inverse beyond activations: the argmax of a pool.
     * keep_bytes() says how large; NULL in a forward pass whose trace no inverse will use. */
    buffer *kept;

    /* Inverse only: R at each output (NULL: zero, nothing arrived there) and where R at each input
     * goes (NULL: not wanted). What is wanted is overwritten whole. */
    const tensor *const *signal_out;
    tensor *const *signal_in;

    /* The Relu that follows (forward: of the output, inverse: below the input) is done here: what
     * is below zero becomes zero. Only for classes that say `rectifies`. */
    bool rectify;

    /* Inverse only: the signals are windows, a batch of its own, and activations whole tensors.
     * NULL: signals have the operator's own shapes. Only where class->frame or class->apart said
     * yes. */
    const windows *windows;
} op_pass;

enum { RECTIFIES_FORWARD = 1, RECTIFIES_BACK = 2 };

/* Whether maps of an operator may be stored in blocks of channels (tensor.h). Alike: all of them or
 * none. Each: as op_class.takes_blocks says. */
typedef enum op_blocks { BLOCKS_NEVER, BLOCKS_ALIKE, BLOCKS_EACH } op_blocks;

/* What becomes of height and width between the maps of an operator. */
typedef struct axes_apart {
    bool turned;  /* they change places */
    bool same[2]; /* along this one positions stay, and windows must, where there is one output */
} axes_apart;

struct op_class {
    const char *type; /* ONNX operator type */
    int min_in, max_in;
    int max_out;
    uint32_t weights; /* bit i: input i must be a constant (weights, slopes, shapes) */
    uint32_t
        packs; /* bit i: of constant input i plans read packed copies, and use it to make them */
    size_t state_size;

    /* Reads attributes and constants into op->state (zeroed, state_size bytes). Refuses what is not
     * supported, naming the attribute, its value and what is possible. Shapes of inputs are known.
     */
    deconv_status (*init)(op *op);
    /* Fills op->out_shape[0..n_out-1] from op->in_shape; refuses shapes that do not fit. */
    deconv_status (*shape)(op *op);
    /* Create kernels, pack weights, allocate scratch: all that a run must not do. What only the way
     * back needs belongs into plan_inverse. Both optional, called once, plan first. */
    deconv_status (*plan)(op *op);
    deconv_status (*plan_inverse)(op *op);
    void (*release)(
        op *op); /* kernels and whatever else state holds; state itself is freed after */

    /* Enqueue y = f(x), or the way back under a rule. Neither waits, allocates or compiles. */
    deconv_status (*forward)(op *op, const op_pass *pass);
    deconv_status (*inverse)(op *op, const op_pass *pass);

    /* Which outputs can change when the elements of input `input` inside `in` change (a box of
     * output `output`), and which elements of input `input` the elements inside `out` are computed
     * from. Exact for windows, the smallest box for scattered sets; an empty box gives an empty
     * box. */
    box (*reach)(const op *op, int input, const box *in, int output);
    box (*needs)(const op *op, int output, const box *out, int input);

    /* Which activations the inverse under `rule` reads: bit i = input i, bit 16 + i = output i.
     * Constant inputs need no bit. NULL: none. */
    uint32_t (*keeps)(const op *op, deconv_rule rule, uint32_t flags);
    /* Bytes of op_pass.kept; NULL: 0. */
    size_t (*keep_bytes)(const op *op);
    /* The forward output is input 0 with another shape or as it stands, so both may share memory,
     * and so may the signals on the way back. forward and inverse must still work on separate
     * tensors. */
    bool (*is_view)(const op *op);
    /* The inverse under `rule` hands R through unchanged from output 0 to input 0. NULL: never. */
    bool (*passes_signal)(const op *op, deconv_rule rule, uint32_t flags);

    /* Maps in blocks of `block` channels; the graph then sets op->in_block and op->out_block before
     * plan. NULL: never. */
    op_blocks (*blocks)(const op *op, int block);
    /* BLOCKS_EACH: may input 0 and output 0 be stored like this? */
    bool (*takes_blocks)(const op *op, int in_block, int out_block);
    /* RECTIFIES_...: which passes may be asked to rectify. */
    int rectifies;
    /* Output 0, in blocks, may be a slice of channels of a larger tensor (tensor.h). */
    bool writes_slices;
    /* Inputs in blocks that lie in output 0 already, where their elements go, need no copying;
     * NULL: there are no such. The channel of output 0 where input `input` begins, -1 where it is
     * not copied as it stands. */
    int64_t (*slice)(const op *op, int input);

    /* The inverse of windows (lib/window.h). The frame of the inputs' signals for that of the
     * output's; false where this operator's inverse has none. NULL: always. */
    bool (*frame)(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                  window_frame *in);
    /* Windows of the output must begin at multiples of this, but for a constant. NULL: anywhere. */
    void (*align)(const op *op, int32_t step[2]);
    /* Height and width go their own ways between maps, items stay apart: the windows of inputs
     * follow from `needs`, and the inverse takes any that hold them, a frame for each output and
     * input. NULL: not so. */
    bool (*apart)(const op *op, axes_apart *how);
    /* The inverse does the same at every position of maps, with nothing but what is there: it works
     * for any part of them. NULL: it does not. */
    bool (*local)(const op *op, deconv_rule rule, uint32_t flags);
    /* What becomes of a signal in one cell of one channel: the same, something in that channel, or
     * anything. NULL: anything. */
    signal_spread (*spread)(const op *op, deconv_rule rule, uint32_t flags);
    /* What an inverse over `w->count` windows of these frames needs besides plan_inverse; handed
     * back as windows.plan and released by release_windows. NULL: nothing. */
    deconv_status (*plan_windows)(op *op, const windows *w, void **plan);
    void (*release_windows)(op *op, void *plan);
};

#define KEEP_INPUT(i)  (1u << (i))
#define KEEP_OUTPUT(i) (1u << (16 + (i)))
#define OP_MANY        1000000 /* max_in / max_out of Concat, Split */

struct op {
    const op_class *class;
    deconv_ctx *ctx;
    const char *name; /* the layer's name, or the type: what messages start with */
    int opset;
    const deconv_attr *attrs;
    size_t attr_count;
    int n_in, n_out;              /* trailing inputs left out are not counted */
    shape *in_shape;              /* [n_in]; rank -1 where an optional input is left out */
    shape *out_shape;             /* [n_out] */
    const host_tensor **constant; /* [n_in]; non-NULL for inputs whose value is known on the host */
    bool *is_weight;              /* [n_in] never carries a signal: a constant of the graph */
    weight **weight;              /* [n_in] a float constant for the device; else NULL */
    bool *uses;       /* [n_in] which of them it uses: those of the others a pass may not have */
    scratch *scratch; /* shared with the operators of the same network */
    int *in_block;    /* [n_in] layout of each input and its signal: 1 unless the graph says more */
    int *out_block;   /* [n_out] */
    bool approximate; /* results may round otherwise than sums do; there is no way back then */
    bool begun;       /* a plan: where it has failed, `state` is begun anew */
    bool planned, planned_inverse;
    void *state;
};

/* ---- For those who run operators (layer.c, net.c) ---- */

const op_class *op_find(const char *type);
/* How many operators there are; the types of the first `room` of them. */
size_t op_types(const char **types, size_t room);
/* The error for a type that op_find() does not know: names the nearest ones that it does. */
deconv_status op_unknown(deconv_ctx *ctx, const char *name, const char *type);

/* Creates an operator: init, then shape. `in_shape[i].rank` is -1 for an input left out; `constant`
 * and `is_weight` as in struct op; all arrays are copied, what they point to must outlive the op.
 */
deconv_status op_create(deconv_ctx *ctx, const char *type, const char *name, int opset,
                        const deconv_attr *attrs, size_t attr_count, int n_in,
                        const shape *in_shape, const host_tensor *const *constant,
                        const bool *is_weight, int n_out, op **out);
/* Plan once; later calls do nothing, but where it failed. op->weight and op->scratch are set by
 * then; the weights come to the device. */
deconv_status op_plan(op *op);
deconv_status op_plan_inverse(op *op);
void op_free(op *op);
/* What input `input` of a pass is where it is constant; NULL: not on the device. */
const tensor *op_weight(const op *op, int input);

/* ---- For those who write operators ---- */

bool op_has_input(const op *op, int input);

/* For plans that pack a weight: brings it to the device, and lets go of it. */
deconv_status op_use_weight(op *op, int input);
void op_leave_weight(op *op, int input);

/* Attributes by name. A missing one gives the default; one of the wrong type is an error. */
deconv_status attr_int(const op *op, const char *name, int64_t otherwise, int64_t *out);
deconv_status attr_float(const op *op, const char *name, float otherwise, float *out);
deconv_status attr_string(const op *op, const char *name, const char *otherwise, const char **out);
/* *list stays owned by the op; NULL and 0 when missing. */
deconv_status attr_ints(const op *op, const char *name, const int64_t **list, size_t *count);
deconv_status attr_floats(const op *op, const char *name, const float **list, size_t *count);

/* A list that newer opsets pass as constant input `input` and older ones as attribute `name`: takes
 * whichever is there; NULL and 0 when neither is. An input that is not constant is an error. Of a
 * 64-bit integer and a float kind. */
deconv_status param_ints(const op *op, const char *name, int input, const int64_t **list,
                         size_t *count);
deconv_status param_floats(const op *op, const char *name, int input, const float **list,
                           size_t *count);

/* An axis counted from the end when negative, checked against `rank`. */
deconv_status axis_resolve(const op *op, const char *what, int64_t axis, int rank, int *out);

/* Sets "NAME: ..." as message, op->name in front, and returns `code`. */
deconv_status op_error(const op *op, deconv_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define OP_FAIL(op, code, ...)                                                                     \
    do {                                                                                           \
        status = op_error((op), (code), __VA_ARGS__);                                              \
        goto done;                                                                                 \
    } while (0)

/* Boxes of operators that map position to position (element by element, same shape), and of those
 * where everything depends on everything. */
box needs_same(const op *op, int output, const box *out, int input);
box reach_same(const op *op, int input, const box *in, int output);
box needs_all(const op *op, int output, const box *out, int input);
box reach_all(const op *op, int input, const box *in, int output);
/* op_class.frame and op_class.blocks of operators that work position by position. */
bool frame_same(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                window_frame *in);
op_blocks blocks_alike(const op *op, int block);
/* op_class.spread of operators that work cell by cell, and of those that mix cells only. */
signal_spread spread_cell(const op *op, deconv_rule rule, uint32_t flags);
signal_spread spread_channel(const op *op, deconv_rule rule, uint32_t flags);

#endif
