/* Time, medians and ends; see measure.h. */
#include "measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* OpenMP's threads spin for some milliseconds (6 measured with GCC 12) after their work. */
#define PAUSE 0.012

/* How long to look whether there are other processes. */
#define LOOK 0.2

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

/* Sorts the values. */
static double median(double *values, int count)
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

/* ---- Other processes ---- */

/* A moment, and the processor time that had been used until then. */
typedef struct usage {
    double now, all, own;
} usage;

/* Seconds in which the system's cores were busy; 0 where it does not tell (Linux does). */
static double busy_seconds(void)
{
    unsigned long long t[8] = {0};
    FILE *file = fopen("/proc/stat", "r");
    int found = 0;

    if (file) {
        found = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
                       &t[3], &t[4], &t[5], &t[6], &t[7]);
        fclose(file);
    }
    /* user, nice, system, (idle, waiting,) interrupts, soft interrupts, taken by the host */
    return found == 8
               ? (double)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / (double)sysconf(_SC_CLK_TCK)
               : 0.0;
}

static usage usage_now(void)
{
    struct timespec own;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    return (usage){seconds_now(), busy_seconds(), (double)own.tv_sec + 1e-9 * (double)own.tv_nsec};
}

/* Cores that others used since then. The system counts in hundredths of a second. */
static double others_since(const usage *then)
{
    usage now = usage_now();
    double others = now.all - then->all - (now.own - then->own) - 0.02;

    return others > 0 ? others / (now.now - then->now) : 0.0;
}

bool machine_is_quiet(void)
{
    usage then = usage_now();

    pause_seconds(LOOK);
    return others_since(&then) < MOST_OTHERS;
}

/* ---- Measuring ---- */

double measure(const runner *runners, int count, const effort *effort, timings *found)
{
    int times[MOST_RUNNERS];
    double once[MOST_RUNNERS];
    double slice = effort->seconds / effort->rounds;
    usage start;

    found->rounds = effort->rounds;
    for (int i = 0; i < count; i++) {
        timed(&runners[i], 1);
        once[i] = timed(&runners[i], 1);
        times[i] = once[i] * 2 > slice ? 1 : (int)(slice / once[i]);
        pause_seconds(PAUSE);
    }
    start = usage_now();
    for (int round = 0; round < effort->rounds; round++) {
        for (int i = 0; i < count; i++) {
            if (once[i] < LONG_WORK)
                timed(&runners[i], 1);
            found->seconds[i][round] = timed(&runners[i], times[i]);
            pause_seconds(PAUSE);
        }
    }
    return others_since(&start);
}

double median_seconds(const timings *t, int runner)
{
    double seconds[MOST_ROUNDS];

    for (int round = 0; round < t->rounds; round++)
        seconds[round] = t->seconds[runner][round];
    return median(seconds, t->rounds);
}

double median_ratio(const timings *t, int runner, int other)
{
    double ratios[MOST_ROUNDS];

    for (int round = 0; round < t->rounds; round++)
        ratios[round] = t->seconds[runner][round] / t->seconds[other][round];
    return median(ratios, t->rounds);
}
