/* figures: writes the labelled pictures that the bundled network is trained on, as PNG files or
 * as one flat file. This file is the command line and the output; drawing is figures_draw.h. */
#define _POSIX_C_SOURCE 200809L /* mkdir */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

#include "figures_draw.h"

enum {
    PATH_SIZE = 4096,
    RGB_SIZE = FIGURES_SIZE * FIGURES_SIZE * 3,
    MASK_SIZE = FIGURES_SIZE * FIGURES_SIZE
};

typedef struct {
    int count;
    uint64_t seed;
    const char *folder;
    const char *raw;
} options;

typedef struct {
    uint8_t rgb[RGB_SIZE];
    uint8_t mask[MASK_SIZE];
    int label;
} figure;

static const char help_text[] =
    "usage: figures --count N [--seed S] --out DIR\n"
    "       figures --count N [--seed S] --raw FILE\n"
    "\n"
    "Draws N labelled pictures of 96x96 pixels with the mask of the object in each.\n"
    "The same seed gives the same pictures on every machine; picture i has class i modulo 10.\n"
    "\n"
    "  --count N    how many pictures, 1 or more\n"
    "  --seed S     which set, 0 to 18446744073709551615 (default 1)\n"
    "  --out DIR    write DIR/NNNNN_label.png, DIR/NNNNN_label_mask.png and DIR/labels.csv;\n"
    "               DIR is made when it is not there\n"
    "  --raw FILE   write one flat file, all numbers little-endian:\n"
    "                 8 bytes   FIGURES1\n"
    "                 uint32    count, height, width, classes\n"
    "                 uint64    seed\n"
    "               then for each picture\n"
    "                 uint8     label\n"
    "                 uint8     picture [height][width][3], RGB\n"
    "                 uint8     mask [height][width], 255 where the object covers the pixel\n"
    "  --help       print this\n";

static int fail(const char *what, const char *name)
{
    fprintf(stderr, "figures: error: %s %s: %s\n", what, name, strerror(errno));
    return 1;
}

static int write_csv(const options *opt)
{
    char path[PATH_SIZE];
    FILE *csv;

    snprintf(path, sizeof path, "%s/labels.csv", opt->folder);
    csv = fopen(path, "w");
    if (!csv)
        return fail("cannot write", path);
    fputs("picture,mask,label,name\n", csv);
    for (int i = 0; i < opt->count; i++) {
        int label = i % FIGURES_CLASSES;
        const char *name = figures_label_name(label);

        fprintf(csv, "%05d_%s.png,%05d_%s_mask.png,%d,%s\n", i, name, i, name, label, name);
    }
    if (ferror(csv) | fclose(csv))
        return fail("cannot write", path);
    return 0;
}

static int write_pngs(const options *opt, figure *f)
{
    char path[PATH_SIZE];

    if (mkdir(opt->folder, 0777) != 0 && errno != EEXIST)
        return fail("cannot make folder", opt->folder);
    for (int i = 0; i < opt->count; i++) {
        const char *name;

        figures_draw(opt->seed, i, f->rgb, f->mask, &f->label);
        name = figures_label_name(f->label);
        snprintf(path, sizeof path, "%s/%05d_%s.png", opt->folder, i, name);
        if (!stbi_write_png(path, FIGURES_SIZE, FIGURES_SIZE, 3, f->rgb, FIGURES_SIZE * 3))
            return fail("cannot write", path);
        snprintf(path, sizeof path, "%s/%05d_%s_mask.png", opt->folder, i, name);
        if (!stbi_write_png(path, FIGURES_SIZE, FIGURES_SIZE, 1, f->mask, FIGURES_SIZE))
            return fail("cannot write", path);
    }
    return write_csv(opt);
}

static void put_number(uint64_t value, int bytes, FILE *file)
{
    for (int i = 0; i < bytes; i++)
        fputc((int)(value >> (8 * i) & 255), file);
}

static int write_raw(const options *opt, figure *f)
{
    FILE *file = fopen(opt->raw, "wb");
    struct stat is;
    int failed;

    if (!file)
        return fail("cannot write", opt->raw);
    fputs("FIGURES1", file);
    put_number((uint64_t)opt->count, 4, file);
    put_number(FIGURES_SIZE, 4, file);
    put_number(FIGURES_SIZE, 4, file);
    put_number(FIGURES_CLASSES, 4, file);
    put_number(opt->seed, 8, file);
    for (int i = 0; i < opt->count && !ferror(file); i++) {
        figures_draw(opt->seed, i, f->rgb, f->mask, &f->label);
        fputc(f->label, file);
        fwrite(f->rgb, 1, sizeof f->rgb, file);
        fwrite(f->mask, 1, sizeof f->mask, file);
    }
    failed = ferror(file);
    failed |= fclose(file);
    if (!failed)
        return 0;
    fail("cannot write", opt->raw);
    if (stat(opt->raw, &is) == 0 && S_ISREG(is.st_mode))
        remove(opt->raw); /* half a set would pass for a whole one; a device stays */
    return 1;
}

static int parse_number(const char *text, uint64_t most, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value <= most;
}

static int parse_option(const char *name, const char *value, options *opt)
{
    uint64_t number;

    if (strcmp(name, "--count") == 0) {
        if (!parse_number(value, INT_MAX, &number) || number == 0) {
            fprintf(stderr, "figures: error: --count %s: want 1 to %d\n", value, INT_MAX);
            return 2;
        }
        opt->count = (int)number;
    } else if (strcmp(name, "--seed") == 0) {
        if (!parse_number(value, UINT64_MAX, &opt->seed)) {
            fprintf(stderr, "figures: error: --seed %s: want 0 to %" PRIu64 "\n", value,
                    UINT64_MAX);
            return 2;
        }
    } else if (strcmp(name, "--out") == 0) {
        opt->folder = value;
    } else if (strcmp(name, "--raw") == 0) {
        opt->raw = value;
    } else {
        fprintf(stderr, "figures: error: unknown option %s (see figures --help)\n", name);
        return 2;
    }
    return 0;
}

static int parse(int argc, char **argv, options *opt)
{
    for (int i = 1; i < argc; i += 2) {
        int status;

        if (i + 1 == argc) {
            fprintf(stderr, "figures: error: %s wants a value (see figures --help)\n", argv[i]);
            return 2;
        }
        status = parse_option(argv[i], argv[i + 1], opt);
        if (status != 0)
            return status;
    }
    if (opt->count == 0 || !opt->folder == !opt->raw) {
        fputs("figures: error: want --count N and one of --out DIR, --raw FILE"
              " (see figures --help)\n",
              stderr);
        return 2;
    }
    if (opt->folder && strlen(opt->folder) > PATH_SIZE - 64) {
        fprintf(stderr, "figures: error: --out: a path of %zu bytes is too long; want at most %d\n",
                strlen(opt->folder), PATH_SIZE - 64);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    options opt = {.seed = 1};
    figure *f;
    int status;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help_text, stdout);
            return 0;
        }
    }
    status = parse(argc, argv, &opt);
    if (status != 0)
        return status;
    f = malloc(sizeof *f);
    if (!f) {
        fputs("figures: error: no memory for one picture\n", stderr);
        return 1;
    }
    status = opt.folder ? write_pngs(&opt, f) : write_raw(&opt, f);
    free(f);
    return status;
}
