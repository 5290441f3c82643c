"""Run programs, and say what they said when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# Longer than the tests take on the slowest interpreter; only what hangs reaches it.
PATIENCE = 1800.0


class Failure(SystemExit):
    """Something that is needed could not be done, with what was said about it: whoever cannot go on ends with that."""


def run(
    *command: str | os.PathLike[str],
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    path: Path | None = None,
    may_fail: bool = False,
) -> str:
    """Return what a program prints.

    Args:
        command: The program and its arguments.
        cwd: Where it runs.
        environment: What is different in its environment.
        path: A folder where it looks for programs first.
        may_fail: Whether a failure is told by what it prints alone, with its complaints behind that.

    Raises:
        Failure: It is missing, or fails and may not.
    """
    words = [os.fspath(word) for word in command]
    variables = {**os.environ, **(environment or {})}
    if path is not None:
        variables["PATH"] = f"{path}{os.pathsep}{variables.get('PATH', os.defpath)}"
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except FileNotFoundError:
        raise Failure(f"{words[0]} is missing") from None
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{' '.join(words)} did not end within {PATIENCE:.0f} s\n{late.output}") from None
    if may_fail:
        return done.stdout + done.stderr
    if done.returncode:
        raise Failure(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def program(name: str) -> str:
    """Return the path of a program that this environment or the machine has installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise Failure(f"{name} is missing")
    return found


def environment(program: str | os.PathLike[str], place: Path) -> Path:
    """Make a virtual environment and return its interpreter.

    It has a pip if its interpreter brings one: ours may be too new for an old interpreter.
    """
    asked = run(program, "-c", "import importlib.util; print(importlib.util.find_spec('ensurepip') is not None)")
    run(program, "-m", "venv", *([] if asked.strip() == "True" else ["--without-pip"]), place)
    return place / "bin" / "python"


def pip(
    *arguments: str | os.PathLike[str], python: Path | None = None, settings: Mapping[str, str] | None = None
) -> str:
    """Run pip for this environment or for another one, with these settings among its environment's variables."""
    variables = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", **(settings or {})}
    if python is None:
        return run(sys.executable, "-m", "pip", *arguments, environment=variables)
    # What is installed is used once, but pip itself several times, by an interpreter that never ran it before.
    cache = str(python.parent.parent / "pycache")
    variables.update({"PIP_NO_COMPILE": "1", "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache})
    own: list[str | os.PathLike[str]] = [python, "-m", "pip"]
    if not python.with_name("pip").exists():
        own = [sys.executable, "-m", "pip", "--python", python]
    return run(*own, *arguments, environment=variables)
