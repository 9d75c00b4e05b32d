/* Which operators go forward over windows, and how; see ahead.h. */
#include "ahead.h"

#include "classes.h"
#include "conv.h"

/* A constant that has one value for all positions of a map of `rank` dimensions. */
static bool is_even(const shape *constant, int rank)
{
    for (int d = 0; d < constant->rank; d++)
        if (constant->rank - d <= rank - 2 && constant->dim[d] != 1)
            return false;
    return true;
}

/* Element by element: the inputs that the network computes have the output's shape. */
static bool is_same(const op *op, bool constants_by_position)
{
    for (int i = 0; i < op->n_in; i++) {
        if (!op_has_input(op, i))
            continue;
        if (op->is_weight[i]
                ? constants_by_position && !is_even(&op->in_shape[i], op->out_shape[0].rank)
                : !shape_equal(&op->in_shape[i], &op->out_shape[0]))
            return false;
    }
    return true;
}

static bool is_concat_of_channels(const op *op)
{
    const shape *out = &op->out_shape[0];
    int64_t channels = 0;

    for (int i = 0; i < op->n_in; i++) {
        shape like = op->in_shape[i];

        if (op->is_weight[i] || like.rank != out->rank)
            return false;
        channels += like.dim[1];
        like.dim[1] = out->dim[1];
        if (!shape_equal(&like, out))
            return false;
    }
    return channels == out->dim[1];
}

static bool is_listed(const op_class *class, const op_class *list, int count)
{
    for (int i = 0; i < count; i++)
        if (class == &list[i])
            return true;
    return false;
}

op_ahead op_ahead_of(const op *op)
{
    const op_class *class = op->class;
    int rank = op->n_out == 1 ? op->out_shape[0].rank : 0;

    if (rank != 3 && rank != 4)
        return AHEAD_WHOLE;
    if (class == &op_conv)
        return conv_can_ahead(op) ? AHEAD_CONV : AHEAD_WHOLE;
    if (class == &op_max_pool || class == &op_average_pool)
        return AHEAD_POOL;
    if (class == &op_concat)
        return is_concat_of_channels(op) ? AHEAD_COPY : AHEAD_WHOLE;
    if (class == &op_pad)
        return pad_can_ahead(op) ? AHEAD_COPY : AHEAD_WHOLE;
    if (class->is_view && class->is_view(op) && shape_equal(&op->in_shape[0], &op->out_shape[0]))
        return AHEAD_ALIAS;
    if (class == &op_relu || class == &op_lrn || class == &op_batch_normalization ||
        is_listed(class, op_activations, OP_ACTIVATIONS))
        return is_same(op, false) ? AHEAD_SAME : AHEAD_WHOLE;
    if (class == &op_prelu || class == &op_pow || is_listed(class, op_arithmetic, OP_ARITHMETIC))
        return is_same(op, true) ? AHEAD_SAME : AHEAD_WHOLE;
    return AHEAD_WHOLE;
}
