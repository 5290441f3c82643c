"""The C of framed messages, called directly: each function fails where it should, and does nothing then."""

from __future__ import annotations

import errno
import struct

import pytest
from framing import wire

from uds_cffi import UnixStream, ffi, lib

ROOM = 64
HOLE = lib.UDS_HOLE.to_bytes(4, "big")


@pytest.fixture
def reader(stream):
    """Make a reader of 64 bytes for messages of up to 100."""
    memory = ffi.new("char[]", ROOM)
    handle = stream[1]._handle
    c = ffi.new(
        "struct uds_frame_reader *", {"handle": handle, "limit": 100, "data": memory, "size": ROOM, "base": ROOM}
    )
    yield c, stream[0]
    assert memory != ffi.NULL


@pytest.fixture
def writer(stream):
    """Make a writer of 64 bytes for messages of up to 100."""
    memory = ffi.new("char[]", ROOM)
    handle = stream[0]._handle
    c = ffi.new("struct uds_frame_writer *", {"handle": handle, "limit": 100, "wire": memory, "size": ROOM})
    yield c, stream[1]
    assert memory != ffi.NULL


def lengths(*sizes):
    return struct.pack(f"={len(sizes)}I", *sizes)


def shape(result):
    """Return the two parts of a result's shape."""
    return divmod(result >> lib.UDS_FRAMES_SHAPE, 1 << lib.UDS_FRAMES_PART)


def number(result):
    """Return a result's number."""
    return result % (1 << lib.UDS_FRAMES_SHAPE) >> 2


# --- Reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["uds_frames_receive_all", "uds_frames_receive_one", "uds_frames_try_all", "uds_frames_try_one"]
)
def test_receive_reports_the_kernel_and_the_end(reader, name):
    """Nothing there is -EAGAIN, the end is 0, and a closed handle is -EBADF."""
    c, peer = reader
    receive = getattr(lib, name)
    # Who tries does not wait, whatever is preset.
    c.flags = 0 if "try" in name else lib.MSG_DONTWAIT
    assert receive(c) == -errno.EAGAIN
    peer.close()
    assert receive(c) == 0
    lib.uds_handle_close(c.handle)
    assert receive(c) == -errno.EBADF


def test_result_comes_again_until_it_was_delivered(reader):
    """The same messages come with a new number each time, one or all, until Python says which it has delivered."""
    c, peer = reader
    peer.send(wire(b"one", b"", b"three"))
    first = lib.uds_frames_receive_all(c)
    assert (c.count, ffi.buffer(c.data)[:] and ffi.unpack(c.data + c.first, c.last - c.first)) == (3, b"onethree")
    assert shape(first) == (0, 0)
    second = lib.uds_frames_receive_one(c)
    assert shape(second) == (4, 3)
    assert ffi.unpack(c.data + 4, 3) == b"one"
    for overtaken in (first, 0, -1):
        assert lib.uds_frames_deliver(c, overtaken) in (-errno.EBUSY, -errno.EINVAL)
    third = lib.uds_frames_receive_all(c)
    assert c.count == 3
    assert number(first) < number(second) < number(third)
    assert lib.uds_frames_deliver(c, third) == 0
    assert lib.uds_frames_deliver(c, third) == -errno.EBUSY
    c.flags = lib.MSG_DONTWAIT
    assert lib.uds_frames_receive_all(c) == -errno.EAGAIN


def test_result_that_was_recalled_comes_again(reader):
    """Until the next receive a result can be recalled, and only the last one."""
    c, peer = reader
    peer.send(wire(b"one", b"", b"three"))
    first = lib.uds_frames_receive_all(c)
    assert lib.uds_frames_deliver(c, first) == 0
    assert lib.uds_frames_recall(c, first) == 0
    second = lib.uds_frames_receive_all(c)
    assert ffi.unpack(c.data + c.first, c.last - c.first) == b"onethree"
    assert lib.uds_frames_recall(c, first) == -errno.EBUSY
    assert lib.uds_frames_deliver(c, second) == 0
    c.flags = lib.MSG_DONTWAIT
    assert lib.uds_frames_receive_all(c) == -errno.EAGAIN
    assert lib.uds_frames_recall(c, second) == -errno.EBUSY
    peer.send(wire(b"next"))
    assert shape(lib.uds_frames_receive_one(c)) == (4, 4)


