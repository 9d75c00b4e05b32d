/* Vectors to global memory in one piece, wherever a float may lie: of vstore8 and vstore16 PoCL 3.1
 * makes stores of four floats each. */
typedef float8 float8_at_float __attribute__((aligned(4)));
typedef float16 float16_at_float __attribute__((aligned(4)));
#define STORE8(v, p)  (*(__global float8_at_float *)(p) = (v))
#define STORE16(v, p) (*(__global float16_at_float *)(p) = (v))
