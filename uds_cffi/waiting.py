"""Waiting.

Rules:
- Try first; wait only when the call would block; try again.  This is the one loop that retries EINTR, after Python has
  run its signal handlers, with what is left of the time.
- The kernel's O_NONBLOCK, or a caller's MSG_DONTWAIT, beats every timeout: BlockingIOError at once.
- poll(2) lies.  A call that would block although poll says "ready" has reached the end when the peer hung up; otherwise
  somebody else was quicker, or the condition cannot be polled, and the loop sleeps 1 to 20 ms within the time.
"""

from __future__ import annotations

import errno
import time

from . import calls
from .errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._lib import CData

_EAGAIN = -errno.EAGAIN
_EINTR = -errno.EINTR
_ETIMEDOUT = -errno.ETIMEDOUT
_FIRST_PAUSE = 0.001
_LAST_PAUSE = 0.020
# A day is short enough for every C type that a limit passes through; the loop goes on afterwards.
_LONGEST_WAIT = 86400.0
# Thirty thousand years.
_LONGEST_TIMEOUT = 1e12
# A writer that somebody shuts down is woken by poll(2) only to sleep again: no event stands for it.
_LONGEST_WRITE_WAIT = 0.1

now = time.monotonic


def check_timeout(timeout: Any, name: str = "a timeout") -> float | None:
    """Return a timeout that is None or a positive number of seconds, or raise TypeError or ValueError with its name."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"{name} is a number of seconds or None, not {type(timeout).__name__}")
    # The limit keeps the sum with the clock exact, and ints within what a float holds.
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise ValueError(f"{name} is positive, at most {_LONGEST_TIMEOUT:.0f} seconds, or None for none: {timeout}")
    return timeout


def flags_for(timeout: float | None) -> int:
    """Return what every attempt of a call with this timeout carries, so that the library waits and not the kernel."""
    return 0 if timeout is None else calls.MSG_DONTWAIT


def deadline_of(timeout: float | None) -> float | None:
    """Return the time at which a timeout that begins now ends."""
    return None if timeout is None else now() + timeout


def remaining(deadline: float | None) -> float:
    """Return the seconds that are left, or raise TimeoutError; without a deadline a day."""
    if deadline is None:
        return _LONGEST_WAIT
    left = deadline - now()
    if left <= 0:
        raise error(errno.ETIMEDOUT)
    return min(left, _LONGEST_WAIT)


def limit_in_kernel(handle: CData, name: int, deadline: float | None, left: float | None = None) -> int:
    """Let a call that waits in the kernel end with the time (SO_RCVTIMEO, SO_SNDTIMEO).

    Args:
        handle: the socket.
        name: which timeout.
        deadline: when the time is over, or None: then nothing is set.
        left: how many seconds the call has whatever the clock says; None for what is left until the deadline.

    Returns:
        0, or -errno: -ETIMEDOUT when nothing is left.
    """
    if deadline is None:
        return 0
    if left is None:
        left = deadline - now()
        if left <= 0:
            return _ETIMEDOUT
    # At least a microsecond: none at all would be no timeout.
    return int(calls.set_timeout(handle, name, max(1, int(min(left, _LONGEST_WAIT) * 1e6))))


def is_over(deadline: float | None) -> bool:
    """Whether the time is over; without a deadline it never is."""
    return deadline is not None and now() >= deadline


def finish(
    handle: CData,
    result: int,
    attempt: Callable[[], int],
    events: int,
    deadline: float | None,
    *,
    waits: bool | None = None,
    kernel_timeout: int = 0,
    end: int | None = None,
) -> int:
    """Bring a call that failed at its first attempt to an end.

    What the kernel reports is returned, so that no caller takes what a signal handler raises for it: an ``OSError``
    that comes out of here is not the kernel's.

    Args:
        handle: the socket.
        result: what the first attempt returned: a count, or -errno.
        attempt: makes a further attempt.
        events: what to wait for (POLLIN or POLLOUT).
        deadline: when to give up, by ``now()``, or None.
        waits: False for a caller who wants EAGAIN instead of waiting, True to wait whatever the kernel's O_NONBLOCK
            says, None to ask for it.
        kernel_timeout: SO_RCVTIMEO or SO_SNDTIMEO when the attempts themselves block; when one would block
            nevertheless, although the socket is not nonblocking, that timeout of the kernel's own has passed.
        end: the result when the peer hung up although the call would block, or None.

    Returns:
        A count, or -errno: -EAGAIN when the call would block, -ETIMEDOUT when the time is over.
    """
    pause = 0.0
    seen = 0
    while result < 0:
        if result == _EAGAIN:
            if waits is False:
                return result
            if waits is None:
                nonblocking = calls.get_nonblocking(handle)
                if nonblocking:
                    return nonblocking if nonblocking < 0 else result
            if kernel_timeout and calls.has_timeout(handle, kernel_timeout):
                return _ETIMEDOUT
            if seen:
                if end is not None and seen & calls.HANGUP:
                    return end
                if is_over(deadline):
                    return _ETIMEDOUT
                pause = min(max(2 * pause, _FIRST_PAUSE), _LAST_PAUSE)
                time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - now())))
            seen = wait(handle, events, deadline, _LONGEST_WRITE_WAIT if events & calls.POLLOUT else _LONGEST_WAIT)
            if seen < 0:
                return seen
        elif result != _EINTR:
            return result
        result = attempt()
    return result


def wait(handle: CData, events: int, deadline: float | None, longest: float = _LONGEST_WAIT) -> int:
    """Wait until one of the events is there: what is, 0 after the longest wait, or -errno; -ETIMEDOUT: no time left."""
    while True:
        left = _LONGEST_WAIT if deadline is None else min(deadline - now(), _LONGEST_WAIT)
        if left <= 0:
            return _ETIMEDOUT
        seen: int = calls.wait(handle, events, int(min(left, longest) * 1e9))
        if seen > 0 or (seen == 0 and longest < left) or (seen < 0 and seen != _EINTR):
            return seen


def try_once(attempt: Callable[[], int], result: int | None = None) -> int | None:
    """Make an attempt that cannot block, unless it was made: returns its result, or None when it would have to wait."""
    if result is None:
        result = attempt()
    while result == _EINTR:
        result = attempt()
    return None if result == _EAGAIN else calls.check(result)
