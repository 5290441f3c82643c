"""What other libraries and this one do with socket files: the table in docs/socket-files.md.

Rule: a case is a function that makes it happen with a library, and says in a few words what the library did. Those are
what stands in the library's column. Each runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import elsewhere
import pytest
import support

from uds_cffi import AddressError

CASES: dict[str, Callable[[Any, str], str]] = {}


def case(title: str) -> Callable[[Callable[[Any, str], str]], Callable[[Any, str], str]]:
    """Name the row of the table that a function stands for."""

    def keep(function: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
        CASES[title] = function
        return function

    return keep


# --- Tools --------------------------------------------------------------------------------------


def identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_ino, stat.S_IFMT(status.st_mode)


def mode(path: str) -> str:
    return f"{stat.S_IMODE(os.lstat(path).st_mode):04o}"


def start(library: Any, path: str, success: str) -> str:
    """Start a server where there is something already, and say what came of it."""
    # Another name keeps its inode number from being used again.
    os.link(path, path + "~")
    there = identity(path)
    try:
        library(path)
    except OSError as error:
        assert identity(path) == there
        return f"refuses ({errno.errorcode[error.errno]})"
    assert stat.S_ISSOCK(os.lstat(path).st_mode)
    assert identity(path) != there
    return success


def remains(path: str) -> str:
    return "is left" if os.path.lexists(path) else "is removed"


def in_child(function: Callable[..., object], *arguments: Any) -> int:
    """Run a function in a child of this child, and return how that ended."""
    pid = support.fork()
    if pid == 0:
        try:
            function(*arguments)
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def connect(path: str) -> str:
    """Connect as a client does, and say how it went."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError as error:
            return errno.errorcode[error.errno]
    return "connected"


@contextlib.contextmanager
def around(owner: Any, name: str, before: Callable[[], object], after: Callable[[], object] = bool) -> Iterator[None]:
    """Look at the file system just before and just after each call of a function or method."""
    original = getattr(owner, name)
    own = name in vars(owner)

    def looking(*arguments: Any) -> Any:
        before()
        result = original(*arguments)
        after()
        return result

    setattr(owner, name, looking)
    try:
        yield
    finally:
        setattr(owner, name, original) if own else delattr(owner, name)


def said(error: Exception, path: str) -> str:
    """Return the text of an error, without what differs from one run to the next."""
    return "`" + re.sub(r"process \d+ \(.*?\)", "process 7 (server)", str(error).replace(path, "/run/s")) + "`"


# --- Cases --------------------------------------------------------------------------------------


@case("a killed server has left its file: a new one")
def after_a_crash(library, path):
    def crash():
        library(path)
        os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(in_child(crash)) == signal.SIGKILL
    assert connect(path) == "ECONNREFUSED"
    return start(library, path, "replaces it")


@case("a server listens at the path: another one")
def beside_a_live_server(library, path):
    library(path)
    done = start(library, path, "takes the path from it")
    assert connect(path) == "connected"
    return done


@case("the same: the error says")
def error_beside_a_live_server(library, path):
    library(path)
    try:
        library(path)
    except OSError as error:
        return said(error, path)
    return "nothing"


@case("a file that is no socket is at the path: a server")
def at_a_regular_file(library, path):
    Path(path).write_text("mine")
    done = start(library, path, "removes it")
    assert Path(path).read_text() == "mine"
    return done


@case("a symbolic link to a live server's file is at the path: a server")
def at_a_symlink(library, path):
    library(path + "2")
    os.symlink(path + "2", path)
    done = start(library, path, "removes the link")
    assert connect(path + "2") == "connected"
    return done


@case("while a server takes the path from another one, clients get")
def gap(library, path):
    library(path)
    seen: list[str] = []

    def look():
        seen.append(connect(path))

    with around(library.binder, "bind", look), around(library.starter, "listen", look):
        done = start(library, path, "")
    # Who refuses has changed nothing.
    return ", then ".join(seen) if not done else "nothing of it: it refuses"


@case("0600 is wanted, the umask is 022: the file's mode when clients can first connect")
def mode_of_a_listener(library, path):
    os.umask(0o022)
    seen: list[str] = []
    with around(library.starter, "listen", lambda: os.path.exists(path) and seen.append(mode(path))):
        library(path, 0o600)
    # Unless it is made where nobody finds it, and then gets its name.
    seen = seen or [mode(path)]
    assert len(seen) == 1
    assert mode(path) == ("0600" if library.has_mode else seen[0])
    return seen[0]


