/* The pictures' part of the analysis: the net's input and the maps of every convolution. A map is
 * reflected at its borders before the transform, so that no edges are seen that it does not have;
 * directions, which reflection loses, come from the map under a Hann window. */
#include "frequency.h"

#include "../trace.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

bool frequency_map_is_dead(const deconv_frequency *f, const frequency_layer *layer, uint32_t filter)
{
    const filter_result *r = &layer->filter[filter];
    const shape *s = &f->net->graph->value[layer->maps].shape;
    bool many = f->pictures > 1 || shape_span(s, 2, s->rank) > 1;

    /* One value alone is no reason, unless it is nothing. */
    return f->pictures > 0 && r->smallest == r->largest && (many || r->largest == 0.0f);
}

/* ---- One map ---- */

/* The transforms for maps of one size. */
typedef struct map_plan {
    int64_t height, width;
    spectrum *mirrored; /* (2 height, 2 width), or one row */
    spectrum *windowed; /* height and width rounded up to products of 2, 3 and 5 */
    int64_t rows, cols; /* of the latter */
    float *window_y, *window_x;
} map_plan;

static int64_t fast_size(int64_t at_least)
{
    for (int64_t size = at_least + at_least % 2;; size += 2) {
        int64_t rest = size;

        for (int64_t factor = 2; factor <= 5; factor++)
            while (rest % factor == 0)
                rest /= factor;
        if (rest == 1)
            return size;
    }
}

/* Zero one step outside the map at both ends. */
static void hann(float *window, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double s = sin(PI * (double)(i + 1) / (double)(count + 1));

        window[i] = (float)(s * s);
    }
}

static void map_plan_free(deconv_ctx *ctx, map_plan *p)
{
    spectrum_free(p->mirrored);
    spectrum_free(p->windowed);
    mem_free(ctx, p->window_y);
    mem_free(ctx, p->window_x);
    memset(p, 0, sizeof *p);
}

static deconv_status map_plan_set(const deconv_frequency *f, int64_t height, int64_t width,
                                  map_plan *p)
{
    const spectrum_limits limits = {{f->options.low_to, f->options.mid_to}, {0.5, 0.5}};
    deconv_status status = DECONV_OK;

    if (p->mirrored && p->height == height && p->width == width)
        goto done;
    map_plan_free(f->ctx, p);
    p->height = height;
    p->width = width;
    p->rows = height == 1 ? 1 : fast_size(height);
    p->cols = fast_size(width);
    TRY(spectrum_create(f->ctx, height == 1 ? 1 : 2 * height, 2 * width, &limits, &p->mirrored));
    TRY(spectrum_create(f->ctx, p->rows, p->cols, &limits, &p->windowed));
    TRY_ALLOC(p->window_y, f->ctx, (size_t)height);
    TRY_ALLOC(p->window_x, f->ctx, (size_t)width);
    hann(p->window_y, height);
    hann(p->window_x, width);
done:
    if (status != DECONV_OK)
        map_plan_free(f->ctx, p);
    return status;
}

/* A one-row map has no quarter but a half in the transform: its values are larger by sqrt(2). */
static void fill_mirrored(const map_plan *p, const float *map, double mean, double scale)
{
    float *to = spectrum_signal(p->mirrored);
    int64_t rows = p->height == 1 ? 1 : 2 * p->height;

    if (p->height == 1)
        scale *= sqrt(2.0);
    for (int64_t y = 0; y < rows; y++) {
        const float *from = map + (y < p->height ? y : 2 * p->height - 1 - y) * p->width;

        for (int64_t x = 0; x < 2 * p->width; x++)
            *to++ = (float)((from[x < p->width ? x : 2 * p->width - 1 - x] - mean) * scale);
    }
}

static void fill_windowed(const map_plan *p, const float *map, double mean, double scale)
{
    float *to = spectrum_signal(p->windowed);

    memset(to, 0, (size_t)(p->rows * p->cols) * sizeof *to);
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++)
            to[y * p->cols + x] =
                (float)((map[y * p->width + x] - mean) * scale) * p->window_y[y] * p->window_x[x];
}

