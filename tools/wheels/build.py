"""Build a wheel against an old C library, with the compiler of the package `ziglang`."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from ..commands import environment, pip, program, run
from ..interpreters.trial import source
from ..portability import zig

# That of manylinux2014, and so of every system that a CPython with wheels runs on.
GLIBC = "2.17"


def build(work: Path, glibc: str = GLIBC, interpreter: str | None = None) -> Path:
    """Build the wheel and return it.

    Args:
        work: A folder of its own.
        glibc: The version of the C library whose functions it may use.
        interpreter: Which one it is for, if not this environment's.
    """
    target = f"{platform.machine()}-linux-gnu.{glibc}"
    # By its path, because an isolated build does not see the packages of this environment.
    compiler = f"{zig.program()} cc -target {target} -Wno-unused-command-line-argument"
    cache = str(work / "zig-cache")
    settings = {
        "CC": compiler,
        # Without what a debugger reads, which is several times as long as the module.
        "LDSHARED": f"{compiler} -shared -Wl,-s",
        "ZIG_LOCAL_CACHE_DIR": cache,
        "ZIG_GLOBAL_CACHE_DIR": cache,
    }
    wheels = work / "built"
    shutil.rmtree(wheels, ignore_errors=True)
    python = None if interpreter is None else environment(program(interpreter), work / "environment")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, source(work), python=python, settings=settings)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def repair(wheel: Path, into: Path) -> Path:
    """Give a wheel the name of the oldest systems that have all that it needs, and return it.

    Raises:
        Failure: There is no such name, or it needs libraries that auditwheel would copy into it.
    """
    before = set(into.glob("*.whl"))
    run(program("auditwheel"), "repair", "--wheel-dir", into, wheel, path=Path(program("patchelf")).parent)
    (repaired,) = set(into.glob("*.whl")) - before
    return repaired
