/* The convolutions that are compared. Sizes are those of the networks at their usual inputs: 224,
 * but 227 for the AlexNet of 2012 with its two groups, and for SqueezeNet 1.0. */
#include "shapes.h"

#include <string.h>

const conv_shape conv_shapes[] = {
    /* name, channels, filters, groups, kernel, stride, pad, size */
    {"alexnet/conv1", 3, 96, 1, 11, 4, 0, 227},
    {"alexnet/conv2", 96, 256, 2, 5, 1, 2, 27},
    {"alexnet/conv3 zfnet/conv3", 256, 384, 1, 3, 1, 1, 13},
    {"alexnet/conv4", 384, 384, 2, 3, 1, 1, 13},
    {"alexnet/conv5", 384, 256, 2, 3, 1, 1, 13},
    {"alexnet-torch/conv1", 3, 64, 1, 11, 4, 2, 224},
    {"alexnet-torch/conv2", 64, 192, 1, 5, 1, 2, 27},
    {"alexnet-torch/conv3", 192, 384, 1, 3, 1, 1, 13},
    {"alexnet-torch/conv4 zfnet/conv5", 384, 256, 1, 3, 1, 1, 13},
    {"alexnet-torch/conv5", 256, 256, 1, 3, 1, 1, 13},

    {"zfnet/conv1", 3, 96, 1, 7, 2, 1, 224},
    {"zfnet/conv2", 96, 256, 1, 5, 2, 0, 55},
    {"zfnet/conv4", 384, 384, 1, 3, 1, 1, 13},

    {"vgg16/conv1_1", 3, 64, 1, 3, 1, 1, 224},
    {"vgg16/conv1_2", 64, 64, 1, 3, 1, 1, 224},
    {"vgg16/conv2_1", 64, 128, 1, 3, 1, 1, 112},
    {"vgg16/conv2_2", 128, 128, 1, 3, 1, 1, 112},
    {"vgg16/conv3_1", 128, 256, 1, 3, 1, 1, 56},
    {"vgg16/conv3_2", 256, 256, 1, 3, 1, 1, 56},
    {"vgg16/conv4_1", 256, 512, 1, 3, 1, 1, 28},
    {"vgg16/conv4_2", 512, 512, 1, 3, 1, 1, 28},
    {"vgg16/conv5_1", 512, 512, 1, 3, 1, 1, 14},

    {"squeezenet/conv1", 3, 96, 1, 7, 2, 0, 227},
    {"squeezenet/fire2/squeeze", 96, 16, 1, 1, 1, 0, 55},
    {"squeezenet/fire2/expand1x1", 16, 64, 1, 1, 1, 0, 55},
    {"squeezenet/fire2/expand3x3", 16, 64, 1, 3, 1, 1, 55},
    {"squeezenet/fire3/squeeze", 128, 16, 1, 1, 1, 0, 55},
    {"squeezenet/fire4/squeeze", 128, 32, 1, 1, 1, 0, 55},
    {"squeezenet/fire4/expand1x1", 32, 128, 1, 1, 1, 0, 55},
    {"squeezenet/fire4/expand3x3", 32, 128, 1, 3, 1, 1, 55},
    {"squeezenet/fire5/squeeze", 256, 32, 1, 1, 1, 0, 27},
    {"squeezenet/fire5/expand1x1", 32, 128, 1, 1, 1, 0, 27},
    {"squeezenet/fire5/expand3x3", 32, 128, 1, 3, 1, 1, 27},
    {"squeezenet/fire6/squeeze", 256, 48, 1, 1, 1, 0, 27},
    {"squeezenet/fire6/expand1x1", 48, 192, 1, 1, 1, 0, 27},
    {"squeezenet/fire6/expand3x3", 48, 192, 1, 3, 1, 1, 27},
    {"squeezenet/fire7/squeeze", 384, 48, 1, 1, 1, 0, 27},
    {"squeezenet/fire8/squeeze", 384, 64, 1, 1, 1, 0, 27},
    {"squeezenet/fire8/expand1x1", 64, 256, 1, 1, 1, 0, 27},
    {"squeezenet/fire8/expand3x3", 64, 256, 1, 3, 1, 1, 27},
    {"squeezenet/fire9/squeeze", 512, 64, 1, 1, 1, 0, 13},
    {"squeezenet/fire9/expand1x1", 64, 256, 1, 1, 1, 0, 13},
    {"squeezenet/fire9/expand3x3", 64, 256, 1, 3, 1, 1, 13},
    {"squeezenet/conv_final", 512, 1000, 1, 1, 1, 1, 13},

    {"resnet18/conv1", 3, 64, 1, 7, 2, 3, 224},
    {"resnet18/layer1/conv", 64, 64, 1, 3, 1, 1, 56},
    {"resnet18/layer2/conv1", 64, 128, 1, 3, 2, 1, 56},
    {"resnet18/layer2/downsample", 64, 128, 1, 1, 2, 0, 56},
    {"resnet18/layer2/conv", 128, 128, 1, 3, 1, 1, 28},
    {"resnet18/layer3/conv1", 128, 256, 1, 3, 2, 1, 28},
    {"resnet18/layer3/downsample", 128, 256, 1, 1, 2, 0, 28},
    {"resnet18/layer3/conv", 256, 256, 1, 3, 1, 1, 14},
    {"resnet18/layer4/conv1", 256, 512, 1, 3, 2, 1, 14},
    {"resnet18/layer4/downsample", 256, 512, 1, 1, 2, 0, 14},
    {"resnet18/layer4/conv", 512, 512, 1, 3, 1, 1, 7},
};

const int conv_shape_count = (int)(sizeof conv_shapes / sizeof conv_shapes[0]);

conv_problem conv_shape_problem(const conv_shape *s, int batch)
{
    int out = (s->size + 2 * s->pad - s->kernel) / s->stride + 1;
    conv_problem p = {.batch = batch,
                      .in_channels = s->channels,
                      .out_channels = s->filters,
                      .groups = s->groups};

    for (int i = 0; i < 2; i++) {
        p.in_size[i] = s->size;
        p.out_size[i] = out;
        p.kernel[i] = s->kernel;
        p.stride[i] = s->stride;
        p.dilation[i] = 1;
        p.pad[i] = s->pad;
    }
    return p;
}

bool conv_shape_is_first(const conv_shape *s)
{
    return s->channels == 3;
}

bool conv_shape_is_vgg(const conv_shape *s)
{
    return strncmp(s->name, "vgg16/", 6) == 0;
}

bool conv_shape_suits_winograd(const conv_shape *s)
{
    return s->kernel == 3 && s->stride == 1 && s->channels / s->groups >= 128 &&
           s->filters / s->groups >= 128;
}
