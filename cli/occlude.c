/* deconv occlude: what becomes of a class's probability, or of a layer's activity, when a patch
 * covers the picture place by place. */
#include "occlude.h"

#include <stdlib.h>
#include <string.h>

/* ---- Reporting ---- */

static const char *label_of(const session *s, int64_t class)
{
    return class < 0 ? NULL : deconv_card_label(s->card, (uint32_t) class);
}

static void print_class(const session *s, const char *before, int64_t class, const char *after)
{
    const char *label = label_of(s, class);

    printf("%sclass %lld%s%s%s%s", before, (long long)class, label ? " (" : "", label ? label : "",
           label ? ")" : "", after);
}

static int64_t find_lowest(const float *values, int64_t count)
{
    int64_t lowest = 0;

    for (int64_t i = 1; i < count; i++)
        if (values[i] < values[lowest])
            lowest = i;
    return lowest;
}

static int64_t find_highest(const float *values, int64_t count)
{
    int64_t highest = 0;

    for (int64_t i = 1; i < count; i++)
        if (values[i] > values[highest])
            highest = i;
    return highest;
}

static void print_labels(const session *s, const float *values, int64_t count, int64_t clean)
{
    int64_t other = 0, as_before = 0;

    for (int64_t i = 0; i < count; i++) {
        as_before += (int64_t)values[i] == clean;
        if ((int64_t)values[i] != clean)
            other = i;
    }
    printf("label: as on the clean picture at %lld of %lld places", (long long)as_before,
           (long long)count);
    if (as_before < count)
        print_class(s, ", otherwise ", (int64_t)values[other],
                    count - as_before > 1 ? " or another" : "");
    printf("\n");
}

static void print_map(session *s, const deconv_occlusion *result, uint32_t index,
                      const deconv_occlusion_info *info)
{
    const float *values = deconv_occlusion_values(result, index);
    int64_t count = info->rows * info->columns;
    int64_t low = find_lowest(values, count), high = find_highest(values, count);
    deconv_layer_info layer = DECONV_LAYER_INFO_INIT;
    deconv_occlusion_map map;
    float clean;
    int64_t at;

    if (!worked(s, deconv_occlusion_map_get(result, index, &map, &clean)))
        return;
    if (map.kind == DECONV_OCCLUSION_LABEL) {
        print_labels(s, values, count, info->clean_label);
        return;
    }
    at = map.kind == DECONV_OCCLUSION_DROP ? high : low;
    printf("%s", occlude_kind_name(map.kind));
    if (map.kind == DECONV_OCCLUSION_ACTIVITY &&
        deconv_net_layer(s->net, map.layer, &layer) == DECONV_OK)
        printf(" of %s map %lld", layer.name, (long long)map.unit);
    printf(": %g clean, %g to %g covered, %s with the patch at row %lld, column %lld\n",
           (double)clean, (double)values[low], (double)values[high],
           at == high && at != low ? "highest" : "lowest",
           (long long)deconv_occlusion_tops(result)[at / info->columns],
           (long long)deconv_occlusion_lefts(result)[at % info->columns]);
}

static cJSON *map_json(session *s, const deconv_occlusion *result, uint32_t index,
                       const deconv_occlusion_info *info)
{
    const float *values = deconv_occlusion_values(result, index);
    deconv_layer_info layer = DECONV_LAYER_INFO_INIT;
    cJSON *json = cJSON_CreateObject(), *rows;
    deconv_occlusion_map map;
    float clean;

    if (deconv_occlusion_map_get(result, index, &map, &clean) != DECONV_OK)
        return json;
    cJSON_AddStringToObject(json, "map", occlude_kind_name(map.kind));
    if (map.kind == DECONV_OCCLUSION_ACTIVITY &&
        deconv_net_layer(s->net, map.layer, &layer) == DECONV_OK) {
        cJSON_AddStringToObject(json, "layer", layer.name);
        cJSON_AddNumberToObject(json, "unit", (double)map.unit);
    }
    cJSON_AddNumberToObject(json, "clean", (double)clean);
    rows = cJSON_AddArrayToObject(json, "values");
    for (int64_t y = 0; y < info->rows; y++) {
        cJSON *row = cJSON_CreateArray();

        for (int64_t x = 0; x < info->columns; x++)
            cJSON_AddItemToArray(row, cJSON_CreateNumber((double)values[y * info->columns + x]));
        cJSON_AddItemToArray(rows, row);
    }
    return json;
}

