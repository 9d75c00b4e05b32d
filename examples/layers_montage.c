/* Projections of the strongest feature maps of some layers, as one picture: a row a layer, first
 * the picture with the maps' receptive fields framed, then one projection a map.
 *
 *   layers_montage MODEL.onnx PICTURE OUT.png LAYER...
 *
 * Uses nothing but the public header. */
#include <stdio.h>
#include <stdlib.h>

#include <deconv.h>

enum { MAPS = 4, COLUMNS = MAPS + 1, MOST_LAYERS = 8, CAPTION = 48 };

static const uint32_t frame_colour[MAPS] = {0xe6331f, 0x1f8fe6, 0x1fae4b, 0xd99a00};

/* Ends the program with the library's own words when a call fails. */
static void check(deconv_ctx *ctx, deconv_status status)
{
    if (status == DECONV_OK)
        return;
    fprintf(stderr, "layers_montage: error: %s\n", deconv_ctx_message(ctx));
    exit(1);
}

static float *read_values(deconv_ctx *ctx, const deconv_tensor *tensor)
{
    uint64_t count = deconv_tensor_count(tensor);
    float *values = malloc((size_t)count * sizeof *values);

    if (!values) {
        fprintf(stderr, "layers_montage: error: no memory\n");
        exit(1);
    }
    check(ctx, deconv_tensor_read(tensor, values, count));
    return values;
}

/* The MAPS feature maps with the largest activations, strongest first. */
static void strongest_maps(deconv_ctx *ctx, const deconv_tensor *activation,
                           deconv_seed seeds[MAPS])
{
    int64_t maps = deconv_tensor_size(activation, 1);
    int64_t size = (int64_t)deconv_tensor_count(activation) / maps;
    float *values = read_values(ctx, activation);
    float best[MAPS];

    for (int i = 0; i < MAPS; i++) {
        best[i] = -1.0f;
        seeds[i] = (deconv_seed){0, 0, DECONV_STRONGEST, DECONV_STRONGEST};
    }
    for (int64_t map = 0; map < maps; map++) {
        float peak = values[map * size];
        int place = MAPS;

        for (int64_t i = 1; i < size; i++)
            peak = values[map * size + i] > peak ? values[map * size + i] : peak;
        while (place > 0 && peak > best[place - 1])
            place--;
        for (int i = MAPS - 1; i > place; i--) {
            best[i] = best[i - 1];
            seeds[i].unit = seeds[i - 1].unit;
        }
        if (place < MAPS) {
            best[place] = peak;
            seeds[place].unit = map;
        }
    }
    free(values);
}

/* One row: the framed picture and MAPS projections. */
static void make_row(deconv_ctx *ctx, deconv_net *net, deconv_trace *trace, uint32_t layer,
                     const char *name, const deconv_card *card, deconv_picture *seen,
                     deconv_picture **tiles, char (*captions)[CAPTION])
{
    deconv_seed seeds[MAPS];
    deconv_projection_info infos[MAPS];
    int64_t width = deconv_picture_width(seen), height = deconv_picture_height(seen);
    int64_t shape[4] = {MAPS, 3, height, width};
    const deconv_tensor *activation;
    deconv_tensor *projections;
    float *values;

    check(ctx, deconv_trace_activation(trace, layer, &activation));
    strongest_maps(ctx, activation, seeds);
    check(ctx, deconv_tensor_create(ctx, shape, 4, &projections));
    check(ctx, deconv_project(trace, layer, seeds, MAPS, NULL, projections, infos));
    values = read_values(ctx, projections);
    check(ctx, deconv_picture_create(ctx, width, height, deconv_picture_pixels(seen), &tiles[0]));
    snprintf(captions[0], CAPTION, "%s", name);
    for (int i = 0; i < MAPS; i++) {
        int64_t top, left, bottom, right;

        check(ctx, deconv_picture_display(ctx, values + i * 3 * height * width, 3, height, width,
                                          DECONV_SCALING_ZERO_GREY, deconv_card_bgr(card),
                                          &tiles[i + 1]));
        check(ctx,
              deconv_net_field(net, layer, infos[i].y, infos[i].x, &top, &left, &bottom, &right));
        deconv_picture_outline(tiles[0], top, left, bottom, right, frame_colour[i]);
        deconv_picture_outline(tiles[i + 1], top, left, bottom, right, frame_colour[i]);
        snprintf(captions[i + 1], CAPTION, "map %d: %.3g", (int)infos[i].unit,
                 (double)infos[i].activation);
        if (infos[i].died_at >= 0)
            fprintf(stderr, "layers_montage: %s map %d: the signal died on the way\n", name,
                    (int)infos[i].unit);
    }
    free(values);
    deconv_tensor_destroy(projections);
}

