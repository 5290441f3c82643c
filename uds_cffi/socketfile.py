"""The life of a socket file: how it begins, who replaces it, and who removes it.

Rules:
- What was asked for is in force before anybody can connect; when it cannot be, no file is left.
- A file is removed by the process that made it, while it is the socket's own: device and inode are compared while the
  open socket keeps the inode from being used again, under the lock that everybody takes who makes, replaces or removes
  a file here.
- A path is remembered from the root, so that a change of the working directory changes nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import stat

from . import calls, naming, permissions
from .address import UnixSocketAddr
from .aside import Aside
from .calls import check
from .capabilities import ROWS
from .errors import error
from .locks import Lock
from .owner import Owner
from .permissions import permissions_of
from .places import Place, place_of
from .stale import in_use, kind_of, remove_stale

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple

    from ._lib import CData
    from .identity import Bound
    from .permissions import Permissions

    class Asked(NamedTuple):
        """What a caller of bind() has asked for."""

        permissions: Permissions | None
        replace_stale: bool
        takeover: bool
        unlink_on_close: bool
        dir_fd: Any
        long_path: bool

else:
    from collections import namedtuple

    Asked = namedtuple("Asked", "permissions replace_stale takeover unlink_on_close dir_fd long_path")


class SocketFile:
    """A file that a socket has made.

    Attributes:
        published: the path by which it is to be found (str).
        place: the same, for calls on files (Place).
        identity: device and inode (ints), or None when it was gone at once.
        unlinks: whether closing the socket removes it (bool).
    """

    __slots__ = ("published", "place", "identity", "unlinks", "_process")

    published: str
    place: Place
    identity: tuple[int, int] | None
    unlinks: bool
    _process: int

    def __init__(self, place: Place, identity: tuple[int, int] | None, unlinks: bool) -> None:
        self.published = place.asked
        self.identity = identity
        self._process = os.getpid()
        self.unlinks = unlinks
        self.place = _lasting(place)
        if unlinks:
            _remembered.add(self)

    def shared(self) -> SocketFile:
        """Return the same for another socket, which never removes it."""
        other = SocketFile.__new__(SocketFile)
        other.published, other.identity, other._process = self.published, self.identity, self._process
        other.place, other.unlinks = _copied(self.place), False
        return other

    def remove(self) -> None:
        """Remove the file if that was asked for, and it is still this socket's, and this process made it.

        Raises:
            OSError: with the path or the lock's, it cannot be removed.
        """
        _remembered.discard(self)
        unlinks, self.unlinks = self.unlinks, False
        with self.place as place:
            # Who has no file there needs no lock.
            if unlinks and self._process == os.getpid() and self._is_mine(place):
                self._remove_locked(place)

    def _remove_locked(self, place: Place) -> None:
        def remove() -> None:
            if self._is_mine(place):
                result = place.unlink()
                if result != -errno.ENOENT:
                    check(result, place)

        # A full disk should not keep a file for ever.
        Lock(place, needed=False).around(remove)

    def _is_mine(self, place: Place) -> bool:
        return self.identity is not None and identity_of(place) == self.identity

    def keep(self) -> None:
        """Remove it no more."""
        _remembered.discard(self)
        self.unlinks = False

    def forget(self) -> None:
        """Leave the file to others."""
        self.keep()
        self.place.__exit__()


# What is to be removed when the interpreter exits at the latest.
_remembered: set[SocketFile] = set()


@atexit.register
def _remove_all() -> None:
    for file in list(_remembered):
        # It goes on with the next, and there is nobody left to tell.
        with contextlib.suppress(OSError):
            file.remove()


def _lasting(place: Place) -> Place:
    """Return a place that is found when the working directory has changed and the caller's descriptors are closed."""
    if not place.given:
        # An absolute path needs no working directory, which may be gone.
        return Place(place.asked if place.asked.startswith("/") else os.path.join(os.getcwd(), place.asked))
    return _copied(place)


def _copied(place: Place) -> Place:
    """Return the same place with a descriptor of its own for the directory."""
    copy = Place(place.name)
    if place.directory is not None:
        owner = Owner._empty()
        copy._owned.append(owner)
        check(calls.dup_number(place.directory, owner._handle))
        copy.directory = owner.fileno()
    return copy


def identity_of(place: Place) -> tuple[int, int] | None:
    """Return device and inode of the socket file at a place, or None when there is none."""
    return _identity(place.status())


def _identity(status: CData | int | None) -> tuple[int, int] | None:
    there = status is not None and not isinstance(status, int)
    return (status.device, status.inode) if there and stat.S_ISSOCK(status.mode) else None  # type: ignore[union-attr]


def asked_of(
    mode: Any,
    owner: Any,
    group: Any,
    replace_stale: bool,
    takeover: bool,
    unlink_on_close: bool,
    dir_fd: Any,
    long_path: bool,
) -> Asked:
    """Check what a caller of bind() has asked for."""
    return Asked(
        permissions_of(mode, owner, group),
        bool(replace_stale),
        bool(takeover),
        bool(unlink_on_close),
        dir_fd,
        bool(long_path),
    )


