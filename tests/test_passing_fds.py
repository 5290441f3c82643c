"""Descriptors that travel with a message, on every type of socket.

Rules: nothing is lost silently, nothing is sent twice, and what arrives is owned or closed.  That nothing is left open
is what the census around every test proves.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from typing import Any

import passing
import pytest
import support
from blocked import running

from uds_cffi import (
    MSG_DONTWAIT,
    MSG_PEEK,
    AncillaryTruncated,
    OwnedFd,
    UnixStream,
    lib,
)

MOST = 253


def test_descriptors_arrive_in_order(pair: tuple[Any, Any], files: list[int]) -> None:
    """What is sent arrives with its bytes, in order, close-on-exec."""
    one, two = pair
    assert one.send_fds(b"data", [*files, files[0]]) == 4
    data, fds = passing.receive(two, 100, 3)
    with fds:
        assert data == b"data"
        assert passing.same(fds, [*files, files[0]])
        assert not any(os.get_inheritable(number) for number in fds.numbers())


def test_253_descriptors_at_once(pair: tuple[Any, Any], files: list[int]) -> None:
    """As many as the kernel passes in one message arrive."""
    one, two = pair
    originals = [files[place % 2] for place in range(MOST)]
    assert one.send_fds(b"x", originals) == 1
    data, fds = passing.receive(two, 1, MOST)
    with fds:
        assert data == b"x"
        assert passing.same(fds, originals)


def test_254_descriptors_are_refused(pair: tuple[Any, Any], files: list[int]) -> None:
    """One more is a ValueError, and nothing was sent: the kernel was not asked."""
    one, two = pair
    with pytest.raises(ValueError, match="254 descriptors are more than the 253"):
        one.send_fds(b"x", [files[0]] * 254)
    with pytest.raises(BlockingIOError):
        two.recv(1, MSG_DONTWAIT)


def test_message_without_descriptors(pair: tuple[Any, Any]) -> None:
    """No descriptors in, no descriptors out."""
    one, two = pair
    assert one.send_fds(b"data", []) == 4
    data, fds = passing.receive(two, 100, MOST)
    assert (data, len(fds)) == (b"data", 0)


def test_sender_may_close_at_once(pair: tuple[Any, Any]) -> None:
    """A descriptor in flight stays open though the sender closed its own."""
    one, two = pair
    read, write = os.pipe()
    os.write(write, b"kept")
    os.close(write)
    one.send_fds(b"x", [read])
    os.close(read)
    with passing.receive(two, 1, 1)[1] as fds:
        assert os.read(fds.numbers()[0], 10) == b"kept"


# --- What counts as a descriptor ----------------------------------------------------------------


def test_arguments_are_ints_and_objects_with_fileno(pair: tuple[Any, Any], files: list[int]) -> None:
    """Ints, files, sockets of both libraries and OwnedFd may be mixed."""
    one, two = pair
    with tempfile.TemporaryFile() as file, OwnedFd(os.dup(files[1])) as owner, socket.socket(socket.AF_UNIX) as other:
        originals = [files[0], file, owner, other, one]
        one.send_fds(b"x", (item for item in originals))
        with passing.receive(two, 1, MOST)[1] as fds:
            numbers = [item if isinstance(item, int) else item.fileno() for item in originals]
            assert passing.same(fds, numbers)


def test_received_set_can_be_sent_on(pair: tuple[Any, Any], files: list[int]) -> None:
    """An OwnedFds is an argument too; it keeps what it has, and so do those that were taken from it."""
    one, two = pair
    one.send_fds(b"x", files)
    with passing.receive(two, 1, MOST)[1] as fds, fds[1] as taken:
        one.send_fds(b"x", fds)
        with passing.receive(two, 1, MOST)[1] as again:
            assert passing.same(again, files)
        assert passing.same(fds, files)
        assert not taken.closed


@pytest.mark.parametrize("bad", [True, "3", 3.0, None, b"3", [3], object()])
def test_what_is_no_descriptor_is_refused(pair: tuple[Any, Any], files: list[int], bad: Any) -> None:
    """Anything else is a TypeError that says which one, and nothing was sent."""
    one, two = pair
    with pytest.raises(TypeError, match=f"descriptor 1 is {type(bad).__name__}"):
        one.send_fds(b"x", [files[0], bad])
    with pytest.raises(BlockingIOError):
        two.recv(1, MSG_DONTWAIT)


class Liar:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def fileno(self) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [None, True, "3", 3.0])
def test_fileno_that_is_no_int_is_refused(stream: tuple[UnixStream, UnixStream], answer: Any) -> None:
    """A fileno() that returns no int makes no descriptor of an object."""
    with pytest.raises(TypeError, match="descriptor 0 is Liar"):
        stream[0].send_fds(b"x", [Liar(answer)])


@pytest.mark.parametrize("bad", [3, "3", b"3", bytearray(b"3"), None, Liar(0), True])
def test_one_descriptor_where_several_are_expected(stream: tuple[UnixStream, UnixStream], bad: Any) -> None:
    """A lone descriptor, or bytes, are no iterable of descriptors."""
    with pytest.raises(TypeError):
        stream[0].send_fds(b"x", bad)


@pytest.mark.parametrize("method", ["send_fds", "try_send_fds", "sendall_fds"])
def test_closed_owners_are_refused(stream: tuple[UnixStream, UnixStream], files: list[int], method: str) -> None:
    """An object of this library that is closed is EBADF, and nothing was sent."""
    one, two = stream
    owner = OwnedFd(os.dup(files[0]))
    owner.close()
    with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
        getattr(one, method)(b"x", [files[1], owner])
    assert two.try_recv(1) is None


def test_closed_members_of_a_set_are_refused(stream: tuple[UnixStream, UnixStream], files: list[int]) -> None:
    """An OwnedFds of which something was closed is EBADF too."""
    one, two = stream
    one.send_fds(b"x", files)
    with two.recv_fds(1, 2)[1] as fds:
        fds[0].close()
        with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
            one.send_fds(b"x", fds)
    assert two.try_recv(1) is None


def test_numbers_that_are_not_open_are_refused(pair: tuple[Any, Any], files: list[int]) -> None:
    """A number that is not open is EBADF from the kernel, and nothing was sent."""
    one, two = pair
    with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
        one.send_fds(b"x", [files[0], 1_000_000])
    with pytest.raises(BlockingIOError):
        two.recv(1, MSG_DONTWAIT)


def test_negative_numbers_are_refused(stream: tuple[UnixStream, UnixStream], files: list[int]) -> None:
    """A negative number is a ValueError, and the fileno() of something closed, or what no descriptor can be, EBADF."""
    with pytest.raises(ValueError, match="descriptor 1 is -1"):
        stream[0].send_fds(b"x", [files[0], -1])
    closed = socket.socket(socket.AF_UNIX)
    closed.close()
    for bad in (closed, 2**31):
        with support.raises_errno(errno.EBADF):
            stream[0].send_fds(b"x", [files[0], bad])


def test_descriptor_is_held_while_it_is_sent(stream: tuple[UnixStream, UnixStream], files: list[int]) -> None:
    """An owner that is closed while the send waits stays open until the send is done: the right file arrives."""
    one, two = stream
    one.options.send_buffer = 4096
    while one.try_send(b"x" * 1024):
        pass
    owner = OwnedFd(os.dup(files[0]))
    with support.in_thread(one.send_fds, b"y", [owner]) as sent:
        support.until(lambda: running(owner) == 1)
        owner.close()
        received = [b""]
        while not received[-1].endswith(b"y"):
            data, fds = two.recv_fds(65536, 1)
            received.append(data)
        with fds:
            assert passing.same(fds, files[:1])
    assert sent == [1]


# --- Arguments of a receive ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_fds", "expected"), [(-1, ValueError), (254, ValueError), (True, TypeError), (None, TypeError)]
)
def test_bad_max_fds(pair: tuple[Any, Any], files: list[int], max_fds: Any, expected: type[Exception]) -> None:
    """max_fds is an int within 0 to 253; what was sent stays in the queue."""
    one, two = pair
    one.send_fds(b"x", files)
    with pytest.raises(expected, match="max_fds"):
        two.recv_fds(1, max_fds)
    with passing.receive(two, 1, 2)[1] as fds:
        assert passing.same(fds, files)


@pytest.mark.parametrize(
    ("size", "expected"), [(-1, ValueError), (True, TypeError), ("1", TypeError), (None, TypeError)]
)
def test_bad_size(pair: tuple[Any, Any], size: Any, expected: type[Exception]) -> None:
    """A size is an int that is not negative."""
    with pytest.raises(expected, match="size in bytes"):
        pair[1].recv_fds(size, 1)


@pytest.mark.parametrize("name", ["MSG_ERRQUEUE", "MSG_OOB", "MSG_WAITALL", "MSG_TRUNC"])
def test_flags_that_recv_fds_does_not_take(pair: tuple[Any, Any], files: list[int], name: str) -> None:
    """Flags that would eat or hide something are refused, and the message stays in the queue."""
    one, two = pair
    one.send_fds(b"x", files)
    # MSG_ERRQUEUE is -1 where it is absent; a bit that nobody knows is refused as well.
    flag = max(getattr(lib, name), 0) or 0x2000_0000
    with pytest.raises(ValueError, match="not for this call"):
        two.recv_fds(1, 2, flag)
    with passing.receive(two, 1, 2)[1] as fds:
        assert passing.same(fds, files)


def test_try_send_fds_sends_at_once(pair: tuple[Any, Any], files: list[int]) -> None:
    """try_send_fds() sends what send_fds() does, also without descriptors."""
    one, two = pair
    for originals in (files, []):
        assert one.try_send_fds(b"data", originals) == 4
        data, fds = passing.receive(two, 100, 2)
        with fds:
            assert data == b"data"
            assert passing.same(fds, originals)


def test_try_recv_fds_of_nothing(pair: tuple[Any, Any], files: list[int]) -> None:
    """try_recv_fds() returns None when nothing is there, and else what recv_fds() does."""
    one, two = pair
    assert two.try_recv_fds(1, 1) is None
    one.send_fds(b"x", files)
    result = two.try_recv_fds(1, 2)
    with result[-1] as fds:
        assert result[0] == b"x"
        assert passing.same(fds, files)


def test_plain_receives_drop_descriptors(pair: tuple[Any, Any], files: list[int]) -> None:
    """recv() and recv_into() discard descriptors by contract: none is left open, and the bytes are there."""
    one, two = pair
    one.send_fds(b"x", files)
    one.send_fds(b"y", files)
    assert two.recv(1) in (b"x", (b"x", False))
    buffer = bytearray(1)
    two.recv_into(buffer)
    assert buffer == b"y"


# --- Peeking ------------------------------------------------------------------------------------


def test_peeking_opens_them_anew(pair: tuple[Any, Any], files: list[int]) -> None:
    """Each peek brings descriptors of its own, and the message stays in the queue with them."""
    one, two = pair
    one.send_fds(b"data", files)
    first, second = passing.receive(two, 4, 2, MSG_PEEK), passing.receive(two, 4, 2, MSG_PEEK)
    final = passing.receive(two, 4, 2)
    with first[1], second[1], final[1]:
        numbers = first[1].numbers() + second[1].numbers() + final[1].numbers()
        assert len(set(numbers)) == 6
        assert first[0] == second[0] == final[0] == b"data"
        assert all(passing.same(fds, files) for _, fds in (first, second, final))


def test_peeking_with_too_little_room_leaks_nothing(pair: tuple[Any, Any], files: list[int]) -> None:
    """A peek closes its own surplus; the message still has them all."""
    one, two = pair
    one.send_fds(b"data", files)
    with pytest.raises(AncillaryTruncated) as caught:
        two.recv_fds(4, 1, MSG_PEEK)
    with caught.value.fds as fds:
        assert (len(fds), caught.value.lost) == (1, 1)
    with passing.receive(two, 4, 2)[1] as fds:
        assert passing.same(fds, files)


def test_plain_peek_opens_nothing(pair: tuple[Any, Any], files: list[int]) -> None:
    """peek() brings no descriptors, and they are still there afterwards."""
    one, two = pair
    one.send_fds(b"data", files)
    for _ in range(3):
        assert two.peek(4) in (b"data", (b"data", False))
    with passing.receive(two, 4, 2)[1] as fds:
        assert passing.same(fds, files)
