"""The memory of framed messages: what was received and not yet delivered, what has begun to go and not yet gone.

Rules:
- C keeps the books, and each of its calls leaves them whole; an exception between two calls loses nothing.
- Memory that C points to is kept here under a number, and forgotten only by the one call that made C point elsewhere,
  so that calls of two threads, which are refused, cannot free it either.
- A result is delivered in the last step before it is returned, by ``deliver()`` in C, which one call can do, once:
  until then its messages come again, and what was read of a result that cannot be delivered any more is thrown away.
"""

from __future__ import annotations

import errno
from itertools import count

from ._lib import ffi, lib
from .calls import check
from .cut import Places, cut, keep, lengths_of, splitter
from .fds import OwnedFds
from .message import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ._lib import CData
    from .fds import Borrowed

# What a reader and a writer have from their first use on.
MEMORY_SIZE = 32 * 1024
# A message of this size is sent from where it is; a smaller one is copied, which costs less than naming it.
LARGE_SIZE = 8 * 1024
HEADER_SIZE = 4

KIND = 3
FDS: int = lib.UDS_FRAMES_FDS
LOST: int = lib.UDS_FRAMES_LOST
BROKEN: int = lib.UDS_FRAMES_BROKEN
# From which bit on a result has its shape, and how many bits of that are a length.
SHAPE: int = lib.UDS_FRAMES_SHAPE
PART: int = lib.UDS_FRAMES_PART
LENGTH: int = (1 << PART) - 1
# The least shape of two messages.
TWO: int = 2 << PART

# How messages of one length are cut, by the shape of their result.
splitters: dict[int, Callable[[Any], list[bytes]]] = {}

receive_all = lib.uds_frames_receive_all
receive_one = lib.uds_frames_receive_one
try_all = lib.uds_frames_try_all
try_one = lib.uds_frames_try_one
# 0, or an error: the messages may be another call's.
deliver = lib.uds_frames_deliver
send = lib.uds_frames_send

_CHARS = ffi.typeof("char[]")
_EBUSY = -errno.EBUSY


def busy(what: str) -> OSError:
    """Make the error of two calls at the same time."""
    return OSError(errno.EBUSY, f"another call of this process is {what} on the same FramedStream")


# A number of 8 bytes in it is read and written in one step, which needs more alignment than cffi's memory has on i386.
_allocate_reader = ffi.new_allocator(lib.uds_allocate, lib.uds_free, should_clear_after_alloc=False)


