"""deconv project --units: the same projections as one --unit after the other, in one file and one
montage.

    check_units.py DECONV FIGURES

FIGURES is the bundled network's folder. Standard library only.
"""

import ast
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

LAYER, UNITS, LIST = "pool2", [3, 7, 60, 61, 62, 63, 1], "3,7,60-63,1"
MAPS = 64
FIELD = 35  # of pool2
failures = 0


def check(passed, what):
    global failures
    failures += not passed
    print(f"{'ok  ' if passed else 'FAIL'} {what}")


def read_npy(path):
    """Shape and bytes of the values."""
    data = path.read_bytes()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:start].decode())
    check(data[:8] == b"\x93NUMPY\x01\0" and start % 64 == 0, f"{path.name} is aligned")
    check(header["descr"] == "<f4" and not header["fortran_order"], f"{path.name} is float32")
    return header["shape"], data[start:]


def png_size(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


class Deconv:
    def __init__(self, program, figures, folder):
        self.start = [program, "project", figures / "zfnet-small.onnx", figures / "face.png",
                      "--layer", LAYER]
        self.folder = folder

    def __call__(self, *arguments):
        result = subprocess.run(self.start + list(arguments), cwd=self.folder, capture_output=True,
                                text=True)
        check(result.returncode == 0, " ".join(arguments))
        return result


def check_against_single(deconv, folder):
    """A list: bit for bit what --unit gives for each."""
    many = json.loads(deconv("--units", LIST, "--raw", "many.npy", "--json").stdout)
    shape, values = read_npy(folder / "many.npy")
    size = len(values) // len(UNITS)
    check(shape == (len(UNITS), 3, 96, 96) and size == 4 * 3 * 96 * 96, "shape of many.npy")
    check(many["units"] == len(UNITS) and len(many["projections"]) == len(UNITS), "all listed")
    empty = sum(p["largest"] == 0 for p in many["projections"])
    check(many["empty"] == empty > 0, f"{empty} empty projections are counted")
    for i, unit in enumerate(UNITS):
        one = json.loads(deconv("--unit", str(unit), "--raw", "one.npy", "--json").stdout)
        check(one["projections"] == [many["projections"][i]], f"unit {unit}: described alike")
        check(read_npy(folder / "one.npy")[1] == values[i * size : (i + 1) * size],
              f"unit {unit}: bit for bit")
        check(("died_at" in many["projections"][i]) == (many["projections"][i]["largest"] == 0),
              f"unit {unit}: where it died, if it did")


def check_all(deconv, folder):
    """Every map: 8 x 8 tiles of receptive fields, drawn at twice their size, numbers below."""
    result = deconv("--units", "all", "-o", "all.png")
    width, height = png_size(folder / "all.png")
    tile, gap = 2 * FIELD, 4
    check(width == gap + 8 * (tile + gap), f"width of the montage: {width}")
    check(height > gap + 8 * (tile + gap), f"height of the montage: {height}, with captions")
    check(result.stdout.startswith(f"{LAYER}: {MAPS} units, "), "the summary on standard output")
    check(result.stderr.count("\n") == 1 and "empty" in result.stderr, "one warning of empty ones")
    check(not deconv("--units", "all", "-q").stderr, "no warning with -q")
    check((folder / "projections.png").read_bytes() == (folder / "all.png").read_bytes(),
          "projections.png is the default, and the same")


def check_grey(deconv, folder):
    """An empty map is as grey by any scaling, though --scaling magnitude shows zero as black."""
    both = [folder / "zero.png", folder / "magnitude.png"]
    deconv("--units", "1", "-o", both[0].name)
    deconv("--units", "1", "-o", both[1].name, "--scaling", "magnitude")
    check(both[0].read_bytes() == both[1].read_bytes(), "an empty map is grey by any scaling")


def check_streams(deconv, folder):
    """Through a link to what it points to; into a pipe."""
    (folder / "link.npy").symlink_to("target.npy")
    (folder / "target.npy").write_bytes(b"old")
    deconv("--units", LIST, "--raw", "link.npy")
    whole = (folder / "many.npy").read_bytes()
    check((folder / "link.npy").is_symlink(), "a link stays a link")
    check((folder / "target.npy").read_bytes() == whole, "what it points to is replaced")
    piped = subprocess.run(deconv.start + ["--units", LIST, "--raw", "/dev/stderr"], cwd=folder,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    check(piped.stderr.startswith(whole), "into a pipe")


def main():
    program, figures = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        deconv = Deconv(program, figures, folder)
        check_against_single(deconv, folder)
        check_all(deconv, folder)
        check_grey(deconv, folder)
        check_streams(deconv, folder)
        left = [p.name for p in folder.iterdir() if p.name.endswith(".tmp")]
        check(not left, f"nothing left behind {left or ''}")
    print(f"{failures} failures")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
