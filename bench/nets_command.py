"""The `deconv` command as a process: its peak memory, and how long it takes from cold and warm."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

# libdeconv's and PoCL's caches of compiled programs.
CACHES = ("XDG_CACHE_HOME", "POCL_CACHE_DIR")


def write_picture(path, size=256):
    """A smooth random picture as PPM."""
    coarse = np.random.default_rng(8).integers(0, 256, (8, 8, 3))
    rows = coarse.repeat(size // 8, 0).repeat(size // 8, 1).astype(np.uint8)
    path.write_bytes(b"P6\n%d %d\n255\n" % (size, size) + rows.tobytes())


# Runs a command and prints its seconds and peak bytes. In an interpreter of its own: the peak that the
# system tells of a process counts what its parent held when it was started, here gigabytes of PyTorch.
MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(status)
"""


def run(command, caches):
    """(seconds, peak bytes) of one process; it must succeed."""
    environment = dict(os.environ, **{name: str(caches / name) for name in CACHES})
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}")
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def project_command(program, model, folder):
    picture = folder / "picture.ppm"
    write_picture(picture)
    out = str(folder / "projection.png")
    return [str(program), "project", "-q", str(model), str(picture), "-o", out]


def start_times(program, model, rounds, lock):
    """Seconds of the first run with every cache empty, and of later ones; medians."""
    cold, warm = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, lock:
            command = project_command(program, model, pathlib.Path(folder))
            cold.append(run(command, pathlib.Path(folder))[0])
            warm += [run(command, pathlib.Path(folder))[0] for _ in range(3)]
    return statistics.median(cold), statistics.median(warm)


def peak_memory(program, model, folder):
    """Peak bytes of a run that finds its programs in the cache."""
    command = project_command(program, model, folder)
    run(command, folder)
    return run(command, folder)[1]


def sizes(net):
    """Bytes of the weights, and of the outputs of all layers for one picture."""
    layers = net.layers()
    weights = sum(info.parameters for info in layers)
    activations = sum(int(np.prod(list(info.shape[: info.rank]))) for info in layers)
    return 4 * weights, 4 * activations
