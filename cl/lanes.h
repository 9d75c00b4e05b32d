/* Vectors of LANES floats, the device's own width (8 or 16), under one set of names. */
#include "store.h"

#define CAT_(a, b)     a##b
#define CAT(a, b)      CAT_(a, b)
#define VEC            CAT(float, LANES)
#define LOAD           CAT(vload, LANES)
#define HOLD           CAT(vstore, LANES) /* in private memory */
#define IVEC           CAT(int, LANES)
#define STORE(v, i, p) CAT(STORE, LANES)(v, (p) + (i)*LANES)
#if LANES == 16
#define LANE_NUMBERS (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#else
#define LANE_NUMBERS (int8)(0, 1, 2, 3, 4, 5, 6, 7)
#endif
#define EACH(i, count) _Pragma("unroll") for (int i = 0; i < (count); i++)

/* The first `there` floats; zeros in the other lanes. */
static VEC load_part(__global const float *from, int there)
{
    float lanes[LANES];

    if (there >= LANES)
        return LOAD(0, from);
    for (int l = 0; l < LANES; l++)
        lanes[l] = l < there ? from[l] : 0.0f;
    return LOAD(0, lanes);
}
