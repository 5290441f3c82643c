"""Whose file it is: the socket file that a socket is bound to, found by the socket and not by the path.

Rule: a path may name another file by now, so what is compared are device and inode, while a descriptor keeps that inode
from being used again.  Where the kernel does not tell, only what is certain without it is said.  What it refuses stays
a number until nobody looks at it any more: a signal handler may raise FileNotFoundError too.
"""

from __future__ import annotations

import errno

from . import calls, naming
from .calls import check
from .capabilities import require
from .errors import FeatureUnavailable
from .fd import OwnedFd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._lib import CData
    from .address import UnixSocketAddr

# Tests play other kernels by replacing it.
bound_file = calls.bound_file
leads_to_socket = calls.leads_to_socket
is_at = calls.is_at


def file_of(handle: CData) -> OwnedFd | None:
    """Open the file that a socket is bound to, or return None when it is bound to no path."""
    require("bound_file")
    address = naming.local_name(handle)
    return _file_of(handle, address) if address.is_path else None


def _file_of(handle: CData, address: UnixSocketAddr) -> OwnedFd:
    file = OwnedFd._empty()
    result = bound_file(handle, file._handle)
    if result == -errno.ENOTTY:
        raise FeatureUnavailable("bound_file", "kernel", errno.ENOTTY)
    if result == -errno.EPERM:
        text = "the kernel tells which file a socket is bound to only with CAP_NET_ADMIN"
        raise PermissionError(errno.EPERM, text, str(address))
    check(result, address)
    return file


def is_still_bound(handle: CData) -> bool:
    """Return whether the path that a socket is bound to leads to the socket's own file."""
    address = naming.local_name(handle)
    if not address.is_path:
        raise ValueError(f"a socket with the address {str(address)!r} is bound to no path")
    path = address.name
    if not check(leads_to_socket(path), address):
        return False
    require("bound_file")
    with _file_of(handle, address) as file:
        # Looked up again, while the descriptor keeps the inode from being another file's.
        return bool(check(is_at(file._handle, path), address))
