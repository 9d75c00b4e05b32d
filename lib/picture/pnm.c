/* PBM, PGM and PPM files, plain and raw: the netpbm formats P1 to P6 with any largest value up to
 * 65535. (stb_image reads neither plain files nor largest values other than 255.) */
#include "picture.h"

#define PNM_MAX_VALUE 65535

typedef struct pnm {
    const uint8_t *at;
    const uint8_t *end;
    char kind; /* '1' to '6' */
    uint32_t max;
    int bit; /* bits of *at already taken, raw bitmaps only */
} pnm;

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bool pnm_is(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
           (is_space(bytes[2]) || bytes[2] == '#');
}

static void skip_space(pnm *p)
{
    while (p->at < p->end && (is_space(*p->at) || *p->at == '#')) {
        if (*p->at == '#')
            while (p->at < p->end && *p->at != '\n' && *p->at != '\r')
                p->at++;
        else
            p->at++;
    }
}

/* A decimal number behind white space and comments; large ones saturate. */
static bool read_number(pnm *p, uint32_t *value)
{
    skip_space(p);
    if (p->at == p->end || !is_digit(*p->at))
        return false;
    for (*value = 0; p->at < p->end && is_digit(*p->at); p->at++)
        *value = *value > 100000000 ? *value : *value * 10 + (uint32_t)(*p->at - '0');
    return true;
}

/* One sample, 0 to max. */
static bool read_sample(pnm *p, uint32_t *value)
{
    size_t bytes = p->max > 255 ? 2 : 1;

    switch (p->kind) {
    case '1': /* digits may stand together */
        skip_space(p);
        if (p->at == p->end || (*p->at != '0' && *p->at != '1'))
            return false;
        *value = *p->at++ == '0';
        return true;
    case '2':
    case '3':
        return read_number(p, value);
    case '4':
        if (p->at == p->end)
            return false;
        *value = !(*p->at >> (7 - p->bit) & 1);
        p->at += p->bit == 7;
        p->bit = (p->bit + 1) % 8;
        return true;
    default:
        if ((size_t)(p->end - p->at) < bytes)
            return false;
        *value = bytes == 2 ? (uint32_t)p->at[0] << 8 | p->at[1] : p->at[0];
        p->at += bytes;
        return true;
    }
}

static bool read_row(pnm *p, uint8_t *row, int64_t width)
{
    bool colour = p->kind == '3' || p->kind == '6';

    for (int64_t i = 0; i < width * PICTURE_CHANNELS; i += colour ? 1 : PICTURE_CHANNELS) {
        uint32_t value;

        if (!read_sample(p, &value))
            return false;
        if (value > p->max)
            value = p->max;
        value = (value * 255 + p->max / 2) / p->max;
        for (int c = 0; c < (colour ? 1 : PICTURE_CHANNELS); c++)
            row[i + c] = (uint8_t)value;
    }
    if (p->kind == '4' && p->bit > 0) {
        p->bit = 0;
        p->at++;
    }
    return true;
}

deconv_status pnm_decode(deconv_ctx *ctx, const char *path, const uint8_t *bytes, size_t size,
                         picture **out, const char **reason, bool *cut)
{
    pnm p = {.at = bytes + 2, .end = bytes + size, .kind = (char)bytes[1], .max = 1};
    bool bitmap = p.kind == '1' || p.kind == '4';
    uint32_t width, height;
    deconv_status status;

    *reason = NULL;
    *cut = false;
    if (!read_number(&p, &width) || !read_number(&p, &height) ||
        (!bitmap && !read_number(&p, &p.max)) || p.max < 1 || p.max > PNM_MAX_VALUE) {
        skip_space(&p);
        *cut = p.at == p.end;
        *reason = "its header is not WIDTH HEIGHT MAXVALUE with a largest value of 1 to 65535";
        return DECONV_ERROR_FORMAT;
    }
    if (p.at < p.end)
        p.at++; /* the one white space between header and raw samples */
    TRY(picture_alloc(ctx, path, width, height, out));
    for (int64_t y = 0; y < height; y++)
        if (!read_row(&p, (*out)->pixels + y * width * PICTURE_CHANNELS, width)) {
            *cut = p.at == p.end || p.kind > '3';
            *reason = "a sample is not a number";
            status = DECONV_ERROR_FORMAT;
            goto done;
        }
done:
    if (status != DECONV_OK) {
        deconv_picture_destroy(*out);
        *out = NULL;
    }
    return status;
}
