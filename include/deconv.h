/* libdeconv: runs a convolutional network forward and back again on any OpenCL device, to show
 * what its units respond to (the deconvnet of Zeiler & Fergus, "Visualizing and Understanding
 * Convolutional Networks", 2013). This file is the whole stable interface.
 *
 * Conventions
 *   Results     Every function that can fail returns a deconv_status. The message that goes with a
 *               failure is kept per context and thread: deconv_ctx_message().
 *   Ownership   X_create / X_open / X_read hand the caller an object that X_destroy releases;
 *               X_destroy(NULL) does nothing. On failure the out pointer is NULL. A child must go
 *               before its context; a trace may outlive neither its net nor its context. Returned
 *               strings belong to the object they came from.
 *   Options     A struct of options starts with its own size. Set it up with X_init() or X_INIT;
 *               fields are only ever appended, and NULL options mean the defaults.
 *   Tensors     float32, dense, row-major, 1 to 5 dimensions; pictures and feature maps are NCHW.
 *   Threads     A context may be shared by threads. Every other object is used by one thread at a
 *               time; a net and its traces count as one object.
 */
#ifndef DECONV_H
#define DECONV_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define DECONV_API __declspec(dllimport)
#elif defined(__GNUC__)
#define DECONV_API __attribute__((visibility("default")))
#else
#define DECONV_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ---------------------------------------------------------------------------- */

#define DECONV_ABI_VERSION 1

/* The ABI the loaded library speaks; a program built against another major must not go on. */
DECONV_API uint32_t deconv_abi_version(void);

/* "1.0.0": major.minor.patch of the library. */
DECONV_API const char *deconv_version(void);

/* ---- Results ---------------------------------------------------------------------------- */

typedef enum deconv_status {
    DECONV_OK = 0,
    DECONV_ERROR_INVALID = 1,     /* an argument, option or shape that makes no sense */
    DECONV_ERROR_NOT_FOUND = 2,   /* no such file, layer, label or device index */
    DECONV_ERROR_IO = 3,          /* a file cannot be read or written */
    DECONV_ERROR_FORMAT = 4,      /* a file is broken or is not what it claims to be */
    DECONV_ERROR_UNSUPPORTED = 5, /* valid, but beyond what the library does */
    DECONV_ERROR_NO_MEMORY = 6,   /* host or device memory ran out */
    DECONV_ERROR_NO_DEVICE = 7,   /* no OpenCL loader, platform or matching device */
    DECONV_ERROR_DEVICE = 8,      /* an OpenCL call failed */
    DECONV_ERROR_CANCELLED = 9,   /* the progress callback asked to stop */
    DECONV_STATUS_FORCE_32 = 0x7fffffff
} deconv_status;

/* "invalid argument", "no memory", ...: a static string, never NULL. */
DECONV_API const char *deconv_status_name(deconv_status status);

/* ---- Devices ---------------------------------------------------------------------------- */

typedef enum deconv_device_kind {
    DECONV_DEVICE_OTHER = 0,
    DECONV_DEVICE_CPU = 1,
    DECONV_DEVICE_GPU = 2,
    DECONV_DEVICE_KIND_FORCE_32 = 0x7fffffff
} deconv_device_kind;

typedef struct deconv_device_info {
    uint32_t struct_size;
    deconv_device_kind kind;
    uint32_t compute_units;
    uint32_t is_default;     /* 1 for the device a context takes when none is named */
    uint64_t global_memory;  /* bytes */
    uint64_t max_allocation; /* bytes in one buffer */
    char name[128];
    char vendor[128];
    char driver[128];
    char platform[128];
    char version[128]; /* the OpenCL version string */
} deconv_device_info;

#define DECONV_DEVICE_INFO_INIT                                                                    \
    {                                                                                              \
        sizeof(deconv_device_info), DECONV_DEVICE_OTHER, 0, 0, 0, 0, {0}, {0}, {0}, {0},           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
DECONV_API void deconv_device_info_init(deconv_device_info *info);

/* How many devices every OpenCL platform offers together. With none, or with no OpenCL loader on
 * the machine, DECONV_ERROR_NO_DEVICE; deconv_device_advice() then says what to install. */
DECONV_API deconv_status deconv_device_count(uint32_t *count);

/* Device `index`, 0 <= index < count. The numbering is the one that the device option takes. */
DECONV_API deconv_status deconv_device_get(uint32_t index, deconv_device_info *info);

/* One line on how to get an OpenCL device onto this machine: a static string. */
DECONV_API const char *deconv_device_advice(void);

/* ---- Context ---------------------------------------------------------------------------- */

typedef struct deconv_ctx deconv_ctx;

typedef enum deconv_log_level {
    DECONV_LOG_ERROR = 0,
    DECONV_LOG_WARNING = 1,
    DECONV_LOG_INFO = 2,
    DECONV_LOG_DEBUG = 3,
    DECONV_LOG_LEVEL_FORCE_32 = 0x7fffffff
} deconv_log_level;

/* One line without a line break. May be called from any thread that uses the context. */
typedef void (*deconv_log_fn)(deconv_log_level level, const char *line, void *user);

/* `done` of `total` steps of `what` are over. Non-zero cancels: the running call cleans up and
 * returns DECONV_ERROR_CANCELLED. */
typedef int32_t (*deconv_progress_fn)(uint64_t done, uint64_t total, const char *what, void *user);

/* Host memory of the library's own objects. All three or none; `release(NULL)` must do nothing.
 * Memory that picture decoders and OpenCL drivers take does not come from here. */
typedef void *(*deconv_allocate_fn)(size_t bytes, void *user);
typedef void (*deconv_release_fn)(void *memory, void *user);

enum {
    DECONV_CTX_PROFILE = 1 /* time every kernel; totals at deconv_ctx_destroy, log level info */
};

typedef struct deconv_ctx_options {
    uint32_t struct_size;
    uint32_t flags;         /* DECONV_CTX_... */
    const char *device;     /* "cpu", "gpu", an index, or part of a name; NULL: $DECONV_DEVICE, else
                               the first GPU, else the first CPU */
    const char *cache_dir;  /* compiled programs and what deconv_net_tune measured; NULL:
                               $XDG_CACHE_HOME/deconv; "": keep nothing */
    deconv_log_level level; /* least important lines to hand on; $DECONV_LOG (error, warning, info,
                               debug) overrides it */
    uint32_t reserved;      /* 0 */
    deconv_log_fn log;      /* NULL: lines go to standard error */
    void *log_user;
    deconv_progress_fn progress; /* NULL: none */
    void *progress_user;
    deconv_allocate_fn allocate; /* NULL: malloc and free */
    deconv_release_fn release;
    void *allocator_user;
    char *error; /* where deconv_ctx_create puts its message, as there is no context to ask */
    uint64_t error_size; /* bytes at `error` */
    uint64_t memory; /* device memory in bytes that one pass may take for activations or signals;
                        work that can be split is (deconv_trace_batch, deconv_project); 0: a quarter
                        of the device's */
} deconv_ctx_options;

#define DECONV_CTX_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(deconv_ctx_options), 0, NULL, NULL, DECONV_LOG_WARNING, 0, NULL, NULL, NULL, NULL,  \
            NULL, NULL, NULL, NULL, 0, 0                                                           \
    }
