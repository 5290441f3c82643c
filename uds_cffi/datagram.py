"""Datagrams: packets with addresses."""

from __future__ import annotations

from . import naming
from .address import UnixSocketAddr
from .calls import CUT, DATAGRAMS_NEVER_WAIT, MSG_PEEK, SIZE_MASK, SOCK_DGRAM, check
from .constructors import constructor
from .fds import Borrowed
from .flags import PEEK, RECV_MESSAGE, RECV_PACKET, SEND, check_flags
from .message import Outgoing, export
from .packet import PacketSocket
from .places import place_of
from .receiver import check_max_fds, preset, return_receiver
from .results import PacketFdsFrom, PacketFrom, PacketIntoFrom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, ClassVar

    from typing_extensions import Self

    from .address import AddressLike
    from .ancillary import SocketAncillary

_new = tuple.__new__


def _is_ready() -> None:
    """Stand where a listener begins to listen: a datagram socket can be sent to as soon as it is bound."""


class UnixDatagram(PacketSocket):
    """A datagram socket (unix(7), SOCK_DGRAM): reliable on Linux, and in order.

    Made by ``unbound``, ``bind``, ``connect``, ``pair``, ``from_fd``, ``from_stdlib`` and ``borrow``; a context
    manager.
    """

    __slots__ = ()

    _kind = SOCK_DGRAM
    _role = "datagram"
    _connection_ends = False
    _sends_never_wait = DATAGRAMS_NEVER_WAIT
    _instead: ClassVar[dict[str, str]] = {"bind": "bind_to", "connect": "connect_to"}

    @constructor
    def unbound(cls, *, nonblocking: bool = False, options: Mapping[str, Any] | None = None) -> Self:
        """Make a socket without a name, which can send to addresses but not be sent to (socket(2)).

        Args:
            nonblocking: whether it is nonblocking (bool).
            options: names and values of options (a mapping).
        """
        return cls._created(nonblocking, options)

    @constructor
    def bind(
        cls,
        addr: AddressLike,
        *,
        nonblocking: bool = False,
        options: Mapping[str, Any] | None = None,
        mode: int | None = None,
        owner: int | str | None = None,
        group: int | str | None = None,
        replace_stale: bool = False,
        takeover: bool = False,
        unlink_on_close: bool = False,
        dir_fd: Any = None,
        long_path: bool = False,
    ) -> Self:
        """Make a socket that receives at an address (bind(2)).

        Args:
            addr: a UnixSocketAddr, or a path as str, bytes or os.PathLike; "" lets Linux choose an abstract name.
            nonblocking: whether it is nonblocking (bool).
            options: names and values of options, set before it binds (a mapping).
            mode, owner, group: who may send, from the first instant; otherwise as for ``UnixListener.bind()``.
            replace_stale, takeover, unlink_on_close, dir_fd, long_path: as for ``UnixListener.bind()``.

        Raises:
            AddressError: the address cannot be one.
            TypeError, ValueError, LookupError, FeatureUnavailable: as ``UnixListener.bind()``.
            OSError: with the address: OSError (EADDRINUSE), FileNotFoundError, PermissionError, ...
        """
        self = cls._created(nonblocking, options)
        try:
            self.bind_to(
                addr,
                mode=mode,
                owner=owner,
                group=group,
                replace_stale=replace_stale,
                takeover=takeover,
                unlink_on_close=unlink_on_close,
                dir_fd=dir_fd,
                long_path=long_path,
            )
        except BaseException:
            self.close()
            raise
        return self

    def bind_to(
        self,
        addr: AddressLike,
        *,
        mode: int | None = None,
        owner: int | str | None = None,
        group: int | str | None = None,
        replace_stale: bool = False,
        takeover: bool = False,
        unlink_on_close: bool = False,
        dir_fd: Any = None,
        long_path: bool = False,
    ) -> None:
        """Give this socket an address; arguments and errors are those of ``bind()``, and EINVAL when it has one."""
        self._bind(
            addr,
            _is_ready,
            mode=mode,
            owner=owner,
            group=group,
            replace_stale=replace_stale,
            takeover=takeover,
            unlink_on_close=unlink_on_close,
            dir_fd=dir_fd,
            long_path=long_path,
        )

    def connect_to(self, addr: AddressLike, *, dir_fd: Any = None, long_path: bool = False) -> None:
        """Send to this address, and receive from it alone, from now on.

        Linux throws away what is queued from a former peer, and refuses everybody else's packets with EPERM.

        Raises:
            AddressError: the address cannot be one, or is unnamed.
            OSError: with the address, as for ``connect()``.
        """
        if dir_fd is None and not long_path:
            self._connect(UnixSocketAddr._coerce(addr)._peer(), None, False)
        else:
            with place_of(addr, dir_fd, long_path) as place:
                self._connect(place, None, False)

    def disconnect(self) -> None:
        """Dissolve the association, so that everybody can send to this socket again (connect(2), AF_UNSPEC).

        Linux throws away what is queued.
        """
        check(naming.disconnect(self._handle))

    def send_to(self, data: Any, addr: AddressLike, flags: int = 0) -> int:
        """Send a packet to an address (sendto(2)), also while connected to another.

        Args:
            data: a contiguous bytes-like object.
            addr: a UnixSocketAddr, or a path as str, bytes or os.PathLike.
            flags: MSG_DONTWAIT (int).

        Returns:
            How many bytes went, which is all (int).

        Raises:
            AddressError: the address cannot be one, or is unnamed.
            OSError: with the address: FileNotFoundError, ConnectionRefusedError, PermissionError (also: the receiver is
                connected to somebody else); BlockingIOError, TimeoutError when its queue is full; otherwise as
                ``send()``.
        """
        flags = check_flags(flags, SEND)
        target = UnixSocketAddr._coerce(addr)._peer()
        with export(data) as memory:

            def attempt() -> int:
                return naming.send_to(self._handle, memory, len(memory), self._send_flags | flags, target)

            with naming.named(target):
                return self._write(attempt, flags)

    def send_vectored_to(self, buffers: Iterable[Any], addr: AddressLike, flags: int = 0) -> int:
        """Send several buffers as one packet to an address; otherwise as ``send_vectored()`` and ``send_to()``."""
        flags = check_flags(flags, SEND)
        target = UnixSocketAddr._coerce(addr)._peer()
        with Outgoing(buffers, target) as message, naming.named(target):
            return self._send_message(message, flags)

    def send_fds_to(self, data: Any, fds: Iterable[Any], addr: AddressLike, flags: int = 0) -> int:
        """Send a packet with descriptors to an address; otherwise as ``send_fds()`` and ``send_to()``."""
        flags = check_flags(flags, SEND)
        target = UnixSocketAddr._coerce(addr)._peer()
        borrowed = Borrowed(fds)
        with export(data) as memory, naming.named(target):
            return self._send_with_fds(memory, borrowed, flags, None, target)

    def send_ancillary_to(
        self, buffers: Iterable[Any], ancillary: SocketAncillary, addr: AddressLike, flags: int = 0
    ) -> int:
        """Send a packet with ancillary data to an address; otherwise as ``send_ancillary()`` and ``send_to()``."""
        flags = check_flags(flags, SEND)
        target = UnixSocketAddr._coerce(addr)._peer()
        with naming.named(target):
            return self._send_ancillary(buffers, ancillary, flags, target)

    def send_batch_to(
        self, packets: Iterable[Any], addrs: Any, flags: int = 0, *, fds: Any = None, credentials: Any = None
    ) -> int:
        """Send several packets to one address, or each to its own, in one call; otherwise as ``send_batch()``.

        Args:
            packets, flags, fds, credentials: as for ``send_batch()``.
            addrs: an address, or a list or tuple of them, as long as packets.

        Returns:
            How many packets went (int).

        Raises:
            ValueError: another number of addresses than of packets; nothing was sent.
            AddressError: an address cannot be one, or is unnamed; nothing was sent.
            OSError: with the address of the first packet, which did not go, as for ``send_to()``.
        """
        return self._send_batch(packets, flags, fds, credentials, addrs)

    def recv_from(self, size: int, flags: int = 0) -> PacketFrom:
        """Receive one packet and its sender's address (recvfrom(2)); otherwise as ``recv()``.

        Returns:
            PacketFrom(data, truncated, addr); ``addr`` is unnamed when the sender has no name.
        """
        flags = check_flags(flags, RECV_PACKET)
        receiver = preset(self._handle, size, self._recv_flags | flags, 0, room=0)
        result = self._receive_message(receiver, receiver.receive, flags)
        data = receiver.view[: result & SIZE_MASK]
        packet = _new(PacketFrom, (data, bool(result & CUT), receiver.sender()))
        return_receiver(receiver)
        return packet

    def recv_vectored_from(self, buffers: Iterable[Any], flags: int = 0) -> PacketIntoFrom:
        """Receive one packet into several buffers, and its sender's address; otherwise as ``recv_vectored()``.

        Returns:
            PacketIntoFrom(nbytes, truncated, addr).
        """
        nbytes, truncated, _, addr = self._recv_scattered(buffers, check_flags(flags, RECV_PACKET))
        return _new(PacketIntoFrom, (nbytes, truncated, addr))

    def peek_from(self, size: int, flags: int = 0) -> PacketFrom:
        """Receive one packet that stays in the queue, and its sender's address; otherwise as ``recv_from()``."""
        return self.recv_from(size, check_flags(flags, PEEK) | MSG_PEEK)

    def recv_fds_from(self, size: int, max_fds: int, flags: int = 0) -> PacketFdsFrom:
        """Receive one packet, its descriptors and its sender's address; otherwise as ``recv_fds()``.

        Returns:
            PacketFdsFrom(data, truncated, fds, addr).
        """
        flags = check_flags(flags, RECV_MESSAGE)
        receiver = preset(self._handle, size, self._recv_flags | flags, check_max_fds(max_fds))
        result = self._receive_message(receiver, receiver.receive, flags)
        addr = receiver.sender()
        return _new(PacketFdsFrom, (*self._unpack(receiver, result, addr), addr))
