"""Waiting: timeouts, and who waits at all.

Rule: try first, wait only when the call would block. A timeout is the total time of one call; O_NONBLOCK in the kernel,
or MSG_DONTWAIT, beats every timeout.
"""

from __future__ import annotations

import errno
import math
import time

import blocked
import pytest
import support
from blocked import KINDS, MARKS, blocking_calls, fill, running
from hypothesis import given, settings
from hypothesis import strategies as st

import uds_cffi
from uds_cffi import UnixStream, calls, waiting

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])
EAGAIN = -errno.EAGAIN


# --- Timeouts as values -------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.floats(min_value=0, max_value=1e12, exclude_min=True) | st.integers(min_value=1, max_value=10**12))
def test_timeout_is_a_positive_number(timeout):
    """Any positive number of seconds, up to some ten thousand years, is taken as it is."""
    assert waiting.check_timeout(timeout) is timeout


def test_none_is_no_timeout():
    """None means to wait for ever."""
    assert waiting.check_timeout(None) is None
    assert waiting.deadline_of(None) is None


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, math.inf, -math.inf, math.nan, 1e300, 10**400])
def test_timeout_that_makes_no_sense_is_refused(timeout):
    """Zero, negative, infinite and nearly infinite timeouts are ValueErrors."""
    with pytest.raises(ValueError, match="a timeout is positive"):
        waiting.check_timeout(timeout)


@pytest.mark.parametrize("timeout", ["1", b"1", True, False, [], object()])
def test_timeout_of_another_type_is_refused(timeout):
    """What is no number is a TypeError, and a bool is none."""
    with pytest.raises(TypeError, match="number of seconds"):
        waiting.check_timeout(timeout)


def test_deadline_is_now_and_the_timeout():
    """A deadline lies a timeout ahead, on the clock that is not set back."""
    assert time.monotonic() + 10 <= waiting.deadline_of(10) <= time.monotonic() + 10.5


def test_remaining_time():
    """What is left shrinks, is never more than a day, and ends in TimeoutError."""
    assert waiting.remaining(None) == 86400
    assert waiting.remaining(waiting.now() + 1e12) == 86400
    assert 9 < waiting.remaining(waiting.now() + 10) <= 10
    with pytest.raises(TimeoutError) as caught:
        waiting.remaining(waiting.now())
    assert caught.value.errno == errno.ETIMEDOUT


# --- Waiting for events -------------------------------------------------------------------------


def test_wait_returns_the_events():
    """What is there is returned at once, and what is not asked for is not."""
    one, two = UnixStream.pair()
    with one, two:
        assert waiting.wait(one._handle, calls.POLLOUT, None) == calls.POLLOUT
        two.send(b"x")
        assert waiting.wait(one._handle, calls.POLLIN, waiting.now() + 1) == calls.POLLIN
        two.close()
        assert waiting.wait(one._handle, calls.POLLIN, None) & calls.HANGUP


def test_wait_ends_at_the_deadline():
    """Nothing happens, and ETIMEDOUT comes no sooner than it should."""
    one, two = UnixStream.pair()
    with one, two:
        begin = time.monotonic()
        assert waiting.wait(one._handle, calls.POLLIN, begin + 0.05) == -errno.ETIMEDOUT
        assert 0.05 <= time.monotonic() - begin < 1.0


def test_wait_on_a_closed_socket():
    """Waiting for nothing is EBADF."""
    one, two = UnixStream.pair()
    one.close()
    two.close()
    assert waiting.wait(one._handle, calls.POLLIN, None) == -errno.EBADF
    assert waiting.finish(one._handle, EAGAIN, Attempts(), calls.POLLIN, None, waits=True) == -errno.EBADF
    assert waiting.finish(one._handle, EAGAIN, Attempts(), calls.POLLIN, None) == -errno.EBADF


def test_kernel_waits_no_longer_than_the_time():
    """The kernel's timeout is what is left, at least a microsecond; nothing is set without a deadline or any time."""
    one, two = UnixStream.pair()
    with two:
        with one:
            name = calls.SO_RCVTIMEO
            assert waiting.limit_in_kernel(one._handle, name, None) == 0
            assert one.options.receive_timeout is None
            assert waiting.limit_in_kernel(one._handle, name, waiting.now()) == -errno.ETIMEDOUT
            assert one.options.receive_timeout is None
            assert waiting.limit_in_kernel(one._handle, name, waiting.now() + 5) == 0
            assert 4 < one.options.receive_timeout <= 5.1
            assert waiting.limit_in_kernel(one._handle, name, waiting.now(), 0.0) == 0
            assert 0 < one.options.receive_timeout < 0.1
        assert waiting.limit_in_kernel(one._handle, name, waiting.now() + 5) == -errno.EBADF


