"""What the tests of socket files share: the types that are bound, and a look at what a folder has."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest
import support

from uds_cffi import UnixDatagram, UnixListener, UnixSeqpacketConn, UnixSeqpacketListener, UnixStream

# The types that are bound, each with the one that connects to it.
TYPES = [
    pytest.param((UnixListener, UnixStream), id="stream"),
    pytest.param((UnixSeqpacketListener, UnixSeqpacketConn), id="seqpacket", marks=support.needs("seqpacket")),
    pytest.param((UnixDatagram, UnixDatagram), id="datagram"),
]
LISTENERS = TYPES[:2]

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act for other users")


def mode_of(path: str) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(os.lstat(path).st_mode)


def inode_of(path: str) -> int:
    """Return the inode of a file."""
    return os.lstat(path).st_ino


def answers(client: Any, path: str, **how: Any) -> None:
    """Connect to the socket at a path."""
    client.connect(path, **how).close()


class Umask:
    """A umask inside a ``with`` block."""

    def __init__(self, mask: int) -> None:
        self._mask = mask

    def __enter__(self) -> None:
        self._mask = os.umask(self._mask)

    def __exit__(self, *exc_info: object) -> None:
        os.umask(self._mask)
