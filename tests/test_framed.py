"""Framed messages: what goes in at one end comes out at the other, and what cannot be is refused.

Rule: the peer is a plain socket wherever the wire format matters, so that the two ends cannot be wrong together.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

import pytest
import support
from framing import framed_pair, wire

import uds_cffi
from uds_cffi import FramedStream, FrameError, IncompleteReadError, UnixStream, calls, cut, ffi, frames

BEHIND = 8192


@pytest.fixture
def framed():
    """Make two framed streams that are connected."""
    with framed_pair() as ends:
        yield ends


@pytest.fixture
def peer():
    """Make a plain socket that is connected to a framed stream."""
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, FramedStream(UnixStream.from_stdlib(two)) as framed:
        yield one, framed


def read(sock, size):
    """Read that many bytes from a plain socket."""
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece
        data += piece
    return data


# --- The wire -----------------------------------------------------------------------------------


def test_messages_are_their_lengths_and_their_bytes(peer):
    """On the wire there is nothing but big-endian lengths and the messages."""
    sock, framed = peer
    framed.send_messages([b"one", b"", bytearray(b"three")])
    framed.send_message(b"x" * 9000)
    expected = wire(b"one", b"", b"three", b"x" * 9000)

    assert read(sock, len(expected)) == expected
    assert expected[:7] == b"\x00\x00\x00\x03one"


def test_all_that_is_there_comes_at_once(peer):
    """recv_messages() returns every message that has arrived whole, and keeps the begin of the next one."""
    sock, framed = peer
    sock.sendall(wire(b"one", b"", b"three") + wire(b"four")[:-1])

    assert framed.recv_messages() == [b"one", b"", b"three"]
    sock.sendall(b"r")
    assert framed.recv_messages() == [b"four"]


def test_one_after_the_other(peer):
    """recv_message() returns the next one only, and mixes with recv_messages()."""
    sock, framed = peer
    sock.sendall(wire(b"one", b"two", b"three", b"four"))

    assert framed.recv_message() == b"one"
    assert framed.recv_message() == b"two"
    assert framed.recv_messages() == [b"three", b"four"]


def test_iteration_ends_with_the_connection(peer):
    """A loop over the stream sees every message, may be left and begun anew, and ends."""
    sock, framed = peer
    sock.sendall(wire(b"one", b"two", b"three"))
    sock.shutdown(socket.SHUT_WR)
    seen = []
    for message in framed:
        seen.append(message)
        break
    seen += framed

    assert seen == [b"one", b"two", b"three"]
    assert list(framed) == []


def test_end_is_none_and_empty(peer):
    """The end of the connection is None for one message, [] for many, and stays; an empty message is neither."""
    sock, framed = peer
    sock.sendall(wire(b""))
    sock.close()

    assert framed.recv_message() == b""
    assert framed.recv_message() is None
    assert framed.recv_messages() == []
    assert framed.recv_message() is None


@pytest.mark.parametrize(("sent", "partial", "expected"), [(b"\0\0", b"\0\0", 4), (wire(b"whole")[:-2], b"who", 5)])
def test_end_within_a_message(peer, sent, partial, expected):
    """A connection that ends within a message is an error with what arrived of it, after the messages before it."""
    sock, framed = peer
    sock.sendall(wire(b"before") + sent)
    sock.close()

    assert framed.recv_messages() == [b"before"]
    for receive in (framed.recv_message, framed.recv_messages):
        with pytest.raises(IncompleteReadError) as caught:
            receive()
        assert (caught.value.partial, caught.value.expected) == (partial, expected)


@pytest.mark.parametrize("size", [0, 1, BEHIND - 1, BEHIND, 32764, 32768, 65532, 65536, 1048576])
def test_sizes_around_every_limit(framed, size):
    """Messages of each size arrive whole, as bytes and as bytearray, between others."""
    one, two = framed
    data = os.urandom(size)
    with support.in_thread(one.send_messages, [b"<", data, bytearray(data), b">"]):
        got = [two.recv_message() for _ in range(4)]

    assert got == [b"<", data, data, b">"]
    assert {type(message) for message in got} == {bytes}


def test_more_than_one_result_holds(peer):
    """More messages than one list holds come in several, in order."""
    sock, framed = peer
    sock.sendall(wire(*(b"%d" % number for number in range(3000))))
    first = framed.recv_messages()

    assert len(first) == uds_cffi.lib.UDS_FRAMES_MOST
    got = first + [message for _ in range(2) for message in framed.recv_messages()]
    assert got == [b"%d" % number for number in range(3000)]


@pytest.mark.parametrize("name", ["cut_by_reading", "cut_by_index"])
@pytest.mark.parametrize(
    "lengths", [[5], [0], [3, 0, 2], [0, 0], [7] * 20, [1] * 1024], ids=lambda lengths: str(lengths[:3])
)
def test_both_ways_of_cutting_are_the_same(name, lengths):
    """A block of memory is cut into the same messages by either way, on every interpreter."""
    data = os.urandom(10 + sum(lengths))
    sizes = uds_cffi.ffi.new("uint32_t[]", lengths)
    starts = uds_cffi.ffi.new("uint32_t[]", [10 + sum(lengths[:place]) for place in range(len(lengths))])
    got = getattr(cut, name)(data, 10, len(data), len(lengths), cut.Places(starts, sizes))

    assert b"".join(got) == data[10:]
    assert [len(message) for message in got] == lengths


def test_messages_of_many_lengths(stream):
    """However many different shapes of results there were, each is cut right, and little is kept for the next."""
    one, two = (FramedStream(end) for end in stream)
    for size in range(cut.KEPT + 10):
        messages = [bytes([size % 256]) * size] * 3
        one.send_messages(messages)
        assert two.recv_messages() == messages
    assert len(frames.splitters) <= cut.KEPT


HOLE = cut.HOLE


@pytest.mark.parametrize(
    "messages",
    [
        [HOLE],
        [HOLE, b"a"],
        [HOLE[:2], HOLE[2:]],
        [b"", HOLE + HOLE, b""],
        [HOLE[:3], HOLE[:1], HOLE[1:], HOLE[3:] + HOLE[:3]],
        [HOLE[:1] * 10, b"a" + HOLE[:1]],
        [b"a" * 70 + HOLE[:3], HOLE[3:] + b"b" * 70],
    ],
    ids=repr,
)
def test_messages_that_look_like_the_seams(framed, messages):
    """What stands between messages on their way to C may stand in messages too, whole or in part."""
    one, two = framed
    one.send_messages(messages)
    one.send_messages([b"more", *messages, b"more"])

    assert two.recv_messages() == [*messages, b"more", *messages, b"more"]


# --- What is refused ----------------------------------------------------------------------------


def test_number_that_is_changed_in_one_step_is_aligned():
    """What a thread and a signal handler share cannot lie across two lines of the processor's cache, on 32 bits too."""
    numbers = [frames.FrameReader(calls.new_handle(), 1, 0).c for _ in range(8)]

    assert [int(ffi.cast("uintptr_t", number)) % 8 for number in numbers] == [0] * 8


