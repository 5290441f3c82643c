"""The reviewed table of what each guest's kernel has, and how a run is held against it.

Rule: what is found is compared both ways: a feature more is as wrong as one that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PATH = Path(__file__).with_name("features.txt")

# What `Feature.reason` is, and "yes" for what is supported.
MARKS = {"yes": "yes", "kernel": "-", "no security module": "label", "not permitted": "priv", "not built": "build"}


def parse(text: str) -> dict[str, dict[str, str]]:
    """Return guest -> feature -> reason, or "yes".

    Raises:
        ValueError: A line has not as many columns as there are guests, or something else in one.
    """
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    (_, *guests), rows = lines[0], lines[1:]
    reasons = {mark: reason for reason, mark in MARKS.items()}
    found: dict[str, dict[str, str]] = {guest: {} for guest in guests}
    for feature, *marks in rows:
        if len(marks) != len(guests) or not set(marks) <= set(reasons):
            raise ValueError(f"{feature}: {' '.join(marks)} is not one of {' '.join(reasons)} for each guest")
        for guest, mark in zip(guests, marks):
            found[guest][feature] = reasons[mark]
    return found


def render(found: Mapping[str, Mapping[str, str]]) -> str:
    """Return the table as the file has it, for a review."""
    features = list(dict.fromkeys(feature for column in found.values() for feature in column))
    rows = [["feature", *found], *([name, *(MARKS[column[name]] for column in found.values())] for name in features)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows)


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each feature that is not as the table has it."""
    return [
        f"{name}: the table has {expected.get(name, 'nothing')}, the guest {found.get(name, 'nothing')}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]
