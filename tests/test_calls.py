"""The typed functions over the compiled library.

Rule: what C reports as -errno is an exception here, or is handed on as it is where the caller waits; a constant is the
number that the system's own headers give it.
"""

from __future__ import annotations

import array
import errno
import gc
import os
import re
import select
import socket
import sys

import pytest
import support

from uds_cffi import UnixStream, calls, lib
from uds_cffi._lib import ffi


@pytest.fixture
def handle():
    """Hold a stream socket that is connected."""
    one, two = UnixStream.pair()
    yield one._handle
    one.close()
    two.close()


# --- Results ------------------------------------------------------------------------------------


def test_check_returns_results():
    """What is not negative is the result."""
    assert [calls.check(number) for number in (0, 1, 2**40)] == [0, 1, 2**40]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EAGAIN, BlockingIOError),
        (errno.EPIPE, BrokenPipeError),
        (errno.ENOENT, FileNotFoundError),
        (errno.EINVAL, OSError),
    ],
)
def test_check_raises_errors(code, expected):
    """What is negative is an errno, and Python picks the class."""
    with pytest.raises(expected) as caught:
        calls.check(-code)
    assert type(caught.value) is expected
    assert (caught.value.errno, caught.value.strerror, caught.value.filename) == (code, os.strerror(code), None)


def test_check_names_the_address():
    """An address that is given is in the error."""
    with pytest.raises(ConnectionRefusedError, match="/run/x") as caught:
        calls.check(-errno.ECONNREFUSED, "/run/x")
    assert caught.value.filename == "/run/x"


# --- Buffers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"abc", b"abc"),
        (b"", b""),
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abcdef")[1:4], b"bcd"),
        (memoryview(b"abcd").cast("B", (2, 2)), b"abcd"),
        (array.array("H", [1, 2]), array.array("H", [1, 2]).tobytes()),
        (array.array("d"), b""),
    ],
)
def test_readable(data, expected):
    """Any contiguous bytes-like object is exported, and its length is counted in bytes."""
    with calls.readable(data) as memory:
        assert len(memory) == len(expected)
        assert bytes(ffi.buffer(memory)) == expected


@pytest.mark.parametrize("data", ["text", 3, None, [1, 2], object()])
def test_readable_refuses_what_has_no_bytes(data):
    """A str is not bytes-like."""
    with pytest.raises(TypeError):
        calls.readable(data)
    with pytest.raises(TypeError):
        calls.writable(data)


def test_readable_refuses_what_is_not_contiguous():
    """Every second byte would be copied silently by some interpreters."""
    with pytest.raises(BufferError, match="not contiguous"):
        calls.readable(memoryview(b"abcdef")[::2])
    with pytest.raises(BufferError, match="not contiguous"):
        calls.writable(memoryview(bytearray(6))[::-1])


def test_writable():
    """What is written into the export is in the buffer."""
    for buffer in (bytearray(4), memoryview(bytearray(4)), array.array("I", [0]), array.array("B", [0] * 4)):
        with calls.writable(buffer) as memory:
            ffi.memmove(memory, b"abcd", 4)
        assert bytes(memoryview(buffer)) == b"abcd"


@pytest.mark.parametrize("buffer", [b"abc", memoryview(b"abc"), memoryview(bytearray(3)).toreadonly()])
def test_writable_refuses_what_is_read_only(buffer):
    """Nobody writes into bytes."""
    with pytest.raises(TypeError, match=f"writable.*{type(buffer).__name__}"):
        calls.writable(buffer)


# --- Descriptors --------------------------------------------------------------------------------


