"""Whether a socket file is stale, and its removal.

Rule: a file is removed only with proof.  It is a socket, connecting to it is refused, no socket of this network
namespace is about to listen at it, and after all that it is still the same file.  Whatever else is there stays, and so
does a file of which nothing can be known.
"""

from __future__ import annotations

import errno
import os
import stat

from . import calls, credentials, sockdiag
from .calls import check
from .capabilities import ROWS
from .errors import FeatureUnavailable, error
from .owner import Owner
from .places import is_same, read_beginning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._lib import CData
    from .places import Place

_TYPES = (calls.SOCK_STREAM, calls.SOCK_DGRAM, calls.SOCK_SEQPACKET)


def remove_stale(place: Place) -> None:
    """Remove the socket file of a process that is gone.

    The lock of the place must be held.

    Raises:
        OSError: EADDRINUSE, with the path, what is there and why it stays.
    """
    before = place.status()
    if before is None:
        return
    if not stat.S_ISSOCK(before.mode):
        raise in_use(place, f"{kind_of(before)} is there")
    _check_refused(place)
    if _has_socket(before):
        raise in_use(place, "a socket is bound to it that does not listen yet")
    after = place.status()
    if after is None:
        return
    if not is_same(before, after):
        raise in_use(place, "another file took its place just now")
    check(place.unlink(), place)


def in_use(place: Place, reason: str) -> OSError:
    """Make the error that says why a file stays."""
    return OSError(errno.EADDRINUSE, f"{os.strerror(errno.EADDRINUSE)}: {reason}", str(place))


def kind_of(status: CData) -> str:
    """Return what a file is that is no socket."""
    mode = status.mode
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a regular file" if stat.S_ISREG(mode) else "another kind of file"


def _check_refused(place: Place) -> None:
    """Return when nobody listens at a socket file, or raise who does."""
    for kind in _TYPES:
        if kind < 0:
            continue
        probe = Owner._empty()
        with probe:
            check(calls.open_socket(probe._handle, kind, 1))
            result = place.connect(probe._handle)
            if result in (-errno.ECONNREFUSED, -errno.ENOENT):
                return
            if result == 0:
                raise in_use(place, _who(probe, kind))
            if result == -errno.EAGAIN:
                raise in_use(place, "a process listens there, and its backlog is full")
            if result == -errno.EPERM:
                raise in_use(place, "a process receives there, from its peer alone")
            if result == -errno.EACCES:
                raise in_use(place, "this process may not connect to it, and cannot tell whether somebody listens")
            if result != -errno.EPROTOTYPE:
                raise error(-result, place)
    raise in_use(place, "a socket of another type is bound there")


def _who(probe: Owner, kind: int) -> str:
    """Say who is at the other end."""
    text = "a process receives there" if kind == calls.SOCK_DGRAM else "a process listens there"
    if kind == calls.SOCK_DGRAM:
        return text
    try:
        pid = credentials.peer_credentials(probe._handle).pid
    except FeatureUnavailable:
        return text
    if pid is None:
        return text
    command = _command(pid)
    return f"process {pid} ({command}) listens there" if command else f"process {pid} listens there"


def _command(pid: int) -> str:
    """Return the name of a process, where the system shows it to this one."""
    name: bytes = read_beginning(f"/proc/{pid}/comm", 64)
    return ascii(name.rstrip(b"\n").decode("utf-8", "replace"))[1:-1]


def _has_socket(status: CData) -> bool:
    """Whether the kernel knows a socket that is bound to a file and may still begin to listen.

    A connection that was accepted has its listener's file too, also when it has ended; then it is shut down.
    """
    if not ROWS["diagnostics"][0]:
        return False
    states = 1 << sockdiag.UNCONNECTED | 1 << sockdiag.LISTENING
    file = status.device, status.inode & 0xFFFFFFFF
    for record in sockdiag.known(states):
        if record.present & sockdiag.HAS_FILE and not record.shutdown and (record.device, record.file) == file:
            return True
    return False
