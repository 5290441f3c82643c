"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from pathlib import Path
from typing import Any

from . import cases, floor, machine, plot, report
from .isolate import ChildError
from .measure import QUICK, Settings, measure_apart
from .operation import OPERATIONS, Operation

assert cases.__all__


class UsageError(Exception):
    """The command line asks for what there is not."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure uds_cffi beside the standard library and beside the same system calls in C.",
        epilog="How to read the table: docs/benchmarks.md.",
    )
    made.add_argument("--list", action="store_true", help="name the operations, and say which are missing here")
    made.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a part of a name, or a pattern with *; repeatable"
    )
    made.add_argument("--quick", action="store_true", help="fewer repeats: seconds instead of minutes, and noisier")
    made.add_argument(
        "--json", nargs="?", const="-", metavar="PATH", help="write the report there, or print it instead of the table"
    )
    made.add_argument("--plot", metavar="PATH", help="draw a picture with matplotlib (.png, .svg, .pdf)")
    made.add_argument("--against", metavar="PATH", help="compare with a report that --json wrote")
    return made


def chosen(patterns: list[str]) -> list[Operation]:
    """Return the operations that any of the patterns names, or all without one.

    Raises:
        UsageError: a pattern names none; the message lists the names.
    """
    names: set[str] = set()
    for pattern in patterns:
        lowered = pattern.lower()
        found = {name for name in OPERATIONS if lowered in name.lower() or fnmatch.fnmatchcase(name.lower(), lowered)}
        if not found:
            raise UsageError(f"no operation is named {pattern!r}; there are:\n  " + "\n  ".join(OPERATIONS))
        names |= found
    return [operation for name, operation in OPERATIONS.items() if not patterns or name in names]


def show_list(operations: list[Operation]) -> None:
    """Print the names, group by group."""
    group = ""
    for operation in operations:
        if operation.group != group:
            group = operation.group
            print(group)
        missing = operation.missing()
        print(f"  {operation.name}" + (f"  (not here: {missing})" if missing else ""))


def run(operations: list[Operation], settings: Settings) -> dict[str, Any]:
    """Measure, each operation in a process of its own, and return the report.

    Raises:
        ChildError: an operation failed.
    """
    made: dict[str, Any] = {
        "format": report.FORMAT,
        "head": machine.describe(),
        "load": machine.load(),
        "settings": vars(settings),
        "results": [],
        "missing": {},
    }
    shows = sys.stderr.isatty()
    for number, operation in enumerate(operations, 1):
        reason = operation.missing()
        if reason is not None:
            made["missing"][operation.name] = reason
            continue
        if shows:
            print(f"\r\x1b[K{number}/{len(operations)} {operation.name}", end="", file=sys.stderr, flush=True)
        try:
            measured = measure_apart(operation, settings)
        except ChildError as problem:
            raise ChildError(f"{operation.name}: {problem}") from None
        made["results"].append(report.summary(operation, measured))
    if shows:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 1 when something failed, 2 for a wrong command line."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except (UsageError, report.ReportError) as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2
    except (ChildError, floor.FloorError, OSError) as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    operations = chosen(options.only)
    if options.list:
        show_list(operations)
        return 0
    # What cannot work is said before minutes are spent.
    for path in (options.json, options.plot):
        if path not in (None, "-") and not Path(path).resolve().parent.is_dir():
            raise UsageError(f"there is no folder for {path}")
    if options.plot:
        plot.check()
    against = report.read(Path(options.against)) if options.against else None
    floor.load()
    made = run(operations, QUICK if options.quick else Settings())
    if options.json == "-":
        print(report.dumps(made), end="")
    else:
        print(report.table(made, against), end="")
        if options.json:
            report.write(Path(options.json), made)
    if options.plot:
        plot.draw(made, Path(options.plot))
    return 0
