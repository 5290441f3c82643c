"""Addresses, options, and who the peer is, as `lib` has them.

Rule: what this build or this system does not have is -ENOSYS, never a guess; a name is measured by its length alone.
"""

from __future__ import annotations

import errno
import os
import stat

import pytest
import support
from handles import connected_handles, new_handle
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import ffi, lib

START = lib.UDS_SUN_PATH_OFFSET
ROOM = lib.UDS_SUN_PATH_SIZE


def fill(path, terminated=1):
    address = ffi.new("struct sockaddr_un *")
    return address, lib.uds_sockaddr_fill(address, path, len(path), terminated)


@pytest.fixture
def pair():
    """Two connected stream sockets in handles."""
    with connected_handles() as ends:
        yield ends


@pytest.fixture
def pipe():
    """Hold a descriptor that is no socket."""
    handle = new_handle()
    read, write = os.pipe()
    os.close(write)
    assert lib.uds_handle_adopt(handle, read, 0) == 0
    yield handle
    lib.uds_handle_close(handle)


# --- Addresses ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=ROOM + 3), st.booleans())
def test_address_has_exactly_the_bytes(path, terminated):
    """Every byte is copied, NULs too; one NUL is counted where a path has room for it; too many bytes give 0."""
    address, length = fill(path, terminated)
    if len(path) > ROOM:
        assert length == 0
        return
    assert length == START + len(path) + (terminated and len(path) < ROOM)
    assert bytes(ffi.buffer(address.sun_path)) == path.ljust(ROOM, b"\0")
    assert address.sun_family == lib.AF_UNIX


def test_limits_of_addresses():
    """A path may fill the room, or all of it but one byte."""
    assert lib.UDS_MAX_PATH_LEN in (ROOM - 1, ROOM)
    assert ffi.sizeof("struct sockaddr_un") >= START + ROOM


