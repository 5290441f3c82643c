"""What the tests of passing descriptors share.

Rule: a descriptor that arrived is a copy of the one that was sent, under a number of its own.
"""

from __future__ import annotations

import os
from typing import Any

from uds_cffi import OwnedFds, PacketFds, UnixStream


def receive(sock: Any, size: int, max_fds: int, flags: int = 0) -> tuple[bytes, OwnedFds]:
    """Receive bytes and descriptors, whatever shape the type gives them."""
    result = sock.recv_fds(size, max_fds, flags)
    if isinstance(sock, UnixStream):
        data, fds = result
    else:
        assert type(result) is PacketFds
        data, truncated, fds = result
        assert truncated is False
    assert type(fds) is OwnedFds
    return data, fds


def same(fds: OwnedFds, originals: list[int]) -> bool:
    """Tell whether these are copies of those, in order, each under a number of its own."""
    numbers = fds.numbers()
    return (
        len(numbers) == len(originals)
        and len(set(numbers)) == len(numbers)
        and all(os.path.sameopenfile(one, two) for one, two in zip(numbers, originals))
    )
