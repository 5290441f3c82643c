"""Sending: kinds of data, several buffers, flags.

Rule: whatever is wrong with an argument is said before the kernel is asked, so that nothing is half sent.
"""

from __future__ import annotations

import array
import ctypes
import errno
import mmap
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import (
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SHUT_WR,
    SocketAncillary,
    UnixDatagram,
    UnixStream,
    lib,
)

IOV_MAX = lib.IOV_MAX


def senders(sock: Any) -> dict[str, Any]:
    """Name every call that sends, with one argument for the data and one for flags."""
    nothing = SocketAncillary(64)
    calls = {
        "send": sock.send,
        "try_send": sock.try_send,
        "send_vectored": lambda data, *flags: sock.send_vectored([data], *flags),
        "send_fds": lambda data, *flags: sock.send_fds(data, [0], *flags),
        "try_send_fds": lambda data, *flags: sock.try_send_fds(data, [0], *flags),
        "send_ancillary": lambda data, *flags: sock.send_ancillary([data], nothing, *flags),
    }
    if isinstance(sock, UnixStream):
        calls["sendall"] = sock.sendall
        calls["sendall_vectored"] = lambda data, *flags: sock.sendall_vectored([data], *flags)
        calls["sendall_fds"] = lambda data, *flags: sock.sendall_fds(data, [0], *flags)
    return calls


def received(sock: Any) -> bytes:
    result = sock.try_recv(1000)
    assert result is not None
    data = result if isinstance(result, bytes) else result.data
    assert isinstance(data, bytes)
    return data


class Text(bytes):
    """Bytes of a subclass."""


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 4096)
    memory[:4] = b"mmap"
    return memory


KINDS: dict[str, tuple[Any, bytes]] = {
    "bytes": (b"data", b"data"),
    "subclass": (Text(b"text"), b"text"),
    "bytearray": (bytearray(b"array"), b"array"),
    "memoryview": (memoryview(b"012345")[2:5], b"234"),
    "readonly": (memoryview(bytearray(b"read")).toreadonly(), b"read"),
    "array": (array.array("i", [1, 2]), array.array("i", [1, 2]).tobytes()),
    "doubles": (memoryview(array.array("d", [0.5])), array.array("d", [0.5]).tobytes()),
    "shape": (memoryview(bytes(range(6))).cast("B", (2, 3)), bytes(range(6))),
    "ctypes": ((ctypes.c_char * 3)(b"a", b"b", b"c"), b"abc"),
    "ctypes rows": (((ctypes.c_uint8 * 2) * 2)((1, 2), (3, 4)), b"\1\2\3\4"),
    "ctypes number": (ctypes.c_uint8(65), b"A"),
    "empty array": (array.array("i"), b""),
}
if sys.implementation.name == "cpython":
    # PyPy 7.3.11 divides by zero in the memoryview() of this one.
    KINDS["empty rows"] = (((ctypes.c_int * 0) * 3)(), b"")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_buffer(pair: tuple[Any, Any], kind: str) -> None:
    """Any contiguous bytes-like object is sent as the bytes that it holds, by every call."""
    one, two = pair
    data, expected = KINDS[kind]
    for name, send in senders(one).items():
        if not expected and (isinstance(one, UnixStream) or "_fds" in name):
            continue
        assert (name, send(data)) in ((name, len(expected)), (name, None))
        assert (name, received(two)) == (name, expected)


def test_mapped_memory(pair: tuple[Any, Any]) -> None:
    """A mapping is sent from its memory, and is not kept exported."""
    one, two = pair
    memory = mapped()
    assert one.send(memoryview(memory)[:4]) == 4
    memory.close()
    assert received(two) == b"mmap"


@pytest.mark.parametrize("data", ["text", None, 3, 1.5, [b"x"], object(), {b"x"}])
def test_what_is_no_buffer(pair: tuple[Any, Any], data: Any) -> None:
    """What is not bytes-like is TypeError, and nothing is sent."""
    one, two = pair
    for send in senders(one).values():
        with pytest.raises(TypeError):
            send(data)
    assert two.try_recv(9) is None


def test_buffer_with_gaps(pair: tuple[Any, Any]) -> None:
    """A buffer that is not contiguous is BufferError, and nothing is sent."""
    one, two = pair
    for send in senders(one).values():
        with pytest.raises(BufferError, match="contiguous"):
            send(memoryview(b"abcdef")[::2])
    assert two.try_recv(9) is None


