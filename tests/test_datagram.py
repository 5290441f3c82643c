"""Datagram sockets: how they are made, connected and dissolved."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
from typing import Any

import pytest
import support

from uds_cffi import AddressError, UnixDatagram, UnixSocketAddr, UnixStream, lib


@pytest.fixture
def second_path(socket_path: str) -> str:
    """Name another socket file."""
    return socket_path + "2"


# --- Making -------------------------------------------------------------------------------------


def test_unbound_socket_has_no_name() -> None:
    """A new unbound socket is unnamed, has no peer, blocks, and has no timeouts."""
    with UnixDatagram.unbound() as sock:
        assert sock.local_addr() == UnixSocketAddr.unnamed()
        assert sock.is_nonblocking() is False
        assert (sock.read_timeout(), sock.write_timeout()) == (None, None)
        with support.raises_errno(errno.ENOTCONN):
            sock.peer_addr()
        assert repr(sock) == f"<UnixDatagram fd={sock.fileno()} local=unnamed unconnected>"


@pytest.mark.parametrize("make", [str, os.fsencode, pathlib.Path, UnixSocketAddr])
def test_binding_to_a_path(socket_path: str, make: Any) -> None:
    """bind() takes every form of a path, and makes a socket file that it leaves behind."""
    with UnixDatagram.bind(make(socket_path)) as sock:
        assert sock.local_addr() == UnixSocketAddr(socket_path)
    assert os.path.exists(socket_path)


def test_binding_an_existing_socket(socket_path: str) -> None:
    """bind_to() gives a socket a name; a second name is EINVAL, with the address."""
    with UnixDatagram.unbound() as sock:
        assert sock.bind_to(socket_path) is None
        assert sock.local_addr() == UnixSocketAddr(socket_path)
        with support.raises_errno(errno.EINVAL) as caught:
            sock.bind_to(socket_path + "2")
        assert caught.value.filename == socket_path + "2"
        assert not os.path.exists(socket_path + "2")


@support.needs("abstract_addresses")
def test_binding_to_a_name_that_the_system_chooses() -> None:
    """The unnamed address lets the system choose an abstract name."""
    with UnixDatagram.bind("") as sock, UnixDatagram.unbound() as other:
        assert sock.local_addr().is_abstract
        other.bind_to(UnixSocketAddr.unnamed())
        assert other.local_addr().is_abstract
        assert other.local_addr() != sock.local_addr()


@support.lacks("abstract_addresses")
def test_no_name_to_choose() -> None:
    """Where there are no abstract names, no name can be chosen, and nothing stays open."""
    with pytest.raises(AddressError, match="autobind"):
        UnixDatagram.bind("")
    with UnixDatagram.unbound() as sock, pytest.raises(AddressError, match="autobind"):
        sock.bind_to("")


@pytest.mark.parametrize(
    ("name", "code"), [("exists", errno.EADDRINUSE), ("missing/s", errno.ENOENT), ("exists/s", errno.ENOTDIR)]
)
def test_bind_that_the_kernel_refuses(short_dir: str, name: str, code: int) -> None:
    """What bind(2) refuses is raised with the address, and the new socket is closed."""
    with open(os.path.join(short_dir, "exists"), "w", encoding="ascii"):
        pass
    path = os.path.join(short_dir, name)
    with support.raises_errno(code) as caught:
        UnixDatagram.bind(path)
    assert caught.value.filename == path


@pytest.mark.parametrize("bad", ["x" * 200, "a\0b", None, 5])
def test_what_cannot_be_an_address(bad: Any) -> None:
    """A value that cannot be an address is an AddressError from each call that takes one."""
    with UnixDatagram.unbound() as sock:
        for call in (
            UnixDatagram.bind,
            UnixDatagram.connect,
            sock.bind_to,
            sock.connect_to,
            lambda addr: sock.send_to(b"x", addr),
        ):
            with pytest.raises(AddressError):
                call(bad)


def test_nonblocking_from_the_start(socket_path: str) -> None:
    """Each constructor can make a nonblocking socket."""
    three = UnixDatagram.unbound(nonblocking=True)
    with UnixDatagram.bind(socket_path, nonblocking=True) as one, three:
        two = UnixDatagram.connect(socket_path, nonblocking=True)
        with two:
            assert all(sock.is_nonblocking() for sock in (one, two, three))
            with pytest.raises(BlockingIOError):
                one.recv(1)


def test_options_from_the_start(socket_path: str) -> None:
    """Each constructor can set options, and refuses unknown ones before anything is made."""
    options = {"send_buffer": 8192}
    three = UnixDatagram.unbound(options=options)
    with UnixDatagram.bind(socket_path, options=options) as one, three:
        two = UnixDatagram.connect(socket_path, options=options)
        with two:
            assert {sock.options.send_buffer for sock in (one, two, three)} == {16384}
    with pytest.raises(AttributeError, match="no option 'nonsense'"):
        UnixDatagram.bind(socket_path + "2", options={"nonsense": 1})
    assert not os.path.exists(socket_path + "2")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("bind", "bind_to"), ("connect", "connect_to"), ("unbound", None), ("pair", None), ("from_fd", None)],
)
def test_constructors_refuse_an_instance(name: str, hint: str | None) -> None:
    """A constructor called through a socket would make another one: TypeError, which names the right method."""
    with UnixDatagram.unbound() as sock:
        with pytest.raises(TypeError, match=rf"call UnixDatagram\.{name}\(\)") as caught:
            getattr(sock, name)()
        assert (f"it is {hint}()" in str(caught.value)) is bool(hint)


def test_taking_over_a_descriptor() -> None:
    """from_fd() takes a datagram socket over, and refuses another type, which stays the caller's."""
    number = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()
    with UnixDatagram.from_fd(number) as sock:
        assert sock.fileno() == number
    one, two = UnixStream.pair()
    with one, two:
        with pytest.raises(ValueError, match="UnixDatagram is of type"):
            UnixDatagram.from_fd(one.fileno())
        one.send(b"x")


