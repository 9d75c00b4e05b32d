/* What an operator planned to run its convolution by: for those who ask about it. */
#ifndef DECONV_LIB_PLANNED_H
#define DECONV_LIB_PLANNED_H

#include "../conv/engine.h"
#include "op.h"

/* What runs `direction` of a Conv or ConvTranspose, once that is planned; else NULL. */
const convolution *conv_planned(const op *op, deconv_direction direction);

#endif
