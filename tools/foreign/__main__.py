"""Build for each system and run the tests over it: ``python -m tools.foreign``."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.portability.check import generate
from tools.portability.zig import Zig

from . import package, selection
from .build import Builder
from .systems import SYSTEMS, System

# With this in the environment all tests run that can, and not the modules that are about systems' differences.
ALL = "UDS_FOREIGN"


def main(arguments: list[str]) -> int:
    """Return 0 if the tests pass on all systems."""
    parser = argparse.ArgumentParser(prog="python -m tools.foreign", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="keep what is built in this folder")
    parser.add_argument("--only", action="append", metavar="SYSTEM", choices=[system.name for system in SYSTEMS])
    parser.add_argument("--all", action="store_true", default=os.environ.get(ALL) == "all", help="run all tests")
    parser.add_argument("pytest", nargs="*", help="what pytest is given besides, or which tests; after --")
    chosen = parser.parse_args(arguments)
    systems = [system for system in SYSTEMS if system.name in (chosen.only or {each.name for each in SYSTEMS})]
    zig = Zig(chosen.work.resolve())
    source = generate(zig.work)
    builder = Builder(zig)
    tests = ["tests"] if chosen.all else [f"tests/{module}.py" for module in selection.SOME]
    if any(argument.startswith("tests/") for argument in chosen.pytest):
        tests = []
    bad = [system.name for system in systems if not run(builder, system, source, [*tests, *chosen.pytest])]
    print(f"foreign: {len(systems)} systems, failed: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def run(builder: Builder, system: System, source: Path, arguments: list[str]) -> bool:
    """Build for one system and run its tests; say whether all passed."""
    begin = time.monotonic()
    python, module = package.environment(builder.zig.work / f"env-{system.name}")
    builder.module(system, source, module)
    shutil.copy(selection.__file__, module.parent.parent / "foreign_selection.py")
    print(f"foreign: {system.name}: built in {time.monotonic() - begin:.1f} s", flush=True)
    # Its path is part of a socket's address, and short.
    with tempfile.TemporaryDirectory(prefix="f", dir="/tmp") as links:
        report = Path(links) / "report"
        environment = {
            **os.environ,
            "UDS_FOREIGN_SYSTEM": system.name,
            "UDS_FOREIGN_LINKS": links,
            "UDS_FOREIGN_REPORT": str(report),
        }
        command = [str(python), "-I", "-m", "pytest", "-p", "foreign_selection", "-p", "no:cacheprovider", *arguments]
        status = subprocess.run(command, env=environment, cwd=package.ROOT, check=False).returncode
        # What a process of a test says before it ends may be in no output.
        stopped = report.read_text(encoding="utf-8") if report.exists() else ""
    print(
        f"{stopped}foreign: {system.name}: pytest ended with {status}, {time.monotonic() - begin:.1f} s in all",
        flush=True,
    )
    return status == 0 and not stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
