/* deconv tune: measures the convolutions of a network on this device and keeps the ranking. */
#include "cli.h"

static int print_summary(const session *s, const char *model, const deconv_tune_summary *summary)
{
    cJSON *json;

    if (!s->json) {
        printf("%u convolutions: %u algorithms measured, %u over the limit, %u wrong\n",
               summary->convolutions, summary->measured, summary->over_limit, summary->wrong);
        printf("kept in %s\n", summary->path);
        return finish_output();
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", model);
    cJSON_AddNumberToObject(json, "convolutions", summary->convolutions);
    cJSON_AddNumberToObject(json, "measured", summary->measured);
    cJSON_AddNumberToObject(json, "over_limit", summary->over_limit);
    cJSON_AddNumberToObject(json, "wrong", summary->wrong);
    cJSON_AddStringToObject(json, "file", summary->path);
    return print_json(json);
}

static int tune(session *s, const char *model, const deconv_tune_options *options)
{
    deconv_tune_summary summary = DECONV_TUNE_SUMMARY_INIT;

    if (!session_open(s) || !session_open_net(s, model))
        return EXIT_FAILED;
    session_warn(s);
    if (!worked(s, deconv_net_tune(s->net, options, &summary)))
        return EXIT_FAILED;
    progress_clear();
    return print_summary(s, model, &summary);
}

int command_tune(int argc, const char **argv)
{
    static const usage usage = {
        "MODEL",
        "Measures every algorithm for each convolution of an ONNX network, forward and inverse, "
        "on\n"
        "this device, and keeps the times: from then on the fastest one serves. Each result is\n"
        "checked first. deconv info --plan shows what was chosen.",
        "Example:\n  deconv tune squeezenet.onnx --batch 8\n"};
    session s = {0};
    deconv_tune_options o = DECONV_TUNE_OPTIONS_INIT;
    int batch = 0;
    double limit = 1.0;
    struct poptOption options[] = {
        {"batch", 0, POPT_ARG_INT, &batch, 0, "pictures at a time (1, or what the file fixes)",
         "N"},
        {"limit", 0, POPT_ARG_DOUBLE, &limit, 0,
         "leave out what takes longer than this, for each algorithm and convolution (1)",
         "SECONDS"},
        POPT_TABLEEND};
    const char *model;
    int result = session_parse(&s, argc, argv, options, &usage, &model, 1);

    if (result < 0 && batch < 0)
        result = fail_usage(&s, "--batch %d: at least 1 is wanted", batch);
    if (result < 0 && !(limit > 0.0 && limit < 1e6))
        result = fail_usage(&s, "--limit %g: more than 0 seconds are wanted", limit);
    o.batch = batch;
    o.limit_seconds = limit;
    if (result < 0)
        result = tune(&s, model, &o);
    session_close(&s);
    return result;
}
