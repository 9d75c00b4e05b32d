/* Reading files whole, writing them whole or not at all, and the names beside them. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "file.h"

#define LIMIT ((size_t)1 << 20)

typedef struct fixture {
    deconv_ctx *ctx;
    char folder[64];
} fixture;

static const char *in_folder(const fixture *f, const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    return path;
}

static size_t count_files(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t count = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;

    strcpy(f->folder, "/tmp/deconv-file-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    options.cache_dir = "";
    assert_int_equal(deconv_ctx_create(&options, &f->ctx), DECONV_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    DIR *dir = opendir(f->folder);

    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove(in_folder(f, e->d_name));
    }
    closedir(dir);
    assert_int_equal(rmdir(f->folder), 0);
    deconv_ctx_destroy(f->ctx);
    free(f);
    return 0;
}

static void expect_content(fixture *f, const char *path, const void *content, size_t size)
{
    uint8_t *bytes;
    size_t got;

    assert_int_equal(file_read(f->ctx, path, LIMIT, &bytes, &got), DECONV_OK);
    assert_int_equal(got, size);
    assert_memory_equal(bytes, content, size);
    assert_int_equal(bytes[size], 0);
    mem_free(f->ctx, bytes);
}

static void expect_refusal(fixture *f, const char *path, size_t limit, deconv_status status,
                           const char *reason)
{
    uint8_t *bytes = (uint8_t *)f;
    size_t size = 1;

    assert_int_equal(file_read(f->ctx, path, limit, &bytes, &size), status);
    assert_null(bytes);
    assert_int_equal(size, 0);
    assert_non_null(strstr(deconv_ctx_message(f->ctx), path));
    assert_non_null(strstr(deconv_ctx_message(f->ctx), reason));
}

static void written_is_read_back(void **state)
{
    fixture *f = *state;
    const char binary[] = "a\0b\nc";
    char *large = malloc(300000);

    for (size_t i = 0; i < 300000; i++)
        large[i] = (char)(i * 31);
    assert_int_equal(file_write(f->ctx, in_folder(f, "a"), binary, sizeof binary), DECONV_OK);
    expect_content(f, in_folder(f, "a"), binary, sizeof binary);
    assert_int_equal(file_write(f->ctx, in_folder(f, "a"), large, 300000), DECONV_OK);
    expect_content(f, in_folder(f, "a"), large, 300000);
    assert_int_equal(file_write(f->ctx, in_folder(f, "empty"), "", 0), DECONV_OK);
    expect_content(f, in_folder(f, "empty"), "", 0);
    assert_int_equal(count_files(f->folder), 2);
    free(large);
}

static void unreadable_is_refused(void **state)
{
    fixture *f = *state;

    assert_int_equal(file_write(f->ctx, in_folder(f, "ten"), "0123456789", 10), DECONV_OK);
    expect_content(f, in_folder(f, "ten"), "0123456789", 10);
    expect_refusal(f, in_folder(f, "ten"), 9, DECONV_ERROR_IO, "has 10 bytes; at most 9");
    expect_refusal(f, in_folder(f, "missing"), LIMIT, DECONV_ERROR_NOT_FOUND, "No such file");
    expect_refusal(f, in_folder(f, "ten/below"), LIMIT, DECONV_ERROR_IO, "Not a directory");
    expect_refusal(f, f->folder, LIMIT, DECONV_ERROR_IO, "is a folder");
}

/* What has no size of its own is read until it ends or passes the limit. */
static void streams_are_read(void **state)
{
    fixture *f = *state;
    const char *path = in_folder(f, "pipe");
    uint8_t *bytes;
    size_t size;
    pid_t child;

    assert_int_equal(mkfifo(path, 0600), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(path, O_WRONLY);
        ssize_t put = 0;

        for (int i = 0; i < 40 && put >= 0; i++)
            put = write(fd, "0123456789", 10);
        _exit(put == 10 ? 0 : 1);
    }
    assert_int_equal(file_read(f->ctx, path, LIMIT, &bytes, &size), DECONV_OK);
    assert_int_equal(size, 400);
    assert_memory_equal(bytes + 390, "0123456789", 10);
    mem_free(f->ctx, bytes);
    assert_int_equal(waitpid(child, NULL, 0), child);
    expect_refusal(f, "/dev/zero", 200000, DECONV_ERROR_IO, "goes on behind byte 200000");
}

static void expect_unwritten(fixture *f, const char *path, const char *reason)
{
    assert_int_equal(file_write(f->ctx, path, "new", 3), DECONV_ERROR_IO);
    assert_non_null(strstr(deconv_ctx_message(f->ctx), path));
    assert_non_null(strstr(deconv_ctx_message(f->ctx), reason));
}

static void unwritable_is_refused(void **state)
{
    fixture *f = *state;

    expect_unwritten(f, f->folder, "is a folder");
    expect_unwritten(f, in_folder(f, "no/such/folder"), "No such file");
    assert_int_equal(count_files(f->folder), 0);
}

/* The file size limit of a child process stands in for a full disk. */
static void full_disk_leaves_nothing(void **state)
{
    fixture *f = *state;
    char path[512];
    int result = -1;
    pid_t child;

    snprintf(path, sizeof path, "%s", in_folder(f, "kept"));
    assert_int_equal(file_write(f->ctx, path, "old", 3), DECONV_OK);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const char large[100000];
        struct rlimit limit = {4096, 4096};

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(file_write(f->ctx, path, large, sizeof large) == DECONV_ERROR_IO &&
                      strstr(deconv_ctx_message(f->ctx), "File too large")
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    expect_content(f, path, "old", 3);
    assert_int_equal(count_files(f->folder), 1);
}

/* A rename over a link or a device would put a file in its place. */
static void links_and_devices_stay(void **state)
{
    fixture *f = *state;
    char link[512], target[512];
    struct stat st;

    snprintf(link, sizeof link, "%s", in_folder(f, "link"));
    snprintf(target, sizeof target, "%s", in_folder(f, "target"));
    assert_int_equal(file_write(f->ctx, target, "old", 3), DECONV_OK);
    assert_int_equal(chmod(target, 0640), 0);
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(file_write(f->ctx, link, "through", 7), DECONV_OK);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    expect_content(f, target, "through", 7);
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(count_files(f->folder), 2);

    assert_int_equal(file_write(f->ctx, "/dev/null", "gone", 4), DECONV_OK);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

/* What an interrupted process of this number left behind does not stop a later one. */
static void leftovers_are_no_obstacle(void **state)
{
    fixture *f = *state;
    char name[64];

    snprintf(name, sizeof name, ".deconv-%ld-0.tmp", (long)getpid());
    assert_int_equal(file_write(f->ctx, in_folder(f, name), "left", 4), DECONV_OK);
    assert_int_equal(file_write(f->ctx, in_folder(f, "new"), "new", 3), DECONV_OK);
    expect_content(f, in_folder(f, "new"), "new", 3);
    expect_content(f, in_folder(f, name), "left", 4);
    assert_int_equal(count_files(f->folder), 2);
}

static void beside_is_in_the_same_folder(void **state)
{
    fixture *f = *state;
    const char *const cases[][2] = {{"model.onnx", "x.json"},
                                    {"a/model.onnx", "a/x.json"},
                                    {"/model.onnx", "/x.json"},
                                    {"../a b/", "../a b/x.json"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = file_beside(f->ctx, cases[i][0], "x.json");

        assert_string_equal(path, cases[i][1]);
        mem_free(f->ctx, path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_is_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unreadable_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unwritable_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_and_devices_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leftovers_are_no_obstacle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(beside_is_in_the_same_folder, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
