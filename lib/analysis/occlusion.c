/* Occlusion sensitivity, the public call: options, the grid of places, the result. */
#include "occlusion.h"

#include "../options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A patch of a seventh of the picture, and steps of half a patch, where none is given. */
enum { DEFAULT_PARTS = 7, DEFAULT_STEPS = 2 };

void deconv_occlusion_options_init(deconv_occlusion_options *options)
{
    *options = (deconv_occlusion_options)DECONV_OCCLUSION_OPTIONS_INIT;
}

void deconv_occlusion_info_init(deconv_occlusion_info *info)
{
    *info = (deconv_occlusion_info)DECONV_OCCLUSION_INFO_INIT;
}

/* ---- What was asked for ---- */

static deconv_status check_choices(const sweep *s)
{
    const deconv_occlusion_options *o = &s->options;
    deconv_status status = DECONV_OK;

    if ((unsigned)o->engine > DECONV_OCCLUSION_FULL)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: engine %d does not exist; the engines are 0 and 1", (int)o->engine);
    if ((unsigned)o->fill > DECONV_FILL_NOISE)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: fill %d does not exist; the fills are 0 to 4", (int)o->fill);
    if (o->maps && o->map_count == 0)
        FAIL(s->ctx, DECONV_ERROR_INVALID, "occlusion: no map is asked for");
    for (uint32_t m = 0; o->maps && m < o->map_count; m++)
        if ((unsigned)o->maps[m].kind > DECONV_OCCLUSION_ACTIVITY)
            FAIL(s->ctx, DECONV_ERROR_INVALID,
                 "occlusion: map kind %d does not exist; the kinds are 0 to 4",
                 (int)o->maps[m].kind);
    for (int c = 0; o->fill == DECONV_FILL_COLOUR && c < 3; c++)
        if (!(o->colour[c] >= 0 && o->colour[c] <= 255))
            FAIL(s->ctx, DECONV_ERROR_INVALID,
                 "occlusion: the colour's value %g is not between 0 and 255", (double)o->colour[c]);
    if (o->label && !o->card)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: the class %s is a label; labels need a model card", o->label);
    if (o->label && o->class_index >= 0)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: a class by index, %lld, and by label, %s; one of them is wanted",
             (long long)o->class_index, o->label);
done:
    return status;
}

/* The inputs are of one picture, and the covered one has positions and finite values. */
static deconv_status check_inputs(const sweep *s, uint32_t count)
{
    const graph *g = s->net->graph;
    char is[SHAPE_TEXT], should[SHAPE_TEXT];
    deconv_status status = DECONV_OK;
    float *values = NULL;
    const tensor *t;
    int64_t width;

    if (count != (uint32_t)g->model->n_input)
        FAIL(s->ctx, DECONV_ERROR_INVALID, "%u inputs; the network has %d", count,
             g->model->n_input);
    if (s->options.input >= count)
        FAIL(s->ctx, DECONV_ERROR_NOT_FOUND, "input %u does not exist; the network has %u",
             s->options.input, count);
    for (uint32_t i = 0; i < count; i++) {
        const graph_value *v = &g->value[g->model->input[i].value];
        shape one = v->shape;

        if (one.rank > 0)
            one.dim[0] = 1;
        if (!s->inputs[i] || !shape_equal(&s->inputs[i]->shape, &one))
            FAIL(s->ctx, DECONV_ERROR_INVALID, "input %s is %s; one picture of it is %s", v->name,
                 s->inputs[i] ? shape_text(&s->inputs[i]->shape, is, sizeof is) : "missing",
                 shape_text(&one, should, sizeof should));
    }
    t = s->inputs[s->options.input];
    if (t->shape.rank != 3 && t->shape.rank != 4)
        FAIL(s->ctx, DECONV_ERROR_UNSUPPORTED,
             "the input is %s; covering a patch needs pictures (N,C,H,W) or rows (N,C,W)",
             shape_text(&t->shape, is, sizeof is));
    TRY_ALLOC(values, s->ctx, (size_t)shape_count(&t->shape));
    TRY(deconv_tensor_read(t, values, (uint64_t)shape_count(&t->shape)));
    width = map_width(&t->shape);
    for (int64_t i = 0; i < shape_count(&t->shape); i++)
        if (!isfinite(values[i]))
            FAIL(s->ctx, DECONV_ERROR_INVALID,
                 "the picture's value at channel %lld, row %lld, column %lld is %f; only finite "
                 "values can be compared",
                 (long long)(i / (map_height(&t->shape) * width)),
                 (long long)(i / width % map_height(&t->shape)), (long long)(i % width),
                 (double)values[i]);
done:
    mem_free(s->ctx, values);
    return status;
}

