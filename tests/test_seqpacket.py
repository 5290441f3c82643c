"""Sequenced packets: connections that keep the boundaries of what was sent."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import support

from uds_cffi import (
    MSG_EOR,
    FeatureUnavailable,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixSocketAddr,
    UnixStream,
    lib,
)

needed = support.needs("seqpacket")


@needed
def test_connection_through_a_socket_file(socket_path: str) -> None:
    """A client connects, both ends send packets, and each knows the other's address."""
    with UnixSeqpacketListener.bind(socket_path) as listener:
        assert listener.local_addr() == UnixSocketAddr(socket_path)
        with UnixSeqpacketConn.connect(socket_path) as client:
            server, addr = listener.accept()
            with server:
                assert type(server) is UnixSeqpacketConn
                assert addr == UnixSocketAddr.unnamed()
                assert client.peer_addr() == UnixSocketAddr(socket_path)
                client.send(b"one")
                client.send(b"two")
                assert server.recv(100) == (b"one", False)
                assert server.recv_packet() == b"two"
                server.send(b"answer")
                assert client.recv_packet() == b"answer"


@needed
@support.needs("abstract_addresses")
def test_connection_through_an_abstract_address() -> None:
    """The same by an abstract name that the system chooses."""
    with UnixSeqpacketListener.bind("") as listener, UnixSeqpacketConn.connect(listener.local_addr()) as client:
        server, _ = listener.accept()
        with server:
            client.send(b"data")
            assert server.recv_packet() == b"data"


@needed
def test_connection_bound_to_a_name(socket_path: str) -> None:
    """A client with a name of its own is known by it to the listener and to the connection."""
    name = socket_path + "c"
    with (
        UnixSeqpacketListener.bind(socket_path) as listener,
        UnixSeqpacketConn.connect(socket_path, bind=name) as client,
    ):
        server, addr = listener.accept()
        with server:
            assert addr == server.peer_addr() == client.local_addr() == UnixSocketAddr(name)


@needed
def test_iterating_until_the_end() -> None:
    """Iterating gives packet after packet, and stops at the end of the connection."""
    one, two = UnixSeqpacketConn.pair()
    packets = [b"first", b"x" * 50_000, b"last"]
    with two:
        with one:
            for data in packets:
                one.send(data)
        assert list(two) == packets
        assert list(two) == []


@needed
@support.needs("packet_end")
def test_iterating_over_empty_packets() -> None:
    """Empty packets do not stop an iteration."""
    one, two = UnixSeqpacketConn.pair()
    packets = [b"", b"data", b"", b""]
    with two:
        with one:
            for data in packets:
                one.send(data)
        assert list(two) == packets


@needed
def test_iterating_raises_what_receiving_raises() -> None:
    """An iteration over a nonblocking connection raises BlockingIOError instead of ending."""
    one, two = UnixSeqpacketConn.pair(nonblocking=True)
    with one, two:
        one.send(b"data")
        packets = iter(two)
        assert next(packets) == b"data"
        with pytest.raises(BlockingIOError):
            next(packets)


@needed
def test_every_send_ends_a_record() -> None:
    """Each send carries MSG_EOR, with a timeout and without; systems that need it do not merge packets."""
    one, two = UnixSeqpacketConn.pair()
    with one, two:
        assert one._send_flags & MSG_EOR
        one.set_write_timeout(1)
        assert one._send_flags & MSG_EOR
        one.set_write_timeout(None)
        assert one._send_flags & MSG_EOR


@needed
def test_writing_after_the_peer_closed() -> None:
    """A send to a peer that is gone is BrokenPipeError, and no signal ends the process."""
    one, two = UnixSeqpacketConn.pair()
    two.close()
    with one:
        for send in (
            lambda: one.send(b"x"),
            lambda: one.try_send(b"x"),
            lambda: one.send_vectored([b"x"]),
            lambda: one.send_fds(b"x", [one]),
        ):
            with pytest.raises(BrokenPipeError):
                send()