DECONV_API void deconv_ctx_options_init(deconv_ctx_options *options);

/* Opens a device with an in-order queue. DECONV_ERROR_NO_DEVICE names the package to install or the
 * devices there are. */
DECONV_API deconv_status deconv_ctx_create(const deconv_ctx_options *options, deconv_ctx **ctx);
DECONV_API void deconv_ctx_destroy(deconv_ctx *ctx);

/* What went wrong in this thread's last failed call on `ctx`: what, with which value, what would be
 * right. "" before the first failure. Valid until this thread's next failing call. */
DECONV_API const char *deconv_ctx_message(const deconv_ctx *ctx);

/* The device this context runs on. */
DECONV_API deconv_status deconv_ctx_device(const deconv_ctx *ctx, deconv_device_info *info);

/* ---- Tensors ---------------------------------------------------------------------------- */

#define DECONV_MAX_RANK 5

typedef struct deconv_tensor deconv_tensor;

/* A tensor of zeros on the context's device. `shape` has `rank` (1 to 5) sizes of at least 1; at
 * most 2^31 - 1 elements. */
DECONV_API deconv_status deconv_tensor_create(deconv_ctx *ctx, const int64_t *shape, uint32_t rank,
                                              deconv_tensor **tensor);
DECONV_API void deconv_tensor_destroy(deconv_tensor *tensor);

DECONV_API uint32_t deconv_tensor_rank(const deconv_tensor *tensor);
/* Size of dimension `axis`; 0 where there is no such dimension. */
DECONV_API int64_t deconv_tensor_size(const deconv_tensor *tensor, uint32_t axis);
DECONV_API uint64_t deconv_tensor_count(const deconv_tensor *tensor);

/* Copy the whole tensor from or to host memory; `count` must equal deconv_tensor_count(). */
DECONV_API deconv_status deconv_tensor_write(deconv_tensor *tensor, const float *values,
                                             uint64_t count);
DECONV_API deconv_status deconv_tensor_read(const deconv_tensor *tensor, float *values,
                                            uint64_t count);

/* NumPy .npy files: little-endian float32 in C order. Loading accepts 1 to 5 dimensions and says
 * what the file holds instead when it holds something else. Saving writes the file whole or not at
 * all. */
DECONV_API deconv_status deconv_tensor_load(deconv_ctx *ctx, const char *path,
                                            deconv_tensor **tensor);
DECONV_API deconv_status deconv_tensor_save(const deconv_tensor *tensor, const char *path);
/* The same for values in host memory. */
DECONV_API deconv_status deconv_values_save(deconv_ctx *ctx, const float *values,
                                            const int64_t *shape, uint32_t rank, const char *path);

/* ---- One layer -------------------------------------------------------------------------- */

/* How an inverse pass treats nonlinearities; R is the signal, x the input, f the nonlinearity. */
typedef enum deconv_rule {
    DECONV_RULE_DECONVNET = 0, /* max(R, 0): Zeiler & Fergus 2013, section 2.1 */
    DECONV_RULE_GRADIENT = 1,  /* R f'(x): Simonyan et al. 2014 */
    DECONV_RULE_GUIDED = 2,    /* max(R, 0) f'(x): Springenberg et al. 2015 */
    DECONV_RULE_FORCE_32 = 0x7fffffff
} deconv_rule;

enum {
    DECONV_INVERSE_AVERAGE_COPY = 1,   /* average pools copy R to each cell, not R/count */
    DECONV_INVERSE_LRN_DERIVATIVE = 2, /* the true derivative of LRN, not the identity */
    DECONV_INVERSE_APPLY_F = 4         /* deconvnet rule: f(R) at activations other than ReLU */
};

typedef struct deconv_inverse_options {
    uint32_t struct_size;
    deconv_rule rule;
    uint32_t flags; /* DECONV_INVERSE_... */
    uint32_t reserved;
} deconv_inverse_options;

#define DECONV_INVERSE_OPTIONS_INIT                                                                \
    {                                                                                              \
        sizeof(deconv_inverse_options), DECONV_RULE_DECONVNET, 0, 0                                \
    }
DECONV_API void deconv_inverse_options_init(deconv_inverse_options *options);

/* An attribute under its ONNX name. A single number is a list of one. What newer opsets pass as a
 * constant input (Reshape's shape, Slice's starts, Clip's min, ...) may be given as an attribute of
 * that name here, whatever the opset. */
typedef enum deconv_attr_type {
    DECONV_ATTR_INTS = 0,
    DECONV_ATTR_FLOATS = 1,
    DECONV_ATTR_STRING = 2,
    DECONV_ATTR_TYPE_FORCE_32 = 0x7fffffff
} deconv_attr_type;

typedef struct deconv_attr {
    const char *name;
    deconv_attr_type type;
    uint32_t reserved;
    uint64_t count; /* numbers in the list */
    const int64_t *ints;
    const float *floats;
    const char *string;
} deconv_attr;

