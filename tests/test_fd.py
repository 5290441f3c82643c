"""OwnedFd: what a descriptor is, and what it can become.

Rule: whatever takes the descriptor over does so on success only; after a refusal the owner still has it.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import select
import socket
import stat
import tempfile
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import support

from uds_cffi import (
    FeatureUnavailable,
    OwnedFd,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    lib,
)

# Without it there is no /proc to ask, and what fstat(2) does not know remains unknown.
ASKS_PROC = not lib.UDS_MINIMAL_BUILD


@pytest.fixture
def path(short_dir: str) -> str:
    """Name a file with some text in it."""
    name = os.path.join(short_dir, "f")
    with open(name, "w", encoding="ascii") as file:
        file.write("some text\n")
    return name


@pytest.fixture
def owned(path: str) -> Iterator[OwnedFd]:
    """Own that file, for reading and writing."""
    with OwnedFd(os.open(path, os.O_RDWR)) as owner:
        yield owner


# --- Taking over --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "3", 3.0, True, b"3", socket.AF_UNIX, [3]])
def test_only_an_int_is_a_descriptor(value: Any) -> None:
    """OwnedFd takes an int and no other type, not even one that counts as an int."""
    with pytest.raises(TypeError, match="a descriptor is an int"):
        OwnedFd(value)


@pytest.mark.parametrize("number", [-1, 1_000_000])
def test_number_that_is_not_open_is_refused(number: int) -> None:
    """OwnedFd of a number that is not open is EBADF."""
    with support.raises_errno(errno.EBADF):
        OwnedFd(number)


def test_repr_shows_the_number(owned: OwnedFd) -> None:
    """The repr shows the number, or that it is closed."""
    assert repr(owned) == f"<OwnedFd {owned.fileno()}>"
    owned.close()
    assert repr(owned) == "<OwnedFd closed>"


# --- dup ----------------------------------------------------------------------------------------


def test_dup_shares_the_open_file(owned: OwnedFd) -> None:
    """A duplicate is another number, close-on-exec, for the same open file description."""
    with owned.dup() as copy:
        assert type(copy) is OwnedFd
        assert copy.fileno() != owned.fileno()
        assert not os.get_inheritable(copy.fileno())
        os.lseek(owned.fileno(), 5, os.SEEK_SET)
        assert os.read(copy.fileno(), 100) == b"text\n"


def test_dup_survives_the_original(owned: OwnedFd) -> None:
    """Closing the original leaves the duplicate open."""
    with owned.dup() as copy:
        owned.close()
        assert os.read(copy.fileno(), 4) == b"some"


def test_dup_of_a_closed_one_is_refused(owned: OwnedFd) -> None:
    """Duplicating after close() is EBADF."""
    owned.close()
    with support.raises_errno(errno.EBADF):
        owned.dup()


# --- kind ---------------------------------------------------------------------------------------


def libc(name: str, *arguments: Any) -> int:
    """Call what the os module of some supported interpreters lacks."""
    number = int(getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments))
    assert number >= 0, os.strerror(ctypes.get_errno())
    return number


def a_pipe() -> int:
    read, write = os.pipe()
    os.close(write)
    return read


def an_epoll() -> int:
    with select.epoll() as poll:
        return os.dup(poll.fileno())


# PyPy's os module lacks it; the same on every architecture but alpha, parisc and sparc.
O_PATH = getattr(os, "O_PATH", 0o10000000)
SYS_PIDFD_OPEN = 434  # The same on every architecture but alpha.

KINDS: dict[str, tuple[Callable[[], int], str]] = {
    "socket": (lambda: socket.socket(socket.AF_UNIX).detach(), "socket"),
    "file": (lambda: os.open(__file__, os.O_RDONLY), "file"),
    "pipe": (a_pipe, "pipe"),
    "directory": (lambda: os.open("/", os.O_RDONLY), "directory"),
    "character device": (lambda: os.open(os.devnull, os.O_RDONLY), "character device"),
    "memfd": (lambda: libc("memfd_create", b"name", 1), "file"),
    "eventfd": (lambda: libc("eventfd", 0, 0o2000000), "unknown"),
    "eventpoll": (an_epoll, "unknown"),
}


@pytest.mark.parametrize("expected", KINDS)
def test_kind_says_what_it_is(expected: str) -> None:
    """kind() names what the descriptor is; the minimal build knows what fstat(2) does."""
    make, minimal = KINDS[expected]
    with OwnedFd(make()) as owner:
        assert owner.kind() == (expected if ASKS_PROC else minimal)


def test_kind_of_a_pidfd() -> None:
    """A pidfd is told from the regular file that newer kernels make of it."""
    with OwnedFd(libc("syscall", SYS_PIDFD_OPEN, os.getpid(), 0)) as owner:
        is_regular = stat.S_ISREG(os.fstat(owner.fileno()).st_mode)
        assert owner.kind() == ("pidfd" if ASKS_PROC else "file" if is_regular else "unknown")


def test_kind_of_a_symbolic_link(short_dir: str) -> None:
    """A descriptor of a symbolic link itself (O_PATH) is one."""
    link = os.path.join(short_dir, "l")
    os.symlink("nowhere", link)
    with OwnedFd(os.open(link, O_PATH | os.O_NOFOLLOW)) as owner:
        assert owner.kind() == "symbolic link"


def test_kind_of_a_closed_one_is_refused(owned: OwnedFd) -> None:
    """kind() after close() is EBADF."""
    owned.close()
    with support.raises_errno(errno.EBADF):
        owned.kind()


# --- open ---------------------------------------------------------------------------------------


def test_open_reads_bytes(owned: OwnedFd) -> None:
    """open() without arguments gives a buffered binary file that owns the same number."""
    number = owned.fileno()
    with owned.open() as file:
        assert owned.closed
        assert file.fileno() == number
        assert isinstance(file, io.BufferedReader)
        assert file.read() == b"some text\n"
    with support.raises_errno(errno.EBADF):
        os.fstat(number)


def test_open_reads_text(owned: OwnedFd) -> None:
    """A text mode takes encoding and newline as open() does."""
    with owned.open("r", encoding="utf-16-le", errors="replace", newline="") as file:
        assert isinstance(file, io.TextIOWrapper)
        assert file.encoding == "utf-16-le"
        assert file.read(1) == b"so".decode("utf-16-le")


def test_open_writes(owned: OwnedFd, path: str) -> None:
    """A writing mode writes at the descriptor's position, and leaves the rest of the file."""
    with owned.open("r+b", 0) as file:
        assert isinstance(file, io.FileIO)
        file.write(b"SOME")
    with open(path, "rb") as file:
        assert file.read() == b"SOME text\n"


