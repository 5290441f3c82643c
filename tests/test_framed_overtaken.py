"""Calls on a framed stream that another one overtakes, between their steps.

Rule: a call never returns what may not be its own: it says EBUSY, and what the other one returned is whole.
"""

from __future__ import annotations

import errno

import blocked
import pytest
import support

from uds_cffi import FramedStream, UnixStream, framed, frames

LARGE = 20000


@pytest.fixture
def ends():
    """Make two framed streams that are connected and take no descriptors."""
    one, two = UnixStream.pair()
    with FramedStream(one) as first, FramedStream(two) as second:
        second.stream.set_read_timeout(support.PATIENCE)
        yield first, second


def overtake(monkeypatch, name, other):
    """Let another call be made when the next one has a result, and before that looks at it."""
    receive = getattr(framed, name)

    def overtaken(c):
        result = receive(c)
        if result > 0:
            monkeypatch.undo()
            other()
        return result

    monkeypatch.setattr(framed, name, overtaken)


@pytest.mark.parametrize("call", ["recv_message", "recv_messages"])
@pytest.mark.parametrize("messages", [[b"a"], [b"a", b"b"], [b"a", b"bcd"], [b"x" * LARGE * 2]], ids=repr)
def test_overtaken_receive(ends, monkeypatch, call, messages):
    """The messages go to the call that was quicker, one time; the other one is EBUSY."""
    one, two = ends
    # The shapes of the second time are known.
    for _ in range(2):
        one.send_messages(messages)
        got = []
        overtake(
            monkeypatch,
            "receive_one" if call == "recv_message" else "receive_all",
            lambda: got.extend(two.recv_messages()),  # noqa: B023 - it is called in this round.
        )
        with support.raises_errno(errno.EBUSY):
            getattr(two, call)()
        assert got == messages
        one.send_message(b"next")
        assert two.recv_message() == b"next"


@pytest.mark.parametrize("call", ["recv_message", "recv_messages", "try_recv_messages"])
@pytest.mark.parametrize("fds", [0, 2])
def test_result_that_could_not_be_returned_comes_again(stream, number, monkeypatch, call, fds):
    """A handler that raises when all was done but for returning it leaves the message, and its descriptors, there."""
    one, two = stream
    with FramedStream(one) as sender, FramedStream(two, max_fds=fds) as receiver:
        for module in (framed, frames):

            def interrupted(c, result, deliver=module.deliver):
                assert deliver(c, result) == 0
                raise InterruptedError("of a handler")

            monkeypatch.setattr(module, "deliver", interrupted)
        sender.send_message(b"x", [number] * fds)
        with pytest.raises(InterruptedError):
            getattr(receiver, call)()
        monkeypatch.undo()
        message = receiver.recv_message()
        if fds:
            with message.fds:
                assert len([number for number in message.fds.numbers() if support.is_open(number)]) == fds
            message = message.data
        assert message == b"x"
        assert receiver.try_recv_messages() is None


def test_memory_is_gone(ends, monkeypatch):
    """A call that finds no memory, because another one has moved on from there, is EBUSY."""
    one, two = ends
    one.send_messages([b"a", b"bcd"])
    assert two.try_recv_messages() == [b"a", b"bcd"]
    one.send_messages([b"e", b"fgh"])
    kept = two._reader._kept
    overtake(monkeypatch, "receive_all", lambda: monkeypatch.setattr(two._reader, "_kept", {}))
    with support.raises_errno(errno.EBUSY):
        two.recv_messages()
    two._reader._kept = kept
    assert two.recv_messages() == [b"e", b"fgh"]


def test_memory_for_another_call(ends):
    """Memory that is not wanted any more, because another call has moved already, is not kept."""
    one, two = ends
    one.send_message(b"a")
    assert two.recv_message() == b"a"
    reader = two._reader
    with support.raises_errno(errno.EBUSY):
        reader._resize(7, 2 * frames.MEMORY_SIZE)
    assert list(reader._kept) == [0]
    one.send_message(b"x" * 2 * LARGE)
    assert two.recv_message() == b"x" * 2 * LARGE


def test_descriptors_that_were_not_delivered_are_closed(stream, number, monkeypatch):
    """Those of an interrupted receive come with the next one, or are closed with the stream."""
    one, two = stream
    with FramedStream(one) as sender, FramedStream(two, max_fds=1) as receiver:
        sender.send_messages([b"x", b"y"], [[number], [number]])

        def check(reader, result):
            raise InterruptedError("of a handler")

        monkeypatch.setattr(frames.FrameReader, "check", check)
        with pytest.raises(InterruptedError):
            receiver.recv_message()
        monkeypatch.undo()
        (given,) = receiver._reader.given.values()
        assert len(given.numbers()) == 1
        message = receiver.recv_message()
        assert message.fds is given
        given.close()

        monkeypatch.setattr(frames.FrameReader, "check", check)
        with pytest.raises(InterruptedError):
            receiver.recv_message()
        monkeypatch.undo()
        (given,) = receiver._reader.given.values()
        assert given.numbers() != [-1]
    assert given.numbers() == [-1]


def test_small_messages_that_wait_for_room(ends):
    """Messages that do not go at once go when there is room, all of them, and the call returns nothing."""
    one, two = ends
    one.stream.set_write_timeout(support.PATIENCE)
    sent = 0
    # So small a send goes whole or not at all.
    while one.stream.try_send(b"\0\0\0\1x") is not None:
        sent += 1
    with support.in_thread(one.send_messages, [b"a", b"b"]) as result:
        support.until(lambda: blocked.running(one.stream) == 1)
        got = []
        while len(got) < sent + 2:
            got += two.recv_messages()
    assert result == [None]
    assert got == [b"x"] * sent + [b"a", b"b"]


@pytest.mark.parametrize("left", [0, 3, 4])
def test_large_message_behind_a_full_memory(ends, left):
    """A large message whose header just fits, or does not, behind small ones."""
    one, two = ends
    small = [b"x" * 4092] * 7 + [b"x" * (4092 - left)]
    one.send_messages([*small, b"y" * LARGE])
    got = []
    while len(got) < 9:
        got += two.recv_messages()
    assert got == [*small, b"y" * LARGE]