class Attempts:
    """A call that returns one prepared result after the other."""

    def __init__(self, *results):
        self.results = list(results)

    def __call__(self):
        return self.results.pop(0)


def test_try_once():
    """An attempt returns its result, None when it would block, and is made again only after a signal."""
    assert waiting.try_once(Attempts(7)) == 7
    assert waiting.try_once(Attempts(0)) == 0
    assert waiting.try_once(Attempts(EAGAIN)) is None
    assert waiting.try_once(Attempts(-errno.EINTR, -errno.EINTR, 5)) == 5
    with pytest.raises(ConnectionResetError):
        waiting.try_once(Attempts(-errno.ECONNRESET))


def test_finish_waits_and_tries_again():
    """Attempts go on until one succeeds or fails for another reason than that it would block."""
    one, two = UnixStream.pair()
    with one, two:
        handle = one._handle
        assert waiting.finish(handle, EAGAIN, Attempts(EAGAIN, -errno.EINTR, 3), calls.POLLOUT, None) == 3
        assert waiting.finish(handle, 4, Attempts(), calls.POLLOUT, None) == 4
        assert waiting.finish(handle, EAGAIN, Attempts(-errno.EPIPE), calls.POLLOUT, None) == -errno.EPIPE
        assert waiting.finish(handle, EAGAIN, Attempts(), calls.POLLOUT, None, waits=False) == EAGAIN
        kernel = {"kernel_timeout": calls.SO_SNDTIMEO}
        assert waiting.finish(handle, EAGAIN, Attempts(1), calls.POLLOUT, None, **kernel) == 1
        one.options.send_timeout = 1.0
        assert waiting.finish(handle, EAGAIN, Attempts(), calls.POLLOUT, None, **kernel) == -errno.ETIMEDOUT
        one.set_nonblocking(True)
        assert waiting.finish(handle, EAGAIN, Attempts(), calls.POLLOUT, None) == EAGAIN
        assert waiting.finish(handle, EAGAIN, Attempts(1), calls.POLLOUT, None, waits=True) == 1


def test_finish_with_an_end():
    """Where the peer hung up and the call would block all the same, the given end is the result."""
    one, two = UnixStream.pair()
    with one:
        two.close()
        attempts = Attempts(EAGAIN)
        assert waiting.finish(one._handle, EAGAIN, attempts, calls.POLLIN, None, end=0) == 0
        attempts = Attempts(EAGAIN)
        assert waiting.finish(one._handle, EAGAIN, attempts, calls.POLLIN, None, end=-errno.EINVAL) == -errno.EINVAL
        assert attempts.results == []


# --- Who waits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["recv", "recv_into", "recv_fds", "send"])
def test_call_that_need_not_wait_does_not_ask(monkeypatch, name):
    """With a timeout too, a call is tried first: nothing is polled, nor is the kernel asked for its flags."""

    def never(*_):
        raise AssertionError("there was no need to wait")

    monkeypatch.setattr(calls, "wait", never)
    monkeypatch.setattr(calls, "get_nonblocking", never)
    one, two = UnixStream.pair()
    with one, two:
        one.set_read_timeout(1)
        one.set_write_timeout(1)
        two.send(b"data")
        result = {
            "recv": lambda: one.recv(4),
            "recv_into": lambda: one.recv_into(bytearray(4)),
            "recv_fds": lambda: one.recv_fds(4, 1)[0],
            "send": lambda: one.send(b"data"),
        }[name]()
    assert result in (b"data", 4)


@pytest.mark.parametrize("how", ["flag", "mode"])
@EACH_KIND
def test_nonblocking_beats_the_timeout(kind, how):
    """With O_NONBLOCK or MSG_DONTWAIT a call raises BlockingIOError at once, whatever timeout is set."""
    one, two = KINDS[kind].pair()
    flags = uds_cffi.MSG_DONTWAIT if how == "flag" else 0
    with one, two:
        fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
        one.set_read_timeout(support.PATIENCE)
        one.set_write_timeout(support.PATIENCE)
        one.set_nonblocking(how == "mode")
        begin = time.monotonic()
        for call in (
            lambda: one.recv(1, flags),
            lambda: one.recv_into(bytearray(1), flags),
            lambda: one.recv_fds(1, 1, flags),
            lambda: one.recv_vectored([bytearray(1)], flags),
            lambda: one.send(b"x", flags),
            lambda: one.send_vectored([b"x"], flags),
            lambda: one.send_fds(b"x", [0], flags),
        ):
            with pytest.raises(BlockingIOError) as caught:
                call()
            assert caught.value.errno == errno.EAGAIN
        assert time.monotonic() - begin < support.PATIENCE / 2