typedef struct deconv_layer deconv_layer;

/* One ONNX operator, e.g. "Conv" with strides and pads, as opset `opset` (7 to 21) defines it. The
 * attributes are copied. */
DECONV_API deconv_status deconv_layer_create(deconv_ctx *ctx, const char *op_type, int32_t opset,
                                             const deconv_attr *attrs, uint64_t attr_count,
                                             deconv_layer **layer);
DECONV_API void deconv_layer_destroy(deconv_layer *layer);

/* Shape of output `output` for inputs of the shapes of `inputs` (NULL for an optional input left
 * out). `shape` takes DECONV_MAX_RANK sizes. */
DECONV_API deconv_status deconv_layer_shape(deconv_layer *layer, const deconv_tensor *const *inputs,
                                            uint32_t input_count, uint32_t output, int64_t *shape,
                                            uint32_t *rank);

typedef enum deconv_direction {
    DECONV_FORWARD = 0,
    DECONV_INVERSE = 1,
    DECONV_DIRECTION_FORCE_32 = 0x7fffffff
} deconv_direction;

/* Runs one operator on the caller's tensors.
 *   forward  outputs[i] = f(inputs); output_count may leave trailing outputs out
 *   inverse  carries the signals in `outputs` (one per output, of its shape) back: signals[i], of
 * the shape of inputs[i], is overwritten; NULL where no signal is wanted, as for weights. What the
 * rule needs of the forward pass (switches, derivatives) is computed from `inputs`. `options` and
 * `signals` are for the inverse only; inputs of weights and biases are ordinary tensors here. */
DECONV_API deconv_status deconv_run_layer(deconv_ctx *ctx, deconv_layer *layer,
                                          deconv_direction direction,
                                          const deconv_inverse_options *options,
                                          const deconv_tensor *const *inputs, uint32_t input_count,
                                          deconv_tensor *const *outputs, uint32_t output_count,
                                          deconv_tensor *const *signals);

/* ---- Networks --------------------------------------------------------------------------- */

typedef struct deconv_net deconv_net;

typedef struct deconv_net_options {
    uint32_t struct_size;
    uint32_t height; /* sizes for an input whose height and width the file leaves open; 0: none */
    uint32_t width;
    uint32_t reserved;
} deconv_net_options;

#define DECONV_NET_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(deconv_net_options), 0, 0, 0                                                        \
    }
DECONV_API void deconv_net_options_init(deconv_net_options *options);

/* Reads an ONNX file, opset 7 to 21. Large weights are read when a trace or a projection first
 * needs them on the device: the file must not be written to as long as the net is there, which is
 * noticed. Refusals name the node, its operator and what would be possible instead. */
DECONV_API deconv_status deconv_net_open(deconv_ctx *ctx, const char *path,
                                         const deconv_net_options *options, deconv_net **net);
DECONV_API void deconv_net_destroy(deconv_net *net);

typedef struct deconv_layer_info {
    uint32_t struct_size;
    uint32_t rank;
    int64_t shape[DECONV_MAX_RANK]; /* for one picture: shape[0] is 1 where there is a batch */
    uint64_t parameters;            /* weights and biases */
    int64_t field_height; /* receptive field of the central unit, clipped to the picture; */
    int64_t field_width;  /* 0 where the layer does not depend on the input */
    const char *name;     /* the output tensor's name */
    const char *op_type;  /* "Conv" */
} deconv_layer_info;

#define DECONV_LAYER_INFO_INIT                                                                     \
    {                                                                                              \
        sizeof(deconv_layer_info), 0, {0}, 0, 0, 0, NULL, NULL                                     \
    }
DECONV_API void deconv_layer_info_init(deconv_layer_info *info);

/* Layers in the order they run. Constants that are folded at load are not layers. */
DECONV_API uint32_t deconv_net_layer_count(const deconv_net *net);
DECONV_API deconv_status deconv_net_layer(deconv_net *net, uint32_t index, deconv_layer_info *info);
/* The index of a layer by name; the message of DECONV_ERROR_NOT_FOUND lists the nearest names. */
DECONV_API deconv_status deconv_net_find(const deconv_net *net, const char *name, uint32_t *index);

/* Inputs that are not weights. `shape` takes DECONV_MAX_RANK sizes, the batch as 1. `fixed_batch`
 * is 0 where the file leaves the batch open. */
DECONV_API uint32_t deconv_net_input_count(const deconv_net *net);
DECONV_API deconv_status deconv_net_input(const deconv_net *net, uint32_t index, const char **name,
                                          int64_t *shape, uint32_t *rank, int64_t *fixed_batch);

/* The layer that the file declares as output `index`. */
DECONV_API uint32_t deconv_net_output_count(const deconv_net *net);
DECONV_API deconv_status deconv_net_output(const deconv_net *net, uint32_t index, uint32_t *layer);

/* The layer whose softmax, if any, ends the net, and the layer it takes its input from: what
 * classifies and what is projected. Without a softmax both are the first output. */
DECONV_API deconv_status deconv_net_classifier(const deconv_net *net, uint32_t *probabilities,
                                               uint32_t *logits);

/* The box of input positions (0 <= y < height, ends exclusive) that unit (y, x) of any map of
 * `layer` is computed from; for a layer without positions y and x are 0. */
DECONV_API deconv_status deconv_net_field(deconv_net *net, uint32_t layer, int64_t y, int64_t x,
                                          int64_t *top, int64_t *left, int64_t *bottom,
                                          int64_t *right);

/* ---- Convolutions: what was chosen, and measuring it ------------------------------------ */

/* How the convolutions of a net run over a batch of pictures: for each layer Conv or ConvTranspose,
 * forward and then inverse. */
typedef struct deconv_plan deconv_plan;

