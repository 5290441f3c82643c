"""What the tests of diagnostics share: sockets by the number that the kernel knows them by."""

from __future__ import annotations

import os
from typing import Any

from uds_cffi.diagnostics import SocketInfo, sockets


def inode(sock: Any) -> int:
    return os.fstat(sock.fileno()).st_ino


def by_inode(states: Any = None) -> dict[int, SocketInfo]:
    found = sockets(states)
    assert all(type(info) is SocketInfo for info in found)
    table = {info.inode: info for info in found}
    assert len(table) == len(found)
    return table
