"""The system calls under their man-page names, as `lib` has them.

Rule: each returns its result, or the negated errno; none raises, none reads `ffi.errno`, and enough is there to pass a
descriptor with nothing else.
"""

from __future__ import annotations

import errno
import os
import re
import stat

import pytest
import support

from uds_cffi import ffi, lib

HERE = support.ROOT / "tests"
NULL = ffi.NULL


def functions() -> list[str]:
    """Return the name of each function that is declared, read from the declarations themselves."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((support.ROOT / "declarations").glob("*.h")))
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.findall(r"\b(\w+)\s*\([^()]*\)\s*;", text)


def test_every_function_occurs_in_a_test():
    """Nothing is declared that the tests of `lib` do not call."""
    text = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_lib_*.py"))

    assert [name for name in functions() if not re.search(rf'lib\.{name}\(|"{name}"', text)] == []


def test_all_functions_are_found():
    """The list that the test above goes through is all that `lib` can be called for."""
    assert set(functions()) == {name for name in dir(lib) if callable(getattr(lib, name))}


# --- A pair of plain descriptors ----------------------------------------------------------------


@pytest.fixture
def pair():
    """Two connected stream sockets, as bare numbers."""
    sv = ffi.new("int[2]")
    assert lib.uds_socketpair(lib.AF_UNIX, lib.SOCK_STREAM, 0, sv) == 0
    one, two = sv
    yield one, two
    assert lib.uds_close(one) == lib.uds_close(two) == 0


@pytest.fixture
def pipe():
    """A descriptor that is no socket."""
    read, write = os.pipe()
    yield read
    os.close(read)
    os.close(write)


@pytest.fixture
def name():
    """Return an address, its length, and room for an address that the kernel writes."""
    return ffi.new("struct sockaddr_un *"), ffi.new("socklen_t *", ffi.sizeof("struct sockaddr_un"))


ON_A_SOCKET = {
    "uds_bind": lambda fd: lib.uds_bind(fd, *support.address_of("x")),
    "uds_connect": lambda fd: lib.uds_connect(fd, *support.address_of("x")),
    "uds_listen": lambda fd: lib.uds_listen(fd, 1),
    "uds_accept": lambda fd: lib.uds_accept(fd, NULL, NULL),
    "uds_getsockname": lambda fd: lib.uds_getsockname(
        fd, ffi.new("struct sockaddr_un *"), ffi.new("socklen_t *", ffi.sizeof("struct sockaddr_un"))
    ),
    "uds_getpeername": lambda fd: lib.uds_getpeername(
        fd, ffi.new("struct sockaddr_un *"), ffi.new("socklen_t *", ffi.sizeof("struct sockaddr_un"))
    ),
    "uds_getsockopt": lambda fd: lib.uds_getsockopt(
        fd, lib.SOL_SOCKET, lib.SO_TYPE, ffi.new("int *"), ffi.new("socklen_t *", ffi.sizeof("int"))
    ),
    "uds_setsockopt": lambda fd: lib.uds_setsockopt(
        fd, lib.SOL_SOCKET, lib.SO_SNDBUF, ffi.new("int *", 4096), ffi.sizeof("int")
    ),
    "uds_shutdown": lambda fd: lib.uds_shutdown(fd, lib.SHUT_RD),
    "uds_send": lambda fd: lib.uds_send(fd, b"x", 1, lib.MSG_NOSIGNAL),
    "uds_sendto": lambda fd: lib.uds_sendto(fd, b"x", 1, lib.MSG_NOSIGNAL, *support.address_of("x")),
    "uds_sendmsg": lambda fd: lib.uds_sendmsg(fd, ffi.new("struct msghdr *"), lib.MSG_NOSIGNAL),
    "uds_recv": lambda fd: lib.uds_recv(fd, ffi.new("char[]", 1), 1, lib.MSG_DONTWAIT),
    "uds_recvfrom": lambda fd: lib.uds_recvfrom(fd, ffi.new("char[]", 1), 1, lib.MSG_DONTWAIT, NULL, NULL),
    "uds_recvmsg": lambda fd: lib.uds_recvmsg(fd, ffi.new("struct msghdr *"), lib.MSG_DONTWAIT),
    "uds_describe": lambda fd: lib.uds_describe(fd, ffi.new("struct uds_description *")),
}
ON_A_DESCRIPTOR = {
    "uds_fcntl": lambda fd: lib.uds_fcntl(fd, lib.F_GETFD, 0),
    "uds_dup": lambda fd: lib.uds_dup(fd),
    "uds_close": lambda fd: lib.uds_close(fd),
}


@pytest.mark.parametrize("name", [*ON_A_SOCKET, *ON_A_DESCRIPTOR])
def test_what_is_not_open_is_ebadf(name):
    """A number under which nothing is open gives -EBADF."""
    assert {**ON_A_SOCKET, **ON_A_DESCRIPTOR}[name](-1) == -errno.EBADF


@pytest.mark.parametrize("name", ON_A_SOCKET)
def test_what_is_no_socket_is_enotsock(name, pipe):
    """A descriptor that is no socket gives -ENOTSOCK."""
    assert ON_A_SOCKET[name](pipe) == -errno.ENOTSOCK


def test_results_survive_whatever_comes_after():
    """The error is in the result, so that nothing which runs later can replace it."""
    result = lib.uds_close(-1)
    ffi.errno = errno.ENOENT

    assert result == -errno.EBADF == -lib.EBADF


# --- Each of them at work -----------------------------------------------------------------------


def test_socket_and_socketpair_fail():
    """An address family that there is not, and room that is not there."""
    assert lib.uds_socket(12345, lib.SOCK_STREAM, 0) == -errno.EAFNOSUPPORT
    assert lib.uds_socketpair(12345, lib.SOCK_STREAM, 0, ffi.new("int[2]")) == -errno.EAFNOSUPPORT
    assert lib.uds_socketpair(lib.AF_UNIX, lib.SOCK_STREAM, 0, NULL) == -errno.EFAULT


def test_a_connection_by_hand(socket_path, name):
    """socket, bind, listen, connect, accept, getsockname, getpeername and shutdown make and end a connection."""
    address, length = support.address_of(socket_path)
    room, room_length = name
    listener = lib.uds_socket(lib.AF_UNIX, lib.SOCK_STREAM, 0)
    client = lib.uds_socket(lib.AF_UNIX, lib.SOCK_STREAM, 0)
    assert lib.uds_connect(client, address, length) == -errno.ENOENT
    assert lib.uds_listen(listener, 1) == -errno.EINVAL
    assert lib.uds_bind(listener, address, length) == 0
    assert lib.uds_bind(listener, address, length) == -errno.EADDRINUSE
    assert lib.uds_connect(client, address, length) == -errno.ECONNREFUSED
    assert lib.uds_listen(listener, 1) == 0
    assert lib.uds_connect(client, address, length) == 0
    server = lib.uds_accept(listener, room, room_length)
    assert server >= 0
    # The client has no name; the length is for the next call again how much room there is.
    assert room_length[0] == lib.UDS_SUN_PATH_OFFSET
    room_length[0] = ffi.sizeof("struct sockaddr_un")
    assert lib.uds_getpeername(client, room, room_length) == 0
    assert room_length[0] == length
    assert bytes(ffi.buffer(room, length)) == bytes(ffi.buffer(address, length))
    assert lib.uds_getsockname(listener, room, room_length) == 0
    assert ffi.string(room.sun_path) == os.fsencode(socket_path)
    assert room.sun_family == lib.AF_UNIX
    assert lib.uds_shutdown(client, 77) == -errno.EINVAL
    assert lib.uds_shutdown(client, lib.SHUT_WR) == 0
    assert lib.uds_recv(server, ffi.new("char[]", 1), 1, 0) == 0
    for number in (listener, client, server):
        assert lib.uds_close(number) == 0


@support.needs("atomic_cloexec")
def test_accept4(socket_path):
    """accept4() gives a connection with the flags that were asked for."""
    address, length = support.address_of(socket_path)
    listener = lib.uds_socket(lib.AF_UNIX, lib.SOCK_STREAM | lib.SOCK_NONBLOCK, 0)
    client = lib.uds_socket(lib.AF_UNIX, lib.SOCK_STREAM, 0)
    lib.uds_bind(listener, address, length)
    lib.uds_listen(listener, 1)
    assert lib.uds_accept4(listener, NULL, NULL, lib.SOCK_CLOEXEC) == -errno.EAGAIN
    assert lib.uds_connect(client, address, length) == 0
    server = lib.uds_accept4(listener, NULL, NULL, lib.SOCK_CLOEXEC)
    assert lib.uds_fcntl(server, lib.F_GETFD, 0) == lib.FD_CLOEXEC
    for number in (listener, client, server):
        assert lib.uds_close(number) == 0
    assert lib.uds_accept4(-1, NULL, NULL, 0) == -errno.EBADF


@support.lacks("atomic_cloexec")
def test_accept4_is_absent():
    """Where there is no accept4() it says so, and is there to be called."""
    assert lib.uds_accept4(-1, NULL, NULL, 0) == -errno.ENOSYS


def test_send_and_recv(pair):
    """Bytes go from one end to the other."""
    one, two = pair
    memory = ffi.new("char[]", 10)
    assert lib.uds_recv(two, memory, 10, lib.MSG_DONTWAIT) == -errno.EAGAIN
    assert lib.uds_send(one, b"bytes", 5, lib.MSG_NOSIGNAL) == 5
    assert lib.uds_recv(two, memory, 10, lib.MSG_PEEK) == 5
    assert lib.uds_recv(two, memory, 10, 0) == 5
    assert ffi.unpack(memory, 5) == b"bytes"
    assert lib.uds_shutdown(one, lib.SHUT_RDWR) == 0
    assert lib.uds_send(two, b"x", 1, lib.MSG_NOSIGNAL) == -errno.EPIPE


def test_sendto_and_recvfrom(socket_path, short_dir, name):
    """A datagram goes to an address, and comes with the sender's."""
    receiver = lib.uds_socket(lib.AF_UNIX, lib.SOCK_DGRAM, 0)
    sender = lib.uds_socket(lib.AF_UNIX, lib.SOCK_DGRAM, 0)
    mine, mine_length = support.address_of(f"{short_dir}/m")
    address, length = support.address_of(socket_path)
    assert lib.uds_sendto(sender, b"gram", 4, 0, address, length) == -errno.ENOENT
    assert lib.uds_bind(receiver, address, length) == 0
    assert lib.uds_bind(sender, mine, mine_length) == 0
    assert lib.uds_sendto(sender, b"gram", 4, 0, address, length) == 4
    memory = ffi.new("char[]", 10)
    room, room_length = name
    assert lib.uds_recvfrom(receiver, memory, 10, 0, room, room_length) == 4
    assert (ffi.unpack(memory, 4), room_length[0]) == (b"gram", mine_length)
    assert ffi.string(room.sun_path) == os.fsencode(f"{short_dir}/m")
    assert lib.uds_recvfrom(receiver, memory, 10, lib.MSG_DONTWAIT, NULL, NULL) == -errno.EAGAIN
    assert lib.uds_close(receiver) == lib.uds_close(sender) == 0


