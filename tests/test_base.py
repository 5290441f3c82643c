"""What all sockets share: owning a descriptor, names, options, and how an object shows itself.

Rule: after close() the number is forgotten, so that every call raises EBADF and none reaches somebody else's file.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import gc
import inspect
import os
import pickle
import socket
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import support

from uds_cffi import (
    MSG_WAITALL,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    lib,
)

SEQPACKET = support.needs("seqpacket")
LISTENERS = [UnixListener, pytest.param(UnixSeqpacketListener, marks=SEQPACKET)]


@pytest.fixture(params=[*support.TYPES, *LISTENERS])
def sock(request: pytest.FixtureRequest, socket_path: str) -> Iterator[Any]:
    """Make a socket of each type."""
    kind = request.param
    if hasattr(kind, "pair"):
        made, other = kind.pair()
        with made, other:
            yield made
    else:
        with kind.bind(socket_path) as made:
            yield made


@pytest.mark.parametrize("kind", [UnixStream, UnixDatagram, UnixListener, UnixSeqpacketConn, UnixSeqpacketListener])
@pytest.mark.parametrize("arguments", [(), (3,), ("path",)])
def test_class_cannot_be_called(kind: Any, arguments: tuple[Any, ...]) -> None:
    """A socket is made by a class method; calling the class is TypeError, and makes nothing half-ready."""
    with pytest.raises(TypeError, match=kind.__name__):
        kind(*arguments)


def test_constructors_refuse_an_instance(sock: Any) -> None:
    """A constructor that is called through an instance is TypeError, which names what to call."""
    kind = type(sock)
    names = ["connect", "bind", "pair", "unbound", "from_fd", "from_stdlib", "borrow"]
    present = [name for name in names if hasattr(kind, name)]
    assert len(present) >= 4
    for name in present:
        with pytest.raises(TypeError, match=rf"call {kind.__name__}\.{name}\(\)"):
            getattr(sock, name)()


@pytest.mark.parametrize(("name", "instead"), [("bind", "bind_to"), ("connect", "connect_to")])
def test_constructor_names_the_method_for_an_instance(name: str, instead: str) -> None:
    """Where there is a method that does to an instance what was meant, the error names it."""
    with UnixDatagram.unbound() as sock:
        with pytest.raises(TypeError, match=rf"on an existing socket it is {instead}\(\)"):
            getattr(sock, name)("somewhere")
        assert callable(getattr(sock, instead))


def test_constructors_do_not_disturb_inspection(sock: Any) -> None:
    """Looking at a constructor through an instance raises nothing: only calling it does."""
    assert hasattr(sock, "from_fd")
    assert dict(inspect.getmembers(sock))["fileno"]() == sock.fileno()


def test_constructors_keep_their_documentation() -> None:
    """A constructor shows the documentation of what it does."""
    for kind, name in ((UnixStream, "connect"), (UnixStream, "pair"), (UnixListener, "bind"), (UnixStream, "from_fd")):
        assert "Args:" in getattr(kind, name).__doc__ or "Raises:" in getattr(kind, name).__doc__


def test_constructors_make_the_subclass(socket_path: str) -> None:
    """A constructor that is called on a subclass makes the subclass, and so does a clone."""

    class Mine(UnixStream):
        pass

    class MyListener(UnixListener):
        pass

    one, two = Mine.pair()
    with one, two, one.try_clone() as clone, MyListener.bind(socket_path), Mine.connect(socket_path) as client:
        assert {type(one), type(two), type(clone), type(client)} == {Mine}


def test_context_manager_closes(sock: Any) -> None:
    """Leaving a with block closes, also after an exception, and gives the same object inside."""
    with contextlib.suppress(ZeroDivisionError), sock as inside:
        assert inside is sock
        assert not sock.closed
        raise ZeroDivisionError
    assert sock.closed
    assert sock.fileno() == -1


def test_detach_gives_the_number_away(sock: Any) -> None:
    """detach() returns the open number and closes the object, which then owns nothing."""
    number = sock.fileno()
    assert sock.detach() == number
    assert sock.closed
    sock.close()
    os.close(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        sock.detach()


def forget(objects: list[Any]) -> None:
    """Let objects be collected; PyPy runs finalizers after the first collection."""
    objects.clear()
    gc.collect()
    gc.collect()


def test_forgotten_socket_warns_and_is_closed(sock: Any) -> None:
    """A socket that is collected while open warns with its repr, and its descriptor is closed."""
    clones = [sock.try_clone()]
    number, shown = clones[0].fileno(), repr(clones[0])
    with pytest.warns(ResourceWarning) as caught:
        forget(clones)
    assert [str(warning.message) for warning in caught] == [f"unclosed {shown}"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_closed_socket_is_collected_silently(sock: Any) -> None:
    """A socket that was closed or detached warns of nothing when it is collected."""
    clones = [sock.try_clone(), sock.try_clone()]
    clones[0].close()
    os.close(clones[1].detach())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forget(clones)
    assert caught == []


def test_closed_stream_raises_ebadf(stream: tuple[UnixStream, UnixStream]) -> None:
    """Every call on a closed stream that needs the kernel raises OSError (EBADF), also when it has nothing to do."""
    one, _ = stream
    one.close()
    nothing = SocketAncillary(64)
    calls: dict[str, Any] = {
        "send": lambda: one.send(b"x"),
        "send nothing": lambda: one.send(b""),
        "try_send": lambda: one.try_send(b"x"),
        "sendall": lambda: one.sendall(b"x"),
        "sendall nothing": lambda: one.sendall(b""),
        "send_vectored": lambda: one.send_vectored([b"x"]),
        "sendall_vectored": lambda: one.sendall_vectored([b"x"]),
        "sendall_vectored nothing": lambda: one.sendall_vectored([]),
        "send_fds": lambda: one.send_fds(b"x", [0]),
        "try_send_fds": lambda: one.try_send_fds(b"x", [0]),
        "sendall_fds": lambda: one.sendall_fds(b"x", [0]),
        "send_ancillary": lambda: one.send_ancillary([b"x"], nothing),
        "recv": lambda: one.recv(1),
        "recv nothing": lambda: one.recv(0),
        "recv all": lambda: one.recv(1, MSG_WAITALL),
        "recv large": lambda: one.recv(100_000),
        "try_recv": lambda: one.try_recv(1),
        "recv_into": lambda: one.recv_into(bytearray(1)),
        "try_recv_into": lambda: one.try_recv_into(bytearray(1)),
        "recv_exactly": lambda: one.recv_exactly(1),
        "recv_exactly nothing": lambda: one.recv_exactly(0),
        "recv_vectored": lambda: one.recv_vectored([bytearray(1)]),
        "peek": lambda: one.peek(1),
        "peek_vectored": lambda: one.peek_vectored([bytearray(1)]),
        "recv_fds": lambda: one.recv_fds(1, 1),
        "try_recv_fds": lambda: one.try_recv_fds(1, 1),
        "recv_ancillary": lambda: one.recv_ancillary(1, nothing),
        "shutdown": lambda: one.shutdown(SHUT_RD),
        "try_clone": one.try_clone,
        "local_addr": one.local_addr,
        "peer_addr": one.peer_addr,
        "take_error": one.take_error,
        "unread_bytes": one.unread_bytes,
        "set_nonblocking": lambda: one.set_nonblocking(True),
        "is_nonblocking": one.is_nonblocking,
        "get_option": lambda: one.get_option(lib.SOL_SOCKET, lib.SO_ERROR),
        "set_option": lambda: one.set_option(lib.SOL_SOCKET, lib.SO_SNDBUF, 9999),
        "options": lambda: one.options.send_buffer,
        "to_stdlib": one.to_stdlib,
        "detach": one.detach,
        "borrow": lambda: UnixStream.borrow(one),
        "makefile": lambda: one.makefile("rb", 0).read(1),
    }
    for name, call in calls.items():
        try:
            outcome: object = call()
        except OSError as problem:
            outcome = problem.errno
        assert (name, outcome) == (name, errno.EBADF)
    nothing.close()


def test_peer_credentials_of_a_closed_socket(stream: tuple[UnixStream, UnixStream]) -> None:
    """Questions about the peer of a closed socket are EBADF, or the absence of the feature."""
    one, _ = stream
    one.close()
    for question in (one.peer_credentials, one.peer_groups, one.peer_security_context, one.peer_audit_token):
        with pytest.raises(OSError, match=r"Bad file descriptor|is not available"):
            question()


def test_repr_of_a_pair(stream: tuple[UnixStream, UnixStream]) -> None:
    """The repr of a socket shows type, descriptor, addresses and mode; that of a closed one says so."""
    one, _ = stream
    assert repr(one) == f"<UnixStream fd={one.fileno()} local=unnamed peer=unnamed>"
    one.set_nonblocking(True)
    assert repr(one) == f"<UnixStream fd={one.fileno()} local=unnamed peer=unnamed nonblocking>"
    one.close()
    assert repr(one) == "<UnixStream closed>"


def test_repr_with_addresses(socket_path: str) -> None:
    """The repr shows the path, that a listener listens, and that a datagram socket has no peer."""
    with UnixListener.bind(socket_path) as listener, UnixStream.connect(socket_path) as client:
        assert repr(listener) == f"<UnixListener fd={listener.fileno()} local={socket_path} listening>"
        assert repr(client) == f"<UnixStream fd={client.fileno()} local=unnamed peer={socket_path}>"
    with UnixDatagram.unbound() as sock:
        assert repr(sock) == f"<UnixDatagram fd={sock.fileno()} local=unnamed unconnected>"


def test_repr_of_a_number_that_somebody_closed(stream: tuple[UnixStream, UnixStream]) -> None:
    """A repr never raises: when somebody else closed the number it shows the error."""
    one, _ = stream
    number = one.try_clone().detach()
    with UnixStream.borrow(number) as borrowed:
        os.close(number)
        assert "Bad file descriptor" in repr(borrowed)


def test_sockets_cannot_be_pickled_or_copied(sock: Any) -> None:
    """A descriptor belongs to one object of one process, so pickling and copying are TypeError."""
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=f"cannot pickle or copy {type(sock).__name__}"):
            duplicate(sock)


def test_sockets_have_no_dict(sock: Any) -> None:
    """A misspelt attribute is AttributeError, and does not silently do nothing."""
    with pytest.raises(AttributeError):
        sock.timeuot = 1


@pytest.mark.parametrize("how", [3, -1, 100, None, "SHUT_RD", 0.5])
def test_shutdown_of_another_direction(sock: Any, how: Any) -> None:
    """shutdown() takes SHUT_RD, SHUT_WR and SHUT_RDWR, and nothing else."""
    with pytest.raises(ValueError, match="SHUT_RD"):
        sock.shutdown(how)


def test_shutdown_of_a_stream(stream: tuple[UnixStream, UnixStream]) -> None:
    """SHUT_RD refuses the peer's data, SHUT_WR is the end for the peer, and both may be repeated."""
    one, two = stream
    one.shutdown(SHUT_RD)
    with pytest.raises(BrokenPipeError):
        two.send(b"x")
    assert one.recv(1) == b""
    assert one.send(b"still") == 5
    one.shutdown(SHUT_WR)
    with pytest.raises(BrokenPipeError):
        one.send(b"x")
    assert two.recv(9) == b"still"
    assert two.recv(9) == b""
    one.shutdown(SHUT_RDWR)
    one.shutdown(SHUT_RDWR)


