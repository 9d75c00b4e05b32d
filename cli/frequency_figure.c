/* The figure of `deconv frequency`: the first layer's filters and their spectra, then a row a
 * layer. Two networks stand side by side. Everything is drawn twice, the first time on one pixel,
 * to see how high it gets. */
#include "frequency.h"
#include "plot/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 1000, /* of one network */
    MARGIN = 20,
    PANEL = 300,
    SPACE = 30, /* between panels */
    ROW = 160,
    MOST_TILES = 1024,
    DEAD_COLOUR = 0xd00000,
    SHADE = 0xf0f0f0
};

/* Right end of the histograms: the corner of the square of frequencies. */
#define LAST_FREQUENCY (DECONV_FREQUENCY_CLASSES / 48.0)

/* Smallest share in the logarithmic plots. */
#define LEAST_SHARE 1e-5

typedef struct figure {
    plot *p;
    const frequency_model *m;
    const deconv_frequency_options *options;
    double x; /* where this network's column begins */
} figure;

/* ---- Filters as tiles ---- */

typedef struct tiles {
    uint32_t *order; /* filters by centroid, dead ones last */
    uint32_t count, columns;
    double size, gap;
} tiles;

static const deconv_filter_info *sorted_filters;

static int by_centroid(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const deconv_filter_info *f = &sorted_filters[i], *g = &sorted_filters[j];
    int dead_f = f->flags & DECONV_FILTER_DEAD_WEIGHT,
        dead_g = g->flags & DECONV_FILTER_DEAD_WEIGHT;

    if (dead_f != dead_g)
        return dead_f ? 1 : -1;
    if (f->bands.centroid != g->bands.centroid)
        return f->bands.centroid < g->bands.centroid ? -1 : 1;
    return i < j ? -1 : 1;
}

static bool sort_tiles(const frequency_model *m, tiles *t)
{
    uint32_t count = m->layer[0].filters;

    t->order = malloc(count * sizeof *t->order);
    if (!t->order) {
        fail("no memory: %u filters to sort", count);
        return false;
    }
    for (uint32_t k = 0; k < count; k++)
        t->order[k] = k;
    sorted_filters = m->filter[0];
    qsort(t->order, count, sizeof *t->order, by_centroid);
    t->count = count < MOST_TILES ? count : MOST_TILES;
    t->columns = (uint32_t)ceil(sqrt(t->count));
    t->gap = t->columns > 16 ? 1.0 : 3.0;
    t->size = floor((PANEL + t->gap) / t->columns - t->gap);
    return true;
}

static plot_box tile_box(const tiles *t, double x, double y, uint32_t i)
{
    double step = t->size + t->gap;

    return (plot_box){x + (i % t->columns) * step, y + (double)(i / t->columns) * step, t->size,
                      t->size};
}

/* In colour where the filter has one or three channels, else their mean. */
static bool draw_filter(const figure *f, uint32_t filter, plot_box box)
{
    const deconv_frequency_info *l = &f->m->layer[0];
    bool colour = l->channels == 1 || l->channels == 3;
    size_t area = (size_t)l->height * l->width, count = area * l->channels;
    float *values = malloc(count * sizeof *values);
    deconv_picture *picture = NULL;
    bool done = values && worked(f->m->s, deconv_frequency_weights(f->m->frequency, 0, filter,
                                                                   values, count));

    if (!values)
        fail("no memory: %zu weights", count);
    for (size_t i = area; done && !colour && i < count; i++)
        values[i % area] += values[i];
    done = done &&
           worked(f->m->s, deconv_picture_display(f->m->s->ctx, values, colour ? l->channels : 1,
                                                  l->height, l->width, DECONV_SCALING_ZERO_GREY,
                                                  deconv_card_bgr(f->m->s->card), &picture));
    if (done)
        plot_picture(f->p, box, deconv_picture_pixels(picture), l->width, l->height);
    deconv_picture_destroy(picture);
    free(values);
    return done;
}

static void draw_limits(const figure *f, plot_box box)
{
    double x = box.x + box.width / 2.0, y = box.y + box.height / 2.0;

    plot_circle(f->p, box, x, y, f->options->low_to * box.width, PLOT_WHITE);
    plot_circle(f->p, box, x, y, f->options->mid_to * box.width, PLOT_WHITE);
}

