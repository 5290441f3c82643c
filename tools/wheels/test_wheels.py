"""Each thing that can be wrong with a wheel is found, and said; run where the tools are, as the environment does."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from tools.commands import Failure
from tools.wheels import __main__ as command
from tools.wheels import build, check


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel before auditwheel; that of a run just now, if the environment names its folder."""
    work = os.environ.get("UDS_WHEELS_WORK")
    if work is None:
        return build.build(tmp_path_factory.mktemp("built"))
    (found,) = Path(work, "built").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel as it would be published."""
    return build.repair(built, tmp_path_factory.mktemp("wheels"))


@pytest.mark.parametrize(
    ("here", "used"),
    [
        ({"python3.9", "python3.11", "python3.13"}, ["python3.9", "python3.13"]),
        ({"python3.11"}, ["python3.11"]),
        (set(), [sys.executable]),
    ],
)
def test_wheel_is_used_on_what_is_here(monkeypatch: pytest.MonkeyPatch, here: set[str], used: list[str]) -> None:
    """It is used on the oldest and on the newest interpreter that run on this machine, and never on none."""
    monkeypatch.setattr(command, "runs", here.__contains__)

    assert command.users() == used


def test_name_that_does_not_run_is_no_interpreter() -> None:
    """A program that is missing, or fails, is none."""
    assert command.runs(sys.executable)
    assert not command.runs("no-such-python")
    assert not command.runs("false")


def renamed(wheel: Path, into: Path, name: str) -> Path:
    """Return a copy under another name."""
    return Path(shutil.copy(wheel, into / name))


def repacked(wheel: Path, into: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> Path:
    """Return a copy with other files, by name and content."""
    copy = into / wheel.name
    with ZipFile(wheel) as old, ZipFile(copy, "w") as new:
        for name in old.namelist():
            new.writestr(*change(name, old.read(name)))
    return copy


def test_nothing_is_found_where_nothing_is_wrong(wheel: Path) -> None:
    """The wheel as it is passes."""
    assert check.problems(wheel, build.GLIBC) == []


def test_wheel_for_this_machine_alone_is_found(built: Path) -> None:
    """One that names no version of manylinux is for whoever built it."""
    assert "linux_" in str(check.about_name(built, build.GLIBC))


def test_wheel_for_newer_systems_is_found(wheel: Path) -> None:
    """One that needs a newer C library than it was meant for is found."""
    (problem,) = check.about_name(wheel, "2.5")

    assert "needs glibc 2.17" in problem


def test_promise_that_is_too_old_is_found(wheel: Path, tmp_path: Path) -> None:
    """A name with a system that lacks functions which the module calls is what auditwheel denies."""
    old = renamed(wheel, tmp_path, wheel.name.replace("manylinux2014", "manylinux2010").replace("_2_17_", "_2_12_"))

    assert "auditwheel does not find" in str(check.about_name(old, build.GLIBC))


def test_module_in_another_form_is_found(wheel: Path, tmp_path: Path) -> None:
    """A module whose name only one version of CPython finds, and what does not belong to the package, are named."""
    names = {"uds_cffi/_lib.abi3.so": "uds_cffi/_lib.cpython-311.so", "uds_cffi/py.typed": "tests/py.typed"}
    found = check.about_files(repacked(wheel, tmp_path, lambda name, data: (names.get(name, name), data)))

    assert [problem for problem in found if "cpython-311" in problem]
    assert [problem for problem in found if problem.startswith("tests/py.typed")]


def test_wheel_for_other_interpreters_is_found(wheel: Path) -> None:
    """One for CPython is none for PyPy, by its name and by its module."""
    promise = check.of_pypy("3.9.16")
    found = str(check.problems(wheel, build.GLIBC, promise))

    assert "not for pp39-pypy39_pp73" in found
    assert "its modules in C are ['uds_cffi/_lib.abi3.so']" in found


@pytest.mark.parametrize(
    ("given", "here", "used"),
    [
        ([], True, "pypy3"),
        ([], False, None),
        (["--pypy", "other"], True, "other"),
    ],
)
def test_wheel_is_built_for_the_pypy_that_is_here(
    monkeypatch: pytest.MonkeyPatch, given: list[str], here: bool, used: str | None
) -> None:
    """It is the one that was named, else the machine's; where there is none, there is no such wheel."""
    asked: list[str | None] = []

    def run(_work: Path, _programs: list[str], pypy: str | None) -> int:
        asked.append(pypy)
        return 0

    monkeypatch.setattr(command, "runs", lambda program: here)
    monkeypatch.setattr(command, "run", run)

    assert command.main(["--on", sys.executable, *given]) == 0
    assert asked == [used]


def test_symbol_outside_of_the_stable_abi_is_found(wheel: Path, tmp_path: Path) -> None:
    """A function of Python that only one version promises is what abi3audit denies."""

    def other(name: str, data: bytes) -> tuple[str, bytes]:
        # It has the length of one that is promised, and is private to the interpreter.
        changed = data.replace(b"\0PyObject_Malloc\0", b"\0_PyMem_Strdup_x\0") if name.endswith(".so") else data
        assert changed != data or not name.endswith(".so")
        return name, changed

    assert "abi3audit" in str(check.about_abi(repacked(wheel, tmp_path, other)))


def test_wheel_that_cannot_be_used_is_found(wheel: Path, tmp_path: Path) -> None:
    """A module that is no library is found by who uses it."""
    cut = repacked(wheel, tmp_path, lambda name, data: (name, b"" if name.endswith(".so") else data))

    with pytest.raises(Failure, match="ImportError"):
        check.use(cut, sys.executable, tmp_path)


def test_missing_compiler_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ziglang nothing is built with another compiler: what is missing is said."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(Failure, match="ziglang is missing"):
        build.build(tmp_path)
