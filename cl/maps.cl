/* The small kernels that nearly every network needs, as one program. On PoCL 3.1 a program costs
 * 0.15 s to build whatever is in it (it reads all of OpenCL's declarations), and a kernel nothing
 * until it is launched. */
#include "layout.h"
#include "copy.h"
#include "rectify.h"
