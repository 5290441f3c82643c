"""What leaves a `with` or a `try`, as PyPy 8.0 compiles it.

Rule: one jump at most leaves a `with` block, and the handler that a step has needs no more of the stack than there is.
Where two jumps leave a block, PyPy 8.0.1 calls ``__exit__`` for the second one inside the block it ends: what
``__exit__`` raises there, or a signal handler in it, becomes a TypeError about something else, or ends the process.
A loop inside a `try` that is left by a return can do the same to the calls behind it.
"""

from __future__ import annotations

import ast
import dis
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from bytecode import entries_of, functions

import uds_cffi

SOURCES = sorted(Path(uds_cffi.__file__).parent.rglob("*.py"))


# --- With blocks, which the source shows --------------------------------------------------------


def ways_out(body: list[ast.stmt], in_loop: bool = False) -> Iterator[ast.stmt]:
    """Yield the jumps that leave a block."""
    for node in body:
        if isinstance(node, ast.Return) or (isinstance(node, (ast.Break, ast.Continue)) and not in_loop):
            yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        loops = isinstance(node, (ast.For, ast.While))
        for field in ("body", "orelse", "finalbody"):
            yield from ways_out(getattr(node, field, []), in_loop or (loops and field == "body"))
        for handler in getattr(node, "handlers", []):
            yield from ways_out(handler.body, in_loop)


def left_twice(source: str) -> list[int]:
    """Return the lines of the `with` blocks that more than one jump leaves."""
    blocks = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.With)]
    return [block.lineno for block in blocks if len(list(ways_out(block.body))) > 1]


TWO_RETURNS = """
def function(lock, ready):
    with lock:
        if ready():
            return 1
        return 2
"""
TWO_JUMPS = """
def function(lock, ready):
    for _ in range(2):
        with lock:
            try:
                if ready():
                    break
            except ValueError:
                continue
"""
ONE_WAY = """
def function(lock, ready):
    with lock:
        def inner():
            return 2
        for _ in range(2):
            if ready():
                break
            continue
        if ready():
            return 1
        inner()
    return 3
"""


@pytest.mark.parametrize(("source", "lines"), [(TWO_RETURNS, [3]), (TWO_JUMPS, [4]), (ONE_WAY, [])])
def test_blocks_that_are_left_twice_are_found(source, lines):
    """Returns count, and what ends the turn of a loop around the block; a loop inside it is left for itself."""
    assert left_twice(source) == lines


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_with_blocks_of_the_library(path):
    """No `with` block of the library is left by two jumps."""
    assert left_twice(path.read_text(encoding="utf-8")) == []


# --- All handlers, which the compiled code shows ------------------------------------------------

has_tables = pytest.mark.skipif(
    sys.implementation.name != "pypy" or sys.version_info < (3, 11) or sys.pypy_version_info < (8,),  # type: ignore[attr-defined]
    reason="not a PyPy with exception tables",
)

# What a call takes off the stack before it runs, beside its arguments.
CALLS = {"CALL_FUNCTION": 1, "CALL_METHOD": 2, "CALL_FUNCTION_KW": 2, "CALL_METHOD_KW": 3}


def too_deep(code: types.CodeType) -> list[int]:
    """Return where a function calls with less on the stack than its handler there expects to find."""
    entries = entries_of(code)
    steps = list(dis.get_instructions(code))
    places = {step.offset: place for place, step in enumerate(steps)}
    depths: dict[int, int] = {}
    open_ends = [(0, 0)]
    found = []
    while open_ends:
        offset, depth = open_ends.pop()
        if depths.setdefault(offset, depth) != depth or offset not in places:
            raise AssertionError(f"{code.co_name}: {depths[offset]} and {depth} on the stack at {offset}")
        step = steps[places[offset]]
        following: list[tuple[int, int]] = []
        argument = step.arg if step.opcode >= dis.HAVE_ARGUMENT else None
        for entry in entries:
            if entry.start <= offset < entry.end:
                following.append((entry.target, entry.depth + entry.lasti + 1))
                if step.opname in CALLS and depth - CALLS[step.opname] - step.arg < entry.depth:
                    found.append(offset)
        if step.opcode in (*dis.hasjrel, *dis.hasjabs):
            following.append((step.argval, depth + dis.stack_effect(step.opcode, argument, jump=True)))
        if step.opname not in ("JUMP_ABSOLUTE", "JUMP_FORWARD", "RETURN_VALUE", "RAISE_VARARGS", "RERAISE"):
            behind = steps[places[offset] + 1].offset
            following.append((behind, depth + dis.stack_effect(step.opcode, argument, jump=False)))
        open_ends += [end for end in following if depths.get(end[0]) != end[1]]
    return found


def all_too_deep(source: str) -> list[tuple[str, int]]:
    """Return the names and the steps of all such calls in a source."""
    whole = compile(source, "source", "exec")
    return [(code.co_name, offset) for code in functions(whole) for offset in too_deep(code)]


PLANTED = """
def function(lock, ready):
    with lock:
        try:
            return ready(0)
        except ValueError:
            return 1
"""


@has_tables
def test_handlers_that_need_too_much_are_found():
    """The planted function has one of those, and none when it has one way out."""
    assert [name for name, _ in all_too_deep(PLANTED)] == ["function"]
    assert all_too_deep(PLANTED.replace("return 1", "ready(1)")) == []


@has_tables
def test_handlers_of_the_library():
    """No call of the library has a handler that would take from the stack what is not there."""
    assert {path.name: found for path in SOURCES if (found := all_too_deep(path.read_text(encoding="utf-8")))} == {}
