"""By how much a process grows with each socket: run in a fresh one, by the operations that measure memory.

Rule: little is imported here. What was freed before is used again, and does not count; a fork inherits it, of whatever
ran in the parent. The first half of the sockets takes what even a fresh interpreter has free, and the second is
measured.
"""

from __future__ import annotations

import gc
import importlib
from typing import Any, Callable

from .limits import resident_bytes

# After so many pairs garbage is collected: PyPy's heap would grow by it otherwise, and have room for sockets later.
BETWEEN = 500

# What makes pairs of streams, by the name of its module.
PAIRS: dict[str, Callable[[Any], Callable[[], tuple[Any, Any]]]] = {
    "uds_cffi": lambda module: module.UnixStream.pair,
    "socket": lambda module: module.socketpair,
}


def bytes_per_socket(name: str, pairs: int, used: bool) -> float:
    """Make so many pairs, keep them, and return by how much this process has grown for each socket.

    Args:
        name: The module that makes them.
        pairs: How many.
        used: Whether each socket sends and receives a message first.
    """
    make = PAIRS[name](importlib.import_module(name))
    kept: list[Any] = [None] * pairs
    data = b"x" * 64
    half = before = 0
    for place in range(pairs):
        if place % BETWEEN == 0:
            gc.collect()
        if place == pairs // 2:
            gc.collect()
            half, before = place, resident_bytes()
        kept[place] = one, two = make()
        if used:
            one.send(data)
            two.recv(4096)
            two.send(data)
            one.recv(4096)
    gc.collect()
    return (resident_bytes() - before) / (2 * (pairs - half))
