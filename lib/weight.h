/* A float constant of a network on the device. It comes there when an operator that reads it is
 * planned, and stays for the graphs of all batch sizes. Convolutions read packed copies
 * (conv/packed.h): once they have them, and nobody else reads the constant, it goes again. */
#ifndef DECONV_LIB_WEIGHT_H
#define DECONV_LIB_WEIGHT_H

#include "conv/engine.h"
#include "tensor.h"

struct onnx_model;

typedef struct weight {
    deconv_ctx *ctx;
    const char *name;
    const struct onnx_model *model; /* whose file `host` may have been left in */
    host_tensor *host;
    bool keep_host; /* its elements stay in memory once the device has them */
    tensor *data;   /* NULL: not on the device */
    int users;      /* operators that read it there */
    packed_list packed;
} weight;

/* Brings it to the device, if it is not there, for one more user. */
deconv_status weight_use(weight *w);
/* One user less. With the last one a weight that has packed copies leaves the device, if it can be
 * brought back. */
void weight_leave(weight *w);
/* Releases all but `host`. */
void weight_free(weight *w);

#endif
