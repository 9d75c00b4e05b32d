/* Tables, summaries and JSON of `deconv-bench conv`. */
#include "conv_report.h"
#include "measure.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const directions[] = {"forward", "inverse"};
static const char *const tables[] = {"own", "nchw", "winograd"};
static const char *const headings[] = {
    "Both in their own layouts",
    "NCHW to NCHW (oneDNN: the faster of a primitive for NCHW and its own with reorders)",
    "Where Winograd's algorithm is permitted, against oneDNN's direct one, both in their own "
    "layouts",
};
static const char *const means[] = {"geomean", "geomean-nchw", "geomean-winograd"};

int table_named(const char *name)
{
    for (int t = 0; t < TABLES; t++)
        if (strcmp(tables[t], name) == 0)
            return t;
    return -1;
}

static double ratio_of(const figure *f)
{
    return f->ratio;
}

static double percent_of(const figure *f)
{
    return f->percent;
}

/* ---- Tables ---- */

void report_machine(const machine *m)
{
    printf("libdeconv %s: %s, %d cores, %d floats in a vector\n", m->version, m->device, m->threads,
           m->lanes);
    printf("oneDNN %s: direct algorithm, %d threads\n", m->peer_version, m->threads);
    printf("ceiling %.1f GFLOP/s: multiply-adds only, on all cores\n", m->ceiling);
}

void report_heading(int table)
{
    printf("\n%s\n", headings[table]);
    printf("%-32s  |%34s |%34s\n", "", "forward", "inverse");
    printf("%-31s %2s", "shape", "N");
    for (int d = 0; d < DIRECTIONS; d++)
        printf(" |%6s%6s%7s%6s %-9s", "GF/s", "%", "oneDNN", "ratio", "algorithm");
    printf("\n");
}

void report_row(const row *r, int table)
{
    printf("%-31s %2d", r->shape->name, r->batch);
    for (int d = 0; d < DIRECTIONS; d++) {
        const figure *f = &r->figure[table][d];

        printf("%s%6.1f%6.1f%7.1f%6.2f %-9s", f->others > MOST_OTHERS ? " ?" : " |", f->ours,
               percent_of(f), f->peer, ratio_of(f), f->algorithm);
        if (!(f->difference <= MOST_DIFFERENCE))
            printf(" DIFFERS BY %.1e", f->difference);
    }
    printf("\n");
    fflush(stdout);
}

/* ---- Summary ---- */

typedef bool (*member)(const conv_shape *shape);

static bool any(const conv_shape *shape)
{
    (void)shape;
    return true;
}

static bool not_first_vgg(const conv_shape *shape)
{
    return conv_shape_is_vgg(shape) && !conv_shape_is_first(shape);
}

/* Over the rows whose shape belongs: ratio to the peer, or percent of the ceiling. */
typedef struct spread {
    int count;
    double mean; /* geometric */
    double least;
    const row *least_row;
} spread;

static spread spread_of(const row *rows, int count, int table, int direction, member belongs,
                        double (*value)(const figure *))
{
    spread s = {0};
    double logs = 0.0;

    for (int i = 0; i < count; i++) {
        double v = value(&rows[i].figure[table][direction]);

        if (!rows[i].has[table] || !belongs(rows[i].shape))
            continue;
        logs += log(v);
        if (s.count == 0 || v < s.least) {
            s.least = v;
            s.least_row = &rows[i];
        }
        s.count++;
    }
    s.mean = s.count ? exp(logs / s.count) : NAN;
    return s;
}

/* What is asked of a class of shapes in one direction; 0: nothing. */
typedef struct target {
    const char *what;
    int table, direction;
    member belongs;
    double (*value)(const figure *);
    double mean, least;
} target;

static const target targets[] = {
    {"own layouts", TABLE_OWN, FORWARD, any, ratio_of, 0.95, 0.8},
    {"own layouts", TABLE_OWN, INVERSE, any, ratio_of, 1.1, 0.85},
    {"own layouts, first layers", TABLE_OWN, FORWARD, conv_shape_is_first, ratio_of, 0, 0},
    {"own layouts, first layers", TABLE_OWN, INVERSE, conv_shape_is_first, ratio_of, 0, 3.0},
    {"NCHW to NCHW", TABLE_NCHW, FORWARD, any, ratio_of, 1.1, 0},
    {"NCHW to NCHW", TABLE_NCHW, INVERSE, any, ratio_of, 1.3, 0},
    {"3x3 stride 1, 128 channels or more", TABLE_OWN, FORWARD, conv_shape_suits_winograd, ratio_of,
     0, 0},
    {"3x3 stride 1, 128 channels or more", TABLE_OWN, INVERSE, conv_shape_suits_winograd, ratio_of,
     0, 0},
    {"the same, Winograd permitted", TABLE_WINOGRAD, FORWARD, any, ratio_of, 1.5, 0},
    {"the same, Winograd permitted", TABLE_WINOGRAD, INVERSE, any, ratio_of, 1.5, 0},
    {"VGG-16, percent of the ceiling", TABLE_OWN, FORWARD, conv_shape_is_vgg, percent_of, 0, 90},
    {"VGG-16, percent of the ceiling", TABLE_OWN, INVERSE, conv_shape_is_vgg, percent_of, 0, 90},
    {"VGG-16 without conv1_1, percent", TABLE_OWN, FORWARD, not_first_vgg, percent_of, 0, 90},
    {"VGG-16 without conv1_1, percent", TABLE_OWN, INVERSE, not_first_vgg, percent_of, 0, 90},
};

