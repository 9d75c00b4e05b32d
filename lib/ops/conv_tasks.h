/* What an operator asks of the convolution engine, for those who neither plan nor run it. */
#ifndef DECONV_LIB_CONV_TASKS_H
#define DECONV_LIB_CONV_TASKS_H

#include "../conv/engine.h"
#include "op.h"

/* The task that a Conv or ConvTranspose plans for a pass in `direction` over whole tensors; false
 * for other operators. */
bool conv_task_in(const op *op, deconv_direction direction, conv_task *task);

#endif
