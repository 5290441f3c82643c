"""``python -m uds_cffi``: run as a user runs it, from the installed package, and called as a function."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import support

import uds_cffi
from uds_cffi import features, report
from uds_cffi.__main__ import main


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-Im", "uds_cffi", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=support.PATIENCE * 4)


def test_table():
    """Without arguments the command prints the table and succeeds."""
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == report.as_table() + "\n"


def test_json():
    """With ``--json`` it prints the same as JSON."""
    done = run("--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == report.collect()
    assert list(json.loads(done.stdout)["features"]) == list(features())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["demo", "more"], "unrecognized arguments: more"),
        (["--json", "demo"], "--json is for the capabilities, not for the demo"),
    ],
    ids=" ".join,
)
def test_wrong_arguments(arguments, complaint, capsys):
    """Wrong arguments are status 2, with the usage and the reason on stderr, and nothing on stdout."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("usage: python -m uds_cffi")
    assert complaint in output.err


def test_wrong_arguments_of_the_command():
    """The command ends with that status."""
    done = run("nonsense")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: python -m uds_cffi")


def test_help():
    """The help names the command and the option."""
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^usage: python -m uds_cffi \[-h\] \[--json\] \[demo \| list \.\.\.\]", done.stdout)
    assert "--json" in done.stdout
    assert "two processes pass descriptors and credentials" in done.stdout
    assert "list the Unix sockets of this network namespace" in done.stdout


def test_main_returns_the_status(capsys):
    """As a function it prints the same and returns 0."""
    assert main([]) == 0
    assert capsys.readouterr().out == report.as_table() + "\n"
    assert main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report.collect()


def test_arguments_of_the_process(capsys, monkeypatch):
    """Without arguments it takes those of the process."""
    monkeypatch.setattr(sys, "argv", ["uds_cffi", "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["version"] == uds_cffi.__version__
