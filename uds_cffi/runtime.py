"""Where a socket file belongs: the directory that the system has made for it.

Rules:
- It is the directory that the system names, or an error; never one that is guessed, and never one that is shared.
- Nobody but the user and root can change where the path leads: neither in the directory nor on the way to it.
- So nobody else makes, removes or renames anything there, and what was looked at is what will be used.
"""

from __future__ import annotations

import errno
import os
import stat

from .address import UnixSocketAddr
from .errors import AddressError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Where system services have theirs: the Filesystem Hierarchy Standard 3.0 (section 3.15), and hier(7) of the BSDs.
# Tests play other systems by replacing it.
_SYSTEM = ("/run", "/var/run")
# As many as the kernel follows (path_resolution(7)).
_MOST_LINKS = 40


def runtime_address(name: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> UnixSocketAddr:
    """Return the address of a socket file in the directory that is meant for it, and for this user alone.

    The directory is the first of these that applies; where it is not as it should be, no other is tried:

    1. a service's own, which systemd has made for it: ``RUNTIME_DIRECTORY`` (``RuntimeDirectory=`` of systemd.exec(5)).
       A name that begins with the directory's own, "app/control" for ``/run/app``, means the same file as it would
       without systemd; any other name is inside of it.
    2. for root ``/run``, or ``/var/run`` where there is no ``/run``, whatever the environment says.
    3. for everybody else ``XDG_RUNTIME_DIR`` (XDG Base Directory Specification, version 0.8), of mode 0700.

    It must belong to the effective user, and no other may write to it; no directory on the way to it may be one that
    everybody can write to, unless it is sticky; a symbolic link on the way must be the user's or root's.

    Args:
        name: the name of the file, or with directories in front, "app/control" (str, bytes or os.PathLike).  Those
            that do not exist are made, of mode 0700; those that do are held to the same rules.

    Returns:
        UnixSocketAddr, an absolute path.  The file itself is neither made nor looked at.

    Raises:
        AddressError: the name is empty, absolute, or has a NUL, "." or ".." in it; the path is too long; the name does
            not say which it means of several directories in ``RUNTIME_DIRECTORY``.  Nothing was made.
        FileNotFoundError: this user has no such directory, or it does not exist.
        PermissionError: it belongs to somebody else, or others can change it.
        NotADirectoryError: it is none.
        OSError: what mkdir(2) reports for a directory in the name.
    """
    # All that can be wrong with a path, before anything is looked at.
    inner = os.fsdecode(UnixSocketAddr.from_path(name).name)
    if not {"", ".", ".."}.isdisjoint(inner.split("/")):
        text = "it is relative to the runtime directory, and without empty parts, '.' and '..'"
        raise AddressError(f"{name!r} names no file there: {text}")
    source, base, inner = _place(inner)
    address = UnixSocketAddr.from_path(f"{base.rstrip('/')}/{inner}")
    here = _follow(source, base)
    _check(source, here, source == "XDG_RUNTIME_DIR")
    for part in inner.split("/")[:-1]:
        here = f"{here}/{part}"
        _make(here)
        _check(source, here, False)
    return address


def _place(name: str) -> tuple[str, str, str]:
    """Return what says where the directory is, the directory, and what the file is called in it."""
    listed = [path for path in os.environ.get("RUNTIME_DIRECTORY", "").split(":") if path]
    if listed:
        source = "RUNTIME_DIRECTORY"
        base, name = _own_directory(listed, name)
    elif os.geteuid() == 0:
        source, base = "the system", _system_directory()
    else:
        source = "XDG_RUNTIME_DIR"
        base = os.environ.get(source, "")
    if not base.startswith("/"):
        problem = f"{source} is {base!r}, not an absolute path" if base else f"{source} is not set"
        raise FileNotFoundError(errno.ENOENT, f"no runtime directory for user {os.geteuid()}: {problem}")
    return source, base, name


def _own_directory(listed: list[str], name: str) -> tuple[str, str]:
    """Return the directory of this service that a name is about, and the rest of the name."""
    parts = name.split("/")
    for count in range(len(parts) - 1, 0, -1):
        start = "/".join(parts[:count])
        fitting = [path for path in listed if path.endswith("/" + start)]
        if len(fitting) == 1:
            return fitting[0], "/".join(parts[count:])
    if len(listed) > 1:
        text = f"RUNTIME_DIRECTORY has {len(listed)} directories, {', '.join(listed)}"
        raise AddressError(f"{name!r} does not say where: {text}, and it begins with the name of none, or of several")
    return listed[0], name


def _system_directory() -> str:
    for path in _SYSTEM:
        if os.path.lexists(path):
            return path
    raise FileNotFoundError(errno.ENOENT, f"no runtime directory for system services: no {' and no '.join(_SYSTEM)}")


def _follow(source: str, path: str) -> str:
    """Return the directory that a path leads to, unless somebody else can make it lead elsewhere."""
    here = "/"
    left = path.split("/")[::-1]
    links = 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            here = os.path.dirname(here)
            continue
        _check_way(source, here)
        following = os.path.join(here, part)
        try:
            status = os.lstat(following)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, f"{source} names a directory that does not exist", path) from None
        if not stat.S_ISLNK(status.st_mode):
            here = following
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if status.st_uid not in (0, os.geteuid()):
            _refuse(source, following, f"a symbolic link of user {status.st_uid}, who can make it lead elsewhere")
        target = os.readlink(following)
        if target.startswith("/"):
            here = "/"
        left += target.split("/")[::-1]
    return here


def _check_way(source: str, path: str) -> None:
    mode = os.lstat(path).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        _refuse(source, path, f"a directory on the way where everybody can rename what is in it (mode {_octal(mode)})")


def _check(source: str, path: str, exactly: bool) -> None:
    """Refuse a directory that is not this user's own."""
    status = os.lstat(path)
    mode = status.st_mode
    user = os.geteuid()
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, f"{source} leads to what is no directory", path)
    if status.st_uid != user:
        _refuse(source, path, f"a directory of user {status.st_uid}, and not of user {user}")
    if exactly and stat.S_IMODE(mode) & 0o777 != 0o700:
        _refuse(source, path, f"a directory of mode {_octal(mode)}, and not of mode 0700")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        _refuse(source, path, f"a directory of mode {_octal(mode)}, which others than user {user} can write to")


def _octal(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"


def _refuse(source: str, path: str, problem: str) -> NoReturn:
    raise PermissionError(errno.EPERM, f"{source} leads to {problem}", path)


def _make(path: str) -> None:
    """Make a directory for this user alone where there is nothing yet; its parent has been checked."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    if stat.S_IMODE(os.lstat(path).st_mode) & 0o777 != 0o700:
        # A umask that takes from the owner too.
        os.chmod(path, 0o700)
