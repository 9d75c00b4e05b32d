/* Where does the evidence lie? Covers a picture place by place and paints how far the probability
 * of its class drops, next to the picture.
 *
 *   occlusion MODEL.onnx PICTURE OUT.png
 *
 * Uses nothing but the public header. */
#include <stdio.h>
#include <stdlib.h>

#include <deconv.h>

/* Ends the program with the library's own words when a call fails. */
static void check(deconv_ctx *ctx, deconv_status status)
{
    if (status == DECONV_OK)
        return;
    fprintf(stderr, "occlusion: error: %s\n", deconv_ctx_message(ctx));
    exit(1);
}

static float *room(int64_t count)
{
    float *values = malloc((size_t)count * sizeof *values);

    if (values)
        return values;
    fprintf(stderr, "occlusion: error: no memory\n");
    exit(1);
}

/* The picture as the net sees it, and as its input. */
static deconv_tensor *read_input(deconv_ctx *ctx, deconv_net *net, const deconv_card *card,
                                 const char *path, deconv_picture **seen)
{
    int64_t shape[DECONV_MAX_RANK] = {0}, batch;
    deconv_picture *whole;
    deconv_tensor *input;
    const char *name;
    uint32_t rank;
    float *values;

    check(ctx, deconv_net_input(net, 0, &name, shape, &rank, &batch));
    values = room(shape[1] * shape[2] * shape[3]);
    check(ctx, deconv_picture_read(ctx, path, &whole));
    check(ctx, deconv_card_crop(card, whole, shape[2], shape[3], seen));
    check(ctx, deconv_tensor_create(ctx, shape, rank, &input));
    check(ctx, deconv_card_values(card, *seen, shape[1], values, deconv_tensor_count(input)));
    check(ctx, deconv_tensor_write(input, values, deconv_tensor_count(input)));
    deconv_picture_destroy(whole);
    free(values);
    return input;
}

int main(int argc, char **argv)
{
    deconv_occlusion_map drop = {DECONV_OCCLUSION_DROP, 0, 0};
    deconv_occlusion_options options = DECONV_OCCLUSION_OPTIONS_INIT;
    deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
    deconv_ctx_options how = DECONV_CTX_OPTIONS_INIT;
    char error[512] = "";
    const char *captions[] = {"picture", "drop of the probability"};
    deconv_picture *tiles[2], *montage;
    deconv_occlusion *occlusion;
    deconv_tensor *input;
    deconv_card *card;
    deconv_ctx *ctx;
    deconv_net *net;
    float *overlay;

    if (argc != 4) {
        fprintf(stderr, "usage: occlusion MODEL.onnx PICTURE OUT.png\n");
        return 2;
    }
    how.error = error;
    how.error_size = sizeof error;
    if (deconv_ctx_create(&how, &ctx) != DECONV_OK) {
        fprintf(stderr, "occlusion: error: %s\n", error);
        return 1;
    }
    check(ctx, deconv_card_open(ctx, NULL, argv[1], &card));
    check(ctx, deconv_net_open(ctx, argv[1], NULL, &net));
    input = read_input(ctx, net, card, argv[2], &tiles[0]);

    options.card = card; /* patch, stride, class and fill as the library has them by default */
    options.maps = &drop;
    options.map_count = 1;
    check(ctx,
          deconv_occlusion_run(net, (const deconv_tensor *const *)&input, 1, &options, &occlusion));
    check(ctx, deconv_occlusion_get(occlusion, &info));
    overlay = room(info.height * info.width);
    check(ctx,
          deconv_occlusion_overlay(occlusion, 0, overlay, (uint64_t)(info.height * info.width)));
    check(ctx, deconv_picture_display(ctx, overlay, 1, info.height, info.width,
                                      DECONV_SCALING_ZERO_GREY, 0, &tiles[1]));
    check(ctx, deconv_picture_montage(ctx, (const deconv_picture *const *)tiles, captions, 2, 2, 8,
                                      2, &montage));
    check(ctx, deconv_picture_write(montage, argv[3]));
    printf("class %d, probability %.3f, %d x %d places\n", (int)info.class_index,
           (double)info.clean_prob, (int)info.rows, (int)info.columns);

    free(overlay);
    deconv_picture_destroy(tiles[0]);
    deconv_picture_destroy(tiles[1]);
    deconv_picture_destroy(montage);
    deconv_occlusion_destroy(occlusion);
    deconv_tensor_destroy(input);
    deconv_net_destroy(net);
    deconv_card_destroy(card);
    deconv_ctx_destroy(ctx);
    return 0;
}
