/* Programs: one per source file and options, built at first use and kept by the device until it is
 * closed. program_cache.c keeps them from one process to the next.
 *
 *   Source   source.c finds it and puts in what it includes.
 *
 *   Options  "-cl-std=CL1.2" and the caller's; nothing that loosens floating-point arithmetic.
 *
 *   Key      Everything the binary depends on: our version, device, vendor, driver, platform,
 *            options and the source itself, as one text.
 *
 *   Order    A binary from the cache is tried first. Whatever is wrong with it (missing, broken,
 *            made for something else, refused by the driver), the program is built from source and
 *            the binary is stored again; none of that is a failure.
 *
 *   PoCL     It has a cache of its own, of what was launched. Asked for a binary, it compiles every
 *            kernel of the program for groups of any size (pocl_driver_build_poclbinary of 3.1 to
 *            7.1), and the launches that follow compile for their own size all the same: more than
 *            half of a first run. So its binaries are taken but not asked for, unless
 *            DECONV_KEEP_PROGRAMS is set.
 *
 *   Threads  program_lock is held from the look-up to the end of the build, so two threads that
 *            want the same program build it once, and two that want different ones build one by
 *            one.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "device.h"

#define STANDARD      "-cl-std=CL1.2"
#define LOG_EXCERPT   4 /* lines of a build log that go into the message */
#define EXCERPT_BYTES 480

typedef struct program {
    struct program *next;
    char *source, *options;
    cl_program object;
} program;

/* What one build works on. */
typedef struct build {
    const char *source, *options; /* as the caller has them */
    char *flags;                  /* what the compiler gets */
    char *text;
    size_t text_size;
    char *key;
    size_t key_size;
} build;

/* ---- Key ---- */

static deconv_status make_key(device *d, build *b)
{
    const deconv_device_info *i = &d->info;
    char *head = mem_printf(d->ctx, "libdeconv %s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n\n",
                            DECONV_VERSION, i->name, i->vendor, i->driver, i->version, i->platform,
                            d->platform_version, b->source, b->flags);
    size_t head_size;
    deconv_status status = DECONV_OK;

    if (!head)
        return DECONV_ERROR_NO_MEMORY;
    head_size = strlen(head);
    TRY_ALLOC(b->key, d->ctx, head_size + b->text_size);
    memcpy(b->key, head, head_size);
    memcpy(b->key + head_size, b->text, b->text_size);
    b->key_size = head_size + b->text_size;
done:
    mem_free(d->ctx, head);
    return status;
}

/* ---- From the cache ---- */

/* NULL when there is no binary, or none that the driver takes. */
static cl_program from_cache(device *d, const build *b)
{
    uint8_t *binary = NULL;
    size_t size = 0;
    cl_program object = NULL;
    cl_int code;

    if (!cache_load(d, b->key, b->key_size, &binary, &size))
        return NULL;
    object = d->api.CreateProgramWithBinary(d->context, 1, &d->id, &size,
                                            (const unsigned char *[]){binary}, NULL, &code);
    if (object)
        code = d->api.BuildProgram(object, 1, &d->id, b->flags, NULL, NULL);
    if (code != CL_SUCCESS) {
        log_line(d->ctx, DECONV_LOG_INFO, "program cache: the driver refuses the binary of %s: %s",
                 b->source, cl_code_name(code));
        if (object)
            d->api.ReleaseProgram(object);
        object = NULL;
    }
    mem_free(d->ctx, binary);
    return object;
}

/* What cannot be stored is built again next time: no failure. */
static void to_cache(device *d, const build *b, cl_program object)
{
    uint8_t *binary = NULL;
    size_t size = 0;

    if (!d->cache_dir || !d->keep_programs)
        return;
    if (d->api.GetProgramInfo(object, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) !=
            CL_SUCCESS ||
        size == 0)
        return;
    binary = mem_try(d->ctx, size);
    if (binary && d->api.GetProgramInfo(object, CL_PROGRAM_BINARIES, sizeof binary, &binary,
                                        NULL) == CL_SUCCESS)
        cache_store(d, b->key, b->key_size, binary, size);
    mem_free(d->ctx, binary);
}

/* ---- From source ---- */

/* The first lines of a compiler's output, on one line. */
static void excerpt(const char *text, char *out, size_t out_size)
{
    size_t length = 0;

    out[0] = '\0';
    for (int lines = 0; *text && lines < LOG_EXCERPT;) {
        size_t line = strcspn(text, "\n");

        if (strspn(text, " \t\r") < line && length < out_size) {
            int n = snprintf(out + length, out_size - length, "%s%.*s", length > 0 ? " | " : "",
                             (int)(line < EXCERPT_BYTES ? line : EXCERPT_BYTES), text);

            length += n > 0 ? (size_t)n : 0;
            lines++;
        }
        text += line;
        text += *text == '\n';
    }
}

