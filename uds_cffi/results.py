"""What receives of packets return.

Rule: a named tuple equals the plain tuple of its fields, so code can unpack or compare it; on the hot path it is built
with ``tuple.__new__``.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from .address import UnixSocketAddr
    from .fds import OwnedFds

    class Packet(NamedTuple):
        """A packet."""

        data: bytes
        truncated: bool

    class PacketInto(NamedTuple):
        """A packet in the caller's memory."""

        nbytes: int
        truncated: bool

    class PacketFrom(NamedTuple):
        """A packet and its sender."""

        data: bytes
        truncated: bool
        addr: UnixSocketAddr

    class PacketIntoFrom(NamedTuple):
        """A packet in the caller's memory and its sender."""

        nbytes: int
        truncated: bool
        addr: UnixSocketAddr

    class PacketFds(NamedTuple):
        """A packet with descriptors."""

        data: bytes
        truncated: bool
        fds: OwnedFds

    class PacketFdsFrom(NamedTuple):
        """A packet with descriptors and its sender."""

        data: bytes
        truncated: bool
        fds: OwnedFds
        addr: UnixSocketAddr

else:

    class Packet(namedtuple("Packet", "data truncated")):
        """A packet: ``data`` (bytes), and whether it was longer than the size asked for (``truncated``, bool)."""

        __slots__ = ()

    class PacketInto(namedtuple("PacketInto", "nbytes truncated")):
        """A packet in the caller's memory: how many bytes it filled (``nbytes``, int), and ``truncated`` (bool)."""

        __slots__ = ()

    class PacketFrom(namedtuple("PacketFrom", "data truncated addr")):
        """A packet: ``data`` (bytes), ``truncated`` (bool), and its sender (``addr``, UnixSocketAddr)."""

        __slots__ = ()

    class PacketIntoFrom(namedtuple("PacketIntoFrom", "nbytes truncated addr")):
        """A packet in the caller's memory: ``nbytes`` (int), ``truncated`` (bool), ``addr`` (UnixSocketAddr)."""

        __slots__ = ()

    class PacketFds(namedtuple("PacketFds", "data truncated fds")):
        """A packet: ``data`` (bytes), ``truncated`` (bool), and its descriptors (``fds``, OwnedFds)."""

        __slots__ = ()

    class PacketFdsFrom(namedtuple("PacketFdsFrom", "data truncated fds addr")):
        """A packet: ``data`` (bytes), ``truncated`` (bool), ``fds`` (OwnedFds), ``addr`` (UnixSocketAddr)."""

        __slots__ = ()
