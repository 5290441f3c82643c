"""Receiving, in the shapes that every type has.

Rules:
- Descriptors that arrive are owned from the moment the system call returns, by the receiver's own set, and are handed
  on with it.
- ``recv_fds`` and ``recv_ancillary`` report everything that was lost.  The plain receives discard ancillary data by
  contract, as recv(2) does.
"""

from __future__ import annotations

from .address import UnixSocketAddr
from .calls import (
    ANCILLARY_CUT,
    CUT,
    LOST,
    MSG_DONTWAIT,
    ONE_FD,
    SCM_MAX_FD,
    SIZE_MASK,
    TRUNC_LENGTH,
    receive_fds,
    receive_packed,
)
from .errors import error
from .flags import RECV_MESSAGE, check_flags
from .message import Ancillary, Incoming, check_ancillary
from .received import AncillaryTruncated, Received
from .receiver import (
    SMALL_SIZE,
    Receiver,
    check_max_fds,
    give_small,
    preset,
    read_facts,
    return_receiver,
    take_small,
)
from .sending import Sending
from .waiting import try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .ancillary import SocketAncillary
    from .fds import OwnedFds


_new = object.__new__
_UNNAMED = UnixSocketAddr.unnamed()


class Receiving(Sending):
    """Connected sockets, able to send and to receive."""

    __slots__ = ()

    def _receive_message(
        self,
        receiver: Receiver,
        receive: Callable[[], int],
        flags: int,
        result: int | None = None,
        expected: int = 0,
    ) -> int:
        """Receive with a receiver of the pool, unless that was tried, and bring it to its end.

        The result is packed.  An error of the kernel is raised, but for the ``expected`` one, which is -errno: that is
        returned.
        """
        try:
            result = self._read_code(receive, flags, result=result)
        except BaseException:
            # A signal handler's, which perhaps ran when descriptors had come.
            receiver.close_fds()
            raise
        if result < 0:
            return_receiver(receiver)
            if result != expected:
                raise error(-result)
        return result

    def _recv_with_fds(self, size: int, max_fds: int, flags: int) -> tuple[bytes, bool, OwnedFds]:
        """Receive bytes and descriptors, and say whether a packet was cut."""
        if flags != 0:
            flags = check_flags(flags, RECV_MESSAGE)
            receiver = preset(self._handle, size, self._recv_flags | flags, check_max_fds(max_fds))
            result = self._receive_message(receiver, receiver.receive_fds, flags)
            return self._unpack(receiver, result)
        try:
            receiver = take_small()
        except IndexError:
            receiver = Receiver(0)
        # The objects of the last call were of the right types and values.
        token = self._token
        if receiver.token is not token or receiver.size is not size or receiver.wants is not max_fds:
            return_receiver(receiver)
            most = check_max_fds(max_fds)
            receiver = preset(self._handle, size, self._recv_flags, most, token, wants=max_fds)
        fds = receiver.fds
        if fds is None:
            fds = receiver.own()
        result = receive_fds(receiver.c)
        if result < 0:
            result = self._receive_message(receiver, receiver.receive_fds, flags, result)
        if result & LOST or result < ONE_FD or receiver.capacity > SMALL_SIZE:
            return self._unpack(receiver, result)
        data: bytes = receiver.view[: result & SIZE_MASK]
        fds._count = result >> 32
        receiver.fds = None
        give_small(receiver)
        return data, False, fds

    def _unpack(
        self, receiver: Receiver, result: int, addr: UnixSocketAddr | None = None
    ) -> tuple[bytes, bool, OwnedFds]:
        """Return what a receive brought, and the receiver to the pool; raise when descriptors were lost."""
        data = receiver.view[: result & SIZE_MASK]
        fds = receiver.take_fds(result)
        if not result & LOST:
            return_receiver(receiver)
            return data, False, fds
        truncated = bool(result & CUT)
        surplus = receiver.c.surplus
        return_receiver(receiver)
        if result & ANCILLARY_CUT or surplus:
            raise AncillaryTruncated(data, fds, None if result & ANCILLARY_CUT else surplus, truncated, addr)
        return data, truncated, fds

    def _try_recv_with_fds(self, size: int, max_fds: int, flags: int) -> tuple[bytes, bool, OwnedFds] | None:
        """Receive bytes and descriptors if they are there; None when it would block."""
        flags = check_flags(flags, RECV_MESSAGE)
        receiver = preset(self._handle, size, self._recv_flags | flags | MSG_DONTWAIT, check_max_fds(max_fds))
        result = try_once(receiver.receive_fds)
        if result is None:
            return_receiver(receiver)
            return None
        return self._unpack(receiver, result)

    def _recv_scattered(
        self, buffers: Iterable[Any], flags: int, expected: int = 0
    ) -> tuple[int, bool, int, UnixSocketAddr]:
        """Receive into several buffers, without ancillary data.

        Returns:
            How many bytes are in them or the ``expected`` error, whether a packet was cut, how many would fit, and who
            sent them.
        """
        addr = _UNNAMED
        with Incoming(buffers) as into:
            receiver = preset(self._handle, 0, self._recv_flags | flags, 0, room=0)
            receiver.scatter(into)
            result = self._receive_message(receiver, receiver.receive, flags, expected=expected)
            if result >= 0:
                addr = receiver.sender()
                return_receiver(receiver)
        if result < 0:
            return result, False, into.size, addr
        return result & SIZE_MASK, bool(result & CUT), into.size, addr

    def recv_ancillary(
        self, size_or_buffers: int | Iterable[Any], ancillary: SocketAncillary, flags: int = 0
    ) -> Received:
        """Receive all that a message carries (recvmsg(2)).

        Args:
            size_or_buffers: at most how many bytes to return (int), or an iterable of writable buffers to fill.
            ancillary: where control messages go; what it held before is gone, and descriptors in it that nobody has
                read are closed.
            flags: MSG_PEEK, MSG_DONTWAIT (int).  A peek duplicates the descriptors of the message each time.

        Returns:
            A Received.  Its descriptors, and those of ``ancillary.messages()``, are the same objects, close-on-exec;
            they belong to the caller once either was read.  On a stream a receive ends behind the message that
            carried descriptors, and the credentials that Linux invents at its end are left out.

        Raises:
            TypeError, ValueError: bad arguments; the kernel was not asked.
            OSError: BlockingIOError, TimeoutError, ConnectionResetError, ...
        """
        if flags == 0 and isinstance(ancillary, Ancillary):
            try:
                receiver = take_small()
            except IndexError:
                receiver = Receiver(0)
            # The objects of the last call were of the right types and values.
            if (
                receiver.token is self._token
                and receiver.size is size_or_buffers
                and receiver.wants is ancillary._wants
                and receiver.capacity <= SMALL_SIZE
            ):
                return self._recv_again(receiver, ancillary, size_or_buffers)
            return_receiver(receiver)
        flags = check_flags(flags, RECV_MESSAGE)
        check_ancillary(ancillary)
        token = None if flags else self._token
        wanted, capacity, wants = self._recv_flags | flags, ancillary.capacity, ancillary._wants
        if isinstance(size_or_buffers, int):
            receiver = preset(self._handle, size_or_buffers, wanted, SCM_MAX_FD, token, capacity, wants, True)
            return self._receive_all(receiver, ancillary, flags, size_or_buffers, True)
        with Incoming(size_or_buffers) as into:
            receiver = preset(self._handle, 0, wanted, SCM_MAX_FD, None, capacity, wants, True)
            receiver.scatter(into)
            return self._receive_all(receiver, ancillary, flags, into.size, False)

    def _recv_again(self, receiver: Receiver, ancillary: SocketAncillary, size: Any) -> Received:
        """Receive as the last call did; the short way ends here when the message is whole and has no descriptors."""
        if type(ancillary._received) is tuple and not ancillary._borrowed:
            # What clear() does, when there is nothing to close.
            ancillary._received = None
            ancillary._length = ancillary._rights = 0
            ancillary._truncated = False
        else:
            ancillary.clear()
        if receiver.fds is None:
            receiver.own()
        result = receive_packed(receiver.c)
        if result <= 0 or result >= ONE_FD:
            return self._deliver(receiver, ancillary, 0, size, True, result)
        full_size, flags, addr_length, length, count, alone, pid, uid, gid = read_facts(receiver.facts)
        messages = ancillary._take_alone(length, pid, uid, gid, alone) if count == alone else None
        if messages is None:
            return self._deliver(receiver, ancillary, 0, size, True, result)
        received = _new(Received)
        received.nbytes = result
        received.data = receiver.view[:result]
        received.truncated = received.ancillary_truncated = False
        received.full_size = full_size
        received.flags = flags
        received.addr = receiver.sender() if addr_length else _UNNAMED
        received._messages = messages
        give_small(receiver)
        return received

    def _receive_all(
        self, receiver: Receiver, ancillary: SocketAncillary, flags: int, size: int, wants_data: bool
    ) -> Received:
        # What it held before is gone, also when nothing comes.
        ancillary.clear()
        return self._deliver(receiver, ancillary, flags, size, wants_data, receiver.receive())

    def _deliver(
        self, receiver: Receiver, ancillary: SocketAncillary, flags: int, size: int, wants_data: bool, result: int
    ) -> Received:
        """Bring a receive of everything to its end, and hand out what came."""
        if result < 0:
            result = self._receive_message(receiver, receiver.receive, flags, result)
        fds = receiver.take_fds(result) if result >= ONE_FD else None
        full_size, message_flags, addr_length, length, count, _, _, _, _ = read_facts(receiver.facts)
        nbytes = result & SIZE_MASK
        truncated = bool(result & CUT)
        cut = bool(result & LOST & ~CUT)
        at_end: bool | None = False
        if self._stream and nbytes == 0:
            # A look at a stream without reading brings the credentials of the next bytes, unless it has ended.
            at_end = True if size else None
        try:
            messages = ancillary._take(receiver.items(count, length), length, fds, cut, at_end, receiver.pidfd)
        except BaseException:
            # A signal handler raised, or what a user's decoder does not catch: nobody will ask for the message.
            if fds is not None:
                fds.close()
            receiver.close_pidfd()
            raise
        received = Received(
            nbytes,
            receiver.view[:nbytes] if wants_data else None,
            truncated,
            None if truncated and not TRUNC_LENGTH else full_size,
            message_flags,
            receiver.sender() if addr_length else _UNNAMED,
            messages,
            cut,
        )
        return_receiver(receiver)
        return received
