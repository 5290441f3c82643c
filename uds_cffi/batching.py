"""Sending and receiving many packets in one call.

Rules:
- Whatever can be refused is refused before the first packet goes.
- What happened is reported exactly: after a packet has gone or come, the call returns, and an error behind it is met
  by the next call (sending), or is in the batch (receiving).
"""

from __future__ import annotations

import errno

from . import calls
from .address import UnixSocketAddr
from .batch import PacketBatch, decode_packets
from .batchmemory import (
    EACH,
    MAX_COUNT,
    TAKEN,
    OutgoingBatch,
    _pool,
    borrow_batch,
    pack_packets,
    receive_batch,
    return_batch,
    splitters,
)
from .batchmemory import send_batch as c_send_batch
from .batchmemory import send_joined as c_send_joined
from .calls import MSG_DONTWAIT, MSG_PEEK, POLLIN
from .capabilities import require
from .cut import HOLE, join
from .errors import error
from .flags import RECV_BATCH, SEND, check_flags
from .message import check_list
from .receiver import SMALL_SIZE, check_max_fds, check_size
from .sending import Sending
from .waiting import deadline_of, is_over, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

    from .batchmemory import IncomingBatch


_EILSEQ = -errno.EILSEQ


def _refuse_count(count: Any) -> NoReturn:
    if type(count) is not int:
        raise TypeError(f"a number of packets is an int, not {type(count).__name__}")
    raise ValueError(f"a batch is of 1 to {MAX_COUNT} packets, not {count}")


def _check_receive_flags(flags: Any) -> int:
    if isinstance(flags, int) and flags & MSG_PEEK:
        raise ValueError("MSG_PEEK is not for a batch: each peek sees the first packet again; peek() shows it")
    return check_flags(flags, RECV_BATCH)


def _targets(addrs: Any, count: int) -> list[UnixSocketAddr]:
    """Return an address for each packet."""
    if not isinstance(addrs, (list, tuple)):
        return [UnixSocketAddr._coerce(addrs)._peer()] * count
    if len(addrs) != count:
        raise ValueError(f"{len(addrs)} addresses for {count} packets")
    return [UnixSocketAddr._coerce(addr)._peer() for addr in addrs]


