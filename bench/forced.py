"""Every convolution algorithm forced in turn (DECONV_CONV_ALGORITHM), against what the library's results
are checked by: the float64 references, the reference projections and class of SqueezeNet, broken inputs,
the demo's picture, the ONNX project's node tests, networks of torchvision beside ONNX Runtime and PyTorch.

    python bench/forced.py [--algorithm NAME...] [--check NAME...] [--networks NAME...]

Wants a build with -DDECONV_SHARED (see docs/testing.md) and the packages of both requirements files; a
check runs in a process of its own. A line for each: seconds, and the last line it printed. Status 1 if
one fails.
"""

import argparse
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALGORITHMS = ("blocked", "planar", "pointwise", "few", "depthwise", "implicit", "im2col", "direct", "winograd")
CLASS = "bull mastiff"  # SqueezeNet's, of dog_and_cat


def checks(arguments):
    """{name: (command, text that it must print or None)}"""
    build, shared = arguments.build, arguments.shared
    tests = ["ctest", "--test-dir", str(build), "-R"]
    classify = [build / "cli/deconv", "run", shared / "models/squeezenet1.0.onnx"]
    commands = {
        "class": (classify + [shared / "photos/dog_and_cat_227.png"], CLASS),
        "layers": (tests + [r"^layers\.(conv|convtranspose)$"], None),
        "references": (tests + [r"^real\.references$"], None),
        "bad input": (tests + [r"^command\.bad_input$"], None),
        "demo": ([sys.executable, ROOT / "bench/forced_demo.py", build], "the same 5 classes"),
        "node tests": ([arguments.node_python, ROOT / "bench/onnx_nodes.py"], " 0 failed"),
    }
    for name in arguments.networks:
        commands[name] = ([sys.executable, ROOT / "bench/torchvision_models.py", name], None)
    return commands


def run(algorithm, command, wanted, arguments):
    environment = dict(
        os.environ,
        DECONV_CONV_ALGORITHM=algorithm,
        DECONV_LIBRARY=str(arguments.build / "lib/libdeconv.so.1"),
    )
    start = time.perf_counter()
    done = subprocess.run(
        arguments.before + [str(c) for c in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    good = done.returncode == 0 and (wanted is None or wanted in done.stdout)
    return good, time.perf_counter() - start, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--algorithm", nargs="*", default=ALGORITHMS, choices=ALGORITHMS)
    parser.add_argument("--check", nargs="*", help="only these checks")
    parser.add_argument("--networks", nargs="*", default=["alexnet", "squeezenet1_1", "mobilenet_v2"])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/test")
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
    parser.add_argument("--node-python", default=sys.executable, help="one with requirements.txt")
    parser.add_argument("--before", type=shlex.split, default=[], help="a command to run each check by")
    arguments = parser.parse_args()
    failures = 0
    for algorithm in arguments.algorithm:
        for name, (command, wanted) in checks(arguments).items():
            if arguments.check and name not in arguments.check:
                continue
            good, seconds, lines = run(algorithm, command, wanted, arguments)
            failures += not good
            last = lines[-1].strip() if lines else "nothing printed"
            print(
                f"{algorithm:10} {name:14} {'ok  ' if good else 'FAIL'} {seconds:6.0f} s  {last[:90]}",
                flush=True,
            )
            if not good:
                print("\n".join("    " + line for line in lines[-12:]), flush=True)
    print(f"{failures} failed")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
