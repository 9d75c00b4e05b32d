/* The weights' part of the analysis. A filter's spectrum is the sum of its channels' |FFT|^2, which
 * is the transform of the sum of their autocorrelations: small, as filters are, and one transform a
 * filter however many channels it has. */
#include "frequency.h"

#include "../ops/conv_tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Which layers ---- */

static uint32_t power_of_two(uint32_t least, uint32_t wanted)
{
    while (least < wanted)
        least *= 2;
    return least;
}

static int consumer_of(const graph *g, int value)
{
    int found = -1;

    for (int n = 0; n < g->n_node; n++)
        for (int i = 0; i < g->node[n].n_in; i++)
            if (g->node[n].in[i] == value) {
                if (found >= 0)
                    return -1; /* several */
                found = n;
            }
    return found;
}

static bool is_one_of(const char *type, const char *const *types)
{
    for (; *types; types++)
        if (strcmp(type, *types) == 0)
            return true;
    return false;
}

/* One signal goes in: the other operands are constants. */
static bool has_one_source(const graph *g, const graph_node *node)
{
    int sources = 0;

    for (int i = 0; i < node->n_in; i++)
        sources += node->in[i] >= 0 && !g->value[node->in[i]].constant;
    return sources == 1 && node->out[0] >= 0;
}

/* The activation function that a convolution ends in, behind what acts on each map alone; else the
 * convolution itself. */
static int activation_of(const graph *g, int value)
{
    static const char *const between[] = {
        "BatchNormalization", "Identity", "Dropout", "Add", "Sub", "Mul", "Div", NULL};
    static const char *const functions[] = {
        "Relu",     "LeakyRelu",       "PRelu", "Elu",         "Selu",      "Celu",
        "Clip",     "Sigmoid",         "Tanh",  "HardSigmoid", "HardSwish", "Softplus",
        "Softsign", "ThresholdedRelu", "Gelu",  "Mish",        "Erf",       NULL};
    int at = value;

    for (int n = consumer_of(g, at); n >= 0; n = consumer_of(g, at)) {
        const graph_node *node = &g->node[n];
        const char *type = node->op->class->type;

        if (!has_one_source(g, node) ||
            !shape_equal(&g->value[node->out[0]].shape, &g->value[value].shape))
            break;
        at = node->out[0];
        if (is_one_of(type, functions))
            return at;
        if (!is_one_of(type, between))
            break;
    }
    return value;
}

static void describe_layer(const graph *g, const graph_node *node, const conv_task *task,
                           const deconv_frequency_options *options, frequency_layer *layer)
{
    const conv_problem *p = &task->problem;
    int64_t sources;

    layer->transposed = strcmp(node->op->class->type, "ConvTranspose") == 0;
    layer->value = node->out[0];
    layer->weights = node->in[1];
    layer->maps = activation_of(g, layer->value);
    layer->maps_of = (uint32_t)g->value[layer->maps].layer;
    layer->filters = (uint32_t)(layer->transposed ? p->in_channels : p->out_channels);
    sources = layer->transposed ? p->out_channels : p->in_channels;
    layer->groups = (uint32_t)p->groups;
    layer->channels = (uint32_t)(sources / p->groups);
    for (int i = 0; i < 2; i++) {
        layer->kernel[i] = (uint32_t)p->kernel[i];
        layer->stride[i] = (uint32_t)p->stride[i];
        layer->dilation[i] = (uint32_t)p->dilation[i];
        layer->grid[i] =
            power_of_two(options->grid, (layer->kernel[i] - 1) * layer->dilation[i] + 1);
    }
    if (g->value[layer->value].shape.rank == 3)
        layer->grid[0] = 1;
}

deconv_status frequency_find_layers(deconv_frequency *f)
{
    const graph *g = f->net->graph;
    deconv_status status = DECONV_OK;

    TRY_ALLOC(f->layer, f->ctx, (size_t)g->n_node + 1);
    for (int n = 0; n < g->n_node; n++) {
        frequency_layer *layer = &f->layer[f->count];
        const graph_node *node = &g->node[n];
        conv_task task;

        if (node->out[0] < 0 || !conv_task_in(node->op, DECONV_FORWARD, &task))
            continue;
        describe_layer(g, node, &task, &f->options, layer);
        f->count++;
        TRY_ALLOC(layer->filter, f->ctx, layer->filters);
    }
done:
    return status;
}

/* ---- Weights ---- */

size_t frequency_filter_size(const frequency_layer *layer)
{
    return (size_t)layer->channels * layer->kernel[0] * layer->kernel[1];
}

