"""What a stream says when it is asked for a batch."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_NO_PACKETS = (
    "a stream has no packets that a batch could be made of: UnixSeqpacketConn and UnixDatagram have; "
    "FramedStream sends messages over a stream, many in one system call"
)


class Unbatched:
    """What has no packets, and says so."""

    __slots__ = ()

    def send_batch(self, *arguments: object, **keywords: object) -> NoReturn:
        """Refuse: a stream has no packets.

        Raises:
            TypeError: always.
        """
        raise TypeError(_NO_PACKETS)

    def recv_batch(self, *arguments: object, **keywords: object) -> NoReturn:
        """Refuse: a stream has no packets.

        Raises:
            TypeError: always.
        """
        raise TypeError(_NO_PACKETS)