def test_open_appends(owned: OwnedFd, path: str) -> None:
    """Mode "a" goes to the end once, and not twice."""
    with owned.open("a", encoding="ascii") as file:
        file.write("more")
    with open(path, encoding="ascii") as file:
        assert file.read() == "some text\nmore"


@pytest.mark.parametrize(
    ("arguments", "keywords", "expected"),
    [
        (("q",), {}, ValueError),
        (("r", 0), {"encoding": "ascii"}, ValueError),
        (("rb",), {"encoding": "ascii"}, ValueError),
        (("r",), {"encoding": "no such encoding"}, LookupError),
        (("rb",), {"closefd": False}, TypeError),
        ((7,), {}, TypeError),
    ],
)
def test_open_with_bad_arguments_leaves_the_owner(owned: OwnedFd, arguments: Any, keywords: Any, expected: Any) -> None:
    """What open() refuses is raised, and the owner keeps the descriptor."""
    with pytest.raises(expected):
        owned.open(*arguments, **keywords)
    assert not owned.closed
    assert os.read(owned.fileno(), 4) == b"some"


def test_open_refuses_a_directory_and_leaves_the_owner() -> None:
    """A directory cannot be opened as a file: IsADirectoryError, and the owner keeps it."""
    with OwnedFd(os.open("/", os.O_RDONLY)) as owner:
        with pytest.raises(IsADirectoryError):
            owner.open()
        assert owner.kind() == "directory"


def test_open_of_a_closed_one_is_refused(owned: OwnedFd) -> None:
    """open() after close() is EBADF."""
    owned.close()
    with support.raises_errno(errno.EBADF):
        owned.open()


# --- Becoming a socket --------------------------------------------------------------------------


def stdlib_socket(kind: str, directory: str) -> socket.socket:
    """Make a socket of the standard library: "stream", "datagram", "seqpacket", and listeners of two types."""
    types = {"s": socket.SOCK_STREAM, "d": socket.SOCK_DGRAM, "q": socket.SOCK_SEQPACKET}
    sock = socket.socket(socket.AF_UNIX, types[kind[0]])
    if kind.endswith("listener"):
        sock.bind(os.path.join(directory, kind))
        sock.listen()
    return sock


