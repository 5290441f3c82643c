"""Pools: what is kept for the next call that needs the same, so that none need be made for each call.

Rule: the child of a fork begins without them, because a thread of the parent may have been about to use what they hold.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import TypeVar

    Kept = TypeVar("Kept")
else:
    # It is the same class; loading the rest of `collections` takes as long as a third of this library.
    from _collections import deque


def pool(most: int) -> deque[Kept]:
    """Make a pool.

    The last one that was put into it is the first to be used again; the one that waited longest goes when there are
    more than ``most``.  ``pop()`` raises IndexError when it is empty.
    """
    made: deque[Kept] = deque(maxlen=most)
    os.register_at_fork(after_in_child=made.clear)
    return made


def trim(kept: list[Kept], size: Callable[[Kept], int], most: int) -> None:
    """Take out of a pool what came last, until all that is in it has no more than so many bytes.

    It is for after putting something in: when threads count first and put in then, each counts without the others.
    """
    while sum(map(size, kept)) > most:
        try:
            kept.pop()
        except IndexError:
            # Another thread was quicker.
            pass
