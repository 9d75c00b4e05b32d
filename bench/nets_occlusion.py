"""Occlusion sweeps: the incremental engine beside the plain sweep and beside Captum's Occlusion, and
the memory that a sweep takes.

    python bench/nets_occlusion.py                      the table of targets, about a quarter of an hour
    python bench/nets_occlusion.py --only TEXT          networks with TEXT in their name
    python bench/nets_occlusion.py --parts ratio,memory some of ratio, few, captum, memory

Random weights with a fixed seed; packages of requirements-nets.txt. What would take minutes is
sampled, and the report says so:

- What takes less than QUICK seconds runs REPEATS times; the median counts.
- The plain sweep takes as long for one place as for the next. It runs on two blocks of places, one
  batch and three, before the incremental sweep and after it; what a place costs is the difference.
- The incremental sweep runs as a whole, but for the networks of EVERY: there on every so many rows of
  places, in the middle of the rows that they stand for, borders among them. Its time for all places
  is the time of the sample times rows by rows of the sample; the clean picture's pass, which is
  there once, and fewer kinds of windows are in it, so that the ratio is rather too small.
- Captum runs on one row of places, AT_A_TIME a call ("perturbations_per_eval"), after a pass that is
  not timed; every place is a whole pass of the same size.

Windows pay least where places are few and patches large: "few" runs both engines in turn on grids of
4 x 4 places, as a whole.

Maps of both engines are compared where both were computed: status 1 if a probability differs by more
than 1e-6. A target that is missed changes no status; the last lines say which.
"""

import argparse
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time
import typing

import numpy as np

import deconv_ctypes as deconv

TARGETS = {
    "vgg16": 7.0,
    "zfnet": 4.2,
    "alexnet": 2.8,
    "resnet18": 2.4,
    "squeezenet1_0": 3.0,
    "inception_v3": 1.0,
    "densenet121": 1.0,
}
SIZE = {"inception_v3": 299}
# Odd: rows of places at every offset to the networks' strides are in the sample.
EVERY = {"inception_v3": 9, "densenet121": 7}
PARTS = ("ratio", "few", "captum", "memory")
BATCH = 32  # places at a time in the plain sweep
TOLERANCE = 1e-6
QUICK, REPEATS = 8.5, 3  # what takes fewer seconds runs so many times
DISTURBED = 1.15  # the plain sweep before and after the incremental one

FEW_PATCHES, FEW_SIDE, FEW_TURNS = (64, 96), 4, 2
NEVER_BELOW = 0.95  # not slower than the plain sweep by more than 5 %
FEW_LEFT_OUT = ("vgg16",)  # gains most, takes longest

CAPTUM_TARGET, CAPTUM_STRIDES = 8.0, (16, 4)
AT_A_TIME = 32
WARM_UP = 8  # pictures

MEMORY_NETWORK, MEMORY_BUDGET, MEMORY_STRIDES = "squeezenet1_0", 16 << 20, (16, 1)
MEMORY_GROWTH = 1.02  # what is read back grows a little until a batch is full


def timed(run):
    """Seconds, the median of REPEATS where they are few, and what came out."""
    seconds = []
    while len(seconds) < (REPEATS if not seconds or seconds[0] < QUICK else 1):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


class Grid(typing.NamedTuple):
    """Places of a square patch on a square picture."""

    size: int
    patch: int
    stride: int

    def steps(self):
        return (self.size - self.patch) // self.stride

    def side(self):
        return self.steps() + 1 + (self.steps() * self.stride + self.patch < self.size)

    def count(self):
        return self.side() ** 2


class Block(typing.NamedTuple):
    """Rows of places, `every` rows apart, and the first `columns` places of each."""

    first: int
    every: int
    rows: int
    columns: int

    def region(self, grid):
        last = self.first + (self.rows - 1) * self.every
        return (
            self.first * grid.stride,
            0,
            last * grid.stride + grid.patch,
            min((self.columns - 1) * grid.stride + grid.patch, grid.size),
        )


