/* Gather of activations at constant indices along one axis. Gathering among constants is folded at
 * load, and indices that the network computes are refused. */
#include "classes.h"
#include "axis_map.h"

typedef struct gather {
    axis_chain chain; /* along `axis`, its output dimension all indices in a row */
    int axis;
    shape indices;
} gather;

static deconv_status gather_init(op *op)
{
    const shape *in = &op->in_shape[0];
    gather *g = op->state;
    axis_map map = {0};
    const int64_t *list;
    int64_t wanted, n;
    size_t count;
    deconv_status status;

    TRY(attr_int(op, "axis", 0, &wanted));
    TRY(axis_resolve(op, "axis", wanted, in->rank, &g->axis));
    TRY(param_ints(op, "indices", 1, &list, &count));
    if (count < 1)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Gather needs indices");
    g->indices = (shape){1, {(int64_t)count}};
    if (op_has_input(op, 1))
        g->indices = op->in_shape[1];
    n = in->dim[g->axis];
    axis_chain_init(&g->chain, in);
    TRY(axis_map_init(op->ctx, &map, n, (int64_t)count, 1));
    for (size_t j = 0; j < count; j++) {
        if (list[j] < -n || list[j] >= n)
            OP_FAIL(op, DECONV_ERROR_INVALID,
                    "Gather: index %lld is outside dimension %d (size %lld)", (long long)list[j],
                    g->axis, (long long)n);
        axis_map_add(&map, list[j] < 0 ? list[j] + n : list[j], 1.0);
        axis_map_end_row(&map);
    }
    TRY(axis_chain_add(op->ctx, &g->chain, g->axis, &map));
done:
    axis_map_release(op->ctx, &map);
    return status;
}

static deconv_status gather_shape(op *op)
{
    const gather *g = op->state;
    const shape *in = &op->in_shape[0];
    int64_t dims[2 * DECONV_MAX_RANK];
    size_t rank = 0;

    for (int d = 0; d < g->axis; d++)
        dims[rank++] = in->dim[d];
    for (int d = 0; d < g->indices.rank; d++)
        dims[rank++] = g->indices.dim[d];
    for (int d = g->axis + 1; d < in->rank; d++)
        dims[rank++] = in->dim[d];
    return shape_make(op->ctx, op->name, dims, rank, &op->out_shape[0]);
}

/* ---- Boxes: exact also where the indices have several dimensions ---- */

/* The place of index `j` among the dimensions of the indices. */
static void unravel(const shape *s, int64_t j, int64_t at[DECONV_MAX_RANK])
{
    for (int d = s->rank - 1; d >= 0; d--) {
        at[d] = j % s->dim[d];
        j /= s->dim[d];
    }
}

static void take_dim(box *to, int d, const box *from, int e)
{
    to->from[d] = from->from[e];
    to->to[d] = from->to[e];
}

static box gather_reach(const op *op, int input, const box *in, int output)
{
    const gather *g = op->state;
    const axis_map *map = &g->chain.step[0].map;
    const shape *s = &op->out_shape[output];
    int rank = g->indices.rank;
    box b = box_clip(*in, &op->in_shape[input]), out = box_empty(s->rank);

    if (input != 0 || box_is_empty(&b))
        return out;
    for (int64_t j = 0; j < map->out_len; j++) {
        int64_t i = map->index[j], at[DECONV_MAX_RANK];
        box part = {.rank = s->rank};

        if (i < b.from[g->axis] || i >= b.to[g->axis])
            continue;
        unravel(&g->indices, j, at);
        for (int d = 0; d < s->rank; d++) {
            if (d < g->axis || d >= g->axis + rank) {
                take_dim(&part, d, &b, d < g->axis ? d : d - rank + 1);
            } else {
                part.from[d] = at[d - g->axis];
                part.to[d] = part.from[d] + 1;
            }
        }
        out = box_union(&out, &part);
    }
    return out;
}

static box gather_needs(const op *op, int output, const box *out, int input)
{
    const gather *g = op->state;
    const axis_map *map = &g->chain.step[0].map;
    const shape *s = &op->in_shape[input];
    int rank = g->indices.rank;
    box b = box_clip(*out, &op->out_shape[output]), in = box_empty(s->rank);

    if (input != 0 || box_is_empty(&b))
        return in;
    for (int64_t j = 0; j < map->out_len; j++) {
        int64_t at[DECONV_MAX_RANK];
        box part = {.rank = s->rank};
        bool inside = true;

        unravel(&g->indices, j, at);
        for (int d = 0; d < rank; d++)
            inside = inside && at[d] >= b.from[g->axis + d] && at[d] < b.to[g->axis + d];
        if (!inside)
            continue;
        for (int d = 0; d < s->rank; d++)
            if (d != g->axis)
                take_dim(&part, d, &b, d < g->axis ? d : d + rank - 1);
        part.from[g->axis] = map->index[j];
        part.to[g->axis] = map->index[j] + 1;
        in = box_union(&in, &part);
    }
    return in;
}

const op_class op_gather = {
    .type = "Gather",
    .min_in = 1,
    .max_in = 2,
    .max_out = 1,
    .weights = 0x2,
    .state_size = sizeof(gather),
    .init = gather_init,
    .shape = gather_shape,
    .plan = axis_op_plan,
    .release = axis_op_release,
    .forward = axis_op_forward,
    .inverse = axis_op_inverse,
    .reach = gather_reach,
    .needs = gather_needs,
    AXIS_OP_WINDOWS,
};
