/* What `deconv frequency` is made of: the command (frequency.c), what it says as text, JSON and CSV
 * (frequency_report.c), and its figure (frequency_figure.c). */
#ifndef DECONV_CLI_FREQUENCY_H
#define DECONV_CLI_FREQUENCY_H

#include "project.h" /* raw_file */

/* One network and what was found. */
typedef struct frequency_model {
    const char *path;
    const char *name; /* the last part of the path */
    session *s;       /* its network and card */
    deconv_frequency *frequency;
    uint32_t count; /* convolutions */
    uint64_t pictures;
    deconv_frequency_info *layer; /* [count] */
    deconv_filter_info **filter;  /* [count][filters of each] */
    deconv_bands input;
} frequency_model;

/* "gap" and so on. */
const char *verdict_name(deconv_verdict verdict);
/* A band's share in percent; 0 where there is nothing. */
double percent(double part, const deconv_bands *of);

/* Prints the layers of up to two networks. */
void frequency_print(const frequency_model *models, int count);
cJSON *frequency_json(const frequency_model *m);
/* Leaves the file to be finished, once all else has worked. */
bool frequency_csv(const frequency_model *models, int count, const char *path, raw_file *out);
bool frequency_figure(const frequency_model *models, int count,
                      const deconv_frequency_options *options, const char *path);

#endif
