/* Frequency content of a net: what the files of this analysis share. frequency.c has the public
 * calls, frequency_filters.c the weights, frequency_maps.c the pictures, frequency_verdict.c the
 * words. docs/frequency.md has the definitions. */
#ifndef DECONV_LIB_FREQUENCY_H
#define DECONV_LIB_FREQUENCY_H

#include "../net.h"
#include "spectrum.h"

#define VERDICT_TEXT 640

typedef struct filter_result {
    double rms;
    spectrum_sums sums;
    bool dead_weight, over_limit;

    /* Its map, over all pictures so far. */
    spectrum_sums map_sums;
    float smallest, largest;
} filter_result;

typedef struct frequency_layer {
    int value;   /* of the graph: the convolution's output */
    int weights; /* its weights' */
    int maps;    /* and that of the maps that are analysed */
    uint32_t maps_of;
    bool transposed;
    uint32_t filters, channels; /* channels of one filter */
    uint32_t groups;
    uint32_t kernel[2], stride[2], dilation[2];
    uint32_t grid[2];
    filter_result *filter; /* [filters] */
    spectrum_sums noise;
    uint32_t dead_weight, dead_activation, over_limit;
    spectrum_sums filter_shares, map_shares; /* averages over what is not dead */
    deconv_verdict verdict;
    char text[VERDICT_TEXT];
} frequency_layer;

struct deconv_frequency {
    deconv_ctx *ctx;
    deconv_net *net;
    deconv_frequency_options options;
    frequency_layer *layer;
    int count;

    uint64_t pictures;
    uint32_t input_channels;    /* 0: the input has no positions to analyse */
    spectrum_sums *input_sums;  /* [input_channels] */
    spectrum_sums input_shares; /* averaged */

    /* The weights of the layer that was asked for last, filter by filter; -1: none yet. */
    int cached;
    float *weights;
};

/* ---- frequency_filters.c ---- */

/* Adds every convolution of the graph to f->layer, and what its filters are like. */
deconv_status frequency_find_layers(deconv_frequency *f);
deconv_status frequency_filters(deconv_frequency *f, frequency_layer *layer);
/* The weights of a layer into f->weights. */
deconv_status frequency_load_weights(deconv_frequency *f, int index);
/* Values of one filter. */
size_t frequency_filter_size(const frequency_layer *layer);
deconv_status frequency_filter_spectrum(deconv_frequency *f, const frequency_layer *layer,
                                        const float *weights, double *energies);

/* ---- frequency_maps.c ---- */

/* The same value everywhere, in all pictures: nothing can be told from such a map. */
bool frequency_map_is_dead(const deconv_frequency *f, const frequency_layer *layer,
                           uint32_t filter);

/* ---- frequency_verdict.c ---- */

/* Averages, counts and the words, after filters or maps have changed. */
void frequency_judge(const deconv_frequency *f, frequency_layer *layer);

#endif
