/* Projections by windows against projections by whole layers, bit for bit, in every layer of a real
 * network on a real picture.
 *
 *   real_windows MODEL.onnx PICTURE
 *
 * Uses nothing but the public header. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deconv.h>

enum { SEEDS = 5, RULES = 3 };

typedef struct surroundings {
    deconv_ctx *ctx;
    deconv_net *net;
    deconv_trace *trace;
    int64_t shape[DECONV_MAX_RANK]; /* of SEEDS projections */
    uint32_t rank;
    size_t each;
    int failures;
    int64_t compared;
} surroundings;

/* A test that cannot go on ends here. */
static void must(deconv_ctx *ctx, deconv_status status)
{
    if (status == DECONV_OK)
        return;
    printf("FAIL %s\n", deconv_ctx_message(ctx));
    exit(1);
}

static void *memory(size_t bytes)
{
    void *got = malloc(bytes);

    if (!got)
        abort();
    return got;
}

static deconv_tensor *read_picture(surroundings *s, const char *model, const char *path)
{
    deconv_card *card;
    deconv_picture *whole, *seen;
    deconv_tensor *input;
    int64_t batch;
    const char *name;
    float *values;

    must(s->ctx, deconv_net_input(s->net, 0, &name, s->shape, &s->rank, &batch));
    s->each = (size_t)(s->shape[1] * s->shape[2] * s->shape[3]);
    values = memory(s->each * sizeof *values);
    must(s->ctx, deconv_card_open(s->ctx, NULL, model, &card));
    must(s->ctx, deconv_picture_read(s->ctx, path, &whole));
    must(s->ctx, deconv_card_crop(card, whole, s->shape[2], s->shape[3], &seen));
    must(s->ctx, deconv_card_values(card, seen, s->shape[1], values, s->each));
    must(s->ctx, deconv_tensor_create(s->ctx, s->shape, s->rank, &input));
    must(s->ctx, deconv_tensor_write(input, values, s->each));
    s->shape[0] = SEEDS;
    free(values);
    deconv_picture_destroy(seen);
    deconv_picture_destroy(whole);
    deconv_card_destroy(card);
    return input;
}

/* The strongest unit, a map's strongest, two corners, and one near the middle. */
static void choose_seeds(const deconv_layer_info *info, uint32_t layer, deconv_seed *seeds)
{
    int64_t units = info->shape[1];
    int64_t height = info->rank == 4 ? info->shape[2] : 1;
    int64_t width = info->rank == 4 ? info->shape[3] : 1;

    seeds[0] = (deconv_seed){0, DECONV_STRONGEST, DECONV_STRONGEST, DECONV_STRONGEST};
    seeds[1] = (deconv_seed){0, layer * 7 % units, DECONV_STRONGEST, DECONV_STRONGEST};
    seeds[2] = (deconv_seed){0, layer * 11 % units, 0, 0};
    seeds[3] = (deconv_seed){0, units - 1, height - 1, width - 1};
    seeds[4] = (deconv_seed){0, layer * 13 % units, height / 2, width / 3};
}

static float *project(surroundings *s, uint32_t layer, const deconv_seed *seeds, deconv_rule rule,
                      uint32_t flags, deconv_projection_info *infos)
{
    deconv_project_options options = DECONV_PROJECT_OPTIONS_INIT;
    float *values = memory(SEEDS * s->each * sizeof *values);
    deconv_tensor *result;

    options.rule = rule;
    options.flags = flags;
    must(s->ctx, deconv_tensor_create(s->ctx, s->shape, s->rank, &result));
    must(s->ctx, deconv_project(s->trace, layer, seeds, SEEDS, &options, result, infos));
    must(s->ctx, deconv_tensor_read(result, values, SEEDS * s->each));
    deconv_tensor_destroy(result);
    return values;
}

/* Bit for bit, but that -0 is 0: a sum of nothing may have either sign. */
static size_t differences(const float *a, const float *b, size_t count)
{
    size_t different = 0;

    for (size_t i = 0; i < count; i++) {
        float x = a[i] + 0.0f, y = b[i] + 0.0f;

        different += memcmp(&x, &y, sizeof x) != 0;
    }
    return different;
}

static void compare(surroundings *s, uint32_t layer, const deconv_layer_info *info,
                    deconv_rule rule)
{
    static const char *const names[RULES] = {"deconvnet", "gradient", "guided"};
    deconv_projection_info cut_infos[SEEDS], whole_infos[SEEDS];
    deconv_seed seeds[SEEDS];
    float *cut, *whole;

    choose_seeds(info, layer, seeds);
    cut = project(s, layer, seeds, rule, 0, cut_infos);
    whole = project(s, layer, seeds, rule, DECONV_PROJECT_WHOLE, whole_infos);
    for (int i = 0; i < SEEDS; i++) {
        const deconv_projection_info *a = &cut_infos[i], *b = &whole_infos[i];
        size_t different =
            differences(cut + (size_t)i * s->each, whole + (size_t)i * s->each, s->each);

        s->compared++;
        if (different == 0 && a->unit == b->unit && a->y == b->y && a->x == b->x &&
            a->largest == b->largest && a->died_at == b->died_at)
            continue;
        s->failures++;
        printf("FAIL %s, %s, unit %lld at %lld,%lld: %zu values differ; largest %.9g and %.9g, "
               "died at %d and %d\n",
               info->name, names[rule], (long long)b->unit, (long long)b->y, (long long)b->x,
               different, (double)a->largest, (double)b->largest, a->died_at, b->died_at);
    }
    free(cut);
    free(whole);
}

int main(int argc, char **argv)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    char error[512] = "";
    surroundings s = {0};
    deconv_tensor *input;
    uint32_t layers;

    if (argc != 3) {
        fprintf(stderr, "usage: real_windows MODEL.onnx PICTURE\n");
        return 2;
    }
    options.error = error;
    options.error_size = sizeof error;
    if (deconv_ctx_create(&options, &s.ctx) != DECONV_OK) {
        printf("FAIL %s\n", error);
        return 1;
    }
    must(s.ctx, deconv_net_open(s.ctx, argv[1], NULL, &s.net));
    input = read_picture(&s, argv[1], argv[2]);
    must(s.ctx, deconv_trace_create(s.net, 1, NULL, &s.trace));
    must(s.ctx, deconv_trace_run(s.trace, (const deconv_tensor *const *)&input, 1));
    layers = deconv_net_layer_count(s.net);
    for (uint32_t layer = 0; layer < layers; layer++) {
        deconv_layer_info info = DECONV_LAYER_INFO_INIT;

        must(s.ctx, deconv_net_layer(s.net, layer, &info));
        /* What has its channels in groups has no units. */
        for (int rule = 0; info.rank <= 4 && rule < RULES; rule++)
            compare(&s, layer, &info, (deconv_rule)rule);
        fflush(stdout);
    }
    printf("%u layers, %lld projections by windows and whole, %d differ\n", layers,
           (long long)s.compared, s.failures);
    deconv_trace_destroy(s.trace);
    deconv_tensor_destroy(input);
    deconv_net_destroy(s.net);
    deconv_ctx_destroy(s.ctx);
    return s.failures != 0;
}