/* The amplitude, so that more than the peak is seen. */
static bool draw_spectrum(const figure *f, uint32_t filter, plot_box box)
{
    const deconv_frequency_info *l = &f->m->layer[0];
    const plot_scale scale = {0.0, 1.0, PLOT_MAP_SEQUENTIAL};
    size_t count = (size_t)l->grid_y * l->grid_x;
    double *energy = malloc(count * sizeof *energy), most = 0.0;
    uint8_t *rgb = malloc(3 * count);
    bool done = energy && rgb;

    if (!done)
        fail("no memory: a spectrum of %zu frequencies", count);
    done = done &&
           worked(f->m->s, deconv_frequency_spectrum(f->m->frequency, 0, filter, energy, count));
    for (size_t i = 0; done && i < count; i++)
        most = fmax(most, energy[i]);
    for (size_t i = 0; done && i < count; i++) {
        uint32_t colour = plot_colour(&scale, most > 0.0 ? sqrt(energy[i] / most) : 0.0);

        rgb[3 * i] = (uint8_t)(colour >> 16);
        rgb[3 * i + 1] = (uint8_t)(colour >> 8);
        rgb[3 * i + 2] = (uint8_t)colour;
    }
    if (done) {
        plot_picture(f->p, box, rgb, l->grid_x, l->grid_y);
        if (l->grid_y > 1 && box.width >= 24.0)
            draw_limits(f, box);
    }
    free(energy);
    free(rgb);
    return done;
}

/* Both panels; returns how high they are, below 0: the message was printed. */
static double draw_tiles(const figure *f, double y)
{
    double left = f->x + MARGIN, right = left + PANEL + SPACE;
    bool done = true;
    double bottom;
    tiles t;

    if (!sort_tiles(f->m, &t))
        return -1.0;
    for (uint32_t i = 0; done && i < t.count; i++) {
        uint32_t filter = t.order[i];
        plot_box box = tile_box(&t, left, y, i);

        done = draw_filter(f, filter, box) && draw_spectrum(f, filter, tile_box(&t, right, y, i));
        if (f->m->filter[0][filter].flags & DECONV_FILTER_DEAD_WEIGHT)
            plot_frame(f->p, box, 2.0, DEAD_COLOUR);
    }
    bottom = tile_box(&t, left, y, t.count - 1).y + t.size;
    free(t.order);
    return done ? bottom - y : -1.0;
}

/* ---- Histograms ---- */

/* For band labels at the top of one. */
enum { LABEL_LINE = 14, LABEL_ROOM = 2 * LABEL_LINE + 6 };

/* Values from..to, and room for band labels above. */
static plot_axes frequency_axes(const figure *f, plot_box box, double from, double to,
                                const char *label)
{
    plot_axes a = {.x = {.to = LAST_FREQUENCY, .label = "cycles per pixel"},
                   .y = {.from = from, .to = to, .label = label}};

    plot_axes_place(f->p, &a, box, 0.0);
    a.y.clear = LABEL_ROOM / a.box.height;
    a.y.to = from + (to - from) / (1.0 - a.y.clear);
    plot_span(f->p, &a, f->options->low_to, f->options->mid_to, SHADE);
    return a;
}

/* A band's share at the top of it, unless it is too narrow for that. */
static void label_band(const figure *f, const plot_axes *a, double from, double to, int line,
                       const char *name, double share)
{
    double left = plot_axes_x(a, from), right = plot_axes_x(a, fmin(to, LAST_FREQUENCY));
    char text[48];

    snprintf(text, sizeof text, "%s %.0f%%", name, share);
    if (plot_text_width(f->p, PLOT_SMALL, text) <= right - left - 2.0)
        plot_text(f->p, (left + right) / 2.0, a->box.y + LABEL_LINE * (line + 1), PLOT_CENTRE,
                  PLOT_SMALL, PLOT_BLACK, text);
}

static void label_bands(const figure *f, const plot_axes *a, const deconv_bands *b)
{
    double low = f->options->low_to, mid = f->options->mid_to;

    label_band(f, a, 0.0, low, 0, "DC", percent(b->dc, b));
    label_band(f, a, 0.0, low, 1, "low", percent(b->low, b));
    label_band(f, a, low, mid, 1, "mid", percent(b->mid, b));
    label_band(f, a, mid, LAST_FREQUENCY, 1, "high", percent(b->high, b));
}