def test_buffers_are_exported_for_one_call(pair: tuple[Any, Any]) -> None:
    """A bytearray can be resized after each call, also after one that failed."""
    one, _ = pair
    data = bytearray(b"x")
    for closes in (False, True):
        if closes:
            one.shutdown(SHUT_WR)
        for send in senders(one).values():
            try:
                send(data)
            except BrokenPipeError:
                assert closes
            data.append(0)
    with pytest.raises(TypeError):
        one.send_vectored([data, "not bytes"])
    data.append(0)


@pytest.mark.parametrize("single", [b"bytes", bytearray(b"bytearray"), memoryview(b"view"), "text"])
def test_one_buffer_is_no_list(pair: tuple[Any, Any], single: Any) -> None:
    """A single buffer where several are expected is TypeError; it would be taken for a list of ints."""
    one, two = pair
    vectored = [one.send_vectored, lambda data: one.send_ancillary(data, SocketAncillary(64))]
    if isinstance(one, UnixStream):
        vectored.append(one.sendall_vectored)
    for send in vectored:
        with pytest.raises(TypeError, match="iterable of buffers"):
            send(single)
    assert two.try_recv(9) is None


@pytest.mark.parametrize("buffers", [3, None, [None], [b"x", "y"], [[b"x"]]])
def test_list_of_something_else(pair: tuple[Any, Any], buffers: Any) -> None:
    """What is no iterable of bytes-like objects is TypeError, and nothing is sent."""
    one, two = pair
    with pytest.raises(TypeError):
        one.send_vectored(buffers)
    assert two.try_recv(9) is None


def test_iterator_that_raises(pair: tuple[Any, Any]) -> None:
    """What the caller's iterator raises is passed on, and nothing is sent or kept exported."""
    one, two = pair
    data = bytearray(b"x")

    def buffers() -> Iterator[bytearray]:
        yield data
        raise LookupError("from the iterator")

    with pytest.raises(LookupError, match="from the iterator"):
        one.send_vectored(buffers())
    data.append(0)
    assert two.try_recv(9) is None


def test_no_buffers(pair: tuple[Any, Any]) -> None:
    """No buffers are no bytes: nothing on a stream, an empty packet otherwise."""
    one, two = pair
    for buffers in ([], (), iter([]), [b""], [b"", bytearray()]):
        assert one.send_vectored(buffers) == 0
        assert two.try_recv(9) == (None if isinstance(one, UnixStream) else (b"", False))


def test_no_bytes(pair: tuple[Any, Any]) -> None:
    """Sending b"" is nothing on a stream, and an empty packet otherwise."""
    one, two = pair
    assert one.send(b"") == 0
    assert one.try_send(b"") == 0
    expected = None if isinstance(one, UnixStream) else (b"", False)
    assert [two.try_recv(9), two.try_recv(9), two.try_recv(9)] == [expected, expected, None]


BAD_FLAGS = [MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_CTRUNC, 0x2000, MSG_OOB, 1 << 29, -1, 1 << 40]


@pytest.mark.parametrize("flags", BAD_FLAGS)
def test_flags_that_are_not_for_sending(pair: tuple[Any, Any], flags: int) -> None:
    """A flag that a send does not know is ValueError, which names those that it does, and nothing is sent."""
    one, two = pair
    for name, send in senders(one).items():
        if flags == MSG_OOB and isinstance(one, UnixStream) and name in ("send", "try_send", "sendall"):
            # These send it on a stream.
            continue
        with pytest.raises(ValueError, match="MSG_DONTWAIT"):
            send(b"x", flags)
    assert two.try_recv(9) is None


@pytest.mark.parametrize("flags", ["1", 1.0, b"1", True])
def test_flags_of_another_type(pair: tuple[Any, Any], flags: Any) -> None:
    """Flags are an int."""
    for send in senders(pair[0]).values():
        with pytest.raises(TypeError, match="flags"):
            send(b"x", flags)


def test_flags_that_change_nothing_here(pair: tuple[Any, Any]) -> None:
    """MSG_NOSIGNAL and MSG_EOR are set anyway, or mean nothing, and may be given."""
    one, two = pair
    for flags in (MSG_NOSIGNAL, MSG_EOR, MSG_NOSIGNAL | MSG_EOR | MSG_DONTWAIT):
        for send in senders(one).values():
            send(b"x", flags)
            assert received(two) == b"x"


