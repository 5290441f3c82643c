"""Where a path leads: what bind(2) and connect(2) are given, and how calls on files find the same file.

Rules:
- A path that is too long for an address is reached through a descriptor of its directory, and only for who asks for it.
- A directory that is opened here has an owner, and is closed when the place is left.
- What the kernel answers about a file is a number until it is known that nobody waits for just that: a signal handler
  may raise FileNotFoundError too.
"""

from __future__ import annotations

import errno
import os

from . import calls
from ._lib import ffi, lib
from .address import UNNAMED, WAY_OUT, UnixSocketAddr, path_bytes
from .capabilities import require
from .errors import AddressError, FeatureUnavailable, error
from .owner import Owner, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

    from ._lib import CData
    from .address import AddressLike

_MAX_PATH: int = lib.UDS_MAX_PATH_LEN
# As an address for who asks for long paths, without a directory's descriptor.
_LONGEST: int = max(_MAX_PATH, lib.UDS_LONG_PATH_LEN)
# How long a name in a directory may be.
_MAX_NAME: int = lib.UDS_MAX_NAME_LEN
# Whether somebody who asks for long paths may give a file a longer one: it must be possible to connect to it.
_LONG_NAMES = bool(lib.UDS_HAS_LONG_NAMES)
_FEATURE = "bindat"
_STATUS = ffi.typeof("struct uds_status *")


class Place:
    """A file's name, from a directory.

    A context manager: leaving it closes the directories that were opened for it.

    Attributes:
        asked: the path as it was given (str).
        name: how calls on files find it from the directory (str).
        directory: a descriptor (int), or None for the working directory.
        given: whether that is the caller's own directory (bool).
        address: what the kernel is given with the directory (UnixSocketAddr), or None when the name is too long.
    """

    __slots__ = ("asked", "name", "directory", "given", "address", "_owned")

    asked: str
    name: str
    directory: int | None
    given: bool
    address: UnixSocketAddr | None
    _owned: list[Owner]

    def __init__(self, path: str, directory: int | None = None) -> None:
        """Name a file from a directory, or from the working directory."""
        self.asked = self.name = path
        self.directory = directory
        self.given = False
        raw = os.fsencode(path)
        self.address = UnixSocketAddr._make("path", raw) if len(raw) <= _limit(directory) else None
        self._owned = []

    def __str__(self) -> str:
        return self.asked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for owner in self._owned:
            owner.close()

    def own(self, file: Place, flags: int) -> Owner:
        """Open a file, close-on-exec; this place owns it."""
        owner = Owner._empty()
        self._owned.append(owner)
        calls.check(file.open_into(owner._handle, flags), file)
        return owner

    def open_into(self, handle: CData, flags: int, mode: int = 0) -> int:
        """Open the file, close-on-exec, into an empty handle: 0 or -errno."""
        return lib.uds_handle_openat(handle, self._from(), os.fsencode(self.name), flags, mode)

    def mkdir(self, mode: int) -> int:
        """Make a directory (mkdir(2)): 0 or -errno."""
        return lib.uds_mkdirat(self._from(), os.fsencode(self.name), mode)

    def rmdir(self) -> int:
        """Remove an empty directory (rmdir(2)): 0 or -errno."""
        return lib.uds_rmdirat(self._from(), os.fsencode(self.name))

    def unlink(self) -> int:
        """Remove the name (unlink(2)): 0 or -errno."""
        return lib.uds_unlinkat(self._from(), os.fsencode(self.name))

    def link(self, to: Place) -> int:
        """Give the file another name, where there is nothing (link(2)): 0 or -errno."""
        return lib.uds_linkat(self._from(), os.fsencode(self.name), to._from(), os.fsencode(to.name))

    def rename(self, to: Place) -> int:
        """Give the file another name, in the place of what has it (rename(2)): 0 or -errno."""
        return lib.uds_renameat(self._from(), os.fsencode(self.name), to._from(), os.fsencode(to.name))

    def chmod(self, mode: int) -> int:
        """Set the permissions, but not through a symbolic link: 0 or -errno."""
        return lib.uds_fchmodat(self._from(), os.fsencode(self.name), mode)

    def chown(self, owner: int, group: int) -> int:
        """Give the file to others, but not what a symbolic link leads to (lchown(2)); -1 leaves one: 0 or -errno."""
        # -1 is the same as the largest number of C's type.
        return lib.uds_fchownat(self._from(), os.fsencode(self.name), owner & 0xFFFFFFFF, group & 0xFFFFFFFF)

    def _from(self) -> int:
        return -1 if self.directory is None else self.directory

    def beside(self, suffix: str) -> Place:
        """Return the place of a file in the same directory that belongs to this one.

        Its name is made of at most 64 bytes of this one's, so that it always fits; where two files share one they also
        share its lock.
        """
        folder, name = os.path.split(self.name)
        name = "." + os.fsdecode(os.fsencode(name)[:64]) + suffix
        return self._from_here(os.path.join(folder, name), os.path.join(os.path.dirname(self.asked), name))

    def inside(self, name: str) -> Place:
        """Return the place of a file in this one, which is a directory."""
        return self._from_here(os.path.join(self.name, name), os.path.join(self.asked, name))

    def folder(self) -> Place:
        """Return the place of the directory of this file."""
        folder, asked = os.path.dirname(self.name), os.path.dirname(self.asked)
        return self._from_here(os.path.join(folder, "."), os.path.join(asked, "."))

    def _from_here(self, name: str, asked: str) -> Place:
        place = Place(name, self.directory)
        place.asked = asked
        return place

    def status(self) -> CData | None:
        """Return what is there (struct uds_status, of lstat(2)), or None for nothing.

        Raises:
            OSError: with the path, what lstat(2) reports.
        """
        found = self.status_or_code()
        if not isinstance(found, int):
            return found
        if found not in (-errno.ENOENT, -errno.ENOTDIR):
            calls.check(found, self)
        return None

    def status_or_code(self) -> CData | int:
        """Do the same, but return -errno."""
        found = ffi.new(_STATUS)
        return lib.uds_fstatat(self._from(), os.fsencode(self.name), found) or found

    def bind(self, handle: CData) -> int:
        """Bind a socket here: 0 or -errno."""
        assert self.address is not None
        if self.directory is None:
            return lib.uds_handle_bind(handle, *self.address._raw())
        return self._known(lib.uds_handle_bindat(handle, self.directory, *self.address._raw()))

    def connect(self, handle: CData) -> int:
        """Connect a socket to the one here: 0 or -errno."""
        if self.address is None:
            file = Owner._empty()
            with file:
                result = self.open_into(file._handle, lib.UDS_O_PATH)
                if result >= 0:
                    result = self._known(lib.uds_handle_connectat(handle, file.fileno(), *UNNAMED._raw()))
            return result
        if self.directory is None:
            return lib.uds_handle_connect(handle, *self.address._raw())
        return self._known(lib.uds_handle_connectat(handle, self.directory, *self.address._raw()))

    def _known(self, result: int) -> int:
        if result == -errno.ENOSYS:
            raise FeatureUnavailable(_FEATURE, "kernel")
        return result


