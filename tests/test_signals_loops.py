"""Loops inside a `try` or a `with`, as CPython and PyPy 8 compile them.

Rule: the jump back to the beginning of a loop, where the interpreter runs signal handlers, is protected like the loop.
CPython 3.13.0 leaves such a jump out of the exception table when it follows a condition: what a handler raises there
passes by each `except`, `finally` and `__exit__` around the loop.  A function that loops and is called inside the `try`
is safe.
"""

from __future__ import annotations

import contextlib
import dis
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from bytecode import entries_of, functions

import uds_cffi

pytestmark = pytest.mark.skipif(
    not hasattr(dis, "_parse_exception_table") or "PUSH_EXC_INFO" not in dis.opmap,
    reason="this interpreter has no exception tables",
)

PACKAGE = Path(uds_cffi.__file__).parent


def is_jump_back(instruction: dis.Instruction) -> bool:
    """Tell whether it is a jump at which signal handlers run."""
    if instruction.opcode not in (*dis.hasjrel, *dis.hasjabs) or "NO_INTERRUPT" in instruction.opname:
        return False
    return int(instruction.argval) <= instruction.offset


def unprotected(code: types.CodeType) -> list[int]:
    """Return where a function has jumps back that are less protected than the beginning of their loop."""
    entries = entries_of(code)
    steps = list(dis.get_instructions(code))
    names = {step.offset: step.opname for step in steps}
    before = dict(zip(names, [0, *names]))

    def protectors(offset: int) -> set[int]:
        """Return the handlers that an exception meets; those which only clear up and raise again do not count."""
        found = set()
        handler: int | None = offset
        while handler is not None:
            handler = next((entry.target for entry in entries if entry.start <= handler < entry.end), None)
            if handler is not None and names[handler] == "PUSH_EXC_INFO":
                found.add(handler)
        return found

    lost = []
    for step in filter(is_jump_back, steps):
        begin = int(step.argval)
        # A loop may begin with what is no part of any `try`, the line of an inner one; then what leads to it counts,
        # if it goes on in the loop.
        inside = set().union(*(protectors(offset) for offset in names if begin <= offset < step.offset))
        around = protectors(begin) | (protectors(before[begin]) & inside if names[begin] == "NOP" else set())
        if around - protectors(step.offset):
            lost.append(step.offset)
    return lost


def exposed(code: types.CodeType) -> types.CodeType:
    """Do what CPython 3.13.0 does: leave each jump back out of the exception table."""
    table = bytearray()
    jumps = [step.offset for step in dis.get_instructions(code) if is_jump_back(step)]
    for entry in entries_of(code):
        start = entry.start
        for end in [*(jump for jump in jumps if entry.start <= jump < entry.end), entry.end]:
            if start < end:
                parts = (start // 2, (end - start) // 2, entry.target // 2, entry.depth << 1 | entry.lasti)
                for place, part in enumerate(parts):
                    table += varint(part, 0 if place else 0x80)
            start = end + 2
    return code.replace(co_exceptiontable=bytes(table))  # type: ignore[call-arg, unused-ignore]


def varint(value: int, first: int) -> bytes:
    """Write a number as these tables have it: six bits a byte, the highest first, 0x40 on all but the last."""
    parts = [value & 63]
    while value > 63:
        value >>= 6
        parts.append(value & 63 | 64)
    parts.reverse()
    parts[0] |= first
    return bytes(parts)


def for_in_try(items: Any) -> None:
    try:
        for item in items:
            if item:
                item()
    except ValueError:
        items.clear()


def while_in_try(items: Any) -> None:
    try:
        while items:
            items.pop()
    finally:
        items.clear()


def forever_in_with(items: Any) -> None:
    with contextlib.suppress(ValueError):
        while True:
            items.pop()
            if len(items) > 1:
                items.clear()


def try_in_while_in_try(items: Any) -> None:
    try:
        while items:
            try:
                items.pop()
            except KeyError:
                items.clear()
    except ValueError:
        items.clear()


def for_in_except(items: Any) -> None:
    try:
        try:
            items.pop()
        except KeyError:
            for item in items:
                if item:
                    item()
    finally:
        items.clear()


def try_in_loops(items: Any) -> None:
    """Be no case: each turn has its own `try`, and one before the loop has ended."""
    try:
        items.pop()
    except KeyError:
        items.clear()
    for item in items:
        try:
            if item:
                item()
        except ValueError:
            items.clear()
    while items:
        with contextlib.suppress(ValueError):
            if items.pop():
                continue
            items.clear()
    while True:
        try:
            return items.clear()
        except ValueError:
            if items:
                items.pop()


def loop_in_a_function(items: Any) -> None:
    """Be no case: the loop is elsewhere."""

    def each() -> None:
        for item in items:
            if item:
                item()

    try:
        each()
    finally:
        items.clear()


@pytest.mark.parametrize("function", [for_in_try, while_in_try, forever_in_with, try_in_while_in_try, for_in_except])
def test_planted_loops_are_caught(function):
    """A loop in each of these whose jump back is out of the table is found."""
    assert unprotected(exposed(function.__code__)) != []


@pytest.mark.parametrize("function", [try_in_loops, loop_in_a_function])
def test_protected_loops_are_not_caught(function):
    """What ends with each turn is not expected to protect the jump to the next one."""
    assert [unprotected(code) for code in functions(exposed(function.__code__)) if unprotected(code)] == []


def test_tables_are_written_as_they_are_read():
    """Where there is no jump back the table stays the same, and numbers of several bytes are as CPython writes them."""
    code = loop_in_a_function.__code__
    assert exposed(code).co_exceptiontable == code.co_exceptiontable != b""
    assert varint(5, 0x80) == b"\x85"
    assert varint(63 * 64 * 64 + 7 * 64 + 1, 0) == bytes([63 | 64, 7 | 64, 1])


@pytest.mark.skipif(sys.version_info[:3] != (3, 13, 0), reason="this compiler does not leave jumps out")
def test_compiler_that_leaves_jumps_out():
    """This CPython compiles the planted function so, without help."""
    assert unprotected(for_in_try.__code__) != []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_library(path):
    """No loop of the library that is inside a `try` can be left at its jump back as if there were none."""
    found = [
        f"{function.co_name}, a loop that begins near line {line_of(function, offset)}"
        for function in functions(compile(path.read_text(encoding="utf-8"), path.name, "exec"))
        for offset in unprotected(function)
    ]

    assert found == []


def line_of(code: types.CodeType, offset: int) -> int | None:
    lines = [line for start, end, line in code.co_lines() if start <= offset < end]  # type: ignore[attr-defined, unused-ignore]
    return lines[0] if lines else code.co_firstlineno
