"""Timestamps, unread bytes and labels: what arrives with messages, and what becomes of bytes that no kernel sends."""

from __future__ import annotations

import copy
import pickle
import struct
import time

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import (
    ScmCredentials,
    ScmInq,
    ScmSecurity,
    ScmTimestamp,
    SocketAncillary,
    UnixDatagram,
    UnixSeqpacketConn,
    UnixStream,
    UnknownControlMessage,
    calls,
    lib,
    metadata,
)
from uds_cffi.control import decode_one

packets = pytest.mark.parametrize("kind", support.PACKET_TYPES)
units = pytest.mark.parametrize("unit", ["microseconds", "nanoseconds"])

SECOND = 10**9


# --- Values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "other", "shown"),
    [
        (ScmTimestamp(5), ScmTimestamp(6), "ScmTimestamp(ns=5)"),
        (ScmInq(5), ScmTimestamp(5), "ScmInq(unread=5)"),
        (ScmSecurity(b"a"), ScmSecurity(b"b"), "ScmSecurity(label=b'a')"),
    ],
)
def test_values(value, other, shown):
    """Messages are frozen values, which are equal when type and content are."""
    twin = type(value)(*value._fields())
    assert (value, hash(value)) == (twin, hash(twin))
    assert value != other
    assert repr(value) == shown
    assert copy.copy(value) == pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(AttributeError, match="immutable"):
        setattr(value, value.__slots__[0], 1)


# --- Decoding -----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(seconds=st.integers(-(2**31), 2**31 - 1), fraction=st.integers(0, 10**6 - 1), wide=st.booleans())
def test_layouts(seconds, fraction, wide):
    """Both layouts, two numbers of 32 or of 64 bits, give the same nanoseconds, of either unit."""
    data = struct.pack("=qq" if wide else "=ii", seconds, fraction)
    assert metadata.decode_microseconds(data) == ScmTimestamp(seconds * SECOND + fraction * 1000)
    assert metadata.decode_nanoseconds(data) == ScmTimestamp(seconds * SECOND + fraction)


def test_times_beyond_32_bits():
    """A time after 2038 is exact to the nanosecond."""
    data = struct.pack("=qq", 2**33, SECOND - 1)
    assert metadata.decode_nanoseconds(data) == ScmTimestamp(2**33 * SECOND + SECOND - 1)


KINDS = sorted(metadata.DECODERS)


@pytest.mark.skipif(not KINDS, reason=f"{support.FEATURE_SKIP}minimal_build is present")
@settings(deadline=None, max_examples=150)
@given(key=st.sampled_from(KINDS or [(0, 0)]), data=st.binary(max_size=24))
def test_malformed_messages_are_bytes(key, data):
    """Whatever bytes come, the message is a value: its own type, or the bytes as they are."""
    message = decode_one(*key, data)
    if type(message) is UnknownControlMessage:
        assert (message.level, message.type, message.data) == (*key, data)
    else:
        assert type(message) in (ScmTimestamp, ScmInq, ScmSecurity)
        assert len(data) in {ScmTimestamp: (8, 16), ScmInq: (4,), ScmSecurity: range(1, 25)}[type(message)]


@pytest.mark.parametrize(
    ("decoder", "data"),
    [
        *[(metadata.decode_microseconds, bytes(size)) for size in (0, 1, 4, 7, 9, 12, 15, 17, 32)],
        (metadata.decode_microseconds, struct.pack("=qq", 1, 10**6)),
        (metadata.decode_microseconds, struct.pack("=qq", 1, -1)),
        (metadata.decode_nanoseconds, struct.pack("=ii", 1, SECOND)),
        (metadata.decode_nanoseconds, struct.pack("=qq", 1, -1)),
        *[(metadata.decode_inq, bytes(size)) for size in (0, 3, 5, 8)],
        (metadata.decode_inq, struct.pack("=i", -1)),
        (metadata.decode_security, b""),
    ],
)
def test_what_no_kernel_sends(decoder, data):
    """A wrong size, a fraction of a second or more, and a negative number are no value."""
    assert decoder(data) is None


@support.needs("timestamps")
def test_each_spelling_has_its_decoder():
    """The old and the new number of each option are types of messages, and no number stands for both units."""
    micro, nano = set(calls.MICROSECOND_STAMPS), set(calls.NANOSECOND_STAMPS)
    assert lib.SO_TIMESTAMP in micro
    assert lib.SO_TIMESTAMPNS in nano
    assert not micro & nano
    assert min(micro | nano) > 0
    for kind in micro:
        assert decode_one(lib.SOL_SOCKET, kind, struct.pack("=qq", 1, 2)) == ScmTimestamp(SECOND + 2000)
    for kind in nano:
        assert decode_one(lib.SOL_SOCKET, kind, struct.pack("=qq", 1, 2)) == ScmTimestamp(SECOND + 2)


