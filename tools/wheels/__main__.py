"""Build the wheel, check it, use it, and say what was found: ``python -m tools.wheels``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..commands import Failure
from . import build, check

# The oldest that the wheel is for, and the newest that has to be here.
USERS = ("python3.9", "python3.13")


def main(arguments: list[str]) -> int:
    """Return 0 if the wheel is what its name says."""
    parser = argparse.ArgumentParser(prog="python -m tools.wheels", description=__doc__)
    parser.add_argument("--work", type=Path, help="put everything into this folder, and leave it there")
    parser.add_argument("--on", action="append", metavar="PROGRAM", help=f"use it on this one, not on {USERS}")
    chosen = parser.parse_args(arguments)
    users = chosen.on or list(USERS)
    try:
        if chosen.work is not None:
            return run(chosen.work.resolve(), users)
        with tempfile.TemporaryDirectory() as work:
            return run(Path(work), users)
    except Failure as failure:
        print(f"wheels: FAILED: {failure}")
        return 1


def run(work: Path, users: list[str]) -> int:
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
    versions = [check.use(wheel, interpreter, work) for interpreter in users]
    print(f"wheels: installed and used on CPython {', '.join(versions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
