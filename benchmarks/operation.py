"""What is measured: operations, and the ways of doing each.

Rules:
- Every way of one operation does the same work and hands back what it received, so that nothing is measured that does
  not work.
- A way is a function that does its operation n times in its own loop; what it needs is made before, by `prepare`.
- No two ways share the code of their loop, even where the text is the same.  PyPy compiles it for the objects that come
  first, and all others would take a detour of some 3 % of a small message: `of_its_own` makes the copies.
"""

from __future__ import annotations

import types
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Callable

import uds_cffi

# A way of doing an operation n times; it returns what the last time received.
Way = Callable[[int], Any]

OURS = "ours"
STDLIB = "stdlib"
FLOOR = "floor"
BARE = "bare"
CONTROL = "control"

# The group whose rows are one operation with more and more connections.
SCALING = "scaling"


def of_its_own(way: Way) -> Way:
    """Return the same function with a code object of its own."""
    assert isinstance(way, types.FunctionType)
    return types.FunctionType(way.__code__.replace(), way.__globals__, way.__name__, way.__defaults__, way.__closure__)


@dataclass
class Trial:
    """An operation that is ready to run.

    Attributes:
        ways: functions by name: OURS, and others to compare it with.
        expected: what every way returns.
        verify: a look that costs too much to be measured: called before and after, it raises when something is wrong.
        notes: what a reader must know, for example that fewer sockets were used.
    """

    ways: dict[str, Way]
    expected: Any = None
    verify: Callable[[], None] | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Operation:
    """A row of the table.

    Attributes:
        name: what identifies it on the command line and in files.
        group: the heading it stands under.
        prepare: makes the trial; what must be undone goes onto the stack.
        missing: returns why it cannot be measured here, or None.
        baseline: the way that the others are compared with.
        unit: "ns" when the ways are timed; otherwise they return the figure themselves, per operation in this unit.
        slice_seconds: how long a slice lasts, or None for the settings' own.
        most_repeats: never more repeats than this, where each of them takes long.
        processes: over how many processes, one after the other, the repeats are divided: more than one where the result
            differs from process to process.
    """

    name: str
    group: str
    prepare: Callable[[ExitStack], Trial]
    missing: Callable[[], str | None] = lambda: None
    baseline: str = STDLIB
    unit: str = "ns"
    slice_seconds: float | None = None
    most_repeats: int | None = None
    processes: int = 1


OPERATIONS: dict[str, Operation] = {}


def register(operation: Operation) -> None:
    """Add a row; its name must be new."""
    if operation.name in OPERATIONS:
        raise ValueError(f"there is an operation {operation.name!r} already")
    OPERATIONS[operation.name] = operation


def lacks_feature(name: str) -> Callable[[], str | None]:
    """Return a check for a row of the library's capability table."""

    def missing() -> str | None:
        return None if uds_cffi.features()[name].supported else f"feature {name} is absent"

    return missing