typedef struct deconv_plan_info {
    uint32_t struct_size;
    uint32_t layer;
    deconv_direction direction;
    uint32_t candidate_count; /* algorithms there are */
    uint32_t from_block;      /* layout of the maps that are read: 1 is NCHW, another number that */
    uint32_t to_block;        /* many channels side by side; and of those that are written */
    double work;              /* multiply-adds */
    double share;          /* of the estimated cost of all convolutions in this direction: 0 to 1 */
    double microseconds;   /* as deconv_net_tune measured it; 0: it was not */
    const char *algorithm; /* what was chosen */
    const char *approximate; /* what is chosen instead in a trace with DECONV_TRACE_APPROXIMATE;
                                NULL: the same, and on the way back, which such a trace has not */
    double approximate_cost; /* estimated, in units of what was chosen; 0 where it is the same */
} deconv_plan_info;

#define DECONV_PLAN_INFO_INIT                                                                      \
    {                                                                                              \
        sizeof(deconv_plan_info), 0, DECONV_FORWARD, 0, 0, 0, 0.0, 0.0, 0.0, NULL, NULL, 0.0       \
    }
DECONV_API void deconv_plan_info_init(deconv_plan_info *info);

typedef struct deconv_plan_candidate {
    uint32_t struct_size;
    uint32_t refused;    /* 1: it cannot serve; 0: it could */
    double microseconds; /* measured; 0: it was not */
    double cost;         /* estimated, in units of what was chosen; 0 where it cannot serve */
    const char *name;
    const char *reason; /* why it was not taken; NULL for what was chosen */
} deconv_plan_candidate;

#define DECONV_PLAN_CANDIDATE_INIT                                                                 \
    {                                                                                              \
        sizeof(deconv_plan_candidate), 0, 0.0, 0.0, NULL, NULL                                     \
    }
DECONV_API void deconv_plan_candidate_init(deconv_plan_candidate *candidate);

/* What is chosen for a batch (0: one picture, or the file's fixed batch). Nothing runs. The plan
 * may outlive neither its net nor its context; its strings belong to it. */
DECONV_API deconv_status deconv_plan_create(deconv_net *net, int64_t batch, deconv_plan **plan);
DECONV_API void deconv_plan_destroy(deconv_plan *plan);
DECONV_API uint32_t deconv_plan_count(const deconv_plan *plan);
DECONV_API deconv_status deconv_plan_get(const deconv_plan *plan, uint32_t index,
                                         deconv_plan_info *info);
DECONV_API deconv_status deconv_plan_candidate_get(const deconv_plan *plan, uint32_t index,
                                                   uint32_t candidate,
                                                   deconv_plan_candidate *found);

typedef struct deconv_tune_options {
    uint32_t struct_size;
    uint32_t reserved;    /* 0 */
    int64_t batch;        /* pictures at a time; 0: one, or the file's fixed batch */
    double limit_seconds; /* for each algorithm and convolution; 0: 1 second */
} deconv_tune_options;

#define DECONV_TUNE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(deconv_tune_options), 0, 0, 0.0                                                     \
    }
DECONV_API void deconv_tune_options_init(deconv_tune_options *options);

typedef struct deconv_tune_summary {
    uint32_t struct_size;
    uint32_t convolutions; /* different ones, each direction for itself */
    uint32_t measured;     /* algorithms that were timed, over all convolutions */
    uint32_t over_limit;   /* and that took longer than the limit, or were expected to */
    uint32_t wrong;        /* and that computed something else: never used for it on this device */
    uint32_t reserved;
    const char *path; /* the file that keeps it; belongs to the net */
} deconv_tune_summary;

#define DECONV_TUNE_SUMMARY_INIT                                                                   \
    {                                                                                              \
        sizeof(deconv_tune_summary), 0, 0, 0, 0, 0, NULL                                           \
    }
DECONV_API void deconv_tune_summary_init(deconv_tune_summary *summary);

/* Measures, on random data, every algorithm that could serve each convolution of the net, forward
 * and inverse; each is first checked against the plain one. The times are kept in a file of the
 * context's cache folder, one a device, beside those of other nets. Contexts that are created from
 * then on choose by it; this one goes on as before, so that its results stay the same. When
 * it is cancelled or fails, what was measured until then is kept. DECONV_ERROR_INVALID where the
 * context has no cache folder. A running kernel cannot be interrupted: the limit leaves out what is
 * expected to be over it. `summary` may be NULL. */
DECONV_API deconv_status deconv_net_tune(deconv_net *net, const deconv_tune_options *options,
                                         deconv_tune_summary *summary);

/* ---- Forward: a trace ------------------------------------------------------------------- */

typedef struct deconv_trace deconv_trace;

enum {
    DECONV_TRACE_NO_INVERSE = 0x200, /* forward only: nothing is stored for the way back and `rules`
                                        counts for nothing; projecting is an error. The activations
                                        are the same bit for bit, in less memory */
    DECONV_TRACE_APPROXIMATE = 0x400 /* forward only as well, and faster where the network has 3x3
                                        convolutions of many channels: Winograd's algorithm may
                                        serve. Each convolution then errs by some millionths of its
                                        largest result, about as a plain sum does, but equal
                                        neighbourhoods need not give equal results: ties may break
                                        and the maximum of a pool may move */
};

typedef struct deconv_trace_options {
    uint32_t struct_size;
    uint32_t rules;       /* 1 << DECONV_RULE_... the trace must serve; 0: all three */
    uint32_t flags;       /* the DECONV_INVERSE_... the inverse passes will use, DECONV_TRACE_... */
    uint32_t keep_count;  /* layers in `keep` */
    const uint32_t *keep; /* layers whose activations are kept to be read or seeded; NULL: all */
    const uint32_t *last; /* run no further than these layers need; NULL: the net's outputs */
    uint32_t last_count;
    uint32_t reserved;
} deconv_trace_options;

#define DECONV_TRACE_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(deconv_trace_options), 0, 0, 0, NULL, NULL, 0, 0                                    \
    }
DECONV_API void deconv_trace_options_init(deconv_trace_options *options);

/* The largest batch up to `wanted` whose trace fits the context's memory budget, at least 1; what
 * the file fixes where it does. For running many pictures in parts. */
DECONV_API deconv_status deconv_trace_batch(deconv_net *net, int64_t wanted,
                                            const deconv_trace_options *options, int64_t *batch);

