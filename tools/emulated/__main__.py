"""Run guests and print what each has shown: ``python -m tools.emulated [NAME ... | all]``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import commands, debian

from . import roots, table
from .judging import judge
from .starting import Said, start
from .systems import ALWAYS, AMD64, GUESTS, MACHINE, NATIVE, Guest, Processor


def main(arguments: list[str]) -> int:
    """Return 0 if each guest has shown what it should."""
    known = {guest.name: guest for guest in GUESTS}
    parser = argparse.ArgumentParser(prog="python -m tools.emulated", description=__doc__)
    parser.add_argument(
        "guests", nargs="*", metavar="NAME", help=f"{', '.join(known)}, or all; the first eight if none is named"
    )
    parser.add_argument("--work", type=Path, help="keep the roots, kernels and outputs in this new folder")
    chosen = parser.parse_args(arguments)
    names = list(known) if "all" in chosen.guests else chosen.guests or ALWAYS
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"no such guest: {', '.join(sorted(unknown))}; there are {', '.join(known)}, and all")
    if os.geteuid() != 0:
        print("emulated: this must be root: guests have mounts and processes of their own", file=sys.stderr)
        return 1
    guests = [known[name] for name in names]
    if chosen.work is not None:
        chosen.work.mkdir(parents=True)
        return run(guests, chosen.work.resolve())
    with tempfile.TemporaryDirectory(prefix="emulated-") as work:
        return run(guests, Path(work))


class Builder:
    """Roots for processors, each made once and copied."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self.shared = roots.Shared(work)
        self._locks: dict[Processor, threading.Lock] = {}
        self._lock = threading.Lock()

    def root(self, guest: Guest) -> Path:
        """Return a root for a guest alone."""
        made = self._made(guest.processor)
        root = self._work / guest.name / "root"
        root.parent.mkdir()
        # Nothing writes into a file that is there.
        commands.run("cp", "--archive", "--link", made, root)
        return root

    def _made(self, processor: Processor) -> Path:
        with self._lock:
            lock = self._locks.setdefault(processor, threading.Lock())
        made = self._work / f"root-{processor.debian}"
        with lock:
            if not made.exists():
                same = processor.suite == AMD64.suite and processor != AMD64
                roots.build(self.shared, processor, made, self._made(AMD64) if same else None)
        return made

    def kernel(self, guest: Guest) -> Path:
        """Return the folder with a guest's kernel, as its package has it."""
        place = self._work / guest.name / "kernel"
        if guest.kind == NATIVE:
            return place
        package, suite = guest.kernel
        architecture = guest.processor.debian
        with debian.Suite(suite, architecture) as archive:
            archive.extract([archive.meant(package) if guest.kind == MACHINE else package], place)
        return place


def run(guests: list[Guest], work: Path) -> int:
    """Run guests, as many at a time as there are processors, and print the verdict on each."""
    begin = time.monotonic()
    builder = Builder(work)
    print(f"emulated: {len(guests)} guests, zig {builder.shared.zig.version()}", flush=True)
    expected = table.parse(table.PATH.read_text(encoding="utf-8"))
    found = {}
    bad = 0

    def timed(guest: Guest) -> tuple[Said, float, float]:
        first = time.monotonic()
        root, kernel = builder.root(guest), builder.kernel(guest)
        roots.finish(guest, root, kernel)
        second = time.monotonic()
        return start(guest, root, kernel), second - first, time.monotonic() - second

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # In the order of the list, each as soon as those before it are there.
        for guest, (said, made, ran) in zip(guests, pool.map(timed, guests)):
            problems = judge(guest, said, expected.get(guest.name, {}))
            verdict = "FAILED" if problems else f"{len(said.features or ())} features as in the table"
            print(f"{guest.name:11} {said.kernel}: {verdict}; {said.tests} ({made:.0f} s to make, {ran:.0f} s to run)")
            for problem in problems:
                print(f"    {problem}")
            if problems:
                print("\n".join(f"    | {line}" for line in said.text.splitlines()[-200:]))
            sys.stdout.flush()
            bad += bool(problems)
            if said.features:
                found[guest.name] = said.features
    print(table.render(found), end="")
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    left = [line for line in mounts.splitlines() if str(work) in line]
    if left:
        bad += 1
        print(f"mounts are left: {left}")
    print(f"emulated: {bad} failed, {time.monotonic() - begin:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
