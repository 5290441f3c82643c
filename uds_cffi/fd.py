"""Owned descriptors: one, and the set that a receive returns.

Rule: each received descriptor has one owner at every moment.  The set owns them all, in slots that C fills; indexing it
moves one out of its slot into an OwnedFd.
"""

from __future__ import annotations

import errno
import os
import stat
import warnings
from functools import partial

from . import calls
from .calls import check
from .owner import Owner, refuse_copy
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any, overload

    from ._lib import CData
else:

    def overload(function):
        """Stand in for ``typing.overload``, whose import would cost more than all of this package."""
        return function


_FORMATS = (
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISLNK, "symbolic link"),
)


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

    def dup(self) -> OwnedFd:
        """Return a duplicate, close-on-exec, that shares the open file description (fcntl(2), F_DUPFD_CLOEXEC).

        Raises:
            OSError: EBADF when closed; EMFILE when this process may open no more.
        """
        copy = OwnedFd._empty()
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
        mode = check(calls.mode(self._handle))
        for matches, name in _FORMATS:
            if matches(mode):
                return name
        link = calls.readlink(self._handle) or ""
        if link.startswith("/memfd:"):
            return "memfd"
        if link.startswith("anon_inode:"):
            return link[len("anon_inode:") :].strip("[]")
        return "file" if stat.S_ISREG(mode) else "unknown"

    def open(self, mode: str = "rb", buffering: int = -1, **keywords: Any) -> IO[Any]:
        """Open a file object on the descriptor, which takes it over; this object is closed.

        ``mode``, ``buffering`` and the keywords ``encoding``, ``errors`` and ``newline`` are those of ``open()``.

        Raises:
            OSError: EBADF when closed; what ``open()`` reports for a directory.  This object then keeps the descriptor.
            ValueError: the mode makes no sense.
        """

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
        import socket

        def take(mine: OwnedFd) -> socket.socket:
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
        # The socket types are rooms above this one and add themselves to the table when they are imported.
        return SOCKET_TYPES[name]._take(self)

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

    def __repr__(self) -> str:
        return "<OwnedFd closed>" if self.closed else f"<OwnedFd {self.fileno()}>"


SOCKET_TYPES: dict[str, Any] = {}