def test_options_by_hand(pair):
    """getsockopt() and setsockopt() read and write ints; an option that there is not is refused."""
    one, _ = pair
    value, length = ffi.new("int *"), ffi.new("socklen_t *", ffi.sizeof("int"))
    assert lib.uds_getsockopt(one, lib.SOL_SOCKET, lib.SO_TYPE, value, length) == 0
    assert value[0] == lib.SOCK_STREAM
    value[0] = 8192
    assert lib.uds_setsockopt(one, lib.SOL_SOCKET, lib.SO_SNDBUF, value, length[0]) == 0
    assert lib.uds_getsockopt(one, lib.SOL_SOCKET, lib.SO_SNDBUF, value, length) == 0
    assert value[0] >= 8192
    assert lib.uds_getsockopt(one, lib.SOL_SOCKET, 12345, value, length) == -errno.ENOPROTOOPT
    assert lib.uds_setsockopt(one, lib.SOL_SOCKET, 12345, value, length[0]) == -errno.ENOPROTOOPT


def test_fcntl_and_dup(pair):
    """A duplicate is close-on-exec from birth, and shares the flags of the open file."""
    one, _ = pair
    copy = lib.uds_dup(one)
    assert copy >= 0
    assert os.path.sameopenfile(copy, one)
    assert lib.uds_fcntl(copy, lib.F_GETFD, 0) == lib.FD_CLOEXEC
    assert lib.uds_fcntl(copy, lib.F_SETFD, 0) == 0
    assert lib.uds_fcntl(copy, lib.F_GETFD, 0) == 0
    flags = lib.uds_fcntl(copy, lib.F_GETFL, 0)
    assert lib.uds_fcntl(copy, lib.F_SETFL, flags | lib.O_NONBLOCK) == 0
    assert lib.uds_fcntl(one, lib.F_GETFL, 0) & lib.O_NONBLOCK
    assert lib.uds_close(copy) == 0
    assert lib.uds_fcntl(one, -1, 0) == -errno.EINVAL


