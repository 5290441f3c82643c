"""Try the library on interpreters, and print a line for each: ``python -m tools.interpreters NAME...``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..commands import Failure
from .catalogue import INTERPRETERS, Interpreter
from .trial import Found, attempt

# What depends on the interpreter most, and on threads: for a run that has little time.
SHORT = (
    "test_threads_free",
    "test_threads_shared",
    "test_threads_steps",
    "test_threads",
    "test_framed_threads",
    "test_owned_fds",
)


def main(arguments: list[str]) -> int:
    """Return 0 if all was as it should be on each interpreter."""
    parser = argparse.ArgumentParser(prog="python -m tools.interpreters", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(INTERPRETERS)}; all by default")
    parser.add_argument("--work", type=Path, help="put everything into this folder, and leave it there")
    parser.add_argument("--short", action="store_true", help=f"run only {', '.join(SHORT)}")
    parser.add_argument("--pytest", action="append", default=[], metavar="ARGUMENT", help="for pytest; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the interpreters, and where they come from")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(INTERPRETERS)
    if unknown:
        parser.error(f"no such interpreter: {', '.join(sorted(unknown))}; there are {', '.join(INTERPRETERS)}")
    if chosen.list:
        for interpreter in INTERPRETERS.values():
            print(f"{interpreter.name:12} {interpreter.tag:20} {interpreter.source}")
        return 0
    wanted = [INTERPRETERS[name] for name in chosen.names or INTERPRETERS]
    tests = [*(f"tests/{name}.py" for name in SHORT if chosen.short), *chosen.pytest]
    if chosen.work is not None:
        return run(wanted, chosen.work.resolve(), tests)
    with tempfile.TemporaryDirectory() as work:
        return run(wanted, Path(work), tests)


def run(interpreters: list[Interpreter], work: Path, tests: list[str]) -> int:
    """Try one after the other, and go on after a failure."""
    failed = 0
    for interpreter in interpreters:
        try:
            print(line(interpreter, attempt(interpreter, work / interpreter.name, tests)), flush=True)
        except Failure as problem:
            failed += 1
            print(f"{interpreter.name:12} FAILED\n{problem}", flush=True)
    print(f"interpreters: {len(interpreters) - failed} passed, {failed} failed")
    return 1 if failed else 0


def line(interpreter: Interpreter, found: Found) -> str:
    """Return what is said of an interpreter where all was as it should be."""
    lock = "with the global lock" if found.has_lock else "without a global lock"
    made, tested = found.seconds
    return (
        f"{interpreter.name:12} {found.version}, {lock}; wheel for {found.tag}; {found.counts}; "
        f"made in {made:.0f} s, tested in {tested:.0f} s; from {interpreter.source}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
