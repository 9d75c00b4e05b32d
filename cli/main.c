/* The `deconv` command: finds the subcommand. Each one is a file of its own. */
#include "cli.h"

#include <string.h>

typedef struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, const char **argv);
} command;

static const command commands[] = {
    {"devices", "what can run here, and which device is the default", command_devices},
    {"info", "a network's layers, inputs and labels", command_info},
    {"tune", "measure a network's convolutions on this device", command_tune},
    {"run", "the classes of a picture", command_run},
    {"project", "what a unit responds to: its projection to the picture", command_project},
    {"frequency", "which spatial frequencies a network's filters respond to", command_frequency},
    {"occlude", "what covering a part of the picture changes: occlusion maps", command_occlude},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *to)
{
    fputs(
        "Runs a convolutional network forward and back again, to show what its units respond to.\n"
        "\nUsage: deconv COMMAND [OPTION...] ...\n\nCommands:\n",
        to);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].summary);
    fputs("\nTry: deconv project model.onnx photo.jpg\n"
          "     deconv COMMAND --help\n",
          to);
}

int main(int argc, const char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return finish_output();
    }
    if (strcmp(name, "--version") == 0) {
        printf("deconv %s, ABI %u\n", deconv_version(), deconv_abi_version());
        return finish_output();
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (*name)
        fail("there is no command %s; the commands are devices, info, tune, run, project, "
             "frequency and occlude",
             name);
    else
        print_help(stderr);
    return EXIT_USAGE;
}
