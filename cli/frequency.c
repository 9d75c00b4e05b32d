/* deconv frequency: which spatial frequencies a network's filters respond to, and which pass. */
#include "frequency.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct frequency_options {
    char *against, *bands, *rms_limit, *dead, *out, *csv;
    const char **inputs; /* NULL-ended, or NULL */
    int grid;

    deconv_frequency_options how;
} frequency_options;

/* ---- The command line ---- */

/* "0.1,0.3" -> two numbers; false unless all of it is `count` finite ones. */
static bool parse_reals(const char *text, double *out, int count)
{
    char *end;

    for (int i = 0; i < count; i++) {
        errno = 0;
        out[i] = strtod(text, &end);
        if (end == text || errno || !isfinite(out[i]) || *end != (i + 1 < count ? ',' : '\0'))
            return false;
        text = end + 1;
    }
    return true;
}

static int check(const session *s, frequency_options *o)
{
    double bands[2] = {o->how.low_to, o->how.mid_to};

    if (o->bands && (!parse_reals(o->bands, bands, 2) || bands[0] <= 0.0 || bands[0] >= bands[1] ||
                     bands[1] > sqrt(0.5)))
        return fail_usage(s,
                          "--bands %s: where low and mid end, as 0.167,0.333: two rising numbers "
                          "between 0 and 0.707",
                          o->bands);
    if (o->rms_limit &&
        (!parse_reals(o->rms_limit, &o->how.rms_limit, 1) || o->how.rms_limit <= 0.0))
        return fail_usage(s, "--rms-limit %s: a number above 0 is wanted", o->rms_limit);
    if (o->dead && (!parse_reals(o->dead, &o->how.dead_rms, 1) || o->how.dead_rms < 0.0 ||
                    o->how.dead_rms >= 1.0))
        return fail_usage(s, "--dead %s: a part of the median RMS, from 0 to below 1", o->dead);
    if (o->grid && (o->grid < 8 || o->grid > 1024 || o->grid % 2))
        return fail_usage(s, "--grid %d: an even number from 8 to 1024 is wanted", o->grid);
    o->how.low_to = bands[0];
    o->how.mid_to = bands[1];
    if (o->grid)
        o->how.grid = (uint32_t)o->grid;
    if (!o->out && !o->csv)
        o->out = strdup("frequency.png");
    return -1;
}

/* ---- One network ---- */

static bool add_pictures(frequency_model *m, const char *const *paths)
{
    for (; paths && *paths; paths++) {
        input in = {0};
        bool done = input_open(m->s, *paths, &in) &&
                    worked(m->s, deconv_frequency_run(m->frequency,
                                                      (const deconv_tensor *const *)&in.tensor, 1));

        input_close(&in);
        if (!done)
            return false;
    }
    return true;
}

/* Copies of what the report asks for again and again. */
static bool collect(frequency_model *m)
{
    m->pictures = deconv_frequency_pictures(m->frequency);
    m->count = deconv_frequency_count(m->frequency);
    m->layer = calloc(m->count, sizeof *m->layer);
    m->filter = calloc(m->count, sizeof *m->filter);
    for (uint32_t i = 0; m->layer && m->filter && i < m->count; i++) {
        deconv_frequency_info_init(&m->layer[i]);
        if (!worked(m->s, deconv_frequency_get(m->frequency, i, &m->layer[i])))
            return false;
        m->filter[i] = calloc(m->layer[i].filters, sizeof *m->filter[i]);
        for (uint32_t k = 0; m->filter[i] && k < m->layer[i].filters; k++) {
            deconv_filter_info_init(&m->filter[i][k]);
            if (!worked(m->s, deconv_frequency_filter(m->frequency, i, k, &m->filter[i][k])))
                return false;
        }
        if (!m->filter[i])
            break;
    }
    if (m->layer && m->filter && m->filter[m->count - 1])
        return worked(m->s, deconv_frequency_input(m->frequency, &m->input));
    fail("no memory: %u layers of filters", m->count);
    return false;
}

static bool analyse(frequency_model *m, const frequency_options *o)
{
    const char *slash = strrchr(m->path, '/');

    m->name = slash ? slash + 1 : m->path;
    /* Warnings about the model card are for those who give pictures: input_open() prints them. */
    return session_open_net(m->s, m->path) &&
           worked(m->s, deconv_frequency_create(m->s->net, &o->how, &m->frequency)) &&
           add_pictures(m, o->inputs) && collect(m);
}

