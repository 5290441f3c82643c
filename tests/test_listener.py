"""Listeners: binding, accepting, and what they leave behind.

Rule: an accepted connection is blocking, without timeouts and close-on-exec, whatever the listener is.  The modes of
a listener are in test_listener_modes.py.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blocked
import pytest
import support

from uds_cffi import (
    SHUT_RD,
    AddressError,
    FeatureUnavailable,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixSocketAddr,
    UnixStream,
)

KINDS = [
    pytest.param((UnixListener, UnixStream), id="stream"),
    pytest.param((UnixSeqpacketListener, UnixSeqpacketConn), id="seqpacket", marks=support.needs("seqpacket")),
]


@pytest.fixture(params=KINDS)
def kinds(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Name a listener type and the type that it accepts."""
    return request.param


@pytest.fixture
def listener(kinds: tuple[Any, Any], socket_path: str) -> Iterator[Any]:
    """Listen at the path."""
    with kinds[0].bind(socket_path) as listening:
        yield listening


@contextlib.contextmanager
def inside(sock: Any, function: Any, *arguments: Any) -> Iterator[list[Any]]:
    """Run a function in a thread until it waits in a call on a socket, then the block."""
    with support.in_thread(function, *arguments) as outcome:
        support.until(lambda: blocked.running(sock))
        yield outcome


def close(accepted: tuple[Any, UnixSocketAddr]) -> None:
    accepted[0].close()


@pytest.mark.parametrize("form", [str, os.fsencode, Path, UnixSocketAddr])
def test_bind_makes_a_socket_file(kinds: tuple[Any, Any], socket_path: str, form: Any) -> None:
    """A path in any form becomes a socket file with the permissions of the umask, which stays after close()."""
    with kinds[0].bind(form(socket_path)) as listener:
        assert listener.local_addr() == UnixSocketAddr.from_path(socket_path)
        mask = os.umask(0)
        os.umask(mask)
        assert os.stat(socket_path).st_mode == stat.S_IFSOCK | 0o777 & ~mask
        assert not os.get_inheritable(listener.fileno())
    assert os.path.exists(socket_path)


def test_bind_never_replaces(kinds: tuple[Any, Any], socket_path: str) -> None:
    """An existing file, also a socket that nobody listens at, is in use; the error carries the address."""
    kinds[0].bind(socket_path).close()
    with pytest.raises(OSError, match="in use") as caught:
        kinds[0].bind(socket_path)
    assert (caught.value.errno, caught.value.filename) == (errno.EADDRINUSE, socket_path)


def test_bind_where_there_is_no_folder(kinds: tuple[Any, Any], socket_path: str) -> None:
    """A missing folder is FileNotFoundError with the address."""
    with pytest.raises(FileNotFoundError) as caught:
        kinds[0].bind(socket_path + "/x")
    assert caught.value.filename == socket_path + "/x"


@pytest.mark.parametrize("bad", [None, 3, "a\0b", "p" * 200])
def test_bind_to_what_is_no_address(kinds: tuple[Any, Any], bad: Any) -> None:
    """What is no address is AddressError."""
    with pytest.raises(AddressError):
        kinds[0].bind(bad)


@support.needs("abstract_addresses")
def test_bind_to_an_abstract_name(kinds: tuple[Any, Any], socket_path: str) -> None:
    """An abstract name makes no file, cannot be bound twice, and is free again after close()."""
    name = UnixSocketAddr.from_abstract(socket_path)
    for _ in range(2):
        with kinds[0].bind(name) as listener:
            assert listener.local_addr() == name
            assert not os.path.exists(socket_path)
            with pytest.raises(OSError, match="in use"):
                kinds[0].bind(name)


@support.needs("abstract_addresses")
def test_bind_to_the_unnamed_address(kinds: tuple[Any, Any]) -> None:
    """Binding to "" lets the kernel choose an abstract name, where clients find the listener."""
    with kinds[0].bind("") as listener:
        assert listener.local_addr().is_abstract
        with kinds[1].connect(listener.local_addr()):
            close(listener.accept())


@support.lacks("abstract_addresses")
def test_autobind_where_there_is_none() -> None:
    """Without abstract addresses there is nothing for "" to become."""
    with pytest.raises(AddressError, match="no abstract addresses"):
        UnixListener.bind("")


@support.lacks("seqpacket")
def test_sequenced_packets_where_there_are_none(socket_path: str) -> None:
    """Without sequenced packets bind says which feature is missing, and makes no file."""
    with pytest.raises(FeatureUnavailable) as caught:
        UnixSeqpacketListener.bind(socket_path)
    assert caught.value.feature == "seqpacket"
    assert not os.path.exists(socket_path)


def admitted(kind: Any, path: str, most: int) -> int:
    """Count how many connections wait before the backlog is full."""
    with contextlib.ExitStack() as clients:
        for count in range(most):
            try:
                clients.enter_context(kind.connect(path, nonblocking=True))
            except BlockingIOError:
                return count
    return most


