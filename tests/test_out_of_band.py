"""Out-of-band data of streams and the mark: what the kernel does, its traps included."""

from __future__ import annotations

import errno
import select

import pytest
import support
from handles import new_handle

from uds_cffi import (
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    FeatureUnavailable,
    ScmInq,
    SocketAncillary,
    UnixDatagram,
    UnixStream,
    calls,
    lib,
)

here = support.needs("out_of_band")


@pytest.fixture
def streams():
    """Two connected streams."""
    left, right = UnixStream.pair()
    with left, right:
        yield left, right


# --- Sending and receiving ----------------------------------------------------------------------


def receive(sock: UnixStream, flags: int = 0) -> bytes:
    return sock.recv(10, MSG_OOB | flags)


def try_receive(sock: UnixStream, flags: int = 0) -> bytes:
    return sock.try_recv(10, MSG_OOB | flags)


def receive_into(sock: UnixStream, flags: int = 0) -> bytes:
    buffer = bytearray(10)
    count = sock.recv_into(buffer, MSG_OOB | flags)
    return bytes(buffer[:count])


def try_receive_into(sock: UnixStream, flags: int = 0) -> bytes:
    buffer = bytearray(10)
    count = sock.try_recv_into(buffer, MSG_OOB | flags)
    return bytes(buffer[:count])


RECEIVES = [receive, try_receive, receive_into, try_receive_into]


@here
@pytest.mark.parametrize("send", ["send", "try_send", "sendall"])
@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc")], ids=["bytes", "bytearray"])
@pytest.mark.parametrize("receiving", RECEIVES)
def test_the_last_byte_is_out_of_band(send, data, receiving, streams):
    """The last byte overtakes the others, which a plain receive brings; a peek at it leaves it there."""
    left, right = streams
    assert getattr(left, send)(data, MSG_OOB) in (3, None)
    assert receiving(right, MSG_PEEK) == b"c"
    assert receiving(right) == b"c"
    assert right.recv(10) == b"ab"
    assert right.try_recv(10) is None


@here
def test_the_mark_stays_when_the_byte_is_taken(streams):
    """A receive ends at the mark also when its byte was taken before, and nothing is lost there."""
    left, right = streams
    left.send(b"abX", MSG_OOB)
    left.send(b"cd")
    assert right.recv(1, MSG_OOB) == b"X"
    assert right.at_mark() is False
    assert right.recv(10) == b"ab"
    assert right.at_mark() is True
    assert right.recv(10) == b"cd"
    assert right.at_mark() is False


@here
@pytest.mark.parametrize("receiving", RECEIVES)
def test_no_byte_out_of_band(receiving, streams):
    """Without an out-of-band byte a receive of it never waits: it is EINVAL, also after it was taken."""
    left, right = streams
    for data in (b"", b"plain"):
        left.sendall(data)
        with support.raises_errno(errno.EINVAL):
            receiving(right)
    left.send(b"!", MSG_OOB)
    assert receiving(right) == b"!"
    with support.raises_errno(errno.EINVAL):
        receiving(right)
    assert right.recv(10) == b"plain"


@here
def test_receive_ends_before_the_mark(streams):
    """A receive ends before the mark, where at_mark() is true, and one that begins there throws the byte away."""
    left, right = streams
    left.send(b"abX", MSG_OOB)
    left.send(b"cd")
    assert right.at_mark() is False
    assert right.recv(10) == b"ab"
    assert right.at_mark() is True
    assert right.recv(10) == b"cd"
    assert right.at_mark() is False
    with support.raises_errno(errno.EINVAL):
        right.recv(1, MSG_OOB)


@here
def test_reading_on_throws_it_away(streams):
    """recv_exactly and MSG_WAITALL read past the mark, so the byte is gone."""
    left, right = streams
    for read in (lambda: right.recv_exactly(4), lambda: right.recv(4, MSG_WAITALL)):
        left.send(b"abX", MSG_OOB)
        left.send(b"cd")
        assert read() == b"abcd"
        with support.raises_errno(errno.EINVAL):
            right.recv(1, MSG_OOB)


@here
def test_second_byte_makes_the_first_a_plain_one(streams):
    """There is one out-of-band byte; a further one leaves the first among the others."""
    left, right = streams
    left.send(b"aX", MSG_OOB)
    left.send(b"bY", MSG_OOB)
    assert right.recv(1, MSG_OOB) == b"Y"
    assert right.recv_exactly(3) == b"aXb"


@here
def test_unread_bytes_stay_one_too_high(streams):
    """Every byte that was thrown away is counted for ever, by unread_bytes() and by ScmInq, while nothing is there."""
    left, right = streams
    for wrong in (1, 2):
        left.send(b"X", MSG_OOB)
        left.send(b"b")
        assert right.recv(10) == b"b"
        assert right.try_recv(10) is None
        assert right.unread_bytes() == wrong
    if support.supported("inq"):
        right.options.inq = True
        left.send(b"c")
        with SocketAncillary.with_room_for(inq=True) as ancillary:
            assert right.recv_ancillary(10, ancillary).messages == (ScmInq(2),)


