"""Calls about processes, peers and a socket's file, and probes, interrupted at each of their steps, one by one.

Rule: the owner exists before the system call, so whatever step a handler raises at, no descriptor is lost; and what it
raises comes out, also where it looks like an answer of the kernel.
"""

from __future__ import annotations

import os

import pytest
import support
from interrupting import Interruption, interrupt_everywhere, is_interrupted

from uds_cffi import OwnedFd, PidFd, UnixListener, UnixStream, features, probes

pytestmark = pytest.mark.usefixtures("finalizers_may_speak")


def nothing():
    """Prepare nothing."""


CALLS = {
    "peer_pidfd": lambda stream, me: stream.peer_pidfd().close(),
    "from_pid": lambda stream, me: PidFd.from_pid(os.getpid()).close(),
    "dup": lambda stream, me: me.dup().close(),
    "as_pidfd": lambda stream, me: OwnedFd.dup(me).as_pidfd().close(),
    "info": lambda stream, me: me.info() if support.supported("pidfd_info") else me.pid(),
    "wait": lambda stream, me: me.wait(0.0001),
    "same_process_as": lambda stream, me: me.same_process_as(me),
    "send_signal": lambda stream, me: me.send_signal(0),
    "repr": lambda stream, me: repr(me),
}
PEER_CALLS = {
    "peer_credentials": lambda stream: stream.peer_credentials(),
    "peer_groups": lambda stream: stream.peer_groups(),
}


@support.needs("peer_pidfd")
@pytest.mark.parametrize("name", CALLS)
def test_pidfds(name):
    """An interrupted call leaves no pidfd behind."""
    left, right = UnixStream.pair()
    with left, right, left.peer_pidfd() as me:
        interrupt_everywhere(lambda: CALLS[name](left, me), nothing, lambda: me.same_process_as(me))


@pytest.mark.parametrize("name", [pytest.param(name, marks=support.needs(name)) for name in PEER_CALLS])
def test_peers(name):
    """What a handler raises while the peer is asked for comes out, and the next answer is the same."""
    left, right = UnixStream.pair()
    with left, right:
        expected = PEER_CALLS[name](left)

        def check():
            assert PEER_CALLS[name](left) == expected

        interrupt_everywhere(lambda: PEER_CALLS[name](left), nothing, check)


@pytest.mark.parametrize("name", [pytest.param(name, marks=support.needs(name)) for name in features()])
def test_probes(name, short_dir, monkeypatch):
    """A probe that is interrupted leaves neither a descriptor nor a file, and the next answer is the same."""
    monkeypatch.setenv("TMPDIR", short_dir)
    probe = getattr(probes, name)

    def check():
        assert probe() == ""
        assert os.listdir(short_dir) == []

    interrupt_everywhere(probe, nothing, check)


@support.needs("bound_file")
@pytest.mark.parametrize("ask", ["bound_file", "is_still_bound"])
def test_bound_file(ask, socket_path):
    """An interrupted question about a socket's file leaves that not open."""
    with UnixListener.bind(socket_path) as listener:

        def call():
            answer = getattr(listener, ask)()
            if isinstance(answer, OwnedFd):
                answer.close()

        interrupt_everywhere(call, nothing, lambda: None)


class NotThere(Interruption, FileNotFoundError):
    """What a handler raises that removes a file; to the library it looks like the answer about a path."""


def test_handler_that_misses_a_file(socket_path):
    """A handler's FileNotFoundError is never taken for the kernel's word on the path."""
    with UnixListener.bind(socket_path) as listener:
        if not support.supported("bound_file"):
            os.unlink(socket_path)
        step = 1
        while is_interrupted(listener.is_still_bound, step, NotThere):
            step += 1
        assert step > 10
