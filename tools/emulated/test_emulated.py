"""What makes the verdict on a guest: nothing is taken for right that the guest has not said."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.commands import Failure
from tools.emulated import guest as first
from tools.emulated import namespaces, packing, selection, starting, table
from tools.emulated.__main__ import main
from tools.emulated.judging import judge
from tools.emulated.systems import ALWAYS, GUESTS, Guest

KNOWN = {guest.name: guest for guest in GUESTS}
TABLE = table.parse(table.PATH.read_text(encoding="utf-8"))
UML = KNOWN["linux-6.1"]
GVISOR = KNOWN["gvisor"]


def console(guest: Guest, **changes: str) -> bytes:
    """Return what a guest says that has shown what it should, with changes."""
    features = json.dumps(TABLE[guest.name])
    parts = {
        "kernel": "@@kernel Linux 6.1.176 x86_64",
        "features": f"@@features {features}",
        "tests": "10 passed, 1 skipped in 1.50s",
        "verdict": "@@verdict [0, 0]" if guest.tests else "@@verdict [0]",
        **changes,
    }
    return "\r\n".join(parts.values()).encode()


def problems(guest: Guest, **changes: str) -> list[str]:
    """Return what is wrong with what a guest says."""
    return judge(guest, starting.read(console(guest, **changes)), TABLE[guest.name])


@pytest.mark.parametrize("guest", [UML, GVISOR], ids=["uml", "gvisor"])
def test_guest_that_has_shown_everything_is_right(guest: Guest) -> None:
    """With a verdict, the tests' own summary and the features of the table nothing is wrong."""
    assert problems(guest) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": ""}, "no verdict"),
        ({"verdict": "@@verdict [0, 0"}, "no verdict"),
        ({"verdict": "kernel: @@verdict [0, 0]"}, "no verdict"),
        ({"verdict": "@@verdict [0, 1]"}, r"ended with \[0, 1\]"),
        ({"verdict": "@@verdict [0]"}, r"2 programs ended with \[0\]"),
        ({"verdict": "@@verdict []"}, r"2 programs ended with \[\]"),
        ({"tests": ""}, "pytest does not say"),
        ({"tests": "3 skipped in 1.00s"}, "pytest does not say"),
        ({"features": ""}, "no table of features"),
        ({"features": "@@features {"}, "no table of features"),
        ({"features": "@@features {}"}, "the guest nothing"),
        ({"kernel": ""}, "which kernel"),
        ({"kernel": "@@kernel Linux 6.12.1 x86_64"}, "its kernel is Linux 6.12.1"),
    ],
)
def test_what_is_missing_or_wrong_is_a_failure(changes: dict[str, str], message: str) -> None:
    """A guest that dies, is cut short, runs nothing, or is another one fails, and the line says why."""
    assert any(re.search(message, problem) for problem in problems(UML, **changes))


@pytest.mark.parametrize(("name", "reported"), [("inq", "yes"), ("seqpacket", "kernel"), ("new", "yes")])
def test_feature_more_or_less_than_the_table_has_is_a_failure(name: str, reported: str) -> None:
    """A kernel that claims what the reviewed table denies, lacks what it has, or has what it does not name fails."""
    found = {**TABLE[UML.name], name: reported}

    (problem,) = problems(UML, features=f"@@features {json.dumps(found)}")
    assert problem.startswith(f"{name}: the table has ")


def test_table_has_every_guest_and_is_what_is_printed() -> None:
    """Each guest has a column, and a printed table says the same."""
    assert set(TABLE) == set(KNOWN)
    assert table.parse(table.render(TABLE)) == TABLE
    with pytest.raises(ValueError, match="seqpacket: maybe"):
        table.parse("feature a\nseqpacket maybe\n")


def test_selected_tests_exist() -> None:
    """Each module that is named is there, once."""
    tests = Path(__file__).resolve().parent.parent.parent / "tests"

    assert set(ALWAYS) <= set(KNOWN)
    assert not set(selection.PROCESSOR) & set(selection.KERNEL)
    assert all((tests / f"{name}.py").is_file() for name in {**selection.PROCESSOR, **selection.KERNEL})


def test_status_of_a_program_in_a_guest() -> None:
    """The exit status is the program's own, that of a signal is negative, and one that hangs is killed."""
    environment = dict(os.environ)

    assert first.run([sys.executable, "-c", "raise SystemExit(3)"], environment, 60.0) == 3
    assert first.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], environment, 60.0) == -9
    assert first.run([sys.executable, "-c", "import time; time.sleep(600)"], environment, 0.5) == 124


def test_guest_that_hangs_is_killed_with_what_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When its time is over nothing runs on, and what it had said is there, without a verdict."""
    monkeypatch.setattr(starting, "PATIENCE", 1.0)
    program = "import os, time; print(os.getpid(), os.fork(), flush=True); time.sleep(600)"
    said = starting.run([*namespaces.ALONE, sys.executable, "-c", program], tmp_path)

    assert said.statuses is None
    assert "killed after 1 seconds" in said.text
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert program not in left


@pytest.mark.parametrize(
    ("texts", "tries"),
    [
        (["panic: running on goroutine", "@@verdict [0]"], 2),
        (["@@kernel Linux 4.4.0", "", "@@verdict [0]"], 3),
        # A program that was killed by a signal.
        (["@@ended -11 0.1 exercises.py\n@@verdict [-11]", "@@verdict [0]"], 1),
        (["panic: "] * 20, starting.GVISOR_TRIES),
    ],
)
def test_gvisor_is_tried_again_if_it_has_died(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, texts: list[str], tries: int
) -> None:
    """The guest is run once more if it comes to no verdict, and not if a program in it crashes."""
    left = list(texts)
    monkeypatch.setattr(starting, "run", lambda command, scratch: starting.read(left.pop(0).encode()))
    starting.start_gvisor(tmp_path, tmp_path / "runsc", tmp_path)

    assert len(texts) - len(left) == tries


def test_missing_program_is_a_failure(tmp_path: Path) -> None:
    """A machine without qemu fails, and does not skip."""
    with pytest.raises(Failure, match="no-such-qemu is missing"):
        starting.run(["no-such-qemu"], tmp_path)


def test_unknown_guest_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is no guest is an error that names those that there are."""
    with pytest.raises(SystemExit):
        main(["vax"])
    assert "no such guest: vax; there are i386, " in capsys.readouterr().err


def test_packed_root(tmp_path: Path) -> None:
    """A packed root has folders, files with their modes, and links, as the kernel's format says."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "f").write_bytes(b"12345")
    (root / "a" / "f").chmod(0o755)
    (root / "l").symlink_to("a/f")
    packing.pack(root, tmp_path / "archive")
    data = (tmp_path / "archive").read_bytes()
    found = {}
    while data:
        assert data[:6] == b"070701"
        fields = [int(data[6 + 8 * number : 14 + 8 * number], 16) for number in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        start = -(-(110 + length) // 4) * 4
        name = data[110 : 110 + length - 1].decode()
        found[name] = (mode & 0o170777 if not name.endswith("!!!") else mode, data[start : start + size])
        data = data[start + -(-size // 4) * 4 :]

    assert {name: content for name, (_, content) in found.items()} == {
        ".": b"",
        "a": b"",
        "a/f": b"12345",
        "l": b"a/f",
        "TRAILER!!!": b"",
    }
    assert found["a/f"][0] == 0o100755
    assert [found[name][0] >> 12 for name in (".", "a", "l")] == [4, 4, 10]
