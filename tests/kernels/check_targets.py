#!/usr/bin/env python3
"""Compiles every kernel file of cl/, with every set of options that the library asks for, for GPUs that
are not here: amdgcn (gfx90a, gfx1030, gfx1100), nvptx64 and spir64, as OpenCL C 1.2 without a warning.

The sets of options are not listed anywhere: the operators' problems are planned, and the bundled network
runs, as on CPUs with vectors of 8 and 16 floats and as on a GPU (DECONV_DEVICE_LIKE), and the debug log
says which programs were built. Those that only CPUs ask for go as far as the target's intermediate code. On AMD no kernel that a GPU would be given may spill registers; the
occupancy is printed. The last line has the totals; the exit status is 1 if anything failed.

usage: check_targets.py --layers PROGRAM --deconv PROGRAM --source FOLDER
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

LIKES = ["gpu", "cpu8", "cpu16"]
AMD = ["gfx90a", "gfx1030", "gfx1100"]
NEWEST, OLDEST = 21, 14  # clang-N that are looked for, besides clang itself
LIBCLC = ["/usr/lib/clc/amdgcn--amdhsa.bc", "/usr/share/clc/amdgcn--amdhsa.bc"]
# Everything is inlined, as the drivers of these devices do.
AMD_FLAGS = ["-target", "amdgcn--amdhsa", "-nogpulib", "-O3", "-S", "-mllvm", "-amdgpu-early-inline-all=true"]
OTHER_FLAGS = {
    "nvptx64": ["-target", "nvptx64-nvidia-nvcl", "-O2", "-S"],
    "spir64": ["-target", "spir64", "-O2", "-S", "-emit-llvm"],
}
# A kernel file defines more functions, and kernels of one signature more parameters, than each uses.
COMMON_FLAGS = ["-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header",
                "-Wall", "-Wextra", "-Werror",
                "-Wno-unused-function", "-Wno-unused-parameter",
                # a loop that a CPU kernel wants unrolled may be too long for a GPU's compiler
                "-Wno-pass-failed"]
PROGRAM = re.compile(r'program (\S+\.cl) "(.*?)": ')


def run_logged(command, like, cache):
    environment = dict(os.environ, DECONV_DEVICE_LIKE=like, DECONV_LOG="debug", XDG_CACHE_HOME=cache)
    environment.pop("DECONV_CONV_ALGORITHM", None)
    environment.pop("DECONV_KERNEL_DIR", None)
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        lines = (result.stderr + result.stdout).splitlines()
        notes = [line for line in lines if " debug: " not in line and " info: " not in line]
        sys.exit(f"targets: as on {like}, {' '.join(command[:2])} failed:\n" + "\n".join(notes[-10:]))
    return set(PROGRAM.findall(result.stderr))


def requests(arguments, scratch):
    """{(file, options): likes that ask for it}"""
    problems = os.path.join(arguments.source, "tests", "problems")
    figures = os.path.join(arguments.source, "examples", "figures")
    files = sorted(os.path.join(problems, name) for name in os.listdir(problems))
    picture, model = os.path.join(figures, "face.png"), os.path.join(figures, "zfnet-small.onnx")
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join(scratch, "cache"))
    image = os.path.join(scratch, "out.png")
    commands = [
        [arguments.layers, "--plan-only"] + files,
        [arguments.deconv, "project", model, picture, "-o", image],
        [arguments.deconv, "project", model, picture, "--rule", "guided", "-o", image],
        [arguments.deconv, "project", model, picture, "--layer", "conv3", "-o", image],
        [arguments.deconv, "run", model, picture, "--fast"],
        [arguments.deconv, "occlude", model, picture, "--patch", "48", "--stride", "48", "-o", image],
    ]
    wanted = {}
    for like in LIKES:
        for command in commands:
            for request in run_logged(command, like, cache):
                wanted.setdefault(request, set()).add(like)
    return wanted


def clang_for(target):
    """The newest clang that makes code for `target`; None."""
    for name in [f"clang-{n}" for n in range(NEWEST, OLDEST - 1, -1)] + ["clang"]:
        path = shutil.which(name)
        if path:
            flags = AMD_FLAGS + [f"-mcpu={target}"] if target in AMD else OTHER_FLAGS[target]
            probe = subprocess.run([path, "-x", "cl"] + flags + ["-o", os.devnull, "-"],
                                   input="kernel void k(global int *p) { *p = 1; }",
                                   capture_output=True, text=True)
            if probe.returncode == 0:
                return path
    return None


def library_for(compiler):
    """The bitcode of OpenCL's functions for AMD that `compiler` can read; None."""
    for path in LIBCLC:
        if os.path.exists(path):
            probe = subprocess.run(
                [compiler, "-x", "cl"] + AMD_FLAGS + ["-mcpu=gfx90a", "-Xclang", "-mlink-builtin-bitcode",
                                                      "-Xclang", path, "-o", os.devnull, "-"],
                input="kernel void k(global float *p) { *p = fma(*p, *p, *p); }",
                capture_output=True, text=True)
            if probe.returncode == 0:
                return path
    return None


