"""Installs the build into a folder and builds a program against it as a user would: with CMake's
find_package and with pkg-config.

    check_packages.py CMAKE BUILD_FOLDER COMPILER WORK_FOLDER

Standard library only.
"""

import os
import pathlib
import shutil
import subprocess
import sys

CONSUMER = pathlib.Path(__file__).resolve().parent / "consumer"


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"FAIL {' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout.strip()


def main():
    cmake, build, compiler = sys.argv[1:4]
    work = pathlib.Path(sys.argv[4])
    shutil.rmtree(work, ignore_errors=True)
    prefix = work / "installed"
    run(cmake, "--install", build, "--prefix", prefix)
    # Moved once more: neither package may hold on to where it was installed first.
    moved = work / "moved"
    prefix.rename(moved)
    library = next(moved.glob("lib*/**/libdeconv.so.1")).parent
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(library),
        "PKG_CONFIG_PATH": str(library / "pkgconfig"),
    }

    by_cmake = work / "by_cmake"
    run(cmake, "-G", "Ninja", "-S", CONSUMER, "-B", by_cmake, f"-DCMAKE_PREFIX_PATH={moved}",
        f"-DCMAKE_C_COMPILER={compiler}")
    run(cmake, "--build", by_cmake)
    print("find_package:", run(by_cmake / "consumer"))

    flags = run("pkg-config", "--cflags", "--libs", "deconv",
                env=environment).split()
    program = work / "by_pkg_config"
    run(compiler, "-std=c11", CONSUMER / "consumer.c", "-o", program, *flags)
    print("pkg-config:", run(program, env=environment))

    print("installed command:", run(moved / "bin" / "deconv", "--version", env=environment))
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
