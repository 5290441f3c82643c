"""Listeners.

Rules:
- A listener that we created is always O_NONBLOCK in the kernel, and "blocking" is a mode of the object: a poll that
  says "ready" would otherwise lead into an accept that hangs when another acceptor was quicker.
- One that was adopted keeps the kernel's flag as its mode; a timeout is then the kernel's, set for one accept.
- Accepted connections are blocking and without timeouts, unless asked, on every system.
"""

from __future__ import annotations

import errno
import os
from _thread import RLock

from . import calls, naming
from .address import UNNAMED, UnixSocketAddr
from .base import Socket, constructor
from .calls import POLLIN, SOMAXCONN, check
from .errors import error
from .naming import give_name, take_name
from .waiting import check_timeout, deadline_of, finish, now, remaining, try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Generic, TypeVar

    from typing_extensions import Self

    from .address import AddressLike
    from .connected import Connected

    Connection = TypeVar("Connection", bound=Connected)

    class _Base(Socket, Generic[Connection]):
        pass

else:

    class _Base(Socket):
        """Socket, which the type checker sees as generic."""

        __slots__ = ()

        def __class_getitem__(cls, item):
            return cls


# It can be taken again by a signal handler that accepts while this thread holds it, and in the child of a fork it is a
# new one, because there a thread of the parent may hold the old one for ever.
_lock = RLock()


def _renew_lock() -> None:
    global _lock
    _lock = RLock()


os.register_at_fork(after_in_child=_renew_lock)

# The default of accept(timeout=...): the listener's own.
OWN: Any = ...


