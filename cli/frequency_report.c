/* What `deconv frequency` says: a table, JSON, CSV. */
#include "frequency.h"

#include <stdlib.h>
#include <string.h>

static const char *const verdict_names[] = {"even",   "gap",   "low",   "mid", "high",
                                            "uneven", "noise", "point", "dead"};

const char *verdict_name(deconv_verdict verdict)
{
    size_t i = (size_t)verdict;

    return i < sizeof verdict_names / sizeof verdict_names[0] ? verdict_names[i] : "unknown";
}

double percent(double part, const deconv_bands *of)
{
    return of->energy > 0.0 ? 100.0 * part / of->energy : 0.0;
}

/* ---- Text ---- */

static void print_bands(const deconv_bands *b)
{
    if (b->energy > 0.0)
        printf("  %5.1f %5.1f %5.1f %5.1f  %.3f", percent(b->dc, b), percent(b->low, b),
               percent(b->mid, b), percent(b->high, b), b->centroid);
    else
        printf("  %5s %5s %5s %5s  %5s", "-", "-", "-", "-", "-");
}

static void print_model(const frequency_model *m)
{
    int width = (int)strlen(m->name);

    for (uint32_t i = 0; i < m->count; i++)
        if ((int)strlen(m->layer[i].name) > width)
            width = (int)strlen(m->layer[i].name);
    printf("%-*s  kernel   stride filters     dc   low   mid  high  centre  alias  dead%s\n", width,
           m->name, m->pictures ? "  maps: dc   low   mid  high  centre  dead" : "");
    if (m->pictures) {
        printf("%-*s  %61s", width, "input", "");
        print_bands(&m->input);
        printf("\n");
    }
    for (uint32_t i = 0; i < m->count; i++) {
        const deconv_frequency_info *l = &m->layer[i];
        char kernel[32], stride[32];

        snprintf(kernel, sizeof kernel, "%ux%u", l->height, l->width);
        snprintf(stride, sizeof stride, l->stride_y == l->stride_x ? "%u" : "%ux%u", l->stride_y,
                 l->stride_x);
        printf("%-*s  %-8s %-6s %7u", width, l->name, kernel, stride, l->filters);
        print_bands(&l->filter_bands);
        printf("  %5.1f  %4u", percent(l->filter_bands.beyond, &l->filter_bands), l->dead_weight);
        if (m->pictures) {
            print_bands(&l->map_bands);
            printf("  %4u", l->dead_activation);
        }
        printf("\n");
    }
    printf("\n");
    for (uint32_t i = 0; i < m->count; i++)
        if (m->layer[i].verdict != DECONV_VERDICT_POINT)
            printf("%s: %s\n", m->layer[i].name, m->layer[i].text);
}

void frequency_print(const frequency_model *models, int count)
{
    for (int i = 0; i < count; i++) {
        if (i)
            printf("\n");
        print_model(&models[i]);
    }
}

/* ---- JSON ---- */

static cJSON *bands_json(const deconv_bands *b)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "energy", b->energy);
    cJSON_AddNumberToObject(json, "dc", b->dc);
    cJSON_AddNumberToObject(json, "low", b->low);
    cJSON_AddNumberToObject(json, "mid", b->mid);
    cJSON_AddNumberToObject(json, "high", b->high);
    cJSON_AddNumberToObject(json, "beyond_nyquist", b->beyond);
    cJSON_AddNumberToObject(json, "centroid", b->centroid);
    cJSON_AddNumberToObject(json, "orientation", b->orientation);
    cJSON_AddNumberToObject(json, "oriented", b->oriented);
    return json;
}

static cJSON *pair_json(uint32_t y, uint32_t x)
{
    const int64_t pair[2] = {y, x};

    return json_shape(pair, 2);
}

static void add_histogram(const frequency_model *m, uint32_t index, deconv_frequency_source source,
                          cJSON *json, const char *name)
{
    double shares[DECONV_FREQUENCY_CLASSES];

    if (deconv_frequency_histogram(m->frequency, index, source, shares, DECONV_FREQUENCY_CLASSES) ==
        DECONV_OK)
        cJSON_AddItemToObject(json, name,
                              cJSON_CreateDoubleArray(shares, DECONV_FREQUENCY_CLASSES));
}

static cJSON *filters_json(const frequency_model *m, uint32_t index)
{
    cJSON *list = cJSON_CreateArray();

    for (uint32_t k = 0; k < m->layer[index].filters; k++) {
        const deconv_filter_info *f = &m->filter[index][k];
        cJSON *json = cJSON_CreateObject();

        cJSON_AddNumberToObject(json, "rms", f->rms);
        cJSON_AddBoolToObject(json, "dead_by_weight", f->flags & DECONV_FILTER_DEAD_WEIGHT);
        if (m->pictures)
            cJSON_AddBoolToObject(json, "dead_by_activation",
                                  f->flags & DECONV_FILTER_DEAD_ACTIVATION);
        cJSON_AddBoolToObject(json, "over_rms_limit", f->flags & DECONV_FILTER_OVER_LIMIT);
        cJSON_AddItemToObject(json, "bands", bands_json(&f->bands));
        if (m->pictures)
            cJSON_AddItemToObject(json, "map_bands", bands_json(&f->map_bands));
        cJSON_AddItemToArray(list, json);
    }
    return list;
}

