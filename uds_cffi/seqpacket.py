"""Sequenced packets: connections that keep the boundaries of what was sent."""

from __future__ import annotations

from .calls import MSG_EOR, SOCK_SEQPACKET
from .listener import Listener
from .packet import PacketSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class UnixSeqpacketConn(PacketSocket):
    """A sequenced-packet socket that is connected (unix(7), SOCK_SEQPACKET, Linux 2.6.4).

    Made by ``connect``, ``pair``, ``UnixSeqpacketListener.accept``, ``from_fd``, ``from_stdlib`` and ``borrow``; a
    context manager.  Each send is one packet, marked with MSG_EOR, and each receive brings one.  Iterating receives
    packet after packet until the end of the connection.
    """

    __slots__ = ()

    _kind = SOCK_SEQPACKET
    _role = "seqpacket"
    _feature = "seqpacket"
    # The kernel of FreeBSD 15, on which a build for 14 may run, separates records by MSG_EOR alone.
    _always_sends = MSG_EOR

    def __iter__(self) -> Iterator[bytes]:
        """Receive whole packets (bytes) until the end of the connection."""
        return iter(self.recv_packet, None)


class UnixSeqpacketListener(Listener[UnixSeqpacketConn]):
    """A sequenced-packet socket that listens, made by ``bind``; it accepts UnixSeqpacketConn connections."""

    __slots__ = ()

    _kind = SOCK_SEQPACKET
    _feature = "seqpacket"
    _connection = UnixSeqpacketConn
