"""The floor: the system calls of each operation in a C loop, compiled at the first run and kept.

Rule: it is no part of the library and never installed.  The compiled module lies in a folder of the user's own, under
a name made of the interpreter and of the source, so that a change of either compiles it again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCES = ("floor.h", "floor.c", "floor_build.py")


class FloorError(Exception):
    """The floor cannot be compiled; the message says what the compiler said."""


def key() -> str:
    """Return a name for this source on this interpreter."""
    digest = hashlib.sha256()
    for part in (sys.version, sysconfig.get_platform(), sys.prefix, *map(_source, SOURCES)):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def cache_folder() -> Path:
    """Return the folder for compiled floors, where nobody else may write: in the virtual environment, or the user's."""
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "cache" / "uds_cffi-benchmarks"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "uds_cffi-benchmarks"


def _import(folder: Path, name: str) -> Any:
    (path,) = (path for path in folder.glob(f"{name}*") if path.suffix in (".so", ".dylib", ".pyd"))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compile(folder: Path, name: str) -> None:
    """Compile into a folder that appears, whole, under its name."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    workshop = tempfile.mkdtemp(dir=folder.parent)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", str(HERE / "floor_build.py"), workshop, name],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise FloorError(
                "the C floor does not compile; it needs a C compiler, the headers of Python, and cffi with setuptools:"
                f"\n{done.stdout}{done.stderr}"
            )
        try:
            os.rename(workshop, folder)
        except OSError:
            # Another run was quicker, and has made the same.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


@functools.cache
def load() -> Any:
    """Return the compiled floor: a module with ``ffi`` and ``lib``.

    Raises:
        FloorError: it does not compile.
    """
    name = f"_floor_{key()}"
    folder = cache_folder() / name
    try:
        if not folder.is_dir():
            _compile(folder, name)
        return _import(folder, name)
    except OSError:
        # No folder of one's own that can be written to.
        with tempfile.TemporaryDirectory(prefix="floor") as temporary:
            folder = Path(temporary) / name
            _compile(folder, name)
            return _import(folder, name)


def check(result: int) -> int:
    """Return what a floor returned, or raise the error."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return int(result)
