"""How the commands of ``python -m uds_cffi`` end when nobody reads what they print, or nothing takes it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import Any

import pytest
import support

from uds_cffi import printing, report
from uds_cffi.__main__ import main

COMMANDS = [(), ("--json",)]
DEMO = [("demo",)]
LISTS = [pytest.param(("list", *options), marks=support.needs("diagnostics")) for options in COMMANDS]
commands = pytest.mark.parametrize("arguments", [*COMMANDS, *LISTS, *DEMO], ids=" ".join)


def run(arguments: tuple[str, ...], stdout: Any) -> tuple[int, str]:
    command = [sys.executable, "-Im", "uds_cffi", *arguments]
    done = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=support.PATIENCE * 4
    )
    return done.returncode, done.stderr


@commands
def test_pipe_that_is_closed_early(arguments, stream):
    """A reader that goes early is no error: the command ends with nothing on stderr."""
    read, write = os.pipe()
    os.close(read)
    try:
        assert run(arguments, write) == (0, "")
    finally:
        os.close(write)


@commands
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_output_that_is_full(arguments, stream):
    """What cannot be written is one line on stderr, and status 2."""
    with open("/dev/full", "wb") as full:
        program = " ".join(["python -m uds_cffi", *arguments[:1]]).replace(" --json", "")
        assert run(arguments, full) == (2, f"{program}: {os.strerror(errno.ENOSPC)}\n")


@commands
def test_without_an_output(arguments, stream, monkeypatch):
    """A process without stdout prints nothing, as print() does."""
    monkeypatch.setattr(sys, "stdout", None)
    assert main(list(arguments)) == 0


def test_report_that_cannot_be_made(monkeypatch, capsys):
    """What keeps the report from being made is one line on stderr, and status 2."""

    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(report, "features", refuse)
    for arguments in COMMANDS:
        assert main(list(arguments)) == 2
        assert capsys.readouterr() == ("", "python -m uds_cffi: Too many open files\n")


def test_problem_without_a_text(capsys):
    """An error that brings no text of the kernel's is shown as it is."""
    assert printing.complain("x", OSError("why")) == 2
    assert capsys.readouterr().err == "x: why\n"
