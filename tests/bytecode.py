"""What an interpreter has made of a function: its code objects, and their exception tables."""

from __future__ import annotations

import dis
import types
from collections.abc import Iterator
from typing import Any


def functions(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a code object and all inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from functions(constant)


def entries_of(code: types.CodeType) -> list[Any]:
    """Return the entries of its exception table, which CPython 3.11 and PyPy 8 have."""
    found: list[Any] = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    return found