@needed
def test_connecting_to_another_type(socket_path: str) -> None:
    """A stream listener does not take sequenced packets: EPROTOTYPE, with the address."""
    with UnixListener.bind(socket_path), pytest.raises(OSError, match=rf"\[Errno {errno.EPROTOTYPE}\]") as caught:
        UnixSeqpacketConn.connect(socket_path)
    assert caught.value.filename == socket_path


@needed
@pytest.mark.parametrize("other", [UnixStream, UnixDatagram])
def test_descriptor_of_another_type_is_refused(other: Any) -> None:
    """from_fd() and borrow() refuse a socket of another type, which stays as it was."""
    one, two = other.pair()
    with one, two:
        for make in (UnixSeqpacketConn.from_fd, UnixSeqpacketConn.borrow, UnixSeqpacketListener.from_fd):
            with pytest.raises(ValueError, match="is a socket of type"):
                make(one.fileno())
        one.send(b"x")


@needed
def test_connection_is_no_listener(socket_path: str) -> None:
    """A connection cannot be adopted as a listener, nor a listener as a connection."""
    one, two = UnixSeqpacketConn.pair()
    with one, two, UnixSeqpacketListener.bind(socket_path) as listener:
        with pytest.raises(ValueError, match="is not listening"):
            UnixSeqpacketListener.borrow(one)
        with pytest.raises(ValueError, match="is listening"):
            UnixSeqpacketConn.borrow(listener)


@needed
def test_standard_library_at_the_other_end() -> None:
    """Packets arrive as the standard library sends them, and the other way round."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with UnixSeqpacketConn.from_stdlib(one) as conn, other:
        other.send(b"one")
        other.send(b"two")
        assert conn.recv_packet() == b"one"
        assert conn.recv_packet() == b"two"
        conn.send(b"three")
        conn.send(b"four")
        assert other.recv(100) == b"three"
        assert other.recv(100) == b"four"


@needed
def test_repr_shows_the_type(socket_path: str) -> None:
    """The repr shows type, number, addresses and state."""
    with UnixSeqpacketListener.bind(socket_path) as listener:
        assert repr(listener) == f"<UnixSeqpacketListener fd={listener.fileno()} local={socket_path} listening>"
        with UnixSeqpacketConn.connect(socket_path, nonblocking=True) as client:
            expected = f"<UnixSeqpacketConn fd={client.fileno()} local=unnamed peer={socket_path} nonblocking>"
            assert repr(client) == expected
    assert repr(client) == "<UnixSeqpacketConn closed>"


@support.lacks("seqpacket")
@pytest.mark.parametrize(
    "make",
    [
        UnixSeqpacketConn.pair,
        lambda: UnixSeqpacketConn.connect("/nowhere"),
        lambda: UnixSeqpacketListener.bind("/nowhere/s"),
    ],
)
def test_absent_type_is_unavailable(make: Any) -> None:
    """Where sequenced packets are absent every constructor says so."""
    with pytest.raises(FeatureUnavailable) as caught:
        make()
    assert (caught.value.feature, caught.value.reason, caught.value.errno) == ("seqpacket", "not built", errno.ENOSYS)
    assert isinstance(caught.value, NotImplementedError)


@support.lacks("seqpacket")
def test_absent_type_takes_no_descriptor() -> None:
    """Where they are absent no descriptor of one can be taken over, and it stays the caller's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        for make in (UnixSeqpacketConn.from_fd, UnixSeqpacketConn.borrow, UnixSeqpacketListener.from_fd):
            with pytest.raises(FeatureUnavailable):
                make(sock.fileno())
        assert sock.getsockname() == ""


@support.lacks("seqpacket")
def test_absent_type_has_no_number() -> None:
    """The constant is -1 there, and is never handed to the kernel."""
    assert lib.SOCK_SEQPACKET == -1
