/* The file of measured convolutions; tuning.h says how it is used.
 *
 *   Place    tuning-NAME-HASH-v1.txt in the context's cache folder (program_cache.c). NAME is the
 *            device's, as far as file names go; HASH tells devices apart that it does not.
 *
 *   Format   Lines of text. First the header: what it is, then the version of this library, the
 *            device, its vendor, driver, platform and compute units. Then a line a task,
 *            "KEY : ALGORITHM MICROSECONDS, ...", or "wrong" in place of a time. Last "end" and the
 *            number of tasks, by which a file that was cut off shows.
 *
 *   Failure  A file with another header, or with a line that is none of these, is ignored as a
 *            whole, with one warning. The next one that is stored replaces it.
 *
 *   Others   Whoever stores takes the lock of "PATH.lock", reads the file again, adds its own and
 *            renames a new file over it. Where the file system has no locks the last one wins.
 */
#include "tuning.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../file.h"

#define FILE_LIMIT ((size_t)8 << 20)
#define NAME_CHARS 40
#define LINE_ROOM  (TUNING_KEY + TUNING_CANDIDATES * (TUNING_NAME + 32) + 8)
#define FIRST_LINE "libdeconv tuning 1\n"
#define LAYOUT     " layout "

struct tuning {
    deconv_ctx *ctx;
    tuning_entry *entry;
    int count;
};

/* ---- Keys ---- */

void tuning_key(const conv_task *task, char key[TUNING_KEY])
{
    const conv_problem *p = &task->problem;

#define PAIR "%" PRId64 "x%" PRId64
    snprintf(key, TUNING_KEY,
             "%s batch %" PRId64 " channels %" PRId64 " to %" PRId64 " groups %" PRId64
             " size " PAIR " to " PAIR " kernel " PAIR " stride " PAIR " dilation " PAIR
             " pad " PAIR LAYOUT "%d to %d",
             task->direction == CONV_FORWARD ? "forward" : "adjoint", p->batch, p->in_channels,
             p->out_channels, p->groups, p->in_size[0], p->in_size[1], p->out_size[0],
             p->out_size[1], p->kernel[0], p->kernel[1], p->stride[0], p->stride[1], p->dilation[0],
             p->dilation[1], p->pad[0], p->pad[1], task->src_block, task->dst_block);
#undef PAIR
}

static const tuning_entry *find_key(const tuning *t, const char *key, size_t length)
{
    for (int i = 0; t && i < t->count; i++)
        if (strncmp(t->entry[i].key, key, length) == 0)
            return &t->entry[i];
    return NULL;
}

const tuning_entry *tuning_find(const tuning *t, const conv_task *task)
{
    char key[TUNING_KEY];

    if (!t)
        return NULL;
    tuning_key(task, key);
    return find_key(t, key, TUNING_KEY);
}

const tuning_entry *tuning_find_any(const tuning *t, const conv_task *task)
{
    char key[TUNING_KEY];

    if (!t)
        return NULL;
    tuning_key(task, key);
    return find_key(t, key, (size_t)(strstr(key, LAYOUT) - key) + strlen(LAYOUT));
}

double tuning_time(const tuning_entry *entry, const char *name)
{
    for (int i = 0; entry && i < entry->count; i++)
        if (strcmp(entry->candidate[i].name, name) == 0)
            return entry->candidate[i].microseconds;
    return 0.0;
}

static int by_time(const void *a, const void *b)
{
    const tuning_candidate *x = a, *y = b;
    bool x_wrong = x->microseconds < 0.0, y_wrong = y->microseconds < 0.0;

    if (x_wrong != y_wrong)
        return x_wrong ? 1 : -1;
    if (!x_wrong && x->microseconds != y->microseconds)
        return x->microseconds < y->microseconds ? -1 : 1;
    return strcmp(x->name, y->name);
}

void tuning_rank(tuning_entry *entry)
{
    qsort(entry->candidate, (size_t)entry->count, sizeof *entry->candidate, by_time);
}

/* ---- Place and header ---- */

/* Device strings come from drivers: on one line of the file they must stay. */
static const char *one_line(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return text;
}

static void describe(deconv_ctx *ctx, deconv_device_info *info)
{
    device_describe(ctx_device(ctx), info);
    one_line(info->name);
    one_line(info->vendor);
    one_line(info->driver);
    one_line(info->platform);
    one_line(info->version);
}

/* NULL without memory, and no message. */
static char *header_of(deconv_ctx *ctx)
{
    deconv_device_info i;
    char text[2048], *copy;
    int length;

    describe(ctx, &i);
    length = snprintf(text, sizeof text,
                      FIRST_LINE "library %s\ndevice %s\nvendor %s\ndriver %s\nplatform %s, %s\n"
                                 "units %u\n",
                      DECONV_VERSION, i.name, i.vendor, i.driver, i.platform, i.version,
                      i.compute_units);
    copy = mem_try(ctx, (size_t)length + 1);
    if (copy)
        memcpy(copy, text, (size_t)length + 1);
    return copy;
}

