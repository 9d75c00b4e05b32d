/* Boxes through a change of shape that leaves the elements in their order. */
#ifndef DECONV_LIB_VIEW_H
#define DECONV_LIB_VIEW_H

#include "op.h"

/* The smallest box of a tensor of shape `to` that holds the elements inside box `b` of the same
 * elements seen as shape `from`; both shapes count the same. */
box reshape_box(const shape *from, const box *b, const shape *to);

#endif
