/* The context without its kernels: options, choice of a device, messages, log, progress, memory. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"

/* ---- Options ---- */

static void init_and_macro_agree(void **state)
{
    deconv_ctx_options options, options_macro = DECONV_CTX_OPTIONS_INIT;
    deconv_device_info info, info_macro = DECONV_DEVICE_INFO_INIT;

    (void)state;
    memset(&options, 0xff, sizeof options);
    deconv_ctx_options_init(&options);
    assert_memory_equal(&options, &options_macro, sizeof options);
    assert_int_equal(options.struct_size, sizeof options);
    assert_int_equal(options.level, DECONV_LOG_WARNING);
    memset(&info, 0xff, sizeof info);
    deconv_device_info_init(&info);
    assert_memory_equal(&info, &info_macro, sizeof info);
    assert_int_equal(info.struct_size, sizeof info);
}

static void *allocate_nothing(size_t bytes, void *user)
{
    (void)bytes;
    (void)user;
    return NULL;
}

static void release_nothing(void *memory, void *user)
{
    (void)user;
    assert_null(memory);
}

/* Creation must fail with `status` and a message that has `part` in it. */
static void expect_no_context(deconv_ctx_options *options, deconv_status status, const char *part)
{
    char message[1024] = "";
    deconv_ctx *ctx = (deconv_ctx *)options;

    options->error = message;
    options->error_size = sizeof message;
    assert_int_equal(deconv_ctx_create(options, &ctx), status);
    assert_null(ctx);
    if (!strstr(message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, message);
    assert_null(strchr(message, '\n'));
}

static void bad_options_are_refused(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;

    (void)state;
    assert_int_equal(deconv_ctx_create(&o, NULL), DECONV_ERROR_INVALID);
    o.flags = 1u << 30;
    expect_no_context(&o, DECONV_ERROR_INVALID, "flags are 0x40000000");
    deconv_ctx_options_init(&o);
    o.reserved = 7;
    expect_no_context(&o, DECONV_ERROR_INVALID, "reserved is 7");
    deconv_ctx_options_init(&o);
    o.level = (deconv_log_level)9;
    expect_no_context(&o, DECONV_ERROR_INVALID, "level is 9");
    deconv_ctx_options_init(&o);
    o.allocate = allocate_nothing;
    expect_no_context(&o, DECONV_ERROR_INVALID, "allocate is set without release");
    deconv_ctx_options_init(&o);
    o.release = release_nothing;
    expect_no_context(&o, DECONV_ERROR_INVALID, "release is set without allocate");
    o.allocate = allocate_nothing;
    expect_no_context(&o, DECONV_ERROR_NO_MEMORY, "no memory");
}

static void struct_size_is_checked(void **state)
{
    struct {
        deconv_ctx_options known;
        uint64_t later;
    } newer = {DECONV_CTX_OPTIONS_INIT, 0};
    deconv_ctx *ctx;

    (void)state;
    newer.known.cache_dir = "";
    newer.known.struct_size = sizeof newer;
    assert_int_equal(deconv_ctx_create(&newer.known, &ctx), DECONV_OK);
    deconv_ctx_destroy(ctx);
    newer.later = 1;
    expect_no_context(&newer.known, DECONV_ERROR_UNSUPPORTED, "deconv_ctx_options");
    newer.known.struct_size = 0;
    assert_int_equal(deconv_ctx_create(&newer.known, &ctx), DECONV_ERROR_INVALID);
    assert_null(ctx);
}

static void null_is_harmless(void **state)
{
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;

    (void)state;
    deconv_ctx_destroy(NULL);
    assert_string_equal(deconv_ctx_message(NULL), "");
    assert_int_equal(deconv_ctx_device(NULL, &info), DECONV_ERROR_INVALID);
    assert_int_equal(deconv_device_get(0, NULL), DECONV_ERROR_INVALID);
    assert_int_equal(deconv_device_count(NULL), DECONV_ERROR_INVALID);
}

static void statuses_have_names(void **state)
{
    (void)state;
    for (int i = DECONV_OK; i <= DECONV_ERROR_CANCELLED; i++) {
        assert_string_not_equal(deconv_status_name((deconv_status)i), "unknown status");
        for (int j = DECONV_OK; j < i; j++)
            assert_string_not_equal(deconv_status_name((deconv_status)i),
                                    deconv_status_name((deconv_status)j));
    }
    assert_string_equal(deconv_status_name((deconv_status)77), "unknown status");
    assert_int_equal(deconv_abi_version(), DECONV_ABI_VERSION);
}

/* ---- Devices ---- */

static void devices_are_listed(void **state)
{
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;
    uint32_t count = 0, defaults = 0;

    (void)state;
    assert_int_equal(deconv_device_count(&count), DECONV_OK);
    assert_true(count >= 1);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(deconv_device_get(i, &info), DECONV_OK);
        assert_int_equal(info.struct_size, sizeof info);
        assert_true(info.name[0] && info.version[0] && info.platform[0]);
        assert_true(info.compute_units >= 1);
        assert_true(info.max_allocation > 0 && info.max_allocation <= info.global_memory);
        defaults += info.is_default;
    }
    assert_int_equal(defaults, 1);
    assert_int_equal(deconv_device_get(count, &info), DECONV_ERROR_NOT_FOUND);
}

