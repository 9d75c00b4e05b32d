/* What `deconv occlude` is made of: the command line (occlude_options.c), running and reporting
 * (occlude.c). */
#ifndef DECONV_CLI_OCCLUDE_H
#define DECONV_CLI_OCCLUDE_H

#include "cli.h"

enum { MOST_MAPS = 16 };

typedef struct occlude_options {
    char *patch, *stride, *region, *fill, *class, *engine, *raw;
    char **maps; /* --map, each time it was given; NULL: not at all */

    deconv_occlusion_options how; /* but for the maps and what needs the network's files */
    deconv_occlusion_map map[MOST_MAPS];
} occlude_options;

/* What can be said about the options without the network: -1 when they make sense, else the exit
 * status. */
int occlude_check(const session *s, occlude_options *o);
/* The maps, whose layers the network must have. */
bool occlude_find_maps(session *s, occlude_options *o);
/* --map's word for a kind. */
const char *occlude_kind_name(deconv_occlusion_kind kind);
void occlude_options_free(occlude_options *o);

#endif