/* Less than this part of the energy besides the mean is the rounding of float32. */
#define NOTHING 1e-13

static deconv_status add_map(const map_plan *p, const float *map, spectrum_sums *sums)
{
    int64_t count = p->height * p->width;
    double mean = 0.0, energy = 0.0, rest = 0.0, scale;
    deconv_status status = DECONV_OK;

    for (int64_t i = 0; i < count; i++)
        mean += map[i];
    mean /= (double)count;
    for (int64_t i = 0; i < count; i++) {
        energy += (double)map[i] * map[i];
        rest += (map[i] - mean) * (map[i] - mean);
    }
    if (rest <= NOTHING * energy) {
        sums->dc += energy;
        goto done;
    }
    sums->dc += mean * mean * (double)count;
    scale = sqrt((double)count / rest);
    fill_mirrored(p, map, mean, scale);
    TRY(spectrum_add(p->mirrored, SPECTRUM_MIRRORED, false, (double)count, rest / (double)count,
                     sums));
    fill_windowed(p, map, mean, scale);
    TRY(spectrum_add_directions(p->windowed, rest, sums));
done:
    return status;
}

/* ---- One picture ---- */

/* All maps of a value for picture `item`; with `range` also their smallest and largest values. */
typedef struct maps_job {
    const deconv_trace *trace;
    map_plan plan;
    float *values;
    size_t room;
} maps_job;

static deconv_status read_maps(deconv_frequency *f, maps_job *j, int value, int64_t item,
                               int64_t *size)
{
    const shape *s = &j->trace->graph->value[value].shape;
    deconv_status status = DECONV_OK;
    size_t count = (size_t)shape_span(s, 1, s->rank);

    if (count > j->room) {
        mem_free(f->ctx, j->values);
        j->room = 0;
        TRY_ALLOC(j->values, f->ctx, count);
        j->room = count;
    }
    *size = shape_span(s, 2, s->rank);
    TRY(map_plan_set(f, s->rank == 4 ? s->dim[2] : 1, s->dim[s->rank - 1], &j->plan));
    TRY(trace_read_item(j->trace, value, item, j->values));
    for (size_t i = 0; i < count; i++)
        if (!isfinite(j->values[i]))
            FAIL(f->ctx, DECONV_ERROR_INVALID,
                 "%s: a value of map %llu is not finite; the network or its input overflows",
                 j->trace->graph->value[value].name, (unsigned long long)i / (size_t)*size);
done:
    return status;
}

static deconv_status add_layer(deconv_frequency *f, maps_job *j, frequency_layer *layer,
                               int64_t item, bool first)
{
    deconv_status status = DECONV_OK;
    int64_t size;

    TRY(read_maps(f, j, layer->maps, item, &size));
    for (uint32_t k = 0; k < layer->filters; k++) {
        filter_result *r = &layer->filter[k];
        const float *map = j->values + (int64_t)k * size;

        if (first)
            r->smallest = r->largest = map[0];
        for (int64_t i = 0; i < size; i++) {
            r->smallest = fminf(r->smallest, map[i]);
            r->largest = fmaxf(r->largest, map[i]);
        }
        TRY(add_map(&j->plan, map, &r->map_sums));
    }
done:
    return status;
}

static deconv_status add_input(deconv_frequency *f, maps_job *j, const float *picture)
{
    const graph *g = j->trace->graph;
    const shape *s = &g->value[g->model->input[0].value].shape;
    deconv_status status = DECONV_OK;
    int64_t size = s->rank > 2 ? shape_span(s, 2, s->rank) : 0;

    if (f->input_channels > 0)
        TRY(map_plan_set(f, s->rank == 4 ? s->dim[2] : 1, s->dim[s->rank - 1], &j->plan));
    for (uint32_t c = 0; c < f->input_channels; c++) {
        const float *channel = picture + (int64_t)c * size;

        for (int64_t i = 0; i < size; i++)
            if (!isfinite(channel[i]))
                FAIL(f->ctx, DECONV_ERROR_INVALID, "the picture has a value that is not finite");
        TRY(add_map(&j->plan, channel, &f->input_sums[c]));
    }
done:
    return status;
}