static deconv_status open_device(const char *wanted, deconv_device_info *info)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx;
    deconv_status status;

    options.device = wanted;
    options.cache_dir = "";
    status = deconv_ctx_create(&options, &ctx);
    if (status == DECONV_OK)
        status = deconv_ctx_device(ctx, info);
    deconv_ctx_destroy(ctx);
    return status;
}

static void devices_are_chosen(void **state)
{
    deconv_device_info first = DECONV_DEVICE_INFO_INIT, info = DECONV_DEVICE_INFO_INIT;
    char part[16] = "";

    (void)state;
    assert_int_equal(open_device(NULL, &info), DECONV_OK);
    assert_int_equal(info.is_default, 1);
    assert_int_equal(deconv_device_get(0, &first), DECONV_OK);
    assert_int_equal(open_device("0", &info), DECONV_OK);
    assert_string_equal(info.name, first.name);
    for (size_t i = 0; i < 6; i++) /* the middle of the name, in capitals */
        part[i] = (char)(first.name[i + 1] >= 'a' && first.name[i + 1] <= 'z'
                             ? first.name[i + 1] - 'a' + 'A'
                             : first.name[i + 1]);
    assert_int_equal(open_device(part, &info), DECONV_OK);
    assert_string_equal(info.name, first.name);
    if (first.kind == DECONV_DEVICE_CPU) {
        assert_int_equal(open_device("cpu", &info), DECONV_OK);
        assert_int_equal(info.kind, DECONV_DEVICE_CPU);
    }
}

static void unknown_device_lists_devices(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    deconv_device_info first = DECONV_DEVICE_INFO_INIT;

    (void)state;
    assert_int_equal(deconv_device_get(0, &first), DECONV_OK);
    o.device = "no such device";
    expect_no_context(&o, DECONV_ERROR_NO_DEVICE, "\"no such device\"");
    expect_no_context(&o, DECONV_ERROR_NO_DEVICE, first.name);
    o.device = "99";
    expect_no_context(&o, DECONV_ERROR_NOT_FOUND, "no OpenCL device 99");
    expect_no_context(&o, DECONV_ERROR_NOT_FOUND, first.name);
    o.device = "99999999999999999999999";
    expect_no_context(&o, DECONV_ERROR_NOT_FOUND, first.name);
}

static void environment_names_the_device(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;
    char *before = getenv("DECONV_DEVICE") ? strdup(getenv("DECONV_DEVICE")) : NULL;

    (void)state;
    setenv("DECONV_DEVICE", "none of them", 1);
    expect_no_context(&o, DECONV_ERROR_NO_DEVICE, "DECONV_DEVICE: ");
    assert_int_equal(open_device("0", &info), DECONV_OK); /* the option goes before it */
    setenv("DECONV_DEVICE", "0", 1);
    assert_int_equal(open_device(NULL, &info), DECONV_OK);
    setenv("DECONV_DEVICE", "", 1);
    assert_int_equal(open_device(NULL, &info), DECONV_OK);
    if (before)
        setenv("DECONV_DEVICE", before, 1);
    else
        unsetenv("DECONV_DEVICE");
    free(before);
}

