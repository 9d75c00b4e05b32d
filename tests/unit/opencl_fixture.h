/* What the tests of opencl/ share: a folder with kernels/, holding a kernel source, and cache/, and
 * a context that uses both. For one program each, so its functions are in the header. */
#ifndef DECONV_TESTS_OPENCL_FIXTURE_H
#define DECONV_TESTS_OPENCL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "opencl/opencl.h"

#define COUNT     100
#define PATH_SIZE 512
#define LOG_SIZE  65536

/* Whatever goes wrong is a fault of the library here, so say what it was. */
#define OK(ctx, call)                                                                              \
    do {                                                                                           \
        if ((call) != DECONV_OK)                                                                   \
            fail_msg("%s: %s", #call, deconv_ctx_message(ctx));                                    \
    } while (0)

static const char probe_source[] =
    "#ifndef STEP\n"
    "#define STEP 1\n"
    "#endif\n"
    "typedef struct { int from; float scale; } settings;\n"
    "__kernel void ramp(__global float *out, int count, float offset, settings s)\n"
    "{\n"
    "    int i = get_global_id(0);\n"
    "    if (i < count)\n"
    "        out[i] = STEP * s.scale * (i + s.from) + offset;\n"
    "}\n"
    "__kernel void write_at(__global float *out, int at)\n"
    "{\n"
    "    if (get_global_id(0) == 0)\n"
    "        out[at] = 7.0f;\n"
    "}\n"
    "__kernel void is_null(__global float *out, __global const float *other)\n"
    "{\n"
    "    out[0] = other ? 0.0f : 1.0f;\n"
    "}\n"
    "__kernel void group_sums(__global float *out, int count, __local float *part)\n"
    "{\n"
    "    int i = get_global_id(0), l = get_local_id(0);\n"
    "    part[l] = i < count ? 1.0f : 0.0f;\n"
    "    barrier(CLK_LOCAL_MEM_FENCE);\n"
    "    if (l == 0) {\n"
    "        float sum = 0.0f;\n"
    "        for (int k = 0; k < (int)get_local_size(0); k++)\n"
    "            sum += part[k];\n"
    "        out[get_group_id(0)] = sum;\n"
    "    }\n"
    "}\n"
    "__kernel void places(__global int *out, int w, int h, int d)\n"
    "{\n"
    "    int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);\n"
    "    if (x < w && y < h && z < d)\n"
    "        out[(z * h + y) * w + x] = 10000 * z + 100 * y + x;\n"
    "}\n";

typedef struct fixture {
    deconv_ctx *ctx;
    char folder[64];
    char kernels[PATH_SIZE], cache[PATH_SIZE];
    char log[LOG_SIZE];
    size_t log_length;
    pthread_mutex_t log_lock;
} fixture;

static inline void keep_line(deconv_log_level level, const char *line, void *user)
{
    fixture *f = user;

    (void)level;
    pthread_mutex_lock(&f->log_lock);
    if (f->log_length + strlen(line) + 2 < LOG_SIZE)
        f->log_length += (size_t)sprintf(f->log + f->log_length, "%s\n", line);
    pthread_mutex_unlock(&f->log_lock);
}

static inline void forget_log(fixture *f)
{
    f->log_length = 0;
    f->log[0] = '\0';
}

static inline bool logged(const fixture *f, const char *part)
{
    return strstr(f->log, part) != NULL;
}

static inline deconv_ctx *open_context(fixture *f, uint32_t flags)
{
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    deconv_ctx *ctx;
    char message[1024] = "";

    options.cache_dir = f->cache;
    options.flags = flags;
    options.level = DECONV_LOG_DEBUG;
    options.log = keep_line;
    options.log_user = f;
    options.error = message;
    options.error_size = sizeof message;
    if (deconv_ctx_create(&options, &ctx) != DECONV_OK)
        fail_msg("%s", message);
    return ctx;
}

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static inline void write_kernel(const fixture *f, const char *name, const char *text)
{
    char path[2 * PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", f->kernels, name);
    write_text(path, text);
}

static inline int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    pthread_mutex_init(&f->log_lock, NULL);
    strcpy(f->folder, "/tmp/deconv-opencl-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->kernels, sizeof f->kernels, "%s/kernels", f->folder);
    snprintf(f->cache, sizeof f->cache, "%s/a/cache", f->folder);
    assert_int_equal(mkdir(f->kernels, 0700), 0);
    write_kernel(f, "probe.cl", probe_source);
    setenv("DECONV_KERNEL_DIR", f->kernels, 1);
    setenv("DECONV_KEEP_PROGRAMS", "1", 1);
    f->ctx = open_context(f, 0);
    *state = f;
    return 0;
}

static inline void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);

    if (!dir)
        return;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[2 * PATH_SIZE];

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        assert_true(strlen(folder) + strlen(e->d_name) + 2 < sizeof path);
        strcat(strcat(strcpy(path, folder), "/"), e->d_name);
        if (remove(path) != 0)
            remove_folder(path);
    }
    closedir(dir);
    rmdir(folder);
}

static inline int tear_down(void **state)
{
    fixture *f = *state;

    deconv_ctx_destroy(f->ctx);
    remove_folder(f->folder);
    pthread_mutex_destroy(&f->log_lock);
    unsetenv("DECONV_KERNEL_DIR");
    free(f);
    return 0;
}

/* Oclgrind 21.10 neither builds nor runs in two threads at once, whatever context they belong to.
 */
static inline bool is_oclgrind(deconv_ctx *ctx)
{
    deconv_device_info info = DECONV_DEVICE_INFO_INIT;

    OK(ctx, deconv_ctx_device(ctx, &info));
    return strcmp(info.platform, "Oclgrind") == 0;
}

static inline kernel *probe(deconv_ctx *ctx, const char *options, const char *name)
{
    kernel *k;

    OK(ctx, kernel_create(ctx, "probe.cl", options, name, &k));
    return k;
}

typedef struct settings {
    int32_t from;
    float scale;
} settings;

static inline deconv_status run_ramp(kernel *k, buffer *out, int64_t count, float offset)
{
    const settings s = {3, 2.0f};

    kernel_begin(k);
    arg_buffer(k, out);
    arg_int(k, count);
    arg_float(k, offset);
    arg_struct(k, &s, sizeof s);
    return kernel_launch(k, COUNT, 1, 1);
}

/* The ramp kernel on a context of its own choosing gives what its source says for `step`. */
static inline void expect_ramp(deconv_ctx *ctx, const char *options, float step)
{
    float values[COUNT];
    kernel *k = probe(ctx, options, "ramp");
    buffer *out;

    OK(ctx, buffer_create(ctx, sizeof values, "ramp", &out));
    OK(ctx, run_ramp(k, out, COUNT, 0.5f));
    OK(ctx, buffer_read(ctx, out, 0, sizeof values, values));
    for (int i = 0; i < COUNT; i++)
        assert_true(values[i] == step * 2.0f * (float)(i + 3) + 0.5f);
    buffer_free(out);
    kernel_free(k);
}

static inline void expect_message(deconv_ctx *ctx, deconv_status status, deconv_status expected,
                                  const char *part)
{
    assert_int_equal(status, expected);
    if (!strstr(deconv_ctx_message(ctx), part))
        fail_msg("\"%s\" is not in \"%s\"", part, deconv_ctx_message(ctx));
}

#endif
