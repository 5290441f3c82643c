"""What few programs need: loaded when it is needed for the first time, and kept.

Rule: no call imports what is loaded.  The statement takes its time, 2 us on CPython; and PyPy takes a lock for each,
also of what is loaded, and leaves it locked for ever when a signal handler raises in between.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, TypeVar

    Loaded = TypeVar("Loaded")


def once(load: Callable[[], Loaded]) -> Callable[[], Loaded]:
    """Make a function, of one that imports something and returns it, that keeps what it returned."""
    kept: Loaded | None = None

    def loaded() -> Loaded:
        nonlocal kept
        if kept is None:
            # Threads may both come here, and get the same.
            kept = load()
        return kept

    return loaded


@once
def path_class() -> type[Path]:
    """Return ``pathlib.Path``."""
    from pathlib import Path

    return Path


@once
def socket_module() -> Any:
    """Return the standard library's ``socket``."""
    import socket

    return socket
