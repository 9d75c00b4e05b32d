/* The ten classes of figures: how deep a point lies inside each shape, what paint covers it, and
 * how the shape is shaded. Where an object comes to stand in a picture is decided here too; what
 * is around it is not. */
#include "figures_parts.h"

enum { DISC, BOX, TRIANGLE, STAR, CROSS, RINGS, STRIPES, CHECKERS, LETTER, FACE };

#define PART(x) ((int)((x)*FIG_ONE + 0.5)) /* a positive constant in object coordinates */

/* Depth of a point inside a shape: the distance to the nearest edge, negative outside. Object
 * coordinates, y downwards. */

static int disc_depth(int x, int y)
{
    return FIG_ONE - fig_length(x, y);
}

static int box_depth(int x, int y)
{
    return PART(0.84) - fig_max(fig_abs(x), fig_abs(y));
}

static int triangle_depth(int x, int y)
{
    int side = (PART(0.866) * fig_abs(x) - PART(0.5) * y) / FIG_ONE;

    return PART(0.55) - fig_max(y, side);
}

/* Five points at 1.12, notches at 0.526 of the radius: mirrored into one tenth, then one edge. */
static int star_depth(int x, int y)
{
    int across;

    x = fig_abs(x);
    y = -y;
    across = fig_max((PART(0.809017) * x - PART(0.587785) * y) / FIG_ONE, 0);
    x -= 2 * across * PART(0.809017) / FIG_ONE;
    y += 2 * across * PART(0.587785) / FIG_ONE;
    across = fig_max((-PART(0.809017) * x - PART(0.587785) * y) / FIG_ONE, 0);
    x += 2 * across * PART(0.809017) / FIG_ONE;
    y += 2 * across * PART(0.587785) / FIG_ONE;
    return PART(0.4555) - (PART(0.9130) * fig_abs(x) + PART(0.4066) * y) / FIG_ONE;
}

static int cross_depth(int x, int y, int weight)
{
    int upright, level;

    x = fig_abs(x);
    y = fig_abs(y);
    upright = fig_min(weight - x, FIG_ONE - y);
    level = fig_min(FIG_ONE - x, weight - y);
    return fig_max(upright, level);
}

/* A capital A. */
static int letter_depth(int x, int y, int weight)
{
    const fig_point top = {0, -PART(0.85)}, foot = {PART(0.62), PART(0.85)};
    const fig_point bar[2] = {{-PART(0.42), PART(0.30)}, {PART(0.42), PART(0.30)}};
    int leg = fig_segment_distance(fig_abs(x), y, top, foot);

    return weight - fig_min(leg, fig_segment_distance(x, y, bar[0], bar[1]));
}

static int face_depth(int x, int y)
{
    int head = disc_depth(x * 9 / 8, y);
    int ear = PART(0.19) - fig_length(fig_abs(x) - PART(0.88), y - PART(0.05));

    return fig_max(head, ear);
}

static int object_depth(const fig_object *o, int x, int y)
{
    switch (o->label) {
    case DISC:
    case RINGS:
        return disc_depth(x, y);
    case BOX:
        return box_depth(x, y);
    case TRIANGLE:
        return triangle_depth(x, y);
    case STAR:
        return star_depth(x, y);
    case CROSS:
        return cross_depth(x, y, o->weight);
    case LETTER:
        return letter_depth(x, y, o->weight);
    case FACE:
        return face_depth(x, y);
    default: /* a patch of stripes or checkers has one of two outlines */
        return o->look % 2 ? disc_depth(x, y) : box_depth(x, y);
    }
}

static int eye_paint(const fig_object *o, int x, int y)
{
    int gaze = (o->look % 3 - 1) * PART(0.05);
    int ex = fig_abs(x) - PART(0.37), ey = y + PART(0.12);
    int px = x - (x < 0 ? -PART(0.37) : PART(0.37)) - gaze;

    if (fig_length(px, ey - PART(0.02)) < PART(0.10))
        return FIG_LINE;
    if (fig_length(ex, ey * 6 / 5) < PART(0.20))
        return FIG_WHITE;
    return FIG_MAIN;
}

/* A smiling arc, or an open mouth with a row of teeth. */
static int mouth_paint(const fig_object *o, int x, int y)
{
    int radius = fig_length(x, y - PART(0.08));

    if (o->look / 3 % 2) {
        if (y > PART(0.33) && fig_length(x * 3 / 4, y - PART(0.33)) < PART(0.32))
            return y < PART(0.43) ? FIG_WHITE : FIG_LINE;
    } else if (y > PART(0.30) && radius > PART(0.44) && radius < PART(0.58)) {
        return FIG_LINE;
    }
    return FIG_MAIN;
}

