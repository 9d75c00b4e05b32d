/* Sparse linear maps along axes: their tables, their transposes, and chains of them run by
 * cl/axis_map.cl. What the weights are is up to the operators. */
#include "axis_map.h"
#include "signal.h"
#include "view.h"

#include <string.h>

/* ---- Tables ---- */

/* Far beyond any feature map, and few enough for a hostile file not to fill the memory. */
enum { MAX_ENTRIES = 1 << 24 };

deconv_status axis_map_init(deconv_ctx *ctx, axis_map *map, int64_t in_len, int64_t out_len,
                            int64_t most)
{
    deconv_status status = DECONV_OK;

    memset(map, 0, sizeof *map);
    if (out_len > MAX_ENTRIES || in_len > MAX_ENTRIES || most > MAX_ENTRIES / out_len)
        FAIL(ctx, DECONV_ERROR_UNSUPPORTED,
             "a dimension of size %lld made from %lld with %lld weights each: at most %d weights "
             "are "
             "supported",
             (long long)out_len, (long long)in_len, (long long)most, (int)MAX_ENTRIES);
    map->in_len = in_len;
    map->out_len = out_len;
    map->capacity = out_len * most;
    TRY_ALLOC(map->start, ctx, (size_t)out_len + 1);
    TRY_ALLOC(map->index, ctx, (size_t)map->capacity + 1);
    TRY_ALLOC(map->weight, ctx, (size_t)map->capacity + 1);
done:
    if (status != DECONV_OK)
        axis_map_release(ctx, map);
    return status;
}

void axis_map_add(axis_map *map, int64_t index, double weight)
{
    int64_t last = map->entries - 1;

    if (weight == 0.0)
        return;
    if (last >= map->start[map->rows] && map->index[last] == index) {
        map->weight[last] += weight;
        return;
    }
    map->index[map->entries] = (int32_t)index;
    map->weight[map->entries++] = weight;
}

void axis_map_end_row(axis_map *map)
{
    map->start[++map->rows] = (int32_t)map->entries;
}

void axis_map_release(deconv_ctx *ctx, axis_map *map)
{
    mem_free(ctx, map->start);
    mem_free(ctx, map->index);
    mem_free(ctx, map->weight);
    memset(map, 0, sizeof *map);
}

/* The entries of a row come in the order of the rows they were taken from. */
static deconv_status transpose(deconv_ctx *ctx, const axis_map *map, axis_map *out)
{
    deconv_status status = DECONV_OK;
    int32_t *next = NULL;

    memset(out, 0, sizeof *out);
    out->in_len = map->out_len;
    out->out_len = map->in_len;
    out->rows = map->in_len;
    out->entries = out->capacity = map->entries;
    TRY_ALLOC(out->start, ctx, (size_t)out->out_len + 1);
    TRY_ALLOC(out->index, ctx, (size_t)out->entries + 1);
    TRY_ALLOC(out->weight, ctx, (size_t)out->entries + 1);
    TRY_ALLOC(next, ctx, (size_t)out->out_len + 1);
    for (int64_t e = 0; e < map->entries; e++)
        out->start[map->index[e] + 1]++;
    for (int64_t j = 0; j < out->out_len; j++)
        out->start[j + 1] += out->start[j];
    memcpy(next, out->start, ((size_t)out->out_len + 1) * sizeof *next);
    for (int64_t j = 0; j < map->out_len; j++) {
        for (int32_t e = map->start[j]; e < map->start[j + 1]; e++) {
            int32_t slot = next[map->index[e]]++;

            out->index[slot] = (int32_t)j;
            out->weight[slot] = map->weight[e];
        }
    }
done:
    mem_free(ctx, next);
    if (status != DECONV_OK)
        axis_map_release(ctx, out);
    return status;
}

/* The smallest range of inputs that rows from..to-1 read. */
static void map_range(const axis_map *map, int64_t from, int64_t to, int64_t *first, int64_t *end)
{
    *first = map->in_len;
    *end = 0;
    for (int32_t e = map->start[from]; e < map->start[to]; e++) {
        int64_t i = map->index[e];

        *first = i < *first ? i : *first;
        *end = i + 1 > *end ? i + 1 : *end;
    }
}

/* ---- Device tables ---- */

static deconv_status upload(deconv_ctx *ctx, size_t bytes, const void *values, buffer **out)
{
    deconv_status status = DECONV_OK;

    TRY(buffer_create(ctx, bytes, "axis map", out));
    TRY(buffer_write(ctx, *out, 0, bytes, values));
done:
    return status;
}

