"""What a program for musl needs on a machine without it: the library itself, a compiler for it, and zlib.

Rule: nothing of this machine's C library is loaded beside musl. The library looks for others in the folders that a
file beside its own says, and in no folder of the machine.
"""

from __future__ import annotations

import shlex
import tarfile
from collections.abc import Sequence
from pathlib import Path

from .. import debian
from ..commands import run
from ..portability import zig

# Where the loader, which is the C library as well, has its place in an interpreter's folder. It finds the file of
# folders from there, and pip takes an interpreter for one of musl by the loader's name.
LOADER = "lib/ld-musl-x86_64.so.1"
FOLDERS = "etc/ld-musl-x86_64.path"

TARGET = "x86_64-linux-musl"

# Of zlib, all but the functions for whole files, which no module of Python's calls.
ZLIB = (
    *("adler32", "compress", "crc32", "deflate", "infback", "inffast"),
    *("inflate", "inftrees", "trees", "uncompr", "zutil"),
)


def compiler(work: Path) -> Path:
    """Write a program that compiles for musl, and keeps what it knows in a folder of the run; and return it."""
    program = shlex.quote(str(zig.program()))
    cache = shlex.quote(str(work / "zig-cache"))
    # Without the one word, it takes musl's whole library into each module; and the functions of the compiler's own,
    # which takes half a minute to build, are in the C library too.
    words = f"cc -target {TARGET} -dynamic -nostdlib -lc -fno-sanitize=all -Wno-unused-command-line-argument"
    script = work / "musl-cc"
    caches = f"ZIG_LOCAL_CACHE_DIR={cache} ZIG_GLOBAL_CACHE_DIR={cache}"
    script.write_text(f'#!/bin/sh\n{caches} exec {program} {words} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return script


def settings(compiler: Path) -> dict[str, str]:
    """Return what in the description of how to build modules is not as for this machine's C library."""
    program = shlex.quote(str(compiler))
    return {
        "MULTIARCH": TARGET,
        "CC": program,
        "CFLAGS": "-O2 -Wall",
        "LDSHARED": f"{program} -shared",
        "LDFLAGS": "",
    }


def supply(work: Path, compiler: Path, root: Path, folders: Sequence[Path]) -> None:
    """Put musl and zlib into an interpreter's folder.

    Args:
        work: A folder of the run.
        compiler: The one for musl.
        root: The interpreter's folder.
        folders: Where libraries are looked for.
    """
    unpacked = work / "musl"
    # Debian stable's is older than what the interpreter was linked with.
    debian.extract(["musl"], unpacked, suite="sid", architecture="amd64")
    loader = root / LOADER
    loader.write_bytes((unpacked / "usr/lib" / TARGET / "libc.so").read_bytes())
    loader.chmod(0o755)
    names = root / FOLDERS
    names.parent.mkdir()
    names.write_text("".join(f"{folder}\n" for folder in folders), encoding="utf-8")

    archive = debian.source("zlib", work / "zlib", suite="bookworm")
    with tarfile.open(archive) as sources:
        sources.extractall(work / "zlib", filter="data")
    (header,) = (work / "zlib").glob("*/zlib.h")
    files = [header.with_name(f"{name}.c") for name in ZLIB]
    out = root / "lib" / "libz.so.1"
    run(compiler, "-shared", "-fPIC", "-O2", "-Wl,-soname,libz.so.1", *files, "-o", out)
