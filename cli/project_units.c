/* deconv project --units: the projections of all or some maps of a layer, each from the map's
 * strongest position, as one montage of receptive fields. */
#include "project.h"

#include <stdlib.h>
#include <string.h>

enum {
    GAP = 4,
    SMALLEST_TILE = 64, /* smaller receptive fields are enlarged about to this */
    LARGEST_SCALE = 16,
    MONTAGE_PIXELS = 24 << 20, /* larger receptive fields are reduced until the tiles fit */
    CHUNK_VALUES = 16 << 20,   /* of projections in memory at a time: 64 MiB */
    CAPTION_SIZE = 48,
    NUMBER_WIDTH = 28, /* narrowest tiles that carry a unit's number, */
    WORD_WIDTH = 90,   /* ... and the word before it */
    MID_GREY = 128
};

/* ---- The list of units ---- */

typedef struct unit_list {
    int64_t *unit;
    uint64_t count;
} unit_list;

/* Takes one "7" or "10-20" and the comma behind it; false where the text is neither. */
static bool next_range(const char **text, int64_t *first, int64_t *last)
{
    size_t length = strcspn(*text, ",");
    char range[48], *dash;

    if (length == 0 || length >= sizeof range)
        return false;
    memcpy(range, *text, length);
    range[length] = '\0';
    *text += length;
    if (**text == ',' && !*++*text)
        return false;
    dash = strchr(range + 1, '-');
    if (dash)
        *dash = '\0';
    if (!parse_number(range, first) || !parse_number(dash ? dash + 1 : range, last))
        return false;
    return *first <= *last;
}

int units_check(const session *s, const project_options *o)
{
    const char *text = o->units;
    int64_t first, last;

    if (o->unit)
        return fail_usage(s, "--unit and --units: give one of them");
    if (o->alone)
        return fail_usage(s, "--alone and --units: a montage is no single projection");
    if (strcmp(text, "all") == 0)
        return -1;
    do {
        if (!next_range(&text, &first, &last))
            return fail_usage(s, "--units %s: all, or numbers and ranges as in 3,7,10-20",
                              o->units);
    } while (*text);
    return -1;
}

/* Counts the units of a list that was checked, and writes them down where `unit` is not NULL. The
 * message names a unit that the layer does not have. */
static bool walk_list(const char *text, const char *layer, int64_t units, int64_t *unit,
                      uint64_t *count)
{
    int64_t first = 0, last = units - 1;
    bool all = strcmp(text, "all") == 0;

    *count = 0;
    do {
        if (!all && !next_range(&text, &first, &last))
            return false;
        if (last >= units) {
            fail("%s: feature map %lld does not exist; the layer has %lld (0-%lld)", layer,
                 (long long)last, (long long)units, (long long)units - 1);
            return false;
        }
        for (int64_t u = first; unit && u <= last; u++)
            unit[*count + (uint64_t)(u - first)] = u;
        *count += (uint64_t)(last - first + 1);
    } while (!all && *text);
    return true;
}

static bool read_list(session *s, const project_options *o, uint32_t layer, unit_list *list)
{
    deconv_layer_info info = DECONV_LAYER_INFO_INIT;
    int64_t units;

    if (!worked(s, deconv_net_layer(s->net, layer, &info)))
        return false;
    if (info.rank < 1 || info.rank > 4) {
        fail("%s has %u dimensions; units are projected from layers of 1 to 4", info.name,
             info.rank);
        return false;
    }
    units = info.rank > 1 ? info.shape[1] : info.shape[0];
    if (!walk_list(o->units, info.name, units, NULL, &list->count))
        return false;
    if (list->count > INT32_MAX) {
        fail("--units names %llu units; at most %d are projected in one run",
             (unsigned long long)list->count, INT32_MAX);
        return false;
    }
    list->unit = malloc((size_t)list->count * sizeof *list->unit);
    if (!list->unit) {
        fail("no memory: %llu units", (unsigned long long)list->count);
        return false;
    }
    return walk_list(o->units, info.name, units, list->unit, &list->count);
}

/* ---- One tile ---- */

