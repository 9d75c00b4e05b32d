"""deconv occlude: figure, overlay, raw file and JSON belong together; both engines say the same; what
is interrupted or killed leaves no half file; memory does not grow with the number of places.

    check_occlude.py DECONV FIGURES

FIGURES is the bundled network's folder. Standard library only.
"""

import array
import ast
import json
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

# A sweep over this many times more places may take this much more device memory.
MEMORY_GROWTH = 1.1

# Moments of a sweep at which it is killed.
KILLS = 12


def read_npy(path):
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10 : 10 + length].decode())
    return header["shape"], array.array("f", data[10 + length :])


def png_size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", f"{path} is no PNG"
    return struct.unpack(">II", data[16:24])


class Checker:
    def __init__(self, deconv, figures, folder):
        self.command = [deconv, "occlude", figures / "zfnet-small.onnx", figures / "face.png"]
        self.folder = folder
        self.failures = 0

    def check(self, good, what):
        self.failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}")

    def run(self, *arguments):
        result = subprocess.run(self.command + list(arguments), capture_output=True, text=True,
                                cwd=self.folder)
        if result.returncode != 0:
            raise SystemExit(f"FAIL {arguments}: {result.stderr}")
        return result

    def outputs_agree(self):
        out = json.loads(
            self.run("--patch", "24,20", "--stride", "16", "--map", "prob", "--map", "drop", "--map",
                     "activity:pool2:5", "-o", "figure.png", "--overlay", "overlay.png", "--raw",
                     "maps.npy", "--json").stdout
        )
        shape, values = read_npy(self.folder / "maps.npy")
        self.check(shape == (3, 6, 6), f"three maps of 6 x 6 places: {shape}")
        self.check(out["tops"] == [0, 16, 32, 48, 64, 72], "tops")
        self.check(out["lefts"] == [0, 16, 32, 48, 64, 76], "lefts")
        told = [v for m in out["maps"] for row in m["values"] for v in row]
        self.check(len(told) == 108 and max(abs(a - b) for a, b in zip(told, values)) < 1e-5,
                   "JSON and raw file hold the same")
        drops = [out["probability"] - p for p in values[:36]]
        self.check(max(abs(a - b) for a, b in zip(drops, values[36:72])) < 1e-6,
                   "drop is what is missing of the probability")
        self.check(out["label"] == "face" and out["maps"][2]["unit"] == 5, "class and unit")
        for name in ["figure.png", "overlay.png"]:
            self.check(min(png_size(self.folder / name)) > 400, f"{name} is a picture")

    def engines_agree(self):
        for name in ["incremental", "full"]:
            self.run("--patch", "9", "--stride", "5", "--map", "logit", "--map", "activity:relu4",
                     "--engine", name, "--raw", f"{name}.npy")
        one, other = [(self.folder / f"{n}.npy").read_bytes() for n in ["incremental", "full"]]
        self.check(one == other, "both engines give the same bits")

    def region_is_part_of_the_whole(self):
        self.run("--patch", "16", "--stride", "8", "--raw", "whole.npy")
        self.run("--patch", "16", "--stride", "8", "--region", "24,40,72,88", "--raw", "part.npy")
        (_, whole), (shape, part) = [read_npy(self.folder / f"{n}.npy") for n in ["whole", "part"]]
        cut = [whole[(3 + y) * 11 + 5 + x] for y in range(5) for x in range(5)]
        self.check(shape == (5, 5) and list(part) == cut, "a region is a part of the whole map")

    def interrupted(self):
        before = sorted(p.name for p in self.folder.iterdir())
        process = subprocess.Popen(
            self.command + ["--stride", "1", "--engine", "full", "--raw", "never.npy", "-o",
                            "never.png"],
            cwd=self.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
        self.check(process.returncode == 1 and "cancelled" in errors and errors.count("\n") == 1,
                   f"an interrupted sweep says so in one line: {errors.strip()}")
        self.check(sorted(p.name for p in self.folder.iterdir()) == before, "and leaves nothing")

    def killed(self):
        """At moments from the start to the end of a sweep: an output is whole or not there."""
        names = ["killed.npy", "killed.png", "killed-over.png"]
        command = self.command + ["--patch", "12", "--stride", "4", "--raw", names[0], "-o", names[1],
                                  "--overlay", names[2]]
        start = time.monotonic()
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        seconds = time.monotonic() - start
        whole = {name: (self.folder / name).read_bytes() for name in names}
        running, broken = 0, []
        for step in range(KILLS):
            for name in names:
                (self.folder / name).unlink(missing_ok=True)
            process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL)
            time.sleep(seconds * (step + 0.5) / KILLS)
            running += process.poll() is None
            process.kill()
            process.wait()
            broken += [name for name in names if (self.folder / name).exists()
                       and (self.folder / name).read_bytes() != whole[name]]
        self.check(running >= KILLS // 3 and not broken,
                   f"killed {running} times while running: no half file {broken}")

    def memory_is_bounded(self):
        held = []
        for stride in ["16", "2"]:
            errors = self.run("--patch", "12", "--stride", stride, "--memory", "8M", "-v", "--raw",
                              "m.npy").stderr
            held.append(float(re.search(r"at most ([\d.]+) MB", errors)[1]))
        self.check(held[1] <= MEMORY_GROWTH * held[0],
                   f"device memory: {held[0]} MB for 36 places, {held[1]} MB for 1849")


def main():
    deconv, figures = [pathlib.Path(a).resolve() for a in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        checker = Checker(deconv, figures, pathlib.Path(folder))
        checker.outputs_agree()
        checker.engines_agree()
        checker.region_is_part_of_the_whole()
        checker.memory_is_bounded()
        checker.interrupted()
        checker.killed()
    print(f"{checker.failures} failures")
    return checker.failures != 0


if __name__ == "__main__":
    sys.exit(main())