def test_result_tells_the_shape_of_its_messages(reader):
    """Messages of one length at the begin of the memory, and one message anywhere, stay where they are."""
    c, peer = reader
    peer.send(wire(b"aaa", b"bbb", b"c", b"", b"ddd"))
    result = lib.uds_frames_receive_one(c)
    assert shape(result) == (4, 3)
    assert lib.uds_frames_deliver(c, result) == 0
    result = lib.uds_frames_receive_one(c)
    assert shape(result) == (11, 3)
    assert lib.uds_frames_deliver(c, result) == 0
    # Those are not of one length.
    assert shape(lib.uds_frames_receive_all(c)) == (0, 0)
    assert ffi.unpack(c.data + c.first, c.last - c.first) == b"cddd"
    assert ffi.unpack(c.lengths, c.count) == [1, 0, 3]
    assert lib.uds_frames_deliver(c, c.result) == 0
    peer.send(wire(b"aaa", b"bbb") + b"\0")
    result = lib.uds_frames_receive_all(c)
    assert shape(result) == (2, 3)
    assert ffi.unpack(c.data, 14) == wire(b"aaa", b"bbb")
    assert lib.uds_frames_deliver(c, result) == 0
    # What is left is moved to the begin, so that the next ones have a shape too.
    peer.send(b"\0\0\0")
    result = lib.uds_frames_receive_all(c)
    assert shape(result) == (1, 0)
    assert lib.uds_frames_deliver(c, result) == 0
    # Nor have those a shape whose descriptors may be asked for.
    c.max_fds = 1
    peer.send(wire(b"aaa"))
    assert shape(lib.uds_frames_receive_all(c)) == (0, 0)


def test_number_of_results_begins_anew(reader):
    """A result stays positive, and keeps its kind, however many there were."""
    c, peer = reader
    c.result = (1 << lib.UDS_FRAMES_SHAPE) - 1
    peer.send(wire(b"aaa", b"b"))
    result = lib.uds_frames_receive_one(c)
    assert (shape(result), number(result), result & 3) == ((4, 3), 1, lib.UDS_FRAMES_PLAIN)
    assert lib.uds_frames_deliver(c, result) == 0
    assert number(lib.uds_frames_receive_all(c)) == 2
    # One without a shape would be 0 with the number 0, and that is the end.
    c.result = (1 << lib.UDS_FRAMES_SHAPE) - 1
    peer.send(wire(b"cc"))
    c.undelivered = 0
    result = lib.uds_frames_receive_all(c)
    assert (shape(result)[0], number(result)) == (1, 1)
    c.max_fds = 1
    c.result = (1 << lib.UDS_FRAMES_SHAPE) - 1
    assert lib.uds_frames_receive_all(c) == 1 << 2


def test_room_is_asked_for_and_given(reader):
    """A message that does not fit asks for at most twice the memory, and goes on in what it is given."""
    c, peer = reader
    peer.send(wire(b"x" * 100))
    assert lib.uds_frames_receive_all(c) == lib.UDS_FRAMES_ROOM
    assert c.needed == 104
    small, large = ffi.new("char[]", 32), ffi.new("char[]", 104)
    assert lib.uds_frames_move(c, 0, small, 32, 1) == -errno.ENOBUFS
    assert lib.uds_frames_move(c, 7, large, 104, 1) == -errno.EBUSY
    assert lib.uds_frames_move(c, 0, large, 104, 1) == 0
    assert (c.memory, c.size) == (1, 104)
    result = lib.uds_frames_receive_all(c)
    assert result > 0
    # Only the first memory has messages with a shape.
    assert shape(result) == (0, 0)
    assert ffi.unpack(c.data + c.first, c.last - c.first) == b"x" * 100
    assert lib.uds_frames_deliver(c, result) == 0
    assert lib.uds_frames_receive_all(c) == lib.UDS_FRAMES_ROOM
    assert c.needed == ROOM


