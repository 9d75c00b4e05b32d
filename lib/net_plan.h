/* The convolutions of a network as they were planned: what deconv_plan tells and deconv_net_tune
 * measures. */
#ifndef DECONV_LIB_NET_PLAN_H
#define DECONV_LIB_NET_PLAN_H

#include "net.h"
#include "ops/planned.h"

typedef struct net_convolution {
    uint32_t layer;
    deconv_direction direction;
    const convolution *planned;
} net_convolution;

typedef struct net_convolutions {
    deconv_trace *trace; /* holds the graph that they belong to */
    net_convolution *list;
    int count;
} net_convolutions;

/* Plans both directions of every convolution that the outputs need, for a batch (0: one picture, or
 * the file's). In the order of the layers, forward first. */
deconv_status net_convolutions_plan(deconv_net *net, int64_t batch, net_convolutions *out);
void net_convolutions_free(net_convolutions *c);

#endif
