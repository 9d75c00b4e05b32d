/* The sweep by windows equals the plain one, bit for bit, on random networks: every layer's
 * activity, and what the network ends in.
 *
 *   occluded_graphs FIRST COUNT   networks FIRST, FIRST + 2, ... of tests/graphs (those that leave
 *                                 the batch open) */
#include "analysis/occlusion.h"

#include "graphs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_LAYERS = 48 };

typedef struct total {
    int sweeps, windows, maps, failures;
    int64_t values;
} total;

typedef struct run {
    deconv_ctx *ctx;
    deconv_net *net;
    deconv_tensor *input;
    uint64_t seed;
    total *total;
} run;

static int windows_used; /* as the log says */

static void on_log(deconv_log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    if (strstr(line, "occlusion:") && !strstr(line, "not pay"))
        windows_used++;
}

static void must(deconv_ctx *ctx, deconv_status status)
{
    if (status == DECONV_OK)
        return;
    printf("FAIL %s\n", deconv_ctx_message(ctx));
    exit(1);
}

static void compare(run *r, const deconv_occlusion_options *o, const deconv_occlusion *is,
                    const deconv_occlusion *should)
{
    deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
    int64_t different = 0;
    int32_t first = -1;

    must(r->ctx, deconv_occlusion_get(should, &info));
    for (uint32_t m = 0; m < info.map_count; m++) {
        const float *a = deconv_occlusion_values(is, m), *b = deconv_occlusion_values(should, m);

        for (int64_t i = 0; i < info.rows * info.columns; i++) {
            float x = a[i] + 0.0f, y = b[i] + 0.0f; /* -0 is 0: a sum of nothing has either sign */

            if (memcmp(&x, &y, sizeof x) == 0)
                continue;
            different++;
            first = first < 0 ? (int32_t)m : first;
        }
    }
    r->total->sweeps++;
    r->total->maps += (int)info.map_count;
    r->total->values += info.rows * info.columns * info.map_count;
    if (!different)
        return;
    r->total->failures++;
    printf("FAIL network %llu, patch %lldx%lld, stride %lld,%lld, %u maps: %lld values differ, "
           "in map %d first\n",
           (unsigned long long)r->seed, (long long)o->patch_height, (long long)o->patch_width,
           (long long)o->stride_y, (long long)o->stride_x, info.map_count, (long long)different,
           first);
}

/* False where the maps cannot be made of this network. */
static void sweep_twice(run *r, deconv_occlusion_options *o)
{
    const tensor *const *inputs = (const tensor *const *)&r->input;
    deconv_occlusion *windows = NULL, *full = NULL;

    o->engine = DECONV_OCCLUSION_INCREMENTAL;
    must(r->ctx, occlusion_run(r->net, inputs, 1, o, true, &windows));
    o->engine = DECONV_OCCLUSION_FULL;
    must(r->ctx, occlusion_run(r->net, inputs, 1, o, true, &full));
    compare(r, o, windows, full);
    deconv_occlusion_destroy(windows);
    deconv_occlusion_destroy(full);
}

static bool has_maps(run *r, uint32_t layer)
{
    deconv_layer_info info = DECONV_LAYER_INFO_INIT;

    must(r->ctx, deconv_net_layer(r->net, layer, &info));
    return info.rank >= 2 && info.shape[0] == 1;
}

/* All layers together, so that every value is looked at; then the last one alone, so that as little
 * as possible is kept; then the classes, where there are some. */
static void check(run *r, random_net *g)
{
    deconv_occlusion_map maps[MOST_LAYERS];
    deconv_occlusion_options o = DECONV_OCCLUSION_OPTIONS_INIT;
    const net_value *x = &g->value[0];
    int64_t height = x->rank == 4 ? x->dim[2] : 1, width = x->dim[x->rank - 1];
    deconv_layer_info last = DECONV_LAYER_INFO_INIT;
    uint32_t layers = deconv_net_layer_count(r->net), output;

    o.patch_height = 1 + (int64_t)draw(g, (uint64_t)(height + 1) / 2);
    o.patch_width = 1 + (int64_t)draw(g, (uint64_t)(width + 1) / 2);
    o.stride_y = 1 + (int64_t)draw(g, 4);
    o.stride_x = 1 + (int64_t)draw(g, 4);
    o.fill = DECONV_FILL_BLUR;
    o.maps = maps;
    for (uint32_t l = 0; l < layers && o.map_count < MOST_LAYERS; l++)
        if (has_maps(r, l))
            maps[o.map_count++] =
                (deconv_occlusion_map){DECONV_OCCLUSION_ACTIVITY, l, DECONV_STRONGEST};
    sweep_twice(r, &o);
    must(r->ctx, deconv_net_output(r->net, 0, &output));
    must(r->ctx, deconv_net_layer(r->net, output, &last));
    maps[0] = (deconv_occlusion_map){DECONV_OCCLUSION_ACTIVITY, output, 0};
    o.map_count = 1;
    o.fill = DECONV_FILL_MEAN;
    sweep_twice(r, &o);
    if (last.rank != 2 || last.shape[1] < 2)
        return;
    for (int k = 0; k < 4; k++)
        maps[k] = (deconv_occlusion_map){(deconv_occlusion_kind)k, 0, 0};
    o.map_count = 4;
    sweep_twice(r, &o);
}

static void run_one(deconv_ctx *ctx, uint64_t seed, const char *path, total *t)
{
    static random_net g; /* large */
    run r = {.ctx = ctx, .seed = seed, .total = t};
    int64_t dim[REF_MAX_RANK], count;
    float *values;

    net_draw(&g, seed);
    net_write(&g, path);
    must(ctx, deconv_net_open(ctx, path, NULL, &r.net));
    memcpy(dim, g.value[0].dim, sizeof dim);
    count = g.value[0].count / dim[0];
    dim[0] = 1;
    values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)draw(&g, 2001) / 1000.0f - 1.0f;
    must(ctx, deconv_tensor_create(ctx, dim, (uint32_t)g.value[0].rank, &r.input));
    must(ctx, deconv_tensor_write(r.input, values, (uint64_t)count));
    windows_used = 0;
    check(&r, &g);
    t->windows += windows_used;
    deconv_tensor_destroy(r.input);
    deconv_net_destroy(r.net);
    free(values);
    net_free(&g);
}

int main(int argc, char **argv)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    char folder[] = "/tmp/deconv-occluded-XXXXXX", path[64];
    deconv_ctx *ctx;
    total t = {0};
    int count;

    if (argc != 3) {
        fprintf(stderr, "usage: occluded_graphs FIRST COUNT\n");
        return 2;
    }
    options.level = DECONV_LOG_INFO;
    options.log = on_log;
    if (!mkdtemp(folder) || deconv_ctx_create(&options, &ctx) != DECONV_OK) {
        fprintf(stderr, "occluded_graphs: no device, or no folder in /tmp\n");
        return 1;
    }
    snprintf(path, sizeof path, "%s/net.onnx", folder);
    count = atoi(argv[2]);
    for (int i = 0; i < count; i++)
        run_one(ctx, strtoull(argv[1], NULL, 10) + 2 * (uint64_t)i, path, &t);
    deconv_ctx_destroy(ctx);
    unlink(path);
    rmdir(folder);
    printf(
        "%d networks, %d sweeps, %d of them by windows: %d maps, %lld values, %d sweeps differ\n",
        count, t.sweeps, t.windows, t.maps, (long long)t.values, t.failures);
    return t.failures != 0 || t.windows < t.sweeps;
}
