"""Receivers: preset receives, with the memory that they fill.

Rules:
- The hot path allocates no C memory: a receiver is popped from a list for exclusive use, so that threads and signal
  handlers that receive on the same socket have one of their own.
- A socket keeps one receiver of at most 16 KiB, made at its first receive.  Larger ones, and those with room for
  everything that a message can carry, come from a pool of at most 1 MiB.  The child of a fork begins without it.
- Whatever an exception passed through is dropped: a signal handler may have raised half-way through an update.
- A receiver in the pool belongs to no socket, and is as it was made: whoever changed more than size, flags and the
  number of descriptors has it restored when it goes back.
"""

from __future__ import annotations

import os

from ._lib import ffi, lib
from .address import UnixSocketAddr
from .calls import receive_message
from .fds import OwnedFds
from .naming import new_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._lib import CData
    from .message import Incoming

KEPT_SIZE = 16 * 1024
POOL_SIZE = 1024 * 1024
# Room for 253 descriptors and, beside them, for every other kind that a kernel is known to add.
_CONTROL_SIZE: int = lib.CMSG_SPACE(lib.UDS_SCM_MAX_FD * ffi.sizeof("int")) + 1024
# How many receivers of KEPT_SIZE the pool holds; larger ones share what these leave of it.
_SMALL_COUNT = 16
_LARGE_SIZE = POOL_SIZE - _SMALL_COUNT * (KEPT_SIZE + _CONTROL_SIZE)

# What read(2) and recv(2) transfer at most on Linux (MAX_RW_COUNT).
_LARGEST = 0x7FFFF000

_RECEIVER = ffi.typeof("struct uds_receiver *")
_CHARS = ffi.typeof("char[]")


def check_size(size: Any) -> int:
    """Return a size in bytes, or raise TypeError or ValueError."""
    if type(size) is not int:
        raise TypeError(f"a size in bytes is an int, not {type(size).__name__}")
    if size < 0:
        raise ValueError(f"a size in bytes cannot be negative: {size}")
    if size > _LARGEST:
        raise ValueError(f"a size of {size} bytes is above the {_LARGEST} that one call can transfer")
    return size


class _Preset:
    """A preset receive into memory of its own."""

    __slots__ = ("c", "size", "flags", "capacity", "memory", "view")

    view: Any
    # The very object that a caller gave, so that the next call compares identities; None before the first use.
    size: int | None

    def __init__(self, size: int) -> None:
        self.c = ffi.new(_RECEIVER)
        self.capacity = 0
        self.size = None
        self.flags = 0
        self.memory = None
        self.view = None
        self.reserve(size)

    def reserve(self, size: int) -> None:
        """Have memory for that many bytes."""
        if size > self.capacity or self.view is None:
            capacity = max(64, 1 << max(size - 1, 0).bit_length()) if size <= KEPT_SIZE else size
            self.memory = ffi.new(_CHARS, capacity)
            self.view = ffi.buffer(self.memory)
            self.capacity = capacity
            self.c.data = self.memory

    def set(self, size: int, flags: int) -> None:
        """Receive at most that many bytes with these flags from now on."""
        if self.size != size:
            self.reserve(size)
            self.c.size = size
        self.size = size
        if self.flags != flags:
            self.c.flags = self.flags = flags


class Receiver(_Preset):
    """The receiver of one socket."""

    __slots__ = ("_handle",)

    def __init__(self, handle: CData, size: int) -> None:
        super().__init__(size)
        # The handle stays alive with the receiver.
        self._handle = handle
        self.c.handle = handle


class FullReceiver(_Preset):
    """A receiver with room for all that a message can carry: descriptors, control messages, an address."""

    __slots__ = ("most", "_fds", "_control", "_name", "_changed")

    # Owns what the next receive brings.
    _fds: OwnedFds | None

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._control = ffi.new(_CHARS, _CONTROL_SIZE)
        self._name = new_name()
        self._fds = None
        self.most = 0
        self._restore()

    def _restore(self) -> None:
        c = self.c
        c.iov, c.iovcnt = ffi.NULL, 0
        c.control, c.control_size = self._control, _CONTROL_SIZE
        c.name = self._name
        self._changed = False

    def prepare(self, size: int, flags: int, most: int = 0) -> None:
        """Receive bytes, an address, and at most so many descriptors; the others are closed."""
        self.set(size, flags)
        if most != self.most:
            self.c.most = most
        self.most = most

    def scatter(self, into: Incoming) -> None:
        """Put the bytes into the caller's buffers instead."""
        self._changed = True
        self.c.iov, self.c.iovcnt = into.iov, into.count
        self.c.size = into.size
        # That is not the size of the memory, so the next use presets it.
        self.size = None

    def discard_ancillary(self) -> None:
        """Let the kernel discard ancillary data, as recv(2) does."""
        self._changed = True
        self.c.control_size = 0

    def limit_control(self, capacity: int) -> None:
        """Let the kernel write no more control messages than a caller has room for."""
        self._changed = True
        self.c.control_size = min(capacity, _CONTROL_SIZE)

    def receive(self, handle: CData) -> int:
        """Receive: a packed result, as ``uds_handle_receive_message()`` returns it, or -errno."""
        fds = self._fds
        if fds is None:
            fds = self._fds = OwnedFds._with_slots()
        return receive_message(handle, self.c, fds._slots)

    @property
    def control(self) -> CData:
        """The control messages of the last receive, out of which C has moved the descriptors."""
        return self._control

    def sender(self) -> UnixSocketAddr:
        """Return the address that the last receive wrote."""
        return UnixSocketAddr._from_name(self._name)

    def take_fds(self, result: int) -> OwnedFds:
        """Hand on the descriptors of the last receive, of which this was the result, with their owner."""
        count = result >> 32 & 0xFF
        fds = self._fds
        if not count or fds is None:
            return OwnedFds()
        fds._count = count
        self._fds = None
        return fds


small_pool: list[FullReceiver] = []
_large_pool: list[FullReceiver] = []
os.register_at_fork(after_in_child=small_pool.clear)
os.register_at_fork(after_in_child=_large_pool.clear)


def borrow_receiver(size: int) -> FullReceiver:
    """Take a receiver from the pool, or make one."""
    try:
        receiver = (small_pool if size <= KEPT_SIZE else _large_pool).pop()
    except IndexError:
        return FullReceiver(size)
    receiver.reserve(size)
    return receiver


def return_receiver(receiver: FullReceiver) -> None:
    """Put a receiver back after a receive that succeeded, or drop it when the pool has enough."""
    if receiver._changed:
        receiver._restore()
    if receiver.capacity <= KEPT_SIZE:
        if len(small_pool) < _SMALL_COUNT:
            small_pool.append(receiver)
    else:
        room = _LARGE_SIZE - receiver.capacity - _CONTROL_SIZE
        if room >= 0 and (not _large_pool or sum([kept.capacity + _CONTROL_SIZE for kept in _large_pool]) <= room):
            _large_pool.append(receiver)
