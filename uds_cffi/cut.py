"""Joining messages, and cutting memory into them; like ``vectors``, this module asks which interpreter runs.

Rule: both ways give the same, and both are tested everywhere.  Each is twice as fast as the other on its own
interpreter: CPython pays for each bytecode and each cdata object, PyPy's compiler removes them, but not calls into
``io`` and ``struct``.
"""

from __future__ import annotations

import sys
from io import BytesIO
from struct import Struct

from ._lib import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ._lib import CData

    _Key = TypeVar("_Key")
    _Made = TypeVar("_Made")

# What stands between messages that are joined, so that C finds where they end.
HOLE: bytes = lib.UDS_HOLE.to_bytes(4, "big")

# How many things of each kind are kept that were made for one shape of messages.
KEPT = 256

_structs: dict[tuple[int, str], Struct] = {}


def keep(cache: dict[_Key, _Made], key: _Key, made: _Made) -> _Made:
    """Keep what was made for the next time, and forget all of its kind first when they are too many."""
    if len(cache) >= KEPT:
        cache.clear()
    cache[key] = made
    return made


def lengths_of(count: int, code: str = "=I") -> Struct:
    """Return what packs and unpacks an array of so many lengths, each of this type of ``struct``."""
    known = _structs.get((count, code))
    if known is None:
        known = keep(_structs, (count, code), Struct(f"{code[:-1]}{count}{code[-1]}"))
    return known


class Places:
    """Where C writes where messages begin and how long they are: two arrays, and a view of the second."""

    __slots__ = ("starts", "lengths", "packed")

    def __init__(self, starts: CData, lengths: CData) -> None:
        self.starts = starts
        self.lengths = lengths
        self.packed = ffi.buffer(lengths)


def cut_by_reading(view: Any, first: int, last: int, count: int, places: Places) -> list[bytes]:
    """Cut messages that lie one behind the other by one loop in C, which reads them like a file."""
    return list(map(BytesIO(view[first:last]).read, lengths_of(count).unpack_from(places.packed)))


def cut_by_index(view: Any, first: int, last: int, count: int, places: Places) -> list[bytes]:
    """Cut the same messages by a loop over their places."""
    starts, lengths = places.starts, places.lengths
    # A sum that goes on from one to the next costs more here than an array.
    return [view[starts[place] : starts[place] + lengths[place]] for place in range(count)]


def splitter_by_struct(count: int, each: int, gap: int) -> Callable[[Any], list[bytes]]:
    """Return what cuts so many messages of one length out of memory by one call of C; before each is a gap."""
    unpack = Struct(f"{gap}x{each}s" * count).unpack_from
    return lambda view: list(unpack(view))


def splitter_by_index(count: int, each: int, gap: int) -> Callable[[Any], list[bytes]]:
    """Return what does the same by a loop."""
    places = range(count)
    step = gap + each
    return lambda view: [view[step * place + gap : step * place + step] for place in places]


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
