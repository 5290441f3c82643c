"""connect: addresses, the order of its steps, full backlogs, and errors.

Rule: whatever fails, nothing stays open and nothing is half done; the census around each test counts.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import support

import uds_cffi
from uds_cffi import (
    AddressError,
    AddressTypeError,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixSocketAddr,
    UnixStream,
    lib,
)

SEQPACKET = support.needs("seqpacket")
LISTENERS = [
    pytest.param(UnixListener, UnixStream, id="stream"),
    pytest.param(UnixSeqpacketListener, UnixSeqpacketConn, id="seqpacket", marks=SEQPACKET),
]


@pytest.fixture
def listener(socket_path: str) -> Iterator[UnixListener]:
    """Listen at the path."""
    with UnixListener.bind(socket_path) as listening:
        yield listening


@pytest.fixture
def full(socket_path: str) -> Iterator[UnixListener]:
    """Listen with a backlog that is full."""
    with UnixListener.bind(socket_path, backlog=0) as listening:
        waiting = []
        try:
            while True:
                waiting.append(UnixStream.connect(socket_path, nonblocking=True))
        except BlockingIOError:
            pass
        assert waiting
        yield listening
        for client in waiting:
            client.close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the handle of each socket that is made, to see which are inside a call."""
    handles: list[Any] = []

    def collect(make: Any, handle: Any, *arguments: Any) -> int:
        handles.append(handle)
        return make(handle, *arguments)

    for name in ("open_socket", "open_connected"):
        monkeypatch.setattr(uds_cffi.calls, name, partial(collect, getattr(uds_cffi.calls, name)))
    return handles


@pytest.mark.parametrize("form", [str, os.fsencode, Path, UnixSocketAddr, UnixSocketAddr.from_path])
def test_every_form_of_a_path(listener: UnixListener, socket_path: str, form: Any) -> None:
    """A path is given as str, bytes, os.PathLike or UnixSocketAddr."""
    with UnixStream.connect(form(socket_path)) as client:
        assert client.peer_addr() == UnixSocketAddr.from_path(socket_path)
        assert client.local_addr().is_unnamed
        with listener.accept()[0] as server:
            client.send(b"hello")
            assert server.recv(9) == b"hello"


def test_path_like_object_that_gives_bytes(listener: UnixListener, socket_path: str) -> None:
    """An os.PathLike may give bytes."""

    class Place:
        def __fspath__(self) -> bytes:
            return os.fsencode(socket_path)

    with UnixStream.connect(Place()) as client:
        assert client.peer_addr() == listener.local_addr()


@support.needs("abstract_addresses")
@pytest.mark.parametrize("name", [b"plain", b"", b"with\0nul", b"nul at the end\0"])
def test_abstract_name(socket_path: str, name: bytes) -> None:
    """An abstract address is connected to by its exact name, also when it is written with a leading NUL."""
    unique = os.fsencode(socket_path) + name if name else name
    address = UnixSocketAddr.from_abstract(unique)
    with UnixListener.bind(address):
        for form in (address, b"\0" + unique, "\0" + os.fsdecode(unique)):
            with UnixStream.connect(form) as client:
                assert client.peer_addr() == address
        with pytest.raises(ConnectionRefusedError):
            UnixStream.connect(b"\0" + unique + b"\0")


@support.lacks("abstract_addresses")
def test_abstract_name_where_there_is_none() -> None:
    """Without abstract addresses a leading NUL is refused before a socket is made."""
    with pytest.raises(AddressError, match="no abstract addresses"):
        UnixStream.connect("\0name")


