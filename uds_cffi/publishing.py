"""Putting a listening socket in the place of another, with no moment in between.

Rule: clients find the old socket or the new one, never nothing: the file gets its name by rename(2).
"""

from __future__ import annotations

import errno
import os

from .base import Socket
from .errors import error
from .locks import Lock
from .places import Place, place_of
from .socketfile import SocketFile, identity_of, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .address import AddressLike


def publish(listener: Socket, path: AddressLike, *, dir_fd: Any = None, long_path: bool = False) -> None:
    """Give the file of a bound socket this name, in the place of a socket file that has it (rename(2)).

    Who connects reaches the old socket until then and this one from then on.  The old one keeps the connections that
    wait in its backlog, so its process should accept them before it closes, and not close at once: a client that was
    just looking the name up would be refused.

    ``listener.published_path`` is the path from then on; ``local_addr()`` goes on to report what it was bound to.  With
    ``unlink_on_close`` it is the new name that is removed.

    Args:
        listener: a UnixListener, UnixSeqpacketListener or UnixDatagram that is bound to a path on the same file system.
        path: the new path, as str, bytes, os.PathLike or UnixSocketAddr.
        dir_fd: where a relative path begins: a directory, as int or an object with ``fileno()``.
        long_path: whether the path may be longer than an address.

    Raises:
        TypeError, ValueError: no socket of this library, or bound to no path.
        AddressError: the path cannot be one.
        OSError: with the path: EADDRINUSE, what is there is no socket; EXDEV, another file system; FileNotFoundError,
            the socket's file is gone; PermissionError; TimeoutError, another process holds the lock of the path.
    """
    if not isinstance(listener, Socket):
        raise TypeError(f"a socket of this library is needed, not {type(listener).__name__}")
    old = listener._file
    source = _place_of(listener) if old is None else old.place
    with place_of(path, dir_fd, long_path) as place:
        Lock(place).around(lambda: _rename(listener, old, source, place))


def _rename(listener: Socket, old: SocketFile | None, source: Place, place: Place) -> None:
    """Give the file its new name; the lock of that is held."""
    identity = identity_of(source)
    if identity is None or (old is not None and identity != old.identity):
        raise error(errno.ENOENT, source)
    new = SocketFile(place, identity, old is not None and old.unlinks)
    # It is the socket's before it has the name, so that at no moment the name is nobody's.
    listener._file = new
    try:
        replace(source, place)
    except BaseException:
        if identity_of(place) != identity:
            listener._file = old
            new.forget()
        raise
    if old is not None:
        old.forget()


def _place_of(listener: Socket) -> Place:
    address = listener.local_addr()
    if not address.is_path:
        raise ValueError(f"the socket is bound to no path: its address is {str(address)!r}")
    return Place(os.fsdecode(address.name))