static void missing_loader_is_advised(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    uint32_t count = 7;

    (void)state;
    assert_non_null(strstr(deconv_device_advice(), "install"));
    setenv("DECONV_OPENCL_LIBRARY", "/nowhere/libOpenCL.so.1", 1);
    expect_no_context(&o, DECONV_ERROR_NO_DEVICE, "/nowhere/libOpenCL.so.1");
    assert_int_equal(deconv_device_count(&count), DECONV_ERROR_NO_DEVICE);
    assert_int_equal(count, 0);
    /* A library that is no OpenCL loader at all. */
    setenv("DECONV_OPENCL_LIBRARY", "libm.so.6", 1);
    expect_no_context(&o, DECONV_ERROR_NO_DEVICE, "has no clGetPlatformIDs");
    unsetenv("DECONV_OPENCL_LIBRARY");
}

/* ocl-icd looks for drivers once in a process: this must be the first test, and in a child. */
static void missing_driver_is_advised(void **state)
{
    int result = -1;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
        char message[1024] = "";
        deconv_ctx *ctx;
        uint32_t count;

        o.error = message;
        o.error_size = sizeof message;
        setenv("OCL_ICD_VENDORS", "/nowhere/", 1);
        if (deconv_device_count(&count) != DECONV_ERROR_NO_DEVICE)
            _exit(1);
        if (deconv_ctx_create(&o, &ctx) != DECONV_ERROR_NO_DEVICE || ctx)
            _exit(2);
        _exit(strstr(message, deconv_device_advice()) ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
}

/* ---- Messages, log, progress ---- */

typedef struct lines {
    int count;
    deconv_log_level level;
    char last[1100];
} lines;

static void keep_line(deconv_log_level level, const char *line, void *user)
{
    lines *l = user;

    l->count++;
    l->level = level;
    snprintf(l->last, sizeof l->last, "%s", line);
}

static deconv_ctx *create(deconv_ctx_options *options)
{
    deconv_ctx *ctx;

    options->cache_dir = "";
    assert_int_equal(deconv_ctx_create(options, &ctx), DECONV_OK);
    return ctx;
}

typedef struct talker {
    deconv_ctx *ctx;
    int number;
    bool right;
} talker;

static void *fail_often(void *user)
{
    talker *t = user;
    char expected[64];

    t->right = strcmp(deconv_ctx_message(t->ctx), "") == 0;
    for (int i = 0; i < 500; i++) {
        snprintf(expected, sizeof expected, "thread %d, failure %d", t->number, i);
        error_set(t->ctx, DECONV_ERROR_INVALID, "thread %d, failure %d", t->number, i);
        t->right = t->right && strcmp(deconv_ctx_message(t->ctx), expected) == 0;
    }
    return NULL;
}

static void messages_are_per_thread(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx = create(&o);
    talker talkers[8];
    pthread_t threads[8];

    (void)state;
    assert_string_equal(deconv_ctx_message(ctx), "");
    error_set(ctx, DECONV_ERROR_INVALID, "from the first thread");
    for (int i = 0; i < 8; i++) {
        talkers[i] = (talker){ctx, i, false};
        assert_int_equal(pthread_create(&threads[i], NULL, fail_often, &talkers[i]), 0);
    }
    /* Only now, so that no thread can take over the id of one that has ended. */
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 8; i++)
        assert_string_equal(talkers[i].right ? "right" : "wrong", "right");
    assert_string_equal(deconv_ctx_message(ctx), "from the first thread");
    deconv_ctx_destroy(ctx);
}

static void messages_are_one_line(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx = create(&o);
    char longest[2000];

    (void)state;
    assert_int_equal(error_set(ctx, DECONV_ERROR_FORMAT, "a\nb\t\033[31mc"), DECONV_ERROR_FORMAT);
    assert_string_equal(deconv_ctx_message(ctx), "a b  [31mc");
    error_prefix(ctx, "layer %d", 4);
    assert_string_equal(deconv_ctx_message(ctx), "layer 4: a b  [31mc");
    error_set(ctx, DECONV_ERROR_INVALID, "again: %s", deconv_ctx_message(ctx));
    assert_string_equal(deconv_ctx_message(ctx), "again: layer 4: a b  [31mc");
    /* Two-byte characters, cut between and not inside them. */
    for (size_t i = 0; i + 2 < sizeof longest; i += 2)
        memcpy(longest + i, "\xc3\xa9", 3);
    for (size_t shift = 0; shift < 2; shift++) {
        const char *m;

        error_set(ctx, DECONV_ERROR_INVALID, "%s%s", shift ? "x" : "", longest);
        m = deconv_ctx_message(ctx);
        assert_true(strlen(m) > 1000 && strlen(m) < 1024);
        assert_string_equal(m + strlen(m) - 3, "...");
        assert_int_equal((unsigned char)m[strlen(m) - 4], 0xa9);
    }
    deconv_ctx_destroy(ctx);
}

