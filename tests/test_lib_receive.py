"""Sending and receiving through handles.

Rule: descriptors that arrive are in slots, or closed, when the call returns; a packet that was cut is reported by a
result greater than the room; no send raises SIGPIPE.
"""

from __future__ import annotations

import errno
import os
import struct

import pytest
import support
from handles import new_handle

from uds_cffi import ffi, lib

NULL = ffi.NULL
KINDS = [lib.SOCK_STREAM, lib.SOCK_DGRAM]
PACKETS = [lib.SOCK_DGRAM, pytest.param(lib.SOCK_SEQPACKET, marks=support.needs("seqpacket"))]


class Pair:
    """Two connected sockets, nonblocking, with memory to receive into."""

    def __init__(self, kind):
        self.one, self.two = new_handle(), new_handle()
        assert lib.uds_handle_socketpair(self.one, self.two, kind, 1) == 0
        self.memory = ffi.new("char[]", 64)

    def data(self, count):
        return bytes(ffi.buffer(self.memory, count))

    def close(self):
        lib.uds_handle_close(self.one)
        lib.uds_handle_close(self.two)


@pytest.fixture
def make_pair():
    made = []

    def make(kind=lib.SOCK_STREAM):
        made.append(Pair(kind))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


# --- Send ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_send_and_recv(make_pair, kind):
    """Bytes arrive; an empty queue is -EAGAIN."""
    pair = make_pair(kind)
    assert lib.uds_handle_recv(pair.two, pair.memory, 64, 0) == -errno.EAGAIN
    assert lib.uds_handle_send(pair.one, b"bytes", 5, 0) == 5
    assert lib.uds_handle_recv(pair.two, pair.memory, 64, 0) == 5
    assert pair.data(5) == b"bytes"


def test_no_send_raises_sigpipe(make_pair):
    """A send to nobody is -EPIPE and no signal."""
    pair = make_pair()
    lib.uds_handle_close(pair.two)
    iov = ffi.new("struct iovec *", {"iov_base": pair.memory, "iov_len": 1})
    message = ffi.new("struct msghdr *", {"msg_iov": iov, "msg_iovlen": 1})
    assert lib.uds_handle_send(pair.one, b"x", 1, 0) == -errno.EPIPE
    assert lib.uds_handle_sendmsg(pair.one, message, 0) == -errno.EPIPE
    assert lib.uds_handle_send_fds(pair.one, b"x", 1, 0, NULL, 0, [0], NULL, 1) == -errno.EPIPE


def test_sendto(make_pair, socket_path):
    """A packet goes to an address; nobody there is -ENOENT."""
    pair = make_pair(lib.SOCK_DGRAM)
    receiver = new_handle()
    assert lib.uds_handle_socket(receiver, lib.SOCK_DGRAM, 1) == 0
    assert lib.uds_handle_sendto(receiver, b"x", 1, 0, *support.address_of(socket_path)) == -errno.ENOENT
    assert lib.uds_handle_bind(receiver, *support.address_of(socket_path)) == 0
    assert lib.uds_handle_sendto(pair.one, b"gram", 4, 0, *support.address_of(socket_path)) == 4
    assert lib.uds_handle_recv(receiver, pair.memory, 64, 0) == 4
    assert lib.uds_handle_close(receiver) == 0


def test_sendmsg(make_pair):
    """Several buffers go as one; more than IOV_MAX are -EMSGSIZE."""
    pair = make_pair(lib.SOCK_DGRAM)
    parts = [ffi.new("char[]", text) for text in (b"ab", b"cde")]
    iov = ffi.new("struct iovec[]", [{"iov_base": part, "iov_len": len(part) - 1} for part in parts])
    message = ffi.new("struct msghdr *", {"msg_iov": iov, "msg_iovlen": 2})
    assert lib.uds_handle_sendmsg(pair.one, message, 0) == 5
    assert lib.uds_handle_recv(pair.two, pair.memory, 64, 0) == 5
    assert pair.data(5) == b"abcde"
    many = ffi.new("struct iovec[]", lib.IOV_MAX + 1)
    message.msg_iov, message.msg_iovlen = many, lib.IOV_MAX + 1
    assert lib.uds_handle_sendmsg(pair.one, message, 0) == -errno.EMSGSIZE


