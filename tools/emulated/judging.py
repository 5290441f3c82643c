"""The judgement of what a guest has said."""

from __future__ import annotations

from collections.abc import Mapping

from . import table
from .starting import Said
from .systems import UML, Guest


def judge(guest: Guest, said: Said, expected: Mapping[str, str]) -> list[str]:
    """Return what is wrong; nothing is taken for right that was not said.

    Args:
        guest: Which one.
        said: What it has said.
        expected: Its column of the table of features.
    """
    problems = []
    programs = 1 + guest.tests
    if said.statuses is None:
        problems.append("there is no verdict at the end")
    elif said.statuses != [0] * programs:
        problems.append(f"its {programs} programs ended with {said.statuses}")
    if not said.kernel:
        problems.append("it does not say which kernel it has")
    if guest.kind == UML and not said.kernel.startswith(guest.name.replace("linux-", "Linux ") + "."):
        problems.append(f"its kernel is {said.kernel}")
    if guest.tests and " passed" not in said.tests:
        problems.append("pytest does not say that tests passed")
    if said.features is None:
        problems.append("there is no table of features")
    else:
        problems += table.differences(expected, said.features)
    return problems