def place_of(addr: AddressLike, dir_fd: Any = None, long_path: bool = False) -> Place:
    """Find the place of a path.

    Args:
        addr: a UnixSocketAddr, or a path as str, bytes or os.PathLike.
        dir_fd: where a relative path begins: a directory, as int or an object with ``fileno()``, or None.
        long_path: whether the path may be longer than an address.

    Raises:
        AddressError: no path, or one that is too long.
        TypeError, ValueError: no descriptor.
        FeatureUnavailable: "bindat", where it takes a directory's descriptor.
        OSError: with the path, a directory cannot be opened.
    """
    path = _path_of(addr)
    number = None if dir_fd is None else _directory_number(dir_fd)
    given = number is not None and not path.startswith("/")
    size = len(os.fsencode(path))
    if size > _MAX_PATH and not long_path:
        # It says so itself.
        UnixSocketAddr._coerce(addr)
    if not given and size <= _LONGEST:
        return Place(path)
    require(_FEATURE)
    folder, name = os.path.split(path)
    if not name:
        raise error(errno.ENOENT, path)
    place = Place(name, number if given else None)
    place.asked, place.given = path, given
    try:
        if folder:
            place.directory = place.own(Place(folder, place.directory), lib.UDS_O_PATH | os.O_DIRECTORY).fileno()
        raw = os.fsencode(name)
        place.address = UnixSocketAddr._make("path", raw) if len(raw) <= _limit(place.directory) else None
        if place.address is None and not (long_path and _LONG_NAMES):
            text = f"the name {name!r} is {len(raw)} bytes long; in a directory the limit is {_MAX_NAME}"
            raise AddressError(text + WAY_OUT if _LONG_NAMES else text)
    except BaseException:
        place.__exit__()
        raise
    return place


def status_of(file: Owner) -> CData:
    """Return what an open file is (struct uds_status, of fstat(2))."""
    found = ffi.new(_STATUS)
    calls.check(lib.uds_handle_fstat(file._handle, found))
    return found


def is_same(one: CData | None, other: CData | None) -> bool:
    """Whether both are there, and are one file."""
    return one is not None and other is not None and (one.device, one.inode) == (other.device, other.inode)


def read_beginning(path: str, size: int) -> bytes:
    """Return the first bytes of a file, none when it cannot be read."""
    data = ffi.new("char[]", size)
    result = lib.uds_read_beginning(os.fsencode(path), data, size)
    return ffi.unpack(data, result) if result > 0 else b""


def _limit(directory: int | None) -> int:
    """Return how many bytes the address of a file may have, from a directory."""
    return _LONGEST if directory is None else _MAX_NAME


def _directory_number(dir_fd: Any) -> int:
    number = number_of(dir_fd, "dir_fd")
    if not 0 <= number < 2**31:
        raise ValueError(f"dir_fd is an open descriptor, not {number}")
    return number


def _path_of(addr: AddressLike) -> str:
    """Return a path of any length."""
    if isinstance(addr, UnixSocketAddr):
        if addr.kind != "path":
            raise AddressError(f"the address {str(addr)!r} is no path")
        return os.fsdecode(addr.name)
    path = path_bytes(addr)
    if len(path) <= _MAX_PATH:
        return _path_of(UnixSocketAddr._coerce(addr))
    if b"\0" in path:
        raise AddressError(f"the path {addr!r} has a NUL at byte {path.index(0)} of {len(path)}")
    return os.fsdecode(path)
