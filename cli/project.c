/* deconv project: a unit's projection to the picture, as a picture and as raw floats. */
#include "project.h"

#include <stdlib.h>
#include <string.h>

/* ---- The command line ---- */

static int check_choices(const session *s, project_options *o)
{
    static const char *const rules[] = {"deconvnet", "gradient", "guided", NULL};
    static const char *const seeds[] = {"activation", "one", NULL};
    static const char *const scalings[] = {"zero-grey", "min-max",    "magnitude",
                                           "positive",  "percentile", NULL};
    int rule = o->rule ? parse_choice(o->rule, rules) : 0;
    int seed = o->seed ? parse_choice(o->seed, seeds) : 0;
    int scaling = o->scaling ? parse_choice(o->scaling, scalings) : 0;

    if (rule < 0)
        return fail_usage(s, "--rule %s: the rules are deconvnet, gradient and guided", o->rule);
    if (seed < 0)
        return fail_usage(s, "--seed %s: the seed is activation or one", o->seed);
    if (scaling < 0)
        return fail_usage(s,
                          "--scaling %s: one of zero-grey, min-max, magnitude, positive, "
                          "percentile is wanted",
                          o->scaling);
    o->how.rule = (deconv_rule)rule;
    o->how.value = (deconv_seed_value)seed;
    o->display = (deconv_scaling)scaling;
    if (o->average_copy)
        o->how.flags |= DECONV_INVERSE_AVERAGE_COPY;
    if (o->lrn_derivative)
        o->how.flags |= DECONV_INVERSE_LRN_DERIVATIVE;
    if (o->apply_f)
        o->how.flags |= DECONV_INVERSE_APPLY_F;
    return -1;
}

static int check_where(const session *s, project_options *o)
{
    o->where = (deconv_seed){0, DECONV_STRONGEST, DECONV_STRONGEST, DECONV_STRONGEST};
    if (o->unit && strcmp(o->unit, "max") != 0 && !parse_number(o->unit, &o->where.unit))
        return fail_usage(s, "--unit %s: a feature map's number, or max", o->unit);
    if (o->at && strcmp(o->at, "max") != 0 && !parse_pair(o->at, &o->where.y, &o->where.x))
        return fail_usage(s, "--at %s: row and column as Y,X, or max", o->at);
    if (!o->out && !o->raw)
        o->out = strdup(o->units ? "projections.png" : "projection.png");
    return o->units ? units_check(s, o) : -1;
}

/* ---- The picture ---- */

static bool display(session *s, const project_options *o, const float *values, const int64_t *shape,
                    deconv_scaling scaling, deconv_picture **out)
{
    return worked(s, deconv_picture_display(s->ctx, values, shape[1], shape[2], shape[3], scaling,
                                            deconv_card_bgr(s->card), out)) &&
           o;
}

/* Beside each projection the picture it comes from, the unit's receptive field framed in both. */
static bool write_picture(session *s, const project_options *o, const input *in, uint32_t layer,
                          const deconv_projection_info *infos, const float *values,
                          const int64_t *shape)
{
    enum { GAP = 8, FRAME = 0xff3020 };
    deconv_picture *tiles[2] = {NULL, NULL}, *montage = NULL;
    int64_t top, left, bottom, right;
    char caption[128];
    const char *captions[2] = {"input", caption};
    uint32_t scale = shape[3] < 128 ? 3 : shape[3] < 200 ? 2 : 1;
    bool done;

    if (!display(s, o, values, shape, o->display, &tiles[1]))
        return false;
    if (o->alone || !in->picture) {
        done = worked(s, deconv_picture_write(tiles[1], o->out));
        deconv_picture_destroy(tiles[1]);
        return done;
    }
    snprintf(caption, sizeof caption, "unit %lld at %lld,%lld", (long long)infos->unit,
             (long long)infos->y, (long long)infos->x);
    done = worked(s, deconv_picture_create(s->ctx, shape[3], shape[2],
                                           deconv_picture_pixels(in->picture), &tiles[0])) &&
           worked(s, deconv_net_field(s->net, layer, infos->y, infos->x, &top, &left, &bottom,
                                      &right));
    for (int i = 0; done && i < 2; i++)
        deconv_picture_outline(tiles[i], top, left, bottom, right, FRAME);
    done = done &&
           worked(s, deconv_picture_montage(s->ctx, (const deconv_picture *const *)tiles, captions,
                                            2, 2, GAP, scale, &montage)) &&
           worked(s, deconv_picture_write(montage, o->out));
    deconv_picture_destroy(tiles[0]);
    deconv_picture_destroy(tiles[1]);
    deconv_picture_destroy(montage);
    return done;
}

/* ---- What was projected ---- */

const char *layer_name(session *s, uint32_t layer)
{
    deconv_layer_info info = DECONV_LAYER_INFO_INIT;

    return deconv_net_layer(s->net, layer, &info) == DECONV_OK ? info.name : "?";
}

