"""The systems, and what the compiler and the linker have to know of each."""

from __future__ import annotations

from typing import NamedTuple


class System(NamedTuple):
    """One system.

    Attributes:
        name: That of its file in `kernel/`.
        triple: Its name for the compiler.
        names: Functions that its headers rename, and their usual names.
    """

    name: str
    triple: str
    names: dict[str, str]


SYSTEMS = (
    System("freebsd", "x86_64-freebsd", {"__error": "errno"}),
    System(
        "netbsd",
        "x86_64-netbsd",
        {
            "__clock_gettime50": "clock_gettime",
            "__errno": "errno",
            "__fstat50": "fstat",
            "__libc_thr_yield": "sched_yield",
            "__socket30": "socket",
            "__stat50": "stat",
        },
    ),
    System("openbsd", "x86_64-openbsd", {"__errno": "errno"}),
    System(
        "macos",
        "x86_64-macos",
        {
            "__error": "errno",
            "fstat$INODE64": "fstat",
            "fstatat$INODE64": "fstatat",
            "stat$INODE64": "stat",
        },
    ),
)

# The same on every system: none takes a number or a struct that one of them has otherwise.
_SHARED = """
__memcpy_chk __memmove_chk __memset_chk calloc close flock free listen memchr memcmp memcpy memmove memset read
sched_yield shutdown strlen unlink
"""
SHARED = frozenset(_SHARED.split())
