/* The figure itself: a Cairo surface, text on it, writing it. */
#include "plot.h"
#include "canvas.h"

#include <stdlib.h>
#include <string.h>

/* ---- The figure ---- */

plot *plot_create(int64_t width, int64_t height)
{
    plot *p = NULL;

    if (width < 1 || height < 1 || width > PLOT_LARGEST || height > PLOT_LARGEST) {
        fail("a figure of %lld x %lld pixels; at most %d are possible each way", (long long)width,
             (long long)height, PLOT_LARGEST);
        return NULL;
    }
    p = calloc(1, sizeof *p);
    if (!p) {
        fail("no memory: a figure");
        return NULL;
    }
    p->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
    p->cr = cairo_create(p->surface);
    if (cairo_status(p->cr) != CAIRO_STATUS_SUCCESS) {
        fail("a figure of %lld x %lld pixels: %s", (long long)width, (long long)height,
             cairo_status_to_string(cairo_status(p->cr)));
        plot_destroy(p);
        return NULL;
    }
    cairo_set_source_rgb(p->cr, 1.0, 1.0, 1.0);
    cairo_paint(p->cr);
    return p;
}

void plot_destroy(plot *p)
{
    if (!p)
        return;
    cairo_destroy(p->cr);
    cairo_surface_destroy(p->surface);
    free(p);
}

static void copy_pixels(const plot *p, uint8_t *rgb)
{
    const uint8_t *data = cairo_image_surface_get_data(p->surface);
    int width = cairo_image_surface_get_width(p->surface);
    int height = cairo_image_surface_get_height(p->surface);
    size_t stride = (size_t)cairo_image_surface_get_stride(p->surface);

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint32_t pixel;

            memcpy(&pixel, data + (size_t)y * stride + 4 * (size_t)x, sizeof pixel);
            *rgb++ = (uint8_t)(pixel >> 16);
            *rgb++ = (uint8_t)(pixel >> 8);
            *rgb++ = (uint8_t)pixel;
        }
}

bool plot_write(const session *s, plot *p, const char *path)
{
    size_t width = (size_t)cairo_image_surface_get_width(p->surface);
    size_t height = (size_t)cairo_image_surface_get_height(p->surface);
    deconv_picture *picture = NULL;
    uint8_t *rgb;
    bool done;

    if (cairo_status(p->cr) != CAIRO_STATUS_SUCCESS) {
        fail("%s: the figure cannot be drawn: %s", path,
             cairo_status_to_string(cairo_status(p->cr)));
        return false;
    }
    rgb = malloc(3 * width * height);
    if (!rgb) {
        fail("no memory: %llu pixels of a figure", (unsigned long long)(width * height));
        return false;
    }
    cairo_surface_flush(p->surface);
    copy_pixels(p, rgb);
    done =
        worked(s, deconv_picture_create(s->ctx, (int64_t)width, (int64_t)height, rgb, &picture)) &&
        worked(s, deconv_picture_write(picture, path));
    deconv_picture_destroy(picture);
    free(rgb);
    return done;
}

void canvas_colour(plot *p, uint32_t rgb)
{
    cairo_set_source_rgb(p->cr, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0,
                         (rgb & 255) / 255.0);
}

/* ---- Text ---- */

/* Bytes of the UTF-8 sequence at `text`, 0 where there is none. */
static size_t sequence_length(const char *text)
{
    const unsigned char *t = (const unsigned char *)text;
    size_t n = t[0] < 0x80 ? 1 : t[0] < 0xc2 ? 0 : t[0] < 0xe0 ? 2 : t[0] < 0xf0 ? 3 : 4;

    if (n == 0 || t[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((t[i] & 0xc0) != 0x80)
            return 0;
    if ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] > 0x9f) ||
        (t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] > 0x8f))
        return 0;
    return n;
}

/* A copy that Cairo takes: names in a file may be any bytes, and one that is not UTF-8 would end
 * all drawing. Cut to `room`. */
static void clean_text(const char *text, char *clean, size_t room)
{
    size_t used = 0;

    while (*text) {
        size_t n = sequence_length(text);
        bool plain = n > 0 && (unsigned char)*text >= ' ' && *text != 0x7f;

        if (used + (n ? n : 1) + 1 > room)
            break;
        if (plain)
            memcpy(clean + used, text, n);
        else
            clean[used] = '?';
        used += plain ? n : 1;
        text += n ? n : 1;
    }
    clean[used] = '\0';
}