static double most_of(const double *values)
{
    double most = 0.0;

    for (int i = 0; i < DECONV_FREQUENCY_CLASSES; i++)
        most = fmax(most, values[i]);
    return most;
}

static bool read_histogram(const figure *f, uint32_t index, deconv_frequency_source source,
                           double *shares)
{
    return worked(f->m->s, deconv_frequency_histogram(f->m->frequency, index, source, shares,
                                                      DECONV_FREQUENCY_CLASSES));
}

/* A grey outline of the bars that white noise would have. */
static void draw_noise(const figure *f, const plot_axes *a, const double *noise)
{
    double x[2 * DECONV_FREQUENCY_CLASSES], y[2 * DECONV_FREQUENCY_CLASSES];

    for (int i = 0; i < 2 * DECONV_FREQUENCY_CLASSES; i++) {
        x[i] = (i + 1) / 2 / 48.0;
        y[i] = noise[i / 2];
    }
    plot_line(f->p, a, x, y, 2 * DECONV_FREQUENCY_CLASSES, 1.0, PLOT_GREY);
}

/* Bars: how the filters' energy is spread. */
static bool draw_filter_histogram(const figure *f, uint32_t index, plot_box box)
{
    const deconv_frequency_info *l = &f->m->layer[index];
    double shares[DECONV_FREQUENCY_CLASSES], noise[DECONV_FREQUENCY_CLASSES], most;
    uint32_t colours[DECONV_FREQUENCY_CLASSES];
    plot_axes a;

    if (!read_histogram(f, index, DECONV_FREQUENCY_FILTERS, shares) ||
        !read_histogram(f, index, DECONV_FREQUENCY_NOISE, noise))
        return false;
    most = fmax(most_of(shares), most_of(noise));
    a = frequency_axes(f, box, 0.0, most, "share of energy");
    for (int i = 0; i < DECONV_FREQUENCY_CLASSES; i++) {
        double middle = (i + 0.5) / 48.0;

        colours[i] = plot_category(middle < f->options->low_to   ? 0
                                   : middle < f->options->mid_to ? 1
                                                                 : 2);
    }
    plot_bars(f->p, &a, 0.0, LAST_FREQUENCY, shares, DECONV_FREQUENCY_CLASSES, colours);
    draw_noise(f, &a, noise);
    if (l->stride_x > 1 && strcmp(l->op_type, "Conv") == 0) {
        const double x[2] = {0.5 / l->stride_x, 0.5 / l->stride_x}, y[2] = {0.0, most};

        plot_line(f->p, &a, x, y, 2, 1.5, DEAD_COLOUR);
    }
    label_bands(f, &a, &l->filter_bands);
    plot_axes_draw(f->p, &a);
    return true;
}

/* A line on a logarithmic scale: pictures have nearly all of it in the lowest class. */
static bool draw_map_histogram(const figure *f, uint32_t index, deconv_frequency_source source,
                               plot_box box)
{
    const deconv_bands *b =
        source == DECONV_FREQUENCY_INPUT ? &f->m->input : &f->m->layer[index].map_bands;
    double shares[DECONV_FREQUENCY_CLASSES], at[DECONV_FREQUENCY_CLASSES];
    int count = 0;
    plot_axes a;

    if (!read_histogram(f, index, source, shares))
        return false;
    a = frequency_axes(f, box, log10(LEAST_SHARE), 0.0, "log10 of share");
    /* Small maps have no frequencies in some classes. */
    for (int i = 0; i < DECONV_FREQUENCY_CLASSES; i++)
        if (shares[i] > LEAST_SHARE / 10.0) {
            at[count] = (i + 0.5) / 48.0;
            shares[count++] = log10(shares[i]);
        }
    plot_line(f->p, &a, at, shares, count, 2.0,
              source == DECONV_FREQUENCY_INPUT ? PLOT_GREY : plot_category(5));
    label_bands(f, &a, b);
    plot_axes_draw(f->p, &a);
    return true;
}

/* ---- The first layer ---- */

