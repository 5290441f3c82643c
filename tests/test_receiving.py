"""Receiving on every type: sizes, memory, flags.

Rule: what is wrong with an argument is said before the kernel is asked, so that no message is lost to a mistake.
"""

from __future__ import annotations

import array
import ctypes
import errno
import mmap
import socket
from typing import Any

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import (
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SocketAncillary,
    UnixDatagram,
    UnixStream,
    lib,
    vectors,
)

IOV_MAX = lib.IOV_MAX
# Linux: reads from the error queue, and with AF_UNIX eats a message instead.
MSG_ERRQUEUE = 0x2000
# A flag that the build does not have is -1, and is for no call.
CLOEXEC = max(MSG_CMSG_CLOEXEC, 0)


def by_size(sock: Any) -> dict[str, Any]:
    """Name every call that receives at most so many bytes."""
    return {
        "recv": sock.recv,
        "try_recv": sock.try_recv,
        "peek": sock.peek,
        "recv_fds": lambda size, *flags: sock.recv_fds(size, 1, *flags),
        "try_recv_fds": lambda size, *flags: sock.try_recv_fds(size, 1, *flags),
        "recv_ancillary": lambda size, *flags: sock.recv_ancillary(size, SocketAncillary(64), *flags),
    }


def by_buffer(sock: Any) -> dict[str, Any]:
    """Name every call that receives into memory."""
    return {
        "recv_into": sock.recv_into,
        "try_recv_into": sock.try_recv_into,
        "recv_vectored": lambda buffer, *flags: sock.recv_vectored([buffer], *flags),
        "peek_vectored": lambda buffer, *flags: sock.peek_vectored([buffer], *flags),
        "recv_ancillary": lambda buffer, *flags: sock.recv_ancillary([buffer], SocketAncillary(64), *flags),
    }


def count_of(received: Any) -> int:
    """Return how many bytes any receive into memory brought."""
    if isinstance(received, tuple):
        return int(received[0])
    return int(getattr(received, "nbytes", received))


def bytes_of(received: Any) -> bytes:
    """Return the bytes that any receive by size brought."""
    data = received[0] if isinstance(received, tuple) else getattr(received, "data", received)
    assert isinstance(data, bytes)
    return data


@pytest.mark.parametrize("size", [1, 5, 100, 16 * 1024, 16 * 1024 + 1, 1024 * 1024 + 1])
def test_sizes(pair: tuple[Any, Any], size: int) -> None:
    """Each call returns what is there, whatever more it asked for."""
    one, two = pair
    for name, receive in by_size(two).items():
        one.send(b"01234"[:size])
        assert (name, bytes_of(receive(size))) == (name, b"01234"[:size])
        if name == "peek":
            two.recv(size)
    assert two.try_recv(1) is None


@pytest.mark.parametrize("size", [-1, -(2**70)])
def test_negative_size(pair: tuple[Any, Any], size: int) -> None:
    """A negative size is ValueError, and nothing is taken."""
    one, two = pair
    one.send(b"kept")
    for receive in by_size(two).values():
        with pytest.raises(ValueError, match="negative"):
            receive(size)
    assert bytes_of(two.recv(9)) == b"kept"


@pytest.mark.parametrize("size", [1.0, "1", None, True, b"1"])
def test_size_of_another_type(pair: tuple[Any, Any], size: Any) -> None:
    """A size is an int, and nothing is taken otherwise."""
    one, two = pair
    one.send(b"kept")
    for receive in by_size(two).values():
        with pytest.raises(TypeError):
            receive(size)
    assert bytes_of(two.recv(9)) == b"kept"


@pytest.mark.parametrize("size", [4.0, True])
def test_size_of_wrong_type_after_an_equal_size(pair: tuple[Any, Any], size: Any) -> None:
    """The type counts also when the last receive had an equal size; nothing is taken."""
    one, two = pair
    one.send(b"1234")
    assert bytes_of(two.recv(int(size)))
    while two.try_recv(9):
        pass
    one.send(b"kept whole")
    for receive in (two.recv, two.try_recv, two.peek):
        with pytest.raises(TypeError, match="size"):
            receive(size)
    assert bytes_of(two.recv(20)) == b"kept whole"


