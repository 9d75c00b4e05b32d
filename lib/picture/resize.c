/* Resizing with the triangle filter: per axis a short list of weights for every output position,
 * horizontal pass first, 8 bits in between. */
#include <math.h>
#include <string.h>

#include "picture.h"

/* Pillow weighs with integers of this many fractional bits; the same here makes the same pixels. */
#define WEIGHT_BITS 22

typedef struct axis_filter {
    int64_t taps;  /* room per output position */
    int64_t *from; /* first input position of each output position */
    int64_t *count;
    int32_t *weight; /* [out][taps], summing to 1 << WEIGHT_BITS but for rounding */
} axis_filter;

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static void axis_free(deconv_ctx *ctx, axis_filter *f)
{
    mem_free(ctx, f->from);
    mem_free(ctx, f->count);
    mem_free(ctx, f->weight);
}

/* Weights of output position `at`, centred on the middle of the stretch of input it covers, as
 * entry `i` of the filter. */
static void axis_position(axis_filter *f, int64_t i, int64_t at, int64_t in, double scale,
                          double *exact)
{
    double widen = scale > 1 ? scale : 1;
    double centre = ((double)at + 0.5) * scale;
    int64_t from = (int64_t)(centre - widen + 0.5);
    int64_t to = (int64_t)(centre + widen + 0.5);
    double sum = 0;

    from = from < 0 ? 0 : from;
    to = to > in ? in : to;
    for (int64_t k = from; k < to; k++) {
        exact[k - from] = triangle(((double)k - centre + 0.5) * (1 / widen));
        sum += exact[k - from];
    }
    f->from[i] = from;
    f->count[i] = to - from;
    for (int64_t k = 0; k < to - from; k++) {
        double unit = sum != 0 ? exact[k] / sum : exact[k];

        f->weight[i * f->taps + k] = (int32_t)(0.5 + unit * (1 << WEIGHT_BITS));
    }
}

/* For positions first..first+count-1 of an axis of `in` positions resized to `out`. */
static deconv_status axis_init(deconv_ctx *ctx, axis_filter *f, int64_t in, int64_t out,
                               int64_t first, int64_t count)
{
    double scale = (double)in / (double)out;
    double *exact = NULL;
    size_t weights;
    deconv_status status = DECONV_OK;

    f->taps = 2 * (int64_t)ceil(scale > 1 ? scale : 1) + 1;
    if (!size_mul((size_t)count, (size_t)f->taps, &weights))
        FAIL(ctx, DECONV_ERROR_NO_MEMORY, "no memory: weights to resize %lld to %lld pixels",
             (long long)in, (long long)out);
    TRY_ALLOC(f->from, ctx, (size_t)count);
    TRY_ALLOC(f->count, ctx, (size_t)count);
    TRY_ALLOC(f->weight, ctx, weights);
    TRY_ALLOC(exact, ctx, (size_t)f->taps);
    for (int64_t i = 0; i < count; i++)
        axis_position(f, i, first + i, in, scale, exact);
done:
    mem_free(ctx, exact);
    return status;
}

/* One pass along one axis: `lines` lines of `out` pixels; steps in bytes from pixel to pixel and
 * from line to line. */
static void axis_run(const axis_filter *f, int64_t out, int64_t lines, const uint8_t *from,
                     int64_t from_step, int64_t from_line, uint8_t *to, int64_t to_step,
                     int64_t to_line)
{
    for (int64_t line = 0; line < lines; line++)
        for (int64_t i = 0; i < out; i++) {
            const int32_t *weight = f->weight + i * f->taps;
            const uint8_t *pixel = from + line * from_line + f->from[i] * from_step;
            int64_t sum[PICTURE_CHANNELS];

            for (int c = 0; c < PICTURE_CHANNELS; c++)
                sum[c] = 1 << (WEIGHT_BITS - 1);
            for (int64_t k = 0; k < f->count[i]; k++, pixel += from_step)
                for (int c = 0; c < PICTURE_CHANNELS; c++)
                    sum[c] += (int64_t)weight[k] * pixel[c];
            for (int c = 0; c < PICTURE_CHANNELS; c++) {
                int64_t value = sum[c] >> WEIGHT_BITS;

                to[line * to_line + i * to_step + c] = (uint8_t)(value > 255 ? 255 : value);
            }
        }
}

deconv_status picture_resize_part(const picture *from, int64_t width, int64_t height, int64_t top,
                                  int64_t left, int64_t part_width, int64_t part_height,
                                  picture **out)
{
    deconv_ctx *ctx = from->ctx;
    axis_filter across = {0}, down = {0};
    picture *wide = NULL, *made = NULL;
    const int64_t step = PICTURE_CHANNELS;
    deconv_status status;

    *out = NULL;
    TRY(picture_check_size(ctx, "resized picture", part_width, part_height));
    TRY(axis_init(ctx, &across, from->width, width, left, part_width));
    TRY(axis_init(ctx, &down, from->height, height, top, part_height));
    TRY(picture_alloc(ctx, "resized picture", part_width, from->height, &wide));
    TRY(picture_alloc(ctx, "resized picture", part_width, part_height, &made));
    axis_run(&across, part_width, from->height, from->pixels, step, from->width * step,
             wide->pixels, step, part_width * step);
    axis_run(&down, part_height, part_width, wide->pixels, part_width * step, step, made->pixels,
             part_width * step, step);
    *out = made;
    made = NULL;
done:
    axis_free(ctx, &across);
    axis_free(ctx, &down);
    deconv_picture_destroy(wide);
    deconv_picture_destroy(made);
    return status;
}

deconv_status picture_resize(const picture *from, int64_t width, int64_t height, picture **out)
{
    return picture_resize_part(from, width, height, 0, 0, width, height, out);
}
