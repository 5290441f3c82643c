"""Whole amounts on a stream: recv_exactly, sendall and their kin, MSG_WAITALL.

Rule: what takes several calls tells how far it got, in the error that ended it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from typing import Any

import pytest
import support
from blocked import running

from uds_cffi import (
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_WAITALL,
    IncompleteReadError,
    UdsError,
    UnixStream,
)
from uds_cffi import stream as module

LARGE = 10_000_000


def drain(sock: UnixStream) -> bytes:
    """Read to the end of the connection."""
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def asleep(sock: UnixStream) -> None:
    """Return when a thread is in a call on the socket."""
    support.until(lambda: running(sock))


def test_exactly_as_many(stream: tuple[UnixStream, UnixStream]) -> None:
    """recv_exactly() returns as many bytes as asked for, from several sends, and leaves the rest."""
    one, two = stream
    for piece in (b"a", b"bc", b"def"):
        one.send(piece)
    assert two.recv_exactly(5) == b"abcde"
    assert two.recv_exactly(0) == b""
    assert two.recv_exactly(1) == b"f"


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_exactly_waits_for_the_rest(stream: tuple[UnixStream, UnixStream], timeout: float | None) -> None:
    """recv_exactly() waits, with and without a timeout, until the last byte is there."""
    one, two = stream
    two.set_read_timeout(timeout)
    with support.in_thread(two.recv_exactly, 6) as outcome:
        for piece in (b"ab", b"cd", b"ef"):
            asleep(two)
            one.send(piece)
            support.until(lambda: two.unread_bytes() == 0)
    assert outcome == [b"abcdef"]


@pytest.mark.parametrize("before", [b"", b"abc"])
def test_end_before_the_last_byte(stream: tuple[UnixStream, UnixStream], before: bytes) -> None:
    """The end of the connection is IncompleteReadError, which has what came and how much was wanted."""
    one, two = stream
    if before:
        one.send(before)
    one.close()
    with pytest.raises(IncompleteReadError) as caught:
        two.recv_exactly(5)
    error = caught.value
    assert (error.partial, error.expected) == (before, 5)
    assert isinstance(error, (EOFError, UdsError))
    assert str(error) == f"the connection ended after {len(before)} of 5 bytes"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.partial, again.expected) == (IncompleteReadError, before, 5)


def test_timeout_before_the_last_byte(stream: tuple[UnixStream, UnixStream]) -> None:
    """A timeout has what came before it as .partial."""
    one, two = stream
    one.send(b"abc")
    two.set_read_timeout(0.02)
    with pytest.raises(TimeoutError) as caught:
        two.recv_exactly(5)
    assert caught.value.partial == b"abc"  # type: ignore[attr-defined]


def test_time_that_ends_between_two_parts(
    stream: tuple[UnixStream, UnixStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout is the whole call's: a peer that keeps sending a little does not make it longer."""
    one, two = stream
    one.send(b"abc")
    two.set_read_timeout(support.PATIENCE)
    monkeypatch.setattr(module, "is_over", lambda deadline: deadline is not None)
    with pytest.raises(TimeoutError) as caught:
        two.recv_exactly(5)
    assert caught.value.partial == b"abc"  # type: ignore[attr-defined]


def test_kernel_timeout_before_the_last_byte(stream: tuple[UnixStream, UnixStream]) -> None:
    """So has a timeout of the kernel's own."""
    one, two = stream
    one.send(b"abc")
    two.options.receive_timeout = 0.02
    with pytest.raises(TimeoutError) as caught:
        two.recv_exactly(5)
    assert caught.value.partial == b"abc"  # type: ignore[attr-defined]


def test_nothing_yet_before_the_last_byte(stream: tuple[UnixStream, UnixStream]) -> None:
    """On a nonblocking socket BlockingIOError has what came."""
    one, two = stream
    two.set_nonblocking(True)
    for before in (b"", b"abc"):
        one.send(before)
        with pytest.raises(BlockingIOError) as caught:
            two.recv_exactly(5)
        assert caught.value.partial == before  # type: ignore[attr-defined]


def test_reset_before_the_last_byte(stream: tuple[UnixStream, UnixStream]) -> None:
    """A reset has what came before it."""
    one, two = stream
    two.send(b"never read")
    one.send(b"abc")
    one.close()
    with pytest.raises(ConnectionResetError) as caught:
        two.recv_exactly(5)
    assert caught.value.partial == b"abc"  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [-1, -LARGE])
def test_exactly_a_negative_number(stream: tuple[UnixStream, UnixStream], size: int) -> None:
    """A negative size is ValueError."""
    with pytest.raises(ValueError, match="negative"):
        stream[0].recv_exactly(size)


