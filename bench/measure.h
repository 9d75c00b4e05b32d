/* Time, medians and ends: what every comparison of this folder needs. */
#ifndef DECONV_BENCH_MEASURE_H
#define DECONV_BENCH_MEASURE_H

#include <stdbool.h>

/* "deconv-bench: error: ..." on standard error and status 1: a comparison that cannot be made has
 * nothing to clean up for. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

double seconds_now(void);
void pause_seconds(double seconds);

/* Something to be timed: does its work `times` times and waits for the end. */
typedef struct runner {
    void (*run)(void *self, int times);
    void *self;
} runner;

/* How long is measured: `rounds` slices of seconds/rounds each, one of every runner in turn. */
typedef struct effort {
    double seconds;
    int rounds;
} effort;

enum { MOST_ROUNDS = 101, MOST_RUNNERS = 4 };

/* Seconds that one piece of work took, of each runner in each round. */
typedef struct timings {
    int rounds;
    double seconds[MOST_RUNNERS][MOST_ROUNDS];
} timings;

/* Times the runners. Between slices there is a pause, in which the threads of the runner before
 * fall asleep, and one piece of work that is not timed. Returns the cores that other processes used
 * meanwhile: 0 is a quiet machine, and what a system that does not tell is taken for. */
double measure(const runner *runners, int count, const effort *effort, timings *found);

double median_seconds(const timings *t, int runner);

/* Median over the rounds of the runner's seconds by the other's in the same round. A machine that
 * is slower for some seconds is so for both of them, which the ratio of two medians may not see. */
double median_ratio(const timings *t, int runner, int other);

/* More than this is not quiet. */
#define MOST_OTHERS 0.1

/* Whether other processes leave the cores alone at the moment. Takes a moment. */
bool machine_is_quiet(void);

#endif
