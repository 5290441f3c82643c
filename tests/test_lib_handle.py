"""Handles: descriptors that count the calls which run on them.

Rule: memory of zeros is an empty handle; a call on an empty or closed one is -EBADF; a number is in one handle at a
time, and a call that fills a handle fills only an empty one.
"""

from __future__ import annotations

import errno
import os
import struct

import pytest
import support
from handles import connected_handles, new_handle

from uds_cffi import ffi, lib

NULL = ffi.NULL
KINDS = [lib.SOCK_STREAM, lib.SOCK_DGRAM]


@pytest.fixture
def pair():
    """Two connected stream sockets in handles."""
    with connected_handles() as ends:
        yield ends


# Each call that works on a handle, with arguments that would be good ones.
CALLS = {
    "uds_handle_detach": (),
    "uds_handle_open": (b"name", 0),
    "uds_handle_move": (new_handle(),),
    "uds_handle_dup": (new_handle(),),
    "uds_handle_listen": (1,),
    "uds_handle_shutdown": (lib.SHUT_RD,),
    "uds_handle_getsockopt": (lib.SOL_SOCKET, lib.SO_TYPE, ffi.new("int *"), ffi.new("socklen_t *", 4)),
    "uds_handle_setsockopt": (lib.SOL_SOCKET, lib.SO_SNDBUF, ffi.new("int *", 4096), 4),
    "uds_handle_bind": support.address_of("x"),
    "uds_handle_bindat": (0, *support.address_of("x")),
    "uds_handle_connectat": (0, *support.address_of("x")),
    "uds_handle_flock": (),
    "uds_handle_connect": support.address_of("x"),
    "uds_handle_disconnect": (),
    "uds_handle_getsockname": (ffi.new("struct uds_name *"),),
    "uds_handle_getpeername": (ffi.new("struct uds_name *"),),
    "uds_handle_accept": (new_handle(), ffi.new("struct uds_name *"), 0),
    "uds_handle_describe": (ffi.new("struct uds_description *"),),
    "uds_handle_get_nonblocking": (),
    "uds_handle_set_nonblocking": (1,),
    "uds_handle_unread_bytes": (),
    "uds_handle_unsent_bytes": (),
    "uds_handle_at_mark": (),
    "uds_handle_get_timeout": (lib.SO_RCVTIMEO, ffi.new("int64_t *")),
    "uds_handle_set_timeout": (lib.SO_RCVTIMEO, 1000),
    "uds_handle_readlink": (ffi.new("char[]", 64), 64),
    "uds_handle_mode": (),
    "uds_handle_inode": (),
    "uds_handle_packet_length": (lib.MSG_DONTWAIT,),
    "uds_handle_packet_waiting": (),
    "uds_handle_peer_credentials": (ffi.new("struct uds_peer *"),),
    "uds_handle_peer_groups": (ffi.new("gid_t[]", 4), 4),
    "uds_handle_peer_security": (ffi.new("char[]", 4), 4),
    "uds_handle_peer_audit_token": (ffi.new("char[]", lib.UDS_AUDIT_TOKEN_SIZE),),
    "uds_handle_peer_pidfd": (new_handle(),),
    "uds_handle_pidfd_signal": (0,),
    "uds_handle_pidfd_info": (ffi.new("struct uds_pidfd_info *"),),
    "uds_handle_pidfd_pid": (),
    "uds_handle_pidfd_same": (new_handle(),),
    "uds_handle_bound_file": (new_handle(),),
    "uds_handle_is_at": (b"x",),
    "uds_handle_funlock": (),
    "uds_handle_fstat": (ffi.new("struct uds_status *"),),
    "uds_handle_bind_briefly": (b"x", ffi.new("uint64_t[2]")),
    "uds_handle_connect_briefly": (new_handle(), b"x"),
    "uds_handle_bindat_briefly": (new_handle(), b".", b"x"),
    "uds_handle_recv": (ffi.new("char[]", 4), 4, lib.MSG_DONTWAIT),
    "uds_handle_recv_packet": (ffi.new("char[]", 4), 4, lib.MSG_DONTWAIT),
    "uds_handle_send": (b"x", 1, 0),
    "uds_handle_sendto": (b"x", 1, 0, *support.address_of("x")),
    "uds_handle_sendmsg": (ffi.new("struct msghdr *"), 0),
    "uds_handle_send_fds": (b"x", 1, 0, NULL, 0, [0], NULL, 1),
    "uds_handle_send_numbers": (b"x", 1, 0, [0], 1),
    "uds_handle_send_packed": (b"x", struct.pack("qiii", 1, 0, 1, 0)),
    "uds_handle_send_batch": (b"x", struct.pack("L", 1), 0, 1, 0),
    "uds_handle_send_joined": (b"x", 1, 1, 0),
    "uds_handle_receive_batch": (ffi.new("struct uds_batch *"),),
    "uds_handle_wait": (lib.POLLIN, 0),
}
# What does not fail: the answer for a handle that has no number.
ANSWERS = {"uds_handle_fileno": -1, "uds_handle_users": 0, "uds_handle_close": 0}
# What fills a handle instead of working on one.
FILLING = {
    "uds_handle_free",
    "uds_handle_seal",
    "uds_handle_adopt",
    "uds_handle_socket",
    "uds_handle_socketpair",
    "uds_handle_open_connected",
    "uds_handle_dup_number",
    "uds_handle_pidfd_open",
    "uds_handle_openat",
}