typedef struct montage {
    deconv_picture **tile;
    char (*caption)[CAPTION_SIZE];
    int64_t height, width; /* of the part of a projection that a tile shows */
    int64_t reduce;        /* pixels of a projection to a pixel of its tile, across and down */
    uint32_t columns, scale;
    bool captions;
} montage;

/* `count` pixels of a channel become their mean. */
static bool reduce_picture(session *s, int64_t by, deconv_picture **picture)
{
    int64_t width = deconv_picture_width(*picture), height = deconv_picture_height(*picture);
    int64_t w = (width + by - 1) / by, h = (height + by - 1) / by;
    const uint8_t *from = deconv_picture_pixels(*picture);
    uint8_t *to = malloc((size_t)(w * h * 3));
    deconv_picture *small = NULL;

    if (!to) {
        fail("no memory: a tile of %lld x %lld pixels", (long long)w, (long long)h);
        return false;
    }
    for (int64_t i = 0; i < w * h * 3; i++) {
        int64_t left = i / 3 % w * by, top = i / 3 / w * by, sum = 0, count = 0;

        for (int64_t y = top; y < top + by && y < height; y++)
            for (int64_t x = left; x < left + by && x < width; x++, count++)
                sum += from[(y * width + x) * 3 + i % 3];
        to[i] = (uint8_t)((sum + count / 2) / count);
    }
    if (!worked(s, deconv_picture_create(s->ctx, w, h, to, &small))) {
        free(to);
        return false;
    }
    free(to);
    deconv_picture_destroy(*picture);
    *picture = small;
    return true;
}

/* `size` positions of 0..limit-1 that hold from..to-1, which lie in their middle where the border
 * allows it. */
static int64_t place_window(int64_t from, int64_t to, int64_t size, int64_t limit)
{
    int64_t start = from - (size - (to - from)) / 2;

    if (start > limit - size)
        start = limit - size;
    return start > 0 ? start : 0;
}

/* The receptive field's part of one projection (channels, height, width), scaled for itself. At the
 * border, where a field is cut, the tile goes on inside: everything beyond a field is zero. An
 * empty projection is grey whatever the scaling. */
static bool make_tile(session *s, const project_options *o, uint32_t layer, const float *values,
                      const int64_t *shape, const deconv_projection_info *info, montage *m,
                      deconv_picture **tile)
{
    deconv_scaling scaling = info->largest > 0.0f ? o->display : DECONV_SCALING_ZERO_GREY;
    int64_t top, left, bottom, right, height, width;
    float *part;
    bool done;

    if (!worked(s, deconv_net_field(s->net, layer, info->y, info->x, &top, &left, &bottom, &right)))
        return false;
    height = bottom - top > m->height ? bottom - top : m->height;
    width = right - left > m->width ? right - left : m->width;
    top = place_window(top, bottom, height, shape[2]);
    left = place_window(left, right, width, shape[3]);
    part = malloc((size_t)(shape[1] * height * width) * sizeof *part);
    if (!part) {
        fail("no memory: a tile of %lld x %lld values", (long long)width, (long long)height);
        return false;
    }
    for (int64_t row = 0; row < shape[1] * height; row++)
        memcpy(part + row * width,
               values + (row / height * shape[2] + top + row % height) * shape[3] + left,
               (size_t)width * sizeof *part);
    done = worked(s, deconv_picture_display(s->ctx, part, shape[1], height, width, scaling,
                                            deconv_card_bgr(s->card), tile)) &&
           (m->reduce == 1 || reduce_picture(s, m->reduce, tile));
    free(part);
    return done;
}

/* ---- The montage ---- */

/* About as wide as high; a little wider where the last row is fuller then. */
static uint32_t choose_columns(uint64_t count, int64_t cell_width, int64_t cell_height)
{
    uint32_t square = 1, best;
    uint64_t fewest = UINT64_MAX;

    while ((uint64_t)square * square * (uint64_t)cell_width < count * (uint64_t)cell_height)
        square++;
    best = square;
    for (uint32_t columns = square; columns <= square + square / 4; columns++) {
        uint64_t missing = (columns - count % columns) % columns;

        if (missing < fewest) {
            fewest = missing;
            best = columns;
        }
    }
    return best;
}

