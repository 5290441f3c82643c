"""Probes of socket files: their names in a folder, their permissions, and the file of a bound socket.

Rule: C makes the file and removes it in one call, so that no signal handler can leave it behind.
"""

from __future__ import annotations

import errno
import os
import stat

from . import calls
from ._lib import ffi, lib
from .probing import KERNEL, NOT_PERMITTED, Pair, made, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._lib import CData

# Where a socket file can be made, as a rule: the folders for temporary files, and the working directory.
FOLDERS = ("/tmp", "/var/tmp", ".")


def _places() -> list[tuple[bytes, bytes]]:
    """Return the folders in which to try to make a file, each with a name for it that there is not."""
    folders = (os.environ.get("TMPDIR"), *FOLDERS)
    return [(os.fsencode(folder), f"uds-{os.urandom(8).hex()}".encode()) for folder in folders if folder]


def _bind_somewhere(handle: CData) -> tuple[int, int] | None:
    """Bind a socket to a file that is removed at once: its inode and mode, or None where none can be made."""
    found = ffi.new("uint64_t[2]")
    for folder, name in _places():
        if lib.uds_handle_bind_briefly(handle, os.path.join(folder, name), found) == 0:
            return found[0], found[1]
    return None


def connect_somewhere(pair: Pair) -> bool:
    """Connect the first socket to the second, now a listener, by a file that is removed at once; False without one."""
    for folder, name in _places():
        pair.close()
        for handle in (pair.one, pair.two):
            if not made(calls.open_socket(handle, calls.SOCK_STREAM, 1)):
                return False
        if lib.uds_handle_connect_briefly(pair.two, pair.one, os.path.join(folder, name)) == 0:
            return True
    return False


@probe(lib.SOCK_DGRAM)
def bound_file(pair: Pair) -> object:
    """The file of a bound socket is the one at its path; where no file can be made, a socket without one has none."""
    pair.close()
    if not made(calls.open_socket(pair.one, calls.SOCK_DGRAM, 1)):
        return False
    wanted = _bind_somewhere(pair.one)
    result = lib.uds_handle_bound_file(pair.one, pair.two)
    if result == -errno.EPERM:
        return NOT_PERMITTED
    if wanted is None:
        return result == -errno.ENOENT
    return made(result) and os.fstat(calls.fileno(pair.two)).st_ino == wanted[0]


@probe(lib.SOCK_DGRAM)
def bindat(pair: Pair) -> object:
    """A socket is bound to a name in a folder, and another finds it there."""
    pair.close()
    for handle in (pair.one, pair.two):
        if not made(calls.open_socket(handle, calls.SOCK_DGRAM, 1)):
            return False
    result = NOT_PERMITTED
    for folder, name in _places():
        code = lib.uds_handle_bindat_briefly(pair.one, pair.two, folder, name)
        if made(code):
            return True
        if code not in (-errno.ENOENT, -errno.ENOTDIR, -errno.EACCES, -errno.EROFS, -errno.ENOSPC):
            result = KERNEL
    return result


@probe(lib.SOCK_DGRAM)
def file_mode(pair: Pair) -> object:
    """A file has no more permissions than its socket was given before."""
    pair.close()
    if not made(calls.open_socket(pair.one, calls.SOCK_DGRAM, 1)):
        return False
    os.fchmod(calls.fileno(pair.one), 0o400)
    found = _bind_somewhere(pair.one)
    return NOT_PERMITTED if found is None else not stat.S_IMODE(found[1]) & ~0o400