def test_dropped_handle_is_closed():
    """Memory that is freed with a number in it takes the number along: the last resort."""
    handle, slots = calls.new_handle(), calls.new_fds()
    numbers = [os.dup(0), os.dup(0)]
    assert calls.adopt(handle, numbers[0], 0) == 0
    assert lib.uds_fds_adopt(slots, numbers[1]) == 0
    del handle, slots
    for _ in range(3):
        gc.collect()
    for number in numbers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_fds_detach():
    """What is left in slots is a list of numbers; nothing is an empty one."""
    slots = calls.new_fds()
    assert calls.fds_detach(slots, 0) == []
    numbers = [os.dup(0), os.dup(0)]
    for number in numbers:
        assert lib.uds_fds_adopt(slots, number) == 0
    assert calls.fds_detach(slots, 0) == numbers
    assert calls.fds_detach(slots, 0) == []
    for number in numbers:
        os.close(number)


def test_describe(handle):
    """Domain, type and listening state; an error for what is no socket."""
    expected = (socket.AF_UNIX, socket.SOCK_STREAM, False)
    assert calls.describe(calls.fileno(handle)) == calls.describe_held(handle) == expected
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        domain, kind, _ = calls.describe(other.fileno())
        assert (domain, kind) == (socket.AF_INET, socket.SOCK_DGRAM)
        assert not calls.is_unix(domain)
    assert calls.is_unix(socket.AF_UNIX)
    for number in (-1, -(2**70), 2**31, 2**70):
        with pytest.raises(OSError, match="Bad file descriptor"):
            calls.describe(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        calls.describe_held(calls.new_handle())
    read, write = os.pipe()
    with pytest.raises(OSError, match="ocket") as caught:
        calls.describe(read)
    assert caught.value.errno == errno.ENOTSOCK
    os.close(read)
    os.close(write)


def test_readlink(handle):
    """The name that the system gives an open file, where it gives one."""
    name = calls.readlink(handle)
    assert name is None if lib.UDS_MINIMAL_BUILD else re.fullmatch(r"socket:\[\d+\]", name)
    assert calls.readlink(calls.new_handle()) is None


# --- Options ------------------------------------------------------------------------------------


def test_options_as_ints_and_bytes(handle):
    """The same option in both forms; a short value and none at all are possible."""
    calls.setsockopt_int(handle, calls.SOL_SOCKET, calls.SO_SNDBUF, 10_000)
    number = calls.getsockopt_int(handle, calls.SOL_SOCKET, calls.SO_SNDBUF)
    assert number >= 10_000
    data = number.to_bytes(4, sys.byteorder)
    assert calls.getsockopt(handle, calls.SOL_SOCKET, calls.SO_SNDBUF, 4) == data
    assert calls.getsockopt(handle, calls.SOL_SOCKET, calls.SO_SNDBUF, 2) == data[:2]
    assert calls.getsockopt(handle, calls.SOL_SOCKET, calls.SO_SNDBUF, 100) == data
    assert calls.getsockopt(handle, calls.SOL_SOCKET, calls.SO_SNDBUF, 0) == b""
    calls.setsockopt(handle, calls.SOL_SOCKET, calls.SO_SNDBUF, (20_000).to_bytes(4, sys.byteorder))
    assert calls.getsockopt_int(handle, calls.SOL_SOCKET, calls.SO_SNDBUF) >= 20_000


def test_options_that_there_are_not(handle):
    """The kernel's refusal is an exception."""
    for call in (
        lambda: calls.getsockopt(handle, calls.SOL_SOCKET, 12345, 4),
        lambda: calls.getsockopt_int(handle, calls.SOL_SOCKET, 12345),
        lambda: calls.setsockopt(handle, calls.SOL_SOCKET, 12345, b"1234"),
        lambda: calls.setsockopt_int(handle, calls.SOL_SOCKET, 12345, 1),
        lambda: calls.get_timeout(handle, 12345),
    ):
        with pytest.raises(OSError, match="Protocol not available") as caught:
            call()
        assert caught.value.errno == errno.ENOPROTOOPT
    assert calls.getsockopt_or_code(handle, calls.SOL_SOCKET, 12345, 4) == -errno.ENOPROTOOPT
    assert calls.setsockopt_int_or_code(handle, calls.SOL_SOCKET, 12345, 1) == -errno.ENOPROTOOPT
    assert calls.get_timeout_or_code(handle, 12345) == -errno.ENOPROTOOPT


def test_timeouts(handle):
    """Microseconds, 0 for none."""
    assert calls.get_timeout(handle, calls.SO_RCVTIMEO) == 0
    assert calls.set_timeout(handle, calls.SO_RCVTIMEO, 1_000_000) == 0
    assert calls.get_timeout(handle, calls.SO_RCVTIMEO) == 1_000_000
    assert calls.get_timeout(handle, calls.SO_SNDTIMEO) == 0


# --- The peer -----------------------------------------------------------------------------------


@support.needs("peer_credentials")
def test_peer_credentials(handle):
    """Process, user and group of who made the pair."""
    assert calls.peer_credentials(handle) == (os.getpid(), os.geteuid(), os.getegid())


@support.lacks("peer_credentials")
def test_peer_credentials_are_absent(handle):
    """An absent function is an error like others."""
    with pytest.raises(OSError, match="not implemented") as caught:
        calls.peer_credentials(handle)
    assert caught.value.errno == errno.ENOSYS


@support.needs("peer_groups")
def test_peer_groups(handle):
    """All groups, or -errno."""
    assert sorted(calls.peer_groups(handle)) == sorted(os.getgroups())
    assert calls.peer_groups(calls.new_handle()) == -errno.EBADF


@support.lacks("peer_groups")
def test_peer_groups_are_absent(handle):
    """Where there are none, that is the -errno."""
    assert calls.peer_groups(handle) == -errno.ENOSYS


def test_peer_security(handle):
    """A label, or -errno where no security module gives one."""
    label = calls.peer_security(handle)
    assert isinstance(label, bytes) == support.supported("peer_security_context")
    assert calls.peer_security(calls.new_handle()) == -errno.EBADF


def test_peer_audit_token(handle):
    """The token, in bytes, or why there is none."""
    token = calls.peer_audit_token(handle)
    if support.supported("peer_audit_token"):
        assert len(token) == lib.UDS_AUDIT_TOKEN_SIZE == 32
    else:
        assert token == -errno.ENOSYS
    assert calls.peer_audit_token(calls.new_handle()) == -errno.EBADF


@pytest.mark.parametrize("size", [0, 1, 4, 5, 1000])
def test_room_grows_until_all_fits(size):
    """A function that needs more room than it gets is asked again, as often as that takes."""
    content = bytes(number % 251 for number in range(size))
    rooms = []

    def function(_, memory, room):
        rooms.append(room)
        # When it is asked a second time it has become more.
        content_now = content if len(rooms) == 1 else content + b"!"
        if len(content_now) <= room:
            ffi.memmove(memory, content_now, len(content_now))
        return len(content_now)

    result = calls._resized(function, "char[]", calls.new_handle(), 4)
    if size <= 4:
        assert (result, rooms) == (content, [4])
    else:
        assert (result, rooms) == (content + b"!", [4, size, size + 1])


# --- Constants ----------------------------------------------------------------------------------


def test_constants_are_the_systems():
    """A constant that the standard library knows too is the same number, or absent in this build."""
    prefixes = ("MSG_", "SO_", "SOCK_", "SHUT_", "SCM_RIGHTS", "SOL_")
    mine = {name: getattr(calls, name) for name in dir(calls) if name.startswith(prefixes)}
    absent = {name for name, value in mine.items() if value == -1}
    theirs = {name: getattr(socket, name, value) for name, value in mine.items()}

    assert len(mine) > 20
    assert not absent or lib.UDS_MINIMAL_BUILD
    assert [name for name in mine.keys() - absent if mine[name] != theirs[name]] == []


def test_poll_constants():
    """The same for poll(2)."""
    assert (calls.POLLIN, calls.POLLOUT) == (select.POLLIN, select.POLLOUT)
    assert calls.HANGUP & select.POLLHUP
    assert not calls.HANGUP & (select.POLLIN | select.POLLOUT)


def test_limits():
    """The limits of the system are what they should be."""
    assert calls.SCM_MAX_FD == 253
    assert calls.IOV_MAX >= 16
    assert calls.SOMAXCONN >= 128
