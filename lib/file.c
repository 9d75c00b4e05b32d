/* Files whole or not at all: reading into memory, writing by rename. What is inside them is other
 * files' business. */
#define _XOPEN_SOURCE 700 /* realpath() */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context_private.h"
#include "file.h"

#define STREAM_START   65536
#define NAME_ATTEMPTS  1000
#define PATH_LIMIT     4096
#define TEMPORARY_NAME ".deconv-%ld-%d.tmp"

static void explain(char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void explain(char *why, size_t why_size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
}

static void explain_errno(char *why, size_t why_size, int code)
{
    if (strerror_r(code, why, why_size) != 0)
        explain(why, why_size, "error %d", code);
}

static deconv_status open_for_reading(const char *path, size_t limit, int *out, size_t *expected,
                                      char *why, size_t why_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = errno;

    if (fd < 0) {
        explain_errno(why, why_size, code);
        return code == ENOENT ? DECONV_ERROR_NOT_FOUND : DECONV_ERROR_IO;
    }
    if (fstat(fd, &st) != 0) {
        explain_errno(why, why_size, errno);
    } else if (S_ISDIR(st.st_mode)) {
        explain(why, why_size, "is a folder, not a file");
    } else if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > limit) {
        explain(why, why_size, "has %jd bytes; at most %zu are read", (intmax_t)st.st_size, limit);
    } else {
        *expected = S_ISREG(st.st_mode) ? (size_t)st.st_size : STREAM_START;
        *out = fd;
        return DECONV_OK;
    }
    close(fd);
    return DECONV_ERROR_IO;
}

/* Doubles `*bytes`; false when there is no memory. */
static bool grow(deconv_ctx *ctx, uint8_t **bytes, size_t used, size_t *room)
{
    size_t larger;
    uint8_t *moved;

    if (!size_mul(*room, 2, &larger))
        return false;
    moved = mem_try(ctx, larger);
    if (!moved)
        return false;
    memcpy(moved, *bytes, used);
    mem_free(ctx, *bytes);
    *bytes = moved;
    *room = larger;
    return true;
}

deconv_status file_try_read(deconv_ctx *ctx, const char *path, size_t limit, uint8_t **bytes,
                            size_t *size, char *why, size_t why_size)
{
    size_t room, used = 0;
    uint8_t *memory = NULL;
    int fd = -1;
    deconv_status status;

    *bytes = NULL;
    *size = 0;
    if (limit > SIZE_MAX / 4)
        limit = SIZE_MAX / 4;
    TRY(open_for_reading(path, limit, &fd, &room, why, why_size));
    room += 2; /* the zero byte, and one by which a file that grew or is a stream shows itself */
    memory = mem_try(ctx, room);
    for (;;) {
        if (!memory || (used + 1 >= room && !grow(ctx, &memory, used, &room))) {
            explain(why, why_size, "no memory for %zu bytes", room);
            status = DECONV_ERROR_NO_MEMORY;
            goto done;
        }
        ssize_t got = read(fd, memory + used, room - used - 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            explain_errno(why, why_size, errno);
            status = DECONV_ERROR_IO;
            goto done;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > limit) {
            explain(why, why_size, "goes on behind byte %zu; at most that many are read", limit);
            status = DECONV_ERROR_IO;
            goto done;
        }
    }
    memory[used] = 0;
    *bytes = memory;
    *size = used;
    memory = NULL;
done:
    mem_free(ctx, memory);
    if (fd >= 0)
        close(fd);
    return status;
}

deconv_status file_read(deconv_ctx *ctx, const char *path, size_t limit, uint8_t **bytes,
                        size_t *size)
{
    char why[256] = "";
    deconv_status status = file_try_read(ctx, path, limit, bytes, size, why, sizeof why);

    if (status == DECONV_ERROR_NO_MEMORY)
        return error_set(ctx, status, "no memory: %s: %s", path, why);
    if (status != DECONV_OK)
        return error_set(ctx, status, "%s: %s", path, why);
    return DECONV_OK;
}

deconv_status file_open(deconv_ctx *ctx, const char *path, size_t limit, int *fd, uint64_t *size)
{
    struct stat st;
    char why[256] = "";
    size_t expected;
    deconv_status status = open_for_reading(path, limit, fd, &expected, why, sizeof why);

    if (status != DECONV_OK)
        return error_set(ctx, status, "%s: %s", path, why);
    *size = expected;
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*fd);
        *fd = -1;
    }
    return DECONV_OK;
}

