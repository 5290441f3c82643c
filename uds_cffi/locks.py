"""The lock beside a socket file, which lets one process at a time decide what the file becomes.

Rules:
- The kernel keeps the lock (flock(2)), so it ends with its process: what a crash leaves is a file that blocks nobody.
- Nothing is followed or waited for that somebody else has put in the file's place, and a lock that is not released
  within a few seconds is an error.
- The file is removed while the lock is held.  Who has then locked a file without a name begins again.
- Only who may make files there may lock it, and nothing but an empty file that has no other name is changed.
"""

from __future__ import annotations

import errno
import os
import stat

from . import calls
from .errors import error
from .owner import Owner
from .places import is_same, status_of
from .waiting import deadline_of, finish, is_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from .places import Place

# What is done under a lock takes milliseconds.
PATIENCE = 5.0

# Others may open it in their turn; or nobody else, who could only keep others waiting.
_SHARED, _ALONE = 0o644, 0o600
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK
# In a folder like /tmp it may belong to another user, and then it stays.
_STAYS = (0, -errno.ENOENT, -errno.EPERM, -errno.EACCES)


class Lock:
    """The lock of a place, held inside a ``with`` block, or while a function runs."""

    __slots__ = ("_outer", "_place", "_file", "_needed")

    _place: Place
    _file: Owner

    def __init__(self, place: Place, needed: bool = True) -> None:
        """Name the lock; when it is not needed, the block is entered without it where there can be none."""
        self._outer = place
        self._place = place.beside(".lock")
        self._needed = needed
        self._file = Owner._empty()

    def around(self, call: Callable[[], object]) -> None:
        """Hold the lock while a function runs.

        A ``with`` block alone is not left where a signal handler raises just before its first step, and who cleans up
        after that would wait for the lock.
        """
        try:
            with self:
                call()
        except BaseException:
            self._release()
            raise

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
                if not self._open() or self._take(deadline):
                    return self
            except BaseException:
                self._file.close()
                raise
            self._file.close()
            if is_over(deadline):
                raise self._error(errno.ETIMEDOUT, "is made anew again and again")

    def _open(self) -> bool:
        """Open the file; whether there is one."""
        place, handle = self._place, self._file._handle
        mode = self._mode()
        # To be locked on a network file system it must be open for writing (flock(2)).
        result = place.open_into(handle, _FLAGS | os.O_RDWR | os.O_CREAT, mode)
        if result == -errno.EACCES:
            # It is somebody else's; or in a folder for everybody Linux may refuse O_CREAT for a file of others.
            existing = place.open_into(handle, _FLAGS | os.O_RDONLY)
            result = result if existing == -errno.ENOENT else existing
        if result < 0 and not self._needed:
            return False
        if result in (-errno.ENOENT, -errno.ENOTDIR):
            raise error(-result, self._outer)
        if result < 0:
            reason = "is a symbolic link" if result in (-errno.ELOOP, -errno.EMLINK) else None
            raise self._error(-result, reason)
        status = status_of(self._file)
        if not stat.S_ISREG(status.mode):
            raise self._error(errno.EEXIST, "is no regular file")
        ours = status.owner == os.geteuid() and status.links == 1 and status.size == 0
        if ours and stat.S_IMODE(status.mode) != mode:
            # The umask took too much, or the folder was another's before.
            os.fchmod(self._file.fileno(), mode)
        return True

    def _mode(self) -> int:
        folder = self._place.folder().status_or_code()
        alone = not isinstance(folder, int) and folder.owner == os.geteuid() and not folder.mode & 0o022
        return _ALONE if alone else _SHARED

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
        if result < 0 and not self._needed:
            # The file system has no locks.
            return True
        if result < 0:
            raise self._error(-result, None)
        return self._has_its_name()

    def _has_its_name(self) -> bool:
        return is_same(self._place.status(), status_of(self._file))

    def _error(self, code: int, reason: str | None) -> OSError:
        name = str(self._place)
        return error(code, name) if reason is None else OSError(code, f"the lock file {reason}", name)

    def __exit__(self, *exc_info: object) -> None:
        try:
            if not self._file.closed and self._has_its_name():
                result = self._place.unlink()
                if result not in _STAYS:
                    raise self._error(-result, None)
        finally:
            self._release()

    def _release(self) -> None:
        # A child that was forked meanwhile has a copy of the descriptor, and would keep the lock.
        calls.funlock(self._file._handle)
        self._file.close()