@here
def test_taken_byte_is_not_counted(streams):
    """A byte that was received out of band is not counted any more."""
    left, right = streams
    left.send(b"aX", MSG_OOB)
    assert right.unread_bytes() == 2
    assert right.recv(1, MSG_OOB) == b"X"
    assert right.unread_bytes() == 1
    assert right.recv(10) == b"a"
    assert right.unread_bytes() == 0


@here
def test_poll_tells_of_it(streams):
    """While it is pending poll(2) says POLLPRI."""
    left, right = streams
    poll = select.poll()
    poll.register(right, select.POLLPRI)
    assert poll.poll(0) == []
    left.send(b"X", MSG_OOB)
    assert poll.poll(0) == [(right.fileno(), select.POLLPRI)]
    right.recv(1, MSG_OOB)
    assert poll.poll(0) == []


@here
def test_oob_inline(streams):
    """With the option on the byte stays among the others, and MSG_OOB receives nothing; a receive ends at the mark."""
    left, right = streams
    right.options.oob_inline = True
    left.send(b"abX", MSG_OOB)
    left.send(b"cd")
    with support.raises_errno(errno.EINVAL):
        right.recv(1, MSG_OOB)
    assert right.recv(10) == b"ab"
    assert right.at_mark() is True
    assert right.recv_exactly(3) == b"Xcd"
    assert right.at_mark() is False
    assert right.unread_bytes() == 0


@here
def test_peer_that_closes_with_it_unread(streams):
    """A peer that closes while the byte is unread resets the connection."""
    left, right = streams
    left.send(b"X", MSG_OOB)
    right.close()
    with pytest.raises(ConnectionResetError):
        left.recv(1)


@here
def test_sendall_marks_the_last_byte_alone(streams):
    """However many sends it takes, one byte is out of band: the last."""
    left, right = streams
    data = b"x" * 1_000_000 + b"!"
    with support.in_thread(left.sendall, data, MSG_OOB) as sent:
        assert len(right.recv_exactly(len(data) - 1)) == len(data) - 1
        sent.wait()
    assert right.at_mark()
    assert right.recv(1, MSG_OOB) == b"!"


@here
def test_short_send_has_no_byte_out_of_band(streams):
    """When fewer bytes went than were given, none is out of band yet."""
    left, right = streams
    data = bytes(10_000_000)
    sent = left.try_send(data, MSG_OOB)
    assert 0 < sent < len(data)
    with support.raises_errno(errno.EINVAL):
        right.recv(1, MSG_OOB)
    assert len(right.recv_exactly(sent)) == sent


@here
def test_full_queue(streams):
    """An out-of-band byte waits for room as others do: None, BlockingIOError or TimeoutError."""
    left, right = streams
    while left.try_send(bytes(4096)) is not None:
        pass
    while left.try_send(b"x") is not None:
        pass
    assert left.try_send(b"!", MSG_OOB) is None
    with pytest.raises(BlockingIOError):
        left.send(b"!", MSG_OOB | MSG_DONTWAIT)
    left.set_write_timeout(0.01)
    with pytest.raises(TimeoutError):
        left.send(b"!", MSG_OOB)
    with pytest.raises(TimeoutError) as caught:
        left.sendall(b"!", MSG_OOB)
    assert caught.value.sent == 0
    with support.raises_errno(errno.EINVAL):
        right.recv(1, MSG_OOB)


# --- What is refused ----------------------------------------------------------------------------


@here
def test_what_would_lose_it_is_refused(streams):
    """No data to send, no room to receive it in, and waiting for several are refused, and the byte stays."""
    left, right = streams
    left.send(b"!", MSG_OOB)
    for call in (
        lambda: left.send(b"", MSG_OOB),
        lambda: left.try_send(b"", MSG_OOB),
        lambda: left.sendall(b"", MSG_OOB),
        lambda: right.recv(0, MSG_OOB),
        lambda: right.try_recv(0, MSG_OOB),
        lambda: right.recv_into(bytearray(), MSG_OOB),
        lambda: right.try_recv_into(bytearray(), MSG_OOB),
    ):
        with pytest.raises(ValueError, match="MSG_OOB is about one byte"):
            call()
    for call in (
        lambda: right.recv(1, MSG_OOB | MSG_WAITALL),
        lambda: right.recv_into(bytearray(1), MSG_OOB | MSG_WAITALL),
    ):
        with pytest.raises(ValueError, match="MSG_WAITALL with MSG_OOB"):
            call()
    for size, error in ((-1, ValueError), (2**40, ValueError), (1.0, TypeError), ("1", TypeError)):
        with pytest.raises(error, match="a size "):
            right.recv(size, MSG_OOB)
    assert right.recv(1, MSG_OOB) == b"!"


