"""Framed messages that do not come or go at once: timeouts, nonblocking streams, signals.

Rule: whatever ends a call, no message is lost, none comes twice, and the two ends stay in step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import time

import blocked
import pytest
import support
from blocked import Ticks
from framing import framed_pair, wire
from interrupting import Interruption

from uds_cffi import MSG_DONTWAIT, SHUT_WR, FramedStream, IncompleteReadError

LARGE = 2**21


@pytest.fixture
def framed():
    """Make two framed streams that are connected."""
    with framed_pair(2 * LARGE) as ends:
        yield ends


def drain(framed, until):
    """Receive until a message, and return all before it."""
    got = []
    while not got or got[-1] != until:
        got += framed.recv_messages()
    return got[:-1]


# --- Receiving ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["recv_message", "recv_messages"])
def test_timeout_in_the_middle_of_a_message(framed, name):
    """What has arrived of a message when the time is over comes with the next call."""
    one, two = framed
    data = wire(b"message")
    two.stream.set_read_timeout(0.02)
    for end in range(len(data)):
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            getattr(two, name)()
        assert time.monotonic() - begin >= 0.02
        one.stream.send(data[end : end + 1])

    assert two.recv_message() == b"message"


@pytest.mark.parametrize("timeout", [None, 30])
def test_try_does_not_wait(framed, timeout):
    """Without a whole message the answer is None, whatever the timeout is, and [] at the end."""
    one, two = framed
    two.stream.set_read_timeout(timeout)
    assert two.try_recv_messages() is None
    one.stream.sendall(wire(b"first", b"") + wire(b"large" * 20000)[:-1])
    assert two.try_recv_messages() == [b"first", b""]
    assert two.try_recv_messages() is None
    one.stream.sendall(b"e" + wire(b"x"))
    assert two.try_recv_messages() == [b"large" * 20000]
    assert two.try_recv_messages() == [b"x"]
    # The next call waits again.
    with support.in_thread(two.recv_messages) as got:
        support.until(lambda: blocked.running(two.stream) == 1 or timeout is not None)
        one.send_message(b"next")
    assert got == [[b"next"]]
    one.stream.shutdown(SHUT_WR)
    assert two.try_recv_messages() == []


def test_try_says_what_is_wrong(framed):
    """An end within a message, and a closed stream, are no reason to try again."""
    one, two = framed
    one.stream.sendall(b"\0\0\0\5ab")
    assert two.try_recv_messages() is None
    one.close()
    with pytest.raises(IncompleteReadError) as caught:
        two.try_recv_messages()
    assert (caught.value.partial, caught.value.expected) == (b"ab", 5)
    two.close()
    with support.raises_errno(errno.EBADF):
        two.try_recv_messages()


def test_try_brings_descriptors(stream, number):
    """With max_fds it returns what recv_messages() does."""
    one, two = stream
    with FramedStream(one) as sender, FramedStream(two, max_fds=1) as receiver:
        assert receiver.try_recv_messages() is None
        sender.send_message(b"x", [number])
        (message,) = receiver.try_recv_messages()
        assert (message.data, len(message.fds)) == (b"x", 1)
        message.fds.close()


def test_timeout_is_the_total(framed):
    """Bytes that trickle in do not prolong the time."""
    one, two = framed
    one.stream.send(struct.pack("!I", 100000))
    with Ticks(lambda: one.stream.send(b"."), interval=0.01):
        two.stream.set_read_timeout(0.15)
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            two.recv_messages()
        took = time.monotonic() - begin
        signal.setitimer(signal.ITIMER_REAL, 0)

    assert 0.15 <= took < 1.0


def test_timeouts_may_change(framed):
    """A timeout that is set or taken away later holds for the next call."""
    one, two = framed
    one.send_message(b"a")
    assert two.recv_message() == b"a"
    two.stream.set_read_timeout(0.01)
    with pytest.raises(TimeoutError):
        two.recv_message()
    two.stream.set_read_timeout(None)
    with support.in_thread(two.recv_message) as got:
        support.until(lambda: blocked.running(two.stream) == 1)
        one.send_message(b"b")
    assert got == [b"b"]


@pytest.mark.parametrize("nonblocking", [False, True])
def test_nothing_there(framed, nonblocking):
    """MSG_DONTWAIT and the nonblocking mode are BlockingIOError, and a later call waits or not as it is asked."""
    one, two = framed
    if nonblocking:
        two.stream.set_nonblocking(True)
    for receive in (two.recv_message, two.recv_messages):
        with pytest.raises(BlockingIOError):
            receive(0 if nonblocking else MSG_DONTWAIT)
    one.send_message(b"x")
    assert two.recv_message(MSG_DONTWAIT) == b"x"


@pytest.mark.parametrize("begun", [b"", b"\0\0"])
def test_peer_that_closes_with_data_unread(framed, begun):
    """A connection that is reset is an error once, behind the messages before it; after it the connection has ended."""
    one, two = framed
    two.send_message(b"never read")
    one.stream.sendall(wire(b"before") + begun)
    one.close()
    assert two.recv_message() == b"before"
    with pytest.raises(ConnectionResetError):
        two.recv_message()
    if begun:
        with pytest.raises(IncompleteReadError):
            two.recv_message()
    else:
        assert two.recv_message() is None


# --- Sending ------------------------------------------------------------------------------------


def fill(framed, **how):
    """Send large messages until a part of one stays behind: the error, and how many messages were taken."""
    messages = [bytes([number]) * LARGE for number in range(1, 9)]
    with pytest.raises((BlockingIOError, TimeoutError)) as caught:
        framed.send_messages(messages, **how)
    return caught.value, messages


@pytest.mark.parametrize("way", ["timeout", "nonblocking", "flag"])
def test_half_a_message_is_finished_first(framed, way):
    """The rest of a message that has begun to go is kept, and goes before anything else."""
    one, two = framed
    flags = MSG_DONTWAIT if way == "flag" else 0
    if way == "timeout":
        one.stream.set_write_timeout(0.02)
    elif way == "nonblocking":
        one.stream.set_nonblocking(True)
    problem, messages = fill(one, flags=flags)
    assert problem.sent == 1
    rest = one.pending
    assert 0 < rest < LARGE
    # The rest cannot go yet, so nothing else can, and nothing of that is taken.
    for call in (one.flush, lambda flags: one.send_message(b"next", flags=flags)):
        with pytest.raises((BlockingIOError, TimeoutError)) as caught:
            call(flags)
        assert caught.value.sent == 0
        assert 0 < one.pending <= rest
    one.stream.set_nonblocking(False)
    one.stream.set_write_timeout(None)
    with support.in_thread(one.send_messages, [b"next", b"end"]):
        got = drain(two, b"end")

    assert got == [messages[0], b"next"]
    assert one.pending == 0


def test_small_messages_are_counted_exactly(framed):
    """Of many small messages the error counts those that went, the last of them perhaps in part."""
    one, two = framed
    one.stream.set_nonblocking(True)
    messages = [b"%06d" % number * 9 for number in range(20000)]
    left, got = messages, []
    rounds = 0
    while left:
        try:
            one.send_messages(left)
            left = []
        except BlockingIOError as problem:
            left = left[problem.sent :]
            with contextlib.suppress(BlockingIOError):
                while True:
                    got += two.recv_messages(MSG_DONTWAIT)
        rounds += 1
    while len(got) < len(messages):
        with contextlib.suppress(BlockingIOError):
            one.flush()
        got += two.recv_messages()

    assert rounds > 2
    assert got == messages


def test_full_queue_takes_nothing(framed):
    """When not a byte goes, nothing is taken and nothing is kept, whichever way the messages take."""
    one, two = framed
    one.stream.set_nonblocking(True)
    with contextlib.suppress(BlockingIOError):
        while True:
            one.stream.send(wire(b""))
    for messages in ([b"a"] * 3, [b"x" * LARGE], [b"b", b"x" * LARGE]):
        with pytest.raises(BlockingIOError) as caught:
            one.send_messages(messages)
        assert (caught.value.sent, one.pending) == (0, 0)
        with pytest.raises(BlockingIOError) as caught:
            one.send_message(messages[0], [0])
        assert (caught.value.sent, one.pending) == (0, 0)
    one.stream.set_nonblocking(False)
    with support.in_thread(one.send_message, b"end"):
        assert set(drain(two, b"end")) == {b""}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_memory_of_a_message_is_free_after_an_error(framed, kind):
    """The rest that is kept is a copy: the caller may change and resize the memory of the message."""
    one, two = framed
    data = bytearray(os.urandom(LARGE))
    expected = bytes(data)
    message = kind(data)
    with pytest.raises(BlockingIOError):
        one.send_message(message, flags=MSG_DONTWAIT)
    if kind is memoryview:
        message.release()
    data[:] = b""
    with support.in_thread(one.flush):
        assert two.recv_message() == expected
    assert one._writer._kept == {}


@pytest.mark.parametrize("size", [1, LARGE])
def test_peer_that_is_gone(framed, size):
    """A peer that has closed is BrokenPipeError, without a signal, at every call."""
    one, two = framed
    two.close()
    for _ in range(2):
        with pytest.raises(BrokenPipeError) as caught:
            one.send_message(b"x" * size)
        assert (caught.value.sent, one.pending) == (0, 0)


def test_peer_that_goes_in_the_middle(framed):
    """A peer that closes while a message goes is an error, and the rest can never go."""
    one, two = framed
    with pytest.raises(BlockingIOError):
        one.send_message(b"x" * LARGE, flags=MSG_DONTWAIT)
    two.close()
    with pytest.raises(ConnectionError):
        one.flush()
    with pytest.raises(BrokenPipeError):
        one.send_message(b"x")
    assert one.pending > 0


# --- Signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@pytest.mark.parametrize("name", ["recv_message", "recv_messages"])
def test_receive_goes_on_after_signals(framed, name, timeout):
    """Handlers that return do not disturb a receive, and what they send piece by piece is received."""
    one, two = framed
    two.stream.set_read_timeout(timeout)
    pieces = iter([bytes([byte]) for byte in wire(b"message")])
    with Ticks(lambda: one.stream.send(next(pieces, b"")), interval=0.002):
        got = getattr(two, name)()

    assert got == (b"message" if name == "recv_message" else [b"message"])


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_send_goes_on_after_signals(framed, timeout):
    """Handlers that read a little at a time let a large batch go once, whole and in order."""
    one, two = framed
    one.stream.set_write_timeout(timeout)
    messages = [os.urandom(size) for size in (10, LARGE, 0, 9000, 100000)] + [b"s" * 100] * 5000
    got = []

    def read_some():
        with contextlib.suppress(BlockingIOError):
            got.extend(two.recv_messages(MSG_DONTWAIT))

    with Ticks(read_some, interval=0.001):
        one.send_messages(messages)
    while len(got) < len(messages):
        got += two.recv_messages()

    assert got == messages


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_handler_that_raises_ends_a_send_and_keeps_the_rest(framed, timeout):
    """What a handler raises has `sent`, and the message that has begun to go is finished later."""
    one, two = framed
    one.stream.set_write_timeout(timeout)

    def refuse():
        if two.stream.unread_bytes():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Interruption

    with Ticks(refuse), pytest.raises(Interruption) as caught:
        one.send_messages([b"x" * LARGE, b"never"])
    assert caught.value.sent == 1
    assert one.pending > 0
    with support.in_thread(one.send_message, b"end"):
        assert drain(two, b"end") == [b"x" * LARGE]


@pytest.mark.raises_anywhere
@pytest.mark.usefixtures("finalizers_may_speak")
def test_handlers_that_raise_lose_nothing(framed, number):
    """Through a hundred interruptions every message comes once and in order, or is the one that a call had done."""
    one, two = framed
    two = FramedStream(two.stream, 2 * LARGE, 3)
    numbers = []
    interruptions = lost = total = 0
    armed = False

    def strike(*_):
        nonlocal armed
        if armed:
            # Once for each call, and not again on the way out of it.
            armed = False
            raise Interruption

    previous = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
    try:
        while interruptions < 100:
            one.send_messages([b"%d" % total], [[number]])
            total += 1
            while len(numbers) + lost < total:
                before = two._reader.c.result if two._reader else 0
                try:
                    armed = True
                    message = two.recv_message(MSG_DONTWAIT)
                    armed = False
                except Interruption:
                    interruptions += 1
                    # Done, but for handing it over: there is no call that could not be interrupted there.
                    if two._reader and two._reader.c.result != before and two._reader.c.undelivered == 0:
                        lost += 1
                    continue
                with message.fds:
                    numbers.append(int(message.data))
                    assert len(message.fds) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    support.collect()
    support.collect()

    assert numbers == sorted(set(numbers))
    assert len(numbers) + lost == total
