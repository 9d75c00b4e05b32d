/* Compiled programs on disk: found again, told apart, and built again when a file is not what it
 * should be. */
#define _XOPEN_SOURCE 700
#include "opencl_fixture.h"
#include "processes.h"

#include "file.h"

#define FILE_LIMIT ((size_t)1 << 26)

/* The path of the only program file; their number when there are others. */
static size_t program_files(const fixture *f, char *path, size_t size)
{
    DIR *dir = opendir(f->cache);
    size_t count = 0;

    if (!dir)
        return 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        assert_non_null(strstr(e->d_name, ".program")); /* and no temporary ones */
        snprintf(path, size, "%s/%s", f->cache, e->d_name);
        count++;
    }
    closedir(dir);
    return count;
}

/* A fresh context builds the probe from source, or takes it from the cache. */
static void expect_build(fixture *f, bool from_cache)
{
    deconv_ctx *ctx = open_context(f, 0);

    forget_log(f);
    expect_ramp(ctx, "", 1.0f);
    assert_int_equal(logged(f, "program probe.cl \"\": from the cache"), from_cache);
    assert_int_equal(logged(f, "program probe.cl \"\": built"), !from_cache);
    deconv_ctx_destroy(ctx);
}

static void programs_are_built_once(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_SIZE];

    expect_ramp(f->ctx, "", 1.0f);
    forget_log(f);
    expect_ramp(f->ctx, "", 1.0f);
    assert_false(logged(f, "program probe.cl"));
    assert_int_equal(program_files(f, path, sizeof path), 1);
    expect_build(f, true);
    assert_int_equal(program_files(f, path, sizeof path), 1);
    expect_ramp(f->ctx, "-DSTEP=2", 2.0f);
    assert_int_equal(program_files(f, path, sizeof path), 2);
    /* A source that changed is another program. */
    write_kernel(f, "probe.cl", "#define STEP 5\n");
    FILE *file = fopen(strcat(strcpy(path, f->kernels), "/probe.cl"), "ab");
    fputs(probe_source, file);
    fclose(file);
    deconv_ctx *ctx = open_context(f, 0);
    expect_ramp(ctx, "", 5.0f);
    assert_int_equal(program_files(f, path, sizeof path), 3);
    deconv_ctx_destroy(ctx);
}

/* PoCL has a cache of its own, and making a binary for ours costs it more than building. What is in
 * ours serves all the same. */
static void pocl_keeps_its_own(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_SIZE];
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;

    OK(f->ctx, deconv_ctx_device(f->ctx, &info));
    if (strcmp(info.platform, "Portable Computing Language") != 0)
        skip();
    unsetenv("DECONV_KEEP_PROGRAMS");
    expect_build(f, false);
    expect_build(f, false);
    assert_int_equal(program_files(f, path, sizeof path), 0);
    setenv("DECONV_KEEP_PROGRAMS", "1", 1);
    expect_build(f, false);
    assert_int_equal(program_files(f, path, sizeof path), 1);
    unsetenv("DECONV_KEEP_PROGRAMS");
    expect_build(f, true);
}

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static void store(const char *path, bytes content)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(content.data, 1, content.size, file), content.size);
    assert_int_equal(fclose(file), 0);
}

/* After each kind of damage: built again, right, and stored again so that the next one is quick. */
static void expect_recovery(fixture *f, const char *path, bytes damaged, const char *reason)
{
    store(path, damaged);
    expect_build(f, false);
    if (!logged(f, reason))
        fail_msg("\"%s\" was not logged:\n%s", reason, f->log);
    expect_build(f, true);
}

static void damaged_files_are_rebuilt(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_SIZE];
    bytes good;
    uint8_t *copy;

    expect_build(f, false);
    assert_int_equal(program_files(f, path, sizeof path), 1);
    OK(f->ctx, file_read(f->ctx, path, FILE_LIMIT, &good.data, &good.size));
    copy = malloc(good.size + 1);
    memcpy(copy, good.data, good.size);
    copy[good.size] = 0;

    expect_recovery(f, path, (bytes){copy, 0}, "not a program file");
    expect_recovery(f, path, (bytes){copy, 20}, "not a program file");
    expect_recovery(f, path, (bytes){copy, 40}, "of another key");
    expect_recovery(f, path, (bytes){copy, good.size - 1}, "truncated or too long");
    expect_recovery(f, path, (bytes){copy, good.size + 1}, "truncated or too long");
    expect_recovery(f, path, (bytes){(uint8_t *)"text", 4}, "not a program file");
    copy[good.size - 100] ^= 1;
    expect_recovery(f, path, (bytes){copy, good.size}, "altered");
    copy[good.size - 100] ^= 1;
    copy[50] ^= 1; /* inside the key: what a hash collision looks like */
    expect_recovery(f, path, (bytes){copy, good.size}, "of another key");
    copy[50] ^= 1;
    memset(copy + 8, 0xff, 8); /* an absurd key length */
    expect_recovery(f, path, (bytes){copy, good.size}, "of another key");
    memcpy(copy + 8, good.data + 8, 8);
    memset(copy + 16, 0xff, 8); /* an absurd binary length */
    expect_recovery(f, path, (bytes){copy, good.size}, "truncated or too long");

    free(copy);
    mem_free(f->ctx, good.data);
}