static int print_as_json(session *s, const occlude_options *o, const deconv_occlusion *result,
                         const deconv_occlusion_info *info, const char *model, const char *path)
{
    const int64_t patch[] = {info->patch_height, info->patch_width};
    const int64_t stride[] = {info->stride_y, info->stride_x};
    const char *label = label_of(s, info->class_index);
    cJSON *json = cJSON_CreateObject(), *maps, *tops, *lefts;

    cJSON_AddStringToObject(json, "model", model);
    cJSON_AddStringToObject(json, "input", path);
    if (info->class_index >= 0) {
        cJSON_AddNumberToObject(json, "class", (double)info->class_index);
        if (label)
            cJSON_AddStringToObject(json, "label", label);
        cJSON_AddNumberToObject(json, "probability", (double)info->clean_prob);
        cJSON_AddNumberToObject(json, "logit", (double)info->clean_logit);
        cJSON_AddNumberToObject(json, "clean_class", (double)info->clean_label);
    }
    cJSON_AddItemToObject(json, "patch", json_shape(patch, 2));
    cJSON_AddItemToObject(json, "stride", json_shape(stride, 2));
    cJSON_AddStringToObject(json, "fill", o->fill ? o->fill : "mean");
    if (o->out)
        cJSON_AddStringToObject(json, "picture", o->out);
    if (o->overlay)
        cJSON_AddStringToObject(json, "overlay", o->overlay);
    if (o->raw)
        cJSON_AddStringToObject(json, "raw", o->raw);
    tops = cJSON_AddArrayToObject(json, "tops");
    for (int64_t y = 0; y < info->rows; y++)
        cJSON_AddItemToArray(tops, cJSON_CreateNumber((double)deconv_occlusion_tops(result)[y]));
    lefts = cJSON_AddArrayToObject(json, "lefts");
    for (int64_t x = 0; x < info->columns; x++)
        cJSON_AddItemToArray(lefts, cJSON_CreateNumber((double)deconv_occlusion_lefts(result)[x]));
    maps = cJSON_AddArrayToObject(json, "maps");
    for (uint32_t m = 0; m < o->asked; m++)
        cJSON_AddItemToArray(maps, map_json(s, result, m, info));
    return print_json(json);
}

static int report(session *s, const occlude_options *o, const deconv_occlusion *result,
                  const deconv_occlusion_info *info, const char *model, const char *path)
{
    char text[64];

    if (s->json)
        return print_as_json(s, o, result, info, model, path);
    if (info->class_index >= 0) {
        snprintf(text, sizeof text, ": probability %.4f\n", (double)info->clean_prob);
        print_class(s, "", info->class_index, text);
        if (info->class_index != info->clean_label)
            print_class(s, "the most probable is ", info->clean_label, "\n");
    }
    printf("%lld x %lld places of a patch of %lld x %lld\n", (long long)info->rows,
           (long long)info->columns, (long long)info->patch_height, (long long)info->patch_width);
    for (uint32_t m = 0; m < o->asked; m++)
        print_map(s, result, m, info);
    if (o->out)
        printf("wrote %s\n", o->out);
    if (o->overlay)
        printf("wrote %s\n", o->overlay);
    if (o->raw)
        printf("wrote %s\n", o->raw);
    return finish_output();
}

/* ---- Running ---- */

/* (rows, columns) of one map, (maps, rows, columns) of several. */
static bool write_raw(session *s, const occlude_options *o, const deconv_occlusion *result,
                      const deconv_occlusion_info *info)
{
    const int64_t shape[] = {o->asked, info->rows, info->columns};
    size_t count = (size_t)(info->rows * info->columns);
    uint32_t skip = o->asked == 1 ? 1 : 0;
    float *values = malloc(count * o->asked * sizeof *values);
    bool done;

    if (!values) {
        fail("no memory: %u maps of %zu values", o->asked, count);
        return false;
    }
    for (uint32_t m = 0; m < o->asked; m++)
        memcpy(values + m * count, deconv_occlusion_values(result, m), count * sizeof *values);
    done = worked(s, deconv_values_save(s->ctx, values, shape + skip, 3 - skip, o->raw));
    free(values);
    return done;
}

