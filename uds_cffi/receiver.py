"""Receivers: preset receives, with the memory that they fill.

Rules:
- The hot path allocates no C memory: a receiver is taken out of the pool for exclusive use, so that threads and signal
  handlers that receive at the same time have one of their own.  It belongs to no socket: ten thousand connections that
  one thread serves use the same memory, which stays in the processor's cache.
- The pool keeps at most 1 MiB.  The child of a fork begins without it.
- Whatever an exception passed through is dropped: a signal handler may have raised half-way through an update.
- A receiver in the pool fills its own memory and no caller's: what ``scatter()`` changed is restored when it goes back.
"""

from __future__ import annotations

import os
from struct import Struct

from ._lib import ffi, lib
from .address import UnixSocketAddr
from .calls import close as close_handle
from .calls import new_handle, receive_fds, receive_packed
from .fds import OwnedFds
from .naming import new_name
from .once import once
from .pools import pool, trim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

    from ._lib import CData
    from .message import Incoming

# The sizes that most calls ask for; their receivers are ready at hand.
SMALL_SIZE = 64 * 1024
POOL_SIZE = 1024 * 1024
# Room for 253 descriptors and, beside them, for every other kind that a kernel is known to add.
_CONTROL_SIZE: int = lib.CMSG_SPACE(lib.UDS_SCM_MAX_FD * ffi.sizeof("int")) + 1024
# How many of them the pool holds; larger ones share what these leave of it.
_SMALL_COUNT = 8
_LARGE_SIZE = POOL_SIZE - _SMALL_COUNT * (SMALL_SIZE + _CONTROL_SIZE)

# What read(2) and recv(2) transfer at most on Linux (MAX_RW_COUNT).
_LARGEST = 0x7FFFF000

_MOST_FDS: int = lib.UDS_SCM_MAX_FD
_PASSES_PIDFD = bool(lib.UDS_HAS_PASSPIDFD)

# What uds_receive_packed() says of a message: its length, the flags, the length of the sender's address, that of the
# control messages, how many there are; whether credentials are the only one, and then pid, uid and gid.
read_facts = Struct("7i2I").unpack_from
_ITEM = Struct("4i").unpack_from

_RECEIVER = ffi.typeof("struct uds_receiver *")
_CHARS = ffi.typeof("char[]")


@once
def _items() -> Callable[[CData, int], list[tuple[int, int, bytes]]]:
    # Few messages carry more than C lists.
    from .control import items

    return items


# The size of a receiver that is not set; no caller has it.
_UNSET: Any = object()


def check_size(size: Any) -> int:
    """Return a size in bytes, or raise TypeError or ValueError."""
    if type(size) is not int:
        raise TypeError(f"a size in bytes is an int, not {type(size).__name__}")
    if size < 0:
        raise ValueError(f"a size in bytes cannot be negative: {size}")
    if size > _LARGEST:
        raise ValueError(f"a size of {size} bytes is above the {_LARGEST} that one call can transfer")
    return size


def check_max_fds(max_fds: Any) -> int:
    """Return how many descriptors a caller wants, or raise TypeError or ValueError."""
    if type(max_fds) is not int:
        raise TypeError(f"max_fds is an int, not {type(max_fds).__name__}")
    if not 0 <= max_fds <= _MOST_FDS:
        raise ValueError(f"max_fds {max_fds} is not within 0 to {_MOST_FDS}")
    return max_fds