def test_take_error_after_the_peer_is_gone(stream: tuple[UnixStream, UnixStream]) -> None:
    """When the peer closed with data of ours unread, ECONNRESET is stored, and taken once."""
    one, two = stream
    assert one.take_error() is None
    one.send(b"never read")
    two.close()
    problem = one.take_error()
    assert isinstance(problem, ConnectionResetError)
    assert problem.errno == errno.ECONNRESET
    assert one.take_error() is None
    assert one.recv(1) == b""


def test_unread_bytes_of_a_stream(stream: tuple[UnixStream, UnixStream]) -> None:
    """On a stream all that can be read is counted."""
    one, two = stream
    one.send(b"12345")
    one.send(b"67")
    assert two.unread_bytes() == 7
    two.recv(3)
    assert two.unread_bytes() == 4


def test_options_of_any_level(stream: tuple[UnixStream, UnixStream]) -> None:
    """get_option() and set_option() reach any option, as an int or as bytes."""
    one, _ = stream
    one.set_option(lib.SOL_SOCKET, lib.SO_SNDBUF, 20_000)
    value = one.get_option(lib.SOL_SOCKET, lib.SO_SNDBUF)
    assert value == one.options.send_buffer >= 20_000
    assert one.get_option(lib.SOL_SOCKET, lib.SO_SNDBUF, 4) == value.to_bytes(4, sys.byteorder)
    assert one.get_option(lib.SOL_SOCKET, lib.SO_SNDBUF, 100) == value.to_bytes(4, sys.byteorder)
    assert one.get_option(lib.SOL_SOCKET, lib.SO_SNDBUF, 0) == b""
    for form in (bytes, bytearray, memoryview):
        one.set_option(lib.SOL_SOCKET, lib.SO_SNDBUF, form((30_000).to_bytes(4, sys.byteorder)))
        assert one.options.send_buffer >= 30_000
    one.set_option(lib.SOL_SOCKET, socket.SO_KEEPALIVE, True)
    assert one.get_option(lib.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_unknown_option_number(stream: tuple[UnixStream, UnixStream]) -> None:
    """What the kernel does not know is OSError."""
    one, _ = stream
    for call in (lambda: one.get_option(lib.SOL_SOCKET, 9999), lambda: one.set_option(lib.SOL_SOCKET, 9999, 1)):
        with pytest.raises(OSError, match="rotocol") as caught:
            call()
        assert caught.value.errno == errno.ENOPROTOOPT


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), (65537, ValueError), (True, TypeError), (4.0, TypeError), ("4", TypeError)]
)
def test_bad_size_of_an_option(stream: tuple[UnixStream, UnixStream], size: Any, error: type[Exception]) -> None:
    """A size is an int within 0 to 65536."""
    with pytest.raises(error, match="size"):
        stream[0].get_option(lib.SOL_SOCKET, lib.SO_SNDBUF, size)


@pytest.mark.parametrize("value", ["text", None, 1.5, [1]])
def test_option_value_of_another_type(stream: tuple[UnixStream, UnixStream], value: Any) -> None:
    """An option's value is an int or bytes-like."""
    with pytest.raises(TypeError):
        stream[0].set_option(lib.SOL_SOCKET, lib.SO_SNDBUF, value)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**80])
def test_option_value_beyond_c(stream: tuple[UnixStream, UnixStream], value: int) -> None:
    """An int that does not fit into a C int is refused."""
    with pytest.raises((ValueError, OverflowError)):
        stream[0].set_option(lib.SOL_SOCKET, lib.SO_SNDBUF, value)


def test_number_that_somebody_else_has_closed(stream: tuple[UnixStream, UnixStream]) -> None:
    """Closing reports what close(2) does, once: the object is closed nevertheless."""
    one, _ = stream
    os.close(one.fileno())
    with support.raises_errno(errno.EBADF):
        one.close()
    assert one.closed
    one.close()
