"""The reviewed table of layouts: what each system's compiler must find in each system's headers.

Its form: a line without indentation names a thing; under it, indented by two, each form that it has; under that,
indented by four, the targets where it has that form, or patterns as in the shell. A target that is named
takes its form from there, and every other from the one pattern that it fits. A line that begins with # is a comment.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

PATH = Path(__file__).with_name("layouts.txt")

# What each target has: thing -> form.
Layouts = dict[str, dict[str, str]]


def parse(text: str, targets: Iterable[str]) -> Layouts:
    """Return what the table says of each target.

    Raises:
        ValueError: A target has two forms of one thing, a word fits no target, or a line is out of place.
    """
    layouts: Layouts = {target: {} for target in targets}
    for thing, forms in read(text).items():
        words = [word for each in forms.values() for word in each]
        for word in words:
            if not any(fnmatchcase(target, word) for target in layouts):
                raise ValueError(f"{thing}: {word} fits no target")
        for target, its in layouts.items():
            fitting = [form for form, each in forms.items() for word in each if word == target]
            if not fitting:
                fitting = [form for form, each in forms.items() for word in each if fnmatchcase(target, word)]
            if len(fitting) > 1:
                raise ValueError(f"{thing}: {target} has two forms: {'; '.join(fitting)}")
            if fitting:
                its[thing] = fitting[0]
    return layouts


def read(text: str) -> dict[str, dict[str, list[str]]]:
    """Return each thing with its forms, and each form with the words for its targets."""
    things: dict[str, dict[str, list[str]]] = {}
    forms: dict[str, list[str]] | None = None
    words: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        depth = len(line) - len(line.lstrip(" "))
        if depth == 0 and line.strip() not in things:
            forms, words = things.setdefault(line.strip(), {}), None
        elif depth == 2 and forms is not None:
            words = forms.setdefault(line.strip(), [])
        elif depth == 4 and words is not None:
            words += line.split()
        else:
            raise ValueError(f"line {number} is out of place: {line!r}")
    return things


def render(layouts: Mapping[str, Mapping[str, str]]) -> str:
    """Return a table that says this, with the name of every target, for a person to put into a shorter form."""
    things: dict[str, dict[str, list[str]]] = {}
    for target, its in layouts.items():
        for thing, form in its.items():
            things.setdefault(thing, {}).setdefault(form, []).append(target)
    lines: list[str] = []
    for thing, forms in things.items():
        lines += ["", thing]
        for form, targets in forms.items():
            lines.append(f"  {form}")
            lines += textwrap.wrap(
                " ".join(targets), 118, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
            )
    return "\n".join(lines) + "\n"


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each thing that is not as the table has it, either way."""
    return [
        f"{thing}: the table has {expected.get(thing, 'nothing')}, the compiler {found.get(thing, 'nothing')}"
        for thing in sorted({*expected, *found})
        if expected.get(thing) != found.get(thing)
    ]
