/* Frequency content of a net's filters, of its maps and of its pictures: the public calls. */
#include "frequency.h"

#include "../options.h"

#include <math.h>
#include <string.h>

enum { SMALLEST_GRID = 8, LARGEST_GRID = 1024 };

void deconv_frequency_options_init(deconv_frequency_options *options)
{
    *options = (deconv_frequency_options)DECONV_FREQUENCY_OPTIONS_INIT;
}

void deconv_frequency_info_init(deconv_frequency_info *info)
{
    *info = (deconv_frequency_info)DECONV_FREQUENCY_INFO_INIT;
}

void deconv_filter_info_init(deconv_filter_info *info)
{
    *info = (deconv_filter_info)DECONV_FILTER_INFO_INIT;
}

/* ---- Creating ---- */

static deconv_status check_options(deconv_ctx *ctx, const deconv_frequency_options *o)
{
    deconv_status status = DECONV_OK;

    if (o->grid < SMALLEST_GRID || o->grid > LARGEST_GRID || o->grid % 2)
        FAIL(ctx, DECONV_ERROR_INVALID, "a grid of %u; an even number from %d to %d is wanted",
             o->grid, SMALLEST_GRID, LARGEST_GRID);
    if (!(o->low_to > 0.0 && o->low_to < o->mid_to && o->mid_to <= sqrt(0.5)))
        FAIL(ctx, DECONV_ERROR_INVALID,
             "bands up to %g and %g cycles per pixel; two rising numbers between 0 and 0.707 are "
             "wanted",
             o->low_to, o->mid_to);
    if (!(o->rms_limit > 0.0))
        FAIL(ctx, DECONV_ERROR_INVALID, "an RMS limit of %g; it must be above 0", o->rms_limit);
    if (!(o->dead_rms >= 0.0 && o->dead_rms < 1.0))
        FAIL(ctx, DECONV_ERROR_INVALID,
             "dead below %g of the median RMS; a number from 0 to below 1 is wanted", o->dead_rms);
    if (!(o->little >= 0.0 && o->little <= o->much && o->much <= 1.0))
        FAIL(ctx, DECONV_ERROR_INVALID,
             "little is below %g and much from %g on; shares from 0 to 1 are wanted, little not "
             "above much",
             o->little, o->much);
done:
    return status;
}

static deconv_status prepare_input(deconv_frequency *f)
{
    const graph *g = f->net->graph;
    const shape *s = &g->value[g->model->input[0].value].shape;
    deconv_status status = DECONV_OK;

    if (s->rank != 3 && s->rank != 4)
        goto done;
    TRY_ALLOC(f->input_sums, f->ctx, (size_t)s->dim[1]);
    f->input_channels = (uint32_t)s->dim[1];
done:
    return status;
}

deconv_status deconv_frequency_create(deconv_net *net, const deconv_frequency_options *options,
                                      deconv_frequency **out)
{
    deconv_frequency_options given = DECONV_FREQUENCY_OPTIONS_INIT;
    deconv_status status = DECONV_OK;
    deconv_frequency *f = NULL;

    *out = NULL;
    TRY(OPTIONS_READ(net->ctx, &given, options));
    TRY(check_options(net->ctx, &given));
    TRY_ALLOC(f, net->ctx, 1);
    f->ctx = net->ctx;
    f->net = net;
    f->options = given;
    f->cached = -1;
    TRY(frequency_find_layers(f));
    if (f->count == 0)
        FAIL(net->ctx, DECONV_ERROR_UNSUPPORTED,
             "the network has no convolution, so there are no filters to analyse");
    TRY(prepare_input(f));
    for (int i = 0; i < f->count; i++) {
        TRY(progress_step(f->ctx, (uint64_t)i, (uint64_t)f->count, "filters"));
        TRY(frequency_filters(f, &f->layer[i]));
        frequency_judge(f, &f->layer[i]);
    }
    *out = f;
    f = NULL;
done:
    deconv_frequency_destroy(f);
    return status;
}

void deconv_frequency_destroy(deconv_frequency *f)
{
    if (!f)
        return;
    for (int i = 0; f->layer && i < f->count; i++)
        mem_free(f->ctx, f->layer[i].filter);
    mem_free(f->ctx, f->layer);
    mem_free(f->ctx, f->input_sums);
    mem_free(f->ctx, f->weights);
    mem_free(f->ctx, f);
}

/* ---- Asking ---- */

uint64_t deconv_frequency_pictures(const deconv_frequency *f)
{
    return f->pictures;
}

uint32_t deconv_frequency_count(const deconv_frequency *f)
{
    return (uint32_t)f->count;
}

static deconv_status check_index(const deconv_frequency *f, uint32_t index)
{
    if (index < (uint32_t)f->count)
        return DECONV_OK;
    return error_set(f->ctx, DECONV_ERROR_NOT_FOUND,
                     "convolution %u does not exist; the network has %d (0-%d)", index, f->count,
                     f->count - 1);
}

static deconv_status check_filter(const deconv_frequency *f, uint32_t index, uint32_t filter)
{
    deconv_status status = check_index(f, index);

    if (status != DECONV_OK || filter < f->layer[index].filters)
        return status;
    return error_set(f->ctx, DECONV_ERROR_NOT_FOUND,
                     "%s: filter %u does not exist; the layer has %u (0-%u)",
                     f->net->graph->value[f->layer[index].value].name, filter,
                     f->layer[index].filters, f->layer[index].filters - 1);
}

