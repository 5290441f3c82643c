"""One message and all it points to.

Rule: a caller's buffers are exported for one call only, whatever becomes of it.
"""

from __future__ import annotations

import errno
import gc
import io
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from mmap import mmap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import FramedStream, FrameError, SocketAncillary, UnixDatagram, UnixStream, ffi, lib
from uds_cffi.message import Incoming, Outgoing, check_list

IOV_MAX = lib.IOV_MAX


@pytest.fixture
def pair() -> Iterator[tuple[UnixStream, UnixStream]]:
    """Make a pair of streams that never wait."""
    one, two = UnixStream.pair(nonblocking=True)
    with one, two:
        yield one, two


def points_to(message: Outgoing) -> bytes:
    """Read what the next attempt would send."""
    header = message._message
    pieces = [header.msg_iov[place] for place in range(header.msg_iovlen)]
    return b"".join(bytes(ffi.buffer(piece.iov_base, piece.iov_len)) for piece in pieces)


# --- Lists of buffers ---------------------------------------------------------------------------


@pytest.mark.parametrize("one", [b"x", bytearray(b"x"), memoryview(b"x"), "x", array("i", [1]), mmap(-1, 1)])
def test_one_buffer_is_no_list(one: Any) -> None:
    """A single buffer, or a text, would be taken for a sequence: TypeError; on PyPy an mmap for one of bytes."""
    with pytest.raises(TypeError, match=f"needed, not {type(one).__name__}"):
        check_list(one)


@pytest.mark.parametrize("several", [[], (), [b"x"], iter([b"x"])])
def test_lists_are_lists(several: Any) -> None:
    """Any other iterable may hold buffers."""
    assert check_list(several) is None


@pytest.mark.parametrize("buffers", [None, 5, [5], [None], ["text"], [b"x", [b"y"]]])
def test_what_holds_no_buffers(buffers: Any) -> None:
    """Something that is not iterable, or holds no bytes, is a TypeError."""
    with pytest.raises(TypeError):
        Outgoing(buffers)


# --- Exports end with the call ------------------------------------------------------------------


def resizable(*buffers: bytearray) -> bool:
    """Tell whether nothing exports these: CPython and PyPy 8 refuse to resize what is exported."""
    for buffer in buffers:
        buffer.append(0)
        del buffer[-1]
    return True


@contextmanager
def itself(data: bytearray) -> Iterator[bytearray]:
    """Give the bytearray to the calls."""
    yield data


@contextmanager
def as_view(data: bytearray) -> Iterator[memoryview]:
    """Give the calls a memoryview of it, which cannot be released either while something exports it."""
    with memoryview(data) as view:
        yield view


@contextmanager
def as_rows(data: bytearray) -> Iterator[memoryview]:
    """Give the calls a memoryview of two dimensions."""
    with memoryview(data) as view, view.cast("B", (2, 2)) as rows:
        yield rows


every_form = pytest.mark.parametrize("form", [itself, as_view, as_rows])
Form = Callable[[bytearray], AbstractContextManager[Any]]


@every_form
def test_exports_end_after_a_call(pair: tuple[UnixStream, UnixStream], form: Form) -> None:
    """After each kind of call the caller's buffers are free again."""
    one, two = pair
    data, room = bytearray(b"data"), bytearray(4)
    ancillary = SocketAncillary(64)
    with form(data) as given:
        one.send(given)
        one.try_send(given)
        one.sendall(given)
        one.send_vectored([given, given])
        one.sendall_vectored([given])
        one.send_fds(given, [])
        one.sendall_fds(given, [])
        one.send_ancillary([given], ancillary)
    assert resizable(data)
    with form(room) as given:
        two.recv_into(given)
        two.try_recv_into(given)
        two.recv_vectored([given])
        two.peek_vectored([given])
        two.recv_ancillary([given], ancillary)
    assert resizable(room)


@every_form
def test_exports_end_after_a_failure(pair: tuple[UnixStream, UnixStream], form: Form) -> None:
    """After a call that failed they are free too, whatever the kernel or the library refused."""
    one, two = pair
    data, room = bytearray(b"data"), bytearray(4)
    ancillary = SocketAncillary(64)
    with form(room) as given:
        for receive in (
            lambda: two.recv_into(given),
            lambda: two.recv_vectored([given]),
            lambda: two.recv_ancillary([given], ancillary),
        ):
            with pytest.raises(BlockingIOError):
                receive()
    two.close()
    with form(data) as given:
        for send in (
            lambda: one.send(given),
            lambda: one.sendall(given),
            lambda: one.send_vectored([given]),
            lambda: one.sendall_vectored([given]),
            lambda: one.send_fds(given, []),
            lambda: one.send_ancillary([given], ancillary),
        ):
            with pytest.raises(BrokenPipeError):
                send()
    assert resizable(data, room)


def test_memory_that_may_move(pair: tuple[UnixStream, UnixStream]) -> None:
    """PyPy has no address for the buffer of a BytesIO: it is sent all the same, and a receive into it loses nothing."""
    one, two = pair
    file = io.BytesIO(b"data")
    with file.getbuffer() as given:
        assert one.send(given) == 4
        assert one.send_vectored([given, given]) == 8
        try:
            received = two.recv_into(given)
        except TypeError:
            assert sys.implementation.name == "pypy"
            received = 0
    assert len(two.recv(100)) == 12 - received


