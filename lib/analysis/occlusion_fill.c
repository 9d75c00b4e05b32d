/* What shows through the patch: the net's input, covered all over. Each place of the patch takes
 * its part of it. */
#include "occlusion.h"

#include "../picture/card.h"

#include <math.h>

#define BLUR_SHARE  0.25 /* sigma, of the patch's longer side */
#define BLUR_REACH  3    /* sigmas to each side that count */
#define MID_OF_FULL 127.5

/* ---- Fills that need the card ---- */

static const char *const fill_names[] = {"mean", "grey", "a colour", "blur", "noise"};

/* Even and the same everywhere: SplitMix64's mixing (Steele, Lea and Flood 2014) of a counter. */
static double noise_at(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 56);
}

static deconv_status fill_by_card(const sweep *s, const shape *picture, float *values)
{
    const deconv_occlusion_options *o = &s->options;
    int64_t plane = map_height(picture) * map_width(picture);
    deconv_status status = DECONV_OK;

    if (!o->card)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: the fill %s needs a model card, which says how values are normalised",
             fill_names[o->fill]);
    for (int64_t i = 0; i < plane; i++) {
        double rgb[3];
        float cell[PICTURE_CHANNELS];

        for (int c = 0; c < 3; c++)
            rgb[c] = o->fill == DECONV_FILL_GREY     ? MID_OF_FULL
                     : o->fill == DECONV_FILL_COLOUR ? (double)o->colour[c]
                                                     : noise_at(o->seed, (uint64_t)(3 * i + c));
        TRY(card_colour(o->card, picture->dim[1], rgb, cell));
        for (int64_t c = 0; c < picture->dim[1]; c++)
            values[c * plane + i] = cell[c];
    }
done:
    return status;
}

/* ---- Blur ---- */

/* `count` values `step` apart, each the weighted mean of its neighbours within the picture. */
static void blur_line(const double *weight, int64_t reach, const float *from, float *to,
                      int64_t count, int64_t step)
{
    for (int64_t i = 0; i < count; i++) {
        double sum = 0, weights = 0;

        for (int64_t k = -reach; k <= reach; k++) {
            if (i + k < 0 || i + k >= count)
                continue;
            sum += weight[k + reach] * (double)from[(i + k) * step];
            weights += weight[k + reach];
        }
        to[i * step] = (float)(sum / weights);
    }
}

/* Normalisation is the same for all pixels of a channel, so that the net's input can be blurred as
 * the picture can. */
static deconv_status blur(const sweep *s, const shape *picture, float *values)
{
    const deconv_occlusion_options *o = &s->options;
    int64_t height = map_height(picture), width = map_width(picture), reach;
    int64_t side = o->patch_height > o->patch_width ? o->patch_height : o->patch_width;
    double sigma = fmax(BLUR_SHARE * (double)side, 1);
    deconv_status status = DECONV_OK;
    double *weight = NULL;
    float *other = NULL;

    reach = (int64_t)ceil(BLUR_REACH * sigma);
    TRY_ALLOC(weight, s->ctx, (size_t)(2 * reach + 1));
    TRY_ALLOC(other, s->ctx, (size_t)(height * width));
    for (int64_t k = -reach; k <= reach; k++)
        weight[k + reach] = exp(-0.5 * (double)(k * k) / (sigma * sigma));
    for (int64_t c = 0; c < picture->dim[1]; c++) {
        float *map = values + c * height * width;

        for (int64_t y = 0; y < height; y++)
            blur_line(weight, reach, map + y * width, other + y * width, width, 1);
        for (int64_t x = 0; x < width; x++)
            blur_line(weight, reach, other + x, map + x, height, width);
    }
done:
    mem_free(s->ctx, weight);
    mem_free(s->ctx, other);
    return status;
}

deconv_status sweep_fill(sweep *s)
{
    const tensor *picture = s->inputs[s->options.input];
    uint64_t count = (uint64_t)shape_count(&picture->shape);
    deconv_status status = DECONV_OK;
    float *values = NULL;

    TRY_ALLOC(values, s->ctx, (size_t)count);
    if (s->options.fill == DECONV_FILL_BLUR) {
        TRY(deconv_tensor_read(picture, values, count));
        TRY(blur(s, &picture->shape, values));
    } else if (s->options.fill != DECONV_FILL_MEAN) {
        TRY(fill_by_card(s, &picture->shape, values));
    }
    TRY(tensor_create(s->ctx, &picture->shape, "what covers the picture", &s->fill));
    TRY(deconv_tensor_write(s->fill, values, count));
done:
    mem_free(s->ctx, values);
    return status;
}
