"""The steps of a call: each bytecode of the library that it runs.

Rules:
- A step is known by the frame that makes it, counted in the order in which the frames of the library are entered, and
  by its number in that frame; a generator that goes on enters its frame again.
- To watch one frame costs little more than the call; to watch all of them costs fifty times as much. So the steps of a
  call are listed once, by watching everything, and afterwards found again by watching the one frame.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Callable, NamedTuple

import uds_cffi

LIBRARY = str(Path(uds_cffi.__file__).parent)


class Step(NamedTuple):
    """A step: what runs, in the how manieth entry into a frame, and at which of that entry's steps, both from 1."""

    code: CodeType
    entry: int
    index: int


@contextlib.contextmanager
def _tracing(strike: Callable[[Any, int], None], only: Step | None) -> Iterator[None]:
    entries = 0

    def enter(frame: Any, _event: str, _argument: object) -> Any:
        nonlocal entries
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        entries += 1
        if only is not None and entries != only.entry:
            return None
        entry = entries

        def step(frame: Any, _event: str, _argument: object) -> Any:
            strike(frame, entry)
            return step

        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return step(frame, _event, _argument)

    previous = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(previous)


@contextlib.contextmanager
def _monitoring(strike: Callable[[Any, int], None], only: Step | None) -> Iterator[None]:
    """Do the same where CPython has sys.monitoring; a trace function may miss there what ran without one before."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
    events = monitoring.events
    entries = 0
    # By identity: to keep a frame is to keep what its function has in hand. A frame that takes another one's place is
    # entered first.
    running: dict[int, int] = {}

    def enter(code: Any, _offset: int) -> Any:
        nonlocal entries
        if not code.co_filename.startswith(LIBRARY):
            return monitoring.DISABLE
        entries += 1
        running[id(sys._getframe(1))] = entries
        return None

    def step(code: Any, _offset: int) -> Any:
        if not code.co_filename.startswith(LIBRARY):
            return monitoring.DISABLE
        frame = sys._getframe(1)
        entry = running.get(id(frame), 0)
        return strike(frame, entry) if only is None or entry == only.entry else None

    callbacks = {
        events.PY_START: enter,
        events.PY_RESUME: enter,
        events.PY_THROW: lambda code, offset, _exception: enter(code, offset) and None,
        events.INSTRUCTION: step,
    }
    everywhere = events.PY_START | events.PY_RESUME | events.PY_THROW
    monitoring.use_tool_id(_TOOL, "steps")
    for event, callback in callbacks.items():
        monitoring.register_callback(_TOOL, event, callback)
    if only is None:
        monitoring.set_events(_TOOL, everywhere | events.INSTRUCTION)
    else:
        monitoring.set_local_events(_TOOL, only.code, events.INSTRUCTION)
        monitoring.set_events(_TOOL, everywhere)
    try:
        yield
    finally:
        monitoring.set_events(_TOOL, 0)
        if only is not None:
            monitoring.set_local_events(_TOOL, only.code, 0)
        for event in callbacks:
            monitoring.register_callback(_TOOL, event, None)
        # What was disabled above stays so otherwise, for whoever has the number next.
        monitoring.restart_events()
        monitoring.free_tool_id(_TOOL)


# One that neither coverage nor a debugger has.
_TOOL = 4

_watching = _monitoring if hasattr(sys, "monitoring") else _tracing


def watching(strike: Callable[[Any, int], None], only: Step | None = None) -> contextlib.AbstractContextManager[None]:
    """Call a function before each step of the library, with the frame and the number of its entry.

    Args:
        strike: what to call; what it raises is raised at that step.
        only: watch nothing but the frame of this step.
    """
    return _watching(strike, only)


def steps_of(call: Callable[[], object]) -> list[Step]:
    """Make a call, and list its steps in their order."""
    found: list[Step] = []
    counts: dict[int, int] = {}

    def strike(frame: Any, entry: int) -> None:
        counts[entry] = counts.get(entry, 0) + 1
        found.append(Step(frame.f_code, entry, counts[entry]))

    with watching(strike):
        call()
    return found
