"""Occlusion sweeps: the incremental engine beside the plain sweep, and beside Captum's Occlusion.

    python bench/nets_occlusion.py [--only TEXT] [--captum] [--patch 16] [--stride 4]

Random weights with a fixed seed; packages of requirements-nets.txt. The incremental sweep runs as a
whole. The plain sweep takes as long for one place as for the next, so that it is timed on two bands of
rows, before and after the incremental one, and what one place costs is the difference; its time for
all places is extrapolated from that. So
is Captum's, which runs on the rows of the smaller band, 32 places a call ("perturbations_per_eval").
Results are compared where both have them: status 1 if they differ.
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

import deconv_ctypes as deconv

TARGETS = {"vgg16": 7.0, "zfnet": 4.2, "alexnet": 2.8, "resnet18": 2.4, "squeezenet1_0": 3.0}
NEVER_BELOW = {"densenet121": 1.0, "inception_v3": 1.0}
CAPTUM_TARGET = 8.0
SIZE = {"inception_v3": 299}
AT_A_TIME = 32
DISTURBED = 1.15  # the plain sweep before and after the incremental one


def make(name, folder):
    import nets_models
    import torchvision_models

    nets_models.SIZES.setdefault(name, SIZE.get(name, 224))
    model = nets_models.make(name)
    path = folder / f"{name}.onnx"
    torchvision_models.export(model, nets_models.pictures(name, 2), path)
    return model, path, nets_models.pictures(name, 1).numpy()


def timed(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def places(size, patch, stride):
    steps = (size - patch) // stride
    return steps + 1 + (steps * stride + patch < size)


def plain(net, picture, arguments, whole):
    """Seconds for all places, and the maps of the two bands of rows."""
    size, patch, stride = picture.shape[-1], arguments.patch, arguments.stride
    across, rows = places(size, patch, stride), arguments.rows
    times = {}
    for count in (rows, 3 * rows):
        region = (0, 0, (count - 1) * stride + patch, size)
        net.occlude(picture, patch, stride, "full", region)  # compiles, and plans once
        runs = [timed(lambda: net.occlude(picture, patch, stride, "full", region))
                for _ in range(arguments.rounds)]
        times[count] = statistics.median(r[0] for r in runs)
        band = runs[-1][1]
    each = (times[3 * rows] - times[rows]) / (2 * rows * across)
    return times[rows] + each * (whole - rows * across), band


def captum_time(model, picture, arguments, whole):
    import captum.attr
    import torch

    size, patch, stride = picture.shape[-1], arguments.patch, arguments.stride
    across = places(size, patch, stride)
    x = torch.from_numpy(picture)[:, :, :patch, :]

    # Captum covers all of what it is given: a strip, which the model sees inside the picture.
    def strip(part):
        whole_picture = torch.from_numpy(picture).repeat(part.shape[0], 1, 1, 1)
        whole_picture[:, :, : patch, :] = part
        return model(whole_picture)

    occlusion = captum.attr.Occlusion(strip)
    with torch.no_grad():
        target = int(model(torch.from_numpy(picture)).argmax())
        run = lambda: occlusion.attribute(
            x,
            sliding_window_shapes=(picture.shape[1], patch, patch),
            strides=(picture.shape[1], patch, stride),
            target=target,
            baselines=0,
            perturbations_per_eval=AT_A_TIME,
        )
        run()
        seconds = statistics.median(timed(run)[0] for _ in range(arguments.rounds))
    return seconds / (across + 1) * whole  # and one pass over the clean picture


def compare(name, folder, ctx, arguments):
    model = None
    if arguments.models:
        path = pathlib.Path(arguments.models) / f"{name}.onnx"
        size = SIZE.get(name, 224)
        picture = np.random.default_rng(8).normal(size=(1, 3, size, size)).astype(np.float32)
    else:
        model, path, picture = make(name, folder)
    net = deconv.Net(ctx, path)
    size = picture.shape[-1]
    whole = places(size, arguments.patch, arguments.stride) ** 2
    sweep = lambda: net.occlude(picture, arguments.patch, arguments.stride, "incremental")
    net.occlude(picture, arguments.patch, 4 * arguments.stride, "incremental")
    before, band = plain(net, picture, arguments, whole)
    incremental = [timed(sweep) for _ in range(arguments.rounds)]
    seconds = statistics.median(i[0] for i in incremental)
    after, band = plain(net, picture, arguments, whole)
    full = (before + after) / 2
    rows = band.shape[0] - 1  # the last row of the band may be flush with its edge
    same = np.array_equal(band[:rows], incremental[-1][1][:rows])
    ratio, wanted = full / seconds, TARGETS.get(name) or NEVER_BELOW.get(name, 1.0)
    line = f"{name:15} {whole:6} {full:9.1f} {seconds:12.2f} {ratio:7.2f} {wanted:7.2f}"
    if not same:
        line += f"  DIFFER by {np.abs(band[:rows] - incremental[-1][1][:rows]).max():.1e}"
    elif max(before, after) > DISTURBED * min(before, after):
        line += f"  same bits; plain {before:.0f} s before, {after:.0f} s after: disturbed"
    else:
        line += "  same bits"
    if arguments.captum and model is not None:
        theirs = captum_time(model, picture, arguments, whole)
        line += f"   Captum {theirs:8.1f}, {theirs / seconds:6.1f}x (wanted {CAPTUM_TARGET:g})"
    print(line, flush=True)
    net.close()
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="networks with TEXT in their name")
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--rows", type=int, default=1, help="rows of places that the plain sweep runs")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--captum", action="store_true")
    parser.add_argument("--models", help="folder of NAME.onnx instead of exporting them")
    parser.add_argument("--device", default=os.environ.get("DECONV_DEVICE", "cpu"))
    arguments = parser.parse_args()
    ctx = deconv.Context(arguments.device)
    print(f"libdeconv {deconv.version()} on {ctx.device()}; patch {arguments.patch}, stride {arguments.stride}")
    print(f"{'network':15} places   plain s  incremental s   ratio  wanted")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for name in list(TARGETS) + list(NEVER_BELOW):
            if arguments.only in name:
                good = compare(name, pathlib.Path(folder), ctx, arguments) and good
    return not good


if __name__ == "__main__":
    sys.exit(main())
