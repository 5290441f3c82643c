"""Several descriptors: the set that a receive returns, and what a caller passes.

Rules:
- Each received descriptor has one owner at every moment.  The set owns them all, in slots that C fills; indexing it
  moves one out of its slot into an OwnedFd.
- Slots are used again once they were closed.  A set knows the generation of its own use of them, and finds nothing in
  them when it is over.
- The slots warn of what is left in them and close it, not the set: they outlive it when it was closed, and a finalizer
  that need not run costs nothing.
"""

from __future__ import annotations

import errno
import warnings

from . import calls
from .calls import check, fds_close, fds_number, new_fds
from .errors import error
from .fd import OwnedFd
from .owner import Owner, refuse_copy
from .pools import pool
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from typing import Any, overload

    from ._lib import CData
else:

    def overload(function):
        """Stand in for ``typing.overload``, whose import would cost more than all of this package."""
        return function


_new = object.__new__


class Slots:
    """Memory for the descriptors of one message at a time.  Whoever holds this object owns what is in it."""

    __slots__ = ("c", "key", "generation")

    c: CData
    # Stands for it where nothing may keep it alive.
    key: object
    # That of its next message, or of the present one.
    generation: int

    def __init__(self) -> None:
        self.c = new_fds()
        self.key = object()
        self.generation = 0

    def numbers(self) -> list[int]:
        """Return the numbers of all descriptors that came, -1 for those that have left."""
        c, generation = self.c, self.generation
        return [max(fds_number(c, generation, place), -1) for place in range(c.count)]

    def __del__(self, _warn=warnings.warn, _close=fds_close) -> None:  # type: ignore[no-untyped-def]
        # The defaults keep the functions alive while the interpreter shuts down.
        c = getattr(self, "c", None)
        if c is None or not c.count:
            return
        try:
            numbers = self.numbers()
            left = sum(number >= 0 for number in numbers)
            if left:
                # Where it was allocated says something only of its first message.
                source = None if self.generation else self
                text = f"{left} unclosed descriptors of <OwnedFds {numbers}>"
                _warn(text, ResourceWarning, stacklevel=2, source=source)
        finally:
            _close(c, self.generation)


class OwnedFds(Closing):
    """The descriptors of one received message: a sequence that owns them all.

    Indexing and iterating make ``OwnedFd`` objects on demand, each of which owns its descriptor from then on; the
    same index gives the same object.  ``close()``, leaving a ``with`` block, or, with a ResourceWarning, the garbage
    collector closes those that were not taken.
    """

    __slots__ = ("__weakref__", "_memory", "_generation", "_count", "_made")

    # None when the descriptors are closed, or were none.
    _memory: Slots | None
    # What the slots hold for this set; once they are used for another message they hold nothing for it.
    _generation: int
    _count: int
    # The objects that were made on demand, by place; those that a caller has also by ~place.
    _made: dict[int, OwnedFd]

    def __init__(self) -> None:
        """Make an empty set; receiving is what fills one."""
        self._memory = None
        self._generation = self._count = 0
        self._made = {}

    @staticmethod
    def _with_slots() -> OwnedFds:
        """Make a set that owns the slots which a receive is about to fill."""
        memory = None
        if _spare:
            try:
                memory = _take_spare()
            except IndexError:
                # Another thread was quicker.
                pass
        if memory is None:
            # Outside of the handler: one that is interrupted leaves its frame behind, and what that owns.
            memory = Slots()
        self = _new(OwnedFds)
        self._made = {}
        self._count = 0
        self._generation = memory.generation
        self._memory = memory
        return self

    @property
    def _slots(self) -> CData | None:
        memory = self._memory
        return None if memory is None else memory.c

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
        try:
            place = range(count)[index]
        except IndexError:
            raise IndexError(f"descriptor {index} of {count}") from None
        owner = self._owner(place)
        made = self._made
        if ~place not in made:
            if owner.closed:
                check(-errno.EBADF)
            made[~place] = owner
        return owner

    def _owner(self, place: int) -> OwnedFd:
        """Return the owner of one descriptor, made when it is first asked for."""
        made = self._made
        known = made.get(place)
        if known is not None and (~place in made or not known.closed):
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
        return -1 if slots is None else max(fds_number(slots, self._generation, place), -1)

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
        slots, made = self._slots, self._made
        if slots is None and not made:
            return []
        if not made:
            return calls.fds_detach(slots, self._generation)
        for place, known in list(made.items()):
            if place >= 0 and ~place not in made and calls.running(known._handle):
                check(-errno.EBUSY)
        numbers = []
        for place in range(self._count):
            if ~place not in made and (place in made or self._number(place) >= 0):
                number = calls.detach(self._owner(place)._handle)
                if number >= 0:
                    numbers.append(number)
        return numbers

    def close(self) -> None:
        """Close all descriptors that were not taken, in one call; closing twice changes nothing."""
        memory = self._memory
        if memory is not None:
            generation = self._generation
            # One caller alone ends the generation, and so the memory is spare once.
            if fds_close(memory.c, generation) >= 0:
                memory.generation = (generation + 1) & 0xFFFFFFFF
                # First, so that who closes again finds nothing here and keeps alive nothing of the next message.
                self._memory = None
                _give_spare(memory)
            else:
                self._memory = None
        made = self._made
        if made:
            for place, known in list(made.items()):
                if place >= 0 and ~place not in made:
                    known.close()

    __getstate__ = refuse_copy

    def __repr__(self) -> str:
        return f"<OwnedFds {self.numbers()}>"


_MOST_SPARE = 64
_spare: deque[Slots] = pool(_MOST_SPARE)
_take_spare = _spare.pop
_give_spare = _spare.append


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
