"""Count the descriptors, threads and children of this process.

Rule: what a test opened, it closes. No kind of descriptor is ignored: what is open before a test
is open after it, under the same number and for the same file, and nothing else is.

Things that the interpreter opens once, late, and for good would look like a leak of the test
that happens to come first. `warm_up()` makes them happen before the first count, so that no
test is excused for anything.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import NamedTuple

_FD_FOLDER = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
_HAS_LINKS = _FD_FOLDER.startswith("/proc")

# PyPy runs finalizers after a collection, and what they release goes with the next one.
_COLLECTIONS = 1 if sys.implementation.name == "cpython" else 2


class Census(NamedTuple):
    """What the process owns: descriptors by number, threads by identity, children by pid."""

    descriptors: dict[int, str]
    threads: dict[int, str]
    children: dict[int, str]


def take() -> Census:
    """Count now."""
    return Census(_descriptors(), _threads(), _children())


def differences(before: Census) -> list[str]:
    """Return a sentence for each thing that came or went since a census was taken.

    Garbage is collected only when something differs, because that is slow on PyPy.
    """
    after = take()
    for _ in range(_COLLECTIONS):
        if after == before:
            break
        gc.collect()
        # Children are not counted again: no collection ends one, and on PyPy to count is to reap.
        after = Census(_descriptors(), _threads(), after.children)
    return [
        sentence
        for kind, old, new in zip(("descriptor", "thread", "child"), before, after)
        for sentence in _compare(kind, old, new)
    ]


def warm_up() -> None:
    """Make the interpreter open now what it opens once and keeps."""
    os.urandom(1)
    random.SystemRandom().random()
    with tempfile.TemporaryFile():
        pass


def _compare(kind: str, old: dict[int, str], new: dict[int, str]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            yield f"{kind} {key} was left: {new[key]}"
        elif key not in new:
            yield f"{kind} {key} is gone: {old[key]}"
        elif old[key] != new[key]:
            yield f"{kind} {key} was {old[key]} and is now {new[key]}"


def _threads() -> dict[int, str]:
    return {thread.ident or 0: thread.name for thread in threading.enumerate()}


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir(_FD_FOLDER):
        # The descriptor that listed the folder is in the list, and closed by now. Like one that
        # another thread closed meanwhile, it is not there any more.
        try:
            found[int(name)] = _identity(int(name))
        except OSError:
            continue
    return found


def _identity(fd: int) -> str:
    if _HAS_LINKS:
        return os.readlink(f"{_FD_FOLDER}/{fd}")
    status = os.fstat(fd)
    return f"mode {status.st_mode:o}, device {status.st_dev}, inode {status.st_ino}"


def _children() -> dict[int, str]:
    # Nearly always there is none, and one call says so.
    try:
        if hasattr(os, "waitid"):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        else:
            # PyPy can only ask by reaping. A child that had ended and that nobody had waited for
            # is a leak already.
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                return {pid: f"ended with status {status}, and nobody waited for it"}
    except ChildProcessError:
        return {}
    return _children_by_name() or {0: "at least one, of unknown number"}


def _children_by_name() -> dict[int, str]:
    found = {}
    me = os.getpid()
    for name in os.listdir("/proc") if _HAS_LINKS else ():
        try:
            with open(f"/proc/{int(name)}/stat", encoding="utf-8", errors="replace") as stat:
                line = stat.read()
        except (ValueError, OSError):
            continue
        command, fields = line[line.index("(") + 1 : line.rindex(")")], line[line.rindex(")") :]
        if int(fields.split()[2]) == me:
            found[int(name)] = command
    return found
