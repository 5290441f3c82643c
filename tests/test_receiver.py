"""Receivers: the memory that receives fill, and how much of it is kept.

Rules: a socket keeps none.  The pool keeps at most 1 MiB, and a forked child begins without it.  A receiver is used by
one call at a time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import sys
import threading
from typing import Any

import blocked
import pytest
import support

import uds_cffi
from uds_cffi import SocketAncillary, UnixDatagram, ffi, lib
from uds_cffi import receiver as module
from uds_cffi.message import Incoming
from uds_cffi.receiver import POOL_SIZE, SMALL_SIZE, borrow_receiver, return_receiver


@pytest.fixture(autouse=True)
def empty_pool() -> None:
    """Begin without anything in the pool."""
    module._small.clear()
    module._large.clear()


def pooled() -> int:
    """Count the bytes that the pool keeps."""
    return sum(len(kept.view) + module._CONTROL_SIZE for kept in (*module._small, *module._large))


def drain(sock: Any) -> None:
    """Throw away what is left: a stream keeps what did not fit."""
    while sock.try_recv(100):
        pass


def payload(result: Any) -> bytes:
    return bytes(result if isinstance(result, bytes) else result.data)


# --- Who uses a receiver -------------------------------------------------------------------------


def test_sockets_use_the_same_receiver(pair: tuple[Any, Any]) -> None:
    """Receives that follow each other use one memory, whatever their socket, size and shape."""
    one, two = pair
    one.send(b"x")
    two.recv(10)
    (kept,) = module._small
    for size in (1, 100, 10**4, 10):
        for sender, receiver in ((one, two), (two, one)):
            sender.send(b"x" * 10)
            assert payload(receiver.recv(size)) == b"x" * min(size, 10)
            drain(receiver)
            assert list(module._small) == [kept]
            assert len(kept.view) <= SMALL_SIZE


def test_each_socket_keeps_its_flags(pair: tuple[Any, Any]) -> None:
    """Of two sockets that use one receiver the first never waits, and the second does, as each was told."""
    one, two = pair
    for _ in range(2):
        one.set_read_timeout(0.001)
        with pytest.raises(TimeoutError):
            one.recv(10)
        with support.in_thread(two.recv, 10) as received:
            support.until(lambda: blocked.running(two) == 1)
            one.send(b"x")
        assert payload(received[0]) == b"x"
        one.set_read_timeout(None)
        two.send(b"y")
        assert payload(one.recv(10)) == b"y"


def test_timeout_holds_from_the_next_receive(pair: tuple[Any, Any]) -> None:
    """A timeout that is set between two receives of the same size holds for the second, and its end for the third."""
    one, two = pair
    one.send(b"x")
    two.recv(10)
    two.set_read_timeout(0.001)
    with pytest.raises(TimeoutError):
        two.recv(10)
    two.set_read_timeout(None)
    with support.in_thread(two.recv, 10) as received:
        support.until(lambda: blocked.running(two) == 1)
        one.send(b"y")
    assert payload(received[0]) == b"y"


def test_end_of_a_loan_ends_receiving(pair: tuple[Any, Any]) -> None:
    """What was borrowed and closed receives no more, although the owner's socket is open and the receiver knows it."""
    one, two = pair
    borrowed = type(two).borrow(two)
    one.send(b"x")
    borrowed.recv(10)
    borrowed.close()
    one.send(b"y")
    with support.raises_errno(errno.EBADF):
        borrowed.recv(10)
    with support.raises_errno(errno.EBADF):
        borrowed.recv_fds(10, 0)
    assert payload(two.recv(10)) == b"y"


def test_receiver_is_kept_after_a_failure(pair: tuple[Any, Any]) -> None:
    """A receive that failed gives its memory back."""
    _, two = pair
    for receive in (two.recv, two.try_recv, lambda *_: two.recv_fds(10, 0, lib.MSG_DONTWAIT)):
        for _ in range(3):
            with contextlib.suppress(BlockingIOError):
                assert receive(10, lib.MSG_DONTWAIT) is None
            assert len(module._small) == 1


def test_receiver_is_dropped_when_a_handler_raises(pair: tuple[Any, Any]) -> None:
    """What an exception passed through is not used again, also when it looks like the kernel's answer."""
    answers = iter([-errno.EINTR, ConnectionResetError("a handler's")])

    def receive(preset: object) -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with pytest.raises(ConnectionResetError, match="a handler's"):
        pair[0]._try_receive(receive, 10, 0)
    assert pooled() == 0


