/* Backgrounds of the figures: a gradient, a texture, soft blobs and small clutter. None of it has
 * the shape of a class: blobs have no edge, lines and dots are a few pixels thick. */
#include "figures_parts.h"

typedef struct {
    fig_colour ends[2]; /* of the gradient */
    fig_colour tint;    /* what the texture mixes in */
    int angle;          /* of the gradient and of the texture's grain */
    int depth;          /* most that the texture mixes in, share */
    int scale;          /* size of the texture's features along each axis, pixels */
    int stretch;
    int octaves;
    uint32_t seed;
} ground;

static void put(fig_canvas *canvas, int pixel, fig_colour c)
{
    canvas->v[pixel][0] = (int16_t)(c.r * FIG_SAMPLES);
    canvas->v[pixel][1] = (int16_t)(c.g * FIG_SAMPLES);
    canvas->v[pixel][2] = (int16_t)(c.b * FIG_SAMPLES);
}

static void blend(fig_canvas *canvas, int pixel, fig_colour c, int share, int whole)
{
    int16_t *v = canvas->v[pixel];

    v[0] = (int16_t)(v[0] + (c.r * FIG_SAMPLES - v[0]) * share / whole);
    v[1] = (int16_t)(v[1] + (c.g * FIG_SAMPLES - v[1]) * share / whole);
    v[2] = (int16_t)(v[2] + (c.b * FIG_SAMPLES - v[2]) * share / whole);
}

static fig_colour random_colour(fig_rng *rng, int saturation, int value_from, int value_to)
{
    int h = fig_range(rng, 0, 1535);
    int s = fig_range(rng, 0, saturation);
    int v = fig_range(rng, value_from, value_to);

    return fig_hsv(h, s, v);
}

/* `from`, moved by `least` .. `most` (shares) towards a random colour. */
static fig_colour colour_near(fig_rng *rng, fig_colour from, int least, int most)
{
    fig_colour target = random_colour(rng, 190, 20, 250);
    int share = fig_range(rng, least, most);

    return fig_mix(from, target, share, FIG_UNIT);
}

static ground ground_make(fig_rng *rng)
{
    ground g;

    g.ends[0] = random_colour(rng, 170, 40, 240);
    g.ends[1] = colour_near(rng, g.ends[0], 20, 120);
    g.tint = colour_near(rng, g.ends[0], 80, 240);
    g.angle = fig_range(rng, 0, FIG_TURN - 1);
    g.depth = fig_chance(rng, 80) ? fig_range(rng, 60, 256) : 0;
    g.scale = fig_range(rng, 3, 22);
    g.stretch = fig_chance(rng, 35) ? fig_range(rng, 3, 7) : 1;
    g.octaves = fig_range(rng, 1, 4);
    g.seed = fig_random(rng);
    return g;
}

static void ground_draw(const ground *g, fig_canvas *canvas)
{
    int s = fig_sin(g->angle), c = fig_cos(g->angle), half = FIGURES_SIZE / 2;

    for (int y = 0; y < FIGURES_SIZE; y++) {
        for (int x = 0; x < FIGURES_SIZE; x++) {
            int along = ((x - half) * c + (y - half) * s) / (FIG_TRIG / 256);
            int across = ((y - half) * c - (x - half) * s) / (FIG_TRIG / 256);
            int slope = fig_clamp(128 + along / 128, 0, 256);
            int noise = fig_noise_octaves(g->seed, along / (g->scale * g->stretch),
                                          across / g->scale, g->octaves);
            fig_colour base = fig_mix(g->ends[0], g->ends[1], slope, 256);

            put(canvas, y * FIGURES_SIZE + x,
                fig_mix(base, g->tint, noise / (FIG_TRIG / 256) * g->depth / 256, 256));
        }
    }
}

/* A spot whose edge fades over its whole radius. */
static void blob_draw(fig_rng *rng, fig_colour near, fig_canvas *canvas)
{
    int cx = fig_range(rng, 0, FIGURES_SIZE - 1);
    int cy = fig_range(rng, 0, FIGURES_SIZE - 1);
    int radius = fig_range(rng, 12, 34);
    int strength = fig_range(rng, 90, 210);
    int flat = fig_range(rng, 256, 512); /* vertical squeeze, so that few are round */
    fig_colour c = colour_near(rng, near, 80, 220);

    for (int y = 0; y < FIGURES_SIZE; y++) {
        for (int x = 0; x < FIGURES_SIZE; x++) {
            int dy = (y - cy) * flat / 256;
            int fade = 1024 - 1024 * ((x - cx) * (x - cx) + dy * dy) / (radius * radius);

            if (fade > 0)
                blend(canvas, y * FIGURES_SIZE + x, c, fade * fade / 1024 * strength / 256, 1024);
        }
    }
}

