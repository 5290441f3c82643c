"""Joining messages, and cutting memory into them; like ``vectors``, this module asks which interpreter runs.

Rule: both ways give the same, and both are tested everywhere.  Each is twice as fast as the other on its own
interpreter: CPython pays for each bytecode and each cdata object, PyPy's compiler removes them, but not calls into
``io``.
"""

from __future__ import annotations

import sys
from io import BytesIO
from struct import Struct

from ._lib import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._lib import CData

# What stands between messages that are joined, so that C finds where they end.
HOLE: bytes = lib.UDS_HOLE.to_bytes(4, "big")

# How so many lengths are read and written at once, made when first asked for.
_structs: dict[int, Struct] = {}


# What cuts so many messages of one length, made when first asked for; so many are kept.
_unpackers: dict[tuple[int, int], Callable[[Any, int], tuple[bytes, ...]]] = {}
_UNPACKERS = 64


def lengths_of(count: int) -> Struct:
    """Return what packs and unpacks an array of so many lengths."""
    known = _structs.get(count)
    if known is None:
        known = _structs[count] = Struct(f"={count}I")
    return known


def cut_by_reading(reader: CData, view: Any, lengths: Any) -> list[bytes]:
    """Cut the messages of a result by one loop in C, which reads them like a file."""
    count = reader.count
    if count == 1:
        return [view[reader.first : reader.last]]
    each = reader.each
    if each >= 0:
        # Messages of one length are common, and this is the fastest way there is.
        try:
            return list(_unpackers[count, each](view, reader.first))
        except KeyError:
            if len(_unpackers) >= _UNPACKERS:
                _unpackers.clear()
            unpack = _unpackers[count, each] = Struct(f"{each}s" * count).unpack_from
            return list(unpack(view, reader.first))
    return list(map(BytesIO(view[reader.first : reader.last]).read, lengths_of(count).unpack_from(lengths)))


def cut_by_index(reader: CData, view: Any, lengths: Any) -> list[bytes]:
    """Cut the messages of a result by a loop over the places that C has written."""
    starts, sizes = reader.starts, reader.lengths
    return [view[starts[index] : starts[index] + sizes[index]] for index in range(reader.count)]


def splitter_by_struct(count: int, each: int) -> Callable[[Any], list[bytes]]:
    """Return what cuts so many messages of one length out of memory by one call of C."""
    unpack = Struct(f"{each}s" * count).unpack_from
    return lambda view: list(unpack(view))


def splitter_by_index(count: int, each: int) -> Callable[[Any], list[bytes]]:
    """Return what does the same by a loop."""
    places = range(count)
    return lambda view: [view[each * place : each * place + each] for place in places]


def join_at_once(items: list[Any]) -> bytes | None:
    """Join contiguous bytes-like objects with holes; None when that is refused."""
    try:
        return HOLE.join(items)
    except (TypeError, BufferError):
        return None


def join_bytes(items: list[Any]) -> bytes | None:
    """Join bytes with holes; None for other types, of which PyPy joins some that are not contiguous."""
    for item in items:
        if type(item) is not bytes:
            return None
    return HOLE.join(items)


_CPYTHON = sys.implementation.name == "cpython"
splitter = splitter_by_struct if _CPYTHON else splitter_by_index
cut = cut_by_reading if _CPYTHON else cut_by_index
join: Callable[[list[Any]], bytes | None] = join_at_once if _CPYTHON else join_bytes
