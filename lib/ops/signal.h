/* What inverses do where no signal arrives. */
#ifndef DECONV_LIB_SIGNAL_H
#define DECONV_LIB_SIGNAL_H

#include "op.h"

/* Zeros into the signal at an input. */
static inline deconv_status signal_clear(const op *op, const tensor *signal)
{
    return buffer_fill(op->ctx, signal->data, 0,
                       (size_t)layout_floats(&signal->shape, signal->block) * sizeof(float), 0.0f);
}

#endif
