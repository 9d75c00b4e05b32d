/* Tests of what several processes do at once: the program starts itself again, with arguments, once
 * for each. (A forked process could not use OpenCL: drivers have threads.) */
#ifndef DECONV_TESTS_PROCESSES_H
#define DECONV_TESTS_PROCESSES_H

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MAX_PROCESSES = 16 };

typedef struct processes {
    pid_t pid[MAX_PROCESSES];
    int count;
} processes;

/* Starts this program with two arguments: its main() tells by them what it is. */
static inline void processes_start(processes *p, const char *job, const char *argument)
{
    char *const argv[] = {(char *)"test", (char *)job, (char *)argument, NULL};

    assert_true(p->count < MAX_PROCESSES);
    assert_int_equal(posix_spawn(&p->pid[p->count], "/proc/self/exe", NULL, NULL, argv, environ),
                     0);
    p->count++;
}

/* Every one of them must exit with 0. */
static inline void processes_expect_success(processes *p)
{
    for (int i = 0; i < p->count; i++) {
        int result;

        assert_int_equal(waitpid(p->pid[i], &result, 0), p->pid[i]);
        if (!WIFEXITED(result) || WEXITSTATUS(result) != 0)
            fail_msg("process %d of %d ended with status 0x%x", i, p->count, (unsigned)result);
    }
    p->count = 0;
}

#endif