static cJSON *layer_json(const frequency_model *m, uint32_t index)
{
    const deconv_frequency_info *l = &m->layer[index];
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "name", l->name);
    cJSON_AddStringToObject(json, "operator", l->op_type);
    cJSON_AddNumberToObject(json, "filters", l->filters);
    cJSON_AddNumberToObject(json, "channels", l->channels);
    cJSON_AddItemToObject(json, "kernel", pair_json(l->height, l->width));
    cJSON_AddItemToObject(json, "stride", pair_json(l->stride_y, l->stride_x));
    cJSON_AddItemToObject(json, "dilation", pair_json(l->dilation_y, l->dilation_x));
    cJSON_AddStringToObject(json, "verdict", verdict_name(l->verdict));
    cJSON_AddStringToObject(json, "text", l->text);
    cJSON_AddNumberToObject(json, "dead_by_weight", l->dead_weight);
    cJSON_AddNumberToObject(json, "over_rms_limit", l->over_limit);
    cJSON_AddItemToObject(json, "bands", bands_json(&l->filter_bands));
    cJSON_AddItemToObject(json, "white_noise", bands_json(&l->noise_bands));
    add_histogram(m, index, DECONV_FREQUENCY_FILTERS, json, "histogram");
    add_histogram(m, index, DECONV_FREQUENCY_NOISE, json, "white_noise_histogram");
    if (m->pictures) {
        cJSON_AddNumberToObject(json, "dead_by_activation", l->dead_activation);
        cJSON_AddItemToObject(json, "map_bands", bands_json(&l->map_bands));
        add_histogram(m, index, DECONV_FREQUENCY_MAPS, json, "map_histogram");
    }
    cJSON_AddItemToObject(json, "each", filters_json(m, index));
    return json;
}

cJSON *frequency_json(const frequency_model *m)
{
    cJSON *json = cJSON_CreateObject(), *list;

    cJSON_AddStringToObject(json, "model", m->path);
    cJSON_AddNumberToObject(json, "pictures", (double)m->pictures);
    if (m->pictures) {
        cJSON_AddItemToObject(json, "input_bands", bands_json(&m->input));
        add_histogram(m, 0, DECONV_FREQUENCY_INPUT, json, "input_histogram");
    }
    list = cJSON_AddArrayToObject(json, "layers");
    for (uint32_t i = 0; i < m->count; i++)
        cJSON_AddItemToArray(list, layer_json(m, i));
    return json;
}

/* ---- CSV ---- */

static void csv_text(FILE *file, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void csv_bands(FILE *file, const deconv_bands *b)
{
    const double values[] = {b->energy, b->dc,       b->low,         b->mid,     b->high,
                             b->beyond, b->centroid, b->orientation, b->oriented};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        fprintf(file, ",%.9g", values[i]);
}

static void csv_filter(FILE *file, const frequency_model *m, uint32_t index, uint32_t filter)
{
    const deconv_frequency_info *l = &m->layer[index];
    const deconv_filter_info *f = &m->filter[index][filter];

    csv_text(file, m->path);
    fputc(',', file);
    csv_text(file, l->name);
    fprintf(file, ",%s,%u,%u,%u,%u,%u,%u,%.9g,%d,%d,%d", l->op_type, filter, l->channels, l->height,
            l->width, l->stride_y, l->stride_x, f->rms, (f->flags & DECONV_FILTER_DEAD_WEIGHT) != 0,
            (f->flags & DECONV_FILTER_DEAD_ACTIVATION) != 0,
            (f->flags & DECONV_FILTER_OVER_LIMIT) != 0);
    csv_bands(file, &f->bands);
    if (m->pictures)
        csv_bands(file, &f->map_bands);
    fputc('\n', file);
}

static void csv_table(FILE *file, const frequency_model *models, int count)
{
    static const char *const columns[] = {"energy",   "dc",          "low",
                                          "mid",      "high",        "beyond_nyquist",
                                          "centroid", "orientation", "oriented"};

    fputs("model,layer,operator,filter,channels,height,width,stride_y,stride_x,rms,dead_by_weight,"
          "dead_by_activation,over_rms_limit",
          file);
    for (int maps = 0; maps < (models->pictures ? 2 : 1); maps++)
        for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
            fprintf(file, ",%s%s", maps ? "map_" : "", columns[i]);
    fputc('\n', file);
    for (int i = 0; i < count; i++)
        for (uint32_t l = 0; l < models[i].count; l++)
            for (uint32_t k = 0; k < models[i].layer[l].filters; k++)
                csv_filter(file, &models[i], l, k);
}

bool frequency_csv(const frequency_model *models, int count, const char *path, raw_file *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    bool done = memory;

    if (memory) {
        csv_table(memory, models, count);
        done = !ferror(memory);
        done = fclose(memory) == 0 && done;
    }
    if (!done)
        fail("no memory: the table for %s", path);
    done = done && raw_open_text(out, path, text, size);
    free(text);
    return done;
}