class FrameReader:
    """The receiving half: memory for what arrives, and the descriptors that came with it."""

    __slots__ = (
        *("c", "token", "view", "given"),
        *("_handle", "_kept", "_numbers", "_owners", "_places"),
    )

    # The stream's, when it is preset with the stream's own flags.
    token: object
    # The memory that every result with a shape is in.
    view: Any

    # The memory and a view of it, by number.
    _kept: dict[int, tuple[CData, Any]]
    # Descriptors on their way to the caller, by the serial number of their arrival.
    given: dict[int, OwnedFds]

    def __init__(self, handle: CData, max_size: int, max_fds: int) -> None:
        self.c = c = _allocate_reader("struct uds_frame_reader *")
        # It stays this one: C uses what Python keeps here.
        self._handle = c.handle = handle
        c.limit, c.max_fds = max_size, max_fds
        memory = ffi.new(_CHARS, MEMORY_SIZE)
        self.view = ffi.buffer(memory)
        self._kept = {0: (memory, self.view)}
        self._numbers = count(1)
        c.data, c.size, c.base = memory, MEMORY_SIZE, MEMORY_SIZE
        self._owners = [OwnedFds._with_slots() for _ in range(2)] if max_fds else []
        for place, owner in enumerate(self._owners):
            c.sets[place].fds = owner._slots
        self.given = {}
        self.token = None
        self._places = Places(c.starts, c.lengths)

    def attempt(self, receive: Callable[[CData], int], result: int | None = None) -> int:
        """Receive, unless it was done, and return the number of a result, 0 at the end of the connection, or -errno."""
        if result is None:
            result = receive(self.c)
        while result == lib.UDS_FRAMES_ROOM:
            self._resize(self.c.memory, self.c.needed)
            result = receive(self.c)
        if result == _EBUSY:
            raise busy("receiving")
        return result

    def _resize(self, old: int, size: int) -> None:
        number = 0
        if size > self.c.base:
            number = next(self._numbers)
            memory = ffi.new(_CHARS, size)
            self._kept[number] = memory, ffi.buffer(memory)
        memory = self._kept[number][0]
        result = lib.uds_frames_move(self.c, old, memory, size, number)
        if result == 0 and old:
            self._kept.pop(old, None)
        elif result < 0 and number:
            del self._kept[number]
        if result == _EBUSY:
            raise busy("receiving")
        check(result)

    def messages(self, result: int) -> list[bytes]:
        """Return the messages of a result (list of bytes)."""
        shape = result >> SHAPE
        if 0 < shape < TWO:
            # Those are cheap to cut, and of more lengths than can be kept.
            return [self.view[HEADER_SIZE : HEADER_SIZE + (shape & LENGTH)]]
        if shape:
            return keep(splitters, shape, splitter(shape >> PART, shape & LENGTH, HEADER_SIZE))(self.view)
        c = self.c
        return cut(self._memory(), c.first, c.last, c.count, self._places)

    def one(self, result: int) -> list[bytes]:
        """Return the one message of a result (list of bytes)."""
        shape = result >> SHAPE
        if shape:
            begin = shape >> PART
            return [self.view[begin : begin + (shape & LENGTH)]]
        return [self._memory()[self.c.first : self.c.last]]

    def _memory(self) -> Any:
        kept = self._kept.get(self.c.memory)
        if kept is None:
            raise busy("receiving")
        return kept[1]

    def check(self, result: int) -> None:
        """Raise when another call has received meanwhile: what was read may be that call's."""
        if self.c.undelivered != result:
            raise busy("receiving")

    def deliver(self, result: int) -> None:
        """Make the messages of a result the caller's, or raise when another call has received meanwhile."""
        if deliver(self.c, result):
            raise busy("receiving")

    def recall(self, result: int) -> None:
        """Let messages come again that cannot be returned, unless another call has received meanwhile."""
        lib.uds_frames_recall(self.c, result)

    def fds(self) -> dict[int, tuple[int, OwnedFds]]:
        """Return the descriptors of the last result by serial number, each set with the place of its message."""
        found: dict[int, tuple[int, OwnedFds]] = {}
        for place in range(len(self._owners)):
            one = self.c.sets[place]
            if one.index >= 0:
                index, serial = one.index, one.serial
                given = self.given.get(serial)
                if given is None:
                    # The owner is known here before it owns anything, and is the same for all calls with this message.
                    given = self.given.setdefault(serial, OwnedFds._with_slots())
                slots = given._slots
                # Without slots it was closed by another call's caller, who has the message.
                result = _EBUSY if slots is None else lib.uds_frames_take(self.c, place, serial, slots)
                if result == _EBUSY:
                    raise busy("receiving")
                # Not what the slots say: when another call was quicker, they may belong to the next message.
                given._count = check(result)
                found[serial] = index, given
        # What a call was interrupted with after it had delivered.  Arrivals are delivered in order.
        self.forget([serial for serial in list(self.given) if found and serial < min(found)])
        return found

    def forget(self, serials: Iterable[int]) -> None:
        """Forget the descriptors of these arrivals, which were delivered."""
        for serial in serials:
            self.given.pop(serial, None)

    def lost(self) -> int | None:
        """Return how many descriptors of the message in the last result were closed; None when the kernel cut."""
        one = self.c.sets[0 if self.c.sets[0].index >= 0 else 1]
        return None if one.cut else int(one.surplus)

    def rest(self) -> bytes:
        """Return the bytes that arrived of a message, its header included."""
        c = self.c
        found: bytes = self._memory()[c.begin : c.end]
        return found

    def close(self) -> None:
        """Close the descriptors that were not delivered."""
        for owner in self._owners:
            # Not for another use: a receive that is running in another thread still has these slots.
            lib.uds_fds_close(owner._slots, owner._generation)
        for owned in list(self.given.values()):
            owned.close()


