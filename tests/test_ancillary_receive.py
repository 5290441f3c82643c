"""SocketAncillary as it is received into, and who owns what came.

Rules: a receive overwrites.  Once messages() or Received.messages was read, descriptors belong to the caller; until
then clear(), close(), leaving `with`, an add and the next receive close them.  The census
around each test sees to the rest.
"""

from __future__ import annotations

import os
from typing import Any, Callable

import passing
import pytest
import support

from uds_cffi import (
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_TRUNC,
    Received,
    ScmRights,
    SocketAncillary,
    UnixDatagram,
    UnixSocketAddr,
    UnixStream,
    UnknownControlMessage,
    ffi,
    lib,
)

LEVEL = 12345


def peek_numbers(ancillary: SocketAncillary) -> list[int]:
    """Look at the numbers of received descriptors without reading the messages."""
    assert ancillary._received is not None
    return [number for message in ancillary._received._messages for number in message.fds.numbers()]


# --- What a receive returns ---------------------------------------------------------------------


def test_everything_that_a_message_brings(pair: tuple[Any, Any], files: list[int]) -> None:
    """A Received has the bytes, the sizes, the flags, the sender's address, and the messages."""
    one, two = pair
    ancillary = SocketAncillary(128)
    one.send_fds(b"data", files)
    with two.recv_ancillary(100, ancillary) as received:
        assert type(received) is Received
        assert (received.nbytes, received.data, received.full_size) == (4, b"data", 4)
        assert received.truncated is False
        assert received.ancillary_truncated is False
        assert received.flags & ~lib.MSG_EOR == 0
        assert received.addr == UnixSocketAddr.unnamed()
        (message,) = received.messages
        assert type(message) is ScmRights
        assert passing.same(message.fds, files)
        assert not any(os.get_inheritable(number) for number in message.fds.numbers())
        assert len(ancillary) == lib.CMSG_SPACE(2 * ffi.sizeof("int"))
        assert not ancillary.is_empty
    assert repr(received).startswith("Received(nbytes=4, data=b'data', truncated=False, full_size=4, ")


def test_message_without_ancillary_data(pair: tuple[Any, Any]) -> None:
    """A message that brings nothing leaves the ancillary empty, whatever it held before."""
    one, two = pair
    ancillary = SocketAncillary(128)
    assert ancillary.add(LEVEL, 1, b"gone")
    one.send(b"x")
    received = two.recv_ancillary(10, ancillary)
    assert (received.data, received.messages, ancillary.messages()) == (b"x", (), ())
    assert ancillary.is_empty
    assert received.ancillary_truncated is False


def test_receiving_into_buffers(pair: tuple[Any, Any], files: list[int]) -> None:
    """Buffers are filled one after the other, and then there is no data in the result."""
    one, two = pair
    ancillary = SocketAncillary(128)
    buffers = [bytearray(b"......"), memoryview(bytearray(b"...."))]
    one.send_fds(b"some text"[:8], files)
    with two.recv_ancillary(buffers, ancillary) as received:
        assert (received.nbytes, received.data, received.truncated) == (8, None, False)
        assert [bytes(buffer) for buffer in buffers] == [b"some t", b"ex.."]
        assert passing.same(received.messages[0].fds, files)


def test_packet_that_was_cut(datagrams: tuple[UnixDatagram, UnixDatagram], files: list[int]) -> None:
    """A packet longer than the room is truncated, says how long it was where the system does, and brings its fds."""
    one, two = datagrams
    known = support.supported("packet_length")
    for room in (3, [bytearray(1), bytearray(2)], 0, []):
        one.send_fds(b"12345", files)
        with two.recv_ancillary(room, SocketAncillary(128)) as received:
            size = 3 if room else 0
            assert (received.nbytes, received.truncated) == (size, True)
            assert received.full_size == (5 if known else None)
            assert received.data == (b"123"[:size] if isinstance(room, int) else None)
            assert received.flags & MSG_TRUNC
            assert passing.same(received.messages[0].fds, files)


def test_stream_is_never_truncated(files: list[int]) -> None:
    """What a stream did not deliver is still in it, and full_size is what came."""
    one, two = UnixStream.pair()
    with one, two:
        one.send_fds(b"12345", files)
        with two.recv_ancillary(3, SocketAncillary(128)) as received:
            assert (received.data, received.full_size, received.truncated) == (b"123", 3, False)
        received = two.recv_ancillary(3, SocketAncillary(128))
        assert (received.data, received.messages) == (b"45", ())


def test_receive_ends_behind_the_message_with_descriptors(files: list[int]) -> None:
    """A stream glues bytes before a message with descriptors to it, and none after it."""
    one, two = UnixStream.pair()
    with one, two:
        one.send(b"aa")
        one.send_fds(b"BB", files)
        one.send(b"cc")
        with two.recv_ancillary(100, SocketAncillary(128)) as received:
            assert received.data == b"aaBB"
            assert passing.same(received.messages[0].fds, files)
        assert two.recv(100) == b"cc"


