"""deconv frequency and examples/filter_frequency: figure, table, JSON and CSV say the same, and it is
right for filters that were made for the purpose.

    check_frequency.py DECONV EXAMPLE FIGURES

FIGURES is the bundled network's folder. Standard library only.
"""

import csv
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import onnx_file as onnx

FILTERS, DEAD, SILENT = 24, 5, 7
WIDTH = 1000  # of one network's figure
BANDS = ["energy", "dc", "low", "mid", "high", "beyond_nyquist", "centroid", "orientation",
         "oriented"]
failures = 0


def check(passed, what):
    global failures
    failures += not passed
    print(f"{'ok  ' if passed else 'FAIL'} {what}")


def near(a, b, margin=1e-5):
    return abs(a - b) <= margin * max(1.0, abs(b))


# ---- Networks ----


def grating(size, frequency, angle, phase):
    fx, fy = frequency * math.cos(angle), frequency * math.sin(angle)
    return [0.02 * math.cos(2 * math.pi * (fx * x + fy * y) + phase)
            for y in range(size) for x in range(size)]


def network(size, stride, frequencies, name="conv1"):
    """A first layer of gratings; filter DEAD is zero, filter SILENT never gets past the Relu."""
    weights = []
    for k in range(FILTERS):
        for c in range(3):
            g = grating(size, frequencies[k % len(frequencies)], k * math.pi / FILTERS, k + 0.3 * c)
            weights += [0.0] * len(g) if k == DEAD else g
    bias = [-1e6 if k == SILENT else 100.0 for k in range(FILTERS)]
    nodes = [
        onnx.node("Conv", ["x", "w", "b"], [name], strides=[stride, stride]),
        onnx.node("Relu", [name], ["relu1"]),
        onnx.node("Conv", ["relu1", "w2"], ["conv2"]),
    ]
    return onnx.model(
        nodes,
        [onnx.value("x", ["N", 3, 64, 64])],
        [onnx.value("conv2", ["N", 2])],
        [
            onnx.weights("w", [FILTERS, 3, size, size], weights),
            onnx.weights("b", [FILTERS], bias),
            onnx.weights("w2", [2, FILTERS, 1, 1], [1.0] * (2 * FILTERS)),
        ],
    )


class Deconv:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def __call__(self, *arguments):
        result = subprocess.run([self.program, "frequency", *arguments], cwd=self.folder,
                                capture_output=True)
        check(result.returncode == 0, " ".join(map(str, arguments)) + result.stderr.decode()[:300])
        return result.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "--json"))


def png_size(path):
    data = path.read_bytes()
    return struct.unpack(">II", data[16:24]) if data[:8] == b"\x89PNG\r\n\x1a\n" else (0, 0)


# ---- Checks ----


def check_verdicts(deconv):
    """The paper's case, and its cure."""
    gap = deconv.json("gap.onnx", "-q")
    first, second = gap["layers"]
    check(first["name"] == "conv1" and first["verdict"] == "gap", first["text"])
    check("very high and very low" in first["text"] and "Nyquist" in first["text"], "in words")
    check(first["kernel"] == [11, 11] and first["stride"] == [4, 4], "kernel and stride")
    check(first["bands"]["beyond_nyquist"] > 0.4, "the high half aliases")
    check(first["dead_by_weight"] == 1 and "dead_by_activation" not in first, "one dead filter")
    check([f["dead_by_weight"] for f in first["each"]].index(True) == DEAD, "which one")
    check(second["verdict"] == "point" and near(second["bands"]["centroid"], 0.3826, 1e-3),
          "1x1 filters are flat")
    even = deconv.json("even.onnx", "-q")["layers"][0]
    check(even["verdict"] == "even", even["text"])
    wide = deconv.json("gap.onnx", "-q", "--bands", "0.01,0.5")["layers"][0]
    check(wide["verdict"] != "gap" and wide["bands"]["mid"] > 0.5, "other limits, another verdict")
    check(deconv.json("gap.onnx", "-q", "--rms-limit", "0.001")["layers"][0]["over_rms_limit"] ==
          FILTERS - 1, "all but the dead one over a small limit")
    return gap


def check_sums(layer):
    for source in ("bands", "white_noise") + (("map_bands",) if "map_bands" in layer else ()):
        b = layer[source]
        check(near(b["dc"] + b["low"] + b["mid"] + b["high"], 1), f"{source} add up")
    check(near(sum(layer["histogram"]) + layer["bands"]["dc"], 1), "the histogram adds up")
    for k, f in enumerate(layer["each"]):
        b = f["bands"]
        if not near(b["dc"] + b["low"] + b["mid"] + b["high"], b["energy"], 1e-9):
            check(False, f"filter {k} adds up")