static int face_paint(const fig_object *o, int x, int y)
{
    const fig_point brow[2] = {{PART(0.22), -PART(0.40)}, {PART(0.52), -PART(0.41)}};
    const fig_point nose[2] = {{0, 0}, {PART(0.04), PART(0.20)}};
    int hairline = x * x / (2 * FIG_ONE) - PART(0.56) - fig_sin(x * (3 + o->look % 2)) / 28;
    int paint;

    if (y < hairline && o->look / 6 % 3 != 0)
        return FIG_SECOND;
    paint = eye_paint(o, x, y);
    if (paint != FIG_MAIN)
        return paint;
    if (fig_segment_distance(fig_abs(x), y, brow[0], brow[1]) < PART(0.055))
        return FIG_LINE;
    if (fig_segment_distance(x, y, nose[0], nose[1]) < PART(0.05))
        return FIG_LINE;
    return mouth_paint(o, x, y);
}

static int object_paint(const fig_object *o, int x, int y, int depth)
{
    int span = 2 * FIG_ONE / o->cells;

    if (depth < o->border)
        return FIG_LINE;
    switch (o->label) {
    case RINGS:
        return fig_length(x, y) * o->cells / FIG_ONE % 2 ? FIG_SECOND : FIG_MAIN;
    case STRIPES:
        return fig_floor_div(x, span) & 1 ? FIG_SECOND : FIG_MAIN;
    case CHECKERS:
        return (fig_floor_div(x, span) + fig_floor_div(y, span)) & 1 ? FIG_SECOND : FIG_MAIN;
    case FACE:
        return face_paint(o, x, y);
    default:
        return FIG_MAIN;
    }
}

/* Brightness of the surface as a share: light from one side, a soft highlight, a textured fill. */
static int object_shade(const fig_object *o, int x, int y)
{
    int toward = (x * o->light.x + y * o->light.y) / FIG_ONE;
    int hx = x - o->light.x / 2, hy = y - o->light.y / 2;
    int spot =
        fig_max(FIG_UNIT - (hx * hx / FIG_ONE + hy * hy / FIG_ONE) * FIG_UNIT / PART(0.4), 0);
    int rough = fig_noise_octaves(o->texture, x / 4, y / 4, 2) / (FIG_TRIG / FIG_UNIT);

    return FIG_UNIT + toward * o->relief / FIG_ONE + spot * spot / FIG_UNIT * o->gloss / FIG_UNIT +
           (rough - FIG_UNIT / 2) * o->grain / FIG_UNIT;
}

static void draw_pixel(const fig_object *o, int px, int py, fig_layer *layer)
{
    int at = py * FIGURES_SIZE + px, step = FIG_PIXEL / FIG_GRID;
    int16_t *sum = layer->colour.v[at];

    for (int i = 0; i < FIG_SAMPLES; i++) {
        int64_t dx = px * FIG_PIXEL + i % FIG_GRID * step + step / 2 - o->centre.x;
        int64_t dy = py * FIG_PIXEL + i / FIG_GRID * step + step / 2 - o->centre.y;
        int x = (int)((dx * o->to_object[0] + dy * o->to_object[1]) / 65536);
        int y = (int)((dx * o->to_object[2] + dy * o->to_object[3]) / 65536);
        int depth, shade;
        fig_colour c;

        if (fig_max(fig_abs(x), fig_abs(y)) > PART(1.2))
            continue;
        depth = object_depth(o, x, y);
        if (depth <= 0)
            continue;
        c = o->paint[object_paint(o, x, y, depth)];
        shade = object_shade(o, x, y);
        layer->cover[at]++;
        sum[0] = (int16_t)(sum[0] + fig_clamp(c.r * shade / FIG_UNIT, 0, 255));
        sum[1] = (int16_t)(sum[1] + fig_clamp(c.g * shade / FIG_UNIT, 0, 255));
        sum[2] = (int16_t)(sum[2] + fig_clamp(c.b * shade / FIG_UNIT, 0, 255));
    }
}

void fig_object_draw(const fig_object *object, fig_layer *layer)
{
    *layer = (fig_layer){0};
    for (int y = 0; y < FIGURES_SIZE; y++) {
        for (int x = 0; x < FIGURES_SIZE; x++)
            draw_pixel(object, x, y, layer);
    }
}

/* A colour that stands out from `a` and `b`: the first of many tries that is far enough from
 * both, or else the farthest. */
