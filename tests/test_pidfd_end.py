"""The end of a process, signals to it, and whether two pidfds are of the same.

Rule: a zombie has ended; what a pidfd says is about its own process, whoever has the pid by now.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from typing import Any

import blocked
import pytest
import support
from processes import Process

from uds_cffi import FeatureUnavailable, PidFd, pidfd, waiting

needs_pidfd = support.needs("pidfd")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def mine() -> Iterator[PidFd]:
    """Own a pidfd of this process."""
    with PidFd.from_pid(os.getpid()) as owner:
        yield owner


# --- The end ------------------------------------------------------------------------------------


def events(sock: PidFd) -> int:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll(0)[0][1] if poll.poll(0) else 0


@needs_pidfd
def test_end_of_a_process() -> None:
    """A process is alive until it has ended, and stays ended as a zombie and when it was reaped."""
    with Process() as child:
        fd = child.fd
        assert fd.is_alive() is True
        assert fd.wait(0.001) is False
        assert events(fd) == 0
        child.end()
        assert fd.wait() is True
        assert (fd.is_alive(), fd.wait(0.001), events(fd)) == (False, True, select.POLLIN)
        child.reap()
        assert (fd.is_alive(), fd.wait()) == (False, True)
        assert events(fd) & select.POLLIN
        assert select.select([fd], [], [], 0)[0] == [fd]


@needs_pidfd
def test_wait_in_time(mine: PidFd) -> None:
    """A wait takes its time, and not much more."""
    begin = time.monotonic()
    assert mine.wait(0.05) is False
    assert 0.05 <= time.monotonic() - begin < support.PATIENCE


@needs_pidfd
@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "1", True])
def test_timeout_of_wait(timeout: Any, mine: PidFd) -> None:
    """A timeout is a positive number, here as everywhere."""
    with pytest.raises((TypeError, ValueError)):
        mine.wait(timeout)


class HandlerError(Exception):
    """What a signal handler raises."""


@contextlib.contextmanager
def alarm(handler: Any, again: float = 0.0) -> Iterator[None]:
    """Have a handler run soon, and perhaps again and again."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01, again)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@needs_pidfd
@pytest.mark.raises_anywhere
@pytest.mark.parametrize("error", [HandlerError, TimeoutError])
def test_handler_raises_during_wait(error: type[Exception], mine: PidFd) -> None:
    """What a handler raises ends the wait, also when it looks like a timeout."""

    def handler(*_: object) -> None:
        raise error("from the handler")

    with pytest.raises(error, match="from the handler"), alarm(handler):
        mine.wait(support.PATIENCE)


@needs_pidfd
def test_wait_goes_on_after_signals() -> None:
    """A handler that returns neither ends a wait nor makes it longer."""
    ran = []
    with Process() as child, alarm(lambda *_: ran.append(1), 0.005):
        assert child.fd.wait(0.1) is False
        assert len(ran) > 3
        with support.in_thread(child.end):
            assert child.fd.wait(support.PATIENCE) is True


@needs_pidfd
def test_closed_while_another_thread_waits() -> None:
    """Closing wakes nobody: the wait ends with the process, and only then is the number free for another file."""
    with Process() as child:
        number = child.fd.fileno()
        with support.in_thread(child.fd.wait, support.PATIENCE) as result:
            support.until(lambda: blocked.running(child.fd))
            child.fd.close()
            assert (child.fd.closed, repr(child.fd)) == (True, "<PidFd closed>")
            with support.raises_errno(errno.EBADF):
                child.fd.wait()
            assert support.is_open(number)
            assert result == []
            child.end()
        assert result == [True]
        assert not support.is_open(number)


@needs_pidfd
def test_copy_of_a_forked_child() -> None:
    """A forked child has a copy of its own, which it can close although its parent's thread waits with the other."""
    with Process() as process, support.in_thread(process.fd.wait, support.PATIENCE) as result:
        support.until(lambda: blocked.running(process.fd))

        def child() -> None:
            number = process.fd.fileno()
            assert process.fd.pid() == process.pid
            process.fd.close()
            assert not support.is_open(number)

        support.run_child(child)
        assert process.fd.is_alive()
        process.end()
        result.wait()
        assert result == [True]


