/* Measured convolutions: the file that keeps them, what is chosen by it, and measuring. */
#define _XOPEN_SOURCE 700
#include "opencl_fixture.h"
#include "processes.h"

#include "conv/measure.h"
#include "file.h"
#include "tensor.h"

enum { CHANNELS = 16, SIZE = 12, WINDOW = 6 };

/* A 3x3 convolution of 16 to 16 channels over size x size, without padding. */
static conv_task task_of(deconv_ctx *ctx, int64_t size)
{
    return (conv_task){.ctx = ctx,
                       .name = "conv1",
                       .problem = {.batch = 1,
                                   .in_channels = CHANNELS,
                                   .out_channels = CHANNELS,
                                   .groups = 1,
                                   .in_size = {size, size},
                                   .out_size = {size - 2, size - 2},
                                   .kernel = {3, 3},
                                   .stride = {1, 1},
                                   .dilation = {1, 1}},
                       .direction = CONV_FORWARD,
                       .src_block = 1,
                       .dst_block = 1};
}

/* "direct 10, blocked 20": TUNING_WRONG for "wrong". */
static tuning_entry entry_of(const conv_task *task, const char *first, double first_time,
                             const char *second, double second_time)
{
    tuning_entry e = {.count = second ? 2 : 1};

    tuning_key(task, e.key);
    strcpy(e.candidate[0].name, first);
    e.candidate[0].microseconds = first_time;
    if (second) {
        strcpy(e.candidate[1].name, second);
        e.candidate[1].microseconds = second_time;
    }
    return e;
}

static void store(deconv_ctx *ctx, tuning_entry e)
{
    OK(ctx, tuning_store(ctx, &e, 1));
}

/* The kernels of convolutions are the embedded ones; the folder with the probe has none. */
static void expect_choice(const conv_task *task, const char *algorithm)
{
    scratch scratch = {0};
    conv_task own = *task;
    convolution *c;

    own.scratch = &scratch;
    OK(task->ctx, convolution_create(&own, NULL, &c));
    assert_string_equal(convolution_algorithm(c), algorithm);
    convolution_free(c);
    scratch_free(&scratch);
}

static void expect_choice_of_new_context(fixture *f, const char *algorithm)
{
    deconv_ctx *ctx = open_context(f, 0);
    conv_task task = task_of(ctx, SIZE);

    expect_choice(&task, algorithm);
    deconv_ctx_destroy(ctx);
}

static bool is_cpu(deconv_ctx *ctx)
{
    return device_limits_of(ctx)->kind == DECONV_DEVICE_CPU;
}

static char *path_of(deconv_ctx *ctx)
{
    char *path;

    OK(ctx, tuning_path(ctx, &path));
    return path;
}

