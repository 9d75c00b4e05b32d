/* deconv run: the classes of a picture, or a layer's activation as raw floats. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct run_options {
    char *layer;
    char *raw;
    int top;
    int fast;
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

/* One layer's activations of all pictures. */
typedef struct activations {
    int64_t shape[DECONV_MAX_RANK];
    uint32_t rank;
    uint64_t count; /* of one picture */
    float *values;
} activations;

/* The part of `in` from picture `from` on into `part`; pictures that do not exist are zero. */
static bool write_part(const session *s, const input *in, const float *pictures, int64_t from,
                       deconv_tensor *part)
{
    uint64_t each = deconv_tensor_count(in->tensor) / (uint64_t)in->batch;
    uint64_t count = deconv_tensor_count(part), there = (uint64_t)(in->batch - from) * each;
    float *values = calloc(count, sizeof *values);
    bool done;

    if (!values) {
        fail("no memory: %llu values of pictures", (unsigned long long)count);
        return false;
    }
    memcpy(values, pictures + (uint64_t)from * each,
           (there < count ? there : count) * sizeof *values);
    done = worked(s, deconv_tensor_write(part, values, count));
    free(values);
    return done;
}

/* Adds what one run has left for the pictures from..; the first one says how large all is. */
static bool take_part(const session *s, const deconv_tensor *out, int64_t from, int64_t batch,
                      int64_t all, activations *a)
{
    uint64_t count = (uint64_t)(all - from < batch ? all - from : batch);
    float *values = tensor_values(s, out);

    if (values && !a->values) {
        a->rank = deconv_tensor_rank(out);
        for (uint32_t d = 0; d < a->rank; d++)
            a->shape[d] = deconv_tensor_size(out, d);
        a->shape[0] = a->shape[0] == batch ? all : a->shape[0];
        a->count = deconv_tensor_count(out) / (uint64_t)batch;
        a->values = calloc((uint64_t)all * a->count, sizeof *a->values);
        if (!a->values)
            fail("no memory: %llu activations", (unsigned long long)all * a->count);
    }
    if (values && a->values)
        memcpy(a->values + (uint64_t)from * a->count, values, count * a->count * sizeof *values);
    free(values);
    return values && a->values;
}

/* Runs all pictures, in parts of a size that memory allows. */
static bool run_all(const session *s, const input *in, uint32_t layer, bool fast, activations *a)
{
    deconv_trace_options keep = DECONV_TRACE_OPTIONS_INIT;
    int64_t shape[DECONV_MAX_RANK], batch = 0, parts;
    const deconv_tensor *out, *source = in->tensor;
    deconv_tensor *part = NULL;
    deconv_trace *trace = NULL;
    float *pictures = NULL;
    bool done = false;

    keep.flags = fast ? DECONV_TRACE_APPROXIMATE : DECONV_TRACE_NO_INVERSE;
    keep.keep = keep.last = &layer;
    keep.keep_count = keep.last_count = 1;
    if (!worked(s, deconv_trace_batch(s->net, in->batch, &keep, &batch)))
        goto done;
    parts = (in->batch + batch - 1) / batch;
    batch = (in->batch + parts - 1) / parts;
    for (uint32_t d = 0; d < deconv_tensor_rank(in->tensor); d++)
        shape[d] = d ? deconv_tensor_size(in->tensor, d) : batch;
    if (!worked(s, deconv_trace_create(s->net, batch, &keep, &trace)))
        goto done;
    if (parts > 1) {
        pictures = tensor_values(s, in->tensor);
        if (!pictures ||
            !worked(s, deconv_tensor_create(s->ctx, shape, deconv_tensor_rank(in->tensor), &part)))
            goto done;
        source = part;
    }
    for (int64_t from = 0; from < in->batch; from += batch)
        if ((part && !write_part(s, in, pictures, from, part)) ||
            !worked(s, deconv_trace_run(trace, &source, 1)) ||
            !worked(s, deconv_trace_activation(trace, layer, &out)) ||
            !take_part(s, out, from, batch, in->batch, a))
            goto done;
    done = true;
done:
    free(pictures);
    deconv_tensor_destroy(part);
    deconv_trace_destroy(trace);
    return done;
}

/* One row of finite scores a picture; false: the message was printed. */
static bool are_class_scores(const activations *a, int64_t batch)
{
    for (uint32_t d = 2; d < a->rank; d++) {
        if (a->shape[d] == 1)
            continue;
        fail("the network's output is no vector of classes; read a layer with --layer and --raw");
        return false;
    }
    for (uint64_t i = 0; i < (uint64_t)batch * a->count; i++) {
        if (isfinite(a->values[i]))
            continue;
        fail("the output for class %llu is not finite; the network or its input overflows",
             (unsigned long long)(i % a->count));
        return false;
    }
    return true;
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
    uint32_t probabilities, logits, layer;
    cJSON *json = NULL, *pictures = NULL;
    activations a = {0};
    input in = {0};
    int result = EXIT_FAILED;

    if (!session_open(s) || !session_open_net(s, model) ||
        !worked(s, deconv_net_classifier(s->net, &probabilities, &logits)))
        goto done;
    layer = probabilities;
    if ((o->layer && !find_layer(s, o->layer, &layer)) || !input_open(s, path, &in) ||
        !run_all(s, &in, layer, o->fast, &a))
        goto done;
    progress_clear();
    if ((!o->layer && !are_class_scores(&a, in.batch)) ||
        (o->raw && !worked(s, deconv_values_save(s->ctx, a.values, a.shape, a.rank, o->raw))))
        goto done;
    if (s->json) {
        json = start_json(o, model, path);
        pictures = o->layer ? NULL : cJSON_AddArrayToObject(json, "pictures");
    }
    if (!o->layer &&
        !print_classes(s, o, a.values, a.count, in.batch, probabilities != logits, pictures))
        goto done;
    result = json ? print_json(json) : finish_output();
    json = NULL;
done:
    free(a.values);
    cJSON_Delete(json);
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
        {"fast", 0, POPT_ARG_NONE, &o.fast, 0,
         "allow faster convolutions that differ in the last digits", NULL},
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
