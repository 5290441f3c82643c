"""Hold what a wheel promises against what is in it.

Rule: what is wrong is said by the tools that others would use, and all of it, not only the first.
"""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path
from zipfile import ZipFile

from ..commands import Failure, pip, program, run

# Such a wheel is for CPython 3.9 and later, and for systems with this C library or a later one.
TAG = re.compile(r"cp39-abi3-(?:manylinux_2_(\d+)_\w+|manylinux20\d\d_\w+)(?:\.\w+)*")

# On an interpreter that has nothing but the wheel and cffi.
_USE = """
import os, platform, uds_cffi
one, two = uds_cffi.UnixStream.pair()
with one, two, open(os.devnull) as null:
    one.send_fds(b"x", [null])
    data, fds = two.recv_fds(1, 1)
    with fds:
        assert data == b"x" and os.fstat(fds.numbers()[0]).st_rdev == os.fstat(null.fileno()).st_rdev
assert uds_cffi._lib.__file__.endswith("/_lib.abi3.so"), uds_cffi._lib.__file__
print(platform.python_version())
"""


def problems(wheel: Path, newest_glibc: str) -> list[str]:
    """Return what is wrong with a wheel."""
    return [*about_name(wheel, newest_glibc), *about_files(wheel), *about_abi(wheel)]


def about_name(wheel: Path, newest_glibc: str) -> list[str]:
    """Check the promise itself: all CPythons, and systems as old as was meant."""
    tag = "-".join(wheel.stem.split("-")[-3:])
    found = TAG.fullmatch(tag)
    needed = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", tag)]
    if found is None or not needed:
        return [f"the wheel is for {tag}, and not for cp39-abi3 and a version of manylinux"]
    if min(needed) > int(newest_glibc.partition(".")[2]):
        return [f"the wheel needs glibc 2.{min(needed)}, and was built for {newest_glibc}"]
    said = run(program("auditwheel"), "show", wheel)
    # It names the newest of the systems that are all right, in words that are broken into lines.
    consistent = re.search(r'consistent with the\s+following platform tag:\s+"manylinux_2_(\d+)_', said)
    if consistent is None or int(consistent.group(1)) > min(needed):
        return [f"auditwheel does not find what the name says:\n{said}"]
    return []


def about_files(wheel: Path) -> list[str]:
    """Check that the wheel holds the package, its one module in C, and nothing else."""
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    modules = [name for name in names if ".so" in name]
    found = [] if modules == ["uds_cffi/_lib.abi3.so"] else [f"its modules in C are {modules}"]
    return found + [f"{name} does not belong there" for name in names if not name.startswith("uds_cffi/")]


def about_abi(wheel: Path) -> list[str]:
    """Check that what the module takes from Python is in the stable ABI of the version in the name."""
    said = run(program("abi3audit"), "--strict", "--report", wheel, may_fail=True)
    try:
        specs = json.loads(said)["specs"]
        (extension,) = specs[str(wheel)]["wheel"]
        result = extension["result"]
        fine = result["is_abi3"] and result["is_abi3_baseline_compatible"] and result["baseline"] == "3.9"
    except (ValueError, KeyError, TypeError):
        fine = False
    return [] if fine else [f"abi3audit: {said}"]


def use(wheel: Path, interpreter: str, work: Path) -> str:
    """Install a wheel in a folder for an interpreter of a manylinux system, use it, and return the version."""
    version = run(program(interpreter), "-c", "import platform; print(platform.python_version())").strip()
    folder = work / f"for-{version}"
    # Ours may be newer than any pip that an old interpreter can run.
    system = f"manylinux2014_{platform.machine()}"
    which = ("--implementation", "cp", "--python-version", version, "--platform", system, "--only-binary=:all:")
    pip("install", "--quiet", "--target", folder, *which, wheel)
    begin = f"import sys; sys.path.insert(0, {str(folder)!r})"
    said = run(program(interpreter), "-I", "-S", "-W", "error", "-c", f"{begin}\n{_USE}").strip()
    if said != version:
        raise Failure(f"{interpreter} said:\n{said}")
    return version
