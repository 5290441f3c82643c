"""``lib``: the conversation with the kernel about Unix sockets."""

from __future__ import annotations

import errno
import os
import socket
import struct

import pytest
import support
from netlink import (
    CLOSE,
    FIELDS,
    LISTEN,
    PEER,
    SOCK_DIAG,
    attribute,
    entry,
    message,
    numbers,
)

from uds_cffi import UnixStream, calls, ffi, lib, sockdiag

needs_it = support.needs("diagnostics")

# --- The conversation ---------------------------------------------------------------------------


@pytest.fixture
def diag():
    """Make a conversation whose socket is open, with room for one part."""
    handle = calls.new_handle()
    assert lib.uds_diag_open(handle) == 0
    data, found = ffi.new("char[]", 32768), ffi.new("struct uds_diag_socket[]", 8)
    yield ffi.new("struct uds_diag *", {"handle": handle, "data": data, "room": 32768, "sockets": found, "most": 8})
    assert calls.close(handle) == 0


@needs_it
def test_open_is_close_on_exec(diag):
    """The netlink socket is close-on-exec from birth, and it is one."""
    number = calls.fileno(diag.handle)
    assert not os.get_inheritable(number)
    with socket.socket(fileno=os.dup(number)) as sock:
        assert (sock.family, sock.getsockopt(socket.SOL_SOCKET, 38)) == (socket.AF_NETLINK, 4)


@needs_it
def test_open_into_a_handle_in_use(diag):
    """A handle that holds a descriptor takes no second one, and none is left open."""
    assert lib.uds_diag_open(diag.handle) == -errno.EBUSY


def open_without_descriptors() -> None:
    import resource

    last = os.dup(0)
    os.close(last)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last, last))
    assert lib.uds_diag_open(calls.new_handle()) == -errno.EMFILE


@needs_it
def test_open_without_descriptors():
    """Where no descriptor can be opened, the answer is -EMFILE."""
    support.run_child(open_without_descriptors)


@needs_it
def test_a_list_comes_in_messages(diag):
    """A question about all sockets is answered by messages of several parts, the last of which ends it."""
    assert lib.uds_diag_ask(diag, 0, 0xFFFFFFFF, 0) == 0
    assert (diag.sequence, diag.ended) == (1, 0)
    while not diag.ended:
        size = lib.uds_diag_receive(diag)
        assert size == diag.size > 0
        while lib.uds_diag_read(diag) > 0:
            pass
        assert diag.place == diag.size
    assert lib.uds_diag_receive(diag) == -errno.EAGAIN


@needs_it
@pytest.mark.parametrize(("inode", "code"), [(0xFFFFFFFE, errno.ENOENT)])
def test_a_refused_question(diag, inode, code):
    """What the kernel refuses is its errno, and ends the answer."""
    assert lib.uds_diag_ask(diag, inode, 0xFFFFFFFF, 0) == 0
    assert lib.uds_diag_receive(diag) > 0
    assert lib.uds_diag_read(diag) == -code
    assert diag.ended


@needs_it
def test_answer_without_room(diag):
    """A part that does not fit is -EMSGSIZE, and nothing of it is read."""
    diag.room = 16
    assert lib.uds_diag_ask(diag, 0, 0xFFFFFFFF, 0) == 0
    assert lib.uds_diag_receive(diag) == -errno.EMSGSIZE
    assert lib.uds_diag_read(diag) == 0


@needs_it
def test_closed_handle():
    """On a closed handle every call is -EBADF."""
    handle = calls.new_handle()
    diag = ffi.new("struct uds_diag *", {"handle": handle})
    assert lib.uds_diag_ask(diag, 0, 0, 0) == -errno.EBADF
    assert lib.uds_diag_receive(diag) == -errno.EBADF
    assert lib.uds_handle_inode(handle) == -errno.EBADF


@needs_it
def test_what_is_no_netlink_socket(stream):
    """A handle of another socket cannot ask: the kernel's refusal is the result."""
    diag = ffi.new("struct uds_diag *", {"handle": stream[0]._handle})
    assert lib.uds_diag_ask(diag, 0, 0, 0) in (-errno.EISCONN, -errno.EINVAL, -errno.EOPNOTSUPP)