static fig_colour colour_against(fig_rng *rng, fig_colour a, fig_colour b, int wanted)
{
    fig_colour best = {0, 0, 0};
    int best_contrast = -1;

    for (int i = 0; i < 40 && best_contrast < wanted; i++) {
        int h = fig_range(rng, 0, 1535);
        int s = fig_range(rng, 60, 255);
        int v = fig_range(rng, 50, 250);
        fig_colour c = fig_hsv(h, s, v);
        int contrast = fig_min(fig_contrast(c, a), fig_contrast(c, b));

        if (contrast > best_contrast) {
            best = c;
            best_contrast = contrast;
        }
    }
    return best;
}

static fig_colour skin_colour(fig_rng *rng)
{
    int hue = fig_range(rng, 60, 215);
    int saturation = fig_range(rng, 70, 180);
    int value = fig_range(rng, 150, 250);

    return fig_hsv(hue, saturation, value);
}

static void choose_paints(fig_rng *rng, fig_colour background, fig_object *o)
{
    const fig_colour black = {16, 14, 18}, white = {248, 246, 242};
    fig_colour *paint = o->paint;
    int dark = fig_range(rng, 120, 220);

    if (o->label == FACE)
        paint[FIG_MAIN] = skin_colour(rng);
    else
        paint[FIG_MAIN] = colour_against(rng, background, background, 62);
    paint[FIG_SECOND] = colour_against(rng, paint[FIG_MAIN], background, 70);
    paint[FIG_LINE] = fig_mix(paint[FIG_MAIN], black, dark, FIG_UNIT);
    paint[FIG_WHITE] = white;
    if (o->label == FACE)
        paint[FIG_LINE] = fig_mix(paint[FIG_MAIN], black, 225, FIG_UNIT);
    else if (fig_chance(rng, 25))
        paint[FIG_LINE] = white;
}

/* Place, size and rotation. The extents along the object's own axes differ by up to a sixth. */
static void choose_place(fig_rng *rng, fig_object *o)
{
    int upright = o->label == LETTER || o->label == FACE;
    int angle =
        upright ? fig_range(rng, -FIG_TURN / 14, FIG_TURN / 14) : fig_range(rng, 0, FIG_TURN - 1);
    int radius = fig_range(rng, 19 * FIG_PIXEL, 38 * FIG_PIXEL);
    int squash = fig_range(rng, FIG_UNIT * 6 / 7, FIG_UNIT);
    int slack = FIGURES_SIZE * FIG_PIXEL / 2 - radius * 15 / 16;
    int64_t c = fig_cos(angle), s = fig_sin(angle);
    int64_t rx = radius, ry = (int64_t)radius * squash / FIG_UNIT;

    if (fig_chance(rng, 50)) {
        rx = ry;
        ry = radius;
    }
    o->centre.x = FIGURES_SIZE * FIG_PIXEL / 2 + fig_range(rng, -slack, slack);
    o->centre.y = FIGURES_SIZE * FIG_PIXEL / 2 + fig_range(rng, -slack, slack);
    o->to_object[0] = (int)(c * (FIG_ONE * 4) / rx);
    o->to_object[1] = (int)(s * (FIG_ONE * 4) / rx);
    o->to_object[2] = (int)(-s * (FIG_ONE * 4) / ry);
    o->to_object[3] = (int)(c * (FIG_ONE * 4) / ry);
    o->light.x = (int)((o->light.x * c + o->light.y * s) / FIG_TRIG);
    o->light.y = (int)((o->light.y * c - o->light.x * s) / FIG_TRIG);
}

void fig_object_make(fig_rng *rng, int label, int light_angle, fig_colour background,
                     fig_object *object)
{
    fig_object *o = object;

    *o = (fig_object){.label = label};
    o->look = fig_range(rng, 0, 35);
    o->cells = label == RINGS ? fig_range(rng, 4, 6) : fig_range(rng, 5, 9);
    o->weight = label == CROSS ? fig_range(rng, PART(0.22), PART(0.38))
                               : fig_range(rng, PART(0.14), PART(0.21));
    if (label != LETTER && label != STRIPES && label != CHECKERS && fig_chance(rng, 50))
        o->border = fig_range(rng, PART(0.05), PART(0.09));
    choose_paints(rng, background, o);
    o->light.x = fig_cos(light_angle) * FIG_ONE / FIG_TRIG;
    o->light.y = fig_sin(light_angle) * FIG_ONE / FIG_TRIG;
    choose_place(rng, o);
    o->relief = fig_range(rng, 0, 90);
    o->gloss = fig_chance(rng, 40) ? fig_range(rng, 20, 110) : 0;
    o->grain = fig_chance(rng, 50) ? fig_range(rng, 10, 90) : 0;
    o->texture = fig_random(rng);
}
