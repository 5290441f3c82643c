"""The lock beside a socket file, which lets one process at a time decide what the file becomes.

Rules:
- The kernel keeps the lock (flock(2)), so it ends with its process: what a crash leaves is a file that blocks nobody.
- Nothing is followed or waited for that somebody else has put in the file's place, and a lock that is not released
  within a few seconds is an error.
- The file is removed while the lock is held.  Who has then locked a file without a name begins again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from . import calls
from .errors import error
from .owner import Owner
from .waiting import deadline_of, finish, is_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

    from .places import Place

# What is done under a lock takes milliseconds.
PATIENCE = 5.0

# Others may open it, to lock it in their turn.
_MODE = 0o644
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Lock:
    """The lock of a place, held inside a ``with`` block."""

    __slots__ = ("_place", "_name", "_file", "full")

    _file: Owner
    # Whether there was no room for its file.
    full: bool

    def __init__(self, place: Place) -> None:
        self._place = place
        self._name = place.beside(".lock")
        self.full = False

    def __enter__(self) -> Self:
        """Wait for the lock.

        Raises:
            TimeoutError: another process holds it, and does not let go.
            OSError: with the name of the lock's file: it cannot be made, or something else has its name.
        """
        deadline = deadline_of(PATIENCE)
        while True:
            self._file = Owner._empty()
            try:
                self._open()
                if self._take(deadline):
                    return self
            except BaseException:
                self._file.close()
                raise
            self._file.close()
            if is_over(deadline):
                raise self._error(errno.ETIMEDOUT, "is made anew again and again")

    def _open(self) -> None:
        place, handle = self._place, self._file._handle
        result = place.open_into(handle, self._name, _FLAGS | os.O_CREAT, _MODE)
        if result == -errno.EACCES:
            # In a folder for everybody Linux may refuse O_CREAT for a file that somebody else has made.
            existing = place.open_into(handle, self._name, _FLAGS)
            result = result if existing == -errno.ENOENT else existing
        self.full = result in (-errno.ENOSPC, -errno.EDQUOT)
        if result in (-errno.ENOENT, -errno.ENOTDIR):
            raise error(-result, place)
        if result < 0:
            reason = "is a symbolic link" if result in (-errno.ELOOP, -errno.EMLINK) else None
            raise self._error(-result, reason)
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise self._error(errno.EEXIST, "is no regular file")
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != _MODE:
            # The umask took too much.
            os.fchmod(self._file.fileno(), _MODE)

    def _take(self, deadline: float | None) -> bool:
        """Wait for the lock of the open file; whether the file still has its name then."""
        handle = self._file._handle

        def attempt() -> int:
            result: int = calls.flock(handle)
            return result

        # A regular file is always ready, so between its attempts this sleeps.
        result = finish(handle, attempt(), attempt, calls.POLLIN, deadline, waits=True)
        if result == -errno.ETIMEDOUT:
            raise self._error(errno.ETIMEDOUT, f"has been locked by another process for {PATIENCE:g} seconds")
        if result < 0:
            raise self._error(-result, None)
        mine = os.fstat(self._file.fileno())
        try:
            there = os.stat(self._name, dir_fd=self._place.directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _error(self, code: int, reason: str | None) -> OSError:
        return error(code, self._name) if reason is None else OSError(code, f"the lock file {reason}", self._name)

    def __exit__(self, *exc_info: object) -> None:
        try:
            # In a sticky folder it may belong to another user, and then it stays.
            with contextlib.suppress(PermissionError, FileNotFoundError):
                os.unlink(self._name, dir_fd=self._place.directory)
        finally:
            self._file.close()
