"""The demo's job with the convolution algorithm that DECONV_CONV_ALGORITHM forces, against the same with
the library's own choice: classes of the bundled picture, and the projections of the strongest maps of
three layers as one picture (see script/demo).

    DECONV_CONV_ALGORITHM=NAME python bench/forced_demo.py BUILD

Status 1 if classes come in another order, a probability differs by more than 1e-4, or a value of a pixel
by more than 1 of 255, which is what rounding can do to it.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

FIGURES = pathlib.Path(__file__).resolve().parent.parent / "examples/figures"
NETWORK, PICTURE = FIGURES / "zfnet-small.onnx", FIGURES / "face.png"
LAYERS = ("pool1", "pool2", "pool4")
PROBABILITY, PIXEL = 1e-4, 1


def demo(build, out, environment):
    """Labels, their probabilities, and the picture's values."""
    run = [build / "cli/deconv", "run", NETWORK, PICTURE]
    lines = subprocess.run(run, check=True, env=environment, capture_output=True, text=True).stdout
    places = [line.split(maxsplit=2) for line in lines.splitlines()]
    montage = [build / "examples/layers_montage", NETWORK, PICTURE, out, *LAYERS]
    subprocess.run(montage, check=True, env=environment)
    probabilities = np.array([float(probability) for _, probability, _ in places])
    return [label for _, _, label in places], probabilities, np.asarray(Image.open(out), int)


def main():
    build = pathlib.Path(sys.argv[1])
    forced = dict(os.environ)
    algorithm = forced["DECONV_CONV_ALGORITHM"]
    free = {name: value for name, value in forced.items() if name != "DECONV_CONV_ALGORITHM"}
    with tempfile.TemporaryDirectory() as folder:
        wanted = demo(build, pathlib.Path(folder) / "free.png", free)
        found = demo(build, pathlib.Path(folder) / "forced.png", forced)
    if found[0] != wanted[0] or found[2].shape != wanted[2].shape:
        print(f"{algorithm}: classes {found[0]}, not {wanted[0]}; picture {found[2].shape}")
        return 1
    probability = np.abs(found[1] - wanted[1]).max()
    pixels = np.abs(found[2] - wanted[2])
    print(
        f"the same {len(found[0])} classes to {probability:.0e}; {(pixels > 0).sum()} of {pixels.size} "
        f"values of the picture differ, by {pixels.max()} at most"
    )
    return not (probability <= PROBABILITY and pixels.max() <= PIXEL)


if __name__ == "__main__":
    sys.exit(main())
