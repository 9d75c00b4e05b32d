"""Compares `deconv project` and `deconv occlude` with an independent program's projections and
occlusion maps, all of them.

    check_references.py DECONV SHARED

SHARED holds models/, photos/ and reference/*.npz; an array of a reference file is named
LAYER|UNIT|RULE|Y,X (no position for a vector layer); X_occlusion_PATCH_STRIDE.npz holds `prob`,
`label`, `cls` and `base`. Python's standard library only.
"""

import array
import ast
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

# Largest difference allowed, of the reference's largest absolute value.
PROJECTION_TOLERANCE = 1e-5
OUTPUT_TOLERANCE = 1e-5
# Of probabilities, absolute.
PROBABILITY_TOLERANCE = 1e-5

FILES = {
    "squeezenet1.0_dog_and_cat_227.npz": ("squeezenet1.0.onnx", "dog_and_cat_227.png"),
    "tinyvgg_koala_1.npz": ("tinyvgg.onnx", "tinyvgg/koala_1.png"),
    "tinyvgg_bus_1.npz": ("tinyvgg.onnx", "tinyvgg/bus_1.png"),
}


def read_npy(data):
    """Shape and values of a float32 or float64 .npy file."""
    length = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10 : 10 + length].decode())
    kind = {"<f4": "f", "<f8": "d", "<i8": "q"}[header["descr"]]
    assert not header["fortran_order"]
    return header["shape"], array.array(kind, data[10 + length :])


def relative_difference(shape, values, reference_shape, reference):
    if tuple(shape) != tuple(reference_shape):
        raise SystemExit(f"shape {shape}, the reference has {reference_shape}")
    largest = max(abs(v) for v in reference)
    difference = max(abs(a - b) for a, b in zip(values, reference))
    return difference / largest if math.isfinite(difference) else math.inf


def run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {result.stderr}")
    return result.stdout


def check_file(deconv, shared, name, folder):
    model, photo = FILES[name]
    command = [deconv, None, shared / "models" / model, shared / "photos" / photo, "-q"]
    raw = folder / "raw.npy"
    failures = 0
    with zipfile.ZipFile(shared / "reference" / name) as archive:
        for member in archive.namelist():
            key = member.removesuffix(".npy")
            reference_shape, reference = read_npy(archive.read(member))
            if key == "output":
                command[1] = "run"
                run(command + ["--raw", raw])
                tolerance = OUTPUT_TOLERANCE
            else:
                layer, unit, rule, at = key.split("|")
                command[1] = "project"
                run(
                    command
                    + ["--layer", layer, "--unit", unit, "--rule", rule, "--raw", raw]
                    + (["--at", at] if at else [])
                )
                tolerance = PROJECTION_TOLERANCE
            shape, values = read_npy(raw.read_bytes())
            if key == "output" and len(shape) > len(reference_shape):
                shape = shape[len(shape) - len(reference_shape) :]
            difference = relative_difference(shape, values, reference_shape, reference)
            good = difference <= tolerance
            failures += not good
            print(f"{'ok  ' if good else 'FAIL'} {difference:.2e}  {name} {key}")
    return failures


def check_occlusion(deconv, shared, name, folder):
    """Probabilities and labels of every place, from one sweep."""
    picture, sizes = name.removesuffix(".npz").split("_occlusion_")
    patch, stride = sizes.split("_")
    model, photo = FILES[picture + ".npz"]
    raw = folder / "raw.npy"
    command = [deconv, "occlude", shared / "models" / model, shared / "photos" / photo, "--json"]
    answer = run(
        command
        + ["--patch", patch, "--stride", stride, "--map", "prob", "--map", "label", "--raw", raw]
    )
    answer = json.loads(answer)
    shape, values = read_npy(raw.read_bytes())
    with zipfile.ZipFile(shared / "reference" / name) as archive:
        wanted = {m.removesuffix(".npy"): read_npy(archive.read(m)) for m in archive.namelist()}
    places = len(values) // 2
    if tuple(shape[1:]) != tuple(wanted["prob"][0]):
        raise SystemExit(f"{name}: maps of {shape[1:]}, the reference has {wanted['prob'][0]}")
    difference = max(abs(a - b) for a, b in zip(values, wanted["prob"][1]))
    difference = max(difference, abs(answer["probability"] - wanted["base"][1][0]))
    labels = sum(int(a) != b for a, b in zip(values[places:], wanted["label"][1]))
    good = (
        difference <= PROBABILITY_TOLERANCE
        and labels == 0
        and answer["class"] == wanted["cls"][1][0]
    )
    print(
        f"{'ok  ' if good else 'FAIL'} {difference:.2e}  {name}: {places} places, "
        f"{labels} labels differ"
    )
    return not good


def main():
    deconv, shared = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    references = {p.name for p in (shared / "reference").glob("*.npz")}
    unknown = {n for n in references if "_occlusion_" not in n} - set(FILES)
    if unknown:
        raise SystemExit(f"no model is known for {sorted(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        failures = sum(check_file(deconv, shared, n, folder) for n in sorted(FILES))
        occlusions = sorted(n for n in references if "_occlusion_" in n)
        if not occlusions:
            raise SystemExit("the reference has no occlusion maps")
        failures += sum(check_occlusion(deconv, shared, n, folder) for n in occlusions)
    print(f"{failures} failures")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
