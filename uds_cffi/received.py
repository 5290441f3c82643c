"""What a receive of a whole message returns, and what is raised when descriptors of it were lost.

Rule: both own the descriptors in them, and nothing that arrived is missing from them.
"""

from __future__ import annotations

import errno

from .errors import UdsError
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .address import UnixSocketAddr
    from .ancillary import Messages
    from .fds import OwnedFds


class Received(Closing):
    """All that one receive brought.

    Attributes:
        nbytes: how many bytes of the message are in ``data`` or in the caller's buffers (int).
        data: the bytes, or None when buffers were given.
        truncated: whether a packet was longer than the room for it (bool).
        full_size: the length of the whole packet (int), or None where the system does not tell; on a stream ``nbytes``.
        flags: what recvmsg(2) returned in ``msg_flags`` (int), without MSG_CMSG_CLOEXEC.
        addr: the sender's address (UnixSocketAddr), unnamed when it has none.
        ancillary_truncated: whether control messages were lost, descriptors perhaps (bool).

    ``close()``, or leaving a ``with`` block, closes every descriptor in it that was not taken out.
    """

    __slots__ = ("nbytes", "data", "truncated", "full_size", "flags", "addr", "ancillary_truncated", "_messages")

    nbytes: int
    data: bytes | None
    full_size: int | None
    _messages: Messages | tuple[Any, ...]

    def __init__(
        self,
        nbytes: int,
        data: bytes | None,
        truncated: bool,
        full_size: int | None,
        flags: int,
        addr: UnixSocketAddr,
        messages: Messages | tuple[Any, ...],
        ancillary_truncated: bool,
    ) -> None:
        self.nbytes = nbytes
        self.data = data
        self.truncated = truncated
        self.full_size = full_size
        self.flags = flags
        self.addr = addr
        self.ancillary_truncated = ancillary_truncated
        self._messages = messages

    @property
    def messages(self) -> tuple[Any, ...]:
        """The control messages (tuple), the same objects as ``SocketAncillary.messages()`` gives.

        Once they were read here or there, their descriptors belong to the caller.
        """
        messages = self._messages
        # A plain tuple has no descriptors, so that nobody need know whether it was read.
        return messages if isinstance(messages, tuple) else messages.read()

    def close(self) -> None:
        """Close every descriptor that was not taken out."""
        messages = self._messages
        if not isinstance(messages, tuple):
            messages.close()

    def __repr__(self) -> str:
        names = ("nbytes", "data", "truncated", "full_size", "flags", "addr", "ancillary_truncated")
        return f"Received({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


class AncillaryTruncated(UdsError, OSError):
    """Descriptors were lost on the way; what did arrive is here.

    Attributes:
        data: the bytes of the message (bytes), or None when they went into the caller's buffers.
        fds: the descriptors that arrived (OwnedFds); whoever catches the error owns them.
        lost: how many descriptors were closed because they were more than ``max_fds``, or None when the kernel
            itself cut the message (MSG_CTRUNC of recvmsg(2): RLIMIT_NOFILE was reached, or a security module
            refused a descriptor), because it does not say how many.
        truncated: whether the packet was longer than the size asked for (bool).
        addr: the sender's address (UnixSocketAddr) where it was asked for, else None.
    """

    data: bytes | None
    fds: OwnedFds
    lost: int | None
    truncated: bool
    addr: UnixSocketAddr | None

    def __init__(
        self,
        data: bytes | None,
        fds: OwnedFds,
        lost: int | None,
        truncated: bool = False,
        addr: UnixSocketAddr | None = None,
    ) -> None:
        if lost is None:
            text = f"the kernel dropped descriptors of this message; {len(fds)} arrived"
        else:
            text = f"more descriptors than max_fds arrived: {lost} closed, {len(fds)} kept"
        super().__init__(errno.EMSGSIZE, text)
        self.data = data
        self.fds = fds
        self.lost = lost
        self.truncated = truncated
        self.addr = addr