@every_form
def test_exports_end_after_a_copy(pair: tuple[UnixStream, UnixStream], form: Form) -> None:
    """What the library copies is free as well, whether it was accepted or refused."""
    one, two = pair
    data = bytearray(b"data")
    ancillary = SocketAncillary(64)
    framed = FramedStream(one, max_size=3)
    with form(data) as given:
        ancillary.add(lib.SOL_SOCKET, lib.SCM_RIGHTS, given)
        one.set_option(lib.SOL_SOCKET, lib.SO_RCVBUF, given)
        with pytest.raises(FrameError):
            framed.send_message(given)
    sender, receiver = UnixDatagram.pair()
    with sender, receiver, form(data) as given:
        assert sender.send_batch([given, given]) == 2
    assert resizable(data)
    with pytest.raises(BlockingIOError):
        two.recv(1)


def test_exports_end_when_a_later_buffer_is_refused() -> None:
    """When one buffer of several cannot be used, the error says which, and the ones before it are free."""
    data = bytearray(b"data")
    with pytest.raises(TypeError, match="buffer 1 is bytes: a writable"):
        Incoming([data, b"read-only"])
    with pytest.raises(TypeError, match="buffer 1 is str: "):
        Outgoing([data, "text"])
    with pytest.raises(BufferError, match=r"buffer 0 is memoryview: .* not contiguous"):
        Outgoing([memoryview(b"gaps")[::2]])

    def interrupted() -> Iterator[bytearray]:
        yield data
        raise KeyboardInterrupt

    for make in (Incoming, Outgoing):
        with pytest.raises(KeyboardInterrupt):
            make(interrupted())
    assert resizable(data)


def test_buffers_that_nobody_else_keeps() -> None:
    """Buffers that a generator makes and forgets live as long as the call."""
    one, two = UnixDatagram.pair()

    def made() -> Iterator[Any]:
        for place in range(200):
            yield bytes([place]) * 50 if place % 2 else bytearray([place]) * 50
            if place % 50 == 0:
                gc.collect()

    with one, two:
        one.send_vectored(made())
        assert two.recv_packet() == b"".join(bytes([place]) * 50 for place in range(200))


# --- Going on after a short send ----------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=8), max_size=12), st.lists(st.integers(0, 20), max_size=12))
def test_rest_after_a_short_send(buffers: list[bytes], steps: list[int]) -> None:
    """After each part that went, the message points to exactly the rest."""
    rest = b"".join(buffers)
    with Outgoing(buffers) as message:
        assert points_to(message) == rest
        for step in steps:
            sent = min(step, len(rest))
            message.advance(sent)
            rest = rest[sent:]
            assert message.size == len(rest)
            assert message.piece() == len(rest)
            assert points_to(message) == rest


def test_rest_of_more_buffers_than_one_call_takes() -> None:
    """A message of many buffers is sent in pieces of at most IOV_MAX."""
    buffers = [bytes([place % 251]) * 2 for place in range(2 * IOV_MAX + 3)]
    rest = b"".join(buffers)
    with Outgoing(buffers) as message:
        assert message.piece() == 2 * IOV_MAX
        assert points_to(message) == rest[: 2 * IOV_MAX]
        while message.size:
            sent = min(message.piece(), 777)
            message.advance(sent)
            rest = rest[sent:]
            assert rest.startswith(points_to(message))
            assert message._message.msg_iovlen <= IOV_MAX
        assert rest == b""


def test_ancillary_data_goes_once(pair: tuple[UnixStream, UnixStream]) -> None:
    """After the first part the message has no ancillary data any more."""
    one, _ = pair
    ancillary = SocketAncillary(64)
    ancillary.add_fds([one])
    with Outgoing([b"data"], None, ancillary) as message:
        assert message.carries_fds
        message.advance(1)
        assert not message.carries_fds


def test_descriptors_among_other_messages(pair: tuple[UnixStream, UnixStream]) -> None:
    """A message carries descriptors when any of its control messages does."""
    one, _ = pair
    ancillary = SocketAncillary(256)
    ancillary.add(12345, lib.SCM_RIGHTS, b"another level")
    ancillary.add(lib.SOL_SOCKET, 12345, b"another type")
    with Outgoing([], None, ancillary) as message:
        assert not message.carries_fds
    ancillary.add_fds([one])
    with Outgoing([], None, ancillary) as message:
        assert message.carries_fds
    with Outgoing([], None, SocketAncillary(64)) as message:
        assert not message.carries_fds


# --- The C functions below, which check what they are given --------------------------------------


@pytest.mark.parametrize("count", [-1, 254])
def test_impossible_number_of_descriptors(pair: tuple[UnixStream, UnixStream], count: int) -> None:
    """C refuses a count that does not fit its memory: EINVAL."""
    one, two = pair
    numbers = ffi.new("int[]", 254)
    result = lib.uds_handle_send_fds(one._handle, b"x", 1, 0, ffi.NULL, 0, numbers, ffi.NULL, count)
    assert result == -errno.EINVAL
    assert two.try_recv(1) is None


def test_closed_owner_among_others(pair: tuple[UnixStream, UnixStream]) -> None:
    """C refuses an owner that was closed meanwhile, lets go of the others, and sends nothing."""
    one, two = pair
    closed, other = UnixStream.pair()
    with other:
        closed.close()
        numbers = [other.fileno(), other.fileno()]
        owners = [other._handle, closed._handle]
        result = lib.uds_handle_send_fds(one._handle, b"x", 1, 0, ffi.NULL, 0, numbers, owners, 2)
        assert result == -errno.EBADF
        assert lib.uds_handle_users(other._handle) == 0
        assert two.try_recv(1) is None
