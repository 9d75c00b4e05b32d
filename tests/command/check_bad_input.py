"""Broken input, one case after another: the exit status, one clear line, nothing left behind.

    check_bad_input.py DECONV FIGURES

FIGURES is the bundled network's folder. Standard library only.
"""

import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

import onnx_file as onnx

FAILED, USAGE = 1, 2


def npy(descr, shape, data):
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def png(width, height, colour_type, depth, row):
    """A PNG whose rows are all `row`."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress((b"\0" + row) * height))
        + chunk(b"IEND", b"")
    )


def write_files(folder, network):
    """The broken files, by name."""
    picture = onnx.value("x", [1, 3, 96, 96])
    relu = onnx.node("Relu", ["x"], ["y"])
    out = onnx.value("y", [1, 3, 96, 96])
    files = {
        "empty.onnx": b"",
        "text.onnx": b"This is a letter, not a network.\n" * 20,
        "truncated.onnx": network.read_bytes()[:20000],
        "unknown.onnx": onnx.model([onnx.node("Einsum", ["x"], ["y"])], [picture], [out]),
        "cycle.onnx": onnx.model(
            [onnx.node("Add", ["x", "b"], ["a"]), onnx.node("Relu", ["a"], ["b"])], [picture], [out]
        ),
        "dangling.onnx": onnx.model([onnx.node("Relu", ["nowhere"], ["y"])], [picture], [out]),
        "opset.onnx": onnx.model([relu], [picture], [out], opset=99),
        "huge.onnx": onnx.model([relu], [onnx.value("x", [1, 3, 1 << 40, 96])], [out]),
        # Four billion bytes a tensor: fits no device that is given less.
        "memory.onnx": onnx.model(
            [onnx.node("Concat", ["x"] * 30000, ["y"], axis=1), onnx.node("Sigmoid", ["y"], ["z"])],
            [picture],
            [onnx.value("z", [1, 90000, 96, 96])],
        ),
        "shape.onnx": onnx.model(
            [onnx.node("Conv", ["x", "w"], ["y"])],
            [picture],
            [out],
            [onnx.weights("w", [4, 5, 3, 3], [0.0] * 180)],
        ),
        "empty.png": b"",
        "text.jpg": b"not a picture\n",
        "rank.npy": npy("<f4", (96, 96), bytes(4 * 96 * 96)),
        "shape.npy": npy("<f4", (3, 95, 96), bytes(4 * 3 * 95 * 96)),
        "double.npy": npy("<f8", (3, 96, 96), bytes(8 * 3 * 96 * 96)),
        "short.npy": npy("<f4", (3, 96, 96), bytes(100)),
        "nan.npy": npy("<f4", (3, 96, 96), struct.pack("<f", float("nan")) * (3 * 96 * 96)),
        "card.json": b'{"input": {"resize": "large"}}',
        "notjson.json": b"{",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)


def cases(network, picture):
    """(what, arguments, exit status, words that the line must hold)"""
    project = ["project", network, picture]
    return [
        ("no arguments", [], USAGE, []),
        ("unknown command", ["paint"], USAGE, ["paint"]),
        ("unknown option", ["run", "--colour", network, picture], USAGE, ["--colour"]),
        ("missing argument", ["run", network], USAGE, ["MODEL INPUT"]),
        ("missing model", ["run", "none.onnx", picture], FAILED, ["none.onnx"]),
        ("empty model", ["run", "empty.onnx", picture], FAILED, ["empty.onnx"]),
        ("text as model", ["run", "text.onnx", picture], FAILED, ["text.onnx"]),
        ("truncated model", ["run", "truncated.onnx", picture], FAILED, ["truncated.onnx"]),
        ("a folder as model", ["run", ".", picture], FAILED, []),
        ("unknown operator", ["run", "unknown.onnx", picture], FAILED, ["Einsum", "y"]),
        ("cycle", ["run", "cycle.onnx", picture], FAILED, []),
        ("dangling name", ["run", "dangling.onnx", picture], FAILED, ["nowhere"]),
        ("opset of the future", ["run", "opset.onnx", picture], FAILED, ["99", "21"]),
        ("huge dimensions", ["info", "huge.onnx"], FAILED, ["x"]),
        ("weights that do not fit", ["run", "shape.onnx", picture], FAILED, ["y"]),
        ("missing picture", ["run", network, "none.jpg"], FAILED, ["none.jpg"]),
        ("empty picture", ["run", network, "empty.png"], FAILED, ["empty.png"]),
        ("text as picture", ["run", network, "text.jpg"], FAILED, ["text.jpg"]),
        ("half a JPEG", ["run", network, "half.jpg"], FAILED, ["half.jpg"]),
        ("half a PNG", ["run", network, "half.png"], FAILED, ["half.png"]),
        ("unknown layer", project + ["--layer", "pool3"], FAILED, ["pool3", "pool2", "pool4"]),
        ("unit out of range", project + ["--layer", "pool2", "--unit", "5000"], FAILED, ["5000", "0-"]),
        ("unit no number", project + ["--unit", "seven"], USAGE, ["seven"]),
        ("position outside", project + ["--layer", "pool2", "--unit", "0", "--at", "0,500"], FAILED, ["500"]),
        ("half a position", project + ["--at", "3"], USAGE, ["Y,X"]),
        ("unknown rule", project + ["--rule", "cam"], USAGE, ["cam", "guided"]),
        ("npy of two dimensions", ["run", network, "rank.npy"], FAILED, ["rank.npy", "96,96"]),
        ("npy of another size", ["run", network, "shape.npy"], FAILED, ["3,95,96", "3,96,96"]),
        ("npy of doubles", ["run", network, "double.npy"], FAILED, ["double.npy", "float32"]),
        ("npy cut short", ["run", network, "short.npy"], FAILED, ["short.npy"]),
        ("NaN in the input", ["run", network, "nan.npy"], FAILED, ["finite"]),
        ("NaN projected", ["project", network, "nan.npy", "--raw", "p.npy"], FAILED, ["finite"]),
        ("folder that is not there", project + ["-o", "none/out.png"], FAILED, ["none/out.png"]),
        ("picture format unknown", project + ["-o", "out.tiff"], FAILED, ["out.tiff", "PNG"]),
        ("raw output unwritable", project + ["--raw", "none/out.npy"], FAILED, ["none/out.npy"]),
        ("no such device", ["run", "--device", "9", network, picture], FAILED, ["9"]),
        ("no device of that name", ["run", "--device", "abacus", network, picture], FAILED, ["abacus"]),
        ("missing card", ["run", "--card", "none.json", network, picture], FAILED, ["none.json"]),
        ("broken card", ["run", "--card", "notjson.json", network, picture], FAILED, ["notjson.json"]),
        ("card of wrong type", ["run", "--card", "card.json", network, picture], FAILED, ["resize"]),
    ]


def check(deconv, folder, what, arguments, status, words, limit=None):
    def set_limit():
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    before = sorted(os.listdir(folder))
    command = [deconv] + [str(a) for a in arguments]
    result = subprocess.run(command, capture_output=True, cwd=folder, preexec_fn=set_limit, timeout=120)
    errors = result.stderr.decode()
    lines = [line for line in errors.splitlines() if not line.startswith("deconv: warning: ")]
    problems = []
    if result.returncode != status:
        problems.append(f"status {result.returncode}, not {status}")
    if what != "no arguments" and (len(lines) != 1 or not lines[0].startswith("deconv: error: ")):
        problems.append("not one line of error")
    problems += [f"does not name {word}" for word in words if word not in errors]
    if result.stdout:
        problems.append(f"wrote {result.stdout!r}")
    left = sorted(set(os.listdir(folder)) - set(before))
    if left:
        problems.append(f"left {left} behind")
    print(f"{'FAIL' if problems else 'ok  '} {what}: {'; '.join(problems)}")
    print("     " + errors.strip().replace("\n", "\n     "))
    return bool(problems)


def check_accepted(deconv, folder, network):
    """Pictures that look odd and are fine."""
    failures = 0
    pictures = {
        "grey.png": png(70, 50, 0, 8, bytes(range(70))),
        "rgba.png": png(64, 64, 6, 8, bytes([200, 100, 50, 128]) * 64),
        "deep.png": png(96, 96, 2, 16, bytes([200, 7] * 3) * 96),
        "one-pixel.png": png(1, 1, 2, 8, b"\x80\x40\x20"),
        "wide.png": png(2000, 3, 2, 8, b"\x10\x20\x30" * 2000),
    }
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
        result = subprocess.run([deconv, "run", network, name], capture_output=True, cwd=folder)
        good = result.returncode == 0 and not result.stderr and result.stdout.count(b"\n") == 5
        failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {name} is taken: {result.stderr.decode().strip()}")
    return failures


def main():
    deconv = pathlib.Path(sys.argv[1]).resolve()
    figures = pathlib.Path(sys.argv[2]).resolve()
    network, picture = figures / "zfnet-small.onnx", figures / "face.png"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_files(folder, network)
        (folder / "half.png").write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
        whole = folder / "whole.jpg"
        subprocess.run([deconv, "project", network, picture, "-q", "-o", whole], check=True)
        (folder / "half.jpg").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        failures = sum(check(deconv, folder, *case) for case in cases(network, picture))
        shutil.copy(picture, folder / "input.png")
        failures += check(
            deconv, folder, "no memory", ["run", "memory.onnx", "input.png"], FAILED, ["memory"], 4 << 30
        )
        failures += check_accepted(deconv, folder, network)
    print(f"{failures} failures")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
