"""Exceptions at the steps of a call, one after the other, which is where handlers raise.

Rules:
- After an exception at any bytecode of the library no descriptor is lost, and the next calls work as if nothing had
  happened: what the library keeps for them is whole. A trace function raises, so that nothing is left to chance.
- What was raised comes out of the call, the same object and unchanged in type, also where it is an OSError: then it
  must not be taken for an error of the kernel.
"""

from __future__ import annotations

import contextlib
import dis
import gc
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, Callable

import census
import pytest
from stepping import Step, steps_of, watching

# The distance between two steps at which the same kind of exception is raised. To try every step takes ten times as
# long: set the variable to 1 for that after a change to what is kept between calls.
STRIDE = int(os.environ.get("UDS_TEST_STRIDE", "10"))

# How many descriptors may wait for a collection.
_MANY = 300


class Interruption(Exception):
    """What a handler raises; nothing else does."""


class Lookalike(Interruption, TimeoutError, BlockingIOError, FileNotFoundError, FileExistsError, PermissionError):
    """What a handler raises that limits a call by signal.alarm(); to the library it looks like those of the kernel."""


INTERRUPTIONS = (Interruption, Lookalike)


@pytest.fixture
def finalizers_may_speak(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let finalizers close what an interruption has left, and say so.

    Each one gives a ResourceWarning, and an exception that a handler raises inside a finalizer cannot go anywhere.
    Neither is a failure of these tests. The hook is not in Python, because it could itself be interrupted.
    """
    monkeypatch.setattr(sys, "unraisablehook", bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        before = census.take()
        yield
        # This collects when something was left, and only then: on PyPy each collection goes over thousands of tests.
        census.differences(before)


def forget_what_is_handled() -> None:
    """Let go of the frames of exceptions that the interpreter believes to be handled where nobody handles any.

    CPython 3.11 to 3.13 and PyPy 8.0 keep one so, and what its traceback holds, when a handler raises just as an
    `except` clause begins or ends.
    """
    problem = sys.exc_info()[1]
    while problem is not None:
        for frame, _ in traceback.walk_tb(problem.__traceback__):
            for caller, _ in traceback.walk_stack(frame):
                # Not those that still run.
                with contextlib.suppress(RuntimeError):
                    caller.clear()
        problem = problem.__context__


def is_interrupted(call: Callable[[], object], step: int | Step, kind: type[Interruption] = Interruption) -> bool:
    """Make a call with an exception at the given step of it; returns False when it does not come to that step.

    Args:
        call: what to interrupt.
        step: how manieth of all, from 1; or one of those that steps_of() listed, which is much faster.
        kind: what to raise.
    """
    only, left = _sought(step)
    raised: list[Interruption] = []

    def strike(frame: Any, _entry: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0 and not raised and not _finalizes(frame) and not _leaves_a_handler(frame):
            raised.append(kind(f"step {step}, line {frame.f_lineno} of {frame.f_code.co_filename}"))
            raise raised[0]

    try:
        with watching(strike, only):
            call()
    except Interruption:
        # Forgotten, because its traceback keeps the frames of the call.
        raised.clear()
        return True
    # Otherwise the loop over the steps would end here, and the rest of them would never be tried.
    assert not raised, f"the call swallowed an exception: {raised.pop()}"
    return False


def is_overtaken(call: Callable[[], object], step: int | Step, other: Callable[[], object]) -> bool:
    """Make a call in the midst of which, at the given step, all of another one happens, as in another thread.

    Args:
        call: what to overtake.
        step: how manieth of all, from 1; or one of those that steps_of() listed, which is much faster.
        other: what happens in its midst.

    Returns:
        Whether it came to that step.
    """
    only, left = _sought(step)

    def strike(_frame: Any, _entry: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            other()

    with watching(strike, only):
        call()
    return left <= 0


def _sought(step: int | Step) -> tuple[Step | None, int]:
    """Return the one frame to watch, if it is known, and how many steps to count there."""
    return (step, step.index) if isinstance(step, Step) else (None, step)


def _finalizes(frame: Any) -> bool:
    """Tell whether a finalizer runs; what is raised in one does not come out, and there is another test for that."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


# What CPython 3.9 and 3.10 compile a `return` in an `except` clause to; later versions have no ROT_FOUR.
_LEAVE = {dis.opmap.get("ROT_FOUR"): dis.opmap.get("POP_EXCEPT")}


def _leaves_a_handler(frame: Any) -> bool:
    """Tell whether the next step is one at which these versions cannot unwind their stack, and crash later.

    They run no signal handler there: after ROT_FOUR the interpreter goes on without looking for signals.
    """
    code, place = frame.f_code.co_code, frame.f_lasti
    return place >= 2 and _LEAVE.get(code[place - 2]) == code[place]


def interrupt_everywhere(
    call: Callable[[], object], prepare: Callable[[], object], check: Callable[[], object], stride: int = STRIDE
) -> None:
    """Interrupt a call at each of its steps; after each interruption `check` finds everything in order."""
    before = census.take()
    prepare()
    assert not is_interrupted(call, sys.maxsize)
    check()
    prepare()
    steps = steps_of(call)
    check()
    for place, kind in enumerate(INTERRUPTIONS):
        # Each kind at steps between those of the others.
        chosen = steps[place * stride // len(INTERRUPTIONS) :: stride]
        interrupted = 0
        for count, step in enumerate(chosen):
            prepare()
            interrupted += is_interrupted(call, step, kind)
            check()
            if count % 16 == 15 and len(census.take().descriptors) > _MANY:
                # PyPy would run out of descriptors.
                gc.collect()
        # Not each one: an earlier interruption may leave a call less to do, and none is made in a finalizer.
        assert interrupted > len(chosen) // 2
    forget_what_is_handled()
    assert census.differences(before) == []
