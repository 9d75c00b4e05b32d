"""--memory: under a small budget work is split, and the result is the same to the byte.

    check_memory.py DECONV FIGURES

FIGURES is the bundled network's folder. Standard library only.
"""

import array
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

PICTURES = 7


def npy(path, shape, values):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values)


def run(deconv, *arguments):
    subprocess.run([deconv, *map(str, arguments), "-q"], check=True, stdout=subprocess.PIPE)


def main(deconv, figures):
    network = pathlib.Path(figures) / "zfnet-small.onnx"
    chance = random.Random(5)
    shape = (PICTURES, 3, 96, 96)
    count = shape[0] * shape[1] * shape[2] * shape[3]
    values = array.array("f", (chance.random() for _ in range(count))).tobytes()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        npy(folder / "pictures.npy", shape, values)
        for layer in ("pool2", "conv4", "prob"):
            wholes = []
            for memory in ("64M", "3M", "1K"):
                raw = folder / f"{layer}-{memory}.npy"
                run(deconv, "run", network, folder / "pictures.npy", "--layer", layer, "--raw", raw,
                    "--memory", memory)
                wholes.append(raw.read_bytes())
            same = wholes[0] == wholes[1] == wholes[2] and len(wholes[0]) > 128
            print("ok  " if same else "FAIL", "run", layer, len(wholes[0]), "bytes")
            failures += not same
        wholes = []
        for memory in ("64M", "200K"):
            raw = folder / f"projection-{memory}.npy"
            run(deconv, "project", network, pathlib.Path(figures) / "face.png", "--layer", "conv3",
                "--unit", "3", "--raw", raw, "--memory", memory)
            wholes.append(raw.read_bytes())
        same = wholes[0] == wholes[1] and any(wholes[0][128:])
        print("ok  " if same else "FAIL", "project conv3")
        failures += not same
    return failures


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:3]) else 0)