/* How large the tiles are drawn. The size of the central unit's field stands for that of all. */
static bool plan_montage(session *s, uint32_t layer, uint64_t count, montage *m)
{
    deconv_layer_info info = DECONV_LAYER_INFO_INIT;
    int64_t width, height, longer;

    if (!worked(s, deconv_net_layer(s->net, layer, &info)))
        return false;
    width = info.field_width > 0 ? info.field_width : 1;
    height = info.field_height > 0 ? info.field_height : 1;
    m->height = height;
    m->width = width;
    longer = width > height ? width : height;
    m->scale = longer >= SMALLEST_TILE ? 1 : (uint32_t)((SMALLEST_TILE + longer / 2) / longer);
    if (m->scale > LARGEST_SCALE)
        m->scale = LARGEST_SCALE;
    m->reduce = 1;
    while (m->reduce < longer &&
           (uint64_t)((width / m->reduce) * (height / m->reduce)) * m->scale * m->scale >
               (uint64_t)MONTAGE_PIXELS / count)
        m->scale > 1 ? m->scale-- : m->reduce++;
    width = (width + m->reduce - 1) / m->reduce * m->scale;
    height = (height + m->reduce - 1) / m->reduce * m->scale;
    m->columns = choose_columns(count, width + GAP, height + GAP);
    m->captions = width >= NUMBER_WIDTH;
    m->tile = calloc((size_t)count, sizeof *m->tile);
    m->caption = calloc((size_t)count, sizeof *m->caption);
    if (m->tile && m->caption)
        return true;
    fail("no memory: %llu tiles", (unsigned long long)count);
    return false;
}

static void caption_tile(montage *m, uint64_t index, const deconv_projection_info *info)
{
    int64_t width = deconv_picture_width(m->tile[index]) * m->scale;

    snprintf(m->caption[index], CAPTION_SIZE, "%s%lld%s", width >= WORD_WIDTH ? "unit " : "",
             (long long)info->unit, width >= WORD_WIDTH && info->largest == 0.0f ? ": empty" : "");
}

static bool write_montage(session *s, const project_options *o, const montage *m, uint64_t count)
{
    const char **captions = calloc((size_t)count, sizeof *captions);
    deconv_picture *picture = NULL;
    bool done;

    if (!captions) {
        fail("no memory: %llu captions", (unsigned long long)count);
        return false;
    }
    for (uint64_t i = 0; i < count; i++)
        captions[i] = m->caption[i];
    done = worked(s, deconv_picture_montage(s->ctx, (const deconv_picture *const *)m->tile,
                                            m->captions ? captions : NULL, (uint32_t)count,
                                            m->columns, GAP, m->scale, &picture)) &&
           worked(s, deconv_picture_write(picture, o->out));
    deconv_picture_destroy(picture);
    free(captions);
    return done;
}

static void free_montage(montage *m, uint64_t count)
{
    for (uint64_t i = 0; m->tile && i < count; i++)
        deconv_picture_destroy(m->tile[i]);
    free(m->tile);
    free(m->caption);
}

/* ---- Projecting ---- */

typedef struct units_job {
    session *s;
    const project_options *o;
    deconv_trace *trace;
    uint32_t layer, rank;
    int64_t shape[DECONV_MAX_RANK]; /* of the projections in memory at a time */
    unit_list list;
    deconv_projection_info *infos;
    montage montage;
    raw_file raw;
} units_job;

/* Units `first` to `first + shape[0]` by one call; their tiles, and their part of the raw file. */
static bool project_chunk(units_job *j, uint64_t first)
{
    uint64_t count = (uint64_t)j->shape[0];
    deconv_projection_info *infos = j->infos + first;
    deconv_seed *seeds = malloc((size_t)count * sizeof *seeds);
    deconv_tensor *result = NULL;
    float *values = NULL;
    uint64_t size;
    bool done;

    for (uint64_t i = 0; seeds && i < count; i++) {
        seeds[i] = j->o->where;
        seeds[i].unit = j->list.unit[first + i];
    }
    if (!seeds)
        fail("no memory: %llu seeds", (unsigned long long)count);
    done =
        seeds && worked(j->s, deconv_tensor_create(j->s->ctx, j->shape, j->rank, &result)) &&
        worked(j->s, deconv_project(j->trace, j->layer, seeds, count, &j->o->how, result, infos)) &&
        (values = tensor_values(j->s, result));
    size = done ? deconv_tensor_count(result) : 0;
    done = done && (!j->raw.file || raw_append(&j->raw, values, size));
    for (uint64_t i = 0; done && j->o->out && i < count; i++) {
        done = make_tile(j->s, j->o, j->layer, values + i * (size / count), j->shape, &infos[i],
                         &j->montage, &j->montage.tile[first + i]);
        if (done)
            caption_tile(&j->montage, first + i, &infos[i]);
    }
    free(seeds);
    free(values);
    deconv_tensor_destroy(result);
    return done;
}

