/* Files whole or not at all: reading into memory, writing by rename. */
#ifndef DECONV_LIB_FILE_H
#define DECONV_LIB_FILE_H

#include "context.h"

/* The whole file, with a zero byte behind it that `size` does not count; released by mem_free(). A
 * file over `limit` bytes, a folder, a missing or unreadable file fails with the reason. */
deconv_status file_read(deconv_ctx *ctx, const char *path, size_t limit, uint8_t **bytes,
                        size_t *size);

/* What tells whether a file was written to. */
typedef struct file_state {
    int64_t size, seconds, nanoseconds;
} file_state;

/* Opens a plain file of at most `limit` bytes for reading in pieces; the caller closes *fd. *fd is
 * -1, and that is no failure, where `path` is a stream, which file_read() takes. */
deconv_status file_open(deconv_ctx *ctx, const char *path, size_t limit, int *fd, uint64_t *size);
/* Reads `bytes` bytes at `offset`, all of them. */
deconv_status file_read_at(deconv_ctx *ctx, const char *path, int fd, uint64_t offset, size_t bytes,
                           void *to);
/* The state of an open file, and the failure that it is another one now. */
file_state file_state_of(int fd);
deconv_status file_unchanged(deconv_ctx *ctx, const char *path, int fd, const file_state *state);

/* Writes `size` bytes to a new file beside `path`, syncs and renames it over `path`. On failure
 * nothing is left behind and what was at `path` is untouched. */
deconv_status file_write(deconv_ctx *ctx, const char *path, const void *bytes, size_t size);

/* The same without a message on the context, for files whose loss is not a failure (caches): the
 * reason goes to `why`. */
deconv_status file_try_read(deconv_ctx *ctx, const char *path, size_t limit, uint8_t **bytes,
                            size_t *size, char *why, size_t why_size);
deconv_status file_try_write(deconv_ctx *ctx, const char *path, const void *bytes, size_t size,
                             char *why, size_t why_size);

/* The folder with all those above it, mode 0700 where they are new; false when it cannot be made.
 */
bool file_make_folder(const char *path);

/* Keeps others that lock the same file, in this process or another, out until file_unlock(). The
 * file is made where it is missing and stays behind empty. -1 where it cannot be locked. */
int file_lock(const char *path);
void file_unlock(int lock);

/* `name` in the folder that holds `path`; released by mem_free(). */
char *file_beside(deconv_ctx *ctx, const char *path, const char *name);

#endif
