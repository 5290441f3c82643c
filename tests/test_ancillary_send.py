"""SocketAncillary as it is sent.

Rules, those of Rust's std: a send does not clear, and resets `truncated`.  And of this library: what was added is only
borrowed, and descriptors without a byte are refused on a stream.
"""

from __future__ import annotations

import copy
import errno
import os
from typing import Any

import pytest

from uds_cffi import (
    MSG_CTRUNC,
    ScmRights,
    SocketAncillary,
    UnixDatagram,
    UnixStream,
    lib,
)

# A level that no kernel knows, and so ignores when it is sent.
LEVEL = 12345


def test_send_does_not_clear(pair: tuple[Any, Any], number: int) -> None:
    """What was sent is still there, and can be sent again."""
    one, two = pair
    ancillary = SocketAncillary(128)
    ancillary.add_fds([number])
    before = ancillary.messages()
    for data in (b"one", b"two"):
        assert one.send_ancillary([data], ancillary) == 3
        assert ancillary.messages() == before
        result = two.recv_fds(10, 1)
        with result[-1] as fds:
            assert result[0] == data
            assert os.path.sameopenfile(fds.numbers()[0], number)


def test_several_buffers_and_messages_arrive_as_one(pair: tuple[Any, Any], number: int) -> None:
    """Buffers are joined, and the kernel merges several messages of descriptors into one, in order."""
    one, two = pair
    ancillary = SocketAncillary(256)
    ancillary.add_fds([number])
    ancillary.add(LEVEL, 1, b"what no kernel knows is not delivered")
    ancillary.add_fds([one, number])
    assert one.send_ancillary([b"some ", b"", b"text"], ancillary) == 9
    received = two.recv_ancillary(100, SocketAncillary(256))
    (rights,) = received.messages
    with received:
        assert received.data == b"some text"
        for arrived, sent in zip(rights.fds.numbers(), [number, one.fileno(), number]):
            assert os.path.sameopenfile(arrived, sent)


@pytest.mark.parametrize("adds", [[], [[]]])
def test_sending_an_empty_ancillary(pair: tuple[Any, Any], adds: list[list[int]]) -> None:
    """Without messages, or with an empty one, just the bytes go."""
    one, two = pair
    ancillary = SocketAncillary(64)
    for fds in adds:
        ancillary.add_fds(fds)
    assert one.send_ancillary([b"x"], ancillary) == 1
    received = two.recv_ancillary(1, SocketAncillary(64))
    assert (received.data, received.messages) == (b"x", ())


@pytest.mark.parametrize("buffers", [[], [b""], [b"", b""]])
def test_stream_needs_a_byte(number: int, buffers: list[bytes]) -> None:
    """Descriptors without a byte are refused on a stream, wherever they stand among the messages."""
    one, two = UnixStream.pair()
    with one, two:
        ancillary = SocketAncillary(256)
        ancillary.add(LEVEL, 1, b"x")
        ancillary.add_fds([number])
        with pytest.raises(ValueError, match="at least one byte"):
            one.send_ancillary(buffers, ancillary)
        assert two.try_recv(1) is None
        ancillary.clear()
        ancillary.add(LEVEL, 1, b"x")
        assert one.send_ancillary(buffers, ancillary) == 0


def test_more_buffers_than_one_call_takes(number: int) -> None:
    """On a stream more than IOV_MAX buffers take several calls, and descriptors go with the first of them alone."""
    one, two = UnixStream.pair()
    with one, two:
        ancillary = SocketAncillary(64)
        ancillary.add_fds([number])
        count = 2 * lib.IOV_MAX + 5
        assert one.send_ancillary([b"x"] * count, ancillary) == count
        received = 0
        with two.recv_fds(count, 1)[1] as fds:
            assert len(fds) == 1
        received += len(two.recv(count))
        assert two.try_recv_fds(1, 1) is None
        assert 0 < received < count


def test_empty_packet_carries_ancillary_data(number: int) -> None:
    """A packet without bytes brings its descriptors."""
    one, two = UnixDatagram.pair()
    with one, two:
        ancillary = SocketAncillary(64)
        ancillary.add_fds([number])
        assert one.send_ancillary([], ancillary) == 0
        with two.recv_fds(1, 1).fds as fds:
            assert len(fds) == 1


def test_sending_descriptors_that_were_closed_since(pair: tuple[Any, Any], number: int) -> None:
    """Added descriptors are borrowed: one that was closed before the send is EBADF from the kernel."""
    one, two = pair
    ancillary = SocketAncillary(64)
    copy = os.dup(number)
    ancillary.add_fds([copy])
    os.close(copy)
    with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
        one.send_ancillary([b"x"], ancillary)
    assert two.try_recv(1) is None


@pytest.mark.parametrize("bad", [None, b"x", 128, []])
def test_what_is_no_ancillary(pair: tuple[Any, Any], bad: Any) -> None:
    """Sending and receiving need a SocketAncillary; nothing was sent, and nothing read."""
    one, two = pair
    with pytest.raises(TypeError, match="SocketAncillary"):
        one.send_ancillary([b"x"], bad)
    one.send(b"y")
    with pytest.raises(TypeError, match="SocketAncillary"):
        two.recv_ancillary(1, bad)
    assert two.recv(1) in (b"y", (b"y", False))


def test_one_buffer_where_several_are_expected(pair: tuple[Any, Any]) -> None:
    """A bytes object is no list of buffers."""
    with pytest.raises(TypeError, match="an iterable of buffers"):
        pair[0].send_ancillary(b"data", SocketAncillary(64))
    with pytest.raises(TypeError, match="an iterable of buffers"):
        pair[1].recv_ancillary(bytearray(4), SocketAncillary(64))


def test_add_and_clear_and_send_reset_truncated(pair: tuple[Any, Any], number: int) -> None:
    """A truncated receive is forgotten by the next add, also one that fails, by clear() and by a send."""
    one, two = pair
    ancillary = SocketAncillary(0)
    for reset in (
        lambda: ancillary.add(LEVEL, 1, b""),
        lambda: ancillary.add_fds([]),
        lambda: ancillary.clear(),
        lambda: ancillary.close(),
        lambda: one.send_ancillary([b"x"], ancillary),
    ):
        one.send_fds(b"x", [number])
        received = two.recv_ancillary(1, ancillary)
        assert received.flags & MSG_CTRUNC
        assert received.ancillary_truncated
        assert ancillary.truncated is True
        assert repr(ancillary) == "<SocketAncillary 0 of 0 bytes truncated>"
        reset()
        assert ancillary.truncated is False


def test_ancillary_cannot_be_copied() -> None:
    """Two buffers cannot own the same received descriptors: copying is a TypeError."""
    with pytest.raises(TypeError, match="SocketAncillary"):
        copy.copy(SocketAncillary(64))


def test_rights_that_are_added_are_not_owned(number: int) -> None:
    """What was added is the caller's: clear() and close() leave it open, and messages() shows no owner."""
    with SocketAncillary(64) as ancillary:
        ancillary.add_fds([number])
        assert not any(isinstance(message, ScmRights) for message in ancillary.messages())
    os.fstat(number)