/* Room for what one forward pass over `batch` pictures leaves behind: switches and activations. May
 * be used again for any number of passes. */
DECONV_API deconv_status deconv_trace_create(deconv_net *net, int64_t batch,
                                             const deconv_trace_options *options,
                                             deconv_trace **trace);
DECONV_API void deconv_trace_destroy(deconv_trace *trace);

/* Runs the net on one tensor per input, each (batch, ...), and leaves the trace. */
DECONV_API deconv_status deconv_trace_run(deconv_trace *trace, const deconv_tensor *const *inputs,
                                          uint32_t input_count);

/* The activation of a kept layer, (batch, ...): belongs to the trace, overwritten by its next run.
 */
DECONV_API deconv_status deconv_trace_activation(deconv_trace *trace, uint32_t layer,
                                                 const deconv_tensor **activation);

/* ---- Inverse: projections --------------------------------------------------------------- */

typedef enum deconv_seed_value {
    DECONV_SEED_ACTIVATION = 0, /* the unit's own activation (Zeiler & Fergus) */
    DECONV_SEED_ONE = 1,
    DECONV_SEED_VALUE_FORCE_32 = 0x7fffffff
} deconv_seed_value;

#define DECONV_STRONGEST (-1)

typedef struct deconv_seed {
    int64_t item; /* which picture of the batch */
    int64_t unit; /* feature map; DECONV_STRONGEST: the map with the largest activation */
    int64_t y;    /* position in the map; both DECONV_STRONGEST: that of its largest activation. */
    int64_t x;    /* 0 or DECONV_STRONGEST in a layer without positions */
} deconv_seed;

typedef struct deconv_projection_info {
    int64_t item, unit, y, x; /* the seed with every DECONV_STRONGEST resolved */
    float activation;         /* the unit's activation */
    float largest;            /* largest absolute value of the projection; 0: the signal died */
    int32_t died_at;          /* layer in whose inverse the last of the signal vanished; else -1 */
    uint32_t reserved;
} deconv_projection_info;

enum {
    DECONV_PROJECT_WHOLE = 0x100 /* compute whole layers, not only the seeds' receptive fields: for
                                    comparison; the result is the same bit for bit */
};

typedef struct deconv_project_options {
    uint32_t struct_size;
    deconv_rule rule;
    uint32_t flags; /* DECONV_INVERSE_..., DECONV_PROJECT_... */
    deconv_seed_value value;
    uint32_t input; /* the network input to project to */
    uint32_t reserved;
} deconv_project_options;

#define DECONV_PROJECT_OPTIONS_INIT                                                                \
    {                                                                                              \
        sizeof(deconv_project_options), DECONV_RULE_DECONVNET, 0, DECONV_SEED_ACTIVATION, 0, 0     \
    }
DECONV_API void deconv_project_options_init(deconv_project_options *options);

/* Projects `count` units of one kept layer to the input: projections is (count, C, H, W), signed,
 * and infos (NULL: not wanted) has `count` entries. Every projection is one of its own: the other
 * units of the layer are zero. Where every operator on the way can, only the seeds' receptive
 * fields are computed, many seeds at once; so give many seeds in one call. */
DECONV_API deconv_status deconv_project(deconv_trace *trace, uint32_t layer,
                                        const deconv_seed *seeds, uint64_t count,
                                        const deconv_project_options *options,
                                        deconv_tensor *projections, deconv_projection_info *infos);

/* The same from an arbitrary signal: `signal` has the shape of the layer's activation (batch, ...),
 * the projection that of the input. */
DECONV_API deconv_status deconv_project_signal(deconv_trace *trace, uint32_t layer,
                                               const deconv_tensor *signal,
                                               const deconv_project_options *options,
                                               deconv_tensor *projection);

/* ---- Model cards and pictures ----------------------------------------------------------- */

typedef struct deconv_picture deconv_picture;
typedef struct deconv_card deconv_card;

/* 8-bit RGB. Reading takes JPEG, PNG, BMP, TGA, GIF and PNM files, grey or colour, with alpha (laid
 * over mid-grey) or 16 bits per channel (rounded to 8). Writing takes PNG, JPEG, BMP or TGA by the
 * path's ending, whole or not at all. `rgb` is height x width x 3 bytes, row by row. */
DECONV_API deconv_status deconv_picture_create(deconv_ctx *ctx, int64_t width, int64_t height,
                                               const uint8_t *rgb, deconv_picture **picture);
DECONV_API deconv_status deconv_picture_read(deconv_ctx *ctx, const char *path,
                                             deconv_picture **picture);
DECONV_API deconv_status deconv_picture_write(const deconv_picture *picture, const char *path);
DECONV_API void deconv_picture_destroy(deconv_picture *picture);
DECONV_API int64_t deconv_picture_width(const deconv_picture *picture);
DECONV_API int64_t deconv_picture_height(const deconv_picture *picture);
/* height x width x 3 bytes; belongs to the picture, which may be drawn on through it. */
DECONV_API uint8_t *deconv_picture_pixels(deconv_picture *picture);

/* A one-pixel frame around rows top..bottom-1 and columns left..right-1, clipped to the picture. */
DECONV_API void deconv_picture_outline(deconv_picture *picture, int64_t top, int64_t left,
                                       int64_t bottom, int64_t right, uint32_t rgb);

typedef enum deconv_scaling {
    DECONV_SCALING_ZERO_GREY = 0,  /* 0.5 + x / (2 max|x|): zero is mid-grey */
    DECONV_SCALING_MIN_MAX = 1,    /* smallest value black, largest white */
    DECONV_SCALING_MAGNITUDE = 2,  /* largest |x| over the channels, black to white */
    DECONV_SCALING_POSITIVE = 3,   /* max(x, 0) / max x */
    DECONV_SCALING_PERCENTILE = 4, /* zero is grey, |x| clipped at its 99th percentile */
    DECONV_SCALING_FORCE_32 = 0x7fffffff
} deconv_scaling;

/* Signed values (channels, height, width), 1 or 3 channels, as a picture. `bgr` non-zero: channel 0
 * is blue. All-zero values give even mid-grey (or black); a value that is not finite is an error.
 */
