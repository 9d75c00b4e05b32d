/* What the files of this folder share. */
#ifndef DECONV_CLI_PLOT_CANVAS_H
#define DECONV_CLI_PLOT_CANVAS_H

#include "plot.h"

#include <cairo.h>

/* Bytes of the longest text that is drawn; longer ones are cut. */
enum { CANVAS_TEXT = 512 };

struct plot {
    cairo_surface_t *surface;
    cairo_t *cr;
};

void canvas_colour(plot *p, uint32_t rgb);

/* From one base line to the next. */
static inline double canvas_line(int size)
{
    return 1.35 * size;
}

/* Where to put ticks: the first at or after the smaller end, then every `step` up to the other. */
typedef struct canvas_ticks {
    double first, step;
    int count;
    int decimals; /* that tell neighbours apart */
} canvas_ticks;

/* At most `most` round numbers between `from` and `to` (in either order), at least one. */
canvas_ticks canvas_round_ticks(double from, double to, int most);
void canvas_tick_text(const canvas_ticks *t, int index, char *text, size_t room);
/* As many ticks as stand side by side on `length` pixels. */
canvas_ticks canvas_fit_ticks(plot *p, double from, double to, double length, bool upright);

#endif
