"""OwnedFd: a descriptor with an owner."""

from __future__ import annotations

import errno
import os
import stat
import sys

from . import calls
from .calls import check
from .once import once, socket_module
from .owner import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from typing_extensions import Self

    from ._lib import CData

_FORMATS = (
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISLNK, "symbolic link"),
)


@once
def _partial() -> Any:
    from functools import partial

    return partial


def kind_of(handle: CData) -> str:
    """Return what ``OwnedFd.kind()`` does."""
    mode = check(calls.mode(handle))
    for matches, name in _FORMATS:
        if matches(mode):
            return name
    link = calls.readlink(handle) or ""
    if link.startswith("/memfd:"):
        return "memfd"
    if link.startswith("anon_inode:"):
        return link[len("anon_inode:") :].strip("[]")
    return "file" if stat.S_ISREG(mode) else "unknown"


class OwnedFd(Owner):
    """A descriptor with an owner.

    ``OwnedFd(number)`` takes an open descriptor (int) over; the caller no longer owns it.  It is closed by
    ``close()``, on leaving a ``with`` block, or, with a ResourceWarning, when the object is collected.
    """

    __slots__ = ()

    def __init__(self, number: int) -> None:
        """Take over an open descriptor.

        Raises:
            TypeError: the number is not an int.
            OSError: EBADF, it is not open; the caller's number is untouched.
        """
        self._handle = calls.new_handle()
        if type(number) is not int:
            raise TypeError(f"a descriptor is an int, not {type(number).__name__}")
        if not 0 <= number < 2**31:
            check(-errno.EBADF)
        os.fstat(number)
        check(calls.adopt(self._handle, number, 0))

    def dup(self) -> Self:
        """Return a duplicate, close-on-exec, that shares the open file description (fcntl(2), F_DUPFD_CLOEXEC).

        Raises:
            OSError: EBADF when closed; EMFILE when this process may open no more.
        """
        copy = type(self)._empty()
        check(calls.dup(self._handle, copy._handle))
        return copy

    def kind(self) -> str:
        """Say what the descriptor is, by fstat(2) and, on Linux, the name that proc(5) gives it.

        Returns:
            "socket", "file", "pipe", "directory", "character device", "block device", "symbolic link" (O_PATH),
            "memfd", "pidfd", the kernel's own word for another anonymous file ("eventfd", "eventpoll", ...), or
            "unknown".

        Raises:
            OSError: EBADF when closed.
        """
        return kind_of(self._handle)

    def open(self, mode: str = "rb", buffering: int = -1, **keywords: Any) -> IO[Any]:
        """Open a file object on the descriptor, which takes it over; this object is closed.

        ``mode``, ``buffering`` and the keywords ``encoding``, ``errors`` and ``newline`` are those of ``open()``.

        Raises:
            OSError: EBADF when closed; what ``open()`` reports for a directory.  This object then keeps the descriptor.
            ValueError: the mode makes no sense.
        """
        partial = _partial()

        def take(mine: OwnedFd) -> IO[Any]:
            # Opened once without ownership: whatever open() refuses, it refuses while the descriptor has its owner.
            number = mine.fileno()
            open(number, mode, buffering, closefd=False, **keywords).close()
            # The opener hands the number over in C, so that no signal handler meets it without an owner.
            opener = partial(calls.hand_over, mine._handle)
            file = open(b"<descriptor>", mode, buffering, opener=opener, **keywords)  # noqa: SIM115 - the caller's.
            raw: Any = file
            for layer in ("buffer", "raw"):
                raw = getattr(raw, layer, raw)
            # What open(number) would say.
            raw.name = number
            return file

        file: IO[Any] = self._hand_over(take)
        return file

    def to_stdlib_socket(self) -> Any:
        """Turn the descriptor into a ``socket.socket``, which takes it over; this object is closed.

        Family, type and protocol are asked of the kernel.  The number is another one.

        Raises:
            OSError: EBADF when closed; ENOTSOCK when it is no socket.  This object then keeps the descriptor.
        """
        socket = socket_module()

        def take(mine: OwnedFd) -> Any:
            calls.describe_held(mine._handle)
            # fromfd() duplicates, so the descriptor has an owner at every moment; -1 asks the kernel.
            copy = socket.fromfd(mine.fileno(), -1, -1, -1)
            mine.close()
            return copy

        return self._hand_over(take)

    def _hand_over(self, take: Callable[[OwnedFd], Any]) -> Any:
        """Let a function take the descriptor; no other thread can close it meanwhile.  When it fails it comes back."""
        mine = OwnedFd._empty()
        check(calls.move(self._handle, mine._handle))
        try:
            return take(mine)
        except BaseException:
            calls.move(mine._handle, self._handle)
            raise

    def _as(self, name: str) -> Any:
        # These types are rooms above this one: the package is asked for them, and loads what is wanted.
        return getattr(sys.modules[__name__.rpartition(".")[0]], name)._take(self)

    def as_stream(self) -> Any:
        """Turn the descriptor into a UnixStream, which takes it over; this object is closed.

        Raises:
            OSError: EBADF when closed; ENOTSOCK when it is no socket.
            ValueError: not a Unix stream socket, or a listening one.  This object then keeps the descriptor.
        """
        return self._as("UnixStream")

    def as_datagram(self) -> Any:
        """Turn the descriptor into a UnixDatagram; ownership and errors as in ``as_stream()``."""
        return self._as("UnixDatagram")

    def as_seqpacket(self) -> Any:
        """Turn the descriptor into a UnixSeqpacketConn; ownership and errors as in ``as_stream()``."""
        return self._as("UnixSeqpacketConn")

    def as_listener(self) -> Any:
        """Turn the descriptor of a listening stream socket into a UnixListener; otherwise as ``as_stream()``."""
        return self._as("UnixListener")

    def as_seqpacket_listener(self) -> Any:
        """Turn the descriptor of a listening socket into a UnixSeqpacketListener; otherwise as ``as_stream()``."""
        return self._as("UnixSeqpacketListener")

    def as_pidfd(self) -> Any:
        """Turn a descriptor of a process into a PidFd; ownership as in ``as_stream()``.

        Raises:
            OSError: EBADF when closed.
            ValueError: it is no pidfd.  This object then keeps the descriptor.
            FeatureUnavailable: "pidfd", where the system has none.
        """
        return self._as("PidFd")

    def __repr__(self) -> str:
        return "<OwnedFd closed>" if self.closed else f"<OwnedFd {self.fileno()}>"
