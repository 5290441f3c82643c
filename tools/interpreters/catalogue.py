"""Which interpreters there are, where each comes from, and what a wheel that is built there is for."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple

from ..commands import Failure
from . import frozen, packaged

ALL_CPYTHONS = "cp39-abi3"


class Interpreter(NamedTuple):
    """One interpreter.

    Attributes:
        name: What it is called here.
        source: Where it comes from.
        provide: Puts it into a folder and returns its program.
        tag: The part of the wheel's name that says which interpreters it is for.
        has_lock: Whether it has a global lock.
        also: What else pip is told to install, because of the interpreter's age.
    """

    name: str
    source: str
    provide: Callable[[Path], Path]
    tag: str
    has_lock: bool = True
    also: tuple[str, ...] = ()


def of_this_machine(_work: Path, name: str) -> Path:
    """Return a program that is on PATH."""
    found = shutil.which(name)
    if found is None:
        raise Failure(f"{name} is not on PATH")
    return Path(found)


def _here(name: str, tag: str = ALL_CPYTHONS) -> Interpreter:
    return Interpreter(name, "this machine", partial(of_this_machine, name=name), tag)


def _debian(name: str, suite: str, program: str, tag: str) -> Interpreter:
    package, headers = ("pypy3", "pypy3-dev") if "pypy" in program else (program, f"lib{program}-dev")
    provide = partial(packaged.unpacked, suite=suite, package=package, headers=headers, name=program)
    # Later ones are compiled: for no PyPy 8, and for a later PyPy 7.3 than Debian's.
    also = ("hypothesis<6.142",) if package == "pypy3" else ()
    return Interpreter(name, f"Debian {suite}", provide, tag, also=also)


def _frozen(version: str, tag: str) -> Interpreter:
    provide = partial(frozen.free_threaded, version=version)
    return Interpreter(f"python{version}t", "PyPI's freeze-core and Debian sid", provide, tag, has_lock=False)


def _musl(version: str, tag: str, flags: str = "") -> Interpreter:
    provide = partial(frozen.over_musl, version=version, flags=flags)
    source = "PyPI's freeze-core and Debian sid"
    return Interpreter(f"python{version}{flags}-musl", source, provide, tag, has_lock=not flags)


INTERPRETERS = {
    interpreter.name: interpreter
    for interpreter in (
        *(_here(f"python3.{minor}") for minor in range(9, 14)),
        _debian("python3.14", "sid", "python3.14", ALL_CPYTHONS),
        _debian("python3.15", "sid", "python3.15", "cp315-abi3"),
        _frozen("3.14", "cp314-cp314t"),
        _frozen("3.15", "cp315-abi3.abi3t"),
        _musl("3.13", ALL_CPYTHONS),
        _musl("3.14", "cp314-cp314t", flags="t"),
        _here("pypy3", "pp39-pypy39_pp73"),
        _debian("pypy7.3.19", "trixie", "pypy3.11", "pp311-pypy311_pp73"),
        _debian("pypy8.0", "sid", "pypy3.11", "pp311-pypy311_pp80"),
    )
}
