/* oneDNN's side of a comparison; see peer.h. Of oneDNN's algorithms it is always the direct one:
 * what Winograd's gains is then seen against the same measure on every machine. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif

#include "peer.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer_convolution.h"

/* A side: as the caller has it and as the primitive has it; the same memory where they agree. */
typedef struct side {
    dnnl_memory_t outer, inner;
    dnnl_primitive_t reorder; /* NULL: the same memory */
    size_t bytes;
} side;

struct peer {
    dnnl_primitive_t convolution;
    side src, dst;
    dnnl_memory_t weights;
    bool reorders; /* in each run */
    bool forward;
    char kernel[64];
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;

void check_dnnl(dnnl_status_t status, const char *call)
{
    if (status != dnnl_success)
        die("oneDNN's %s: status %d", call, (int)status);
}

/* Each of OpenMP's threads on a core of its own. Left to itself Linux may put two that take turns
 * with other programs' threads on one core, and leave them there: oneDNN then takes ten times as
 * long. What libdeconv runs on stays free: its threads exist already. */
static void bind_threads(void)
{
#if defined(__linux__)
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
#pragma omp parallel
    {
        int left = omp_get_thread_num();
        cpu_set_t one;

        CPU_ZERO(&one);
        for (int core = 0; core < CPU_SETSIZE; core++)
            if (CPU_ISSET(core, &allowed) && left-- == 0)
                CPU_SET(core, &one);
        if (CPU_COUNT(&one) == 1)
            sched_setaffinity(0, sizeof one, &one);
    }
#endif
}

void peer_open(int threads)
{
    omp_set_dynamic(0);
    omp_set_num_threads(threads);
    bind_threads();
    check_dnnl(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    check_dnnl(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
}

void peer_close(void)
{
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
}

const char *peer_version(void)
{
    static char text[64];
    const dnnl_version_t *v = dnnl_version();

    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

static dnnl_memory_t memory_of(const dnnl_memory_desc_t *desc)
{
    dnnl_memory_t memory;

    check_dnnl(dnnl_memory_create(&memory, desc, engine, DNNL_MEMORY_ALLOCATE), "memory");
    return memory;
}

static void *data_of(dnnl_memory_t memory)
{
    void *data;

    check_dnnl(dnnl_memory_get_data_handle(memory, &data), "memory's data");
    return data;
}

static dnnl_primitive_t reorder_of(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to)
{
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;

    check_dnnl(dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL),
               "reorder");
    check_dnnl(dnnl_primitive_create(&primitive, desc), "reorder");
    dnnl_primitive_desc_destroy(desc);
    return primitive;
}

static void enqueue_reorder(dnnl_primitive_t reorder, dnnl_memory_t from, dnnl_memory_t to)
{
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};

    check_dnnl(dnnl_primitive_execute(reorder, stream, 2, arguments), "reorder");
}

static side side_of(const dnnl_memory_desc_t *outer, const dnnl_memory_desc_t *inner, bool source)
{
    side s = {.outer = memory_of(outer), .bytes = dnnl_memory_desc_get_size(outer)};

    if (dnnl_memory_desc_equal(outer, inner)) {
        s.inner = s.outer;
    } else {
        s.inner = memory_of(inner);
        s.reorder = source ? reorder_of(outer, inner) : reorder_of(inner, outer);
    }
    return s;
}

static void free_side(side *s)
{
    if (s->reorder) {
        dnnl_primitive_destroy(s->reorder);
        dnnl_memory_destroy(s->inner);
    }
    dnnl_memory_destroy(s->outer);
}

static void pack_weights(peer *p, const dnnl_memory_desc_t *plain, const dnnl_memory_desc_t *packed,
                         const float *weights)
{
    side s = side_of(plain, packed, true);

    memcpy(data_of(s.outer), weights, s.bytes);
    if (s.reorder)
        enqueue_reorder(s.reorder, s.outer, s.inner);
    check_dnnl(dnnl_stream_wait(stream), "wait");
    p->weights = s.inner;
    if (s.reorder) {
        dnnl_primitive_destroy(s.reorder);
        dnnl_memory_destroy(s.outer);
    }
}

peer *peer_create(const conv_problem *problem, conv_direction direction, peer_layout layout,
                  const float *weights)
{
    bool forward = direction == CONV_FORWARD;
    peer_plan plan;
    peer *p = calloc(1, sizeof *p);

    if (!p)
        die("no memory");
    if (!peer_plan_make(engine, problem, forward, layout == PEER_PLAIN, &plan)) {
        free(p);
        return NULL;
    }
    check_dnnl(dnnl_primitive_create(&p->convolution, plan.desc), "convolution");
    snprintf(p->kernel, sizeof p->kernel, "%s", plan.kernel);
    p->forward = forward;
    p->reorders = layout == PEER_REORDERED;
    p->src = side_of(forward ? &plan.plain_x : &plan.plain_y, forward ? plan.x : plan.y, true);
    p->dst = side_of(forward ? &plan.plain_y : &plan.plain_x, forward ? plan.y : plan.x, false);
    pack_weights(p, &plan.plain_weights, plan.weights, weights);
    dnnl_primitive_desc_destroy(plan.desc);
    return p;
}

void peer_free(peer *p)
{
    dnnl_primitive_destroy(p->convolution);
    free_side(&p->src);
    free_side(&p->dst);
    dnnl_memory_destroy(p->weights);
    free(p);
}

static void run(void *self, int times)
{
    peer *p = self;
    const dnnl_exec_arg_t arguments[] = {
        {p->forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, p->src.inner},
        {DNNL_ARG_WEIGHTS, p->weights},
        {p->forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, p->dst.inner},
    };

    for (int i = 0; i < times; i++) {
        if (p->reorders && p->src.reorder)
            enqueue_reorder(p->src.reorder, p->src.outer, p->src.inner);
        check_dnnl(dnnl_primitive_execute(p->convolution, stream, 3, arguments), "convolution");
        if (p->reorders && p->dst.reorder)
            enqueue_reorder(p->dst.reorder, p->dst.inner, p->dst.outer);
    }
    check_dnnl(dnnl_stream_wait(stream), "wait");
}

runner peer_runner(peer *p)
{
    return (runner){run, p};
}

void peer_load(peer *p, const float *values)
{
    memcpy(data_of(p->src.outer), values, p->src.bytes);
    if (p->src.reorder)
        enqueue_reorder(p->src.reorder, p->src.outer, p->src.inner);
    check_dnnl(dnnl_stream_wait(stream), "wait");
}

void peer_read(peer *p, float *values)
{
    if (p->dst.reorder && !p->reorders)
        enqueue_reorder(p->dst.reorder, p->dst.inner, p->dst.outer);
    check_dnnl(dnnl_stream_wait(stream), "wait");
    memcpy(values, data_of(p->dst.outer), p->dst.bytes);
}

const char *peer_kernel(const peer *p)
{
    return p->kernel;
}

bool peer_reorders(const peer *p)
{
    return p->reorders && (p->src.reorder || p->dst.reorder);
}
