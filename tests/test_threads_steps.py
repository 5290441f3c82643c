"""What another thread does between two steps of a call.

Rule: a whole other call happens at each step in turn, so that nothing is left to chance.  On free-threaded CPython it
may happen there at any time; under a global lock, or as a signal handler, it seldom does.
"""

from __future__ import annotations

import itertools
import os
from functools import partial

import pytest
import support
from blocked import KINDS, MARKS
from interrupting import is_overtaken
from stepping import steps_of

from uds_cffi import MSG_DONTWAIT, FramedStream, UnixListener, UnixStream, batchmemory, receiver

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])


@EACH_KIND
@pytest.mark.parametrize("direction", ["read", "write"])
@pytest.mark.parametrize(("first", "second"), [(5.0, None), (None, 5.0), (5.0, 7.0)])
def test_timeouts_that_two_threads_set(kind, direction, first, second):
    """A timeout never holds for attempts that block, and none for those that do not: one of the two is set, wholly."""
    for step in itertools.count(1):
        one, two = KINDS[kind].pair()
        with one, two:
            set_timeout = getattr(two, f"set_{direction}_timeout")
            overtaken = is_overtaken(lambda: set_timeout(first), step, lambda: set_timeout(second))  # noqa: B023
            timeout = getattr(two, f"{direction}_timeout")()
            flags = two._recv_flags if direction == "read" else two._send_flags

            assert timeout in (first, second)
            assert bool(flags & MSG_DONTWAIT) == (timeout is not None)
        if not overtaken:
            break
    assert step > 10


def test_framed_receive_that_never_waits():
    """A call that never waits does not, although another thread prepares one that does."""
    one, two = UnixStream.pair()
    with FramedStream(one), FramedStream(two) as receiving:
        for call in (receiving.try_recv_messages, partial(refused, receiving.recv_messages)):
            for step in itertools.count(1):
                overtaken = is_overtaken(call, step, receiving._prepare_reader)
                if not overtaken:
                    break
            assert step > 10


def refused(receive):
    with pytest.raises(BlockingIOError):
        receive(MSG_DONTWAIT)


def test_framed_send_that_never_waits():
    """The same holds for sends."""
    one, two = UnixStream.pair()
    with FramedStream(one) as sending, two:
        refused(lambda flags: [sending.send_message(b"x" * 60000, flags=flags) for _ in itertools.repeat(None)])
        for step in itertools.count(1):
            send = partial(refused, partial(sending.send_message, b"x", ()))
            overtaken = is_overtaken(send, step, sending._prepare_writer)
            if not overtaken:
                break
        assert step > 10


def put_back(make, give, pool, most, size_of, monkeypatch):
    """Let two things that do not fit together come back to a pool, the one at each step of the other."""
    monkeypatch.setattr(*pool, [])
    kept = getattr(*pool)
    for step in itertools.count(1):
        kept.clear()
        one, two = make(), make()
        assert most // 2 < size_of(one) <= most
        overtaken = is_overtaken(lambda: give(one), step, lambda: give(two))  # noqa: B023

        assert sum(map(size_of, kept)) <= most
        if not overtaken:
            break
    assert step > 10
    assert len(kept) == 1


def test_receivers_that_two_threads_put_back(monkeypatch):
    """The pool of receivers keeps no more than its limit, also when two threads put large ones back at once."""
    put_back(
        lambda: receiver.Receiver(receiver._LARGE_SIZE * 2 // 3),
        receiver.return_receiver,
        (receiver, "_large"),
        receiver._LARGE_SIZE,
        lambda one: one.capacity + receiver._CONTROL_SIZE,
        monkeypatch,
    )


def test_batches_that_two_threads_put_back(monkeypatch):
    """The same holds for the memory of batches."""

    def make():
        batch = batchmemory.IncomingBatch()
        batch._reserve(batchmemory.POOL_SIZE * 2 // 3, 1, False, 0)
        return batch

    put_back(
        make,
        batchmemory.return_batch,
        (batchmemory, "_pool"),
        batchmemory.POOL_SIZE,
        lambda one: one.kept,
        monkeypatch,
    )


@pytest.mark.parametrize("from_a_directory", [False, pytest.param(True, marks=support.needs("bindat"))])
def test_listener_that_two_threads_close(tmp_path, monkeypatch, from_a_directory):
    """Closing a listener that removes its file changes nothing the second time, also when both happen at once."""
    monkeypatch.chdir(tmp_path)

    def bind():
        directory = os.open(tmp_path, os.O_RDONLY) if from_a_directory else None
        listener = UnixListener.bind("s", dir_fd=directory, unlink_on_close=True)
        if directory is not None:
            os.close(directory)
        return listener

    # Once before, for what is loaded at the first time.
    bind().close()
    steps = steps_of(bind().close)
    overtaken = 0
    for step in steps:
        listener = bind()
        overtaken += is_overtaken(listener.close, step, listener.close)

        assert os.listdir(tmp_path) == []
        assert listener.closed
    assert overtaken == len(steps) > 10


@support.needs("inq")
def test_option_that_is_set_while_another_thread_asks():
    """A write-only option reads as it was set, also when another thread was about to ask for the first time."""

    def ask(sock):
        return sock.options.inq

    one, two = UnixStream.pair()
    with one, two:
        ask(one)
        steps = steps_of(partial(ask, two))
    for step in steps:
        one, two = UnixStream.pair()
        with one, two:
            assert is_overtaken(partial(ask, two), step, partial(setattr, two.options, "inq", True))
            assert two.options.inq is True
    assert len(steps) > 10
