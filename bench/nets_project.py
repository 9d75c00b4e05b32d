"""Projections of all maps of a convolution layer at their maxima, one picture: libdeconv with all
seeds in one call, and Captum's Deconvolution.

Captum is used the way that was found fastest for it: the network cut off behind the layer (no part
above it is run), `Deconvolution(part).attribute(picture, target=(map, y, x))`, with batches of 1 and of
8 units (the picture repeated, a list of targets); the faster counts. (NeuronDeconvolution runs the
whole network for every unit.) It is measured on a sample of maps spread over the layer, and its time
for the whole layer is the sample's times maps / sample. Each program's forward pass is part of its
time, and so is handing over the projections as an array in host memory.

Both start from 1 at the unit. Contrast normalisation (ZFNet) is the identity on the way back, as the
paper has it: in the PyTorch network by a function of its own (nets_models.Lrn).
"""

import statistics
import time
import warnings

import captum.attr
import numpy as np
import torch

import nets_models
import nets_ties
import side_by_side

BATCHES = (1, 8)
TOLERANCE = 1e-3


def cut_off(model, conv):
    """The part of a sequential network that ends with the module `conv`."""
    layers = []
    for child in model.children():
        if child is conv:
            return torch.nn.Sequential(*layers, child)
        if isinstance(child, torch.nn.Sequential) and conv in list(child.modules()):
            return torch.nn.Sequential(*layers, cut_off(child, conv))
        layers.append(child)
    raise ValueError("the module is not in the network")


def strongest(activation):
    """(map, y, x) of the largest activation of every map of a (maps, height, width) array."""
    maps, _, width = activation.shape
    at = activation.reshape(maps, -1).argmax(1)
    return [(m, int(p) // width, int(p) % width) for m, p in enumerate(at)]


class Captum:
    """Projections of units of the last layer of `part`, `batch` at a time."""

    def __init__(self, part, picture, units, batch):
        self.method = captum.attr.Deconvolution(part)
        self.picture, self.units, self.batch = picture, units, batch

    def __call__(self):
        results = []
        for i in range(0, len(self.units), self.batch):
            units = self.units[i : i + self.batch]
            pictures = self.picture.repeat(len(units), 1, 1, 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.append(self.method.attribute(pictures, target=units).detach().numpy())
        return np.concatenate(results)


class Deconv:
    """Forward and all projections of a layer; the trace and the memory are made once."""

    def __init__(self, ctx, net, layer, picture, units):
        self.ctx, self.layer, self.picture = ctx, layer, picture
        self.seeds = [(0, *unit) for unit in units]
        self.trace = net.trace(1, [layer], rules=("deconvnet",))
        self.projections = np.zeros((len(units), *picture.shape[1:]), np.float32)
        self.tensor = ctx.empty(self.projections.shape)

    def __call__(self):
        self.trace.run([self.picture])
        self.trace.project_into(self.tensor, self.layer, self.seeds, value="one")
        self.ctx.read_into(self.tensor, self.projections)
        return self.projections

    def close(self):
        self.trace.close()
        self.ctx.destroy(self.tensor)


def sample_of(units, count):
    """Indices of about `count` units spread evenly."""
    return sorted({int(i) for i in np.linspace(0, len(units) - 1, min(count, len(units)))})


def measure(mine, theirs, effort):
    """Median seconds of our whole layer and of the faster batch size of Captum's sample."""
    ours, others = [], {batch: [] for batch in theirs}
    for _ in range(effort["rounds"]):
        ours.append(side_by_side.quietly(mine, effort["lock"]))
        for batch, work in theirs.items():
            others[batch].append(side_by_side.quietly(work, effort["lock"]))
    medians = {batch: statistics.median(values) for batch, values in others.items()}
    best = min(medians, key=medians.get)
    return statistics.median(ours), medians[best], best


def differences(mine, theirs):
    """Of every projection, the largest difference relative to its largest value."""
    largest = np.abs(theirs).reshape(len(theirs), -1).max(1)
    apart = np.abs(mine - theirs).reshape(len(theirs), -1).max(1)
    return apart / np.where(largest > 0, largest, 1)


def explanations(net, layer, part, picture, units, mine, theirs):
    """What nets_ties finds for every unit whose projections differ."""
    differ = [i for i, d in enumerate(differences(mine, theirs)) if not d <= TOLERANCE]
    if not differ:
        return []
    ties = nets_ties.Ties(part, picture, net, layer)
    captum_of = lambda part, picture, unit: Captum(part, picture, [unit], 1)()[0]
    found = [ties.explain(units[i], mine[i], theirs[i], captum_of) for i in differ]
    ties.close()
    return found


def layers(ctx, net, name, model, arguments, effort):
    """For every convolution of the network a dictionary of what was found."""
    picture = nets_models.pictures(name, 1)
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    indices = [i for i, info in enumerate(net.layers()) if info.op_type == b"Conv"]
    assert len(convs) == len(indices)
    for number, (conv, layer) in enumerate(zip(convs, indices), 1):
        if arguments.layer and number not in arguments.layer:
            continue
        part = cut_off(model, conv)
        with torch.no_grad():
            activation = part(picture)[0].numpy()
        units = strongest(activation)[: arguments.maps]
        sample = sample_of(units, arguments.sample)
        mine = Deconv(ctx, net, layer, picture.numpy(), units)
        sampled = [units[i] for i in sample]
        theirs = {b: Captum(part, picture, sampled, b) for b in BATCHES}
        start = time.perf_counter()
        results = mine()[sample], theirs[1]()
        theirs[BATCHES[-1]]()
        effort["lock"].release()
        ties = explanations(net, layer, part, picture, sampled, *results)
        apart = differences(*results)
        ours, other, batch = measure(mine, theirs, effort)
        mine.close()
        whole = other * len(units) / len(sample)
        yield {
            "layer": f"{name}/conv{number}",
            "maps": len(units),
            "sample": len(sample),
            "libdeconv": ours,
            "captum": whole,
            "captum_batch": batch,
            "ratio": whole / ours,
            "difference": float(np.median(apart)),
            "worst": float(apart.max()),
            "ties": ties,
            "took": time.perf_counter() - start,
        }
