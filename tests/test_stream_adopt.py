"""Taking descriptors over and giving them away: from_fd, detach, from_stdlib, to_stdlib, try_clone.

Rule: a descriptor changes its owner exactly when the call succeeds; after an error the old owner still has it.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import support

from uds_cffi import OwnedFd, UnixDatagram, UnixListener, UnixSeqpacketConn, UnixSeqpacketListener, UnixStream

SEQPACKET = support.needs("seqpacket")
CONNECTED = [
    pytest.param(UnixStream, socket.SOCK_STREAM, id="stream"),
    pytest.param(UnixDatagram, socket.SOCK_DGRAM, id="datagram"),
    pytest.param(UnixSeqpacketConn, socket.SOCK_SEQPACKET, id="seqpacket", marks=SEQPACKET),
]
LISTENERS = [
    pytest.param(UnixListener, socket.SOCK_STREAM, id="stream"),
    pytest.param(UnixSeqpacketListener, socket.SOCK_SEQPACKET, id="seqpacket", marks=SEQPACKET),
]


@pytest.fixture
def stdlib() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make a pair of streams in the standard library."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, two:
        yield one, two


@pytest.mark.parametrize(("kind", "number"), CONNECTED)
def test_from_fd_takes_over(kind: Any, number: int) -> None:
    """from_fd() makes an object of the number itself, which then owns it."""
    one, two = socket.socketpair(socket.AF_UNIX, number)
    with two:
        fd = one.detach()
        with kind.from_fd(fd) as adopted:
            assert adopted.fileno() == fd
            adopted.send(b"hello")
            assert two.recv(9) == b"hello"
        assert not support.is_open(fd)


@pytest.mark.parametrize(("kind", "number"), LISTENERS)
def test_from_fd_takes_a_listener_over(kind: Any, number: int, socket_path: str) -> None:
    """A listener type takes a listening socket over."""
    with socket.socket(socket.AF_UNIX, number) as made:
        made.bind(socket_path)
        made.listen()
        fd = made.detach()
    with kind.from_fd(fd) as listener:
        assert listener.fileno() == fd
        assert listener.try_accept() is None


@pytest.mark.parametrize(("kind", "number"), CONNECTED)
def test_unconnected_socket(kind: Any, number: int) -> None:
    """A socket that is not connected yet may be taken over; its repr says so."""
    fd = socket.socket(socket.AF_UNIX, number).detach()
    with kind.from_fd(fd) as adopted:
        assert repr(adopted) == f"<{kind.__name__} fd={fd} local=unnamed unconnected>"
        with pytest.raises(OSError, match="not connected") as caught:
            adopted.peer_addr()
        assert caught.value.errno == errno.ENOTCONN


@pytest.mark.parametrize(
    ("kind", "family", "number", "message"),
    [
        (UnixStream, socket.AF_UNIX, socket.SOCK_DGRAM, "type"),
        (UnixStream, socket.AF_UNIX, socket.SOCK_SEQPACKET, "type"),
        (UnixDatagram, socket.AF_UNIX, socket.SOCK_STREAM, "type"),
        (UnixStream, socket.AF_INET, socket.SOCK_STREAM, "AF_UNIX"),
        (UnixListener, socket.AF_UNIX, socket.SOCK_STREAM, "not listening"),
    ],
)
def test_wrong_socket_stays_the_callers(kind: Any, family: int, number: int, message: str) -> None:
    """Another family, type or listening state is ValueError, for every way of taking over; the caller keeps it."""
    with socket.socket(family, number) as made:
        made.settimeout(7)
        for take in (kind.from_fd, kind.borrow):
            with pytest.raises(ValueError, match=message):
                take(made.fileno())
        with pytest.raises(ValueError, match=message):
            kind.from_stdlib(made)
        assert made.gettimeout() == 7
        with OwnedFd(os.dup(made.fileno())) as owned:
            with pytest.raises(ValueError, match=message):
                owned.as_listener() if kind is UnixListener else getattr(
                    owned, "as_stream" if kind is UnixStream else "as_datagram"
                )()
            assert support.is_open(owned.fileno())


def test_connection_is_no_listener(socket_path: str) -> None:
    """A listening socket is no stream, whoever it comes from."""
    with UnixListener.bind(socket_path) as listener:
        with pytest.raises(ValueError, match="is listening"):
            UnixStream.from_fd(listener.fileno())
        assert not listener.closed


@pytest.mark.parametrize("fd", [-1, -100, 10_000, 2**31 - 1, 2**40])
def test_number_that_is_not_open(fd: int) -> None:
    """A number that is not open, or cannot be, is OSError (EBADF)."""
    for take in (UnixStream.from_fd, UnixListener.from_fd, UnixStream.borrow):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            take(fd)
        assert caught.value.errno == errno.EBADF


def test_file_that_is_no_socket() -> None:
    """A file is OSError (ENOTSOCK), and stays open."""
    read, write = os.pipe()
    for take in (UnixStream.from_fd, UnixDatagram.from_fd, UnixListener.from_fd):
        with support.raises_errno(errno.ENOTSOCK):
            take(read)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("fd", [True, 3.0, "3", None, b"3", socket])
def test_number_of_another_type(fd: Any) -> None:
    """A descriptor is an int; from_fd() does not ask objects for theirs."""
    with pytest.raises(TypeError, match="int"):
        UnixStream.from_fd(fd)


def test_object_is_not_asked_for_its_number(stdlib: tuple[socket.socket, socket.socket]) -> None:
    """from_fd() of an object would leave two owners: TypeError."""
    with pytest.raises(TypeError, match="int"):
        UnixStream.from_fd(stdlib[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "number"), CONNECTED)
@pytest.mark.parametrize("timeout", [None, 0, 2.5])
def test_from_the_standard_library(kind: Any, number: int, timeout: float | None) -> None:
    """from_stdlib() leaves the source closed, and carries its timeout over: 0 as nonblocking, others both ways."""
    one, two = socket.socketpair(socket.AF_UNIX, number)
    with two:
        one.settimeout(timeout)
        with kind.from_stdlib(one) as moved:
            assert one.fileno() == -1
            expected = timeout or None
            assert (moved.read_timeout(), moved.write_timeout()) == (expected, expected)
            assert moved.is_nonblocking() is (timeout == 0)
            assert not os.get_inheritable(moved.fileno())
            moved.send(b"hello")
            assert two.recv(9) == b"hello"


@pytest.mark.parametrize(("kind", "number"), CONNECTED)
@pytest.mark.parametrize(
    ("mode", "read", "write", "expected"),
    [(False, None, None, None), (True, 3, 3, 0.0), (False, 2.5, None, 2.5), (False, None, 1.5, 1.5), (False, 1, 2, 1)],
)
def test_to_the_standard_library(
    kind: Any, number: int, mode: bool, read: float | None, write: float | None, expected: float | None
) -> None:
    """to_stdlib() leaves this object closed, and carries mode and timeout over; the one for reading comes first."""
    one, two = kind.pair(nonblocking=mode)
    with two:
        one.set_read_timeout(read)
        one.set_write_timeout(write)
        with one.to_stdlib() as moved:
            assert one.closed
            assert type(moved) is socket.socket
            assert (moved.family, moved.type, moved.gettimeout()) == (socket.AF_UNIX, number, expected)
            assert not os.get_inheritable(moved.fileno())
            moved.send(b"hello")
            assert two.recv(9) in (b"hello", (b"hello", False))


@pytest.mark.parametrize("source", [None, 3, "socket", object(), OwnedFd])
def test_source_that_is_no_socket(source: Any) -> None:
    """from_stdlib() takes what has a timeout and a close()."""
    with pytest.raises(TypeError, match="socket"):
        UnixStream.from_stdlib(source)


def test_source_that_is_closed(stdlib: tuple[socket.socket, socket.socket]) -> None:
    """A closed source is OSError (EBADF)."""
    stdlib[0].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        UnixStream.from_stdlib(stdlib[0])


def test_move_with_no_descriptor_left(stdlib: tuple[socket.socket, socket.socket]) -> None:
    """When no number is left for the move, the source still owns its own, with its mode."""
    ours, theirs = UnixStream.pair()
    with ours, theirs:

        def use_up() -> None:
            import resource

            resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            for move in (lambda: UnixStream.from_stdlib(stdlib[0]), ours.to_stdlib, ours.try_clone):
                with support.raises_errno(errno.EMFILE):
                    move()
            stdlib[0].send(b"x")
            ours.send(b"y")

        support.run_child(use_up)
        assert stdlib[1].recv(9) == b"x"
        assert theirs.recv(9) == b"y"


def test_failed_move_closes_its_copy(
    stdlib: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the mode cannot be carried over, the new number is closed, and the source stays as it was."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "refused")

    with UnixStream.from_fd(os.dup(stdlib[0].fileno())) as ours:
        monkeypatch.setattr(socket.socket, "settimeout", refuse)
        with pytest.raises(PermissionError):
            ours.to_stdlib()
        assert not ours.closed
    monkeypatch.setattr(UnixStream, "_carry_mode", refuse)
    with pytest.raises(PermissionError):
        UnixStream.from_stdlib(stdlib[0])
    stdlib[0].send(b"x")
    assert stdlib[1].recv(9) == b"x"


def test_clone() -> None:
    """A clone has its own number, close-on-exec, shares queue and kernel mode, and is closed on its own."""
    one, two = UnixStream.pair()
    with one, two, one.try_clone() as clone:
        assert clone.fileno() != one.fileno()
        assert not os.get_inheritable(clone.fileno())
        clone.set_nonblocking(True)
        assert one.is_nonblocking()
        clone.set_nonblocking(False)
        clone.close()
        two.send(b"x")
        assert one.recv(1) == b"x"


def test_clones_shut_down_together() -> None:
    """shutdown() of a clone ends the connection for every copy; close() of one does not."""
    one, two = UnixStream.pair()
    with one, two:
        with one.try_clone():
            pass
        assert two.try_recv(1) is None
        with one.try_clone() as clone:
            clone.shutdown(socket.SHUT_WR)
        assert two.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            one.send(b"x")


def test_detached_number_works_and_is_ours() -> None:
    """The number that detach() gives is open, and nobody else closes it."""
    one, two = UnixStream.pair()
    with two:
        fd = one.detach()
        one.close()
        assert support.is_open(fd)
        with UnixStream.from_fd(fd) as again:
            again.send(b"x")
        assert two.recv(1) == b"x"
