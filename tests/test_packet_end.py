"""recv_packet(): whole packets of any size, and the end of a connection.

Rule: None is the end and nothing else.  An empty packet is b"", where the system can tell; where it cannot, length 0 is
the end, so that loops end.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import support
from blocked import running

from uds_cffi import SHUT_RD, UnixDatagram, UnixSeqpacketConn, lib

seqpacket = support.needs("seqpacket")
# include/uapi/asm-generic/socket.h; the same on every architecture but parisc and sparc.
SO_TIMESTAMP = 29
SO_TIMESTAMPNS = 35
OPTIONS = [None, SO_TIMESTAMP, SO_TIMESTAMPNS]


@pytest.fixture(params=support.PACKET_TYPES)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """Make a pair of each type."""
    one, two = request.param.pair()
    with one, two:
        yield one, two


@pytest.fixture
def conn() -> Iterator[tuple[UnixSeqpacketConn, UnixSeqpacketConn]]:
    """Make a pair that has an end."""
    one, two = UnixSeqpacketConn.pair()
    with one, two:
        yield one, two


def timestamps(sock: Any) -> list[int]:
    return [bool(sock.get_option(lib.SOL_SOCKET, option)) for option in (SO_TIMESTAMP, SO_TIMESTAMPNS)]


@pytest.mark.parametrize("size", [1, 64, 16_383, 16_384, 16_385, 65_537, 150_000])
def test_whole_packet_of_any_size(pair: tuple[Any, Any], size: int) -> None:
    """A packet comes whole, whatever its size, and the next one is the next one."""
    one, two = pair
    data = os.urandom(size)
    one.send(data)
    one.send(b"next")
    assert two.recv_packet() == data
    assert two.recv_packet() == b"next"


def test_it_waits_for_a_packet(pair: tuple[Any, Any]) -> None:
    """Without a packet it waits, times out, or says that it would block."""
    one, two = pair
    with support.in_thread(two.recv_packet) as received:
        support.until(lambda: running(two))
        one.send(b"data")
    assert received == [b"data"]
    two.set_read_timeout(0.01)
    with pytest.raises(TimeoutError):
        two.recv_packet()
    two.set_nonblocking(True)
    with pytest.raises(BlockingIOError):
        two.recv_packet()


@support.needs("packet_end")
@pytest.mark.parametrize("option", OPTIONS)
def test_empty_packet_is_a_packet(pair: tuple[Any, Any], option: int | None) -> None:
    """Empty packets are b"", alone and among others; the timestamp options are afterwards what they were."""
    one, two = pair
    if option is not None:
        two.set_option(lib.SOL_SOCKET, option, 1)
    before = timestamps(two)
    packets = [b"", b"x", b"", b""]
    for data in packets:
        one.send(data)
    assert [two.recv_packet() for _ in packets] == packets
    assert timestamps(two) == before


@support.lacks("packet_end")
def test_empty_packet_where_the_system_cannot_tell() -> None:
    """An empty datagram is one also there, because no peer can end the socket; shutting it down can."""
    one, two = UnixDatagram.pair()
    with one, two:
        two.set_read_timeout(support.PATIENCE)
        for data in (b"x", b"", b"y"):
            one.send(data)
        assert [two.recv_packet() for _ in range(3)] == [b"x", b"", b"y"]
        two.set_read_timeout(None)
        two.shutdown(SHUT_RD)
        assert two.recv_packet() is None


@seqpacket
@support.needs("packet_end")
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("credentials", [False, True])
def test_end_of_a_connection_is_none(
    conn: tuple[UnixSeqpacketConn, UnixSeqpacketConn], option: int | None, credentials: bool
) -> None:
    """After the packets that were sent before it, empty ones too, the end is None, for ever."""
    one, two = conn
    if option is not None:
        two.set_option(lib.SOL_SOCKET, option, 1)
    two.options.pass_credentials = credentials
    before = timestamps(two)
    one.send(b"last")
    one.send(b"")
    one.close()
    assert [two.recv_packet() for _ in range(4)] == [b"last", b"", None, None]
    assert timestamps(two) == before
    assert two.options.pass_credentials is credentials


@seqpacket
def test_shutting_down_is_an_end(conn: tuple[UnixSeqpacketConn, UnixSeqpacketConn]) -> None:
    """A peer that stops writing ends the packets; the other direction goes on."""
    one, two = conn
    one.send(b"last")
    one.shutdown(lib.SHUT_WR)
    assert two.recv_packet() == b"last"
    assert two.recv_packet() is None
    two.send(b"back")
    assert one.recv_packet() == b"back"


@seqpacket
def test_plain_receives_do_not_tell_the_end(conn: tuple[UnixSeqpacketConn, UnixSeqpacketConn]) -> None:
    """recv() is an empty packet at the end, as it is for one that was sent."""
    one, two = conn
    one.send(b"")
    one.close()
    assert two.recv(10) == (b"", False)
    assert two.recv(10) == (b"", False)
    assert two.recv_into(bytearray(1)) == (0, False)


@seqpacket
def test_peer_that_left_our_packets_unread(conn: tuple[UnixSeqpacketConn, UnixSeqpacketConn]) -> None:
    """A peer that closes without having read what was sent is ConnectionResetError, once, and then the end."""
    one, two = conn
    two.send(b"unread")
    one.close()
    with pytest.raises(ConnectionResetError):
        two.recv_packet()
    assert two.recv_packet() is None


@support.needs("packet_end")
@pytest.mark.parametrize("credentials", [False, True])
@pytest.mark.parametrize("option", OPTIONS)
def test_descriptors_with_an_empty_packet_are_not_left_open(
    pair: tuple[Any, Any], option: int | None, credentials: bool
) -> None:
    """Looking whether an empty packet is one opens none of its descriptors for good, and discards them."""
    one, two = pair
    if option is not None:
        two.set_option(lib.SOL_SOCKET, option, 1)
    two.options.pass_credentials = credentials
    with tempfile.TemporaryFile() as file:
        for _ in range(3):
            one.send_fds(b"", [file] * 253)
        one.send_fds(b"data", [file])
    assert [two.recv_packet() for _ in range(4)] == [b"", b"", b"", b"data"]


@support.needs("packet_end")
def test_two_readers_agree_about_an_empty_packet(pair: tuple[Any, Any]) -> None:
    """Two threads that look at the same time do not take an empty packet for the end."""
    one, two = pair
    one.send(b"")

    def look() -> set[int]:
        return {lib.uds_handle_packet_waiting(two._handle) for _ in range(10_000)}

    with support.in_thread(look) as answers:
        assert look() == {1}
    assert answers == [{1}]
    assert timestamps(two) == [False, False]


@seqpacket
def test_two_readers_share_the_packets(conn: tuple[UnixSeqpacketConn, UnixSeqpacketConn]) -> None:
    """Each packet goes to one of two readers, whole, and both see the end."""
    one, two = conn

    def read(sock: UnixSeqpacketConn) -> list[bytes]:
        return list(iter(sock.recv_packet, None))

    packets = [b"%010d" % place for place in range(500)]
    with two.try_clone() as clone:
        with support.in_thread(read, two) as first, support.in_thread(read, clone) as second:
            for data in packets:
                one.send(data)
            one.close()
        assert sorted(first[0] + second[0]) == packets


def watched(kind: Any, before: Any, after: Any) -> Any:
    """Make a type of socket that runs functions before and after each look at a packet's length.

    They get the number of the look, and the second one a socket to do with as another reader would.
    """
    looks = []

    class Watched(kind):
        def _next_length(self, flags: int) -> int:
            looks.append(None)
            before(len(looks))
            size = super()._next_length(flags)
            with kind.borrow(self) as other:
                after(len(looks), other)
            return size

    return Watched


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_reader_that_was_too_late_waits_for_the_next_packet(kind: Any) -> None:
    """When another reader takes the packet between the look and the read, the next one is received."""

    def before(look: int) -> None:
        if look == 2:
            one.send(b"second")

    def after(look: int, other: Any) -> None:
        if look == 1:
            assert other.recv(10) == (b"first", False)

    one, plain = kind.pair()
    with one, watched(kind, before, after).from_fd(plain.detach()) as two:
        one.send(b"first")
        assert two.recv_packet() == b"second"


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_reader_that_met_a_longer_packet_says_so(kind: Any) -> None:
    """When a longer packet follows the one that another reader took, it was cut: EMSGSIZE, and not a part of it."""

    def after(look: int, other: Any) -> None:
        assert other.recv(10) == (b"short", False)
        one.send(b"much longer")

    one, plain = kind.pair()
    with one, watched(kind, lambda look: None, after).from_fd(plain.detach()) as two:
        one.send(b"short")
        with pytest.raises(OSError, match=rf"\[Errno {errno.EMSGSIZE}\]"):
            two.recv_packet()


@seqpacket
def test_reader_that_met_the_end() -> None:
    """When another reader took the last packet, and then the connection ended, that is None and no empty packet."""

    def after(look: int, other: Any) -> None:
        if look == 1:
            assert other.recv(10) == (b"last", False)
            one.close()

    one, plain = UnixSeqpacketConn.pair()
    with one, watched(UnixSeqpacketConn, lambda look: None, after).from_fd(plain.detach()) as two:
        one.send(b"last")
        assert two.recv_packet() is None
        assert two.recv_packet() is None


@support.needs("packet_end")
@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_reader_that_met_an_empty_packet(kind: Any) -> None:
    """When an empty packet follows the one that another reader took, it is received as one."""

    def after(look: int, other: Any) -> None:
        assert other.recv(10) == (b"first", False)
        one.send(b"")

    one, plain = kind.pair()
    with one, watched(kind, lambda look: None, after).from_fd(plain.detach()) as two:
        one.send(b"first")
        assert two.recv_packet() == b""


def test_closed_socket_is_refused(pair: tuple[Any, Any]) -> None:
    """After close() it is EBADF."""
    pair[1].close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        pair[1].recv_packet()


def test_unconnected_socket_is_refused() -> None:
    """A datagram socket that nothing can reach is nonblocking here, and so has nothing."""
    with UnixDatagram.unbound(nonblocking=True) as sock, pytest.raises(BlockingIOError):
        sock.recv_packet()