@pytest.mark.parametrize("backlog", [0, 1, 5])
def test_backlog(kinds: tuple[Any, Any], socket_path: str, backlog: int) -> None:
    """As many connections wait as the backlog says, and on Linux one more."""
    with kinds[0].bind(socket_path, backlog=backlog):
        assert admitted(kinds[1], socket_path, 20) == backlog + 1


@pytest.mark.parametrize("backlog", [None, 2**31 - 1])
def test_large_backlog(kinds: tuple[Any, Any], socket_path: str, backlog: int | None) -> None:
    """By default, and with more than the kernel admits, many connections may wait."""
    with kinds[0].bind(socket_path, backlog=backlog):
        assert admitted(kinds[1], socket_path, 20) == 20


@pytest.mark.parametrize(
    ("bad", "error"), [(-1, ValueError), (2**31, ValueError), (True, TypeError), (1.0, TypeError), ("1", TypeError)]
)
def test_bad_backlog(kinds: tuple[Any, Any], socket_path: str, bad: Any, error: type[Exception]) -> None:
    """A backlog is an int from 0 on; otherwise no file is made."""
    with pytest.raises(error, match="backlog"):
        kinds[0].bind(socket_path, backlog=bad)
    assert not os.path.exists(socket_path)


def test_accept_returns_connection_and_address(kinds: tuple[Any, Any], listener: Any, short_dir: str) -> None:
    """accept() returns a connection of the listener's type, and the peer's address: unnamed, or its name."""
    name = os.path.join(short_dir, "c")
    for bind, expected in ((None, UnixSocketAddr.unnamed()), (name, UnixSocketAddr.from_path(name))):
        with kinds[1].connect(listener.local_addr(), bind=bind) as client:
            conn, peer = listener.accept()
            with conn:
                assert type(conn) is kinds[1]
                assert peer == conn.peer_addr() == expected
                client.send(b"x")
                assert conn.try_recv(1) in (b"x", (b"x", False))


@pytest.mark.parametrize("nonblocking", [False, True])
@pytest.mark.parametrize("listener_nonblocking", [False, True])
def test_modes_of_an_accepted_connection(
    kinds: tuple[Any, Any], socket_path: str, nonblocking: bool, listener_nonblocking: bool
) -> None:
    """A connection is nonblocking when that was asked for, whatever the listener is, and it has no timeouts."""
    with kinds[0].bind(socket_path, nonblocking=listener_nonblocking) as listener:
        listener.set_timeout(support.PATIENCE)
        for accept in (listener.accept, listener.try_accept):
            with kinds[1].connect(socket_path), accept(nonblocking=nonblocking)[0] as conn:
                assert conn.is_nonblocking() is nonblocking
                assert os.get_blocking(conn.fileno()) is not nonblocking
                assert not os.get_inheritable(conn.fileno())
                assert (conn.read_timeout(), conn.write_timeout()) == (None, None)
                assert (conn.options.receive_timeout, conn.options.send_timeout) == (None, None)


@support.needs("credentials")
def test_options_hold_for_clients(kinds: tuple[Any, Any], socket_path: str) -> None:
    """What bind sets is set before it listens, so that connections inherit it."""
    with kinds[0].bind(socket_path, options={"pass_credentials": True}) as listener, kinds[1].connect(socket_path):
        assert listener.options.pass_credentials is True
        with listener.accept()[0] as conn:
            assert conn.options.pass_credentials is True


@support.needs("pass_rights")
def test_refused_descriptors_before_accept(kinds: tuple[Any, Any], socket_path: str) -> None:
    """pass_rights=False holds for a client's first byte, before anybody accepted it."""
    with kinds[0].bind(socket_path, options={"pass_rights": False}) as listener:
        with kinds[1].connect(socket_path) as client, pytest.raises(PermissionError):
            client.send_fds(b"x", [0])
        close(listener.accept())


@pytest.mark.parametrize(("options", "error"), [({"nope": 1}, AttributeError), ({"send_buffer": None}, TypeError)])
def test_bad_options(kinds: tuple[Any, Any], socket_path: str, options: Any, error: type[Exception]) -> None:
    """A bad option is refused before a file is made."""
    with pytest.raises(error, match="option"):
        kinds[0].bind(socket_path, options=options)
    assert not os.path.exists(socket_path)


def test_try_accept(kinds: tuple[Any, Any], listener: Any) -> None:
    """try_accept() returns None when nobody waits, and the connection of whoever does."""
    assert listener.try_accept() is None
    with kinds[1].connect(listener.local_addr()):
        conn, peer = listener.try_accept()
        conn.close()
        assert peer.is_unnamed
    assert listener.try_accept() is None


