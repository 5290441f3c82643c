"""Build the wheel, check it, use it, and say what was found: ``python -m tools.wheels``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .. import commands
from ..commands import Failure
from . import build, check

# Those that the wheel is for.
VERSIONS = tuple(f"python3.{minor}" for minor in range(9, 16))


def users() -> list[str]:
    """Return the oldest and the newest of them that run here, and else the one that runs this."""
    found = [version for version in VERSIONS if runs(version)] or [sys.executable]
    return sorted({found[0], found[-1]}, key=found.index)


def runs(program: str) -> bool:
    """Tell whether a program is there and runs; pyenv, for one, has names on PATH that do not."""
    try:
        commands.run(program, "-c", "")
    except Failure:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Return 0 if the wheel is what its name says."""
    parser = argparse.ArgumentParser(prog="python -m tools.wheels", description=__doc__)
    parser.add_argument("--work", type=Path, help="put everything into this folder, and leave it there")
    parser.add_argument("--pypy", metavar="PROGRAM", help="also build one for this PyPy; else for pypy3, if it is here")
    parser.add_argument(
        "--on",
        action="append",
        metavar="PROGRAM",
        help="use it on this one; else on the oldest and the newest that are here",
    )
    chosen = parser.parse_args(arguments)
    programs = chosen.on or users()
    pypy = chosen.pypy or ("pypy3" if runs("pypy3") else None)
    try:
        if chosen.work is not None:
            return run(chosen.work.resolve(), programs, pypy)
        with tempfile.TemporaryDirectory() as work:
            return run(Path(work), programs, pypy)
    except Failure as failure:
        print(f"wheels: FAILED: {failure}")
        return 1


def run(work: Path, programs: list[str], pypy: str | None) -> int:
    """Build, check and use each wheel, and return how many are wrong."""
    bad = make(work, None, programs, check.ABI3)
    if pypy is None:
        print("wheels: there is no PyPy here")
    else:
        bad += make(work / "pypy", pypy, [pypy], check.of_pypy(check.version_of(pypy)))
    return bad


def make(work: Path, builder: str | None, programs: list[str], promise: check.Promise) -> int:
    """Build a wheel with an interpreter, check it, and use it with each of some."""
    out = work / "wheels"
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.whl"):
        old.unlink()
    wheel = build.repair(build.build(work, interpreter=builder), out)
    print(f"{wheel.name}: {wheel.stat().st_size // 1000} kB")
    found = check.problems(wheel, build.GLIBC, promise)
    for problem in found:
        print(f"    {problem}")
    if found:
        print(f"wheels: FAILED: {len(found)} things are wrong")
        return 1
    print(f"auditwheel{' and abi3audit find' if promise == check.ABI3 else ' finds'} what the name says")
    versions = [check.use(wheel, interpreter, work, promise) for interpreter in programs]
    print(f"wheels: installed and used on {'PyPy' if builder else 'CPython'}, Python {', '.join(versions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
