"""The permissions and the owner of a socket file.

Rule: a file is never more open than asked, not for an instant.  The kernel makes it with fewer permissions, and what
the umask took is added when nobody can connect yet.
"""

from __future__ import annotations

import os
import stat

from .calls import check
from .once import once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    from .places import Place

    class Permissions(NamedTuple):
        """What was asked for."""

        mode: int | None
        owner: int
        group: int

else:
    from collections import namedtuple

    # -1 leaves the owner or the group.
    Permissions = namedtuple("Permissions", "mode owner group")

# What chown(2) leaves as it is.
_SAME = -1


def permissions_of(mode: Any, owner: Any, group: Any) -> Permissions | None:
    """Check what was asked for, and find the numbers; None when it was nothing.

    Raises:
        TypeError, ValueError: a value that none of them can have.
        LookupError: there is no such user or group.
    """
    if mode is None and owner is None and group is None:
        return None
    if mode is not None:
        if type(mode) is not int:
            raise TypeError(f"mode is an int such as 0o600, not {type(mode).__name__}")
        if not 0 <= mode <= 0o777:
            raise ValueError(f"mode is within 0 to 0o777, not {mode:#o}")
    return Permissions(mode, _number(owner, "owner"), _number(group, "group"))


@once
def _pwd() -> Any:
    import pwd

    return pwd


@once
def _grp() -> Any:
    import grp

    return grp


def _number(value: Any, what: str) -> int:
    if value is None:
        return _SAME
    if type(value) is int:
        # The largest is what chown(2) has for "leave it".
        if not 0 <= value < 2**32 - 1:
            raise ValueError(f"{what} is within 0 to {2**32 - 2}, not {value}")
        return value
    if type(value) is not str:
        raise TypeError(f"{what} is a number (int) or a name (str), not {type(value).__name__}")
    try:
        if what == "owner":
            return int(_pwd().getpwnam(value).pw_uid)
        return int(_grp().getgrnam(value).gr_gid)
    except KeyError:
        raise LookupError(f"there is no {'user' if what == 'owner' else 'group'} {value!r}") from None


def narrow(number: int, asked: Permissions) -> None:
    """Let the file of a socket that is not bound yet begin with no more than was asked for.

    With another owner to come it begins with nothing: the present one's are not the ones that were asked for.
    """
    if asked.mode is not None:
        os.fchmod(number, asked.mode if asked[1:] == (_SAME, _SAME) else 0)


def complete(place: Place, asked: Permissions) -> None:
    """Give a file that nobody can connect to yet exactly what was asked for.

    Raises:
        OSError: PermissionError, only the privileged may give a file away; with the path, what the kernel says.
    """
    if asked[1:] != (_SAME, _SAME):
        check(place.chown(asked.owner, asked.group), place)
    status = place.status()
    if asked.mode is None or (status is not None and stat.S_IMODE(status.mode) == asked.mode):
        return
    check(place.chmod(asked.mode), place)
