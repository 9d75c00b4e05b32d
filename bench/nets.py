"""Whole networks beside other programs: forward passes (PyTorch, ONNX Runtime), projections of all
maps of a layer (Captum), and what `deconv project` takes of memory and of time to start.

    python bench/nets.py [forward] [project] [memory] [start]     default: all four

Needs the packages of requirements-nets.txt. Everything runs in one process on the same number of
threads, in turn; figures are medians. Results are compared too: status 1 if they differ. Projections
that do so for near ties in max pools pass, once nets_ties.py has shown that this is why.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import captum
import numpy as np
import onnxruntime
import torch
import torchvision

import deconv_ctypes as deconv
import nets_command
import nets_forward
import nets_models
import nets_project
import side_by_side

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ("forward", "project", "memory", "start")
PROJECTED = ("zfnet", "vgg16")

# What is asked of each figure.
FORWARD_RATIO = 1.0
PROJECT_MEAN, PROJECT_LEAST = 10.0, 2.0
COLD_SECONDS, WARM_SECONDS = 12.0, 0.7


class Bench:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder
        self.ctx = deconv.Context(arguments.device)
        self.threads = arguments.threads
        self.effort = {"rounds": arguments.rounds, "lock": side_by_side.MachineLock(arguments.lock)}
        self.failures = 0
        self.targets = []

    def fail(self, text):
        self.failures += 1
        print(f"FAIL {text}", flush=True)

    def target(self, what, figure, wanted, met):
        self.targets.append(f"{'ok    ' if met else 'missed'} {what}: {figure} (wanted {wanted})")

    def wants(self, name):
        return self.arguments.only in name

    def export(self, name):
        model = nets_models.make(name)
        return model, nets_models.export(name, model, self.folder)


def print_versions(bench):
    print(
        f"libdeconv {deconv.version()} on {bench.ctx.device()}, {bench.threads} threads\n"
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"onnxruntime {onnxruntime.__version__}, captum {captum.__version__}, "
        f"numpy {np.__version__}"
    )


def compare_forward(bench):
    print("\nWhole forward passes, milliseconds; ratios: the faster other's time by libdeconv's, and by that")
    print("of an approximate trace (\"fast\")")
    print(f"{'network':15} batch  libdeconv     fast  PyTorch  ONNX Runtime  ratio   fast  difference")
    for name in filter(bench.wants, nets_models.SIZES):
        bench.effort["lock"].release()
        model, path = bench.export(name)
        net = deconv.Net(bench.ctx, path)
        for batch in bench.arguments.batch:
            seconds, difference = nets_forward.compare(
                bench.ctx, net, name, model, path, batch, bench.threads, bench.effort
            )
            mine, fast, pytorch, ort = (1e3 * s for s in seconds.values())
            ratio, fast_ratio = min(pytorch, ort) / mine, min(pytorch, ort) / fast
            print(
                f"{name:15} {batch:5} {mine:10.1f} {fast:8.1f} {pytorch:8.1f} {ort:13.1f} {ratio:6.2f} "
                f"{fast_ratio:6.2f} {difference:11.1e}",
                flush=True,
            )
            if not difference <= nets_forward.TOLERANCE:
                bench.fail(f"{name}, batch {batch}: scores differ by {difference:.1e}")
            if batch == 8:
                met = ratio >= FORWARD_RATIO
                bench.target(f"forward {name}, batch 8", f"{ratio:.2f}", FORWARD_RATIO, met)
                met = fast_ratio >= FORWARD_RATIO
                bench.target(
                    f"forward {name}, batch 8, approximate", f"{fast_ratio:.2f}", FORWARD_RATIO, met
                )
        net.close()
        path.unlink()


def compare_projections(bench):
    print("\nProjections of all maps of a layer at their maxima, seconds")
    print(
        f"{'layer':14} maps  libdeconv   Captum  (sample, batch)   ratio  difference: median, worst"
    )
    ratios = []
    for name in filter(bench.wants, PROJECTED):
        bench.effort["lock"].release()
        model, path = bench.export(name)
        net = deconv.Net(bench.ctx, path)
        for row in nets_project.layers(bench.ctx, net, name, model, bench.arguments, bench.effort):
            print(
                f"{row['layer']:14} {row['maps']:4} {row['libdeconv']:10.3f} {row['captum']:8.2f}"
                f"  ({row['sample']:6}, {row['captum_batch']:5}) {row['ratio']:7.2f}"
                f"  {row['difference']:.1e}, {row['worst']:.1e}",
                flush=True,
            )
            ratios.append(row["ratio"])
            for finding in row["ties"]:
                print("\n".join(f"    {line}" for line in finding.lines()), flush=True)
                if not finding.explained():
                    bench.fail(f"{row['layer']}: a projection differs")
        net.close()
        path.unlink()
    if ratios:
        mean = float(np.exp(np.mean(np.log(ratios))))
        print(f"geomean {mean:.2f} least {min(ratios):.2f}")
        bench.target("projections, geomean", f"{mean:.2f}", PROJECT_MEAN, mean >= PROJECT_MEAN)
        met = min(ratios) >= PROJECT_LEAST
        bench.target("projections, least", f"{min(ratios):.2f}", PROJECT_LEAST, met)


def measure_memory(bench):
    _, path = bench.export("vgg16")
    net = deconv.Net(bench.ctx, path)
    weights, activations = nets_command.sizes(net)
    net.close()
    peak = nets_command.peak_memory(bench.arguments.program, path, bench.folder)
    path.unlink()
    allowed = 2 * weights + 1.5 * activations
    mib = 1 / 2**20
    print(
        f"\nPeak memory of deconv project on VGG-16: {peak * mib:.0f} MiB; weights {weights * mib:.0f},"
        f" activations of all layers {activations * mib:.0f}: allowed {allowed * mib:.0f}"
    )
    bench.target(
        "memory, VGG-16", f"{peak * mib:.0f} MiB", f"{allowed * mib:.0f} MiB", peak <= allowed
    )


def measure_start(bench):
    model = bench.arguments.squeezenet
    if model is None:
        _, model = bench.export("squeezenet1_0")
    cold, warm = nets_command.start_times(bench.arguments.program, model, 3, bench.effort["lock"])
    print(
        f"\ndeconv project on SqueezeNet 1.0 ({model.name}): every cache empty {cold:.2f} s, "
        f"again {warm:.2f} s"
    )
    bench.target("start, cold", f"{cold:.2f} s", f"{COLD_SECONDS} s", cold <= COLD_SECONDS)
    bench.target("start, warm", f"{warm:.2f} s", f"{WARM_SECONDS} s", warm <= WARM_SECONDS)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--only", default="", metavar="TEXT", help="networks with TEXT in their name")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8], help="of forward passes")
    parser.add_argument("--layer", type=int, nargs="*", help="convolutions by number, from 1")
    parser.add_argument("--sample", type=int, default=16, help="maps per layer that Captum projects")
    parser.add_argument("--maps", type=int, help="only the first MAPS of a layer, for a quick look")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--lock", metavar="FILE", help="lock FILE while timing (as flock -x does)")
    parser.add_argument("--squeezenet", type=pathlib.Path, help="the ONNX file for `start`")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/cli/deconv")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part}; the parts are {', '.join(PARTS)}")
    return arguments


def main():
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    measures = dict(
        forward=compare_forward,
        project=compare_projections,
        memory=measure_memory,
        start=measure_start,
    )
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, pathlib.Path(folder))
        print_versions(bench)
        for part in arguments.parts or PARTS:
            measures[part](bench)
    if side_by_side.disturbed:
        print(f"\n{side_by_side.disturbed} slices were disturbed by other processes")
    print("\nTargets")
    for line in bench.targets:
        print(line)
    return bench.failures != 0


if __name__ == "__main__":
    sys.exit(main())
