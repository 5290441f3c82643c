"""A crowd of threads that begin at the same moment, and what they send."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable

import support

# As many as make each other wait on a machine with few processors, and as many messages as take each a short while.
CROWD = 4
EACH = 150
SIZE = 24


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions in threads that begin at the same moment, and return what each returns."""
    meeting = threading.Barrier(len(functions))

    def begin(function: Callable[[], Any]) -> Any:
        meeting.wait(support.PATIENCE)
        return function()

    with contextlib.ExitStack() as threads:
        outcomes = [threads.enter_context(support.in_thread(begin, function)) for function in functions]
    return [outcome[0] for outcome in outcomes]


def record(sender: int, number: int) -> bytes:
    return b"%04d %06d" % (sender, number) + b"." * (SIZE - 11)
