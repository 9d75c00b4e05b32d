/* The figure of the paper (Zeiler & Fergus 2013, figure 7): the picture, the activity of a layer's
 * strongest map, that map's projection, the probability and the most probable label, all over the
 * same pixels. */
#include "occlude.h"

#include <stdlib.h>
#include <string.h>

enum {
    PANEL = 390, /* a panel with its numbers and title */
    BAR = 78,    /* a colour bar with its numbers */
    MARGIN = 14,
    HEAD = 64,      /* the figure's title */
    CATEGORIES = 8, /* labels with a colour of their own */
    TEXT = 160,
    FIELD_COLOUR = 0xff3020,
    PATCH_COLOUR = 0xffd000
};

/* Of probabilities, between the ends of their colours. */
#define LEAST_PROB 0.05

typedef struct figure {
    session *s;
    const occlude_options *o;
    const occluded *w;
    plot *p;
} figure;

void occlude_label(const session *s, int64_t class, char *text, size_t size)
{
    const char *label = deconv_card_label(s->card, (uint32_t) class);

    if (label && *label)
        snprintf(text, size, "%.*s", (int)strcspn(label, ","), label);
    else
        snprintf(text, size, "class %lld", (long long)class);
}

static plot_box panel_box(int column, int row)
{
    return (plot_box){MARGIN + column * (PANEL + BAR), HEAD + row * PANEL, PANEL, PANEL};
}

static plot_axes pixel_axes(const figure *f, const char *title, plot_box outer)
{
    const deconv_occlusion_info *info = &f->w->info;
    plot_axes a = {.x = {0, (double)info->width, "column (pixels)", false},
                   .y = {(double)info->height, 0, "row (pixels)", false},
                   .title = title};

    plot_axes_place(f->p, &a, outer, (double)info->height / (double)info->width);
    return a;
}

static plot_box whole_box(const figure *f, const plot_axes *a)
{
    return plot_axes_box(a, 0, 0, (double)f->w->info.width, (double)f->w->info.height);
}

/* ---- Maps of places as pictures ---- */

/* For each pixel along an axis the place whose patch has its middle nearest; -1 where that is
 * further than half a step. */
static void nearest_places(const int64_t *corner, int64_t count, int64_t patch, int64_t stride,
                           int64_t *place, int64_t size)
{
    int64_t at = 0;

    for (int64_t i = 0; i < size; i++) {
        double here = (double)i + 0.5, middle;

        while (at + 1 < count &&
               here > ((double)corner[at] + (double)corner[at + 1] + (double)patch) / 2)
            at++;
        middle = (double)corner[at] + (double)patch / 2;
        place[i] = 2 * (here > middle ? here - middle : middle - here) <= (double)stride ? at : -1;
    }
}

/* `colour` of every place's value, height x width x 3; pale where no patch has its middle. */
static uint8_t *paint_places(const figure *f, const uint32_t *colour)
{
    const deconv_occlusion_info *info = &f->w->info;
    size_t pixels = (size_t)(info->height * info->width);
    int64_t *row = malloc((size_t)info->height * sizeof *row);
    int64_t *column = malloc((size_t)info->width * sizeof *column);
    uint8_t *rgb = malloc(3 * pixels);

    if (!row || !column || !rgb) {
        fail("no memory: a map of %zu pixels", pixels);
        free(rgb);
        rgb = NULL;
        goto done;
    }
    nearest_places(deconv_occlusion_tops(f->w->result), info->rows, info->patch_height,
                   info->stride_y, row, info->height);
    nearest_places(deconv_occlusion_lefts(f->w->result), info->columns, info->patch_width,
                   info->stride_x, column, info->width);
    for (size_t i = 0; i < pixels; i++) {
        int64_t r = row[i / (size_t)info->width], c = column[i % (size_t)info->width];
        uint32_t is = r < 0 || c < 0 ? PLOT_PALE : colour[r * info->columns + c];

        for (int k = 0; k < 3; k++)
            rgb[3 * i + (size_t)k] = (uint8_t)(is >> (16 - 8 * k));
    }
done:
    free(row);
    free(column);
    return rgb;
}