/* All elements of a constant, wherever the net has them by now: in host memory, in the file, or on
 * the device only. */
static deconv_status read_constant(const graph *g, int value, float *to)
{
    const graph_value *v = &g->value[value];
    size_t count = (size_t)shape_count(&v->shape);

    if (v->constant && (v->constant->data || v->constant->in_file))
        return onnx_read_constant(g->model, v->constant, 0, count, to);
    if (v->weight && v->weight->data)
        return buffer_read(g->ctx, v->weight->data->data, 0, count * sizeof *to, to);
    return error_set(g->ctx, DECONV_ERROR_UNSUPPORTED,
                     "%s: its weights are computed while the network runs", v->name);
}

/* A transposed convolution's weights are (channels of all groups, filters of a group, ...); here
 * they come filter by filter like the others. */
static void by_filter(const frequency_layer *layer, const float *from, float *to)
{
    size_t taps = (size_t)layer->kernel[0] * layer->kernel[1];
    size_t in_group = layer->filters / layer->groups;

    for (size_t k = 0; k < layer->filters; k++)
        for (size_t c = 0; c < layer->channels; c++) {
            size_t channel = k / in_group * layer->channels + c;

            memcpy(to + (k * layer->channels + c) * taps,
                   from + (channel * in_group + k % in_group) * taps, taps * sizeof *to);
        }
}

static deconv_status check_finite(const deconv_frequency *f, const frequency_layer *layer,
                                  const float *weights)
{
    size_t size = frequency_filter_size(layer);

    for (size_t i = 0; i < size * layer->filters; i++)
        if (!isfinite(weights[i]))
            return error_set(
                f->ctx, DECONV_ERROR_FORMAT, "%s: filter %llu has a weight that is not finite",
                f->net->graph->value[layer->value].name, (unsigned long long)(i / size));
    return DECONV_OK;
}

deconv_status frequency_load_weights(deconv_frequency *f, int index)
{
    const frequency_layer *layer = &f->layer[index];
    size_t count = frequency_filter_size(layer) * layer->filters;
    deconv_status status = DECONV_OK;
    float *raw = NULL, *sorted = NULL;

    if (f->cached == index)
        goto done;
    TRY_ALLOC(raw, f->ctx, count);
    TRY(read_constant(f->net->graph, layer->weights, raw));
    TRY(check_finite(f, layer, raw));
    if (layer->transposed) {
        TRY_ALLOC(sorted, f->ctx, count);
        by_filter(layer, raw, sorted);
    }
    mem_free(f->ctx, f->weights);
    f->weights = sorted ? sorted : raw;
    f->cached = index;
    if (sorted)
        sorted = NULL;
    else
        raw = NULL;
done:
    mem_free(f->ctx, raw);
    mem_free(f->ctx, sorted);
    return status;
}

/* ---- One filter ---- */

/* Room for what one filter needs, in double precision. */
typedef struct work {
    int rows, cols; /* the grid */
    double *lag;    /* [rows][cols] the autocorrelation, lags modulo the grid */
    double *mean;   /* [taps] sum over channels of mean times weights */
    float scale;    /* largest magnitude in the filter */
} work;

static double *lag_at(const work *w, int dy, int dx)
{
    int row = (dy % w->rows + w->rows) % w->rows, col = (dx % w->cols + w->cols) % w->cols;

    return &w->lag[(size_t)row * (size_t)w->cols + (size_t)col];
}

/* Adds a channel's autocorrelation, taps in units of `scale`. */
static void add_channel(const frequency_layer *layer, work *w, const float *taps)
{
    int height = (int)layer->kernel[0], width = (int)layer->kernel[1];

    for (int dy = 0; dy < height; dy++)
        for (int dx = dy ? 1 - width : 0; dx < width; dx++) {
            int from = dx < 0 ? -dx : 0, to = dx < 0 ? width : width - dx;
            double sum = 0.0;

            for (int y = 0; y + dy < height; y++)
                for (int x = from; x < to; x++)
                    sum += (double)(taps[y * width + x] / w->scale) *
                           (double)(taps[(y + dy) * width + x + dx] / w->scale);
            *lag_at(w, dy * (int)layer->dilation[0], dx * (int)layer->dilation[1]) += sum;
            if (dy || dx)
                *lag_at(w, -dy * (int)layer->dilation[0], -dx * (int)layer->dilation[1]) += sum;
        }
}

