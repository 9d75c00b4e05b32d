"""deconv tune and deconv info --plan, with a cache folder of their own.

    check_tune.py DECONV FIGURES

FIGURES is the bundled network's folder. Standard library only.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

faults = []


def check(condition, what):
    print(f"{'ok  ' if condition else 'FAIL'} {what}")
    if not condition:
        faults.append(what)


class Command:
    def __init__(self, deconv, home):
        self.deconv = deconv
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(home)}

    def start(self, *arguments):
        return subprocess.Popen([self.deconv, *map(str, arguments)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self.environment)

    def run(self, *arguments):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out.decode(), err.decode()

    def json(self, *arguments):
        status, out, err = self.run(*arguments, "--json")
        if status:
            sys.exit(f"{arguments}: status {status}: {err}")
        return json.loads(out)


def warm(home):
    """Programs that other tests compiled, and nothing that they measured."""
    folder = home / "deconv"
    folder.mkdir(parents=True)
    before = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/nowhere")) / "deconv"
    for program in before.glob("*.program"):
        shutil.copy(program, folder)


def times_of(entry):
    return {c["algorithm"]: c["microseconds"] for c in entry["candidates"] if "microseconds" in c}


def check_plan(plan, measured):
    check(len(plan) == 8, "both directions of four convolutions")
    for direction in "forward", "inverse":
        shares = [entry["share"] for entry in plan if entry["direction"] == direction]
        check(abs(sum(shares) - 1) < 1e-6, f"{direction}: the shares add up")
    for entry in plan:
        name = f"{entry['layer']} {entry['direction']}"
        chosen = [c for c in entry["candidates"] if c["chosen"]]
        check([c["algorithm"] for c in chosen] == [entry["algorithm"]], f"{name}: one is chosen")
        check(all(c.get("reason") for c in entry["candidates"] if not c["chosen"]),
              f"{name}: a reason for every other")
        times = times_of(entry)
        if measured:
            check(times and min(times, key=times.get) == entry["algorithm"],
                  f"{name}: the fastest of {times} serves")
        else:
            check(not times, f"{name}: nothing is measured")


def tune_and_look(command, network):
    plan = command.json("info", "--plan", network)["plan"]
    check_plan(plan, False)
    status, out, err = command.run("info", "--plan", network)
    check(status == 0 and not err and re.search(r"conv1 +forward +\w+ +\w+ to \w+ .* 7\.79", out),
          "the plan as text")
    result = command.json("tune", network, "--limit", "0.1")
    check(result["convolutions"] == 8 and result["measured"] >= 8 and result["wrong"] == 0,
          "eight convolutions are measured, none wrong")
    check_plan(command.json("info", "--plan", network)["plan"], True)
    batch = command.json("info", "--plan", network, "--batch", "2")["plan"]
    check(not any(times_of(entry) for entry in batch), "another batch is not measured")
    return pathlib.Path(result["file"])


def look_at_fast(command, network, picture, folder):
    """What the plan says of run --fast: results differ from the first layer on that it names."""
    differs = False
    plan = command.json("info", "--plan", network)["plan"]
    text = command.run("info", "--plan", network)[1]
    named = [entry for entry in plan if "fast" in entry]
    check(all(e["direction"] == "forward" and e["fast"] != e["algorithm"] and 0 < e["fast_cost"] < 1
              for e in named), "run --fast takes what is expected to be faster, forward only")
    check(text.count("    run --fast: ") == len(named), "and the plan as text names as many")
    for entry in plan:
        if entry["direction"] == "inverse":
            continue
        differs = differs or "fast" in entry
        files = folder / "exact.npy", folder / "fast.npy"
        for file, fast in zip(files, ([], ["--fast"])):
            command.run("run", network, picture, "--layer", entry["layer"], "--raw", file, *fast)
        same = files[0].read_bytes() == files[1].read_bytes()
        check(same != differs, f"{entry['layer']}: run --fast {'differs' if differs else 'is exact'}")
    return named


def check_file_problems(command, network, picture, file):
    good = file.read_text()
    _, classes, _ = command.run("run", network, picture)
    for what, text in ("cut off", good[: len(good) // 2]), ("of another driver", good.replace(
            "\ndriver ", "\ndriver 0", 1)), ("junk", "\0\1\2"):
        file.write_text(text)
        status, out, err = command.run("run", network, picture)
        check(status == 0 and out == classes and err.count("\n") == 1 and str(file) in err,
              f"a file {what} costs one line: {err.strip()}")
    file.write_text(good)


def tune_at_once(command, network, file):
    file.unlink()
    both = [command.start("tune", network, "--limit", "0.02", "--batch", n) for n in (1, 2)]
    for process in both:
        process.communicate(timeout=300)
    check([p.returncode for p in both] == [0, 0], "two processes tune at once")
    lines = file.read_text().splitlines()
    check(sum(" batch 1 " in line for line in lines) == 8
          and sum(" batch 2 " in line for line in lines) == 8 and lines[-1] == "end 16",
          "and neither loses what the other measured")
    left = [p.name for p in file.parent.iterdir() if p.suffix not in (".program", ".txt", ".lock")]
    check(not left, f"nothing else is left behind {left or ''}")


def main():
    deconv, figures = sys.argv[1], pathlib.Path(sys.argv[2])
    network, picture = figures / "zfnet-small.onnx", figures / "input.png"
    if not picture.exists():
        picture = next(figures.glob("*.png"))
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        warm(home)
        command = Command(deconv, home)
        named = look_at_fast(command, network, picture, home)
        check(named or os.environ.get("DECONV_DEVICE") != "cpu", "on a CPU that is somewhere")
        file = tune_and_look(command, network)
        check_file_problems(command, network, picture, file)
        tune_at_once(command, network, file)
    print(f"{len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
