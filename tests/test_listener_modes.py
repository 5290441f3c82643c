"""Waiting listeners: timeouts, and "nonblocking" as a mode.

Rule: poll(2) may say "ready" when another acceptor is about to be quicker, so a listener that this library made is
always O_NONBLOCK in the kernel, which nobody sees: is_nonblocking() tells the mode, and whoever gets the descriptor
gets the flag that the mode means.  A listener that was adopted keeps the kernel's flag.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import blocked
import pytest
import support

from uds_cffi import SHUT_RD, SHUT_WR, UnixListener, UnixSocketAddr, UnixStream


@pytest.fixture
def listener(socket_path: str) -> Iterator[UnixListener]:
    """Listen at the path."""
    with UnixListener.bind(socket_path) as listening:
        yield listening


@pytest.fixture
def adopted(socket_path: str) -> Iterator[UnixListener]:
    """Adopt a listener that blocks in the kernel."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(socket_path)
        made.listen()
        number = made.detach()
    with UnixListener.from_fd(number) as listening:
        assert os.get_blocking(number)
        yield listening


@contextlib.contextmanager
def inside(listener: UnixListener, function: Any) -> Iterator[list[Any]]:
    """Run a function in a thread until it waits in a call on the listener, then the block."""
    with support.in_thread(function) as outcome:
        support.until(lambda: blocked.running(listener))
        yield outcome


def close(accepted: tuple[UnixStream, UnixSocketAddr]) -> None:
    accepted[0].close()


def test_own_timeout(listener: UnixListener) -> None:
    """The listener's own timeout reads back exactly as it was set, and ends each accept."""
    assert listener.timeout() is None
    listener.set_timeout(0.0123456789)
    assert listener.timeout() == 0.0123456789
    for _ in range(2):
        with pytest.raises(TimeoutError) as caught:
            listener.accept()
        assert caught.value.errno == errno.ETIMEDOUT
    listener.set_timeout(None)
    assert listener.timeout() is None


def test_timeout_of_one_accept(listener: UnixListener, socket_path: str) -> None:
    """accept(timeout=...) beats the listener's own timeout, in both directions, for one call."""
    listener.set_timeout(support.PATIENCE)
    with pytest.raises(TimeoutError):
        listener.accept(timeout=0.01)
    assert listener.timeout() == support.PATIENCE
    listener.set_timeout(0.01)
    with inside(listener, lambda: listener.accept(timeout=None)) as outcome:
        # Longer than the own timeout, which must not end this accept.
        with pytest.raises(TimeoutError):
            listener.accept()
        client = UnixStream.connect(socket_path)
    client.close()
    close(outcome[0])


@pytest.mark.parametrize("bad", [0, 0.0, -1, float("nan"), float("inf"), -float("inf")])
def test_bad_timeout(listener: UnixListener, bad: float) -> None:
    """A timeout is positive and finite; a bad one changes nothing."""
    listener.set_timeout(7)
    for call in (lambda: listener.set_timeout(bad), lambda: listener.accept(timeout=bad)):
        with pytest.raises(ValueError, match="timeout"):
            call()
    assert listener.timeout() == 7


@pytest.mark.parametrize("bad", [True, False, "1", b"1", [1]])
def test_timeout_of_another_type(listener: UnixListener, bad: Any) -> None:
    """A timeout is a number, and a bool is none."""
    for call in (lambda: listener.set_timeout(bad), lambda: listener.accept(timeout=bad)):
        with pytest.raises(TypeError, match="timeout"):
            call()


def test_mode_of_a_made_listener(listener: UnixListener) -> None:
    """A listener that was made here is blocking by its mode, and O_NONBLOCK in the kernel whatever the mode."""
    for mode in (False, True, False):
        listener.set_nonblocking(mode)
        assert listener.is_nonblocking() is mode
        assert not os.get_blocking(listener.fileno())


def test_nonblocking_listener(socket_path: str) -> None:
    """A nonblocking listener raises BlockingIOError at once, also with a timeout."""
    with UnixListener.bind(socket_path, nonblocking=True) as listener:
        assert listener.is_nonblocking() is True
        listener.set_timeout(support.PATIENCE)
        for accept in (listener.accept, lambda: listener.accept(timeout=support.PATIENCE)):
            with pytest.raises(BlockingIOError) as caught:
                accept()
            assert caught.value.errno == errno.EAGAIN
        with UnixStream.connect(socket_path):
            close(listener.accept())
        assert "nonblocking" in repr(listener)


@pytest.mark.parametrize("mode", [False, True])
def test_detach_restores_the_flag(listener: UnixListener, mode: bool) -> None:
    """detach() gives a number whose O_NONBLOCK is what the mode was."""
    listener.set_nonblocking(mode)
    number = listener.detach()
    assert listener.closed
    try:
        assert os.get_blocking(number) is not mode
    finally:
        os.close(number)


