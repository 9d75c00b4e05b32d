"""Why a projection may differ from Captum's by more than rounding: near ties in the max pools under
its layer.

A pool's signal goes back to the largest cell of each window. Where two cells are closer than float32
resolves, each program's order of summation decides which of them that is, and all that lies below the
window moves. Nothing else on the way back jumps. So for a projection that differs it is shown that

- this file's own pass back in float64, with the switches of the float64 forward pass, is Captum's in
  float64 (which checks the pass itself);
- the same pass with the switches that libdeconv took (recomputed from its activations under each
  pool: the first of the largest cells in row-major order) is libdeconv's projection, and with those
  that PyTorch took in float32 it is Captum's;
- every cell that one of the two chose otherwise than float64 is nearly the largest of its window:
  the gap between them is what float32 loses, as a share of the layer's largest value, which is also
  what docs/architecture.md states rounding in.

What does not hold all of this is a failure.
"""

import copy
import dataclasses

import numpy as np
import torch

import nets_models

SAME = 1e-5  # projections by the same switches, of the largest value
SAME_64 = 1e-10  # both of them in float64
NEAR = 1e-6  # the largest cell of a window less the chosen one, of the largest cell of all maps


def leaves(part):
    """The modules of nested Sequentials in the order they run in."""
    return [m for m in part.modules() if not isinstance(m, torch.nn.Sequential)]


def values(modules, picture):
    """The input of every module, and the output of the last."""
    found = [picture]
    with torch.no_grad():
        for module in modules:
            found.append(module(found[-1]))
    return found


def windows(cells, pool, size):
    """The windows of a square pool, (maps, *size, cells in row-major order), over an array (maps,
    height, width). What lies past the border is -inf."""
    k, s, p = pool.kernel_size, pool.stride, pool.padding
    after = [max(0, (out - 1) * s + k - p - n) for out, n in zip(size, cells.shape[1:])]
    bordered = np.pad(cells, [(0, 0), (p, after[0]), (p, after[1])], constant_values=-np.inf)
    view = np.lib.stride_tricks.sliding_window_view(bordered, (k, k), (1, 2))[:, ::s, ::s]
    return view[:, : size[0], : size[1]].reshape(len(cells), *size, k * k)