DECONV_API deconv_status deconv_picture_display(deconv_ctx *ctx, const float *values,
                                                int64_t channels, int64_t height, int64_t width,
                                                deconv_scaling scaling, int32_t bgr,
                                                deconv_picture **picture);

/* Tiles side by side in rows of `columns`, `gap` pixels apart on white, each cell as large as the
 * largest tile. `scale` enlarges every tile by a whole factor, pixels kept square. `captions`, NULL
 * or one string (or NULL) a tile, stand below the tiles. */
DECONV_API deconv_status deconv_picture_montage(deconv_ctx *ctx, const deconv_picture *const *tiles,
                                                const char *const *captions, uint32_t count,
                                                uint32_t columns, uint32_t gap, uint32_t scale,
                                                deconv_picture **picture);

/* The model card at `card_path`; with NULL, X.json beside `model_path` X.onnx, else model.json in
 * that folder, else the defaults (values in [0, 1], RGB, resized to the net's input) with a
 * warning. */
DECONV_API deconv_status deconv_card_open(deconv_ctx *ctx, const char *card_path,
                                          const char *model_path, deconv_card **card);
DECONV_API void deconv_card_destroy(deconv_card *card);

/* The label of class `index`, NULL where the card has none. */
DECONV_API const char *deconv_card_label(const deconv_card *card, uint32_t index);
DECONV_API uint32_t deconv_card_label_count(const deconv_card *card);
/* The class that a label names: a whole label, or one of its parts between commas, letter case
 * ignored. One that does not exist is DECONV_ERROR_NOT_FOUND, whose message lists the nearest;
 * one that several classes have is DECONV_ERROR_INVALID. */
DECONV_API deconv_status deconv_card_class(const deconv_card *card, const char *label,
                                           int64_t *index);
/* Non-zero where the net wants blue first. */
DECONV_API int32_t deconv_card_bgr(const deconv_card *card);

/* The size that the card crops to; both 0 where it does not say. */
DECONV_API void deconv_card_input_size(const deconv_card *card, int64_t *height, int64_t *width);

/* The part of a picture that the net sees: resized (triangle filter) and cropped to height x width
 * by the card. */
DECONV_API deconv_status deconv_card_crop(const deconv_card *card, const deconv_picture *picture,
                                          int64_t height, int64_t width, deconv_picture **cropped);

/* (value in range - mean) / std per channel of a picture of the net's input size, as `channels` x
 * height x width floats. */
DECONV_API deconv_status deconv_card_values(const deconv_card *card, const deconv_picture *cropped,
                                            int64_t channels, float *values, uint64_t count);

/* ---- Frequencies: what filters respond to, and what passes through them ------------------ */

/* For every Conv and ConvTranspose of a net: how the energy of each filter, and of the feature maps
 * it makes of pictures, is spread over spatial frequencies; aliasing; dead filters; a verdict as in
 * Zeiler & Fergus 2013, section 4.1. Frequencies are in cycles per pixel of the layer's input (a
 * filter) or of the map itself; docs/frequency.md has the formulas. */
typedef struct deconv_frequency deconv_frequency;

typedef struct deconv_frequency_options {
    uint32_t struct_size;
    uint32_t grid;    /* filters are zero-padded to grid x grid: even, 8 to 1024 */
    double low_to;    /* low: 0 < f < low_to */
    double mid_to;    /* mid: low_to <= f < mid_to; high: mid_to <= f */
    double rms_limit; /* filters over it are counted */
    double dead_rms;  /* a filter is dead whose RMS is at most this part of the layer's median */
    double little;    /* a band has little when its share is below this, */
    double much;      /* and much from this on */
} deconv_frequency_options;

#define DECONV_FREQUENCY_OPTIONS_INIT                                                              \
    {                                                                                              \
        sizeof(deconv_frequency_options), 64, 1.0 / 6.0, 1.0 / 3.0, 0.1, 0.01, 0.15, 0.25          \
    }
DECONV_API void deconv_frequency_options_init(deconv_frequency_options *options);

/* Where energy lies. Of one filter or map: sums of squares, dc + low + mid + high = energy. Of a
 * layer: the shares of its filters or maps that are not dead, averaged; energy is then 1, or 0
 * where there are none. */
typedef struct deconv_bands {
    double energy;
    double dc; /* of the mean */
    double low;
    double mid;
    double high;
    double beyond;      /* part of the energy past the Nyquist limit after the stride: it aliases */
    double centroid;    /* mean radial frequency, DC counted at 0 */
    double orientation; /* of the stripes: degrees from horizontal, counter-clockwise, 0 to 180 */
    double oriented;    /* how much they agree on it: 0 none, 1 all */
} deconv_bands;

typedef enum deconv_verdict {
    DECONV_VERDICT_EVEN = 0, /* no band has little */
    DECONV_VERDICT_GAP = 1,  /* much very low and very high, little in between: the paper's case */
    DECONV_VERDICT_LOW = 2,  /* mostly DC and low */
    DECONV_VERDICT_MID = 3,  /* mostly mid */
    DECONV_VERDICT_HIGH = 4, /* mostly high */
    DECONV_VERDICT_UNEVEN = 5, /* some band has little, none has most */
    DECONV_VERDICT_NOISE = 6,  /* as white noise would have it */
    DECONV_VERDICT_POINT = 7,  /* 1x1 filters: every frequency alike */
    DECONV_VERDICT_DEAD = 8,   /* no filter lives */
    DECONV_VERDICT_FORCE_32 = 0x7fffffff
} deconv_verdict;