def test_poll(pair):
    """poll() says what is there, counts, and refuses more descriptors than there can be."""
    one, two = pair
    fds = ffi.new("struct pollfd[2]", [{"fd": one, "events": lib.POLLIN}, {"fd": -1, "events": lib.POLLIN}])
    assert lib.uds_poll(fds, 2, 0) == 0
    assert lib.uds_send(two, b"x", 1, 0) == 1
    assert lib.uds_poll(fds, 2, 1000) == 1
    assert (fds[0].revents, fds[1].revents) == (lib.POLLIN, 0)
    fds[0].fd = 10**6
    assert lib.uds_poll(fds, 1, 0) == 1
    assert fds[0].revents == lib.POLLNVAL
    assert lib.uds_poll(fds, 2**32 - 1, 0) == -errno.EINVAL
    assert lib.POLLOUT > 0 < lib.POLLHUP
    assert lib.POLLERR > 0


def test_describe(pair):
    """What a descriptor is: domain, type, and whether it listens."""
    description = ffi.new("struct uds_description *")
    assert lib.uds_describe(pair[0], description) == 0
    assert (description.domain, description.type, description.listening) == (lib.AF_UNIX, lib.SOCK_STREAM, 0)


# --- A descriptor with nothing else -------------------------------------------------------------


