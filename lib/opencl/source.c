/* Kernel sources: cl/NAME as embedded in the library; a file of that name in $DECONV_KERNEL_DIR,
 * read when a program is built, goes before it. A line that begins with `#include "NAME"` is
 * replaced by that source, so that no driver needs to know a folder. */
#include <stdio.h>
#include <string.h>

#include "../file.h"
#include "device.h"
#include "embedded.h"

#define SOURCE_LIMIT ((size_t)4 << 20)
#define INCLUDE      "#include \""

/* An included source may include another, but not without end. */
#define DEEPEST 4

static deconv_status read_override(device *d, const char *name, uint8_t **text, size_t *size)
{
    char *path = mem_printf(d->ctx, "%s/%s", d->kernel_dir, name);
    char why[256] = "";
    deconv_status status;

    if (!path)
        return DECONV_ERROR_NO_MEMORY;
    status = file_try_read(d->ctx, path, SOURCE_LIMIT, text, size, why, sizeof why);
    if (status == DECONV_OK)
        log_line(d->ctx, DECONV_LOG_INFO, "kernel source %s", path);
    else if (status != DECONV_ERROR_NOT_FOUND)
        error_set(d->ctx, status, "%s: %s", path, why);
    mem_free(d->ctx, path);
    return status;
}

/* One file as it stands, ended by a zero. */
static deconv_status read_file(device *d, const char *name, char **out)
{
    const embedded_kernel *e = embedded_kernels;
    deconv_status status = DECONV_OK;
    const uint8_t *text;
    uint8_t *own = NULL;
    size_t size;

    *out = NULL;
    if (d->kernel_dir) {
        status = read_override(d, name, &own, &size);
        if (status != DECONV_OK && status != DECONV_ERROR_NOT_FOUND)
            goto done;
        status = DECONV_OK;
    }
    text = own;
    if (!own) {
        while (e->name && strcmp(e->name, name) != 0)
            e++;
        if (!e->name)
            FAIL(d->ctx, DECONV_ERROR_NOT_FOUND,
                 "there is no kernel source cl/%s in the library%s%s", name,
                 d->kernel_dir ? " nor in " : "", d->kernel_dir ? d->kernel_dir : "");
        text = e->text;
        size = *e->size;
    }
    TRY_ALLOC(*out, d->ctx, size + 1);
    memcpy(*out, text, size);
done:
    mem_free(d->ctx, own);
    return status;
}

/* Adds `size` bytes to the text; it keeps its closing zero. */
static deconv_status append(device *d, char **text, size_t *length, const char *more, size_t size)
{
    deconv_status status = DECONV_OK;
    char *longer;

    if (size > SOURCE_LIMIT - *length)
        FAIL(d->ctx, DECONV_ERROR_UNSUPPORTED, "a kernel source has more than %zu bytes",
             SOURCE_LIMIT);
    TRY_ALLOC(longer, d->ctx, *length + size + 1);
    if (*text)
        memcpy(longer, *text, *length);
    memcpy(longer + *length, more, size);
    mem_free(d->ctx, *text);
    *text = longer;
    *length += size;
done:
    return status;
}

/* The next line that includes something; NULL: none. */
static const char *next_include(const char *text)
{
    const size_t size = sizeof INCLUDE - 1;

    while (strncmp(text, INCLUDE, size) != 0) {
        text = strchr(text, '\n');
        if (!text)
            return NULL;
        text++;
    }
    return text;
}

static deconv_status expand(device *d, const char *name, int depth, char **text, size_t *length)
{
    deconv_status status = DECONV_OK;
    const char *at, *include;
    char *own = NULL;

    if (depth > DEEPEST)
        FAIL(d->ctx, DECONV_ERROR_FORMAT, "cl/%s is included in itself or too deeply", name);
    TRY(read_file(d, name, &own));
    for (at = own; (include = next_include(at)) != NULL;) {
        const char *begin = include + sizeof INCLUDE - 1;
        const size_t size = strcspn(begin, "\"\n");
        char inner[64];

        if (begin[size] != '"' || size >= sizeof inner)
            FAIL(d->ctx, DECONV_ERROR_FORMAT, "cl/%s: cannot read what is included: %.60s", name,
                 begin);
        snprintf(inner, sizeof inner, "%.*s", (int)size, begin);
        TRY(append(d, text, length, at, (size_t)(include - at)));
        TRY(expand(d, inner, depth + 1, text, length));
        at = begin + size + 1;
    }
    TRY(append(d, text, length, at, strlen(at)));
done:
    mem_free(d->ctx, own);
    return status;
}

deconv_status source_read(device *d, const char *name, char **text, size_t *size)
{
    deconv_status status;

    *text = NULL;
    *size = 0;
    status = expand(d, name, 0, text, size);
    if (status != DECONV_OK) {
        mem_free(d->ctx, *text);
        *text = NULL;
    }
    return status;
}
