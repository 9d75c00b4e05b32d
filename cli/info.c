/* deconv info: a network's inputs, layers and labels. */
#include "cli.h"

#include <string.h>

static const char *shape_text(const int64_t *shape, uint32_t rank, char *text, size_t size)
{
    size_t used = 0;

    *text = '\0';
    for (uint32_t d = 0; d < rank && used < size; d++)
        used +=
            (size_t)snprintf(text + used, size - used, d ? "x%lld" : "%lld", (long long)shape[d]);
    return text;
}

static cJSON *layer_json(const deconv_layer_info *info)
{
    cJSON *layer = cJSON_CreateObject();

    cJSON_AddStringToObject(layer, "name", info->name);
    cJSON_AddStringToObject(layer, "operator", info->op_type);
    cJSON_AddItemToObject(layer, "shape", json_shape(info->shape, info->rank));
    cJSON_AddNumberToObject(layer, "field_height", (double)info->field_height);
    cJSON_AddNumberToObject(layer, "field_width", (double)info->field_width);
    cJSON_AddNumberToObject(layer, "parameters", (double)info->parameters);
    return layer;
}

static bool print_layers(session *s, cJSON *json, int name_width)
{
    uint64_t parameters = 0;

    if (!json)
        printf("%-*s  %-18s %-18s %10s %12s\n", name_width, "layer", "operator", "shape", "field",
               "parameters");
    for (uint32_t i = 0; i < deconv_net_layer_count(s->net); i++) {
        deconv_layer_info info = DECONV_LAYER_INFO_INIT;
        char shape[96], field[48];

        if (!worked(s, deconv_net_layer(s->net, i, &info)))
            return false;
        parameters += info.parameters;
        if (json) {
            cJSON_AddItemToArray(json, layer_json(&info));
            continue;
        }
        snprintf(field, sizeof field, "%lldx%lld", (long long)info.field_height,
                 (long long)info.field_width);
        printf("%-*s  %-18s %-18s %10s %12llu\n", name_width, info.name, info.op_type,
               shape_text(info.shape, info.rank, shape, sizeof shape), field,
               (unsigned long long)info.parameters);
    }
    if (!json)
        printf("%u layers, %llu parameters\n", deconv_net_layer_count(s->net),
               (unsigned long long)parameters);
    return true;
}

static bool print_inputs(session *s, cJSON *json)
{
    for (uint32_t i = 0; i < deconv_net_input_count(s->net); i++) {
        int64_t shape[DECONV_MAX_RANK], batch;
        const char *name;
        char text[96];
        uint32_t rank;

        if (!worked(s, deconv_net_input(s->net, i, &name, shape, &rank, &batch)))
            return false;
        if (json) {
            cJSON *input = cJSON_CreateObject();

            cJSON_AddStringToObject(input, "name", name);
            cJSON_AddItemToObject(input, "shape", json_shape(shape, rank));
            cJSON_AddBoolToObject(input, "open_batch", batch == 0);
            cJSON_AddItemToArray(json, input);
        } else {
            printf("input %s: %s, batch %s\n", name, shape_text(shape, rank, text, sizeof text),
                   batch ? "fixed" : "open");
        }
    }
    return true;
}

static void print_labels(const session *s, cJSON *json)
{
    uint32_t count = deconv_card_label_count(s->card);

    for (uint32_t i = 0; json && i < count; i++)
        cJSON_AddItemToArray(json, cJSON_CreateString(deconv_card_label(s->card, i)));
    if (json || count == 0)
        return;
    printf("%u labels:", count);
    for (uint32_t i = 0; i < count && i < 10; i++)
        printf("%s %s", i ? "," : "", deconv_card_label(s->card, i));
    printf("%s\n", count > 10 ? ", ..." : "");
}

static int longest_name(session *s)
{
    int longest = 5;

    for (uint32_t i = 0; i < deconv_net_layer_count(s->net); i++) {
        deconv_layer_info info = DECONV_LAYER_INFO_INIT;

        if (deconv_net_layer(s->net, i, &info) == DECONV_OK && (int)strlen(info.name) > longest)
            longest = (int)strlen(info.name);
    }
    return longest;
}

int command_info(int argc, const char **argv)
{
    static const usage usage = {"MODEL",
                                "Lists the layers of an ONNX network in the order they run: the "
                                "name that other commands take\n"
                                "as --layer, the operator, the shape for one picture, the "
                                "receptive field of a central unit\n"
                                "(clipped to the picture) and the number of weights. With --plan "
                                "it shows instead how each\n"
                                "convolution is computed on this device, forward and inverse: the "
                                "algorithm, the layout of the\n"
                                "maps, its share of the estimated cost, the time that deconv tune "
                                "measured, why none of the\n"
                                "other algorithms was chosen, and what deconv run --fast takes "
                                "instead.",
                                NULL};
    int plan = 0, batch = 0;
    struct poptOption options[] = {
        {"plan", 0, POPT_ARG_NONE, &plan, 0, "show how the convolutions are computed", NULL},
        {"batch", 0, POPT_ARG_INT, &batch, 0,
         "with --plan: pictures at a time (1, or what the file fixes)", "N"},
        POPT_TABLEEND};
    session s = {0};
    const char *model;
    cJSON *json = NULL, *inputs = NULL, *layers = NULL, *labels = NULL;
    int result = session_parse(&s, argc, argv, options, &usage, &model, 1);

    if (result < 0 && batch < 0)
        result = fail_usage(&s, "--batch %d: at least 1 is wanted", batch);
    if (result < 0 && batch && !plan)
        result = fail_usage(&s, "--batch is for --plan");
    if (result >= 0)
        goto done;
    result = EXIT_FAILED;
    if (!session_open(&s) || !session_open_net(&s, model))
        goto done;
    session_warn(&s);
    if (s.json) {
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "model", model);
    }
    if (s.json && !plan) {
        inputs = cJSON_AddArrayToObject(json, "inputs");
        layers = cJSON_AddArrayToObject(json, "layers");
        labels = cJSON_AddArrayToObject(json, "labels");
    }
    if (plan ? !print_plan(&s, batch, longest_name(&s),
                           json ? cJSON_AddArrayToObject(json, "plan") : NULL)
             : !print_inputs(&s, inputs) || !print_layers(&s, layers, longest_name(&s)))
        goto done;
    if (!plan)
        print_labels(&s, labels);
    result = json ? print_json(json) : finish_output();
    json = NULL;
done:
    cJSON_Delete(json);
    session_close(&s);
    return result;
}