def test_descriptor_is_passed_with_nothing_but_lib(pair):
    """msghdr, iovec, cmsghdr and the CMSG_ functions are all that one needs to pass a descriptor."""
    one, two = pair
    data = ffi.new("char[]", b"!")
    iov = ffi.new("struct iovec *", {"iov_base": data, "iov_len": 1})
    control = ffi.new("char[]", lib.CMSG_SPACE(ffi.sizeof("int")))
    message = ffi.new("struct msghdr *")
    message.msg_iov, message.msg_iovlen = iov, 1
    message.msg_control, message.msg_controllen = control, len(control)
    header = lib.CMSG_FIRSTHDR(message)
    header.cmsg_level, header.cmsg_type = lib.SOL_SOCKET, lib.SCM_RIGHTS
    header.cmsg_len = lib.CMSG_LEN(ffi.sizeof("int"))
    with open(__file__, "rb") as file:
        ffi.cast("int *", lib.CMSG_DATA(header))[0] = file.fileno()
        assert lib.CMSG_NXTHDR(message, header) == NULL
        assert lib.uds_sendmsg(one, message, lib.MSG_NOSIGNAL) == 1
        expected = os.fstat(file.fileno())

    ffi.buffer(control)[:] = bytes(len(control))
    message.msg_controllen = len(control)
    assert lib.uds_recvmsg(two, message, 0) == 1
    header = lib.CMSG_FIRSTHDR(message)
    assert (header.cmsg_level, header.cmsg_type) == (lib.SOL_SOCKET, lib.SCM_RIGHTS)
    assert header.cmsg_len == lib.CMSG_LEN(ffi.sizeof("int"))
    number = ffi.cast("int *", lib.CMSG_DATA(header))[0]
    assert os.path.samestat(os.fstat(number), expected)
    assert stat.S_ISREG(expected.st_mode)
    assert lib.CMSG_NXTHDR(message, header) == NULL
    assert lib.uds_close(number) == 0
    assert message.msg_flags & (lib.MSG_CTRUNC | lib.MSG_TRUNC) == 0


def test_several_control_messages_by_hand():
    """CMSG_NXTHDR walks over all of a buffer's items; an empty buffer has none."""
    message = ffi.new("struct msghdr *")
    assert lib.CMSG_FIRSTHDR(message) == NULL
    space = lib.CMSG_SPACE(3)
    assert lib.CMSG_LEN(0) <= lib.CMSG_LEN(3) <= space == lib.CMSG_SPACE(2)
    control = ffi.new("char[]", 2 * space)
    message.msg_control, message.msg_controllen = control, len(control)
    first = lib.CMSG_FIRSTHDR(message)
    first.cmsg_len = lib.CMSG_LEN(3)
    second = lib.CMSG_NXTHDR(message, first)
    second.cmsg_len = lib.CMSG_LEN(3)
    assert ffi.cast("char *", second) - ffi.cast("char *", first) == space
    assert ffi.cast("char *", lib.CMSG_DATA(second)) - ffi.cast("char *", second) == lib.CMSG_LEN(0)
    assert lib.CMSG_NXTHDR(message, second) == NULL


def test_iov_fill():
    """Several places are pointed to by one call."""
    memory = [ffi.new("char[]", 3), ffi.new("char[]", 5)]
    iov = ffi.new("struct iovec[]", 3)
    lib.uds_iov_fill(iov, memory, [3, 5], 2)
    assert [(entry.iov_base, entry.iov_len) for entry in iov] == [(memory[0], 3), (memory[1], 5), (ffi.NULL, 0)]
