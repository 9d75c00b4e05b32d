/* The labels file of a model card: one class a line, in the order of the network's output. */
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "../file.h"
#include "card.h"

#define LABELS_LIMIT  ((size_t)16 << 20)
#define SYNSET_DIGITS 8
#define CONTINUES(c)  (((c)&0xC0) == 0x80)

/* Bytes of the UTF-8 character at `text`, 0 where there is none. Overlong forms and surrogates are
 * none. */
static size_t utf8_length(const uint8_t *text)
{
    if (text[0] < 0x80)
        return 1;
    if (text[0] >= 0xC2 && text[0] <= 0xDF)
        return CONTINUES(text[1]) ? 2 : 0;
    if (text[0] >= 0xE0 && text[0] <= 0xEF) {
        uint8_t least = text[0] == 0xE0 ? 0xA0 : 0x80;
        uint8_t most = text[0] == 0xED ? 0x9F : 0xBF;

        return text[1] >= least && text[1] <= most && CONTINUES(text[2]) ? 3 : 0;
    }
    if (text[0] >= 0xF0 && text[0] <= 0xF4) {
        uint8_t least = text[0] == 0xF0 ? 0x90 : 0x80;
        uint8_t most = text[0] == 0xF4 ? 0x8F : 0xBF;

        return text[1] >= least && text[1] <= most && CONTINUES(text[2]) && CONTINUES(text[3]) ? 4
                                                                                               : 0;
    }
    return 0;
}

static bool is_utf8(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t length;

    for (; *at; at += length) {
        length = utf8_length(at);
        if (!length)
            return false;
    }
    return true;
}

/* The text behind a WordNet id ("n01440764 tench, Tinca tinca"); a line without one is the label.
 */
static char *behind_synset(char *line)
{
    char *at = line + 1;

    if (*line != 'n')
        return line;
    for (int i = 0; i < SYNSET_DIGITS; i++, at++)
        if (*at < '0' || *at > '9')
            return line;
    if (*at != ' ' && *at != '\t')
        return line;
    at += strspn(at, " \t");
    return *at ? at : line;
}

static void trim_end(char *line)
{
    size_t length = strlen(line);

    while (length > 0 && strchr(" \t\r", line[length - 1]))
        line[--length] = 0;
}

static size_t count_lines(const char *text)
{
    size_t lines = 1;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static deconv_status split(deconv_card *card, const char *path, char *text)
{
    deconv_ctx *ctx = card->ctx;
    deconv_status status = DECONV_OK;

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    TRY_ALLOC(card->label, ctx, count_lines(text));
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        else if (!*line)
            break; /* behind the last line's end */
        trim_end(line);
        if (!is_utf8(line))
            FAIL(ctx, DECONV_ERROR_FORMAT, "%s: line %u is not UTF-8 text", path,
                 card->label_count + 1);
        card->label[card->label_count++] = behind_synset(line);
    }
    while (card->label_count > 0 && !*card->label[card->label_count - 1])
        card->label_count--;
    if (card->label_count == 0)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: no labels; one a line is wanted", path);
done:
    return status;
}

deconv_status card_read_labels(deconv_card *card, const char *file)
{
    deconv_ctx *ctx = card->ctx;
    char *path = file[0] == '/' ? mem_strdup(ctx, file) : file_beside(ctx, card->name, file);
    uint8_t *bytes = NULL;
    size_t size;
    deconv_status status;

    if (!path) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(file_read(ctx, path, LABELS_LIMIT, &bytes, &size));
    card->label_text = (char *)bytes;
    if (strlen(card->label_text) != size)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: holds zero bytes; a text of one label a line is wanted",
             path);
    TRY(split(card, path, card->label_text));
done:
    if (status != DECONV_OK && status != DECONV_ERROR_NO_MEMORY)
        error_prefix(ctx, "%s: labels", card->name);
    mem_free(ctx, path);
    return status;
}

const char *deconv_card_label(const deconv_card *card, uint32_t index)
{
    return index < card->label_count ? card->label[index] : NULL;
}

uint32_t deconv_card_label_count(const deconv_card *card)
{
    return card->label_count;
}

/* `wanted` is one of the label's parts between commas. */
static bool has_part(const char *label, const char *wanted)
{
    size_t length = strlen(wanted);

    for (const char *at = label; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        at += strspn(at, " ");
        if (strncasecmp(at, wanted, length) == 0 && (at[length] == ',' || at[length] == 0))
            return true;
    }
    return false;
}

static size_t count_commas(const char *text)
{
    size_t commas = 0;

    for (; *text; text++)
        commas += *text == ',';
    return commas;
}

/* The labels nearest to `wanted`, each part between commas for itself, as a text. */
static deconv_status nearest_labels(const deconv_card *card, const char *wanted, char *text,
                                    size_t size)
{
    size_t parts = 0, bytes = 0;
    deconv_status status = DECONV_OK;
    const char **part = NULL;
    char *copy = NULL, *at;

    for (uint32_t i = 0; i < card->label_count; i++) {
        parts += 1 + count_commas(card->label[i]);
        bytes += strlen(card->label[i]) + 1;
    }
    TRY_ALLOC(part, card->ctx, parts);
    TRY_ALLOC(copy, card->ctx, bytes);
    parts = 0;
    at = copy;
    for (uint32_t i = 0; i < card->label_count; i++) {
        strcpy(at, card->label[i]);
        for (char *next = at; next; parts++) {
            part[parts] = next + strspn(next, " ");
            next = strchr(next, ',');
            if (next)
                *next++ = 0;
        }
        at += strlen(card->label[i]) + 1;
    }
    nearest_names(wanted, part, parts, 3, text, size);
done:
    mem_free(card->ctx, (void *)part);
    mem_free(card->ctx, copy);
    return status;
}

deconv_status deconv_card_class(const deconv_card *card, const char *label, int64_t *index)
{
    int64_t first[2] = {-1, -1}; /* by the whole label; by a part */
    int64_t second[2] = {-1, -1};
    deconv_status status = DECONV_OK;
    char near[256];
    int by;

    *index = -1;
    if (card->label_count == 0)
        FAIL(card->ctx, DECONV_ERROR_INVALID,
             "%s: has no labels, so that no class is called %s; give its index", card->name, label);
    for (uint32_t i = 0; i < card->label_count; i++)
        for (int part = 0; part < 2; part++) {
            if (part ? !has_part(card->label[i], label) : strcasecmp(card->label[i], label) != 0)
                continue;
            if (first[part] < 0)
                first[part] = i;
            else if (second[part] < 0)
                second[part] = i;
        }
    by = first[0] < 0;
    if (first[by] < 0) {
        TRY(nearest_labels(card, label, near, sizeof near));
        FAIL(card->ctx, DECONV_ERROR_NOT_FOUND, "%s: no class is called %s; the nearest are: %s",
             card->name, label, near);
    }
    if (second[by] >= 0)
        FAIL(card->ctx, DECONV_ERROR_INVALID,
             "%s: several classes are called %s, such as %lld and %lld; give the index of one",
             card->name, label, (long long)first[by], (long long)second[by]);
    *index = first[by];
done:
    return status;
}
