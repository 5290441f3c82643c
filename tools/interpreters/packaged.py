"""Interpreters of other releases of Debian, with the libraries of theirs.

Rule: they run without a chroot, as they are: each program asks for the loader and the libraries that were unpacked with
it, and so does any process that it starts by its own path.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .. import debian
from ..commands import Failure, program, run

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"


def unpacked(work: Path, suite: str, package: str, headers: str, name: str) -> Path:
    """Unpack an interpreter of a release with what it needs, and return its program, which runs here.

    Args:
        work: A folder of its own.
        suite: The release.
        package: The interpreter's package.
        headers: That of its headers, of which nothing else is wanted.
        name: The program's.
    """
    root = work / "root"
    with debian.Suite(suite, "amd64") as archive:
        archive.extract([package], root, dependencies=True)
        archive.extract([headers], root)
    python = root / "usr" / "bin" / name
    if not python.is_file():
        raise Failure(f"{package} of {suite} has no {python.relative_to(root)}")
    # The older form of the path holds for what modules need, too, that are loaded later.
    libraries = ("--force-rpath", "--set-rpath", root / _LIBRARIES)
    run(program("patchelf"), "--set-interpreter", root / _LOADER, *libraries, python)
    # CPython's own chooses among those of several architectures, and looks for them where the system has them.
    for chosen in (root / "usr/include").glob(f"*/{name}/pyconfig.h"):
        shutil.copy(chosen, root / "usr/include" / name)
    return python