class Receiver:
    """A preset receive, with room for all that a message carries: bytes, descriptors, control messages, an address."""

    __slots__ = (
        "c",
        "handle",
        "token",
        "size",
        "flags",
        "most",
        "capacity",
        "memory",
        "view",
        "fds",
        "wants",
        "_key",
        "facts",
        "pidfd",
        "_keeps",
        "_room",
        "_control",
        "_control_view",
        "_name",
        "_changed",
    )

    view: Any
    # The socket of the last receive; the handle's memory, not its descriptor, stays with the receiver.
    handle: CData | None
    # Stands for that socket and its plain flags together; None for other flags.
    token: object
    # The very object that a caller gave, so that the next call compares identities.
    size: object
    # Stands for how many descriptors, and how much room for control messages, a whole message is received with.
    wants: object
    # Owns what the next receive brings; None before its first use and after it was handed on.
    fds: OwnedFds | None
    # Owns the sender's pidfd when a receive of everything brings one; what holds it then is moved on.
    pidfd: CData | None
    # Whether C puts it there: other receives close it.
    _keeps: bool
    # Stands for the slots that C knows; they themselves would outlive their set here.
    _key: object

    def __init__(self, size: int) -> None:
        self.c = ffi.new(_RECEIVER)
        self.capacity = 0
        self.handle = self.token = None
        self.size = _UNSET
        self.flags = self.most = 0
        self.memory = None
        self.view = None
        self._control = ffi.new(_CHARS, _CONTROL_SIZE)
        self._control_view = ffi.buffer(self._control)
        self._name = new_name()
        self.fds = self._key = self.wants = self.pidfd = None
        self._keeps = False
        self.facts = ffi.buffer(ffi.addressof(self.c, "facts"))
        # How much of the control buffer the kernel may use, as C has it.
        self._room = 0
        self._limit(_CONTROL_SIZE)
        self._restore()
        self.reserve(size)

    def _restore(self) -> None:
        c = self.c
        c.iov, c.iovcnt = ffi.NULL, 0
        c.control = self._control
        c.name = self._name
        self._changed = False

    def reserve(self, size: int) -> None:
        """Have memory for that many bytes."""
        if size > self.capacity or self.view is None:
            capacity = max(64, 1 << max(size - 1, 0).bit_length()) if size <= SMALL_SIZE else size
            self.memory = ffi.new(_CHARS, capacity)
            self.view = ffi.buffer(self.memory)
            self.capacity = capacity
            self.c.data = self.memory

    def prepare(
        self,
        handle: CData,
        size: int,
        flags: int,
        most: int | None = None,
        token: object = None,
        room: int = _CONTROL_SIZE,
        wants: object = None,
        keeps_pidfd: bool = False,
    ) -> None:
        """Receive at most that many bytes with these flags from now on.

        For a whole message it is said how many descriptors are wanted, and how much room there is for control messages:
        with none the kernel discards them, as recv(2) does; and whether the sender's pidfd is wanted.  ``wants`` stands
        for all of them.
        """
        if self.handle is not handle:
            self.c.handle = self.handle = handle
        if self.size != size:
            self.reserve(size)
            self.c.size = size
        self.size = size
        if self.flags != flags:
            self.c.flags = self.flags = flags
        if most is not None:
            if self.most != most:
                self.c.most = self.most = most
            self._limit(room)
            if self._keeps != keeps_pidfd and _PASSES_PIDFD:
                self._keep_pidfd(keeps_pidfd)
            self.wants = wants
        self.token = token

    def _keep_pidfd(self, keeps: bool) -> None:
        if self.pidfd is None:
            self.pidfd = new_handle()
        self.c.pidfd = self.pidfd if keeps else ffi.NULL
        self._keeps = keeps

    def scatter(self, into: Incoming) -> None:
        """Put the bytes into the caller's buffers instead."""
        self._changed = True
        self.c.iov, self.c.iovcnt = into.iov, into.count
        self.c.size = into.size
        # That is not the size of the memory, so the next use presets it.
        self.size = _UNSET

    def _limit(self, room: int) -> None:
        room = min(room, _CONTROL_SIZE)
        if self._room != room:
            self.c.control_size = self._room = room

    def own(self) -> OwnedFds:
        """Have an owner for the descriptors that the next receive brings."""
        fds = OwnedFds._with_slots()
        memory: Any = fds._memory
        # Slots that were closed since the last receive are the first to be used again.
        if self._key is not memory.key:
            self.c.fds = memory.c
            self._key = memory.key
        self.fds = fds
        return fds

    def receive_fds(self) -> int:
        """Receive bytes and descriptors: a packed result, as ``uds_receive_fds()`` returns it, or -errno."""
        if self.fds is None:
            self.own()
        return receive_fds(self.c)

    def receive(self) -> int:
        """Receive all that a message carries, and its facts: a packed result, or -errno."""
        if self.fds is None:
            self.own()
        return receive_packed(self.c)

    def items(self, count: int, length: int) -> list[tuple[int, int, bytes]]:
        """Return level, type and data of so many control messages, out of which C has moved the descriptors."""
        if count == lib.UDS_MOST_ITEMS:
            return _items()(self._control, length)
        found = []
        for place in range(count):
            level, kind, begin, size = _ITEM(self.facts, 36 + 16 * place)
            found.append((level, kind, self._control_view[begin : begin + size]))
        return found

    def sender(self) -> UnixSocketAddr:
        """Return the address that the last receive wrote."""
        return UnixSocketAddr._from_name(self._name)

    def close_fds(self) -> None:
        """Close what an interrupted receive has brought, and nobody will ask for."""
        fds = self.fds
        if fds is not None and fds._arrived():
            self.fds = None
            fds.close()
        self.close_pidfd()

    def close_pidfd(self) -> None:
        """Close a sender's pidfd that nobody will ask for."""
        if self.pidfd is not None:
            close_handle(self.pidfd)

    def take_fds(self, result: int) -> OwnedFds:
        """Hand on the descriptors of the last receive, of which this was the result, with their owner."""
        count = result >> 32 & 0xFF
        fds = self.fds
        if not count or fds is None:
            return OwnedFds()
        fds._count = count
        self.fds = None
        return fds


