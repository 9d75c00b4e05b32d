/* The command line of `deconv occlude`. */
#include "occlude.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"prob", "logit", "drop", "label", "activity", NULL};

const char *occlude_kind_name(deconv_occlusion_kind kind)
{
    return kind_names[kind];
}

/* "16" or "16,24", each at least 1. */
static bool parse_sides(const char *text, int64_t *first, int64_t *second)
{
    if (parse_number(text, first))
        *second = *first;
    else if (!parse_pair(text, first, second))
        return false;
    return *first > 0 && *second > 0;
}

/* `count` numbers with commas between. */
static bool parse_list(const char *text, int64_t *numbers, int count)
{
    char word[32];

    for (int i = 0; i < count; i++) {
        size_t length = strcspn(text, ",");

        if (length >= sizeof word || (text[length] == ',') != (i + 1 < count))
            return false;
        memcpy(word, text, length);
        word[length] = '\0';
        if (!parse_number(word, &numbers[i]))
            return false;
        text += length + 1;
    }
    return true;
}

static bool parse_fill(const char *text, deconv_occlusion_options *how)
{
    static const char *const fills[] = {"mean", "grey", "", "blur", NULL};
    int fill = *text ? parse_choice(text, fills) : -1;
    int64_t colour[3], seed;

    if (fill >= 0) {
        how->fill = (deconv_fill)fill;
        return true;
    }
    if (strncmp(text, "noise:", 6) == 0 && parse_number(text + 6, &seed)) {
        how->fill = DECONV_FILL_NOISE;
        how->seed = (uint64_t)seed;
        return true;
    }
    if (!parse_list(text, colour, 3))
        return false;
    how->fill = DECONV_FILL_COLOUR;
    for (int c = 0; c < 3; c++) {
        if (colour[c] > 255)
            return false;
        how->colour[c] = (float)colour[c];
    }
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static int check_maps(const session *s, const occlude_options *o)
{
    int count = 0;

    for (; o->maps && o->maps[count]; count++) {
        const char *text = o->maps[count];

        if (strncmp(text, "activity:", 9) == 0 && text[9])
            continue;
        if (strncmp(text, "activity", 8) == 0)
            return fail_usage(s,
                              "--map %s: the layer is missing: activity:LAYER or "
                              "activity:LAYER:UNIT",
                              text);
        if (parse_choice(text, kind_names) < 0)
            return fail_usage(
                s, "--map %s: one of prob, logit, drop, label, activity:LAYER[:UNIT] is wanted",
                text);
    }
    if (count > MOST_MAPS)
        return fail_usage(s, "--map is there %d times; %d maps can come from one sweep", count,
                          MOST_MAPS);
    return -1;
}

int occlude_check(const session *s, occlude_options *o, const char *path)
{
    static const char *const engines[] = {"incremental", "full", NULL};
    deconv_occlusion_options *how = &o->how;
    int64_t region[4];
    int engine;

    if (o->patch && !parse_sides(o->patch, &how->patch_height, &how->patch_width))
        return fail_usage(s, "--patch %s: pixels as N, or height and width as N,M, at least 1",
                          o->patch);
    if (o->stride && !parse_sides(o->stride, &how->stride_y, &how->stride_x))
        return fail_usage(s, "--stride %s: pixels from one place to the next, at least 1",
                          o->stride);
    if (o->region) {
        if (!parse_list(o->region, region, 4) || region[2] <= region[0] || region[3] <= region[1])
            return fail_usage(s,
                              "--region %s: first row, first column, and the row and column behind "
                              "the last, as TOP,LEFT,BOTTOM,RIGHT",
                              o->region);
        how->top = region[0];
        how->left = region[1];
        how->bottom = region[2];
        how->right = region[3];
    }
    if (o->fill && !parse_fill(o->fill, how))
        return fail_usage(s,
                          "--fill %s: one of mean, grey, blur, noise:SEED, or a colour R,G,B from "
                          "0 to 255 is wanted",
                          o->fill);
    if (!o->out && !o->overlay && !o->raw && !ends_with(path, ".npy"))
        o->out = strdup("occlusion.png");
    if (o->layer && !o->out)
        return fail_usage(s, "--layer is for the figure, -o FILE.png; a layer's map is --map "
                             "activity:LAYER");
    if (o->engine) {
        engine = parse_choice(o->engine, engines);
        if (engine < 0)
            return fail_usage(s, "--engine %s: the engines are incremental and full", o->engine);
        how->engine = (deconv_occlusion_engine)engine;
    }
    if (o->class && !parse_number(o->class, &how->class_index))
        how->label = o->class;
    return check_maps(s, o);
}

/* LAYER or LAYER:UNIT; a layer's name may hold colons itself. */
static bool find_activity(session *s, const char *text, deconv_occlusion_map *map)
{
    const char *colon = strrchr(text, ':');
    char *name;
    bool found;

    map->kind = DECONV_OCCLUSION_ACTIVITY;
    map->unit = DECONV_STRONGEST;
    if (!colon || deconv_net_find(s->net, text, &map->layer) == DECONV_OK)
        return find_layer(s, text, &map->layer);
    if (!parse_number(colon + 1, &map->unit))
        return find_layer(s, text, &map->layer);
    name = strndup(text, (size_t)(colon - text));
    found = name && find_layer(s, name, &map->layer);
    if (!name)
        fail("no memory for a layer's name");
    free(name);
    return found;
}

bool occlude_find_maps(session *s, occlude_options *o)
{
    uint32_t count = 0;

    for (; o->maps && o->maps[count]; count++) {
        deconv_occlusion_map *map = &o->map[count];
        const char *text = o->maps[count];

        if (strncmp(text, "activity:", 9) != 0)
            map->kind = (deconv_occlusion_kind)parse_choice(text, kind_names);
        else if (!find_activity(s, text + 9, map))
            return false;
    }
    if (count == 0)
        o->map[count++] = (deconv_occlusion_map){DECONV_OCCLUSION_PROB, 0, 0};
    o->asked = count;
    if (o->out) {
        deconv_occlusion_map *figure = o->map + count;

        figure[FIGURE_ACTIVITY] =
            (deconv_occlusion_map){DECONV_OCCLUSION_ACTIVITY, 0, DECONV_STRONGEST};
        figure[FIGURE_PROB] = (deconv_occlusion_map){DECONV_OCCLUSION_PROB, 0, 0};
        figure[FIGURE_LABEL] = (deconv_occlusion_map){DECONV_OCCLUSION_LABEL, 0, 0};
        if (!occlude_find_layer(s, o->layer, &figure[FIGURE_ACTIVITY].layer))
            return false;
        count += FIGURE_MAPS;
    }
    o->how.maps = o->map;
    o->how.map_count = count;
    return true;
}

bool occlude_find_layer(session *s, const char *name, uint32_t *layer)
{
    deconv_layer_info info = DECONV_LAYER_INFO_INIT;
    bool found = false;

    if (name)
        return find_layer(s, name, layer);
    for (uint32_t l = 0; l < deconv_net_layer_count(s->net); l++) {
        if (!worked(s, deconv_net_layer(s->net, l, &info)))
            return false;
        if (info.rank != 4 || info.shape[2] * info.shape[3] < 2)
            continue;
        *layer = l;
        found = true;
    }
    if (!found)
        fail("no layer of the network has maps of positions; write --raw FILE.npy without a "
             "figure");
    return found;
}

void occlude_options_free(occlude_options *o)
{
    for (int i = 0; o->maps && o->maps[i]; i++)
        free(o->maps[i]);
    free(o->maps);
    free(o->patch);
    free(o->stride);
    free(o->region);
    free(o->fill);
    free(o->class);
    free(o->engine);
    free(o->layer);
    free(o->out);
    free(o->overlay);
    free(o->raw);
}
