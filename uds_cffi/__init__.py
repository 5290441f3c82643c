"""Unix domain sockets, complete.

Streams, datagrams and sequenced packets; paths, abstract names and autobind; descriptors with owners; credentials and
ancillary data; timeouts and vectored I/O.  It runs the same on CPython and PyPy.

``ffi`` and ``lib`` are the low-level door: ``msghdr``, ``cmsghdr``, ``iovec``, ``sockaddr_un``, ``ucred``, ``CMSG_*``,
and each system call under its man-page name with the prefix ``uds_``, which returns its result or ``-errno``.
"""

from __future__ import annotations

from ._lib import ffi, lib
from .address import UnixSocketAddr
from .ancillary import SocketAncillary
from .batch import BatchPacket, PacketBatch
from .calls import (
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_NOSIGNAL,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
)
from .control import (
    ScmCredentials,
    ScmRights,
    UnknownControlMessage,
    register_decoder,
    unregister_decoder,
)
from .credentials import ConnCredentials, Credentials
from .datagram import UnixDatagram
from .errors import (
    AddressError,
    AddressTypeError,
    FeatureUnavailable,
    FrameError,
    IncompleteReadError,
    UdsError,
)
from .fd import OwnedFd
from .fds import OwnedFds
from .framed import FramedStream, MessageFds
from .options import Options
from .received import AncillaryTruncated, Received
from .results import (
    Packet,
    PacketFds,
    PacketFdsFrom,
    PacketFrom,
    PacketInto,
    PacketIntoFrom,
)
from .seqpacket import UnixSeqpacketConn, UnixSeqpacketListener
from .stream import UnixListener, UnixStream
from .survey import Feature, features

__version__ = "0.1.0"

__all__ = [
    "MSG_CMSG_CLOEXEC",
    "MSG_CTRUNC",
    "MSG_DONTWAIT",
    "MSG_EOR",
    "MSG_NOSIGNAL",
    "MSG_PEEK",
    "MSG_TRUNC",
    "MSG_WAITALL",
    "SHUT_RD",
    "SHUT_RDWR",
    "SHUT_WR",
    "AddressError",
    "AddressTypeError",
    "AncillaryTruncated",
    "BatchPacket",
    "ConnCredentials",
    "Credentials",
    "Feature",
    "FeatureUnavailable",
    "FrameError",
    "FramedStream",
    "IncompleteReadError",
    "MessageFds",
    "Options",
    "OwnedFd",
    "OwnedFds",
    "Packet",
    "PacketBatch",
    "PacketFds",
    "PacketFdsFrom",
    "PacketFrom",
    "PacketInto",
    "PacketIntoFrom",
    "Received",
    "ScmCredentials",
    "ScmRights",
    "SocketAncillary",
    "UdsError",
    "UnixDatagram",
    "UnixListener",
    "UnixSeqpacketConn",
    "UnixSeqpacketListener",
    "UnixSocketAddr",
    "UnixStream",
    "UnknownControlMessage",
    "__version__",
    "features",
    "ffi",
    "lib",
    "register_decoder",
    "unregister_decoder",
]
