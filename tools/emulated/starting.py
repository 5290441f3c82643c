"""Start a guest, and read what it says.

Rule: a guest is a process of this machine in namespaces of its own, so that its end takes with it all that it has
started and mounted; and what it says counts only with the verdict at its end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.commands import Failure

from .guest import VERDICT
from .namespaces import ALONE, within
from .packing import pack
from .systems import GVISOR, NATIVE, UML, Guest

# What the exercises print their table after.
FEATURES = "@@features"

# Seconds, of a guest, all in all.
PATIENCE = 900.0
MEMORY = "1024"

# This version of gVisor dies in about one of two times on recent kernels ("panic: running on goroutine").
GVISOR_TRIES = 12


class Said(NamedTuple):
    """What a guest has said.

    Attributes:
        text: All of it.
        statuses: The exit status of each program; None without a verdict.
        features: The table that the exercises printed; None without one.
    """

    text: str
    statuses: list[int] | None
    features: dict[str, str] | None

    @property
    def kernel(self) -> str:
        """What the guest calls its kernel; "" if it did not say."""
        found = re.search(r"^@@kernel (.*)$", self.text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def tests(self) -> str:
        """The last line of pytest; "" without one."""
        found = re.findall(r"^(?:=+ )?(\d+ [a-z]+.* in [\d.]+s.*?)(?: =+)?$", self.text, re.MULTILINE)
        return found[-1] if found else ""


def start(guest: Guest, root: Path, kernel: Path) -> Said:
    """Run a guest to its end.

    Raises:
        Failure: What it needs on this machine is missing.
    """
    scratch = root.parent
    if guest.kind == NATIVE:
        return run(within(root, "/guest/guest.py"), scratch)
    if guest.kind == UML:
        shutil.copy(next(kernel.rglob("linux.uml")), root / "guest" / "linux")
        quiet = ["con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=1", "panic=1"]
        place = ["rootfstype=hostfs", "rootflags=/", "rw", "init=/guest/guest.py"]
        return run(within(root, "/guest/guest.py", "/guest/linux", f"mem={MEMORY}M", *place, *quiet), scratch)
    if guest.kind == GVISOR:
        return start_gvisor(root, next(kernel.rglob("bin/runsc")), scratch)
    archive = scratch / "initrd"
    pack(root, archive)
    arguments = ["-m", MEMORY, "-nographic", "-no-reboot", "-nic", "none", "-initrd", str(archive)]
    line = f"console={guest.console} quiet loglevel=1 panic=1 rdinit=/guest/guest.py"
    # Some have both, and qemu starts what is not compressed on all.
    kernels = sorted(kernel.glob("boot/vmlinu*"), key=lambda path: path.name)
    return run([*guest.command, *arguments, "-kernel", str(kernels[0]), "-append", line], scratch)


def start_gvisor(root: Path, program: Path, scratch: Path) -> Said:
    """Run gVisor's guest, again if there is no verdict: then gVisor has died, with a word about it or without.

    A program of ours that crashes is no reason: the guest says so in its verdict.
    """
    options = ["--platform=systrap", "--network=none", "--ignore-cgroups"]
    command = [
        *ALONE,
        "--mount-proc",
        str(program),
        *options,
        "do",
        f"--root={root}",
        "/usr/bin/python3",
        "/guest/guest.py",
    ]
    for _ in range(GVISOR_TRIES):
        said = run(command, scratch)
        if said.statuses is not None:
            break
    return said


def run(command: Sequence[str], scratch: Path) -> Said:
    """Run a guest's command, and kill it and all that it has started when its time is over."""
    if shutil.which(command[0]) is None:
        raise Failure(f"{command[0]} is missing; see docs/other-linuxes.md")
    output = scratch / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            # If this program is killed, the guest is too.
            ["setpriv", "--pdeathsig=KILL", *command],
            cwd="/",
            env={**os.environ, "TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            file.write(f"\nkilled after {PATIENCE:.0f} seconds\n".encode())
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return read(output.read_bytes())


def read(data: bytes) -> Said:
    """Read what a console has shown."""
    text = data.decode("utf-8", "replace").replace("\r", "")
    statuses: list[int] | None = None
    features: dict[str, str] | None = None
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        try:
            if mark == VERDICT:
                statuses = [int(status) for status in json.loads(rest)]
            elif mark == FEATURES:
                features = dict(json.loads(rest))
        except ValueError:
            # Cut, or mixed with the kernel's own words: then it is no verdict.
            continue
    return Said(text, statuses, features)
