"""A private folder beside a socket file, in which the file is made before anybody can reach it.

Rules:
- The lock of the place is held, so the folder has one name, and what a crash has left in it is removed.
- It belongs to this user alone: inside it no path can be taken away from what was just made.
- It is gone when the block is left, whatever happened.
"""

from __future__ import annotations

import errno
import os
import stat

from .errors import AddressError
from .places import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

_NAME = "s"


class Aside:
    """The folder, inside a ``with`` block.

    Attributes:
        place: where a socket can be bound inside it (Place).
    """

    __slots__ = ("place", "_outer", "_name")

    place: Place

    def __init__(self, outer: Place) -> None:
        self._outer = outer
        self._name = outer.beside(".new")

    def __enter__(self) -> Self:
        """Make the folder.

        Raises:
            OSError: with its name, it cannot be made, or something else has it.
            AddressError: a path into it is too long for an address, and this build has no other way to reach it.
        """
        outer = self._outer
        try:
            os.mkdir(self._name, 0o700, dir_fd=outer.directory)
        except FileExistsError:
            self._clear()
            os.mkdir(self._name, 0o700, dir_fd=outer.directory)
        # By its path where that fits, because that is what others will see.
        self.place = Place(os.path.join(self._name, _NAME), outer.directory)
        try:
            folder = outer.open(self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            self._check(os.fstat(folder.fileno()))
            if outer.directory is not None or self.place.address is None:
                self.place = Place(_NAME, folder.fileno())
                if self.place.address is None:
                    text = "too long for an address, and needed until it gets its name"
                    raise AddressError(f"the path {os.path.join(self._name, _NAME)!r} is {text}")
        except BaseException:
            os.rmdir(self._name, dir_fd=outer.directory)
            raise
        return self

    def _clear(self) -> None:
        """Remove the folder that a crash has left."""
        outer = self._outer
        self._check(os.stat(self._name, dir_fd=outer.directory, follow_symlinks=False))
        left = Place(os.path.join(self._name, _NAME), outer.directory)
        status = left.status()
        if status is not None and stat.S_ISSOCK(status.st_mode):
            left.unlink()
        os.rmdir(self._name, dir_fd=outer.directory)

    def _check(self, status: os.stat_result) -> None:
        """Raise unless it is a folder of this user, for this user alone."""
        private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        if not (stat.S_ISDIR(status.st_mode) and private):
            text = "something else has the name of a temporary folder"
            raise OSError(errno.EEXIST, text, self._name)

    def __exit__(self, *exc_info: object) -> None:
        if self.place.status() is not None:
            self.place.unlink()
        os.rmdir(self._name, dir_fd=self._outer.directory)

    def link(self, to: Place) -> int:
        """Give what was made its name, unless there is something (link(2)): 0, or -EEXIST."""
        here = self.place
        try:
            os.link(here.name, to.name, src_dir_fd=here.directory, dst_dir_fd=to.directory)
        except FileExistsError:
            return -errno.EEXIST
        return 0
