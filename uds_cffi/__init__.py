"""Unix domain sockets, complete.

Streams, datagrams and sequenced packets; paths, abstract names and autobind; descriptors with owners; credentials and
ancillary data; timeouts and vectored I/O.  It runs the same on CPython and PyPy.

``ffi`` and ``lib`` are the low-level door: ``msghdr``, ``cmsghdr``, ``iovec``, ``sockaddr_un``, ``ucred``, ``CMSG_*``,
and each system call under its man-page name with the prefix ``uds_``, which returns its result or ``-errno``.
"""

from __future__ import annotations

from ._lib import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import diagnostics
    from .activation import ListenFd, ListenFds, listen_fds
    from .address import UnixSocketAddr
    from .ancillary import SocketAncillary
    from .batch import BatchPacket, PacketBatch
    from .calls import (
        MSG_CMSG_CLOEXEC,
        MSG_CTRUNC,
        MSG_DONTWAIT,
        MSG_EOR,
        MSG_NOSIGNAL,
        MSG_OOB,
        MSG_PEEK,
        MSG_TRUNC,
        MSG_WAITALL,
        SHUT_RD,
        SHUT_RDWR,
        SHUT_WR,
    )
    from .control import (
        ScmCredentials,
        ScmPidfd,
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
    from .metadata import ScmInq, ScmSecurity, ScmTimestamp
    from .notification import notify
    from .options import Options
    from .pidfd import PidFd, PidFdInfo
    from .publishing import publish
    from .received import AncillaryTruncated, Received
    from .results import (
        Packet,
        PacketFds,
        PacketFdsFrom,
        PacketFrom,
        PacketInto,
        PacketIntoFrom,
    )
    from .runtime import runtime_address
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
    "MSG_OOB",
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
    "ListenFd",
    "ListenFds",
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
    "PidFd",
    "PidFdInfo",
    "Received",
    "ScmCredentials",
    "ScmInq",
    "ScmPidfd",
    "ScmRights",
    "ScmSecurity",
    "ScmTimestamp",
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
    "diagnostics",
    "features",
    "ffi",
    "lib",
    "listen_fds",
    "notify",
    "publish",
    "register_decoder",
    "runtime_address",
    "unregister_decoder",
]

# The module of each public name, which is loaded when the name is first used; "" for a name that is a module itself.
# No other has the name of a module, because the import of that module would put it in the place of what has that name.
_HOMES = {
    "MSG_CMSG_CLOEXEC": "calls",
    "MSG_CTRUNC": "calls",
    "MSG_DONTWAIT": "calls",
    "MSG_EOR": "calls",
    "MSG_NOSIGNAL": "calls",
    "MSG_OOB": "calls",
    "MSG_PEEK": "calls",
    "MSG_TRUNC": "calls",
    "MSG_WAITALL": "calls",
    "SHUT_RD": "calls",
    "SHUT_RDWR": "calls",
    "SHUT_WR": "calls",
    "AddressError": "errors",
    "AddressTypeError": "errors",
    "AncillaryTruncated": "received",
    "BatchPacket": "batch",
    "ConnCredentials": "credentials",
    "Credentials": "credentials",
    "Feature": "survey",
    "FeatureUnavailable": "errors",
    "FrameError": "errors",
    "FramedStream": "framed",
    "IncompleteReadError": "errors",
    "ListenFd": "activation",
    "ListenFds": "activation",
    "MessageFds": "framed",
    "Options": "options",
    "OwnedFd": "fd",
    "OwnedFds": "fds",
    "Packet": "results",
    "PacketBatch": "batch",
    "PacketFds": "results",
    "PacketFdsFrom": "results",
    "PacketFrom": "results",
    "PacketInto": "results",
    "PacketIntoFrom": "results",
    "PidFd": "pidfd",
    "PidFdInfo": "pidfd",
    "Received": "received",
    "ScmCredentials": "control",
    "ScmInq": "metadata",
    "ScmPidfd": "control",
    "ScmRights": "control",
    "ScmSecurity": "metadata",
    "ScmTimestamp": "metadata",
    "SocketAncillary": "ancillary",
    "UdsError": "errors",
    "UnixDatagram": "datagram",
    "UnixListener": "stream",
    "UnixSeqpacketConn": "seqpacket",
    "UnixSeqpacketListener": "seqpacket",
    "UnixSocketAddr": "address",
    "UnixStream": "stream",
    "UnknownControlMessage": "control",
    "diagnostics": "",
    "features": "survey",
    "publish": "publishing",
    "listen_fds": "activation",
    "notify": "notification",
    "register_decoder": "control",
    "runtime_address": "runtime",
    "unregister_decoder": "control",
}

if not TYPE_CHECKING:
    # Type checkers read the imports above; what is not there is an error to them.

    def __getattr__(name):
        """Load what is asked for; from then on it is an attribute like any other (PEP 562)."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Never by asking the package for the name, which would come back to this function.
        module = __import__(home or name, globals(), None, [name], 1)
        value = globals()[name] = getattr(module, name) if home else module
        return value

    def __dir__():
        return sorted({*globals(), *_HOMES})
