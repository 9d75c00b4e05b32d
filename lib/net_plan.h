/* The convolutions of a network as tasks for the engine: what deconv_plan tells about and
 * deconv_net_tune measures. */
#ifndef DECONV_LIB_NET_PLAN_H
#define DECONV_LIB_NET_PLAN_H

#include "net.h"
#include "ops/conv_tasks.h"

typedef struct net_convolution {
    uint32_t layer;
    deconv_direction direction;
    conv_task task; /* its scratch is the graph's */
} net_convolution;

/* Every convolution of the graph in both directions, in the order of the layers, forward first. */
deconv_status net_convolutions(const graph *g, net_convolution **list, int *count);

#endif