static void log_lines(deconv_ctx *ctx, const char *source, char *text)
{
    while (*text) {
        size_t line = strcspn(text, "\n");
        bool last = text[line] == '\0';

        text[line] = '\0';
        log_line(ctx, DECONV_LOG_INFO, "%s: %s", source, text);
        text += line + !last;
    }
}

static deconv_status build_failed(device *d, const build *b, cl_program object, cl_int code)
{
    char lines[EXCERPT_BYTES] = "";
    char *text = NULL;
    size_t size = 0;

    d->api.GetProgramBuildInfo(object, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    text = size > 0 ? mem_try(d->ctx, size + 1) : NULL;
    if (text && d->api.GetProgramBuildInfo(object, d->id, CL_PROGRAM_BUILD_LOG, size, text, NULL) ==
                    CL_SUCCESS) {
        excerpt(text, lines, sizeof lines);
        log_lines(d->ctx, b->source, text);
    }
    mem_free(d->ctx, text);
    return cl_failed(d->ctx, code, "clBuildProgram", "%s, options \"%s\": %s", b->source,
                     b->options, lines[0] ? lines : "the compiler says nothing");
}

static deconv_status from_source(device *d, const build *b, cl_program *out)
{
    cl_int code;

    *out = d->api.CreateProgramWithSource(d->context, 1, (const char *[]){b->text}, &b->text_size,
                                          &code);
    if (!*out)
        return cl_failed(d->ctx, code, "clCreateProgramWithSource", "%s, %zu bytes", b->source,
                         b->text_size);
    code = d->api.BuildProgram(*out, 1, &d->id, b->flags, NULL, NULL);
    if (code == CL_SUCCESS)
        return DECONV_OK;

    deconv_status status = build_failed(d, b, *out, code);

    d->api.ReleaseProgram(*out);
    *out = NULL;
    return status;
}

/* ---- Either ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static deconv_status build_program(device *d, const char *source, const char *options,
                                   cl_program *out)
{
    build b = {.source = source, .options = options};
    double begin = seconds();
    bool cached;
    deconv_status status;

    TRY(source_read(d, source, &b.text, &b.text_size));
    b.flags = mem_printf(d->ctx, "%s%s%s", STANDARD, options[0] ? " " : "", options);
    if (!b.flags) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(make_key(d, &b));
    *out = from_cache(d, &b);
    cached = *out != NULL;
    if (!cached) {
        TRY(from_source(d, &b, out));
        to_cache(d, &b, *out);
    }
    log_line(d->ctx, DECONV_LOG_DEBUG, "program %s \"%s\": %s in %.0f ms", source, options,
             cached ? "from the cache" : "built", 1e3 * (seconds() - begin));
done:
    mem_free(d->ctx, b.key);
    mem_free(d->ctx, b.flags);
    mem_free(d->ctx, b.text);
    return status;
}

static void program_free(device *d, program *p)
{
    if (!p)
        return;
    if (p->object)
        d->api.ReleaseProgram(p->object);
    mem_free(d->ctx, p->source);
    mem_free(d->ctx, p->options);
    mem_free(d->ctx, p);
}

deconv_status program_get(device *d, const char *source, const char *options, cl_program *out)
{
    program *p, *fresh = NULL;
    deconv_status status = DECONV_OK;

    pthread_mutex_lock(&d->program_lock);
    for (p = d->programs; p; p = p->next) {
        if (strcmp(p->source, source) == 0 && strcmp(p->options, options) == 0) {
            *out = p->object;
            goto done;
        }
    }
    TRY_ALLOC(fresh, d->ctx, 1);
    fresh->source = mem_strdup(d->ctx, source);
    fresh->options = mem_strdup(d->ctx, options);
    if (!fresh->source || !fresh->options) {
        status = DECONV_ERROR_NO_MEMORY;
        goto done;
    }
    TRY(build_program(d, source, options, &fresh->object));
    *out = fresh->object;
    fresh->next = d->programs;
    d->programs = fresh;
    fresh = NULL;
done:
    pthread_mutex_unlock(&d->program_lock);
    program_free(d, fresh);
    return status;
}

void programs_free(device *d)
{
    while (d->programs) {
        program *p = d->programs;

        d->programs = p->next;
        program_free(d, p);
    }
}