def test_refused_size_leaves_the_socket_usable(pair: tuple[Any, Any]) -> None:
    """After a refused receive the next one works, with every kind of size before and after."""
    one, two = pair
    for good in (3, 50_000, 3):
        with pytest.raises(ValueError, match="negative"):
            two.recv(-1)
        one.send(b"abc")
        assert bytes_of(two.recv(good)) == b"abc"


MEMORY: dict[str, Any] = {
    "bytearray": lambda: bytearray(8),
    "memoryview": lambda: memoryview(bytearray(12))[2:10],
    "array": lambda: array.array("i", [0, 0]),
    "double": lambda: memoryview(array.array("d", [0.0])),
    "rows": lambda: memoryview(bytearray(8)).cast("B", (2, 4)),
    "ctypes": lambda: (ctypes.c_char * 8)(),
    "ctypes number": lambda: ctypes.c_uint64(0),
    "mmap": lambda: memoryview(mmap.mmap(-1, 4096))[:8],
}


@pytest.mark.parametrize("kind", MEMORY)
def test_every_kind_of_memory(pair: tuple[Any, Any], kind: str) -> None:
    """Bytes are written into any writable contiguous buffer itself, not into a copy, by every call."""
    one, two = pair
    for name, receive in by_buffer(two).items():
        memory = MEMORY[kind]()
        one.send(b"12345678")
        assert (name, count_of(receive(memory))) == (name, 8)
        assert (name, memoryview(memory).cast("B").tobytes() if kind != "rows" else memory.tobytes()) == (
            name,
            b"12345678",
        )
        if name == "peek_vectored":
            two.recv(8)


@pytest.mark.parametrize("memory", [b"bytes", memoryview(b"bytes"), memoryview(bytearray(5)).toreadonly(), "text", 5])
def test_memory_that_cannot_be_written(pair: tuple[Any, Any], memory: Any) -> None:
    """What is read-only or no buffer is TypeError, and nothing is taken."""
    one, two = pair
    one.send(b"kept")
    for receive in by_buffer(two).values():
        with pytest.raises(TypeError):
            receive(memory)
    assert bytes_of(two.recv(9)) == b"kept"
    assert bytes(memory if isinstance(memory, (bytes, memoryview)) else b"") in (b"bytes", bytes(5), b"")


def test_memory_with_gaps(pair: tuple[Any, Any]) -> None:
    """Memory that is not contiguous is BufferError, nothing is taken, and nothing is written."""
    one, two = pair
    one.send(b"kept")
    memory = bytearray(8)
    for receive in by_buffer(two).values():
        with pytest.raises(BufferError, match="contiguous"):
            receive(memoryview(memory)[::2])
    assert bytes_of(two.recv(9)) == b"kept"
    assert memory == bytes(8)


def test_memory_is_exported_for_one_call(pair: tuple[Any, Any]) -> None:
    """A bytearray can be resized after each call, also after one that failed."""
    one, two = pair
    memory = bytearray(1)
    for receive in by_buffer(two).values():
        one.send(b"x")
        receive(memory)
        memory.append(0)
        while two.try_recv(9):
            pass
        with pytest.raises((BlockingIOError, ValueError)):
            receive(memory, MSG_DONTWAIT | MSG_ERRQUEUE if "try" in receive.__name__ else MSG_DONTWAIT)
        memory.append(0)
    with pytest.raises(TypeError):
        two.recv_vectored([memory, b"read-only"])
    memory.append(0)


@pytest.mark.parametrize("single", [bytearray(5), memoryview(bytearray(5)), b"bytes", "text"])
def test_one_buffer_is_no_list(pair: tuple[Any, Any], single: Any) -> None:
    """A single buffer where several are expected is TypeError."""
    one, two = pair
    one.send(b"kept")
    for receive in (
        two.recv_vectored,
        two.peek_vectored,
        lambda buffers: two.recv_ancillary(buffers, SocketAncillary(64)),
    ):
        with pytest.raises(TypeError, match="iterable of buffers"):
            receive(single)
    assert bytes_of(two.recv(9)) == b"kept"


