"""The batches of the compiled module: what each function does, and how it fails."""

from __future__ import annotations

import errno
import os
import struct

import pytest
import support
from handles import connected_handles, new_handle

from uds_cffi import ffi, lib

NULL = ffi.NULL
KINDS = [lib.SOCK_DGRAM, pytest.param(lib.SOCK_SEQPACKET, marks=support.needs("seqpacket"))]


@pytest.fixture(params=KINDS)
def ends(request):
    with connected_handles(request.param, nonblocking=True) as ends:
        yield ends


def packed(packets):
    return b"".join(packets), struct.pack(f"{len(packets)}L", *map(len, packets)), len(packets)


def send(handle, packets, first=0, flags=0):
    data, lengths, count = packed(packets)
    return lib.uds_handle_send_batch(handle, data, lengths, first, count, flags)


class Memory:
    """Room for a batch."""

    def __init__(self, count, size, room=None):
        self.c = c = ffi.new("struct uds_batch *")
        room = count * size if room is None else room
        self.data = ffi.new("char[]", max(room, 1))
        self.starts, self.lengths = ffi.new("unsigned int[]", count), ffi.new("unsigned int[]", count)
        self.packets = ffi.new("struct uds_batch_packet[]", count)
        self.names = ffi.new("unsigned char[]", count * ffi.sizeof("struct uds_name"))
        self.fds = ffi.new("struct uds_fds *")
        c.data, c.starts, c.lengths, c.packets = self.data, self.starts, self.lengths, self.packets
        c.room, c.size, c.count = room, size, count

    def receive(self, handle):
        return lib.uds_handle_receive_batch(handle, self.c)

    def taken(self, count):
        view, begin, found = bytes(ffi.buffer(self.data)), 0, []
        for length in ffi.unpack(self.lengths, count):
            found.append(view[begin : begin + length])
            begin += length
        return found


def test_send_and_receive(ends):
    """Packets arrive in order; sending may begin behind some, and what comes is told."""
    one, two = ends
    memory = Memory(4, 8)
    assert memory.receive(two) == -errno.EAGAIN
    assert send(one, [b"a", b"bb", b"ccc"]) == 3
    assert memory.receive(two) == 3
    assert memory.taken(3) == [b"a", b"bb", b"ccc"]
    assert (memory.c.plain, memory.c.each, memory.c.ended, memory.c.error) == (1, -1, 0, 0)
    assert send(one, [b"aa", b"bb", b"cc"], first=1) == 2
    assert memory.receive(two) == 2
    assert memory.taken(2) == [b"bb", b"cc"]
    assert memory.c.each == 2
    assert send(one, [b"a"], first=1) == 0


def test_send_joined(ends):
    """Holes tell where packets end; bytes that leave this open, or look like holes too often, are not sent."""
    one, two = ends
    hole = lib.UDS_HOLE.to_bytes(4, "big")
    packets = [b"a", hole[:3], b"", hole[1:] + b"\xf7"]
    data = hole.join(packets)
    for wrong in (0, 3, 5):
        assert lib.uds_handle_send_joined(one, data, len(data), wrong, 0) == -errno.EILSEQ
    assert lib.uds_handle_send_joined(one, hole[:1] * 40, 40, 1, 0) == -errno.EILSEQ
    memory = Memory(4, 8)
    assert memory.receive(two) == -errno.EAGAIN
    assert lib.uds_handle_send_joined(one, data, len(data), 4, 0) == 4
    assert memory.receive(two) == 4
    assert memory.taken(4) == packets
    assert lib.uds_handle_send_joined(new_handle(), data, len(data), 4, 0) == -errno.EBADF
    huge = b"a" + hole + bytes(10_000_000)
    assert lib.uds_handle_send_joined(one, huge, len(huge), 2, 0) == 1
    assert lib.uds_handle_send_joined(one, huge[5:], len(huge) - 5, 1, 0) == -errno.EMSGSIZE


def test_receive_in_one_number(ends):
    """One number tells how many packets came and, when that and their bytes is all there is, their one length."""
    one, two = ends
    memory = Memory(3, 4)
    memory.c.handle = two
    for packets, each in (([b"aa", b"bb", b"cc"], 2), ([b""], 0), ([b"a", b"bb"], None), ([b"abcde"] * 2, None)):
        assert send(one, packets) == len(packets)
        more = 0 if each is None else each + 1 << lib.UDS_BATCH_EACH
        assert lib.uds_batch_receive(memory.c) == len(packets) | more
        assert memory.taken(len(packets)) == [packet[:4] for packet in packets]
    assert lib.uds_batch_receive(memory.c) == -errno.EAGAIN
    memory.c.handle = empty = new_handle()
    assert lib.uds_batch_receive(memory.c) == -errno.EBADF
    assert lib.uds_handle_fileno(empty) == -1


