"""Packets: what datagram and sequenced-packet sockets share.

Rule: each receive brings one packet, and a packet that did not fit is reported as truncated, never passed off as whole.
"""

from __future__ import annotations

import array
import errno
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import support

from uds_cffi import (
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_NOSIGNAL,
    MSG_PEEK,
    MSG_TRUNC,
    Packet,
    PacketFds,
    PacketInto,
    lib,
)

IOV_MAX = lib.IOV_MAX


@pytest.fixture(params=support.PACKET_TYPES)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """Make a pair of each type."""
    one, two = request.param.pair()
    with one, two:
        yield one, two


def nothing_there(sock: Any) -> bool:
    return sock.try_recv(1) is None


# Each way to receive, as a function of the socket and the room that gives the bytes and whether they were cut.
Receive = Callable[[Any, int], "tuple[bytes, bool]"]


def into(method: str, split: bool = False) -> Receive:
    def receive(sock: Any, size: int) -> tuple[bytes, bool]:
        buffer = bytearray(size)
        if split:
            view = memoryview(buffer)
            result = getattr(sock, method)([view[: size // 2], view[size // 2 :]])
        else:
            result = getattr(sock, method)(buffer)
        assert isinstance(result, PacketInto)
        assert result == (result.nbytes, result.truncated)
        return bytes(buffer[: result.nbytes]), result.truncated

    return receive


def plain(method: str) -> Receive:
    def receive(sock: Any, size: int) -> tuple[bytes, bool]:
        result = getattr(sock, method)(size)
        assert isinstance(result, Packet)
        assert result == (result.data, result.truncated)
        return result.data, result.truncated

    return receive


def with_fds(method: str) -> Receive:
    def receive(sock: Any, size: int) -> tuple[bytes, bool]:
        result = getattr(sock, method)(size, 0)
        assert isinstance(result, PacketFds)
        assert result == (result.data, result.truncated, result.fds)
        return result.data, result.truncated

    return receive


RECEIVES: dict[str, Receive] = {
    "recv": plain("recv"),
    "try_recv": plain("try_recv"),
    "recv_into": into("recv_into"),
    "try_recv_into": into("try_recv_into"),
    "recv_vectored": into("recv_vectored", split=True),
    "recv_fds": with_fds("recv_fds"),
    "try_recv_fds": with_fds("try_recv_fds"),
}
PEEKS: dict[str, Receive] = {"peek": plain("peek"), "peek_vectored": into("peek_vectored", split=True)}


@pytest.fixture(params=RECEIVES)
def receive(request: pytest.FixtureRequest) -> Receive:
    """Receive in each way."""
    return RECEIVES[request.param]


@pytest.fixture(params=PEEKS)
def peek(request: pytest.FixtureRequest) -> Receive:
    """Peek in each way."""
    return PEEKS[request.param]


# --- Boundaries and truncation ------------------------------------------------------------------


def test_packets_sent_separately_are_received_separately(pair: tuple[Any, Any], receive: Receive) -> None:
    """Each send is one packet, an empty one too, and each receive brings one."""
    one, two = pair
    packets = [b"first", b"", b"x" * 1000, b"last"]
    for data in packets:
        assert one.send(data) == len(data)
    assert [receive(two, 2000) for _ in packets] == [(data, False) for data in packets]
    assert nothing_there(two)


@pytest.mark.parametrize("room", [0, 1, 4])
def test_packet_that_does_not_fit_is_truncated(pair: tuple[Any, Any], receive: Receive, room: int) -> None:
    """What fits is there, the flag says that the rest is gone, and the next packet is the next one."""
    one, two = pair
    one.send(b"12345")
    one.send(b"next")
    assert receive(two, room) == (b"12345"[:room], True)
    assert receive(two, 100) == (b"next", False)


def test_packet_that_just_fits_is_whole(pair: tuple[Any, Any], receive: Receive) -> None:
    """A packet as long as the room is not truncated, an empty one neither."""
    one, two = pair
    for data in (b"12345", b""):
        one.send(data)
        assert receive(two, len(data)) == (data, False)


@pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1, 100_000])
def test_large_packets(pair: tuple[Any, Any], receive: Receive, size: int) -> None:
    """Packets larger than the kept memory arrive, and are cut, in the same way."""
    one, two = pair
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    one.send(data)
    assert receive(two, size) == (data, False)
    one.send(data)
    assert receive(two, size - 1) == (data[:-1], True)


def test_small_and_large_rooms_take_turns(pair: tuple[Any, Any]) -> None:
    """The memory of an earlier receive does not show in a later one."""
    one, two = pair
    for room, data in [(100, b"a" * 100), (3, b"b" * 9), (50, b"c"), (16_384, b"d" * 20), (1, b"e"), (70_000, b"f")]:
        one.send(data)
        assert two.recv(room) == (data[:room], len(data) > room)


def test_peeking_leaves_the_packet(pair: tuple[Any, Any], peek: Receive) -> None:
    """A peek with a small room and then a larger one sees the same packet, and so does the receive after it."""
    one, two = pair
    one.send(b"some text")
    one.send(b"next")
    assert peek(two, 1) == (b"s", True)
    assert peek(two, 100) == (b"some text", False)
    assert two.recv(100) == (b"some text", False)
    assert peek(two, 100) == (b"next", False)


def test_peek_is_recv_with_a_flag(pair: tuple[Any, Any]) -> None:
    """MSG_PEEK given to a receive peeks."""
    one, two = pair
    one.send(b"data")
    buffer = bytearray(9)
    assert two.recv(9, MSG_PEEK) == (b"data", False)
    assert two.recv_into(buffer, MSG_PEEK) == (4, False)
    assert two.recv_vectored([buffer], MSG_PEEK) == (4, False)
    assert two.try_recv(2, MSG_PEEK) == (b"da", True)
    assert two.try_recv_into(buffer, MSG_PEEK) == (4, False)
    assert two.recv(9) == (b"data", False)


def test_trunc_flag_changes_nothing(pair: tuple[Any, Any]) -> None:
    """MSG_TRUNC, with which recv(2) lies about how much it wrote, is accepted and has no effect."""
    one, two = pair
    for _ in range(3):
        one.send(b"12345")
    assert two.recv(2, MSG_TRUNC) == (b"12", True)
    assert two.recv_into(bytearray(2), MSG_TRUNC) == (2, True)
    assert two.peek(2, MSG_TRUNC) == (b"12", True)
    assert two.recv_vectored([bytearray(1), bytearray(1)], MSG_TRUNC) == (2, True)


# --- Several buffers ----------------------------------------------------------------------------


def test_buffers_are_sent_as_one_packet(pair: tuple[Any, Any]) -> None:
    """send_vectored() makes one packet of all buffers, of none too."""
    one, two = pair
    assert one.send_vectored([b"some ", bytearray(b"more"), b"", memoryview(b" text")]) == 14
    assert one.send_vectored(iter([])) == 0
    assert two.recv(100) == (b"some more text", False)
    assert two.recv(100) == (b"", False)


def test_buffers_are_filled_one_after_the_other(pair: tuple[Any, Any]) -> None:
    """recv_vectored() fills each buffer before the next, of any item size, and leaves the rest alone."""
    one, two = pair
    one.send(b"1234567")
    buffers = [bytearray(2), array.array("H", [0, 0]), bytearray(b"..."), bytearray(b"..")]
    assert two.recv_vectored(buffers) == (7, False)
    assert [bytes(buffer) for buffer in buffers] == [b"12", b"3456", b"7..", b".."]


def test_receiving_into_no_buffers(pair: tuple[Any, Any]) -> None:
    """Without buffers a packet is thrown away, and truncated unless it was empty."""
    one, two = pair
    one.send(b"x")
    one.send(b"")
    assert two.recv_vectored([]) == (0, True)
    assert two.recv_vectored([]) == (0, False)
    assert nothing_there(two)


def test_as_many_buffers_as_a_packet_can_have(pair: tuple[Any, Any]) -> None:
    """IOV_MAX buffers make one packet, and are filled by one."""
    one, two = pair
    assert one.send_vectored([b"x"] * IOV_MAX) == IOV_MAX
    assert two.recv_vectored([bytearray(1) for _ in range(IOV_MAX)]) == (IOV_MAX, False)


def test_more_buffers_are_refused(pair: tuple[Any, Any]) -> None:
    """One buffer more is a ValueError before the kernel is asked: nothing was sent, and nothing read."""
    one, two = pair
    with pytest.raises(ValueError, match=f"{IOV_MAX + 1} buffers are more than the {IOV_MAX}"):
        one.send_vectored([b"x"] * (IOV_MAX + 1))
    assert nothing_there(two)
    one.send(b"x")
    for method in (two.recv_vectored, two.peek_vectored):
        with pytest.raises(ValueError, match=f"{IOV_MAX + 1} buffers"):
            method([bytearray(1)] * (IOV_MAX + 1))
    assert two.recv(1) == (b"x", False)


# --- Sending ------------------------------------------------------------------------------------


def test_packet_larger_than_the_send_buffer(pair: tuple[Any, Any]) -> None:
    """A packet that can never go is EMSGSIZE at once, and nothing of it went."""
    one, two = pair
    one.options.send_buffer = 4096
    with pytest.raises(OSError, match=rf"\[Errno {errno.EMSGSIZE}\]"):
        one.send(b"x" * 100_000)
    assert nothing_there(two)
    largest = one.options.send_buffer - 32
    assert one.send(b"x" * largest) == largest
    assert two.recv_packet() == b"x" * largest


@pytest.mark.parametrize("flags", [MSG_EOR, MSG_NOSIGNAL, MSG_DONTWAIT])
def test_flags_of_a_send(pair: tuple[Any, Any], flags: int) -> None:
    """These flags are taken; a packet is the same with them."""
    one, two = pair
    assert one.send(b"1", flags) == 1
    assert one.try_send(b"2", flags) == 1
    assert one.send_vectored([b"3"], flags) == 1
    assert [two.recv(9) for _ in range(3)] == [(b"1", False), (b"2", False), (b"3", False)]


def test_full_queue(pair: tuple[Any, Any]) -> None:
    """When the queue is full try_send() is None and MSG_DONTWAIT BlockingIOError, and nothing was sent."""
    one, two = pair
    one.options.send_buffer = 4096
    count = 0
    while one.try_send(b"x" * 500) is not None:
        count += 1
    with pytest.raises(BlockingIOError):
        one.send(b"y", MSG_DONTWAIT)
    with pytest.raises(BlockingIOError):
        one.send_vectored([b"y"], MSG_DONTWAIT)
    assert one.try_send(bytearray(b"y")) is None
    assert [two.recv(600) for _ in range(count)] == [(b"x" * 500, False)] * count
    assert nothing_there(two)


# --- Bad arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"), [(-1, ValueError), (True, TypeError), (None, TypeError), (1.0, TypeError)]
)
@pytest.mark.parametrize("method", ["recv", "try_recv", "peek"])
def test_bad_sizes(pair: tuple[Any, Any], method: str, size: Any, expected: type[Exception]) -> None:
    """A size is an int that is not negative; nothing was read, and the next receive works."""
    one, two = pair
    one.send(b"x")
    for _ in range(2):
        with pytest.raises(expected):
            getattr(two, method)(size)
    assert two.recv(1) == (b"x", False)
    one.send(b"y")
    with pytest.raises(expected):
        getattr(two, method)(size)
    assert two.recv(1) == (b"y", False)


