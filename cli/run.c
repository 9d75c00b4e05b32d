/* deconv run: the classes of a picture, or a layer's activation as raw floats. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>

typedef struct run_options {
    char *layer;
    char *raw;
    int top;
} run_options;

static const float *compared;

static int by_score(const void *a, const void *b)
{
    int i = *(const int *)a, j = *(const int *)b;

    if (compared[i] != compared[j])
        return compared[i] > compared[j] ? -1 : 1;
    return i - j;
}

static void print_class(const session *s, cJSON *json, int rank, int class, float score,
                        bool is_probability)
{
    const char *label = deconv_card_label(s->card, (uint32_t) class);

    if (json) {
        cJSON *entry = cJSON_CreateObject();

        cJSON_AddNumberToObject(entry, "class", class);
        if (label)
            cJSON_AddStringToObject(entry, "label", label);
        cJSON_AddNumberToObject(entry, is_probability ? "probability" : "score", score);
        cJSON_AddItemToArray(json, entry);
    } else if (label) {
        printf("%d  %8.4f  %s\n", rank + 1, score, label);
    } else {
        printf("%d  %8.4f  class %d\n", rank + 1, score, class);
    }
}

/* The strongest `top` classes of one picture. */
static bool print_top(const session *s, cJSON *json, const float *scores, int count, int top,
                      bool is_probability)
{
    int *order = malloc((size_t)count * sizeof *order);

    if (!order) {
        fail("no memory: %d classes", count);
        return false;
    }
    for (int i = 0; i < count; i++)
        order[i] = i;
    compared = scores;
    qsort(order, (size_t)count, sizeof *order, by_score);
    for (int i = 0; i < count && i < top; i++)
        print_class(s, json, i, order[i], scores[order[i]], is_probability);
    free(order);
    return true;
}

/* The output as one row of finite scores a picture; NULL: the message was printed. */
static float *class_scores(const session *s, const deconv_tensor *out, uint64_t classes)
{
    float *scores;

    for (uint32_t d = 2; d < deconv_tensor_rank(out); d++) {
        if (deconv_tensor_size(out, d) == 1)
            continue;
        fail("the network's output is no vector of classes; read a layer with --layer and --raw");
        return NULL;
    }
    scores = tensor_values(s, out);
    for (uint64_t i = 0; scores && i < deconv_tensor_count(out); i++) {
        if (isfinite(scores[i]))
            continue;
        fail("the output for class %llu is not finite; the network or its input overflows",
             (unsigned long long)(i % classes));
        free(scores);
        return NULL;
    }
    return scores;
}

static bool print_classes(const session *s, const run_options *o, const float *scores,
                          uint64_t classes, int64_t batch, bool is_probability, cJSON *pictures)
{
    bool done = true;

    for (int64_t i = 0; done && i < batch; i++) {
        cJSON *top = NULL;

        if (pictures) {
            top = cJSON_CreateArray();
            cJSON_AddItemToArray(pictures, top);
        } else if (batch > 1) {
            printf("picture %lld\n", (long long)i);
        }
        done =
            print_top(s, top, scores + (uint64_t)i * classes, (int)classes, o->top, is_probability);
    }
    return done;
}

static cJSON *start_json(const run_options *o, const char *model, const char *path)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "model", model);
    cJSON_AddStringToObject(json, "input", path);
    if (o->raw)
        cJSON_AddStringToObject(json, "raw", o->raw);
    return json;
}

/* All that can fail comes before the first output, but for the output itself. */
static int run(session *s, const run_options *o, const char *model, const char *path)
{
    deconv_trace_options keep = DECONV_TRACE_OPTIONS_INIT;
    deconv_trace *trace = NULL;
    const deconv_tensor *out;
    uint32_t probabilities, logits, layer;
    uint64_t classes;
    float *scores = NULL;
    cJSON *json = NULL, *pictures = NULL;
    input in = {0};
    int result = EXIT_FAILED;

    if (!session_open(s) || !session_open_net(s, model) ||
        !worked(s, deconv_net_classifier(s->net, &probabilities, &logits)))
        goto done;
    layer = probabilities;
    if ((o->layer && !find_layer(s, o->layer, &layer)) || !input_open(s, path, &in))
        goto done;
    keep.rules = 1 << DECONV_RULE_DECONVNET;
    keep.keep = keep.last = &layer;
    keep.keep_count = keep.last_count = 1;
    if (!worked(s, deconv_trace_create(s->net, in.batch, &keep, &trace)) ||
        !worked(s, deconv_trace_run(trace, (const deconv_tensor *const *)&in.tensor, 1)) ||
        !worked(s, deconv_trace_activation(trace, layer, &out)))
        goto done;
    progress_clear();
    classes = deconv_tensor_count(out) / (uint64_t)in.batch;
    if ((!o->layer && !(scores = class_scores(s, out, classes))) ||
        (o->raw && !worked(s, deconv_tensor_save(out, o->raw))))
        goto done;
    if (s->json) {
        json = start_json(o, model, path);
        pictures = scores ? cJSON_AddArrayToObject(json, "pictures") : NULL;
    }
    if (scores &&
        !print_classes(s, o, scores, classes, in.batch, probabilities != logits, pictures))
        goto done;
    result = json ? print_json(json) : finish_output();
    json = NULL;
done:
    free(scores);
    cJSON_Delete(json);
    deconv_trace_destroy(trace);
    input_close(&in);
    return result;
}

int command_run(int argc, const char **argv)
{
    static const usage usage = {
        "MODEL INPUT",
        "Runs an ONNX network on a picture (JPEG, PNG, BMP, ...) or a .npy file and prints the\n"
        "strongest classes. With --layer and --raw it writes a layer's activation instead.",
        "Examples:\n"
        "  deconv run squeezenet.onnx dog.jpg\n"
        "  deconv run squeezenet.onnx dog.jpg --layer fire4/concat --raw fire4.npy\n"};
    session s = {0};
    run_options o = {.top = 5};
    struct poptOption options[] = {
        {"layer", 0, POPT_ARG_STRING, &o.layer, 0, "the layer to write with --raw", "NAME"},
        {"raw", 0, POPT_ARG_STRING, &o.raw, 0, "write the activation (N,C,H,W) as float32",
         "FILE.npy"},
        {"top", 0, POPT_ARG_INT, &o.top, 0, "how many classes to print (5)", "N"},
        POPT_TABLEEND};
    const char *words[2];
    int result = session_parse(&s, argc, argv, options, &usage, words, 2);

    if (result < 0 && o.top < 1)
        result = fail_usage(&s, "--top %d: at least 1 is wanted", o.top);
    if (result < 0 && o.layer && !o.raw)
        result = fail_usage(&s, "--layer needs --raw FILE.npy to write the activation to");
    if (result < 0)
        result = run(&s, &o, words[0], words[1]);
    session_close(&s);
    free(o.layer);
    free(o.raw);
    return result;
}
