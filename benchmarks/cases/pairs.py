"""What many operations start from: a pair of each type, and bytes to send."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import Any, Callable

import uds_cffi

from .. import floor
from ..operation import FLOOR, OURS, STDLIB, Trial, Way, lacks_feature, of_its_own

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
    return random.Random(size).randbytes(size)


def exchange(
    ours: tuple[Any, Any],
    stdlibs: tuple[socket.socket, socket.socket],
    data: bytes,
    room: int,
    flags: int = 0,
) -> Trial:
    """Return the trial that sends bytes through two pairs and receives them.

    Args:
        ours: a pair of this library.
        stdlibs: a pair of the standard library; the floor uses it too.
        data: what is sent.
        room: how many bytes are asked for.
        flags: what the floor calls with.
    """
    from_, to = stdlibs
    made = floor.load()
    into = made.ffi.new("char[]", room)

    def received(one: Any, two: Any) -> Way:
        def way(rounds: int) -> Any:
            got: Any = None
            for _ in range(rounds):
                one.send(data)
                got = two.recv(room)
            return got if isinstance(got, bytes) else got.data

        return of_its_own(way)

    def in_c(rounds: int) -> bytes:
        got = floor.check(
            made.lib.floor_send_recv(from_.fileno(), to.fileno(), data, len(data), into, room, flags, rounds)
        )
        return bytes(made.ffi.buffer(into, got))

    return Trial({OURS: received(*ours), STDLIB: received(*stdlibs), FLOOR: in_c}, data)
