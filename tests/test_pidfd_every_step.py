"""Calls that make a pidfd or open a socket's file, interrupted at each of their steps, one after the other.

Rule: the owner exists before the system call, so whatever step a handler raises at, no descriptor is lost.
"""

from __future__ import annotations

import os

import pytest
import support
from interrupting import interrupt_everywhere

from uds_cffi import OwnedFd, PidFd, UnixListener, UnixStream

pytestmark = pytest.mark.usefixtures("finalizers_may_speak")


def nothing():
    """Prepare nothing."""


CALLS = {
    "peer_pidfd": lambda stream, me: stream.peer_pidfd().close(),
    "from_pid": lambda stream, me: PidFd.from_pid(os.getpid()).close(),
    "dup": lambda stream, me: me.dup().close(),
    "as_pidfd": lambda stream, me: OwnedFd.dup(me).as_pidfd().close(),
    "info": lambda stream, me: me.info() if support.supported("pidfd_info") else me.pid(),
}


@support.needs("peer_pidfd")
@pytest.mark.parametrize("name", CALLS)
def test_pidfds(name):
    """An interrupted call leaves no pidfd behind."""
    left, right = UnixStream.pair()
    with left, right, left.peer_pidfd() as me:
        interrupt_everywhere(lambda: CALLS[name](left, me), nothing, lambda: me.same_process_as(me))


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
