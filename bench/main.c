/* The `deconv-bench` command: finds the comparison. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

int main(int argc, const char **argv)
{
    if (argc > 1 && strcmp(argv[1], "conv") == 0)
        return bench_conv(argc - 1, argv + 1);
    fputs("Usage: deconv-bench conv [OPTION...]\n"
          "Try:   deconv-bench conv --help\n",
          argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