static void kernel_text(const deconv_frequency_info *l, char *text, size_t size)
{
    char dilation[32] = "";

    if (l->dilation_y > 1 || l->dilation_x > 1)
        snprintf(dilation, sizeof dilation, ", dilation %u", l->dilation_x);
    snprintf(text, size, "%u filters %ux%u of %u channel%s, stride %u%s", l->filters, l->height,
             l->width, l->channels, l->channels == 1 ? "" : "s", l->stride_x, dilation);
}

static double draw_notes(const figure *f, double y)
{
    const deconv_frequency_info *l = &f->m->layer[0];
    char text[512];

    snprintf(
        text, sizeof text,
        "Filters%s from the lowest centroid to the highest, row by row; zero is mid-grey, each "
        "scaled for itself; a red frame marks dead ones. Spectra in the same order: frequency "
        "0 in the middle, 0.5 cycles per pixel at the edges, circles where low and mid end. "
        "Histogram: averaged over filters that live, mid shaded, grey what white noise would "
        "have%s.",
        l->filters > MOST_TILES ? " (the lowest 1024)" : "",
        l->stride_x > 1 ? "; the red line is the Nyquist limit after the stride" : "");
    return plot_paragraph(f->p, f->x + MARGIN, y, WIDTH - 2 * MARGIN, PLOT_SMALL, PLOT_GREY, text,
                          true);
}

/* Returns the y below; below 0: the message was printed. */
static double draw_first(const figure *f, double y)
{
    static const char *const titles[] = {"filters by centroid", "their spectra",
                                         "radial energy of the layer"};
    const deconv_frequency_info *l = &f->m->layer[0];
    char facts[160], name[160];
    double height;

    plot_fit_text(f->p, PLOT_NORMAL, 400.0, l->name, name, sizeof name);
    kernel_text(l, facts, sizeof facts);
    plot_bold_text(f->p, f->x + MARGIN, y, PLOT_LEFT, PLOT_NORMAL, PLOT_BLACK, name);
    plot_text(f->p, f->x + MARGIN + 1.15 * plot_text_width(f->p, PLOT_NORMAL, name) + 14.0, y,
              PLOT_LEFT, PLOT_NORMAL, PLOT_BLACK, facts);
    y += 26.0;
    for (int i = 0; i < 3; i++)
        plot_text(f->p, f->x + MARGIN + (PANEL + SPACE) * i + PANEL / 2.0, y, PLOT_CENTRE,
                  PLOT_NORMAL, PLOT_BLACK, titles[i]);
    y += 10.0;
    height = draw_tiles(f, y);
    if (height < 0.0 || !draw_filter_histogram(
                            f, 0, (plot_box){f->x + MARGIN + 2 * (PANEL + SPACE), y, PANEL, PANEL}))
        return -1.0;
    y += fmax(height, PANEL) + 24.0;
    y = plot_paragraph(f->p, f->x + MARGIN, y, WIDTH - 2 * MARGIN, PLOT_NORMAL, PLOT_BLACK, l->text,
                       true);
    return draw_notes(f, y + 4.0) + 6.0;
}

/* ---- A row a layer ---- */

static void rule_off(const figure *f, double y)
{
    plot_rectangle(f->p, (plot_box){f->x + MARGIN, floor(y), WIDTH - 2 * MARGIN, 1.0}, PLOT_PALE);
}

/* Name, facts and verdict at the left; returns the y below. */
static double draw_words(const figure *f, const char *name, const char *facts, const char *text,
                         double y)
{
    double x = f->x + MARGIN, width = PANEL + 10.0;
    char fitted[160];

    plot_fit_text(f->p, PLOT_NORMAL, width / 1.15, name, fitted, sizeof fitted);
    plot_bold_text(f->p, x, y, PLOT_LEFT, PLOT_NORMAL, PLOT_BLACK, fitted);
    y = plot_paragraph(f->p, x, y + 18.0, width, PLOT_SMALL, PLOT_GREY, facts, true);
    return plot_paragraph(f->p, x, y + 2.0, width, PLOT_SMALL, PLOT_BLACK, text, true);
}