def test_accept_waits_for_a_client(kinds: tuple[Any, Any], listener: Any) -> None:
    """A blocking accept, with and without a timeout, sleeps until a client connects."""
    for timeout in (None, support.PATIENCE):
        listener.set_timeout(timeout)
        with inside(listener, listener.accept) as outcome:
            client = kinds[1].connect(listener.local_addr())
        client.close()
        close(outcome[0])


def test_client_that_left_is_accepted(kinds: tuple[Any, Any], listener: Any) -> None:
    """A client that sent and closed before it was accepted is accepted with its data."""
    with kinds[1].connect(listener.local_addr()) as client:
        client.send(b"bye")
    with listener.accept()[0] as conn:
        assert conn.recv(9) in (b"bye", (b"bye", False))
        assert conn.recv(9) in (b"", (b"", False))


def test_incoming(kinds: tuple[Any, Any], listener: Any) -> None:
    """incoming() accepts for ever, and raises what accept() raises."""
    with contextlib.ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(kinds[1].connect(listener.local_addr()))
        for conn, peer in itertools.islice(listener.incoming(), 3):
            conn.close()
            assert peer.is_unnamed
        listener.set_timeout(0.01)
        with pytest.raises(TimeoutError):
            next(listener.incoming())


def test_listener_itself_is_not_iterable(listener: Any) -> None:
    """Only incoming() iterates: a loop over a listener would never end."""
    with pytest.raises(TypeError):
        iter(listener)


def test_shutdown_wakes_accept(listener: Any) -> None:
    """After shutdown(SHUT_RD) a blocked accept raises EINVAL, and so does each later one."""

    def refused() -> int | None:
        with pytest.raises(OSError, match="Invalid argument") as caught:
            listener.accept()
        return caught.value.errno

    with inside(listener, refused) as outcome:
        listener.shutdown(SHUT_RD)
    assert outcome == [errno.EINVAL]
    assert refused() == errno.EINVAL


def test_shut_down_listener_refuses_clients(kinds: tuple[Any, Any], listener: Any) -> None:
    """Nobody can connect to a listener that was shut down."""
    listener.shutdown(SHUT_RD)
    with pytest.raises(ConnectionRefusedError):
        kinds[1].connect(listener.local_addr())


def test_one_client_and_four_acceptors(kinds: tuple[Any, Any], listener: Any) -> None:
    """Of four threads that wait, one gets the client, and the others run into their timeout."""
    accepted = []
    barrier = threading.Barrier(5)

    def accept() -> None:
        barrier.wait(support.PATIENCE)
        with contextlib.suppress(TimeoutError):
            accepted.append(listener.accept(timeout=0.2))

    with contextlib.ExitStack() as threads:
        for _ in range(4):
            threads.enter_context(support.in_thread(accept))
        barrier.wait(support.PATIENCE)
        support.until(lambda: blocked.running(listener) == 4)
        client = threads.enter_context(kinds[1].connect(listener.local_addr()))
        assert client.fileno() >= 0
    assert len(accepted) == 1
    close(accepted[0])


def test_accept_with_no_descriptor_left(kinds: tuple[Any, Any], listener: Any) -> None:
    """With RLIMIT_NOFILE reached accept raises EMFILE, and the client stays in the queue."""

    def use_up() -> None:
        import resource

        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        for accept in (listener.accept, listener.try_accept):
            with support.raises_errno(errno.EMFILE):
                accept()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        close(listener.accept())

    with kinds[1].connect(listener.local_addr()):
        support.run_child(use_up)


def test_closed_listener(kinds: tuple[Any, Any], listener: Any) -> None:
    """A closed listener raises EBADF from every call that needs the kernel."""
    listener.close()
    for call in (
        listener.accept,
        listener.try_accept,
        listener.local_addr,
        listener.take_error,
        listener.try_clone,
        listener.is_nonblocking,
        listener.detach,
        listener.to_stdlib,
        lambda: listener.set_nonblocking(True),
        lambda: listener.shutdown(SHUT_RD),
        lambda: next(listener.incoming()),
    ):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            call()
        assert caught.value.errno == errno.EBADF
    assert (listener.closed, listener.fileno()) == (True, -1)


def test_standard_library_client(socket_path: str) -> None:
    """The client may be any program: here the standard library connects."""
    with UnixListener.bind(socket_path) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(socket_path)
        with listener.accept()[0] as conn:
            conn.sendall(b"hello")
            assert client.recv(9) == b"hello"
            assert listener.take_error() is None


def test_clone_accepts_too(kinds: tuple[Any, Any], listener: Any) -> None:
    """A clone of a listener accepts from the same queue, with a copy of its timeout, and survives its close."""
    listener.set_timeout(support.PATIENCE)
    with listener.try_clone() as clone:
        assert clone.timeout() == support.PATIENCE
        assert clone.is_nonblocking() is False
        listener.close()
        with kinds[1].connect(clone.local_addr()):
            close(clone.accept())
