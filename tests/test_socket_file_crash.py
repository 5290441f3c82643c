"""Socket files and processes that are killed.

Rule: killed (SIGKILL) between any two steps of bind(), publish() and close(), a process leaves nothing that keeps the
next one from starting, and nobody else's file is gone.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
import support
from socketfiles import answers

import uds_cffi
from uds_cffi import UnixDatagram, UnixListener, UnixStream, calls, publish
from uds_cffi.locks import Lock
from uds_cffi.places import Place

LIBRARY = str(Path(uds_cffi.__file__).parent)


def trace_library(look: Callable[[int], object], call: Callable[[], object]) -> None:
    """Make a call, and call a function with the number of each line of the library before it runs."""
    count = 0

    def trace(frame: Any, _event: str, _argument: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        count += 1
        look(count)
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        # Coverage's own, if it runs.
        sys.settrace(previous)


def state_of(folder: str) -> list[tuple[str, int, int]]:
    """Return all that a process leaves behind: the names below a folder, with inodes and permissions."""
    found = []
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(place, name))
            found.append((os.path.join(place, name), status.st_ino, status.st_mode))
    return sorted(found)


def steps_of(call: Callable[[], object], folder: str) -> list[int]:
    """Return the first line behind each change of the folder: being killed at the lines between is the same."""
    states: list[Any] = [None]
    steps = []

    def look(step: int) -> None:
        state = state_of(folder)
        if state != states[-1]:
            states.append(state)
            steps.append(step)

    trace_library(look, call)
    return steps


def killed_at_each_step(call: Callable[[], object], check: Callable[[], object], folder: str) -> None:
    """Kill a child after each change that a call makes to a folder; after each death everything is in order."""

    def die(step: int, last: int) -> None:
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    call()
    check()
    steps = steps_of(call, folder)
    for last in steps:
        check()
        with pytest.raises(AssertionError, match="was killed by SIGKILL"):
            support.run_child(trace_library, functools.partial(die, last=last), call)
        check()
    # There is the state before it, and more than one change.
    assert len(steps) > 2


CALLS: dict[str, Callable[[Any, str], object]] = {
    "mode": lambda kind, path: kind.bind(path, mode=0o600, replace_stale=True).close(),
    "stale": lambda kind, path: kind.bind(path, replace_stale=True).close(),
    "takeover": lambda kind, path: kind.bind(path, takeover=True, mode=0o640).close(),
    "unlink": lambda kind, path: kind.bind(path, replace_stale=True, unlink_on_close=True).close(),
}


@pytest.mark.parametrize("kind", [UnixListener, UnixDatagram])
@pytest.mark.parametrize("name", CALLS)
def test_next_start_works(kind: Any, name: str, short_dir: str) -> None:
    """The next server starts, with replace_stale or with takeover; what it leaves is its own file alone."""
    path = os.path.join(short_dir, "s")
    with open(os.path.join(short_dir, "other"), "w"):
        pass
    client = UnixStream if kind is UnixListener else UnixDatagram
    turns = itertools.cycle([{"takeover": True}, {"replace_stale": True, "mode": 0o600}])

    def check() -> None:
        assert set(os.listdir(short_dir)) <= {"other", "s", ".s.lock", ".s.new"}
        with kind.bind(path, **next(turns)):
            answers(client, path)
            # A private folder is cleared by the next who needs one, the lock's file by the next who locks.
            assert {"other", "s"} <= set(os.listdir(short_dir)) <= {"other", "s", ".s.new"}

    killed_at_each_step(lambda: CALLS[name](kind, path), check, short_dir)
    kind.bind(path, takeover=True).close()
    assert sorted(os.listdir(short_dir)) == ["other", "s"]


def test_killed_while_publishing(short_dir: str) -> None:
    """The public name leads to the old socket or to the new one, never to nothing."""
    path = os.path.join(short_dir, "public")

    def call() -> None:
        with UnixListener.bind(os.path.join(short_dir, "private"), replace_stale=True) as listener:
            publish(listener, path)

    def check() -> None:
        assert os.path.exists(path)
        with UnixListener.bind(path, takeover=True):
            answers(UnixStream, path)

    killed_at_each_step(call, check, short_dir)


def test_killed_holder_of_the_lock(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock ends with the process that has it, and others wait for it until then."""
    path = os.path.join(short_dir, "s")

    def hold(held: support.Event) -> None:
        with Lock(Place(path)):
            held.set()
            support.Event().wait()

    flock, attempts = calls.flock, []

    def counted(handle: Any) -> int:
        attempts.append(1)
        return flock(handle)

    with support.Event() as held:
        child = support.Child(hold, held)
        held.wait()
        monkeypatch.setattr(calls, "flock", counted)
        with support.in_thread(lambda: UnixListener.bind(path, replace_stale=True)) as outcome:
            support.until(lambda: len(attempts) > 2)
            assert outcome == []
            child.kill()
        outcome[0].close()