cJSON *projection_json(session *s, const deconv_projection_info *info)
{
    cJSON *entry = cJSON_CreateObject();

    cJSON_AddNumberToObject(entry, "unit", (double)info->unit);
    cJSON_AddNumberToObject(entry, "y", (double)info->y);
    cJSON_AddNumberToObject(entry, "x", (double)info->x);
    cJSON_AddNumberToObject(entry, "activation", info->activation);
    cJSON_AddNumberToObject(entry, "largest", info->largest);
    if (info->died_at >= 0)
        cJSON_AddStringToObject(entry, "died_at", layer_name(s, (uint32_t)info->died_at));
    return entry;
}

static void warn_of_death(session *s, uint32_t layer, const deconv_projection_info *info)
{
    if (info->died_at < 0 || s->quiet)
        return;
    progress_clear();
    fprintf(
        stderr,
        "deconv: warning: the projection of %s unit %lld is empty: nothing of the signal is left "
        "below %s\n",
        layer_name(s, layer), (long long)info->unit, layer_name(s, (uint32_t)info->died_at));
}

cJSON *project_json(session *s, const project_options *o, const char *model, const char *path,
                    uint32_t layer)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "model", model);
    cJSON_AddStringToObject(json, "input", path);
    cJSON_AddStringToObject(json, "layer", layer_name(s, layer));
    cJSON_AddStringToObject(json, "rule", o->rule ? o->rule : "deconvnet");
    if (o->out)
        cJSON_AddStringToObject(json, "picture", o->out);
    if (o->raw)
        cJSON_AddStringToObject(json, "raw", o->raw);
    return json;
}

static int report(session *s, const project_options *o, const char *model, const char *path,
                  uint32_t layer, const deconv_projection_info *infos, int64_t count)
{
    cJSON *json = s->json ? project_json(s, o, model, path, layer) : NULL;
    cJSON *list = json ? cJSON_AddArrayToObject(json, "projections") : NULL;

    for (int64_t i = 0; i < count; i++) {
        const char *label = NULL;

        warn_of_death(s, layer, &infos[i]);
        if (json) {
            cJSON_AddItemToArray(list, projection_json(s, &infos[i]));
            continue;
        }
        if (!o->layer)
            label = deconv_card_label(s->card, (uint32_t)infos[i].unit);
        printf("%s unit %lld at %lld,%lld: activation %g%s%s%s\n", layer_name(s, layer),
               (long long)infos[i].unit, (long long)infos[i].y, (long long)infos[i].x,
               infos[i].activation, label ? " (" : "", label ? label : "", label ? ")" : "");
    }
    if (json)
        return print_json(json);
    if (o->out)
        printf("wrote %s\n", o->out);
    if (o->raw)
        printf("wrote %s\n", o->raw);
    return finish_output();
}

/* ---- Running ---- */

/* (C,H,W) for one picture, (N,C,H,W) for several. */
static bool write_raw(session *s, const project_options *o, const float *values,
                      const int64_t *shape, uint32_t rank)
{
    uint32_t skip = shape[0] == 1 ? 1 : 0;

    return worked(s, deconv_values_save(s->ctx, values, shape + skip, rank - skip, o->raw));
}

bool projection_shape(const project_options *o, const char *path, const input *in, int64_t *shape,
                      uint32_t *rank)
{
    *rank = deconv_tensor_rank(in->tensor);
    for (uint32_t d = 0; d < *rank; d++)
        shape[d] = deconv_tensor_size(in->tensor, d);
    if (o->out && (*rank != 4 || (shape[1] != 1 && shape[1] != 3) || in->batch > 1)) {
        fail("%s: a picture can be made of one input of 1 or 3 channels; write --raw FILE.npy",
             path);
        return false;
    }
    return true;
}

bool project_forward(session *s, const project_options *o, const input *in, uint32_t layer,
                     deconv_trace **trace)
{
    deconv_trace_options keep = DECONV_TRACE_OPTIONS_INIT;

    keep.rules = 1u << o->how.rule;
    keep.flags = o->how.flags;
    keep.keep = keep.last = &layer;
    keep.keep_count = keep.last_count = 1;
    return worked(s, deconv_trace_create(s->net, in->batch, &keep, trace)) &&
           worked(s, deconv_trace_run(*trace, (const deconv_tensor *const *)&in->tensor, 1));
}

static bool project(session *s, project_options *o, const input *in, uint32_t layer,
                    deconv_projection_info *infos, deconv_tensor *result)
{
    deconv_seed *seeds = calloc((size_t)in->batch, sizeof *seeds);
    deconv_trace *trace = NULL;
    bool done;

    if (!seeds) {
        fail("no memory: %lld seeds", (long long)in->batch);
        return false;
    }
    for (int64_t i = 0; i < in->batch; i++) {
        seeds[i] = o->where;
        seeds[i].item = i;
    }
    done =
        project_forward(s, o, in, layer, &trace) &&
        worked(s, deconv_project(trace, layer, seeds, (uint64_t)in->batch, &o->how, result, infos));
    deconv_trace_destroy(trace);
    free(seeds);
    return done;
}