/* The autocorrelation of a whole filter, divided by scale^2. Returns the energy likewise. */
static double autocorrelate(const frequency_layer *layer, work *w, const float *weights)
{
    size_t taps = (size_t)layer->kernel[0] * layer->kernel[1];

    w->scale = 0.0f;
    for (size_t i = 0; i < taps * layer->channels; i++)
        w->scale = fmaxf(w->scale, fabsf(weights[i]));
    memset(w->lag, 0, (size_t)w->rows * (size_t)w->cols * sizeof *w->lag);
    for (uint32_t c = 0; w->scale > 0.0f && c < layer->channels; c++)
        add_channel(layer, w, weights + c * taps);
    return w->lag[0];
}

/* The kernel's box, holes of a dilated one included. */
static double box_size(const frequency_layer *layer)
{
    double tall = (double)(layer->kernel[0] - 1) * layer->dilation[0] + 1.0;
    double wide = (double)(layer->kernel[1] - 1) * layer->dilation[1] + 1.0;

    return tall * wide;
}

/* Each channel's mean over the box, times its weights, summed over the channels into w->mean; the
 * sum of the squared means. In units of scale^2. */
static double multiply_means(const frequency_layer *layer, work *w, const float *weights)
{
    size_t count = (size_t)layer->kernel[0] * layer->kernel[1];
    double box = box_size(layer), squares = 0.0;

    memset(w->mean, 0, count * sizeof *w->mean);
    for (uint32_t c = 0; c < layer->channels; c++) {
        const float *taps = weights + c * count;
        double mean = 0.0;

        for (size_t i = 0; i < count; i++)
            mean += taps[i] / w->scale;
        mean /= box;
        squares += mean * mean;
        for (size_t i = 0; i < count; i++)
            w->mean[i] += mean * (taps[i] / w->scale);
    }
    return squares;
}

/* Takes the means out of the autocorrelation:
 *
 *     (v - m) * (v - m) = v * v - m (v * 1) - m (1 * v) + m^2 (1 * 1)
 *
 * summed over the channels; w->mean has the sum of m v, `squares` that of m^2. */
static void remove_means(const frequency_layer *layer, work *w, double squares)
{
    int height = (int)layer->kernel[0], width = (int)layer->kernel[1];
    int step_y = (int)layer->dilation[0], step_x = (int)layer->dilation[1];
    int tall = (height - 1) * step_y + 1, wide = (width - 1) * step_x + 1;

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int by = 0; by < tall; by++)
                for (int bx = 0; bx < wide; bx++) {
                    int dy = by - y * step_y, dx = bx - x * step_x;

                    *lag_at(w, dy, dx) -= w->mean[y * width + x];
                    *lag_at(w, -dy, -dx) -= w->mean[y * width + x];
                }
    for (int dy = 1 - tall; dy < tall; dy++)
        for (int dx = 1 - wide; dx < wide; dx++)
            *lag_at(w, dy, dx) += squares * (tall - abs(dy)) * (wide - abs(dx));
}

static void to_signal(const work *w, double energy, float *signal)
{
    for (int i = 0; i < w->rows * w->cols; i++)
        signal[i] = (float)(w->lag[i] / energy);
}

/* Less than this part of a filter's energy besides its mean is rounding. */
#define NOTHING 1e-12

static deconv_status analyse_filter(const frequency_layer *layer, work *w, const float *weights,
                                    spectrum *s, filter_result *result)
{
    double energy = autocorrelate(layer, w, weights), unit = (double)w->scale * w->scale;
    deconv_status status = DECONV_OK;
    double squares, rest;

    result->rms = sqrt(energy / (double)frequency_filter_size(layer)) * w->scale;
    if (!(energy > 0.0))
        goto done;
    if (layer->kernel[0] * layer->kernel[1] == 1) { /* no mean to tell from the rest: flat */
        spectrum_sums_add(&result->sums, &layer->noise, energy * unit);
        goto done;
    }
    squares = multiply_means(layer, w, weights);
    remove_means(layer, w, squares);
    rest = energy - squares * box_size(layer);
    if (rest < NOTHING * energy)
        rest = 0.0;
    result->sums.dc = (energy - rest) * unit;
    if (rest > 0.0) {
        to_signal(w, w->lag[0], spectrum_signal(s));
        TRY(spectrum_add(s, SPECTRUM_AUTOCORRELATION, true, 1.0, rest * unit, &result->sums));
    }
done:
    return status;
}

/* What independent weights of equal variance have on average: their autocorrelation is one peak,
 * and each weight has the same part in the mean. */
