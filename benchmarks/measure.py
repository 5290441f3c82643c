"""Timing: short slices of every way in turn, in an order that changes with each repeat.

Rules:
- The ways of one operation are measured side by side in one process, and each operation in a process of its own, so
  that a result does not depend on what was measured before it.
- Nothing is collected while the clock runs, and what a way returned is looked at after the clock was read.
"""

from __future__ import annotations

import gc
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from .isolate import isolated
from .operation import Operation, Trial, Way


class WrongResult(Exception):
    """A way did not receive what was sent: its time would mean nothing."""


@dataclass(frozen=True)
class Settings:
    """How long and how often.

    Attributes:
        repeats: how many slices of each way.
        slice_seconds: how long a slice lasts.
        warm_seconds: how long each way runs before, at least; PyPy's compiler needs it.
        warm_rounds: and how often, at least, but see `longest_warm`.
        longest_warm: seconds after which a way is warm however few rounds it made.
    """

    repeats: int = 61
    slice_seconds: float = 0.001
    warm_seconds: float = 0.15
    warm_rounds: int = 20_000
    longest_warm: float = 2.0


QUICK = Settings(repeats=15, warm_seconds=0.05, warm_rounds=4000, longest_warm=0.6)


@dataclass(frozen=True)
class Measured:
    """The slices of one operation: per way one figure per repeat, per operation, in the operation's unit."""

    figures: dict[str, list[float]]
    notes: list[str]


def _checked(trial: Trial, name: str, result: Any) -> None:
    if result != trial.expected:
        raise WrongResult(f"{name} returned {result!r:.200} and not {trial.expected!r:.200}")


def _timed(way: Way, rounds: int) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = way(rounds)
    return time.perf_counter() - begin, result


def _warm(trial: Trial, name: str, settings: Settings) -> float:
    """Run a way until it is as fast as it gets; return the seconds of one round."""
    way = trial.ways[name]
    rounds, begin, done = 1, time.perf_counter(), 0
    while True:
        seconds, result = _timed(way, rounds)
        _checked(trial, name, result)
        done += rounds
        spent = time.perf_counter() - begin
        if spent >= settings.longest_warm or (spent >= settings.warm_seconds and done >= settings.warm_rounds):
            return max(seconds / rounds, 1e-9)
        if seconds < settings.slice_seconds:
            rounds *= 2


def measure(operation: Operation, settings: Settings) -> Measured:
    """Measure one operation in this process.

    Raises:
        WrongResult: a way did not do what it should.
        Exception: whatever an operation raises.
    """
    with ExitStack() as stack:
        trial = operation.prepare(stack)
        verify = trial.verify or (lambda: None)
        verify()
        if operation.unit == "ns":
            figures = _measure_times(operation, trial, settings)
        else:
            figures = _measure_figures(operation, trial, settings)
        verify()
        return Measured(figures, trial.notes)


def _repeats(operation: Operation, settings: Settings) -> int:
    return min(settings.repeats, operation.most_repeats or settings.repeats)


def _in_turn(trial: Trial, repeats: int) -> list[str]:
    """Return the order of all slices: each repeat has every way once."""
    order: list[str] = []
    for _ in range(repeats):
        names = list(trial.ways)
        random.shuffle(names)
        order += names
    return order


def _measure_times(operation: Operation, trial: Trial, settings: Settings) -> dict[str, list[float]]:
    length = operation.slice_seconds or settings.slice_seconds
    figures: dict[str, list[float]] = {name: [] for name in trial.ways}
    rounds = {name: max(1, round(length / _warm(trial, name, settings))) for name in trial.ways}
    gc.collect()
    gc.disable()
    try:
        for name in _in_turn(trial, _repeats(operation, settings)):
            seconds, result = _timed(trial.ways[name], rounds[name])
            _checked(trial, name, result)
            figures[name].append(seconds / rounds[name] * 1e9)
    finally:
        gc.enable()
    return figures


def _measure_figures(operation: Operation, trial: Trial, settings: Settings) -> dict[str, list[float]]:
    """Collect what the ways say of themselves."""
    figures: dict[str, list[float]] = {name: [] for name in trial.ways}
    for name in _in_turn(trial, _repeats(operation, settings)):
        figures[name].append(trial.ways[name](1))
    return figures


def measure_apart(operation: Operation, settings: Settings) -> Measured:
    """Measure one operation in a process, or in several, of its own.

    Raises:
        ChildError: it failed there.
    """
    share = replace(settings, repeats=max(1, _repeats(operation, settings) // operation.processes))
    figures: dict[str, list[float]] = {}
    measured = Measured({}, [])
    for _ in range(operation.processes):
        measured = isolated(measure, operation, share)
        for name, values in measured.figures.items():
            figures.setdefault(name, []).extend(values)
    return Measured(figures, measured.notes)
