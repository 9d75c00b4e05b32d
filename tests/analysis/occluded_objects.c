/* Does an occlusion map find the object? Over 200 generated pictures with the object's mask: the
 * place where the class's logit drops most must lie inside the object in at least 90 of 100. (The
 * logit, because the probability of what is easy to see stays 1 in float32 wherever the patch is.)
 *
 *   occluded_objects MODEL.onnx
 *
 * Public header only; the pictures are those of examples/figures.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <deconv.h>

#include "figures_draw.h"

enum { PICTURES = 200, SIDE = FIGURES_SIZE, PLANE = SIDE * SIDE, CHANNELS = 3, SEED = 20131112 };

#define WANTED 0.9
#define PART   3 /* the patch's area is this part of the object's */
#define STEPS  2 /* to a patch */

typedef struct scene {
    deconv_ctx *ctx;
    deconv_card *card;
    deconv_net *net;
    deconv_tensor *input;
    uint8_t rgb[PLANE * 3], mask[PLANE];
    float values[PLANE * CHANNELS];
    int label;
} scene;

static void check(const scene *s, deconv_status status)
{
    if (status == DECONV_OK)
        return;
    fprintf(stderr, "occluded_objects: %s\n", deconv_ctx_message(s->ctx));
    exit(1);
}

static void show(scene *s)
{
    deconv_picture *picture;

    check(s, deconv_picture_create(s->ctx, SIDE, SIDE, s->rgb, &picture));
    check(s, deconv_card_values(s->card, picture, CHANNELS, s->values, PLANE * CHANNELS));
    check(s, deconv_tensor_write(s->input, s->values, PLANE * CHANNELS));
    deconv_picture_destroy(picture);
}

static int64_t patch_side(const scene *s)
{
    double area = 0;

    for (int i = 0; i < PLANE; i++)
        area += s->mask[i] / 255.0;
    return (int64_t)(sqrt(area / PART) + 0.5);
}

/* Whether the middle of the patch that costs the class most lies on the object. */
static int is_found(scene *s)
{
    deconv_occlusion_map logit = {DECONV_OCCLUSION_LOGIT, 0, 0};
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
    deconv_occlusion *o;
    const float *values;
    int64_t patch, best = 0, y, x;

    patch = patch_side(s);
    options.patch_height = options.patch_width = patch;
    options.stride_y = options.stride_x = patch / STEPS;
    options.class_index = s->label;
    options.maps = &logit;
    options.map_count = 1;
    check(s,
          deconv_occlusion_run(s->net, (const deconv_tensor *const *)&s->input, 1, &options, &o));
    check(s, deconv_occlusion_get(o, &info));
    values = deconv_occlusion_values(o, 0);
    for (int64_t i = 1; i < info.rows * info.columns; i++)
        if (values[i] < values[best])
            best = i;
    y = deconv_occlusion_tops(o)[best / info.columns] + patch / 2;
    x = deconv_occlusion_lefts(o)[best % info.columns] + patch / 2;
    deconv_occlusion_destroy(o);
    return s->mask[y * SIDE + x] > 127;
}

int main(int argc, char **argv)
{
    static scene s;
    const int64_t shape[] = {1, CHANNELS, SIDE, SIDE};
    int found = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: occluded_objects MODEL.onnx\n");
        return 2;
    }
    if (deconv_ctx_create(NULL, &s.ctx) != DECONV_OK) {
        fprintf(stderr, "occluded_objects: no device\n");
        return 1;
    }
    check(&s, deconv_card_open(s.ctx, NULL, argv[1], &s.card));
    check(&s, deconv_net_open(s.ctx, argv[1], NULL, &s.net));
    check(&s, deconv_tensor_create(s.ctx, shape, 4, &s.input));
    for (int i = 0; i < PICTURES; i++) {
        int hit;

        figures_draw(SEED, i, s.rgb, s.mask, &s.label);
        show(&s);
        hit = is_found(&s);
        found += hit;
        if (!hit)
            printf("picture %d (%s): beside the object\n", i, figures_label_name(s.label));
    }
    printf("the largest drop lies inside the object in %d of %d pictures (%.1f %%)\n", found,
           PICTURES, 100.0 * found / PICTURES);
    deconv_tensor_destroy(s.input);
    deconv_net_destroy(s.net);
    deconv_card_destroy(s.card);
    deconv_ctx_destroy(s.ctx);
    return found < WANTED * PICTURES;
}