static deconv_status upload_map(deconv_ctx *ctx, const axis_map *map, device_map *out)
{
    deconv_status status = DECONV_OK;
    /* No buffer has 0 bytes, so a map without entries uploads one that is never read. */
    size_t count = map->entries > 0 ? (size_t)map->entries : 1;
    float *weight = NULL;

    TRY_ALLOC(weight, ctx, count);
    for (int64_t e = 0; e < map->entries; e++)
        weight[e] = (float)map->weight[e];
    TRY(upload(ctx, ((size_t)map->out_len + 1) * sizeof(int32_t), map->start, &out->start));
    TRY(upload(ctx, count * sizeof(int32_t), map->index, &out->index));
    TRY(upload(ctx, count * sizeof(float), weight, &out->weight));
done:
    mem_free(ctx, weight);
    return status;
}

static void release_map(device_map *map)
{
    buffer_free(map->start);
    buffer_free(map->index);
    buffer_free(map->weight);
}

/* ---- Chains ---- */

void axis_chain_init(axis_chain *chain, const shape *in)
{
    memset(chain, 0, sizeof *chain);
    chain->in = *in;
    chain->out = *in;
}

deconv_status axis_chain_add(deconv_ctx *ctx, axis_chain *chain, int axis, axis_map *map)
{
    axis_step step = {.axis = axis, .map = *map};
    deconv_status status = DECONV_OK;
    int at = chain->count;

    memset(map, 0, sizeof *map);
    TRY(transpose(ctx, &step.map, &step.adjoint));
    /* Those that shrink go first and those that grow last: least work, and nothing in between is
     * larger than both ends. */
    while (at > 0 && step.map.out_len * chain->step[at - 1].map.in_len <
                         chain->step[at - 1].map.out_len * step.map.in_len) {
        chain->step[at] = chain->step[at - 1];
        at--;
    }
    chain->step[at] = step;
    chain->count++;
    chain->out.dim[axis] = step.map.out_len;
done:
    if (status != DECONV_OK)
        axis_map_release(ctx, &step.map);
    return status;
}

deconv_status axis_chain_plan(deconv_ctx *ctx, axis_chain *chain)
{
    deconv_status status = DECONV_OK;
    shape between = chain->in;
    size_t most = 0;

    if (chain->count == 0)
        goto done;
    TRY(kernel_create(ctx, "axis_map.cl", "", "axis_map", &chain->kernel));
    for (int s = 0; s < chain->count; s++) {
        axis_step *step = &chain->step[s];

        TRY(upload_map(ctx, &step->map, &step->device));
        TRY(upload_map(ctx, &step->adjoint, &step->device_adjoint));
        between.dim[step->axis] = step->map.out_len;
        if (s < chain->count - 1 && (size_t)shape_count(&between) > most)
            most = (size_t)shape_count(&between);
    }
    for (int s = 0; s < chain->count - 1 && s < 2; s++)
        TRY(buffer_create(ctx, most * sizeof(float), "axis maps in between", &chain->scratch[s]));
done:
    return status;
}

void axis_chain_release(deconv_ctx *ctx, axis_chain *chain)
{
    for (int s = 0; s < chain->count; s++) {
        axis_map_release(ctx, &chain->step[s].map);
        axis_map_release(ctx, &chain->step[s].adjoint);
        release_map(&chain->step[s].device);
        release_map(&chain->step[s].device_adjoint);
    }
    buffer_free(chain->scratch[0]);
    buffer_free(chain->scratch[1]);
    kernel_free(chain->kernel);
    memset(chain, 0, sizeof *chain);
}

/* ---- Running ---- */

/* One map along `axis` of `s`, which becomes the shape of the result. */
static deconv_status apply(kernel *kernel, const axis_map *map, const device_map *device, int axis,
                           shape *s, const buffer *x, buffer *y)
{
    int64_t outer = shape_span(s, 0, axis), inner = shape_span(s, axis + 1, s->rank);

    s->dim[axis] = map->out_len;
    kernel_begin(kernel);
    arg_buffer(kernel, x);
    arg_buffer(kernel, y);
    arg_buffer(kernel, device->start);
    arg_buffer(kernel, device->index);
    arg_buffer(kernel, device->weight);
    arg_int(kernel, outer);
    arg_int(kernel, map->in_len);
    arg_int(kernel, map->out_len);
    arg_int(kernel, inner);
    return inner == 1 ? kernel_launch(kernel, map->out_len, outer, 1)
                      : kernel_launch(kernel, inner, map->out_len, outer);
}

