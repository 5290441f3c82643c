"""Timeouts of connected sockets.

Rule: a timeout is exact, kept by the object, and the total for one call.  The kernel's O_NONBLOCK and a caller's
MSG_DONTWAIT beat it.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from fractions import Fraction
from typing import Any

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import MSG_DONTWAIT, MSG_WAITALL, UnixStream

# The longest timeout, in seconds: thirty thousand years.
LONGEST = 10**12


SETTERS = ["set_read_timeout", "set_write_timeout"]
GETTERS = {"set_read_timeout": "read_timeout", "set_write_timeout": "write_timeout"}


@pytest.mark.parametrize("setter", SETTERS)
@settings(deadline=None, max_examples=40)
@given(seconds=st.floats(min_value=0, max_value=LONGEST, exclude_min=True) | st.integers(1, LONGEST))
def test_timeout_reads_back_exactly(setter: str, seconds: float) -> None:
    """A timeout reads back as the number that was set, and the other one stays."""
    one, two = UnixStream.pair()
    with one, two:
        getattr(one, setter)(seconds)
        assert getattr(one, GETTERS[setter])() == seconds
        assert [one.read_timeout(), one.write_timeout()].count(None) == 1
        getattr(one, setter)(None)
        assert getattr(one, GETTERS[setter])() is None


@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("bad", [0, -0.0, -1, -1e-9, float("nan"), float("inf"), -float("inf"), 10**400, LONGEST + 1])
def test_timeouts_refused(pair: tuple[Any, Any], setter: str, bad: float) -> None:
    """Zero, negative, infinite and too long timeouts are ValueError; what was set stays."""
    one, _ = pair
    getattr(one, setter)(3)
    with pytest.raises(ValueError, match="timeout"):
        getattr(one, setter)(bad)
    assert getattr(one, GETTERS[setter])() == 3


@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("bad", [True, False, "1", b"1", [1.0], 1j, Fraction(1, 2)])
def test_timeouts_of_another_type(pair: tuple[Any, Any], setter: str, bad: Any) -> None:
    """A timeout is an int or a float, and a bool is neither."""
    with pytest.raises(TypeError, match="timeout"):
        getattr(pair[0], setter)(bad)


def test_timeouts_belong_to_the_object(pair: tuple[Any, Any]) -> None:
    """The kernel is not told of a timeout, so clones keep their own, which begins as a copy."""
    one, _ = pair
    one.set_read_timeout(5)
    one.set_write_timeout(6)
    assert (one.options.receive_timeout, one.options.send_timeout) == (None, None)
    assert os.get_blocking(one.fileno())
    with one.try_clone() as clone:
        assert (clone.read_timeout(), clone.write_timeout()) == (5, 6)
        clone.set_read_timeout(0.01)
        assert one.read_timeout() == 5
        with pytest.raises(TimeoutError):
            clone.recv(1)


def test_expired_timeout(pair: tuple[Any, Any]) -> None:
    """A read timeout passes before TimeoutError (ETIMEDOUT), not earlier, and works again the next time."""
    _, two = pair
    two.set_read_timeout(0.05)
    for _ in range(2):
        start = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            two.recv(1)
        assert 0.05 <= time.monotonic() - start < support.PATIENCE
        assert caught.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize("timeout", [5e-324, 1e-12, 1e-6])
def test_smallest_timeouts(pair: tuple[Any, Any], timeout: float) -> None:
    """A timeout that is over at once still lets a call take what is there."""
    one, two = pair
    two.set_read_timeout(timeout)
    with pytest.raises(TimeoutError):
        two.recv(1)
    one.send(b"x")
    assert two.recv(1) in (b"x", (b"x", False))


def test_largest_timeout(pair: tuple[Any, Any]) -> None:
    """The longest timeout is a timeout like any other."""
    one, two = pair
    two.set_read_timeout(LONGEST)
    with support.in_thread(two.recv, 1) as outcome:
        one.send(b"x")
    assert outcome[0] in (b"x", (b"x", False))


def test_nonblocking_beats_the_timeout(pair: tuple[Any, Any]) -> None:
    """On a nonblocking socket, whoever made it so, a call that would wait raises BlockingIOError at once."""
    _, two = pair
    two.set_read_timeout(support.PATIENCE)
    for make in (two.set_nonblocking, lambda mode: os.set_blocking(two.fileno(), not mode)):
        make(True)
        with pytest.raises(BlockingIOError):
            two.recv(1)
        make(False)
    with pytest.raises(BlockingIOError):
        two.recv(1, MSG_DONTWAIT)
    assert two.try_recv(1) is None


@pytest.mark.parametrize("kind", support.TYPES)
def test_timeout_of_the_kernel(kind: Any) -> None:
    """A timeout that the kernel itself keeps (SO_RCVTIMEO, SO_SNDTIMEO) is TimeoutError when it passes."""
    one, two = kind.pair(options={"receive_timeout": 0.01, "send_timeout": 0.01})
    with one, two:
        assert two.options.receive_timeout == pytest.approx(0.01, abs=0.02)
        for receive in (
            lambda: two.recv(1),
            lambda: two.recv_into(bytearray(1)),
            lambda: two.recv_vectored([bytearray(1)]),
            lambda: two.recv_fds(1, 1),
        ):
            with pytest.raises(TimeoutError) as caught:
                receive()
            assert caught.value.errno == errno.ETIMEDOUT
        while one.try_send(bytes(1000)):
            pass
        with pytest.raises(TimeoutError):
            one.send(bytes(1000))
        assert two.read_timeout() is None


def test_earlier_of_two_timeouts_holds(stream: tuple[UnixStream, UnixStream]) -> None:
    """The object's own timeout holds beside the kernel's."""
    one, _ = stream
    one.options.receive_timeout = support.PATIENCE
    one.set_read_timeout(0.01)
    with pytest.raises(TimeoutError):
        one.recv(1)


def dribble(sock: UnixStream, stop: threading.Event) -> None:
    """Send a byte now and then, more often than any timeout of a test."""
    for _ in itertools.takewhile(lambda _: not stop.wait(0.01), itertools.count()):
        sock.send(b".")


def sip(sock: UnixStream, stop: threading.Event) -> None:
    """Read a little now and then, more often than any timeout of a test."""
    for _ in itertools.takewhile(lambda _: not stop.wait(0.01), itertools.count()):
        sock.try_recv(60_000)


@pytest.mark.parametrize("how", ["recv_exactly", "recv_into"])
def test_read_timeout_is_the_total(stream: tuple[UnixStream, UnixStream], how: str) -> None:
    """A peer that sends a byte now and then does not prolong the timeout of one call."""
    one, two = stream
    two.set_read_timeout(0.1)
    stop = threading.Event()
    start = time.monotonic()
    with support.in_thread(dribble, one, stop):
        try:
            if how == "recv_exactly":
                with pytest.raises(TimeoutError) as caught:
                    two.recv_exactly(1_000_000)
                assert caught.value.partial  # type: ignore[attr-defined]
            else:
                assert 0 < two.recv_into(bytearray(1_000_000), MSG_WAITALL) < 1000
            assert 0.1 <= time.monotonic() - start < 3
        finally:
            stop.set()


SEND_ALL: dict[str, Any] = {
    "sendall": lambda sock, data: sock.sendall(data * 2000),
    "sendall_vectored": lambda sock, data: sock.sendall_vectored([data] * 2000),
    "sendall_fds": lambda sock, data: sock.sendall_fds(data * 2000, [0]),
}


@pytest.mark.parametrize("how", SEND_ALL)
def test_write_timeout_is_the_total(stream: tuple[UnixStream, UnixStream], how: str) -> None:
    """A peer that reads a little now and then does not prolong the timeout of one call."""
    one, two = stream
    one.set_write_timeout(0.1)
    stop = threading.Event()
    start = time.monotonic()
    with support.in_thread(sip, two, stop):
        try:
            with pytest.raises(TimeoutError) as caught:
                SEND_ALL[how](one, bytes(50_000))
            assert 0 < caught.value.sent < 100_000_000  # type: ignore[attr-defined]
            assert 0.1 <= time.monotonic() - start < 3
        finally:
            stop.set()


def test_write_timeout_is_the_total_of_a_split_send(stream: tuple[UnixStream, UnixStream]) -> None:
    """So it is for a send of so many buffers that it takes several calls, which ends with the number so far."""
    one, two = stream
    one.set_write_timeout(0.1)
    # The first piece goes at once; each further piece has to wait for the reader.
    buffers = [b"x"] * 1024 + [bytes(60_000)] * 5000
    stop = threading.Event()
    start = time.monotonic()
    with support.in_thread(sip, two, stop):
        try:
            sent = one.send_vectored(buffers)
            assert 0.1 <= time.monotonic() - start < 3
            assert 1024 < sent < 60_000 * 5000
        finally:
            stop.set()