static void replace_text(const char *path, const char *text, size_t size)
{
    FILE *file;

    remove(path);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* ---- The file ---- */

static void entries_are_kept(void **state)
{
    fixture *f = *state;
    conv_task small = task_of(f->ctx, 8), large = task_of(f->ctx, SIZE), other = large;
    const tuning_entry *e;
    deconv_ctx *ctx;

    assert_null(tuning_read(f->ctx));
    store(f->ctx, entry_of(&small, "slow", 30.5, "fast", 2.5));
    store(f->ctx, entry_of(&large, "bad", TUNING_WRONG, "good", 7));
    assert_null(ctx_tuning(f->ctx)); /* the context chooses on as it did */
    ctx = open_context(f, 0);
    e = tuning_find(ctx_tuning(ctx), &small);
    assert_non_null(e);
    assert_int_equal(e->count, 2);
    assert_string_equal(e->candidate[0].name, "fast");
    assert_true(tuning_time(e, "slow") == 30.5 && tuning_time(e, "fast") == 2.5);
    assert_true(tuning_time(e, "other") == 0.0);
    e = tuning_find(ctx_tuning(ctx), &large);
    assert_string_equal(e->candidate[0].name, "good"); /* wrong ones come last */
    assert_true(tuning_time(e, "bad") == TUNING_WRONG);
    deconv_ctx_destroy(ctx);

    /* Every part of the task counts. */
    ctx = open_context(f, 0);
#define OTHER(change)                                                                              \
    do {                                                                                           \
        other = large;                                                                             \
        change;                                                                                    \
        assert_null(tuning_find(ctx_tuning(ctx), &other));                                         \
    } while (0)
    OTHER(other.problem.batch = 2);
    OTHER(other.problem.in_size[0] = SIZE + 1);
    OTHER(other.problem.pad[1] = 1);
    OTHER(other.problem.dilation[0] = 2);
    OTHER(other.direction = CONV_ADJOINT);
    OTHER(other.src_block = 16);
    OTHER(other.dst_block = 16);
    assert_ptr_equal(tuning_find_any(ctx_tuning(ctx), &other),
                     tuning_find(ctx_tuning(ctx), &large));
    OTHER(other.problem.stride[0] = 2);
    assert_null(tuning_find_any(ctx_tuning(ctx), &other));

    /* What is measured again takes the old one's place. */
    store(ctx, entry_of(&large, "good", 9, NULL, 0));
    deconv_ctx_destroy(ctx);
    ctx = open_context(f, 0);
    assert_true(tuning_time(tuning_find(ctx_tuning(ctx), &large), "good") == 9);
    assert_true(tuning_time(tuning_find(ctx_tuning(ctx), &large), "bad") == 0);
    assert_non_null(tuning_find(ctx_tuning(ctx), &small));
    deconv_ctx_destroy(ctx);
}

/* The file counts as not there, with one warning that has `reason` in it. */
static void expect_ignored(fixture *f, const char *path, const char *text, size_t size,
                           const char *reason)
{
    deconv_ctx *ctx;
    const char *line;

    replace_text(path, text, size);
    forget_log(f);
    ctx = open_context(f, 0);
    assert_null(ctx_tuning(ctx));
    line = strstr(f->log, "the tuning file ");
    if (!line || !strstr(line, reason))
        fail_msg("\"%s\" is not in the log:\n%s", reason, f->log);
    assert_null(strstr(line + 1, "the tuning file "));
    deconv_ctx_destroy(ctx);
}

static void expect_line_ignored(fixture *f, const char *path, const char *header, const char *line)
{
    char text[8192];

    snprintf(text, sizeof text, "%s%s\nend 1\n", header, line);
    expect_ignored(f, path, text, strlen(text), "it is broken");
}

static void damaged_files_are_ignored(void **state)
{
    fixture *f = *state;
    conv_task small = task_of(f->ctx, 8), large = task_of(f->ctx, SIZE);
    char *path = path_of(f->ctx), *copy, *entries;
    char header[2048], line[1024];
    uint8_t *good;
    size_t size;

    store(f->ctx, entry_of(&small, "direct", 1, "blocked", 2));
    store(f->ctx, entry_of(&large, "direct", 1, "blocked", 2));
    OK(f->ctx, file_read(f->ctx, path, 1 << 20, &good, &size));
    copy = malloc(size + 64);
    entries = strstr((char *)good, "forward batch");
    snprintf(header, sizeof header, "%.*s", (int)(entries - (char *)good), (char *)good);

    expect_ignored(f, path, "", 0, "no tuning file");
    expect_ignored(f, path, "junk\n", 5, "no tuning file");
    for (size_t cut = 1; cut < size; cut += 7) /* truncated anywhere */
        expect_ignored(f, path, (char *)good, cut,
                       cut < strlen("libdeconv tuning 1\n") ? "no tuning file"
                       : cut < strlen(header)               ? "another device"
                                                            : "it is cut off");
    memcpy(copy, good, size);
    copy[strlen("libdeconv tuning ")] = '2';
    expect_ignored(f, path, copy, size, "no tuning file of this format");
    static const char *const fields[] = {"library ", "device ",   "vendor ",
                                         "driver ",  "platform ", "units "};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        memcpy(copy, good, size + 1);
        strstr(copy, fields[i])[strlen(fields[i])] ^= 1;
        expect_ignored(f, path, copy, size, "another device");
    }
    memcpy(copy, good, size);
    copy[strlen(header) + 3] = '\0';
    expect_ignored(f, path, copy, size, "it is broken");
    memcpy(copy, good, size);
    memcpy(copy + size, "more\n", 5);
    expect_ignored(f, path, copy, size + 5, "last line");
    snprintf(copy, size + 64, "%send 1\n", header);
    expect_ignored(f, path, copy, strlen(copy), "last line");

    tuning_key(&small, line);
#define BAD(ranking)                                                                               \
    do {                                                                                           \
        snprintf(copy, size + 64, "%s%s", line, ranking);                                          \
        expect_line_ignored(f, path, header, copy);                                                \
    } while (0)
    BAD("");
    BAD(" : ");
    BAD(" : direct");
    BAD(" : direct fast");
    BAD(" : direct 1 2");
    BAD(" : direct -1");
    BAD(" : direct 0");
    BAD(" : direct nan");
    BAD(" : direct 1e300");
    BAD(" : direct 1,blocked 2");
    BAD(" : an_algorithm_with_a_long_name 1");
    BAD(" : a 1, a 1, a 1, a 1, a 1, a 1, a 1, a 1, a 1, a 1, a 1, a 1, a 1");
    expect_line_ignored(f, path, header, "forward without sizes : direct 1");
    char endless[4096];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    expect_line_ignored(f, path, header, endless);

    /* The next one that is stored replaces it. */
    forget_log(f);
    store(f->ctx, entry_of(&large, "direct", 1, NULL, 0));
    deconv_ctx *ctx = open_context(f, 0);
    assert_non_null(tuning_find(ctx_tuning(ctx), &large));
    assert_null(tuning_find(ctx_tuning(ctx), &small));
    assert_false(logged(f, "is ignored"));
    deconv_ctx_destroy(ctx);
    free(copy);
    mem_free(f->ctx, good);
    mem_free(f->ctx, path);
}

