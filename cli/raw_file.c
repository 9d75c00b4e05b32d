/* A .npy file of float32 that grows piece by piece, for arrays that nobody wants in memory whole.
 * It grows beside the file that it replaces once it is complete. */
#define _XOPEN_SOURCE 700 /* realpath */

#include "project.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_ROOM = 256, ALIGNMENT = 64, PREAMBLE = 10, PIECE = 4096, NAME_ATTEMPTS = 100 };

static bool fail_write(raw_file *f, const char *why)
{
    fail("%s: cannot be written: %s", f->path, why);
    raw_abandon(f);
    return false;
}

/* ---- Opening ---- */

/* A new file in the folder of the target, under a name that nobody else has. */
static int open_beside(raw_file *f)
{
    const char *slash = strrchr(f->target, '/');
    int folder = slash ? (int)(slash - f->target) + 1 : 0;
    size_t room = (size_t)folder + 64;
    int fd = -1;

    f->temporary = malloc(room);
    for (int attempt = 0; f->temporary && attempt < NAME_ATTEMPTS; attempt++) {
        snprintf(f->temporary, room, "%.*s.deconv-%ld-raw-%d.tmp", folder, f->target,
                 (long)getpid(), attempt);
        fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            break;
    }
    if (fd < 0) { /* nothing to remove */
        free(f->temporary);
        f->temporary = NULL;
    }
    return fd;
}

static bool open_file(raw_file *f)
{
    struct stat st;
    bool exists = stat(f->path, &st) == 0;
    int fd;

    if (exists && S_ISDIR(st.st_mode))
        return fail_write(f, "is a folder, not a file");
    if (exists && !S_ISREG(st.st_mode)) {
        fd = open(f->path, O_WRONLY | O_CLOEXEC);
    } else {
        f->target = exists ? realpath(f->path, NULL) : strdup(f->path);
        fd = f->target ? open_beside(f) : -1;
    }
    if (fd < 0)
        return fail_write(f, strerror(errno));
    if (exists && f->temporary && fchmod(fd, st.st_mode & 0777) != 0) {
        int code = errno;

        close(fd);
        return fail_write(f, strerror(code));
    }
    f->file = fdopen(fd, "wb");
    if (f->file)
        return true;
    close(fd);
    return fail_write(f, "no memory");
}

/* Version 1.0 of NumPy's numpy.lib.format, padded so that the values start at a multiple of 64
 * bytes. */
static size_t make_header(const int64_t *shape, uint32_t rank, char *header)
{
    char sizes[DECONV_MAX_RANK * 24];
    size_t used = 0, length, total;

    for (uint32_t d = 0; d < rank; d++)
        used += (size_t)snprintf(sizes + used, sizeof sizes - used, "%s%lld", d ? ", " : "",
                                 (long long)shape[d]);
    memset(header, ' ', HEADER_ROOM);
    length = (size_t)snprintf(header + PREAMBLE, HEADER_ROOM - PREAMBLE,
                              "{'descr': '<f4', 'fortran_order': False, 'shape': (%s%s), }", sizes,
                              rank == 1 ? "," : "");
    total = (PREAMBLE + length + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    header[PREAMBLE + length] = ' '; /* where snprintf ended its text */
    header[total - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((total - PREAMBLE) & 0xff);
    header[9] = (char)((total - PREAMBLE) >> 8);
    return total;
}

bool raw_open(raw_file *f, const char *path, const int64_t *shape, uint32_t rank)
{
    char header[HEADER_ROOM];
    size_t size = make_header(shape, rank, header);

    *f = (raw_file){.path = path};
    if (!open_file(f))
        return false;
    if (fwrite(header, 1, size, f->file) != size)
        return fail_write(f, strerror(errno));
    return true;
}

bool raw_open_text(raw_file *f, const char *path, const char *text, size_t size)
{
    *f = (raw_file){.path = path};
    if (!open_file(f))
        return false;
    if (fwrite(text, 1, size, f->file) != size)
        return fail_write(f, strerror(errno));
    return true;
}

/* ---- Writing ---- */

bool raw_append(raw_file *f, const float *values, uint64_t count)
{
    uint8_t bytes[PIECE * sizeof *values];

    while (count > 0) {
        size_t piece = count < PIECE ? (size_t)count : PIECE;

        for (size_t i = 0; i < piece; i++) {
            uint32_t bits;

            memcpy(&bits, &values[i], sizeof bits);
            for (int k = 0; k < 4; k++)
                bytes[4 * i + (size_t)k] = (uint8_t)(bits >> 8 * k);
        }
        if (fwrite(bytes, 4, piece, f->file) != piece)
            return fail_write(f, strerror(errno));
        values += piece;
        count -= piece;
    }
    return true;
}

bool raw_finish(raw_file *f)
{
    FILE *file = f->file;
    int code = 0;

    /* Some file systems cannot sync and say so with EINVAL; so do pipes. */
    if (fflush(file) != 0 || (f->temporary && fsync(fileno(file)) != 0 && errno != EINVAL))
        code = errno;
    f->file = NULL;
    if (fclose(file) != 0 && code == 0)
        code = errno;
    if (code == 0 && f->temporary && rename(f->temporary, f->target) != 0)
        code = errno;
    if (code != 0)
        return fail_write(f, strerror(code));
    free(f->temporary); /* no longer there to remove */
    f->temporary = NULL;
    raw_abandon(f);
    return true;
}

void raw_abandon(raw_file *f)
{
    if (f->file)
        fclose(f->file);
    if (f->temporary)
        unlink(f->temporary);
    free(f->temporary);
    free(f->target);
    *f = (raw_file){0};
}
