/* Scales around a box: round numbers, as many as have room. */
#include "canvas.h"

#include <math.h>

enum { TICK = 4, GAP = 5, FEWEST_TICKS = 2, MOST_TICKS = 12 };

/* ---- Ticks ---- */

canvas_ticks canvas_round_ticks(double from, double to, int most)
{
    static const double factors[] = {1.0, 2.0, 5.0, 10.0};
    double low = from < to ? from : to, range = fabs(to - from), power;
    canvas_ticks t = {low, range, 1, 0};

    if (!(range > 0.0) || !isfinite(range))
        return t;
    power = pow(10.0, floor(log10(range / most)));
    for (int i = 0; i < 4; i++) {
        t.step = power * factors[i];
        t.first = ceil(low / t.step - 1e-9) * t.step;
        t.count = 1 + (int)floor((low + range - t.first) / t.step + 1e-9);
        if (t.count <= most)
            break;
    }
    for (t.decimals = 0; t.decimals < 9; t.decimals++) {
        double scaled = t.step * pow(10.0, t.decimals);

        if (fabs(scaled - round(scaled)) < 1e-6 * scaled)
            break;
    }
    return t;
}

void canvas_tick_text(const canvas_ticks *t, int index, char *text, size_t room)
{
    double value = t->first + index * t->step;

    if (fabs(value) < 1e-9 * t->step)
        value = 0.0;
    if (fabs(value) >= 1e6 || t->step >= 1e5 || t->decimals >= 5)
        snprintf(text, room, "%.3g", value);
    else
        snprintf(text, room, "%.*f", t->decimals, value);
}

static double widest(plot *p, const canvas_ticks *t)
{
    char text[32];
    double width = 0.0;

    for (int i = 0; i < t->count; i++) {
        canvas_tick_text(t, i, text, sizeof text);
        width = fmax(width, plot_text_width(p, PLOT_SMALL, text));
    }
    return width;
}

canvas_ticks canvas_fit_ticks(plot *p, double from, double to, double length, bool upright)
{
    canvas_ticks t = canvas_round_ticks(from, to, FEWEST_TICKS);

    for (int most = MOST_TICKS; most > FEWEST_TICKS; most--) {
        canvas_ticks more = canvas_round_ticks(from, to, most);
        double each = upright ? 2.2 * PLOT_SMALL : widest(p, &more) + 1.5 * PLOT_SMALL;

        if (fabs(to - from) / more.step * each <= length) {
            t = more;
            break;
        }
    }
    return t;
}

/* ---- Placing ---- */

static double left_room(plot *p, const plot_axes *a, double height)
{
    canvas_ticks t = canvas_fit_ticks(p, a->y.from, a->y.to, height, true);

    return (a->y.bare ? 0.0 : TICK + GAP + widest(p, &t)) +
           (a->y.label ? canvas_line(PLOT_SMALL) + GAP : 0.0);
}

void plot_axes_place(plot *p, plot_axes *a, plot_box outer, double aspect)
{
    double top = a->title ? canvas_line(PLOT_NORMAL) + GAP : a->y.bare ? 0.0 : PLOT_SMALL / 2.0;
    double bottom = (a->x.bare ? 0.0 : TICK + canvas_line(PLOT_SMALL)) +
                    (a->x.label ? canvas_line(PLOT_SMALL) : 0.0) + (a->x.bare ? 0.0 : 2.0);
    double left = left_room(p, a, outer.height - top - bottom);
    double right = a->x.bare ? 0.0 : 1.5 * PLOT_SMALL; /* half of the last number */
    plot_box box = {outer.x + left, outer.y + top, fmax(outer.width - left - right, 1.0),
                    fmax(outer.height - top - bottom, 1.0)};

    if (aspect > 0.0 && box.height > box.width * aspect) {
        box.height = box.width * aspect;
    } else if (aspect > 0.0) {
        double spare = box.width - box.height / aspect;

        box.x += spare / 2.0;
        box.width -= spare;
    }
    /* On pixels, so that lines are sharp. */
    a->box.x = floor(box.x) + 0.5;
    a->box.y = floor(box.y) + 0.5;
    a->box.width = floor(box.width);
    a->box.height = floor(box.height);
}

double plot_axes_x(const plot_axes *a, double x)
{
    return a->box.x + (x - a->x.from) / (a->x.to - a->x.from) * a->box.width;
}