/* FNV-1a. What an update of the driver changes has no part in it: the file keeps its place. */
static uint32_t hash_of(const deconv_device_info *i)
{
    const char *const parts[] = {i->name, i->vendor, i->platform};
    uint32_t hash = 2166136261u ^ i->compute_units;

    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
        for (const char *c = parts[p]; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 16777619u;
    return hash;
}

/* NULL where there is no cache folder, or no memory. */
static char *path_of(deconv_ctx *ctx)
{
    const char *folder = device_cache_folder(ctx);
    char name[NAME_CHARS + 1], *path;
    deconv_device_info i;
    size_t used = 0, room;

    if (!folder)
        return NULL;
    describe(ctx, &i);
    for (const char *c = i.name; *c && used < NAME_CHARS; c++) {
        bool plain =
            (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');

        if (plain || (used && name[used - 1] != '-'))
            name[used++] = plain ? *c : '-';
    }
    name[used] = '\0';
    room = strlen(folder) + NAME_CHARS + 32;
    path = mem_try(ctx, room);
    if (path)
        snprintf(path, room, "%s/tuning-%s-%08x-v1.txt", folder, name, hash_of(&i));
    return path;
}

deconv_status tuning_path(deconv_ctx *ctx, char **path)
{
    *path = path_of(ctx);
    if (*path)
        return DECONV_OK;
    if (device_cache_folder(ctx))
        return error_set(ctx, DECONV_ERROR_NO_MEMORY, "no memory: the path of the tuning file");
    return error_set(ctx, DECONV_ERROR_INVALID,
                     "what is measured cannot be kept: the context has no cache folder (cache_dir, "
                     "$XDG_CACHE_HOME or $HOME)");
}

/* ---- Reading ---- */

static bool read_candidate(char *text, tuning_candidate *c)
{
    char *space = strchr(text, ' '), *end;
    size_t length = space ? (size_t)(space - text) : 0;

    if (length == 0 || length >= TUNING_NAME)
        return false;
    memcpy(c->name, text, length);
    c->name[length] = '\0';
    if (strcmp(space + 1, "wrong") == 0) {
        c->microseconds = TUNING_WRONG;
        return true;
    }
    c->microseconds = strtod(space + 1, &end);
    return end != space + 1 && !*end && c->microseconds > 0.0 && c->microseconds < 1e12;
}

/* Cuts `line` up. False when it is no entry. */
static bool read_entry(char *line, tuning_entry *e)
{
    char *split = strstr(line, " : "), *next;

    *e = (tuning_entry){.count = 0};
    if (!split || split - line >= TUNING_KEY || !strstr(line, LAYOUT))
        return false;
    memcpy(e->key, line, (size_t)(split - line));
    for (char *part = split + 3; part; part = next) {
        next = strstr(part, ", ");
        if (next) {
            *next = '\0';
            next += 2;
        }
        if (e->count == TUNING_CANDIDATES || !read_candidate(part, &e->candidate[e->count]))
            return false;
        e->count++;
    }
    tuning_rank(e); /* the file may have been edited */
    return true;
}

static const char no_memory[] = "there is no memory for it";

/* Why the file's text gives no table; NULL when `t` has it. */
static const char *read_text(tuning *t, char *text, const char *header)
{
    size_t lines = 0;

    if (strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0)
        return "it is no tuning file of this format";
    if (strncmp(text, header, strlen(header)) != 0)
        return "it was made on another device, or with another version of the driver or of this "
               "library";
    text += strlen(header);
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    t->entry = mem_try(t->ctx, (lines + 1) * sizeof *t->entry);
    if (!t->entry)
        return no_memory;
    for (;;) {
        char *end = strchr(text, '\n');
        int count;

        if (!end)
            return "it is cut off";
        *end = '\0';
        if (sscanf(text, "end %d", &count) == 1)
            return count == t->count && !end[1] ? NULL : "its last line does not fit the others";
        if (!read_entry(text, &t->entry[t->count]))
            return "it is broken";
        t->count++;
        text = end + 1;
    }
}

/* The table in the file at `path`. Otherwise DECONV_ERROR_NOT_FOUND, DECONV_ERROR_NO_MEMORY, or
 * what is wrong with the file; `why` says it, and no message is set. */
static deconv_status load(deconv_ctx *ctx, const char *path, const char *header, char *why,
                          size_t why_size, tuning **out)
{
    uint8_t *text = NULL;
    tuning *t = NULL;
    const char *wrong;
    size_t size;
    deconv_status status;

    *out = NULL;
    TRY(file_try_read(ctx, path, FILE_LIMIT, &text, &size, why, why_size));
    t = mem_try(ctx, sizeof *t);
    wrong = no_memory;
    if (t) {
        t->ctx = ctx;
        wrong = strlen((char *)text) == size ? read_text(t, (char *)text, header) : "it is broken";
    }
    if (wrong) {
        snprintf(why, why_size, "%s", wrong);
        status = wrong == no_memory ? DECONV_ERROR_NO_MEMORY : DECONV_ERROR_FORMAT;
        goto done;
    }
    *out = t;
    t = NULL;
done:
    tuning_free(t);
    mem_free(ctx, text);
    return status;
}

tuning *tuning_read(deconv_ctx *ctx)
{
    const char *wish = getenv("DECONV_TUNING");
    char *path = NULL, *header = NULL, why[256] = "";
    deconv_status status = DECONV_ERROR_NOT_FOUND;
    tuning *t = NULL;

    if (wish && strcmp(wish, "off") == 0)
        return NULL;
    path = path_of(ctx);
    header = path ? header_of(ctx) : NULL;
    if (header)
        status = load(ctx, path, header, why, sizeof why, &t);
    if (t)
        log_line(ctx, DECONV_LOG_INFO, "tuning file %s: %d convolutions", path, t->count);
    else if (status != DECONV_ERROR_NOT_FOUND)
        log_line(ctx, DECONV_LOG_WARNING,
                 "the tuning file %s is ignored: %s; run deconv tune again or remove it", path,
                 why);
    mem_free(ctx, header);
    mem_free(ctx, path);
    return t;
}

void tuning_free(tuning *t)
{
    if (!t)
        return;
    mem_free(t->ctx, t->entry);
    mem_free(t->ctx, t);
}

/* ---- Writing ---- */

static size_t write_entry(const tuning_entry *e, char *text)
{
    size_t used = (size_t)sprintf(text, "%s :", e->key);

    for (int i = 0; i < e->count; i++) {
        const tuning_candidate *c = &e->candidate[i];

        used += (size_t)sprintf(text + used, "%s %s ", i ? "," : "", c->name);
        if (c->microseconds < 0.0)
            used += (size_t)sprintf(text + used, "wrong");
        else
            used += (size_t)sprintf(text + used, "%.1f", c->microseconds);
    }
    return used + (size_t)sprintf(text + used, "\n");
}

/* `old` with the new entries over and behind its own. */
static deconv_status merge(deconv_ctx *ctx, const tuning *old, const tuning_entry *entries,
                           int count, tuning *both)
{
    size_t room = (size_t)count + (size_t)(old ? old->count : 0) + 1;
    deconv_status status = DECONV_OK;

    both->ctx = ctx;
    TRY_ALLOC(both->entry, ctx, room);
    for (int i = 0; old && i < old->count; i++)
        both->entry[both->count++] = old->entry[i];
    for (int i = 0; i < count; i++) {
        const tuning_entry *same = find_key(both, entries[i].key, TUNING_KEY);
        int at = same ? (int)(same - both->entry) : both->count++;

        both->entry[at] = entries[i];
        tuning_rank(&both->entry[at]);
    }
done:
    return status;
}

static deconv_status write_file(deconv_ctx *ctx, const tuning *t, const char *header,
                                const char *path)
{
    size_t used = strlen(header);
    deconv_status status = DECONV_OK;
    char *text = NULL;

    TRY_ALLOC(text, ctx, used + ((size_t)t->count + 1) * LINE_ROOM);
    memcpy(text, header, used);
    for (int i = 0; i < t->count; i++)
        used += write_entry(&t->entry[i], text + used);
    used += (size_t)sprintf(text + used, "end %d\n", t->count);
    TRY(file_write(ctx, path, text, used));
done:
    mem_free(ctx, text);
    return status;
}

deconv_status tuning_store(deconv_ctx *ctx, const tuning_entry *entries, int count)
{
    char *path = NULL, *lock_path = NULL, *header = NULL, why[256] = "";
    deconv_status status = DECONV_OK;
    tuning *old = NULL, both = {0};
    int lock = -1;

    TRY(tuning_path(ctx, &path));
    lock_path = mem_printf(ctx, "%s.lock", path);
    header = lock_path ? header_of(ctx) : NULL;
    if (!header)
        FAIL(ctx, DECONV_ERROR_NO_MEMORY, "no memory: the tuning file");
    if (!file_make_folder(device_cache_folder(ctx)))
        FAIL(ctx, DECONV_ERROR_IO, "%s: the folder cannot be made", device_cache_folder(ctx));
    lock = file_lock(lock_path);
    if (load(ctx, path, header, why, sizeof why, &old) == DECONV_ERROR_NO_MEMORY)
        FAIL(ctx, DECONV_ERROR_NO_MEMORY, "no memory: %s: %s", path, why);
    TRY(merge(ctx, old, entries, count, &both));
    TRY(write_file(ctx, &both, header, path));
done:
    file_unlock(lock);
    mem_free(ctx, both.entry);
    tuning_free(old);
    mem_free(ctx, header);
    mem_free(ctx, lock_path);
    mem_free(ctx, path);
    return status;
}