static void free_model(frequency_model *m)
{
    for (uint32_t i = 0; m->filter && i < m->count; i++)
        free(m->filter[i]);
    free(m->filter);
    free(m->layer);
    deconv_frequency_destroy(m->frequency);
}

/* ---- All of it ---- */

static int report(session *s, const frequency_options *o, const frequency_model *models, int count)
{
    cJSON *json;

    if (!s->json) {
        frequency_print(models, count);
        if (o->out)
            printf("wrote %s\n", o->out);
        if (o->csv)
            printf("wrote %s\n", o->csv);
        return finish_output();
    }
    json = frequency_json(&models[0]);
    if (count > 1)
        cJSON_AddItemToObject(json, "against", frequency_json(&models[1]));
    if (o->out)
        cJSON_AddStringToObject(json, "picture", o->out);
    if (o->csv)
        cJSON_AddStringToObject(json, "csv", o->csv);
    return print_json(json);
}

static int run(session *s, const frequency_options *o, const char *model)
{
    session other = {.command = s->command, .json = s->json, .quiet = s->quiet};
    frequency_model models[2] = {{.path = model, .s = s}, {.path = o->against, .s = &other}};
    int count = o->against ? 2 : 1, status = EXIT_FAILED;
    raw_file csv = {0};

    if (!session_open(s))
        return EXIT_FAILED;
    other.ctx = s->ctx;
    for (int i = 0; i < count; i++)
        if (!analyse(&models[i], o))
            goto done;
    progress_clear();
    if ((o->csv && !frequency_csv(models, count, o->csv, &csv)) ||
        (o->out && !frequency_figure(models, count, &o->how, o->out)) ||
        (o->csv && !raw_finish(&csv)))
        goto done;
    status = report(s, o, models, count);
done:
    raw_abandon(&csv);
    free_model(&models[0]);
    free_model(&models[1]);
    deconv_net_destroy(other.net);
    deconv_card_destroy(other.card);
    return status;
}

int command_frequency(int argc, const char **argv)
{
    static const usage usage = {
        "MODEL",
        "Shows which spatial frequencies the filters of an ONNX network respond to: for every\n"
        "convolution the energy in low, middle and high frequencies, what lies past the Nyquist\n"
        "limit of the stride and aliases, dead filters, and a verdict in the sense of Zeiler &\n"
        "Fergus 2013, section 4.1. With --input also what passes through: the frequencies of the\n"
        "feature maps, and maps that stay empty. Writes a figure; --against puts a second network\n"
        "beside the first.",
        "Examples:\n"
        "  deconv frequency zfnet.onnx -o zfnet.png\n"
        "  deconv frequency alexnet.onnx --against zfnet.onnx -o side-by-side.png\n"
        "  deconv frequency squeezenet.onnx --input dog.jpg --input cat.jpg --csv filters.csv\n"};
    session s = {0};
    frequency_options o = {.how = DECONV_FREQUENCY_OPTIONS_INIT};
    struct poptOption options[] = {
        {"against", 0, POPT_ARG_STRING, &o.against, 0, "a second network, side by side", "MODEL"},
        {"input", 0, POPT_ARG_ARGV, &o.inputs, 0,
         "a picture or .npy file to run; may be given again for more", "FILE"},
        {"output", 'o', POPT_ARG_STRING, &o.out, 0, "the figure to write (frequency.png)",
         "FILE.png"},
        {"csv", 0, POPT_ARG_STRING, &o.csv, 0, "write a table with a line for each filter",
         "FILE.csv"},
        {"bands", 0, POPT_ARG_STRING, &o.bands, 0,
         "where low and mid end, cycles per pixel (1/6 and 1/3)", "LOW,MID"},
        {"grid", 0, POPT_ARG_INT, &o.grid, 0, "size that filters are padded to (64)", "N"},
        {"rms-limit", 0, POPT_ARG_STRING, &o.rms_limit, 0,
         "count filters with a root mean square over this (0.1)", "X"},
        {"dead", 0, POPT_ARG_STRING, &o.dead, 0,
         "a filter is dead up to this part of the layer's median RMS (0.01)", "X"},
        POPT_TABLEEND};
    const char *word;
    int result = session_parse(&s, argc, argv, options, &usage, &word, 1);

    if (result < 0)
        result = check(&s, &o);
    if (result < 0)
        result = run(&s, &o, word);
    session_close(&s);
    for (const char **input = o.inputs; input && *input; input++)
        free((void *)*input);
    free((void *)o.inputs);
    char *const owned[] = {o.against, o.bands, o.rms_limit, o.dead, o.out, o.csv};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    return result;
}