class OwnedFds(Closing):
    """The descriptors of one received message: a sequence that owns them all.

    Indexing and iterating make ``OwnedFd`` objects on demand, each of which owns its descriptor from then on; the
    same index gives the same object.  ``close()``, leaving a ``with`` block, or, with a ResourceWarning, the garbage
    collector closes those that were not taken.
    """

    __slots__ = ("__weakref__", "_slots", "_made", "_taken")

    _slots: CData | None
    # The objects that were made on demand, by place, and the places of those that a caller has.
    _made: dict[int, OwnedFd]
    _taken: set[int]

    def __init__(self) -> None:
        """Make an empty set; receiving is what fills one."""
        self._slots = None
        self._made = {}
        self._taken = set()

    @classmethod
    def _with_slots(cls) -> OwnedFds:
        """Make a set that owns the slots which a receive is about to fill."""
        self = cls()
        self._slots = calls.new_fds()
        return self

    def _share(self, first: int, count: int) -> OwnedFds:
        """Return the owner of some of the descriptors: this object when it is all of them."""
        if first == 0 and count == len(self):
            return self
        part = OwnedFds._with_slots()
        check(calls.fds_move(self._slots, first, count, part._slots))
        return part

    def __len__(self) -> int:
        slots = self._slots
        return 0 if slots is None else int(slots.count)

    @overload
    def __getitem__(self, index: int) -> OwnedFd: ...
    @overload
    def __getitem__(self, index: slice) -> list[OwnedFd]: ...  # noqa: F811
    def __getitem__(self, index: int | slice) -> OwnedFd | list[OwnedFd]:  # noqa: F811
        """Return an OwnedFd, or a list of them for a slice.

        Raises:
            IndexError: there is no such descriptor.
            OSError: EBADF, it was closed or detached.
        """
        count = len(self)
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(count))]
        place = index + count if index < 0 else index
        if not 0 <= place < count:
            raise IndexError(f"descriptor {index} of {count}")
        owner = self._owner(place)
        if place not in self._taken and owner.closed:
            check(-errno.EBADF)
        self._taken.add(place)
        return owner

    def _owner(self, place: int) -> OwnedFd:
        """Return the owner of one descriptor, made when it is first asked for."""
        known = self._made.get(place)
        if known is None:
            # Kept before it is filled: an exception from a signal handler then leaves a descriptor that has an owner.
            # Of two threads that come at once both fill the same object, and one of them finds the slot empty.
            known = self._made.setdefault(place, OwnedFd._empty())
            result = calls.fds_take(self._slots, place, known._handle)
            if result < 0 and known.closed:
                self._made.pop(place, None)
                check(result)
        return known

    def _owners(self) -> list[OwnedFd]:
        """Return the owners of all descriptors without giving them away."""
        return [self._owner(place) for place in range(len(self))]

    def __iter__(self) -> Iterator[OwnedFd]:
        for place in range(len(self)):
            yield self[place]

    def numbers(self) -> list[int]:
        """Return the numbers of all descriptors, which stay owned; -1 for those that were closed or detached."""
        numbers = []
        for place in range(len(self)):
            known = self._made.get(place)
            number = calls.fds_number(self._slots, place) if known is None else known.fileno()
            numbers.append(max(number, -1))
        return numbers

    def detach(self) -> list[int]:
        """Give away the numbers of all descriptors that were not taken; the caller owns them from now on.

        Returns:
            list of int, close-on-exec, in the order in which they were sent.

        Raises:
            OSError: EBUSY while another thread is sending the set on; nothing was given away.
        """
        slots = self._slots
        if slots is None:
            return []
        if not self._made:
            return calls.fds_detach(slots)
        for place, made in list(self._made.items()):
            if place not in self._taken and calls.running(made._handle):
                check(-errno.EBUSY)
        numbers = []
        for place in range(len(self)):
            known = self._made.get(place)
            if place not in self._taken and (known is not None or calls.fds_number(slots, place) >= 0):
                number = calls.detach(self._owner(place)._handle)
                if number >= 0:
                    numbers.append(number)
        return numbers

    def close(self) -> None:
        """Close all descriptors that were not taken, in one call; closing twice changes nothing."""
        if self._slots is not None:
            calls.fds_close(self._slots)
            for place, known in list(self._made.items()):
                if place not in self._taken:
                    known.close()

    def __del__(self, _warn=warnings.warn, _close=calls.fds_close) -> None:  # type: ignore[no-untyped-def]
        slots = getattr(self, "_slots", None)
        if slots is None:
            return
        count = _close(slots)
        if count:
            _warn(f"{count} unclosed descriptors of {self!r}", ResourceWarning, stacklevel=2, source=self)

    __getstate__ = refuse_copy

    def __repr__(self) -> str:
        return f"<OwnedFds {self.numbers()}>"


class Borrowed:
    """What a caller passes as descriptors, kept alive and open for the time of a call.

    Attributes:
        numbers: the numbers (list of int).
        owners: for each the handle it comes from, or NULL for a bare number; None when there are only bare numbers.

    Raises:
        TypeError: something that is neither an int nor an object with ``fileno()``.
        ValueError: a negative number, or more than ``SCM_MAX_FD``.
        OSError: EBADF, something that is closed, or a number that none can have.
    """

    __slots__ = ("numbers", "owners", "_items")

    numbers: list[int]
    owners: list[Any] | None

    def __init__(self, fds: Any) -> None:
        if (
            isinstance(fds, (str, bytes, bytearray, memoryview))
            or hasattr(fds, "fileno")
            or not hasattr(type(fds), "__iter__")
        ):
            raise TypeError(f"an iterable of descriptors is needed, not {type(fds).__name__}")
        # An iterator may be all that holds the objects.
        self._items = items = fds._owners() if isinstance(fds, OwnedFds) else list(fds)
        if len(items) > calls.SCM_MAX_FD:
            raise ValueError(f"{len(items)} descriptors are more than the {calls.SCM_MAX_FD} that one message carries")
        self.numbers = []
        self.owners = None
        for place, item in enumerate(items):
            if type(item) is int:
                number = item
                if number < 0:
                    raise ValueError(f"descriptor {place} is {number}: a descriptor is not negative")
            elif isinstance(item, Owner):
                if self.owners is None:
                    self.owners = [calls.NULL] * len(items)
                self.owners[place] = item._handle
                number = item.fileno()
            else:
                number = _fileno(item, place)
            if not 0 <= number < 2**31:
                # What is closed tells -1.
                check(-errno.EBADF)
            self.numbers.append(number)


def _fileno(item: Any, place: int) -> int:
    method = getattr(item, "fileno", None)
    number = method() if callable(method) else None
    if type(number) is not int:
        raise TypeError(f"descriptor {place} is {type(item).__name__}: an int or an object with fileno() is needed")
    return number
