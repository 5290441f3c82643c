"""The memory of batches: what a receive fills, and what a send points to.

Rules:
- A receive of a batch allocates no C memory: it uses memory that is popped from a pool for exclusive use.  The pool
  holds at most 1 MiB, the child of a fork begins without it, and what an exception passed through is dropped.
- Received packets lie one behind the other, so a batch has room for at least one packet of the size asked for, and for
  all of them when that is at most 256 KiB.  The same holds for copies of their control messages.
- A packet to send is copied before the first one goes: nobody can change it meanwhile.
"""

from __future__ import annotations

import os

from ._lib import ffi, lib
from .address import UnixSocketAddr
from .calls import NULL, readable
from .capabilities import require
from .credentials import Credentials
from .cut import KEPT, Places, cut, keep, lengths_of, splitter
from .fds import Borrowed, OwnedFds
from .message import check_list, which
from .naming import new_name
from .pools import trim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ._lib import CData

# UIO_MAXIOV, which is what Linux takes at once in recvmmsg(2) too.
MAX_COUNT = 1024
POOL_SIZE = 1024 * 1024
_ROOM = 256 * 1024

_BATCH = ffi.typeof("struct uds_batch *")
_OUTGOING = ffi.typeof("struct uds_outgoing_batch *")
_CHARS = ffi.typeof("char[]")
_NAMES = ffi.typeof("unsigned char[]")
_LENGTHS = ffi.typeof("unsigned int[]")
_PACKETS = ffi.typeof("struct uds_batch_packet[]")
_PACKET_SIZE = ffi.sizeof("struct uds_batch_packet")
_NAME_SIZE = ffi.sizeof("struct uds_name")
# What one packet can bring.
_CONTROL_SIZE: int = lib.UDS_BATCH_CONTROL
_CONTROL_ROOM = 256 * 1024

receive_batch = lib.uds_batch_receive
send_batch = lib.uds_handle_send_batch
send_joined = lib.uds_handle_send_joined
_unpack = ffi.unpack

TAKEN: int = lib.UDS_BATCH_TAKEN
EACH: int = lib.UDS_BATCH_EACH

# How packets of one length are taken apart, by the result that tells their number and length.
splitters: dict[int, Callable[[Any], list[bytes]]] = {}
# So few packets are sliced when there are many other ways already: they shall not drive those out.
_FEW = 4