def bind(sock: Bound, addr: Any, asked: Asked, ready: Callable[[], object]) -> None:
    """Bind a new socket, and make it ready for others, as was asked."""
    if _has_no_path(addr, asked):
        sock._bind(addr, ready)
        return
    with place_of(addr, asked.dir_fd, asked.long_path) as place:
        if asked.unlink_on_close and sock._borrows is not None:
            raise ValueError("a borrowed socket is closed by its owner, so it cannot be bound with unlink_on_close")
        if not naming.local_name(sock._handle).is_unnamed:
            # As the kernel would say, but before anything is made that would have to be undone.
            raise error(errno.EINVAL, place)
        aside = asked.takeover or place.address is None or _needs_aside(sock, asked)
        # Without a lock somebody could replace the new file before it is known which it is.
        lock, way = Lock(place, needed=aside or asked.replace_stale), _bind_aside if aside else _bind_there
        lock.around(lambda: way(sock, place, asked, ready))


def _has_no_path(addr: Any, asked: Asked) -> bool:
    """Whether an address is no path, and nothing was asked for that only a file has."""
    if isinstance(addr, UnixSocketAddr):
        address = addr
    elif isinstance(addr, (str, bytes)) and addr[:1] in ("", b"", "\0", b"\0"):
        address = UnixSocketAddr._coerce(addr)
    else:
        return False
    if address.is_path:
        return False
    if asked.permissions is not None or asked.takeover or asked.dir_fd is not None:
        text = f"the address {str(address)!r} is no path, so it has no mode, owner, group, takeover or dir_fd"
        raise ValueError(text)
    return True


def _needs_aside(sock: Bound, asked: Asked) -> bool:
    """Whether others could reach a file too early that is made where it belongs."""
    wanted = asked.permissions
    if wanted is None:
        return False
    if wanted.mode is None:
        # What the umask leaves is not known before, and others can send at once to what does not listen.
        return not sock._listens
    return not _kernel_applies_mode()


_applies: bool | None = None


def _kernel_applies_mode() -> bool:
    """Whether a socket's file begins with the mode that fchmod(2) gave the socket; found out once."""
    global _applies
    if _applies is None:
        from . import probes

        _applies = ROWS["file_mode"][0] and not probes.file_mode()
    return _applies


def _bind_there(sock: Bound, place: Place, asked: Asked, ready: Callable[[], object]) -> None:
    """Make the file where it belongs."""
    wanted = asked.permissions
    if wanted is not None:
        permissions.narrow(sock.fileno(), wanted)
    try:
        result = place.bind(sock._handle)
        if result == -errno.EADDRINUSE and asked.replace_stale:
            remove_stale(place)
            result = place.bind(sock._handle)
        check(result, place)
        sock._file = SocketFile(place, identity_of(place), asked.unlink_on_close)
        if wanted is not None:
            permissions.complete(place, wanted)
        with naming.named(place):
            ready()
    except BaseException:
        bound = naming.local_name_or_code(sock._handle)
        if isinstance(bound, UnixSocketAddr) and bound.is_path:
            _undo(sock, place, _identity(place.status_or_code()))
        raise


def _undo(sock: Bound, place: Place, made: tuple[int, int] | None) -> None:
    """Leave no file behind when binding failed half-way; what comes out is why it failed."""
    file, sock._file = sock._file, None
    try:
        if file is not None:
            made = file.identity
        if made is not None and _identity(place.status_or_code()) == made:
            place.unlink()
    finally:
        if file is not None:
            file.forget()


def _bind_aside(sock: Bound, place: Place, asked: Asked, ready: Callable[[], object]) -> None:
    """Make the file in a private folder, and put it where it belongs when all is done."""
    try:
        with Aside(place) as aside:
            check(aside.place.bind(sock._handle), place)
            if asked.permissions is not None:
                permissions.complete(aside.place, asked.permissions)
            with naming.named(place):
                ready()
            sock._file = SocketFile(place, identity_of(aside.place), asked.unlink_on_close)
            if asked.takeover:
                replace(aside.place, place)
            else:
                _link(aside.place, place, asked)
    except BaseException:
        _undo(sock, place, None)
        raise


def _link(source: Place, place: Place, asked: Asked) -> None:
    """Give a socket file a second name, where there is nothing or, if that was asked for, a stale file."""
    result = source.link(place)
    if result == -errno.EEXIST:
        if not asked.replace_stale:
            raise error(errno.EADDRINUSE, place)
        remove_stale(place)
        result = source.link(place)
        if result == -errno.EEXIST:
            raise in_use(place, "another file took its place just now")
    check(result, place)


def replace(source: Place, place: Place) -> None:
    """Rename a socket file over another, or to where there is nothing; the lock of the place must be held."""
    status = place.status()
    if status is not None and not stat.S_ISSOCK(status.mode):
        raise in_use(place, f"{kind_of(status)} is there")
    check(source.rename(place), place)
