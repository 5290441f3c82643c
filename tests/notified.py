"""A service manager that receives notifications, as the documentation shows how to write one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import support

from uds_cffi import OwnedFds, ScmCredentials, ScmRights, SocketAncillary, UnixDatagram, UnixSocketAddr

CREDENTIALS = support.supported("credentials")


class Notification(NamedTuple):
    """A message, who it is from, and its descriptors, which are the test's."""

    data: bytes
    sender: ScmCredentials | None
    fds: OwnedFds


class Manager:
    """Receives at an address, which NOTIFY_SOCKET names."""

    def __init__(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        options = {"pass_credentials": True} if CREDENTIALS else None
        self.socket = UnixDatagram.bind(UnixSocketAddr(address), options=options)
        self.socket.set_read_timeout(support.PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    def receive(self) -> Notification:
        """Wait for a message."""
        sender, fds = None, OwnedFds()
        ancillary = SocketAncillary.with_room_for(fds=253, credentials=CREDENTIALS)
        received = self.socket.recv_ancillary(4096, ancillary)
        assert not received.truncated
        assert not received.ancillary_truncated
        assert received.data is not None
        for message in received.messages:
            if isinstance(message, ScmRights):
                fds = message.fds
            elif isinstance(message, ScmCredentials):
                sender = message
        return Notification(received.data, sender, fds)

    def is_empty(self) -> bool:
        """Tell whether no message waits."""
        return self.socket.try_recv(4096) is None

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def no_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without a service manager, also where the tests are run by one."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)


@pytest.fixture
def manager(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """Run a service manager."""
    one = Manager(socket_path, monkeypatch)
    yield one
    one.close()


def myself() -> tuple[Any, ...] | None:
    """Return what the manager knows of this process."""
    return (os.getpid(), os.getuid(), os.getgid()) if CREDENTIALS else None