def test_interrupted_attempt_is_repeated(pair: tuple[Any, Any]) -> None:
    """A signal that interrupts an attempt is no answer: the next attempt's is, and its receiver is kept."""
    answers = iter([-errno.EINTR, -errno.EINTR, -errno.ECONNRESET, -errno.EINTR, -errno.EAGAIN])

    def attempt() -> Any:
        return pair[0]._try_receive(lambda preset: next(answers), 10, 0)

    with pytest.raises(ConnectionResetError):
        attempt()
    assert pooled() > 0
    assert attempt() is None
    assert pooled() > 0
    assert next(answers, None) is None


def test_closed_socket_receives_nothing(pair: tuple[Any, Any]) -> None:
    """The receiver that was last used for a socket which is closed by now is no way to its descriptor."""
    one, two = pair
    one.send(b"x")
    two.recv(1)
    two.close()
    with support.raises_errno(errno.EBADF):
        two.recv(1)


def test_threads_have_receivers_of_their_own(pair: tuple[Any, Any]) -> None:
    """Two threads that receive from one socket get different messages."""
    one, two = pair
    with support.in_thread(two.recv, 1) as first, support.in_thread(two.recv, 1) as second:
        support.until(lambda: blocked.running(two) == 2)
        one.send(b"a")
        one.send(b"b")
    assert {payload(first[0]), payload(second[0])} == {b"a", b"b"}
    assert len(module._small) == 2


def test_signal_handler_has_a_receiver_of_its_own(pair: tuple[Any, Any]) -> None:
    """A signal handler that receives from the socket does not disturb the receive that it interrupted."""
    one, two = pair
    received: list[bytes] = []

    handled = threading.Event()

    def handler(*_: object) -> None:
        if not handled.is_set():
            handled.set()
            one.send(b"a")
            one.send(b"b")
            received.append(payload(two.recv(1)))

    def interrupt() -> None:
        support.until(lambda: blocked.running(two))
        # A signal that comes just before the thread sleeps would not wake it, so it is sent until it did.
        while not handled.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)
            handled.wait(0.01)

    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with support.in_thread(interrupt):
            received.append(payload(two.recv(1)))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert received == [b"a", b"b"]
    assert len(module._small) == 2


# --- What the pool keeps ------------------------------------------------------------------------


def test_pool_is_used_again(pair: tuple[Any, Any]) -> None:
    """Receives with room for everything take their receiver from the pool and put it back."""
    one, two = pair
    for _ in range(3):
        one.send(b"x")
        two.recv_fds(1, 0)
        (kept,) = module._small
    one.send(b"x")
    two.recv_ancillary(1, SocketAncillary(64))
    assert list(module._small) == [kept]


@pytest.mark.parametrize(
    "sizes", [[100] * 60, [SMALL_SIZE] * 80, [SMALL_SIZE + 1] * 80, [300_000] * 5, [100, 500_000] * 10]
)
def test_pool_keeps_at_most_a_mebibyte(sizes: list[int]) -> None:
    """However many receivers were in use at a time, and however large, the pool keeps 1 MiB and no more."""
    one, two = UnixDatagram.pair()
    with one, two:
        used = [borrow_receiver(size) for size in sizes]
        for receiver, size in zip(used, sizes):
            receiver.reserve(size)
            return_receiver(receiver)
            assert pooled() <= POOL_SIZE
        assert pooled() > 0
        assert POOL_SIZE == 2**20


@pytest.mark.parametrize("size", [POOL_SIZE, 10_000_000])
def test_huge_receive_is_never_kept(pair: tuple[Any, Any], size: int) -> None:
    """Memory that is larger than the pool is given back to the system."""
    one, two = pair
    for receive in (two.recv, two.try_recv, two.peek, lambda size: two.recv_fds(size, 0)[0]):
        one.send(b"x")
        assert payload(receive(size)) == b"x"
        assert pooled() <= POOL_SIZE
        drain(two)


def test_forked_child_begins_without_a_pool(pair: tuple[Any, Any]) -> None:
    """What the parent kept is not in the child, which receives all the same."""
    one, two = pair
    one.send(b"x")
    two.recv_fds(1, 0)
    assert len(module._small) == 1

    def child() -> None:
        assert not module._small
        one.send(b"y")
        assert two.recv_fds(1, 0)[0] == b"y"

    support.run_child(child)
    assert len(module._small) == 1