static int run(session *s, occlude_options *o, const char *model, const char *path)
{
    deconv_occlusion_info info = DECONV_OCCLUSION_INFO_INIT;
    deconv_occlusion *result = NULL;
    occluded drawn;
    input in = {0};
    int status = EXIT_FAILED;

    if (!session_open(s) || !session_open_net(s, model) || !occlude_find_maps(s, o) ||
        !input_open(s, path, &in))
        goto done;
    if (in.batch > 1) {
        fail("%s: %lld inputs; occlude takes one", path, (long long)in.batch);
        goto done;
    }
    if ((o->out || o->overlay) && !in.picture) {
        fail("%s: no picture to draw on; write --raw FILE.npy", path);
        goto done;
    }
    o->how.card = s->card;
    if (!worked(s, deconv_occlusion_run(s->net, (const deconv_tensor *const *)&in.tensor, 1,
                                        &o->how, &result)) ||
        !worked(s, deconv_occlusion_get(result, &info)))
        goto done;
    progress_clear();
    drawn = (occluded){result, info, &in, path, o->asked};
    if ((o->raw && !write_raw(s, o, result, &info)) || (o->out && !occlude_draw(s, o, &drawn)) ||
        (o->overlay && !occlude_draw_overlay(s, o, &drawn)))
        goto done;
    status = report(s, o, result, &info, model, path);
done:
    deconv_occlusion_destroy(result);
    input_close(&in);
    return status;
}

int command_occlude(int argc, const char **argv)
{
    static const usage usage = {
        "MODEL INPUT",
        "Covers a picture with a patch, place by place, and shows what becomes of the network's\n"
        "answer (Zeiler & Fergus 2013): the probability of a class, its logit or how far the\n"
        "probability drops, the most probable label, or the activity of a feature map. Draws the\n"
        "paper's figure: the picture, the activity of a layer's strongest map, that map's\n"
        "projection, the probability and the most probable label at every place.",
        "Examples:\n"
        "  deconv occlude squeezenet.onnx dog.jpg --patch 32 --stride 16\n"
        "  deconv occlude squeezenet.onnx dog.jpg --class pug --map prob --map label --raw "
        "maps.npy\n"
        "  deconv occlude squeezenet.onnx dog.jpg --fill blur --map activity:fire8/concat\n"};
    session s = {0};
    occlude_options o = {.how = DECONV_OCCLUSION_OPTIONS_INIT};
    struct poptOption options[] = {
        {"patch", 0, POPT_ARG_STRING, &o.patch, 0,
         "pixels of the patch, height and width (a seventh of the picture)", "N[,M]"},
        {"stride", 0, POPT_ARG_STRING, &o.stride, 0,
         "pixels from one place to the next (half the patch)", "N"},
        {"region", 0, POPT_ARG_STRING, &o.region, 0, "cover only places in this part",
         "TOP,LEFT,BOTTOM,RIGHT"},
        {"fill", 0, POPT_ARG_STRING, &o.fill, 0,
         "what covers: mean (default), grey, R,G,B, blur or noise:SEED", "FILL"},
        {"map", 0, POPT_ARG_ARGV, &o.maps, 0,
         "prob (default), logit, drop, label or activity:LAYER[:UNIT]; may be given several times",
         "MAP"},
        {"class", 0, POPT_ARG_STRING, &o.class, 0,
         "the class by index or label (the most probable)", "N|LABEL"},
        {"engine", 0, POPT_ARG_STRING, &o.engine, 0,
         "incremental (default: only what the patch changes) or full; the result is the same",
         "ENGINE"},
        {"layer", 0, POPT_ARG_STRING, &o.layer, 0,
         "the figure shows this layer's strongest map (the last one with positions)", "NAME"},
        {"output", 'o', POPT_ARG_STRING, &o.out, 0,
         "the figure (occlusion.png unless another file is written)", "FILE.png"},
        {"overlay", 0, POPT_ARG_STRING, &o.overlay, 0, "the first map laid over the picture",
         "FILE.png"},
        {"raw", 0, POPT_ARG_STRING, &o.raw, 0,
         "write the map (rows,columns), or maps (maps,rows,columns), as float32", "FILE.npy"},
        POPT_TABLEEND};
    const char *words[2];
    int result = session_parse(&s, argc, argv, options, &usage, words, 2);

    if (result < 0)
        result = occlude_check(&s, &o, words[1]);
    if (result < 0)
        result = run(&s, &o, words[0], words[1]);
    session_close(&s);
    occlude_options_free(&o);
    return result;
}
