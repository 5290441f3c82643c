"""Framed messages, interrupted at each step of a call, one after the other.

Rule: no message is lost, none comes twice, no descriptor leaks, and the two ends stay in step.
"""

from __future__ import annotations

import pytest
from interrupting import interrupt_everywhere

from uds_cffi import FramedStream, UnixStream

pytestmark = pytest.mark.usefixtures("finalizers_may_speak")

LARGE = 20000


def in_step(one, two):
    """Exchange one more message, and return what came before it."""
    one.send_message(b"mark")
    got = []
    while True:
        message = two.recv_message()
        if message.data == b"mark":
            return got
        message.fds.close()
        got.append(message.data)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("size", [5, LARGE, 100000])
@pytest.mark.parametrize("fds", [[], [0, 0]])
def test_receive(many, size, fds):
    """An interrupted receive leaves the message for the next call, with all of its descriptors, or was done."""
    one, two = UnixStream.pair()
    two.set_read_timeout(10)
    with FramedStream(one) as sender, FramedStream(two, max_fds=3) as receiver:
        done = []

        def prepare():
            done.clear()
            sender.send_message(b"x" * size, fds)

        def receive():
            before = receiver._reader.c.result if receiver._reader else 0
            try:
                got = receiver.recv_messages()[0] if many else receiver.recv_message()
                got.fds.close()
                assert len(got.fds) == len(fds)
            finally:
                # A call that had done all may be interrupted before it has returned.
                c = receiver._reader.c if receiver._reader else None
                if c is not None and c.result != before and c.undelivered == 0:
                    done.append(b"x" * size)

        def check():
            if not done:
                got = receiver.recv_message()
                assert len(got.fds) == len(fds)
                got.fds.close()
                done.append(got.data)
            assert done == [b"x" * size]
            assert in_step(sender, receiver) == []

        interrupt_everywhere(receive, prepare, check)


@pytest.mark.parametrize(
    ("messages", "fds"),
    [
        ([b"a", b"bb", b"ccc"], None),
        ([b"a", b"x" * LARGE, b"b"], None),
        ([b"a", b"bb", b"x" * LARGE], [None, [0], [0]]),
    ],
    ids=["small", "large", "descriptors"],
)
def test_send(messages, fds):
    """An interrupted send has sent the first of its messages, each whole, and their number is in the exception."""
    one, two = UnixStream.pair()
    two.set_read_timeout(10)
    with FramedStream(one) as sender, FramedStream(two, max_fds=3) as receiver:

        def check():
            got = in_step(sender, receiver)
            assert got == messages[: len(got)]
            assert sender.pending == 0

        interrupt_everywhere(lambda: sender.send_messages(messages, fds), lambda: None, check)