deconv_status file_read_at(deconv_ctx *ctx, const char *path, int fd, uint64_t offset, size_t bytes,
                           void *to)
{
    char why[256] = "";
    size_t done = 0;

    while (done < bytes) {
        ssize_t got = pread(fd, (char *)to + done, bytes - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            explain_errno(why, sizeof why, errno);
        if (got <= 0)
            return error_set(ctx, DECONV_ERROR_IO, "%s: %s", path,
                             got < 0 ? why : "became shorter while it was in use");
        done += (size_t)got;
    }
    return DECONV_OK;
}

file_state file_state_of(int fd)
{
    file_state state = {0};
    struct stat st;

    if (fstat(fd, &st) == 0)
        state = (file_state){(int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                             (int64_t)st.st_mtim.tv_nsec};
    return state;
}

deconv_status file_unchanged(deconv_ctx *ctx, const char *path, int fd, const file_state *state)
{
    const file_state now = file_state_of(fd);

    if (now.size == state->size && now.seconds == state->seconds &&
        now.nanoseconds == state->nanoseconds)
        return DECONV_OK;
    return error_set(ctx, DECONV_ERROR_IO, "%s: was written to while it was in use; open it again",
                     path);
}

/* 0 or an errno. */
static int write_all(int fd, const void *bytes, size_t size)
{
    const char *from = bytes;

    while (size > 0) {
        ssize_t put = write(fd, from, size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : EIO;
        from += put;
        size -= (size_t)put;
    }
    return 0;
}

/* A new file in the folder of `path`, under a name that nobody else has: O_EXCL decides, whatever
 * process or context it comes from. `name` takes its path. 0 or an errno. */
static int create_beside(deconv_ctx *ctx, const char *path, char **name, int *fd)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    size_t room = folder + sizeof TEMPORARY_NAME + 3 * sizeof(long) + 3 * sizeof(int);
    char *text = mem_try(ctx, room);

    if (!text)
        return ENOMEM;
    memcpy(text, path, folder);
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        snprintf(text + folder, room - folder, TEMPORARY_NAME, (long)getpid(), attempt);
        *fd = open(text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0 || errno != EEXIST)
            break;
    }
    if (*fd >= 0) {
        *name = text;
        return 0;
    }
    int code = errno;
    mem_free(ctx, text);
    return code;
}

/* By a new file beside `path` that takes its place once it is complete. 0 or an errno. */
static int replace_file(deconv_ctx *ctx, const char *path, const struct stat *old,
                        const void *bytes, size_t size)
{
    char *name = NULL;
    int fd = -1;
    int code = create_beside(ctx, path, &name, &fd);

    if (code != 0)
        return code;
    if (old && fchmod(fd, old->st_mode & 0777) != 0)
        code = errno;
    if (code == 0)
        code = write_all(fd, bytes, size);
    /* Some file systems cannot sync and say so with EINVAL; the data is as safe there as it gets.
     */
    if (code == 0 && fsync(fd) != 0 && errno != EINVAL)
        code = errno;
    if (close(fd) != 0 && code == 0)
        code = errno;
    if (code == 0 && rename(name, path) != 0)
        code = errno;
    if (code != 0)
        unlink(name);
    mem_free(ctx, name);
    return code;
}

/* A terminal, a pipe, /dev/null: nothing that a rename could or should replace. */
static int write_stream(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int code;

    if (fd < 0)
        return errno;
    code = write_all(fd, bytes, size);
    if (close(fd) != 0 && code == 0)
        code = errno;
    return code;
}

deconv_status file_try_write(deconv_ctx *ctx, const char *path, const void *bytes, size_t size,
                             char *why, size_t why_size)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    char *target = NULL;
    int code;

    if (exists && S_ISDIR(st.st_mode)) {
        explain(why, why_size, "is a folder, not a file");
        return DECONV_ERROR_IO;
    }
    if (exists && !S_ISREG(st.st_mode)) {
        code = write_stream(path, bytes, size);
    } else {
        /* Through a symbolic link, so that what it points to is replaced and not the link. */
        target = exists ? realpath(path, NULL) : NULL;
        code = replace_file(ctx, target ? target : path, exists ? &st : NULL, bytes, size);
    }
    free(target);
    if (code == 0)
        return DECONV_OK;
    explain_errno(why, why_size, code);
    return code == ENOMEM ? DECONV_ERROR_NO_MEMORY : DECONV_ERROR_IO;
}

deconv_status file_write(deconv_ctx *ctx, const char *path, const void *bytes, size_t size)
{
    char why[256] = "";
    deconv_status status = file_try_write(ctx, path, bytes, size, why, sizeof why);

    if (status != DECONV_OK)
        return error_set(ctx, status, "%s: cannot be written: %s", path, why);
    return DECONV_OK;
}

char *file_beside(deconv_ctx *ctx, const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');

    return mem_printf(ctx, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
}

bool file_make_folder(const char *path)
{
    char part[PATH_LIMIT];

    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return false;
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

int file_lock(const char *path)
{
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    while (lock >= 0 && flock(lock, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        close(lock); /* file systems without locks */
        lock = -1;
    }
    return lock;
}

void file_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}
