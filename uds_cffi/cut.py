"""Cutting memory into messages, and measuring them: the one place that asks which interpreter runs.

Rule: both ways give the same, and both are tested everywhere.  Each is twice as fast as the other on its own
interpreter: CPython pays for each bytecode and each cdata object, PyPy's compiler removes them, but not calls into
``io``.
"""

from __future__ import annotations

import sys
from io import BytesIO
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._lib import CData

# How so many lengths are read and written at once, made when first asked for.
_structs: dict[int, Struct] = {}


def lengths_of(count: int) -> Struct:
    """Return what packs and unpacks an array of so many lengths."""
    known = _structs.get(count)
    if known is None:
        known = _structs[count] = Struct(f"={count}I")
    return known


def cut_by_reading(
    view: Any, first: int, last: int, starts: CData, lengths: CData, lengths_view: Any, count: int
) -> list[bytes]:
    """Cut the block by one loop in C, which reads it like a file."""
    if count == 1:
        return [view[first:last]]
    return list(map(BytesIO(view[first:last]).read, lengths_of(count).unpack_from(lengths_view)))


def cut_by_index(
    view: Any, first: int, last: int, starts: CData, lengths: CData, lengths_view: Any, count: int
) -> list[bytes]:
    """Cut the block by a loop over the places that C has written."""
    return [view[starts[index] : starts[index] + lengths[index]] for index in range(count)]


def pack_any(messages: list[Any]) -> bytes:
    """Pack the lengths of messages; what ``bytes.join()`` refuses is refused there."""
    return lengths_of(len(messages)).pack(*map(len, messages))


def pack_bytes(messages: list[Any]) -> bytes:
    """Pack the lengths of messages, or return b"" when one is not bytes: ``join()`` of PyPy takes slices with gaps."""
    lengths = [len(message) for message in messages if type(message) is bytes]
    return lengths_of(len(lengths)).pack(*lengths) if len(lengths) == len(messages) else b""


if sys.implementation.name == "cpython":
    cut, pack_lengths = cut_by_reading, pack_any
else:
    cut, pack_lengths = cut_by_index, pack_bytes
