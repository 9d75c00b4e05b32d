/* One picture of the figures data set, from a scene to bytes: background, object with its shadow,
 * lighting, camera noise. The parts are in figures_background.c and figures_object.c. */
#include <stddef.h>

#include "figures_parts.h"

typedef struct {
    int angle;   /* towards the light */
    int gain;    /* of the whole picture, share */
    int slope;   /* how much brighter the lit edge is than the middle, share */
    int cast[3]; /* colour of the light, shares */
    int shadow;  /* darkness of the object's shadow, share */
    int offset;  /* length of the shadow, pixels */
    int blur;    /* its softness, pixels */
    int noise;   /* amplitude of the camera's noise, levels of the picture */
} lighting;

static const char *const label_names[FIGURES_CLASSES] = {
    "disc", "box", "triangle", "star", "cross", "rings", "stripes", "checkers", "letter-a", "face",
};

const char *figures_label_name(int label)
{
    return label >= 0 && label < FIGURES_CLASSES ? label_names[label] : NULL;
}

static lighting lighting_make(fig_rng *rng)
{
    lighting l;

    l.angle = fig_range(rng, 0, FIG_TURN - 1);
    l.gain = fig_range(rng, 185, 275);
    l.slope = fig_range(rng, 0, 75);
    for (int c = 0; c < 3; c++)
        l.cast[c] = fig_range(rng, 242, 268);
    l.shadow = fig_chance(rng, 60) ? fig_range(rng, 50, 150) : 0;
    l.offset = fig_range(rng, 1, 5);
    l.blur = fig_range(rng, 1, 3);
    l.noise = fig_chance(rng, 60) ? fig_range(rng, 1, 9) * FIG_SAMPLES : 0;
    return l;
}

/* Mean of 2 * radius + 1 neighbours along one axis; pixels outside count as 0. */
static void box_blur(const int *in, int radius, int step, int line, int *out)
{
    for (int i = 0; i < FIGURES_SIZE; i++) {
        for (int j = 0; j < FIGURES_SIZE; j++) {
            int sum = 0;

            for (int k = fig_max(j - radius, 0); k <= fig_min(j + radius, FIGURES_SIZE - 1); k++)
                sum += in[i * line + k * step];
            out[i * line + j * step] = sum / (2 * radius + 1);
        }
    }
}

static void shadow_draw(const lighting *l, const fig_layer *object, fig_canvas *canvas)
{
    int soft[FIG_PIXELS], spare[FIG_PIXELS];
    int dx = -l->offset * fig_cos(l->angle) / FIG_TRIG;
    int dy = -l->offset * fig_sin(l->angle) / FIG_TRIG;

    for (int i = 0; i < FIG_PIXELS; i++)
        soft[i] = object->cover[i] * FIG_UNIT / FIG_SAMPLES;
    for (int pass = 0; pass < 2; pass++) {
        box_blur(soft, l->blur, 1, FIGURES_SIZE, spare);
        box_blur(spare, l->blur, FIGURES_SIZE, 1, soft);
    }
    for (int y = 0; y < FIGURES_SIZE; y++) {
        for (int x = 0; x < FIGURES_SIZE; x++) {
            int sx = fig_clamp(x - dx, 0, FIGURES_SIZE - 1);
            int sy = fig_clamp(y - dy, 0, FIGURES_SIZE - 1);
            int keep = FIG_UNIT - soft[sy * FIGURES_SIZE + sx] * l->shadow / FIG_UNIT;
            int16_t *v = canvas->v[y * FIGURES_SIZE + x];

            for (int c = 0; c < 3; c++)
                v[c] = (int16_t)(v[c] * keep / FIG_UNIT);
        }
    }
}

static void object_over(const fig_layer *object, fig_canvas *canvas)
{
    for (int i = 0; i < FIG_PIXELS; i++) {
        for (int c = 0; c < 3; c++) {
            int behind = canvas->v[i][c] * (FIG_SAMPLES - object->cover[i]) / FIG_SAMPLES;

            canvas->v[i][c] = (int16_t)(behind + object->colour.v[i][c]);
        }
    }
}

/* A triangular distribution over -amplitude .. amplitude. */
static int camera_noise(fig_rng *rng, int amplitude)
{
    int first = fig_range(rng, 0, amplitude);
    int second = fig_range(rng, 0, amplitude);

    return first - second;
}

static void develop(const lighting *l, fig_rng *rng, const fig_canvas *canvas, uint8_t *rgb)
{
    int half = FIGURES_SIZE / 2;
    int lx = fig_cos(l->angle) * l->slope / FIG_TRIG, ly = fig_sin(l->angle) * l->slope / FIG_TRIG;

    for (int i = 0; i < FIG_PIXELS; i++) {
        int x = i % FIGURES_SIZE - half, y = i / FIGURES_SIZE - half;
        int gain = l->gain + (x * lx + y * ly) / half;

        for (int c = 0; c < 3; c++) {
            int level = canvas->v[i][c] * gain / FIG_UNIT * l->cast[c] / FIG_UNIT;

            level += camera_noise(rng, l->noise);
            rgb[3 * i + c] = (uint8_t)fig_clamp((level + FIG_SAMPLES / 2) / FIG_SAMPLES, 0, 255);
        }
    }
}

void figures_draw(uint64_t seed, int index, uint8_t *rgb, uint8_t *mask, int *label)
{
    fig_rng rng = fig_rng_make(seed, (uint64_t)index);
    lighting light = lighting_make(&rng);
    fig_colour mean;
    fig_canvas canvas;
    fig_object object;
    fig_layer layer;

    *label = index % FIGURES_CLASSES;
    fig_background_draw(&rng, &canvas, &mean);
    fig_object_make(&rng, *label, light.angle, mean, &object);
    fig_object_draw(&object, &layer);
    if (light.shadow > 0)
        shadow_draw(&light, &layer, &canvas);
    object_over(&layer, &canvas);
    develop(&light, &rng, &canvas, rgb);
    for (int i = 0; i < FIG_PIXELS; i++)
        mask[i] = (uint8_t)(layer.cover[i] * 255 / FIG_SAMPLES);
}
