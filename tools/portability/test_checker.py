"""The checker finds a planted mistake of each kind, and says which; run where ziglang is, as the environment does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.portability import asserts, table
from tools.portability.__main__ import main
from tools.portability.check import Result, Sources, check, sources
from tools.portability.targets import TARGETS, Target
from tools.portability.zig import Zig

LINUX, MUSL = Target("x86_64-linux-gnu"), Target("x86_64-linux-musl")
MACOS, FREEBSD = Target("x86_64-macos"), Target("x86_64-freebsd")
NETBSD, OPENBSD = Target("x86_64-netbsd"), Target("x86_64-openbsd")

TABLE = table.parse(table.PATH.read_text(encoding="utf-8"), [target.triple for target in TARGETS])

# One for each system: what is found on one may be right on another.
SYSTEMS = [LINUX, MUSL, MACOS, FREEBSD, NETBSD, OPENBSD]
each_system = pytest.mark.parametrize("target", SYSTEMS, ids=[target.triple for target in SYSTEMS])


@pytest.fixture(scope="module")
def zig(tmp_path_factory: pytest.TempPathFactory) -> Zig:
    """Return a compiler for all tests, so that its cache serves them all."""
    return Zig(tmp_path_factory.mktemp("zig"))


@pytest.fixture(scope="module")
def right(zig: Zig) -> Sources:
    """Return the project's sources."""
    return sources(zig.work)


def planted(what: Sources, old: str, new: str) -> Sources:
    """Return the sources with a change in what Python may name, and in the C that cffi generates from it."""
    cdefs = [cdef.replace(old, new) for cdef in what.cdefs]
    assert cdefs != what.cdefs
    return what._replace(cdefs=cdefs)


def checked(zig: Zig, target: Target, what: Sources) -> Result:
    """Check against the reviewed table."""
    return check(zig, target, what, TABLE[target.triple])


def test_nothing_is_found_where_nothing_is_wrong(zig: Zig, right: Sources) -> None:
    """The sources as they are pass, and the line says how much was compared."""
    result = checked(zig, LINUX, right)

    assert result.problems == []
    assert f" {len(TABLE[LINUX.triple])} layouts" in result.compared


@each_system
def test_wrong_width_and_sign_are_found_where_they_are_wrong(zig: Zig, right: Sources, target: Target) -> None:
    """An int for msg_iovlen, which cffi's C compiles everywhere, is too short for glibc on 64 bits, and has a sign that
    neither glibc's nor OpenBSD's has.
    """
    problems = checked(zig, target, planted(right, "uds_iovlen_t msg_iovlen", "int msg_iovlen")).problems

    assert ("struct msghdr.msg_iovlen: width" in "".join(problems)) == (target is LINUX)
    assert ("struct msghdr.msg_iovlen: sign" in "".join(problems)) == (target in (LINUX, OPENBSD))
    assert bool(problems) == (target in (LINUX, OPENBSD))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("typedef int... pid_t;", "typedef unsigned int... pid_t;", "pid_t: sign"),
        ("int uds_close(int fd);", "long uds_close(int fd);", r"uds_close\(\): types"),
        ("int uds_listen(int fd, int backlog);", "int uds_listen(int fd, unsigned int backlog);", "uds_listen"),
        ("short revents;", "int revents;", "struct pollfd.revents: width"),
        ("struct uds_frame_set sets[2];", "struct uds_frame_set sets[3];", "uds_frame_reader.sets: length"),
        ("uint64_t cookie;\n    uint64_t device;", "uint64_t device;\n    uint64_t cookie;", "device: offset"),
        ("uint64_t cookie;\n    uint64_t device;", "uint64_t cookie;", "struct uds_diag_socket: size"),
    ],
)
def test_other_mistakes_in_what_python_may_name_are_found(
    zig: Zig, right: Sources, old: str, new: str, message: str
) -> None:
    """A sign, a function's types, an array's length, and the order and the size of a complete struct are checked."""
    problems = checked(zig, LINUX, planted(right, old, new)).problems

    assert any(message.replace("\\", "") in problem for problem in problems), problems


@each_system
def test_function_that_the_system_lacks_is_found(zig: Zig, right: Sources, target: Target) -> None:
    """A call of a function that no library has compiles, when it is declared, and is found by the linker."""
    missing = "int uds_planted(void);\nint uds_caller(void);\nint uds_caller(void) { return uds_planted(); }\n"
    problems = checked(zig, target, right._replace(generated=right.generated + missing)).problems

    assert any("undefined symbol" in problem and "uds_planted" in problem for problem in problems), problems