static deconv_status expect_noise(frequency_layer *layer, work *w, spectrum *s)
{
    size_t taps = (size_t)layer->kernel[0] * layer->kernel[1];
    double box = box_size(layer);
    deconv_status status = DECONV_OK;

    if (taps == 1) {
        layer->noise = spectrum_areas(s);
        goto done;
    }
    memset(w->lag, 0, (size_t)w->rows * (size_t)w->cols * sizeof *w->lag);
    w->lag[0] = (double)taps;
    for (size_t i = 0; i < taps; i++)
        w->mean[i] = 1.0 / box;
    remove_means(layer, w, (double)taps / (box * box));
    layer->noise.dc = 1.0 / box;
    to_signal(w, w->lag[0], spectrum_signal(s));
    TRY(spectrum_add(s, SPECTRUM_AUTOCORRELATION, true, 1.0, 1.0 - 1.0 / box, &layer->noise));
done:
    return status;
}

static spectrum_limits limits_of(const deconv_frequency *f, const frequency_layer *layer)
{
    spectrum_limits limits = {{f->options.low_to, f->options.mid_to}, {0.5, 0.5}};

    for (int i = 0; i < 2 && !layer->transposed; i++)
        limits.nyquist[i] = 0.5 / layer->stride[i];
    return limits;
}

static deconv_status work_create(const deconv_frequency *f, const frequency_layer *layer, work *w,
                                 spectrum **s)
{
    const spectrum_limits limits = limits_of(f, layer);
    deconv_status status = DECONV_OK;

    w->rows = (int)layer->grid[0];
    w->cols = (int)layer->grid[1];
    TRY_ALLOC(w->lag, f->ctx, (size_t)w->rows * (size_t)w->cols);
    TRY_ALLOC(w->mean, f->ctx, (size_t)layer->kernel[0] * layer->kernel[1]);
    TRY(spectrum_create(f->ctx, w->rows, w->cols, &limits, s));
done:
    return status;
}

static void work_free(deconv_ctx *ctx, work *w)
{
    mem_free(ctx, w->lag);
    mem_free(ctx, w->mean);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Filters that are small beside the layer's median, which zero filters do not count for. */
static deconv_status mark_dead(deconv_frequency *f, frequency_layer *layer)
{
    deconv_status status = DECONV_OK;
    double *rms = NULL, limit;
    size_t count = 0;

    TRY_ALLOC(rms, f->ctx, layer->filters);
    for (uint32_t k = 0; k < layer->filters; k++)
        if (layer->filter[k].rms > 0.0)
            rms[count++] = layer->filter[k].rms;
    qsort(rms, count, sizeof *rms, by_size);
    limit = count ? f->options.dead_rms * rms[count / 2] : 0.0;
    for (uint32_t k = 0; k < layer->filters; k++) {
        layer->filter[k].dead_weight = layer->filter[k].rms <= limit;
        layer->filter[k].over_limit = layer->filter[k].rms > f->options.rms_limit;
    }
done:
    mem_free(f->ctx, rms);
    return status;
}

deconv_status frequency_filters(deconv_frequency *f, frequency_layer *layer)
{
    size_t size = frequency_filter_size(layer);
    deconv_status status = DECONV_OK;
    spectrum *s = NULL;
    work w = {0};

    TRY(frequency_load_weights(f, (int)(layer - f->layer)));
    TRY(work_create(f, layer, &w, &s));
    TRY(expect_noise(layer, &w, s));
    for (uint32_t k = 0; k < layer->filters; k++)
        TRY(analyse_filter(layer, &w, f->weights + k * size, s, &layer->filter[k]));
    TRY(mark_dead(f, layer));
done:
    work_free(f->ctx, &w);
    spectrum_free(s);
    return status;
}

deconv_status frequency_filter_spectrum(deconv_frequency *f, const frequency_layer *layer,
                                        const float *weights, double *energies)
{
    size_t count = (size_t)layer->grid[0] * layer->grid[1];
    deconv_status status = DECONV_OK;
    spectrum *s = NULL;
    work w = {0};
    double energy;

    memset(energies, 0, count * sizeof *energies);
    TRY(work_create(f, layer, &w, &s));
    energy = autocorrelate(layer, &w, weights);
    if (!(energy > 0.0))
        goto done;
    to_signal(&w, energy, spectrum_signal(s));
    spectrum_read(s, SPECTRUM_AUTOCORRELATION, energies);
    for (size_t i = 0; i < count; i++)
        energies[i] *= energy * w.scale * w.scale;
done:
    work_free(f->ctx, &w);
    spectrum_free(s);
    return status;
}