class FrameWriter:
    """The sending half: memory for what goes, and what is left of a message that has begun to go."""

    __slots__ = ("c", "handle", "flags", "_wire", "_kept")

    # Memory of large messages, by the ticket of the call that sends them.
    _kept: dict[int, tuple[CData, ...]]

    def __init__(self, handle: CData, max_size: int) -> None:
        self.c = c = ffi.new("struct uds_frame_writer *")
        self.handle = c.handle = handle
        self._wire = ffi.new(_CHARS, MEMORY_SIZE)
        c.wire, c.size, c.limit = self._wire, MEMORY_SIZE, max_size
        self._kept = {}
        self.flags = 0

    def claim(self) -> int:
        """Begin a call: its ticket, which is odd when the rest of an earlier message has to go first."""
        ticket = lib.uds_frames_claim(self.c)
        if ticket == _EBUSY:
            raise busy("sending")
        return check(ticket)

    def forget(self, ticket: int) -> None:
        """Forget the large messages of earlier calls, whose rest has gone with this ticket."""
        # Calls with older tickets are refused, so none of them makes C point to what is forgotten here.
        for old in [old for old in list(self._kept) if old < ticket]:
            self.gone(old)

    def put(self, ticket: int, small: list[bytes], large: Any) -> None:
        """Put messages into the wire, of which the last may be a large one that stays where it is, or None."""
        pointer: CData = ffi.NULL
        size = 0
        if large is not None:
            pointer = export(large)
            self._kept[ticket] = (pointer,)
            size = len(pointer)
        data = b"".join(small)
        lengths = lengths_of(len(small)).pack(*map(len, small))
        self._use(lib.uds_frames_put(self.c, ticket, data, len(data), lengths, len(small), pointer, size))

    def push(self, ticket: int, flags: int) -> int:
        """Send once what is in the wire, with these flags too: how many bytes are left, or -errno."""
        return self._use(lib.uds_frames_push(self.c, ticket, flags), True)

    def push_fds(self, ticket: int, fds: Borrowed, flags: int) -> int:
        """Send once what is in the wire, with descriptors: how many bytes are left, or -errno."""
        owners = ffi.NULL if fds.owners is None else fds.owners
        numbers = fds.numbers
        return self._use(lib.uds_frames_push_fds(self.c, ticket, numbers, owners, len(numbers), flags), True)

    def _use(self, result: int, may_fail: bool = False) -> int:
        if result == _EBUSY:
            raise busy("sending")
        return result if may_fail else check(result)

    def gone(self, ticket: int) -> None:
        """Let go of a large message that has gone."""
        kept = self._kept.pop(ticket, None)
        if kept is not None:
            ffi.release(kept[0])

    def settle(self, ticket: int) -> int | None:
        """End a call that failed: how many of its messages have gone, the last perhaps only in part, if it is known."""
        sent = lib.uds_frames_settle(self.c, ticket)
        if sent < 0:
            return None
        if ticket in self._kept:
            # The caller may change its memory, or want to close it.
            pointer = self._kept[ticket][0]
            copy = ffi.new(_CHARS, len(pointer))
            self._kept[ticket] = pointer, copy
            left = lib.uds_frames_keep(self.c, ticket, copy, len(pointer))
            if left == 0:
                self.gone(ticket)
            elif left > 0:
                self._kept[ticket] = (copy,)
                ffi.release(pointer)
        return sent

    def pending(self) -> int:
        """Return how many bytes are left of a message that has begun to go."""
        return self._use(lib.uds_frames_pending(self.c))
