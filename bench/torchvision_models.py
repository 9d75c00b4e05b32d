"""Networks of torchvision, exported to ONNX with random weights: does libdeconv load them, compute what ONNX Runtime
computes, and project what PyTorch's hooks and autograd project?

    python bench/torchvision_models.py [NAME...]

Needs torch, torchvision, onnxruntime and numpy. Differences are relative to the largest value; 1e-4 is allowed.
"""

import argparse
import copy
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import onnxruntime
import torch
import torchvision

import deconv_ctypes as deconv

TOLERANCE = 1e-4

SIZES = {
    "alexnet": 224,
    "vgg16": 224,
    "squeezenet1_1": 224,
    "resnet18": 224,
    "googlenet": 224,
    "inception_v3": 299,
    "densenet121": 224,
    "mobilenet_v2": 224,
    "efficientnet_b0": 224,
}
PROJECTED = ("alexnet", "vgg16", "resnet18")


def make_model(name):
    torch.manual_seed(7)
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model = getattr(torchvision.models, name)(weights=None, **options).eval()
    calibrate(model, SIZES[name])
    return model


def calibrate(model, size):
    """Batch norms that do something and fit what goes through them, as after training."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.uniform_(-0.3, 0.3)
        norm.reset_running_stats()
        norm.momentum = None
    if norms:
        model.train()
        with torch.no_grad():
            model(torch.randn(4, 3, size, size))
        model.eval()


def relative(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def projection_by_hooks(model, picture, unit, rule):
    """Autograd with the ReLUs' backward replaced: the deconvnet, guided and gradient rules. In float64: in float32 a
    sum that rounds across zero flips a ReLU of the gradient rule, and PyTorch itself is off by 2e-3 on VGG-16."""
    model, picture = model.double(), picture.double()
    handles = []
    if rule != "gradient":

        def hook(_, grad_in, grad_out):
            signal = grad_out[0] if rule == "deconvnet" else grad_in[0]
            return (torch.clamp(signal, min=0),)

        for module in model.modules():
            if isinstance(module, torch.nn.ReLU):
                module.inplace = False
                handles.append(module.register_full_backward_hook(hook))
    else:
        for module in model.modules():
            if isinstance(module, torch.nn.ReLU):
                module.inplace = False
    x = picture.clone().requires_grad_(True)
    scores = model(x)
    scores[0, unit].backward(scores[0, unit].detach())
    for handle in handles:
        handle.remove()
    return x.grad[0].numpy()


def check(ctx, name, folder):
    size = SIZES[name]
    model = make_model(name)
    torch.manual_seed(8)
    picture = torch.randn(2, 3, size, size)
    path = folder / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            picture,
            str(path),
            opset_version=13,
            input_names=["picture"],
            output_names=["scores"],
            dynamic_axes={"picture": {0: "N"}, "scores": {0: "N"}},
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"picture": picture.numpy()})[0]

    net = deconv.Net(ctx, path)
    layer = net.outputs()[0]
    trace = net.trace(2, [layer])
    trace.run([ctx.tensor(picture.numpy())])
    scores = trace.activation(layer)
    results = [("forward, ONNX Runtime", relative(scores, expected))]
    trace.close()
    if name in PROJECTED:
        trace = net.trace(1, [layer])
        trace.run([ctx.tensor(picture[:1].numpy())])
        unit = int(scores[0].argmax())
        for rule in ("deconvnet", "guided", "gradient"):
            reference = projection_by_hooks(copy.deepcopy(model), picture[:1], unit, rule)
            result, _ = trace.project(layer, [(0, unit, 0, 0)], (3, size, size), rule)
            results.append((f"{rule}, PyTorch", relative(result[0], reference)))
        trace.close()
    net.close()
    path.unlink()
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(SIZES))
    ctx = deconv.Context()
    failures = 0
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"onnxruntime {onnxruntime.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in parser.parse_args().names:
            for what, difference in check(ctx, name, pathlib.Path(folder)):
                good = difference <= TOLERANCE
                failures += not good
                print(f"{'ok  ' if good else 'FAIL'} {name:16} {what:24} {difference:.1e}", flush=True)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
