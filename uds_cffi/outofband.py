"""Out-of-band data of streams (MSG_OOB).

Rules:
- What the kernel answers for a missing feature is FeatureUnavailable.  That is decided by what a call returned, and
  never by what was raised: a signal handler may raise any OSError within a call.
- A call that would lose the byte is refused before the kernel sees it.
"""

from __future__ import annotations

import errno

from . import calls
from .calls import MSG_WAITALL
from .capabilities import require
from .errors import FeatureUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._lib import CData

FEATURE = "out_of_band"


def check_out_of_band(flags: int, size: int) -> None:
    """Refuse what would lose an out-of-band byte, or where there is none to send or to receive.

    Raises:
        FeatureUnavailable: this build has no out-of-band data.
        ValueError: no byte of data, or no room for one; together with MSG_WAITALL.
    """
    require(FEATURE)
    if flags & MSG_WAITALL:
        raise ValueError(
            "MSG_WAITALL with MSG_OOB: there is one out-of-band byte at most, so there is none to wait for"
        )
    if not size:
        raise ValueError("MSG_OOB is about one byte: it needs data to send, or room to receive it")


def check_answer(result: int) -> int:
    """Return the result of a call with MSG_OOB, or raise the error; a kernel that has none answers EOPNOTSUPP."""
    if result == -errno.EOPNOTSUPP:
        raise FeatureUnavailable(FEATURE, "kernel", errno.EOPNOTSUPP)
    return calls.check(result)


class OutOfBand:
    """Streams, which have a mark."""

    __slots__ = ()

    _handle: CData

    def at_mark(self) -> bool:
        """Return whether all before the out-of-band byte was read (bool; SIOCATMARK, sockatmark(3); Linux 5.15).

        A receive ends at the mark, also when the byte was taken before.  There ``recv(1, MSG_OOB)`` takes the byte, and
        a plain receive throws it away and goes on behind it, unless ``options.oob_inline`` is on.

        Raises:
            FeatureUnavailable: "out_of_band", where the build or the kernel has none.
            OSError: EBADF when closed.
        """
        require(FEATURE)
        result = calls.at_mark(self._handle)
        if result in (-errno.ENOTTY, -errno.EOPNOTSUPP):
            raise FeatureUnavailable(FEATURE, "kernel", -result)
        return bool(calls.check(result))