def test_calls_that_do_not_take_it(streams):
    """Calls with descriptors, ancillary data, several buffers or packets refuse the flag."""
    left, right = streams
    one, two = UnixDatagram.pair()
    ancillary = SocketAncillary(100)
    with one, two:
        for call in (
            lambda: left.send_fds(b"x", [0], MSG_OOB),
            lambda: left.sendall_fds(b"x", [0], MSG_OOB),
            lambda: left.send_vectored([b"x"], MSG_OOB),
            lambda: left.sendall_vectored([b"x"], MSG_OOB),
            lambda: left.send_ancillary([b"x"], ancillary, MSG_OOB),
            lambda: right.recv_fds(1, 1, MSG_OOB),
            lambda: right.recv_ancillary(1, ancillary, MSG_OOB),
            lambda: right.recv_vectored([bytearray(1)], MSG_OOB),
            lambda: right.recv_exactly(1, MSG_OOB),
            lambda: right.peek(1, MSG_OOB),
            lambda: one.send(b"x", MSG_OOB),
            lambda: one.try_send(b"x", MSG_OOB),
            lambda: two.recv(1, MSG_OOB),
            lambda: two.try_recv(1, MSG_OOB),
        ):
            with pytest.raises(ValueError, match="are not for this call"):
                call()


@support.lacks("out_of_band")
def test_absent(streams):
    """Where it is absent each call with the flag, and at_mark(), says so, and nothing is sent or received."""
    left, right = streams
    left.send(b"abc")
    for call in (
        lambda: left.send(b"x", MSG_OOB),
        lambda: left.try_send(b"x", MSG_OOB),
        lambda: left.sendall(b"x", MSG_OOB),
        lambda: right.recv(1, MSG_OOB),
        lambda: right.recv_into(bytearray(1), MSG_OOB),
        lambda: right.try_recv(1, MSG_OOB),
        right.at_mark,
    ):
        with pytest.raises(FeatureUnavailable) as caught:
            call()
        assert caught.value.feature == "out_of_band"
    assert right.recv(10) == b"abc"


@here
@pytest.mark.parametrize("receiving", RECEIVES)
def test_kernel_without_it(receiving, streams, monkeypatch):
    """A kernel that answers EOPNOTSUPP, as one before 5.15 does, has no such feature; other errors stay."""
    left, right = streams
    answers = [-errno.EOPNOTSUPP]
    for place in ("sending.c_send", "sendingall.c_send", "stream.c_recv", "stream.receive"):
        monkeypatch.setattr(f"uds_cffi.{place}", lambda *arguments: answers[0])
    attempts = (
        lambda: receiving(right),
        lambda: left.send(b"x", MSG_OOB),
        lambda: left.try_send(b"x", MSG_OOB),
        lambda: left.sendall(b"x", MSG_OOB),
    )
    for call in attempts:
        with pytest.raises(FeatureUnavailable) as caught:
            call()
        assert (caught.value.feature, caught.value.reason) == ("out_of_band", "kernel")
        assert caught.value.errno == errno.EOPNOTSUPP
    # The last one says how far it got.
    assert caught.value.sent == 0
    answers[0] = -errno.ECONNRESET
    for call in attempts:
        with pytest.raises(ConnectionResetError):
            call()


@here
@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EOPNOTSUPP])
def test_kernel_without_a_mark(code, streams, monkeypatch):
    """A kernel that knows no mark has no out-of-band data."""
    monkeypatch.setattr(calls, "at_mark", lambda handle: -code)
    with pytest.raises(FeatureUnavailable) as caught:
        streams[0].at_mark()
    assert (caught.value.feature, caught.value.reason, caught.value.errno) == ("out_of_band", "kernel", code)


@here
def test_closed_stream():
    """A stream that was closed has no mark, and neither sends nor receives."""
    left, right = UnixStream.pair()
    with left, right:
        pass
    for call in (left.at_mark, lambda: left.send(b"x", MSG_OOB), lambda: left.recv(1, MSG_OOB), left.unsent_bytes):
        with support.raises_errno(errno.EBADF):
            call()


def test_lib_functions(streams):
    """The C functions return -errno: for what is closed, no socket, or absent from the build."""
    left, _ = streams
    empty = new_handle()
    for function, present in (
        (lib.uds_handle_at_mark, lib.UDS_HAS_OUT_OF_BAND),
        (lib.uds_handle_unsent_bytes, lib.UDS_HAS_UNSENT_BYTES),
    ):
        assert function(left._handle) == (0 if present else -errno.ENOSYS)
        assert function(empty) == -errno.EBADF
    if lib.UDS_HAS_OUT_OF_BAND:
        one, two = UnixDatagram.pair()
        with one, two:
            assert lib.uds_handle_at_mark(one._handle) in (-errno.EOPNOTSUPP, -errno.ENOTTY)