def test_detach_while_somebody_accepts(listener: UnixListener, socket_path: str) -> None:
    """detach() is refused with EBUSY while a thread accepts, and then changes nothing."""
    with inside(listener, listener.accept) as outcome:
        with pytest.raises(OSError, match="busy") as caught:
            listener.detach()
        assert caught.value.errno == errno.EBUSY
        assert not os.get_blocking(listener.fileno())
        client = UnixStream.connect(socket_path)
    client.close()
    close(outcome[0])


@pytest.mark.parametrize(("mode", "timeout", "expected"), [(False, None, None), (True, None, 0.0), (False, 2.5, 2.5)])
def test_to_the_standard_library(
    listener: UnixListener, socket_path: str, mode: bool, timeout: float | None, expected: float | None
) -> None:
    """to_stdlib() carries mode and timeout over, and the listener goes on listening."""
    listener.set_nonblocking(mode)
    listener.set_timeout(timeout)
    with listener.to_stdlib() as stdlib:
        assert listener.closed
        assert stdlib.gettimeout() == expected
        assert os.get_blocking(stdlib.fileno()) is (expected is None)
        with UnixStream.connect(socket_path):
            stdlib.accept()[0].close()


@pytest.mark.parametrize(("timeout", "mode", "own"), [(None, False, None), (0, True, None), (2.5, False, 2.5)])
def test_from_the_standard_library(socket_path: str, timeout: float | None, mode: bool, own: float | None) -> None:
    """from_stdlib() carries the timeout over: None blocks, 0 is nonblocking, others are the listener's own."""
    stdlib = socket.socket(socket.AF_UNIX)
    stdlib.bind(socket_path)
    stdlib.listen()
    stdlib.settimeout(timeout)
    with UnixListener.from_stdlib(stdlib) as listener:
        assert stdlib.fileno() == -1
        assert (listener.is_nonblocking(), listener.timeout()) == (mode, own)
        with UnixStream.connect(socket_path):
            close(listener.accept())
        with listener.to_stdlib() as back:
            assert back.gettimeout() == timeout


def test_adopted_listener_follows_the_kernel(adopted: UnixListener) -> None:
    """The mode of an adopted listener is the kernel's flag, which others may change."""
    assert adopted.is_nonblocking() is False
    os.set_blocking(adopted.fileno(), False)
    assert adopted.is_nonblocking() is True
    with pytest.raises(BlockingIOError):
        adopted.accept(timeout=support.PATIENCE)
    os.set_blocking(adopted.fileno(), True)
    adopted.set_nonblocking(True)
    assert not os.get_blocking(adopted.fileno())
    assert adopted.try_accept() is None


def test_adopted_listener_waits_without_touching_the_flag(adopted: UnixListener) -> None:
    """Others may rely on the kernel's flag of an adopted listener: it is never cleared, and waiting is a mode."""
    os.set_blocking(adopted.fileno(), False)
    adopted.set_nonblocking(False)
    assert not os.get_blocking(adopted.fileno())
    assert adopted.is_nonblocking() is False
    with pytest.raises(TimeoutError):
        adopted.accept(timeout=0.02)
    adopted.set_nonblocking(True)
    with pytest.raises(BlockingIOError):
        adopted.accept()


@pytest.mark.parametrize("kept", [None, 3.0])
def test_adopted_listener_waits_in_the_kernel(adopted: UnixListener, socket_path: str, kept: float | None) -> None:
    """A timeout on an adopted blocking listener is the kernel's for one accept, and restored afterwards."""
    adopted.options.receive_timeout = kept
    with pytest.raises(TimeoutError):
        adopted.accept(timeout=0.02)
    assert adopted.options.receive_timeout == kept
    adopted.set_timeout(support.PATIENCE)
    with inside(adopted, adopted.accept) as outcome:
        client = UnixStream.connect(socket_path)
    client.close()
    close(outcome[0])
    assert adopted.options.receive_timeout == kept
    assert os.get_blocking(adopted.fileno())


def test_adopted_listener_waits_for_ever(adopted: UnixListener, socket_path: str) -> None:
    """Without a timeout the accept of an adopted listener waits until a client comes."""
    with inside(adopted, adopted.accept) as outcome:
        client = UnixStream.connect(socket_path)
    client.close()
    close(outcome[0])


def test_two_timeouts_on_an_adopted_listener(adopted: UnixListener, socket_path: str) -> None:
    """Of two accepts that wait in the kernel each has its own timeout, and the last one restores the kernel's."""
    with inside(adopted, lambda: adopted.accept(timeout=support.PATIENCE)) as outcome:
        with pytest.raises(TimeoutError):
            adopted.accept(timeout=0.01)
        client = UnixStream.connect(socket_path)
    client.close()
    close(outcome[0])
    assert adopted.options.receive_timeout is None


