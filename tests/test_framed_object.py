"""FramedStream as an object: what it owns, what is left when it is closed, and what it refuses."""

from __future__ import annotations

import copy

import pytest
from framing import framed_pair, wire
from support import raises_errno

import uds_cffi
from uds_cffi import FramedStream, FrameError, MessageFds, OwnedFds, UnixStream


@pytest.fixture
def framed():
    """Make two framed streams that are connected."""
    with framed_pair() as ends:
        yield ends


def test_it_owns_the_stream(stream):
    """The stream is the same object; closing the framed one closes it, and twice is once."""
    one, two = stream
    framed = FramedStream(one)
    assert framed.stream is one
    assert framed.fileno() == one.fileno()
    assert (framed.max_size, framed.max_fds, framed.closed) == (1048576, 0, False)
    assert repr(framed) == f"<FramedStream max_size=1048576 max_fds=0 stream={one!r}>"
    framed.close()
    framed.close()

    assert framed.closed
    assert one.closed
    assert framed.fileno() == -1
    assert repr(framed) == "<FramedStream closed>"
    assert two.recv(1) == b""


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("how", ["framed", "stream", "moved"])
def test_closed_is_ebadf(framed, used, how):
    """After the stream was closed or moved every call is EBADF, also with messages in memory."""
    one, two = framed
    one.send_messages([b"one", b"two"])
    if used:
        assert two.recv_message() == b"one"
        two.send_message(b"back")
    if how == "moved":
        two.stream.to_stdlib().close()
    else:
        (two if how == "framed" else two.stream).close()
    calls = [
        two.recv_message,
        two.recv_messages,
        two.flush,
        lambda: two.send_message(b"x"),
        lambda: two.send_message(b"x", [0]),
        lambda: next(two),
    ]
    for call in calls:
        with raises_errno(9):
            call()


def test_borrowed_stream_ends_with_its_loan(stream):
    """A framed stream over a borrowed one leaves the descriptor open, and cannot be used afterwards."""
    one, two = stream
    framed = FramedStream(UnixStream.borrow(one))
    framed.send_message(b"x")
    framed.close()

    assert not one.closed
    assert two.recv(100) == wire(b"x")
    with raises_errno(9):
        framed.send_message(b"y")


def test_it_is_not_copied(framed):
    """A second object would be a second owner of the stream."""
    with pytest.raises(TypeError, match="cannot pickle or copy FramedStream"):
        copy.copy(framed[0])


def test_error_survives_a_copy():
    """A FrameError keeps what it says."""
    error = copy.copy(FrameError("text", 5, 4))

    assert (str(error), error.length, error.limit) == ("text", 5, 4)


def test_message_with_descriptors_is_a_tuple():
    """MessageFds equals the plain tuple."""
    fds = OwnedFds()

    assert MessageFds(b"x", fds) == (b"x", fds)
    assert MessageFds._fields == ("data", "fds")


@pytest.mark.parametrize("flags", [uds_cffi.MSG_PEEK, uds_cffi.MSG_WAITALL, 2**30])
def test_unknown_flags_are_refused(framed, flags):
    """Only MSG_DONTWAIT makes sense."""
    one, _ = framed
    for call in (one.recv_message, one.recv_messages, one.flush):
        with pytest.raises(ValueError, match="flag"):
            call(flags)
    with pytest.raises(ValueError, match="flag"):
        one.send_message(b"x", flags=flags)
