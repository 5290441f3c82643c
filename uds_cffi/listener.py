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

from . import calls, naming
from .address import UNNAMED
from .base import Socket
from .calls import POLLIN, SOMAXCONN, check
from .constructors import constructor
from .errors import error
from .naming import borrow_name, give_name
from .waiting import check_timeout, deadline_of, finish, is_over, limit_in_kernel, now, try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Generic, TypeVar

    from typing_extensions import Self

    from ._lib import CData
    from .address import AddressLike, UnixSocketAddr
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
        "_connecting",
    )

    _listens = True
    _role = "listener"
    _connection: type[Connection]

    _timeout: float | None
    # Whether the kernel's flag is set whatever the mode is.
    _nonblocking_kernel: bool
    _nonblocking: bool
    _shut: bool
    # The calls that are waiting with the kernel's timeout.
    _timed: CData
    # Makes the socket that the next accept fills.
    _connecting: Callable[[], Connection]

    def _prepare(self) -> None:
        self._shut = False
        self._connecting = self._connection._empty
        self._timed = calls.new_timed()
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
        mode: int | None = None,
        owner: int | str | None = None,
        group: int | str | None = None,
        replace_stale: bool = False,
        takeover: bool = False,
        unlink_on_close: bool = False,
        dir_fd: Any = None,
        long_path: bool = False,
    ) -> Self:
        """Make a socket that listens at an address (bind(2), listen(2)).

        A path makes a socket file.  Unless asked otherwise it has the permissions that the umask leaves, closing does
        not remove it, and an existing file is never replaced.

        Args:
            addr: a UnixSocketAddr, or a path as str, bytes or os.PathLike; "" lets Linux choose an abstract name.
            backlog: how many connections may wait (int, 0 to SOMAXCONN and above, which the kernel clamps), or None for
                SOMAXCONN.  Linux admits one more.
            nonblocking: whether ``accept()`` raises BlockingIOError instead of waiting (bool).
            options: names and values of options, set before it listens, so that they hold for each client from its
                first byte (a mapping).
            mode: the file's permissions (int, such as 0o600), exactly these, whatever the umask is, before anybody can
                connect; or None for those that the umask leaves.
            owner, group: who the file belongs to, by number (int) or name (str), before anybody can connect; or None.
            replace_stale: whether a socket file that no process listens at any more is replaced (bool).
            takeover: whether a socket file is replaced in one step, also where a process listens; see ``publish()``.
            unlink_on_close: whether ``close()``, the garbage collector, or the end of the interpreter removes the file,
                in this process, while it is still this socket's (bool).
            dir_fd: where a relative path begins: a directory, as int or an object with ``fileno()``.
            long_path: whether the path may be longer than an address (bool).

        Raises:
            AddressError: the address cannot be one.
            TypeError, ValueError: a bad backlog, option, mode, owner or group, or one of these for what is no path.
            LookupError: there is no such owner or group.
            FeatureUnavailable: "bindat", for dir_fd and long_path.
            OSError: with the address: OSError (EADDRINUSE, where it may replace something also with the reason why it
                did not), FileNotFoundError, PermissionError, ...; TimeoutError, another process holds the lock beside
                the file.
        """
        size = _check_backlog(backlog)
        self = cls._created(True, options)
        try:
            self._nonblocking_kernel = True
            self._nonblocking = bool(nonblocking)
            self._bind(
                addr,
                lambda: check(calls.listen(self._handle, size)),
                mode=mode,
                owner=owner,
                group=group,
                replace_stale=replace_stale,
                takeover=takeover,
                unlink_on_close=unlink_on_close,
                dir_fd=dir_fd,
                long_path=long_path,
            )
        except BaseException:
            self.close()
            raise
        return self

    def accept(self, *, timeout: float | None = OWN, nonblocking: bool = False) -> tuple[Connection, UnixSocketAddr]:
        """Accept a connection (accept4(2)).

        On a listener that was adopted in blocking mode the kernel waits, and its timeout (SO_RCVTIMEO; elsewhere than
        on Linux O_NONBLOCK for a moment instead) is everybody's who shares the socket.  Threads and clones are kept
        apart; of several processes one may wait too long or not long enough.  Where they share such a listener, call
        ``set_nonblocking(True)`` and then ``set_nonblocking(False)`` first: from then on it is the object that waits.

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
        name = borrow_name()
        # To wait for ever the kernel will do as well, should a clone have restored its flag: it need not be asked.
        waits = limit is None and self._nonblocking_kernel and not self._nonblocking
        blocks = not waits and self._kernel_blocks()
        if not waits and (self._nonblocking if self._nonblocking_kernel else not blocks):
            check(self._accept_waiting(conn, name, flag, blocks))
        elif blocks:
            check(self._accept_in_kernel(conn, name, flag, limit))
        else:
            result = calls.accept(self._handle, conn._handle, name, flag)
            if result == 0:
                give_name(name)
                return conn, UNNAMED
            if result < 0:
                if waits and self._kernel_blocks():
                    check(self._accept_in_kernel(conn, name, flag, None, result))
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
                return self._accept_waiting(conn, name, nonblocking, True)
            return shut(calls.accept(self._handle, conn._handle, name, nonblocking))

        def shut(result: int) -> int:
            # Not every system's poll(2) tells that a listener was shut down.
            return -errno.EINVAL if result == -errno.EAGAIN and self._shut else result

        # A listener that was shut down says "ready" for ever; an accept that blocks would say EINVAL.
        deadline = deadline_of(limit)
        check(finish(self._handle, shut(result), attempt, POLLIN, deadline, waits=True, end=-errno.EINVAL))

    def _accept_in_kernel(
        self, conn: Connected, name: Any, nonblocking: int, limit: float | None, result: int | None = None
    ) -> int:
        """Let the kernel wait, perhaps after a first attempt without a limit that had this result; not <0, or -errno.

        Its timeout is everybody's who uses the socket, so a call knows its own deadline.
        """
        handle = self._handle
        deadline = deadline_of(limit)

        def attempt(left: float | None = None) -> int:
            failed = limit_in_kernel(handle, calls.SO_RCVTIMEO, deadline, left)
            return failed or seen(calls.accept(handle, conn._handle, name, nonblocking))

        def seen(result: int) -> int:
            if result == -errno.EAGAIN and self._is_timed(deadline) and self._kernel_blocks():
                # It may have been another call's timeout: go on until this one's own.
                return -errno.ETIMEDOUT if is_over(deadline) else -errno.EINTR
            return result

        if deadline is None:
            first = attempt() if result is None else seen(result)
            return finish(handle, first, attempt, POLLIN, None, kernel_timeout=calls.SO_RCVTIMEO)
        counted = calls.new_int()
        try:
            check(calls.enter_timed(self._timed, handle, calls.SO_RCVTIMEO, counted))
            # The first attempt is made however short the timeout is.
            first = attempt(max(0.0, deadline - now()))
            return finish(handle, first, attempt, POLLIN, deadline, kernel_timeout=calls.SO_RCVTIMEO)
        finally:
            calls.leave_timed(self._timed, handle, calls.SO_RCVTIMEO, counted)

    def _is_timed(self, deadline: float | None) -> bool:
        """Whether the kernel's timeout is that of a call."""
        return deadline is not None or calls.timed_calls(self._timed) > 0

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
        name = borrow_name()
        result = self._accept_waiting(conn, name, bool(nonblocking), self._kernel_blocks())
        if result < 0:
            give_name(name)
            if result != -errno.EAGAIN:
                raise error(-result)
            return None
        return conn, naming.returned(name)

    def _accept_waiting(self, conn: Connected, name: Any, nonblocking: int, blocks: bool) -> int:
        """Accept a connection that is waiting: not <0, or -errno; -EAGAIN when there is none."""
        if not blocks:
            accepted = try_once(lambda: calls.accept(self._handle, conn._handle, name, nonblocking))
            if accepted is not None:
                return accepted
            # An accept that blocks would say that it was shut down; this one would say "nothing yet" for ever.
            seen: int = calls.wait(self._handle, POLLIN, 0)
            if self._shut or (seen > 0 and seen & calls.HANGUP):
                return -errno.EINVAL
            return seen if seen < 0 else -errno.EAGAIN
        seen = calls.wait(self._handle, POLLIN, 0)
        if seen <= 0:
            return seen or -errno.EAGAIN
        result = self._accept_in_kernel(conn, name, nonblocking, 0.001)
        return -errno.EAGAIN if result == -errno.ETIMEDOUT else result

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

    def _refuses_to_wait(self) -> bool:
        return self._nonblocking if self._nonblocking_kernel else super()._refuses_to_wait()

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
        # The kernel's timeout is the same one.
        self._timed = source._timed
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