static void a_folder_in_the_way(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(f->ctx, SIZE);
    tuning_entry e = entry_of(&task, "direct", 1, NULL, 0);
    char blocker[PATH_SIZE], *path = path_of(f->ctx);
    deconv_ctx *ctx;

    /* The cache's folder cannot be made. */
    snprintf(blocker, sizeof blocker, "%s/a", f->folder);
    write_text(blocker, "in the way");
    expect_message(f->ctx, tuning_store(f->ctx, &e, 1), DECONV_ERROR_IO, "cannot be made");
    assert_int_equal(remove(blocker), 0);
    /* A folder where the file belongs. */
    assert_int_equal(mkdir(blocker, 0700), 0);
    assert_int_equal(mkdir(f->cache, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_message(f->ctx, tuning_store(f->ctx, &e, 1), DECONV_ERROR_IO, "is a folder");
    forget_log(f);
    ctx = open_context(f, 0);
    assert_true(logged(f, "is ignored: is a folder"));
    assert_null(ctx_tuning(ctx));
    deconv_ctx_destroy(ctx);
    /* No cache at all. */
    remove_folder(f->cache);
    f->cache[0] = '\0';
    ctx = open_context(f, 0);
    expect_message(ctx, tuning_store(ctx, &e, 1), DECONV_ERROR_INVALID, "no cache folder");
    deconv_ctx_destroy(ctx);
    mem_free(f->ctx, path);
}

/* ---- Processes ---- */

enum { WRITERS = 6, ENTRIES_EACH = 5 };

/* What one of several processes does: stores its entries one by one. */
static int write_entries(const char *cache, int writer)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx;
    int failed = 0;

    options.cache_dir = cache;
    if (deconv_ctx_create(&options, &ctx) != DECONV_OK)
        return 1;
    for (int i = 0; i < ENTRIES_EACH; i++) {
        conv_task task = task_of(ctx, 100 + writer * ENTRIES_EACH + i);
        tuning_entry e = entry_of(&task, "direct", 1 + writer, NULL, 0);

        failed += tuning_store(ctx, &e, 1) != DECONV_OK;
    }
    deconv_ctx_destroy(ctx);
    return failed != 0;
}

static void processes_tune_at_once(void **state)
{
    fixture *f = *state;
    processes p = {.count = 0};
    deconv_ctx *ctx;

    for (int i = 0; i < WRITERS; i++) {
        char job[] = "a";

        job[0] = (char)('a' + i);
        processes_start(&p, job, f->cache);
    }
    processes_expect_success(&p);
    forget_log(f);
    ctx = open_context(f, 0);
    assert_false(logged(f, "is ignored"));
    for (int i = 0; i < WRITERS * ENTRIES_EACH; i++) {
        conv_task task = task_of(ctx, 100 + i);
        const tuning_entry *e = tuning_find(ctx_tuning(ctx), &task);

        if (!e)
            fail_msg("entry %d of process %d is lost", i % ENTRIES_EACH, i / ENTRIES_EACH);
        assert_true(e->candidate[0].microseconds == 1 + i / ENTRIES_EACH);
    }
    deconv_ctx_destroy(ctx);
}

/* ---- The choice ---- */

static void the_fastest_serves(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(f->ctx, SIZE), other = task_of(f->ctx, SIZE + 1);
    deconv_ctx *ctx;

    if (!is_cpu(f->ctx))
        skip();
    expect_choice(&task, "blocked");
    store(f->ctx, entry_of(&task, "blocked", 20, "direct", 10));
    expect_choice(&task, "blocked"); /* for all the context's life */
    ctx = open_context(f, 0);
    task.ctx = other.ctx = ctx;
    expect_choice(&task, "direct");
    expect_choice(&other, "blocked");
    deconv_ctx_destroy(ctx);
    setenv("DECONV_TUNING", "off", 1);
    expect_choice_of_new_context(f, "blocked");
    unsetenv("DECONV_TUNING");
    setenv("DECONV_CONV_ALGORITHM", "blocked", 1);
    expect_choice_of_new_context(f, "blocked");
    unsetenv("DECONV_CONV_ALGORITHM");
    expect_choice_of_new_context(f, "direct");
    /* One that refuses, or that there is no longer, stands first: the next one serves. */
    task.ctx = f->ctx;
    store(f->ctx, entry_of(&task, "few", 1, "direct", 10));
    expect_choice_of_new_context(f, "direct");
    store(f->ctx, entry_of(&task, "gone", 1, "direct", 10));
    expect_choice_of_new_context(f, "direct");
    store(f->ctx, entry_of(&task, "gone", 1, NULL, 0));
    expect_choice_of_new_context(f, "blocked");
    store(f->ctx, entry_of(&task, "blocked", TUNING_WRONG, NULL, 0));
    expect_choice_of_new_context(f, "direct");
}

/* ---- Windows and layouts: one order of summation ---- */

/* dst of a task on numbers that go by `from`, a crop of SIZE x SIZE maps. */
static void run_crop(const conv_task *task, int64_t from, float *result)
{
    const int64_t in = task->problem.in_size[0], out = task->problem.out_size[0];
    size_t in_count = (size_t)(CHANNELS * in * in), out_count = (size_t)(CHANNELS * out * out);
    enum { WEIGHTS = CHANNELS * CHANNELS * 9 };
    float *src = malloc(in_count * sizeof *src), weights[WEIGHTS];
    buffer *x, *w, *y;
    scratch scratch = {0};
    conv_task own = *task;
    convolution *c;

    own.scratch = &scratch;
    for (int64_t k = 0; k < CHANNELS; k++)
        for (int64_t i = 0; i < in * in; i++) {
            int64_t at = (k * SIZE + from + i / in) * SIZE + from + i % in;

            src[k * in * in + i] = 0.1f + 0.37f * (float)(at * 7919 % 101);
        }
    for (int i = 0; i < WEIGHTS; i++)
        weights[i] = 0.013f * (float)(i * 31 % 97) - 0.5f;
    OK(task->ctx, buffer_create(task->ctx, in_count * sizeof *src, "x", &x));
    OK(task->ctx, buffer_create(task->ctx, sizeof weights, "w", &w));
    OK(task->ctx, buffer_create(task->ctx, out_count * sizeof *src, "y", &y));
    OK(task->ctx, buffer_write(task->ctx, x, 0, in_count * sizeof *src, src));
    OK(task->ctx, buffer_write(task->ctx, w, 0, sizeof weights, weights));
    OK(task->ctx, convolution_create(&own, w, &c));
    OK(task->ctx, convolution_run(c, &(conv_operands){.src = x, .weights = w, .dst = y}));
    OK(task->ctx, buffer_read(task->ctx, y, 0, out_count * sizeof *result, result));
    convolution_free(c);
    scratch_free(&scratch);
    buffer_free(x);
    buffer_free(w);
    buffer_free(y);
    free(src);
}

/* Results of a window that differ from those of the whole at the same place. */
static int differences(deconv_ctx *ctx, bool told)
{
    enum { OUT = SIZE - 2, PART = WINDOW - 2, FROM = 3 };
    static float all[CHANNELS * OUT * OUT], part[CHANNELS * PART * PART];
    conv_task whole = task_of(ctx, SIZE), window = task_of(ctx, WINDOW);
    int count = 0;

    if (told)
        window.whole = &whole.problem;
    run_crop(&whole, 0, all);
    run_crop(&window, FROM, part);
    for (int k = 0; k < CHANNELS; k++)
        for (int y = 0; y < PART; y++)
            for (int x = 0; x < PART; x++)
                count += memcmp(&all[(k * OUT + FROM + y) * OUT + FROM + x],
                                &part[(k * PART + y) * PART + x], sizeof *all) != 0;
    return count;
}

static void windows_follow_the_whole(void **state)
{
    fixture *f = *state;
    conv_task whole = task_of(f->ctx, SIZE), window = task_of(f->ctx, WINDOW);
    deconv_ctx *ctx;

    if (!is_cpu(f->ctx))
        skip();
    assert_int_equal(differences(f->ctx, true), 0);
    store(f->ctx, entry_of(&whole, "blocked", 20, "direct", 10));
    ctx = open_context(f, 0);
    assert_true(differences(ctx, false) > 0); /* or this test shows nothing */
    assert_int_equal(differences(ctx, true), 0);
    window.ctx = ctx;
    expect_choice(&window, "blocked");
    window.whole = &whole.problem;
    expect_choice(&window, "direct");
    deconv_ctx_destroy(ctx);
    /* Whatever was measured of the window itself. */
    window.whole = NULL;
    store(f->ctx, entry_of(&window, "blocked", 1, "direct", 100));
    ctx = open_context(f, 0);
    window.ctx = ctx;
    window.whole = &whole.problem;
    expect_choice(&window, "direct");
    assert_int_equal(differences(ctx, true), 0);
    deconv_ctx_destroy(ctx);
}

/* Measured in some layouts, the convolution adds in the same order in others. */
static void one_order_serves_a_convolution(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(f->ctx, SIZE), measured = task;
    deconv_ctx *ctx;

    if (!is_cpu(f->ctx))
        skip();
    measured.src_block = 4; /* as another device might like it */
    store(f->ctx, entry_of(&measured, "direct", 10, "blocked", 20));
    expect_choice_of_new_context(f, "direct");
    /* The first in the file decides, even where another was measured to be faster. */
    store(f->ctx, entry_of(&task, "blocked", 10, "direct", 20));
    expect_choice_of_new_context(f, "direct");
    /* Where no algorithm of that order can serve, another does. */
    if (device_block(f->ctx) > 1) {
        ctx = open_context(f, 0);
        task.ctx = ctx;
        task.src_block = task.dst_block = device_block(ctx);
        if (convolution_can(&task))
            expect_choice(&task, "blocked");
        deconv_ctx_destroy(ctx);
    }
}

/* ---- Measuring ---- */

static void candidates_are_measured(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(f->ctx, SIZE);
    measure_counts counts = {0};
    tuning_entry e;

    for (int d = CONV_FORWARD; d <= CONV_ADJOINT; d++) {
        char key[TUNING_KEY];

        task.direction = (conv_direction)d;
        OK(f->ctx, conv_measure(&task, 5.0, &e, &counts));
        tuning_key(&task, key);
        assert_string_equal(e.key, key);
        assert_true(e.count >= 1);
        assert_true(tuning_time(&e, "direct") > 0.0);
        assert_true(!is_cpu(f->ctx) || tuning_time(&e, "blocked") > 0.0);
        for (int i = 1; i < e.count; i++)
            assert_true(e.candidate[i - 1].microseconds <= e.candidate[i].microseconds);
    }
    assert_int_equal(counts.over_limit + counts.wrong, 0);
    assert_true(logged(f, "conv1 inverse: direct takes "));
    /* In blocks. */
    task.src_block = task.dst_block = device_block(f->ctx);
    if (convolution_can(&task)) {
        OK(f->ctx, conv_measure(&task, 5.0, &e, &counts));
        assert_true(e.count >= 1);
        assert_int_equal(counts.wrong, 0);
    }
}

static void the_limit_leaves_out(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(f->ctx, SIZE);
    measure_counts counts = {0};
    tuning_entry e;

    OK(f->ctx, conv_measure(&task, 1e-9, &e, &counts));
    assert_int_equal(e.count, 0);
    assert_int_equal(counts.measured + counts.wrong, 0);
    assert_true(counts.over_limit >= 1);
    assert_true(logged(f, "takes longer than the limit"));
}

/* A driver that computes nonsense, for which stands a source that does. */
static void wrong_results_are_found(void **state)
{
    fixture *f = *state;
    conv_task task = task_of(f->ctx, SIZE);
    measure_counts counts = {0};
    tuning_entry e;
    uint8_t *source;
    char *broken;
    size_t size;

    if (!is_cpu(f->ctx))
        skip();
    OK(f->ctx,
       file_read(f->ctx, DECONV_TEST_SOURCE_DIR "/../cl/conv_blocked.cl", 1 << 20, &source, &size));
    broken = malloc(size + 128);
    sprintf(broken, "#define fma(a, b, c) ((a) * (b) * 1.25f + (c))\n%s", (char *)source);
    write_kernel(f, "conv_blocked.cl", broken);
    OK(f->ctx, conv_measure(&task, 5.0, &e, &counts));
    assert_int_equal(counts.wrong, 1);
    assert_true(tuning_time(&e, "blocked") == TUNING_WRONG);
    assert_string_equal(e.candidate[0].name, "direct");
    assert_true(logged(f, "conv1 forward: blocked gives a wrong result"));
    store(f->ctx, e);
    expect_choice_of_new_context(f, "direct");
    free(broken);
    mem_free(f->ctx, source);
}

/* ---- A whole network ---- */

enum { STOP_AFTER = 3 };

static int32_t stop_tuning(uint64_t done, uint64_t total, const char *what, void *user)
{
    (void)total;
    (void)user;
    return strcmp(what, "tuning") == 0 && done == STOP_AFTER;
}

static int entries_in(fixture *f, const char *path)
{
    uint8_t *text;
    size_t size;
    int count = 0;

    OK(f->ctx, file_read(f->ctx, path, 1 << 20, &text, &size));
    for (const char *at = (char *)text; (at = strstr(at, " : ")); at++)
        count++;
    mem_free(f->ctx, text);
    return count;
}

static void a_network_until_it_is_cancelled(void **state)
{
    fixture *f = *state;
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_tune_options tune = DECONV_TUNE_OPTIONS_INIT;
    deconv_tune_summary summary = DECONV_TUNE_SUMMARY_INIT;
    deconv_ctx *ctx;
    deconv_net *net;
    char *path;

    options.cache_dir = f->cache;
    options.progress = stop_tuning;
    assert_int_equal(deconv_ctx_create(&options, &ctx), DECONV_OK);
    path = path_of(ctx);
    OK(ctx, deconv_net_open(ctx, DECONV_TEST_SOURCE_DIR "/../examples/figures/zfnet-small.onnx",
                            NULL, &net));
    tune.limit_seconds = 0.05;
    expect_message(ctx, deconv_net_tune(net, &tune, &summary), DECONV_ERROR_CANCELLED,
                   "cancelled: tuning, 3 of 8");
    assert_int_equal(summary.convolutions, STOP_AFTER);
    assert_true(summary.measured >= STOP_AFTER);
    assert_string_equal(summary.path, path);
    assert_int_equal(entries_in(f, path), STOP_AFTER);
    /* What cannot be kept is not measured. */
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_message(ctx, deconv_net_tune(net, &tune, &summary), DECONV_ERROR_IO, "is a folder");
    deconv_net_destroy(net);
    mem_free(ctx, path);
    deconv_ctx_destroy(ctx);
}

enum {
    PICTURE = 3 * 96 * 96,
    MAP_CHANNELS = 64,
    MAP_SIDE = 11,
    MAP = MAP_CHANNELS * MAP_SIDE * MAP_SIDE
};

/* One projection of a unit, from its windows and then from a signal over the whole layer. */
static void project_twice(deconv_ctx *ctx, float *windows, float *whole)
{
    static const int64_t picture_shape[] = {1, 3, 96, 96};
    static const int64_t map_shape[] = {1, MAP_CHANNELS, MAP_SIDE, MAP_SIDE};
    static float picture[PICTURE], map[MAP];
    const deconv_seed seed = {0, 5, 4, 6};
    deconv_project_options options = DECONV_PROJECT_OPTIONS_INIT;
    deconv_tensor *x, *r, *signal;
    deconv_trace *trace;
    deconv_net *net;
    uint32_t layer;

    for (int i = 0; i < PICTURE; i++)
        picture[i] = 0.01f * (float)(i * 7919 % 401) - 2.0f;
    map[(seed.unit * MAP_SIDE + seed.y) * MAP_SIDE + seed.x] = 1.0f;
    options.rule = DECONV_RULE_GRADIENT;
    options.value = DECONV_SEED_ONE;
    OK(ctx, deconv_net_open(ctx, DECONV_TEST_SOURCE_DIR "/../examples/figures/zfnet-small.onnx",
                            NULL, &net));
    OK(ctx, deconv_net_find(net, "conv3", &layer));
    OK(ctx, deconv_trace_create(net, 1, NULL, &trace));
    OK(ctx, deconv_tensor_create(ctx, picture_shape, 4, &x));
    OK(ctx, deconv_tensor_create(ctx, picture_shape, 4, &r));
    OK(ctx, deconv_tensor_create(ctx, map_shape, 4, &signal));
    OK(ctx, deconv_tensor_write(x, picture, PICTURE));
    OK(ctx, deconv_tensor_write(signal, map, MAP));
    OK(ctx, deconv_trace_run(trace, (const deconv_tensor *const *)&x, 1));
    OK(ctx, deconv_project(trace, layer, &seed, 1, &options, r, NULL));
    OK(ctx, deconv_tensor_read(r, windows, PICTURE));
    OK(ctx, deconv_project_signal(trace, layer, signal, &options, r));
    OK(ctx, deconv_tensor_read(r, whole, PICTURE));
    deconv_tensor_destroy(x);
    deconv_tensor_destroy(r);
    deconv_tensor_destroy(signal);
    deconv_trace_destroy(trace);
    deconv_net_destroy(net);
}

/* The first layer's way back by another algorithm than without tuning. */
static tuning_entry slower_first(deconv_ctx *ctx)
{
    deconv_plan_info info = DECONV_PLAN_INFO_INIT;
    deconv_plan_candidate c = DECONV_PLAN_CANDIDATE_INIT;
    conv_task task = {.ctx = ctx,
                      .problem = {.batch = 1,
                                  .in_channels = 3,
                                  .out_channels = 24,
                                  .groups = 1,
                                  .in_size = {96, 96},
                                  .out_size = {47, 47},
                                  .kernel = {7, 7},
                                  .stride = {2, 2},
                                  .dilation = {1, 1},
                                  .pad = {2, 2}},
                      .direction = CONV_ADJOINT};
    tuning_entry e = {.count = 0};
    deconv_net *net;
    deconv_plan *plan;

    OK(ctx, deconv_net_open(ctx, DECONV_TEST_SOURCE_DIR "/../examples/figures/zfnet-small.onnx",
                            NULL, &net));
    OK(ctx, deconv_plan_create(net, 1, &plan));
    OK(ctx, deconv_plan_get(plan, 1, &info));
    assert_int_equal(info.direction, DECONV_INVERSE);
    task.src_block = (int)info.from_block;
    task.dst_block = (int)info.to_block;
    for (uint32_t i = 0; i < info.candidate_count; i++) {
        OK(ctx, deconv_plan_candidate_get(plan, 1, i, &c));
        if (c.reason && !c.refused)
            e = entry_of(&task, c.name, 1, info.algorithm, 1000);
    }
    deconv_plan_destroy(plan);
    deconv_net_destroy(net);
    return e;
}

static void projections_stay_exact(void **state)
{
    static float untuned[PICTURE], windows[PICTURE], whole[PICTURE];
    fixture *f = *state;
    tuning_entry e = slower_first(f->ctx);
    deconv_ctx *ctx;

    if (!is_cpu(f->ctx))
        skip();
    assert_int_equal(e.count, 2);
    project_twice(f->ctx, untuned, whole);
    assert_memory_equal(untuned, whole, sizeof whole);
    store(f->ctx, e);
    ctx = open_context(f, 0);
    project_twice(ctx, windows, whole);
    assert_memory_equal(windows, whole, sizeof whole);
    assert_true(memcmp(windows, untuned, sizeof whole) != 0); /* another algorithm did it */
    deconv_ctx_destroy(ctx);
}

/* ---- The warning ---- */

static void expect_warning(fixture *f, deconv_ctx *ctx, conv_task *task, bool expected)
{
    task->ctx = ctx;
    forget_log(f);
    expect_choice(task, "direct");
    assert_int_equal(logged(f, "conv1 forward: a large convolution runs by the plain algorithm"),
                     expected);
}

static void large_layers_by_the_plain_algorithm(void **state)
{
    fixture *f = *state;
    conv_task small = task_of(f->ctx, SIZE), large = task_of(f->ctx, 700);
    deconv_ctx *ctx;

    if (!is_cpu(f->ctx))
        skip();
    store(f->ctx, entry_of(&small, "blocked", TUNING_WRONG, NULL, 0));
    store(f->ctx, entry_of(&large, "blocked", TUNING_WRONG, NULL, 0));
    ctx = open_context(f, 0);
    expect_warning(f, ctx, &large, true);
    assert_true(logged(f, "blocked: its result was wrong"));
    expect_warning(f, ctx, &small, false);
    setenv("DECONV_CONV_ALGORITHM", "direct", 1); /* as you wish */
    expect_warning(f, ctx, &large, false);
    unsetenv("DECONV_CONV_ALGORITHM");
    deconv_ctx_destroy(ctx);
    large.ctx = f->ctx;
    store(f->ctx, entry_of(&large, "blocked", 20, "direct", 10)); /* it is the fastest */
    ctx = open_context(f, 0);
    expect_warning(f, ctx, &large, false);
    deconv_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(entries_are_kept),
        TEST(damaged_files_are_ignored),
        TEST(a_folder_in_the_way),
        TEST(processes_tune_at_once),
        TEST(the_fastest_serves),
        TEST(windows_follow_the_whole),
        TEST(one_order_serves_a_convolution),
        TEST(candidates_are_measured),
        TEST(the_limit_leaves_out),
        TEST(wrong_results_are_found),
        TEST(a_network_until_it_is_cancelled),
        TEST(projections_stay_exact),
        TEST(large_layers_by_the_plain_algorithm),
    };

    if (argc == 3)
        return write_entries(argv[2], argv[1][0] - 'a');
    return cmocka_run_group_tests_name("tuning", tests, NULL, NULL);
}
