"""Receiving, in the shapes that every type has.

Rules:
- Descriptors that arrive are owned from the moment the system call returns, by the receiver's own set, and are handed
  on with it.
- ``recv_fds`` and ``recv_ancillary`` report everything that was lost.  The plain receives discard ancillary data by
  contract, as recv(2) does.
"""

from __future__ import annotations

from .address import UnixSocketAddr
from .ancillary import check_ancillary
from .calls import MSG_CTRUNC, MSG_DONTWAIT, MSG_TRUNC, SCM_MAX_FD, TRUNC_LENGTH, receive_message
from .flags import RECV_MESSAGE, check_flags
from .message import Incoming
from .receiver import borrow_receiver, check_size, return_receiver
from .results import AncillaryTruncated, Received
from .sending import Sending
from .waiting import try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .ancillary import SocketAncillary
    from .fd import OwnedFds
    from .receiver import FullReceiver

# Makes the kernel tell the real length of a packet that it cuts.
_TELL_LENGTH = MSG_TRUNC if TRUNC_LENGTH else 0


def check_max_fds(max_fds: Any) -> int:
    """Return how many descriptors a caller wants, or raise TypeError or ValueError."""
    if type(max_fds) is not int:
        raise TypeError(f"max_fds is an int, not {type(max_fds).__name__}")
    if not 0 <= max_fds <= SCM_MAX_FD:
        raise ValueError(f"max_fds {max_fds} is not within 0 to {SCM_MAX_FD}")
    return max_fds


class Receiving(Sending):
    """Connected sockets, able to send and to receive."""

    __slots__ = ()

    def _receive_message(self, receiver: FullReceiver, flags: int) -> int:
        def attempt() -> int:
            return receive_message(receiver.c)

        return self._read(attempt, flags)

    def _message_flags(self, flags: int) -> int:
        return self._recv_flags | flags | (0 if self._stream else _TELL_LENGTH)

    def _recv_with_fds(
        self, size: int, max_fds: int, flags: int, *, waits: bool = True, wants_address: bool = False
    ) -> tuple[bytes, bool, OwnedFds, UnixSocketAddr | None] | None:
        """Receive bytes and descriptors; None when it would block and the caller does not wait."""
        flags = check_flags(flags, RECV_MESSAGE)
        check_max_fds(max_fds)
        receiver = borrow_receiver(self._handle, check_size(size))
        receiver.prepare(size, self._message_flags(flags), max_fds)
        if waits:
            count = self._receive_message(receiver, flags)
        else:
            receiver.set(size, receiver.flags | MSG_DONTWAIT)
            tried = try_once(lambda: receive_message(receiver.c))
            if tried is None:
                return_receiver(receiver)
                return None
            count = tried
        data = receiver.view[: min(count, size)]
        fds = receiver.take_fds()
        cut, surplus = bool(receiver.c.message_flags & MSG_CTRUNC), receiver.c.surplus
        addr = receiver.sender() if wants_address else None
        return_receiver(receiver)
        if cut or surplus:
            raise AncillaryTruncated(data, fds, None if cut else surplus, count > size, addr)
        return data, count > size, fds, addr

    def _recv_scattered(self, buffers: Iterable[Any], flags: int) -> tuple[int, int, UnixSocketAddr]:
        """Receive into several buffers, without ancillary data: how many bytes came, how many fit, from whom."""
        with Incoming(buffers) as into:
            receiver = borrow_receiver(self._handle, 0)
            receiver.prepare(0, self._message_flags(flags))
            receiver.discard_ancillary()
            receiver.scatter(into)
            count = self._receive_message(receiver, flags)
            addr = receiver.sender()
            return_receiver(receiver)
            return count, into.size, addr

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
        flags = check_flags(flags, RECV_MESSAGE)
        check_ancillary(ancillary)
        receiver = borrow_receiver(self._handle, 0)
        if isinstance(size_or_buffers, int):
            receiver.prepare(check_size(size_or_buffers), self._message_flags(flags), SCM_MAX_FD)
            return self._receive_all(receiver, ancillary, flags, size_or_buffers, True)
        with Incoming(size_or_buffers) as into:
            receiver.prepare(0, self._message_flags(flags), SCM_MAX_FD)
            receiver.scatter(into)
            return self._receive_all(receiver, ancillary, flags, into.size, False)

    def _receive_all(
        self, receiver: FullReceiver, ancillary: SocketAncillary, flags: int, size: int, wants_data: bool
    ) -> Received:
        # What it held before is gone, also when nothing comes.
        ancillary.clear()
        receiver.limit_control(ancillary.capacity)
        count = self._receive_message(receiver, flags)
        c = receiver.c
        fds = receiver.take_fds()
        cut = bool(c.message_flags & MSG_CTRUNC) or c.surplus > 0
        at_end: bool | None = False
        if self._stream and count == 0:
            # A look at a stream without reading brings the credentials of the next bytes, unless it has ended.
            at_end = True if size else None
        try:
            messages = ancillary._take(receiver.control, c.control_length, fds, cut, at_end)
        except BaseException:
            # A signal handler raised, or what a user's decoder does not catch: nobody will ask for the message.
            fds.close()
            raise
        nbytes = min(count, size)
        truncated = count > size
        received = Received(
            nbytes,
            receiver.view[:nbytes] if wants_data else None,
            truncated,
            None if truncated and not TRUNC_LENGTH else count,
            c.message_flags,
            receiver.sender(),
            messages,
            cut,
        )
        return_receiver(receiver)
        return received