# --- Connecting ---------------------------------------------------------------------------------


def test_connected_socket_sends_to_its_peer(socket_path: str) -> None:
    """After connect() plain sends go to the peer, who sees the name that was bound first."""
    with UnixDatagram.bind(socket_path) as server:
        client = UnixDatagram.connect(socket_path, bind=socket_path + "2")
        with client:
            assert client.peer_addr() == UnixSocketAddr(socket_path)
            assert client.send(b"data") == 4
            assert server.recv_from(100) == (b"data", False, UnixSocketAddr(socket_path + "2"))
            server.send_to(b"answer", client.local_addr())
            assert client.recv(100) == (b"answer", False)
            assert repr(client).endswith(f"local={socket_path}2 peer={socket_path}>")


def test_pair_is_connected() -> None:
    """The sockets of a pair send to each other and have no names."""
    one, two = UnixDatagram.pair()
    with one, two:
        one.send(b"there")
        two.send(b"back")
        assert two.recv_from(10) == (b"there", False, UnixSocketAddr.unnamed())
        assert one.recv(10) == (b"back", False)


def test_existing_socket_connects(socket_path: str, second_path: str) -> None:
    """connect_to() connects a socket that exists, and then to another peer."""
    with UnixDatagram.bind(socket_path) as first, UnixDatagram.bind(second_path) as second:
        client = UnixDatagram.unbound()
        with client:
            for server, path in ((first, socket_path), (second, second_path)):
                assert client.connect_to(path) is None
                assert client.peer_addr() == UnixSocketAddr(path)
                client.send(b"x")
                assert server.recv(1) == (b"x", False)


def test_disconnecting(socket_path: str, second_path: str) -> None:
    """After disconnect() there is no peer, everybody may send again, and a second disconnect() changes nothing."""
    with UnixDatagram.bind(socket_path) as server, UnixDatagram.unbound() as stranger:
        with UnixDatagram.connect(socket_path, bind=second_path) as client:
            with pytest.raises(PermissionError):
                stranger.send_to(b"x", second_path)
            client.disconnect()
            client.disconnect()
            with support.raises_errno(errno.ENOTCONN):
                client.peer_addr()
            with support.raises_errno(errno.ENOTCONN):
                client.send(b"x")
            stranger.send_to(b"x", second_path)
            assert client.recv(1) == (b"x", False)
        assert server.try_recv(1) is None


