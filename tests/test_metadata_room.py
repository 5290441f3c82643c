"""Room for control messages: what is on never pushes another kind out, and what does not fit is reported."""

from __future__ import annotations

from typing import Any

import pytest
import support

from uds_cffi import (
    ScmCredentials,
    ScmInq,
    ScmPidfd,
    ScmRights,
    ScmSecurity,
    ScmTimestamp,
    SocketAncillary,
    UnixDatagram,
    UnixStream,
    UnknownControlMessage,
    lib,
    receiver,
)

packets = pytest.mark.parametrize("kind", support.PACKET_TYPES)

# What every type of socket can be asked for, but for credentials, which each of these tests needs.
PASSED = {"pass_credentials": True}
if lib.UDS_HAS_PASS_SECURITY:
    PASSED["pass_security"] = True
SENDERS = [ScmPidfd] if support.supported("pass_pidfd") else []
if SENDERS:
    PASSED["pass_pidfd"] = True


def close_senders(messages: list[Any]) -> None:
    for message in messages:
        if type(message) is ScmPidfd:
            message.fd.close()


@support.needs("timestamps")
@support.needs("credentials")
@packets
def test_everything_that_packets_bring(kind):
    """With all options on, one buffer that was counted for all of it holds timestamp, credentials and descriptors."""
    left, right = kind.pair(options={"timestamps": "nanoseconds", **PASSED})
    room = SocketAncillary.with_room_for(fds=253, credentials=True, pidfd=True, timestamp=True, inq=True, security=True)
    with left, right, room:
        left.send_fds(b"x", [0] * 253)
        with right.recv_ancillary(10, room) as received:
            assert not received.ancillary_truncated
            messages = [message for message in received.messages if type(message) is not ScmSecurity]
            assert [type(message) for message in messages] == [ScmTimestamp, ScmCredentials, ScmRights, *SENDERS]
            assert len(messages[2].fds) == 253
            close_senders(messages)


@support.needs("inq")
@support.needs("credentials")
def test_everything_that_streams_bring():
    """The number of unread bytes comes last, behind credentials and descriptors, and has its room."""
    left, right = UnixStream.pair(options={"inq": True, **PASSED})
    room = SocketAncillary.with_room_for(fds=253, credentials=True, pidfd=True, inq=True, security=True)
    with left, right, room:
        left.send_fds(b"xyz", [0] * 253)
        with right.recv_ancillary(1, room) as received:
            assert not received.ancillary_truncated
            messages = [message for message in received.messages if type(message) is not ScmSecurity]
            assert [type(message) for message in messages] == [ScmCredentials, ScmRights, *SENDERS, ScmInq]
            assert len(messages[1].fds) == 253
            assert messages[-1] == ScmInq(2)
            close_senders(messages)


@support.needs("timestamps")
@pytest.mark.parametrize("capacity", [0, 1, 15, 16, 23])
def test_timestamp_without_room(capacity):
    """In a buffer that is too small a timestamp is lost or cut, and the receive says so; the data is there."""
    left, right = UnixDatagram.pair(options={"timestamps": "nanoseconds"})
    with left, right, SocketAncillary(capacity) as ancillary:
        left.send(b"x")
        received = right.recv_ancillary(10, ancillary)
        assert (received.data, received.ancillary_truncated, ancillary.truncated) == (b"x", True, True)
        assert [type(message) for message in received.messages if type(message) is not UnknownControlMessage] == []


@support.needs("inq")
def test_inq_without_room():
    """A buffer with room for descriptors alone loses the number, and says so; the descriptors are there."""
    left, right = UnixStream.pair(options={"inq": True})
    with left, right, SocketAncillary(lib.CMSG_SPACE(8)) as ancillary:
        left.send_fds(b"xy", [0, 0])
        with right.recv_ancillary(1, ancillary) as received:
            assert received.ancillary_truncated
            (rights,) = received.messages
            assert len(rights.fds) == 2


@support.needs("timestamps")
@support.needs("credentials")
@packets
def test_descriptors_are_not_pushed_out(kind):
    """recv_fds and batches have room for 253 descriptors beside everything else that is on."""
    left, right = kind.pair(options={"timestamps": "nanoseconds", **PASSED})
    with left, right:
        left.send_fds(b"x", [0] * 253)
        with right.recv_fds(10, 253).fds as fds:
            assert len(fds) == 253
        left.send_fds(b"y", [0] * 253)
        with right.recv_batch(2, 10, max_fds=253, credentials=True) as batch:
            assert (batch[0].lost, len(batch[0].fds), type(batch[0].credentials)) == (0, 253, ScmCredentials)


@support.needs("inq")
@support.needs("credentials")
def test_descriptors_of_streams_are_not_pushed_out():
    """The same on a stream, which may bring the number of unread bytes."""
    left, right = UnixStream.pair(options={"inq": True, **PASSED})
    with left, right:
        left.send_fds(b"x", [0] * 253)
        with right.recv_fds(10, 253)[1] as fds:
            assert len(fds) == 253


def test_room_for_each_kind():
    """Each keyword adds room for its kind, and all together fit into what the library receives with."""
    space = lib.CMSG_SPACE
    sizes = {"timestamp": 16, "inq": 4, "security": 512, "pidfd": 4}
    assert SocketAncillary.with_room_for().capacity == 0
    for name, size in sizes.items():
        assert SocketAncillary.with_room_for(**{name: True}).capacity == space(size)
        assert SocketAncillary.with_room_for(**{name: False}).capacity == 0
    everything = SocketAncillary.with_room_for(fds=253, credentials=True, **dict.fromkeys(sizes, True))
    assert everything.capacity == space(253 * 4) + space(12) + sum(map(space, sizes.values()))
    assert everything.capacity <= receiver._CONTROL_SIZE
