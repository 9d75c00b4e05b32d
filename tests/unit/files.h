/* What the tests of files share: a context whose log is kept, and a folder of their own that must
 * be empty of everything they did not ask for. */
#ifndef DECONV_TESTS_FILES_H
#define DECONV_TESTS_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>

#include "deconv.h"

typedef struct fixture {
    deconv_ctx *ctx;
    char folder[64];
    char log[4096]; /* every line so far, each with a line break */
} fixture;

static inline void keep_log(deconv_log_level level, const char *line, void *user)
{
    fixture *f = user;
    size_t used = strlen(f->log);

    (void)level;
    snprintf(f->log + used, sizeof f->log - used, "%s\n", line);
}

static inline int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;

    strcpy(f->folder, "/tmp/deconv-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    options.cache_dir = "";
    options.log = keep_log;
    options.log_user = f;
    assert_int_equal(deconv_ctx_create(&options, &f->ctx), DECONV_OK);
    *state = f;
    return 0;
}

/* Removes the files of the folder and returns how many there were. */
static inline int clear_folder(fixture *f)
{
    DIR *dir = opendir(f->folder);
    int count = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[512];

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", f->folder, e->d_name);
        assert_int_equal(remove(path), 0);
        count++;
    }
    closedir(dir);
    return count;
}

static inline int tear_down(void **state)
{
    fixture *f = *state;

    clear_folder(f);
    assert_int_equal(rmdir(f->folder), 0);
    deconv_ctx_destroy(f->ctx);
    free(f);
    return 0;
}

/* The path of `name` in the folder: valid until the call after next. */
static inline const char *in_folder(const fixture *f, const char *name)
{
    static char path[2][512];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", f->folder, name);
    return path[turn];
}

static inline const char *put_file(const fixture *f, const char *name, const void *bytes,
                                   size_t size)
{
    const char *path = in_folder(f, name);
    FILE *file;

    remove(path); /* some file systems sync a file that is cut to nothing and written again */
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline const char *put_text(const fixture *f, const char *name, const char *text)
{
    return put_file(f, name, text, strlen(text));
}

/* The whole file, released by free(). */
static inline uint8_t *get_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/* This thread's message must have `part` in it, and be one line. */
static inline void expect_message(const fixture *f, const char *part)
{
    const char *message = deconv_ctx_message(f->ctx);

    if (!strstr(message, part))
        fail_msg("message \"%s\" lacks \"%s\"", message, part);
    assert_null(strchr(message, '\n'));
}

#endif