def test_names_of_sockets(socket_path):
    """bind, connect, accept, getsockname and getpeername, with names that have a length."""
    listener, client, server, name = new_handle(), new_handle(), new_handle(), ffi.new("struct uds_name *")
    where = fill(os.fsencode(socket_path))
    for handle in (listener, client):
        assert lib.uds_handle_socket(handle, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_accept(client, server, name, 0) == -errno.EINVAL
    assert lib.uds_handle_getpeername(client, name) == -errno.ENOTCONN
    assert lib.uds_handle_connect(client, *where) == -errno.ENOENT
    assert lib.uds_handle_bind(listener, *where) == 0
    assert lib.uds_handle_bind(client, *where) == -errno.EADDRINUSE
    assert lib.uds_handle_listen(listener, 1) == 0
    assert lib.uds_handle_connect(client, *where) == 0
    assert lib.uds_handle_accept(listener, server, name, 1) == 0
    assert name.length == START
    assert lib.uds_handle_get_nonblocking(server) == 1
    assert lib.uds_fcntl(lib.uds_handle_fileno(server), lib.F_GETFD, 0) == lib.FD_CLOEXEC
    for get, handle in ((lib.uds_handle_getsockname, listener), (lib.uds_handle_getpeername, client)):
        assert get(handle, name) == 0
        assert bytes(name.bytes)[START : name.length].rstrip(b"\0") == os.fsencode(socket_path)
    for handle in (listener, client, server):
        assert lib.uds_handle_close(handle) == 0


def test_accept_into_a_handle_in_use(socket_path, pair):
    """What cannot be stored is closed, and the handle keeps what it has."""
    listener, client, name = new_handle(), new_handle(), ffi.new("struct uds_name *")
    where = fill(os.fsencode(socket_path))
    for handle in (listener, client):
        assert lib.uds_handle_socket(handle, lib.SOCK_STREAM, 0) == 0
    lib.uds_handle_bind(listener, *where)
    lib.uds_handle_listen(listener, 1)
    lib.uds_handle_connect(client, *where)
    number = lib.uds_handle_fileno(pair[0])
    assert lib.uds_handle_accept(listener, pair[0], name, 0) == -errno.EBUSY
    assert lib.uds_handle_fileno(pair[0]) == number
    assert lib.uds_handle_recv(client, ffi.new("char[]", 1), 1, 0) == 0
    assert lib.uds_handle_close(listener) == lib.uds_handle_close(client) == 0


def test_socket_that_is_made_and_connected(socket_path):
    """One call makes a socket and connects it; its peer tells whether it has a name."""
    listener, client, server, name = new_handle(), new_handle(), new_handle(), ffi.new("struct uds_name *")
    path = os.fsencode(socket_path)
    assert lib.uds_handle_open_connected(client, 9, path, len(path)) < 0
    assert lib.uds_handle_fileno(client) == -1
    # The socket is there to be connected again.
    assert lib.uds_handle_open_connected(client, lib.SOCK_STREAM, path, len(path)) == -errno.ENOENT
    assert lib.uds_fcntl(lib.uds_handle_fileno(client), lib.F_GETFD, 0) == lib.FD_CLOEXEC
    assert lib.uds_handle_socket(listener, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_bind(listener, *fill(path)) == 0
    assert lib.uds_handle_listen(listener, 2) == 0
    assert lib.uds_handle_open_connected(client, lib.SOCK_STREAM, path, len(path)) == -errno.EBUSY
    assert lib.uds_handle_bind(client, *fill(path + b"c")) == 0
    assert lib.uds_handle_connect(client, *fill(path)) == 0
    assert lib.uds_handle_accept(listener, server, name, 0) == 1
    assert bytes(name.bytes)[START : name.length].rstrip(b"\0") == path + b"c"
    for handle in (client, server):
        assert lib.uds_handle_close(handle) == 0
    assert lib.uds_handle_open_connected(client, lib.SOCK_STREAM, path, len(path)) == 0
    assert lib.uds_handle_get_nonblocking(client) == 0
    assert lib.uds_handle_accept(listener, server, name, 0) == 0
    assert lib.uds_handle_send(client, b"x", 1, 0) == 1
    assert lib.uds_handle_unread_bytes(server) == 1
    for handle in (listener, client, server):
        assert lib.uds_handle_close(handle) == 0


@pytest.mark.parametrize(
    "name", [b"", b"a\0b", b"a\0", b"x" * (lib.UDS_MAX_PATH_LEN + 1), b"\0" + b"x" * ROOM, b"x" * 70_000]
)
def test_what_is_no_name_of_a_peer(name):
    """Bytes that are no path and no abstract name are refused before a socket is made."""
    handle = new_handle()
    assert lib.uds_handle_open_connected(handle, lib.SOCK_STREAM, name, len(name)) == lib.UDS_NO_NAME
    assert lib.uds_handle_fileno(handle) == -1


def test_abstract_name_of_a_peer():
    """Behind a leading NUL every byte counts, where there are abstract names; elsewhere it is no name."""
    handle, name = new_handle(), b"\0nobody\0is here"
    expected = -errno.ECONNREFUSED if lib.UDS_HAS_ABSTRACT else lib.UDS_NO_NAME
    assert lib.uds_handle_open_connected(handle, lib.SOCK_STREAM, name, len(name)) == expected
    lib.uds_handle_close(handle)


def test_disconnect(pair):
    """Only datagram sockets can be disconnected."""
    one, two = new_handle(), new_handle()
    assert lib.uds_handle_disconnect(pair[0]) == -errno.EINVAL
    assert lib.uds_handle_socketpair(one, two, lib.SOCK_DGRAM, 0) == 0
    assert lib.uds_handle_disconnect(one) == 0
    assert lib.uds_handle_send(one, b"x", 1, 0) == -errno.ENOTCONN
    assert lib.uds_handle_close(one) == lib.uds_handle_close(two) == 0


# --- What a descriptor is -----------------------------------------------------------------------


def test_describe(pair, pipe, socket_path):
    """Domain, type and listening state; a pipe is no socket."""
    description = ffi.new("struct uds_description *")
    assert lib.uds_handle_describe(pair[0], description) == 0
    assert (description.domain, description.type, description.listening) == (lib.AF_UNIX, lib.SOCK_STREAM, 0)
    assert lib.uds_handle_describe(pipe, description) == -errno.ENOTSOCK
    listener = new_handle()
    lib.uds_handle_socket(listener, lib.SOCK_STREAM, 0)
    lib.uds_handle_bind(listener, *fill(os.fsencode(socket_path)))
    lib.uds_handle_listen(listener, 1)
    assert lib.uds_describe(lib.uds_handle_fileno(listener), description) == 0
    assert description.listening == 1
    lib.uds_handle_close(listener)


def test_mode(pair, pipe):
    """st_mode of fstat(2)."""
    assert stat.S_ISSOCK(lib.uds_handle_mode(pair[0]))
    assert stat.S_ISFIFO(lib.uds_handle_mode(pipe))


def test_readlink(pipe):
    """The system's name for the open file, or -ENOSYS in the minimal build, which does without."""
    target = ffi.new("char[]", 64)
    size = lib.uds_handle_readlink(pipe, target, 64)
    if lib.UDS_MINIMAL_BUILD:
        assert size == -errno.ENOSYS
    else:
        assert ffi.unpack(target, size).startswith(b"pipe:[")
        assert lib.uds_handle_readlink(pipe, target, 4) == 4


def test_nonblocking(pair):
    """O_NONBLOCK is read and written."""
    one, _ = pair
    assert lib.uds_handle_get_nonblocking(one) == 0
    assert lib.uds_handle_set_nonblocking(one, 1) == 0
    assert lib.uds_handle_get_nonblocking(one) == 1
    assert lib.uds_handle_set_nonblocking(one, 0) == 0
    assert lib.uds_handle_get_nonblocking(one) == 0


def test_unread_bytes(pair, socket_path):
    """What can be read; of a listener nothing can."""
    one, two = pair
    assert lib.uds_handle_unread_bytes(two) == 0
    lib.uds_handle_send(one, b"12345", 5, 0)
    assert lib.uds_handle_unread_bytes(two) == 5
    listener = new_handle()
    lib.uds_handle_socket(listener, lib.SOCK_STREAM, 0)
    lib.uds_handle_bind(listener, *fill(os.fsencode(socket_path)))
    lib.uds_handle_listen(listener, 1)
    assert lib.uds_handle_unread_bytes(listener) == -errno.EINVAL
    lib.uds_handle_close(listener)


@pytest.mark.parametrize("name", ["SO_RCVTIMEO", "SO_SNDTIMEO"])
def test_timeouts(pair, pipe, name):
    """Times in microseconds, 0 for none; the kernel may round them up a little."""
    constant = getattr(lib, name)
    value = ffi.new("int64_t *")
    assert lib.uds_handle_get_timeout(pair[0], constant, value) == 0
    assert value[0] == 0
    assert lib.uds_handle_set_timeout(pair[0], constant, 2_500_000) == 0
    assert lib.uds_handle_get_timeout(pair[0], constant, value) == 0
    assert 2_500_000 <= value[0] < 2_600_000
    assert lib.uds_handle_set_timeout(pair[0], constant, 0) == 0
    assert lib.uds_handle_get_timeout(pair[0], constant, value) == 0
    assert value[0] == 0
    assert lib.uds_handle_set_timeout(pipe, constant, 1) == -errno.ENOTSOCK
    assert lib.uds_handle_get_timeout(pipe, constant, value) == -errno.ENOTSOCK


# --- The peer -----------------------------------------------------------------------------------


@support.needs("peer_credentials")
def test_peer_credentials(pair, pipe):
    """This process made the pair; what is not connected has no peer."""
    peer = ffi.new("struct uds_peer *")
    assert lib.uds_handle_peer_credentials(pair[0], peer) == 0
    assert peer.present == lib.UDS_PEER_PID | lib.UDS_PEER_UID | lib.UDS_PEER_GID
    assert (peer.pid, peer.euid, peer.egid) == (os.getpid(), os.geteuid(), os.getegid())
    assert lib.uds_handle_peer_credentials(pipe, peer) == -errno.ENOTSOCK
    alone = new_handle()
    lib.uds_handle_socket(alone, lib.SOCK_STREAM, 0)
    assert lib.uds_handle_peer_credentials(alone, peer) == -errno.ENOTCONN
    assert peer.present == 0
    lib.uds_handle_close(alone)


@support.lacks("peer_credentials")
def test_peer_credentials_are_absent(pair):
    """Where the system has none, nothing is present."""
    peer = ffi.new("struct uds_peer *", {"present": 7})
    assert lib.uds_handle_peer_credentials(pair[0], peer) == -errno.ENOSYS
    assert peer.present == 0


@support.needs("peer_groups")
def test_peer_groups(pair, pipe):
    """How many groups there are is told even when there is no room for them."""
    groups = ffi.new("gid_t[]", 65536)
    count = lib.uds_handle_peer_groups(pair[0], groups, 65536)
    assert sorted(ffi.unpack(groups, count) if count else []) == sorted(os.getgroups())
    assert lib.uds_handle_peer_groups(pair[0], groups, 0) == count
    assert lib.uds_handle_peer_groups(pipe, groups, 1) == -errno.ENOTSOCK
    alone = new_handle()
    lib.uds_handle_socket(alone, lib.SOCK_STREAM, 0)
    assert lib.uds_handle_peer_groups(alone, groups, 1) == -errno.ENOTCONN
    lib.uds_handle_close(alone)


@support.lacks("peer_groups")
def test_peer_groups_are_absent(pair):
    """Where the system has none, that is -ENOSYS."""
    assert lib.uds_handle_peer_groups(pair[0], ffi.new("gid_t[]", 1), 1) == -errno.ENOSYS


@support.needs("peer_security_context")
def test_peer_security(pair, pipe):
    """How long the label is is told even when there is no room for it."""
    label = ffi.new("char[]", 4096)
    size = lib.uds_handle_peer_security(pair[0], label, 4096)
    assert size > 0
    assert lib.uds_handle_peer_security(pair[0], label, 0) == size
    assert lib.uds_handle_peer_security(pipe, label, 4096) == -errno.ENOTSOCK


@support.lacks("peer_security_context")
def test_peer_security_is_absent(pair):
    """Without a security module the option is unknown, and in a build without it -ENOSYS."""
    expected = -errno.ENOPROTOOPT if lib.UDS_HAS_PEER_SECURITY else -errno.ENOSYS
    assert lib.uds_handle_peer_security(pair[0], ffi.new("char[]", 64), 64) == expected


@support.needs("peer_audit_token")
def test_peer_audit_token(pair, pipe):
    """Eight words, of which the sixth is the pid; a socket without a peer has none."""
    token = ffi.new("char[]", lib.UDS_AUDIT_TOKEN_SIZE)
    assert lib.uds_handle_peer_audit_token(pair[0], token) == 0
    assert ffi.cast("int32_t *", token)[5] == os.getpid()
    assert lib.uds_handle_peer_audit_token(pipe, token) == -errno.ENOTSOCK
    alone = new_handle()
    lib.uds_handle_socket(alone, lib.SOCK_STREAM, 0)
    assert lib.uds_handle_peer_audit_token(alone, token) == -errno.ENOTCONN
    lib.uds_handle_close(alone)


@support.lacks("peer_audit_token")
def test_peer_audit_token_is_absent(pair):
    """Where the system has none, that is -ENOSYS."""
    token = ffi.new("char[]", lib.UDS_AUDIT_TOKEN_SIZE)
    assert lib.uds_handle_peer_audit_token(pair[0], token) == -errno.ENOSYS