static bool draw_places(const figure *f, const plot_axes *a, const uint32_t *colour)
{
    uint8_t *rgb = paint_places(f, colour);

    if (rgb)
        plot_picture(f->p, whole_box(f, a), rgb, f->w->info.width, f->w->info.height);
    free(rgb);
    plot_axes_draw(f->p, a);
    return rgb != NULL;
}

/* From the smallest to the largest, and not less than `least` apart: what hardly changes looks so.
 */
static plot_scale scale_of(const float *values, int64_t count, double least)
{
    plot_scale scale = {(double)values[0], (double)values[0], PLOT_MAP_SEQUENTIAL};

    for (int64_t i = 1; i < count; i++) {
        scale.from = (double)values[i] < scale.from ? (double)values[i] : scale.from;
        scale.to = (double)values[i] > scale.to ? (double)values[i] : scale.to;
    }
    if (scale.to - scale.from < least)
        scale.from = scale.to - least;
    return scale;
}

/* A map of values with its colour bar. */
static bool draw_values(const figure *f, int column, int row, uint32_t map, const char *title,
                        const char *label)
{
    const float *values = deconv_occlusion_values(f->w->result, f->w->first + map);
    int64_t count = f->w->info.rows * f->w->info.columns;
    plot_scale scale = scale_of(values, count, map == FIGURE_PROB ? LEAST_PROB : 0);
    plot_axes a = pixel_axes(f, title, panel_box(column, row));
    uint32_t *colour = malloc((size_t)count * sizeof *colour);
    bool done;

    if (!colour) {
        fail("no memory: a map of %lld places", (long long)count);
        return false;
    }
    for (int64_t i = 0; i < count; i++)
        colour[i] = plot_colour(&scale, (double)values[i]);
    done = draw_places(f, &a, colour);
    plot_colour_bar(f->p, (plot_box){a.box.x + a.box.width + MARGIN, a.box.y, BAR, a.box.height},
                    &scale, label);
    free(colour);
    return done;
}

/* ---- The panels ---- */

/* The picture, and the patch where the class is least likely. */
static void draw_picture(const figure *f)
{
    const deconv_occlusion_info *info = &f->w->info;
    const float *prob = deconv_occlusion_values(f->w->result, f->w->first + FIGURE_PROB);
    int64_t lowest = 0, top, left;
    plot_axes a = pixel_axes(f, "(a) picture", panel_box(0, 0));

    for (int64_t i = 1; i < info->rows * info->columns; i++)
        if (prob[i] < prob[lowest])
            lowest = i;
    top = deconv_occlusion_tops(f->w->result)[lowest / info->columns];
    left = deconv_occlusion_lefts(f->w->result)[lowest % info->columns];
    plot_picture(f->p, whole_box(f, &a), deconv_picture_pixels(f->w->in->picture), info->width,
                 info->height);
    plot_frame(f->p,
               plot_axes_box(&a, (double)left, (double)top, (double)(left + info->patch_width),
                             (double)(top + info->patch_height)),
               2, PATCH_COLOUR);
    plot_axes_draw(f->p, &a);
}

static bool project_map(const figure *f, const deconv_occlusion_map *map,
                        deconv_projection_info *info, deconv_picture **out)
{
    session *s = f->s;
    deconv_trace_options keep = DECONV_TRACE_OPTIONS_INIT;
    const deconv_seed seed = {0, map->unit, DECONV_STRONGEST, DECONV_STRONGEST};
    const deconv_tensor *const *inputs = (const deconv_tensor *const *)&f->w->in->tensor;
    deconv_tensor *projection = NULL;
    int64_t shape[4] = {1, 1, f->w->info.height, f->w->info.width};
    deconv_trace *trace = NULL;
    float *values = NULL;
    bool done;

    shape[1] = deconv_tensor_size(f->w->in->tensor, 1);
    keep.rules = 1u << DECONV_RULE_DECONVNET;
    keep.keep = keep.last = &map->layer;
    keep.keep_count = keep.last_count = 1;
    done =
        worked(s, deconv_trace_create(s->net, 1, &keep, &trace)) &&
        worked(s, deconv_trace_run(trace, inputs, 1)) &&
        worked(s, deconv_tensor_create(s->ctx, shape, 4, &projection)) &&
        worked(s, deconv_project(trace, map->layer, &seed, 1, NULL, projection, info)) &&
        (values = tensor_values(s, projection)) &&
        worked(s, deconv_picture_display(s->ctx, values, shape[1], shape[2], shape[3],
                                         DECONV_SCALING_ZERO_GREY, deconv_card_bgr(s->card), out));
    free(values);
    deconv_tensor_destroy(projection);
    deconv_trace_destroy(trace);
    return done;
}