static deconv_status run(deconv_ctx *ctx, const axis_chain *chain, bool back, const buffer *from,
                         buffer *to)
{
    deconv_status status = DECONV_OK;
    shape s = back ? chain->out : chain->in;

    if (chain->count == 0)
        TRY(buffer_copy(ctx, from, 0, to, 0, (size_t)shape_count(&s) * sizeof(float)));
    for (int n = 0; n < chain->count; n++) {
        const axis_step *step = &chain->step[back ? chain->count - 1 - n : n];
        buffer *y = n == chain->count - 1 ? to : chain->scratch[n % 2];

        TRY(apply(chain->kernel, back ? &step->adjoint : &step->map,
                  back ? &step->device_adjoint : &step->device, step->axis, &s, from, y));
        from = y;
    }
done:
    return status;
}

deconv_status axis_chain_forward(deconv_ctx *ctx, const axis_chain *chain, const buffer *x,
                                 buffer *y)
{
    return run(ctx, chain, false, x, y);
}

deconv_status axis_chain_inverse(deconv_ctx *ctx, const axis_chain *chain, const buffer *signal_out,
                                 buffer *signal_in)
{
    return run(ctx, chain, true, signal_out, signal_in);
}

/* ---- Boxes ---- */

static box chain_box(const axis_chain *chain, bool back, const box *b)
{
    box out = *b;

    if (box_is_empty(b))
        return box_empty(b->rank);
    for (int s = 0; s < chain->count; s++) {
        const axis_step *step = &chain->step[s];

        map_range(back ? &step->map : &step->adjoint, b->from[step->axis], b->to[step->axis],
                  &out.from[step->axis], &out.to[step->axis]);
    }
    return box_is_empty(&out) ? box_empty(b->rank) : out;
}

box axis_chain_reach(const axis_chain *chain, const box *in)
{
    box b = box_clip(*in, &chain->in);

    return chain_box(chain, false, &b);
}

box axis_chain_needs(const axis_chain *chain, const box *out)
{
    box b = box_clip(*out, &chain->out);

    return chain_box(chain, true, &b);
}

/* ---- Windows of signals ---- */

/* As cl/apart.cl declares it, field for field. */
typedef struct map_shape {
    int32_t x_first, y_first;
    int32_t axis;
    int32_t windows, outer, x_len, y_len, inner;
    int32_t out_len;
} map_shape;

/* A chain of no more steps than one scratch memory between them serves, from maps to maps. */
static bool maps_to_maps(const op *op)
{
    const axis_chain *chain = op->state;

    return (chain->in.rank == 3 || chain->in.rank == 4) && chain->count <= 2 &&
           shape_equal(&chain->in, &op->in_shape[0]) && shape_equal(&chain->out, &op->out_shape[0]);
}

bool axis_op_frame(const op *op, deconv_rule rule, uint32_t flags, const window_frame *out,
                   window_frame *in)
{
    const axis_chain *chain = op->state;

    (void)rule;
    (void)flags;
    *in = *out;
    return maps_to_maps(op) && chain->count == 0;
}

bool axis_op_apart(const op *op, axes_apart *how)
{
    const axis_chain *chain = op->state;

    *how = (axes_apart){.same = {true, true}};
    if (!maps_to_maps(op) || chain->count == 0)
        return false;
    for (int s = 0; s < chain->count; s++) {
        int axis = chain->step[s].axis - (chain->in.rank - 2);

        if (chain->step[s].axis == 0)
            return false;
        if (chain->step[s].axis > 1)
            how->same[axis] = false;
    }
    return true;
}

signal_spread axis_op_spread(const op *op, deconv_rule rule, uint32_t flags)
{
    const axis_chain *chain = op->state;

    (void)rule;
    (void)flags;
    for (int s = 0; s < chain->count; s++)
        if (chain->step[s].axis < 2)
            return ANYWHERE;
    return IN_CHANNEL;
}

/* What a step back makes of `count` windows of shape *s. */
static shape step_back(const axis_chain *chain, const axis_step *step, const windows *w,
                       const shape *s)
{
    int axis = step->axis - (chain->in.rank - 2);
    shape to = *s;

    if (step->axis == 1)
        to.dim[1] = step->adjoint.out_len;
    else
        to.dim[2 + axis] = w->in[0].size[axis];
    return to;
}

static shape windows_of(const axis_chain *chain, const windows *w)
{
    return (shape){4, {w->count, chain->out.dim[1], w->out[0].size[0], w->out[0].size[1]}};
}

