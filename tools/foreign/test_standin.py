"""Tests of the stand-in: planted numbers of Linux end the process, and each rule is kept when plain C breaks it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tools.commands import Failure
from tools.portability.zig import Zig

from .build import Builder
from .selection import fits
from .systems import SYSTEMS, System

SOURCES = Path(__file__).with_name("violations")
TEXT = "".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.iterdir()))

# The names of the cases, which some systems have and others not.
CASES = re.findall(r"CASE\((\w+)\)", TEXT.partition("CASES[] = {")[2])
OF_SOME = {
    "stray_directory": ["macos"],
    "audit_token": ["macos"],
    "credentials_once": ["freebsd", "netbsd"],
    "credentials_exclude_each_other": ["freebsd"],
    "credentials_are_filled_in": ["freebsd"],
    "times_are_filled_in": ["freebsd"],
    "name_in_a_directory": ["freebsd"],
}
# Of those that neither end the process nor wait for somebody.
APART = ("broken_pipe", "accept_waits")

# What the stand-in says of each planted number.
STRAY = {
    "stray_send_flag": "send(): unknown flag: 16384 (0x4000)",
    "stray_receive_flag": "recv(): unknown flag: 1073741824 (0x40000000)",
    "stray_option": "setsockopt(): unknown option: 16 (0x10)",
    "stray_level": "getsockopt(): unknown level: 1 (0x1)",
    "stray_type": "socket(): unknown flag of a type: 524288 (0x80000)",
    "stray_domain": "socket(): unknown domain: 10 (0xa)",
    "stray_request": "ioctl(): unknown request: 21531 (0x541b)",
    "stray_command": "fcntl(): unknown command: 1030 (0x406)",
    "stray_control": "sendmsg(): unknown type of control data: 35 (0x23)",
    "stray_clock": "clock_gettime(): unknown clock: 1 (0x1)",
    "stray_at_flag": "fstatat(): unknown flag: 256 (0x100)",
    "stray_event": "poll(): unknown event: 8192 (0x2000)",
    "stray_directory": "openat(): AT_FDCWD of Linux: -100",
}


def cases(wanted: set[str]) -> list[tuple[str, str]]:
    """Pair each of these cases with each system that has it."""
    systems = [system.name for system in SYSTEMS]
    return [(system, case) for case in CASES if case in wanted for system in OF_SOME.get(case, systems)]


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Return a compiler for all tests, so that its cache serves them all."""
    return Builder(Zig(tmp_path_factory.mktemp("zig")))


@pytest.fixture(scope="module")
def programs(builder: Builder) -> dict[str, Path]:
    """Compile the cases for each system."""
    made = {}
    source = builder.zig.work / "violations" / "main.c"
    shutil.copytree(SOURCES, source.parent)
    for system in SYSTEMS:
        made[system.name] = builder.zig.work / f"violations-{system.name}"
        builder.program(system, source, made[system.name])
    return made


def run(program: Path, case: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one case in a folder of its own."""
    command = [str(program), case, str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30, env={"UDS_FOREIGN_LINKS": str(folder)}
    )


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a path that is short enough for a socket file."""
    return tmp_path_factory.mktemp("f")


@pytest.mark.parametrize(("system", "case"), cases(set(STRAY)))
def test_number_of_linux_ends_the_process(programs: dict[str, Path], folder: Path, system: str, case: str) -> None:
    """Each kind of number is looked at: one of Linux's that the system has not stops everything, and is named."""
    done = run(programs[system], case, folder)

    assert done.returncode == -signal.SIGABRT
    assert STRAY[case] in done.stderr


@pytest.mark.parametrize(("system", "case"), cases(set(CASES) - set(STRAY) - set(APART)))
def test_rule_is_kept(programs: dict[str, Path], folder: Path, system: str, case: str) -> None:
    """What a system refuses, reports otherwise or leaves to the program, it does here too."""
    done = run(programs[system], case, folder)

    assert done.stderr == ""
    assert done.returncode == 0, f"line {done.returncode} modulo 256"


@pytest.mark.parametrize(("system", "case"), cases({"broken_pipe"}))
def test_send_to_nobody_raises_sigpipe(programs: dict[str, Path], folder: Path, system: str, case: str) -> None:
    """A send that does not ask for the error gets the signal."""
    assert run(programs[system], case, folder).returncode == -signal.SIGPIPE


@pytest.mark.parametrize(("system", "case"), cases({"accept_waits"}))
def test_accept_takes_no_notice_of_a_timeout(programs: dict[str, Path], folder: Path, system: str, case: str) -> None:
    """It waits longer than SO_RCVTIMEO says, and returns when somebody connects."""
    with subprocess.Popen([str(programs[system]), case, str(folder)]) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.1)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "s"))
            assert waiting.wait(30) == 0


def test_all_cases_are_run() -> None:
    """No case is written and forgotten."""
    defined = set(re.findall(r"(?m)^static int (\w+)\(void\)$", TEXT))

    assert defined - {"receive_control", "connect_one"} == set(CASES)
    assert set(STRAY) == {case for case in CASES if case.startswith("stray_")}


def of(name: str) -> System:
    """Return a system."""
    return next(system for system in SYSTEMS if system.name == name)


def test_call_that_the_stand_in_lacks_is_found(builder: Builder) -> None:
    """A call that nobody has taken from another system's numbers to Linux's is no call of Linux."""
    source = builder.zig.work / "lacking.c"
    source.write_text('#include <unistd.h>\nint main(void) { return chdir("/"); }\n', encoding="utf-8")

    with pytest.raises(Failure, match="the stand-in lacks chdir"):
        builder.program(of("freebsd"), source, builder.zig.work / "lacking")


def test_call_that_the_system_lacks_is_found(builder: Builder) -> None:
    """MacOS has no accept4(), and its headers say so."""
    source = builder.zig.work / "absent.c"
    text = "#include <sys/socket.h>\nint main(void) { return accept4(0, 0, 0, 0); }\n"
    source.write_text(text, encoding="utf-8")

    with pytest.raises(Failure, match="accept4"):
        builder.program(of("macos"), source, builder.zig.work / "absent")


def test_names_of_tests() -> None:
    """A name stands for a module, for a function with all its parameters, or for the first of those."""
    test = "test_one::test_two[three-four]"

    assert all(fits(name, test) for name in ("test_one", "test_one::test_two", "test_one::test_two[three", test))
    assert not any(fits(name, test) for name in ("test_on", "test_one::test_tw", "test_one::test_two[four"))
