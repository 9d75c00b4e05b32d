/* What an open device is made of: shared by the files of this folder, seen by nobody else. */
#ifndef DECONV_LIB_OPENCL_DEVICE_H
#define DECONV_LIB_OPENCL_DEVICE_H

#include <pthread.h>

#include "loader.h"

struct program;
struct profile;
struct blas;

struct device {
    deconv_ctx *ctx;
    cl_api api;
    deconv_device_info info;
    device_limits limits;
    char platform_version[128];
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;

    char *cache_dir;    /* NULL: programs are not kept on disk */
    bool keep_programs; /* ask the driver for binaries; without it, only those there are serve */
    char *kernel_dir;   /* $DECONV_KERNEL_DIR; NULL: embedded sources only */

    pthread_mutex_t program_lock; /* held while a program is built: nobody builds it twice */
    struct program *programs;

    pthread_mutex_t lost_lock;
    char lost[512]; /* the failure after which the device takes no work; "": none */

    pthread_mutex_t buffer_lock;
    size_t guard;             /* bytes of pattern around new buffers; 0: none */
    size_t base_alignment;    /* of a sub-buffer's origin, bytes */
    buffer *guarded;          /* live buffers that have guards */
    uint64_t held, most_held; /* bytes in buffers, now and at most */

    struct profile *profile; /* NULL: kernels are not timed */
    struct blas *blas;       /* CLBlast; NULL until it is asked for */
};

struct buffer {
    device *device;
    cl_mem memory; /* the data */
    cl_mem whole;  /* guard, data, guard; NULL without guards, as are the rest */
    size_t bytes;
    size_t guard;
    buffer *next;
    char what[64];
};

/* device.c. A device that failed while it worked (a kernel that crashed, a card that is gone) has
 * left an unknown part undone: from then on device_check() refuses everything with what was said at
 * first. Memory that ran out is no such failure. `waited`: the call reports how earlier work went,
 * and not only whether it could be enqueued. */
deconv_status device_check(device *device);
deconv_status device_failed(device *device, cl_int code, bool waited, const char *call,
                            const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Calls on the queue: as TRY_CL, by the rules above. */
#define TRY_QUEUE(device, waited, name, arguments, ...)                                            \
    do {                                                                                           \
        cl_int code_;                                                                              \
        TRY(device_check(device));                                                                 \
        code_ = (device)->api.name arguments;                                                      \
        if (code_ != CL_SUCCESS) {                                                                 \
            status = device_failed((device), code_, (waited), "cl" #name, __VA_ARGS__);            \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

/* source.c: the text of cl/NAME with what it includes; mem_free() it. */
deconv_status source_read(device *device, const char *name, char **text, size_t *size);

/* program.c */
deconv_status program_get(device *device, const char *source, const char *options, cl_program *out);
void programs_free(device *device);

/* blas.c: empties CLBlast's cache if this device filled it. */
void blas_close(device *device);

/* program_cache.c. `key` is the text that a program depends on. */
char *cache_folder(deconv_ctx *ctx, const char *wanted);
bool cache_load(device *device, const char *key, size_t key_size, uint8_t **binary, size_t *size);
void cache_store(device *device, const char *key, size_t key_size, const uint8_t *binary,
                 size_t size);

/* profile.c */
deconv_status profile_create(deconv_ctx *ctx, struct profile **out);
/* Takes over the event of a launch of the kernel `name`. */
void profile_add(device *device, const char *name, cl_event event);
/* Adds up the events of launches that are over: call when the queue is empty. */
void profile_collect(device *device);
void profile_report(device *device);
void profile_free(device *device);

#endif