def test_take_checks_its_place(reader):
    """There are two sets of descriptors, and what is not there is not given."""
    c, _ = reader
    into = ffi.new("struct uds_fds *")
    serial = c.sets[0].serial
    assert lib.uds_frames_take(c, -1, serial, into) == -errno.EINVAL
    assert lib.uds_frames_take(c, 2, serial, into) == -errno.EINVAL
    assert lib.uds_frames_take(c, 0, serial, into) == -errno.EBUSY
    assert into.count == 0


def test_take_needs_empty_slots(reader, number):
    """Descriptors are not put among others."""
    c, peer = reader
    slots, into = ffi.new("struct uds_fds *"), ffi.new("struct uds_fds *")
    c.sets[0].fds, c.max_fds = slots, 1
    peer.send_fds(wire(b"x"), [number])
    result = lib.uds_frames_receive_all(c)
    assert result & 3 == lib.UDS_FRAMES_FDS
    full = UnixStream.pair()
    assert lib.uds_fds_adopt(into, full[0].detach()) == 0
    serial = c.sets[0].serial
    assert lib.uds_frames_take(c, 0, serial, into) == -errno.EBUSY
    assert lib.uds_fds_close(into, 0) == 1
    # Nor with the serial number of others.
    into = ffi.new("struct uds_fds *")
    assert lib.uds_frames_take(c, 0, serial - 1, into) == -errno.EBUSY
    assert slots.count == 1
    # How many they were is known as long as they can be asked for.
    assert [lib.uds_frames_take(c, 0, serial, into) for _ in range(2)] == [1, 1]
    assert lib.uds_fds_close(into, 0) == 1
    full[1].close()


# --- Writing ------------------------------------------------------------------------------------


def test_put_refuses_what_cannot_be(writer):
    """Lengths that are not those of the data, are above the limit, or do not fit; then nothing is there to send."""
    c, peer = writer
    ticket = lib.uds_frames_claim(c)

    def put(data, *sizes, large=b""):
        pointer = ffi.from_buffer(large)
        return lib.uds_frames_put(c, ticket, data, len(data), lengths(*sizes), len(sizes), pointer, len(large))

    assert put(b"abc", 1, 1) == -errno.EINVAL
    assert put(b"abc", 2, 2) == -errno.EINVAL
    assert put(b"x" * 101, 101) == -errno.EMSGSIZE
    assert put(b"", large=b"x" * 101) == -errno.EMSGSIZE
    assert put(b"x" * 61, 61) == -errno.ENOBUFS
    assert put(b"", *[0] * 17) == -errno.ENOBUFS
    assert lib.uds_frames_send(c, b"abc", 3, 2) == -errno.EILSEQ
    assert lib.uds_frames_send(c, b"a" + HOLE + HOLE, 9, 2) == -errno.EILSEQ
    assert lib.uds_frames_send(c, b"x" * 61, 61, 1) == -errno.ENOBUFS
    c.limit = 10
    assert lib.uds_frames_send(c, b"x" * 11, 11, 1) == -errno.EMSGSIZE
    assert lib.uds_frames_send(c, b"a" + HOLE + b"x" * 11, 16, 2) == -errno.EMSGSIZE
    c.limit = 100
    assert lib.uds_frames_pending(c) == 0
    ticket = lib.uds_frames_claim(c)
    assert lib.uds_frames_push(c, ticket, 0) == 0
    assert put(b"abc", 3, large=b"y" * 100) == 4 + 3 + 4 + 100
    # What is there must go first.
    assert put(b"abc", 3) == -errno.EBUSY
    assert lib.uds_frames_push(c, ticket, 0) == 0
    assert peer.recv(200) == wire(b"abc", b"y" * 100)


