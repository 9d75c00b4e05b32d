/* Integer arithmetic of the figures generator: random numbers, sines, roots, noise and colours.
 * Nothing here knows what is drawn with it, and nothing uses floating point. */
#include "figures_parts.h"

/* SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixing function. */
static uint64_t mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

fig_rng fig_rng_make(uint64_t seed, uint64_t stream)
{
    fig_rng rng;

    rng.state = mix64(mix64(seed + UINT64_C(0x9e3779b97f4a7c15)) ^ stream);
    return rng;
}

uint32_t fig_random(fig_rng *rng)
{
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(mix64(rng->state) >> 32);
}

int fig_range(fig_rng *rng, int from, int to)
{
    uint64_t n = (uint64_t)((int64_t)to - from + 1);

    return (int)(from + (int64_t)((fig_random(rng) * n) >> 32));
}

int fig_chance(fig_rng *rng, int percent)
{
    return fig_range(rng, 0, 99) < percent;
}

/* Quarter wave by the odd polynomial of degree 5 that is exact at 0 and at a quarter turn, with
 * the right slope at both ends; its largest error is 0.0003. */
int fig_sin(int angle)
{
    int quarter = FIG_TURN / 4;
    int phase = angle & (FIG_TURN - 1);
    int negative = phase >= FIG_TURN / 2;
    int t, t2;

    phase &= FIG_TURN / 2 - 1;
    t = phase <= quarter ? phase : FIG_TURN / 2 - phase;
    t2 = (int)((int64_t)t * t / FIG_TRIG);
    t = (int)((int64_t)t *
              (25736 - (int64_t)t2 * (10512 - (int64_t)t2 * 1160 / FIG_TRIG) / FIG_TRIG) /
              FIG_TRIG);
    return negative ? -t : t;
}

int fig_cos(int angle)
{
    return fig_sin(angle + FIG_TURN / 4);
}

int fig_sqrt(uint32_t x)
{
    uint32_t root = 0;

    for (uint32_t bit = UINT32_C(1) << 30; bit != 0; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (int)root;
}

int fig_length(int x, int y)
{
    return fig_sqrt((uint32_t)x * (uint32_t)x + (uint32_t)y * (uint32_t)y);
}

static int lattice(uint32_t seed, int x, int y)
{
    uint64_t key = (uint64_t)(uint32_t)x << 32 | (uint32_t)y;

    return (int)(mix64(key * UINT64_C(0x9e3779b97f4a7c15) + seed) >> 50);
}

int fig_noise(uint32_t seed, int x, int y)
{
    int cx = fig_floor_div(x, FIG_PIXEL), cy = fig_floor_div(y, FIG_PIXEL);
    int fx = x - cx * FIG_PIXEL, fy = y - cy * FIG_PIXEL;
    int top, bottom;

    fx = fx * fx * (3 * FIG_PIXEL - 2 * fx) / (FIG_PIXEL * FIG_PIXEL);
    fy = fy * fy * (3 * FIG_PIXEL - 2 * fy) / (FIG_PIXEL * FIG_PIXEL);
    top = lattice(seed, cx, cy) * (FIG_PIXEL - fx) + lattice(seed, cx + 1, cy) * fx;
    bottom = lattice(seed, cx, cy + 1) * (FIG_PIXEL - fx) + lattice(seed, cx + 1, cy + 1) * fx;
    return (int)(((int64_t)top * (FIG_PIXEL - fy) + (int64_t)bottom * fy) /
                 (FIG_PIXEL * FIG_PIXEL));
}

/* Each octave has half the strength and twice the frequency of the one before. */
int fig_noise_octaves(uint32_t seed, int x, int y, int octaves)
{
    int sum = 0, whole = 0;

    for (int i = 0; i < octaves; i++) {
        int strength = 1 << (octaves - 1 - i);

        sum += strength * fig_noise(seed + (uint32_t)i, x * (1 << i), y * (1 << i));
        whole += strength;
    }
    return sum / whole;
}

int fig_segment_distance(int x, int y, fig_point a, fig_point b)
{
    int64_t dx = b.x - a.x, dy = b.y - a.y;
    int64_t length2 = dx * dx + dy * dy;
    int64_t along = (x - a.x) * dx + (y - a.y) * dy;

    if (along <= 0)
        return fig_length(x - a.x, y - a.y);
    if (along >= length2)
        return fig_length(x - b.x, y - b.y);
    return fig_length((int)(x - a.x - dx * along / length2), (int)(y - a.y - dy * along / length2));
}

fig_colour fig_hsv(int hue, int saturation, int value)
{
    int ramp = hue % 256, low = value * (255 - saturation) / 255;
    int up = low + (value - low) * ramp / 255, down = value - (value - low) * ramp / 255;

    switch (hue / 256 % 6) {
    case 0:
        return (fig_colour){value, up, low};
    case 1:
        return (fig_colour){down, value, low};
    case 2:
        return (fig_colour){low, value, up};
    case 3:
        return (fig_colour){low, down, value};
    case 4:
        return (fig_colour){up, low, value};
    default:
        return (fig_colour){value, low, down};
    }
}

fig_colour fig_mix(fig_colour a, fig_colour b, int share, int whole)
{
    return (fig_colour){a.r + (b.r - a.r) * share / whole, a.g + (b.g - a.g) * share / whole,
                        a.b + (b.b - a.b) * share / whole};
}

/* Difference as the eye weighs it, roughly: 0 .. 255. */
int fig_contrast(fig_colour a, fig_colour b)
{
    return (2 * fig_abs(a.r - b.r) + 4 * fig_abs(a.g - b.g) + fig_abs(a.b - b.b)) / 7;
}
