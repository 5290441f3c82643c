"""Many threads with the same descriptors, batches and frames, at the same moment.

Rule: as in `test_threads_free.py`: what is a mistake without a global lock is one on every interpreter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import Counter
from functools import partial
from typing import Callable

import pytest
import support
from crowd import CROWD, EACH, SIZE, record, together

from uds_cffi import FramedStream, OwnedFd, UnixDatagram, UnixStream

pytestmark = pytest.mark.usefixtures("many_switches")

# --- Owners -------------------------------------------------------------------------------------


def test_one_descriptor_many_takers():
    """Of threads that detach the same descriptor at once one gets it, and the others are told."""
    outcomes = Counter()
    for _ in range(EACH):
        read, write = os.pipe()
        os.close(write)
        owned = OwnedFd(read)

        def detach(owned: OwnedFd = owned) -> int:
            try:
                return owned.detach()
            except OSError as problem:
                return -problem.errno

        numbers = together(*[detach] * CROWD)
        taken = [number for number in numbers if number >= 0]
        assert taken == [read]
        os.close(read)
        outcomes.update(number for number in numbers if number < 0)
    assert set(outcomes) == {-errno.EBADF}


def test_sets_of_descriptors_share_their_slots():
    """Threads that receive and close sets of descriptors use the same slots again and again; none closes another's."""

    def work() -> int:
        one, two = UnixStream.pair()
        with one, two:
            for _ in range(EACH):
                one.send_fds(b"x", [one, two])
                _, fds = two.recv_fds(1, 2)
                kept = fds[1]
                assert [support.is_open(number) for number in fds.numbers()] == [True, True]
                fds.close()
                fds.close()
                assert support.is_open(kept.fileno())
                kept.close()
        return EACH

    assert together(*[work] * CROWD) == [EACH] * CROWD


# --- Batches and frames -------------------------------------------------------------------------


def test_batches_of_many_threads():
    """Batches that threads send and receive on the same two sockets lose no packet, and bring none twice."""
    one, two = UnixDatagram.pair()
    two.set_read_timeout(support.PATIENCE)

    def send(sender: int) -> None:
        for first in range(0, EACH, 10):
            packets = [record(sender, number) for number in range(first, first + 10)]
            while packets:
                del packets[: one.send_batch(packets)]

    def receive() -> list[bytes]:
        got: list[bytes] = []
        while True:
            with two.recv_batch(16, SIZE) as batch:
                found = [data for data in batch.data if not data.startswith(b"the end")]
                got += found
                ends = len(batch.data) - len(found)
            for _ in range(ends - 1):
                # Another thread's.
                one.send(b"the end")
            if ends:
                return got

    with one, two, contextlib.ExitStack() as threads:
        outcomes = [threads.enter_context(support.in_thread(receive)) for _ in range(CROWD)]
        together(*[lambda sender=sender: send(sender) for sender in range(CROWD)])
        for _ in outcomes:
            one.send(b"the end")
        threads.close()
    got = Counter(data for outcome in outcomes for data in outcome[0])
    assert got == Counter(record(sender, number) for sender in range(CROWD) for number in range(EACH))


def test_frames_of_many_receivers():
    """Several threads receive on one FramedStream: some are refused, and each message comes out of exactly one call."""
    one, two = UnixStream.pair()
    two.set_read_timeout(support.PATIENCE)
    # More of a kind than one receive takes, and of lengths that change.
    messages = [b"%06d" % number * (1 + number % 7) for number in range(6 * EACH)]
    done = threading.Event()

    def receive(call: Callable[[], list[bytes] | None]) -> list[bytes]:
        got: list[bytes] = []
        while not done.is_set():
            try:
                found = call()
            except OSError as problem:
                if problem.errno != errno.EBUSY:
                    raise
                continue
            if found is None:
                continue
            got += found
            if b"the end" in found:
                done.set()
        return got

    with FramedStream(one) as sending, FramedStream(two) as receiving:

        def send() -> list[bytes]:
            for place in range(0, len(messages), 5):
                sending.send_messages(messages[place : place + 5])
            sending.send_message(b"the end")
            return []

        found = together(send, *[partial(receive, receiving.try_recv_messages)] * CROWD)
    assert Counter(data for got in found for data in got) == Counter([*messages, b"the end"])
