"""The shortcuts by which sockets are made and closed, where they could differ from the way round.

Rule: a plain connect makes and connects the socket in one call, a plain accept asks the kernel nothing else, and a
closed socket has another handle. None of that is seen: errors, addresses, modes and finalizers are those of the steps.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from typing import Any

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import (
    FeatureUnavailable,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSocketAddr,
    UnixStream,
    calls,
    lib,
)

NAMES = st.one_of(
    st.text(max_size=12),
    st.text("ab/\0@\udc80\ud800é", max_size=6),
    st.binary(max_size=12),
    st.integers(100, 130).map("x".__mul__),
    st.integers(100, 130).map(b"\0".__mul__),
)


@pytest.fixture
def listener(socket_path: str) -> Iterator[UnixListener]:
    with UnixListener.bind(socket_path) as listening:
        yield listening


def outcome(name: Any, **steps: Any) -> tuple[Any, ...]:
    try:
        UnixStream.connect(name, **steps).close()
    except Exception as problem:
        return type(problem), problem.args, getattr(problem, "filename", None)
    return ("connected",)


@settings(max_examples=150, deadline=None)
@given(NAMES)
def test_any_name_meets_the_same_end(name: Any) -> None:
    """Whatever is connected to, one call says what the single steps say."""
    names = [name]
    try:
        names.append(UnixSocketAddr(name))
    except ValueError:
        pass
    for form in names:
        assert outcome(form) == outcome(form, timeout=9) == outcome(form, options={})


def test_subclass_of_str_is_a_path(listener: UnixListener, socket_path: str) -> None:
    """A str of another class is read as every path is."""

    class Path(str):
        pass

    with UnixStream.connect(Path(socket_path)) as client:
        assert client.peer_addr() == listener.local_addr()


@pytest.mark.parametrize("form", [str, UnixSocketAddr])
def test_error_of_the_socket_is_not_of_the_address(form: Any, listener: UnixListener, socket_path: str) -> None:
    """Without a descriptor for the socket the error names no address, with one it does."""
    target = form(socket_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with support.raises_errno(errno.EMFILE) as caught:
            UnixStream.connect(target)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (caught.value.errno, caught.value.filename) == (errno.EMFILE, None)
    with pytest.raises(FileNotFoundError) as missing:
        UnixStream.connect(form(socket_path + "x"))
    assert missing.value.filename == socket_path + "x"


@pytest.mark.parametrize("kind", [UnixStream, UnixDatagram])
def test_interrupted_connect_is_made_again(kind: Any, socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect that a signal interrupts is not reported done: it is made again on the same socket."""

    def interrupted(handle: Any, number: int, *_: object) -> int:
        assert calls.open_socket(handle, number, 0) == 0
        return -errno.EINTR

    monkeypatch.setattr(calls, "open_connected", interrupted)
    server = (UnixListener if kind is UnixStream else UnixDatagram).bind(socket_path)
    with server, kind.connect(socket_path) as client:
        assert client.peer_addr() == server.local_addr()
    with pytest.raises(ConnectionRefusedError) as caught:
        kind.connect(socket_path)
    assert caught.value.filename == socket_path


def test_exception_behind_the_call_closes(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that raises just after the call leaves nothing open, and no warning either."""

    def interrupted(handle: Any, number: int, *_: object) -> int:
        assert calls.open_socket(handle, number, 0) == 0
        raise KeyboardInterrupt

    monkeypatch.setattr(calls, "open_connected", interrupted)
    with pytest.raises(KeyboardInterrupt):
        UnixStream.connect(socket_path)
    support.collect()


@support.lacks("seqpacket")
def test_type_that_is_not_built() -> None:
    """A type that this build lacks is not handed to the kernel."""
    for make in (UnixSeqpacketConn.pair, lambda: UnixSeqpacketConn.connect("/nowhere")):
        with pytest.raises(FeatureUnavailable, match="not built"):
            make()


def test_each_client_has_its_own_name(listener: UnixListener, socket_path: str) -> None:
    """Clients with a long name, a short one and none are told apart, in whatever order they come."""
    for name in (socket_path + "long-name", None, socket_path + "s", None, None):
        for accept in (listener.accept, listener.try_accept, lambda: listener.accept(timeout=9)):
            assert listener.try_accept() is None
            with UnixStream.connect(socket_path, bind=name):
                served, addr = accept()  # type: ignore[misc]
                served.close()
            assert addr == UnixSocketAddr(name or "")
            if name:
                os.unlink(name)


@pytest.mark.parametrize("timeout", [None, 0.02])
def test_plain_accept_where_the_flag_was_restored(
    listener: UnixListener, socket_path: str, timeout: float | None
) -> None:
    """A listener whose kernel flag a clone restored waits in the kernel, while the kernel's own timeout lets it."""
    with listener.try_clone() as clone:
        os.set_blocking(clone.fileno(), True)
        listener.options.receive_timeout = timeout
        if timeout:
            with pytest.raises(TimeoutError):
                listener.accept()
        with support.in_thread(listener.accept) as accepted, UnixStream.connect(socket_path) as client:
            client.send(b"x")
        with accepted[0][0] as served:
            assert served.recv(9) == b"x"


def test_each_class_makes_its_own(socket_path: str) -> None:
    """A constructor that several classes inherit makes what it is asked for by, in whatever order they ask."""

    class Mine(UnixStream):
        __slots__ = ()

    class Packets(UnixDatagram):
        __slots__ = ()

    with UnixDatagram.bind(socket_path):
        for kind in (Mine, UnixStream, Packets, Mine, UnixDatagram, Packets, UnixStream):
            one, two = kind.pair()
            with one, two:
                assert type(one) is type(two) is kind
                assert one.send(b"x") == 1
                assert one.get_option(calls.SOL_SOCKET, lib.SO_TYPE) == kind._kind
            if issubclass(kind, UnixDatagram):
                with kind.connect(socket_path) as client:
                    assert type(client) is kind


def test_closed_sockets_share_one_handle(pair: tuple[Any, Any]) -> None:
    """Nothing fills that handle, and what was asked of the socket before still stands for a closed one."""
    one, two = pair
    options, number = one.options, one.fileno()
    one.close()
    two.close()
    assert one._handle is two._handle is calls.CLOSED
    other, another = type(one).pair()
    with other, another:
        assert other.fileno() == number
        with support.raises_errno(errno.EBADF):
            options.send_buffer = 4096
        for use in (one.detach, one.try_clone, one.local_addr, lambda: one.send(b"x"), lambda: one.recv(1)):
            with support.raises_errno(errno.EBADF):
                use()
        assert calls.adopt(calls.CLOSED, number, 1) == -errno.EBUSY
        one.close()
        assert other.send(b"x") == 1


def test_interrupted_close_is_silent_afterwards(stream: tuple[UnixStream, UnixStream]) -> None:
    """Between the end of the descriptor and that of the handle a socket is closed, and its finalizer says nothing."""
    one, _ = stream
    lib_close = calls.close
    assert lib_close(one._handle) == 0
    assert one.closed
    one.close()
    half, other = UnixStream.pair()
    other.close()
    lib_close(half._handle)
    del half
    support.collect()
