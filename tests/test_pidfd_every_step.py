"""Calls that make a pidfd, interrupted at each of their steps, one after the other.

Rule: the owner exists before the system call, so whatever step a handler raises at, no descriptor is lost.
"""

from __future__ import annotations

import os

import pytest
import support
from interrupting import interrupt_everywhere

from uds_cffi import OwnedFd, PidFd, UnixStream

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
