"""A process with a pidfd, for tests that watch it end and decide when it is reaped."""

from __future__ import annotations

import os

import support

from uds_cffi import PidFd


class Process:
    """A child that waits until it is told to end, with a status; it is a zombie until the test reaps it.

    Leaving the `with` block ends and reaps it, and closes its pidfd.
    """

    def __init__(self, status: int = 0) -> None:
        self._go = support.Event()
        self._status: int | None = None
        self.pid = support.fork()
        if self.pid == 0:
            try:
                self._go.wait()
            finally:
                os._exit(status)
        self.fd = PidFd.from_pid(self.pid)

    def end(self) -> None:
        """Let it end."""
        self._go.set()

    def reap(self) -> int:
        """Wait for its end, and return its wait status."""
        if self._status is None:
            self._status = os.waitpid(self.pid, 0)[1]
        return self._status

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()
        self.reap()
        self.fd.close()
        self._go.close()