/* ---- Many pictures ---- */

/* Host copies of the inputs, to hand them on in parts. */
typedef struct source {
    const deconv_tensor *const *inputs;
    uint32_t count;
    int64_t pictures;
    float **values;       /* [count] */
    deconv_tensor **part; /* [count] of the trace's batch */
} source;

static void source_close(deconv_ctx *ctx, source *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        if (from->values)
            mem_free(ctx, from->values[i]);
        if (from->part)
            deconv_tensor_destroy(from->part[i]);
    }
    mem_free(ctx, from->values);
    mem_free(ctx, (void *)from->part);
}

static deconv_status source_open(deconv_frequency *f, source *from, int64_t batch)
{
    deconv_status status = DECONV_OK;

    TRY_ALLOC(from->values, f->ctx, from->count);
    TRY_ALLOC(from->part, f->ctx, from->count);
    for (uint32_t i = 0; i < from->count; i++) {
        const tensor *t = from->inputs[i];
        shape s = t->shape;

        TRY_ALLOC(from->values[i], f->ctx, (size_t)shape_count(&s));
        TRY(deconv_tensor_read(t, from->values[i], (uint64_t)shape_count(&s)));
        s.dim[0] = batch;
        TRY(tensor_create(f->ctx, &s, "part of a batch", &from->part[i]));
    }
done:
    return status;
}

/* Pictures first.. into the part; one that is not there is the last one again. */
static deconv_status source_take(deconv_frequency *f, const source *from, int64_t first)
{
    deconv_status status = DECONV_OK;

    for (uint32_t i = 0; i < from->count; i++) {
        tensor *part = from->part[i];
        size_t each = (size_t)shape_count(&from->inputs[i]->shape) / (size_t)from->pictures;

        for (int64_t p = 0; p < part->shape.dim[0]; p++) {
            int64_t item = first + p < from->pictures ? first + p : from->pictures - 1;

            TRY(buffer_write(f->ctx, part->data, (size_t)p * each * sizeof(float),
                             each * sizeof(float), from->values[i] + (size_t)item * each));
        }
    }
done:
    return status;
}

static deconv_status check_inputs(const deconv_frequency *f, source *from)
{
    const graph *g = f->net->graph;
    deconv_status status = DECONV_OK;
    char is[SHAPE_TEXT], should[SHAPE_TEXT];

    if (from->count != (uint32_t)g->model->n_input)
        FAIL(f->ctx, DECONV_ERROR_INVALID, "%u inputs; the network has %d", from->count,
             g->model->n_input);
    for (uint32_t i = 0; i < from->count; i++) {
        shape want = g->value[g->model->input[i].value].shape;
        const tensor *t = from->inputs[i];

        if (t && t->shape.rank > 0 && want.rank > 0) {
            if (i == 0)
                from->pictures = t->shape.dim[0];
            want.dim[0] = from->pictures;
        }
        if (!t || want.rank < 1 || !shape_equal(&t->shape, &want))
            FAIL(f->ctx, DECONV_ERROR_INVALID, "input %s is %s; it must be %s",
                 g->value[g->model->input[i].value].name,
                 t ? shape_text(&t->shape, is, sizeof is) : "missing",
                 shape_text(&want, should, sizeof should));
    }
    if (f->net->fixed_batch && from->pictures % f->net->fixed_batch)
        FAIL(f->ctx, DECONV_ERROR_INVALID,
             "%lld pictures; the file fixes the batch at %lld: give a multiple of it",
             (long long)from->pictures, (long long)f->net->fixed_batch);
done:
    return status;
}