@pytest.mark.parametrize(
    ("feature", "names"),
    [
        (
            "TIMESTAMPS",
            "SO_TIMESTAMP SO_TIMESTAMPNS SO_TIMESTAMP_OLD SO_TIMESTAMPNS_OLD SO_TIMESTAMP_NEW SO_TIMESTAMPNS_NEW",
        ),
        ("INQ", "SO_INQ SCM_INQ"),
        ("PASS_SECURITY", "SO_PASSSEC SCM_SECURITY"),
        ("COOKIE", "SO_COOKIE"),
        ("NAMESPACE_COOKIE", "SO_NETNS_COOKIE SO_BUF_LOCK"),
        ("SEND_BUFFER_FORCE", "SO_SNDBUFFORCE"),
    ],
)
def test_absent_constants(feature, names):
    """Where a feature is not built its constants are -1, and nothing decodes its messages."""
    values = {getattr(lib, name) for name in names.split()}
    if getattr(lib, f"UDS_HAS_{feature}"):
        assert values - {-1}
    else:
        assert values == {-1}
        assert (lib.SOL_SOCKET, -1) not in metadata.DECODERS


@support.needs("timestamps")
def test_new_spellings():
    """A kernel that is set with the new option sends the new message, which is a timestamp too."""
    for constant in {*calls.MICROSECOND_STAMPS, *calls.NANOSECOND_STAMPS}:
        left, right = UnixDatagram.pair()
        with left, right, SocketAncillary(128) as ancillary:
            right.set_option(lib.SOL_SOCKET, constant, 1)
            left.send(b"x")
            (stamp,) = right.recv_ancillary(10, ancillary).messages
            assert abs(stamp.ns - time.time_ns()) < 60 * SECOND
            assert right.options.timestamps == (
                "nanoseconds" if constant in calls.NANOSECOND_STAMPS else "microseconds"
            )
            right.options.timestamps = "off"
            assert right.get_option(lib.SOL_SOCKET, constant) == 0


# --- Timestamps ---------------------------------------------------------------------------------


@support.needs("timestamps")
@packets
@units
def test_timestamp_is_the_time_of_the_send(kind, unit):
    """Each packet brings the time of its send, between what the clock says before and after, however late it is."""
    left, right = kind.pair(options={"timestamps": unit})
    with left, right, SocketAncillary.with_room_for(timestamp=True) as ancillary:
        times = []
        for _ in range(3):
            times.append(time.time_ns())
            left.send(b"x")
        times.append(time.time_ns())
        stamps = []
        for _ in range(3):
            received = right.recv_ancillary(10, ancillary)
            assert not received.ancillary_truncated
            (stamp,) = received.messages
            assert type(stamp.ns) is int
            stamps.append(stamp.ns)
        assert stamps == sorted(stamps)
        # The kernel rounds microseconds down.
        assert all(before - 1000 <= stamp <= after for before, stamp, after in zip(times, stamps, times[1:]))
        if unit == "microseconds":
            assert [stamp % 1000 for stamp in stamps] == [0, 0, 0]


@support.needs("timestamps")
@packets
def test_timestamps_off(kind):
    """At first, and once it is off again, packets bring none; one unit replaces the other."""
    left, right = kind.pair()
    with left, right, SocketAncillary(128) as ancillary:
        for unit in ("off", "microseconds", "nanoseconds", "microseconds", "off"):
            right.options.timestamps = unit
            assert right.options.timestamps == unit
            left.send(b"x")
            messages = right.recv_ancillary(10, ancillary).messages
            assert [type(message) for message in messages] == [ScmTimestamp] * (unit != "off")


@support.needs("timestamps")
def test_packet_that_was_queued_before():
    """A packet from before the option was on has the time of the receive."""
    left, right = UnixDatagram.pair()
    with left, right, SocketAncillary(128) as ancillary:
        left.send(b"x")
        right.options.timestamps = "nanoseconds"
        before = time.time_ns()
        (stamp,) = right.recv_ancillary(10, ancillary).messages
        assert before <= stamp.ns <= time.time_ns()