/* The projection of the map's strongest unit, its receptive field framed. */
static bool draw_projection(const figure *f, const deconv_occlusion_map *map)
{
    deconv_projection_info info;
    deconv_picture *picture = NULL;
    int64_t top, left, bottom, right;
    char title[TEXT];
    plot_axes a;
    bool done;

    snprintf(title, sizeof title, "(c) projection of map %lld", (long long)map->unit);
    a = pixel_axes(f, title, panel_box(2, 0));
    done = project_map(f, map, &info, &picture) &&
           worked(f->s, deconv_net_field(f->s->net, map->layer, info.y, info.x, &top, &left,
                                         &bottom, &right));
    if (done) {
        plot_picture(f->p, whole_box(f, &a), deconv_picture_pixels(picture), f->w->info.width,
                     f->w->info.height);
        plot_frame(f->p,
                   plot_axes_box(&a, (double)left, (double)top, (double)right, (double)bottom), 2,
                   FIELD_COLOUR);
        plot_axes_draw(f->p, &a);
    }
    deconv_picture_destroy(picture);
    return done;
}

/* ---- Labels ---- */

typedef struct label_count {
    int64_t class, count;
} label_count;

static int by_count(const void *a, const void *b)
{
    const label_count *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->class < y->class ? -1 : x->class > y->class;
}

/* Labels by how often they are the most probable; returns how many there are. */
static int count_labels(const float *values, int64_t count, label_count *labels)
{
    int found = 0;

    for (int64_t i = 0; i < count; i++) {
        int at = 0;

        while (at < found && labels[at].class != (int64_t)values[i])
            at++;
        if (at == found)
            labels[found++] = (label_count){(int64_t)values[i], 0};
        labels[at].count++;
    }
    qsort(labels, (size_t)found, sizeof *labels, by_count);
    return found;
}

/* The colours' meaning in a panel of its own. */
static bool draw_legend(const figure *f, plot_box box, const label_count *labels, int found)
{
    char(*text)[TEXT] = calloc((size_t)found, sizeof *text);
    const char **line = calloc((size_t)found, sizeof *line);
    uint32_t *colour = calloc((size_t)found, sizeof *colour);
    bool done = text && line && colour;

    for (int i = 0; done && i < found; i++) {
        char name[TEXT - 32];

        occlude_label(f->s, labels[i].class, name, sizeof name);
        snprintf(text[i], TEXT, "%s (%lld)", name, (long long)labels[i].count);
        line[i] = text[i];
        colour[i] = i < CATEGORIES ? plot_category((uint32_t)i) : PLOT_GREY;
    }
    if (done) {
        plot_bold_text(f->p, box.x, box.y, PLOT_LEFT, PLOT_NORMAL, PLOT_BLACK,
                       "most probable label (places)");
        box.y += MARGIN;
        box.height -= MARGIN;
        plot_legend(f->p, box, colour, line, found);
    } else {
        fail("no memory: %d labels", found);
    }
    free(text);
    free(line);
    free(colour);
    return done;
}

