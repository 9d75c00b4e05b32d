/* Text in pictures: the glyphs of stb_easy_font, filled as squares of pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wcast-align"
#endif
#include <stb/stb_easy_font.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#define LINE_HEIGHT 12 /* ascent 9, descent 3 */
#define GLYPH_QUADS 32 /* more than any glyph has */

/* A rectangle as stb_easy_font writes it: four corners, clockwise from the top left. */
typedef struct quad {
    struct {
        float x, y, z;
        uint8_t colour[4];
    } corner[4];
} quad;

/* The character `*text` starts, '?' for what the font lacks, and how many bytes it takes. */
static char next_character(const char *text, size_t *bytes)
{
    *bytes = 1;
    if ((unsigned char)text[0] < 0x80)
        return text[0] >= ' ' && text[0] <= '~' ? text[0] : '?';
    while (((unsigned char)text[*bytes] & 0xC0) == 0x80)
        ++*bytes;
    return '?';
}

int64_t font_height(int64_t scale)
{
    return LINE_HEIGHT * scale;
}

static int64_t advance_of(char c)
{
    char text[2] = {c, 0};

    return stb_easy_font_width(text);
}

int64_t font_width(const char *text, int64_t scale)
{
    int64_t width = 0;
    size_t bytes;

    for (; *text; text += bytes)
        width += advance_of(next_character(text, &bytes));
    return width * scale;
}

size_t font_fit(const char *text, int64_t scale, int64_t room)
{
    const char *at = text;
    size_t bytes;

    for (; *at; at += bytes) {
        room -= advance_of(next_character(at, &bytes)) * scale;
        if (room < 0)
            break;
    }
    return (size_t)(at - text);
}

static void fill(picture *on, int64_t left, int64_t top, int64_t right, int64_t bottom,
                 uint32_t rgb)
{
    for (int64_t y = top < 0 ? 0 : top; y < bottom && y < on->height; y++)
        for (int64_t x = left < 0 ? 0 : left; x < right && x < on->width; x++) {
            uint8_t *pixel = on->pixels + (y * on->width + x) * PICTURE_CHANNELS;

            pixel[0] = (uint8_t)(rgb >> 16);
            pixel[1] = (uint8_t)(rgb >> 8);
            pixel[2] = (uint8_t)rgb;
        }
}

void font_draw(picture *on, int64_t x, int64_t y, const char *text, int64_t scale, uint32_t rgb)
{
    quad quads[GLYPH_QUADS];
    size_t bytes;

    for (; *text; text += bytes) {
        char glyph[2] = {next_character(text, &bytes), 0};
        int count = stb_easy_font_print(0, 0, glyph, NULL, quads, (int)sizeof quads);

        for (int i = 0; i < count; i++)
            fill(on, x + (int64_t)quads[i].corner[0].x * scale,
                 y + (int64_t)quads[i].corner[0].y * scale,
                 x + (int64_t)quads[i].corner[2].x * scale,
                 y + (int64_t)quads[i].corner[2].y * scale, rgb);
        x += advance_of(glyph[0]) * scale;
    }
}