def test_cloexec_flag_is_not_reported(pair: tuple[Any, Any]) -> None:
    """MSG_CMSG_CLOEXEC, which Linux echoes, is not among the flags; giving it changes nothing."""
    one, two = pair
    flag = max(MSG_CMSG_CLOEXEC, 0)
    one.send(b"x")
    assert two.recv_ancillary(1, SocketAncillary(64), flag).flags & ~lib.MSG_EOR == 0


def test_peeking_brings_descriptors_of_its_own(pair: tuple[Any, Any], files: list[int]) -> None:
    """Each peek opens the descriptors anew for its own set, and the message stays."""
    one, two = pair
    one.send_fds(b"x", files)
    ancillary = SocketAncillary(128)
    for flags in (MSG_PEEK, MSG_PEEK, 0):
        with two.recv_ancillary(10, ancillary, flags) as received:
            assert received.data == b"x"
            assert passing.same(received.messages[0].fds, files)
    assert two.try_recv(1) is None


def test_peeking_takes_nothing_else_for_a_descriptor(pair: tuple[Any, Any], files: list[int]) -> None:
    """What a peek brings are copies of the descriptors, or nothing where the kernel's answer to it has none."""
    one, two = pair
    one.send_fds(b"x", files)
    ancillary = SocketAncillary(128)
    with two.recv_ancillary(10, ancillary, MSG_PEEK) as received:
        assert received.data == b"x"
        assert received.ancillary_truncated is False
        assert all(passing.same(message.fds, files) for message in received.messages)
    with two.recv_ancillary(10, ancillary) as received:
        assert passing.same(received.messages[0].fds, files)


# --- Bad arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (-1, ValueError),
        (True, TypeError),
        (None, TypeError),
        (1.0, TypeError),
        (b"1234", TypeError),
        ([b"1234"], TypeError),
        ([1], TypeError),
        ([memoryview(bytearray(8))[::2]], BufferError),
        ([bytearray(1)] * 1025, ValueError),
    ],
)
def test_bad_room(pair: tuple[Any, Any], room: Any, expected: type[Exception]) -> None:
    """A room is a size or writable contiguous buffers, at most IOV_MAX; nothing was read, and nothing has changed."""
    one, two = pair
    ancillary = SocketAncillary(128)
    one.send(b"x")
    assert two.recv_ancillary(1, ancillary).data == b"x"
    one.send(b"x")
    ancillary.add(LEVEL, 1, b"kept")
    with pytest.raises(expected):
        two.recv_ancillary(room, ancillary)
    assert ancillary.messages() == (UnknownControlMessage(LEVEL, 1, b"kept"),)
    assert two.recv(1) in (b"x", (b"x", False))


@pytest.mark.parametrize("flags", [MSG_TRUNC, lib.MSG_WAITALL, lib.MSG_OOB, 1 << 29])
def test_bad_flags(pair: tuple[Any, Any], flags: int) -> None:
    """Flags that would eat or hide something are refused."""
    with pytest.raises(ValueError, match="not for this call"):
        pair[1].recv_ancillary(1, SocketAncillary(64), flags)


# --- Whose descriptors --------------------------------------------------------------------------


def test_messages_are_the_same_objects(pair: tuple[Any, Any], files: list[int]) -> None:
    """The ancillary and the result give the same messages, each time, until the next receive."""
    one, two = pair
    ancillary = SocketAncillary(128)
    one.send_fds(b"x", files)
    with two.recv_ancillary(1, ancillary) as received:
        assert ancillary.messages() is received.messages
        assert ancillary.messages() is ancillary.messages()
        one.send_fds(b"y", files[:1])
        with two.recv_ancillary(1, ancillary) as second:
            assert ancillary.messages() is second.messages
            assert second.messages is not received.messages
            assert passing.same(received.messages[0].fds, files)


def next_receive(one: Any, two: Any, ancillary: SocketAncillary) -> None:
    one.send(b"x")
    two.recv_ancillary(1, ancillary)


def failing_receive(one: Any, two: Any, ancillary: SocketAncillary) -> None:
    with pytest.raises(BlockingIOError):
        two.recv_ancillary(1, ancillary, MSG_DONTWAIT)


def leave_block(one: Any, two: Any, ancillary: SocketAncillary) -> None:
    with ancillary as inside:
        assert inside is ancillary


