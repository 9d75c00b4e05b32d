/* Model cards: which file is the card, and its JSON into a deconv_card. What a card does to a
 * picture is in card_apply.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "../file.h"
#include "card.h"

#define CARD_LIMIT ((size_t)1 << 20)

typedef deconv_status (*key_reader)(deconv_card *card, const cJSON *value);

typedef struct card_key {
    const char *name;
    key_reader read;
} card_key;

static const char *type_of(const cJSON *value)
{
    if (cJSON_IsNumber(value))
        return "a number";
    if (cJSON_IsString(value))
        return "a text";
    if (cJSON_IsArray(value))
        return "a list";
    if (cJSON_IsObject(value))
        return "an object";
    return cJSON_IsNull(value) ? "null" : "true or false";
}

static deconv_status wrong_value(const deconv_card *card, const cJSON *value, const char *wanted)
{
    if (cJSON_IsNumber(value))
        return error_set(card->ctx, DECONV_ERROR_FORMAT, "%s: \"%s\" is %g; %s is wanted",
                         card->name, value->string, value->valuedouble, wanted);
    if (cJSON_IsString(value))
        return error_set(card->ctx, DECONV_ERROR_FORMAT, "%s: \"%s\" is \"%s\"; %s is wanted",
                         card->name, value->string, value->valuestring, wanted);
    return error_set(card->ctx, DECONV_ERROR_FORMAT, "%s: \"%s\" is %s; %s is wanted", card->name,
                     value->string, type_of(value), wanted);
}

static deconv_status read_keys(deconv_card *card, const cJSON *object, const char *where,
                               const card_key *keys, size_t count)
{
    const cJSON *value;

    cJSON_ArrayForEach(value, object)
    {
        const card_key *key = NULL;
        deconv_status status = DECONV_OK;

        for (size_t i = 0; i < count; i++)
            if (strcmp(value->string, keys[i].name) == 0)
                key = &keys[i];
        if (key)
            status = key->read(card, value);
        else
            log_line(card->ctx, DECONV_LOG_WARNING,
                     "%s: \"%s\"%s is no key of a model card: ignored", card->name, value->string,
                     where);
        if (status != DECONV_OK)
            return status;
    }
    return DECONV_OK;
}

static deconv_status read_side(const deconv_card *card, const cJSON *value, int64_t *side)
{
    double number = value->valuedouble;

    if (!cJSON_IsNumber(value) || !(number >= 1 && number <= PICTURE_MAX_SIDE) ||
        number != floor(number))
        return wrong_value(card, value, "a whole number of pixels, 1 to 32768,");
    *side = (int64_t)number;
    return DECONV_OK;
}

static deconv_status read_resize(deconv_card *card, const cJSON *value)
{
    return read_side(card, value, &card->resize);
}

static deconv_status read_crop(deconv_card *card, const cJSON *value)
{
    return read_side(card, value, &card->crop);
}

static deconv_status read_channels(deconv_card *card, const cJSON *value)
{
    static const char *const names[] = {
        [CARD_RGB] = "rgb", [CARD_BGR] = "bgr", [CARD_GREY] = "grey"};

    for (int i = CARD_RGB; cJSON_IsString(value) && i <= CARD_GREY; i++)
        if (strcmp(value->valuestring, names[i]) == 0) {
            card->channels = (card_channels)i;
            return DECONV_OK;
        }
    return wrong_value(card, value, "\"rgb\", \"bgr\" or \"grey\"");
}

/* A finite number, or a list of at most `most` of them; -1 when it is something else. */
static int read_list(const cJSON *value, double *numbers, int most)
{
    int count = cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 1;

    if (count < 1 || count > most)
        return -1;
    for (int i = 0; i < count; i++) {
        const cJSON *item = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, i) : value;

        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
            return -1;
        numbers[i] = item->valuedouble;
    }
    return count;
}

static deconv_status read_range(deconv_card *card, const cJSON *value)
{
    double ends[2];

    if (!cJSON_IsArray(value) || read_list(value, ends, 2) != 2 || !(ends[0] < ends[1]))
        return wrong_value(card, value, "a list of two numbers, the smaller first, as [0, 1],");
    card->low = ends[0];
    card->high = ends[1];
    return DECONV_OK;
}

static deconv_status read_mean(deconv_card *card, const cJSON *value)
{
    card->mean.count = read_list(value, card->mean.value, PICTURE_CHANNELS);
    if (card->mean.count < 1)
        return wrong_value(card, value, "a number, or a list of one a channel,");
    return DECONV_OK;
}

static deconv_status read_std(deconv_card *card, const cJSON *value)
{
    card->std.count = read_list(value, card->std.value, PICTURE_CHANNELS);
    for (int i = 0; i < card->std.count; i++)
        if (card->std.value[i] == 0)
            return error_set(card->ctx, DECONV_ERROR_FORMAT,
                             "%s: \"std\" holds a 0; the values are divided by it", card->name);
    if (card->std.count < 1)
        return wrong_value(card, value, "a number, or a list of one a channel,");
    return DECONV_OK;
}

static deconv_status read_labels(deconv_card *card, const cJSON *value)
{
    if (!cJSON_IsString(value) || !*value->valuestring)
        return wrong_value(card, value, "the name of a text file with one label a line");
    if (card->label)
        return error_set(card->ctx, DECONV_ERROR_FORMAT, "%s: \"labels\" stands there twice",
                         card->name);
    return card_read_labels(card, value->valuestring);
}