def test_child_forgets_the_waiting_of_its_parent(adopted: UnixListener, socket_path: str) -> None:
    """In the child of a fork the accept of the parent's thread counts no more, and the kernel's timeout is restored."""
    adopted.options.receive_timeout = 3.0

    def child() -> None:
        with pytest.raises(TimeoutError):
            adopted.accept(timeout=0.01)
        assert adopted.options.receive_timeout == 3.0

    with inside(adopted, lambda: adopted.accept(timeout=support.PATIENCE)) as outcome:
        support.run_child(child)
        client = UnixStream.connect(socket_path)
    client.close()
    close(outcome[0])


def test_adopted_listener_gives_its_flag_away(adopted: UnixListener) -> None:
    """What was adopted is given away with the flag that the kernel has."""
    os.set_blocking(adopted.fileno(), False)
    number = adopted.detach()
    try:
        assert not os.get_blocking(number)
    finally:
        os.close(number)


def test_shutdown_of_the_sending_side(listener: UnixListener, socket_path: str) -> None:
    """A listener has nothing to send: ending that direction does not keep it from accepting."""
    listener.shutdown(SHUT_WR)
    with UnixStream.connect(socket_path):
        close(listener.accept(timeout=support.PATIENCE))


def test_timeout_of_the_kernel_ends_an_accept(adopted: UnixListener) -> None:
    """SO_RCVTIMEO that somebody else set is a timeout too."""
    adopted.options.receive_timeout = 0.02
    with pytest.raises(TimeoutError):
        adopted.accept()


def test_try_accept_of_an_adopted_listener(adopted: UnixListener, socket_path: str) -> None:
    """try_accept() never waits, also on a listener that blocks in the kernel, and leaves its timeout alone."""
    assert adopted.try_accept() is None
    with UnixStream.connect(socket_path):
        accepted = adopted.try_accept()
        assert accepted is not None
        close(accepted)
    assert adopted.options.receive_timeout is None


def test_try_accept_when_another_process_is_quicker(
    adopted: UnixListener, socket_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the client that poll(2) saw is gone, try_accept() of an adopted listener returns None and does not hang."""
    monkeypatch.setattr("uds_cffi.calls.wait", lambda *_: 1)
    assert adopted.try_accept() is None


@pytest.mark.parametrize("mode", [False, True])
def test_clone_has_the_mode(listener: UnixListener, mode: bool) -> None:
    """A clone copies the mode, and detaching it restores the flag that its own mode means."""
    listener.set_nonblocking(mode)
    with listener.try_clone() as clone:
        assert clone.is_nonblocking() is mode
        number = clone.detach()
        try:
            assert os.get_blocking(number) is not mode
        finally:
            os.close(number)


@pytest.mark.parametrize("give_away", ["detach", "to_stdlib"])
@pytest.mark.parametrize("mode", [False, True])
def test_detached_clone_does_not_make_others_hang(listener: UnixListener, give_away: str, mode: bool) -> None:
    """A clone that is given away clears O_NONBLOCK for all copies; the others still do not block in accept(2)."""
    with listener.try_clone() as clone:
        given = getattr(clone, give_away)()
    listener.set_nonblocking(mode)

    def accept() -> None:
        assert listener.try_accept() is None
        with pytest.raises(BlockingIOError if mode else TimeoutError):
            listener.accept(timeout=0.01)

    try:
        with support.in_thread(lambda: accept() or "returned") as outcome:
            try:
                outcome.wait(3)
            finally:
                listener.shutdown(SHUT_RD)
    finally:
        os.close(given if isinstance(given, int) else given.detach())


def test_detached_clone_while_others_wait(listener: UnixListener, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acceptor that waits already, and wakes for a client that somebody else has accepted, keeps its timeout too."""
    clone = listener.try_clone()
    given: list[int] = []

    def wake(_handle: Any, events: int, _nanoseconds: int) -> int:
        if not given:
            given.append(clone.detach())
        return events

    def accept() -> None:
        with pytest.raises(TimeoutError):
            listener.accept(timeout=0.05)

    monkeypatch.setattr("uds_cffi.calls.wait", wake)
    with support.in_thread(lambda: accept() or "returned") as outcome:
        try:
            outcome.wait(3)
        finally:
            listener.shutdown(SHUT_RD)
    os.close(given[0])


def test_clone_of_an_adopted_listener(adopted: UnixListener) -> None:
    """A clone of an adopted listener waits in the kernel as well."""
    with adopted.try_clone() as clone:
        assert clone.is_nonblocking() is False
        with pytest.raises(TimeoutError):
            clone.accept(timeout=0.01)


def test_borrowed_listener(listener: UnixListener, socket_path: str) -> None:
    """A borrowed listener accepts, and closing it closes nothing."""
    with UnixListener.borrow(listener) as borrowed, UnixStream.connect(socket_path):
        close(borrowed.accept())
    assert not listener.closed
    assert listener.local_addr().is_path
