"""Check all targets and print a line for each: ``python -m tools.portability``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import table
from .check import Result, Sources, check, layouts, sources
from .targets import TARGETS, Target
from .zig import Zig


def main(arguments: list[str]) -> int:
    """Return 0 if nothing is wrong on any target."""
    parser = argparse.ArgumentParser(prog="python -m tools.portability", description=__doc__)
    parser.add_argument("--work", type=Path, help="keep the compiler's files and its cache in this folder")
    parser.add_argument("--only", action="append", metavar="TARGET", help="check this target; may be repeated")
    parser.add_argument("--print-layouts", action="store_true", help="print the table that the compiler would write")
    chosen = parser.parse_args(arguments)
    known = {target.triple: target for target in TARGETS}
    unknown = set(chosen.only or ()) - set(known)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    targets = [known[name] for name in chosen.only or known]
    if chosen.work is not None:
        return run(Zig(chosen.work.resolve()), targets, chosen.print_layouts)
    with tempfile.TemporaryDirectory() as work:
        return run(Zig(Path(work)), targets, chosen.print_layouts)


def run(zig: Zig, targets: list[Target], print_layouts: bool) -> int:
    """Do what was asked for, on as many processors as there are."""
    what = sources(zig.work)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if print_layouts:
            found = pool.map(lambda target: layouts(zig, target, what.joined), targets)
            print(table.render(dict(zip([target.triple for target in targets], found))), end="")
            return 0
        print(f"portability: {len(targets)} targets, zig {zig.version()}, Python's headers {sys.version.split()[0]}")
        begin = time.monotonic()
        expected = table.parse(table.PATH.read_text(encoding="utf-8"), [target.triple for target in TARGETS])
        # In the order of the list, each as soon as those before it are there.
        results = pool.map(lambda target: timed(zig, target, what, expected[target.triple]), targets)
        bad = sum(report(target, *result) for target, result in zip(targets, results))
    print(f"portability: {bad} failed, {time.monotonic() - begin:.0f} s")
    return 1 if bad else 0


def timed(zig: Zig, target: Target, what: Sources, expected: dict[str, str]) -> tuple[Result, float]:
    """Check one target, and say in how many seconds."""
    begin = time.monotonic()
    return check(zig, target, what, expected), time.monotonic() - begin


def report(target: Target, result: Result, seconds: float) -> bool:
    """Print what was compared or what is wrong, and tell whether anything is."""
    verdict = "FAILED" if result.problems else result.compared
    print(f"{target.triple:26} {verdict} ({seconds:.1f} s)", flush=True)
    for problem in result.problems:
        print(f"    {problem}")
    return bool(result.problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