def test_send_fds_and_their_owners(make_pair):
    """Descriptors are bare numbers, or come from handles, which must not be empty."""
    pair = make_pair()
    owner = new_handle()
    number = os.dup(0)
    assert lib.uds_handle_adopt(owner, number, 0) == 0
    send = lib.uds_handle_send_fds
    assert send(pair.one, b"x", 1, 0, NULL, 0, [0, -7], [NULL, owner], 2) == 1
    receiver, fds = receiver_of(pair)
    assert lib.uds_receive_message(receiver) == 1
    assert fds.count == 2
    for place in range(2):
        assert os.path.sameopenfile(lib.uds_fds_number(fds, 0, place), 0)
    assert lib.uds_fds_close(fds, 0) == 2
    assert lib.uds_handle_users(owner) == 0
    # In the end it is closed, although it was in use: the count is right.
    assert lib.uds_handle_close(owner) == 0
    assert send(pair.one, b"x", 1, 0, NULL, 0, [0, -7], [NULL, owner], 2) == -errno.EBADF
    assert send(pair.one, b"x", 1, 0, NULL, 0, [-1], NULL, 1) == -errno.EBADF
    assert send(pair.one, b"x", 1, 0, NULL, 0, [10**6], NULL, 1) == -errno.EBADF
    assert send(pair.one, b"x", 1, 0, NULL, 0, NULL, NULL, -1) == -errno.EINVAL
    assert send(pair.one, b"x", 1, 0, NULL, 0, [0] * 254, NULL, 254) == -errno.EINVAL
    assert send(pair.one, b"none", 4, 0, NULL, 0, NULL, NULL, 0) == 4
    assert send(pair.one, b"most", 4, 0, NULL, 0, [0] * 253, NULL, 253) == 4
    assert lib.uds_handle_recv(pair.two, pair.memory, 64, 0) == 8


# --- Receive ------------------------------------------------------------------------------------


def receiver_of(pair, size=64, most=lib.UDS_SCM_MAX_FD):
    """Return a receiver for the second socket, and the slots for its descriptors."""
    receiver = ffi.new("struct uds_receiver *")
    fds = ffi.new("struct uds_fds *")
    pair.control = ffi.new("char[]", 2048)
    receiver.handle, receiver.data, receiver.size = pair.two, pair.memory, size
    receiver.control, receiver.control_size = pair.control, 2048
    receiver.fds, receiver.most = fds, most
    return receiver, fds


def test_receive(make_pair):
    """A preset receive takes one argument; an empty handle in it is -EBADF."""
    pair = make_pair()
    receiver, _ = receiver_of(pair)
    assert lib.uds_receive(receiver) == -errno.EAGAIN
    lib.uds_handle_send(pair.one, b"bytes", 5, 0)
    receiver.flags = lib.MSG_PEEK
    assert lib.uds_receive(receiver) == 5
    receiver.flags = 0
    assert lib.uds_receive(receiver) == 5
    assert pair.data(5) == b"bytes"
    receiver.handle = new_handle()
    for name in ("uds_receive", "uds_receive_packet", "uds_receive_message", "uds_receive_fds", "uds_receive_packed"):
        assert getattr(lib, name)(receiver) == -errno.EBADF


@pytest.mark.parametrize("kind", PACKETS)
def test_receive_packet_reports_a_cut(make_pair, kind):
    """A packet that does not fit has a result above the size: its true length where that is known."""
    pair = make_pair(kind)
    receiver, _ = receiver_of(pair, 3)
    too_long = 5 if lib.UDS_HAS_TRUNC_LENGTH else 4
    assert lib.uds_receive_packet(receiver) == -errno.EAGAIN
    for packet, expected in ((b"abc", 3), (b"abcde", too_long), (b"", 0)):
        for call in (
            lambda: lib.uds_receive_packet(receiver),
            lambda: lib.uds_handle_recv_packet(pair.two, pair.memory, 3, 0),
        ):
            assert lib.uds_handle_send(pair.one, packet, len(packet), 0) == len(packet)
            assert call() == expected
            assert pair.data(3) == b"abc"
    assert lib.uds_handle_recv_packet(pair.two, pair.memory, 3, 0) == -errno.EAGAIN


@pytest.mark.parametrize("kind", PACKETS)
def test_receive_message_reports_a_cut(make_pair, kind):
    """The same with recvmsg(2), whose flags say it too."""
    pair = make_pair(kind)
    receiver, _ = receiver_of(pair, 3)
    receiver.flags = lib.MSG_TRUNC
    lib.uds_handle_send(pair.one, b"abcde", 5, 0)
    assert lib.uds_receive_message(receiver) == (5 if lib.UDS_HAS_TRUNC_LENGTH else 4)
    assert receiver.message_flags & lib.MSG_TRUNC
    assert lib.uds_receive_message(receiver) == -errno.EAGAIN


@pytest.mark.parametrize(("most", "kept"), [(5, 3), (2, 2), (0, 0)])
def test_receive_message_with_descriptors(make_pair, most, kept):
    """Descriptors are in their slots, close-on-exec, and what is too much is closed and counted."""
    pair = make_pair()
    receiver, fds = receiver_of(pair, most=most)
    lib.uds_handle_send_fds(pair.one, b"xyz", 3, 0, NULL, 0, [0, 0, 0], NULL, 3)
    assert lib.uds_receive_message(receiver) == 3
    assert (fds.count, receiver.surplus) == (kept, 3 - kept)
    assert receiver.message_flags == 0
    assert receiver.control_length == lib.CMSG_SPACE(12)
    for place in range(kept):
        number = lib.uds_fds_number(fds, 0, place)
        assert lib.uds_fcntl(number, lib.F_GETFD, 0) == lib.FD_CLOEXEC
    assert lib.uds_fds_close(fds, 0) == kept


