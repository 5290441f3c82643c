"""Threads that all receive from one framed stream, with as many switches between them as there can be.

Rule: each message comes out of exactly one call, whole; a call that another one overtook is EBUSY, and returns nothing.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import threading
from collections import Counter

import pytest
import support
from framing import framed_pair
from interrupting import is_overtaken
from stepping import steps_of

from uds_cffi import MSG_DONTWAIT, FramedStream, UnixStream

LARGE = 50000


@contextlib.contextmanager
def perhaps_refused():
    """Let a call be refused because of another one, or because nothing is there."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.EAGAIN, errno.EBUSY):
            raise


def receive_all(framed, calls):
    """Receive with several calls in turn until the end, and return all that came; refused calls are made again."""
    got = []
    messages = [None]
    turns = itertools.cycle(calls)
    while messages:
        with perhaps_refused():
            messages = next(turns)(framed)
            got += messages if type(messages) is list else [messages] if messages is not None else []
    return got


def try_all(framed):
    """Receive without waiting; EAGAIN when nothing is there."""
    messages = framed.try_recv_messages()
    if messages is None:
        raise BlockingIOError(errno.EAGAIN, "nothing is there")
    return messages


ALL, ONE, NOW = FramedStream.recv_messages, FramedStream.recv_message, lambda framed: framed.recv_messages(MSG_DONTWAIT)


def receive_in_threads(receiver, ways, send):
    """Send while each of several threads receives in its own way; returns what each got."""
    barrier = threading.Barrier(len(ways) + 1)

    def run(calls):
        barrier.wait()
        return receive_all(receiver, calls)

    with contextlib.ExitStack() as stack:
        outcomes = [stack.enter_context(support.in_thread(run, calls)) for calls in ways]
        barrier.wait()
        send()
    return [got for (got,) in outcomes]


def overtake_everywhere(call, other, stride):
    """Make a call, over and over, with another one at each of its steps, or at some, one after the other.

    Yields what both have returned, of the one that was refused nothing. Before that, what the call returns alone, first
    because it has more to do then, and once more while its steps are listed.
    """
    yield list(call())
    got = []
    steps = steps_of(lambda: got.extend(call()))
    yield got
    overtaken = 0
    for step in steps[::stride]:
        got = []

        def beside(got=got):
            nonlocal overtaken
            overtaken += 1
            with contextlib.suppress(BlockingIOError):
                got.extend(other())

        with perhaps_refused():
            is_overtaken(lambda: got.extend(call()), step, beside)  # noqa: B023
        yield got
    assert overtaken > len(steps) // stride // 2


@pytest.mark.parametrize("in_thread", [False, True], ids=["handler", "thread"])
@pytest.mark.parametrize("other", ["one", "all"])
@pytest.mark.parametrize("call", ["one", "all"])
@pytest.mark.parametrize("sizes", [(3, 3), (3, 5), (3, LARGE)], ids=["even", "uneven", "large"])
@pytest.mark.parametrize("fds", [0, 2])
def test_overtaken_at_each_step(call, other, sizes, fds, in_thread, number):
    """Whatever a handler or another thread receives between two steps of a call, both together have each once."""
    ways = {
        "all": lambda: receiver.recv_messages(MSG_DONTWAIT),
        "one": lambda: [receiver.recv_message(MSG_DONTWAIT)],
    }

    def beside():
        if not in_thread:
            return ways[other]()
        found = []

        def run():
            # Once more: then it has gone on to the next messages.
            for _ in range(2):
                with contextlib.suppress(BlockingIOError):
                    found.extend(ways[other]())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return found

    one, two = UnixStream.pair()
    with FramedStream(one) as sender, FramedStream(two, max_fds=fds) as receiver:
        messages = [bytes([place]) * size for place, size in enumerate(sizes)]
        sets = [[number] * fds, None]

        def seen(message):
            if not fds:
                return message, 0
            with message.fds:
                return message.data, len(message.fds.numbers())

        sender.send_messages(messages, sets)
        for got in overtake_everywhere(ways[call], beside, 3 if in_thread else 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    got += ways["all"]()
            assert Counter(map(seen, got)) == Counter(zip(messages, [fds, 0]))
            sender.send_messages(messages, sets)


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize(
    "ways",
    [[[ALL], [ALL]], [[ONE], [ONE], [ONE]], [[ALL, ONE], [ONE, NOW], [NOW, ALL], [try_all, ONE]]],
    ids=["all", "one", "mixed"],
)
@pytest.mark.parametrize("size", [8, 2000, None], ids=["even", "longer", "large"])
def test_each_message_comes_once(ways, size):
    """Thousands of messages, of which some are larger than the first memory: no one is missing, doubled or cut."""
    total = 5000 if size == 8 else 2000
    lengths = [size or (LARGE if number % 40 == 0 else 8 + number % 50) for number in range(total)]
    messages = [(b"%08d" % number).ljust(length, b"%d" % (number % 10)) for number, length in enumerate(lengths)]
    with framed_pair() as (sender, receiver):

        def send():
            # Few at a time, so that the receivers meet at the same ones.
            for begin in range(0, total, 3):
                sender.send_messages(messages[begin : begin + 3])
            sender.close()

        parts = receive_in_threads(receiver, ways, send)
    got = Counter(itertools.chain(*parts))
    assert got == Counter(messages)
    # Each thread got its own in order, too.
    for part in parts:
        assert part == sorted(part)


@pytest.mark.usefixtures("many_switches")
def test_each_message_has_its_descriptors_once(number):
    """Descriptors stay with their messages, whichever thread receives them."""
    total = 1000
    with contextlib.ExitStack() as stack:
        one, two = UnixStream.pair()
        sender, receiver = stack.enter_context(FramedStream(one)), stack.enter_context(FramedStream(two, max_fds=2))

        def send():
            for place in range(0, total, 2):
                sender.send_messages([b"%d" % place, b"%d" % (place + 1)], [[number] * (place // 2 % 3), None])
            sender.close()

        seen = {}

        def note(message):
            with message.fds as fds:
                seen.setdefault(int(message.data), []).append(len(fds))

        def receive(framed):
            messages = framed.recv_messages()
            for message in messages:
                note(message)
            return messages

        def receive_one(framed):
            message = framed.recv_message()
            if message is not None:
                note(message)
            return message

        receive_in_threads(receiver, [[receive], [receive_one], [receive, receive_one]], send)
    assert seen == {place: [place // 2 % 3 if place % 2 == 0 else 0] for place in range(total)}


@pytest.mark.usefixtures("many_switches")
def test_first_calls_at_the_same_time():
    """Threads whose first calls meet use one memory, in both directions: nothing is received into one of nobody's."""
    for turn in range(60):
        with framed_pair() as (sender, receiver):

            def send(sender=sender, turn=turn):
                count = 0
                for _ in range(20):
                    with perhaps_refused():
                        sender.send_messages([b"%d" % turn] * 3)
                        count += 3
                return count

            barrier = threading.Barrier(2)

            def send_at_once(send=send, barrier=barrier):
                barrier.wait()
                return send()

            with support.in_thread(send_at_once) as first, support.in_thread(send_at_once) as second:
                pass
            parts = receive_in_threads(receiver, [[ALL], [ONE], [ALL]], sender.close)
            assert Counter(itertools.chain(*parts)) == Counter({b"%d" % turn: first[0] + second[0]})