@needs_it
def test_what_others_send_is_not_the_kernels(diag):
    """A message from a socket of user space is received as nothing."""
    number = calls.fileno(diag.handle)
    with socket.socket(fileno=os.dup(number)) as mine, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as other:
        mine.bind((0, 0))
        try:
            other.sendto(message(SOCK_DIAG, entry(1)), mine.getsockname())
        except PermissionError:
            pytest.skip("only a privileged process may send to another's netlink socket")
    assert lib.uds_diag_receive(diag) == 0
    assert diag.size == 0


@needs_it
def test_inode(stream):
    """The inode of a socket is that of fstat(2), by number and by handle."""
    number = stream[0].fileno()
    assert lib.uds_inode(number) == lib.uds_handle_inode(stream[0]._handle) == os.fstat(number).st_ino


@needs_it
def test_inode_of_what_is_none(number):
    """What is no Unix socket has no inode here."""
    assert lib.uds_inode(-1) == -errno.EBADF
    assert lib.uds_inode(number) == -errno.ENOTSOCK
    with socket.socket(socket.AF_INET) as sock:
        assert lib.uds_inode(sock.fileno()) == -errno.EAFNOSUPPORT


@support.lacks("diagnostics")
def test_absent():
    """Where the feature is absent, every call is -ENOSYS, and the states are -1."""
    handle = calls.new_handle()
    diag = ffi.new("struct uds_diag *")
    assert lib.uds_diag_open(handle) == -errno.ENOSYS
    assert lib.uds_diag_ask(diag, 0, 0, 0) == -errno.ENOSYS
    assert lib.uds_diag_receive(diag) == -errno.ENOSYS
    assert lib.uds_diag_read(diag) == -errno.ENOSYS
    assert lib.uds_inode(0) == -errno.ENOSYS
    one, two = UnixStream.pair()
    with one, two:
        assert lib.uds_handle_inode(one._handle) == -errno.ENOSYS
    assert {lib.UDS_DIAG_ESTABLISHED, lib.UDS_DIAG_UNCONNECTED, lib.UDS_DIAG_LISTENING} == {-1}


@needs_it
def test_states():
    """The states have the numbers that the kernel documents."""
    assert (lib.UDS_DIAG_ESTABLISHED, lib.UDS_DIAG_UNCONNECTED, lib.UDS_DIAG_LISTENING) == (1, CLOSE, LISTEN)


def test_records_are_read_as_bytes():
    """The struct has no padding, so that Python's format of it is C's."""
    record = sockdiag._RECORD
    assert ffi.sizeof("struct uds_diag_socket") == record.size
    assert [name for name in FIELDS if name not in ("name", "name_size", "clients", "client_count")] == [
        *sockdiag.Record._fields[: sockdiag._NUMBERS]
    ]
    value = ffi.new("struct uds_diag_socket *", dict(zip(FIELDS, range(1, 17))))
    assert record.unpack(ffi.buffer(value)[:]) == tuple(range(1, 17))


@needs_it
def test_a_real_answer_is_read_the_same_by_hand(diag):
    """What C reads of a real answer is what its bytes say."""
    one, two = UnixStream.pair()
    with one, two:
        inode, peer = (os.fstat(sock.fileno()).st_ino for sock in (one, two))
        assert lib.uds_diag_ask(diag, inode, 0xFFFFFFFF, 0) == 0
        size = lib.uds_diag_receive(diag)
        data = ffi.buffer(diag.data, size)[:]
        assert lib.uds_diag_read(diag) == 1
        cookie = one.get_option(socket.SOL_SOCKET, 57, 8)
    (whole,) = struct.unpack("=Q", cookie)
    assert struct.unpack_from("=BBBxIII", data, 16) == (1, 1, 1, inode, whole & 0xFFFFFFFF, whole >> 32)
    assert attribute(PEER, numbers(peer)) in data
    found = diag.sockets[0]
    assert (found.inode, found.peer, found.cookie) == (inode, peer, whole)
