/* An occlusion map laid over the picture: each pixel has the average over the patches that cover
 * it. */
#include "occlude.h"

#include <stdlib.h>

enum { SIDE = 520, BAR = 90, MARGIN = 16, HEAD = 16 };

/* Of the map's colour; the rest is the picture in grey. */
#define SHARE 0.55

static void mix(const occluded *w, const float *values, const plot_scale *scale, uint8_t *rgb)
{
    const uint8_t *pixel = deconv_picture_pixels(w->in->picture);

    for (int64_t i = 0; i < w->info.height * w->info.width; i++, pixel += 3) {
        double grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        uint32_t colour = plot_colour(scale, (double)values[i]);

        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] =
                (uint8_t)(SHARE * (colour >> (16 - 8 * c) & 255) + (1 - SHARE) * grey + 0.5);
    }
}

static plot_scale range_of(const float *values, int64_t count, bool about_zero)
{
    plot_scale scale = {(double)values[0], (double)values[0], PLOT_MAP_SEQUENTIAL};
    double most;

    for (int64_t i = 1; i < count; i++) {
        scale.from = (double)values[i] < scale.from ? (double)values[i] : scale.from;
        scale.to = (double)values[i] > scale.to ? (double)values[i] : scale.to;
    }
    most = scale.to > -scale.from ? scale.to : -scale.from;
    return about_zero && most > 0 ? (plot_scale){-most, most, PLOT_MAP_DIVERGING} : scale;
}

static bool draw(session *s, const occlude_options *o, const occluded *w, const float *values,
                 uint8_t *rgb)
{
    static const char *const titles[] = {"probability", "logit", "drop of the probability", "",
                                         "activity"};
    const deconv_occlusion_info *info = &w->info;
    deconv_occlusion_kind kind = o->map[0].kind;
    plot_scale scale = range_of(values, info->height * info->width, kind == DECONV_OCCLUSION_DROP);
    plot_axes a = {.x = {0, (double)info->width, "column (pixels)", false},
                   .y = {(double)info->height, 0, "row (pixels)", false}};
    plot *p = plot_create(SIDE + BAR + 2 * MARGIN, SIDE + HEAD + MARGIN);
    char title[256], label[128];
    bool done;

    if (!p)
        return false;
    occlude_label(s, info->class_index, label, sizeof label);
    if (kind == DECONV_OCCLUSION_ACTIVITY)
        snprintf(title, sizeof title, "activity under the patch");
    else
        snprintf(title, sizeof title, "%s, %s", titles[kind], label);
    a.title = title;
    plot_axes_place(p, &a, (plot_box){MARGIN, HEAD, SIDE, SIDE},
                    (double)info->height / (double)info->width);
    mix(w, values, &scale, rgb);
    plot_picture(p, plot_axes_box(&a, 0, 0, (double)info->width, (double)info->height), rgb,
                 info->width, info->height);
    plot_axes_draw(p, &a);
    plot_colour_bar(p, (plot_box){a.box.x + a.box.width + MARGIN, a.box.y, BAR, a.box.height},
                    &scale, "average");
    done = plot_write(s, p, o->overlay);
    plot_destroy(p);
    return done;
}

bool occlude_draw_overlay(session *s, const occlude_options *o, const occluded *w)
{
    size_t pixels = (size_t)(w->info.height * w->info.width);
    float *values = malloc(pixels * sizeof *values);
    uint8_t *rgb = malloc(3 * pixels);
    bool done = values && rgb;

    if (!done)
        fail("no memory: an overlay of %zu pixels", pixels);
    done = done && worked(s, deconv_occlusion_overlay(w->result, 0, values, pixels)) &&
           draw(s, o, w, values, rgb);
    free(values);
    free(rgb);
    return done;
}
