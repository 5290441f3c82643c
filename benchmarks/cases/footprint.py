"""What loading takes, in fresh processes, and how much memory a socket needs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from contextlib import ExitStack
from functools import partial
from typing import Callable

import uds_cffi

from ..limits import allow_descriptors
from ..operation import OURS, STDLIB, Operation, Trial, register

# The megabytes that PyPy has free once its compiler has run are in use by so many.
SOCKETS = 20000

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The clock of the new process: starting the interpreter takes many times as long as the import.
_TIMED = """
import sys, time
sys.path[:0] = {folders!r}
assert {module!r} not in sys.modules
begin = time.perf_counter()
import {module}
{use}
print((time.perf_counter() - begin) * 1e6)
"""

# What a first use is: it loads what an import left for later.
_USE = """
one, two = {make}
one.send(b"x" * 64)
two.recv(4096)
one.close()
two.close()
"""
_PAIRS = {"uds_cffi": "uds_cffi.UnixStream.pair()", "socket": "socket.socketpair()"}

# The checkout comes last, because it has the package's sources too.
_GROWN = """
import sys
sys.path[:0] = {folders!r}
sys.path.append({checkout!r})
from benchmarks.growth import bytes_per_socket
print(bytes_per_socket(*{arguments!r}))
"""


def _import_time(module: str, used: bool) -> float:
    """Return how many microseconds an import takes in a process of its own, with a first use or without."""
    use = _USE.format(make=_PAIRS[module]) if used else ""
    return _printed_number(f"import {module}", _TIMED.format(module=module, folders=_folders(), use=use))


def _folders() -> list[str]:
    """Return where a new process finds the package, and cffi."""
    return [os.path.dirname(os.path.dirname(uds_cffi.__file__)), sysconfig.get_path("platlib")]


def _printed_number(what: str, program: str) -> float:
    """Return the number that a program prints in a process of its own."""
    # Without `site`, in which whatever is installed may hang imports of its own into every process.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{what}: {done.stderr}")
    return float(done.stdout)


def _prepare_import(stack: ExitStack, used: bool) -> Trial:
    del stack

    def ways(module: str) -> Callable[[int], float]:
        return lambda rounds: _import_time(module, used)

    def verify() -> None:
        # The first time, files come from the disk.
        _import_time("uds_cffi", used)
        _import_time("socket", used)

    return Trial({OURS: ways("uds_cffi"), STDLIB: ways("socket")}, verify=verify)


def _bytes_per_socket(module: str, pairs: int, used: bool) -> float:
    """Return by how much a fresh process grows for each socket."""
    program = _GROWN.format(folders=_folders(), checkout=_CHECKOUT, arguments=(module, pairs, used))
    return _printed_number(f"memory of {module}'s sockets", program)


def _prepare_memory(stack: ExitStack, used: bool) -> Trial:
    sockets = allow_descriptors(stack, SOCKETS)
    notes = [] if sockets == SOCKETS else [f"only {sockets} sockets: RLIMIT_NOFILE allows no more"]

    def way(module: str) -> Callable[[int], float]:
        return lambda rounds: _bytes_per_socket(module, sockets // 2, used)

    return Trial({OURS: way("uds_cffi"), STDLIB: way("socket")}, notes=notes)


def _missing_memory() -> str | None:
    return None if os.path.exists("/proc/self/statm") else "this system has no /proc/self/statm"


for _used, _title in (
    (False, "import, against import socket"),
    (True, "import, first pair, send, recv, close"),
):
    register(
        Operation(
            _title, "import, in fresh processes", partial(_prepare_import, used=_used), unit="us", most_repeats=21
        )
    )
for _used, _title in ((False, "an idle socket"), (True, "a socket that has received")):
    register(
        Operation(
            f"memory of {_title}",
            "memory of a socket in this process",
            partial(_prepare_memory, used=_used),
            _missing_memory,
            unit="B",
            most_repeats=5,
        )
    )
