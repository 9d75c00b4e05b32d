/* A subcommand's surroundings: options, context, network, messages, progress. */
#include "cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
static bool line_open; /* a progress line stands on the terminal */

/* ---- Messages ---- */

void progress_clear(void)
{
    if (line_open)
        fputs("\r\033[K", stderr);
    line_open = false;
}

static void print_error(const char *format, va_list args)
{
    progress_clear();
    fputs("deconv: error: ", stderr);
    vfprintf(stderr, format, args);
}

int fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_error(format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_FAILED;
}

int fail_usage(const session *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_error(format, args);
    va_end(args);
    fprintf(stderr, "; see deconv %s --help\n", s->command);
    return EXIT_USAGE;
}

bool worked(const session *s, deconv_status status)
{
    if (status == DECONV_OK)
        return true;
    fail("%s", deconv_ctx_message(s->ctx));
    return false;
}

static void print_log(deconv_log_level level, const char *line, void *user)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const session *s = user;
    bool waits = s->waiting && level == DECONV_LOG_WARNING;

    progress_clear();
    fprintf(waits ? s->waiting : stderr, "deconv: %s: %s\n", names[level], line);
}

static int32_t print_progress(uint64_t done, uint64_t total, const char *what, void *user)
{
    const bool *show = user;

    if (*show && total > 0) {
        fprintf(stderr, "\r%s %3d %%\033[K", what, (int)(100 * done / total));
        line_open = true;
    }
    return interrupted;
}

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- Options ---- */

struct poptOption *session_options(session *s)
{
    static struct poptOption table[] = {
        {"device", 0, POPT_ARG_STRING, NULL, 0, "where to run: cpu, gpu, an index, part of a name",
         "DEVICE"},
        {"card", 0, POPT_ARG_STRING, NULL, 0, "the model card (default: beside the model)", "FILE"},
        {"memory", 0, POPT_ARG_STRING, NULL, 0,
         "device memory for one pass, e.g. 512M (default: a quarter of the device's)", "SIZE"},
        {"json", 0, POPT_ARG_NONE, NULL, 0, "print one JSON object", NULL},
        {"quiet", 'q', POPT_ARG_NONE, NULL, 0, "no progress, no warnings", NULL},
        {"verbose", 'v', POPT_ARG_NONE, NULL, 0, "say what is done", NULL},
        POPT_TABLEEND};

    table[0].arg = &s->device;
    table[1].arg = &s->card_path;
    table[2].arg = &s->memory;
    table[3].arg = &s->json;
    table[4].arg = &s->quiet;
    table[5].arg = &s->verbose;
    return table;
}

static void print_help(poptContext parser, const usage *usage)
{
    printf("%s\n\n", usage->text);
    fflush(stdout);
    poptPrintHelp(parser, stdout, 0);
    if (usage->examples)
        printf("\n%s", usage->examples);
}

int session_parse(session *s, int argc, const char **argv, struct poptOption *options,
                  const usage *usage, const char **words, int count)
{
    int help = 0, given = 0, code, result = -1;
    char name[64], arguments[64];
    struct poptOption table[] = {
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, options, 0, "Options:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, session_options(s), 0, "Options of every command:", NULL},
        {"help", 'h', POPT_ARG_NONE, &help, 0, "show this help", NULL},
        POPT_TABLEEND};
    poptContext parser;
    const char *word;

    s->command = argv[0];
    snprintf(name, sizeof name, "deconv %s", argv[0]);
    snprintf(arguments, sizeof arguments, "[OPTION...] %s", usage->arguments);
    argv[0] = name; /* what the help calls the program */
    parser = poptGetContext(name, argc, argv, table, 0);
    poptSetOtherOptionHelp(parser, arguments);
    code = poptGetNextOpt(parser);
    if (code < -1) {
        result = fail_usage(s, "%s: %s", poptBadOption(parser, POPT_BADOPTION_NOALIAS),
                            poptStrerror(code));
    } else if (help) {
        print_help(parser, usage);
        result = finish_output();
    }
    /* popt's words go with the parser; argv's own strings stay, so find them there. */
    while (result < 0 && (word = poptGetArg(parser))) {
        for (int i = 1; given < count && i < argc; i++)
            if (strcmp(argv[i], word) == 0)
                words[given] = argv[i];
        given++;
    }
    if (result < 0 && given != count)
        result = fail_usage(s, "%s takes %s, not %d argument%s", s->command,
                            *usage->arguments ? usage->arguments : "no arguments", given,
                            given == 1 ? "" : "s");
    if (result < 0 && s->memory && !parse_size(s->memory, &s->memory_bytes))
        result = fail_usage(s, "--memory %s: a size like 512M or 2G is wanted", s->memory);
    poptFreeContext(parser);
    argv[0] = s->command;
    return result;
}

/* ---- Opening and closing ---- */

bool session_open(session *s)
{
    static bool show_progress;
    deconv_ctx_options options = DECONV_CTX_OPTIONS_INIT;
    char error[1024] = "";

    show_progress = !s->quiet && !s->json && isatty(STDERR_FILENO);
    signal(SIGINT, on_interrupt);
    s->waiting = open_memstream(&s->warnings, &s->warnings_size);
    options.device = s->device;
    options.log = print_log;
    options.log_user = s;
    options.level = s->quiet ? DECONV_LOG_ERROR : s->verbose ? DECONV_LOG_INFO : DECONV_LOG_WARNING;
    options.progress = print_progress;
    options.progress_user = &show_progress;
    options.memory = s->memory_bytes;
    options.error = error;
    options.error_size = sizeof error;
    if (deconv_ctx_create(&options, &s->ctx) == DECONV_OK)
        return true;
    fail("%s", error);
    return false;
}

bool session_open_net(session *s, const char *model)
{
    deconv_net_options options = DECONV_NET_OPTIONS_INIT;
    int64_t height, width;

    if (!worked(s, deconv_card_open(s->ctx, s->card_path, model, &s->card)))
        return false;
    deconv_card_input_size(s->card, &height, &width);
    options.height = (uint32_t)height;
    options.width = (uint32_t)width;
    return worked(s, deconv_net_open(s->ctx, model, &options, &s->net));
}

static void stop_waiting(session *s, bool print)
{
    if (!s->waiting)
        return;
    fclose(s->waiting);
    if (print && s->warnings)
        fputs(s->warnings, stderr);
    free(s->warnings);
    s->waiting = NULL;
    s->warnings = NULL;
}

void session_warn(session *s)
{
    stop_waiting(s, true);
}

void session_close(session *s)
{
    progress_clear();
    deconv_net_destroy(s->net);
    deconv_card_destroy(s->card);
    deconv_ctx_destroy(s->ctx);
    stop_waiting(s, false);
    free(s->device);
    free(s->card_path);
    free(s->memory);
}

bool find_layer(session *s, const char *name, uint32_t *layer)
{
    uint32_t probabilities;

    if (name)
        return worked(s, deconv_net_find(s->net, name, layer));
    return worked(s, deconv_net_classifier(s->net, &probabilities, layer));
}