@pytest.mark.parametrize("method", ["recv", "try_recv", "peek", "recv_into", "recv_vectored", "peek_vectored"])
@pytest.mark.parametrize("flags", [lib.MSG_OOB, lib.MSG_WAITALL, 1 << 29])
def test_bad_flags(pair: tuple[Any, Any], method: str, flags: int) -> None:
    """Flags that would eat or hide something are refused before the kernel sees them."""
    arguments: dict[str, Any] = {"recv_into": bytearray(1), "recv_vectored": [], "peek_vectored": []}
    one, two = pair
    one.send(b"x")
    with pytest.raises(ValueError, match="not for this call"):
        getattr(two, method)(arguments.get(method, 1), flags)
    assert two.recv(1) == (b"x", False)


@pytest.mark.parametrize(
    ("buffer", "expected"),
    [
        (b"123", TypeError),
        (memoryview(bytearray(6))[::2], BufferError),
        ("abc", TypeError),
        (None, TypeError),
        (5, TypeError),
    ],
)
def test_bad_buffers(pair: tuple[Any, Any], buffer: Any, expected: type[Exception]) -> None:
    """Only writable contiguous memory can be received into; nothing was read."""
    one, two = pair
    one.send(b"x")
    for call in (
        lambda: two.recv_into(buffer),
        lambda: two.try_recv_into(buffer),
        lambda: two.recv_vectored([bytearray(1), buffer]),
    ):
        with pytest.raises(expected):
            call()
    assert two.recv(1) == (b"x", False)


