"""What loading takes, in fresh processes, and how much memory a socket needs."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import sysconfig
from contextlib import ExitStack
from functools import partial
from typing import Any, Callable

import uds_cffi

from ..isolate import isolated
from ..limits import allow_descriptors, resident_bytes
from ..operation import OURS, STDLIB, Operation, Trial, register
from .pairs import payload

SOCKETS = 10000

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


def _import_time(module: str, used: bool) -> float:
    """Return how many microseconds an import takes in a process of its own, with a first use or without."""
    # Without `site`, in which whatever is installed may hang imports of its own into every process.
    folders = [os.path.dirname(os.path.dirname(uds_cffi.__file__)), sysconfig.get_path("platlib")]
    use = _USE.format(make=_PAIRS[module]) if used else ""
    program = _TIMED.format(module=module, folders=folders, use=use)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"import {module}: {done.stderr}")
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


def _bytes_per_socket(make: Callable[[], tuple[Any, Any]], pairs: int, used: bool) -> float:
    """Make so many pairs, keep them, and return by how much this process has grown for each socket."""
    kept: list[Any] = [None] * pairs
    data = payload(64)
    gc.collect()
    before = resident_bytes()
    for place in range(pairs):
        kept[place] = make()
        if used:
            one, two = kept[place]
            one.send(data)
            two.recv(4096)
            two.send(data)
            one.recv(4096)
    gc.collect()
    grown = resident_bytes() - before
    for one, two in kept:
        one.close()
        two.close()
    return grown / (2 * pairs)


def _prepare_memory(stack: ExitStack, used: bool) -> Trial:
    sockets = allow_descriptors(stack, SOCKETS)
    notes = [] if sockets == SOCKETS else [f"only {sockets} sockets: RLIMIT_NOFILE allows no more"]

    def way(make: Callable[[], tuple[Any, Any]]) -> Callable[[int], float]:
        # In a process of its own each time: memory that was freed before would be used again, and not count.
        return lambda rounds: float(isolated(_bytes_per_socket, make, sockets // 2, used))

    return Trial({OURS: way(uds_cffi.UnixStream.pair), STDLIB: way(_stdlib_pair)}, notes=notes)


def _stdlib_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


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