ENDS: dict[str, Callable[[Any, Any, SocketAncillary], object]] = {
    "clear": lambda one, two, ancillary: ancillary.clear(),
    "close": lambda one, two, ancillary: ancillary.close(),
    "with": leave_block,
    "receive": next_receive,
    "failing receive": failing_receive,
    "add": lambda one, two, ancillary: ancillary.add(LEVEL, 1, b"x"),
    "add_fds": lambda one, two, ancillary: ancillary.add_fds([0]),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("reader", [None, "ancillary", "result"])
def test_what_was_not_read_is_closed(pair: tuple[Any, Any], files: list[int], end: str, reader: str | None) -> None:
    """What ends the life of received content closes its descriptors, unless somebody has read the messages."""
    one, two = pair
    ancillary = SocketAncillary(128)
    one.send_fds(b"x", files)
    received = two.recv_ancillary(1, ancillary)
    numbers = peek_numbers(ancillary)
    messages = () if reader is None else ancillary.messages() if reader == "ancillary" else received.messages
    ENDS[end](one, two, ancillary)
    assert [support.is_open(number) for number in numbers] == [reader is not None] * 2
    for message in messages:
        message.fds.close()
    assert not any(support.is_open(number) for number in numbers)


def test_closing_the_result_closes_what_was_read(pair: tuple[Any, Any], files: list[int]) -> None:
    """Received.close() closes all but what was taken out, whether it was read or not."""
    one, two = pair
    ancillary = SocketAncillary(128)
    one.send_fds(b"x", files)
    received = two.recv_ancillary(1, ancillary)
    numbers = peek_numbers(ancillary)
    with ancillary.messages()[0].fds[1] as taken:
        received.close()
        assert [support.is_open(number) for number in numbers] == [False, True]
        received.close()
        assert not taken.closed


def test_closing_an_unread_result(pair: tuple[Any, Any], files: list[int]) -> None:
    """Received.close() closes what nobody has read."""
    one, two = pair
    ancillary = SocketAncillary(128)
    one.send_fds(b"x", files)
    received = two.recv_ancillary(1, ancillary)
    numbers = peek_numbers(ancillary)
    received.close()
    assert not any(support.is_open(number) for number in numbers)
    assert ancillary.messages()[0].fds.numbers() == [-1, -1]


def test_received_content_is_not_sent_on(pair: tuple[Any, Any], files: list[int]) -> None:
    """An ancillary that holds what was received cannot be sent: its numbers are not borrowed from the caller."""
    one, two = pair
    ancillary = SocketAncillary(128)
    one.send_fds(b"x", files)
    with two.recv_ancillary(1, ancillary):
        with pytest.raises(ValueError, match="holds what was received"):
            one.send_ancillary([b"x"], ancillary)
        assert two.try_recv(1) is None
    ancillary.clear()
    assert one.send_ancillary([b"x"], ancillary) == 1


def test_add_after_a_receive_begins_anew(pair: tuple[Any, Any], files: list[int]) -> None:
    """The first add after a receive replaces what was received, and can use all of the room."""
    one, two = pair
    ancillary = SocketAncillary.with_room_for(fds=2)
    one.send_fds(b"x", files)
    two.recv_ancillary(1, ancillary)
    assert ancillary.add_fds(files[::-1])
    one.send_ancillary([b"y"], ancillary)
    with two.recv_ancillary(1, ancillary) as received:
        assert passing.same(received.messages[0].fds, files[::-1])


def test_add_that_does_not_fit_keeps_what_was_received(pair: tuple[Any, Any], files: list[int]) -> None:
    """A failed add changes nothing here either."""
    one, two = pair
    ancillary = SocketAncillary.with_room_for(fds=2)
    one.send_fds(b"x", files)
    two.recv_ancillary(1, ancillary)
    assert ancillary.add_fds(files * 2) is False
    (message,) = ancillary.messages()
    with message.fds:
        assert passing.same(message.fds, files)


def test_received_descriptors_do_not_count_as_added(pair: tuple[Any, Any], files: list[int]) -> None:
    """After receiving 253 descriptors, 253 can be added."""
    one, two = pair
    ancillary = SocketAncillary.with_room_for(fds=253)
    one.send_fds(b"x", [files[0]] * 253)
    with two.recv_ancillary(1, ancillary) as received:
        assert len(received.messages[0].fds) == 253
    assert ancillary.add_fds([files[0]] * 253)


# --- Not enough room ----------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [None, 0, 1, 4, 7, 8, 11, 12])
def test_descriptors_that_do_not_fit(pair: tuple[Any, Any], files: list[int], extra: int | None) -> None:
    """As many as there is room for arrive, the flag says that some were lost, and none is left open."""
    one, two = pair
    capacity = 0 if extra is None else lib.CMSG_LEN(0) + extra
    ancillary = SocketAncillary(capacity)
    one.send_fds(b"x", [*files, *files])
    with two.recv_ancillary(1, ancillary) as received:
        assert received.data == b"x"
        assert received.ancillary_truncated is True
        assert ancillary.truncated is True
        assert received.flags & lib.MSG_CTRUNC
        arrived = [number for message in received.messages for number in message.fds.numbers()]
        assert len(arrived) == (extra or 0) // 4
        assert all(map(os.path.sameopenfile, arrived, [*files, *files]))
    ancillary.add(LEVEL, 1, b"")
    assert ancillary.truncated is False


def test_padding_has_room_for_a_descriptor_too(pair: tuple[Any, Any], files: list[int]) -> None:
    """Room for one descriptor is room for all that its padding takes: what comes is counted, not expected."""
    one, two = pair
    ancillary = SocketAncillary.with_room_for(fds=1)
    room = (ancillary.capacity - lib.CMSG_LEN(0)) // ffi.sizeof("int")
    one.send_fds(b"x", [files[0]] * room)
    with two.recv_ancillary(1, ancillary) as received:
        assert len(received.messages[0].fds) == room
        assert received.ancillary_truncated is False
