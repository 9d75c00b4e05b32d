"""Broken input, one case after another: the exit status, one clear line, nothing left behind.

    check_bad_input.py DECONV FIGURES [--sanitized]

FIGURES is the bundled network's folder. --sanitized leaves out the cases that limit the address
space, which sanitizers fill. Standard library only.
"""

import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import typing
import zlib

import onnx_file as onnx

FAILED, USAGE = 1, 2
GIB = 1 << 30

PAGE = 4096

# A file system of $1 bytes on the folder `disk`, one page of them taken; a process in namespaces of its
# own may mount it, and it is gone with the process. Runs the command that follows the size and lists
# what it leaves there.
SMALL_DISK = f"""
mount -t tmpfs -o "size=$1" none disk && head -c {PAGE} /dev/zero >disk/page || exit
shift
"$@"
status=$?
find disk -mindepth 1 ! -name page >left
exit $status
"""


class Case(typing.NamedTuple):
    what: str
    arguments: list
    status: int
    words: list = []  # what the line must hold
    environment: dict = {}
    limit: tuple = ()  # a resource limit: (which, bytes)
    disk: int = 0  # bytes that there is room for in the folder `disk`
    stdout: str = ""  # where standard output goes


# ---- The broken files ----


def npy_header(descr, shape):
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def npy(descr, shape, data):
    return npy_header(descr, shape) + data


