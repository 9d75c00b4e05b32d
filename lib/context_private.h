/* What is inside a context: for the files that implement context.h and error.h, nobody else. */
#ifndef DECONV_LIB_CONTEXT_PRIVATE_H
#define DECONV_LIB_CONTEXT_PRIVATE_H

#include <pthread.h>

#include "context.h"

#define MESSAGE_SIZE 1024

/* The last failure of one thread. */
typedef struct thread_message {
    struct thread_message *next;
    pthread_t thread;
    char text[MESSAGE_SIZE];
} thread_message;

struct deconv_ctx {
    deconv_allocate_fn allocate; /* NULL: malloc and free */
    deconv_release_fn release;
    void *allocator_user;

    deconv_log_level level;
    deconv_log_fn log;
    void *log_user;
    deconv_progress_fn progress;
    void *progress_user;

    uint64_t memory; /* deconv_ctx_options.memory */

    pthread_mutex_t message_lock;
    thread_message *messages;
    bool message_lost; /* a thread failed and there was no memory to keep its message in */

    struct device *device;
    struct tuning *tuning; /* NULL: no convolution was measured */
};

/* Reads $DECONV_LOG into the context's level; warns when it is none of the four words. */
void log_read_environment(deconv_ctx *ctx);

/* Releases all threads' messages. */
void messages_free(deconv_ctx *ctx);

/* Turns control characters into spaces, so that a message or log line stays one line and a name out
 * of a hostile file cannot steer a terminal. `wanted` is the length the text would have had: one
 * that was cut off ends in "..." and not inside a UTF-8 sequence. */
void text_one_line(char *text, size_t size, int wanted);

#endif
