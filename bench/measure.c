/* Time, medians and ends; see measure.h. */
#include "measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* OpenMP's threads spin for some milliseconds (6 measured with GCC 12) after their work. */
#define PAUSE 0.012

/* Work that takes longer needs no untimed piece before each slice. */
#define LONG_WORK 0.02

void die(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fputs("deconv-bench: error: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void pause_seconds(double seconds)
{
    const struct timespec time = {(time_t)seconds,
                                  (long)(1e9 * (seconds - (double)(time_t)seconds))};

    nanosleep(&time, NULL);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static double timed(const runner *r, int times)
{
    double start = seconds_now();

    r->run(r->self, times);
    return (seconds_now() - start) / times;
}

void measure(const runner *runners, int count, const effort *effort, double *seconds)
{
    double slices[MOST_RUNNERS][MOST_ROUNDS];
    int times[MOST_RUNNERS];
    double slice = effort->seconds / effort->rounds;

    for (int i = 0; i < count; i++) {
        double once;

        timed(&runners[i], 1);
        once = timed(&runners[i], 1);
        times[i] = once * 2 > slice ? 1 : (int)(slice / once);
        seconds[i] = once;
        pause_seconds(PAUSE);
    }
    for (int round = 0; round < effort->rounds; round++) {
        for (int i = 0; i < count; i++) {
            if (seconds[i] < LONG_WORK)
                timed(&runners[i], 1);
            slices[i][round] = timed(&runners[i], times[i]);
            pause_seconds(PAUSE);
        }
    }
    for (int i = 0; i < count; i++)
        seconds[i] = median(slices[i], effort->rounds);
}
