"""Check the declarations for one target: compile, assert, compare the layouts, link.

Rule: the sources are arguments, so that the tests can plant a mistake in each and see that it is found.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import build_ffi
from tools.commands import Failure

from . import notes, table
from .asserts import asserts
from .targets import Target
from .zig import HERE, Zig

MACROS = tuple(f"-D{name}={value}" for name, value in build_ffi.FEATURE_MACROS)

# What is written by hand compiles under all of these; cffi's text has macros of the systems in it, and musl's compare
# numbers with and without a sign.
OURS = ("-Wall", "-Wextra", *MACROS)
GENERATED = ("-Wall", *MACROS)


class Sources(NamedTuple):
    """What is checked.

    Attributes:
        generated: The C of the whole module, with cffi's part.
        joined: The C of all declarations.
        minimal: The same for the build without any optional feature.
        cdefs: What Python may name.
    """

    generated: str
    joined: str
    minimal: str
    cdefs: list[str]


class Result(NamedTuple):
    """What was compared for a target, and what is wrong there."""

    compared: str
    problems: list[str]


def generate(work: Path) -> Path:
    """Write the C of the whole module, whatever the environment says of the minimal build, and return the file."""
    generated = work / "module.c"
    # It prints what it does.
    with contextlib.redirect_stdout(sys.stderr):
        build_ffi.builder(minimal=False).emit_c_code(str(generated))
    return generated


def sources(work: Path) -> Sources:
    """Return the project's own."""
    return Sources(
        generate(work).read_text(encoding="utf-8"),
        build_ffi.joined_source(minimal=False),
        build_ffi.joined_source(minimal=True),
        [build_ffi.read(f"{concern}.h") for concern in build_ffi.CONCERNS],
    )


def check(zig: Zig, target: Target, what: Sources, expected: Mapping[str, str]) -> Result:
    """Check one target and say all that is wrong, not only the first."""
    work = zig.work / target.triple
    work.mkdir(parents=True, exist_ok=True)
    statements = asserts(what.cdefs)
    problems: list[str] = []

    def compiled(name: str, text: str, flags: tuple[str, ...]) -> Path:
        source, out = work / f"{name}.c", work / f"{name}.o"
        source.write_text(text, encoding="utf-8")
        # One of an earlier run must not be taken for this one's.
        out.unlink(missing_ok=True)
        problems.extend(told(zig.compile(target.triple, source, out, *flags, *target.flags)))
        return out

    compiled("minimal", what.minimal, OURS)
    compiled("asserts", "\n".join([what.joined, '#line 1 "asserts"', *statements, ""]), OURS)
    # Apart from the assertions, so that those which fail do not hide what the layouts are.
    noted = compiled("notes", f'{what.joined}\n#line 1 "notes"\n{notes.c_text()}', OURS)
    found = notes.read(noted.read_bytes()) if noted.exists() else {}
    if noted.exists():
        problems += table.differences(expected, found)

    stub = compiled("stub", (HERE / "stub.c").read_text(encoding="utf-8"), ("-Wall", "-Wextra"))
    module = compiled("module", what.generated, GENERATED)
    if module.exists() and stub.exists():
        problems += told(zig.link(target.triple, work / "module.so", module, stub))

    asserted = sum(statement.startswith("_Static_assert") for statement in statements)
    return Result(f"2 builds compiled, {asserted} assertions, {len(found)} layouts and values, linked", problems)


def told(text: str) -> list[str]:
    """Return the lines that say what is wrong, or all if none does so."""
    lines = [line for line in text.splitlines() if line.strip()]
    return [line for line in lines if re.search(r"\b(error|warning):", line)] or lines


def layouts(zig: Zig, target: Target, joined: str) -> dict[str, str]:
    """Return what the compiler finds for a target, for a new table."""
    work = zig.work / target.triple
    work.mkdir(parents=True, exist_ok=True)
    source, out = work / "notes.c", work / "notes.o"
    source.write_text(f"{joined}\n{notes.c_text()}", encoding="utf-8")
    failure = zig.compile(target.triple, source, out, *OURS, *target.flags)
    if failure:
        raise Failure(failure)
    return notes.read(out.read_bytes())
