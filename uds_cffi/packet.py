"""What the packet sockets share: each receive brings one packet, and says whether it was cut.

Rule: a packet that did not fit is reported as truncated, never passed off as whole.
"""

from __future__ import annotations

import errno
from functools import partial

from . import calls
from .batching import Batching
from .calls import (
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_TRUNC,
    PACKET_END,
    POLLIN,
    TRUNC_LENGTH,
    check,
    from_buffer,
    receive_packet,
    release,
    writable,
)
from .calls import recv_packet as c_recv_packet
from .errors import error
from .flags import PEEK, RECV_PACKET, check_flags
from .receiver import SMALL_SIZE, Receiver, adapt, borrow_receiver, give_small, return_receiver, take_small
from .receiving import Receiving
from .results import Packet, PacketFds, PacketInto
from .vectors import scatter, small_size
from .waiting import try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_new = tuple.__new__


class PacketSocket(Batching, Receiving):
    """Base of the sockets that send and receive packets.

    ``recv``, ``recv_into``, ``recv_vectored``, ``recv_packet`` and ``peek`` discard ancillary data, descriptors
    included, as recv(2) does; ``options.pass_rights = False`` refuses descriptors altogether.
    """

    __slots__ = ()

    # Makes the kernel tell the real length of a packet that it cuts.
    _always_asks = MSG_TRUNC if TRUNC_LENGTH else 0
    # Whether the peer can end the connection.
    _connection_ends = True

    def recv(self, size: int, flags: int = 0) -> Packet:
        """Receive one packet, at most ``size`` bytes of it (recv(2)); the rest of it is gone, ancillary data too.

        Args:
            size: in bytes (int).  With 0 a whole packet is thrown away.
            flags: MSG_PEEK, MSG_DONTWAIT, MSG_TRUNC (int); MSG_TRUNC changes nothing here.

        Returns:
            Packet(data, truncated).  Empty data is an empty packet or the end of the connection, which
            ``recv_packet()`` tells apart.

        Raises:
            TypeError, ValueError: bad arguments; the kernel was not asked.
            OSError: ConnectionResetError, BlockingIOError, TimeoutError, ...
        """
        if flags != 0:
            return self._recv_any(size, check_flags(flags, RECV_PACKET))
        try:
            receiver = take_small()
        except IndexError:
            receiver = Receiver(0)
        if (receiver.token is not self._token or receiver.size is not size) and not adapt(
            receiver, self._token, self._handle, size, self._recv_flags
        ):
            return self._recv_any(size, 0)
        count = receive_packet(receiver.c)
        if count < 0:
            count = self._finish_receive(receive_packet, receiver, 0, count)
        # A slice ends at the end of the memory, and the memory may be larger than the size asked for.
        data = receiver.view[:count] if count <= size else receiver.view[:size]
        give_small(receiver)
        return _new(Packet, (data, count > size))

    def _recv_any(self, size: int, flags: int) -> Packet:
        data, count = self._receive(receive_packet, size, flags)
        return _new(Packet, (data, count > size))

    def try_recv(self, size: int, flags: int = 0) -> Packet | None:
        """Receive a packet that is there, or None when there is none yet; otherwise as ``recv()``."""
        if flags != 0:
            flags = check_flags(flags, RECV_PACKET)
        received = self._try_receive(receive_packet, size, flags)
        return None if received is None else _new(Packet, (received[0], received[1] > size))

    def recv_into(self, buffer: Any, flags: int = 0) -> PacketInto:
        """Receive one packet into a writable contiguous buffer; what does not fit is gone, ancillary data too.

        Returns:
            PacketInto(nbytes, truncated).

        Raises:
            TypeError, BufferError: the buffer is read-only, or not contiguous.
            ValueError, OSError: as for ``recv()``, and the same flags.
        """
        count = None
        if flags != 0:
            flags = check_flags(flags, RECV_PACKET)
        elif type(buffer) is bytearray and buffer:
            # The commonest buffer is always writable and contiguous.
            memory = from_buffer(buffer)
            size = len(memory)
            try:
                count = c_recv_packet(self._handle, memory, size, self._recv_flags)
            finally:
                # Neither a traceback nor an interpreter that counts no references may keep the buffer's size fixed.
                release(memory)
            if count >= 0:
                return _new(PacketInto, (count, False) if count <= size else (size, True))
        with writable(buffer) as memory:
            size = len(memory)

            def attempt() -> int:
                return c_recv_packet(self._handle, memory, size, self._recv_flags | flags)

            count = self._read(attempt, flags, result=count)
            return _new(PacketInto, (min(count, size), count > size))

    def try_recv_into(self, buffer: Any, flags: int = 0) -> PacketInto | None:
        """Receive a packet that is there into a buffer, or None when there is none yet."""
        flags = check_flags(flags, RECV_PACKET)
        with writable(buffer) as memory:
            size = len(memory)
            count = try_once(lambda: c_recv_packet(self._handle, memory, size, flags | MSG_DONTWAIT))
            return None if count is None else _new(PacketInto, (min(count, size), count > size))

    def recv_vectored(self, buffers: Iterable[Any], flags: int = 0) -> PacketInto:
        """Receive one packet into several writable buffers, one after the other.

        This is recvmsg(2); a few small bytearrays are filled after one recv(2).

        Returns:
            PacketInto(nbytes, truncated).

        Raises:
            ValueError: more than IOV_MAX buffers; the kernel was not asked.
            TypeError, BufferError, OSError: as for ``recv_into()``, and the same flags.
        """
        size = small_size(buffers)
        if size is not None:
            data, truncated = self.recv(size, flags)
            scatter(data, buffers)
            return _new(PacketInto, (len(data), truncated))
        return _new(PacketInto, self._recv_scattered(buffers, check_flags(flags, RECV_PACKET))[:2])

    def peek(self, size: int, flags: int = 0) -> Packet:
        """Receive one packet that stays in the queue (MSG_PEEK of recv(2)); otherwise as ``recv()``."""
        return self.recv(size, check_flags(flags, PEEK) | MSG_PEEK)

    def peek_vectored(self, buffers: Iterable[Any], flags: int = 0) -> PacketInto:
        """Fill several buffers with one packet that stays in the queue; otherwise as ``recv_vectored()``."""
        return self.recv_vectored(buffers, check_flags(flags, PEEK) | MSG_PEEK)

    def recv_packet(self, flags: int = 0) -> bytes | None:
        """Receive one whole packet, however large; ancillary data is discarded.  The flags are MSG_DONTWAIT or 0 (int).

        An empty packet is told from the end of the connection by switching SO_TIMESTAMPNS on for a moment, which makes
        a queued packet carry a timestamp and the end carry none; only when the length is 0, and only where
        ``features()["packet_end"]`` is there: elsewhere length 0 is the end of a connection, so that loops end, and an
        empty packet on a datagram socket, which no peer can end.  It is exact for one reader at a time: of several, one
        may get an empty packet at the end that another has taken already.

        Returns:
            bytes, or None exactly at the end of the connection.

        Raises:
            OSError: ConnectionResetError, BlockingIOError, TimeoutError, ...; EMSGSIZE when another reader took the
                packet whose length was asked for and a longer one followed, which then was cut.
        """
        flags = check_flags(flags, MSG_DONTWAIT)
        while True:
            size = self._next_length(flags)
            if size == 0 and not self._packet_waits():
                return None
            receiver = borrow_receiver(size)
            memory = receiver.memory
            count = try_once(partial(c_recv_packet, self._handle, memory, size, MSG_DONTWAIT))
            data: bytes = receiver.view[: min(count or 0, size)]
            return_receiver(receiver)
            if count is None:
                # Another reader was quicker; or a datagram socket was shut down, and the system cannot tell.
                if size == 0 and not PACKET_END:
                    return None
                continue
            if count > size:
                raise error(errno.EMSGSIZE)
            if not count and size and not self._packet_waits():
                # Another reader took the packet, and what was read instead is the end.
                return None
            return data

    def _next_length(self, flags: int) -> int:
        """Wait for a packet and return its length."""
        if TRUNC_LENGTH:

            def attempt() -> int:
                return calls.packet_length(self._handle, self._recv_flags | flags)

            return self._read(attempt, flags)
        room = SMALL_SIZE
        while True:
            packet = self.peek(room, flags)
            if not packet.truncated:
                return len(packet.data)
            room *= 2

    def _packet_waits(self) -> bool:
        """Whether a length of 0 is that of a packet."""
        if not PACKET_END:
            # Only a connection can be ended by the peer.
            return not self._connection_ends
        waiting = try_once(lambda: calls.packet_waiting(self._handle))
        if waiting is None:
            # Another reader took it, and the caller looks again; or this is a datagram socket after SHUT_RD.
            return not check(calls.wait(self._handle, POLLIN, 0)) & calls.HANGUP
        return waiting > 0

    def recv_fds(self, size: int, max_fds: int, flags: int = 0) -> PacketFds:
        """Receive one packet and the descriptors that came with it (recvmsg(2)).

        There is always room for 253 descriptors and for every other control message, which is discarded.

        Args:
            size: at most how many bytes (int).
            max_fds: how many descriptors are wanted, 0 to 253 (int).
            flags: MSG_PEEK, MSG_DONTWAIT (int).  A peek duplicates the descriptors each time.

        Returns:
            PacketFds(data, truncated, fds); ``fds`` (OwnedFds), close-on-exec, owns the descriptors.

        Raises:
            AncillaryTruncated: descriptors were lost: more than ``max_fds`` came, and those were closed, or the kernel
                dropped some; it has ``data``, ``fds`` and ``lost``.
            TypeError, ValueError, OSError: as for ``recv()``.
        """
        return _new(PacketFds, self._recv_with_fds(size, max_fds, flags))

    def try_recv_fds(self, size: int, max_fds: int, flags: int = 0) -> PacketFds | None:
        """Receive a packet and its descriptors if one is there: otherwise None; the rest is as for ``recv_fds()``."""
        received = self._try_recv_with_fds(size, max_fds, flags)
        return None if received is None else _new(PacketFds, received)