@pytest.mark.parametrize("size", [None, 1.0, "1", True])
def test_exactly_something_else(stream: tuple[UnixStream, UnixStream], size: Any) -> None:
    """A size is an int."""
    with pytest.raises(TypeError, match="size"):
        stream[0].recv_exactly(size)


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_ten_megabytes(stream: tuple[UnixStream, UnixStream], timeout: float | None) -> None:
    """sendall() and recv_exactly() move more than any queue holds, unchanged."""
    one, two = stream
    data = os.urandom(1000) * (LARGE // 1000)
    one.set_write_timeout(timeout)
    two.set_read_timeout(timeout)
    with support.in_thread(two.recv_exactly, LARGE) as outcome:
        one.sendall(data)
    assert outcome == [data]


def test_one_large_send(stream: tuple[UnixStream, UnixStream]) -> None:
    """One blocking send() takes all of ten megabytes, while somebody reads."""
    one, two = stream
    with support.in_thread(drain, two) as outcome:
        assert one.send(bytes(LARGE)) == LARGE
        one.close()
    assert outcome == [bytes(LARGE)]


WHOLE: dict[str, Any] = {
    "sendall": lambda sock, data: sock.sendall(data),
    "a view": lambda sock, data: sock.sendall(memoryview(data)),
    "sendall_vectored": lambda sock, data: sock.sendall_vectored([data[:1], data[1:70_000], b"", data[70_000:]]),
    "many": lambda sock, data: sock.sendall_vectored([data[at : at + 500] for at in range(0, len(data), 500)]),
    "sendall_fds": lambda sock, data: sock.sendall_fds(data, []),
}


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@pytest.mark.parametrize("way", WHOLE)
def test_all_is_sent(stream: tuple[UnixStream, UnixStream], way: str, timeout: float | None) -> None:
    """Each call that sends all sends all, in order, once, and returns None."""
    one, two = stream
    data = b"".join(b"%08d" % number for number in range(100_000))
    one.set_write_timeout(timeout)
    with support.in_thread(two.recv_exactly, len(data)) as outcome:
        assert WHOLE[way](one, data) is None
    assert outcome == [data]
    assert two.try_recv(1) is None


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("mode", ["timeout", "nonblocking"])
def test_how_much_was_sent(stream: tuple[UnixStream, UnixStream], way: str, mode: str) -> None:
    """An error in the middle has how many bytes went as .sent, and so many arrive."""
    one, two = stream
    if mode == "timeout":
        one.set_write_timeout(0.02)
    else:
        one.set_nonblocking(True)
    data = bytes(1_000_000)
    with pytest.raises(TimeoutError if mode == "timeout" else BlockingIOError) as caught:
        WHOLE[way](one, data)
    sent = caught.value.sent  # type: ignore[attr-defined]
    assert 0 < sent < len(data)
    one.close()
    assert len(drain(two)) == sent


@pytest.mark.parametrize("way", WHOLE)
def test_nothing_was_sent(stream: tuple[UnixStream, UnixStream], way: str) -> None:
    """When the first byte already fails .sent is 0."""
    one, two = stream
    two.close()
    with pytest.raises(BrokenPipeError) as caught:
        WHOLE[way](one, bytes(100_000))
    assert caught.value.sent == 0  # type: ignore[attr-defined]


def test_all_with_a_flag(stream: tuple[UnixStream, UnixStream]) -> None:
    """MSG_DONTWAIT ends sendall() when the queue is full, whatever the timeout."""
    one, _ = stream
    one.set_write_timeout(support.PATIENCE)
    with pytest.raises(BlockingIOError) as caught:
        one.sendall(bytes(1_000_000), MSG_DONTWAIT)
    assert caught.value.sent > 0  # type: ignore[attr-defined]


def test_descriptors_go_once(stream: tuple[UnixStream, UnixStream]) -> None:
    """sendall_fds() sends the descriptors with the first byte, however many calls the data takes."""
    one, two = stream
    data = bytes(1_000_000)
    arrived = []
    rest = len(data)
    with support.in_thread(one.sendall_fds, data, [0, 1]):
        while rest:
            received, fds = two.recv_fds(rest, 9)
            fds.close()
            arrived.append(len(fds))
            rest -= len(received)
    assert arrived[0] == 2
    assert sum(arrived) == 2


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@pytest.mark.parametrize("into", [False, True])
def test_waitall(stream: tuple[UnixStream, UnixStream], timeout: float | None, into: bool) -> None:
    """MSG_WAITALL waits until the size is reached, with and without a timeout."""
    one, two = stream
    two.set_read_timeout(timeout)
    memory = bytearray(4)
    receive: Any = (lambda: two.recv_into(memory, MSG_WAITALL)) if into else (lambda: two.recv(4, MSG_WAITALL))
    one.send(b"ab")
    with support.in_thread(receive) as outcome:
        asleep(two)
        one.send(b"cdef")
    assert outcome == [4 if into else b"abcd"]
    assert memory == (b"abcd" if into else bytes(4))
    assert two.recv(9) == b"ef"


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_waitall_at_the_end(stream: tuple[UnixStream, UnixStream], timeout: float | None) -> None:
    """MSG_WAITALL returns less at the end of the connection."""
    one, two = stream
    two.set_read_timeout(timeout)
    one.send(b"ab")
    one.close()
    assert two.recv(4, MSG_WAITALL) == b"ab"
    assert two.recv(4, MSG_WAITALL) == b""


def test_waitall_and_the_deadline(stream: tuple[UnixStream, UnixStream]) -> None:
    """When the time is over MSG_WAITALL returns what came, and raises TimeoutError when that is nothing."""
    one, two = stream
    two.set_read_timeout(0.02)
    memory = bytearray(4)
    for receive in (lambda: two.recv(4, MSG_WAITALL), lambda: two.recv_into(memory, MSG_WAITALL)):
        with pytest.raises(TimeoutError):
            receive()
        one.send(b"ab")
        assert receive() in (b"ab", 2)
    assert memory == b"ab\0\0"


def test_waitall_without_waiting(stream: tuple[UnixStream, UnixStream]) -> None:
    """With MSG_DONTWAIT, and on a nonblocking socket, MSG_WAITALL takes what is there."""
    one, two = stream
    for mode, flags in ((False, MSG_WAITALL | MSG_DONTWAIT), (True, MSG_WAITALL)):
        two.set_nonblocking(mode)
        for timeout in (None, support.PATIENCE):
            two.set_read_timeout(timeout)
            with pytest.raises(BlockingIOError):
                two.recv(4, flags)
            one.send(b"ab")
            assert two.recv(4, flags) == b"ab"


def test_waitall_with_peek(stream: tuple[UnixStream, UnixStream]) -> None:
    """MSG_WAITALL with MSG_PEEK is ValueError: what is peeked stays, so it cannot be waited for."""
    for receive in (lambda flags: stream[0].recv(1, flags), lambda flags: stream[0].recv_into(bytearray(1), flags)):
        with pytest.raises(ValueError, match="MSG_PEEK"):
            receive(MSG_WAITALL | MSG_PEEK)


def test_waitall_stops_behind_descriptors(stream: tuple[UnixStream, UnixStream]) -> None:
    """Bytes that came with descriptors end one receive of the kernel; the library goes on to the full size."""
    one, two = stream
    one.send_fds(b"AA", [0])
    one.send(b"bb")
    assert two.recv_exactly(4) == b"AAbb"
    one.send_fds(b"AA", [0])
    one.send(b"bb")
    two.set_read_timeout(support.PATIENCE)
    assert two.recv(4, MSG_WAITALL) == b"AAbb"


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_waitall_keeps_a_reset(stream: tuple[UnixStream, UnixStream], timeout: float | None) -> None:
    """A reset behind some bytes is reported with them; the kernel's own MSG_WAITALL would forget it."""
    one, two = stream
    two.send(b"never read")
    two.set_read_timeout(timeout)
    one.send(b"abc")
    one.close()
    with pytest.raises(ConnectionResetError) as caught:
        two.recv(5, MSG_WAITALL)
    assert caught.value.partial == b"abc"  # type: ignore[attr-defined]


def test_waitall_into_memory_keeps_a_reset(stream: tuple[UnixStream, UnixStream]) -> None:
    """Received into memory, the number of bytes before the reset is .nbytes."""
    one, two = stream
    two.send(b"never read")
    one.send(b"abc")
    one.close()
    memory = bytearray(5)
    with pytest.raises(ConnectionResetError) as caught:
        two.recv_into(memory, MSG_WAITALL)
    assert caught.value.nbytes == 3  # type: ignore[attr-defined]
    assert memory == b"abc\0\0"


def test_interrupted_reader_keeps_what_came(stream: tuple[UnixStream, UnixStream]) -> None:
    """After a timeout the stream goes on where recv_exactly() stopped."""
    one, two = stream
    one.send(b"first ")
    two.set_read_timeout(0.01)
    partial = b""
    with contextlib.suppress(TimeoutError):
        try:
            two.recv_exactly(12)
        except TimeoutError as error:
            partial = error.partial  # type: ignore[attr-defined]
            raise
    one.send(b"second")
    assert partial + two.recv_exactly(6) == b"first second"
