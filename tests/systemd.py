"""The programs and the library of systemd, which are the other side of activation and notification.

Rule: a machine without them skips these tests and says so; where UDS_REQUIRE_SYSTEMD is 1, they fail. An interpreter
for another C library than the machine's runs the programs, and cannot load the library: it has none.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest
import support

REASON = "no systemd here: "
LIBRARY = "libsystemd.so.0"


def _missing(what: str) -> None:
    if os.environ.get("UDS_REQUIRE_SYSTEMD") == "1":
        pytest.fail(f"systemd is required here: {what}")
    pytest.skip(f"{REASON}{what}")


def program(name: str) -> str:
    """Return the path of one of systemd's programs."""
    found = shutil.which(name)
    if found is None:
        _missing(f"{name} is missing")
    return str(found)


def library() -> Any:
    """Load libsystemd; a test that uses it in a thread or a program asks here first, because those cannot skip it."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as problem:
        return _missing(f"this interpreter cannot load {LIBRARY}: {problem}")


class Activated:
    """A Python program that systemd-socket-activate starts when somebody connects.

    Leaving the `with` block ends whatever still runs.
    """

    def __init__(self, options: list[str], code: str, *arguments: str, wrapper: tuple[str, ...] = ()) -> None:
        command = [*wrapper, sys.executable, "-I", "-W", "error", "-c", code, *arguments]
        self._process = subprocess.Popen(
            [program("systemd-socket-activate"), *options, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # With --accept the program is a child of another, which is ended with it.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdout, self._stderr = self._process.stdout, self._process.stderr
        try:
            # From then on whoever connects waits in the queue.
            for _ in range(options.count("-l")):
                line = self._stderr.readline()
                assert line.startswith("Listening on "), line
        except BaseException:
            self.close()
            raise

    def report(self) -> Any:
        """Return what the program prints as one line of JSON."""
        line = self._stdout.readline()
        if not line:
            raise AssertionError(f"the program reported nothing\n{self.close()}")
        return json.loads(line)

    def join(self) -> None:
        """Wait for the end of the program, which is a good one."""
        _, stderr = self._process.communicate(timeout=support.PATIENCE)
        assert self._process.returncode == 0, stderr

    def close(self) -> str:
        """End what still runs, and return what it wrote to standard error."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        return str(self._process.communicate(timeout=support.PATIENCE)[1])

    def __enter__(self) -> Activated:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