def check_csv(deconv, gap):
    deconv("gap.onnx", "-q", "--csv", "gap.csv")
    check(not (deconv.folder / "frequency.png").exists(), "a table alone when that is asked for")
    with open(deconv.folder / "gap.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    check(len(rows) == FILTERS + 2, f"{len(rows)} rows")
    for row in rows:
        layer = next(l for l in gap["layers"] if l["name"] == row["layer"])
        f = layer["each"][int(row["filter"])]
        same = all(near(float(row[name]), f["bands"][name]) for name in BANDS)
        same &= near(float(row["rms"]), f["rms"]) and int(row["height"]) == layer["kernel"][0]
        same &= bool(int(row["dead_by_weight"])) == f["dead_by_weight"]
        if not same:
            check(False, f"row {row} is {f}")


def check_figure(deconv):
    out = deconv("even.onnx", "-q").decode()
    width, height = png_size(deconv.folder / "frequency.png")
    check(width == WIDTH and height > 450, f"frequency.png is the default: {width} x {height}")
    check("wrote frequency.png" in out and "conv1: Low, mid and high" in out, "the text")
    deconv("even.onnx", "-q", "-o", "again.png")
    check((deconv.folder / "again.png").read_bytes() ==
          (deconv.folder / "frequency.png").read_bytes(), "twice the same figure")
    result = deconv.json("gap.onnx", "-q", "--against", "even.onnx", "-o", "two.png", "--csv",
                         "two.csv")
    check(png_size(deconv.folder / "two.png")[0] == 2 * WIDTH, "two networks side by side")
    check(result["against"]["model"] == "even.onnx" and
          [m["layers"][0]["verdict"] for m in (result, result["against"])] == ["gap", "even"],
          "both in the JSON")
    check(len((deconv.folder / "two.csv").read_text().splitlines()) == 1 + 2 * (FILTERS + 2),
          "both in the table")
    text = deconv("gap.onnx", "-q", "--against", "even.onnx", "-o", "two.png").decode()
    check(text.count("conv1: ") == 2, "both in the text")


def check_pictures(deconv, picture):
    """What passes: with pictures, the maps, and the one that is silent."""
    result = deconv.json("even.onnx", "-q", "--input", picture, "--input", picture, "-o", "maps.png",
                         "--csv", "maps.csv")
    layer = result["layers"][0]
    check(result["pictures"] == 2 and layer["dead_by_activation"] == 2, "two silent maps")
    check([k for k, f in enumerate(layer["each"]) if f["dead_by_activation"]] == [DEAD, SILENT],
          "which ones")
    check("2 of 24 maps are the same everywhere in all 2 pictures" in layer["text"], layer["text"])
    check_sums(layer)
    b = result["input_bands"]
    check(near(b["dc"] + b["low"] + b["mid"] + b["high"], 1) and b["low"] > b["mid"] > b["high"],
          "a picture falls off towards high frequencies")
    check(near(sum(result["input_histogram"]) + b["dc"], 1), "its histogram adds up")
    check(png_size(deconv.folder / "maps.png")[1] > png_size(deconv.folder / "again.png")[1] + 300,
          "the figure grows by two rows")
    header = (deconv.folder / "maps.csv").read_text().splitlines()[0].split(",")
    check(header[-9:] == ["map_" + b for b in BANDS], "columns of maps")


def check_odd_names(deconv):
    """Names that files may have and figures, tables and terminals must bear."""
    name = 'a,"b" \u2211\u4e2d\u0301 ' + "long/" * 60
    (deconv.folder / "odd.onnx").write_bytes(network(3, 1, [0.1, 0.4], name))
    deconv("odd.onnx", "-q", "-o", "odd.png", "--csv", "odd.csv")
    check(png_size(deconv.folder / "odd.png")[0] == WIDTH, "a figure with an odd name")
    with open(deconv.folder / "odd.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    check(rows[1][1] == name and all(len(row) == len(rows[0]) for row in rows),
          "a table with an odd name")


def check_example(deconv, example, figures):
    model = figures / "zfnet-small.onnx"
    plain = deconv.json(model, "-q", "-o", "bundled.png")
    result = subprocess.run([example, model, figures / "face.png"], capture_output=True, text=True)
    check(result.returncode == 0 and not result.stderr, "the example runs")
    alone = subprocess.run([example, model], capture_output=True, text=True)
    for layer in plain["layers"]:
        check(f"{layer['name']}: {layer['text']}\n" in alone.stdout, f"{layer['name']} alike")
    check("the picture" in result.stdout and result.stdout.count("maps ") >= 4, "and the maps")
    wrong = subprocess.run([example, "none.onnx"], capture_output=True, text=True)
    check(wrong.returncode == 1 and "none.onnx" in wrong.stderr, "a missing network")
    check(subprocess.run([example], capture_output=True).returncode == 2, "no network")


def main():
    program, example, figures = (pathlib.Path(a).resolve() for a in sys.argv[1:4])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        deconv = Deconv(program, folder)
        (folder / "gap.onnx").write_bytes(network(11, 4, [0.03, 0.45]))
        (folder / "even.onnx").write_bytes(network(7, 2, [0.06, 0.25, 0.45]))
        gap = check_verdicts(deconv)
        (folder / "frequency.png").unlink()
        check_sums(gap["layers"][0])
        check_csv(deconv, gap)
        check_figure(deconv)
        check_pictures(deconv, figures / "face.png")
        check_odd_names(deconv)
        check_example(deconv, example, figures)
        left = [p.name for p in folder.iterdir() if p.name.endswith(".tmp")]
        check(not left, f"nothing left behind {left or ''}")
    print(f"{failures} failures")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