@EACH_KIND
def test_change_of_mode_by_somebody_else_is_noticed(kind):
    """O_NONBLOCK is asked of the kernel, so that a clone's, or another process's, change counts."""
    one, two = KINDS[kind].pair()
    with one, two, one.try_clone() as clone:
        one.set_read_timeout(support.PATIENCE)
        clone.set_nonblocking(True)
        with pytest.raises(BlockingIOError):
            one.recv(1)


def test_try_forms_return_none():
    """The try_ forms return None at once, whatever the mode and the timeout."""
    one, two = UnixStream.pair()
    with one, two:
        fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
        for timeout in (None, support.PATIENCE):
            one.set_read_timeout(timeout)
            one.set_write_timeout(timeout)
            for nonblocking in (False, True):
                one.set_nonblocking(nonblocking)
                assert one.try_recv(1) is None
                assert one.try_recv_into(bytearray(1)) is None
                assert one.try_recv_fds(1, 1) is None
                assert one.try_send(b"x") is None
                assert one.try_send(bytearray(b"x")) is None
                assert one.try_send_fds(b"x", [0]) is None


@blocking_calls()
def test_timeout_passes(socket_path, make_blocked):
    """Each call that waits raises TimeoutError with ETIMEDOUT, no sooner than it should, and works afterwards."""
    with make_blocked(socket_path) as blocked:
        begin = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            blocked.call(0.02)
        assert 0.02 <= time.monotonic() - begin < 1.0
        assert caught.value.errno == errno.ETIMEDOUT
        blocked.release()
        blocked.verify(blocked.call(None))


@blocking_calls("stream-recv", "stream-send", "stream-accept", "stream-accept_adopted", "stream-connect")
def test_call_with_a_timeout_is_woken(socket_path, make_blocked):
    """A wait ends as soon as there is a reason, not at the end of its time."""
    with make_blocked(socket_path) as blocked:
        begin = time.monotonic()
        with support.in_thread(blocked.call, support.PATIENCE) as result:
            if blocked.sock is not None:
                support.until(lambda: running(blocked.sock))
            blocked.release()
        assert time.monotonic() - begin < support.PATIENCE / 2
        blocked.verify(result[0])


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@EACH_KIND
def test_shutdown_wakes_a_blocked_receive(kind, timeout):
    """shutdown() on the socket itself ends a receive in another thread."""
    one, two = KINDS[kind].pair()
    two.set_read_timeout(timeout)
    with one, two, support.in_thread(two.recv, 1) as result:
        support.until(lambda: running(two))
        two.shutdown(uds_cffi.SHUT_RDWR)
    assert blocked.data_of(result[0]) == b""


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("side", ["own", "peer"])
def test_shutdown_wakes_a_blocked_send(side, timeout):
    """shutdown() at either end makes a send in another thread fail with EPIPE, without SIGPIPE, and soon."""
    one, two = UnixStream.pair()
    one.set_write_timeout(timeout)

    def send():
        with pytest.raises(BrokenPipeError):
            one.send(b"x")
        return True

    with one, two:
        fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
        with support.in_thread(send) as result:
            support.until(lambda: running(one))
            if side == "own":
                one.shutdown(uds_cffi.SHUT_WR)
            else:
                two.shutdown(uds_cffi.SHUT_RD)
    assert result == [True]


# --- MSG_WAITALL --------------------------------------------------------------------------------


def test_waitall_with_a_deadline_loops():
    """Under a timeout MSG_WAITALL collects pieces until the memory is full."""
    one, two = UnixStream.pair()
    with one, two:
        two.set_read_timeout(support.PATIENCE)
        one.send(b"abc")
        with support.in_thread(two.recv, 6, uds_cffi.MSG_WAITALL) as result:
            support.until(lambda: running(two))
            one.send(b"def")
        assert result == [b"abcdef"]


def test_waitall_at_the_deadline_gives_what_came():
    """When the time is over, what came is returned; only when nothing came it is TimeoutError."""
    one, two = UnixStream.pair()
    with one, two:
        two.set_read_timeout(0.05)
        one.send(b"abc")
        begin = time.monotonic()
        assert two.recv(6, uds_cffi.MSG_WAITALL) == b"abc"
        assert 0.05 <= time.monotonic() - begin < 1.0
        with pytest.raises(TimeoutError):
            two.recv(6, uds_cffi.MSG_WAITALL)


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_waitall_ends_with_the_connection(timeout):
    """The end of the connection ends it early, and MSG_DONTWAIT does not let it wait at all."""
    one, two = UnixStream.pair()
    with one, two:
        two.set_read_timeout(timeout)
        one.send(b"abc")
        assert two.recv(6, uds_cffi.MSG_WAITALL | uds_cffi.MSG_DONTWAIT) == b"abc"
        one.send(b"def")
        one.close()
        assert two.recv(6, uds_cffi.MSG_WAITALL) == b"def"
        assert two.recv(6, uds_cffi.MSG_WAITALL) == b""
