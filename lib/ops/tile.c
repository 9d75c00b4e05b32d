/* Expand and Tile of activations: repetition along axes, and on the way back the sum over what was
 * repeated. */
#include "classes.h"
#include "axis_map.h"

/* Repeats a dimension: output position j is input position j modulo the size. */
static deconv_status add_repeat(op *op, axis_chain *chain, int axis, int64_t times)
{
    int64_t n = chain->in.dim[axis];
    axis_map map = {0};
    deconv_status status = DECONV_OK;

    if (times == 1)
        goto done;
    TRY(axis_map_init(op->ctx, &map, n, n * times, 1));
    for (int64_t j = 0; j < n * times; j++) {
        axis_map_add(&map, j % n, 1.0);
        axis_map_end_row(&map);
    }
    TRY(axis_chain_add(op->ctx, chain, axis, &map));
done:
    axis_map_release(op->ctx, &map);
    return status;
}

/* chain->in repeated to `out`, whose sizes are multiples of its own. */
static deconv_status repeat_to(op *op, axis_chain *chain, const shape *out)
{
    deconv_status status = DECONV_OK;

    for (int d = 0; d < out->rank; d++)
        TRY(add_repeat(op, chain, d, out->dim[d] / chain->in.dim[d]));
done:
    return status;
}

static deconv_status expand_init(op *op)
{
    const shape *in = &op->in_shape[0];
    axis_chain *chain = op->state;
    const int64_t *sizes;
    size_t rank;
    shape wanted, both, out, padded = {0};
    char from[SHAPE_TEXT], to[SHAPE_TEXT];
    deconv_status status;

    TRY(param_ints(op, "shape", 1, &sizes, &rank));
    if (!sizes && !op_has_input(op, 1))
        OP_FAIL(op, DECONV_ERROR_INVALID, "Expand needs a shape");
    TRY(shape_make(op->ctx, op->name, sizes, rank, &wanted));
    if (!shape_broadcast(in, &wanted, &both))
        OP_FAIL(op, DECONV_ERROR_INVALID, "Expand of %s to %s: sizes must agree or be 1",
                shape_text(in, from, sizeof from), shape_text(&wanted, to, sizeof to));
    TRY(shape_make(op->ctx, op->name, both.dim, (size_t)both.rank, &out));
    padded.rank = out.rank;
    for (int d = 0; d < out.rank; d++) {
        int e = d - (out.rank - in->rank);

        padded.dim[d] = e < 0 ? 1 : in->dim[e];
    }
    axis_chain_init(chain, &padded);
    TRY(repeat_to(op, chain, &out));
done:
    return status;
}

static deconv_status tile_init(op *op)
{
    const shape *in = &op->in_shape[0];
    axis_chain *chain = op->state;
    const int64_t *times;
    int64_t dims[DECONV_MAX_RANK];
    size_t count;
    shape out;
    deconv_status status;

    TRY(param_ints(op, "repeats", 1, &times, &count));
    if (count != (size_t)in->rank)
        OP_FAIL(op, DECONV_ERROR_INVALID, "Tile of %d dimensions has %zu repeats", in->rank, count);
    for (size_t d = 0; d < count; d++) {
        if (times[d] < 1 || times[d] > INT32_MAX)
            OP_FAIL(op, DECONV_ERROR_UNSUPPORTED,
                    "Tile: dimension %zu cannot be repeated %lld times", d, (long long)times[d]);
        dims[d] = in->dim[d] * times[d];
    }
    TRY(shape_make(op->ctx, op->name, dims, count, &out));
    axis_chain_init(chain, in);
    TRY(repeat_to(op, chain, &out));
done:
    return status;
}

static deconv_status repeated_shape(op *op)
{
    op->out_shape[0] = ((const axis_chain *)op->state)->out;
    return DECONV_OK;
}

#define REPEAT(TYPE, INIT)                                                                         \
    {                                                                                              \
        .type = TYPE, .min_in = 1, .max_in = 2, .max_out = 1, .weights = 0x2,                      \
        .state_size = sizeof(axis_chain), .init = INIT, .shape = repeated_shape,                   \
        .plan = axis_op_plan, .release = axis_op_release, .forward = axis_op_forward,              \
        .inverse = axis_op_inverse, .reach = axis_op_reach, .needs = axis_op_needs,                \
        AXIS_OP_WINDOWS                                                                            \
    }

const op_class op_expand = REPEAT("Expand", expand_init);
const op_class op_tile = REPEAT("Tile", tile_init);