static deconv_status check_count(const deconv_frequency *f, const char *what, uint64_t count,
                                 uint64_t wanted)
{
    if (count == wanted)
        return DECONV_OK;
    return error_set(f->ctx, DECONV_ERROR_INVALID, "room for %llu %s; there are %llu",
                     (unsigned long long)count, what, (unsigned long long)wanted);
}

deconv_status deconv_frequency_get(const deconv_frequency *f, uint32_t index,
                                   deconv_frequency_info *info)
{
    deconv_frequency_info full = DECONV_FREQUENCY_INFO_INIT;
    const graph *g = f->net->graph;
    deconv_status status = DECONV_OK;
    const frequency_layer *layer;

    TRY(check_index(f, index));
    layer = &f->layer[index];
    full.layer = (uint32_t)g->value[layer->value].layer;
    full.maps_of = layer->maps_of;
    full.filters = layer->filters;
    full.channels = layer->channels;
    full.height = layer->kernel[0];
    full.width = layer->kernel[1];
    full.stride_y = layer->stride[0];
    full.stride_x = layer->stride[1];
    full.dilation_y = layer->dilation[0];
    full.dilation_x = layer->dilation[1];
    full.grid_y = layer->grid[0];
    full.grid_x = layer->grid[1];
    full.dead_weight = layer->dead_weight;
    full.dead_activation = layer->dead_activation;
    full.over_limit = layer->over_limit;
    full.verdict = layer->verdict;
    full.filter_bands = spectrum_bands(&layer->filter_shares);
    full.map_bands = spectrum_bands(&layer->map_shares);
    full.noise_bands = spectrum_bands(&layer->noise);
    full.name = g->value[layer->value].name;
    full.op_type = layer->transposed ? "ConvTranspose" : "Conv";
    full.text = layer->text;
    TRY(OPTIONS_WRITE(f->ctx, info, &full));
done:
    return status;
}

deconv_status deconv_frequency_filter(const deconv_frequency *f, uint32_t index, uint32_t filter,
                                      deconv_filter_info *info)
{
    deconv_filter_info full = DECONV_FILTER_INFO_INIT;
    deconv_status status = DECONV_OK;
    const filter_result *r;

    TRY(check_filter(f, index, filter));
    r = &f->layer[index].filter[filter];
    full.flags =
        (r->dead_weight ? DECONV_FILTER_DEAD_WEIGHT : 0) |
        (frequency_map_is_dead(f, &f->layer[index], filter) ? DECONV_FILTER_DEAD_ACTIVATION : 0) |
        (r->over_limit ? DECONV_FILTER_OVER_LIMIT : 0);
    full.rms = r->rms;
    full.bands = spectrum_bands(&r->sums);
    full.map_bands = spectrum_bands(&r->map_sums);
    TRY(OPTIONS_WRITE(f->ctx, info, &full));
done:
    return status;
}

deconv_status deconv_frequency_input(const deconv_frequency *f, deconv_bands *bands)
{
    *bands = spectrum_bands(&f->input_shares);
    return DECONV_OK;
}

deconv_status deconv_frequency_histogram(const deconv_frequency *f, uint32_t index,
                                         deconv_frequency_source source, double *shares,
                                         uint64_t count)
{
    deconv_status status = DECONV_OK;
    const spectrum_sums *sums = NULL;

    if (source != DECONV_FREQUENCY_INPUT)
        TRY(check_index(f, index));
    TRY(check_count(f, "classes", count, DECONV_FREQUENCY_CLASSES));
    switch (source) {
    case DECONV_FREQUENCY_FILTERS:
        sums = &f->layer[index].filter_shares;
        break;
    case DECONV_FREQUENCY_MAPS:
        sums = &f->layer[index].map_shares;
        break;
    case DECONV_FREQUENCY_INPUT:
        sums = &f->input_shares;
        break;
    case DECONV_FREQUENCY_NOISE:
        sums = &f->layer[index].noise;
        break;
    default:
        FAIL(f->ctx, DECONV_ERROR_INVALID,
             "source %d: there are filters, maps, the input and noise", (int)source);
    }
    memcpy(shares, sums->class, sizeof sums->class);
done:
    return status;
}

deconv_status deconv_frequency_weights(deconv_frequency *f, uint32_t index, uint32_t filter,
                                       float *values, uint64_t count)
{
    deconv_status status = DECONV_OK;
    size_t size;

    TRY(check_filter(f, index, filter));
    size = frequency_filter_size(&f->layer[index]);
    TRY(check_count(f, "weights", count, size));
    TRY(frequency_load_weights(f, (int)index));
    memcpy(values, f->weights + filter * size, size * sizeof *values);
done:
    return status;
}

deconv_status deconv_frequency_spectrum(deconv_frequency *f, uint32_t index, uint32_t filter,
                                        double *values, uint64_t count)
{
    deconv_status status = DECONV_OK;
    const frequency_layer *layer;

    TRY(check_filter(f, index, filter));
    layer = &f->layer[index];
    TRY(check_count(f, "frequencies", count, (uint64_t)layer->grid[0] * layer->grid[1]));
    TRY(frequency_load_weights(f, (int)index));
    TRY(frequency_filter_spectrum(f, layer, f->weights + filter * frequency_filter_size(layer),
                                  values));
done:
    return status;
}