/* Runs the picture forward and leaves a trace that serves the deconvnet rule. */
static deconv_trace *run_forward(deconv_ctx *ctx, deconv_net *net, const deconv_card *card,
                                 const char *path, deconv_picture **seen)
{
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_picture *whole;
    deconv_tensor *input;
    deconv_trace *trace;
    int64_t shape[DECONV_MAX_RANK], batch;
    const char *name;
    uint32_t rank;
    float *values;
    size_t count;

    check(ctx, deconv_net_input(net, 0, &name, shape, &rank, &batch));
    count = (size_t)(shape[1] * shape[2] * shape[3]);
    values = malloc(count * sizeof *values);
    if (!values) {
        fprintf(stderr, "layers_montage: error: no memory\n");
        exit(1);
    }
    check(ctx, deconv_picture_read(ctx, path, &whole));
    check(ctx, deconv_card_crop(card, whole, shape[2], shape[3], seen));
    check(ctx, deconv_card_values(card, *seen, shape[1], values, count));
    check(ctx, deconv_tensor_create(ctx, shape, rank, &input));
    check(ctx, deconv_tensor_write(input, values, count));
    options.rules = 1u << DECONV_RULE_DECONVNET;
    check(ctx, deconv_trace_create(net, 1, &options, &trace));
    check(ctx, deconv_trace_run(trace, (const deconv_tensor *const *)&input, 1));
    deconv_tensor_destroy(input);
    deconv_picture_destroy(whole);
    free(values);
    return trace;
}

int main(int argc, char **argv)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    char error[512] = "";
    char captions[MOST_LAYERS * COLUMNS][CAPTION];
    const char *caption[MOST_LAYERS * COLUMNS];
    deconv_picture *tiles[MOST_LAYERS * COLUMNS], *seen, *montage;
    deconv_trace *trace;
    deconv_card *card;
    deconv_ctx *ctx;
    deconv_net *net;
    int layers = argc - 4;

    if (layers < 1 || layers > MOST_LAYERS) {
        fprintf(stderr, "usage: layers_montage MODEL.onnx PICTURE OUT.png LAYER... (1 to %d)\n",
                MOST_LAYERS);
        return 2;
    }
    options.error = error;
    options.error_size = sizeof error;
    if (deconv_ctx_create(&options, &ctx) != DECONV_OK) {
        fprintf(stderr, "layers_montage: error: %s\n", error);
        return 1;
    }
    check(ctx, deconv_card_open(ctx, NULL, argv[1], &card));
    check(ctx, deconv_net_open(ctx, argv[1], NULL, &net));
    trace = run_forward(ctx, net, card, argv[2], &seen);
    for (int i = 0; i < layers; i++) {
        uint32_t layer;

        check(ctx, deconv_net_find(net, argv[4 + i], &layer));
        make_row(ctx, net, trace, layer, argv[4 + i], card, seen, &tiles[i * COLUMNS],
                 &captions[i * COLUMNS]);
    }
    for (int i = 0; i < layers * COLUMNS; i++)
        caption[i] = captions[i];
    check(ctx, deconv_picture_montage(ctx, (const deconv_picture *const *)tiles, caption,
                                      (uint32_t)(layers * COLUMNS), COLUMNS, 8, 2, &montage));
    check(ctx, deconv_picture_write(montage, argv[3]));

    for (int i = 0; i < layers * COLUMNS; i++)
        deconv_picture_destroy(tiles[i]);
    deconv_picture_destroy(montage);
    deconv_picture_destroy(seen);
    deconv_trace_destroy(trace);
    deconv_net_destroy(net);
    deconv_card_destroy(card);
    deconv_ctx_destroy(ctx);
    return 0;
}