@pytest.mark.parametrize("data", ["text", 5, None, [b"x"], memoryview(b"123456")[::2]])
def test_bad_data(pair: tuple[Any, Any], data: Any) -> None:
    """Only contiguous bytes can be sent; nothing was."""
    one, two = pair
    for call in (lambda: one.send(data), lambda: one.try_send(data), lambda: one.send_vectored([b"x", data])):
        with pytest.raises((TypeError, BufferError)):
            call()
    assert nothing_there(two)


# --- Waiting ------------------------------------------------------------------------------------


def test_nothing_there_yet(pair: tuple[Any, Any]) -> None:
    """The try_ forms are None, MSG_DONTWAIT is BlockingIOError, and a timeout is TimeoutError."""
    _, two = pair
    assert two.try_recv(1) is None
    assert two.try_recv(100_000) is None
    assert two.try_recv_into(bytearray(1)) is None
    assert two.try_recv_fds(1, 1) is None
    for call in (two.recv, two.peek):
        for size in (1, 100_000):
            with pytest.raises(BlockingIOError):
                call(size, MSG_DONTWAIT)
    with pytest.raises(BlockingIOError):
        two.recv_into(bytearray(1), MSG_DONTWAIT)
    two.set_read_timeout(0.01)
    for size in (1, 100_000):
        with pytest.raises(TimeoutError):
            two.recv(size)


@pytest.mark.parametrize("timeout", [None, 20])
def test_receive_waits_for_a_packet(pair: tuple[Any, Any], timeout: float | None) -> None:
    """Each receive waits until a packet comes."""
    one, two = pair
    two.set_read_timeout(timeout)
    asked = threading.Semaphore(0)

    def answer() -> None:
        for data in (b"1", b"2", b"3", b"4"):
            asked.acquire()
            one.send(data)

    with support.in_thread(answer):
        buffer = bytearray(1)
        asked.release()
        assert two.recv(1) == (b"1", False)
        asked.release()
        assert two.recv_into(buffer) == (1, False)
        asked.release()
        assert two.recv_vectored([buffer]) == (1, False)
        asked.release()
        assert two.recv(70_000) == (b"4", False)
