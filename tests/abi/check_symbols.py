"""Compares what the header declares with what the library exports, and checks its SONAME.

    check_symbols.py NM OBJDUMP HEADER LIBRARY

Standard library only.
"""

import re
import subprocess
import sys


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def declared(path):
    with open(path, encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)
    return set(re.findall(r"\bDECONV_API\b[^;]*?\b(deconv_\w+)\s*\(", text))


def exported(nm, library):
    """Names of functions and data; the name of the version itself (type A) is none of them."""
    rows = [line.split() for line in output_of(nm, "-D", "--defined-only", library).splitlines()]
    return {row[-1] for row in rows if row[-2] != "A"}


def main():
    nm, objdump, header, library = sys.argv[1:]
    declarations, symbols = declared(header), exported(nm, library)
    names = {symbol.split("@")[0] for symbol in symbols}
    faults = [f"{name} is declared and not exported" for name in sorted(declarations - names)]
    faults += [f"{name} is exported and not declared" for name in sorted(names - declarations)]
    faults += [f"{s} has no version of ours" for s in sorted(symbols) if "@@DECONV_" not in s]
    soname = re.search(r"SONAME\s+(\S+)", output_of(objdump, "-p", library))
    if not soname or soname[1] != "libdeconv.so.1":
        faults.append(f"the SONAME is {soname and soname[1]}, not libdeconv.so.1")
    if not declarations:
        faults.append(f"no declaration found in {header}")
    for fault in faults:
        print(f"FAIL {fault}")
    print(f"{len(declarations)} functions declared, {len(names)} exported, {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
