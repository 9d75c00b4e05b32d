/* What stands in axes, colours of values, and the keys that explain them. */
#include "canvas.h"

#include <math.h>

/* ---- Lines, bars, spans ---- */

static void clip(plot *p, const plot_axes *a)
{
    cairo_save(p->cr);
    cairo_rectangle(p->cr, a->box.x, a->box.y, a->box.width, a->box.height);
    cairo_clip(p->cr);
}

void plot_line(plot *p, const plot_axes *a, const double *x, const double *y, int count,
               double width, uint32_t rgb)
{
    clip(p, a);
    canvas_colour(p, rgb);
    cairo_set_line_width(p->cr, width);
    cairo_set_line_join(p->cr, CAIRO_LINE_JOIN_ROUND);
    cairo_new_path(p->cr);
    for (int i = 0; i < count; i++)
        cairo_line_to(p->cr, plot_axes_x(a, x[i]), plot_axes_y(a, y[i]));
    cairo_stroke(p->cr);
    cairo_restore(p->cr);
}

void plot_bars(plot *p, const plot_axes *a, double from, double to, const double *y, int count,
               const uint32_t *rgb)
{
    clip(p, a);
    for (int i = 0; i < count; i++) {
        double left = from + (to - from) * i / count, right = from + (to - from) * (i + 1) / count;
        plot_box bar = plot_axes_box(a, left, 0.0, right, y[i]);

        if (bar.width > 4.0) { /* a gap between bars that are wide enough for one */
            bar.x += 0.5;
            bar.width -= 1.0;
        }
        plot_rectangle(p, bar, rgb[i]);
    }
    cairo_restore(p->cr);
}

void plot_mark(plot *p, const plot_axes *a, double x, uint32_t rgb, bool dashed)
{
    static const double dashes[] = {4.0, 3.0};
    double at = floor(plot_axes_x(a, x)) + 0.5;

    clip(p, a);
    canvas_colour(p, rgb);
    cairo_set_line_width(p->cr, 1.0);
    cairo_set_dash(p->cr, dashes, dashed ? 2 : 0, 0.0);
    cairo_move_to(p->cr, at, a->box.y);
    cairo_line_to(p->cr, at, a->box.y + a->box.height);
    cairo_stroke(p->cr);
    cairo_restore(p->cr);
}

void plot_circle(plot *p, plot_box box, double x, double y, double radius, uint32_t rgb)
{
    cairo_save(p->cr);
    cairo_rectangle(p->cr, box.x, box.y, box.width, box.height);
    cairo_clip(p->cr);
    canvas_colour(p, rgb);
    cairo_set_line_width(p->cr, 1.0);
    cairo_new_path(p->cr);
    cairo_arc(p->cr, x, y, radius, 0.0, 2.0 * 3.14159265358979323846);
    cairo_stroke(p->cr);
    cairo_restore(p->cr);
}

void plot_span(plot *p, const plot_axes *a, double from, double to, uint32_t rgb)
{
    clip(p, a);
    plot_rectangle(p, plot_axes_box(a, from, a->y.from, to, a->y.to), rgb);
    cairo_restore(p->cr);
}

/* ---- Colours ---- */

/* Between neighbours of `knots`, evenly spaced over 0 to 1. */
static uint32_t between(const uint32_t *knots, int count, double at)
{
    double position = at * (count - 1);
    int low = position >= count - 1 ? count - 2 : (int)position;
    double part = position - low;
    uint32_t rgb = 0;

    for (int shift = 16; shift >= 0; shift -= 8) {
        double a = knots[low] >> shift & 255, b = knots[low + 1] >> shift & 255;

        rgb = rgb << 8 | (uint32_t)lround(a + part * (b - a));
    }
    return rgb;
}

uint32_t plot_colour(const plot_scale *scale, double value)
{
    /* Even steps of lightness from dark to bright; a middle of white between equals in lightness.
     */
    static const uint32_t sequential[] = {0x2a1458, 0x3a4a8c, 0x2a7a8e,
                                          0x28a884, 0x7fd04e, 0xfbe723};
    static const uint32_t diverging[] = {0x2b5aa8, 0x8fb4dc, 0xf7f7f7, 0xeaa08a, 0xb2332f};
    static const uint32_t grey[] = {0x000000, 0xffffff};
    double range = scale->to - scale->from, at;

    if (!isfinite(value))
        return 0x808080;
    at = range != 0.0 ? (value - scale->from) / range : 0.5;
    at = at < 0.0 ? 0.0 : at > 1.0 ? 1.0 : at;
    if (scale->map == PLOT_MAP_DIVERGING)
        return between(diverging, 5, at);
    return scale->map == PLOT_MAP_GREY ? between(grey, 2, at) : between(sequential, 6, at);
}

