"""Handlers that raise what the kernel might answer.

Rule: whether the kernel lacks a feature is decided by what a call returned.  An OSError that a signal handler raises
within the call comes out as it is, also with the errno that stands for a missing feature.
"""

from __future__ import annotations

import errno
import itertools
import signal
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import support
from blocked import Ticks, fill
from interrupting import Interruption, is_interrupted

from uds_cffi import MSG_DONTWAIT, MSG_OOB, UnixStream


class Unsupported(Interruption, OSError):
    """What a handler raises whose own call was not supported; to the library it looks like an answer of the kernel."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.errno = errno.EOPNOTSUPP


@pytest.fixture
def streams() -> Iterator[tuple[Any, Any]]:
    """Two connected streams."""
    one, two = UnixStream.pair()
    with one, two:
        yield one, two


def at_each_step(call: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> None:
    """Raise at every step of a call: is_interrupted() fails when anything else comes out, or nothing."""
    for step in itertools.count(1):
        prepare()
        if not is_interrupted(call, step, Unsupported):
            assert step > 1
            return


CALLS: dict[str, Callable[[Any, Any], object]] = {
    "send": lambda one, _: one.send(b"!", MSG_OOB),
    "try_send": lambda one, _: one.try_send(b"!", MSG_OOB),
    "sendall": lambda one, _: one.sendall(b"!", MSG_OOB),
    "recv": lambda _, two: two.recv(1, MSG_OOB),
    "try_recv": lambda _, two: two.try_recv(1, MSG_OOB),
    "recv_into": lambda _, two: two.recv_into(bytearray(1), MSG_OOB),
}


@support.needs("out_of_band")
@pytest.mark.usefixtures("finalizers_may_speak")
@pytest.mark.parametrize("name", CALLS)
def test_out_of_band(streams: tuple[Any, Any], name: str) -> None:
    """Calls with MSG_OOB let a handler's exception out at each of their steps."""
    one, two = streams

    def prepare() -> None:
        while two.try_recv(100) is not None:
            pass
        one.send(b"?", MSG_OOB)

    at_each_step(lambda: CALLS[name](one, two), prepare)


@support.needs("out_of_band")
@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@pytest.mark.parametrize("name", ["send", "sendall"])
def test_out_of_band_that_waits(streams: tuple[Any, Any], name: str, timeout: float | None) -> None:
    """The same while it waits for room, in the kernel and in the library."""
    one, _ = streams
    fill(lambda data: one.send(data, MSG_DONTWAIT))
    one.set_write_timeout(timeout)

    def refuse() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Unsupported("a handler's")

    with Ticks(refuse), pytest.raises(Unsupported):
        getattr(one, name)(b"!", MSG_OOB)
