"""The end of a connection, empty packets, and errors in the middle of a batch.

Rule: an empty packet is a packet, and the end of the connection is none: it is in `ended`, and a batch without a packet
is the end and nothing else.  Where the system cannot tell, length 0 is the end of a connection, so that loops end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import SHUT_RD, SHUT_WR, UnixDatagram, UnixSeqpacketConn, UnixSeqpacketListener, lib

seqpacket = support.needs("seqpacket")
can_tell = support.needs("packet_end")
# What a receive may ask for beside bytes; each takes another way through the kernel.
WAYS: list[dict[str, Any]] = [{}, {"addresses": True}, {"max_fds": 1}]


@pytest.fixture
def conn() -> Iterator[tuple[UnixSeqpacketConn, UnixSeqpacketConn]]:
    """Make a pair that has an end."""
    one, two = UnixSeqpacketConn.pair()
    with one, two:
        two.set_read_timeout(support.PATIENCE)
        yield one, two


def receive_all(sock: Any, counts: Any, size: int = 10, **keywords: Any) -> list[bytes]:
    """Receive batches until the end, which is found once and then again and again."""
    received: list[bytes] = []
    for _ in range(10_000):
        batch = sock.recv_batch(next(counts), size, **keywords)
        received += batch.data
        if not batch:
            assert batch.ended
        if batch.ended:
            for _ in range(2):
                again = sock.recv_batch(3, size, **keywords)
                assert (again.data, again.ended, again.error) == ([], True, None)
            return received
    raise AssertionError("there is no end")


def always(count: int) -> Iterator[int]:
    while True:
        yield count


@seqpacket
@can_tell
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 2, 64])
@pytest.mark.parametrize("shut", [False, True])
@pytest.mark.parametrize(
    "packets", [[], [b""], [b"", b""], [b"a"], [b"a", b""], [b"", b"a"], [b"a", b"", b"", b"bb", b"", b""]]
)
def test_end_is_found_behind_the_packets(conn: Any, packets: Any, shut: bool, count: int, way: Any) -> None:
    """After the packets, empty ones too, comes the end, whether the peer has closed or only stopped writing."""
    one, two = conn
    assert one.send_batch(packets) == len(packets)
    if shut:
        one.shutdown(SHUT_WR)
    else:
        one.close()
    assert receive_all(two, always(count), **way) == packets
    if shut:
        two.send(b"back")
        assert one.recv_batch(3, 9).data == [b"back"]


@seqpacket
@can_tell
@pytest.mark.parametrize("way", WAYS)
def test_end_may_be_known_with_the_last_packet(conn: Any, way: Any) -> None:
    """A batch that looked for more says that there is nothing more; one that had enough does not look."""
    one, two = conn
    one.send_batch([b"a", b""])
    one.close()
    first, second, third = (two.recv_batch(count, 5, **way) for count in (1, 2, 1))
    assert [(batch.data, batch.ended) for batch in (first, second, third)] == [
        ([b"a"], False),
        ([b""], True),
        ([], True),
    ]
    assert repr(second) == "<PacketBatch of 1 ended>"
    assert not third
    assert list(third) == []


@can_tell
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_empty_packets_of_a_peer_that_is_there(kind: Any, way: Any) -> None:
    """Empty packets are packets, and do not make a receive take what has not come yet for the end."""
    one, two = kind.pair()
    with one, two:
        for packets in ([b""], [b"", b""], [b"a", b"", b"b", b""], [b"", b"x"]):
            one.send_batch(packets)
            batch = two.recv_batch(9, 5, **way)
            assert (batch.data, batch.ended) == (packets, False)


@pytest.mark.parametrize("way", WAYS)
def test_empty_datagrams_are_packets_everywhere(way: Any) -> None:
    """No peer can end a datagram socket, so an empty packet is one on every system."""
    one, two = UnixDatagram.pair()
    with one, two:
        one.send_batch([b"", b"a", b""])
        one.close()
        batch = two.recv_batch(5, 5, **way)
        assert (batch.data, batch.ended) == ([b"", b"a", b""], False)


@can_tell
def test_datagram_socket_that_was_shut_down() -> None:
    """What was queued is received, and then the socket's own shutdown is the end."""
    one, two = UnixDatagram.pair()
    with one, two:
        one.send_batch([b"a", b""])
        two.shutdown(SHUT_RD)
        two.set_read_timeout(support.PATIENCE)
        assert two.recv_batch(9, 5).data == [b"a", b""]
        batch = two.recv_batch(9, 5)
        assert (batch.data, batch.ended) == ([], True)


@seqpacket
@can_tell
def test_own_shutdown_is_an_end(conn: Any) -> None:
    """A socket that stops reading gets what was queued, empty packets too, and then the end."""
    one, two = conn
    one.send_batch([b"a", b"", b""])
    two.shutdown(SHUT_RD)
    assert receive_all(two, always(2)) == [b"a", b"", b""]


