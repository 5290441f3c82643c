#!/usr/bin/python3 -P
"""The first program in a guest: it makes the guest usable, runs what it is for, says how that ended, and ends.

It knows nothing of the machine outside but what `/guest/plan.json` says; and has nothing but the standard library.

Rule: the last line is the verdict, and it comes only if everything was run to its end.
"""

from __future__ import annotations

import ctypes
import glob
import json
import os
import signal
import sys
import time
import traceback
from typing import Any

PLAN = "/guest/plan.json"

# User-mode Linux, where the guest is one.
KERNEL = "/guest/linux"

# What the host looks for. A run that says nothing of the kind has not reached its end.
VERDICT = "@@verdict"

# reboot(2).
POWER_OFF = 0x4321FEDC

# finit_module(2), which the C library has no name for; include/uapi/asm-generic/unistd.h and arch/*/*/syscall*.tbl.
FINIT_MODULE = {
    "x86_64": 313,
    "s390x": 344,
    "aarch64": 273,
    "riscv64": 273,
    "armv7l": 379,
    "ppc64le": 353,
    "mips64": 5307,
}

libc = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, place: str) -> None:
    """Mount a file system that is not on any disk."""
    os.makedirs(place, exist_ok=True)
    # The kernel may have mounted /dev by itself.
    if libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None) and not os.path.ismount(place):
        raise OSError(ctypes.get_errno(), "mount", place)


def mount_all() -> None:
    """Mount what programs expect, with folders for temporary files that are in memory."""
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
        mount(kind, place)
    for place in ("/tmp", "/run", "/dev/shm"):
        mount("tmpfs", place)
        os.chmod(place, 0o1777)
    if not os.path.lexists("/dev/fd"):
        os.symlink("/proc/self/fd", "/dev/fd")


def load(module: str) -> None:
    """Load a module of the kernel."""
    fd = os.open(module, os.O_RDONLY | os.O_CLOEXEC)
    if libc.syscall(FINIT_MODULE[os.uname().machine], fd, b"", 0):
        raise OSError(ctypes.get_errno(), "finit_module", module)
    os.close(fd)


def run(command: list[str], environment: dict[str, str], seconds: float) -> int:
    """Run a program to its end and return its exit status; 124 if it had to be killed.

    All that it leaves behind becomes this program's, which reaps it, as the first process does everywhere.
    """
    pid = os.posix_spawn(command[0], command, environment, setpgroup=0)
    end = time.monotonic() + seconds
    killed = False
    while True:
        found, status = os.waitpid(-1, os.WNOHANG)
        if found == pid:
            return 124 if killed else os.waitstatus_to_exitcode(status)
        if not found:
            if not killed and time.monotonic() > end:
                killed = True
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.01)


def carry_out(plan: dict[str, Any]) -> int:
    """Do as planned and return 0 if every program has ended with 0."""
    if plan["mounts"]:
        mount_all()
    if plan["machine"]:
        console = os.open("/dev/console", os.O_RDWR)
        for number in range(3):
            os.dup2(console, number)
    # Firmware may have left its last line open.
    print(f"\n@@kernel {os.uname().sysname} {os.uname().release} {os.uname().machine}", flush=True)
    for module in sorted(glob.glob("/guest/modules/*")):
        load(module)
    os.chdir(plan["folder"])
    statuses = []
    for command in plan["commands"]:
        begin = time.monotonic()
        status = run([sys.executable, *command], plan["environment"], plan["seconds"])
        print(f"@@ended {status} {time.monotonic() - begin:.1f} {' '.join(command[:4])}", flush=True)
        statuses.append(status)
    print(f"{VERDICT} {json.dumps(statuses)}", flush=True)
    return 1 if any(statuses) else 0


def main(kernel: list[str]) -> int:
    """Do as planned, and switch the machine off if it is one; or become a kernel that is a process here."""
    if kernel:
        mount_all()
        os.environ["TMPDIR"] = "/dev/shm"
        os.execv(kernel[0], kernel)
    with open(PLAN, encoding="utf-8") as file:
        plan = json.load(file)
    try:
        return carry_out(plan)
    finally:
        if plan["machine"]:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            libc.reboot(ctypes.c_int(POWER_OFF))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] if os.getpid() == 1 and sys.argv[1:2] == [KERNEL] else []))
