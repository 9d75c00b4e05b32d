/* Figures: text, axes, pictures, heat maps, bars and lines, drawn by Cairo. For the command only:
 * libdeconv itself draws no text and does not know Cairo.
 *
 * Lengths are pixels from the figure's top left corner, colours 0xRRGGBB, text UTF-8. Nothing here
 * fails on its own: Cairo keeps its first failure, and plot_write() reports it. */
#ifndef DECONV_CLI_PLOT_H
#define DECONV_CLI_PLOT_H

#include "../cli.h"

/* Sizes of text, and the colours that every figure uses. */
enum { PLOT_SMALL = 11, PLOT_NORMAL = 13, PLOT_LARGE = 17 };
enum { PLOT_BLACK = 0x202020, PLOT_GREY = 0x707070, PLOT_PALE = 0xd8d8d8, PLOT_WHITE = 0xffffff };
/* Largest width or height of a figure. */
enum { PLOT_LARGEST = 32000 };

/* ---- canvas.c: the figure and its text ---- */

typedef struct plot plot;

typedef struct plot_box {
    double x, y, width, height;
} plot_box;

typedef enum plot_side { PLOT_LEFT, PLOT_CENTRE, PLOT_RIGHT } plot_side;

/* A white figure; NULL: the message was printed. */
plot *plot_create(int64_t width, int64_t height);
void plot_destroy(plot *p);
/* PNG, JPEG, BMP or TGA by the path's ending, whole or not at all. False: the message was printed.
 */
bool plot_write(const session *s, plot *p, const char *path);

/* One line of text. (x, y) is the left end, the middle or the right end of its base line. */
void plot_text(plot *p, double x, double y, plot_side side, int size, uint32_t rgb,
               const char *text);
void plot_bold_text(plot *p, double x, double y, plot_side side, int size, uint32_t rgb,
                    const char *text);
double plot_text_width(plot *p, int size, const char *text);
/* Shortens a text to a width, with an ellipsis in the middle: both ends of a layer's name matter.
 */
void plot_fit_text(plot *p, int size, double width, const char *text, char *fitted, size_t room);
/* Breaks a text at spaces into lines of a width, from the base line y on; returns the base line
 * after the last. With `draw` false nothing is drawn, to see how high it would be. */
double plot_paragraph(plot *p, double x, double y, double width, int size, uint32_t rgb,
                      const char *text, bool draw);

/* In pixels of the figure. */
void plot_rectangle(plot *p, plot_box box, uint32_t rgb);
void plot_frame(plot *p, plot_box box, double width, uint32_t rgb);
/* A picture of height x width x 3 bytes stretched over a box: pixels stay square-edged where it
 * grows, and are averaged where it shrinks. */
void plot_picture(plot *p, plot_box box, const uint8_t *rgb, int64_t width, int64_t height);

/* ---- axes.c: a box with scales ---- */

typedef struct plot_axis {
    double from,
        to; /* at the left and right end; at the bottom and top: y of a picture is {H, 0} */
    const char *label; /* NULL: none */
    bool bare;         /* no ticks and no numbers */
    double clear;      /* part at the end `to` without ticks, for what is written there: 0 to 1 */
} plot_axis;

typedef struct plot_axes {
    plot_box box; /* where the data lie */
    plot_axis x, y;
    const char *title; /* above; NULL: none */
} plot_axes;

/* Sets `box` inside `outer` so that numbers, labels and title fit between the two. `aspect`: height
 * over width that the box is to keep, as for pictures; 0: any. */
void plot_axes_place(plot *p, plot_axes *a, plot_box outer, double aspect);
/* Frame, ticks, numbers, labels, title: after the data, so that the frame lies on top. */
void plot_axes_draw(plot *p, const plot_axes *a);
/* Data to pixels. */
double plot_axes_x(const plot_axes *a, double x);
double plot_axes_y(const plot_axes *a, double y);
/* The box of pixels between two corners in data. */
plot_box plot_axes_box(const plot_axes *a, double x0, double y0, double x1, double y1);

/* ---- data.c: what stands in axes, and its keys ---- */

/* (x[i], y[i]) joined by a line. */
void plot_line(plot *p, const plot_axes *a, const double *x, const double *y, int count,
               double width, uint32_t rgb);
/* Bars of `count` equal classes over the x axis from `from` to `to`, standing on y = 0. */
void plot_bars(plot *p, const plot_axes *a, double from, double to, const double *y, int count,
               const uint32_t *rgb);
/* A circle around (x, y) in pixels, cut to `box`. */
void plot_circle(plot *p, plot_box box, double x, double y, double radius, uint32_t rgb);
/* A vertical line through the whole box at x. */
void plot_mark(plot *p, const plot_axes *a, double x, uint32_t rgb, bool dashed);
/* The columns between two x, behind the data. */
void plot_span(plot *p, const plot_axes *a, double from, double to, uint32_t rgb);

typedef enum plot_map {
    PLOT_MAP_SEQUENTIAL, /* dark blue to yellow: from little to much */
    PLOT_MAP_DIVERGING,  /* blue, white, red: about a middle */
    PLOT_MAP_GREY        /* black to white */
} plot_map;

typedef struct plot_scale {
    double from, to; /* values at the two ends */
    plot_map map;
} plot_scale;

/* The colour of a value; what is not finite is grey. */
uint32_t plot_colour(const plot_scale *scale, double value);
/* Colour `index` of a set that people tell apart, colour-blind ones too; repeats, paler, after
 * eight. */
uint32_t plot_category(uint32_t index);
/* The key of a scale: a bar with numbers at its right, in `box` with both. */
void plot_colour_bar(plot *p, plot_box box, const plot_scale *scale, const char *label);
/* Squares of colour with labels, below one another from the top of `box`, each cut to its width.
 * What does not fit is counted in the last line ("and 12 more"). */
void plot_legend(plot *p, plot_box box, const uint32_t *rgb, const char *const *labels, int count);

#endif
