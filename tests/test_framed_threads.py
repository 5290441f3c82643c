"""Framed messages in threads, in handlers, and in processes.

Rule: one call in each direction at a time; another one is refused, and corrupts nothing.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import signal
import socket
import struct

import blocked
import pytest
import support
from blocked import Ticks
from framing import framed_pair, wire

import uds_cffi
from uds_cffi import MSG_DONTWAIT, FramedStream, UnixStream

LARGE = 2**21


@pytest.fixture
def framed():
    """Make two framed streams that are connected."""
    with framed_pair(2 * LARGE) as ends:
        yield ends


def test_two_threads_may_not_receive(framed):
    """A second receive is EBUSY while the first one is blocked, which goes on."""
    one, two = framed
    with support.in_thread(two.recv_message) as got:
        support.until(lambda: blocked.running(two.stream) == 1)
        with support.raises_errno(errno.EBUSY) as caught:
            two.recv_messages()
        assert "receiving" in str(caught.value)
        one.send_message(b"x")
    assert got == [b"x"]


def test_two_threads_may_not_send(framed):
    """A second send is EBUSY while the first one is blocked, which goes on."""
    one, two = framed
    with support.in_thread(one.send_message, b"x" * LARGE):
        support.until(lambda: blocked.running(one.stream) == 1)
        for call in (one.flush, lambda: one.send_messages([b"a"]), lambda: one.pending):
            with support.raises_errno(errno.EBUSY):
                call()
        assert two.recv_message() == b"x" * LARGE
    one.send_message(b"y")
    assert two.recv_message() == b"y"


def test_send_within_a_send(framed):
    """A handler that sends on the same object ends the interrupted send with EBUSY, and the wire stays in step."""
    one, two = framed
    one.stream.set_write_timeout(support.PATIENCE)
    outcome: list[bytes] = []

    def exchange():
        if not two.stream.unread_bytes():
            # On a busy machine the send has not begun yet.
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        with support.in_thread(one.send_message, b"inner"):
            while len(outcome) < 2:
                outcome.extend(two.recv_messages())

    with Ticks(exchange), pytest.raises(OSError, match="sending on the same FramedStream") as caught:
        one.send_messages([b"x" * LARGE, b"outer"])

    assert caught.value.errno == errno.EBUSY
    assert caught.value.sent is None
    assert outcome == [b"x" * LARGE, b"inner"]


def test_one_thread_sends_and_another_receives(framed):
    """Both directions at once, in two threads for each end."""
    messages = [b"%d" % number * 50 for number in range(20000)]

    def receive(framed):
        got = []
        while len(got) < len(messages):
            got += framed.recv_messages()
        return got

    with contextlib.ExitStack() as stack:
        for end in framed:
            stack.enter_context(support.in_thread(end.send_messages, messages))
        first, second = (stack.enter_context(support.in_thread(receive, end)) for end in framed)
    assert first == second == [messages]


def test_many_threads_at_once_corrupt_nothing(framed):
    """Receivers that break the rule get whole messages or EBUSY; nothing else comes out."""
    one, two = framed
    two.stream.set_read_timeout(support.PATIENCE)
    messages = [b"%d" % number * (number % 300) for number in range(3000)]
    known = set(messages)

    def receive():
        got = []
        while b"end" not in got:
            try:
                got += two.recv_messages(MSG_DONTWAIT)
            except OSError as problem:
                codes.add(problem.errno)
            if ended:
                break
        ended.append(1)
        return got

    ended: list[int] = []
    codes: set[int] = set()
    with support.in_thread(receive) as first, support.in_thread(receive) as second:
        one.send_messages(messages)
        one.send_message(b"end")
    assert set(itertools.chain(first[0], second[0])) <= known | {b"end"}
    assert codes <= {errno.EAGAIN, errno.EBUSY}


def test_child_goes_on_where_the_parent_was(framed):
    """A child has a copy of what was received, also while a thread of its parent is blocked in a receive."""
    one, two = framed
    one.stream.sendall(wire(b"first", b"second") + wire(b"third")[:5])
    assert two.recv_message() == b"first"

    def child():
        assert two.recv_message() == b"second"
        one.stream.sendall(wire(b"third")[5:])
        assert two.recv_message() == b"third"

    support.run_child(child)
    assert two.recv_message() == b"second"
    one.stream.sendall(wire(b"third")[5:])
    assert two.recv_message() == b"third"
    with support.in_thread(two.recv_message) as got:
        support.until(lambda: blocked.running(two.stream) == 1)

        def other():
            # In the child nobody is receiving, so the very object can be used.
            with pytest.raises(BlockingIOError):
                two.recv_message(MSG_DONTWAIT)
            two.send_message(b"back")
            one.send_message(b"from the child")

        support.run_child(other)
    assert got == [b"from the child"]
    assert one.recv_message() == b"back"


def test_plain_peer_in_another_process():
    """Ten lines of plain sockets are a peer."""
    one, two = socket.socketpair(socket.AF_UNIX)

    def child():
        stream = two.makefile("rwb")
        while True:
            header = stream.read(4)
            if not header:
                break
            data = stream.read(struct.unpack("!I", header)[0])
            stream.write(struct.pack("!I", len(data)) + data.upper())
            stream.flush()

    with FramedStream(UnixStream.from_stdlib(one)) as framed, two, support.Child(child):
        messages = [b"hello", b"", b"x" * 100000]
        for message in messages:
            framed.send_message(message)
            assert framed.recv_message() == message.upper()
        framed.stream.shutdown(uds_cffi.SHUT_WR)
