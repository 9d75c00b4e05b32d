/* Every operator there is. A new one goes into its family's file, classes.h and this list. */
#include "classes.h"

#include <string.h>

static const op_class *const single[] = {
    /* spatial */
    &op_conv, &op_conv_transpose, &op_max_pool, &op_average_pool, &op_global_average_pool,
    &op_global_max_pool, &op_resize, &op_upsample,
    /* dense */
    &op_gemm, &op_matmul,
    /* element by element; more in op_activations and op_arithmetic */
    &op_relu, &op_prelu, &op_pow, &op_batch_normalization,
    /* across channels or positions */
    &op_lrn, &op_softmax, &op_log_softmax, &op_reduce_mean, &op_reduce_sum,
    /* reordering */
    &op_transpose, &op_slice, &op_concat, &op_split, &op_pad, &op_gather, &op_expand, &op_tile,
    /* the same elements in another shape */
    &op_reshape, &op_flatten, &op_squeeze, &op_unsqueeze, &op_identity, &op_dropout, &op_cast};

enum {
    SINGLE = sizeof single / sizeof single[0],
    CLASSES = SINGLE + OP_ACTIVATIONS + OP_ARITHMETIC
};

static const op_class *class_at(size_t i)
{
    if (i < SINGLE)
        return single[i];
    i -= SINGLE;
    return i < OP_ACTIVATIONS ? &op_activations[i] : &op_arithmetic[i - OP_ACTIVATIONS];
}

const op_class *op_find(const char *type)
{
    for (size_t i = 0; i < CLASSES; i++)
        if (strcmp(class_at(i)->type, type) == 0)
            return class_at(i);
    return NULL;
}

size_t op_types(const char **types, size_t room)
{
    for (size_t i = 0; i < CLASSES && i < room; i++)
        types[i] = class_at(i)->type;
    return CLASSES;
}
