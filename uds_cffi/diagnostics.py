"""Who is connected: the Unix sockets of this network namespace, as the kernel lists them (sock_diag(7), Linux 3.3).

Rules:
- What the kernel does not say is None, and what it says is not guessed at: its inode of a bound file is cut to 32 bits,
  and a peer that has not been accepted yet is none.
- It needs no privileges, shows only this network namespace, and opens nothing that outlives the call.
- ``import uds_cffi`` does not load this module.
"""

from __future__ import annotations

import errno
from collections import namedtuple

from . import sockdiag
from .address import UnixSocketAddr
from .calls import SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, check
from .capabilities import require
from .owner import Owner, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NamedTuple

    from .sockdiag import Conversation, Record

    class SocketInfo(NamedTuple):
        """One socket."""

        inode: int
        cookie: int
        type: str
        state: str
        address: UnixSocketAddr
        peer_inode: int | None
        pending: int | None
        backlog: int | None
        client_inodes: tuple[int, ...] | None
        unread_bytes: int | None
        unsent_bytes: int | None
        shutdown_read: bool
        shutdown_write: bool
        uid: int | None
        file: tuple[int, int] | None

else:

    class SocketInfo(
        namedtuple(
            "SocketInfo",
            "inode cookie type state address peer_inode pending backlog client_inodes unread_bytes unsent_bytes"
            " shutdown_read shutdown_write uid file",
        )
    ):
        """One socket, as the kernel described it at one moment.

        Attributes:
            inode: its number, ``os.fstat(fd).st_ino`` of every descriptor of it (int).
            cookie: a number that no other socket ever has until the system is restarted; SO_COOKIE (int).
            type: "stream", "datagram" or "seqpacket" (str).
            state: "listening", "established" or "unconnected" (str).  A datagram socket is established when it is
                connected, and also when somebody is connected to it.
            address: the name that it is bound to, or that its listener is (UnixSocketAddr).
            peer_inode: the inode of the socket that it is connected to; None when there is none, while the connection
                is not accepted, and when the peer is closed (int or None).
            pending: connections that wait to be accepted (int), None unless it is listening.
            backlog: how many may wait (int), None unless it is listening.
            client_inodes: the sockets whose connections wait, first come first (tuple of int), without those that are
                closed already; None unless it is listening, and when they are more than the kernel can name: about
                8,000.
            unread_bytes: bytes that wait to be read, of a datagram socket those of the first packet (int), None when it
                is listening; FIONREAD.
            unsent_bytes: memory, in bytes, of what it sent and its receivers have not read; more than the data, because
                it counts the kernel's own too (int), None when it is listening; SIOCOUTQ.
            shutdown_read: whether it is shut down for reading, by itself or because the peer writes no more (bool).
            shutdown_write: whether it is shut down for writing, by itself or because the peer reads no more (bool).
            uid: the user who made it, as fchown(2) may have changed it (int), None before Linux 5.3.
            file: the socket file as (``st_dev``, the lower 32 bits of ``st_ino``), of a socket whose address is a path;
                else None.
        """

        __slots__ = ()


# The kernel names states after those of TCP: 1 ESTABLISHED, 7 CLOSE, 10 LISTEN (include/net/tcp_states.h).
_STATES = {
    sockdiag.ESTABLISHED: "established",
    sockdiag.UNCONNECTED: "unconnected",
    sockdiag.LISTENING: "listening",
}
_TYPES = {SOCK_STREAM: "stream", SOCK_DGRAM: "datagram", SOCK_SEQPACKET: "seqpacket"}
STATES = ("established", "unconnected", "listening")
TYPES = ("stream", "datagram", "seqpacket")

_UNNAMED = UnixSocketAddr.unnamed()
_new = tuple.__new__
_NUMBERS = {name: number for number, name in _STATES.items()}


def _info(record: Record) -> SocketInfo:
    # In the order of Record; a list may have ten thousand of them.
    cookie, device, inode, kind, state, present, file, peer, received, sent, shutdown, uid, name, clients = record
    pending = backlog = unread = unsent = waiting = None
    if not present & sockdiag.HAS_QUEUES:
        pass
    elif state == sockdiag.LISTENING:
        pending, backlog = received, sent
    else:
        unread, unsent = received, sent
    if state == sockdiag.LISTENING and (present & sockdiag.HAS_CLIENTS or pending == 0):
        # The kernel says 0 for a client that is closed.
        waiting = tuple(number for number in clients if number)
    fields = (
        inode,
        cookie,
        _TYPES.get(kind) or str(kind),
        _STATES.get(state) or str(state),
        UnixSocketAddr._decode(name) if name else _UNNAMED,
        peer or None,
        pending,
        backlog,
        waiting,
        unread,
        unsent,
        shutdown & 1 != 0,
        shutdown & 2 != 0,
        uid if present & sockdiag.HAS_UID else None,
        (device, file) if present & sockdiag.HAS_FILE else None,
    )
    return _new(SocketInfo, fields)


