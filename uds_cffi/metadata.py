"""What the kernel adds to a message beside credentials: when it was sent, what is still unread, and the sender's label.

Rule: a decoder looks at the size before it reads, raises nothing, and returns None for what no kernel sends; the
registry of ``control`` makes an UnknownControlMessage of that.
"""

from __future__ import annotations

from struct import Struct

from ._lib import ffi, lib
from .calls import MICROSECOND_STAMPS, NANOSECOND_STAMPS
from .values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class ScmTimestamp(Value):
    """When a packet was sent (socket(7), SO_TIMESTAMP and SO_TIMESTAMPNS), of ``options.timestamps``.

    Attributes:
        ns: nanoseconds since the epoch (int), as ``time.time_ns()`` counts them; with "microseconds" a multiple of
            1000.  A packet that was queued before the option was on has the time of the receive.
    """

    __slots__ = ("ns",)

    ns: int

    def __init__(self, ns: int) -> None:
        self._set(ns=ns)


class ScmInq(Value):
    """How much of a stream is left to read behind this receive (SO_INQ, Linux 6.17), of ``options.inq``.

    Attributes:
        unread: bytes (int).  Linux counts each out-of-band byte that was read past, and so thrown away, for ever.
    """

    __slots__ = ("unread",)

    unread: int

    def __init__(self, unread: int) -> None:
        self._set(unread=unread)


class ScmSecurity(Value):
    """The sender's security label (unix(7), SCM_SECURITY), of ``options.pass_security``.

    Attributes:
        label: as SELinux, AppArmor or Smack gives it (bytes), perhaps with a NUL at its end.
    """

    __slots__ = ("label",)

    label: bytes

    def __init__(self, label: bytes) -> None:
        self._set(label=label)


# Two numbers of 64 bits, or, of the old options on 32-bit systems, of 32: the size says which.
_LAYOUTS = {layout.size: layout for layout in (Struct("=qq"), Struct("=ii"))}
# Bytes that the largest of them takes.
TIMESTAMP_SIZE = max(_LAYOUTS)
_INQ = Struct("=i")
INQ_SIZE = _INQ.size
# More than the 256 of Smack and of most labels of SELinux; where a longer one does not fit, the receive says so.
LABEL_SIZE = 512


def _decode_timestamp(data: bytes, per_second: int) -> ScmTimestamp | None:
    layout = _LAYOUTS.get(len(data))
    if layout is None:
        return None
    seconds, fraction = layout.unpack(data)
    if not 0 <= fraction < per_second:
        return None
    return ScmTimestamp(seconds * 10**9 + fraction * (10**9 // per_second))


def decode_microseconds(data: bytes) -> ScmTimestamp | None:
    """Decode a struct timeval; None when it is malformed."""
    return _decode_timestamp(data, 10**6)


def decode_nanoseconds(data: bytes) -> ScmTimestamp | None:
    """Decode a struct timespec; None when it is malformed."""
    return _decode_timestamp(data, 10**9)


def timestamp_decoder(form: int) -> Callable[[bytes], ScmTimestamp | None]:
    """Return a decoder of the times that C knows in this form; it returns None when they are malformed."""

    def decode(data: bytes) -> ScmTimestamp | None:
        nanoseconds = ffi.new("int64_t *")
        if lib.uds_timestamp_read(form, data, len(data), nanoseconds) < 0:
            return None
        return ScmTimestamp(nanoseconds[0])

    return decode


def decode_inq(data: bytes) -> ScmInq | None:
    """Decode a C int that counts bytes; None when it is malformed."""
    if len(data) != INQ_SIZE:
        return None
    (unread,) = _INQ.unpack(data)
    return ScmInq(unread) if unread >= 0 else None


def decode_security(data: bytes) -> ScmSecurity | None:
    """Take a label as it is; None when it has no byte."""
    return ScmSecurity(data) if data else None


# The decoders, by level and type.  What this build does not have has none.
DECODERS: dict[tuple[int, int], Callable[[bytes], Any]] = {
    **{(lib.SOL_SOCKET, kind): decode_microseconds for kind in MICROSECOND_STAMPS},
    **{(lib.SOL_SOCKET, kind): decode_nanoseconds for kind in NANOSECOND_STAMPS},
}
for _kind, _form in (
    (lib.UDS_SCM_TIMEVAL, lib.UDS_TIMEVAL),
    (lib.UDS_SCM_TIMESPEC, lib.UDS_TIMESPEC),
    (lib.UDS_SCM_BINTIME, lib.UDS_BINTIME),
):
    if _kind > 0:
        DECODERS[lib.SOL_SOCKET, _kind] = timestamp_decoder(_form)
if lib.UDS_HAS_INQ:
    DECODERS[lib.SOL_SOCKET, lib.SCM_INQ] = decode_inq
if lib.UDS_HAS_PASS_SECURITY:
    DECODERS[lib.SOL_SOCKET, lib.SCM_SECURITY] = decode_security