def test_size_or_buffers_is_neither(pair: tuple[Any, Any]) -> None:
    """recv_ancillary() takes a size or an iterable of buffers."""
    for bad in (None, 1.5, [3], True):
        with pytest.raises(TypeError):
            pair[1].recv_ancillary(bad, SocketAncillary(64))


@pytest.mark.parametrize("flags", [MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_EOR, MSG_CTRUNC, MSG_OOB, 1 << 29, -1, 1 << 40])
def test_flags_that_are_not_for_receiving(pair: tuple[Any, Any], flags: int) -> None:
    """A flag that a receive does not know is ValueError, MSG_ERRQUEUE above all, and nothing is taken."""
    one, two = pair
    one.send(b"kept")
    by_sizes, by_buffers = by_size(two), by_buffer(two)
    if flags == MSG_OOB and isinstance(two, UnixStream):
        # Of a stream these receive it.
        for calls, names in ((by_sizes, ("recv", "try_recv")), (by_buffers, ("recv_into", "try_recv_into"))):
            for name in names:
                del calls[name]
    for receive in by_sizes.values():
        with pytest.raises(ValueError, match="MSG_DONTWAIT"):
            receive(9, flags)
    for receive in by_buffers.values():
        with pytest.raises(ValueError, match="MSG_DONTWAIT"):
            receive(bytearray(9), flags)
    assert bytes_of(two.recv(9)) == b"kept"


@pytest.mark.parametrize("flags", ["1", 1.0, b"1", True])
def test_flags_of_another_type(pair: tuple[Any, Any], flags: Any) -> None:
    """Flags are an int."""
    for receive in by_size(pair[1]).values():
        with pytest.raises(TypeError, match="flags"):
            receive(9, flags)
    for receive in by_buffer(pair[1]).values():
        with pytest.raises(TypeError, match="flags"):
            receive(bytearray(9), flags)


def test_flags_of_the_standard_library(pair: tuple[Any, Any]) -> None:
    """The standard library's constants are flags too."""
    one, two = pair
    assert one.send(b"x", socket.MSG_DONTWAIT) == 1
    assert bytes_of(two.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)) == b"x"
    assert bytes_of(two.recv(1, socket.MSG_DONTWAIT)) == b"x"
    with pytest.raises(BlockingIOError):
        two.recv(1, socket.MSG_DONTWAIT)


def test_flags_of_one_type_only(pair: tuple[Any, Any]) -> None:
    """MSG_WAITALL is for streams and MSG_TRUNC for packets; the other type refuses it."""
    one, two = pair
    one.send(b"1234")
    good, bad = (MSG_WAITALL, MSG_TRUNC) if isinstance(two, UnixStream) else (MSG_TRUNC, MSG_WAITALL)
    with pytest.raises(ValueError, match="flags"):
        two.recv(4, bad)
    with pytest.raises(ValueError, match="flags"):
        two.recv_into(bytearray(4), bad)
    assert bytes_of(two.recv(4, good)) == b"1234"


def test_peek_by_a_flag(pair: tuple[Any, Any]) -> None:
    """MSG_PEEK leaves the message where it is, with every call that takes it."""
    one, two = pair
    one.send(b"stays")
    memory = bytearray(9)
    for _ in range(2):
        assert bytes_of(two.recv(9, MSG_PEEK)) == b"stays"
        assert bytes_of(two.try_recv(9, MSG_PEEK | CLOEXEC)) == b"stays"
        assert count_of(two.recv_into(memory, MSG_PEEK)) == 5
        assert count_of(two.try_recv_into(memory, MSG_PEEK)) == 5
        assert count_of(two.recv_vectored([memory], MSG_PEEK | MSG_DONTWAIT)) == 5
        assert bytes_of(two.recv_fds(9, 1, MSG_PEEK)) == b"stays"
        assert bytes_of(two.recv_ancillary(9, SocketAncillary(64), MSG_PEEK)) == b"stays"
    assert bytes_of(two.recv(9)) == b"stays"


