"""Flags: which bits each call takes; the kernel would ignore the others, or lose a message."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uds_cffi
from uds_cffi import MSG_DONTWAIT, MSG_PEEK, UnixDatagram, UnixStream, flags

MASKS = ("SEND", "SEND_STREAM", "RECV_MESSAGE", "TRY_STREAM", "RECV_STREAM", "RECV_PACKET", "PEEK")
MSG_OOB = 1
MSG_ERRQUEUE = 0x2000

masks = pytest.mark.parametrize("mask", MASKS)


@settings(deadline=None)
@given(mask=st.sampled_from(MASKS), value=st.integers(-(2**33), 2**33))
def test_only_known_bits_pass(mask, value):
    """Flags pass unchanged when all their bits are in the mask, and are refused otherwise."""
    allowed = getattr(flags, mask)
    if value & ~allowed:
        with pytest.raises(ValueError, match="are not for this call, which takes "):
            flags.check_flags(value, allowed)
    else:
        assert flags.check_flags(value, allowed) == value


@masks
def test_every_bit_of_a_mask_has_a_name(mask):
    """The refusal names all that the call takes, and only that."""
    allowed = getattr(flags, mask)
    with pytest.raises(ValueError, match=hex(MSG_ERRQUEUE)) as caught:
        flags.check_flags(allowed | MSG_ERRQUEUE, allowed)
    names = str(caught.value).rpartition(" takes ")[2].split(" | ")
    total = 0
    for name in names:
        assert getattr(uds_cffi, name) > 0
        total |= getattr(uds_cffi, name)
    assert total == allowed


@masks
def test_zero_and_the_whole_mask_pass(mask):
    """No flags, and all flags of the mask, are accepted."""
    allowed = getattr(flags, mask)
    assert flags.check_flags(0, allowed) == 0
    assert flags.check_flags(allowed, allowed) == allowed


@pytest.mark.parametrize("value", [None, "0", 1.0, True, False, b"", [0]])
def test_flags_are_ints(value):
    """Flags of another type are refused, and the type is named."""
    with pytest.raises(TypeError, match=f"flags is an int, not {type(value).__name__}"):
        flags.check_flags(value, flags.SEND)


def test_flags_of_the_standard_library():
    """The standard library's flags, which are an enumeration of ints, mean what its own sockets make of them."""
    left, right = UnixStream.pair()
    with left, right:
        right.send(b"abc", socket.MSG_DONTWAIT)
        assert left.recv(2, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"ab"
        assert left.recv(3, socket.MSG_WAITALL) == b"abc"
        with pytest.raises(ValueError, match="are not for this call"):
            left.recv(3, socket.MSG_ERRQUEUE)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (kind, bad)
        for kind in (UnixStream, UnixDatagram)
        for bad in (MSG_ERRQUEUE, MSG_OOB, 1 << 30 | 1 << 29, -1)
        # Streams have out-of-band data.
        if (kind, bad) != (UnixStream, MSG_OOB)
    ],
)
def test_refused_flags_lose_nothing(kind, bad):
    """A call with a bit that is not for it raises, and the message stays in the queue, or is not sent."""
    left, right = kind.pair()
    with left, right:
        right.send(b"kept")
        for call in (left.recv, left.peek):
            with pytest.raises(ValueError, match="are not for this call"):
                call(10, bad)
        for call in (left.recv_into, left.try_recv_into):
            with pytest.raises(ValueError, match="are not for this call"):
                call(bytearray(10), bad)
        with pytest.raises(ValueError, match="are not for this call"):
            left.recv_fds(10, 1, bad)
        with pytest.raises(ValueError, match="are not for this call"):
            right.send(b"refused", bad)
        with pytest.raises(ValueError, match="are not for this call"):
            right.send_fds(b"refused", [0], bad)

        got = left.recv(100)
        assert (got if kind is UnixStream else got.data) == b"kept"
        assert left.try_recv(100, MSG_DONTWAIT) is None


def test_a_send_takes_no_flag_of_a_receive():
    """Each call has its own mask: a send does not peek."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(ValueError, match="flags 0x2 are not for this call"):
        left.send(b"x", MSG_PEEK)