def test_packet_that_is_too_large() -> None:
    """A packet larger than the send buffer allows is EMSGSIZE, by every call."""
    one, two = UnixDatagram.pair(options={"send_buffer": 5000})
    with one, two:
        for send in senders(one).values():
            with support.raises_errno(errno.EMSGSIZE):
                send(bytes(20_000))
        assert two.try_recv(9) is None


@pytest.mark.parametrize("count", [IOV_MAX - 1, IOV_MAX])
def test_as_many_buffers_as_the_kernel_takes(pair: tuple[Any, Any], count: int) -> None:
    """Up to IOV_MAX buffers are one message."""
    one, two = pair
    assert one.send_vectored([b"x"] * count) == count
    assert two.try_recv(5000) in (b"x" * count, (b"x" * count, False))


@pytest.mark.parametrize("kind", support.PACKET_TYPES)
def test_more_buffers_than_a_packet_takes(kind: Any) -> None:
    """More than IOV_MAX buffers cannot be one packet: ValueError before the call, even for empty ones."""
    one, two = kind.pair()
    with one, two:
        with pytest.raises(ValueError, match=str(IOV_MAX)):
            one.send_vectored([b"x"] * (IOV_MAX + 1))
        with pytest.raises(ValueError, match=str(IOV_MAX)):
            one.send_ancillary([b""] * (IOV_MAX + 1), SocketAncillary(64))
        assert two.try_recv(9) is None


@pytest.mark.parametrize("count", [IOV_MAX + 1, 3 * IOV_MAX, 3 * IOV_MAX + 7])
def test_more_buffers_than_one_call_takes(stream: tuple[UnixStream, UnixStream], count: int) -> None:
    """On a stream more than IOV_MAX buffers are sent in several calls, and all arrive in order."""
    one, two = stream
    buffers = [b"%d," % number for number in range(count)]
    whole = b"".join(buffers)
    with support.in_thread(two.recv_exactly, len(whole)) as outcome:
        assert one.send_vectored(iter(buffers)) == len(whole)
    assert outcome == [whole]
    with support.in_thread(two.recv_exactly, len(whole)) as outcome:
        one.sendall_vectored(buffers)
    assert outcome == [whole]


def test_only_the_first_piece_falls_short(stream: tuple[UnixStream, UnixStream]) -> None:
    """When the first IOV_MAX buffers go only in part, send_vectored() returns at once, as send() does."""
    one, two = stream
    one.set_nonblocking(True)
    buffers = [bytes(1000)] * (2 * IOV_MAX)
    sent = one.send_vectored(buffers)
    assert 0 < sent < 1000 * IOV_MAX
    assert len(two.recv_exactly(sent)) == sent
    assert two.try_recv(1) is None


def test_error_behind_the_first_piece(stream: tuple[UnixStream, UnixStream]) -> None:
    """When a later piece would block, what went before is the result, and the next call raises."""
    one, two = stream
    one.set_nonblocking(True)
    buffers = [b"x"] * IOV_MAX + [bytes(10_000)] * IOV_MAX
    sent = one.send_vectored(buffers)
    assert IOV_MAX < sent < 10_000 * IOV_MAX
    with pytest.raises(BlockingIOError):
        one.send_vectored([b"x"])
    assert len(two.recv_exactly(sent)) == sent


def test_descriptors_need_a_byte_on_a_stream(stream: tuple[UnixStream, UnixStream]) -> None:
    """Descriptors without data are refused on a stream, where the kernel would drop them."""
    one, two = stream
    with SocketAncillary(64) as ancillary:
        ancillary.add_fds([0])
        for send in (
            lambda: one.send_fds(b"", [0]),
            lambda: one.try_send_fds(b"", [0]),
            lambda: one.sendall_fds(b"", [0]),
            lambda: one.send_ancillary([b"", b""], ancillary),
        ):
            with pytest.raises(ValueError, match="at least one byte"):
                send()
    assert two.try_recv(9) is None
    assert one.send_fds(b"", []) == 0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=40), max_size=12))
def test_vectored_equals_joined(pieces: list[bytes]) -> None:
    """Whatever the pieces, what arrives is their concatenation."""
    one, two = UnixDatagram.pair()
    with one, two:
        assert one.send_vectored(pieces) == sum(map(len, pieces))
        assert two.recv(1000) == (b"".join(pieces), False)