@pytest.mark.parametrize(("most", "kept"), [(5, 3), (3, 3), (2, 2), (0, 0)])
def test_packed_receive(make_pair, most, kept):
    """One result says how many bytes and descriptors came and whether some were lost."""
    pair = make_pair(lib.SOCK_DGRAM)
    receiver, fds = receiver_of(pair, size=2, most=most)
    receiver.flags = lib.MSG_TRUNC if lib.UDS_HAS_TRUNC_LENGTH else 0
    assert lib.uds_receive_packed(receiver) == -errno.EAGAIN
    lib.uds_handle_send_numbers(pair.one, b"abc", 3, 0, [0, 0, 0], 3)
    result = lib.uds_receive_packed(receiver)
    assert result == 2 + kept * lib.UDS_ONE_FD + lib.UDS_CUT + (lib.UDS_SURPLUS if kept < 3 else 0)
    assert receiver.facts[0] == 3
    assert lib.uds_fds_close(fds, 0) == kept


def test_packed_receive_says_that_the_kernel_cut(make_pair):
    """Control messages that did not fit are reported as cut."""
    pair = make_pair(lib.SOCK_DGRAM)
    receiver, _ = receiver_of(pair)
    receiver.control_size = 1
    lib.uds_handle_send_numbers(pair.one, b"abc", 3, 0, [0], 1)
    assert lib.uds_receive_packed(receiver) == 3 + lib.UDS_ANCILLARY_CUT


def test_send_numbers(make_pair):
    """Bare numbers are sent; what is none, or too many, is refused, and nothing goes."""
    pair = make_pair(lib.SOCK_DGRAM)
    assert lib.uds_handle_send_numbers(pair.one, b"x", 1, 0, [-1], 1) == -errno.EBADF
    assert lib.uds_handle_send_numbers(pair.one, b"x", 1, 0, [10**6], 1) == -errno.EBADF
    assert lib.uds_handle_send_numbers(pair.one, b"x", 1, 0, [0] * 254, 254) == -errno.EINVAL
    assert lib.uds_handle_recv(pair.two, pair.memory, 64, 0) == -errno.EAGAIN
    assert lib.uds_handle_send_numbers(pair.one, b"x", 1, 0, [0], 1) == 1


def test_send_packed(make_pair):
    """Size, flags and numbers are sent out of one piece of memory; what is none, or too many, is refused."""
    pair = make_pair(lib.SOCK_DGRAM)
    receiver, fds = receiver_of(pair)

    def send(size, *numbers, count=None):
        packed = struct.pack(f"qii{len(numbers)}i", size, 0, len(numbers) if count is None else count, *numbers)
        return lib.uds_handle_send_packed(pair.one, b"abc", packed)

    assert send(3, -1) == send(3, 10**6) == -errno.EBADF
    assert send(3, count=254) == send(3, count=-1) == send(-1, 0) == -errno.EINVAL
    assert lib.uds_receive_fds(receiver) == -errno.EAGAIN
    for generation, numbers in enumerate(([], [0], [0] * 253)):
        assert send(2, *numbers) == 2
        assert lib.uds_receive_fds(receiver) == 2 + len(numbers) * lib.UDS_ONE_FD
        assert pair.data(2) == b"ab"
        assert lib.uds_fds_close(fds, generation) == len(numbers)


@support.needs("credentials")
def test_credentials_among_the_facts(make_pair):
    """Credentials that came alone and whole are among the facts; others are only listed."""
    pair = make_pair(lib.SOCK_DGRAM)
    receiver, fds = receiver_of(pair)
    on = ffi.new("int *", 1)
    assert lib.uds_handle_setsockopt(pair.two, lib.SOL_SOCKET, lib.SO_PASSCRED, on, 4) == 0
    for room, numbers, facts in (
        (2048, [], [1, 1, os.getpid(), os.getuid(), os.getgid()]),
        (lib.CMSG_LEN(8), [], [1, 0, 0, 0, 0]),
        (2048, [0], [2, 0, 0, 0, 0]),
    ):
        receiver.control_size = room
        lib.uds_handle_send_numbers(pair.one, b"abc", 3, 0, numbers, len(numbers))
        assert lib.uds_receive_packed(receiver) & 0xFFFF == 3
        assert list(receiver.facts[0:9])[4:] == facts
    assert lib.uds_fds_close(fds, 0) == 1


