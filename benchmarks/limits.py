"""How many descriptors this process may have."""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack

# For what the interpreter and the benchmarks have open besides.
SPARE = 100


def allow_descriptors(stack: ExitStack, wanted: int) -> int:
    """Raise the soft limit as far as needed and allowed, until the stack ends; return how many descriptors fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    return min(wanted, raised - SPARE)


def resident_bytes() -> int:
    """Return how much memory of this process is in use (proc(5), /proc/self/statm).

    Raises:
        OSError: the system does not have this file.
    """
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