static void log_goes_to_the_callback(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    lines l = {0};
    deconv_ctx *ctx;

    (void)state;
    unsetenv("DECONV_LOG");
    o.log = keep_line;
    o.log_user = &l;
    ctx = create(&o);
    l.count = 0;
    log_line(ctx, DECONV_LOG_INFO, "not wanted");
    assert_int_equal(l.count, 0);
    log_line(ctx, DECONV_LOG_WARNING, "line %d\nof two", 1);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.level, DECONV_LOG_WARNING);
    assert_string_equal(l.last, "line 1 of two");
    assert_true(log_wants(ctx, DECONV_LOG_ERROR));
    assert_false(log_wants(ctx, DECONV_LOG_DEBUG));
    deconv_ctx_destroy(ctx);
}

static void environment_sets_the_level(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    lines l = {0};
    deconv_ctx *ctx;

    (void)state;
    o.log = keep_line;
    o.log_user = &l;
    setenv("DECONV_LOG", "debug", 1);
    ctx = create(&o);
    assert_true(log_wants(ctx, DECONV_LOG_DEBUG));
    assert_true(l.count > 0);
    deconv_ctx_destroy(ctx);
    setenv("DECONV_LOG", "error", 1);
    ctx = create(&o);
    assert_false(log_wants(ctx, DECONV_LOG_WARNING));
    deconv_ctx_destroy(ctx);
    setenv("DECONV_LOG", "loud", 1);
    l.count = 0;
    ctx = create(&o);
    assert_int_equal(l.count, 1);
    assert_non_null(strstr(l.last, "\"loud\""));
    deconv_ctx_destroy(ctx);
    unsetenv("DECONV_LOG");
}

static int32_t stop_at_three(uint64_t done, uint64_t total, const char *what, void *user)
{
    (void)total;
    (void)what;
    ++*(int *)user;
    return done == 3;
}

static void progress_cancels(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    int calls = 0;
    deconv_ctx *ctx = create(&o);

    (void)state;
    assert_int_equal(progress_step(ctx, 1, 5, "step"), DECONV_OK);
    deconv_ctx_destroy(ctx);
    o.progress = stop_at_three;
    o.progress_user = &calls;
    ctx = create(&o);
    assert_int_equal(progress_step(ctx, 2, 5, "forward"), DECONV_OK);
    assert_int_equal(progress_step(ctx, 3, 5, "forward"), DECONV_ERROR_CANCELLED);
    assert_non_null(strstr(deconv_ctx_message(ctx), "forward, 3 of 5"));
    assert_int_equal(calls, 2);
    deconv_ctx_destroy(ctx);
}

/* ---- Memory ---- */

typedef struct heap {
    int live, made;
    int fail_at; /* the allocation that fails; -1: none */
} heap;

static void *heap_allocate(size_t bytes, void *user)
{
    heap *h = user;
    void *memory;

    if (h->made++ == h->fail_at)
        return NULL;
    memory = malloc(bytes);
    assert_non_null(memory);
    memset(memory, 0xcc, bytes); /* the library may not count on zeros */
    h->live++;
    return memory;
}

static void heap_release(void *memory, void *user)
{
    heap *h = user;

    h->live -= memory != NULL;
    free(memory);
}

static void every_allocation_may_fail(void **state)
{
    int refused = 0, i;

    (void)state;
    for (i = 0;; i++) {
        deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
        heap h = {0, 0, i};
        char message[256] = "";
        deconv_ctx *ctx;
        deconv_status status;

        assert_true(i < 1000);
        o.allocate = heap_allocate;
        o.release = heap_release;
        o.allocator_user = &h;
        o.error = message;
        o.error_size = sizeof message;
        status = deconv_ctx_create(&o, &ctx);
        if (status == DECONV_OK) {
            assert_true(h.live > 0);
        } else {
            assert_int_equal(status, DECONV_ERROR_NO_MEMORY);
            assert_null(ctx);
            assert_non_null(strstr(message, "no memory"));
            refused++;
        }
        deconv_ctx_destroy(ctx);
        assert_int_equal(h.live, 0);
        if (h.made <= i)
            break;
    }
    assert_true(refused >= 4);
}

