/* A model card in memory, shared by the files that read it (card.c, card_labels.c) and the one that
 * applies it to pictures (card_apply.c). */
#ifndef DECONV_LIB_PICTURE_CARD_H
#define DECONV_LIB_PICTURE_CARD_H

#include "picture.h"

typedef enum card_channels {
    CARD_UNSAID, /* RGB where the net has three channels, grey where it has one */
    CARD_RGB,
    CARD_BGR,
    CARD_GREY
} card_channels;

/* One number for all channels, or one a channel in the net's order. */
typedef struct card_numbers {
    double value[PICTURE_CHANNELS];
    int count;
} card_numbers;

struct deconv_card {
    deconv_ctx *ctx;
    char *name;     /* what messages start with: the card's path, or "model card" */
    int64_t resize; /* shorter side; 0: the picture is resized to the net's input */
    int64_t crop;   /* 0: the net's input */
    card_channels channels;
    double low, high; /* what 0 and 255 become */
    card_numbers mean, std;
    char *label_text; /* the labels file, cut into lines */
    const char **label;
    uint32_t label_count;
};

/* A colour, red, green and blue from 0 to 255, as the net's `channels` values. */
deconv_status card_colour(const deconv_card *card, int64_t channels, const double *rgb,
                          float *values);

/* Reads the labels of `file`, one a line, into the card. */
deconv_status card_read_labels(deconv_card *card, const char *file);

#endif