/* ---- The grid ---- */

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Sizes that were not given. */
static void fill_in_sizes(deconv_occlusion_options *o, const shape *picture)
{
    int64_t height = map_height(picture), width = map_width(picture);
    int64_t side = height > 1 && height < width ? height : width;

    if (o->patch_height == 0)
        o->patch_height = height == 1 ? 1 : max_of(side / DEFAULT_PARTS, 1);
    if (o->patch_width == 0)
        o->patch_width = width == 1 ? 1 : max_of(side / DEFAULT_PARTS, 1);
    if (o->stride_y == 0)
        o->stride_y = max_of(o->patch_height / DEFAULT_STEPS, 1);
    if (o->stride_x == 0)
        o->stride_x = max_of(o->patch_width / DEFAULT_STEPS, 1);
    if (!o->top && !o->left && !o->bottom && !o->right) {
        o->bottom = height;
        o->right = width;
    }
}

static deconv_status check_sizes(const sweep *s, const shape *picture)
{
    const deconv_occlusion_options *o = &s->options;
    long long height = map_height(picture), width = map_width(picture);
    deconv_status status = DECONV_OK;

    if (o->patch_height < 0 || o->patch_width < 0)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: a patch of %lld x %lld pixels; at least 1 is wanted",
             (long long)o->patch_height, (long long)o->patch_width);
    if (o->patch_height > height || o->patch_width > width)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: a patch of %lld x %lld pixels is larger than the picture, %lld x %lld",
             (long long)o->patch_height, (long long)o->patch_width, height, width);
    if (o->stride_y < 0 || o->stride_x < 0)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: a stride of %lld,%lld pixels; at least 1 is wanted",
             (long long)o->stride_y, (long long)o->stride_x);
    if (o->top < 0 || o->left < 0 || o->bottom > height || o->right > width ||
        o->bottom - o->top < o->patch_height || o->right - o->left < o->patch_width)
        FAIL(s->ctx, DECONV_ERROR_INVALID,
             "occlusion: the region of rows %lld to %lld and columns %lld to %lld must lie in the "
             "picture, %lld x %lld, and hold the patch, %lld x %lld",
             (long long)o->top, (long long)o->bottom, (long long)o->left, (long long)o->right,
             height, width, (long long)o->patch_height, (long long)o->patch_width);
done:
    return status;
}

/* Corners of a patch of `size` from `from` on, the last one flush with `to`. */
static deconv_status make_corners(deconv_ctx *ctx, int64_t from, int64_t to, int64_t size,
                                  int64_t stride, int64_t **corners, int64_t *count)
{
    int64_t steps = (to - from - size) / stride, last = from + steps * stride;
    deconv_status status = DECONV_OK;

    *count = steps + 1 + (last + size < to);
    TRY_ALLOC(*corners, ctx, (size_t)*count);
    for (int64_t i = 0; i < *count; i++)
        (*corners)[i] = i <= steps ? from + i * stride : to - size;
done:
    return status;
}