/* FNV-1a, as the cache file has it. */
static uint64_t checksum(const uint8_t *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    return hash;
}

/* A well-formed file whose binary the driver does not take, as after an update that kept its
 * version. */
static void foreign_binary_is_rebuilt(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_SIZE];
    uint64_t key_size = 0, sum;
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;
    bytes file;

    /* rusticl (Mesa 22.3) ends the process over a binary that is not its own, in program.rs:191. */
    OK(f->ctx, deconv_ctx_device(f->ctx, &info));
    if (strcmp(info.platform, "rusticl") == 0)
        skip();
    expect_build(f, false);
    assert_int_equal(program_files(f, path, sizeof path), 1);
    OK(f->ctx, file_read(f->ctx, path, FILE_LIMIT, &file.data, &file.size));
    for (int i = 7; i >= 0; i--)
        key_size = key_size << 8 | file.data[8 + i];
    memset(file.data + 32 + key_size, 'x', file.size - 32 - key_size);
    sum = checksum(file.data + 32, file.size - 32);
    for (int i = 0; i < 8; i++)
        file.data[24 + i] = (uint8_t)(sum >> (8 * i));
    expect_recovery(f, path, file, "the driver refuses the binary");
    mem_free(f->ctx, file.data);
}

static void unwritable_cache_is_no_failure(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_SIZE];

    /* A file where the folder should be. */
    snprintf(path, sizeof path, "%s/a", f->folder);
    write_text(path, "in the way");
    expect_build(f, false);
    assert_true(logged(f, "program cache: "));
    assert_string_equal(deconv_ctx_message(f->ctx), "");
    /* A folder where the program file should be. */
    assert_int_equal(remove(path), 0);
    expect_build(f, false);
    assert_int_equal(program_files(f, path, sizeof path), 1);
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_build(f, false);
    assert_true(logged(f, "is a folder"));
    /* No cache wanted. */
    remove_folder(f->cache);
    f->cache[0] = '\0';
    expect_build(f, false);
    expect_build(f, false);
}

static void *use_cache(void *user)
{
    fixture *f = user;
    deconv_ctx *ctx = open_context(f, 0);

    for (int step = 1; step <= 3; step++) {
        char options[32];

        snprintf(options, sizeof options, "-DSTEP=%d", step);
        expect_ramp(ctx, options, (float)step);
    }
    deconv_ctx_destroy(ctx);
    return NULL;
}

static void contexts_share_a_cache(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_SIZE];
    pthread_t threads[4];

    if (is_oclgrind(f->ctx))
        skip();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_cache, f), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(program_files(f, path, sizeof path), 3);
    forget_log(f);
    use_cache(f);
    assert_false(logged(f, ": built"));
}

/* What one of several processes does, on the fixture's folders. */
static int use_cache_once(const char *cache)
{
    static fixture f; /* for the log alone */

    pthread_mutex_init(&f.log_lock, NULL);
    snprintf(f.cache, sizeof f.cache, "%s", cache);
    use_cache(&f);
    return 0;
}

static void processes_share_a_cache(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_SIZE], damaged[2 * PATH_SIZE];

    for (int round = 0; round < 2; round++) {
        processes p = {.count = 0};

        for (int i = 0; i < 4; i++)
            processes_start(&p, "use", f->cache);
        processes_expect_success(&p);
        assert_int_equal(program_files(f, path, sizeof path), 3); /* and nothing half written */
        forget_log(f);
        use_cache(f);
        assert_false(logged(f, ": built"));
        assert_false(logged(f, "program cache: "));
        /* Again, with a file that all of them find broken. */
        strcpy(damaged, path);
        store(damaged, (bytes){(uint8_t *)"text", 4});
    }
}

int main(int argc, char **argv)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(programs_are_built_once),        TEST(pocl_keeps_its_own),
        TEST(damaged_files_are_rebuilt),      TEST(foreign_binary_is_rebuilt),
        TEST(unwritable_cache_is_no_failure), TEST(contexts_share_a_cache),
        TEST(processes_share_a_cache),
    };

    if (argc == 3)
        return use_cache_once(argv[2]);
    return cmocka_run_group_tests_name("program cache", tests, NULL, NULL);
}