static void print_value(const char *name, double value, double wanted)
{
    printf("  %s %6.2f", name, value);
    if (wanted > 0)
        printf(" (%5.2f %-6s)", wanted, value >= wanted ? "ok" : "missed");
    else
        printf("%15s", "");
}

static void print_target(const target *t, const row *rows, int count)
{
    const spread s = spread_of(rows, count, t->table, t->direction, t->belongs, t->value);

    if (s.count == 0)
        return;
    printf("%-35s %s %3d", t->what, directions[t->direction], s.count);
    print_value("geomean", s.mean, t->mean);
    print_value("least", s.least, t->least);
    printf(" %s, batch %d\n", s.least_row->shape->name, s.least_row->batch);
}

static void print_disturbed(const row *rows, int count)
{
    int disturbed = 0, figures = 0;

    for (int i = 0; i < count; i++)
        for (int t = 0; t < TABLES; t++)
            for (int d = 0; rows[i].has[t] && d < DIRECTIONS; d++, figures++)
                disturbed += rows[i].figure[t][d].others > MOST_OTHERS;
    if (disturbed)
        printf("%d of %d figures, marked with ?, were disturbed by other processes\n", disturbed,
               figures);
}

void report_summary(const row *rows, int count)
{
    spread mean[DIRECTIONS];

    printf("\nRatios to oneDNN, unless it says percent; what is wanted in brackets\n");
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        print_target(&targets[i], rows, count);
    print_disturbed(rows, count);
    for (int t = 0; t < TABLES; t++) {
        for (int d = 0; d < DIRECTIONS; d++)
            mean[d] = spread_of(rows, count, t, d, any, ratio_of);
        if (mean[FORWARD].count)
            printf("%s forward %.3f inverse %.3f\n", means[t], mean[FORWARD].mean,
                   mean[INVERSE].mean);
    }
}

/* ---- JSON ---- */

static cJSON *figure_json(const figure *f)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "gflops", f->ours);
    cJSON_AddNumberToObject(o, "percent", percent_of(f));
    cJSON_AddNumberToObject(o, "peer_gflops", f->peer);
    cJSON_AddNumberToObject(o, "ratio", ratio_of(f));
    cJSON_AddStringToObject(o, "algorithm", f->algorithm);
    cJSON_AddStringToObject(o, "layouts", f->layouts);
    cJSON_AddStringToObject(o, "peer_kernel", f->peer_kernel);
    cJSON_AddNumberToObject(o, "difference", f->difference);
    cJSON_AddNumberToObject(o, "others", f->others);
    return o;
}

static cJSON *row_json(const row *r)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "shape", r->shape->name);
    cJSON_AddNumberToObject(o, "batch", r->batch);
    for (int t = 0; t < TABLES; t++) {
        cJSON *table = r->has[t] ? cJSON_AddObjectToObject(o, tables[t]) : NULL;

        for (int d = 0; table && d < DIRECTIONS; d++)
            cJSON_AddItemToObject(table, directions[d], figure_json(&r->figure[t][d]));
    }
    return o;
}

void report_json(const machine *m, const row *rows, int count)
{
    cJSON *o = cJSON_CreateObject(), *list;
    char *text;

    cJSON_AddStringToObject(o, "device", m->device);
    cJSON_AddStringToObject(o, "version", m->version);
    cJSON_AddStringToObject(o, "onednn", m->peer_version);
    cJSON_AddNumberToObject(o, "threads", m->threads);
    cJSON_AddNumberToObject(o, "ceiling_gflops", m->ceiling);
    list = cJSON_AddArrayToObject(o, "rows");
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(list, row_json(&rows[i]));
    for (int t = 0; t < TABLES; t++) {
        static const char *const names[] = {"geomean", "geomean_nchw", "geomean_winograd"};
        cJSON *mean = cJSON_AddObjectToObject(o, names[t]);

        for (int d = 0; d < DIRECTIONS; d++)
            cJSON_AddNumberToObject(mean, directions[d],
                                    spread_of(rows, count, t, d, any, ratio_of).mean);
    }
    text = cJSON_Print(o);
    puts(text ? text : "{}");
    free(text);
    cJSON_Delete(o);
}