_small: deque[Receiver] = pool(_SMALL_COUNT)
_large: list[Receiver] = []
os.register_at_fork(after_in_child=_large.clear)

# For receives of small sizes: IndexError when there is none.
take_small = _small.pop
give_small = _small.append


def borrow_receiver(size: int) -> Receiver:
    """Take a receiver out of the pool, or make one."""
    try:
        receiver = take_small() if size <= SMALL_SIZE else _large.pop()
    except IndexError:
        return Receiver(size)
    receiver.reserve(size)
    return receiver


def preset(
    handle: CData,
    size: Any,
    flags: int,
    most: int | None = None,
    token: object = None,
    room: int = _CONTROL_SIZE,
    wants: object = None,
    keeps_pidfd: bool = False,
) -> Receiver:
    """Take a receiver out of the pool, and set it for these values; see ``prepare()``."""
    receiver = borrow_receiver(check_size(size))
    receiver.prepare(handle, size, flags, most, token, room, wants, keeps_pidfd)
    return receiver


def adapt(receiver: Receiver, token: object, handle: CData, size: Any, flags: int) -> bool:
    """Set a small receiver for a socket and its flags; False, and it is given back, if the size is not a small one.

    On the hot path it need not be called: a receiver with the token of the socket and with the very object that was the
    last size, an int within the limits, is set already.
    """
    if type(size) is not int or not 0 <= size <= SMALL_SIZE:
        give_small(receiver)
        return False
    if receiver.token is not token or receiver.size != size:
        receiver.prepare(handle, size, flags, None, token)
    receiver.size = size
    return True


def return_receiver(receiver: Receiver) -> None:
    """Put a receiver back after a receive that succeeded, or drop it when the pool has enough."""
    if receiver._changed:
        receiver._restore()
    if receiver.capacity <= SMALL_SIZE:
        give_small(receiver)
    else:
        _large.append(receiver)
        trim(_large, _kept_by, _LARGE_SIZE)


def _kept_by(receiver: Receiver) -> int:
    return receiver.capacity + _CONTROL_SIZE