class Batching(Sending):
    """Packet sockets, able to send and receive batches."""

    __slots__ = ()

    _connection_ends: bool

    def send_batch(self, packets: Iterable[Any], flags: int = 0, *, fds: Any = None, credentials: Any = None) -> int:
        """Send several packets, one after the other, in one call (send(2) for each, sendmsg(2) with what goes beside).

        It waits until all went, for the write timeout in all.  Everything that can be checked is checked before the
        first packet goes.

        Args:
            packets: an iterable of contiguous bytes-like objects; an empty one is an empty packet.
            flags: MSG_DONTWAIT, MSG_EOR (int).
            fds: None, or a sequence as long as packets of None or an iterable of up to 253 descriptors, ints and
                objects with ``fileno()``; they stay the caller's, and may be closed as soon as this returns.
            credentials: None, or a sequence as long as packets of None or a Credentials.

        Returns:
            How many packets went (int), the first ones: all of them, or fewer when an error, a timeout, or that it
            would block, ended it; the next call with the others meets that again.

        Raises:
            TypeError, ValueError, BufferError: bad arguments; nothing was sent.
            FeatureUnavailable: "credentials", this build has none per message; nothing was sent.
            OSError: nothing was sent, and what the first packet met: as for ``send_fds()``.
        """
        if fds is not None or credentials is not None:
            return self._send_batch(packets, flags, fds, credentials, None)
        if flags != 0:
            flags = check_flags(flags, SEND)
        if type(packets) is not list:
            check_list(packets)
            packets = list(packets)
        joined = join(packets)
        if joined is not None:
            count = len(packets)
            sent = c_send_joined(self._handle, joined, len(joined), count, self._send_flags | flags)
            if sent == count:
                return count
            if sent != _EILSEQ:
                # The others go from the same copy.
                return self._send_packed(pack_packets(joined.split(HOLE)), flags, None, None, sent)
        return self._send_packed(pack_packets(packets), flags, None, None, None)

    def _send_batch(self, packets: Iterable[Any], flags: int, fds: Any, credentials: Any, addrs: Any) -> int:
        flags = check_flags(flags, SEND)
        packed = pack_packets(packets)
        targets = None if addrs is None else _targets(addrs, packed[0])
        outgoing = OutgoingBatch(self._handle, packed, fds, credentials, targets)
        return self._send_packed(packed, flags, outgoing, targets, None)

    def _send_packed(
        self,
        packed: tuple[int, bytes, bytes],
        flags: int,
        outgoing: OutgoingBatch | None,
        targets: list[UnixSocketAddr] | None,
        result: int | None,
    ) -> int:
        """Send until all went or an error comes, unless ``result`` is what a first attempt has returned."""
        count, data, lengths = packed
        if not count:
            self._check_open()
            return 0
        sent = 0

        def attempt() -> int:
            if outgoing is None:
                return c_send_batch(self._handle, data, lengths, sent, count, self._send_flags | flags)
            return outgoing.attempt(sent, self._send_flags | flags)

        deadline = deadline_of(self._write_timeout)
        while True:
            result = self._write_code(attempt, flags, deadline, result)
            if result < 0:
                break
            sent += result
            if sent == count or is_over(deadline):
                return sent
            result = None
        if not sent:
            raise error(-result, None if targets is None else targets[0])
        # The next call meets it again.
        return sent

    def recv_batch(
        self,
        count: int,
        size: int,
        flags: int = 0,
        *,
        max_fds: int = 0,
        credentials: bool = False,
        addresses: bool = False,
        messages: bool = False,
    ) -> PacketBatch:
        """Receive several packets in one call (recv(2) for each, recvmsg(2) when more than bytes is asked for).

        It waits for the first packet only, and takes what is there then.

        Args:
            count: at most how many packets, 1 to 1024 (int).
            size: at most how many bytes of each; the rest of a packet is gone, and the packet says so (int).
            flags: MSG_DONTWAIT, MSG_TRUNC, MSG_CMSG_CLOEXEC (int); the last two change nothing.
            max_fds: how many descriptors are wanted of each packet, 0 to 253 (int); the others are closed, and
                counted.
            credentials: whether the senders' credentials are wanted (bool); they come when
                ``options.pass_credentials`` is on.
            addresses: whether the senders' addresses are wanted (bool).
            messages: whether the other control messages are wanted, as ``recv_ancillary`` gives them (bool):
                ScmTimestamp, ScmCredentials, ScmPidfd and ScmSecurity where their options are on, what registered
                decoders make of others, and UnknownControlMessage.  They are decoded by this call; descriptors that
                were passed are not among them.

        Returns:
            A PacketBatch: at least one packet, or none exactly at the end of the connection.  There may be fewer than
            ``count`` although more are queued: a batch holds ``size`` or 256 KiB, whichever is more, 253 descriptors,
            253 pidfds and 256 KiB of control messages, and ends before a packet for which there might not be room.
            With ``max_fds`` it ends behind one of which the kernel dropped descriptors (RLIMIT_NOFILE).
            Without ``max_fds``, ``credentials``, ``addresses`` and ``messages`` ancillary data is discarded,
            descriptors included, as recv(2) does.

        Raises:
            TypeError, ValueError: bad arguments; the kernel was not asked.  A peek sees only the first packet, so
                MSG_PEEK is one.
            FeatureUnavailable: "credentials", this build has none per message.
            OSError: before the first packet: ConnectionResetError, BlockingIOError, TimeoutError, ...; behind one it is
                in the batch.
        """
        handle = self._handle
        incoming = borrow_batch()
        if (
            (incoming.count is not count or incoming.size is not size or incoming.handle is not handle)
            or (flags != 0 or max_fds != 0)
            or (credentials or addresses or messages)
        ):
            wanted = bool(credentials), bool(addresses), bool(messages)
            flags = self._prepare_batch(incoming, count, size, flags, max_fds, *wanted)
        result = receive_batch(incoming.c)
        split = splitters.get(result)
        if incoming.count is None:
            return self._unpack_batch(incoming, result, flags)
        if split is not None:
            batch = PacketBatch(split(incoming.view), False, None)
        elif result & TAKEN == 1 < result:
            batch = PacketBatch([incoming.view[: (result >> EACH) - 1]], False, None)
        else:
            return self._unpack_batch(incoming, result, flags)
        if _pool:
            return_batch(incoming)
        else:
            # It was preset for no more than bytes, so it has nothing to let go, and its memory is within the limit.
            _pool.append(incoming)
        return batch

    def _prepare_batch(
        self,
        incoming: IncomingBatch,
        count: int,
        size: int,
        flags: int,
        max_fds: int,
        credentials: bool,
        addresses: bool,
        messages: bool,
    ) -> int:
        """Check how a batch is wanted, and let it be received in this way; returns the flags."""
        try:
            if flags != 0:
                flags = _check_receive_flags(flags)
            if type(count) is not int or not 1 <= count <= MAX_COUNT:
                _refuse_count(count)
            if type(size) is not int or not 0 <= size <= SMALL_SIZE:
                check_size(size)
            if max_fds != 0:
                check_max_fds(max_fds)
            if credentials:
                require("credentials")
        except BaseException:
            return_batch(incoming)
            raise
        wanted = (max_fds, credentials, addresses, messages)
        incoming.prepare(self._handle, (count, size, flags, self._connection_ends, *wanted))
        return flags

    def _unpack_batch(self, incoming: IncomingBatch, result: int, flags: int) -> PacketBatch:
        """Make a batch of whatever a receive has brought, after bringing it to its end."""
        if result < 0:
            result = self._finish_batch(incoming, result, flags)
        c = incoming.c
        taken = result & TAKEN
        data = incoming.data(result) if taken else []
        if taken and c.plain:
            batch = PacketBatch(data, False, None)
        else:
            try:
                messages = decode_packets(incoming, taken)
            except BaseException:
                # A signal handler raised, or what a user's decoder does not catch: nobody will ask for the packets.
                incoming.release()
                raise
            batch = PacketBatch(
                data,
                taken == 0 or c.ended != 0,
                error(c.error) if c.error else None,
                incoming.records(taken),
                incoming.names(taken),
                incoming.take_fds(),
                messages,
            )
        return_batch(incoming)
        return batch

    def _finish_batch(self, incoming: IncomingBatch, taken: int, flags: int) -> int:
        """Bring a receive that failed at first to its end; after an error of the kernel the memory is kept too."""
        timeout, deadline = self._read_timeout, None

        def attempt() -> int:
            return receive_batch(incoming.c)

        if timeout is None and taken == -errno.EAGAIN and not flags & MSG_DONTWAIT:
            # No attempt blocks in the kernel, so its own timeout is kept here.
            microseconds = calls.get_timeout(self._handle, calls.SO_RCVTIMEO)
            if microseconds:
                deadline = now() + microseconds / 1e6
        try:
            taken = self._finish(attempt, flags, deadline, taken, timeout, POLLIN, kernel_timeout=0, end=0)
        except BaseException:
            # A signal handler's, which perhaps ran when descriptors had come.
            incoming.release()
            raise
        if taken < 0:
            return_batch(incoming)
            raise error(-taken)
        return taken
