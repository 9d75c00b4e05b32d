/* What a model card does to a picture: the part the network sees, and its values. */
#include "card.h"

/* Half of a margin, halves to the even number: where torchvision's CenterCrop puts its corner. */
static int64_t half_margin(int64_t margin)
{
    int64_t half = margin / 2;

    return margin % 2 ? half + half % 2 : half;
}

/* Whether a crop fits a picture that is, or after resizing would be, `width` x `height`. */
static deconv_status check_crop(const deconv_card *card, int64_t width, int64_t height,
                                int64_t crop_width, int64_t crop_height)
{
    if (width >= crop_width && height >= crop_height)
        return DECONV_OK;
    return error_set(card->ctx, DECONV_ERROR_INVALID,
                     "%s: no %lld x %lld pixels can be cut out of %lld x %lld; \"resize\" has to "
                     "make the picture large enough",
                     card->name, (long long)crop_width, (long long)crop_height, (long long)width,
                     (long long)height);
}

static deconv_status crop_centre(const deconv_card *card, const picture *from, int64_t width,
                                 int64_t height, picture **out)
{
    deconv_status status;

    TRY(check_crop(card, from->width, from->height, width, height));
    TRY(picture_crop(from, half_margin(from->height - height), half_margin(from->width - width),
                     width, height, out));
done:
    return status;
}

/* The shorter side becomes card->resize; the other one is rounded down, as torchvision does. */
static deconv_status resize_and_crop(const deconv_card *card, const picture *from, int64_t width,
                                     int64_t height, picture **out)
{
    bool upright = from->width <= from->height;
    int64_t shorter = upright ? from->width : from->height;
    int64_t longer = upright ? from->height : from->width;
    int64_t other = card->resize * longer / shorter;
    int64_t whole_width = upright ? card->resize : other;
    int64_t whole_height = upright ? other : card->resize;
    deconv_status status;

    TRY(check_crop(card, whole_width, whole_height, width, height));
    TRY(picture_resize_part(from, whole_width, whole_height, half_margin(whole_height - height),
                            half_margin(whole_width - width), width, height, out));
done:
    return status;
}

deconv_status deconv_card_crop(const deconv_card *card, const deconv_picture *from, int64_t height,
                               int64_t width, deconv_picture **out)
{
    deconv_status status;

    *out = NULL;
    TRY(picture_check_size(card->ctx, "the network's input", width, height));
    if (card->crop && (card->crop != height || card->crop != width))
        FAIL(card->ctx, DECONV_ERROR_INVALID,
             "%s: \"crop\" is %lld, but the network's input is %lld x %lld", card->name,
             (long long)card->crop, (long long)height, (long long)width);
    if (from->width == width && from->height == height)
        TRY(picture_crop(from, 0, 0, width, height, out));
    else if (card->resize)
        TRY(resize_and_crop(card, from, width, height, out));
    else if (card->crop)
        TRY(crop_centre(card, from, width, height, out));
    else
        TRY(picture_resize(from, width, height, out));
done:
    return status;
}

static double number_of(const card_numbers *numbers, int64_t channel)
{
    return numbers->value[numbers->count > 1 ? channel : 0];
}

/* ITU-R 601 luma in 16-bit fixed point: what Pillow's convert("L") gives. */
static uint8_t luma(const uint8_t *rgb)
{
    return (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

static deconv_status check_channels(const deconv_card *card, int64_t channels)
{
    card_channels said = card->channels;
    int64_t given =
        said == CARD_GREY || (said == CARD_UNSAID && channels == 1) ? 1 : PICTURE_CHANNELS;
    int count = card->mean.count > card->std.count ? card->mean.count : card->std.count;

    if (channels != given)
        return error_set(card->ctx, DECONV_ERROR_INVALID,
                         "%s: pictures give %lld channel%s, but the network's input has %lld; "
                         "\"channels\" is \"grey\" for 1, \"rgb\" or \"bgr\" for 3",
                         card->name, (long long)given, given == 1 ? "" : "s", (long long)channels);
    if (count > 1 && count != channels)
        return error_set(card->ctx, DECONV_ERROR_INVALID,
                         "%s: \"mean\" or \"std\" holds %d numbers; the network's input has %lld "
                         "channel%s",
                         card->name, count, (long long)channels, channels == 1 ? "" : "s");
    return DECONV_OK;
}

/* Which colour of a pixel is the net's channel `c`, where it has three. */
static int64_t source_of(const deconv_card *card, int64_t c)
{
    return card->channels == CARD_BGR ? PICTURE_CHANNELS - 1 - c : c;
}

/* 0 to 255 as the net wants it. Multiplied first: exact for a range of 0 to 255. */
static float normalised(const deconv_card *card, int64_t c, double value)
{
    return (
        float)((value * (card->high - card->low) / 255 + card->low - number_of(&card->mean, c)) /
               number_of(&card->std, c));
}

deconv_status deconv_card_values(const deconv_card *card, const deconv_picture *cropped,
                                 int64_t channels, float *values, uint64_t count)
{
    int64_t plane = cropped->width * cropped->height;
    deconv_status status;

    TRY(check_channels(card, channels));
    if (count != (uint64_t)(plane * channels))
        FAIL(card->ctx, DECONV_ERROR_INVALID,
             "room for %llu values; a picture of %lld x %lld in %lld channels has %lld",
             (unsigned long long)count, (long long)cropped->width, (long long)cropped->height,
             (long long)channels, (long long)(plane * channels));
    for (int64_t c = 0; c < channels; c++) {
        int64_t source = source_of(card, c);
        float value[256];

        for (int v = 0; v < 256; v++)
            value[v] = normalised(card, c, v);
        for (int64_t i = 0; i < plane; i++) {
            const uint8_t *pixel = cropped->pixels + i * PICTURE_CHANNELS;

            values[c * plane + i] = value[channels == 1 ? luma(pixel) : pixel[source]];
        }
    }
done:
    return status;
}

deconv_status card_colour(const deconv_card *card, int64_t channels, const double *rgb,
                          float *values)
{
    deconv_status status;

    TRY(check_channels(card, channels));
    for (int64_t c = 0; c < channels; c++)
        values[c] = normalised(card, c,
                               channels == 1 ? 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
                                             : rgb[source_of(card, c)]);
done:
    return status;
}

void deconv_card_input_size(const deconv_card *card, int64_t *height, int64_t *width)
{
    *height = *width = card->crop;
}