static void stroke_draw(fig_canvas *canvas, fig_point a, fig_point b, int half_width, fig_colour c)
{
    int left = fig_max(fig_floor_div(fig_min(a.x, b.x) - half_width, FIG_PIXEL), 0);
    int right = fig_min(fig_floor_div(fig_max(a.x, b.x) + half_width, FIG_PIXEL), FIGURES_SIZE - 1);
    int top = fig_max(fig_floor_div(fig_min(a.y, b.y) - half_width, FIG_PIXEL), 0);
    int bottom =
        fig_min(fig_floor_div(fig_max(a.y, b.y) + half_width, FIG_PIXEL), FIGURES_SIZE - 1);
    int step = FIG_PIXEL / FIG_GRID;

    for (int y = top; y <= bottom; y++) {
        for (int x = left; x <= right; x++) {
            int hits = 0;

            for (int i = 0; i < FIG_SAMPLES; i++) {
                int sx = x * FIG_PIXEL + i % FIG_GRID * step + step / 2;
                int sy = y * FIG_PIXEL + i / FIG_GRID * step + step / 2;

                hits += fig_segment_distance(sx, sy, a, b) <= half_width;
            }
            blend(canvas, y * FIGURES_SIZE + x, c, hits, FIG_SAMPLES);
        }
    }
}

static fig_point walk(fig_point from, int angle, int length)
{
    return (fig_point){from.x + length * fig_cos(angle) / FIG_TRIG,
                       from.y + length * fig_sin(angle) / FIG_TRIG};
}

/* A dot, a line, or a line with a bend, thin and short, in a colour of its own. */
static void clutter_draw(fig_rng *rng, fig_canvas *canvas)
{
    fig_colour c = random_colour(rng, 255, 0, 255);
    int kind = fig_range(rng, 0, 9);
    int angle = fig_range(rng, 0, FIG_TURN - 1);
    int length = fig_range(rng, 5 * FIG_PIXEL, 18 * FIG_PIXEL);
    int half_width = fig_range(rng, FIG_PIXEL * 2 / 5, FIG_PIXEL);
    fig_point a, b;

    a.x = fig_range(rng, 0, FIGURES_SIZE * FIG_PIXEL);
    a.y = fig_range(rng, 0, FIGURES_SIZE * FIG_PIXEL);
    if (kind < 3) {
        stroke_draw(canvas, a, a, half_width * 2, c);
        return;
    }
    b = walk(a, angle, length);
    stroke_draw(canvas, a, b, half_width, c);
    if (kind > 6) {
        a = walk(b, angle + fig_range(rng, FIG_TURN / 12, FIG_TURN / 5), length * 2 / 3);
        stroke_draw(canvas, b, a, half_width, c);
    }
}

static fig_colour canvas_mean(const fig_canvas *canvas)
{
    int64_t sum[3] = {0, 0, 0};
    int64_t whole = (int64_t)FIG_PIXELS * FIG_SAMPLES;

    for (int i = 0; i < FIG_PIXELS; i++) {
        for (int c = 0; c < 3; c++)
            sum[c] += canvas->v[i][c];
    }
    return (fig_colour){(int)(sum[0] / whole), (int)(sum[1] / whole), (int)(sum[2] / whole)};
}

void fig_background_draw(fig_rng *rng, fig_canvas *canvas, fig_colour *mean)
{
    ground g = ground_make(rng);
    int blobs = fig_chance(rng, 50) ? fig_range(rng, 1, 5) : 0;
    int clutter = fig_range(rng, 0, 14);

    ground_draw(&g, canvas);
    for (int i = 0; i < blobs; i++)
        blob_draw(rng, g.ends[0], canvas);
    *mean = canvas_mean(canvas);
    for (int i = 0; i < clutter; i++)
        clutter_draw(rng, canvas);
}
