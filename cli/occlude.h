/* What `deconv occlude` is made of: the command line (occlude_options.c), running and reporting
 * (occlude.c), the figure (occlude_figure.c) and the overlay (occlude_overlay.c). */
#ifndef DECONV_CLI_OCCLUDE_H
#define DECONV_CLI_OCCLUDE_H

#include "plot/plot.h"

enum { MOST_MAPS = 16 };

/* The maps of the figure, in this order behind those that were asked for. */
enum { FIGURE_ACTIVITY, FIGURE_PROB, FIGURE_LABEL, FIGURE_MAPS };

typedef struct occlude_options {
    char *patch, *stride, *region, *fill, *class, *engine, *layer, *out, *overlay, *raw;
    char **maps; /* --map, each time it was given; NULL: not at all */

    deconv_occlusion_options how; /* but for the maps and what needs the network's files */
    deconv_occlusion_map map[MOST_MAPS + FIGURE_MAPS];
    uint32_t asked; /* maps that --map asked for, or the default one; the figure's follow */
} occlude_options;

/* What a sweep left, for those who draw it. */
typedef struct occluded {
    const deconv_occlusion *result;
    deconv_occlusion_info info;
    const input *in;
    const char *path;
    uint32_t first; /* the first of the figure's maps */
} occluded;

/* What can be said about the options without the network; `path`: of the input. -1 when they make
 * sense, else the exit status. */
int occlude_check(const session *s, occlude_options *o, const char *path);
/* The maps, whose layers the network must have. */
bool occlude_find_maps(session *s, occlude_options *o);
/* The layer whose strongest map the figure shows: --layer, or the last one with positions. */
bool occlude_find_layer(session *s, const char *name, uint32_t *layer);
/* "bull mastiff" or "class 243", cut to its first part. */
void occlude_label(const session *s, int64_t class, char *text, size_t size);
/* The paper's figure; a map over the picture. False: the message was printed. */
bool occlude_draw(session *s, const occlude_options *o, const occluded *w);
bool occlude_draw_overlay(session *s, const occlude_options *o, const occluded *w);
/* --map's word for a kind. */
const char *occlude_kind_name(deconv_occlusion_kind kind);
void occlude_options_free(occlude_options *o);

#endif