deconv_status axis_op_plan_windows(op *op, const windows *w, void **plan)
{
    const axis_chain *chain = op->state;
    deconv_status status = DECONV_OK;
    kernel *k = NULL;

    *plan = NULL;
    if (chain->count == 0)
        goto done;
    if (chain->count == 2) {
        shape between = windows_of(chain, w);

        between = step_back(chain, &chain->step[1], w, &between);
        TRY(scratch_reserve(op->ctx, op->scratch, (size_t)shape_count(&between) * sizeof(float)));
    }
    TRY(kernel_create(op->ctx, "apart.cl", "", "axis_map_windows", &k));
    *plan = k;
done:
    return status;
}

void axis_op_release_windows(op *op, void *plan)
{
    (void)op;
    kernel_free(plan);
}

/* One step back along height or width, from windows of shape `s`. */
static deconv_status apply_windows(const axis_chain *chain, const axis_step *step, const windows *w,
                                   const shape *s, const buffer *x, buffer *y)
{
    int axis = step->axis - (chain->in.rank - 2);
    const placed_frame from = frame_placed(&w->out[0]), to = frame_placed(&w->in[0]);
    const map_shape m = {.x_first = from.first,
                         .y_first = to.first,
                         .axis = axis,
                         .windows = (int32_t)w->count,
                         .outer = (int32_t)shape_span(s, 1, 2 + axis),
                         .x_len = (int32_t)s->dim[2 + axis],
                         .y_len = to.size[axis],
                         .inner = (int32_t)shape_span(s, 3 + axis, 4),
                         .out_len = (int32_t)step->adjoint.out_len};
    int64_t rest = w->count * m.outer;
    kernel *k = w->plan;

    kernel_begin(k);
    arg_buffer(k, x);
    arg_buffer(k, y);
    arg_buffer(k, w->origins);
    arg_buffer(k, step->device_adjoint.start);
    arg_buffer(k, step->device_adjoint.index);
    arg_buffer(k, step->device_adjoint.weight);
    arg_struct(k, &m, sizeof m);
    return axis ? kernel_launch(k, m.y_len, rest, 1) : kernel_launch(k, m.inner, m.y_len, rest);
}

/* In the order of the whole pass. */
static deconv_status run_windows(const op *op, const op_pass *pass)
{
    const axis_chain *chain = op->state;
    const windows *w = pass->windows;
    const buffer *from = pass->signal_out[0]->data;
    shape s = windows_of(chain, w);
    deconv_status status = DECONV_OK;

    if (chain->count == 0)
        TRY(buffer_copy(op->ctx, from, 0, pass->signal_in[0]->data, 0,
                        (size_t)shape_count(&s) * sizeof(float)));
    for (int n = chain->count - 1; n >= 0; n--) {
        const axis_step *step = &chain->step[n];
        buffer *to = n == 0 ? pass->signal_in[0]->data : op->scratch->data;
        shape next = step_back(chain, step, w, &s);

        if (step->axis == 1)
            TRY(apply(chain->kernel, &step->adjoint, &step->device_adjoint, 1, &s, from, to));
        else
            TRY(apply_windows(chain, step, w, &s, from, to));
        s = next;
        from = to;
    }
done:
    return status;
}

/* ---- Operators ---- */

deconv_status axis_op_plan(op *op)
{
    return axis_chain_plan(op->ctx, op->state);
}

void axis_op_release(op *op)
{
    axis_chain_release(op->ctx, op->state);
}

deconv_status axis_op_forward(op *op, const op_pass *pass)
{
    return axis_chain_forward(op->ctx, op->state, pass->in[0]->data, pass->out[0]->data);
}

deconv_status axis_op_inverse(op *op, const op_pass *pass)
{
    if (!pass->signal_in[0])
        return DECONV_OK;
    if (!pass->signal_out[0])
        return signal_clear(op, pass->signal_in[0]);
    if (pass->windows)
        return run_windows(op, pass);
    return axis_chain_inverse(op->ctx, op->state, pass->signal_out[0]->data,
                              pass->signal_in[0]->data);
}

box axis_op_reach(const op *op, int input, const box *in, int output)
{
    const axis_chain *chain = op->state;
    box b = box_clip(*in, &op->in_shape[input]);

    if (input != 0)
        return box_empty(op->out_shape[output].rank);
    b = reshape_box(&op->in_shape[0], &b, &chain->in);
    b = axis_chain_reach(chain, &b);
    return reshape_box(&chain->out, &b, &op->out_shape[output]);
}

box axis_op_needs(const op *op, int output, const box *out, int input)
{
    const axis_chain *chain = op->state;
    box b = box_clip(*out, &op->out_shape[output]);

    if (input != 0)
        return box_empty(op->in_shape[input].rank);
    b = reshape_box(&op->out_shape[output], &b, &chain->out);
    b = axis_chain_needs(chain, &b);
    return reshape_box(&chain->in, &b, &op->in_shape[0]);
}
