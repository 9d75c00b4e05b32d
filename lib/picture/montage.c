/* Tiles side by side on white, with captions of up to two lines below them. */
#include <string.h>

#include "picture.h"

#define CAPTION_COLOUR    0x303030
#define CAPTION_ROOM      110 /* pixels of cell width for each step of the caption's size */
#define CAPTION_MAX_SCALE 4
#define CAPTION_LINES     2
#define CAPTION_GAP       4 /* above the text, in steps of its size */
#define MAX_SCALE         64
#define MAX_GAP           1024
#define ELLIPSIS          "..."

typedef struct layout {
    int64_t columns, rows;
    int64_t cell_width, cell_height; /* of the tiles, enlarged */
    int64_t gap, scale;
    int64_t text_scale; /* 0: no captions */
    int64_t caption_height;
} layout;

/* Bytes of `text` on a line of `room` pixels: all, up to the last space that fits, or as many
 * characters as fit. */
static size_t line_length(const char *text, int64_t scale, int64_t room)
{
    size_t fits = font_fit(text, scale, room);
    size_t space = fits;

    if (!text[fits])
        return fits;
    while (space > 0 && text[space] != ' ')
        space--;
    return space > 0 ? space : fits;
}

static const char *next_line(const char *text, size_t length)
{
    text += length;
    return text + strspn(text, " ");
}

/* Lines that the longest of the captions takes; 0 without captions. One that needs more than
 * CAPTION_LINES counts one more. */
static int64_t most_lines(const char *const *captions, uint32_t count, int64_t scale, int64_t room)
{
    int64_t most = 0;

    for (uint32_t i = 0; i < count; i++) {
        const char *text = captions[i] ? captions[i] : "";
        int64_t lines = 0;

        for (; *text && lines <= CAPTION_LINES; lines++)
            text = next_line(text, line_length(text, scale, room));
        most = lines > most ? lines : most;
    }
    return most;
}

/* The text's size grows with the cells, but it shrinks to half before a caption has to be cut off.
 */
static void plan_captions(layout *l, const char *const *captions, uint32_t count)
{
    int64_t wanted = (l->cell_width + CAPTION_ROOM / 2) / CAPTION_ROOM;
    int64_t lines;

    wanted = wanted < 1 ? 1 : wanted > CAPTION_MAX_SCALE ? CAPTION_MAX_SCALE : wanted;
    for (l->text_scale = wanted;; l->text_scale--) {
        lines = most_lines(captions, count, l->text_scale, l->cell_width);
        if (lines <= CAPTION_LINES || l->text_scale == (wanted + 1) / 2)
            break;
    }
    lines = lines > CAPTION_LINES ? CAPTION_LINES : lines;
    if (lines == 0)
        l->text_scale = 0;
    l->caption_height = lines * font_height(l->text_scale) + CAPTION_GAP * l->text_scale;
}

static layout plan_layout(const picture *const *tiles, const char *const *captions, uint32_t count,
                          uint32_t columns, uint32_t gap, uint32_t scale)
{
    layout l = {.columns = columns < count ? columns : count, .gap = gap, .scale = scale};

    l.rows = (count + l.columns - 1) / l.columns;
    for (uint32_t i = 0; i < count; i++) {
        l.cell_width = tiles[i]->width > l.cell_width ? tiles[i]->width : l.cell_width;
        l.cell_height = tiles[i]->height > l.cell_height ? tiles[i]->height : l.cell_height;
    }
    l.cell_width *= scale;
    l.cell_height *= scale;
    if (captions)
        plan_captions(&l, captions, count);
    return l;
}

static void place_tile(const picture *tile, int64_t left, int64_t top, int64_t scale, picture *on)
{
    for (int64_t y = 0; y < tile->height * scale; y++) {
        const uint8_t *from = tile->pixels + y / scale * tile->width * PICTURE_CHANNELS;
        uint8_t *to = on->pixels + ((top + y) * on->width + left) * PICTURE_CHANNELS;

        for (int64_t x = 0; x < tile->width * scale; x++, to += PICTURE_CHANNELS)
            memcpy(to, from + x / scale * PICTURE_CHANNELS, PICTURE_CHANNELS);
    }
}

/* The last line ends in dots where the caption goes on. */
static deconv_status draw_caption(const layout *l, const char *caption, int64_t left, int64_t top,
                                  picture *on)
{
    int64_t room = l->cell_width, scale = l->text_scale;

    for (int line = 0; *caption && line < CAPTION_LINES; line++) {
        size_t length = line_length(caption, scale, room);
        const char *rest = next_line(caption, length);
        bool cut = *rest && line == CAPTION_LINES - 1;
        char *text;

        if (cut)
            length = font_fit(caption, scale, room - font_width(ELLIPSIS, scale));
        while (cut && length > 0 && caption[length - 1] == ' ')
            length--;
        text = mem_printf(on->ctx, "%.*s%s", (int)length, caption, cut ? ELLIPSIS : "");
        if (!text)
            return DECONV_ERROR_NO_MEMORY;
        font_draw(on, left + (room - font_width(text, scale)) / 2, top, text, scale,
                  CAPTION_COLOUR);
        mem_free(on->ctx, text);
        top += font_height(scale);
        caption = rest;
    }
    return DECONV_OK;
}

static deconv_status place_cell(const layout *l, uint32_t index, const picture *tile,
                                const char *caption, picture *on)
{
    int64_t column = index % l->columns, row = index / l->columns;
    int64_t left = l->gap + column * (l->cell_width + l->gap);
    int64_t top = l->gap + row * (l->cell_height + l->caption_height + l->gap);

    place_tile(tile, left + (l->cell_width - tile->width * l->scale) / 2,
               top + (l->cell_height - tile->height * l->scale) / 2, l->scale, on);
    if (!l->text_scale || !caption)
        return DECONV_OK;
    return draw_caption(l, caption, left, top + l->cell_height + CAPTION_GAP * l->text_scale, on);
}

deconv_status deconv_picture_montage(deconv_ctx *ctx, const deconv_picture *const *tiles,
                                     const char *const *captions, uint32_t count, uint32_t columns,
                                     uint32_t gap, uint32_t scale, deconv_picture **out)
{
    picture *made = NULL;
    deconv_status status;

    *out = NULL;
    if (count < 1 || columns < 1)
        FAIL(ctx, DECONV_ERROR_INVALID, "montage: %u tiles in %u columns; at least one of each",
             count, columns);
    if (scale < 1 || scale > MAX_SCALE || gap > MAX_GAP)
        FAIL(ctx, DECONV_ERROR_INVALID,
             "montage: scale %u, gap %u; scale is 1 to %d and gap at most %d", scale, gap,
             MAX_SCALE, MAX_GAP);
    for (uint32_t i = 0; i < count; i++)
        if (!tiles[i])
            FAIL(ctx, DECONV_ERROR_INVALID, "montage: tile %u of %u is NULL", i, count);

    layout l = plan_layout(tiles, captions, count, columns, gap, scale);

    TRY(picture_alloc(ctx, "montage", l.gap + l.columns * (l.cell_width + l.gap),
                      l.gap + l.rows * (l.cell_height + l.caption_height + l.gap), &made));
    memset(made->pixels, 255, (size_t)(made->width * made->height * PICTURE_CHANNELS));
    for (uint32_t i = 0; i < count; i++)
        TRY(place_cell(&l, i, tiles[i], captions ? captions[i] : NULL, made));
    *out = made;
    made = NULL;
done:
    deconv_picture_destroy(made);
    return status;
}