def test_all_functions_of_handles_are_here():
    """The tables are complete."""
    names = {name for name in dir(lib) if name.startswith("uds_handle_")}

    assert names == CALLS.keys() | ANSWERS.keys() | FILLING


@pytest.mark.parametrize("name", CALLS)
def test_empty_handle_is_ebadf(name):
    """Memory of zeros is a handle with nothing in it, on which every call is -EBADF."""
    assert getattr(lib, name)(new_handle(), *CALLS[name]) == -errno.EBADF


@pytest.mark.parametrize("name", CALLS)
def test_closed_handle_is_ebadf(name):
    """So is one whose number was closed."""
    handle = new_handle()
    assert lib.uds_handle_socket(handle, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_close(handle) == 0
    assert getattr(lib, name)(handle, *CALLS[name]) == -errno.EBADF


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_an_empty_handle(name):
    """Asking for the number or the users, and closing, are no errors."""
    assert getattr(lib, name)(new_handle()) == ANSWERS[name]


@pytest.mark.parametrize("nonblocking", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_socket(kind, nonblocking):
    """A new socket is close-on-exec, and nonblocking when that was asked for."""
    handle = new_handle()
    assert lib.uds_handle_socket(handle, kind, nonblocking) == 0
    number = lib.uds_handle_fileno(handle)
    assert lib.uds_fcntl(number, lib.F_GETFD, 0) == lib.FD_CLOEXEC
    assert lib.uds_handle_get_nonblocking(handle) == nonblocking
    assert lib.uds_handle_users(handle) == 0
    assert lib.uds_handle_close(handle) == 0
    assert not support.is_open(number)
    assert lib.uds_handle_fileno(handle) == -1
    assert lib.uds_handle_close(handle) == 0


@pytest.mark.parametrize("nonblocking", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_socketpair(kind, nonblocking):
    """Both ends are close-on-exec, connected, and nonblocking when that was asked for."""
    one, two = new_handle(), new_handle()
    assert lib.uds_handle_socketpair(one, two, kind, nonblocking) == 0
    for handle in (one, two):
        number = lib.uds_handle_fileno(handle)
        assert lib.uds_fcntl(number, lib.F_GETFD, 0) == lib.FD_CLOEXEC
        assert lib.uds_handle_get_nonblocking(handle) == nonblocking
    assert lib.uds_handle_send(one, b"x", 1, 0) == 1
    assert lib.uds_handle_unread_bytes(two) == 1
    assert lib.uds_handle_close(one) == lib.uds_handle_close(two) == 0


def test_type_that_there_is_not():
    """A socket type of which the kernel knows nothing leaves the handles empty."""
    one, two = new_handle(), new_handle()
    assert lib.uds_handle_socket(one, 9, 0) < 0
    assert lib.uds_handle_socketpair(one, two, 9, 0) < 0
    assert lib.uds_handle_fileno(one) == lib.uds_handle_fileno(two) == -1


def test_what_fills_a_handle_fills_only_an_empty_one(pair):
    """A handle that has a number keeps it, and what was made for it is closed again."""
    one, two = pair
    numbers = [lib.uds_handle_fileno(one), lib.uds_handle_fileno(two)]
    other = new_handle()
    assert lib.uds_handle_adopt(one, numbers[1], 0) == -errno.EBUSY
    assert lib.uds_handle_socket(one, lib.SOCK_STREAM, 0) == -errno.EBUSY
    assert lib.uds_handle_socketpair(one, other, lib.SOCK_STREAM, 0) == -errno.EBUSY
    assert lib.uds_handle_socketpair(other, two, lib.SOCK_STREAM, 0) == -errno.EBUSY
    assert lib.uds_handle_dup(one, two) == -errno.EBUSY
    assert lib.uds_handle_dup_number(numbers[0], two) == -errno.EBUSY
    assert lib.uds_handle_move(one, two) == -errno.EBUSY
    # The census finds what was not closed.
    assert [lib.uds_handle_fileno(one), lib.uds_handle_fileno(two)] == numbers
    assert lib.uds_handle_fileno(other) == -1


def test_adopt_and_detach(pair):
    """A number goes in and out without being closed."""
    handle = new_handle()
    number = os.dup(0)
    assert lib.uds_handle_adopt(handle, -1, 0) == -errno.EBADF
    assert lib.uds_handle_adopt(handle, number, 0) == 0
    assert lib.uds_handle_fileno(handle) == number
    assert lib.uds_handle_detach(handle) == number
    assert lib.uds_handle_fileno(handle) == -1
    assert support.is_open(number)
    assert lib.uds_handle_adopt(handle, number, 0) == 0
    assert lib.uds_handle_open(handle, b"ignored", 0) == number
    assert support.is_open(number)
    os.close(number)


def test_borrowed_number_is_not_closed():
    """Closing a handle whose number belongs to somebody else ends the loan and no more."""
    handle = new_handle()
    number = os.dup(0)
    assert lib.uds_handle_adopt(handle, number, 1) == 0
    assert lib.uds_handle_close(handle) == 0
    assert lib.uds_handle_fileno(handle) == -1
    assert support.is_open(number)
    os.close(number)


def test_move(pair):
    """A number moves from one handle to another, and is the same."""
    one, _ = pair
    number = lib.uds_handle_fileno(one)
    target = new_handle()
    assert lib.uds_handle_move(one, target) == 0
    assert lib.uds_handle_fileno(one) == -1
    assert lib.uds_handle_fileno(target) == number
    assert lib.uds_handle_close(target) == 0
    assert not support.is_open(number)


def test_dup(pair):
    """A copy has another number, is close-on-exec, and lives on its own."""
    one, two = pair
    copy, another = new_handle(), new_handle()
    assert lib.uds_handle_dup(one, copy) == 0
    assert lib.uds_handle_dup_number(lib.uds_handle_fileno(one), another) == 0
    assert lib.uds_handle_dup_number(-1, new_handle()) == -errno.EBADF
    assert lib.uds_fcntl(lib.uds_handle_fileno(copy), lib.F_GETFD, 0) == lib.FD_CLOEXEC
    assert lib.uds_handle_close(one) == 0
    assert lib.uds_handle_send(copy, b"x", 1, 0) == 1
    assert lib.uds_handle_send(another, b"y", 1, 0) == 1
    assert lib.uds_handle_unread_bytes(two) == 2
    assert lib.uds_handle_close(copy) == lib.uds_handle_close(another) == 0


def test_close_reports_what_close_reports():
    """An adopted number that somebody else has closed is -EBADF, and gone from the handle."""
    handle = new_handle()
    number = os.dup(0)
    assert lib.uds_handle_adopt(handle, number, 0) == 0
    os.close(number)
    assert lib.uds_handle_close(handle) == -errno.EBADF
    assert lib.uds_handle_fileno(handle) == -1


def test_listen_and_shutdown(short_dir):
    """listen() needs a name, and shutdown() a direction."""
    handle = new_handle()
    assert lib.uds_handle_socket(handle, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_listen(handle, 1) == -errno.EINVAL
    assert lib.uds_handle_bind(handle, *support.address_of(f"{short_dir}/x")) == 0
    assert lib.uds_handle_listen(handle, 1) == 0
    assert lib.uds_handle_shutdown(handle, 99) == -errno.EINVAL
    assert lib.uds_handle_shutdown(handle, lib.SHUT_RD) == 0
    assert lib.uds_handle_close(handle) == 0


def test_options(pair):
    """Options are read and written, and refused when there are no such."""
    one, _ = pair
    value, length = ffi.new("int *"), ffi.new("socklen_t *", 4)
    assert lib.uds_handle_getsockopt(one, lib.SOL_SOCKET, lib.SO_TYPE, value, length) == 0
    assert value[0] == lib.SOCK_STREAM
    assert lib.uds_handle_getsockopt(one, lib.SOL_SOCKET, 12345, value, length) == -errno.ENOPROTOOPT
    value[0] = 1
    assert lib.uds_handle_setsockopt(one, lib.SOL_SOCKET, lib.SO_RCVBUF, value, 4) == 0
    assert lib.uds_handle_setsockopt(one, lib.SOL_SOCKET, lib.SO_RCVBUF, value, 1) == -errno.EINVAL


def test_users_close_and_detach(pair):
    """While a call runs the handle counts it, cannot be detached or moved, and is closed by the call's end."""
    one, two = pair
    number = lib.uds_handle_fileno(two)
    memory = ffi.new("char[]", 4)
    with support.in_thread(lib.uds_handle_recv, two, memory, 4, 0) as result:
        support.until(lambda: lib.uds_handle_users(two) == 1)
        assert lib.uds_handle_detach(two) == lib.uds_handle_open(two, b"", 0) == -errno.EBUSY
        assert lib.uds_handle_move(two, new_handle()) == -errno.EBUSY
        assert lib.uds_handle_close(two) == 1
        assert lib.uds_handle_fileno(two) == -1
        assert lib.uds_handle_close(two) == 1
        assert lib.uds_handle_detach(two) == -errno.EBADF
        assert lib.uds_handle_adopt(two, number, 0) == -errno.EBUSY
        assert lib.uds_handle_users(two) == 1
        assert support.is_open(number)
        assert lib.uds_handle_send(one, b"late", 4, 0) == 4
    assert result == [4]
    assert bytes(ffi.buffer(memory)) == b"late"
    assert lib.uds_handle_users(two) == 0
    assert not support.is_open(number)
    assert lib.uds_handle_close(two) == 0


def test_handle_can_be_filled_again():
    """An emptied handle is as good as a new one."""
    handle = new_handle()
    for _ in range(3):
        assert lib.uds_handle_socket(handle, lib.SOCK_STREAM, 0) == 0
        assert lib.uds_handle_close(handle) == 0


def test_sealed_handle_stays_empty(pair):
    """Only an empty handle can be sealed; then it is a closed one that nothing fills."""
    handle = new_handle()
    assert lib.uds_handle_seal(pair[0]) == -errno.EBUSY
    assert lib.uds_handle_fileno(pair[0]) >= 0
    assert lib.uds_handle_seal(handle) == 0
    assert lib.uds_handle_seal(handle) == -errno.EBUSY
    assert lib.uds_handle_close(handle) == 0
    assert lib.uds_handle_adopt(handle, lib.uds_handle_fileno(pair[0]), 1) == -errno.EBUSY
    assert lib.uds_handle_socket(handle, lib.SOCK_STREAM, 0) == lib.uds_handle_move(pair[0], handle) == -errno.EBUSY
    assert {name: getattr(lib, name)(handle) for name in ANSWERS} == ANSWERS
    for name, arguments in CALLS.items():
        assert getattr(lib, name)(handle, *arguments) == -errno.EBADF


def test_after_a_fork_the_counts_begin_anew(pair):
    """uds_after_fork_in_child() forgets the calls of threads that do not exist in this process."""
    one, two = pair
    memory = ffi.new("char[]", 4)

    def child():
        # Python has called it once already.
        assert lib.uds_handle_users(two) == 0
        for _ in range(3):
            lib.uds_after_fork_in_child()
        assert lib.uds_handle_users(two) == 0
        assert lib.uds_handle_send(two, b"x", 1, 0) == 1
        number = lib.uds_handle_fileno(two)
        assert lib.uds_handle_close(two) == 0
        assert not support.is_open(number)

    with support.in_thread(lib.uds_handle_recv, two, memory, 4, 0):
        support.until(lambda: lib.uds_handle_users(two) == 1)
        support.run_child(child)
        assert lib.uds_handle_users(two) == 1
        assert lib.uds_handle_send(one, b"x", 1, 0) == 1