def test_receive_message_without_room_for_descriptors(make_pair):
    """Without a control buffer the kernel discards them, and says so; without slots they are closed."""
    pair = make_pair()
    receiver, fds = receiver_of(pair)
    for _ in range(2):
        lib.uds_handle_send_fds(pair.one, b"x", 1, 0, NULL, 0, [0], NULL, 1)
    receiver.control_size = 0
    assert lib.uds_receive_message(receiver) == 1
    assert receiver.message_flags & lib.MSG_CTRUNC
    assert (fds.count, receiver.control_length) == (0, 0)
    receiver.control_size, receiver.fds = 2048, NULL
    assert lib.uds_receive_message(receiver) == 1
    assert receiver.surplus == 1
    assert not receiver.message_flags & lib.MSG_CTRUNC


def test_receive_message_into_several_places(make_pair):
    """Where an iovec array is set, it is used."""
    pair = make_pair()
    receiver, _ = receiver_of(pair)
    parts = [ffi.new("char[]", 2), ffi.new("char[]", 4)]
    iov = ffi.new("struct iovec[]", [{"iov_base": part, "iov_len": len(part)} for part in parts])
    receiver.iov, receiver.iovcnt = iov, 2
    lib.uds_handle_send(pair.one, b"abcde", 5, 0)
    assert lib.uds_receive_message(receiver) == 5
    assert [bytes(ffi.buffer(part)) for part in parts] == [b"ab", b"cde\0"]


def test_receive_message_with_an_address(make_pair, socket_path, short_dir):
    """The sender's name is written where that is wanted; after a failure there is none."""
    pair = make_pair(lib.SOCK_DGRAM)
    receiver, _ = receiver_of(pair)
    receiver.handle = bound = new_handle()
    receiver.name = name = ffi.new("struct uds_name *")
    assert lib.uds_handle_socket(bound, lib.SOCK_DGRAM, 1) == 0
    assert lib.uds_handle_bind(bound, *support.address_of(socket_path)) == 0
    assert lib.uds_handle_bind(pair.one, *support.address_of(f"{short_dir}/m")) == 0
    assert lib.uds_handle_sendto(pair.one, b"x", 1, 0, *support.address_of(socket_path)) == 1
    assert lib.uds_receive_message(receiver) == 1
    start = lib.UDS_SUN_PATH_OFFSET
    assert bytes(name.bytes)[start : name.length].rstrip(b"\0") == os.fsencode(f"{short_dir}/m")
    assert lib.uds_receive_message(receiver) == -errno.EAGAIN
    assert (name.length, receiver.control_length, receiver.message_flags) == (0, 0, 0)
    assert lib.uds_handle_close(bound) == 0


# --- The next packet ----------------------------------------------------------------------------


@support.needs("packet_length")
@pytest.mark.parametrize("kind", PACKETS)
def test_packet_length(make_pair, kind):
    """The length of the next packet is told, and the packet stays."""
    pair = make_pair(kind)
    assert lib.uds_handle_packet_length(pair.two, 0) == -errno.EAGAIN
    lib.uds_handle_send(pair.one, b"12345", 5, 0)
    for _ in range(2):
        assert lib.uds_handle_packet_length(pair.two, 0) == 5
    assert lib.uds_handle_recv(pair.two, pair.memory, 64, 0) == 5


@support.lacks("packet_length")
def test_packet_length_is_absent(make_pair):
    """Where the system does not tell it, that is -ENOSYS."""
    assert lib.uds_handle_packet_length(make_pair(lib.SOCK_DGRAM).two, 0) == -errno.ENOSYS


@support.needs("packet_end")
def test_packet_waiting(make_pair):
    """1 for a packet, even an empty one, 0 for the end, -EAGAIN for neither; the option is off again."""
    pair = make_pair(lib.SOCK_SEQPACKET)
    assert lib.uds_handle_packet_waiting(pair.two) == -errno.EAGAIN
    for packet in (b"", b"x"):
        lib.uds_handle_send(pair.one, packet, len(packet), 0)
        assert lib.uds_handle_packet_waiting(pair.two) == 1
        assert lib.uds_handle_recv(pair.two, pair.memory, 64, 0) == len(packet)
    receiver, _ = receiver_of(pair)
    lib.uds_handle_send(pair.one, b"x", 1, 0)
    assert lib.uds_receive_message(receiver) == 1
    assert receiver.control_length == 0
    lib.uds_handle_close(pair.one)
    assert lib.uds_handle_packet_waiting(pair.two) == 0


@support.lacks("packet_end")
def test_packet_waiting_is_absent(make_pair):
    """Where the system cannot tell, that is -ENOSYS."""
    assert lib.uds_handle_packet_waiting(make_pair(lib.SOCK_DGRAM).two) == -errno.ENOSYS
