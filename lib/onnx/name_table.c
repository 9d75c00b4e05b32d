/* Names of an ONNX file: a hash table from name to number, and the check that a name is text. */
#include "reader.h"

#include <string.h>

deconv_status name_table_create(deconv_ctx *ctx, size_t most, name_table *table)
{
    deconv_status status = DECONV_OK;

    memset(table, 0, sizeof *table);
    table->slots = 16;
    while (table->slots / 2 < most && table->slots <= SIZE_MAX / 4)
        table->slots *= 2;
    TRY_ALLOC(table->name, ctx, most + 1);
    TRY_ALLOC(table->slot, ctx, table->slots);
done:
    if (status != DECONV_OK)
        name_table_free(ctx, table);
    return status;
}

void name_table_free(deconv_ctx *ctx, name_table *table)
{
    mem_free(ctx, (void *)table->name);
    mem_free(ctx, table->slot);
    memset(table, 0, sizeof *table);
}

/* FNV-1a, 64 bits */
static uint64_t hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* The slot where `name` is or belongs. A slot holds a number plus one; 0 is a free one. */
static int *slot_of(const name_table *table, const char *name)
{
    size_t at = (size_t)hash(name) & (table->slots - 1);

    while (table->slot[at] && strcmp(table->name[table->slot[at] - 1], name) != 0)
        at = (at + 1) & (table->slots - 1);
    return &table->slot[at];
}

int name_table_find(const name_table *table, const char *name)
{
    return *slot_of(table, name) - 1;
}

int name_table_add(name_table *table, const char *name)
{
    int *slot = slot_of(table, name);

    if (!*slot) {
        table->name[table->count++] = name;
        *slot = table->count;
    }
    return *slot - 1;
}

/* Bytes of the UTF-8 sequence at `c`; 0 where there is none: bad continuation, overlong, surrogate,
 * over U+10FFFF. */
static size_t utf8_length(const unsigned char *c)
{
    size_t length = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;

    if (c[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return length;
}

deconv_status name_check(deconv_ctx *ctx, const char *what, const char *text)
{
    const unsigned char *c = (const unsigned char *)(text ? text : "");

    while (*c) {
        size_t length = utf8_length(c);

        if (!length || *c < 0x20 || *c == 0x7f)
            return error_set(ctx, DECONV_ERROR_FORMAT,
                             "the name of %s has byte 0x%02x in it; names are UTF-8 text", what,
                             *c);
        c += length;
    }
    return DECONV_OK;
}