def test_receive_stops_at_its_limits(ends):
    """Neither count nor room is passed; what was cut is marked."""
    one, two = ends
    send(one, [b"abcdef"] * 6)
    memory = Memory(9, 4, room=11)
    assert memory.receive(two) == 2
    assert memory.taken(2) == [b"abcd"] * 2
    assert [memory.packets[place].truncated for place in range(2)] == [1, 1]
    assert memory.c.plain == 0
    assert Memory(1, 100).receive(two) == 1
    nothing = Memory(9, 0)
    assert nothing.receive(two) == 3
    assert nothing.receive(two) == -errno.EAGAIN


@support.needs("credentials")
def test_control_messages_are_copied(ends):
    """Copies lie one behind the other, and a batch ends before a packet for whose messages there might be no room."""
    one, two = ends
    value = ffi.new("int *", 1)
    assert lib.uds_handle_setsockopt(two, lib.SOL_SOCKET, lib.SO_PASSCRED, value, ffi.sizeof("int")) == 0
    send(one, [b"x"] * 5)
    memory = Memory(9, 4)
    each = lib.CMSG_SPACE(ffi.sizeof("struct ucred"))
    room = lib.UDS_BATCH_CONTROL + each
    control = ffi.new("unsigned char[]", room)
    memory.c.whole = 1
    memory.c.control, memory.c.control_room = control, room
    for count, ended in (2, 0), (2, 0), (1, -errno.EAGAIN):
        assert memory.receive(two) == count
        assert [memory.packets[place].control for place in range(count)] == [each, 2 * each][:count]
        item = ffi.new("struct uds_control_item *")
        for place in range(count):
            assert lib.uds_control_next(control + place * each, each, item) == 1
            assert (item.level, item.type, item.size) == (lib.SOL_SOCKET, lib.SCM_CREDENTIALS, 12)
            item.next = 0
        assert memory.c.error == 0
        if ended:
            assert memory.receive(two) == ended
    send(one, [b"x"])
    memory.c.control_room -= each + 1
    assert memory.receive(two) == 0


@support.needs("pass_pidfd")
def test_slots_of_pidfds(ends):
    """Pidfds go into their own slots, counted up to each packet, and a batch ends when none is left."""
    one, two = ends
    value = ffi.new("int *", 1)
    assert lib.uds_handle_setsockopt(two, lib.SOL_SOCKET, lib.SO_PASSPIDFD, value, ffi.sizeof("int")) == 0
    memory = Memory(3, 4)
    memory.c.whole = 1
    pidfds = ffi.new("struct uds_fds *")
    memory.c.pidfds = pidfds
    send(one, [b"x"] * 3)
    assert memory.receive(two) == 3
    assert [memory.packets[place].pidfds for place in range(3)] == [1, 2, 3]
    numbers = [lib.uds_fds_number(pidfds, 0, place) for place in range(3)]
    assert [lib.uds_pidfd_check(number) for number in numbers] == [0] * 3
    send(one, [b"x"] * 3)
    pidfds.count = lib.UDS_SCM_MAX_FD - 2
    assert memory.receive(two) == 2
    assert memory.receive(two) == 0
    assert lib.uds_fds_close(pidfds, 0) == 5
    assert memory.receive(two) == 1
    assert lib.uds_fds_close(pidfds, 1) == 1


def test_empty_handles_are_refused(ends):
    """A handle that is empty or closed is -EBADF in each function, and nothing is sent."""
    one, two = ends
    empty = new_handle()
    assert Memory(1, 1).receive(empty) == -errno.EBADF
    assert send(empty, [b"a"]) == -errno.EBADF
    data, lengths, count = packed([b"a", b"b"])
    batch = ffi.new("struct uds_outgoing_batch *")
    keep = [ffi.from_buffer(data), ffi.from_buffer(lengths), ffi.new("int[]", [1, 1]), ffi.new("int[]", [0, 0])]
    batch.data, batch.lengths, batch.count, batch.handle = keep[0], keep[1], count, empty
    assert lib.uds_batch_send(batch, 0) == -errno.EBADF
    # The second descriptor comes from a handle that is empty; the first one's is left again.
    owner = new_handle()
    assert lib.uds_handle_adopt(owner, os.dup(0), 0) == 0
    owners = ffi.new("struct uds_handle *[]", [owner, empty])
    batch.handle, batch.fd_counts, batch.fds, batch.owners = one, keep[2], keep[3], owners
    assert lib.uds_batch_send(batch, 0) == -errno.EBADF
    assert lib.uds_batch_send(batch, 1) == -errno.EBADF
    assert lib.uds_handle_users(owner) == 0
    assert Memory(1, 1).receive(two) == -errno.EAGAIN
    owners[1] = NULL
    assert lib.uds_batch_send(batch, 0) == 2
    assert lib.uds_handle_users(owner) == 0
    assert lib.uds_handle_close(owner) == 0
    assert Memory(9, 1).receive(two) == 2