static deconv_status make_grid(sweep *s, const shape *picture)
{
    deconv_occlusion_options *o = &s->options;
    deconv_occlusion *r = s->result;
    deconv_status status = DECONV_OK;
    place *p;

    fill_in_sizes(o, picture);
    TRY(check_sizes(s, picture));
    TRY(make_corners(s->ctx, o->top, o->bottom, o->patch_height, o->stride_y, &r->tops,
                     &r->info.rows));
    TRY(make_corners(s->ctx, o->left, o->right, o->patch_width, o->stride_x, &r->lefts,
                     &r->info.columns));
    s->count = 1 + r->info.rows * r->info.columns;
    TRY_ALLOC(s->place, s->ctx, (size_t)s->count);
    p = s->place + 1;
    for (int64_t y = 0; y < r->info.rows; y++)
        for (int64_t x = 0; x < r->info.columns; x++)
            *p++ = (place){(int32_t)r->tops[y], (int32_t)r->lefts[x],
                           (int32_t)(r->tops[y] + o->patch_height),
                           (int32_t)(r->lefts[x] + o->patch_width)};
    r->info.height = map_height(picture);
    r->info.width = map_width(picture);
    r->info.patch_height = o->patch_height;
    r->info.patch_width = o->patch_width;
    r->info.stride_y = o->stride_y;
    r->info.stride_x = o->stride_x;
done:
    return status;
}

static deconv_status make_maps(sweep *s)
{
    static const deconv_occlusion_map probabilities = {DECONV_OCCLUSION_PROB, 0, 0};
    const deconv_occlusion_map *wanted = s->options.maps ? s->options.maps : &probabilities;
    uint32_t count = s->options.maps ? s->options.map_count : 1;
    deconv_occlusion *r = s->result;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(r->map, s->ctx, count);
    TRY_ALLOC(r->clean, s->ctx, count);
    TRY_ALLOC(r->values, s->ctx, count);
    for (uint32_t m = 0; m < count; m++) {
        r->map[m] = wanted[m];
        TRY_ALLOC(r->values[m], s->ctx, (size_t)(s->count - 1));
        r->info.map_count = m + 1;
    }
done:
    return status;
}

/* ---- Progress ---- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* "12 s", "3 min 20 s", "2 h 5 min" */
static void time_text(double seconds, char *text, size_t size)
{
    long long left = (long long)(seconds + 0.5);

    if (left < 60)
        snprintf(text, size, "%lld s", left);
    else if (left < 3600)
        snprintf(text, size, "%lld min %lld s", left / 60, left % 60);
    else
        snprintf(text, size, "%lld h %lld min", left / 3600, left / 60 % 60);
}

deconv_status sweep_progress(sweep *s, int64_t done)
{
    double passed = now() - s->started;
    char left[40];

    if (done == 0) {
        s->started = now();
        snprintf(s->text, sizeof s->text, "occlusion");
    } else {
        time_text(passed * (double)(s->count - done) / (double)done, left, sizeof left);
        snprintf(s->text, sizeof s->text, "occlusion, %s left", left);
    }
    s->part = (progress_part){(uint64_t)done, (uint64_t)s->count, s->text};
    return progress_step(s->ctx, s->part.done, s->part.total, s->text);
}

/* ---- Running ---- */

static void free_sweep(sweep *s)
{
    mem_free(s->ctx, s->probe);
    mem_free(s->ctx, s->keep);
    mem_free(s->ctx, s->place);
    mem_free(s->ctx, s->chances);
    deconv_tensor_destroy(s->fill);
    deconv_occlusion_destroy(s->result);
}

deconv_status occlusion_run(deconv_net *net, const tensor *const *inputs, uint32_t input_count,
                            const deconv_occlusion_options *options, bool always,
                            deconv_occlusion **out)
{
    sweep s = {.ctx = net->ctx,
               .net = net,
               .inputs = inputs,
               .options = DECONV_OCCLUSION_OPTIONS_INIT,
               .always = always};
    bool done_by_windows = false;
    deconv_status status = DECONV_OK;

    *out = NULL;
    TRY(OPTIONS_READ(s.ctx, &s.options, options));
    TRY_ALLOC(s.result, s.ctx, 1);
    s.result->ctx = s.ctx;
    s.result->info = (deconv_occlusion_info)DECONV_OCCLUSION_INFO_INIT;
    TRY(check_choices(&s));
    TRY(check_inputs(&s, input_count));
    TRY(make_grid(&s, &inputs[s.options.input]->shape));
    TRY(make_maps(&s));
    TRY(sweep_find_probes(&s));
    TRY(sweep_fill(&s));
    if (s.options.engine == DECONV_OCCLUSION_INCREMENTAL)
        TRY(sweep_incremental(&s, &done_by_windows));
    if (!done_by_windows)
        TRY(sweep_full(&s));
    TRY(progress_step(s.ctx, (uint64_t)s.count, (uint64_t)s.count, "occlusion"));
    *out = s.result;
    s.result = NULL;
done:
    free_sweep(&s);
    return status;
}