/* A trace that keeps the maps of every layer and nothing else. */
static deconv_status make_trace(deconv_frequency *f, int64_t pictures, deconv_trace **trace)
{
    deconv_trace_options options = DECONV_TRACE_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    uint32_t *keep = NULL;
    int64_t batch;

    TRY_ALLOC(keep, f->ctx, (size_t)f->count);
    for (int i = 0; i < f->count; i++)
        keep[i] = f->layer[i].maps_of;
    options.flags = DECONV_TRACE_NO_INVERSE;
    options.keep = options.last = keep;
    options.keep_count = options.last_count = (uint32_t)f->count;
    TRY(deconv_trace_batch(f->net, f->net->fixed_batch ? f->net->fixed_batch : pictures, &options,
                           &batch));
    TRY(deconv_trace_create(f->net, batch, &options, trace));
done:
    mem_free(f->ctx, keep);
    return status;
}

static deconv_status add_picture(deconv_frequency *f, maps_job *j, const source *from, int64_t item,
                                 int64_t in_part)
{
    size_t each = (size_t)shape_count(&from->inputs[0]->shape) / (size_t)from->pictures;
    deconv_status status = DECONV_OK;

    TRY(add_input(f, j, from->values[0] + (size_t)item * each));
    for (int i = 0; i < f->count; i++) {
        TRY(progress_step(f->ctx, (uint64_t)(item * f->count + i),
                          (uint64_t)(from->pictures * f->count), "frequency"));
        TRY(add_layer(f, j, &f->layer[i], in_part, f->pictures == 0));
    }
    f->pictures++;
done:
    return status;
}

/* After a failure amid a picture: no pictures are better than a part of one. */
static void forget_pictures(deconv_frequency *f)
{
    f->pictures = 0;
    for (uint32_t c = 0; c < f->input_channels; c++)
        f->input_sums[c] = (spectrum_sums){0};
    for (int i = 0; i < f->count; i++)
        for (uint32_t k = 0; k < f->layer[i].filters; k++)
            f->layer[i].filter[k].map_sums = (spectrum_sums){0};
}

/* The input channels' shares, averaged. */
static void average_input(deconv_frequency *f)
{
    uint32_t count = 0;

    f->input_shares = (spectrum_sums){0};
    for (uint32_t c = 0; c < f->input_channels; c++)
        count += spectrum_energy(&f->input_sums[c]) > 0.0;
    for (uint32_t c = 0; c < f->input_channels; c++)
        if (spectrum_energy(&f->input_sums[c]) > 0.0)
            spectrum_sums_add(&f->input_shares, &f->input_sums[c],
                              1.0 / (spectrum_energy(&f->input_sums[c]) * count));
}

deconv_status deconv_frequency_run(deconv_frequency *f, const deconv_tensor *const *inputs,
                                   uint32_t input_count)
{
    source from = {.inputs = inputs, .count = input_count};
    deconv_status status = DECONV_OK;
    deconv_trace *trace = NULL;
    maps_job j = {0};
    int64_t batch;

    TRY(check_inputs(f, &from));
    TRY(make_trace(f, from.pictures, &trace));
    batch = trace->graph->batch;
    j.trace = trace;
    TRY(source_open(f, &from, batch));
    for (int64_t first = 0; first < from.pictures; first += batch) {
        TRY(source_take(f, &from, first));
        TRY(deconv_trace_run(trace, (const deconv_tensor *const *)from.part, from.count));
        for (int64_t i = 0; i < batch && first + i < from.pictures; i++)
            TRY(add_picture(f, &j, &from, first + i, i));
    }
done:
    if (status != DECONV_OK)
        forget_pictures(f);
    average_input(f);
    for (int i = 0; i < f->count; i++)
        frequency_judge(f, &f->layer[i]);
    map_plan_free(f->ctx, &j.plan);
    mem_free(f->ctx, j.values);
    source_close(f->ctx, &from);
    deconv_trace_destroy(trace);
    return status;
}