METHODS = {
    "stream": ("as_stream", UnixStream),
    "datagram": ("as_datagram", UnixDatagram),
    "qseqpacket": ("as_seqpacket", UnixSeqpacketConn),
    "stream listener": ("as_listener", UnixListener),
    "qseqpacket listener": ("as_seqpacket_listener", UnixSeqpacketListener),
}


def needs_its_type(kind: str) -> Any:
    return pytest.param(kind, marks=support.needs("seqpacket")) if kind.startswith("q") else kind


KINDS_HERE = [needs_its_type(kind) for kind in METHODS]


@pytest.mark.parametrize("kind", KINDS_HERE)
def test_descriptor_becomes_the_socket_it_is(kind: str, short_dir: str) -> None:
    """Each as_ method makes its type of a descriptor of that type, under the same number."""
    method, expected = METHODS[kind]
    owner = OwnedFd(stdlib_socket(kind, short_dir).detach())
    number = owner.fileno()
    with getattr(owner, method)() as sock:
        assert type(sock) is expected
        assert sock.fileno() == number
        assert owner.closed


@pytest.mark.parametrize("wanted", KINDS_HERE)
@pytest.mark.parametrize("kind", METHODS)
def test_descriptor_of_another_type_stays_with_its_owner(kind: str, wanted: str, short_dir: str) -> None:
    """Each as_ method refuses the other types and listening states, and the owner keeps the descriptor."""
    if kind == wanted:
        kind = "datagram" if wanted == "stream" else "stream"
    method, target = METHODS[wanted]
    with OwnedFd(stdlib_socket(kind, short_dir).detach()) as owner:
        with pytest.raises(ValueError, match=target.__name__):
            getattr(owner, method)()
        assert owner.kind() == "socket"


@support.lacks("seqpacket")
@pytest.mark.parametrize("kind", [kind for kind in METHODS if kind.startswith("q")])
def test_absent_type_is_refused(kind: str, short_dir: str) -> None:
    """Where sequenced packets are absent their descriptors stay with the owner."""
    with OwnedFd(stdlib_socket(kind, short_dir).detach()) as owner:
        with pytest.raises(FeatureUnavailable) as caught:
            getattr(owner, METHODS[kind][0])()
        assert (caught.value.feature, caught.value.reason) == ("seqpacket", "not built")
        assert not owner.closed


def test_socket_of_another_family_is_refused() -> None:
    """An Internet socket of the right type is not a Unix socket."""
    with OwnedFd(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()) as owner:
        with pytest.raises(ValueError, match="not AF_UNIX"):
            owner.as_datagram()
        assert not owner.closed


@pytest.mark.parametrize("method", ["to_stdlib_socket", "as_stream", "as_datagram", "as_listener"])
def test_file_is_no_socket(owned: OwnedFd, method: str) -> None:
    """What is no socket is ENOTSOCK, and stays with its owner."""
    with support.raises_errno(errno.ENOTSOCK):
        getattr(owned, method)()
    assert owned.kind() == "file"


@pytest.mark.parametrize("method", ["to_stdlib_socket", "as_stream", "as_datagram", "as_listener"])
def test_closed_one_becomes_nothing(owned: OwnedFd, method: str) -> None:
    """Turning a closed one into a socket is EBADF."""
    owned.close()
    with support.raises_errno(errno.EBADF):
        getattr(owned, method)()


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_UNIX, socket.SOCK_STREAM),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET),
        (socket.AF_INET, socket.SOCK_DGRAM),
    ],
)
def test_descriptor_becomes_a_stdlib_socket(family: int, kind: int) -> None:
    """to_stdlib_socket() asks the kernel for family and type, and moves the socket."""
    owner = OwnedFd(socket.socket(family, kind).detach())
    number, inode = owner.fileno(), os.fstat(owner.fileno()).st_ino
    with owner.to_stdlib_socket() as sock:
        assert owner.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
        assert (os.fstat(sock.fileno()).st_ino, sock.family, sock.type) == (inode, family, kind)


@pytest.mark.parametrize("mode", ["rb", "r", "w+b", "w"])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_opened_file_is_called_by_its_number(mode: str, buffering: int) -> None:
    """The name of an opened file is its number, as open(number) has it."""
    if buffering == 0 and "b" not in mode:
        buffering = 1
    with tempfile.TemporaryFile() as original:
        owner = OwnedFd(os.dup(original.fileno()))
        with owner.open(mode, buffering) as file:
            assert file.name == file.fileno()