def positions(choice, pool, width):
    """The choice of a cell in every window to the cell's position in its map."""
    k, s, p = pool.kernel_size, pool.stride, pool.padding
    rows, columns = np.ogrid[: choice.shape[1], : choice.shape[2]]
    return (rows * s - p + choice // k) * width + columns * s - p + choice % k


def apart(a, b):
    """The largest difference relative to the largest value of b."""
    return float(np.abs(a - b).max() / (np.abs(b).max() or 1))


@dataclasses.dataclass
class Program:
    """What one program did otherwise than float64, and what remains by the same switches."""

    off: float  # its projection from float64's
    otherwise: int  # windows
    gap: float  # the largest
    same: float  # its projection from the one in float64 by its own switches

    def explained(self):
        return self.gap <= NEAR and self.same <= SAME


@dataclasses.dataclass
class Finding:
    unit: tuple
    difference: float
    windows: int
    check: float  # of this file's pass in float64 from Captum's
    same_bits: bool  # libdeconv's projection by the trace that was looked into
    libdeconv: Program
    captum: Program

    def explained(self):
        programs = self.libdeconv.explained() and self.captum.explained()
        return programs and self.check <= SAME_64 and self.same_bits

    def lines(self):
        ours, theirs = self.libdeconv, self.captum
        unit, y, x = self.unit
        verdict = "near tie" if self.explained() else "FAIL    "
        yield (
            f"{verdict} map {unit} at {y},{x}: {self.difference:.1e} apart;"
            f" from Captum in float64: libdeconv {ours.off:.1e}, Captum {theirs.off:.1e}"
        )
        yield (
            f"         chosen otherwise than in float64: libdeconv {ours.otherwise}, Captum"
            f" {theirs.otherwise} of {self.windows} windows, gap {max(ours.gap, theirs.gap):.1e};"
            f" agree to {ours.same:.1e}, {theirs.same:.1e} with the same switches"
        )
        if self.check > SAME_64:
            yield f"         Captum in float64 differs from this pass by {self.check:.1e}"
        if not self.same_bits:
            yield "         libdeconv's projection has other bits where activations are kept"


class Ties:
    """The network under one convolution in float64, and what both programs chose in its pools."""

    def __init__(self, part, picture, net, layer):
        self.part = copy.deepcopy(part).double()
        self.picture = picture
        self.modules = leaves(self.part)
        self.values = values(self.modules, picture.double())
        self.pools = [i for i, m in enumerate(self.modules) if isinstance(m, torch.nn.MaxPool2d)]
        self.float64 = self.choices({i: self.values[i] for i in self.pools})
        single = values(leaves(part), picture)
        self.captum = self.choices({i: single[i] for i in self.pools})
        # Networks are sequential: what a pool reads is the layer before.
        infos = net.layers()
        read = [i - 1 for i in range(layer) if infos[i].op_type == b"MaxPool"]
        self.ctx, self.layer = net.ctx, layer
        self.trace = net.trace(1, [*read, layer], rules=("deconvnet",))
        self.trace.run([picture.numpy()])
        kept = {p: torch.from_numpy(self.trace.activation(i)) for p, i in zip(self.pools, read)}
        self.libdeconv = self.choices(kept)

    def close(self):
        self.trace.close()

    def windows(self, pool, value):
        size = self.values[pool + 1].shape[2:]
        assert value.shape == self.values[pool].shape
        return windows(value[0].numpy(), self.modules[pool], size)

    def choices(self, inputs):
        """{pool: the cell of every window that is the first of the largest}, of the pools' inputs."""
        return {i: self.windows(i, value).argmax(-1) for i, value in inputs.items()}

    def otherwise(self, choices):
        """In how many windows these differ from float64's choices, and the largest gap."""
        count, gap = 0, 0.0
        for i in self.pools:
            maps, rows, columns = np.nonzero(choices[i] != self.float64[i])
            cells = self.windows(i, self.values[i])[maps, rows, columns]
            chosen = np.take_along_axis(cells, choices[i][maps, rows, columns, None], 1)[:, 0]
            gaps = (cells.max(1) - chosen) / (float(self.values[i].max()) or 1)
            count, gap = count + len(maps), max([gap, *gaps])
        return count, float(gap)

    def back(self, unit, choices):
        """The deconvnet's pass from 1 at a unit, in float64."""
        signal = torch.zeros_like(self.values[-1])
        signal[(0, *unit)] = 1
        for i in reversed(range(len(self.modules))):
            signal = self.back_through(i, signal, choices)
        return signal[0].numpy()

    def back_through(self, i, signal, choices):
        module, below = self.modules[i], self.values[i]
        if isinstance(module, torch.nn.Conv2d):
            k, s, p = module.kernel_size, module.stride, module.padding
            size = signal.shape[2:]
            # What the last window leaves of its input.
            rest = [below.shape[2 + d] + 2 * p[d] - k[d] - (size[d] - 1) * s[d] for d in (0, 1)]
            with torch.no_grad():
                return torch.nn.functional.conv_transpose2d(signal, module.weight, None, s, p, rest)
        if isinstance(module, torch.nn.ReLU):
            return signal.clamp(min=0)
        if isinstance(module, torch.nn.MaxPool2d):
            at = torch.from_numpy(positions(choices[i], module, below.shape[3])).flatten(1)[None]
            cells = torch.zeros_like(below).flatten(2).scatter_add_(2, at, signal.flatten(2))
            return cells.reshape(below.shape)
        if isinstance(module, nets_models.Lrn):
            return signal
        raise TypeError(f"no pass back through {module}")

    def program(self, unit, projection, choices, exact):
        count, gap = self.otherwise(choices)
        same = apart(projection, self.back(unit, choices))
        return Program(apart(projection, exact), count, gap, same)

    def again(self, unit):
        """libdeconv's projection from the trace whose activations were read."""
        tensor = self.ctx.empty((1, *self.picture.shape[1:]))
        try:
            self.trace.project_into(tensor, self.layer, [(0, *unit)], value="one")
            return self.ctx.read(tensor)[0]
        finally:
            self.ctx.destroy(tensor)

    def explain(self, unit, mine, theirs, captum):
        """The projections of both programs; `captum(part, picture, unit)` is that of another part."""
        exact = captum(self.part, self.picture.double(), unit)
        return Finding(
            unit,
            apart(mine, theirs),
            sum(c.size for c in self.float64.values()),
            apart(self.back(unit, self.float64), exact),
            np.array_equal(self.again(unit), mine),
            self.program(unit, mine, self.libdeconv, exact),
            self.program(unit, theirs, self.captum, exact),
        )
