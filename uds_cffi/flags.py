"""Flags: which ones each call takes.

Rule: a bit that a call does not know is refused before the kernel sees it; the kernel would ignore it, or, like
MSG_ERRQUEUE, read and throw away a message.
"""

from __future__ import annotations

from . import calls
from .calls import MSG_CMSG_CLOEXEC, MSG_DONTWAIT, MSG_EOR, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _mask(*flags: int) -> int:
    mask = 0
    for flag in flags:
        # A flag that this system lacks is -1.
        if flag > 0:
            mask |= flag
    return mask


SEND = _mask(MSG_DONTWAIT, MSG_EOR, MSG_NOSIGNAL)
SEND_STREAM = _mask(SEND, MSG_OOB)
RECV_MESSAGE = _mask(MSG_DONTWAIT, MSG_PEEK, MSG_CMSG_CLOEXEC)
TRY_STREAM = _mask(RECV_MESSAGE, MSG_OOB)
RECV_STREAM = _mask(TRY_STREAM, MSG_WAITALL)
RECV_PACKET = _mask(RECV_MESSAGE, MSG_TRUNC)
RECV_BATCH = _mask(MSG_DONTWAIT, MSG_CMSG_CLOEXEC, MSG_TRUNC)
PEEK = _mask(MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC)

_NAMES = (
    "MSG_DONTWAIT",
    "MSG_EOR",
    "MSG_NOSIGNAL",
    "MSG_OOB",
    "MSG_PEEK",
    "MSG_TRUNC",
    "MSG_WAITALL",
    "MSG_CMSG_CLOEXEC",
)


def check_flags(flags: Any, allowed: int) -> int:
    """Return flags that are within the mask of a call, or raise TypeError or ValueError."""
    if type(flags) is not int:
        # The constants of the standard library are members of an IntFlag.
        if isinstance(flags, bool) or not isinstance(flags, int):
            raise TypeError(f"flags is an int, not {type(flags).__name__}")
        flags = int(flags)
    if flags & ~allowed:
        names = " | ".join(name for name in _NAMES if allowed & getattr(calls, name) and getattr(calls, name) > 0)
        raise ValueError(f"flags {flags & ~allowed:#x} are not for this call, which takes {names}")
    checked: int = flags
    return checked