typedef struct deconv_frequency_info {
    uint32_t struct_size;
    uint32_t layer;   /* in the net */
    uint32_t maps_of; /* the layer whose maps are analysed: its activation function, or itself */
    uint32_t filters;
    uint32_t channels; /* of one filter */
    uint32_t height;   /* of the kernel, and so on; a 1-D layer has height 1 */
    uint32_t width;
    uint32_t stride_y;
    uint32_t stride_x;
    uint32_t dilation_y;
    uint32_t dilation_x;
    uint32_t grid_y; /* the padded grid: `grid`, or more where a kernel is larger */
    uint32_t grid_x;
    uint32_t dead_weight;     /* filters dead by their weights */
    uint32_t dead_activation; /* whose map is the same everywhere in all pictures; 0 without any */
    uint32_t over_limit;      /* over the RMS limit */
    deconv_verdict verdict;
    uint32_t reserved;
    deconv_bands filter_bands;
    deconv_bands map_bands;   /* energy 0 before the first picture */
    deconv_bands noise_bands; /* what white noise of this size would have: about the bands' areas */
    const char *name;
    const char *op_type;
    const char *text; /* the verdict in words, with dead filters and aliasing */
} deconv_frequency_info;

#define DECONV_FREQUENCY_INFO_INIT                                                                 \
    {                                                                                              \
        sizeof(deconv_frequency_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                \
            DECONV_VERDICT_EVEN, 0, {0, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 0},      \
            {0, 0, 0, 0, 0, 0, 0, 0, 0}, NULL, NULL, NULL                                          \
    }
DECONV_API void deconv_frequency_info_init(deconv_frequency_info *info);

enum {
    DECONV_FILTER_DEAD_WEIGHT = 1,
    DECONV_FILTER_DEAD_ACTIVATION = 2,
    DECONV_FILTER_OVER_LIMIT = 4
};

typedef struct deconv_filter_info {
    uint32_t struct_size;
    uint32_t flags; /* DECONV_FILTER_... */
    double rms;     /* root of the mean square of its weights */
    deconv_bands bands;
    deconv_bands map_bands; /* of its map, over all pictures */
} deconv_filter_info;

#define DECONV_FILTER_INFO_INIT                                                                    \
    {                                                                                              \
        sizeof(deconv_filter_info), 0, 0.0, {0, 0, 0, 0, 0, 0, 0, 0, 0},                           \
        {                                                                                          \
            0, 0, 0, 0, 0, 0, 0, 0, 0                                                              \
        }                                                                                          \
    }
DECONV_API void deconv_filter_info_init(deconv_filter_info *info);

/* Analyses the filters of all convolutions; nothing runs. The result may outlive neither its net
 * nor its context and counts as part of the net for threads. */
DECONV_API deconv_status deconv_frequency_create(deconv_net *net,
                                                 const deconv_frequency_options *options,
                                                 deconv_frequency **frequency);
DECONV_API void deconv_frequency_destroy(deconv_frequency *frequency);

/* Runs pictures through the net, one tensor per input, each (batch, ...), in parts that memory
 * allows, and adds them and their feature maps to the analysis. May be called again for more. When
 * it fails, no pictures are left in the analysis. */
DECONV_API deconv_status deconv_frequency_run(deconv_frequency *frequency,
                                              const deconv_tensor *const *inputs,
                                              uint32_t input_count);
DECONV_API uint64_t deconv_frequency_pictures(const deconv_frequency *frequency);

/* Convolutions, in the order they run, 0 <= index < count; their strings are valid until the next
 * deconv_frequency_run(). */
DECONV_API uint32_t deconv_frequency_count(const deconv_frequency *frequency);
DECONV_API deconv_status deconv_frequency_get(const deconv_frequency *frequency, uint32_t index,
                                              deconv_frequency_info *info);
DECONV_API deconv_status deconv_frequency_filter(const deconv_frequency *frequency, uint32_t index,
                                                 uint32_t filter, deconv_filter_info *info);

/* The pictures themselves, as the net gets them: their channels' shares, averaged. */
DECONV_API deconv_status deconv_frequency_input(const deconv_frequency *frequency,
                                                deconv_bands *bands);

typedef enum deconv_frequency_source {
    DECONV_FREQUENCY_FILTERS = 0,
    DECONV_FREQUENCY_MAPS = 1,
    DECONV_FREQUENCY_INPUT = 2, /* `index` is ignored */
    DECONV_FREQUENCY_NOISE = 3, /* as noise_bands */
    DECONV_FREQUENCY_SOURCE_FORCE_32 = 0x7fffffff
} deconv_frequency_source;

/* Classes of the radial histogram: class i is i/48 <= f < (i + 1)/48 cycles per pixel. */
#define DECONV_FREQUENCY_CLASSES 34

/* Shares of the energy by radial frequency, DC left out: `count` DECONV_FREQUENCY_CLASSES values
 * that add up to 1 - dc. */
DECONV_API deconv_status deconv_frequency_histogram(const deconv_frequency *frequency,
                                                    uint32_t index, deconv_frequency_source source,
                                                    double *shares, uint64_t count);

/* A filter's weights (channels, height, width). */
DECONV_API deconv_status deconv_frequency_weights(deconv_frequency *frequency, uint32_t index,
                                                  uint32_t filter, float *values, uint64_t count);
/* Its energy by frequency (grid_y, grid_x), all channels together, frequency 0 in the middle at
 * (grid_y / 2, grid_x / 2). Adds up to the sum of the squared weights. */
DECONV_API deconv_status deconv_frequency_spectrum(deconv_frequency *frequency, uint32_t index,
                                                   uint32_t filter, double *values, uint64_t count);

/* ---- Occlusion: what covering a part of the picture changes ------------------------------ */

/* A finished sweep (Zeiler & Fergus 2013, section 4.2): a patch was laid over every place of a grid
 * and the net run each time. */
typedef struct deconv_occlusion deconv_occlusion;

typedef enum deconv_fill {
    DECONV_FILL_MEAN = 0,   /* the card's mean: 0 in the net's input. Needs no card */
    DECONV_FILL_GREY = 1,   /* 127.5 of 255 */
    DECONV_FILL_COLOUR = 2, /* `colour` */
    DECONV_FILL_BLUR = 3,   /* the picture itself, blurred: a Gaussian with a sigma of a quarter of
                               the patch's longer side, 1 pixel or more. Needs no card */
    DECONV_FILL_NOISE = 4,  /* 0 to 255, even, for every pixel and colour by `seed` */
    DECONV_FILL_FORCE_32 = 0x7fffffff
} deconv_fill;

typedef enum deconv_occlusion_kind {
    DECONV_OCCLUSION_PROB = 0,     /* probability of the class */
    DECONV_OCCLUSION_LOGIT = 1,    /* the class's value before the softmax */
    DECONV_OCCLUSION_DROP = 2,     /* probability: clean - covered */
    DECONV_OCCLUSION_LABEL = 3,    /* the most probable class; the first of equals */
    DECONV_OCCLUSION_ACTIVITY = 4, /* sum over a feature map */
    DECONV_OCCLUSION_KIND_FORCE_32 = 0x7fffffff
} deconv_occlusion_kind;

typedef enum deconv_occlusion_engine {
    DECONV_OCCLUSION_INCREMENTAL =
        0,                     /* only what the patch changes, read against the clean picture;
                                  the same bit for bit. The other where that would not pay */
    DECONV_OCCLUSION_FULL = 1, /* the whole net for every place, many places a batch */
    DECONV_OCCLUSION_ENGINE_FORCE_32 = 0x7fffffff
} deconv_occlusion_engine;

/* One map of a sweep. */
typedef struct deconv_occlusion_map {
    deconv_occlusion_kind kind;
    uint32_t layer; /* DECONV_OCCLUSION_ACTIVITY: this layer's */
    int64_t unit;   /* feature map; DECONV_STRONGEST: the one with the largest activation on the
                       clean picture */
} deconv_occlusion_map;

typedef struct deconv_occlusion_options {
    uint32_t struct_size;
    deconv_occlusion_engine engine;
    int64_t
        patch_height; /* pixels; 0: a seventh of the picture's shorter side, or in a picture of */
    int64_t patch_width; /* one row that of its width */
    int64_t stride_y;    /* 0: half the patch */
    int64_t stride_x;
    int64_t top; /* region of interest: no patch leaves it; ends exclusive. */
    int64_t left;
    int64_t bottom; /* all four 0: the whole picture */
    int64_t right;
    int64_t class_index;     /* DECONV_STRONGEST: the most probable class of the clean picture */
    const char *label;       /* the class by its label on the card, in place of its index */
    const deconv_card *card; /* how the input is normalised, and labels; NULL: none */
    deconv_fill fill;
    float colour[3]; /* red, green, blue, 0 to 255 */
    uint64_t seed;
    const deconv_occlusion_map *maps; /* all from one sweep; NULL: one of DECONV_OCCLUSION_PROB */
    uint32_t map_count;
    uint32_t input; /* the network input that is covered */
} deconv_occlusion_options;

#define DECONV_OCCLUSION_OPTIONS_INIT                                                              \
    {                                                                                              \
        sizeof(deconv_occlusion_options), DECONV_OCCLUSION_INCREMENTAL, 0, 0, 0, 0, 0, 0, 0, 0,    \
            DECONV_STRONGEST, NULL, NULL, DECONV_FILL_MEAN, {0, 0, 0}, 0, NULL, 0, 0               \
    }
DECONV_API void deconv_occlusion_options_init(deconv_occlusion_options *options);

typedef struct deconv_occlusion_info {
    uint32_t struct_size;
    uint32_t map_count;
    int64_t rows; /* of every map: one value a place of the patch */
    int64_t columns;
    int64_t height; /* of the picture */
    int64_t width;
    int64_t patch_height;
    int64_t patch_width;
    int64_t stride_y;
    int64_t stride_x;
    int64_t class_index; /* -1, as is clean_label, where no map needed a class */
    int64_t clean_label; /* the most probable class of the clean picture */
    float clean_prob;    /* of the class, on the clean picture */
    float clean_logit;
} deconv_occlusion_info;

#define DECONV_OCCLUSION_INFO_INIT                                                                 \
    {                                                                                              \
        sizeof(deconv_occlusion_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                       \
    }
DECONV_API void deconv_occlusion_info_init(deconv_occlusion_info *info);

/* Covers the picture in `inputs` (one tensor per network input, each of one picture) place by
 * place. Corners of the patch lie at 0, stride, 2 strides, ... while it fits; where the last one
 * leaves a margin, one more is flush with the edge. Several places go through the net at a time: as
 * many as the context's memory budget allows, whatever their number. Progress counts places, and
 * what it says has the time that is left: "occlusion, 12 s left".
 * Probabilities: of the softmax (exponentials of the log-softmax, values of the sigmoid) that ends
 * the net; without one, the softmax of its output. `occlusion` may outlive the net. */
DECONV_API deconv_status deconv_occlusion_run(deconv_net *net, const deconv_tensor *const *inputs,
                                              uint32_t input_count,
                                              const deconv_occlusion_options *options,
                                              deconv_occlusion **occlusion);
DECONV_API void deconv_occlusion_destroy(deconv_occlusion *occlusion);

DECONV_API deconv_status deconv_occlusion_get(const deconv_occlusion *occlusion,
                                              deconv_occlusion_info *info);
/* Where the patch's corner lies: the first row of pixels it covers for each row of the maps, the
 * first column for each column. They belong to the occlusion. */
DECONV_API const int64_t *deconv_occlusion_tops(const deconv_occlusion *occlusion);
DECONV_API const int64_t *deconv_occlusion_lefts(const deconv_occlusion *occlusion);

/* Map `index` as rows x columns values that belong to the occlusion; NULL where there is no such
 * map. */
DECONV_API const float *deconv_occlusion_values(const deconv_occlusion *occlusion, uint32_t index);
/* What map `index` is, its unit resolved, and its value on the clean picture (drop: 0). */
DECONV_API deconv_status deconv_occlusion_map_get(const deconv_occlusion *occlusion, uint32_t index,
                                                  deconv_occlusion_map *map, float *clean);
/* Map `index` laid over the picture, height x width values: each pixel has the average over all
 * patches that cover it, the clean value where none does. A map of labels cannot be averaged. */
DECONV_API deconv_status deconv_occlusion_overlay(const deconv_occlusion *occlusion, uint32_t index,
                                                  float *values, uint64_t count);

#ifdef __cplusplus
}
#endif

#endif