def png(width, height, colour_type, depth, row, palette=b""):
    """A PNG whose rows are all `row`."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + (chunk(b"PLTE", palette) if palette else b"")
        + chunk(b"IDAT", zlib.compress((b"\0" + row) * height))
        + chunk(b"IEND", b"")
    )


def model_files(network):
    picture = onnx.value("x", [1, 3, 96, 96])
    out = onnx.value("y", [1, 3, 96, 96])
    relu = onnx.node("Relu", ["x"], ["y"])
    conv = onnx.node("Conv", ["x", "w"], ["y"])
    ring = [onnx.node("Add", ["x", "b"], ["y"]), onnx.node("Relu", ["y"], ["b"])]
    # 30000 pictures in a row, twice: 3.3 GB a tensor.
    large = [
        onnx.node("Concat", ["x"] * 30000, ["y"], axis=1),
        onnx.node("Sigmoid", ["y"], ["z"]),
    ]
    return {
        "empty.onnx": b"",
        "text.onnx": b"This is a letter, not a network.\n" * 20,
        "truncated.onnx": network[: len(network) // 2],
        "unknown.onnx": onnx.model([onnx.node("Einsum", ["x"], ["y"])], [picture], [out]),
        "cycle.onnx": onnx.model(ring, [picture], [out]),
        "dangling.onnx": onnx.model([onnx.node("Relu", ["nowhere"], ["y"])], [picture], [out]),
        "opset.onnx": onnx.model([relu], [picture], [out], opset=99),
        "huge.onnx": onnx.model([relu], [onnx.value("x", [1, 3, 1 << 40, 96])], [out]),
        "memory.onnx": onnx.model(large, [picture], [onnx.value("z", [1, 90000, 96, 96])]),
        "shape.onnx": onnx.model(
            [conv], [picture], [out], [onnx.weights("w", [4, 5, 3, 3], [0.0] * 180)]
        ),
        "maps.onnx": onnx.model([relu], [picture], [out]),
        "five.onnx": onnx.model(
            [onnx.node("Unsqueeze", ["x"], ["y"], axes=[4])],
            [picture],
            [onnx.value("y", [1, 3, 96, 96, 1])],
            opset=11,
        ),
        "outside.onnx": onnx.model(
            [conv], [picture], [out], [onnx.external_weights("w", [3, 3, 1, 1], "../../w.bin")]
        ),
        "absent.onnx": onnx.model(
            [conv], [picture], [out], [onnx.external_weights("w", [3, 3, 1, 1], "absent.bin")]
        ),
        "relu.onnx": onnx.model([relu], [picture], [out]),
        "infinite.onnx": onnx.model(
            [conv], [picture], [out], [onnx.weights("w", [3, 3, 1, 1], [1.0] * 8 + [float("inf")])]
        ),
    }


def array_files():
    count = 3 * 96 * 96
    return {
        "rank.npy": npy("<f4", (96, 96), bytes(4 * 96 * 96)),
        "shape.npy": npy("<f4", (3, 95, 96), bytes(4 * 3 * 95 * 96)),
        "double.npy": npy("<f8", (3, 96, 96), bytes(8 * count)),
        "bytes.npy": npy("|u1", (3, 96, 96), bytes(count)),
        "short.npy": npy("<f4", (3, 96, 96), bytes(100)),
        "text.npy": b"1.0, 2.0, 3.0\n",
        "overflow.npy": npy("<f4", (1 << 40, 1 << 40), bytes(100)),
        "two.npy": npy("<f4", (2, 3, 96, 96), bytes(8 * count)),
        "nan.npy": npy("<f4", (3, 96, 96), struct.pack("<f", float("nan")) * count),
        "zero.npy": npy("<f4", (3, 96, 96), bytes(4 * count)),
    }


def write_files(folder, deconv, network, picture):
    files = {
        **model_files(network.read_bytes()),
        **array_files(),
        "empty.png": b"",
        "text.jpg": b"not a picture\n",
        "half.png": picture.read_bytes()[: picture.stat().st_size // 2],
        "bomb.png": png(32768, 32768, 2, 8, b""),
        "memory.json": b"{}",
        "plain.json": b"{}",
        "maps.json": b"{}",
        "card.json": b'{"input": {"resize": "large"}}',
        "notjson.json": b"{",
        "old.png": b"what was here before",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    shutil.copy(picture, folder / "input.png")
    (folder / "folder.png").mkdir()
    (folder / "disk").mkdir()
    (folder / "full.npy").symlink_to("/dev/full")
    # More than fits into the memory that the case may have; on disk it is one hole.
    with open(folder / "large.npy", "wb") as large:
        large.write(npy_header("<f4", (48000, 3, 96, 96)))
        large.truncate(large.tell() + 4 * 48000 * 3 * 96 * 96)
    whole = folder / "whole.jpg"
    subprocess.run([deconv, "project", network, picture, "-q", "-o", whole], check=True,
                   stdout=subprocess.DEVNULL)
    (folder / "half.jpg").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


# ---- The cases ----


def usage_cases(network):
    project = ["project", network, "input.png"]
    return [
        Case("unknown command", ["paint"], USAGE, ["paint", "project"]),
        Case("unknown option", ["run", "--colour", network, "input.png"], USAGE, ["--colour"]),
        Case("missing argument", ["run", network], USAGE, ["MODEL INPUT"]),
        Case("too many arguments", ["info", network, "input.png"], USAGE, ["MODEL"]),
        Case("option without its value", project + ["--layer"], USAGE, ["--layer"]),
        Case("unit no number", project + ["--unit", "seven"], USAGE, ["seven"]),
        Case("unit negative", project + ["--unit", "-3"], USAGE, ["-3"]),
        Case("units no list", project + ["--units", "3,seven"], USAGE, ["3,seven", "10-20"]),
        Case("units backwards", project + ["--units", "5-3"], USAGE, ["5-3"]),
        Case("units without an end", project + ["--units", "5-"], USAGE, ["5-"]),
        Case("units with an open comma", project + ["--units", "3,"], USAGE, ["3,"]),
        Case("no units", project + ["--units", ""], USAGE, ["--units"]),
        Case("units and a unit", project + ["--units", "3", "--unit", "3"], USAGE, ["--unit "]),
        Case("a montage alone", project + ["--units", "3", "--alone"], USAGE, ["--alone"]),
        Case("half a position", project + ["--at", "3"], USAGE, ["Y,X"]),
        Case("unknown rule", project + ["--rule", "cam"], USAGE, ["cam", "guided"]),
        Case("unknown seed", project + ["--seed", "two"], USAGE, ["two", "one"]),
        Case("no time to tune", ["tune", network, "--limit", "0"], USAGE, ["--limit", "0"]),
        Case("tune minus one picture", ["tune", network, "--batch", "-1"], USAGE, ["--batch -1"]),
        Case("plan of minus one picture", ["info", network, "--plan", "--batch", "-1"], USAGE,
             ["--batch -1"]),
        Case("a batch without a plan", ["info", network, "--batch", "2"], USAGE, ["--plan"]),
        Case("no classes asked for", ["run", network, "input.png", "--top", "0"], USAGE, ["--top"]),
    ]


def model_cases():
    def run(what, name, *words):
        return Case(what, ["run", name, "input.png"], FAILED, [name.removesuffix("/"), *words])

    return [
        run("missing model", "none.onnx"),
        run("empty model", "empty.onnx", "empty"),
        run("text as model", "text.onnx"),
        run("truncated model", "truncated.onnx"),
        run("a folder as model", "folder.png", "folder"),
        Case("unknown operator", ["run", "unknown.onnx", "input.png"], FAILED, ["y", "Einsum"]),
        run("cycle", "cycle.onnx", "cycle"),
        run("dangling name", "dangling.onnx", "nowhere"),
        run("opset of the future", "opset.onnx", "99", "21"),
        Case("huge dimensions", ["info", "huge.onnx"], FAILED, ["huge.onnx", "'x'"]),
        Case("weights that do not fit", ["run", "shape.onnx", "input.png"], FAILED, ["4x5x3x3"]),
        Case("weights outside the folder", ["run", "outside.onnx", "input.png"], FAILED, ["w.bin"]),
        Case("weights that are not there", ["info", "absent.onnx"], FAILED, ["absent.bin"]),
    ]


def input_cases(network):
    def run(what, name, *words):
        return Case(what, ["run", network, name], FAILED, [name, *words])

    return [
        run("missing picture", "none.jpg"),
        run("empty picture", "empty.png", "empty"),
        run("text as picture", "text.jpg", "JPEG"),
        run("half a JPEG", "half.jpg", "cut off"),
        run("half a PNG", "half.png", "cut off"),
        run("a PNG of a billion pixels", "bomb.png"),
        run("a folder as picture", "folder.png", "folder"),
        run("npy of two dimensions", "rank.npy", "96,96"),
        run("npy of another size", "shape.npy", "3,95,96", "3,96,96"),
        run("npy of doubles", "double.npy", "float32"),
        run("npy of bytes", "bytes.npy", "float32"),
        run("npy cut short", "short.npy", "100"),
        run("text as npy", "text.npy"),
        run("npy of no possible size", "overflow.npy"),
        Case("NaN in the input", ["run", network, "nan.npy", "--raw", "p.npy"], FAILED, ["finite"]),
        Case("NaN projected", ["project", network, "nan.npy", "--raw", "p.npy"], FAILED,
             ["finite"]),
    ]


def unit_cases(network):
    project = ["project", network, "input.png"]
    pool2 = project + ["--layer", "pool2"]
    return [
        Case("unknown layer", project + ["--layer", "pool3"], FAILED, ["pool3", "pool2", "pool4"]),
        Case("unknown layer to run", ["run", network, "input.png", "--layer", "cnov1", "--raw",
                                      "r.npy"], FAILED, ["cnov1", "conv1"]),
        Case("unit out of range", pool2 + ["--unit", "5000"], FAILED, ["pool2", "5000", "0-63"]),
        Case("one of the units out of range", pool2 + ["--units", "3,60-64", "--raw", "r.npy"],
             FAILED, ["pool2", "64", "0-63"]),
        Case("units beyond counting", pool2 + ["--units", "0-9223372036854775807"], FAILED,
             ["pool2", "0-63"]),
        Case("row outside all maps", pool2 + ["--units", "all", "--at", "500,0"], FAILED,
             ["pool2", "500", "0-10"]),
        Case("units of five dimensions", ["project", "five.onnx", "input.png", "--layer", "y",
                                          "--units", "all"], FAILED, ["y", "5 dimensions"]),
        Case("units of several pictures", ["project", network, "two.npy", "--units", "3", "--raw",
                                           "r.npy"], FAILED, ["two.npy", "--units"]),
        Case("row outside the map", pool2 + ["--unit", "0", "--at", "500,0"], FAILED,
             ["pool2", "500", "0-10"]),
        Case("column outside the map", pool2 + ["--unit", "0", "--at", "0,11"], FAILED,
             ["pool2", "11", "0-10"]),
        Case("position in a vector", project + ["--layer", "fc5", "--unit", "0", "--at", "0,1"],
             FAILED, ["fc5"]),
    ]


def output_cases(network):
    project = ["project", network, "input.png"]
    units = project + ["--layer", "conv1", "--units", "3,7"]
    return [
        Case("folder that is not there", project + ["-o", "none/out.png"], FAILED, ["none/out.png"]),
        Case("a folder as output", project + ["-o", "folder.png"], FAILED, ["folder.png"]),
        Case("picture format unknown", project + ["-o", "out.tiff"], FAILED, ["out.tiff", ".png"]),
        Case("raw output unwritable", project + ["--raw", "none/out.npy"], FAILED, ["none/out.npy"]),
        Case("raw output to a full disk", project + ["--raw", "full.npy"], FAILED, ["No space"]),
        Case("disk full while writing", project + ["--raw", "disk/out.npy"], FAILED,
             ["disk/out.npy"], disk=50000),
        Case("raw units unwritable", units + ["--raw", "none/out.npy"], FAILED, ["none/out.npy"]),
        Case("raw units into a folder", units + ["--raw", "folder.png"], FAILED, ["folder.png"]),
        Case("raw units to a full disk", units + ["--raw", "full.npy"], FAILED, ["No space"]),
        Case("disk full while writing units", units + ["--raw", "disk/out.npy"], FAILED,
             ["disk/out.npy"], disk=150000),
        Case("montage unwritable, raw not", units + ["-o", "none/out.png", "--raw", "out.npy"],
             FAILED, ["none/out.png"]),
        Case("montage of unknown format", units + ["-o", "out.tiff"], FAILED, ["out.tiff"]),
        Case("old output is kept", project + ["--unit", "5000", "-o", "old.png"], FAILED, ["5000"]),
        Case("standard output full", ["run", network, "input.png"], FAILED, ["standard output"],
             stdout="/dev/full"),
        Case("standard output full, JSON", ["info", network, "--json"], FAILED,
             ["standard output"], stdout="/dev/full"),
    ]


def frequency_cases(network):
    frequency = ["frequency", network]

    def usage(what, *options):
        return Case(what, frequency + list(options), USAGE, list(options))

    return [
        Case("no network for frequencies", ["frequency"], USAGE, ["MODEL"]),
        usage("one band", "--bands", "0.2"),
        usage("bands that fall", "--bands", "0.3,0.2"),
        usage("bands past the corner", "--bands", "0.3,0.8"),
        usage("bands in words", "--bands", "low,mid"),
        usage("bands that are nothing", "--bands", "nan,nan"),
        usage("an odd grid", "--grid", "63"),
        usage("a huge grid", "--grid", "4096"),
        usage("no RMS limit", "--rms-limit", "0"),
        usage("an RMS limit in words", "--rms-limit", "0.1x"),
        usage("all dead", "--dead", "1"),
        usage("a negative share of dead", "--dead", "-0.1"),
        Case("frequencies of no filters", ["frequency", "relu.onnx"], FAILED, ["no convolution"]),
        Case("frequencies of infinite weights", ["frequency", "infinite.onnx"], FAILED,
             ["y", "filter 2", "finite"]),
        Case("frequencies of half a network", ["frequency", "truncated.onnx"], FAILED,
             ["truncated.onnx"]),
        Case("against nothing", frequency + ["--against", "none.onnx"], FAILED, ["none.onnx"]),
        Case("frequencies of no picture", frequency + ["--input", "none.jpg"], FAILED, ["none.jpg"]),
        Case("the second picture missing", frequency + ["--input", "input.png", "--input",
                                                        "none.jpg"], FAILED, ["none.jpg"]),
        Case("frequencies of another size", frequency + ["--input", "shape.npy"], FAILED,
             ["shape.npy", "3,95,96"]),
        Case("frequencies of NaN", frequency + ["--input", "nan.npy"], FAILED, ["finite"]),
        Case("figure unwritable, table not", frequency + ["-o", "none/f.png", "--csv", "f.csv"],
             FAILED, ["none/f.png"]),
        Case("figure of unknown format", frequency + ["-o", "f.svg"], FAILED, ["f.svg", ".png"]),
        Case("table unwritable", frequency + ["--csv", "none/f.csv"], FAILED, ["none/f.csv"]),
        Case("table into a folder", frequency + ["--csv", "folder.png"], FAILED, ["folder.png"]),
        Case("table to a full disk", frequency + ["--csv", "full.npy"], FAILED, ["No space"]),
        Case("disk full while writing a table", frequency + ["--csv", "disk/f.csv"], FAILED,
             ["disk/f.csv"], disk=5000),
    ]


def occlude_cases(network):
    occlude = ["occlude", network, "input.png"]
    return [
        Case("patch larger than the picture", occlude + ["--patch", "97"], FAILED,
             ["97 x 97", "96 x 96"]),
        Case("no patch", occlude + ["--patch", "0"], USAGE, ["--patch 0"]),
        Case("patch no number", occlude + ["--patch", "8,wide"], USAGE, ["8,wide"]),
        Case("stride of 0", occlude + ["--stride", "0"], USAGE, ["--stride 0", "at least 1"]),
        Case("negative stride", occlude + ["--stride", "-4"], USAGE, ["--stride -4"]),
        Case("unknown label", occlude + ["--class", "strip"], FAILED,
             ["strip", "stripes", "star"]),
        Case("class out of range", occlude + ["--class", "10"], FAILED, ["class 10", "0-9"]),
        Case("label without labels", occlude + ["--class", "disc", "--card", "plain.json"], FAILED,
             ["disc", "index"]),
        Case("fill that is none", occlude + ["--fill", "black"], USAGE, ["black", "R,G,B"]),
        Case("fill of two colours", occlude + ["--fill", "1,2"], USAGE, ["1,2", "R,G,B"]),
        Case("fill too bright", occlude + ["--fill", "1,2,256"], USAGE, ["256"]),
        Case("noise without a seed", occlude + ["--fill", "noise"], USAGE, ["noise:SEED"]),
        Case("noise of no seed", occlude + ["--fill", "noise:x"], USAGE, ["noise:x"]),
        Case("unknown map", occlude + ["--map", "heat"], USAGE, ["heat", "activity"]),
        Case("activity of nothing", occlude + ["--map", "activity"], USAGE, ["LAYER"]),
        Case("activity of an unknown layer", occlude + ["--map", "activity:pol2"], FAILED,
             ["pol2", "pool2"]),
        Case("activity of no such map", occlude + ["--map", "activity:pool2:64"], FAILED,
             ["pool2", "64", "0-63"]),
        Case("region outside", occlude + ["--region", "0,0,97,96"], FAILED, ["97", "96 x 96"]),
        Case("region smaller than the patch", occlude + ["--region", "0,0,9,9", "--patch", "10"],
             FAILED, ["10 x 10"]),
        Case("region backwards", occlude + ["--region", "9,9,3,30"], USAGE, ["9,9,3,30"]),
        Case("probabilities without a classifier", ["occlude", "maps.onnx", "input.png"], FAILED,
             ["y", "1x3x96x96", "classifier"]),
        *[
            Case(f"{kind} without a classifier",
                 ["occlude", "maps.onnx", "input.png", "--map", kind, "--raw", "out.npy"], FAILED,
                 ["y", "classifier"])
            for kind in ["logit", "drop", "label"]
        ],
        Case("NaN occluded", ["occlude", network, "nan.npy"], FAILED, ["finite"]),
        Case("two pictures occluded", ["occlude", network, "two.npy"], FAILED, ["two.npy"]),
        Case("unknown engine", occlude + ["--engine", "fast"], USAGE, ["fast", "full"]),
        Case("figure of an unknown layer", occlude + ["--layer", "pol2"], FAILED, ["pol2", "pool2"]),
        Case("figure without a picture", ["occlude", network, "zero.npy", "-o", "out.png"], FAILED,
             ["zero.npy", "--raw"]),
        Case("figure unwritable", occlude + ["--patch", "48", "-o", "none/out.png"], FAILED,
             ["none/out.png"]),
        Case("overlay of labels", occlude + ["--patch", "48", "--map", "label", "--overlay", "o.png"],
             FAILED, ["labels", "average"]),
        Case("occlusion map unwritable", occlude + ["--raw", "none/out.npy"], FAILED,
             ["none/out.npy"]),
        Case("disk full while writing an occlusion map",
             occlude + ["--patch", "48", "--stride", "8", "--raw", "disk/out.npy"], FAILED,
             ["disk/out.npy"], disk=200),
    ]


def surroundings_cases(network):
    run = ["run", network, "input.png"]
    return [
        Case("no such device", run + ["--device", "9"], FAILED, ["device 9"]),
        Case("no device of that name", run + ["--device", "abacus"], FAILED, ["abacus"]),
        Case("DECONV_DEVICE wrong", run, FAILED, ["DECONV_DEVICE", "abacus"],
             {"DECONV_DEVICE": "abacus"}),
        Case("no driver", run, FAILED, ["pocl-opencl-icd"], {"OCL_ICD_VENDORS": "/nowhere/"}),
        Case("no driver to list", ["devices"], FAILED, ["pocl-opencl-icd"],
             {"OCL_ICD_VENDORS": "/nowhere/"}),
        Case("no loader", run, FAILED, ["/nowhere/libOpenCL.so"],
             {"DECONV_OPENCL_LIBRARY": "/nowhere/libOpenCL.so"}),
        Case("no kernels", run, FAILED, ["/nowhere"], {"DECONV_KERNEL_DIR": "/nowhere"}),
        Case("nowhere to keep what is measured", ["tune", network], FAILED, ["cache folder"],
             {"XDG_CACHE_HOME": "", "HOME": ""}),
        Case("missing card", run + ["--card", "none.json"], FAILED, ["none.json"]),
        Case("broken card", run + ["--card", "notjson.json"], FAILED, ["notjson.json"]),
        Case("card of wrong type", run + ["--card", "card.json"], FAILED, ["card.json", "resize"]),
    ]


def memory_cases(network, sanitized):
    """3.3 GB a tensor on a device that has 1 GiB, then in a process that may have 4."""
    run = ["run", "memory.onnx", "input.png"]
    cases = [Case("no device memory", run, FAILED, ["no memory"], {"POCL_MEMORY_LIMIT": "1"})]
    if not sanitized:
        limit = (resource.RLIMIT_AS, 4 * GIB)
        cases += [
            Case("no memory", run, FAILED, ["memory"], limit=limit),
            Case("no memory for the input", ["run", network, "large.npy"], FAILED, ["no memory"],
                 limit=limit),
        ]
    return cases


# ---- Running them ----


def snapshot(folder):
    """Sizes and times of what is in the folder and below; folders by name only."""

    def state(path):
        return None if path.is_dir() else (path.lstat().st_size, path.lstat().st_mtime_ns)

    return {str(path.relative_to(folder)): state(path) for path in folder.rglob("*")}


def on_small_disk(room, command):
    """tmpfs has whole pages: as many as there is room for, and the one that is taken."""
    size = (room // PAGE + 1) * PAGE
    return ["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", str(size)] + command


def small_disks(folder):
    """Whether this system lets us mount one."""
    if not shutil.which("unshare"):
        return False
    tried = subprocess.run(on_small_disk(PAGE, ["true"]), cwd=folder, stderr=subprocess.DEVNULL)
    (folder / "left").unlink(missing_ok=True)
    return tried.returncode == 0


def limited(case, mounts):
    """The case's resource limit. Without mounts no file may be larger than the disk, also none of
    those that PoCL writes while it builds a program from source, where it ends the process then."""
    return (resource.RLIMIT_FSIZE, case.disk) if case.disk and not mounts else case.limit


def run(deconv, folder, case, mounts):
    # Programs come from our cache: see limited().
    environment = {**os.environ, "DECONV_KEEP_PROGRAMS": "1", **case.environment}
    command = [str(deconv)] + [str(a) for a in case.arguments]
    if case.disk and mounts:
        command = on_small_disk(case.disk, command)
    limit = limited(case, mounts)

    def prepare():
        if limit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    stdout = open(case.stdout, "w") if case.stdout else subprocess.PIPE
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, cwd=folder, env=environment,
                          preexec_fn=prepare, timeout=300)


def left_on_disk(folder):
    listing = folder / "left"
    names = listing.read_text().splitlines() if listing.exists() else []
    listing.unlink(missing_ok=True)
    return names


def check(deconv, folder, case, mounts):
    before = snapshot(folder)
    result = run(deconv, folder, case, mounts)
    left = left_on_disk(folder)
    errors = result.stderr.decode()
    problems = []
    if result.returncode != case.status:
        problems.append(f"status {result.returncode}, not {case.status}")
    if errors.count("\n") != 1 or not errors.startswith("deconv: error: "):
        problems.append("not one line of error")
    words = case.words + (["No space" if mounts else "too large"] if case.disk else [])
    problems += [f"does not name {word}" for word in words if word not in errors]
    if result.stdout:
        problems.append(f"wrote {result.stdout!r}")
    after = snapshot(folder)
    problems += [f"changed {name}" for name in before if after.get(name) != before[name]]
    left += [name for name in after if name not in before]
    problems += [f"left {name} behind" for name in left]
    print(f"{'FAIL' if problems else 'ok  '} {case.what}: {'; '.join(problems)}")
    print("     " + errors.strip().replace("\n", "\n     "))
    return bool(problems)


def check_accepted(deconv, folder, network):
    """Pictures that look odd and are fine."""
    pictures = {
        "grey.png": png(70, 50, 0, 8, bytes(range(70))),
        "grey-alpha.png": png(40, 50, 4, 8, b"\x40\x80" * 40),
        "deep-grey.png": png(50, 50, 0, 16, b"\x40\x80" * 50),
        "rgba.png": png(64, 64, 6, 8, bytes([200, 100, 50, 128]) * 64),
        "deep.png": png(96, 96, 2, 16, bytes([200, 7] * 3) * 96),
        "deep-rgba.png": png(30, 96, 6, 16, bytes([200, 7] * 4) * 30),
        "palette.png": png(64, 64, 3, 1, b"\xaa" * 8, b"\x10\x20\x30\xff\xee\xdd"),
        "one-pixel.png": png(1, 1, 2, 8, b"\x80\x40\x20"),
        "wide.png": png(2000, 3, 2, 8, b"\x10\x20\x30" * 2000),
        "line.png": png(1, 20000, 2, 8, b"\x10\x20\x30"),
        "large.png": png(6000, 5000, 2, 8, b"\x10\x20\x30" * 6000),
    }
    failures = 0
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
        result = subprocess.run([deconv, "run", network, name], capture_output=True, cwd=folder)
        good = result.returncode == 0 and not result.stderr and result.stdout.count(b"\n") == 5
        failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {name} is taken: {result.stderr.decode().strip()}")
    return failures, len(pictures)


def check_no_arguments(deconv):
    result = subprocess.run([deconv], capture_output=True)
    good = result.returncode == USAGE and not result.stdout and b"Usage: deconv" in result.stderr
    print(f"{'ok  ' if good else 'FAIL'} no arguments: help on standard error")
    return not good


def main():
    deconv = pathlib.Path(sys.argv[1]).resolve()
    figures = pathlib.Path(sys.argv[2]).resolve()
    sanitized = "--sanitized" in sys.argv[3:]
    network = figures / "zfnet-small.onnx"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_files(folder, deconv, network, figures / "face.png")
        cases = (
            usage_cases(network)
            + model_cases()
            + input_cases(network)
            + unit_cases(network)
            + output_cases(network)
            + frequency_cases(network)
            + occlude_cases(network)
            + surroundings_cases(network)
            + memory_cases(network, sanitized)
        )
        mounts = small_disks(folder)
        failures = sum(check(deconv, folder, case, mounts) for case in cases)
        failures += check_no_arguments(deconv)
        odd_failures, odd = check_accepted(deconv, folder, network)
    print(f"{len(cases) + 1} broken inputs and {odd} odd pictures, {failures + odd_failures} failures")
    return failures + odd_failures != 0


if __name__ == "__main__":
    sys.exit(main())
