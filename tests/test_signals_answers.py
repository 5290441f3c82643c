"""Handlers that raise what the kernel might answer.

Rule: whether the kernel lacks a feature is decided by what a call returned.  An OSError that a signal handler raises
within the call comes out as it is, also with the errno that stands for a missing feature.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import support
from blocked import Ticks, fill
from interrupting import STRIDE, Interruption, is_interrupted
from stepping import steps_of

from uds_cffi import MSG_DONTWAIT, MSG_OOB, FeatureUnavailable, UnixDatagram, UnixStream, probes


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


def at_each_step(call: Callable[[], object], prepare: Callable[[], object] = lambda: None, stride: int = 1) -> None:
    """Raise at steps of a call: is_interrupted() fails when anything else comes out, or nothing."""
    prepare()
    call()
    prepare()
    interrupted = 0
    steps = steps_of(call)[::stride]
    for step in steps:
        prepare()
        interrupted += is_interrupted(call, step, Unsupported)
    assert interrupted > len(steps) // 2


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


# A row of each class, and what it is set to.
OPTIONS = {
    "pass_credentials": True,
    "peek_offset": 0,
    "send_buffer": 20000,
    "receive_timeout": 1.0,
    "timestamps": "microseconds",
    "cookie": None,
}


@pytest.mark.usefixtures("finalizers_may_speak")
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str) -> None:
    """Reading and setting an option lets a handler's exception out at each step."""
    one, two = UnixDatagram.pair()
    with one, two:
        try:
            before = getattr(one.options, name)
        except FeatureUnavailable:
            return
        at_each_step(lambda: getattr(one.options, name))
        if OPTIONS[name] is not None:
            at_each_step(lambda: setattr(one.options, name, OPTIONS[name]))
            assert getattr(one.options, name) not in (None, before)


@pytest.mark.usefixtures("finalizers_may_speak")
def test_repr_of_options(streams: tuple[Any, Any]) -> None:
    """So does the repr, which shows what the kernel knows and leaves out what it does not."""
    at_each_step(lambda: repr(streams[0].options), stride=STRIDE)


@pytest.mark.usefixtures("finalizers_may_speak")
@pytest.mark.parametrize("name", ["cookie", "namespace_cookie"])
def test_probes(name: str) -> None:
    """So do probes that look at an answer of the kernel."""
    at_each_step(getattr(probes, name), stride=STRIDE)