@pytest.mark.parametrize("stream", [None, 3, "stream", socket.socket])
def test_only_a_unix_stream_can_be_framed(stream):
    """Anything else is a TypeError that says what is needed."""
    with pytest.raises(TypeError, match="a UnixStream is needed"):
        FramedStream(stream)


def test_packets_cannot_be_framed():
    """A datagram socket has boundaries of its own."""
    one, two = uds_cffi.UnixDatagram.pair()
    with one, two, pytest.raises(TypeError, match="a UnixStream is needed, not UnixDatagram"):
        FramedStream(one)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_size": 0}, ValueError),
        ({"max_size": 2**31}, ValueError),
        ({"max_size": 1.0}, TypeError),
        ({"max_fds": 254}, ValueError),
        ({"max_fds": None}, TypeError),
    ],
)
def test_bad_limits_are_refused(stream, arguments, error):
    """A limit that cannot be is refused, and the stream stays the caller's."""
    with pytest.raises(error, match=next(iter(arguments))):
        FramedStream(stream[0], **arguments)
    assert not stream[0].closed


@pytest.mark.parametrize("size", [101, 20000])
def test_too_long_is_refused_before_anything_goes(peer, size):
    """A message above max_size is an error that names both, and not even the messages before it go."""
    sock, framed = peer
    with FramedStream(UnixStream.borrow(framed.stream), max_size=100) as small:
        with pytest.raises(FrameError, match=f"message 1 has {size} bytes, above max_size 100") as caught:
            small.send_messages([b"fits", b"x" * size])
        assert (caught.value.length, caught.value.limit) == (size, 100)
        small.send_message(b"x" * 100)

    assert read(sock, 104) == wire(b"x" * 100)