deconv_status deconv_occlusion_run(deconv_net *net, const deconv_tensor *const *inputs,
                                   uint32_t input_count, const deconv_occlusion_options *options,
                                   deconv_occlusion **out)
{
    return occlusion_run(net, inputs, input_count, options, false, out);
}

/* ---- The result ---- */

void deconv_occlusion_destroy(deconv_occlusion *o)
{
    if (!o)
        return;
    for (uint32_t m = 0; o->values && m < o->info.map_count; m++)
        mem_free(o->ctx, o->values[m]);
    mem_free(o->ctx, o->values);
    mem_free(o->ctx, o->clean);
    mem_free(o->ctx, o->map);
    mem_free(o->ctx, o->tops);
    mem_free(o->ctx, o->lefts);
    mem_free(o->ctx, o);
}

deconv_status deconv_occlusion_get(const deconv_occlusion *o, deconv_occlusion_info *info)
{
    return OPTIONS_WRITE(o->ctx, info, &o->info);
}

const int64_t *deconv_occlusion_tops(const deconv_occlusion *o)
{
    return o->tops;
}

const int64_t *deconv_occlusion_lefts(const deconv_occlusion *o)
{
    return o->lefts;
}

const float *deconv_occlusion_values(const deconv_occlusion *o, uint32_t index)
{
    return index < o->info.map_count ? o->values[index] : NULL;
}

static deconv_status check_map(const deconv_occlusion *o, uint32_t index)
{
    if (index < o->info.map_count)
        return DECONV_OK;
    return error_set(o->ctx, DECONV_ERROR_NOT_FOUND, "map %u does not exist; the sweep made %u",
                     index, o->info.map_count);
}

deconv_status deconv_occlusion_map_get(const deconv_occlusion *o, uint32_t index,
                                       deconv_occlusion_map *map, float *clean)
{
    deconv_status status = DECONV_OK;

    TRY(check_map(o, index));
    if (map)
        *map = o->map[index];
    if (clean)
        *clean = o->clean[index];
done:
    return status;
}

/* Value of the patch at (row, column) into the sums of the pixels it covers. */
static void add_patch(const deconv_occlusion *o, uint32_t index, int64_t row, int64_t column,
                      double *sum, int32_t *patches)
{
    float value = o->values[index][row * o->info.columns + column];

    for (int64_t y = o->tops[row]; y < o->tops[row] + o->info.patch_height; y++)
        for (int64_t x = o->lefts[column]; x < o->lefts[column] + o->info.patch_width; x++) {
            sum[y * o->info.width + x] += (double)value;
            patches[y * o->info.width + x]++;
        }
}

deconv_status deconv_occlusion_overlay(const deconv_occlusion *o, uint32_t index, float *values,
                                       uint64_t count)
{
    uint64_t pixels = (uint64_t)(o->info.height * o->info.width);
    deconv_status status = DECONV_OK;
    int32_t *patches = NULL;
    double *sum = NULL;

    TRY(check_map(o, index));
    if (o->map[index].kind == DECONV_OCCLUSION_LABEL)
        FAIL(o->ctx, DECONV_ERROR_INVALID, "map %u holds labels; they have no average", index);
    if (count != pixels)
        FAIL(o->ctx, DECONV_ERROR_INVALID, "room for %llu values; the picture has %llu pixels",
             (unsigned long long)count, (unsigned long long)pixels);
    TRY_ALLOC(sum, o->ctx, (size_t)pixels);
    TRY_ALLOC(patches, o->ctx, (size_t)pixels);
    for (int64_t row = 0; row < o->info.rows; row++)
        for (int64_t column = 0; column < o->info.columns; column++)
            add_patch(o, index, row, column, sum, patches);
    for (uint64_t i = 0; i < pixels; i++)
        values[i] = patches[i] ? (float)(sum[i] / patches[i]) : o->clean[index];
done:
    mem_free(o->ctx, sum);
    mem_free(o->ctx, patches);
    return status;
}