class IncomingBatch:
    """A preset receive of a batch, with the memory that it fills."""

    __slots__ = (
        *("c", "kept", "view", "handle", "count", "size", "_preset", "fds", "_room", "_count"),
        *("_memory", "_lengths", "_places", "_packets", "_names"),
        *("_control", "_control_room", "pidfds"),
    )

    # How many bytes it keeps.
    kept: int
    # What it is preset for when only bytes are wanted, and nothing of it outlives the receive; otherwise count is None.
    # The handle's memory, not its descriptor, stays here after the last receive: the next one with the same socket
    # finds all preset.  When that socket's finalizer was interrupted, the descriptor stays with it.
    handle: CData | None
    count: int | None
    size: int
    _preset: tuple[Any, ...]
    # Owns the descriptors.
    fds: OwnedFds | None
    _memory: CData | None
    view: Any
    _lengths: CData
    _places: Places
    _packets: CData
    _names: CData | None
    _control: CData | None
    # Owns the senders' pidfds.
    pidfds: OwnedFds | None

    def __init__(self) -> None:
        self.c = ffi.new(_BATCH)
        self.handle = self.count = None
        self.size = 0
        self._preset = ()
        self.fds = self.pidfds = None
        # How much there is of each kind of memory.
        self.kept = self._room = self._count = self._control_room = 0
        self._memory = self.view = self._lengths = self._packets = self._names = self._control = None

    def prepare(self, handle: CData, preset: tuple[int, int, int, bool, int, bool, bool, bool]) -> None:
        """Receive from this socket in this way the next time.

        ``preset`` is how many packets, of what size, with which flags; whether it is a connection; and what is wanted
        beside bytes: how many descriptors, whether credentials, whether addresses, whether other messages.
        """
        # Until all is set it is preset for nothing.
        self.count = None
        if preset != self._preset:
            self._preset = ()
            self._set(*preset)
            self._preset = preset
        self.c.handle = self.handle = handle
        count, self.size, flags = preset[:3]
        unowned = self.fds is None and self.pidfds is None
        if not flags and not self.c.whole and unowned and self.kept <= POOL_SIZE:
            self.count = count

    def _set(
        self,
        count: int,
        size: int,
        flags: int,
        connection: bool,
        max_fds: int,
        credentials: bool,
        addresses: bool,
        messages: bool,
    ) -> None:
        c = self.c
        room = min(count * size, max(size, _ROOM))
        control_room = min(count * _CONTROL_SIZE, _CONTROL_ROOM) if messages else 0
        self._reserve(room, count, addresses, control_room)
        c.room, c.size, c.count, c.flags = room, size, count, flags
        c.connection, c.credentials = connection, credentials
        c.whole = bool(max_fds or credentials or addresses or messages)
        c.names = self._names if addresses else NULL
        c.most = max_fds
        if max_fds and self.fds is None:
            self._own("fds")
        c.fds = self.fds._slots if max_fds and self.fds is not None else NULL
        c.control, c.control_room = self._control if messages else NULL, control_room
        self._own("pidfds", messages and bool(lib.UDS_HAS_PASSPIDFD))

    def _own(self, name: str, wanted: bool = True) -> None:
        """Have a new owner for what C puts into the slots of this name, ``fds`` or ``pidfds``, or have none."""
        # Interrupted on the way it is preset for nothing, and has no owner of which C does not know.
        self.count, preset, self._preset = None, self._preset, ()
        setattr(self.c, name, NULL)
        setattr(self, name, None)
        if wanted:
            owner = OwnedFds._with_slots()
            setattr(self.c, name, owner._slots)
            setattr(self, name, owner)
        self._preset = preset

    def _reserve(self, room: int, count: int, addresses: bool, control_room: int) -> None:
        if self._memory is None or room > self._room:
            self._room = max(64, 1 << max(room - 1, 0).bit_length()) if room <= _ROOM else room
            self._memory = ffi.new(_CHARS, self._room)
            self.view = ffi.buffer(self._memory)
            self.c.data = self._memory
        if count > self._count:
            self._count = 1 << (count - 1).bit_length()
            starts, self._lengths = ffi.new(_LENGTHS, self._count), ffi.new(_LENGTHS, self._count)
            self._places = Places(starts, self._lengths)
            self._packets = ffi.new(_PACKETS, self._count)
            self.c.starts, self.c.lengths, self.c.packets = starts, self._lengths, self._packets
            self._names = None
        if addresses and self._names is None:
            self._names = ffi.new(_NAMES, self._count * _NAME_SIZE)
        if control_room > self._control_room:
            self._control = ffi.new(_NAMES, control_room)
            self._control_room = control_room
        names = self._count * _NAME_SIZE if self._names is not None else 0
        packets = self._count * (_PACKET_SIZE + 2 * ffi.sizeof("int"))
        self.kept = self._room + packets + names + self._control_room

    def data(self, result: int) -> list[bytes]:
        """Return the bytes of the packets of the last receive."""
        view = self.view
        count = result & TAKEN
        if count < _FEW and (count == 1 or result == count or len(splitters) >= KEPT // 2):
            data = []
            begin = 0
            for length in _unpack(self._lengths, count):
                data.append(view[begin : begin + length])
                begin += length
            return data
        if result == count:
            return cut(view, 0, self.c.used, count, self._places)
        # Packets of one length are common, and this is the fastest way there is.
        return keep(splitters, result, splitter(count, (result >> EACH) - 1, 0))(view)

    def records(self, count: int) -> CData | None:
        """Return what is known of the packets beside their bytes; None without a packet."""
        if not count:
            return None
        records = ffi.new(_PACKETS, count)
        ffi.memmove(records, self._packets, count * _PACKET_SIZE)
        return records

    def names(self, count: int) -> bytes | None:
        """Return the senders' names, one behind the other; None when they were not asked for, or without a packet."""
        if not count or self.c.names == NULL:
            return None
        return bytes(ffi.buffer(self._names)[: self._packets[count - 1].name])

    def control(self, count: int) -> list[tuple[CData, int, int]]:
        """Return for each packet where its control messages are, how long they are, and in which slot its pidfd is."""
        found = []
        begin = pidfd = 0
        for place in range(count):
            record = self._packets[place]
            found.append((self.c.control + begin, record.control - begin, pidfd))
            begin, pidfd = record.control, record.pidfds
        return found

    def take_fds(self) -> OwnedFds | None:
        """Hand on the descriptors of the last receive with the object that already owns them; None for none."""
        fds = self.fds
        if fds is None or not fds._arrived():
            return None
        self._own("fds")
        return fds

    def release(self) -> None:
        """Let go of descriptors that an interrupted receive has left, and nobody will ask for."""
        fds = self.fds
        if fds is not None and fds._arrived():
            fds.close()
            self._own("fds")
        pidfds = self.pidfds
        if pidfds is not None and pidfds._arrived():
            pidfds.close()
            self._own("pidfds")


_pool: list[IncomingBatch] = []
os.register_at_fork(after_in_child=_pool.clear)


def borrow_batch() -> IncomingBatch:
    """Take memory from the pool, or make some."""
    try:
        return _pool.pop()
    except IndexError:
        return IncomingBatch()


def return_batch(batch: IncomingBatch) -> None:
    """Put memory back after a receive that has ended in order, or drop it when the pool has enough."""
    batch.release()
    _pool.append(batch)
    if len(_pool) > 1 or batch.kept > POOL_SIZE:
        trim(_pool, _kept_by, POOL_SIZE)


def _kept_by(batch: IncomingBatch) -> int:
    return batch.kept


def address_of(name: bytes) -> UnixSocketAddr:
    """Read a name that the kernel wrote."""
    room = new_name()
    ffi.memmove(room.bytes, name, len(name))
    room.length = len(name)
    return UnixSocketAddr._from_name(room)


# --- Sending ------------------------------------------------------------------------------------


def _bytes_of(item: Any, place: int) -> bytes:
    if type(item) is bytes:
        return item
    try:
        with readable(item) as memory:
            return bytes(ffi.buffer(memory))
    except (TypeError, BufferError) as problem:
        raise which("packet", place, item, problem) from None


def pack_packets(packets: Iterable[Any]) -> tuple[int, bytes, bytes]:
    """Return how many packets there are, all of their bytes, and their lengths as C reads them."""
    if type(packets) is not list:
        check_list(packets)
    # A list, because PyPy joins one three times as fast as a tuple.
    items = list(packets)
    # The type is looked at because PyPy joins what is not contiguous, and because len() counts bytes of bytes only.
    lengths = [len(item) for item in items if type(item) is bytes]
    if len(lengths) != len(items):
        items = [_bytes_of(item, place) for place, item in enumerate(items)]
        lengths = [len(item) for item in items]
    return len(items), b"".join(items), lengths_of(len(items), "L").pack(*lengths)


def _parallel(name: str, values: Any, count: int) -> list[Any]:
    """Return what a caller passes beside the packets, one for each."""
    if isinstance(values, (str, bytes, bytearray, memoryview)) or not (
        hasattr(type(values), "__len__") and hasattr(type(values), "__getitem__")
    ):
        raise TypeError(f"{name} is a sequence as long as packets, not {type(values).__name__}")
    if len(values) != count:
        raise ValueError(f"{len(values)} items of {name} for {count} packets")
    return list(values)


class OutgoingBatch:
    """A batch with descriptors, credentials or addresses, and all that it points to."""

    __slots__ = ("_c", "_keep")

    def __init__(
        self,
        handle: CData,
        packed: tuple[int, bytes, bytes],
        fds: Any = None,
        credentials: Any = None,
        addresses: list[UnixSocketAddr] | None = None,
    ) -> None:
        count, data, lengths = packed
        self._c = c = ffi.new(_OUTGOING)
        memory = (ffi.from_buffer(data), ffi.from_buffer(lengths))
        c.handle, c.count = handle, count
        c.data, c.lengths = memory
        self._keep: list[Any] = [handle, memory]
        if fds is not None:
            self._add_fds(_parallel("fds", fds, count))
        if credentials is not None:
            self._add_credentials(_parallel("credentials", credentials, count))
        if addresses is not None:
            self._add_addresses(addresses)

    def _new(self, ctype: str, values: list[Any]) -> CData:
        memory = ffi.new(ctype, values)
        self._keep.append(memory)
        return memory

    def _add_fds(self, sets: list[Any]) -> None:
        borrowed = [Borrowed(() if fds is None else fds) for fds in sets]
        numbers: list[int] = []
        owners: list[CData] = []
        owned = False
        for one in borrowed:
            numbers += one.numbers
            owners += one.owners or [NULL] * len(one.numbers)
            owned = owned or one.owners is not None
        self._keep.append(borrowed)
        c = self._c
        c.fds = self._new("int[]", numbers)
        c.fd_counts = self._new("int[]", [len(one.numbers) for one in borrowed])
        if owned:
            c.owners = self._new("struct uds_handle *[]", owners)

    def _add_credentials(self, values: list[Any]) -> None:
        for place, one in enumerate(values):
            if one is not None and not isinstance(one, Credentials):
                raise TypeError(f"credentials {place} is a Credentials or None, not {type(one).__name__}")
        if any(one is not None for one in values):
            require("credentials")
            require("send_credentials")
            c = self._c
            c.credentials = self._new(
                "struct ucred[]", [(0, 0, 0) if one is None else (one.pid, one.uid, one.gid) for one in values]
            )
            c.with_credentials = self._new("int[]", [one is not None for one in values])

    def _add_addresses(self, addresses: list[UnixSocketAddr]) -> None:
        raw = [address._raw() for address in addresses]
        self._keep.append(raw)
        self._c.addresses = self._new("struct sockaddr_un *[]", [sockaddr for sockaddr, _ in raw])
        self._c.address_lengths = self._new("socklen_t[]", [length for _, length in raw])

    def attempt(self, first: int, flags: int) -> int:
        """Send packets from the first on; returns how many went, or -errno when none did."""
        self._c.flags = flags
        return lib.uds_batch_send(self._c, first)
