"""Listeners of every kind, our own and adopted ones, for tests of those who accept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from blocked import LISTENERS, MARKS, foreign_listener

EACH_LISTENER = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in LISTENERS])
ADOPTED = pytest.mark.parametrize("adopted", [False, True], ids=["own", "adopted"])


@contextlib.contextmanager
def listening(kind: str, path: str, adopted: bool) -> Iterator[Any]:
    """Give a listener to the `with` block: our own, or one that blocks in the kernel and was adopted."""
    listener_type = LISTENERS[kind]
    bind = listener_type.bind
    with listener_type.from_fd(foreign_listener(kind, path).detach()) if adopted else bind(path) as listener:
        yield listener