static double draw_input_row(const figure *f, double y)
{
    plot_box box = {f->x + MARGIN + 2 * (PANEL + SPACE), y + 8.0, PANEL, ROW - 16.0};
    char facts[96];

    snprintf(facts, sizeof facts, "%llu picture%s as the network gets %s",
             (unsigned long long)f->m->pictures, f->m->pictures == 1 ? "" : "s",
             f->m->pictures == 1 ? "it" : "them");
    rule_off(f, y);
    draw_words(f, "input", facts,
               "At the right what passes through the layers: the spectrum of the pictures here, of "
               "the feature maps below, in cycles per pixel of the map.",
               y + 22.0);
    return draw_map_histogram(f, 0, DECONV_FREQUENCY_INPUT, box) ? y + ROW : -1.0;
}

static double draw_layer_row(const figure *f, uint32_t index, double y)
{
    const deconv_frequency_info *l = &f->m->layer[index];
    bool maps = f->m->pictures > 0;
    double left = f->x + MARGIN + PANEL + SPACE, bottom;
    plot_box box = {left, y + 8.0, maps ? PANEL : 2 * PANEL + SPACE, ROW - 16.0};
    char facts[160];

    kernel_text(l, facts, sizeof facts);
    rule_off(f, y);
    bottom = draw_words(f, l->name, facts, l->text, y + 22.0);
    if (!draw_filter_histogram(f, index, box))
        return -1.0;
    box.x += PANEL + SPACE;
    if (maps && !draw_map_histogram(f, index, DECONV_FREQUENCY_MAPS, box))
        return -1.0;
    return fmax(y + ROW, bottom);
}

/* All rows that are of interest, as far as a figure goes. */
static double draw_rows(const figure *f, double y)
{
    uint32_t points = 0, left_out = 0;
    char text[160] = "";

    if (f->m->pictures)
        y = draw_input_row(f, y);
    for (uint32_t i = f->m->pictures ? 0 : 1; y >= 0.0 && i < f->m->count; i++) {
        if (f->m->layer[i].verdict == DECONV_VERDICT_POINT)
            points++;
        else if (y > PLOT_LARGEST - 4 * ROW)
            left_out++;
        else
            y = draw_layer_row(f, i, y);
    }
    if (y < 0.0)
        return y;
    if (points)
        snprintf(text, sizeof text,
                 "%u layer%s of 1x1 filters %s not drawn: they pass every frequency alike.", points,
                 points == 1 ? "" : "s", points == 1 ? "is" : "are");
    if (left_out)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "%s%u more layers have no room here.", points ? " " : "", left_out);
    if (*text) {
        rule_off(f, y);
        y = plot_paragraph(f->p, f->x + MARGIN, y + 22.0, WIDTH - 2 * MARGIN, PLOT_SMALL, PLOT_GREY,
                           text, true);
    }
    return y;
}

/* ---- All of it ---- */

static double draw_model(const figure *f)
{
    char title[256], name[200];
    double y;

    plot_fit_text(f->p, PLOT_LARGE, WIDTH - 2 * MARGIN - 260.0, f->m->name, name, sizeof name);
    snprintf(title, sizeof title, "Filter frequencies of %s", name);
    plot_bold_text(f->p, f->x + MARGIN, 34.0, PLOT_LEFT, PLOT_LARGE, PLOT_BLACK, title);
    y = draw_first(f, 64.0);
    return y < 0.0 ? y : draw_rows(f, y);
}

static double draw_all(plot *p, const frequency_model *models, int count,
                       const deconv_frequency_options *options)
{
    double bottom = 0.0;

    for (int i = 0; i < count; i++) {
        const figure f = {p, &models[i], options, (double)i * WIDTH};
        double y = draw_model(&f);

        if (y < 0.0)
            return y;
        bottom = fmax(bottom, y);
    }
    return bottom;
}

bool frequency_figure(const frequency_model *models, int count,
                      const deconv_frequency_options *options, const char *path)
{
    plot *p = plot_create(1, 1);
    double height = p ? draw_all(p, models, count, options) : -1.0;
    bool done = false;

    plot_destroy(p);
    if (height < 0.0)
        return false;
    p = plot_create((int64_t)count * WIDTH, (int64_t)height + MARGIN);
    if (p)
        done = draw_all(p, models, count, options) >= 0.0 && plot_write(models[0].s, p, path);
    plot_destroy(p);
    return done;
}
