"""PacketBatch: the packets of one receive.

Rules:
- The bytes are there at once; whatever else a packet has is made when it is asked for, but for descriptors and control
  messages: each of these is decoded by the receive that brings it, with the decoders of that time.
- The descriptors of all packets have one owner from before they arrive.  They are divided among the packets at once, so
  that threads that share a batch find the same sets.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from operator import index as as_int

from .batchmemory import address_of
from .calls import fds_take
from .control import PIDFD, ScmCredentials, close_unread, decode_one, decode_pidfd, items
from .fds import OwnedFds
from .owner import refuse_copy
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, overload

    from ._lib import CData
    from .address import UnixSocketAddr
    from .batchmemory import IncomingBatch

    class BatchPacket(NamedTuple):
        """One packet of a batch."""

        data: bytes
        truncated: bool
        fds: OwnedFds
        lost: int | None
        credentials: ScmCredentials | None
        addr: UnixSocketAddr | None
        messages: tuple[Any, ...]

    _Packets = Sequence[BatchPacket]

else:

    def overload(function):
        """Stand in for ``typing.overload``, whose import would cost more than all of this package."""
        return function

    class BatchPacket(namedtuple("BatchPacket", "data truncated fds lost credentials addr messages")):
        """One packet of a batch.

        Attributes:
            data: its bytes (bytes); b"" is an empty packet.
            truncated: whether it was longer than the size asked for (bool).
            fds: its descriptors (OwnedFds), close-on-exec; empty when none came or none were asked for.
            lost: how many descriptors were closed because they were more than ``max_fds`` (int), or None when the
                kernel itself dropped some (MSG_CTRUNC of recvmsg(2)).  0 also when the batch was received without
                ``max_fds``, ``credentials``, ``addresses`` and ``messages``: then ancillary data is discarded, and
                nobody counts.
            credentials: the sender's (ScmCredentials), or None when they were not asked for or did not come.
            addr: the sender's address (UnixSocketAddr), unnamed when it has none; None when it was not asked for.
            messages: its control messages (tuple), the values that ``Received.messages`` has, in the kernel's order;
                empty when they were not asked for.  ScmCredentials is one of them whenever it came; ScmRights never is:
                passed descriptors are in ``fds``, and counted in ``lost``.
        """

        __slots__ = ()

    _Packets = Sequence

_new = tuple.__new__


def decode_packets(incoming: IncomingBatch, count: int) -> list[tuple[Any, ...]] | None:
    """Decode the control messages of each packet of the last receive; None when they were not asked for."""
    if not incoming.c.control:
        return None
    found: list[list[Any]] = []
    senders: list[tuple[list[Any], int, int]] = []
    for control, length, pidfd in incoming.control(count):
        messages: list[Any] = []
        for level, kind, data in items(control, length) if length else ():
            if (level, kind) == PIDFD:
                senders.append((messages, len(messages), pidfd))
            messages.append(decode_one(level, kind, data))
        found.append(messages)
    pidfds = incoming.pidfds
    if pidfds is not None:
        pidfds._arrived()
        try:
            # Last, because a user's decoder may raise; until here the slots own all of them.
            for messages, place, pidfd in senders:
                messages[place] = decode_pidfd(messages[place], fds_take, pidfds._slots, pidfds._generation, pidfd)
        except BaseException:
            for messages in found:
                close_unread(messages)
            raise
    return list(map(tuple, found))


class PacketBatch(Closing, _Packets):
    """The packets of one ``recv_batch()``: a sequence of BatchPacket, which are made on demand.

    Attributes:
        data: the bytes of the packets (list of bytes).
        ended: whether the connection had ended behind these packets (bool); without a packet it had ended before.
            False says nothing: the end is found only by looking for a further packet.
        error: what the kernel reported behind at least one packet (OSError), or None.  It reports most errors
            once: the next call does not meet them again.

    ``close()``, leaving a ``with`` block, or, with a ResourceWarning, the garbage collector closes the descriptors that
    were not taken out of ``fds``, and those of each ScmPidfd whose ``fd`` nobody has read.
    """

    __slots__ = ("data", "ended", "error", "_records", "_names", "_fds", "_messages")

    data: list[bytes]
    ended: bool
    error: OSError | None
    # None when there is nothing beside the bytes; the others are then not set.
    _records: CData
    _names: bytes | None
    # The sets of the packets that have descriptors, by place.
    _fds: dict[int, OwnedFds] | None
    # Those of each packet, or None when nobody asked.
    _messages: list[tuple[Any, ...]] | None

    def __init__(
        self,
        data: list[bytes],
        ended: bool,
        error: OSError | None,
        records: CData = None,
        names: bytes | None = None,
        fds: OwnedFds | None = None,
        messages: list[tuple[Any, ...]] | None = None,
    ) -> None:
        self.data = data
        self.ended = ended
        self.error = error
        self._records = records
        if records is not None:
            self._names = names
            self._messages = messages
            self._fds = None if fds is None else self._divide(fds)

    def _divide(self, fds: OwnedFds) -> dict[int, OwnedFds]:
        """Give each packet the descriptors that came with it."""
        sets: dict[int, OwnedFds] = {}
        first = 0
        for place in range(len(self.data)):
            end = self._records[place].fds
            if end > first:
                sets[place] = fds._share(first, end - first)
                first = end
        return sets

    def __len__(self) -> int:
        return len(self.data)

    @overload
    def __getitem__(self, index: int) -> BatchPacket: ...
    @overload
    def __getitem__(self, index: slice) -> list[BatchPacket]: ...  # noqa: F811
    def __getitem__(self, index: int | slice) -> BatchPacket | list[BatchPacket]:  # noqa: F811
        """Return a packet, or a list of packets for a slice.

        Raises:
            IndexError: there is no such packet.
            TypeError: neither an int nor a slice.
        """
        count = len(self.data)
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(count))]
        place = as_int(index)
        place += count if place < 0 else 0
        if not 0 <= place < count:
            raise IndexError(f"packet {index} of {count}")
        data, records = self.data[place], self._records
        if records is None:
            return _new(BatchPacket, (data, False, OwnedFds(), 0, None, None, ()))
        record = records[place]
        lost = None if record.cut else record.surplus
        credentials = None
        if record.has_credentials:
            credentials = ScmCredentials(record.pid or None, record.uid, record.gid)
        addr = None
        if self._names is not None:
            addr = address_of(self._names[records[place - 1].name if place else 0 : record.name])
        fds = None if self._fds is None else self._fds.get(place)
        if fds is None:
            fds = OwnedFds()
        messages = () if self._messages is None else self._messages[place]
        return _new(BatchPacket, (data, bool(record.truncated), fds, lost, credentials, addr, messages))

    def close(self) -> None:
        """Close the descriptors of all packets, but for those that were taken out of their sets and messages."""
        if self._records is None:
            return
        if self._fds is not None:
            for fds in self._fds.values():
                fds.close()
        if self._messages is not None:
            for messages in self._messages:
                close_unread(messages)

    __getstate__ = refuse_copy

    def __repr__(self) -> str:
        state = " ended" if self.ended else ""
        return f"<PacketBatch of {len(self.data)}{state}{f' {self.error!r}' if self.error else ''}>"
