"""Make a module of a system's object file and the stand-in for its kernel.

Rules:
- Each function that the object calls is renamed to the stand-in's, so that none reaches Linux's C library with another
  system's numbers; those that are the same everywhere stay (`systems.py`). What the stand-in lacks is an error.
- errno and the flags of open(2) get Linux's numbers, because Python's `errno` and `os` have those here.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tools.commands import Failure, program, run
from tools.portability import check
from tools.portability.zig import Zig

from .systems import SHARED, SYSTEMS, System

KERNEL = Path(__file__).parent / "kernel"
PREFIX = "foreign_"
LINUX = "x86_64-linux-gnu"

# What the interpreter gives to an extension.
PYTHON = re.compile(r"_?Py")

STANDIN_FLAGS = ("-std=gnu11", "-O1", "-g0", "-fPIC", "-Wall", "-Wextra", "-Werror")


class Builder:
    """Compiles, renames and links.

    Args:
        zig: The compiler that has the systems' headers; everything is written into its folder.

    Raises:
        Failure: A tool is missing.
    """

    def __init__(self, zig: Zig) -> None:
        self.zig = zig
        self._cc, self._objcopy, self._nm = (program(name) for name in ("cc", "objcopy", "nm"))
        self._overrides = zig.work / "overrides"
        (self._overrides / "sys").mkdir(parents=True, exist_ok=True)
        errors = {name: getattr(errno, name) for name in dir(errno) if name.startswith("E")}
        opening = {name: getattr(os, name) for name in dir(os) if name.startswith("O_")}
        for header, numbers in (("errno.h", errors), ("fcntl.h", opening)):
            # Also where one header includes the other: some define their numbers anew each time.
            self._override(header, numbers)
            self._override(f"sys/{header}", numbers)
        self._shared: list[Path] = []

    def module(self, system: System, source: Path, out: Path) -> None:
        """Compile the generated C for a system and link it as an extension module."""
        self._link(["-shared"], [self.foreign_object(system, source), *self.standin(system)], out)

    def program(self, system: System, source: Path, out: Path) -> None:
        """Compile one file of C for a system and link it as a program; its ``main()`` is ``foreign_main()``."""
        self._link([], [self.foreign_object(system, source), *self.standin(system)], out)

    def foreign_object(self, system: System, source: Path) -> Path:
        """Compile C with a system's headers into an object for this one, with the stand-in's names."""
        out = source.with_name(f"{source.stem}.{system.name}.o")
        flags = ["-I", str(self._overrides), *check.MACROS, "-Wall", "-D_FORTIFY_SOURCE=0", "-DNDEBUG=1"]
        if system.triple.endswith("macos"):
            ir = out.with_suffix(".ll")
            self._zig(system.triple, source, ir, *flags, "-S", "-emit-llvm")
            ir.write_text(_retargeted(ir.read_text(encoding="utf-8")), encoding="utf-8")
            self._zig(LINUX, ir, out, "-Wno-override-module")
        else:
            self._zig(system.triple, source, out, *flags)
        renames = [f"--redefine-sym={old}={new}" for old, new in self._renamed(system, out)]
        run(self._objcopy, *renames, str(out))
        return out

    def standin(self, system: System) -> list[Path]:
        """Compile the stand-in for a system's kernel; what all have in common, once."""
        if not self._shared:
            self._shared = [self._part(path) for path in _shared_parts()]
        return [*self._shared, self._part(KERNEL / f"{system.name}.c")]

    def _part(self, source: Path) -> Path:
        out = self.zig.work / f"standin-{source.stem}.o"
        run(self._cc, *STANDIN_FLAGS, "-c", str(source), "-o", str(out))
        return out

    def _zig(self, triple: str, source: Path, out: Path, *flags: str) -> None:
        # One of an earlier run must not be taken for this one's.
        out.unlink(missing_ok=True)
        told = self.zig.compile(triple, source, out, *flags)
        if told:
            raise Failure(told)

    def _renamed(self, system: System, module: Path) -> Iterator[tuple[str, str]]:
        for name in run(self._nm, "--undefined-only", "--just-symbols", str(module)).split():
            usual = system.names.get(name, name)
            if not PYTHON.match(name):
                yield name, usual if usual in SHARED else PREFIX + usual

    def _link(self, flags: list[str], objects: list[Path], out: Path) -> None:
        defined = set(run(self._nm, "--defined-only", "--just-symbols", *map(str, objects)).split())
        called = set(run(self._nm, "--undefined-only", "--just-symbols", str(objects[0])).split())
        missing = sorted(name for name in called - defined if name.startswith(PREFIX))
        if missing:
            raise Failure(f"the stand-in lacks {', '.join(name[len(PREFIX) :] for name in missing)}")
        # The module's own names are bound within it, whatever else the process has loaded.
        run(self._cc, *flags, "-Wl,-Bsymbolic", *map(str, objects), "-o", str(out))

    def _override(self, name: str, numbers: dict[str, int]) -> None:
        lines = [f"#include_next <{name}>"]
        for each, number in sorted(numbers.items()):
            lines += [f"#ifdef {each}", f"#  undef {each}", f"#  define {each} {number}", "#endif"]
        (self._overrides / name).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _shared_parts() -> list[Path]:
    own = {system.name for system in SYSTEMS}
    return [path for path in sorted(KERNEL.glob("*.c")) if path.stem not in own]


def _retargeted(ir: str) -> str:
    """Turn the compiler's own form of a program for macOS into one for Linux: both have the same calls on x86-64."""
    ir = re.sub(r"(?m)^target (datalayout|triple) = .*\n", "", ir)
    # Names that the headers give to the linker as they are; the others would get an underscore there.
    return ir.replace(r'@"\01_', '@"')
