"""The networks that nets.py compares: random weights with a fixed seed, as PyTorch modules and as
ONNX files."""

import torch
import torchvision

import torchvision_models

SIZES = {"squeezenet1_0": 224, "alexnet": 224, "zfnet": 224, "vgg16": 224, "resnet18": 224}


class Lrn(torch.nn.LocalResponseNorm):
    """Contrast normalisation, exported as ONNX's LRN and not as the steps PyTorch makes of it. Signals
    pass it unchanged on the way back, as the deconvnet has it, in libdeconv by default."""

    def forward(self, x):
        if torch.onnx.is_in_onnx_export() or torch.is_grad_enabled():
            return LrnFunction.apply(x, self.size, self.alpha, self.beta, self.k)
        return super().forward(x)


class LrnFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, size, alpha, beta, k):
        return torch.nn.functional.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def backward(ctx, signal):
        return signal, None, None, None, None

    @staticmethod
    def symbolic(g, x, size, alpha, beta, k):
        y = g.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=float(k))
        return y.setType(x.type())


def zfnet():
    """Zeiler & Fergus 2013, figure 3. The paper does not state its paddings; these give its sizes."""
    nn = torch.nn

    def conv(channels, filters, kernel, stride, padding):
        return [nn.Conv2d(channels, filters, kernel, stride, padding), nn.ReLU()]

    pool = (3, 2, 0)
    return nn.Sequential(
        *conv(3, 96, 7, 2, 1),
        nn.MaxPool2d(*pool, ceil_mode=True),
        Lrn(5, alpha=1e-4, beta=0.75),
        *conv(96, 256, 5, 2, 0),
        nn.MaxPool2d(*pool, ceil_mode=True),
        Lrn(5, alpha=1e-4, beta=0.75),
        *conv(256, 384, 3, 1, 1),
        *conv(384, 384, 3, 1, 1),
        *conv(384, 256, 3, 1, 1),
        nn.MaxPool2d(*pool, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, 1000),
    )


def spread(model):
    """Weights under which activations neither die nor explode on the way (He et al. 2015)."""
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.uniform_(module.bias, -0.1, 0.1)


def make(name):
    torch.manual_seed(7)
    if name == "zfnet":
        model = zfnet()
    else:
        model = getattr(torchvision.models, name)(weights=None)
    spread(model)
    model.eval()
    torchvision_models.calibrate(model, SIZES[name])
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    return model


def pictures(name, count):
    """Smooth random pictures, like photos rather than like noise."""
    torch.manual_seed(8)
    coarse = torch.randn(count, 3, 28, 28)
    size = SIZES[name]
    fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return (fine + 0.1 * torch.randn(count, 3, size, size)).contiguous()


def export(name, model, folder):
    path = folder / f"{name}.onnx"
    torchvision_models.export(model, pictures(name, 2), path)
    return path
