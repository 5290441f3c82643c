"""What many operations start from: a pair of each type, and bytes to send."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import Any, Callable

import uds_cffi

from ..operation import lacks_feature

TYPES = {
    "stream": (uds_cffi.UnixStream, socket.SOCK_STREAM),
    "datagram": (uds_cffi.UnixDatagram, socket.SOCK_DGRAM),
    "seqpacket": (uds_cffi.UnixSeqpacketConn, socket.SOCK_SEQPACKET),
}


def missing_type(name: str) -> Callable[[], str | None]:
    """Return a check for a socket type that a system may not have."""
    return lacks_feature("seqpacket") if name == "seqpacket" else lambda: None


def our_pair(stack: ExitStack, name: str) -> tuple[Any, Any]:
    """Make a pair of this library, closed with the stack."""
    one, two = TYPES[name][0].pair()
    stack.callback(one.close)
    stack.callback(two.close)
    return one, two


def stdlib_pair(stack: ExitStack, name: str) -> tuple[socket.socket, socket.socket]:
    """Make a pair of the standard library, closed with the stack."""
    one, two = socket.socketpair(socket.AF_UNIX, TYPES[name][1])
    stack.callback(one.close)
    stack.callback(two.close)
    return one, two


def payload(size: int) -> bytes:
    """Return the same bytes each time, of which no two pieces are alike."""
    return bytes(random.Random(size).getrandbits(8) for _ in range(size))