def test_function_of_a_newer_library_is_found(zig: Zig, right: Sources) -> None:
    """A call of close_range(), which glibc has since 2.34, is found for the version that old systems have."""
    call = "int uds_caller(void);\nint uds_caller(void) { return close_range(3, 4, 0); }\n"
    declared = "int close_range(unsigned int, unsigned int, int);\n" + call
    changed = right._replace(generated=right.generated + declared)

    assert "close_range" in "".join(checked(zig, Target("x86_64-linux-gnu.2.17"), changed).problems)


def test_warning_is_a_failure(zig: Zig, right: Sources) -> None:
    """A warning in the declarations fails, in the build without optional features too."""
    warned = right._replace(
        minimal=right.minimal + "int uds_planted(int x);\nint uds_planted(int x) { int y; return x; }"
    )
    problems = checked(zig, MACOS, warned).problems

    assert len(problems) == 1
    assert "unused variable 'y'" in problems[0]


@each_system
def test_wrong_layout_is_found(zig: Zig, right: Sources, target: Target) -> None:
    """A form that the table has wrong, one that it lacks, and one too many are each named."""
    expected = dict(TABLE[target.triple])
    expected["struct msghdr"] = expected["struct msghdr"].replace("msg_flags 4", "msg_flags 5")
    del expected["control"]
    expected["struct planted"] = "4/4"
    problems = check(zig, target, right, expected).problems

    assert [problem.partition(":")[0] for problem in problems] == ["control", "struct msghdr", "struct planted"]


def test_changed_struct_is_found(zig: Zig, right: Sources) -> None:
    """A struct in which the headers have another field differs from the table."""
    header = "#define revents hidden; short revents\n#include <poll.h>\n#undef revents\n"
    problems = checked(zig, LINUX, right._replace(joined=header + right.joined)).problems

    assert len(problems) == 1
    assert "struct pollfd" in problems[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n  1\n    one\n  2\n    one\n", "a: one has two forms: 1; 2"),
        ("a\n  1\n    o*\n  2\n    *e\n", "a: one has two forms: 1; 2"),
        ("a\n  1\n    three\n", "a: three fits no target"),
        ("a\n    one\n", "line 2 is out of place"),
        ("a\n\n   1\n", "line 3 is out of place"),
        ("a\n  1\n    one\na\n", "line 4 is out of place"),
    ],
)
def test_ambiguous_table_is_refused(text: str, message: str) -> None:
    """A table that can be read in two ways, or that names no target, is an error."""
    with pytest.raises(ValueError, match=message):
        table.parse(text, ["one", "two"])


def test_name_wins_over_pattern() -> None:
    """A target takes the form under which it is named; the others that of the pattern; and some have none."""
    parsed = table.parse("# why\na\n  1\n    t*\n  2\n    two\n", ["one", "two", "three"])

    assert parsed == {"one": {}, "two": {"a": "2"}, "three": {"a": "1"}}


def test_printed_table_is_the_table() -> None:
    """What is printed for a new table says the same as the table that it was made of."""
    assert table.parse(table.render(TABLE), TABLE) == TABLE


@pytest.mark.parametrize("cdef", ["enum e { A };", "extern int x;", "struct s { int (*f)(int); ...; };"])
def test_declaration_of_an_unknown_kind_is_refused(cdef: str) -> None:
    """What cannot be checked is an error, and is not passed over."""
    with pytest.raises(ValueError, match="cannot check"):
        asserts.asserts([cdef])


def test_every_declared_struct_and_function_is_asserted(right: Sources) -> None:
    """Each of our functions, and each field of each struct that is not a pointer or a struct, has an assertion."""
    text = "\n".join(asserts.asserts(right.cdefs))

    assert all(f"{name}()" in text for name in re.findall(r"\b(uds_\w+)\(", without_comments(right.cdefs)))


def without_comments(cdefs: list[str]) -> str:
    """Return the texts without their comments, which name functions too."""
    return re.sub(r"(?s)/\*.*?\*/", "", "".join(cdefs))


def test_missing_compiler_is_a_failure(tmp_path: Path) -> None:
    """Without ziglang nothing is skipped: the program says what is missing and fails."""
    program = (
        "import importlib.util, sys; find = importlib.util.find_spec; "
        "importlib.util.find_spec = lambda name: None if name == 'ziglang' else find(name); "
        "from tools.portability.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--work", str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "the package ziglang is missing" in done.stderr


def test_failure_is_the_exit_status(
    zig: Zig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One wrong target makes the program fail, and its line says so."""
    wrong = tmp_path / "layouts.txt"
    wrong.write_text("struct iovec\n  1/1\n    *\n", encoding="utf-8")
    monkeypatch.setattr(table, "PATH", wrong)

    assert main(["--work", str(zig.work), "--only", LINUX.triple]) == 1
    assert f"{LINUX.triple:26} FAILED" in capsys.readouterr().out
