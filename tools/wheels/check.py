"""Hold what a wheel promises against what is in it.

Rule: what is wrong is said by the tools that others would use, and all of it, not only the first.
"""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from ..commands import Failure, pip, program, run

# Such a wheel is for systems with this C library or a later one.
SYSTEMS = r"-(?:manylinux_2_(\d+)_\w+|manylinux20\d\d_\w+)(?:\.\w+)*"

# On an interpreter that has nothing but the wheel and cffi.
_USE = """
import os, platform, uds_cffi
one, two = uds_cffi.UnixStream.pair()
with one, two, open(os.devnull) as null:
    one.send_fds(b"x", [null])
    data, fds = two.recv_fds(1, 1)
    with fds:
        assert data == b"x" and os.fstat(fds.numbers()[0]).st_rdev == os.fstat(null.fileno()).st_rdev
assert uds_cffi._lib.__file__.endswith({module!r}), uds_cffi._lib.__file__
print(platform.python_version())
"""


class Promise(NamedTuple):
    """For which interpreters a wheel is.

    Attributes:
        interpreters: How its tag begins.
        module: The module in C, by the name under which these interpreters find it.
    """

    interpreters: str
    module: str


# CPython 3.9 and later.
ABI3 = Promise("cp39-abi3", "uds_cffi/_lib.abi3.so")


def of_pypy(version: str) -> Promise:
    """Return what a wheel for PyPy promises, whose ABI is that of PyPy 7.3 and of one version of Python."""
    number = "".join(version.split(".")[:2])
    return Promise(
        f"pp{number}-pypy{number}_pp73", f"uds_cffi/_lib.pypy{number}-pp73-{platform.machine()}-linux-gnu.so"
    )


def problems(wheel: Path, newest_glibc: str, promise: Promise = ABI3) -> list[str]:
    """Return what is wrong with a wheel."""
    found = [*about_name(wheel, newest_glibc, promise), *about_files(wheel, promise)]
    return [*found, *about_abi(wheel)] if promise == ABI3 else found


def about_name(wheel: Path, newest_glibc: str, promise: Promise = ABI3) -> list[str]:
    """Check the promise itself: which interpreters, and systems as old as was meant."""
    tag = "-".join(wheel.stem.split("-")[-3:])
    found = re.fullmatch(promise.interpreters + SYSTEMS, tag)
    needed = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", tag)]
    if found is None or not needed:
        return [f"the wheel is for {tag}, and not for {promise.interpreters} and a version of manylinux"]
    if min(needed) > int(newest_glibc.partition(".")[2]):
        return [f"the wheel needs glibc 2.{min(needed)}, and was built for {newest_glibc}"]
    said = run(program("auditwheel"), "show", wheel)
    # It names the newest of the systems that are all right, in words that are broken into lines.
    consistent = re.search(r'consistent with the\s+following platform tag:\s+"manylinux_2_(\d+)_', said)
    if consistent is None or int(consistent.group(1)) > min(needed):
        return [f"auditwheel does not find what the name says:\n{said}"]
    return []


def about_files(wheel: Path, promise: Promise = ABI3) -> list[str]:
    """Check that the wheel holds the package, its one module in C, and nothing else."""
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    modules = [name for name in names if ".so" in name]
    found = [] if modules == [promise.module] else [f"its modules in C are {modules}"]
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


def version_of(interpreter: str) -> str:
    """Return the version of Python that an interpreter has."""
    return run(program(interpreter), "-c", "import platform; print(platform.python_version())").strip()


def use(wheel: Path, interpreter: str, work: Path, promise: Promise = ABI3) -> str:
    """Install a wheel in a folder for an interpreter of a manylinux system, use it, and return the version."""
    version = version_of(interpreter)
    implementation, abi = promise.interpreters.split("-")
    folder = work / f"for-{implementation[:2]}{version}"
    # Ours may be newer than any pip that an old interpreter can run.
    system = f"manylinux2014_{platform.machine()}"
    which = ["--implementation", implementation[:2], "--python-version", version, "--platform", system]
    if promise != ABI3:
        # PyPy has cffi in itself, and our pip, which does not run on it, would look for one.
        which += ["--abi", abi, "--no-deps"]
    pip("install", "--quiet", "--target", folder, *which, "--only-binary=:all:", wheel)
    begin = f"import sys; sys.path.insert(0, {str(folder)!r})"
    code = _USE.format(module=f"/{promise.module}")
    said = run(program(interpreter), "-I", "-S", "-W", "error", "-c", f"{begin}\n{code}").strip()
    if said != version:
        raise Failure(f"{interpreter} said:\n{said}")
    return version
