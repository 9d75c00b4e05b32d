/* What the subcommands share: options, the context, input, messages. Each subcommand is one file
 * with one function; main.c lists them. */
#ifndef DECONV_CLI_H
#define DECONV_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <cjson/cJSON.h>
#include <popt.h>

#include <deconv.h>

/* Exit status. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Options that every subcommand takes. */
typedef struct session {
    const char *command; /* "project" */
    char *device;
    char *card_path;
    char *memory; /* "512M" */
    int json;
    int quiet;
    int verbose;
    uint64_t memory_bytes; /* 0: the library's choice */

    deconv_ctx *ctx;
    deconv_net *net;
    deconv_card *card;

    /* Warnings wait here while files are opened: when one cannot be, its error stands alone. */
    FILE *waiting;
    char *warnings;
    size_t warnings_size;
} session;

/* A table of `session`'s options to include in a subcommand's own. */
struct poptOption *session_options(session *s);

typedef struct usage {
    const char *arguments; /* "MODEL INPUT" */
    const char *text;      /* what the subcommand does, before the options */
    const char *examples;  /* after the options */
} usage;

/* Parses a subcommand's command line. Returns -1 when the command is to run, else the exit status.
 * `words` gets exactly `count` arguments that are not options and stay valid until session_close().
 */
int session_parse(session *s, int argc, const char **argv, struct poptOption *options,
                  const usage *usage, const char **words, int count);

/* The context; then the network and its model card. False: the message was printed. */
bool session_open(session *s);
bool session_open_net(session *s, const char *model);
/* All files are open: prints the warnings that came up meanwhile. */
void session_warn(session *s);
void session_close(session *s);

/* "deconv: error: ..." on standard error; returns EXIT_FAILED or EXIT_USAGE. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail_usage(const session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The library's message for a call that failed; true when it did not. */
bool worked(const session *s, deconv_status status);

/* Ends the progress line so that other output starts on a line of its own. */
void progress_clear(void);

/* What a network is run on. */
typedef struct input {
    deconv_tensor *tensor; /* (N, ...) of the network's input shape */
    int64_t batch;
    deconv_picture *picture; /* what the network sees, NULL for a .npy file */
} input;

bool input_open(session *s, const char *path, input *in);
void input_close(input *in);

/* A layer by name, or with NULL the one that is projected by default. */
bool find_layer(session *s, const char *name, uint32_t *layer);

/* "17" -> 17; false unless all of it is a number of at least 0. */
bool parse_number(const char *text, int64_t *out);
/* "512M" -> 536870912; bytes, or with K, M, G for powers of 1024; at least 1. */
bool parse_size(const char *text, uint64_t *out);
bool parse_pair(const char *text, int64_t *first, int64_t *second);
/* Index of `text` in a NULL-ended list, -1 when it is not there. */
int parse_choice(const char *text, const char *const *choices);

/* All values of a tensor in fresh memory; NULL: the message was printed. */
float *tensor_values(const session *s, const deconv_tensor *tensor);

/* Prints and deletes a JSON object; returns the exit status. */
int print_json(cJSON *object);
/* Flushes standard output; returns the exit status. */
int finish_output(void);
cJSON *json_shape(const int64_t *shape, uint32_t rank);

/* Prints the plan of the network's convolutions, or adds it to a JSON array. */
bool print_plan(session *s, int64_t batch, int name_width, cJSON *json);

int command_devices(int argc, const char **argv);
int command_info(int argc, const char **argv);
int command_tune(int argc, const char **argv);
int command_run(int argc, const char **argv);
int command_project(int argc, const char **argv);
int command_frequency(int argc, const char **argv);
int command_occlude(int argc, const char **argv);

#endif
