/* The FMA ceiling; see ceiling.h. The kernel is not the library's, so it is built here. */
#include "ceiling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/device.h"

extern const unsigned char bench_ceiling[];
extern const size_t bench_ceiling_size;

#define CHAINS          10
#define UNROLL          16 /* as ceiling.cl has it */
#define ITEMS_PER_CORE  4
#define SECONDS         0.004
#define SHORTEST_ROUNDS 1000

struct ceiling {
    device *device;
    cl_program program;
    cl_kernel kernel;
    buffer *out;
    int lanes;
    size_t items;
    cl_int rounds;
};

static void check_cl(cl_int code, const char *call)
{
    if (code != CL_SUCCESS)
        die("the ceiling's %s: %s (%d)", call, cl_code_name(code), (int)code);
}

/* Seconds of one launch. */
static double launch(ceiling *c)
{
    const cl_api *api = &c->device->api;
    const cl_float factor = 0.999f, term = 0.001f;
    const size_t one = 1;
    double start;

    check_cl(api->SetKernelArg(c->kernel, 0, sizeof c->out->memory, &c->out->memory), "argument");
    check_cl(api->SetKernelArg(c->kernel, 1, sizeof c->rounds, &c->rounds), "argument");
    check_cl(api->SetKernelArg(c->kernel, 2, sizeof factor, &factor), "argument");
    check_cl(api->SetKernelArg(c->kernel, 3, sizeof term, &term), "argument");
    start = seconds_now();
    check_cl(api->EnqueueNDRangeKernel(c->device->queue, c->kernel, 1, NULL, &c->items, &one, 0,
                                       NULL, NULL),
             "launch");
    check_cl(api->Finish(c->device->queue), "wait");
    return seconds_now() - start;
}

ceiling *ceiling_create(deconv_ctx *ctx)
{
    const device_limits *limits = device_limits_of(ctx);
    const char *source = (const char *)bench_ceiling;
    ceiling *c = calloc(1, sizeof *c);
    char options[64];
    cl_int code;

    if (!c)
        die("no memory");
    c->device = ctx_device(ctx);
    c->lanes = limits->vector_floats >= 16 ? 16 : limits->vector_floats >= 8 ? 8 : 4;
    c->items = (size_t)limits->compute_units * ITEMS_PER_CORE;
    c->rounds = SHORTEST_ROUNDS;
    snprintf(options, sizeof options, "-DLANES=%d -DCHAINS=%d", c->lanes, CHAINS);
    c->program = c->device->api.CreateProgramWithSource(c->device->context, 1, &source,
                                                        &bench_ceiling_size, &code);
    check_cl(code, "source");
    check_cl(c->device->api.BuildProgram(c->program, 1, &c->device->id, options, NULL, NULL),
             "build");
    c->kernel = c->device->api.CreateKernel(c->program, "ceiling", &code);
    check_cl(code, "kernel");
    if (buffer_create(ctx, c->items * (size_t)c->lanes * sizeof(float), "ceiling", &c->out))
        die("%s", deconv_ctx_message(ctx));
    launch(c);
    c->rounds = (cl_int)(SHORTEST_ROUNDS * SECONDS / launch(c)) + SHORTEST_ROUNDS;
    return c;
}

void ceiling_free(ceiling *c)
{
    buffer_free(c->out);
    c->device->api.ReleaseKernel(c->kernel);
    c->device->api.ReleaseProgram(c->program);
    free(c);
}

static void run(void *self, int times)
{
    for (int i = 0; i < times; i++)
        launch(self);
}

runner ceiling_runner(ceiling *c)
{
    return (runner){run, c};
}

double ceiling_flops(const ceiling *c)
{
    return 2.0 * CHAINS * UNROLL * c->lanes * (double)c->rounds * (double)c->items;
}