def test_connected_socket_receives_from_its_peer_alone(socket_path: str, second_path: str) -> None:
    """Others that send to a connected socket, or connect to it, get PermissionError with the address."""
    with UnixDatagram.bind(socket_path), UnixDatagram.connect(socket_path, bind=second_path) as client:
        with UnixDatagram.unbound() as stranger:
            with pytest.raises(PermissionError) as caught:
                stranger.send_to(b"x", second_path)
            assert caught.value.filename == second_path
            with pytest.raises(PermissionError) as caught:
                stranger.connect_to(second_path)
            assert caught.value.filename == second_path
        with pytest.raises(PermissionError):
            UnixDatagram.connect(second_path)
        assert client.try_recv(1) is None


@pytest.mark.parametrize("missing", [True, False])
def test_connecting_to_nobody(socket_path: str, missing: bool) -> None:
    """No file is FileNotFoundError, a file that nobody holds ConnectionRefusedError, both with the address."""
    if not missing:
        UnixDatagram.bind(socket_path).close()
    expected = FileNotFoundError if missing else ConnectionRefusedError
    with UnixDatagram.unbound() as sock:
        for call in (UnixDatagram.connect, sock.connect_to):
            with pytest.raises(expected) as caught:
                call(socket_path)
            assert caught.value.filename == socket_path


@pytest.mark.parametrize("unnamed", ["", b"", UnixSocketAddr.unnamed()])
def test_connecting_to_the_unnamed_address(unnamed: Any) -> None:
    """The unnamed address is no peer: AddressError, and not a dissolved association."""
    one, two = UnixDatagram.pair()
    with one, two:
        for call in (UnixDatagram.connect, one.connect_to):
            with pytest.raises(AddressError, match="unnamed"):
                call(unnamed)
        one.send(b"x")
        assert two.recv(1) == (b"x", False)


def test_peer_that_is_gone(socket_path: str) -> None:
    """A peer that closed is ConnectionRefusedError once, and then there is none: ENOTCONN."""
    with UnixDatagram.bind(socket_path) as server, UnixDatagram.connect(socket_path) as client:
        server.close()
        with pytest.raises(ConnectionRefusedError):
            client.send(b"x")
        with support.raises_errno(errno.ENOTCONN):
            client.send(b"x")


def test_packets_of_a_peer_that_is_gone(socket_path: str, second_path: str) -> None:
    """What a peer sent before it closed can still be read, with its name."""
    with UnixDatagram.bind(socket_path) as server:
        with UnixDatagram.bind(second_path) as client:
            client.send_to(b"last words", socket_path)
        assert server.recv_from(100) == (b"last words", False, UnixSocketAddr(second_path))


def test_sending_without_a_peer() -> None:
    """A plain send on an unconnected socket is ENOTCONN, in each shape."""
    with UnixDatagram.unbound() as sock:
        for send in (
            lambda: sock.send(b"x"),
            lambda: sock.try_send(b"x"),
            lambda: sock.send_vectored([b"x"]),
            lambda: sock.send_fds(b"x", [0]),
        ):
            with support.raises_errno(errno.ENOTCONN):
                send()


def test_shut_down_reading_is_an_end() -> None:
    """After shutting down its own reading, a receive returns empty at once; a sender gets BrokenPipeError."""
    one, two = UnixDatagram.pair()
    with one, two:
        two.shutdown(lib.SHUT_RD)
        assert two.recv(10) == (b"", False)
        assert two.recv_packet() is None
        with pytest.raises(BrokenPipeError):
            one.send(b"x")


def test_shut_down_reading_with_a_timeout() -> None:
    """With a timeout it is the same where poll(2) tells the end (POLLRDHUP); elsewhere the time passes."""
    one, two = UnixDatagram.pair()
    with one, two:
        two.shutdown(lib.SHUT_RD)
        if lib.UDS_HAS_POLLRDHUP:
            two.set_read_timeout(support.PATIENCE)
            assert two.recv(10) == (b"", False)
            assert two.recv_packet() is None
        else:
            two.set_read_timeout(0.02)
            with pytest.raises(TimeoutError):
                two.recv(10)
