/* Compiled programs on disk, from one process to the next. What a program is and when it is built
 * is program.c.
 *
 *   Place    The context's cache_dir, else $XDG_CACHE_HOME/deconv, else $HOME/.cache/deconv; made
 *            with mode 0700 when something is first stored. Without any of them nothing is kept.
 *
 *   Name     32 hexadecimal digits, two 64-bit FNV-1a hashes of the key, and ".program". The hash
 *            only names the file: the key itself is inside and compared in full, so that two keys
 *            of one hash cost a rebuild and never give a wrong program.
 *
 *   Format   "DCVPROG1", three little-endian uint64 (key bytes, binary bytes, FNV-1a of the key and
 *            the binary), the key, the binary, and nothing behind it.
 *
 *   Failure  A file that is missing, truncated, longer than it says, altered or of another key
 *            counts as not there. A broken one costs a line at log level info, a folder that cannot
 *            be written one at level debug.
 *
 *   Others   A file is written beside its place and renamed over it: any number of processes may
 *            share a folder, and whoever comes last wins with the same content. Nothing is ever
 *            removed; the folder may be emptied at any time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../file.h"
#include "device.h"

#define MAGIC           "DCVPROG1"
#define MAGIC_SIZE      8
#define HEADER_SIZE     (MAGIC_SIZE + 3 * 8)
#define FILE_LIMIT      ((size_t)256 << 20)
#define PATH_SIZE       4096

#define FNV_BASIS       0xcbf29ce484222325u
#define FNV_OTHER_BASIS 0x84222325cbf29ce4u /* any other start gives the second hash */
#define FNV_PRIME       0x100000001b3u

static uint64_t fnv1a(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ b[i]) * FNV_PRIME;
    return hash;
}

static void put_uint64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_uint64(const uint8_t *in)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

/* NULL for no cache. Nothing here is worth failing for, lack of memory included. */
char *cache_folder(deconv_ctx *ctx, const char *wanted)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[PATH_SIZE];
    int length;
    char *folder;

    if (wanted)
        length = snprintf(path, sizeof path, "%s", wanted);
    else if (xdg && xdg[0] == '/') /* the specification ignores relative ones */
        length = snprintf(path, sizeof path, "%s/deconv", xdg);
    else if (home && home[0])
        length = snprintf(path, sizeof path, "%s/.cache/deconv", home);
    else
        length = 0;
    if (length == 0)
        log_line(ctx, DECONV_LOG_DEBUG, "program cache: none");
    if (length <= 0 || length >= PATH_SIZE)
        return NULL;
    folder = mem_try(ctx, (size_t)length + 1);
    if (folder)
        memcpy(folder, path, (size_t)length + 1);
    return folder;
}

static bool file_path(const device *d, const char *key, size_t key_size, char *path)
{
    int length = snprintf(path, PATH_SIZE, "%s/%016llx%016llx.program", d->cache_dir,
                          (unsigned long long)fnv1a(FNV_BASIS, key, key_size),
                          (unsigned long long)fnv1a(FNV_OTHER_BASIS, key, key_size));

    return length > 0 && length < PATH_SIZE;
}

/* Why `file` does not hold a program of `key`; NULL when it does. */
static const char *check_file(const uint8_t *file, size_t size, const char *key, size_t key_size)
{
    uint64_t binary_size;

    if (size < HEADER_SIZE || memcmp(file, MAGIC, MAGIC_SIZE) != 0)
        return "not a program file";
    if (get_uint64(file + MAGIC_SIZE) != key_size || size - HEADER_SIZE < key_size ||
        memcmp(file + HEADER_SIZE, key, key_size) != 0)
        return "of another key";
    binary_size = get_uint64(file + MAGIC_SIZE + 8);
    if (binary_size == 0 || size - HEADER_SIZE - key_size != binary_size)
        return "truncated or too long";
    if (get_uint64(file + MAGIC_SIZE + 16) !=
        fnv1a(FNV_BASIS, file + HEADER_SIZE, size - HEADER_SIZE))
        return "altered";
    return NULL;
}

bool cache_load(device *d, const char *key, size_t key_size, uint8_t **binary, size_t *size)
{
    char path[PATH_SIZE], why[256] = "";
    const char *wrong;
    uint8_t *file = NULL;
    size_t file_size = 0;
    deconv_status status;

    *binary = NULL;
    if (!d->cache_dir || !file_path(d, key, key_size, path))
        return false;
    status = file_try_read(d->ctx, path, FILE_LIMIT, &file, &file_size, why, sizeof why);
    if (status != DECONV_OK) {
        if (status != DECONV_ERROR_NOT_FOUND)
            log_line(d->ctx, DECONV_LOG_DEBUG, "program cache: %s: %s", path, why);
        return false;
    }
    wrong = check_file(file, file_size, key, key_size);
    if (wrong) {
        log_line(d->ctx, DECONV_LOG_INFO, "program cache: %s: %s", path, wrong);
    } else {
        size_t before = HEADER_SIZE + key_size;

        *size = file_size - before;
        *binary = mem_try(d->ctx, *size);
        if (*binary)
            memcpy(*binary, file + before, *size);
    }
    mem_free(d->ctx, file);
    return *binary != NULL;
}

void cache_store(device *d, const char *key, size_t key_size, const uint8_t *binary, size_t size)
{
    char path[PATH_SIZE], why[256] = "";
    size_t file_size = HEADER_SIZE + key_size + size;
    uint8_t *file;

    if (!d->cache_dir || file_size > FILE_LIMIT || !file_path(d, key, key_size, path))
        return;
    file = mem_try(d->ctx, file_size);
    if (!file)
        return;
    memcpy(file, MAGIC, MAGIC_SIZE);
    memcpy(file + HEADER_SIZE, key, key_size);
    memcpy(file + HEADER_SIZE + key_size, binary, size);
    put_uint64(file + MAGIC_SIZE, key_size);
    put_uint64(file + MAGIC_SIZE + 8, size);
    put_uint64(file + MAGIC_SIZE + 16,
               fnv1a(FNV_BASIS, file + HEADER_SIZE, file_size - HEADER_SIZE));
    if (!file_make_folder(d->cache_dir))
        log_line(d->ctx, DECONV_LOG_DEBUG, "program cache: the folder %s cannot be made",
                 d->cache_dir);
    else if (file_try_write(d->ctx, path, file, file_size, why, sizeof why) != DECONV_OK)
        log_line(d->ctx, DECONV_LOG_DEBUG, "program cache: %s cannot be written: %s", path, why);
    mem_free(d->ctx, file);
}