double plot_axes_y(const plot_axes *a, double y)
{
    return a->box.y + a->box.height - (y - a->y.from) / (a->y.to - a->y.from) * a->box.height;
}

plot_box plot_axes_box(const plot_axes *a, double x0, double y0, double x1, double y1)
{
    double left = plot_axes_x(a, x0), right = plot_axes_x(a, x1);
    double top = plot_axes_y(a, y0), bottom = plot_axes_y(a, y1);

    return (plot_box){fmin(left, right), fmin(top, bottom), fabs(right - left), fabs(bottom - top)};
}

/* ---- Drawing ---- */

/* Not in the part of the axis that is to stay clear. */
static bool has_tick(const plot_axis *axis, double value)
{
    return (axis->to - value) / (axis->to - axis->from) >= axis->clear - 1e-9;
}

static void stroke(plot *p, double x0, double y0, double x1, double y1)
{
    cairo_set_line_width(p->cr, 1.0);
    cairo_move_to(p->cr, x0, y0);
    cairo_line_to(p->cr, x1, y1);
    cairo_stroke(p->cr);
}

static void draw_x_axis(plot *p, const plot_axes *a)
{
    canvas_ticks t = canvas_fit_ticks(p, a->x.from, a->x.to, a->box.width, false);
    double bottom = a->box.y + a->box.height, base = bottom;
    char text[32];

    for (int i = 0; !a->x.bare && i < t.count; i++) {
        double x = floor(plot_axes_x(a, t.first + i * t.step)) + 0.5;

        if (!has_tick(&a->x, t.first + i * t.step))
            continue;
        canvas_colour(p, PLOT_BLACK);
        stroke(p, x, bottom, x, bottom + TICK);
        canvas_tick_text(&t, i, text, sizeof text);
        plot_text(p, x, bottom + TICK + canvas_line(PLOT_SMALL) - 2.0, PLOT_CENTRE, PLOT_SMALL,
                  PLOT_BLACK, text);
    }
    if (!a->x.bare)
        base += TICK + canvas_line(PLOT_SMALL);
    if (a->x.label)
        plot_text(p, a->box.x + a->box.width / 2.0, base + canvas_line(PLOT_SMALL) - 2.0,
                  PLOT_CENTRE, PLOT_SMALL, PLOT_BLACK, a->x.label);
}

static void draw_y_axis(plot *p, const plot_axes *a)
{
    canvas_ticks t = canvas_fit_ticks(p, a->y.from, a->y.to, a->box.height, true);
    double numbers = a->y.bare ? 0.0 : TICK + GAP + widest(p, &t);
    char text[32];

    for (int i = 0; !a->y.bare && i < t.count; i++) {
        double y = floor(plot_axes_y(a, t.first + i * t.step)) + 0.5;

        if (!has_tick(&a->y, t.first + i * t.step))
            continue;
        canvas_colour(p, PLOT_BLACK);
        stroke(p, a->box.x - TICK, y, a->box.x, y);
        canvas_tick_text(&t, i, text, sizeof text);
        plot_text(p, a->box.x - TICK - 2.0, y + 0.36 * PLOT_SMALL, PLOT_RIGHT, PLOT_SMALL,
                  PLOT_BLACK, text);
    }
    if (!a->y.label)
        return;
    cairo_save(p->cr);
    cairo_translate(p->cr, a->box.x - numbers - GAP, a->box.y + a->box.height / 2.0);
    cairo_rotate(p->cr, -1.5707963267948966);
    plot_text(p, 0.0, 0.0, PLOT_CENTRE, PLOT_SMALL, PLOT_BLACK, a->y.label);
    cairo_restore(p->cr);
}

void plot_axes_draw(plot *p, const plot_axes *a)
{
    char title[CANVAS_TEXT];

    plot_frame(p, a->box, 1.0, PLOT_BLACK);
    draw_x_axis(p, a);
    draw_y_axis(p, a);
    if (!a->title)
        return;
    plot_fit_text(p, PLOT_NORMAL, a->box.width + 2 * PLOT_SMALL, a->title, title, sizeof title);
    plot_text(p, a->box.x + a->box.width / 2.0, a->box.y - GAP - 2.0, PLOT_CENTRE, PLOT_NORMAL,
              PLOT_BLACK, title);
}
