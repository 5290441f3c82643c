"""What systems say in different forms: that a peer is full, who sent a message, and when.

Rule: a form that this system does not have is read, or refused, as the bytes that it would be.
"""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from uds_cffi import ffi, lib, metadata

# --- Full peers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_full_peer(kind):
    """Where ENOBUFS means that a datagram's receiver is full it would block; all else stays what it is."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        is_full = lib.UDS_ENOBUFS_IS_FULL and kind == socket.SOCK_DGRAM
        room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        for size in (0, room):
            assert lib.uds_sent(sock.fileno(), -errno.ENOBUFS, size) == (-errno.EAGAIN if is_full else -errno.ENOBUFS)
        # It would not fit into an empty queue either.
        assert lib.uds_sent(sock.fileno(), -errno.ENOBUFS, room + 1) == (-errno.EMSGSIZE if is_full else -errno.ENOBUFS)
        assert lib.uds_sent(sock.fileno(), -errno.EPIPE, room + 1) == -errno.EPIPE
        assert lib.uds_sent(sock.fileno(), 7, 7) == 7
    assert lib.uds_sent(-1, -errno.ENOBUFS, 0) == -errno.ENOBUFS


def test_minimal_build_does_as_other_systems():
    """The minimal build takes the branch of other systems, the normal one that of Linux."""
    assert lib.UDS_ENOBUFS_IS_FULL == lib.UDS_MINIMAL_BUILD


# --- Senders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 11, 12, 13])
def test_credentials_of_this_system(size):
    """A whole struct ucred is read where credentials come in it, and nothing else is."""
    sender = ffi.new("struct ucred *")
    whole = struct.pack("iII", 5, 6, 7) + b"x"
    known = lib.UDS_HAS_CREDENTIALS and size == lib.UDS_CREDENTIALS_SIZE
    assert lib.uds_credentials_read(whole[:size], size, sender) == known
    assert (sender.pid, sender.uid, sender.gid) == ((5, 6, 7) if known else (0, 0, 0))


# --- Timestamps ---------------------------------------------------------------------------------

SECOND = 10**9


@pytest.mark.parametrize(
    ("form", "data", "expected"),
    [
        (lib.UDS_TIMEVAL, struct.pack("qq", 5, 999_999), 5 * SECOND + 999_999_000),
        (lib.UDS_TIMESPEC, struct.pack("qq", 5, 999_999_999), 5 * SECOND + 999_999_999),
        (lib.UDS_BINTIME, struct.pack("qQ", 5, 2**63), 5 * SECOND + SECOND // 2),
        (lib.UDS_BINTIME, struct.pack("qQ", 0, 2**64 - 1), SECOND - 1),
        (lib.UDS_BINTIME, struct.pack("qQ", 7, 0), 7 * SECOND),
        (lib.UDS_TIMEVAL, struct.pack("qq", 5, 1_000_000), None),
        (lib.UDS_TIMEVAL, struct.pack("qq", 5, -1), None),
        (lib.UDS_TIMESPEC, struct.pack("qq", 5, SECOND), None),
        (lib.UDS_TIMESPEC, struct.pack("qq", -1, 0), None),
        (lib.UDS_BINTIME, struct.pack("qQ", 2**62, 0), None),
        (99, struct.pack("qq", 5, 6), None),
    ],
)
@pytest.mark.skipif(ffi.sizeof("long") < 8, reason="these bytes are those of 64-bit systems")
def test_forms_of_time(form, data, expected):
    """A time is read in each form; a fraction of a second or more, and what does not fit 64 bits, is none."""
    nanoseconds = ffi.new("int64_t *", -7)
    result = lib.uds_timestamp_read(form, data, len(data), nanoseconds)
    value = metadata.timestamp_decoder(form)(data)
    if expected is None:
        assert (result, nanoseconds[0], value) == (-errno.EINVAL, -7, None)
    else:
        assert (result, nanoseconds[0], value.ns) == (0, expected, expected)
    for wrong in (b"", data[:-1], data + b"x"):
        assert lib.uds_timestamp_read(form, wrong, len(wrong), nanoseconds) == -errno.EINVAL
        assert metadata.timestamp_decoder(form)(wrong) is None