static bool draw_labels(const figure *f)
{
    const float *values = deconv_occlusion_values(f->w->result, f->w->first + FIGURE_LABEL);
    int64_t count = f->w->info.rows * f->w->info.columns;
    label_count *labels = malloc((size_t)count * sizeof *labels);
    uint32_t *colour = malloc((size_t)count * sizeof *colour);
    plot_axes a = pixel_axes(f, "(e) most probable label", panel_box(1, 1));
    plot_box legend = panel_box(2, 1);
    bool done = false;
    int found;

    if (!labels || !colour) {
        fail("no memory: a map of %lld places", (long long)count);
        goto done;
    }
    found = count_labels(values, count, labels);
    for (int64_t i = 0; i < count; i++) {
        int at = 0;

        while (labels[at].class != (int64_t)values[i])
            at++;
        colour[i] = at < CATEGORIES ? plot_category((uint32_t)at) : PLOT_GREY;
    }
    legend.y = a.box.y + MARGIN;
    legend.height = a.box.height - MARGIN;
    done = draw_places(f, &a, colour) && draw_legend(f, legend, labels, found);
done:
    free(labels);
    free(colour);
    return done;
}

/* ---- All of it ---- */

static void draw_head(const figure *f, double width)
{
    const deconv_occlusion_info *info = &f->w->info;
    const char *slash = strrchr(f->w->path, '/');
    char label[TEXT], text[4 * TEXT], fitted[4 * TEXT];

    occlude_label(f->s, info->class_index, label, sizeof label);
    snprintf(text, sizeof text, "%s: %s, probability %.3f on the clean picture",
             slash ? slash + 1 : f->w->path, label, (double)info->clean_prob);
    plot_fit_text(f->p, PLOT_LARGE, width - 4 * MARGIN, text, fitted, sizeof fitted);
    plot_bold_text(f->p, 2 * MARGIN, 28, PLOT_LEFT, PLOT_LARGE, PLOT_BLACK, fitted);
    snprintf(text, sizeof text,
             "patch %lld x %lld pixels, stride %lld, filled with %s; each value stands at the "
             "patch's middle; yellow frame in (a): where the probability is lowest",
             (long long)info->patch_height, (long long)info->patch_width, (long long)info->stride_y,
             f->o->fill ? f->o->fill : "the mean");
    plot_fit_text(f->p, PLOT_NORMAL, width - 4 * MARGIN, text, fitted, sizeof fitted);
    plot_text(f->p, 2 * MARGIN, 50, PLOT_LEFT, PLOT_NORMAL, PLOT_GREY, fitted);
}

bool occlude_draw(session *s, const occlude_options *o, const occluded *w)
{
    const double width = 2 * MARGIN + 3 * PANEL + 2 * BAR + MARGIN;
    figure f = {s, o, w, plot_create((int64_t)width, HEAD + 2 * PANEL + MARGIN)};
    deconv_layer_info layer = DECONV_LAYER_INFO_INIT;
    char title[2 * TEXT], name[TEXT], label[TEXT], fitted[TEXT];
    deconv_occlusion_map map;
    bool done;

    if (!f.p)
        return false;
    done = worked(s, deconv_occlusion_map_get(w->result, w->first + FIGURE_ACTIVITY, &map, NULL)) &&
           worked(s, deconv_net_layer(s->net, map.layer, &layer));
    if (done) {
        draw_head(&f, width);
        draw_picture(&f);
        plot_fit_text(f.p, PLOT_NORMAL, PANEL / 2.5, layer.name, name, sizeof name);
        snprintf(title, sizeof title, "(b) activity of %s, map %lld", name, (long long)map.unit);
        done = draw_values(&f, 1, 0, FIGURE_ACTIVITY, title, "sum");
    }
    done = done && draw_projection(&f, &map);
    if (done) {
        occlude_label(s, w->info.class_index, label, sizeof label);
        plot_fit_text(f.p, PLOT_NORMAL, PANEL / 2.0, label, fitted, sizeof fitted);
        snprintf(title, sizeof title, "(d) probability of %s", fitted);
        done = draw_values(&f, 0, 1, FIGURE_PROB, title, "probability");
    }
    done = done && draw_labels(&f) && plot_write(s, f.p, o->out);
    plot_destroy(f.p);
    return done;
}