def _mask(states: Iterable[str] | None) -> int:
    """Return the kernel's mask for the names of states."""
    if states is None:
        return sockdiag.ALL_STATES
    if isinstance(states, (str, bytes)):
        raise TypeError(f"states is an iterable of names, such as ({states!r},), not {type(states).__name__}")
    mask = 0
    for name in states:
        if name not in STATES:
            raise ValueError(f"{name!r} is no state of a socket; there are {', '.join(map(repr, STATES))}")
        mask |= 1 << _NUMBERS[name]
    return mask


def sockets(states: Iterable[str] | None = None) -> list[SocketInfo]:
    """Return all Unix sockets of this network namespace, of every process and user, in no order.

    The kernel makes the list in parts, so it is no picture of one moment: a socket that is made, bound or closed
    meanwhile may be in it or not.  A connection that waits to be accepted has no socket yet: its client is in the
    listener's ``client_inodes``.  An accepted socket belongs to the network namespace of its client.

    Args:
        states: names of the states to list (iterable of str), or None for all; the kernel leaves out the others.

    Raises:
        FeatureUnavailable: this build or this kernel (CONFIG_UNIX_DIAG) does not list sockets.
        TypeError, ValueError: ``states`` is not an iterable of the names of states.
        OSError: EMFILE, this process may open no more descriptors; EACCES, EPERM, a security policy forbids it; EBUSY,
            ENOBUFS, eight times in a row the kernel could not finish the list; EBADMSG, it cannot be understood.
    """
    require(sockdiag.FEATURE)
    mask = _mask(states)
    records: list[Record] = sockdiag.converse(lambda conversation: conversation.list_all(mask))
    return [_info(record) for record in records]


def _inode(sock: Any) -> int:
    """Return the inode of a Unix socket."""
    if isinstance(sock, Owner):
        result = sockdiag.inode_of_handle(sock._handle)
    else:
        number = number_of(sock)
        result = sockdiag.inode_of_number(number) if 0 <= number < 2**31 else -errno.EBADF
    if result == -errno.EAFNOSUPPORT:
        raise ValueError(f"{sock!r} is a socket of another address family than AF_UNIX")
    return check(result)


def _own(conversation: Conversation, inode: int) -> Record:
    record = conversation.find(inode)
    if record is None:
        raise OSError(errno.ENOENT, f"the socket of inode {inode} belongs to another network namespace")
    return record


def info_of(sock: Any) -> SocketInfo:
    """Return what the kernel says of one Unix socket.

    Args:
        sock: a descriptor (int) or an object with ``fileno()``, such as any socket of this library; it stays the
            caller's.

    Raises:
        TypeError: neither an int nor an object with ``fileno()``.
        ValueError: a socket of another address family.
        FeatureUnavailable: this build or this kernel (CONFIG_UNIX_DIAG) does not list sockets.
        OSError: EBADF, it is closed; ENOTSOCK, it is no socket; ENOENT, it belongs to another network namespace; and
            as ``sockets()``.
    """
    require(sockdiag.FEATURE)
    inode = _inode(sock)
    return _info(sockdiag.converse(lambda conversation: _own(conversation, inode)))


def peer_of(sock: Any) -> SocketInfo | None:
    """Return what the kernel says of the socket at the other end; None when there is none.

    There is none when the socket is not connected, when the peer is closed, and while the connection waits to be
    accepted.  On a datagram socket it is the one that ``connect()`` named.

    Args:
        sock: as for ``info_of()``.

    Raises:
        OSError: ENOENT, also when it is the peer that belongs to another network namespace.
        TypeError, ValueError, FeatureUnavailable: as ``info_of()``, as are other OSErrors.
    """
    require(sockdiag.FEATURE)
    inode = _inode(sock)

    def ask(conversation: Conversation) -> SocketInfo | None:
        peer = _own(conversation, inode).peer
        found = conversation.find(peer) if peer else None
        if found is None and peer and _own(conversation, inode).peer == peer:
            # It is open, so it did not end meanwhile.
            raise OSError(
                errno.ENOENT, f"the peer of inode {inode}, inode {peer}, belongs to another network namespace"
            )
        return None if found is None else _info(found)

    result: SocketInfo | None = sockdiag.converse(ask)
    return result