static int run(session *s, project_options *o, const char *model, const char *path)
{
    deconv_projection_info *infos = NULL;
    deconv_tensor *result = NULL;
    int64_t shape[DECONV_MAX_RANK];
    float *values = NULL;
    uint32_t layer, rank;
    input in = {0};
    int status = EXIT_FAILED;

    if (!session_open(s) || !session_open_net(s, model) || !find_layer(s, o->layer, &layer) ||
        !input_open(s, path, &in) || !projection_shape(o, path, &in, shape, &rank))
        goto done;
    infos = calloc((size_t)in.batch, sizeof *infos);
    if (!infos) {
        fail("no memory: %lld projections", (long long)in.batch);
        goto done;
    }
    if (!worked(s, deconv_tensor_create(s->ctx, shape, rank, &result)) ||
        !project(s, o, &in, layer, infos, result) || !(values = tensor_values(s, result)))
        goto done;
    progress_clear();
    if ((o->raw && !write_raw(s, o, values, shape, rank)) ||
        (o->out && !write_picture(s, o, &in, layer, infos, values, shape)))
        goto done;
    status = report(s, o, model, path, layer, infos, in.batch);
done:
    free(values);
    free(infos);
    deconv_tensor_destroy(result);
    input_close(&in);
    return status;
}

int command_project(int argc, const char **argv)
{
    static const usage usage = {
        "MODEL INPUT",
        "Shows what a unit of an ONNX network responds to in a picture: runs the network forward, "
        "sets\n"
        "all other units of the layer to zero and carries the unit's activation back to the "
        "pixels\n"
        "(Zeiler & Fergus 2013). Writes the picture and its projection side by side, the unit's\n"
        "receptive field framed; zero is mid-grey. Without --layer it projects the strongest "
        "class.\n"
        "With --units it shows many maps of a layer at once, each from its strongest position.",
        "Examples:\n"
        "  deconv project squeezenet.onnx dog.jpg -o dog.png\n"
        "  deconv project squeezenet.onnx dog.jpg --layer fire8/concat --unit 420 --at 3,13\n"
        "  deconv project squeezenet.onnx dog.jpg --layer fire4/concat --raw fire4.npy\n"
        "  deconv project squeezenet.onnx dog.jpg --layer fire8/concat --units all -o fire8.png\n"};
    session s = {0};
    project_options o = {.how = DECONV_PROJECT_OPTIONS_INIT};
    struct poptOption options[] = {
        {"layer", 0, POPT_ARG_STRING, &o.layer, 0, "the layer (default: the class scores)", "NAME"},
        {"unit", 0, POPT_ARG_STRING, &o.unit, 0,
         "feature map (max: the one with the largest activation)", "N|max"},
        {"units", 0, POPT_ARG_STRING, &o.units, 0,
         "all or several maps as one montage of receptive fields: all, or as 3,7,10-20", "LIST"},
        {"at", 0, POPT_ARG_STRING, &o.at, 0,
         "position in the map (max: that of its largest activation)", "Y,X|max"},
        {"rule", 0, POPT_ARG_STRING, &o.rule, 0, "deconvnet (default), gradient or guided", "RULE"},
        {"seed", 0, POPT_ARG_STRING, &o.seed, 0, "start from the activation (default) or one",
         "activation|one"},
        {"output", 'o', POPT_ARG_STRING, &o.out, 0,
         "the picture to write (projection.png; with --units projections.png)", "FILE.png"},
        {"raw", 0, POPT_ARG_STRING, &o.raw, 0,
         "write the projection (C,H,W) as float32; with --units (units,C,H,W)", "FILE.npy"},
        {"alone", 0, POPT_ARG_NONE, &o.alone, 0, "write the projection only, at its own size",
         NULL},
        {"scaling", 0, POPT_ARG_STRING, &o.scaling, 0,
         "zero-grey (default), min-max, magnitude, positive or percentile", "SCALING"},
        {"average-copy", 0, POPT_ARG_NONE, &o.average_copy, 0,
         "average pools copy the signal to each cell instead of sharing it out", NULL},
        {"lrn-derivative", 0, POPT_ARG_NONE, &o.lrn_derivative, 0,
         "contrast normalisation by its derivative instead of the identity", NULL},
        {"apply-f", 0, POPT_ARG_NONE, &o.apply_f, 0,
         "deconvnet rule at activations other than ReLU: f(R) instead of max(R,0)", NULL},
        POPT_TABLEEND};
    const char *words[2];
    int result = session_parse(&s, argc, argv, options, &usage, words, 2);

    if (result < 0)
        result = check_choices(&s, &o);
    if (result < 0)
        result = check_where(&s, &o);
    if (result < 0)
        result = o.units ? units_run(&s, &o, words[0], words[1]) : run(&s, &o, words[0], words[1]);
    session_close(&s);
    char *const owned[] = {o.layer, o.unit, o.units, o.at, o.rule, o.seed, o.scaling, o.out, o.raw};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    return result;
}