def largest_block(places, first, every, rows, columns):
    """As many places as fit in `places`, long rows rather than many."""
    best = max(range(1, rows + 1), key=lambda r: (r * min(columns, places // r), -r))
    return Block(first, every, best, min(columns, places // best))


class Sweeps:
    """The sweeps of one network."""

    def __init__(self, ctx, path, picture, grid, every):
        self.net = deconv.Net(ctx, path)
        self.picture = picture
        self.grid = grid
        first, side = every // 2, grid.side()
        # The last row may be flush with the edge, off the stride: it is in whole sweeps only.
        rows = len(range(first, grid.steps() + 1, every)) if every > 1 else side
        self.sample = Block(first, every, rows, side)
        block = lambda places: largest_block(
            places, first, every, min(rows, grid.steps() + 1), grid.steps() + 1
        )
        # With the clean picture these are whole batches.
        self.blocks = [block(BATCH - 1), block(3 * BATCH - 1)]

    def run(self, engine, block=None):
        grid = self.grid
        stride, region = (grid.stride, grid.stride), None
        if block:
            stride, region = (block.every * grid.stride, grid.stride), block.region(grid)
        return self.net.occlude(self.picture, (grid.patch, grid.patch), stride, engine, region)

    def plain(self):
        """Seconds for all places, and the map of the larger block."""
        (one, _), (three, block) = [timed(lambda: self.run("full", b)) for b in self.blocks]
        small, large = [b.rows * b.columns for b in self.blocks]
        each = (three - one) / (large - small)
        return one + each * (self.grid.count() - small), block

    def incremental(self):
        """Seconds for all places, and the map."""
        block = self.sample if self.sample.every > 1 else None
        seconds, sweep = timed(lambda: self.run("incremental", block))
        return seconds * self.grid.side() / self.sample.rows, sweep

    def warm_up(self, engines=("full", "incremental")):
        """Compiles kernels and reads weights."""
        for engine in engines:
            self.run(engine, self.blocks[0])


def difference(block, sweep):
    """The largest one where both have a value, and how many places that are."""
    rows = np.isin(sweep.tops, block.tops), np.isin(block.tops, sweep.tops)
    columns = np.isin(sweep.lefts, block.lefts), np.isin(block.lefts, sweep.lefts)
    a = sweep.values[np.ix_(rows[0], columns[0])]
    b = block.values[np.ix_(rows[1], columns[1])]
    return float(np.abs(a - b).max()), a.size, a.tobytes() == b.tobytes()


# ---- The engines ----


class Verdicts:
    def __init__(self):
        self.lines = []
        self.wrong = False

    def add(self, what, wanted, reached, met, note=""):
        self.lines.append(
            f"{what:52} {wanted:>10} {reached:>10}  {'met' if met else 'MISSED'}{note}"
        )


def compare_engines(name, sweeps, arguments, verdicts, said):
    sweeps.warm_up()
    said.clear()
    before, block = sweeps.plain()
    seconds, sweep = sweeps.incremental()
    after, _ = sweeps.plain()
    full = (before + after) / 2
    largest, compared, same = difference(block, sweep)
    ratio = full / seconds
    print(f"{name:14} {sweeps.grid.count():6} {full:9.1f} {seconds:12.2f} {ratio:7.2f}", end="")
    print(f"   {'same bits' if same else f'{largest:.1e} apart'} at {compared}", end="")
    if sweeps.sample.every > 1:
        print(f", sampled: {sweeps.sample.rows} of {sweeps.grid.side()} rows", end="")
    if max(before, after) > DISTURBED * min(before, after):
        print(f", disturbed: plain {before:.0f} s before, {after:.0f} s after", end="")
    print(flush=True)
    for line in said:
        if "kinds of windows" in line:
            print(f"{'':14} {line.removeprefix('occlusion: ')}")
            break
    verdicts.wrong |= largest > TOLERANCE
    verdicts.add(f"{name}: incremental against the plain sweep", f">= {TARGETS[name]:g}x",
                 f"{ratio:.2f}x", ratio >= TARGETS[name])
    verdicts.add(f"{name}: probabilities against the plain sweep", "<= 1e-6", f"{largest:.1e}",
                 largest <= TOLERANCE, ", the same bits" if same else "")
    return seconds


def compare_few(name, ctx, path, picture, verdicts):
    """Both engines in turn; the least of the turns counts."""
    ratios = []
    size = picture.shape[-1]
    for patch in FEW_PATCHES:
        sweeps = Sweeps(ctx, path, picture, Grid(size, patch, (size - patch) // (FEW_SIDE - 1)), 1)
        sweeps.warm_up()
        times = {"full": [], "incremental": []}
        for _ in range(FEW_TURNS):
            for engine, seconds in times.items():
                start = time.perf_counter()
                sweeps.run(engine)
                seconds.append(time.perf_counter() - start)
        sweeps.net.close()
        ratios.append(min(times["full"]) / min(times["incremental"]))
    told = ", ".join(f"patch {p}: {r:.2f}" for p, r in zip(FEW_PATCHES, ratios))
    print(f"{name:14} few places, {told}", flush=True)
    verdicts.add(f"{name}: few places, never slower by more than 5 %", f">= {NEVER_BELOW:g}x",
                 f"{min(ratios):.2f}x", min(ratios) >= NEVER_BELOW)


# ---- Captum ----


def captum_row(model, picture, grid):
    """Seconds for a row of places, and how many passes they are."""
    import captum.attr
    import torch

    x = torch.from_numpy(picture)

    # Captum covers all of what it is given: a strip, which the model sees inside the picture.
    def strip(part):
        whole = x.repeat(part.shape[0], 1, 1, 1)
        whole[:, :, : grid.patch, :] = part
        return model(whole)

    occlusion = captum.attr.Occlusion(strip)
    channels = picture.shape[1]
    with torch.no_grad():
        target = int(model(x.repeat(WARM_UP, 1, 1, 1))[0].argmax())
        seconds, _ = timed(
            lambda: occlusion.attribute(
                x[:, :, : grid.patch, :],
                sliding_window_shapes=(channels, grid.patch, grid.patch),
                strides=(channels, grid.patch, grid.stride),
                target=target,
                baselines=0,
                perturbations_per_eval=AT_A_TIME,
            )
        )
    return seconds, grid.side() + 1  # and one over the clean picture


def compare_with_captum(ctx, name, model, path, picture, arguments, verdicts, known):
    """`known`: our seconds by stride, where they were measured already."""
    print(f"\nCaptum's Occlusion, {name}, patch {arguments.patch}, {AT_A_TIME} places a call,")
    print("extrapolated from one row of places (every place is one pass of the same size)")
    print("stride  places   row s  Captum s      ours s   ratio")
    for stride in CAPTUM_STRIDES:
        grid = Grid(picture.shape[-1], arguments.patch, stride)
        if stride not in known:
            sweeps = Sweeps(ctx, path, picture, grid, 1)
            sweeps.warm_up(("incremental",))
            known[stride] = sweeps.incremental()[0]
            sweeps.net.close()
        row, passes = captum_row(model, picture, grid)
        theirs = row / passes * (grid.count() + 1)
        ratio = theirs / known[stride]
        print(f"{stride:6} {grid.count():7} {row:7.1f} {theirs:9.0f} {known[stride]:11.2f} {ratio:7.1f}",
              flush=True)
        verdicts.add(f"{name}, stride {stride}: against Captum", f">= {CAPTUM_TARGET:g}x",
                     f"{ratio:.1f}x", ratio >= CAPTUM_TARGET)


# ---- Memory ----


def most_held(arguments, path, picture, stride):
    """Seconds, places, and the MB that the device's buffers took at most, as the library logs it."""
    said = []
    ctx = deconv.Context(arguments.device, memory=MEMORY_BUDGET, log=said.append)
    net = deconv.Net(ctx, path)
    patch = (arguments.patch, arguments.patch)
    start = time.perf_counter()
    sweep = net.occlude(picture, patch, (stride, stride), "incremental")
    seconds = time.perf_counter() - start
    net.close()
    ctx.close()
    told = re.search(r"device memory: at most ([\d.]+) MB", "\n".join(said))
    return seconds, sweep.values.size, float(told[1])


def compare_memory(name, path, picture, arguments, verdicts):
    print(f"\nDevice memory, {name}, patch {arguments.patch}, a budget of {MEMORY_BUDGET >> 20} MiB")
    print("stride  places  seconds  at most MB")
    held = []
    for stride in MEMORY_STRIDES:
        stride *= arguments.memory_stride
        seconds, places, megabytes = most_held(arguments, path, picture, stride)
        held.append((places, megabytes))
        print(f"{stride:6} {places:7} {seconds:8.1f} {megabytes:11.1f}", flush=True)
    (few, small), (many, large) = held
    verdicts.add(f"{name}: device memory at {many} places", f"<= {MEMORY_GROWTH * small:.1f} MB",
                 f"{large:.1f} MB", large <= MEMORY_GROWTH * small,
                 f", {small:.1f} MB at {few} places")


# ---- Networks ----


def make(name, arguments, folder):
    """The model, its file, a picture; no model where files are given."""
    size = SIZE.get(name, 224)
    if arguments.models:
        path = pathlib.Path(arguments.models) / f"{name}.onnx"
        picture = np.random.default_rng(8).normal(size=(1, 3, size, size)).astype(np.float32)
        return None, path, picture
    import nets_models

    nets_models.SIZES.setdefault(name, size)
    model = nets_models.make(name)
    path = nets_models.export(name, model, folder)
    return model, path, nets_models.pictures(name, 1).numpy()


def examine(name, ctx, arguments, verdicts, said, later):
    """The ratio at once, what is printed in tables of its own into `later`."""
    captum = "captum" in arguments.parts and name == arguments.captum and not arguments.models
    memory = "memory" in arguments.parts and name == MEMORY_NETWORK
    ratio = "ratio" in arguments.parts
    few = "few" in arguments.parts and name not in FEW_LEFT_OUT
    if not (ratio or few or captum or memory):
        return
    model, path, picture = make(name, arguments, arguments.folder)
    known = {}
    if ratio:
        grid = Grid(picture.shape[-1], arguments.patch, arguments.stride)
        sweeps = Sweeps(ctx, path, picture, grid, EVERY.get(name, 1) if arguments.stride < 16 else 1)
        known[arguments.stride] = compare_engines(name, sweeps, arguments, verdicts, said)
        sweeps.net.close()
    if few:
        compare_few(name, ctx, path, picture, verdicts)
    if captum:
        later.append(lambda: compare_with_captum(ctx, name, model, path, picture, arguments, verdicts,
                                                 known))
    if memory:
        later.append(lambda: compare_memory(name, path, picture, arguments, verdicts))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="networks with TEXT in their name")
    parser.add_argument("--parts", default=",".join(PARTS),
                        help=f"comma-separated: {', '.join(PARTS)} (all)")
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--stride", type=int, default=4, help="of the ratios (4)")
    parser.add_argument("--captum", default="vgg16", metavar="NAME",
                        help="the network that Captum runs (vgg16)")
    parser.add_argument("--memory-stride", type=int, default=1, metavar="N",
                        help="N times the strides of the memory's table, for a quick look")
    parser.add_argument("--models", help="folder of NAME.onnx instead of exporting them")
    parser.add_argument("--device", default=os.environ.get("DECONV_DEVICE", "cpu"))
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"--parts {','.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    return arguments


def main():
    arguments = parse()
    verdicts, said, later = Verdicts(), [], []
    ctx = deconv.Context(arguments.device, log=said.append)
    print(f"libdeconv {deconv.version()} on {ctx.device()}")
    if "ratio" in arguments.parts:
        print(f"Patch {arguments.patch}, stride {arguments.stride}; the plain sweep is extrapolated "
              f"from two blocks of places")
        print("network        places   plain s  incremental s  ratio")
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = pathlib.Path(folder)
        for name in TARGETS:
            if arguments.only in name:
                examine(name, ctx, arguments, verdicts, said, later)
        for table in later:
            table()
    print(f"\n{'target':52} {'wanted':>10} {'reached':>10}")
    print("\n".join(verdicts.lines))
    return verdicts.wrong


if __name__ == "__main__":
    sys.exit(main())
