"""Networks of torchvision, exported to ONNX with random weights: does libdeconv load them, compute
what ONNX Runtime computes, and project what PyTorch's autograd projects?

    python bench/torchvision_models.py [NAME...]

Needs the packages of the second part of requirements.txt. Differences are the largest one relative
to the largest value; 1e-4 is allowed.

The projections are compared with PyTorch in float64. Gradient and guided rule ask of every ReLU
whether its input is above zero; a float32 sum that rounds to the other side of zero answers
differently from a float64 one, and one such gate can move a projection by more than 1e-4 (PyTorch's
own float32 by 2.1e-3 from its float64, on VGG-16 under the gradient rule). So the gates of both sides must be the same ones: PyTorch's
ReLUs take theirs from libdeconv's trace, and it is checked apart that these differ from float64's
own only where the ReLU's input is zero but for rounding.
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
GATE_TOLERANCE = 1e-5  # |x| of a ReLU whose gate differs, relative to the layer's largest

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
    "shufflenet_v2_x1_0": 224,
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


class GatedRelu(torch.autograd.Function):
    """ReLU with its backward pass by rule, through the gate that is handed in."""

    @staticmethod
    def forward(ctx, x, gate, rule):
        ctx.save_for_backward(gate)
        ctx.rule = rule
        # An open gate lets something through, a closed one nothing: a max pool above sees which.
        return torch.where(gate, torch.clamp(x, min=1e-30), torch.zeros_like(x))

    @staticmethod
    def backward(ctx, signal):
        (gate,) = ctx.saved_tensors
        if ctx.rule != "gradient":
            signal = torch.clamp(signal, min=0)
        if ctx.rule != "deconvnet":
            signal = signal * gate
        return signal, None, None


class Gates:
    """The gates of all ReLUs in the order in which they are called, and how many of them float64
    would set otherwise."""

    def __init__(self, activations):
        self.activations = [torch.from_numpy(a) for a in activations]
        self.elements = sum(a.numel() for a in self.activations)
        self.rule = None
        self.restart()

    def restart(self):
        self.calls = 0
        self.flipped = 0
        self.farthest = 0.0

    def take(self, x):
        gate = self.activations[self.calls] > 0
        assert gate.shape == x.shape, f"ReLU {self.calls}: {gate.shape} and {x.shape}"
        other = gate != (x > 0)
        self.calls += 1
        self.flipped += int(other.sum())
        if other.any():
            self.farthest = max(self.farthest, float(x[other].abs().max() / x.abs().max()))
        return gate


class Relu(torch.nn.Module):
    def __init__(self, gates):
        super().__init__()
        self.gates = gates

    def forward(self, x):
        return GatedRelu.apply(x, self.gates.take(x.detach()), self.gates.rule)


def replace_relus(module, gates):
    for name, child in module.named_children():
        if isinstance(child, torch.nn.ReLU):
            setattr(module, name, Relu(gates))
        else:
            replace_relus(child, gates)


def project(model, gates, picture, unit, rule):
    """The projection by autograd, seeded with the unit's score, as libdeconv does by default."""
    gates.restart()
    gates.rule = rule
    x = picture.double().requires_grad_(True)
    scores = model(x)
    scores[0, unit].backward(scores[0, unit].detach())
    assert gates.calls == len(gates.activations), f"{gates.calls} of {len(gates.activations)} ReLUs"
    return x.grad[0].numpy()


def check_projections(net, layer, model, picture, unit):
    """Rows of (what, difference, allowed) for the three rules."""
    relus = [i for i, info in enumerate(net.layers()) if info.op_type == b"Relu"]
    trace = net.trace(1, [*relus, layer])
    trace.run([picture.numpy()])
    gates = Gates([trace.activation(i) for i in relus])
    model = copy.deepcopy(model).double()
    replace_relus(model, gates)
    rows = []
    for rule in ("deconvnet", "guided", "gradient"):
        expected = project(model, gates, picture, unit, rule)
        result, _ = trace.project(layer, [(0, unit, 0, 0)], picture.shape[1:], rule)
        rows.append((f"{rule}, PyTorch float64", relative(result[0], expected), TOLERANCE))
    trace.close()
    what = f"gates: {gates.flipped} of {gates.elements} differ"
    rows.append((what, gates.farthest, GATE_TOLERANCE))
    return rows


def export(model, picture, path):
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


def run_onnxruntime(path, picture):
    """The network as it stands in the file. Without graph optimisations, because Pad_Fusion of
    release 1.19.2 makes Pad and AveragePool into a pool that leaves the padding out of its averages
    (microsoft/onnxruntime issue 22177), and Inception-v3's scores are then wrong by a quarter."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": picture.numpy()})[0]


def check(ctx, name, folder):
    """Rows of (what, difference, allowed) for one network; None: printed, not judged."""
    size = SIZES[name]
    model = make_model(name)
    torch.manual_seed(8)
    picture = torch.randn(2, 3, size, size)
    path = folder / f"{name}.onnx"
    export(model, picture, path)
    expected = run_onnxruntime(path, picture)
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(picture.double()).numpy()

    net = deconv.Net(ctx, path)
    layer = net.outputs()[0]
    trace = net.trace(2, [layer])
    trace.run([picture.numpy()])
    scores = trace.activation(layer)
    trace.close()
    rows = [
        ("forward, ONNX Runtime", relative(scores, expected), TOLERANCE),
        ("forward, PyTorch float64", relative(scores, exact), TOLERANCE),
        ("  ONNX Runtime, PyTorch float64", relative(expected, exact), None),
    ]
    if name in PROJECTED:
        unit = int(scores[0].argmax())
        rows += check_projections(net, layer, model, picture[:1], unit)
    net.close()
    path.unlink()
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(SIZES))
    arguments = parser.parse_args()
    ctx = deconv.Context()
    failures = 0
    print(
        f"libdeconv {deconv.version()} on {ctx.device()}\n"
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names:
            for what, difference, allowed in check(ctx, name, pathlib.Path(folder)):
                bad = allowed is not None and not difference <= allowed
                failures += bad
                mark = "FAIL" if bad else "    " if allowed is None else "ok  "
                print(f"{mark} {name:15} {what:42} {difference:.1e}", flush=True)
    print(f"{failures} failed" if failures else "all within what is allowed")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
