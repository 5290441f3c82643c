"""Buffers that are small together: sent as one, and received as one and then filled.

Rule: this module, and ``cut`` for framed messages, are the only ones that ask which interpreter runs them.  Each of the
two has a way of filling buffers that is several times slower on the other, and neither way changes what is filled.
"""

from __future__ import annotations

import sys
from io import BytesIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ON_PYPY = sys.implementation.name == "pypy"

# Up to this size, in bytes, and number, copying costs less than a message that points to each buffer.
_LARGEST = 4 * 1024 if _ON_PYPY else 64 * 1024
_MOST = 64


def join(buffers: Any) -> bytes | None:
    """Return the bytes of a list of a few bytes and bytearrays, None for anything else and for more than a little."""
    if type(buffers) is not list or len(buffers) > _MOST:
        return None
    size = 0
    for buffer in buffers:
        # Others may have gaps, which not every interpreter's join() refuses.
        if type(buffer) is not bytes and type(buffer) is not bytearray:
            return None
        size += len(buffer)
    return b"".join(buffers) if size <= _LARGEST else None


def small_size(buffers: Any) -> int | None:
    """Return how many bytes fit into a list of bytearrays, None for anything else and for more than a little."""
    if type(buffers) is not list or len(buffers) > _MOST:
        return None
    size = 0
    for buffer in buffers:
        # They are writable and contiguous, so nothing can fail once the bytes are there.
        if type(buffer) is not bytearray:
            return None
        size += len(buffer)
    return size if 0 < size <= _LARGEST else None


def _check(filled: int, data: bytes) -> None:
    if filled < len(data):
        lost = len(data) - filled
        raise BufferError(f"a buffer was made shorter during the receive: {lost} of {len(data)} bytes have no place")


def scatter_by_slices(data: bytes, buffers: list[bytearray]) -> None:
    """Fill the buffers, one after the other."""
    begin = 0
    for buffer in buffers:
        piece = data[begin : begin + len(buffer)]
        buffer[: len(piece)] = piece
        begin += len(piece)
    _check(begin, data)


def scatter_by_reading(data: bytes, buffers: list[bytearray]) -> None:
    """Fill the buffers, one after the other."""
    # readinto() reads nothing more once the data has come to its end.
    _check(sum(map(BytesIO(data).readinto, buffers)), data)


scatter: Callable[[bytes, Any], None]
scatter = scatter_by_slices if _ON_PYPY else scatter_by_reading
