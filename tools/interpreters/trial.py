"""One interpreter's turn: a virtual environment, a wheel that is built there, and the tests against it.

Rule: what is said of an interpreter is what it said itself, and whatever is not as the list expects is a failure.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..commands import Failure, environment, pip, run
from .catalogue import Interpreter

ROOT = Path(__file__).resolve().parents[2]

# A build leaves folders beside the sources, and finds those of another one.
_LEAVINGS = shutil.ignore_patterns(".git", ".tox", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")

# Asked of the library's own interpreter after it was loaded, with all that it has.
_QUESTIONS = """
import platform, sys, uds_cffi
for name in dir(uds_cffi):
    getattr(uds_cffi, name)
version = platform.python_version() + (getattr(sys, "abiflags", "") if sys.implementation.name == "cpython" else "")
if sys.implementation.name == "pypy":
    version += " (PyPy %d.%d.%d)" % sys.pypy_version_info[:3]
print(version)
print(getattr(sys, "_is_gil_enabled", lambda: True)())
"""


class Found(NamedTuple):
    """What came out.

    Attributes:
        version: What the interpreter calls itself.
        has_lock: Whether its global lock is on after the library was loaded.
        tag: For which interpreters and systems pip takes the wheel to be.
        counts: What the tests' last line says.
        seconds: How long providing, building and installing took, and then how long the tests did.
    """

    version: str
    has_lock: bool
    tag: str
    counts: str
    seconds: tuple[float, float]


def source(work: Path) -> Path:
    """Copy the sources to where a build may leave what it likes."""
    copy = work / "source"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=_LEAVINGS)
    return copy


def attempt(interpreter: Interpreter, work: Path, arguments: Sequence[str]) -> Found:
    """Provide an interpreter, build, install and test.

    Args:
        interpreter: Which.
        work: A folder of its own, which is emptied first.
        arguments: What pytest gets; without any it runs all tests.

    Raises:
        Failure: Something of it failed, or is not as it should be.
    """
    begin = time.monotonic()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    program = interpreter.provide(work)
    python = environment(program, work / "venv")
    wheel = build(python, work)
    tag = tag_of(wheel)
    if tag.rpartition("-")[0] != interpreter.tag:
        raise Failure(f"the wheel is for {tag}, and not for {interpreter.tag}")
    # Some packages build their sources with compilers for other languages.
    pip(
        "install",
        "--quiet",
        "--only-binary=:all:",
        f"uds-cffi[test] @ {wheel.as_uri()}",
        *interpreter.also,
        python=python,
    )
    version, lock = run(python, "-I", "-W", "error", "-c", _QUESTIONS).splitlines()
    if (lock == "True") != interpreter.has_lock:
        raise Failure(f"{version}: the global lock is {'on' if lock == 'True' else 'off'} when the library is loaded")

    ready = time.monotonic()
    # Not `python -m`, with which the sources here would be imported.
    said = run(python.with_name("pytest"), "-q", "-p", "no:cacheprovider", *arguments, cwd=ROOT, may_fail=True)
    counts = counts_of(said)
    return Found(version, lock == "True", tag, counts, (ready - begin, time.monotonic() - ready))


def build(python: Path, work: Path) -> Path:
    """Build a wheel as a user does who installs the sources, and return it."""
    wheels = work / "dist"
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, source(work), python=python)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def tag_of(wheel: Path) -> str:
    """Return what a wheel is for by its name: the interpreter, the binary interface, the system."""
    return "-".join(wheel.stem.split("-")[-3:])


def counts_of(said: str) -> str:
    """Return how many tests passed, and were skipped; raise when one failed, or when none ran."""
    lines = said.rstrip().splitlines()
    last = lines[-1] if lines else ""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last.partition(" in ")[0])}
    if not counts.get("passed") or set(counts) - {"passed", "skipped", "deselected"}:
        raise Failure(f"the tests did not pass:\n{said}")
    return last.partition(" in ")[0].strip("= ")