@needs_pidfd
def test_end_in_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ended while a handler ran until the time was over has ended."""
    with Process() as child:

        def wait(handle: Any, events: int, deadline: float | None) -> int:
            child.end()
            assert waiting.wait(handle, events, None) > 0
            return -errno.ETIMEDOUT

        monkeypatch.setattr(pidfd, "wait", wait)
        assert child.fd.wait(support.PATIENCE) is True


# --- Signals ------------------------------------------------------------------------------------


@needs_pidfd
def test_send_signal() -> None:
    """A signal reaches the process, and none once it was reaped."""
    with Process() as child:
        child.fd.send_signal(0)
        child.fd.send_signal(signal.SIGTERM)
        assert os.WTERMSIG(child.reap()) == signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            child.fd.send_signal(0)


@needs_pidfd
@pytest.mark.parametrize(
    ("number", "error"), [(True, TypeError), ("9", TypeError), (1.0, TypeError), (-1, ValueError), (65, ValueError)]
)
def test_what_is_no_signal(number: Any, error: type[Exception], mine: PidFd) -> None:
    """What cannot be a signal is refused before the kernel is asked."""
    with pytest.raises(error, match="a signal is"):
        mine.send_signal(number)


def signal_a_stranger(stranger: PidFd) -> None:
    os.setuid(65534)
    with pytest.raises(PermissionError):
        stranger.send_signal(0)


@needs_pidfd
@as_root
def test_signal_to_a_stranger(mine: PidFd) -> None:
    """The kernel refuses a signal to another user's process."""
    support.run_child(signal_a_stranger, mine)


# --- Which process ------------------------------------------------------------------------------


@pytest.fixture(params=["this kernel", "before 6.9"])
def identity(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Play a kernel whose pidfds are no files of their own."""
    if request.param == "before 6.9":
        monkeypatch.setattr(pidfd, "pidfd_same", lambda one, two: -errno.EOPNOTSUPP)
        return False
    return support.supported("pidfd_identity")


@needs_pidfd
def test_same_process(identity: bool, mine: PidFd) -> None:
    """Two pidfds of one process are the same, and of two not, whichever of them was reaped."""
    with Process() as first, Process() as second, PidFd.from_pid(first.pid) as again:
        one, two = first.fd, second.fd
        assert one.same_process_as(again) is True
        assert one.same_process_as(two) is False
        first.end()
        first.reap()
        assert one.same_process_as(two) is two.same_process_as(one) is mine.same_process_as(one) is False
        second.end()
        second.reap()
        if identity:
            assert one.same_process_as(again) is True
            assert one.same_process_as(two) is False
        else:
            for other in (again, two):
                with pytest.raises(FeatureUnavailable) as caught:
                    one.same_process_as(other)
                assert (caught.value.feature, caught.value.reason) == ("pidfd_identity", "kernel")


@needs_pidfd
def test_reaped_between_two_questions(mine: PidFd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pidfds of a process that is reaped in the midst of a comparison are not called different."""
    monkeypatch.setattr(pidfd, "pidfd_same", lambda one, two: -errno.EOPNOTSUPP)
    pids = iter([7, None, None])
    monkeypatch.setattr(PidFd, "pid", lambda self: next(pids))
    with pytest.raises(FeatureUnavailable):
        mine.same_process_as(mine)


@needs_pidfd
def test_compared_with_a_pidfd_only(mine: PidFd) -> None:
    """Anything else than a PidFd is refused, and a closed one is EBADF."""
    with pytest.raises(TypeError, match="a PidFd is compared with a PidFd, not int"):
        mine.same_process_as(mine.fileno())  # type: ignore[arg-type]
    with mine.dup() as closed:
        pass
    for one, two in ((mine, closed), (closed, mine)):
        with support.raises_errno(errno.EBADF):
            one.same_process_as(two)


@needs_pidfd
def test_closed(mine: PidFd) -> None:
    """Every question to a closed PidFd is EBADF."""
    mine.close()
    asks = [mine.pid, mine.is_alive, mine.wait, mine.dup, lambda: mine.send_signal(0)]
    if support.supported("pidfd_info"):
        asks.append(mine.info)
    for ask in asks:
        with support.raises_errno(errno.EBADF):
            ask()