def test_child_of_a_fork_receives_with_what_the_socket_kept(pair: tuple[Any, Any]) -> None:
    """Parent and child do not see each other's memory, though both came from one socket."""
    one, two = pair
    one.send(b"parent")
    assert payload(two.recv(10)) == b"parent"

    def child() -> None:
        one.send(b"child")
        assert payload(two.recv(10)) == b"child"

    support.run_child(child)
    one.send(b"again")
    assert payload(two.recv(10)) == b"again"


@support.needs("credentials")
def test_items_beyond_the_facts(stream: tuple[uds_cffi.UnixStream, uds_cffi.UnixStream]) -> None:
    """When C has no room to list all control messages, they are read out of the control buffer, and are the same."""
    one, two = stream
    two.options.pass_credentials = True
    one.send(b"x")
    receiver = borrow_receiver(10)
    receiver.prepare(two._handle, 10, 0, 5)
    receiver.receive()
    length, count = module.read_facts(receiver.facts)[3:5]
    listed = receiver.items(count, length)
    assert [data for _, _, data in listed] == [struct.pack("iII", os.getpid(), os.geteuid(), os.getegid())]
    assert receiver.items(lib.UDS_MOST_ITEMS, length) == listed
    return_receiver(receiver)


def test_receiver_lets_go_of_everything(pair: tuple[Any, Any]) -> None:
    """A receiver in the pool holds no socket, no caller's memory, and no descriptor."""
    one, two = pair
    receiver = borrow_receiver(10)
    with Incoming([bytearray(5)]) as into:
        receiver.prepare(two._handle, 10, 0, 5)
        receiver.scatter(into)
        one.send_fds(b"x", [one])
        result = receiver.receive()
        with receiver.take_fds(result) as fds:
            assert len(fds) == 1
    return_receiver(receiver)
    assert receiver.c.iov == ffi.NULL
    assert receiver.size is module._UNSET
    assert receiver.fds is None


def test_one_shape_of_receive_does_not_disturb_the_next(pair: tuple[Any, Any]) -> None:
    """Every shape works after every other one, though they share one receiver."""
    one, two = pair
    room = bytearray(4)
    ancillary = SocketAncillary(64)

    def by_fds() -> bytes:
        result = two.recv_fds(4, 1)
        result[-1].close()
        return bytes(result[0])

    def by_vector() -> bytes:
        two.recv_vectored([room])
        return bytes(room)

    def by_ancillary() -> bytes:
        with two.recv_ancillary(4, ancillary) as received:
            assert len(received.messages[0].fds) == 1
            return bytes(received.data)

    def by_ancillary_buffers() -> bytes:
        with two.recv_ancillary([room], ancillary) as received:
            assert len(received.messages[0].fds) == 1
            return bytes(room)

    shapes = [by_fds, by_vector, by_ancillary, by_ancillary_buffers, lambda: payload(two.recv(20_000))]
    for first in shapes:
        for second in shapes:
            for number, shape in enumerate((first, second)):
                data = b"%04d" % number
                one.send_fds(data, [one])
                assert shape() == data
    assert len(module._small) == 1


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython counts the bytes of an object")
@pytest.mark.parametrize("kind", support.TYPES)
def test_idle_socket_is_small(kind: Any) -> None:
    """A socket that has received nothing yet costs under 300 bytes."""
    # PyPy has no such module.
    import tracemalloc

    count = 50
    made: list[Any] = [None] * (2 * count)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for place in range(0, 2 * count, 2):
            made[place], made[place + 1] = kind.pair()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        for sock in made:
            sock.close()
    assert (after - before) / (2 * count) < 300


@pytest.mark.parametrize(
    ("size", "error"), [(2**31, ValueError), (2**70, ValueError), (-1, ValueError), ("1", TypeError)]
)
def test_size_that_no_call_transfers(pair: tuple[Any, Any], size: Any, error: type[Exception]) -> None:
    """A size beyond what one call can transfer is refused before memory is made for it, and nothing is received."""
    one, two = pair
    one.send(b"kept")
    for receive in (two.recv, two.try_recv, two.peek, lambda size: two.recv_fds(size, 0)):
        with pytest.raises(error):
            receive(size)
    assert payload(two.recv(9)) == b"kept"
