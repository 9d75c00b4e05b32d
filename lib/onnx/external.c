/* Elements of tensors that lie in files beside the model. A model may come from anybody, so nothing
 * outside the folder it lies in is opened. */
#define _XOPEN_SOURCE 700 /* realpath() */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../file.h"
#include "reader.h"

/* The part of a file that holds a tensor. */
typedef struct external_place {
    const char *location;
    uint64_t offset;
    uint64_t length;
    bool has_length;
} external_place;

static deconv_status parse_count(deconv_ctx *ctx, const char *what,
                                 const Onnx__StringStringEntryProto *entry, uint64_t *out)
{
    const char *text = entry->value ? entry->value : "";
    const char *c = text;
    uint64_t value = 0;

    for (; *c >= '0' && *c <= '9' && value <= (INT64_MAX - 9) / 10; c++)
        value = value * 10 + (uint64_t)(*c - '0');
    if (c == text || *c)
        return error_set(ctx, DECONV_ERROR_FORMAT,
                         "%s: external data has the %s '%s'; it must be a number of bytes", what,
                         entry->key, text);
    *out = value;
    return DECONV_OK;
}

static deconv_status parse_place(deconv_ctx *ctx, const char *what, const Onnx__TensorProto *proto,
                                 external_place *out)
{
    deconv_status status = DECONV_OK;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = proto->external_data[i];
        const char *key = entry->key ? entry->key : "";

        if (strcmp(key, "location") == 0) {
            out->location = entry->value;
        } else if (strcmp(key, "offset") == 0) {
            TRY(parse_count(ctx, what, entry, &out->offset));
        } else if (strcmp(key, "length") == 0) {
            TRY(parse_count(ctx, what, entry, &out->length));
            out->has_length = true;
        }
    }
    if (!out->location || !*out->location)
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: external data without a location", what);
done:
    return status;
}

static bool has_parent_step(const char *path)
{
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2]))
            return true;
    }
    return false;
}

/* The file that `location` leads to, links followed, if that is still in the model's folder. */
static deconv_status resolve(deconv_ctx *ctx, const char *path, const char *what,
                             const char *location, char **out)
{
    deconv_status status = DECONV_OK;
    char *folder = NULL, *file = NULL, *real_folder = NULL, *real_file = NULL;
    size_t length;

    *out = NULL;
    if (location[0] == '/' || has_parent_step(location))
        FAIL(ctx, DECONV_ERROR_FORMAT,
             "%s: external data in '%s'; only files in the model's own folder are read", what,
             location);
    folder = file_beside(ctx, path, ".");
    file = file_beside(ctx, path, location);
    if (!folder || !file) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    real_folder = realpath(folder, NULL);
    real_file = real_folder ? realpath(file, NULL) : NULL;
    if (!real_file)
        FAIL(ctx, errno == ENOENT ? DECONV_ERROR_NOT_FOUND : DECONV_ERROR_IO,
             "%s: external data in '%s': %s", what, location, strerror(errno));
    length = strlen(real_folder);
    while (length > 0 && real_folder[length - 1] == '/') /* the root folder */
        length--;
    if (strncmp(real_file, real_folder, length) != 0 || real_file[length] != '/')
        FAIL(ctx, DECONV_ERROR_FORMAT,
             "%s: external data in '%s', a link out of the model's folder; only files in that "
             "folder are read",
             what, location);
    *out = real_file;
    real_file = NULL;
done:
    mem_free(ctx, folder);
    mem_free(ctx, file);
    free(real_folder);
    free(real_file);
    return status;
}

static deconv_status read_all(deconv_ctx *ctx, const char *what, const char *location, int fd,
                              uint64_t offset, uint8_t *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = pread(fd, bytes + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(ctx, DECONV_ERROR_IO, "%s: external data in '%s': %s", what, location,
                             strerror(errno));
        if (got == 0)
            return error_set(ctx, DECONV_ERROR_IO,
                             "%s: external data in '%s' shrank while it was read", what, location);
        done += (size_t)got;
    }
    return DECONV_OK;
}

deconv_status external_read(deconv_ctx *ctx, const char *path, const char *what,
                            const Onnx__TensorProto *proto, size_t expected, uint8_t **bytes)
{
    deconv_status status = DECONV_OK;
    external_place place;
    uint8_t *memory = NULL;
    char *file = NULL;
    struct stat st;
    int fd = -1;

    *bytes = NULL;
    TRY(parse_place(ctx, what, proto, &place));
    if (place.has_length && place.length != expected)
        FAIL(ctx, DECONV_ERROR_FORMAT,
             "%s: external data of %llu bytes; its shape and type need %zu", what,
             (unsigned long long)place.length, expected);
    TRY(resolve(ctx, path, what, place.location, &file));
    /* The path has no links left: one that appears now was put there to be followed. */
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        FAIL(ctx, DECONV_ERROR_IO, "%s: external data in '%s': %s", what, place.location,
             strerror(errno));
    if (!S_ISREG(st.st_mode))
        FAIL(ctx, DECONV_ERROR_FORMAT, "%s: external data in '%s', which is not a plain file", what,
             place.location);
    if (place.offset > (uint64_t)st.st_size || expected > (uint64_t)st.st_size - place.offset)
        FAIL(ctx, DECONV_ERROR_FORMAT,
             "%s: %zu bytes at offset %llu are beyond the end of '%s' (%lld bytes)", what, expected,
             (unsigned long long)place.offset, place.location, (long long)st.st_size);
    memory = mem_alloc(ctx, expected, 1, what);
    if (!memory) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(read_all(ctx, what, place.location, fd, place.offset, memory, expected));
    *bytes = memory;
    memory = NULL;
done:
    if (fd >= 0)
        close(fd);
    mem_free(ctx, memory);
    free(file);
    return status;
}
