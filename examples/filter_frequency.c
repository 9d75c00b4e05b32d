/* What a network's layers respond to: for each convolution the shares of low, middle and high
 * frequencies in its filters, and what that means. With a picture also what passes through.
 *
 *   filter_frequency MODEL.onnx [PICTURE]
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
    fprintf(stderr, "filter_frequency: error: %s\n", deconv_ctx_message(ctx));
    exit(1);
}

/* Runs a picture, prepared by the model card, through the net and adds it to the analysis. */
static void add_picture(deconv_ctx *ctx, deconv_net *net, deconv_frequency *frequency,
                        const char *model, const char *path)
{
    int64_t shape[DECONV_MAX_RANK] = {0}, batch;
    deconv_picture *whole, *seen;
    deconv_tensor *input;
    deconv_card *card;
    const char *name;
    uint64_t count;
    uint32_t rank;
    float *values;

    check(ctx, deconv_net_input(net, 0, &name, shape, &rank, &batch));
    check(ctx, deconv_card_open(ctx, NULL, model, &card));
    check(ctx, deconv_picture_read(ctx, path, &whole));
    check(ctx, deconv_card_crop(card, whole, shape[2], shape[3], &seen));
    check(ctx, deconv_tensor_create(ctx, shape, rank, &input));
    count = deconv_tensor_count(input);
    values = malloc((size_t)count * sizeof *values);
    if (!values)
        exit(1);
    check(ctx, deconv_card_values(card, seen, shape[1], values, count));
    check(ctx, deconv_tensor_write(input, values, count));
    check(ctx, deconv_frequency_run(frequency, (const deconv_tensor *const *)&input, 1));
    free(values);
    deconv_tensor_destroy(input);
    deconv_picture_destroy(seen);
    deconv_picture_destroy(whole);
    deconv_card_destroy(card);
}

static void print_bands(const char *what, const deconv_bands *b)
{
    printf("  %-8s DC %5.1f %%   low %5.1f %%   mid %5.1f %%   high %5.1f %%\n", what, 100 * b->dc,
           100 * b->low, 100 * b->mid, 100 * b->high);
}

int main(int argc, char **argv)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    char error[512] = "";
    deconv_frequency *frequency;
    deconv_bands input;
    deconv_ctx *ctx;
    deconv_net *net;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: filter_frequency MODEL.onnx [PICTURE]\n");
        return 2;
    }
    options.error = error;
    options.error_size = sizeof error;
    if (deconv_ctx_create(&options, &ctx) != DECONV_OK) {
        fprintf(stderr, "filter_frequency: error: %s\n", error);
        return 1;
    }
    check(ctx, deconv_net_open(ctx, argv[1], NULL, &net));
    check(ctx, deconv_frequency_create(net, NULL, &frequency));
    if (argc > 2) {
        add_picture(ctx, net, frequency, argv[1], argv[2]);
        check(ctx, deconv_frequency_input(frequency, &input));
        printf("the picture\n");
        print_bands("pixels", &input);
    }
    for (uint32_t i = 0; i < deconv_frequency_count(frequency); i++) {
        deconv_frequency_info info = DECONV_FREQUENCY_INFO_INIT;

        check(ctx, deconv_frequency_get(frequency, i, &info));
        printf("%s: %s\n", info.name, info.text);
        print_bands("filters", &info.filter_bands);
        if (argc > 2)
            print_bands("maps", &info.map_bands);
    }
    deconv_frequency_destroy(frequency);
    deconv_net_destroy(net);
    deconv_ctx_destroy(ctx);
    return 0;
}