static bool project_all(units_job *j)
{
    int64_t count = (int64_t)j->list.count, per_unit = 1, chunk;

    for (uint32_t d = 1; d < j->rank; d++)
        per_unit *= j->shape[d];
    chunk = per_unit < CHUNK_VALUES ? CHUNK_VALUES / per_unit : 1;
    for (int64_t first = 0; first < count; first += chunk) {
        j->shape[0] = count - first < chunk ? count - first : chunk;
        if (!project_chunk(j, (uint64_t)first))
            return false;
    }
    progress_clear();
    return true;
}

/* ---- What was projected ---- */

static int report_units(const units_job *j, const char *model, const char *path)
{
    session *s = j->s;
    unsigned long long count = j->list.count, empty = 0;
    cJSON *json = s->json ? project_json(s, j->o, model, path, j->layer) : NULL;
    cJSON *list;

    for (uint64_t i = 0; i < j->list.count; i++)
        empty += j->infos[i].largest == 0.0f;
    if (empty > 0 && !s->quiet)
        fprintf(stderr,
                "deconv: warning: %s: %llu of %llu projections %s empty: nothing of the signal "
                "arrives%s\n",
                layer_name(s, j->layer), empty, count, empty == 1 ? "is" : "are",
                j->o->out ? "; such tiles are grey" : "");
    if (json) {
        cJSON_AddNumberToObject(json, "units", (double)count);
        cJSON_AddNumberToObject(json, "empty", (double)empty);
        list = cJSON_AddArrayToObject(json, "projections");
        for (uint64_t i = 0; i < j->list.count; i++)
            cJSON_AddItemToArray(list, projection_json(s, &j->infos[i]));
        return print_json(json);
    }
    printf("%s: %llu unit%s, %llu empty\n", layer_name(s, j->layer), count, count == 1 ? "" : "s",
           empty);
    if (j->o->out)
        printf("wrote %s\n", j->o->out);
    if (j->o->raw)
        printf("wrote %s\n", j->o->raw);
    return finish_output();
}

int units_run(session *s, const project_options *o, const char *model, const char *path)
{
    units_job j = {.s = s, .o = o};
    input in = {0};
    int status = EXIT_FAILED;

    if (!session_open(s) || !session_open_net(s, model) || !find_layer(s, o->layer, &j.layer) ||
        !read_list(s, o, j.layer, &j.list) || !input_open(s, path, &in) ||
        !projection_shape(o, path, &in, j.shape, &j.rank))
        goto done;
    if (in.batch > 1) {
        fail("%s: %lld inputs; --units takes one", path, (long long)in.batch);
        goto done;
    }
    j.infos = calloc((size_t)j.list.count, sizeof *j.infos);
    if (!j.infos) {
        fail("no memory: %llu projections", (unsigned long long)j.list.count);
        goto done;
    }
    j.shape[0] = (int64_t)j.list.count;
    if ((o->raw && !raw_open(&j.raw, o->raw, j.shape, j.rank)) ||
        (o->out && !plan_montage(s, j.layer, j.list.count, &j.montage)) ||
        !project_forward(s, o, &in, j.layer, &j.trace) || !project_all(&j) ||
        (o->out && !write_montage(s, o, &j.montage, j.list.count)) ||
        (o->raw && !raw_finish(&j.raw)))
        goto done;
    status = report_units(&j, model, path);
done:
    raw_abandon(&j.raw);
    free_montage(&j.montage, j.list.count);
    deconv_trace_destroy(j.trace);
    free(j.list.unit);
    free(j.infos);
    input_close(&in);
    return status;
}