@seqpacket
@can_tell
@pytest.mark.parametrize("timestamps", [None, 29, 35])
@pytest.mark.parametrize("offset", [None, 0, 2])
def test_options_of_the_caller_do_not_disturb(conn: Any, offset: Any, timestamps: Any) -> None:
    """Neither SO_PEEK_OFF nor timestamps nor credentials change what is found, and they stay as they are."""
    one, two = conn
    two.options.pass_credentials = True
    if timestamps is not None:
        two.set_option(lib.SOL_SOCKET, timestamps, 1)
    one.send_batch([b"abc", b"", b"", b"d", b""])
    if offset is not None:
        two.options.peek_offset = 0
        if offset:
            two.peek(offset)
    one.close()
    assert receive_all(two, always(2)) == [b"abc", b"", b"", b"d", b""]
    assert two.options.pass_credentials is True
    assert (two.options.peek_offset or 0) >= (-1 if offset is None else 0)
    for option in (29, 35):
        assert bool(two.get_option(lib.SOL_SOCKET, option)) is (option == timestamps)


# --- Errors -------------------------------------------------------------------------------------


@seqpacket
@can_tell
def test_reset_comes_once_and_loses_nothing(conn: Any) -> None:
    """A peer that closes with packets unread is ConnectionResetError, once; what it sent is still received."""
    one, two = conn
    one.send_batch([b"a", b""])
    two.send(b"unread")
    one.close()
    with pytest.raises(ConnectionResetError):
        two.recv_batch(5, 5)
    assert receive_all(two, always(1)) == [b"a", b""]


def batch_with_an_error() -> Any:
    """Receive from a peer that closes, with a packet unread, while a batch is being received."""
    one, two = UnixSeqpacketConn.pair()
    over: list[bool] = []

    def close_in_the_middle() -> None:
        while not lib.uds_handle_users(two._handle) and not over:
            pass
        one.close()

    with one, two:
        # Empty ones, because those take longest.
        one.send_batch([b""] * 250)
        two.send(b"unread")
        with support.in_thread(close_in_the_middle):
            try:
                first = two.recv_batch(1024, 1)
            finally:
                over.append(True)
        if first.error is None:
            # It came too late, or before anything else.
            return None
        rest = receive_all(two, always(1024))
        assert len(first) + len(rest) == 250
        return first


@seqpacket
@can_tell
def test_error_behind_a_packet_is_in_the_batch() -> None:
    """What the kernel reports behind a packet is kept with the packets, because it is reported once."""
    found = None
    for _ in range(1000):
        with contextlib.suppress(ConnectionResetError):
            found = batch_with_an_error()
        if found is not None:
            break
    assert isinstance(found.error, ConnectionResetError)
    assert found.error.errno == errno.ECONNRESET
    assert found.ended is False
    assert 0 < len(found) < 250
    assert "ConnectionResetError" in repr(found)


@seqpacket
def test_unconnected_and_listening_sockets_are_errors(socket_path: str) -> None:
    """What is no connection is the kernel's error, and not an end."""
    conn = UnixSeqpacketConn._created()
    with conn, support.raises_errno(errno.ENOTCONN):
        conn.recv_batch(1, 1)
    with UnixSeqpacketListener.bind(socket_path) as listener:
        number = os.dup(listener.fileno())
        wrong = UnixSeqpacketConn._empty()
        assert lib.uds_handle_adopt(wrong._handle, number, 0) == 0
        with wrong, pytest.raises(OSError, match="Errno"):
            wrong.recv_batch(1, 1)


# --- Several readers ----------------------------------------------------------------------------


@seqpacket
@can_tell
@pytest.mark.parametrize("count", [1, 7])
def test_several_readers_share_the_packets(conn: Any, count: int) -> None:
    """Each packet goes to one of two readers, and both find the end, which neither takes for a packet."""
    one, two = conn

    def read(sock: Any) -> list[bytes]:
        return receive_all(sock, always(count))

    packets = [b"%d" % place for place in range(2000)]
    with two.try_clone() as clone:
        with support.in_thread(read, two) as first, support.in_thread(read, clone) as second:
            for begin in range(0, len(packets), 10):
                one.send_batch(packets[begin : begin + 10])
            one.close()
        assert sorted(first[0] + second[0]) == sorted(packets)


# --- Any sequence -------------------------------------------------------------------------------


@seqpacket
@can_tell
@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.one_of(st.just(0), st.integers(0, 12)), max_size=40),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    size=st.integers(0, 12),
    way=st.sampled_from(WAYS),
    interleaved=st.booleans(),
)
def test_any_sequence(
    lengths: list[int], sizes: list[int], counts: list[int], size: int, way: dict[str, Any], interleaved: bool
) -> None:
    """Packets that are sent and received in batches of any sizes are the same, and the end is found behind them."""
    one, two = UnixSeqpacketConn.pair()
    packets = [struct.pack("B", place % 256) * length for place, length in enumerate(lengths)]
    expected = [(data[:size], len(data) > size) for data in packets]
    got: list[tuple[bytes, bool]] = []
    with one, two:
        rest, turn = packets, 0
        while rest:
            count = sizes[turn % len(sizes)]
            assert one.send_batch(rest[:count]) == len(rest[:count])
            rest = rest[count:]
            turn += 1
            if interleaved and len(got) < len(packets) - len(rest):
                batch = two.recv_batch(counts[turn % len(counts)], size, **way)
                assert not batch.ended
                got += [(packet.data, packet.truncated) for packet in batch]
        one.close()
        for turn in range(10_000):
            batch = two.recv_batch(counts[turn % len(counts)], size, **way)
            got += [(packet.data, packet.truncated) for packet in batch]
            if batch.ended:
                break
            assert batch.data
        assert got == expected
        assert not two.recv_batch(1, 1)