static void lost_message_says_so(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    heap h = {0, 0, -1};
    deconv_ctx *ctx;

    (void)state;
    o.allocate = heap_allocate;
    o.release = heap_release;
    o.allocator_user = &h;
    ctx = create(&o);
    h.fail_at = h.made;
    assert_int_equal(error_set(ctx, DECONV_ERROR_IO, "lost"), DECONV_ERROR_IO);
    assert_non_null(strstr(deconv_ctx_message(ctx), "no memory"));
    error_set(ctx, DECONV_ERROR_IO, "kept");
    assert_string_equal(deconv_ctx_message(ctx), "kept");
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
}

static void memory_is_zeroed_and_checked(void **state)
{
    deconv_ctx_options o = DECONV_CTX_OPTIONS_INIT;
    heap h = {0, 0, -1};
    deconv_ctx *ctx;
    unsigned char *bytes;
    char *text;
    size_t product;

    (void)state;
    o.allocate = heap_allocate;
    o.release = heap_release;
    o.allocator_user = &h;
    ctx = create(&o);
    bytes = mem_alloc(ctx, 10, 7, "bytes");
    for (int i = 0; i < 70; i++)
        assert_int_equal(bytes[i], 0);
    mem_free(ctx, bytes);
    mem_free(ctx, NULL);
    assert_null(mem_alloc(ctx, SIZE_MAX / 2, 3, "too much"));
    assert_non_null(strstr(deconv_ctx_message(ctx), "too much"));
    h.fail_at = h.made;
    assert_null(mem_alloc(ctx, 12, 100, "a table"));
    assert_string_equal(deconv_ctx_message(ctx), "no memory: 1200 bytes for a table");
    text = mem_printf(ctx, "%s-%03d", "name", 7);
    assert_string_equal(text, "name-007");
    mem_free(ctx, text);
    assert_true(size_mul(SIZE_MAX / 3, 3, &product));
    assert_int_equal(product, SIZE_MAX / 3 * 3);
    assert_false(size_mul(SIZE_MAX / 3 + 1, 3, &product));
    assert_true(size_mul(SIZE_MAX, 0, &product));
    assert_int_equal(product, 0);
    deconv_ctx_destroy(ctx);
    assert_int_equal(h.live, 0);
}

/* ---- Names ---- */

static void nearest_names_come_first(void **state)
{
    const char *const names[] = {"conv1",        "relu1",         "fire2/squeeze", "fire3/squeeze",
                                 "fire4/concat", "fire4/squeeze", "pool10",        "softmax"};
    char text[128];

    (void)state;
    nearest_names("fire3/sqeeze", names, 8, 2, text, sizeof text);
    assert_string_equal(text, "fire3/squeeze, fire2/squeeze");
    nearest_names("FIRE4", names, 8, 2, text, sizeof text);
    assert_string_equal(text, "fire4/concat, fire4/squeeze");
    nearest_names("convl", names, 8, 1, text, sizeof text);
    assert_string_equal(text, "conv1");
    nearest_names("pool10/x", names, 8, 1, text, sizeof text);
    assert_string_equal(text, "pool10");
    nearest_names("x", names, 8, 100, text, 12); /* whole names only */
    assert_string_equal(text, "softmax");
    nearest_names("x", names, 0, 3, text, sizeof text);
    assert_string_equal(text, "");
    nearest_names("", names, 8, 1, text, sizeof text);
    assert_string_equal(text, "conv1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_driver_is_advised), /* the first: see there */
        cmocka_unit_test(init_and_macro_agree),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(struct_size_is_checked),
        cmocka_unit_test(null_is_harmless),
        cmocka_unit_test(statuses_have_names),
        cmocka_unit_test(devices_are_listed),
        cmocka_unit_test(devices_are_chosen),
        cmocka_unit_test(unknown_device_lists_devices),
        cmocka_unit_test(environment_names_the_device),
        cmocka_unit_test(missing_loader_is_advised),
        cmocka_unit_test(messages_are_per_thread),
        cmocka_unit_test(messages_are_one_line),
        cmocka_unit_test(log_goes_to_the_callback),
        cmocka_unit_test(environment_sets_the_level),
        cmocka_unit_test(progress_cancels),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(lost_message_says_so),
        cmocka_unit_test(memory_is_zeroed_and_checked),
        cmocka_unit_test(nearest_names_come_first),
    };

    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