def test_error_behind_packets_is_left_to_the_next_call(ends):
    """What went is returned; the error is, when nothing went."""
    one, _ = ends
    large = b"x" * 10**7
    assert send(one, [b"a", b"b", large]) == 2
    assert send(one, [b"a", b"b", large], first=2) == -errno.EMSGSIZE
    data, lengths, count = packed([b"a", large])
    batch = ffi.new("struct uds_outgoing_batch *")
    memory = (ffi.from_buffer(data), ffi.from_buffer(lengths))
    batch.handle, batch.count = one, count
    batch.data, batch.lengths = memory
    assert lib.uds_batch_send(batch, 0) == 1
    assert lib.uds_batch_send(batch, 1) == -errno.EMSGSIZE


def test_more_descriptors_than_a_message_carries(ends):
    """A packet with more than 253 descriptors does not fit, and is -EINVAL."""
    one, two = ends
    data, lengths, count = packed([b"a"])
    batch = ffi.new("struct uds_outgoing_batch *")
    keep = [ffi.from_buffer(data), ffi.from_buffer(lengths), ffi.new("int[]", [600]), ffi.new("int[]", 600)]
    batch.handle, batch.count = one, count
    batch.data, batch.lengths, batch.fd_counts, batch.fds = keep
    assert lib.uds_batch_send(batch, 0) == -errno.EINVAL
    assert Memory(1, 1).receive(two) == -errno.EAGAIN


def test_descriptors_without_slots_are_closed(ends):
    """Descriptors that nobody wants are closed and counted, and none is left open."""
    one, two = ends
    assert lib.uds_handle_send_fds(one, b"a", 1, 0, NULL, 0, [0, 0], NULL, 2) == 1
    memory = Memory(2, 1)
    memory.c.whole = 1
    assert memory.receive(two) == 1
    assert (memory.packets[0].surplus, memory.packets[0].fds, memory.packets[0].cut) == (2, 0, 0)
    assert memory.c.plain == 0
    assert lib.uds_handle_send_fds(one, b"a", 1, 0, NULL, 0, [0, 0], NULL, 2) == 1
    memory.c.fds, memory.c.most, memory.c.names = memory.fds, 1, memory.names
    assert memory.receive(two) == 1
    assert (memory.packets[0].surplus, memory.packets[0].fds) == (1, 1)
    assert lib.uds_fds_close(memory.fds, 0) == 1


@support.needs("seqpacket")
def test_end_is_reported_once_it_is_found():
    """0 is the end; it stands behind packets too."""
    one, two = new_handle(), new_handle()
    assert lib.uds_handle_socketpair(one, two, lib.SOCK_SEQPACKET, 1) == 0
    memory = Memory(4, 8)
    memory.c.connection = 1
    send(one, [b"a", b"b"])
    lib.uds_handle_close(one)
    assert memory.receive(two) == 2
    assert (memory.c.ended, memory.c.plain) == (1, 0)
    assert memory.receive(two) == 0
    assert memory.c.ended == 1
    assert send(two, [b"a"]) == -errno.EPIPE
    lib.uds_handle_close(two)


@support.lacks("packet_end")
def test_length_0_is_the_end_where_the_system_cannot_tell():
    """Without the feature an empty packet of a connection is its end, unless something came with it."""
    one, two = new_handle(), new_handle()
    assert lib.uds_handle_socketpair(one, two, lib.SOCK_DGRAM, 1) == 0
    memory = Memory(4, 8)
    memory.c.connection = 1
    send(one, [b"a", b"", b"b"])
    assert memory.receive(two) == 1
    assert memory.c.ended == 1
    assert memory.receive(two) == 1
    assert (memory.taken(1), memory.c.ended) == ([b"b"], 0)
    memory.c.whole, memory.c.fds, memory.c.most = 1, memory.fds, 2
    assert lib.uds_handle_send_fds(one, b"", 0, 0, NULL, 0, [0, 0], NULL, 2) == 0
    assert memory.receive(two) == 1
    assert (memory.packets[0].fds, memory.c.ended) == (2, 0)
    assert lib.uds_fds_close(memory.fds, 0) == 2
    lib.uds_handle_close(one)
    lib.uds_handle_close(two)
