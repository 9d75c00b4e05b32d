/* What the parts of the figures generator share: fixed-point arithmetic, random numbers, colours,
 * and the interfaces of background and object. Internal; users include figures_draw.h. */
#ifndef FIGURES_PARTS_H
#define FIGURES_PARTS_H

#include <stdint.h>

#include "figures_draw.h"

/* Fixed-point units. A picture in the making has FIG_SAMPLES levels per level of the finished one,
 * so that a sum over the samples of a pixel needs no rounding. */
enum {
    FIG_ONE = 4096,   /* 1 in object coordinates: about the object's radius */
    FIG_PIXEL = 256,  /* one pixel in picture coordinates */
    FIG_TRIG = 16384, /* 1 as a sine or a noise value */
    FIG_TURN = 65536, /* a full turn as an angle */
    FIG_UNIT = 256,   /* 1 as a share or a gain */
    FIG_GRID = 4,     /* samples per pixel and axis */
    FIG_SAMPLES = FIG_GRID * FIG_GRID,
    FIG_PIXELS = FIGURES_SIZE * FIGURES_SIZE
};

/* Two calls on one generator never stand in the same expression or initializer: C leaves their
 * order open, and the bytes would depend on the compiler. */
typedef struct {
    uint64_t state;
} fig_rng;

typedef struct {
    int r, g, b; /* 0-255 */
} fig_colour;

typedef struct {
    int x, y;
} fig_point;

/* A picture in the making: 0 .. 255 * FIG_SAMPLES. */
typedef struct {
    int16_t v[FIG_PIXELS][3];
} fig_canvas;

/* The object alone: colour times coverage, and coverage in samples (0 .. FIG_SAMPLES). */
typedef struct {
    fig_canvas colour;
    uint8_t cover[FIG_PIXELS];
} fig_layer;

/* What is drawn over each part of an object. */
enum { FIG_MAIN, FIG_SECOND, FIG_LINE, FIG_WHITE, FIG_PAINTS };

typedef struct {
    int label;
    int look;         /* variant of the class: outline of a pattern, gaze of a face, ... */
    int cells;        /* bands of rings and stripes, squares across a checkerboard */
    int weight;       /* half the thickness of a cross's or a letter's strokes */
    int border;       /* width of the outline; 0: none */
    fig_point centre; /* picture coordinates */
    int to_object[4]; /* picture to object coordinates, 2x2, in 1/65536 */
    fig_colour paint[FIG_PAINTS];
    fig_point light;  /* towards the light, object coordinates, length FIG_ONE */
    int relief;       /* strength of the shading, share */
    int gloss;        /* strength of the highlight, share */
    int grain;        /* strength of the fill's texture, share */
    uint32_t texture; /* noise seed of the fill */
} fig_object;

/* figures_math.c */
fig_rng fig_rng_make(uint64_t seed, uint64_t stream);
uint32_t fig_random(fig_rng *rng);
int fig_range(fig_rng *rng, int from, int to); /* both ends included */
int fig_chance(fig_rng *rng, int percent);     /* 1 in `percent` cases of 100, else 0 */
int fig_sin(int angle);
int fig_cos(int angle);
int fig_sqrt(uint32_t x);                   /* rounded down */
int fig_length(int x, int y);               /* |x|, |y| < 32768 */
int fig_noise(uint32_t seed, int x, int y); /* smooth, 0 .. FIG_TRIG; lattice of FIG_PIXEL */
int fig_noise_octaves(uint32_t seed, int x, int y, int octaves);
int fig_segment_distance(int x, int y, fig_point a, fig_point b);
fig_colour fig_hsv(int hue, int saturation, int value); /* hue 0-1535, the others 0-255 */
fig_colour fig_mix(fig_colour a, fig_colour b, int share, int whole);
int fig_contrast(fig_colour a, fig_colour b);

/* figures_background.c. Fills the canvas; `mean` is the colour that most of it has. */
void fig_background_draw(fig_rng *rng, fig_canvas *canvas, fig_colour *mean);

/* figures_object.c */
void fig_object_make(fig_rng *rng, int label, int light_angle, fig_colour background,
                     fig_object *object);
void fig_object_draw(const fig_object *object, fig_layer *layer);

static inline int fig_min(int a, int b)
{
    return a < b ? a : b;
}

static inline int fig_max(int a, int b)
{
    return a > b ? a : b;
}

static inline int fig_abs(int a)
{
    return a < 0 ? -a : a;
}

static inline int fig_clamp(int a, int low, int high)
{
    return a < low ? low : a > high ? high : a;
}

/* Quotient rounded down; b > 0. */
static inline int fig_floor_div(int a, int b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

#endif
