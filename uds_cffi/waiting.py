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
_FIRST_PAUSE = 0.001
_LAST_PAUSE = 0.020
# A day is short enough for every C type that a limit passes through; the loop goes on afterwards.
_LONGEST_WAIT = 86400.0
# Thirty thousand years.
_LONGEST_TIMEOUT = 1e12
# A writer that somebody shuts down is woken by poll(2) only to sleep again: no event stands for it.
_LONGEST_WRITE_WAIT = 0.1

now = time.monotonic


def check_timeout(timeout: Any) -> float | None:
    """Return a timeout that is None or a positive number of seconds, or raise."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout is a number of seconds or None, not {type(timeout).__name__}")
    # The limit keeps the sum with the clock exact, and ints within what a float holds.
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise ValueError(f"a timeout is positive, at most {_LONGEST_TIMEOUT:.0f} seconds, or None for none: {timeout}")
    return timeout


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

    Args:
        handle: the socket.
        result: what the first attempt returned: a count, or -errno.
        attempt: makes a further attempt.
        events: what to wait for (POLLIN or POLLOUT).
        deadline: when to give up, by ``now()``, or None.
        waits: False for a caller who wants BlockingIOError instead of waiting, True to wait whatever the kernel's
            O_NONBLOCK says, None to ask for it.
        kernel_timeout: SO_RCVTIMEO or SO_SNDTIMEO when the attempts themselves block; when one would block
            nevertheless, although the socket is not nonblocking, that timeout of the kernel's own has passed.
        end: the result when the peer hung up although the call would block, or None.

    Raises:
        OSError: what the kernel reports; BlockingIOError, TimeoutError.
    """
    pause = 0.0
    seen = 0
    while result < 0:
        if result == _EAGAIN:
            if waits is False or (waits is None and calls.check(calls.get_nonblocking(handle))):
                raise error(errno.EAGAIN)
            if kernel_timeout and calls.get_timeout(handle, kernel_timeout):
                raise error(errno.ETIMEDOUT)
            if seen:
                if end is not None and seen & calls.HANGUP:
                    return calls.check(end)
                pause = min(max(2 * pause, _FIRST_PAUSE), _LAST_PAUSE)
                time.sleep(min(pause, remaining(deadline)))
            seen = wait(handle, events, deadline, _LONGEST_WRITE_WAIT if events & calls.POLLOUT else _LONGEST_WAIT)
        elif result != _EINTR:
            raise error(-result)
        result = attempt()
    return result


def wait(handle: CData, events: int, deadline: float | None, longest: float = _LONGEST_WAIT) -> int:
    """Wait until one of the events is there and return what is, 0 after the longest wait.

    Raises:
        TimeoutError: the deadline has passed.
    """
    while True:
        left = remaining(deadline)
        seen = calls.wait(handle, events, int(min(left, longest) * 1e9))
        if seen > 0 or (seen == 0 and longest < left):
            return seen
        if seen < 0 and seen != _EINTR:
            raise error(-seen)


def try_once(attempt: Callable[[], int], result: int | None = None) -> int | None:
    """Make an attempt that cannot block, unless it was made: returns its result, or None when it would have to wait."""
    if result is None:
        result = attempt()
    while result == _EINTR:
        result = attempt()
    return None if result == _EAGAIN else calls.check(result)