class Listener(_Base["Connection"]):
    """Base of the listeners."""

    __slots__ = (
        "_timeout",
        "_nonblocking_kernel",
        "_nonblocking",
        "_shut",
        "_timed",
        "_timed_in",
        "_kernel_timeout",
        "_connecting",
    )

    _listens = True
    _connection: type[Connection]

    _timeout: float | None
    # Whether the kernel's flag is set whatever the mode is.
    _nonblocking_kernel: bool
    _nonblocking: bool
    _shut: bool
    # How many calls are waiting with the kernel's timeout, and what that was before the first of them.
    _timed: int
    _timed_in: int
    _kernel_timeout: int
    # Makes the socket that the next accept fills.
    _connecting: Callable[[], Connection]

    def _prepare(self) -> None:
        self._shut = False
        self._connecting = self._connection._empty
        self._timed = self._timed_in = self._kernel_timeout = 0
        self._timeout = None
        self._nonblocking_kernel = self._nonblocking = False

    @constructor
    def bind(
        cls,
        addr: AddressLike,
        *,
        backlog: int | None = None,
        nonblocking: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make a socket that listens at an address (bind(2), listen(2)).

        A path makes a socket file, with the permissions that the umask leaves; closing does not remove it, and an
        existing file is never replaced.

        Args:
            addr: a UnixSocketAddr, or a path as str, bytes or os.PathLike; "" lets Linux choose an abstract name.
            backlog: how many connections may wait (int, 0 to SOMAXCONN and above, which the kernel clamps), or None for
                SOMAXCONN.  Linux admits one more.
            nonblocking: whether ``accept()`` raises BlockingIOError instead of waiting (bool).
            options: names and values of options, set before it listens, so that they hold for each client from its
                first byte (a mapping).

        Raises:
            AddressError: the address cannot be one.
            TypeError, ValueError: a bad backlog or option.
            OSError: with the address: OSError (EADDRINUSE), FileNotFoundError, PermissionError, ...
        """
        target = UnixSocketAddr._coerce(addr)
        size = _check_backlog(backlog)
        self = cls._created(True, options)
        try:
            self._nonblocking_kernel = True
            self._nonblocking = bool(nonblocking)
            naming.bind(self._handle, target)
            check(calls.listen(self._handle, size), target)
        except BaseException:
            self.close()
            raise
        return self

    def accept(self, *, timeout: float | None = OWN, nonblocking: bool = False) -> tuple[Connection, UnixSocketAddr]:
        """Accept a connection (accept4(2)).

        Args:
            timeout: seconds to wait (float), None to wait for ever; by default the listener's own timeout.
            nonblocking: whether the new connection is nonblocking (bool).

        Returns:
            The connection, close-on-exec, and the address of the peer (UnixSocketAddr), unnamed when it has none.

        Raises:
            OSError: BlockingIOError, TimeoutError; EMFILE, this process may open no more; EINVAL after
                ``shutdown(SHUT_RD)``; EBADF when closed.
            TypeError, ValueError: a bad timeout.
        """
        limit = self._timeout if timeout is OWN else check_timeout(timeout)
        flag = 1 if nonblocking else 0
        conn = self._connecting()
        try:
            name = take_name()
        except IndexError:
            name = naming.new_name()
        # To wait for ever the kernel will do as well, should a clone have restored its flag: it need not be asked.
        waits = limit is None and self._nonblocking_kernel and not self._nonblocking
        blocks = not waits and self._kernel_blocks()
        if not waits and (self._nonblocking if self._nonblocking_kernel else not blocks):
            if not self._accept_waiting(conn, name, flag, blocks):
                raise error(errno.EAGAIN)
        elif blocks:
            self._accept_in_kernel(conn, name, flag, limit)
        else:
            result = calls.accept(self._handle, conn._handle, name, flag)
            if result == 0:
                give_name(name)
                return conn, UNNAMED
            if result < 0:
                if waits and self._kernel_blocks():
                    self._accept_in_kernel(conn, name, flag, None, result)
                else:
                    self._accept_polling(conn, name, flag, limit, result)
        return conn, naming.returned(name)

    def _kernel_blocks(self) -> bool:
        """Whether accept(2) would wait: so it does on adopted listeners, and once a clone has restored the flag."""
        return not check(calls.get_nonblocking(self._handle))

    def _accept_polling(self, conn: Connected, name: Any, nonblocking: int, limit: float | None, result: int) -> None:
        """Wait, after a first attempt with this result."""

        def attempt() -> int:
            if self._kernel_blocks():
                # A clone has restored the flag meanwhile: a plain accept would wait beyond the limit.
                return 0 if self._accept_waiting(conn, name, nonblocking, True) else -errno.EAGAIN
            return shut(calls.accept(self._handle, conn._handle, name, nonblocking))

        def shut(result: int) -> int:
            # Not every system's poll(2) tells that a listener was shut down.
            return -errno.EINVAL if result == -errno.EAGAIN and self._shut else result

        # A listener that was shut down says "ready" for ever; an accept that blocks would say EINVAL.
        finish(
            self._handle,
            shut(result),
            attempt,
            POLLIN,
            deadline_of(limit),
            waits=True,
            end=-errno.EINVAL,
        )

    def _accept_in_kernel(
        self, conn: Connected, name: Any, nonblocking: int, limit: float | None, result: int | None = None
    ) -> None:
        """Let the kernel wait, perhaps after a first attempt without a limit that had this result.

        Its timeout is everybody's who uses the socket, so a call knows its own deadline.
        """
        handle = self._handle
        deadline = deadline_of(limit)

        def attempt(left: float | None = None) -> int:
            if deadline is not None:
                microseconds = max(1, int((remaining(deadline) if left is None else left) * 1e6))
                check(calls.set_timeout(handle, calls.SO_RCVTIMEO, microseconds))
            return seen(calls.accept(handle, conn._handle, name, nonblocking))

        def seen(result: int) -> int:
            if result == -errno.EAGAIN and (deadline is not None or self._timed) and self._kernel_blocks():
                # It may have been another call's timeout: go on until this one's own.
                remaining(deadline)
                return -errno.EINTR
            return result

        if deadline is None:
            first = attempt() if result is None else seen(result)
            finish(handle, first, attempt, POLLIN, None, kernel_timeout=calls.SO_RCVTIMEO)
            return
        counted = False
        try:
            with _lock:
                self._count_from_zero_in_child()
                if not self._timed:
                    self._kernel_timeout = calls.get_timeout(handle, calls.SO_RCVTIMEO)
                self._timed += 1
                counted = True
            # The first attempt is made however short the timeout is.
            first = attempt(max(0.0, deadline - now()))
            finish(handle, first, attempt, POLLIN, deadline, kernel_timeout=calls.SO_RCVTIMEO)
        finally:
            if counted:
                with _lock:
                    self._timed -= 1
                    if not self._timed:
                        calls.set_timeout(handle, calls.SO_RCVTIMEO, self._kernel_timeout)

    def _count_from_zero_in_child(self) -> None:
        """Forget calls of the parent's threads; what the timeout was before them is still the one to restore."""
        process = os.getpid()
        if self._timed_in != process:
            if self._timed:
                calls.set_timeout(self._handle, calls.SO_RCVTIMEO, self._kernel_timeout)
            self._timed_in, self._timed = process, 0

    def shutdown(self, how: int) -> None:  # noqa: D102 - inherited below.
        super().shutdown(how)
        if how != calls.SHUT_WR:
            self._shut = True

    shutdown.__doc__ = Socket.shutdown.__doc__

    def try_accept(self, *, nonblocking: bool = False) -> tuple[Connection, UnixSocketAddr] | None:
        """Accept a connection that is waiting, or return None when there is none; otherwise as ``accept()``.

        Where accept(2) itself would wait, on a listener that was adopted in blocking mode, poll(2) is asked first, and
        another acceptor that is quicker costs a millisecond.
        """
        conn = self._connecting()
        name = naming.borrow_name()
        if not self._accept_waiting(conn, name, bool(nonblocking), self._kernel_blocks()):
            give_name(name)
            return None
        return conn, naming.returned(name)

    def _accept_waiting(self, conn: Connected, name: Any, nonblocking: int, blocks: bool) -> bool:
        """Accept a connection that is waiting; False when there is none."""
        if not blocks:
            if try_once(lambda: calls.accept(self._handle, conn._handle, name, nonblocking)) is not None:
                return True
            if self._shut or check(calls.wait(self._handle, POLLIN, 0)) & calls.HANGUP:
                # An accept that blocks would say so; this one would say "nothing yet" for ever.
                raise error(errno.EINVAL)
            return False
        if not check(calls.wait(self._handle, POLLIN, 0)):
            return False
        try:
            self._accept_in_kernel(conn, name, nonblocking, 0.001)
        except TimeoutError:
            return False
        return True

    def incoming(self) -> Iterator[tuple[Connection, UnixSocketAddr]]:
        """Accept connections for ever: an iterator of what ``accept()`` returns.

        It raises what ``accept()`` raises, and goes on after an error when it is asked again.
        """
        return iter(self.accept, None)

    __iter__ = None  # An endless loop should be asked for by its name.

    def set_timeout(self, timeout: float | None) -> None:
        """Let each ``accept()`` raise TimeoutError after so many seconds (float), or never (None, as at first).

        Raises:
            TypeError, ValueError: not a number; zero, negative, infinite.
        """
        self._timeout = check_timeout(timeout)

    def timeout(self) -> float | None:
        """Return the timeout of ``accept()`` in seconds, exactly as it was set, or None."""
        return self._timeout

    def set_nonblocking(self, nonblocking: bool) -> None:
        """Let ``accept()`` raise BlockingIOError when no connection is waiting (True), or wait (False).

        On a listener that this library created it is a mode of this object.  On one that was adopted it is the kernel's
        O_NONBLOCK, which copies of the descriptor share: it is set, but never cleared, because others may rely on it;
        waiting is then a mode of this object too.
        """
        if self._nonblocking_kernel or (not nonblocking and not self._kernel_blocks()):
            self._check_open()
            self._nonblocking_kernel = True
            self._nonblocking = bool(nonblocking)
        else:
            super().set_nonblocking(nonblocking)

    def is_nonblocking(self) -> bool:
        """Return whether ``accept()`` raises BlockingIOError instead of waiting (bool)."""
        kernel = super().is_nonblocking()
        return self._nonblocking if self._nonblocking_kernel else kernel

    def detach(self) -> int:
        """Give the number away: the caller owns it from now on, and this object is closed.

        The kernel's O_NONBLOCK is then what ``is_nonblocking()`` said.

        Raises:
            OSError: EBADF when it is closed already, EBUSY while a call is running in another thread.
        """
        number = super().detach()
        if self._nonblocking_kernel:
            os.set_blocking(number, not self._nonblocking)
        return number

    def _carry_mode(self, timeout: float | None) -> None:
        # The standard library keeps a listener with a timeout nonblocking, as we do; without one it blocks.
        self._nonblocking_kernel = bool(timeout)
        if timeout:
            self.set_timeout(timeout)

    def _mode(self) -> float | None:
        return 0.0 if self.is_nonblocking() else self._timeout

    def _carry_clone(self, source: Self) -> None:
        super()._carry_clone(source)
        self._timeout = source._timeout
        self._nonblocking_kernel = source._nonblocking_kernel
        self._nonblocking = source._nonblocking

    def _state(self) -> str:
        return " listening"


def _check_backlog(backlog: int | None) -> int:
    if backlog is None:
        return SOMAXCONN
    if type(backlog) is not int:
        raise TypeError(f"a backlog is an int, not {type(backlog).__name__}")
    if not 0 <= backlog < 2**31:
        raise ValueError(f"a backlog is within 0 to 2147483647, not {backlog}")
    return backlog