def test_dontwait_by_a_flag(pair: tuple[Any, Any]) -> None:
    """MSG_DONTWAIT raises BlockingIOError on an empty queue, also when there is a timeout."""
    _, two = pair
    for timeout in (None, support.PATIENCE):
        two.set_read_timeout(timeout)
        for name in ("recv", "peek", "recv_fds", "recv_ancillary"):
            with pytest.raises(BlockingIOError):
                by_size(two)[name](1, MSG_DONTWAIT)
        for name in ("recv_into", "recv_vectored", "peek_vectored"):
            with pytest.raises(BlockingIOError):
                by_buffer(two)[name](bytearray(1), MSG_DONTWAIT)


@pytest.mark.parametrize("max_fds", [-1, 254, 10**9])
def test_number_of_descriptors_out_of_range(pair: tuple[Any, Any], max_fds: int) -> None:
    """max_fds is within 0 to 253."""
    for receive in (pair[1].recv_fds, pair[1].try_recv_fds):
        with pytest.raises(ValueError, match="max_fds"):
            receive(1, max_fds)


@pytest.mark.parametrize("max_fds", [None, "1", 1.0, True])
def test_number_of_descriptors_of_another_type(pair: tuple[Any, Any], max_fds: Any) -> None:
    """max_fds is an int."""
    for receive in (pair[1].recv_fds, pair[1].try_recv_fds):
        with pytest.raises(TypeError, match="max_fds"):
            receive(1, max_fds)


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_packet_into_too_many_buffers(kind: Any) -> None:
    """More than IOV_MAX buffers for one packet is ValueError, and the packet stays."""
    one, two = kind.pair()
    with one, two:
        one.send(b"kept")
        for receive in (
            two.recv_vectored,
            two.peek_vectored,
            lambda buffers: two.recv_ancillary(buffers, SocketAncillary(64)),
        ):
            with pytest.raises(ValueError, match=str(IOV_MAX)):
                receive([bytearray(1) for _ in range(IOV_MAX + 1)])
        assert two.recv(9) == (b"kept", False)


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=60), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_scattered_equals_sliced(data: bytes, sizes: list[int]) -> None:
    """Whatever the buffers, they hold the beginning of the packet, piece by piece, and the rest is reported."""
    one, two = UnixDatagram.pair()
    with one, two:
        one.send(data)
        buffers = [bytearray(size) for size in sizes]
        nbytes, truncated = two.recv_vectored(buffers)
        room = sum(sizes)
        assert (nbytes, truncated) == (min(len(data), room), len(data) > room)
        assert b"".join(buffers) == data[:room].ljust(room, b"\0")


WAYS = [vectors.scatter_by_slices, vectors.scatter_by_reading]


@pytest.mark.parametrize("scatter", WAYS)
@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=60), st.lists(st.integers(0, 20), max_size=6))
def test_each_way_of_filling_buffers(scatter: Any, data: bytes, sizes: list[int]) -> None:
    """Both ways fill the buffers piece by piece, without changing their sizes, and say what has no place."""
    buffers = [bytearray(b"." * size) for size in sizes]
    room = sum(sizes)
    if len(data) > room:
        with pytest.raises(BufferError, match=f"{len(data) - room} of {len(data)} bytes have no place"):
            scatter(data, buffers)
    else:
        scatter(data, buffers)
    assert b"".join(buffers) == data[:room].ljust(room, b".")
    assert [len(buffer) for buffer in buffers] == sizes


def test_attempt_that_is_interrupted_is_made_again(
    stream: tuple[UnixStream, UnixStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a call that does not wait says EINTR, try_recv() makes it again and returns what comes then."""
    results = [-errno.EINTR, -errno.EINTR]

    def receive(receiver: Any) -> int:
        return results.pop() if results else lib.uds_receive(receiver)

    monkeypatch.setattr("uds_cffi.stream.receive", receive)
    stream[0].send(b"data")
    assert stream[1].try_recv(9) == b"data"
    results += [-errno.EINTR]
    assert stream[1].try_recv(9) is None
