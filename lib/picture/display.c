/* Signed values as pictures: the scalings of deconv_scaling. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"

#define CLIP_QUANTILE 0.99

/* What the whole of the values decides before the first pixel is set. */
typedef struct value_range {
    double smallest;
    double largest;
    double magnitude; /* largest |x| */
    double clip;      /* 99th percentile of |x|, interpolated; the magnitude where that is 0 */
} value_range;

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static deconv_status find_clip(deconv_ctx *ctx, const float *values, int64_t count,
                               value_range *range)
{
    double rank = CLIP_QUANTILE * (double)(count - 1);
    int64_t below = (int64_t)rank;
    float *sorted = NULL;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(sorted, ctx, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        sorted[i] = fabsf(values[i]);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_floats);
    range->clip = sorted[below];
    if (below + 1 < count)
        range->clip += (rank - (double)below) * ((double)sorted[below + 1] - sorted[below]);
    if (!(range->clip > 0))
        range->clip = range->magnitude;
done:
    mem_free(ctx, sorted);
    return status;
}

static deconv_status find_range(deconv_ctx *ctx, const float *values, int64_t channels,
                                int64_t height, int64_t width, value_range *range)
{
    range->smallest = range->largest = values[0];
    for (int64_t i = 0; i < channels * height * width; i++) {
        double x = values[i];

        if (!isfinite(x))
            return error_set(ctx, DECONV_ERROR_INVALID,
                             "the value at channel %lld, row %lld, column %lld is %f; only finite "
                             "values make a picture",
                             (long long)(i / (height * width)), (long long)(i / width % height),
                             (long long)(i % width), x);
        range->smallest = fmin(range->smallest, x);
        range->largest = fmax(range->largest, x);
    }
    range->magnitude = fmax(-range->smallest, range->largest);
    return DECONV_OK;
}

static uint8_t to_byte(double v)
{
    v = v < 0 ? 0 : v > 1 ? 1 : v;
    return (uint8_t)(v * 255 + 0.5);
}

static uint8_t shade(double x, deconv_scaling scaling, const value_range *range)
{
    double span;

    switch (scaling) {
    case DECONV_SCALING_MIN_MAX:
        span = range->largest - range->smallest;
        return span > 0 ? to_byte((x - range->smallest) / span) : 0;
    case DECONV_SCALING_MAGNITUDE:
        return range->magnitude > 0 ? to_byte(fabs(x) / range->magnitude) : 0;
    case DECONV_SCALING_POSITIVE:
        return range->largest > 0 ? to_byte(x / range->largest) : 0;
    case DECONV_SCALING_PERCENTILE:
        return range->clip > 0 ? to_byte(0.5 + x / (2 * range->clip)) : PICTURE_MID_GREY;
    default:
        return range->magnitude > 0 ? to_byte(0.5 + x / (2 * range->magnitude)) : PICTURE_MID_GREY;
    }
}

/* The value of colour `c` at position `i`; under DECONV_SCALING_MAGNITUDE the strongest channel. */
static double value_at(const float *values, int64_t channels, int64_t plane, int64_t i, int c,
                       deconv_scaling scaling, bool bgr)
{
    double strongest = 0;

    if (scaling == DECONV_SCALING_MAGNITUDE) {
        for (int64_t k = 0; k < channels; k++)
            strongest = fmax(strongest, fabs(values[k * plane + i]));
        return strongest;
    }
    if (channels == 1)
        return values[i];
    return values[(bgr ? PICTURE_CHANNELS - 1 - c : c) * plane + i];
}

deconv_status deconv_picture_display(deconv_ctx *ctx, const float *values, int64_t channels,
                                     int64_t height, int64_t width, deconv_scaling scaling,
                                     int32_t bgr, deconv_picture **out)
{
    value_range range = {0};
    deconv_status status;

    *out = NULL;
    if (channels != 1 && channels != PICTURE_CHANNELS)
        FAIL(ctx, DECONV_ERROR_INVALID,
             "values of %lld channels make no picture; 1 or 3 channels do", (long long)channels);
    if ((int)scaling < DECONV_SCALING_ZERO_GREY || scaling > DECONV_SCALING_PERCENTILE)
        FAIL(ctx, DECONV_ERROR_INVALID, "scaling %d does not exist; the scalings are 0 to %d",
             (int)scaling, DECONV_SCALING_PERCENTILE);
    TRY(picture_check_size(ctx, "displayed values", width, height));
    TRY(find_range(ctx, values, channels, height, width, &range));
    if (scaling == DECONV_SCALING_PERCENTILE)
        TRY(find_clip(ctx, values, channels * height * width, &range));
    TRY(picture_alloc(ctx, "displayed values", width, height, out));
    for (int64_t i = 0; i < height * width; i++)
        for (int c = 0; c < PICTURE_CHANNELS; c++)
            (*out)->pixels[i * PICTURE_CHANNELS + c] =
                shade(value_at(values, channels, height * width, i, c, scaling, bgr != 0), scaling,
                      &range);
done:
    return status;
}