def kernels_of(assembly):
    """[(name, registers, occupancy, local bytes, stack bytes, spills, calls)] from AMD's assembly."""
    found = []
    for name, body in re.findall(r"\.amdhsa_kernel (\S+)\n(.*?)\.end_amdhsa_kernel", assembly, re.S):
        code = re.search(rf"^{name}:(.*?)\.amdhsa_kernel {name}\n", assembly, re.S | re.M).group(1)
        comments = assembly.split(f".amdhsa_kernel {name}\n", 1)[1]
        meta = next(m for m in re.split(r"^  - ", assembly[assembly.index("amdhsa.kernels:"):], flags=re.M)
                    if re.search(rf"\.name: +{name}$", m, re.M))

        def number(key, text):
            return int(re.search(key + r":? +(\d+)", text).group(1))

        registers = re.search(r"; TotalNumVgprs: (\d+)|; NumVgprs: (\d+)", comments)
        total = re.search(r"; TotalNumVgprs: (\d+)", comments.split(".amdhsa_kernel")[0])
        found.append({
            "name": name,
            "registers": int(total.group(1) if total else registers.group(2) or registers.group(1)),
            "occupancy": number("; Occupancy", comments),
            "local": number(r"\.group_segment_fixed_size", meta),
            "stack": number(r"\.private_segment_fixed_size", meta),
            "spills": number(r"\.vgpr_spill_count", meta) + number(r"\.sgpr_spill_count", meta),
            "calls": "s_swappc_b64" in code,
        })
    return found


def compile_one(compiler, library, target, path, options, likes, out):
    flags = COMMON_FLAGS + options.split()
    # What only CPUs are given goes as far as the target's intermediate code: it has more private memory
    # than a GPU's item may (dense.cl: 192 KiB), and no loop need be unrolled.
    if "gpu" not in likes:
        flags += ["-emit-llvm", "-Wno-pass-failed"]
    if target in AMD:
        flags += AMD_FLAGS + [f"-mcpu={target}"]
        if library:
            flags += ["-Xclang", "-mlink-builtin-bitcode", "-Xclang", library]
    else:
        flags += OTHER_FLAGS[target]
    return subprocess.run([compiler] + flags + ["-o", out, path], capture_output=True, text=True)


class Check:
    def __init__(self, arguments, scratch):
        self.folder = os.path.join(arguments.source, "cl")
        self.scratch = scratch
        self.lines, self.failures, self.compiled, self.measured = [], [], 0, 0
        self.compilers = {target: clang_for(target) for target in AMD + list(OTHER_FLAGS)}
        self.libraries = {t: library_for(c) for t, c in self.compilers.items() if t in AMD and c}

    def one(self, job):
        number, target, (file, options), likes = job
        out = os.path.join(self.scratch, f"{number}.s")
        library = self.libraries.get(target)
        result = compile_one(self.compilers[target], library, target, os.path.join(self.folder, file),
                             options, likes, out)
        lines, failures, measured = [], [], 0
        if result.returncode != 0:
            first = next((l for l in result.stderr.splitlines() if "error" in l), result.stderr[:200])
            failures.append(f"{target} {file} \"{options}\": {first}")
        elif target in AMD and "gpu" in likes and library:
            with open(out) as assembly:
                for k in kernels_of(assembly.read()):
                    measured += 1
                    lines.append(f"{target:8} {file:18} {k['name']:24} {options:36} {k['registers']:4} vgprs "
                                 f"{k['occupancy']:3} waves {k['local']:6} local {k['stack']:5} stack "
                                 f"{k['spills']:3} spilled")
                    if k["spills"] or k["calls"]:
                        what = f"spills {k['spills']} registers" if k["spills"] else "calls a function"
                        failures.append(f"{target} {file} \"{options}\": {k['name']} {what}")
        if os.path.exists(out):
            os.remove(out)
        return lines, failures, measured

    def all(self, wanted):
        jobs = [(t, request, likes) for t, c in self.compilers.items() if c
                for request, likes in sorted(wanted.items())]
        jobs = [(number,) + job for number, job in enumerate(jobs)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for lines, failures, measured in pool.map(self.one, jobs):
                self.lines += lines
                self.failures += failures
                self.measured += measured
                self.compiled += 1


def main():
    parser = argparse.ArgumentParser()
    for name in ["layers", "deconv", "source"]:
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        check = Check(arguments, scratch)
        if not any(check.compilers.values()):
            print("targets: skipped: there is no clang that makes code for amdgcn, nvptx64 or spir64")
            return 77
        wanted = requests(arguments, scratch)
        unasked = set(n for n in os.listdir(check.folder) if n.endswith(".cl")) - {f for f, _ in wanted}
        check.failures += [f"{name}: no problem and no network asks for it"
                           + (" (it needs CLBlast)" if "im2col" in name else "") for name in sorted(unasked)]
        check.all(wanted)

    print("\n".join(check.lines))
    for target, compiler in check.compilers.items():
        if not compiler:
            print(f"targets: {target} is left out: no clang here makes code for it")
        elif target in AMD and not check.libraries[target]:
            print(f"targets: {target}: registers are not counted: {compiler} reads none of "
                  f"{', '.join(LIBCLC)} (Debian: libclc of the same version)")
    for failure in check.failures:
        print(f"targets: FAILED {failure}")
    print(f"targets: {len(wanted)} programs, {check.compiled} compilations, {check.measured} kernels "
          f"measured, {len(check.failures)} failures")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