@pytest.mark.parametrize("data", ["text", None, 5, [b"list"]])
def test_what_is_no_message(framed, data):
    """What is not bytes-like is a TypeError, and nothing goes, not even what comes before it."""
    one, two = framed
    with pytest.raises(TypeError):
        one.send_message(data)
    with pytest.raises(TypeError):
        one.send_messages([b"good", data])
    one.send_message(b"next")

    assert two.recv_messages() == [b"next"]


def test_one_message_where_many_are_expected(framed):
    """A bytes object would be taken for a sequence of ints."""
    with pytest.raises(TypeError, match="an iterable of buffers is needed"):
        framed[0].send_messages(b"one message")


def test_sizes_are_bytes_and_not_items(framed):
    """Objects whose len() is not their size, and slices with gaps, are what memoryview says they are."""
    one, two = framed
    wide = memoryview(b"0123456789ab").cast("I")
    one.send_messages([wide, b"x", bytearray(b"array")])
    one.send_messages((wide[1:], memoryview(b"flat")))
    # It has no len() at all.
    one.send_message(ctypes.c_uint32(0x01010101))

    assert two.recv_messages() == [b"0123456789ab", b"x", b"array", b"456789ab", b"flat", b"\1\1\1\1"]
    for size in (8, 20000):
        for messages in ([], [b"x"]):
            with pytest.raises(BufferError, match="not contiguous"):
                one.send_messages([*messages, memoryview(bytes(size))[::2]])


def test_nothing_to_send_is_nothing(framed):
    """An empty list is sent at once."""
    one, two = framed
    one.send_messages([])
    one.flush()
    one.send_message(b"x")

    assert two.recv_messages() == [b"x"]
    assert one.pending == 0


@pytest.mark.parametrize("length", [101, 2**31, 2**32 - 1])
def test_announced_length_is_checked_first(length):
    """A length above max_size is an error at once, after the messages before it, and at every later call."""
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, FramedStream(UnixStream.from_stdlib(two), max_size=100) as framed:
        one.sendall(wire(b"good") + struct.pack("!I", length))
        assert framed.recv_messages() == [b"good"]
        for receive in (framed.recv_messages, framed.recv_message):
            with pytest.raises(FrameError, match=f"{length} bytes, above max_size 100") as caught:
                receive()
            assert (caught.value.length, caught.value.limit) == (length, 100)
        assert isinstance(caught.value, ValueError)


def test_announced_length_takes_no_memory(peer):
    """Memory grows with what arrives, not with what is announced, and shrinks when a large message has gone."""
    sock, framed = peer
    sock.sendall(struct.pack("!I", 1048576))
    with pytest.raises(BlockingIOError):
        framed.recv_message(uds_cffi.MSG_DONTWAIT)
    c = framed._reader.c
    assert c.size == frames.MEMORY_SIZE
    sent = 0
    while sent < 1048576:
        sent += sock.send(b"x" * min(32768, 1048576 - sent))
        if sent < 1048576:
            with pytest.raises(BlockingIOError):
                framed.recv_message(uds_cffi.MSG_DONTWAIT)
            assert c.size <= max(2 * (sent + 4), frames.MEMORY_SIZE)
    assert framed.recv_message() == b"x" * 1048576
    assert c.size >= 1048576
    with pytest.raises(BlockingIOError):
        framed.recv_message(uds_cffi.MSG_DONTWAIT)
    assert c.size == frames.MEMORY_SIZE
    assert len(framed._reader._kept) == 1
