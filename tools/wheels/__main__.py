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
    parser.add_argument(
        "--on",
        action="append",
        metavar="PROGRAM",
        help="use it on this one; else on the oldest and the newest that are here",
    )
    chosen = parser.parse_args(arguments)
    programs = chosen.on or users()
    try:
        if chosen.work is not None:
            return run(chosen.work.resolve(), programs)
        with tempfile.TemporaryDirectory() as work:
            return run(Path(work), programs)
    except Failure as failure:
        print(f"wheels: FAILED: {failure}")
        return 1


def run(work: Path, programs: list[str]) -> int:
    """Build, check and use."""
    out = work / "wheels"
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.whl"):
        old.unlink()
    wheel = build.repair(build.build(work), out)
    print(f"{wheel.name}: {wheel.stat().st_size // 1000} kB")
    found = check.problems(wheel, build.GLIBC)
    for problem in found:
        print(f"    {problem}")
    if found:
        print(f"wheels: FAILED: {len(found)} things are wrong")
        return 1
    print("auditwheel and abi3audit find what the name says")
    versions = [check.use(wheel, interpreter, work) for interpreter in programs]
    print(f"wheels: installed and used on CPython {', '.join(versions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
