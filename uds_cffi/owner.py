"""One descriptor, one owner.

Rules:
- The owner exists before the system call: C writes the number into the handle that this object already holds.
- A closed object has forgotten its number.  A call that is running in another thread finishes on the number it
  began with, and the last of them closes it.
- Nothing relies on the garbage collector; ``__del__`` warns, and closes what was forgotten.
"""

from __future__ import annotations

import errno
import warnings

from . import calls
from .calls import check
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from typing_extensions import Self

    from ._lib import CData


def refuse_copy(self: object) -> NoReturn:
    """Stand as ``__getstate__`` in classes that own descriptors: neither pickle nor copy makes a second owner."""
    raise TypeError(f"cannot pickle or copy {type(self).__name__}: a descriptor has one owner, in one process")


def number_of(value: Any, name: str = "") -> int:
    """Return the number of a descriptor that is given as an int or as an object with ``fileno()``.

    Raises:
        TypeError: neither; with the name of the argument, where one is given.
    """
    number = value if type(value) is int else getattr(value, "fileno", lambda: None)()
    if type(number) is not int:
        about = f"{name}: " if name else ""
        raise TypeError(f"{about}an int or an object with fileno() is needed, not {type(value).__name__}")
    return number


class Owner(Closing):
    """Base of everything that owns one descriptor."""

    __slots__ = ("__weakref__", "_handle")

    _handle: CData
    # Whose the descriptor is when it is not this object's; sockets have a slot for it.
    _borrows: Any = None

    @classmethod
    def _empty(cls) -> Self:
        """Make an object that owns nothing yet, for a call to fill."""
        self = cls.__new__(cls)
        self._handle = calls.new_handle()
        return self

    def fileno(self) -> int:
        """Return the descriptor's number, or -1 when it is closed.  It stays owned by this object."""
        return calls.fileno(self._handle)

    @property
    def closed(self) -> bool:
        """Whether the object was closed or gave its descriptor away (bool)."""
        return calls.fileno(self._handle) < 0

    def close(self) -> None:
        """Close the descriptor; closing twice changes nothing.

        A call that is running in another thread is not woken: it finishes first, and then the number is closed.
        Later calls raise OSError (EBADF).  To wake a blocked call, ``shutdown()`` a socket before closing it.

        Raises:
            OSError: what close(2) reports; the descriptor is gone nevertheless.
        """
        check(calls.close(self._handle))

    def _check_open(self) -> None:
        """Raise OSError (EBADF) when closed, for calls that may end without asking the kernel."""
        if calls.fileno(self._handle) < 0:
            check(-errno.EBADF)

    def detach(self) -> int:
        """Give the number away: the caller owns it from now on, and this object is closed.

        Raises:
            OSError: EBADF when it is closed already, EBUSY while a call is running in another thread.
        """
        return check(calls.detach(self._handle))

    def __del__(  # type: ignore[no-untyped-def]
        self, _closed=calls.CLOSED, _warn=warnings.warn, _fileno=calls.fileno, _close=calls.close
    ) -> None:
        # The defaults keep the functions alive while the interpreter shuts down.
        try:
            handle = self._handle
        except AttributeError:
            return
        if handle is _closed or _fileno(handle) < 0 or self._borrows is not None:
            return
        try:
            _warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            try:
                self._abandon()
            finally:
                _close(handle)

    def _abandon(self) -> None:
        """Give up, while the descriptor is open, what goes with it."""

    __getstate__ = refuse_copy
