"""Descriptors that are passed to this very process, as a service manager passes them to one that it starts.

Rule: the numbers begin far behind those that the test run uses, in place of 3.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import support

from uds_cffi import ListenFds, PidFd, UnixDatagram, UnixListener, activation

FIRST = 500


class Passed:
    """What is passed to this process; what nobody took is closed at the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._count = 0
        monkeypatch.setattr(activation, "FIRST", FIRST)
        monkeypatch.setattr(activation, "_taken", {})
        for name in activation._VARIABLES:
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *things: Any, names: str | None = None) -> list[int]:
        """Pass copies of some descriptors, inheritable as after an exec, and return their numbers."""
        numbers = list(range(FIRST, FIRST + len(things)))
        for number, thing in zip(numbers, things):
            os.dup2(thing if isinstance(thing, int) else thing.fileno(), number, inheritable=True)
        self._count = max(self._count, len(numbers))
        self.say(LISTEN_PID=os.getpid(), LISTEN_FDS=len(numbers), LISTEN_FDNAMES=names)
        return numbers

    def say(self, **variables: Any) -> None:
        """Set variables of the environment, or remove them (None)."""
        for name, value in variables.items():
            if value is None:
                self._monkeypatch.delenv(name, raising=False)
            else:
                self._monkeypatch.setenv(name, str(value))

    def again(self) -> None:
        """Let all descriptors be given out again."""
        self._monkeypatch.setattr(activation, "_taken", {})

    def close(self) -> None:
        """Close what nobody took and closed."""
        for number in range(FIRST, FIRST + self._count):
            if support.is_open(number):
                os.close(number)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Passed]:
    """Pass descriptors to this process."""
    one = Passed(monkeypatch)
    yield one
    one.close()


@pytest.fixture
def listener(socket_path: str) -> Iterator[UnixListener]:
    """Listen at a path."""
    with UnixListener.bind(socket_path) as sock:
        yield sock


@pytest.fixture
def datagram(socket_path: str) -> Iterator[UnixDatagram]:
    """Receive datagrams at a path."""
    with UnixDatagram.bind(socket_path + "d") as sock:
        yield sock


def classes(fds: ListenFds) -> list[tuple[str, type]]:
    """Return the name and the class of each socket."""
    return [(name, type(sock)) for name, sock in fds]


def own_identity() -> int:
    """Return the number that only this process's pidfd has."""
    with PidFd.from_pid(os.getpid()) as own:
        return os.fstat(own.fileno()).st_ino