static void draw_text(plot *p, double x, double y, plot_side side, int size, uint32_t rgb,
                      bool bold, const char *text)
{
    char clean[CANVAS_TEXT];
    cairo_text_extents_t extents;

    clean_text(text, clean, sizeof clean);
    cairo_select_font_face(p->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(p->cr, size);
    cairo_text_extents(p->cr, clean, &extents);
    if (side != PLOT_LEFT)
        x -= side == PLOT_CENTRE ? extents.x_advance / 2.0 : extents.x_advance;
    canvas_colour(p, rgb);
    cairo_move_to(p->cr, x, y);
    cairo_show_text(p->cr, clean);
    cairo_new_path(p->cr);
}

void plot_text(plot *p, double x, double y, plot_side side, int size, uint32_t rgb,
               const char *text)
{
    draw_text(p, x, y, side, size, rgb, false, text);
}

void plot_bold_text(plot *p, double x, double y, plot_side side, int size, uint32_t rgb,
                    const char *text)
{
    draw_text(p, x, y, side, size, rgb, true, text);
}

double plot_text_width(plot *p, int size, const char *text)
{
    char clean[CANVAS_TEXT];
    cairo_text_extents_t extents;

    clean_text(text, clean, sizeof clean);
    cairo_select_font_face(p->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(p->cr, size);
    cairo_text_extents(p->cr, clean, &extents);
    return extents.x_advance;
}

void plot_fit_text(plot *p, int size, double width, const char *text, char *fitted, size_t room)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    char clean[CANVAS_TEXT];
    size_t keep, head, tail;

    clean_text(text, clean, sizeof clean);
    snprintf(fitted, room, "%s", clean);
    for (keep = strlen(clean); keep > 0 && plot_text_width(p, size, fitted) > width; keep--) {
        head = keep / 2;
        tail = strlen(clean) - (keep - head);
        while (head > 0 && ((unsigned char)clean[head] & 0xc0) == 0x80)
            head--;
        while (((unsigned char)clean[tail] & 0xc0) == 0x80)
            tail++;
        snprintf(fitted, room, "%.*s%s%s", (int)head, clean, ellipsis, clean + tail);
    }
}

double plot_paragraph(plot *p, double x, double y, double width, int size, uint32_t rgb,
                      const char *text, bool draw)
{
    char line[CANVAS_TEXT];
    double step = canvas_line(size);

    while (*text) {
        size_t taken = 0;

        /* Word after word, as long as they fit; the first in any case. */
        for (size_t end = 0; text[end];) {
            end += strspn(text + end, " ");
            end += strcspn(text + end, " ");
            while (text[end] == ' ' && text[end + 1] == '%') /* a number keeps its sign */
                end += 1 + strcspn(text + end + 1, " ");
            if (end >= sizeof line)
                break;
            memcpy(line, text, end);
            line[end] = '\0';
            if (taken > 0 && plot_text_width(p, size, line) > width)
                break;
            taken = end;
        }
        if (taken == 0)
            break;
        memcpy(line, text, taken);
        line[taken] = '\0';
        if (draw)
            plot_text(p, x, y, PLOT_LEFT, size, rgb, line);
        y += step;
        text += taken;
        text += strspn(text, " ");
    }
    return y;
}

/* ---- Boxes and pictures ---- */

void plot_rectangle(plot *p, plot_box box, uint32_t rgb)
{
    canvas_colour(p, rgb);
    cairo_rectangle(p->cr, box.x, box.y, box.width, box.height);
    cairo_fill(p->cr);
}

void plot_frame(plot *p, plot_box box, double width, uint32_t rgb)
{
    canvas_colour(p, rgb);
    cairo_set_line_width(p->cr, width);
    cairo_rectangle(p->cr, box.x, box.y, box.width, box.height);
    cairo_stroke(p->cr);
}

void plot_picture(plot *p, plot_box box, const uint8_t *rgb, int64_t width, int64_t height)
{
    cairo_surface_t *image =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
    bool grows = box.width >= (double)width;
    uint8_t *data;
    size_t stride;

    if (cairo_surface_status(image) == CAIRO_STATUS_SUCCESS) {
        cairo_surface_flush(image);
        data = cairo_image_surface_get_data(image);
        stride = (size_t)cairo_image_surface_get_stride(image);
        for (size_t y = 0; y < (size_t)height; y++)
            for (size_t x = 0; x < (size_t)width; x++, rgb += 3) {
                uint32_t pixel = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];

                memcpy(data + y * stride + 4 * x, &pixel, sizeof pixel);
            }
        cairo_surface_mark_dirty(image);
    }
    cairo_save(p->cr);
    cairo_rectangle(p->cr, box.x, box.y, box.width, box.height);
    cairo_clip(p->cr);
    cairo_translate(p->cr, box.x, box.y);
    cairo_scale(p->cr, box.width / (double)width, box.height / (double)height);
    cairo_set_source_surface(p->cr, image, 0.0, 0.0);
    cairo_pattern_set_extend(cairo_get_source(p->cr), CAIRO_EXTEND_PAD);
    cairo_pattern_set_filter(cairo_get_source(p->cr),
                             grows ? CAIRO_FILTER_NEAREST : CAIRO_FILTER_GOOD);
    cairo_paint(p->cr);
    cairo_restore(p->cr);
    cairo_surface_destroy(image);
}
