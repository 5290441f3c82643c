"""What is wrong on an interpreter is found, and said; the interpreter here is the one that runs these tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tools import commands
from tools.commands import Failure
from tools.interpreters import __main__ as program
from tools.interpreters import catalogue, musl, trial
from tools.interpreters.catalogue import INTERPRETERS, Interpreter

HERE = Interpreter("here", "this machine", lambda work: Path(sys.executable), "cp39-abi3")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be built or installed; what the new interpreter would say is said for it."""

    def build(python: Path, work: Path) -> Path:
        return work / "dist" / "uds_cffi-0.1.0-cp39-abi3-linux_x86_64.whl"

    monkeypatch.setattr(trial, "build", build)
    monkeypatch.setattr(trial, "environment", lambda program, place: place / "bin" / "python")
    monkeypatch.setattr(trial, "pip", lambda *arguments, **options: "")
    said(monkeypatch)


def said(monkeypatch: pytest.MonkeyPatch, lock: str = "True", tests: str = "3 passed, 1 skipped in 0.10s") -> None:
    """Let the interpreter and the tests say this."""

    def run(*command: object, **options: object) -> str:
        return f"{tests}\n" if str(command[0]).endswith("pytest") else f"3.99.0\n{lock}\n"

    monkeypatch.setattr(trial, "run", run)


@pytest.mark.usefixtures("quick")
def test_what_is_as_expected_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the interpreter, its lock, for what the wheel is, and the counts."""
    assert program.run([HERE], tmp_path, []) == 0

    line = capsys.readouterr().out
    assert "3.99.0, with the global lock; wheel for cp39-abi3-linux_x86_64; 3 passed, 1 skipped;" in line
    assert "1 passed, 0 failed" in line


@pytest.mark.usefixtures("quick")
def test_wrong_tag_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wheel that is for other interpreters than it should be is a failure, and the next interpreter's turn comes."""
    assert program.run([HERE._replace(tag="cp399-cp399t"), HERE], tmp_path, []) == 1

    out = capsys.readouterr().out
    assert "the wheel is for cp39-abi3-linux_x86_64, and not for cp399-cp399t" in out
    assert "1 passed, 1 failed" in out


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("lock", [True, False])
def test_lock_that_changes_is_found(lock: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that loading the library has switched on, or one that is off where it should be on, is a failure."""
    said(monkeypatch, lock=str(lock))

    with pytest.raises(Failure, match=f"lock is {'on' if lock else 'off'} when"):
        trial.attempt(HERE._replace(has_lock=not lock), tmp_path, [])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "tests", ["", "1 failed, 8 passed in 0.1s", "3 passed, 1 error in 0.1s", "no tests ran in 0.01s", "9 skipped in 1s"]
)
def test_tests_that_fail_are_found(tests: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that fails, an error, and a run without any test are failures."""
    said(monkeypatch, tests=tests)

    with pytest.raises(Failure, match="tests did not pass"):
        trial.attempt(HERE, tmp_path, [])


def test_counts_are_those_of_the_last_line() -> None:
    """What is told is what pytest said last."""
    assert trial.counts_of("....\n=== 5 passed, 2 skipped in 1.2s ===\n") == "5 passed, 2 skipped"


def test_missing_interpreter_is_a_failure(tmp_path: Path) -> None:
    """An interpreter that should be on PATH and is not is not passed over."""
    with pytest.raises(Failure, match=r"python3\.99 is not on PATH"):
        catalogue.of_this_machine(tmp_path, "python3.99")


def test_failing_program_is_quoted() -> None:
    """What a program says when it fails is in the failure, with its exit status."""
    with pytest.raises(Failure, match=r"(?s)exit status 3.*why"):
        commands.run(sys.executable, "-c", "print('why'); raise SystemExit(3)")
    with pytest.raises(Failure, match="is missing"):
        commands.run("no-such-program")


def test_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not in the list is an error that shows the list."""
    with pytest.raises(SystemExit):
        program.main(["python2.7"])
    shown = capsys.readouterr().err
    assert [name for name in INTERPRETERS if name not in shown] == []


def test_environment_has_its_own_interpreter(tmp_path: Path) -> None:
    """A virtual environment is one of the interpreter that it was made of, and pip works in it."""
    python = commands.environment(sys.executable, tmp_path / "venv")

    assert commands.run(python, "-c", "import sys; print(sys.prefix)").strip() == str(tmp_path / "venv")
    assert str(tmp_path / "venv") in commands.pip("--version", python=python)


def test_compiler_is_for_musl(tmp_path: Path) -> None:
    """What is compiled for musl needs musl's library alone."""
    source, out = tmp_path / "module.c", tmp_path / "module.so"
    source.write_text('#include <stdio.h>\nint main_of_it(void) { return puts("x"); }\n', encoding="utf-8")

    compiler = musl.compiler(tmp_path)
    commands.run(compiler, "-shared", "-fPIC", source, "-o", out)

    assert commands.run(commands.program("patchelf"), "--print-needed", out).split() == ["libc.so"]
    assert musl.settings(compiler)["CC"] == str(compiler)


def test_missing_compiler_for_musl_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that compiles for musl, the failure says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(Failure, match=r"ziglang is missing: .* -m pip install ziglang"):
        musl.compiler(tmp_path)