@case("the same for a datagram socket, when others can first send to it")
def mode_of_a_datagram_socket(library, path):
    os.umask(0o022)
    seen: list[str] = []

    def look():
        if os.path.exists(path):
            seen.append(mode(path))
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"from anybody", path)

    with around(library.binder, "bind", bool, look):
        sock = library.datagram(path, 0o600)
    seen = seen or [mode(path)]
    assert len(seen) == 1
    assert sock
    assert mode(path) == ("0600" if library.has_mode else seen[0])
    return seen[0]


@case("the longest path on Linux, in bytes")
def longest_path(library, path):
    longest = 0
    for length in range(100, 120):
        # Padded with slashes, which are part of the length.
        padded = os.path.dirname(path) + "/" * (length - len(path) + 1) + f"{length}"[-1:]
        assert len(padded) == length
        with contextlib.suppress(OSError, AddressError):
            library(padded).close()
            longest = length
        with contextlib.suppress(FileNotFoundError):
            os.unlink(padded)
    return str(longest)


@case("a path that is too long: the error says")
def path_too_long(library, path):
    try:
        library(path + "x" * 200)
    except (OSError, AddressError) as error:
        return said(error, path + "x" * 200)
    return "nothing"


@case("the server is closed: its file")
def after_close(library, path):
    library(path).close()
    return remains(path)


@case("the interpreter exits without that: its file")
def after_exit(library, path):
    tests = str(support.ROOT / "tests")
    head = next(head for head, known in elsewhere.LIBRARIES.items() if known is library)
    code = f"import sys; sys.path.append({tests!r}); import elsewhere; server = elsewhere.LIBRARIES[{head!r}]({path!r})"
    support.python("-c", code)
    return remains(path)


@case("a relative path, and chdir(2) before the close: its file")
def after_chdir(library, path):
    os.chdir(os.path.dirname(path))
    server = library(os.path.basename(path))
    os.chdir("/")
    server.close()
    return remains(path)


@case("the server is closed, another one has the path by now: the other's file")
def after_a_successor(library, path):
    server = library(path)
    os.unlink(path)
    library(path)
    server.close()
    return remains(path)


@case("the file was renamed into its place, the server is closed: its file")
def after_rename(library, path):
    server = library(path + ".new")
    server.rename(path + ".new", path)
    server.close()
    return remains(path)


@case("a forked child closes its copy of the server: the parent's file")
def after_fork(library, path):
    server = library(path)
    assert in_child(server.close) == 0
    return remains(path)


@case("a socket that systemd or another process bound is adopted, and closed: its file")
def after_adoption(library, path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    library.adopt(sock).close()
    return remains(path)


# --- The table ----------------------------------------------------------------------------------


def table() -> dict[str, dict[str, str]]:
    """Return the cells of the table by the title of their row and the head of their column."""
    text = (support.ROOT / "docs" / "socket-files.md").read_text(encoding="utf-8")
    lines = re.search(r"^\| What happens \|.*?(?=\n\n)", text, re.MULTILINE | re.DOTALL).group().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    head = cells[0]
    return {row[0]: dict(zip(head[1:], row[1:])) for row in cells[2:]}


TABLE = table()


# What this library says only with a feature.
NEEDS = {"the same: the error says": "peer_credentials", "a path that is too long: the error says": "bindat"}


@pytest.mark.many_processes
@pytest.mark.parametrize("head", elsewhere.LIBRARIES)
@pytest.mark.parametrize("title", CASES, ids=[function.__name__ for function in CASES.values()])
def test_library_does_what_the_table_says(title, head, socket_path):
    """What the library of this Python does in this case is what stands in its column."""
    needed = NEEDS.get(title)
    if head == "uds_cffi" and needed and not support.supported(needed):
        pytest.skip(f"{support.FEATURE_SKIP}{needed} is absent")

    def child():
        assert CASES[title](elsewhere.LIBRARIES[head], socket_path) == support.in_local_words(TABLE[title][head])

    support.run_child(child)


def test_table_has_these_cases():
    """The table has a row for each case and no other, and a cell for each library."""
    assert list(TABLE) == list(CASES)
    assert {len(row) for row in TABLE.values()} == {5}
    assert all(cell for row in TABLE.values() for cell in row.values())
