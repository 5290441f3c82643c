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

from .calls import check
from .errors import AddressError
from .places import Place, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

    from ._lib import CData

_NAME = "s"


class Aside:
    """The folder, inside a ``with`` block.

    Attributes:
        place: where a socket can be bound inside it (Place).
    """

    __slots__ = ("place", "_outer", "_folder")

    place: Place

    def __init__(self, outer: Place) -> None:
        self._outer = outer
        self._folder = outer.beside(".new")

    def __enter__(self) -> Self:
        """Make the folder.

        Raises:
            OSError: with its name, it cannot be made, or something else has it.
            AddressError: a path into it is too long for an address, and this build has no other way to reach it.
        """
        outer, folder = self._outer, self._folder
        result = folder.mkdir(0o700)
        if result == -errno.EEXIST:
            self._clear()
            result = folder.mkdir(0o700)
        check(result, folder)
        # By its path where that fits, because that is what others will see.
        self.place = folder.inside(_NAME)
        try:
            self._permit()
            opened = outer.own(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            self._check(status_of(opened))
            if outer.directory is not None or self.place.address is None:
                inside, self.place = self.place, Place(_NAME, opened.fileno())
                if self.place.address is None:
                    text = "too long for an address, and needed until it gets its name"
                    raise AddressError(f"the path {str(inside)!r} is {text}")
        except BaseException:
            folder.rmdir()
            raise
        return self

    def _permit(self) -> None:
        """Let this user use the folder, also where the umask took that."""
        status = self._folder.status()
        self._check(status)
        if status is not None and status.mode & 0o700 != 0o700:
            check(self._folder.chmod(0o700), self._folder)

    def _clear(self) -> None:
        """Remove the folder that a crash has left."""
        status = self._folder.status()
        if status is None:
            return
        self._permit()
        left = self._folder.inside(_NAME)
        status = left.status()
        if status is not None and stat.S_ISSOCK(status.mode):
            check(left.unlink(), left)
        check(self._folder.rmdir(), self._folder)

    def _check(self, status: CData | None) -> None:
        """Raise unless it is a folder of this user, for this user alone."""
        private = status is not None and status.owner == os.geteuid() and not status.mode & 0o077
        if not (private and status is not None and stat.S_ISDIR(status.mode)):
            text = "something else has the name of a temporary folder"
            raise OSError(errno.EEXIST, text, str(self._folder))

    def __exit__(self, *exc_info: object) -> None:
        if self.place.status() is not None:
            check(self.place.unlink(), self.place)
        check(self._folder.rmdir(), self._folder)
