/* Elementwise functions of two operands that broadcast to the shape of the result.
 *
 *   y     [rows][size[0]]  the result, dense; dimension 0 is the innermost here
 *   a, b                   operands, walked with a step for each dimension of the result, 0 where
 *                          they repeat
 *   r                      signal at y, dense
 *   out                    signal at an operand that is as large as y, dense
 *
 * One work-item: one element. Global size: size[0] x size[1] x size[2]; `flat`, size[0] x all other
 * positions as one number, spread over y and z, which costs divisions (grid_launch of
 * lib/ops/broadcast.c). The host merges dimensions: operands of equal shapes need one, a value per
 * channel of a batch three, and more than that is rare.
 */
typedef struct grid {
    int size[5];
    int a[5];
    int b[5];
    int rank, flat;
} grid;

typedef struct place {
    int y, a, b;
} place;

/* Where this work-item's element is; false when it has none. */
bool find(const grid *g, place *p)
{
    const size_t x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);
    const size_t row = g->flat ? z * get_global_size(1) + y : z * g->size[1] + y;
    bool inside = x < (size_t)g->size[0];
    int a = 0, b = 0;

    if (g->flat) {
        uint rest = (uint)row;

        for (int d = 1; d < g->rank; d++) {
            const int i = (int)(rest % (uint)g->size[d]);

            rest /= (uint)g->size[d];
            a += i * g->a[d];
            b += i * g->b[d];
        }
        inside = inside && rest == 0;
    } else {
        a = (int)y * g->a[1] + (int)z * g->a[2];
        b = (int)y * g->b[1] + (int)z * g->b[2];
        inside = inside && y < (size_t)g->size[1] && z < (size_t)g->size[2];
    }
    p->y = (int)row * g->size[0] + (int)x;
    p->a = a + (int)x * g->a[0];
    p->b = b + (int)x * g->b[0];
    return inside;
}

/* y = scale a */
__kernel void spread(__global const float *a, __global float *y, const grid g, const float scale)
{
    place p;

    if (find(&g, &p))
        y[p.y] = scale * a[p.a];
}

/* max(v, 0), with NaN kept and no negative zero. */
float rectified(float v)
{
    return v <= 0.0f ? 0.0f : v;
}

/* y = VALUE(a, b). `left` may be `y`: an element is read before it is written and by nobody else.
 */
#define BINARY(NAME, VALUE)                                                                        \
    __kernel void NAME(__global const float *left, __global const float *right, __global float *y, \
                       const grid g)                                                               \
    {                                                                                              \
        place p;                                                                                   \
                                                                                                   \
        if (find(&g, &p)) {                                                                        \
            const float a = left[p.a], b = right[p.b];                                             \
                                                                                                   \
            y[p.y] = VALUE;                                                                        \
        }                                                                                          \
    }

/* out = r SLOPE(a, b), guided max(r, 0) SLOPE(a, b) */
#define BINARY_INVERSE(NAME, SLOPE)                                                                \
    __kernel void NAME##_inverse(__global const float *r, __global const float *left,              \
                                 __global const float *right, __global float *out, const grid g,   \
                                 const int guided)                                                 \
    {                                                                                              \
        place p;                                                                                   \
                                                                                                   \
        if (find(&g, &p)) {                                                                        \
            const float a = left[p.a], b = right[p.b];                                             \
                                                                                                   \
            out[p.y] = (guided ? rectified(r[p.y]) : r[p.y]) * (SLOPE);                            \
        }                                                                                          \
    }

/* The square is the power that networks spell out, and pow() is slow. */
float power_of(float a, float b)
{
    return b == 2.0f ? a * a : pow(a, b);
}

float power_slope(float a, float b)
{
    return b == 2.0f ? 2.0f * a : b == 0.0f ? 0.0f : b * pow(a, b - 1.0f);
}

/* clang-format off */
BINARY(add, a + b)
BINARY(add_rectified, rectified(a + b))
BINARY(subtract, a - b)
BINARY(multiply, a * b)
BINARY(divide, a / b)
BINARY_INVERSE(divisor, -(a / b) / b)

/* a is x, b the parameter. */
BINARY(prelu, a > 0.0f ? a : a * b)
BINARY_INVERSE(prelu, a > 0.0f ? 1.0f : b)
BINARY(power, power_of(a, b))
BINARY_INVERSE(power, power_slope(a, b))
/* clang-format on */