def test_push_takes_flags(writer):
    """A push that may not wait does not, whatever is preset."""
    c, peer = writer
    c.flags = 0
    ticket = lib.uds_frames_claim(c)
    while True:
        assert lib.uds_frames_put(c, ticket, b"x" * 50, 50, lengths(50), 1, ffi.NULL, 0) > 0
        left = lib.uds_frames_push(c, ticket, lib.MSG_DONTWAIT)
        if left:
            break
    assert left == -errno.EAGAIN
    assert lib.uds_frames_push_fds(c, ticket, [0], ffi.NULL, 1, lib.MSG_DONTWAIT) == -errno.EAGAIN
    assert lib.uds_frames_settle(c, ticket) > 0
    peer.close()


def test_old_ticket_is_refused(writer):
    """After a newer ticket was drawn every function that takes one refuses the old one."""
    c, _ = writer
    old = lib.uds_frames_claim(c)
    new = lib.uds_frames_claim(c)
    assert new == old + 2
    memory = ffi.new("char[]", 10)
    empty = lengths()
    for result in (
        lib.uds_frames_put(c, old, b"", 0, empty, 0, ffi.NULL, 0),
        lib.uds_frames_push(c, old, 0),
        lib.uds_frames_push_fds(c, old, [0], ffi.NULL, 1, 0),
        lib.uds_frames_settle(c, old),
        lib.uds_frames_keep(c, old, memory, 10),
    ):
        assert result == -errno.EBUSY


def test_push_reports_the_kernel(writer):
    """A closed handle is -EBADF, a peer that is gone -EPIPE, and the message has not begun to go."""
    c, peer = writer
    peer.close()
    ticket = lib.uds_frames_send(c, b"x", 1, 1)
    assert ticket > 0
    # What the send met is reported by the push, which has not sent again.
    assert lib.uds_frames_push(c, ticket, 0) == -errno.EPIPE
    assert lib.uds_frames_push(c, ticket, 0) == -errno.EPIPE
    assert lib.uds_frames_push_fds(c, ticket, [0], ffi.NULL, 1, 0) == -errno.EPIPE
    assert lib.uds_frames_settle(c, ticket) == 0
    assert lib.uds_frames_pending(c) == 0
    ticket = lib.uds_frames_claim(c)
    lib.uds_handle_close(c.handle)
    assert lib.uds_frames_put(c, ticket, b"x", 1, lengths(1), 1, ffi.NULL, 0) == 5
    assert lib.uds_frames_push(c, ticket, 0) == -errno.EBADF


def test_descriptors_go_with_a_first_byte_only(writer):
    """Without a byte, or behind the first, descriptors are refused."""
    c, peer = writer
    ticket = lib.uds_frames_claim(c)
    assert lib.uds_frames_push_fds(c, ticket, [0], ffi.NULL, 1, 0) == -errno.EINVAL
    lib.uds_frames_put(c, ticket, b"x", 1, lengths(1), 1, ffi.NULL, 0)
    assert lib.uds_frames_push_fds(c, ticket, [0], ffi.NULL, 1, 0) == 0
    assert lib.uds_frames_push_fds(c, ticket, [0], ffi.NULL, 1, 0) == -errno.EINVAL
    data, fds = peer.recv_fds(100, 10)
    with fds:
        assert (data, len(fds)) == (wire(b"x"), 1)


def test_keep_needs_room(writer):
    """The rest of a large message is copied when it fits."""
    c, _ = writer
    ticket = lib.uds_frames_claim(c)
    large = ffi.new("char[]", b"y" * 99)
    lib.uds_frames_put(c, ticket, b"", 0, lengths(), 0, large, 99)
    small, memory = ffi.new("char[]", 10), ffi.new("char[]", 99)
    assert lib.uds_frames_keep(c, ticket, small, 10) == -errno.ENOBUFS
    assert lib.uds_frames_keep(c, ticket, memory, 99) == 99
    assert ffi.unpack(memory, 99) == b"y" * 99
    assert lib.uds_frames_settle(c, ticket) == 0
    assert lib.uds_frames_keep(c, ticket, memory, 99) == 0