@support.needs("timestamps")
@support.needs("packet_end")
@support.needs("seqpacket")
def test_timestamps_and_the_end():
    """Looking for the end of the connection leaves the option as it was, and the end brings no timestamp."""
    left, right = UnixSeqpacketConn.pair(options={"timestamps": "microseconds"})
    with left, right, SocketAncillary(128) as ancillary:
        left.send(b"")
        left.close()
        assert right.recv_packet() == b""
        assert right.recv_packet() is None
        assert right.options.timestamps == "microseconds"
        assert right.recv_ancillary(10, ancillary).messages == ()


def send_one(address: str) -> None:
    with UnixDatagram.unbound() as sock:
        sock.send_to(b"from a child", address)


@support.needs("timestamps")
def test_timestamp_of_another_process(socket_path):
    """The time is the one at which the other process sent."""
    with UnixDatagram.bind(socket_path, options={"timestamps": "nanoseconds"}) as sock:
        before = time.time_ns()
        support.run_child(send_one, socket_path)
        after = time.time_ns()
        with SocketAncillary.with_room_for(timestamp=True) as ancillary:
            (stamp,) = sock.recv_ancillary(100, ancillary).messages
        assert before <= stamp.ns <= after


# --- Unread bytes -------------------------------------------------------------------------------


@support.needs("inq")
def test_inq_counts_what_is_left():
    """Each receive says how many bytes are left, of all sends together, and at the end of the connection none."""
    left, right = UnixStream.pair(options={"inq": True})
    with left, right, SocketAncillary.with_room_for(inq=True) as ancillary:
        left.send(b"abcdef")
        left.send(b"ghi")
        assert right.recv_ancillary(4, ancillary).messages == (ScmInq(5),)
        assert right.recv_ancillary([bytearray(2), bytearray(1)], ancillary).messages == (ScmInq(2),)
        assert right.unread_bytes() == 2
        assert right.recv_ancillary(100, ancillary).messages == (ScmInq(0),)
        left.close()
        assert right.recv_ancillary(100, ancillary).messages == (ScmInq(0),)


@support.needs("inq")
def test_inq_off():
    """The option is exact about its values, reads as what this object set, and off it brings nothing."""
    left, right = UnixStream.pair()
    with left, right, SocketAncillary(128) as ancillary:
        assert right.options.inq is None
        for value in (True, False, True, False):
            right.options.inq = value
            assert right.options.inq is value
            left.send(b"x")
            assert right.recv_ancillary(1, ancillary).messages == ((ScmInq(0),) if value else ())


# --- Labels ------------------------------------------------------------------------------------


def test_security_label_arrives_as_it_is(packet_pair):
    """A label is the bytes that the module gives; without one the option is accepted and brings nothing."""
    left, right = packet_pair
    with SocketAncillary.with_room_for(security=True) as ancillary:
        if lib.UDS_HAS_PASS_SECURITY:
            assert decode_one(lib.SOL_SOCKET, lib.SCM_SECURITY, b"user_t:s0\0") == ScmSecurity(b"user_t:s0\0")
            right.options.pass_security = True
        left.send(b"x")
        found = right.recv_ancillary(10, ancillary).messages
        assert [type(message) for message in found] == [ScmSecurity] * support.supported("pass_security")


@support.needs("pass_security")
@support.needs("credentials")
def test_security_label_on_a_stream():
    """A stream brings labels only while it passes credentials too."""
    left, right = UnixStream.pair(options={"pass_security": True})
    with left, right, SocketAncillary.with_room_for(security=True, credentials=True) as ancillary:
        left.send(b"x")
        assert right.recv_ancillary(10, ancillary).messages == ()
        right.options.pass_credentials = True
        left.send(b"x")
        kinds = {type(message) for message in right.recv_ancillary(10, ancillary).messages}
        assert kinds == {ScmSecurity, ScmCredentials}


@pytest.mark.skipif(not lib.UDS_HAS_PASS_SECURITY, reason=f"{support.FEATURE_SKIP}pass_security is absent")
def test_security_label_without_any_room():
    """Without any room the kernel says that something was cut, even where there is no label.

    Linux does so since 6.4, which what came with 6.5 tells here, and in its later versions of older lines.
    """
    left, right = UnixStream.pair(options={"pass_security": True})
    with left, right:
        left.send(b"x")
        received = right.recv_ancillary(10, SocketAncillary(0))
        assert (received.data, received.messages) == (b"x", ())
        assert received.ancillary_truncated or not support.supported("pass_pidfd")
