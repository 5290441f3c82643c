"""Receivers: preset receives, with the memory that they fill.

Rules:
- The hot path allocates no C memory: a receiver is popped from a list for exclusive use, so that threads and signal
  handlers that receive on the same socket have one of their own.
- A socket keeps one receiver of at most 16 KiB, made at its first receive.  Larger ones, and those with room for
  everything that a message can carry, come from a pool of at most 1 MiB.  The child of a fork begins without it.
- Whatever an exception passed through is dropped: a signal handler may have raised half-way through an update.
- A receiver in the pool is as it was made: whoever changed more than size, flags and the number of descriptors has it
  restored when it goes back.
"""

from __future__ import annotations

import os

from ._lib import ffi, lib
from .address import UnixSocketAddr
from .fd import OwnedFds
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


class Receiver:
    """A preset receive into memory of its own."""

    __slots__ = ("c", "size", "flags", "capacity", "memory", "view", "_handle")

    view: Any
    size: int | None

    def __init__(self, handle: CData, size: int) -> None:
        self.c = ffi.new(_RECEIVER)
        self.capacity = 0
        # No size that a caller could ask for: the first use presets it.
        self.size = None
        self.flags = 0
        self.memory = None
        self.view = None
        self.bind(handle)
        self.reserve(size)

    def bind(self, handle: CData) -> None:
        """Receive from this socket; its handle stays alive with the receiver."""
        self._handle = handle
        self.c.handle = handle

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
        self.reserve(check_size(size))
        self.c.size = self.size = size
        self.c.flags = self.flags = flags


class FullReceiver(Receiver):
    """A receiver with room for all that a message can carry: descriptors, control messages, an address."""

    __slots__ = ("fds", "_control", "_name", "_most", "_changed")

    fds: OwnedFds

    def __init__(self, handle: CData, size: int) -> None:
        super().__init__(handle, size)
        self._control = ffi.new(_CHARS, _CONTROL_SIZE)
        self._name = new_name()
        self._most = 0
        self._restore()
        self._own()

    def _own(self) -> None:
        self.fds = OwnedFds._with_slots()
        self.c.fds = self.fds._slots

    def _restore(self) -> None:
        c = self.c
        c.iov, c.iovcnt = ffi.NULL, 0
        c.control, c.control_size = self._control, _CONTROL_SIZE
        c.name = self._name
        self._changed = False

    def prepare(self, size: int, flags: int, most: int = 0) -> None:
        """Receive bytes, an address, and at most so many descriptors; the others are closed."""
        if size != self.size or flags != self.flags:
            self.set(size, flags)
        if most != self._most:
            self.c.most = self._most = most

    def scatter(self, into: Incoming) -> None:
        """Put the bytes into the caller's buffers instead."""
        self._changed = True
        self.c.iov, self.c.iovcnt = into.iov, into.count

    def discard_ancillary(self) -> None:
        """Let the kernel discard ancillary data, as recv(2) does."""
        self._changed = True
        self.c.control_size = 0

    def limit_control(self, capacity: int) -> None:
        """Let the kernel write no more control messages than a caller has room for."""
        self._changed = True
        self.c.control_size = min(capacity, _CONTROL_SIZE)

    @property
    def control(self) -> CData:
        """The control messages of the last receive, out of which C has moved the descriptors."""
        return self._control

    def sender(self) -> UnixSocketAddr:
        """Return the address that the last receive wrote."""
        return UnixSocketAddr._from_name(self._name)

    def take_fds(self) -> OwnedFds:
        """Hand on the descriptors of the last receive with the object that already owns them."""
        fds = self.fds
        if not len(fds):
            return OwnedFds()
        self._own()
        return fds

    def release(self) -> None:
        """Let go of the socket and of all that belongs to the caller."""
        self._handle = None
        self.c.handle = ffi.NULL
        if len(self.fds):
            # An interrupted receive left descriptors here, and nobody will ask for them.
            self.fds.close()
            self._own()
        if self._changed:
            self._restore()


_pool: list[FullReceiver] = []
os.register_at_fork(after_in_child=_pool.clear)


def borrow_receiver(handle: CData, size: int) -> FullReceiver:
    """Take a receiver from the pool, or make one."""
    try:
        receiver = _pool.pop()
    except IndexError:
        return FullReceiver(handle, size)
    receiver.bind(handle)
    return receiver


def return_receiver(receiver: FullReceiver) -> None:
    """Put a receiver back after a receive that succeeded, or drop it when the pool has enough."""
    receiver.release()
    if receiver.capacity <= KEPT_SIZE:
        if len(_pool) < _SMALL_COUNT:
            _pool.append(receiver)
    elif sum(kept.capacity for kept in _pool if kept.capacity > KEPT_SIZE) + receiver.capacity <= _LARGE_SIZE:
        _pool.append(receiver)