def test_at_sign_is_part_of_a_path(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a plain str "@" means nothing: it is the name of a file."""
    monkeypatch.chdir(short_dir)
    with UnixListener.bind("@x"), UnixStream.connect("@x") as client:
        assert client.peer_addr() == UnixSocketAddr.from_path("@x")
        assert stat.S_ISSOCK(os.stat(os.path.join(short_dir, "@x")).st_mode)


def test_longest_path(short_dir: str) -> None:
    """A path that fills sun_path without a NUL is connected to as it is."""
    path = os.path.join(short_dir, "p").ljust(UnixSocketAddr.max_path_len(), "p")
    with UnixListener.bind(path) as listener, UnixStream.connect(path) as client:
        assert listener.local_addr().name == client.peer_addr().name == os.fsencode(path)


@pytest.mark.parametrize("kind", support.TYPES)
@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("", AddressError),
        (UnixSocketAddr.unnamed(), AddressError),
        ("a\0b", AddressError),
        ("p" * 300, AddressError),
        (None, AddressTypeError),
        (5, AddressTypeError),
        (("path",), AddressTypeError),
    ],
)
def test_what_cannot_be_a_peer_is_refused(kind: Any, address: Any, error: type[Exception]) -> None:
    """The unnamed address and what is no address are refused before a socket is made."""
    with pytest.raises(error):
        kind.connect(address)


def nobody(path: str) -> None:
    pass


def left_behind(path: str) -> None:
    UnixListener.bind(path).close()


def plain_file(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize("kind", support.TYPES)
@pytest.mark.parametrize(
    ("prepare", "error", "code"),
    [
        (nobody, FileNotFoundError, errno.ENOENT),
        (left_behind, ConnectionRefusedError, errno.ECONNREFUSED),
        (plain_file, ConnectionRefusedError, errno.ECONNREFUSED),
    ],
)
@pytest.mark.parametrize("timeout", [None, 5.0])
def test_errors_carry_the_address(
    kind: Any, socket_path: str, prepare: Any, error: type[OSError], code: int, timeout: float | None
) -> None:
    """A refused connect raises the OSError subclass of its errno, with the address as its file name."""
    prepare(socket_path)
    with pytest.raises(error) as caught:
        kind.connect(socket_path, timeout=timeout)
    assert (caught.value.errno, caught.value.filename) == (code, socket_path)
    assert caught.value.strerror == os.strerror(code)


def test_listener_of_another_type(listener: UnixListener, socket_path: str) -> None:
    """A datagram socket cannot connect to a stream listener: EPROTOTYPE."""
    with pytest.raises(OSError, match=socket_path) as caught:
        UnixDatagram.connect(socket_path)
    assert caught.value.errno == errno.EPROTOTYPE


def test_nothing_leaks_when_there_are_no_descriptors_left(listener: UnixListener, socket_path: str) -> None:
    """With RLIMIT_NOFILE reached connect raises EMFILE."""

    def use_up() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for make in (lambda: UnixStream.connect(socket_path), UnixStream.pair, UnixDatagram.unbound):
            with support.raises_errno(errno.EMFILE):
                make()

    support.run_child(use_up)


def test_bind_first_gives_the_peer_a_name(listener: UnixListener, short_dir: str) -> None:
    """With bind= the socket has a name before it connects, which accept() returns."""
    mine = os.path.join(short_dir, "mine")
    with UnixStream.connect(listener.local_addr(), bind=mine) as client:
        conn, peer = listener.accept()
        with conn:
            assert client.local_addr() == peer == conn.peer_addr() == UnixSocketAddr.from_path(mine)


def test_datagram_that_is_bound_first_can_be_answered(short_dir: str) -> None:
    """A datagram socket that was bound as it connected is told from others by its address, and gets an answer."""
    theirs, mine = os.path.join(short_dir, "theirs"), os.path.join(short_dir, "mine")
    with UnixDatagram.bind(theirs) as server, UnixDatagram.connect(theirs, bind=mine, timeout=5.0) as client:
        client.send(b"question")
        data, _, sender = server.recv_from(20)
        assert (data, sender) == (b"question", UnixSocketAddr.from_path(mine))
        server.send_to(b"answer", sender)
        assert client.recv(20) == (b"answer", False)


@support.needs("abstract_addresses")
@pytest.mark.parametrize("unnamed", ["", b"", UnixSocketAddr.unnamed()])
def test_bind_to_the_unnamed_address_autobinds(listener: UnixListener, unnamed: Any) -> None:
    """bind="" lets the kernel choose an abstract name of five hexadecimal digits."""
    with UnixStream.connect(listener.local_addr(), bind=unnamed) as client:
        conn, peer = listener.accept()
        conn.close()
        assert peer == client.local_addr()
        assert len(peer.abstract_name or b"") == 5
        assert int(peer.abstract_name or b"", 16) >= 0


@support.lacks("abstract_addresses")
def test_autobind_where_there_is_none(listener: UnixListener) -> None:
    """Without abstract addresses bind="" is refused."""
    with pytest.raises(AddressError, match="no abstract addresses"):
        UnixStream.connect(listener.local_addr(), bind="")


def test_bind_to_a_name_that_is_taken(listener: UnixListener, socket_path: str) -> None:
    """When the local name is taken, its address is in the error, and nobody was connected to."""
    with pytest.raises(OSError, match="in use") as caught:
        UnixStream.connect(socket_path, bind=socket_path)
    assert (caught.value.errno, caught.value.filename) == (errno.EADDRINUSE, socket_path)
    assert listener.try_accept() is None


@pytest.mark.parametrize("bad", [5, "a\0b"])
def test_bad_local_name_is_refused_first(listener: UnixListener, bad: Any) -> None:
    """A local name that is no address is refused before anybody is connected to."""
    with pytest.raises(AddressError):
        UnixStream.connect(listener.local_addr(), bind=bad)
    assert listener.try_accept() is None


def test_nonblocking_connect(listener: UnixListener, socket_path: str) -> None:
    """nonblocking=True makes a nonblocking socket, which is connected all the same."""
    with UnixStream.connect(socket_path, nonblocking=True) as client:
        assert client.is_nonblocking()
        assert not os.get_blocking(client.fileno())
        with pytest.raises(BlockingIOError):
            client.recv(1)


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_nonblocking_connect_with_a_full_backlog(full: UnixListener, socket_path: str, timeout: float | None) -> None:
    """A nonblocking connect to a full backlog raises BlockingIOError at once, with the address."""
    with pytest.raises(BlockingIOError) as caught:
        UnixStream.connect(socket_path, nonblocking=True, timeout=timeout)
    assert (caught.value.errno, caught.value.filename) == (errno.EAGAIN, socket_path)


def test_timeout_holds_while_the_backlog_is_full(full: UnixListener, socket_path: str) -> None:
    """A connect with a timeout raises TimeoutError, with the address, when the backlog stays full."""
    with pytest.raises(TimeoutError) as caught:
        UnixStream.connect(socket_path, timeout=0.05)
    assert (caught.value.errno, caught.value.filename) == (errno.ETIMEDOUT, socket_path)


def test_timeout_beyond_the_longest_that_the_kernel_is_given(
    full: UnixListener, socket_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connect whose timeout is longer than one wait in the kernel, which is a day at most, begins another one."""
    monkeypatch.setattr("uds_cffi.waiting._LONGEST_WAIT", 0.02)
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        UnixStream.connect(socket_path, timeout=0.1)
    assert time.monotonic() - begin >= 0.1


def test_kernel_timeout_of_the_options_holds_too(full: UnixListener, socket_path: str) -> None:
    """A send timeout among the options ends a connect as SO_SNDTIMEO does, as TimeoutError."""
    with pytest.raises(TimeoutError):
        UnixStream.connect(socket_path, options={"send_timeout": 0.02})


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_connect_waits_for_room_in_the_backlog(
    full: UnixListener, socket_path: str, timeout: float | None, made: list[Any]
) -> None:
    """A connect that waits for a full backlog goes on when somebody accepts, and its socket is blocking."""
    made.clear()
    with support.in_thread(lambda: UnixStream.connect(socket_path, timeout=timeout)) as outcome:
        support.until(lambda: made and lib.uds_handle_users(made[0]))
        full.accept()[0].close()
    with outcome[0] as client:
        assert not client.is_nonblocking()
        assert client.options.send_timeout is None


@pytest.mark.parametrize("kept", [None, 1.5])
def test_timeout_leaves_no_trace(listener: UnixListener, kept: float | None) -> None:
    """Afterwards the socket has no timeouts, and the kernel's is what the options asked for."""
    options = {} if kept is None else {"send_timeout": kept}
    with UnixStream.connect(listener.local_addr(), timeout=9.0, options=options) as client:
        assert (client.read_timeout(), client.write_timeout()) == (None, None)
        assert client.options.send_timeout == kept


@pytest.mark.parametrize("bad", [0, -1, 0.0, float("nan"), float("inf")])
def test_bad_timeout_is_refused(listener: UnixListener, bad: float) -> None:
    """A timeout is positive and finite; otherwise nobody is connected to."""
    with pytest.raises(ValueError, match="timeout"):
        UnixStream.connect(listener.local_addr(), timeout=bad)
    assert listener.try_accept() is None


@pytest.mark.parametrize("bad", [True, "1", [1.0]])
def test_timeout_of_another_type_is_refused(listener: UnixListener, bad: Any) -> None:
    """A timeout is a number."""
    with pytest.raises(TypeError, match="timeout"):
        UnixStream.connect(listener.local_addr(), timeout=bad)


@support.needs("credentials")
@support.needs("abstract_addresses")
def test_options_are_set_before_connecting(listener: UnixListener) -> None:
    """Credentials are passed from before the connect: the kernel then gives the socket a name as it connects."""
    with UnixStream.connect(listener.local_addr(), options={"pass_credentials": True}) as client:
        assert client.options.pass_credentials is True
        assert client.local_addr().is_abstract


@pytest.mark.parametrize(("listens", "kind"), LISTENERS)
def test_connected_means_queued(listens: Any, kind: Any, socket_path: str) -> None:
    """A client sends before anybody accepts; when the listener closes instead, it is told once by ECONNRESET."""
    with listens.bind(socket_path) as listener:
        client = kind.connect(socket_path)
        client.send(b"early")
    with client:
        assert listener.closed
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(BrokenPipeError):
            client.send(b"x")


def test_blocked_connect_ends_when_the_listener_closes(full: UnixListener, socket_path: str, made: list[Any]) -> None:
    """A connect that waits for room is refused when the listener closes."""
    made.clear()

    def refused() -> int | None:
        with pytest.raises(ConnectionRefusedError) as caught:
            UnixStream.connect(socket_path)
        return caught.value.errno

    with support.in_thread(refused) as outcome:
        support.until(lambda: made and lib.uds_handle_users(made[0]))
        full.close()
    assert outcome == [errno.ECONNREFUSED]


def test_standard_library_peer(socket_path: str) -> None:
    """The other side may be any program: here the standard library listens."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(socket_path)
        server.listen()
        with UnixStream.connect(socket_path) as client, server.accept()[0] as conn:
            client.send(b"hello")
            assert conn.recv(9) == b"hello"
            assert lib.uds_handle_users(client._handle) == 0
