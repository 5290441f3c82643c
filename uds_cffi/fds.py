"""Several descriptors: the set that a receive returns, and what a caller passes.

Rules:
- Each received descriptor has one owner at every moment.  The set owns them all, in slots that C fills; indexing it
  moves one out of its slot into an OwnedFd.
- Slots are used again once they were closed.  A set knows the generation of its own use of them, and finds nothing in
  them when it is over.
"""

from __future__ import annotations

import errno
import os
import warnings

from . import calls
from .calls import check, fds_close, new_fds
from .errors import error
from .fd import OwnedFd
from .owner import Owner, refuse_copy
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, overload

    from ._lib import CData
else:

    def overload(function):
        """Stand in for ``typing.overload``, whose import would cost more than all of this package."""
        return function


class OwnedFds(Closing):
    """The descriptors of one received message: a sequence that owns them all.

    Indexing and iterating make ``OwnedFd`` objects on demand, each of which owns its descriptor from then on; the
    same index gives the same object.  ``close()``, leaving a ``with`` block, or, with a ResourceWarning, the garbage
    collector closes those that were not taken.
    """

    __slots__ = ("__weakref__", "_slots", "_generation", "_count", "_made", "_taken")

    # None when the descriptors are closed, or were none.
    _slots: CData | None
    # What the slots hold for this set; once they are used for another message they hold nothing for it.
    _generation: int
    _count: int
    # The objects that were made on demand, by place, and the places of those that a caller has.
    _made: dict[int, OwnedFd]
    _taken: dict[int, bool]

    def __init__(self) -> None:
        """Make an empty set; receiving is what fills one."""
        self._slots = None
        self._count = 0
        self._made = {}
        self._taken = {}

    @classmethod
    def _with_slots(cls) -> OwnedFds:
        """Make a set that owns the slots which a receive is about to fill."""
        self = cls()
        try:
            slots, self._generation = _spare.pop() if _spare else (new_fds(), 0)
        except IndexError:
            # Another thread was quicker.
            slots, self._generation = new_fds(), 0
        self._slots = slots
        return self

    def _arrived(self) -> int:
        """Count what a receive has put into the slots, and return it."""
        slots = self._slots
        if slots is not None:
            self._count = int(slots.count)
        return self._count

    def _share(self, first: int, count: int) -> OwnedFds:
        """Return the owner of some of the descriptors: this object when it is all of them."""
        if first == 0 and count == self._count:
            return self
        part = OwnedFds._with_slots()
        check(calls.fds_move(self._slots, self._generation, first, count, part._slots))
        part._count = count
        return part

    def __len__(self) -> int:
        return self._count

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
        count = self._count
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(count))]
        place = index + count if index < 0 else index
        if not 0 <= place < count:
            raise IndexError(f"descriptor {index} of {count}")
        owner = self._owner(place)
        if place not in self._taken and owner.closed:
            check(-errno.EBADF)
        self._taken[place] = True
        return owner

    def _owner(self, place: int) -> OwnedFd:
        """Return the owner of one descriptor, made when it is first asked for."""
        made = self._made
        known = made.get(place)
        if known is not None and (place in self._taken or not known.closed):
            return known
        # Made, but empty: another thread, or whoever a signal handler interrupted, was about to fill it.
        slots = self._slots
        if slots is not None:
            # Kept before it is filled: an exception from a signal handler then leaves a descriptor that has an owner.
            # Of two threads that come at once both fill the same object, and one of them finds it filled.
            known = made.setdefault(place, OwnedFd._empty())
            result = calls.fds_take(slots, self._generation, place, known._handle)
            if result >= 0 or not known.closed:
                return known
        if known is None:
            raise error(errno.EBADF)
        return known

    def _owners(self) -> list[OwnedFd]:
        """Return the owners of all descriptors without giving them away."""
        return [self._owner(place) for place in range(self._count)]

    def __iter__(self) -> Iterator[OwnedFd]:
        for place in range(self._count):
            yield self[place]

    def _number(self, place: int) -> int:
        """Return the number that is in a slot, or -1."""
        slots = self._slots
        return -1 if slots is None else max(calls.fds_number(slots, self._generation, place), -1)

    def numbers(self) -> list[int]:
        """Return the numbers of all descriptors, which stay owned; -1 for those that were closed or detached."""
        numbers = []
        for place in range(self._count):
            known = self._made.get(place)
            numbers.append(self._number(place) if known is None else known.fileno())
        return numbers

    def detach(self) -> list[int]:
        """Give away the numbers of all descriptors that were not taken; the caller owns them from now on.

        Returns:
            list of int, close-on-exec, in the order in which they were sent.

        Raises:
            OSError: EBUSY while another thread is sending the set on; nothing was given away.
        """
        slots = self._slots
        if slots is None and not self._made:
            return []
        if not self._made:
            return calls.fds_detach(slots, self._generation)
        for place, made in list(self._made.items()):
            if place not in self._taken and calls.running(made._handle):
                check(-errno.EBUSY)
        numbers = []
        for place in range(self._count):
            known = self._made.get(place)
            if place not in self._taken and (known is not None or self._number(place) >= 0):
                number = calls.detach(self._owner(place)._handle)
                if number >= 0:
                    numbers.append(number)
        return numbers

    def close(self) -> None:
        """Close all descriptors that were not taken, in one call; closing twice changes nothing."""
        slots = self._slots
        if slots is not None:
            # One caller alone ends the generation, and so the slots are spare once.
            if fds_close(slots, self._generation) >= 0 and len(_spare) < _MOST_SPARE:
                _spare.append((slots, (self._generation + 1) & 0xFFFFFFFF))
            self._slots = None
        if self._made:
            for place, known in list(self._made.items()):
                if place not in self._taken:
                    known.close()

    def __del__(self, _warn=warnings.warn, _close=fds_close) -> None:  # type: ignore[no-untyped-def]
        slots = getattr(self, "_slots", None)
        if slots is None:
            return
        left = sum(self._number(place) >= 0 for place in range(self._count))
        try:
            if left:
                _warn(f"{left} unclosed descriptors of {self!r}", ResourceWarning, stacklevel=2, source=self)
        finally:
            _close(slots, self._generation)

    __getstate__ = refuse_copy

    def __repr__(self) -> str:
        return f"<OwnedFds {self.numbers()}>"


# Slots that are used again, each with the generation of its next message; memory need not be made for each receive.
_MOST_SPARE = 64
_spare: list[tuple[CData, int]] = []
os.register_at_fork(after_in_child=_spare.clear)


def are_ints(items: list[Any]) -> bool:
    """Whether all items are ints, and not of a subclass."""
    return list(map(type, items)).count(int) == len(items)


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