static deconv_status read_input(deconv_card *card, const cJSON *value)
{
    static const card_key keys[] = {{"resize", read_resize},     {"crop", read_crop},
                                    {"channels", read_channels}, {"range", read_range},
                                    {"mean", read_mean},         {"std", read_std}};

    if (!cJSON_IsObject(value))
        return wrong_value(card, value, "an object with the keys of the preprocessing");
    return read_keys(card, value, " in \"input\"", keys, sizeof keys / sizeof *keys);
}

/* What only the keys together can get wrong. */
static deconv_status check_card(const deconv_card *card)
{
    int channels = card->channels == CARD_GREY ? 1 : PICTURE_CHANNELS;
    int count = card->mean.count > card->std.count ? card->mean.count : card->std.count;
    deconv_status status = DECONV_OK;

    if (card->resize && card->crop > card->resize)
        FAIL(card->ctx, DECONV_ERROR_FORMAT,
             "%s: \"crop\" %lld is larger than \"resize\" %lld; it is cut out of the resized "
             "picture",
             card->name, (long long)card->crop, (long long)card->resize);
    if (card->channels != CARD_UNSAID && count != 1 && count != channels)
        FAIL(card->ctx, DECONV_ERROR_FORMAT,
             "%s: \"mean\" or \"std\" holds %d numbers; 1 or %d are wanted, as the channels are",
             card->name, count, channels);
done:
    return status;
}

static deconv_status parse_card(deconv_card *card, const uint8_t *bytes, size_t size)
{
    static const card_key keys[] = {{"labels", read_labels}, {"input", read_input}};
    const char *text = (const char *)bytes;
    const char *end = text;
    cJSON *json = cJSON_ParseWithLengthOpts(text, size + 1, &end, 1);
    deconv_status status;

    if (!json || strlen(text) != size) {
        unsigned line = 1;

        for (const char *at = text; at < end && at < text + size; at++)
            line += *at == '\n';
        FAIL(card->ctx, DECONV_ERROR_FORMAT,
             "%s: not JSON from line %u on; a model card is a JSON object", card->name, line);
    }
    if (!cJSON_IsObject(json))
        FAIL(card->ctx, DECONV_ERROR_FORMAT, "%s: holds %s; a model card is a JSON object",
             card->name, type_of(json));
    TRY(read_keys(card, json, "", keys, sizeof keys / sizeof *keys));
    TRY(check_card(card));
done:
    cJSON_Delete(json);
    return status;
}

static deconv_status read_card(deconv_card *card, const char *path)
{
    uint8_t *bytes = NULL;
    size_t size;
    deconv_status status;

    mem_free(card->ctx, card->name);
    card->name = mem_strdup(card->ctx, path);
    if (!card->name) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(file_read(card->ctx, path, CARD_LIMIT, &bytes, &size));
    TRY(parse_card(card, bytes, size));
done:
    mem_free(card->ctx, bytes);
    return status;
}

/* The card that goes with a model: X.json beside X.onnx, else model.json. *path is NULL when there
 * is neither. */
static deconv_status find_card(deconv_ctx *ctx, const char *model_path, char **path)
{
    const char *slash = strrchr(model_path, '/');
    const char *dot = strrchr(slash ? slash : model_path, '.');
    int stem = (int)(dot && strcasecmp(dot, ".onnx") == 0 ? (size_t)(dot - model_path)
                                                          : strlen(model_path));

    *path = mem_printf(ctx, "%.*s.json", stem, model_path);
    if (!*path)
        return DECONV_ERROR_NO_MEMORY;
    if (access(*path, F_OK) == 0)
        return DECONV_OK;
    mem_free(ctx, *path);
    *path = file_beside(ctx, model_path, "model.json");
    if (!*path)
        return DECONV_ERROR_NO_MEMORY;
    if (access(*path, F_OK) == 0)
        return DECONV_OK;
    mem_free(ctx, *path);
    *path = NULL;
    return DECONV_OK;
}

static void warn_of_defaults(deconv_ctx *ctx, const char *model_path)
{
    log_line(ctx, DECONV_LOG_WARNING,
             "%s%sno model card: pictures become values in [0, 1], RGB, resized to the network's "
             "input; a .json file beside the model says otherwise",
             model_path ? model_path : "", model_path ? ": " : "");
}

deconv_status deconv_card_open(deconv_ctx *ctx, const char *card_path, const char *model_path,
                               deconv_card **out)
{
    deconv_card *card = NULL;
    char *found = NULL;
    deconv_status status;

    *out = NULL;
    TRY_ALLOC(card, ctx, 1);
    card->ctx = ctx;
    card->high = 1;
    card->mean.count = card->std.count = 1;
    card->std.value[0] = 1;
    card->name = mem_strdup(ctx, "model card");
    if (!card->name) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    if (!card_path && model_path) {
        TRY(find_card(ctx, model_path, &found));
        card_path = found;
    }
    if (card_path)
        TRY(read_card(card, card_path));
    else
        warn_of_defaults(ctx, model_path);
    *out = card;
    card = NULL;
    status = DECONV_OK;
done:
    mem_free(ctx, found);
    deconv_card_destroy(card);
    return status;
}

void deconv_card_destroy(deconv_card *card)
{
    if (!card)
        return;
    mem_free(card->ctx, card->name);
    mem_free(card->ctx, card->label_text);
    mem_free(card->ctx, card->label);
    mem_free(card->ctx, card);
}

int32_t deconv_card_bgr(const deconv_card *card)
{
    return card->channels == CARD_BGR;
}
