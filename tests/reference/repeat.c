/* Gather, Expand and Tile: operators that copy an element to any number of places. */
#include "reference.h"

#include <string.h>

/* ---- Gather along one axis; the indices are a list ---- */

static bool gather_shape(ref_case *c)
{
    const ref_attr *indices = ref_find(c->problem, "indices");
    int axis = ref_axis(ref_int(c->problem, "axis", 0), c->in[0].rank);
    int64_t dim[REF_MAX_RANK];

    if (axis < 0 || !indices)
        return ref_error(c, "indices is missing or axis out of range");
    for (int i = 0; i < indices->count; i++)
        if (ref_axis(indices->ints[i], (int)c->in[0].dim[axis]) < 0)
            return ref_error(c, "index %d is out of range", i);
    memcpy(dim, c->in[0].dim, sizeof dim);
    dim[axis] = indices->count;
    ref_set_shape(c, 0, c->in[0].rank, dim);
    return true;
}

static void gather_terms(ref_case *c, ref_sink *sink)
{
    const ref_attr *indices = ref_find(c->problem, "indices");
    int axis = ref_axis(ref_int(c->problem, "axis", 0), c->in[0].rank);
    int64_t index[REF_MAX_RANK];

    for (int64_t o = 0; o < c->out[0].count; o++) {
        ref_index(&c->out[0], o, index);
        index[axis] = ref_axis(indices->ints[index[axis]], (int)c->in[0].dim[axis]);
        sink->term(sink, 0, ref_flat(&c->in[0], index), 0, o, 1);
    }
}

const ref_op ref_gather = {.type = "Gather",
                           .inputs = {"x"},
                           .fills = "u",
                           .linearity = REF_LINEAR,
                           .shape = gather_shape,
                           .terms = gather_terms};

/* ---- Expand: broadcast to the shape that x and `shape` have together ---- */

static bool expand_shape(ref_case *c)
{
    const ref_attr *shape = ref_find(c->problem, "shape");
    ref_tensor target = {.given = true};

    if (!shape || shape->type != REF_INTS || shape->count > REF_MAX_RANK)
        return ref_error(c, "shape is missing or too long");
    target.rank = shape->count;
    memcpy(target.dim, shape->ints, sizeof target.dim);
    return ref_broadcast_shape(c, &c->in[0], &target);
}

static void expand_terms(ref_case *c, ref_sink *sink)
{
    for (int64_t o = 0; o < c->out[0].count; o++)
        sink->term(sink, 0, ref_broadcast_element(&c->in[0], &c->out[0], o), 0, o, 1);
}

const ref_op ref_expand = {.type = "Expand",
                           .inputs = {"x"},
                           .fills = "u",
                           .linearity = REF_LINEAR,
                           .shape = expand_shape,
                           .terms = expand_terms};

/* ---- Tile: dimension d repeated repeats[d] times ---- */

static bool tile_shape(ref_case *c)
{
    const ref_attr *repeats = ref_find(c->problem, "repeats");
    int64_t dim[REF_MAX_RANK];

    if (!repeats || repeats->type != REF_INTS || repeats->count != c->in[0].rank)
        return ref_error(c, "repeats must have one number per dimension");
    for (int d = 0; d < c->in[0].rank; d++)
        dim[d] = c->in[0].dim[d] * repeats->ints[d];
    ref_set_shape(c, 0, c->in[0].rank, dim);
    return true;
}

static void tile_terms(ref_case *c, ref_sink *sink)
{
    int64_t index[REF_MAX_RANK];

    for (int64_t o = 0; o < c->out[0].count; o++) {
        ref_index(&c->out[0], o, index);
        for (int d = 0; d < c->in[0].rank; d++)
            index[d] %= c->in[0].dim[d];
        sink->term(sink, 0, ref_flat(&c->in[0], index), 0, o, 1);
    }
}

const ref_op ref_tile = {.type = "Tile",
                         .inputs = {"x"},
                         .fills = "u",
                         .linearity = REF_LINEAR,
                         .shape = tile_shape,
                         .terms = tile_terms};