uint32_t plot_category(uint32_t index)
{
    /* Okabe & Ito, "Color Universal Design", 2008, without the black; and a brown. */
    static const uint32_t set[] = {0x0072b2, 0xe69f00, 0x009e73, 0xcc79a7,
                                   0x56b4e9, 0xd55e00, 0xf0e442, 0x8c6d46};
    const uint32_t pair[] = {set[index % 8], 0xffffff};
    uint32_t round = index / 8 % 4;

    return round == 0 ? pair[0] : between(pair, 2, 0.2 * round);
}

/* ---- Keys ---- */

void plot_colour_bar(plot *p, plot_box box, const plot_scale *scale, const char *label)
{
    enum { WIDTH = 14, GAP = 4, TICK = 3 };
    double top = box.y + (label ? canvas_line(PLOT_SMALL) + GAP : PLOT_SMALL / 2.0);
    plot_box bar = {floor(box.x) + 0.5, floor(top) + 0.5, WIDTH,
                    floor(box.y + box.height - PLOT_SMALL / 2.0 - top)};
    plot_axes a = {.box = bar, .x = {0.0, 1.0, NULL, true}, .y = {scale->from, scale->to, 0, 0}};
    canvas_ticks t;
    char text[CANVAS_TEXT];

    for (int row = 0; row < (int)bar.height; row++) {
        double value = scale->to - (scale->to - scale->from) * (row + 0.5) / bar.height;

        plot_rectangle(p, (plot_box){bar.x, bar.y - 0.5 + row, bar.width, 1.0},
                       plot_colour(scale, value));
    }
    plot_frame(p, bar, 1.0, PLOT_BLACK);
    if (scale->to == scale->from)
        a.y.to = scale->from + 1.0; /* an even map: its one value at the bottom */
    t = canvas_fit_ticks(p, scale->from, scale->to, bar.height, true);
    for (int i = 0; i < t.count; i++) {
        double y = floor(plot_axes_y(&a, t.first + i * t.step)) + 0.5;

        canvas_tick_text(&t, i, text, sizeof text);
        plot_rectangle(p, (plot_box){bar.x + WIDTH, y - 0.5, TICK, 1.0}, PLOT_BLACK);
        plot_text(p, bar.x + WIDTH + TICK + GAP, y + 0.36 * PLOT_SMALL, PLOT_LEFT, PLOT_SMALL,
                  PLOT_BLACK, text);
    }
    if (!label)
        return;
    plot_fit_text(p, PLOT_SMALL, box.width, label, text, sizeof text);
    plot_text(p, box.x, box.y + PLOT_SMALL, PLOT_LEFT, PLOT_SMALL, PLOT_BLACK, text);
}

void plot_legend(plot *p, plot_box box, const uint32_t *rgb, const char *const *labels, int count)
{
    enum { SQUARE = 11, GAP = 6 };
    double line = canvas_line(PLOT_SMALL) + 3.0;
    int room = (int)(box.height / line);
    int shown = count <= room ? count : room - 1;
    char text[CANVAS_TEXT];

    for (int i = 0; i < shown; i++) {
        plot_box square = {floor(box.x) + 0.5, floor(box.y + i * line) + 0.5, SQUARE, SQUARE};

        plot_rectangle(p, square, rgb[i]);
        plot_frame(p, square, 1.0, PLOT_GREY);
        plot_fit_text(p, PLOT_SMALL, box.width - SQUARE - GAP, labels[i], text, sizeof text);
        plot_text(p, square.x + SQUARE + GAP, square.y + SQUARE - 1.0, PLOT_LEFT, PLOT_SMALL,
                  PLOT_BLACK, text);
    }
    if (shown < count && room > 0) {
        snprintf(text, sizeof text, "and %d more", count - shown);
        plot_text(p, box.x, box.y + shown * line + SQUARE, PLOT_LEFT, PLOT_SMALL, PLOT_GREY, text);
    }
}
